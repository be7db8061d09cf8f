//! A server that says anything.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockmaster::edge::metrics::{BODY_LIMIT, Metrics, TIME_LIMIT};
use lockmaster::health::check::{MinSamples, Predicate, Probe, Query, Reading, Run, Samples, Verdict};
use rustls::RootCertStore;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use crate::control_plane::ControlPlane;
use crate::{at, check};

/// What follows the bytes of an answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Close,
    /// Nothing, for as long as the client waits.
    Hold,
    /// The last 64 KiB of zeros again, without end.
    More,
}

type Requests = Arc<Mutex<Vec<String>>>;

/// Serves the same bytes to every request, and keeps what was asked.
struct Liar {
    port: u16,
    requests: Requests,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    fn start(plane: &ControlPlane, answer: impl Into<Vec<u8>>, then: Then) -> Liar {
        let (answer, requests) = (answer.into(), Requests::default());
        let kept = Arc::clone(&requests);
        let listener = plane.block_on(TcpListener::bind("127.0.0.1:0")).expect("because loopback has ports");
        let port = listener.local_addr().expect("because it listens").port();
        let task = plane.runtime().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), then, Arc::clone(&kept)));
            }
        });
        Liar { port, requests, task }
    }

    fn url(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}{rest}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Vec<u8>, then: Then, kept: Requests) {
    let Some(request) = read_request(&mut stream).await else { return };
    kept.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    // The client may have gone at any moment.
    let mut open = stream.write_all(&answer).await.is_ok();
    while then == Then::More && open {
        open = stream.write_all(&vec![b'0'; 64 << 10]).await.is_ok();
    }
    if then == Then::Hold {
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    }
    drop(stream.shutdown().await);
}

/// Head and body; the body is as long as the head says.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => request.extend_from_slice(&chunk[..count]),
        }
    }
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn metrics() -> Metrics {
    Metrics::with_roots(TIME_LIMIT, RootCertStore::empty())
}

fn http(url: &str, expect: &str) -> Probe {
    let url = url.parse().expect("because it is an address");
    Probe::Http { url, expect: Predicate::parse(expect).expect("because it is a predicate") }
}

fn query(url: &str) -> Query {
    let url = url.parse().expect("because it is an address");
    let max = Some("1%".parse().expect("because it is a limit"));
    Query { url, query: "up".to_owned(), min: None, max, samples: Samples::One, min_samples: None }
}

fn look(plane: &ControlPlane, metrics: &Metrics, probe: &Probe) -> Reading {
    plane.block_on(metrics.look(probe)).expect("because servers are asked for it")
}

/// `+` passed, `-` failed, `?` nothing known.
fn verdict(probe: &Probe, reading: &Reading) -> char {
    let mut run = Run::new(check(probe.clone()), at(0));
    run.file(reading, at(0));
    match run.verdict(at(0)) {
        Verdict::Passed => '+',
        Verdict::Failed { .. } => '-',
        Verdict::Pending => '?',
    }
}

