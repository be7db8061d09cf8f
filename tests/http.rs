//! What the agent serves over HTTP, on loopback, as a client sees it.

mod client;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::{Reply, ask, exchange, within};
use lockmaster::edge::http::{Api, Limits, Lines, Login, Probes, Serving, Text, serve_api, serve_probes};
use lockmaster::name::{Code, Reason};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The token of the agent.
const TOKEN: &str = "kLq0bXo2w4Zf8d1N6sPz3yVt5uRj7aHcEeMmGgQqIiA";

async fn get(address: SocketAddr, path: &str) -> Reply {
    client::get(address, path, TOKEN).await
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("because it is an address")
}

async fn probes(probes: Probes) -> Serving {
    serve_probes(loopback(), CancellationToken::new(), probes).await.expect("because loopback ports are left")
}

fn well() -> Probes {
    let metrics: Text = Arc::new(|| Box::pin(async { "lockmaster_walks_total 1\n".to_owned() }));
    let unready: Lines = Arc::new(|| Box::pin(async { Vec::new() }));
    Probes { unready, metrics, limits: Limits::default() }
}

/// A look that begins and waits until it is told to end.
#[derive(Default)]
struct Slow {
    begun: Notify,
    told: Notify,
}

/// An API with the pipeline `shop`, another that nobody can look at now, and one with a slow look.
fn shop(limits: Limits, slow: &Arc<Slow>) -> Api {
    let slow = Arc::clone(slow);
    Api {
        login: Arc::new(Login::new(SecretString::from(TOKEN))),
        pipelines: Arc::new(|| Box::pin(async { Ok(json!({"pipelines": ["shop"]})) })),
        status: Arc::new(move |pipeline| {
            let slow = Arc::clone(&slow);
            Box::pin(async move {
                match pipeline.as_str() {
                    "shop" => Ok(Some(json!({"environments": []}))),
                    "lost" => Err(Reason::new(Code::ClusterUnreachable, "`shop`: no answer")),
                    "slow" => {
                        slow.begun.notify_one();
                        slow.told.notified().await;
                        Ok(Some(json!({"environments": ["slow"]})))
                    }
                    _ => Ok(None),
                }
            })
        }),
        limits,
    }
}

async fn api(limits: Limits, stop: &CancellationToken, slow: &Arc<Slow>) -> Serving {
    serve_api(loopback(), stop.clone(), shop(limits, slow)).await.expect("because loopback ports are left")
}

async fn plain_api() -> Serving {
    api(Limits::default(), &CancellationToken::new(), &Arc::default()).await
}

#[tokio::test]
async fn probes_and_metrics_need_no_login() {
    let serving = probes(well()).await;
    for (path, body) in [("/healthz", "ok\n"), ("/readyz", "ok\n"), ("/metrics", "lockmaster_walks_total 1\n")] {
        let reply = ask(serving.address(), "GET", path, &[]).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, body), "{path}: {reply:?}");
    }
    let metrics = ask(serving.address(), "GET", "/metrics", &[]).await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"), "{metrics:?}");
    let other = ask(serving.address(), "GET", "/api/v1/pipelines", &[]).await;
    assert_eq!((other.status, &other.json()["code"]), (404, &json!("unknown-name")), "{other:?}");
    let write = ask(serving.address(), "POST", "/metrics", &[]).await;
    assert_eq!((write.status, &write.json()["code"]), (405, &json!("usage")), "{write:?}");
}

#[tokio::test]
async fn what_is_not_ready_is_listed_until_it_is() {
    let synced = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&synced);
    let lines = || vec!["watches of `dev` are not synced".to_owned(), "state cannot be read".to_owned()];
    let unready: Lines = Arc::new(move || {
        let unready = if seen.load(Ordering::SeqCst) { Vec::new() } else { lines() };
        Box::pin(async move { unready })
    });
    let serving = probes(Probes { unready, ..well() }).await;
    let reply = ask(serving.address(), "GET", "/readyz", &[]).await;
    let expected = "watches of `dev` are not synced\nstate cannot be read\n";
    assert_eq!((reply.status, reply.body.as_str()), (503, expected), "{reply:?}");
    let alive = ask(serving.address(), "GET", "/healthz", &[]).await;
    assert_eq!(alive.status, 200, "what is not ready is not dead: {alive:?}");
    synced.store(true, Ordering::SeqCst);
    assert_eq!(ask(serving.address(), "GET", "/readyz", &[]).await.status, 200);
}

