//! Keeps what the tests and the agent say to a real API server, and what it answers: `LOCKMASTER_RECORD=1 cargo test --test
//! first_light`. One request at a time, so that the order is the server's; one file for each test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::body::Body as Answer;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex as Turn;

use super::player;
use super::transcript::{Exchange, Names};
use super::{ADMIN, ControlPlane, client};

/// Where transcripts are kept.
const FOLDER: &str = "fixtures/transcripts";

/// What is not kept: documents about the API, and probes.
const LEFT_OUT: [&str; 6] = ["/api", "/apis", "/version", "/readyz", "/openapi/v3", "/openapi/v2"];

/// Whether this run is to be kept.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os("LOCKMASTER_RECORD").is_some()
}

/// Runs a test; keeps what it said if that is asked for.
pub(crate) fn told(test: &str, body: impl FnOnce()) {
    if !is_asked_for() {
        return body();
    }
    let recorder = RECORDER.get().expect("because the control plane was started with one");
    lock(&recorder.kept).clear();
    body();
    let kept = std::mem::take(&mut *lock(&recorder.kept));
    write(test, kept);
}

static RECORDER: OnceLock<Arc<Recorder>> = OnceLock::new();

struct Recorder {
    upstream: kube::Client,
    turn: Turn<()>,
    kept: Mutex<Vec<Exchange>>,
}

/// Puts a recorder in front of a control plane, and somebody behind it who plays the controllers.
pub(crate) fn start(plane: ControlPlane) -> ControlPlane {
    let upstream = plane.admin();
    let recorder = Arc::new(Recorder { upstream: upstream.clone(), turn: Turn::default(), kept: Mutex::default() });
    let listener = plane.block_on(TcpListener::bind("127.0.0.1:0")).expect("because loopback ports are left");
    let url = format!("http://{}", listener.local_addr().expect("because it is bound"));
    let routes = axum::Router::new().fallback(pass).with_state(Arc::clone(&recorder));
    plane.runtime().spawn(async move { axum::serve(listener, routes).await });
    assert!(RECORDER.set(recorder).is_ok(), "a test binary has one recorder");
    let admin = client(&plane.runtime, &plane.folder, &url, ADMIN);
    plane.runtime().spawn(player::play(upstream, admin.clone()));
    ControlPlane { url, admin, ..plane }
}

async fn pass(State(recorder): State<Arc<Recorder>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let head = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let exchange = Exchange {
        method: parts.method.to_string(),
        content_type: head(header::CONTENT_TYPE),
        accept: head(header::ACCEPT),
        user_agent: head(header::USER_AGENT),
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
        status: 0,
        answer: Value::Null,
        events: path.contains("watch=true").then(Vec::new),
        path,
    };
    let mut onward = Request::builder().method(parts.method).uri(parts.uri);
    *onward.headers_mut().expect("because the builder is whole") = onward_headers(&parts.headers);
    let onward = onward.body(Body::from(bytes.to_vec())).expect("because it came in whole");
    let (answer, turn) = if exchange.is_watch() {
        (recorder.upstream.send(onward).await, None)
    } else {
        let turn = recorder.turn.lock().await;
        (recorder.upstream.send(onward).await, Some(turn))
    };
    let Ok(answer) = answer else { return StatusCode::BAD_GATEWAY.into_response() };
    let (head, body) = answer.into_parts();
    let mut headers = head.headers.clone();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::TRANSFER_ENCODING);
    if turn.is_none() && head.status.is_success() {
        let at = recorder.keep(Exchange { status: head.status.as_u16(), ..exchange });
        return (head.status, headers, watched(Arc::clone(&recorder), at, body)).into_response();
    }
    let Ok(bytes) = axum::body::to_bytes(Answer::new(body), usize::MAX).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let kept = Exchange {
        status: head.status.as_u16(),
        answer: serde_json::from_slice(&bytes).unwrap_or_default(),
        events: None,
        ..exchange
    };
    recorder.keep(kept);
    (head.status, headers, bytes).into_response()
}

/// The events of a watch, each kept when it passes.
fn watched(recorder: Arc<Recorder>, at: usize, body: Body) -> Answer {
    let mut rest = Vec::new();
    let events = Answer::new(body).into_data_stream().inspect(move |chunk| {
        let Ok(chunk) = chunk else { return };
        rest.extend_from_slice(chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            if event["type"] != "BOOKMARK"
                && let Some(Exchange { events: Some(events), .. }) = lock(&recorder.kept).get_mut(at)
            {
                events.push(event);
            }
        }
    });
    Answer::from_stream(events)
}

fn onward_headers(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in ["host", "connection", "content-length", "authorization", "accept-encoding"] {
        headers.remove(name);
    }
    headers
}

impl Recorder {
    /// Keeps an exchange and says at which place.
    fn keep(&self, exchange: Exchange) -> usize {
        let mut kept = lock(&self.kept);
        kept.push(exchange);
        kept.len() - 1
    }
}

fn write(test: &str, kept: Vec<Exchange>) {
    let told = |exchange: &Exchange| {
        let path = exchange.path.split('?').next().unwrap_or_default();
        !LEFT_OUT.contains(&path)
    };
    let mut kept: Vec<Exchange> = kept.into_iter().filter(told).collect();
    // Who asks again and again until something happens says nothing new.
    kept.dedup_by(|next, before| next == before && next.method == "GET" && !next.is_watch());
    let mut names = Names::default();
    for (number, exchange) in kept.iter_mut().enumerate() {
        names.name_sent(&mut exchange.body);
        exchange.path = names.name_path(&exchange.path);
        names.name(&mut exchange.answer, number);
    }
    for exchange in &mut kept {
        for event in exchange.events.iter_mut().flatten() {
            let mut object = event["object"].take();
            names.name(&mut object, 0);
            event["object"] = object;
        }
    }
    let lines: Vec<String> = kept.iter().map(|exchange| json!(exchange).to_string()).collect();
    let packed = zstd::encode_all(format!("{}\n", lines.join("\n")).as_bytes(), 19).expect("because memory is there");
    std::fs::create_dir_all(FOLDER).expect("because the checkout is ours");
    let file = PathBuf::from(FOLDER).join(format!("{test}.jsonl.zst"));
    std::fs::write(file, packed).expect("because the checkout is ours");
}

/// Reads a transcript.
pub(crate) fn read(file: &Path) -> Vec<Exchange> {
    let packed = std::fs::read(file).expect("because the checkout is ours");
    let text = zstd::decode_all(packed.as_slice()).expect("because the recorder packed it");
    let text = String::from_utf8(text).expect("because it is JSON");
    text.lines().map(|line| serde_json::from_str(line).expect("because the recorder wrote it")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