pub(crate) fn http_answers(plane: &'static ControlPlane) {
    let (ok, big) = ("body.status == 'ok'", format!("{{\"status\":\"{}\"}}", "x".repeat(100 << 10)));
    for (status, body, expect, expected) in [
        (200, r#"{"status":"ok"}"#, ok, '+'),
        (200, r#"{"status":"down"}"#, ok, '-'),
        (200, r#"{"state":"ok"}"#, ok, '?'),
        (200, "<html>ok</html>", ok, '?'),
        (200, r#"{"status":"ok"} and more"#, ok, '?'),
        (200, "", ok, '?'),
        (200, big.as_str(), ok, '?'),
        (500, r#"{"status":"ok"}"#, ok, '-'),
        (503, "busy", ok, '-'),
        (503, "busy", "status == 503", '+'),
    ] {
        let liar = Liar::start(plane, answer(status, body), Then::Close);
        let probe = http(&liar.url("/ready?full=1"), expect);
        let reading = look(plane, &metrics(), &probe);
        let told = &body[..body.len().min(40)];
        assert_eq!(verdict(&probe, &reading), expected, "{status} {told}: {reading:?}");
        let [request] = liar.requests().try_into().expect("because one look is one request");
        assert!(request.starts_with("GET /ready?full=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: 127.0.0.1:{}\r\n", liar.port)), "{request}");
    }
}

pub(crate) fn prometheus_answers(plane: &'static ControlPlane) {
    let vector = |values: &[&str]| {
        let result: Vec<_> = values.iter().map(|value| json!({"metric": {}, "value": [1, value]})).collect();
        json!({"status": "success", "data": {"resultType": "vector", "result": result}})
    };
    let warned = |warning: &str| {
        let mut answer = vector(&["0"]);
        answer["warnings"] = json!([warning]);
        answer
    };
    let matrix = json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "0"]]}]}});
    for (status, body, expected) in [
        (200, vector(&["0.01"]).to_string(), '+'),
        (200, vector(&["0.02"]).to_string(), '-'),
        (200, vector(&[]).to_string(), '?'),
        (200, vector(&["NaN"]).to_string(), '?'),
        (200, vector(&["+Inf"]).to_string(), '?'),
        (200, vector(&["0", "0"]).to_string(), '?'),
        (200, warned("a store is down").to_string(), '?'),
        (200, matrix.to_string(), '?'),
        (500, vector(&["0"]).to_string(), '?'),
        (302, vector(&["0"]).to_string(), '?'),
        (200, "{\"status\":\"success\"".to_owned(), '?'),
        (200, "<html>".to_owned(), '?'),
    ] {
        let liar = Liar::start(plane, answer(status, &body), Then::Close);
        let probe = Probe::Prometheus(query(&liar.url("")));
        let reading = look(plane, &metrics(), &probe);
        assert_eq!(verdict(&probe, &reading), expected, "{status} {body}: {reading:?}");
    }
}

pub(crate) fn broken_servers(plane: &'static ControlPlane) {
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}\r\n");
    let long = head(&format!("content-length: {}\r\n", BODY_LIMIT + 1));
    let impatient = Metrics::with_roots(Duration::from_millis(300), RootCertStore::empty());
    for (bytes, then, metrics, expected) in [
        (String::new(), Then::Hold, &impatient, "no answer within 300ms"),
        (head("content-length: 10\r\n"), Then::Hold, &impatient, "no answer within 300ms"),
        (head("content-length: 10\r\n") + "{", Then::Hold, &impatient, "no answer within 300ms"),
        (long, Then::More, &metrics(), "larger than 1048576 bytes"),
        (head(""), Then::More, &metrics(), "larger than 1048576 bytes"),
        (head("content-length: 10\r\n") + "{", Then::Close, &metrics(), "broke off"),
        (String::new(), Then::Close, &metrics(), "no answer"),
        ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), Then::Close, &metrics(), "no answer"),
        (head(&"x: y\r\n".repeat(500)), Then::Close, &metrics(), "no answer"),
    ] {
        let liar = Liar::start(plane, bytes.as_str(), then);
        for probe in [http(&liar.url(""), "status == 200"), Probe::Prometheus(query(&liar.url("")))] {
            match look(plane, metrics, &probe) {
                Reading::Unknown(reason) => assert!(reason.contains(expected), "{bytes}: {reason}"),
                reading => panic!("{bytes}: {reading:?}"),
            }
        }
    }
    // Bound and not listening: nobody else gets the port, and nobody is there.
    let nobody = TcpSocket::new_v4().expect("because loopback has sockets");
    nobody.bind("127.0.0.1:0".parse().expect("because it is an address")).expect("because loopback has ports");
    let url = format!("http://{}", nobody.local_addr().expect("because it is bound"));
    for url in [url.as_str(), "http://no-such-host.invalid"] {
        let reading = look(plane, &metrics(), &http(url, "status == 200"));
        assert!(matches!(&reading, Reading::Unknown(reason) if reason.contains("cannot connect")), "{reading:?}");
    }
}