#[tokio::test]
async fn without_a_login_nothing_tells_what_exists() {
    let serving = plain_api().await;
    let wrong = [
        vec![],
        vec!["Authorization: Bearer".to_owned()],
        vec!["Authorization: Bearer ".to_owned()],
        vec![format!("Authorization: Bearer {}", &TOKEN[1..])],
        vec![format!("Authorization: Bearer {TOKEN}x")],
        vec![format!("Authorization: Basic {TOKEN}")],
        vec![format!("Authorization: {TOKEN}")],
        vec![format!("Authorization: Bearer {TOKEN}"), "Authorization: Bearer x".to_owned()],
    ];
    let mut bodies = Vec::new();
    for lines in &wrong {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for path in ["/api/v1/pipelines", "/api/v1/pipelines/shop", "/api/v1/pipelines/none", "/none", "/healthz"] {
            for method in ["GET", "POST", "DELETE"] {
                let reply = ask(serving.address(), method, path, &lines).await;
                assert_eq!(reply.status, 401, "{method} {path} with {lines:?}: {reply:?}");
                assert_eq!(reply.header("www-authenticate"), Some("Bearer"), "{reply:?}");
                assert_eq!(reply.json()["code"], "authentication-failed", "{reply:?}");
                bodies.push(reply.body);
            }
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "the same words for all: {bodies:?}");
}

#[tokio::test]
async fn with_a_login_documents_are_served_and_nothing_else() {
    let serving = plain_api().await;
    let address = serving.address();
    let list = get(address, "/api/v1/pipelines").await;
    assert_eq!((list.status, list.json()), (200, json!({"pipelines": ["shop"]})), "{list:?}");
    let status = get(address, "/api/v1/pipelines/shop").await;
    assert_eq!((status.status, status.json()), (200, json!({"environments": []})), "{status:?}");
    assert_eq!(status.header("content-type"), Some("application/json"), "{status:?}");
    assert_eq!(status.header("cache-control"), Some("no-store"), "{status:?}");
    let unknown = get(address, "/api/v1/pipelines/none").await;
    let nowhere = get(address, "/nowhere").await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("unknown-name")), "{unknown:?}");
    assert_eq!((unknown.status, &unknown.body), (nowhere.status, &nowhere.body), "{nowhere:?}");
    let lost = get(address, "/api/v1/pipelines/lost").await;
    let expected = json!({"code": "cluster-unreachable", "message": "`shop`: no answer"});
    assert_eq!((lost.status, lost.json()), (503, expected), "cannot read is not absent: {lost:?}");
    let login = format!("Authorization: Bearer {TOKEN}");
    let write = ask(address, "POST", "/api/v1/pipelines", &[&login]).await;
    assert_eq!((write.status, &write.json()["code"]), (405, &json!("usage")), "{write:?}");
    assert_eq!(write.header("allow"), Some("GET,HEAD"), "{write:?}");
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let serving = plain_api().await;
    let login = format!("Authorization: Bearer {TOKEN}");
    let long = format!("X-Long: {}", "a".repeat(32 * 1024));
    let head = ask(serving.address(), "GET", "/api/v1/pipelines", &[&login, &long]).await;
    assert_eq!(head.status, 431, "{head:?}");
    let body = ask(serving.address(), "GET", "/api/v1/pipelines", &[&login, "Content-Length: 65537"]).await;
    assert_eq!((body.status, &body.json()["code"]), (413, &json!("limit-exceeded")), "{body:?}");
    // Of unknown length, and never ending: it is not read.
    let mut stream = TcpStream::connect(serving.address()).await.expect("because it is served");
    let head = format!("GET /api/v1/pipelines HTTP/1.1\r\nHost: a\r\n{login}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("because the kernel takes it");
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
    let flood = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    within("the flood is cut off", flood).await;
}

#[tokio::test]
async fn who_dawdles_is_cut_off() {
    let limits = Limits { head_wait: Duration::from_millis(200), ..Limits::default() };
    let serving = api(limits, &CancellationToken::new(), &Arc::default()).await;
    for begun in ["", "GET /api/v1/pip", "GET /api/v1/pipelines HTTP/1.1\r\nHost: a\r\n"] {
        let start = Instant::now();
        let answer = exchange(serving.address(), begun.as_bytes()).await;
        assert!(!answer.contains("200 OK"), "{answer}");
        assert!(start.elapsed() >= limits.head_wait, "{begun:?} was cut off early");
    }
    // A connection that stays open between requests is one of them.
    let login = format!("Authorization: Bearer {TOKEN}");
    let kept = format!("GET /api/v1/pipelines HTTP/1.1\r\nHost: a\r\n{login}\r\n\r\n");
    let answer = exchange(serving.address(), kept.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_does_not_last() {
    let limits = Limits { life: Duration::from_millis(200), grace: Duration::from_millis(200), ..Limits::default() };
    let serving = api(limits, &CancellationToken::new(), &Arc::default()).await;
    let login = format!("Authorization: Bearer {TOKEN}");
    let request = format!("GET /api/v1/pipelines/slow HTTP/1.1\r\nHost: a\r\n{login}\r\n\r\n");
    assert_eq!(exchange(serving.address(), request.as_bytes()).await, "", "nobody told");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_not_waited_for() {
    let limits = Limits { answer_wait: Duration::from_millis(200), ..Limits::default() };
    let serving = api(limits, &CancellationToken::new(), &Arc::default()).await;
    let slow = get(serving.address(), "/api/v1/pipelines/slow").await;
    assert_eq!((slow.status, &slow.json()["code"]), (503, &json!("timed-out")), "{slow:?}");
}

#[tokio::test]
async fn more_connections_than_seats_wait_for_one() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let serving = api(limits, &CancellationToken::new(), &Arc::default()).await;
    let connect = || async { TcpStream::connect(serving.address()).await.expect("because the kernel queues it") };
    let held = [connect().await, connect().await];
    let answered = Arc::new(Mutex::new(false));
    let seen = Arc::clone(&answered);
    let address = serving.address();
    let third = tokio::spawn(async move {
        let reply = get(address, "/api/v1/pipelines").await;
        *seen.lock().expect("because nobody panics with it") = true;
        reply
    });
    // The two that hold the seats are served all the while.
    let mut held = held;
    let login = format!("Authorization: Bearer {TOKEN}");
    for stream in &mut held {
        let request = format!("GET /api/v1/pipelines HTTP/1.1\r\nHost: a\r\n{login}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("because it is open");
        let mut answer = [0; 12];
        within("a seat is served", stream.read_exact(&mut answer)).await.expect("because it is open");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    assert!(!*answered.lock().expect("because nobody panics with it"), "there is no third seat");
    drop(held);
    let reply = within("a seat is free", third).await.expect("because it does not panic");
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_takes_nothing_new() {
    let (stop, slow) = (CancellationToken::new(), Arc::<Slow>::default());
    let serving = api(Limits::default(), &stop, &slow).await;
    let address = serving.address();
    let mut idle = TcpStream::connect(address).await.expect("because it is served");
    let in_flight = tokio::spawn(get(address, "/api/v1/pipelines/slow"));
    within("the look begins", slow.begun.notified()).await;
    stop.cancel();
    let mut rest = Vec::new();
    let ended = within("an idle connection ends", idle.read_to_end(&mut rest)).await;
    assert!(matches!(ended, Ok(0)) && rest.is_empty(), "{ended:?}");
    within("nobody listens", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    slow.told.notify_one();
    let reply = within("the answer comes", in_flight).await.expect("because it does not panic");
    assert_eq!((reply.status, reply.json()), (200, json!({"environments": ["slow"]})), "{reply:?}");
    within("serving ends", serving.ended()).await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let serving = probes(well()).await;
    let error =
        serve_probes(serving.address(), CancellationToken::new(), well()).await.expect_err("because it is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