pub(crate) fn redirects(plane: &'static ControlPlane) {
    let target = Liar::start(plane, answer(200, r#"{"status":"ok"}"#), Then::Close);
    for place in [target.url("/login"), "/login".to_owned()] {
        let head = format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n");
        let liar = Liar::start(plane, head, Then::Close);
        for probe in [http(&liar.url(""), "body.status == 'ok'"), Probe::Prometheus(query(&liar.url("")))] {
            let reading = look(plane, &metrics(), &probe);
            assert_eq!(verdict(&probe, &reading), '?', "{reading:?}");
        }
        assert_eq!(liar.requests().len(), 2);
    }
    assert_eq!(target.requests(), Vec::<String>::new());
}

pub(crate) fn queries(plane: &'static ControlPlane) {
    let liar = Liar::start(plane, answer(200, "{}"), Then::Close);
    let text = "sum(rate(x{code=~\"5..\",a!=\"&b=c\"}[2m])) > 0 or vector(0) + 50 % 3 # \u{e9}";
    for (url, path) in [("", "/api/v1/query"), ("/", "/api/v1/query"), ("/prom", "/prom/api/v1/query")] {
        let query = Query { query: text.to_owned(), ..query(&liar.url(url)) };
        look(plane, &metrics(), &Probe::Prometheus(query));
        let request = liar.requests().pop().expect("because it was asked");
        assert!(request.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{request}");
        assert!(request.to_lowercase().contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
        let (_, form) = request.split_once("\r\n\r\n").expect("because it has a body");
        let fields: Vec<&str> = form.split('&').collect();
        assert_eq!(fields[1], "timeout=10");
        assert_eq!(decode(fields[0].strip_prefix("query=").expect("because it is first")), text);
    }
}

/// The text of a form's field.
fn decode(field: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), field.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8(digits).expect("because it is ASCII");
                u8::from_str_radix(&digits, 16).expect("because it is hex")
            }
            other => other,
        });
    }
    String::from_utf8(bytes).expect("because it was text")
}

pub(crate) fn min_samples(plane: &'static ControlPlane) {
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"7"]}]}}"#;
    let liar = Liar::start(plane, answer(200, vector), Then::Close);
    for (count, asked, known) in [(7, 2, true), (8, 1, false)] {
        let least = MinSamples { query: "count(x)".to_owned(), count };
        let query = Query { min_samples: Some(least), ..query(&liar.url("")) };
        let before = liar.requests().len();
        let reading = look(plane, &metrics(), &Probe::Prometheus(query));
        assert_eq!(liar.requests().len() - before, asked);
        assert_eq!(reading == Reading::Samples(vec![7.0]), known, "{reading:?}");
    }
}

pub(crate) fn certificates(plane: &'static ControlPlane) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("because ring makes keys");
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("because ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("because key and certificate belong together");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = plane.block_on(TcpListener::bind("127.0.0.1:0")).expect("because loopback has ports");
    let port = listener.local_addr().expect("because it listens").port();
    let task = plane.runtime().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, answer(200, "{}"), Then::Close, Requests::default()).await;
            }
        }
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("because it is a certificate");
    let believing = Metrics::with_roots(TIME_LIMIT, roots);
    let ask = |metrics: &Metrics, host: &str| {
        let probe = http(&format!("https://{host}:{port}"), "status == 200");
        verdict(&probe, &look(plane, metrics, &probe))
    };
    assert_eq!(ask(&believing, "localhost"), '+');
    assert_eq!(ask(&believing, "127.0.0.1"), '+');
    assert_eq!(ask(&believing, "[::ffff:127.0.0.1]"), '?', "the certificate has another name");
    assert_eq!(ask(&metrics(), "localhost"), '?', "nobody vouches for it");
    assert_eq!(ask(&Metrics::new(TIME_LIMIT), "localhost"), '?', "the machine does not vouch for it");
    task.abort();
}
