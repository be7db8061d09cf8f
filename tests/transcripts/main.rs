//! The embedded API answers as a real kube-apiserver did: what the agent and its tests said to one is said to it again.
//!
//! `fixtures/transcripts` holds one transcript for each test of `tests/first_light.rs`, as JSON lines, packed (read with
//! `zstd -dc`). Recorded anew with `LOCKMASTER_RECORD=1 cargo test --test first_light`. Status and body of every answer are
//! compared, `managedFields` too, and the events of every watch in their order. What is not compared stands in
//! `tests/control_plane/transcript.rs`.

#[path = "../control_plane/mod.rs"]
mod control_plane;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use control_plane::transcript::{Exchange, Names};
use control_plane::{ADMIN, ControlPlane};
use futures::StreamExt as _;
use http::Request;
use kube::client::Body;
use libtest_mimic::{Arguments, Failed, Trial};
use lockmaster::embedded::Options;
use serde_json::{Value, json};

/// How long an event may take until it is missing.
const SOON: Duration = Duration::from_secs(10);
/// How many differences are told of one transcript.
const TOLD: usize = 400;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let files = std::fs::read_dir("fixtures/transcripts").expect("because transcripts are kept there");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("because it can be read").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no transcript was found");
    let trials = files.into_iter().map(|file| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.split('.').next().unwrap_or_default().to_owned();
        Trial::test(format!("the_embedded_api_answers_as_a_real_one_{name}"), move || replay(&file))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn replay(file: &Path) -> Result<(), Failed> {
    let exchanges = control_plane::recorder::read(file);
    let options = Options { puppets: false, ..Options::default() };
    let plane = ControlPlane::start_embedded(options);
    let client = plane.client(ADMIN);
    let differences = plane.block_on(async { play(&client, &exchanges).await });
    if differences.is_empty() {
        return Ok(());
    }
    let told: Vec<&str> = differences.iter().take(TOLD).map(String::as_str).collect();
    Err(Failed::from(format!(
        "{} differences in {} exchanges:\n{}",
        differences.len(),
        exchanges.len(),
        told.join("\n")
    )))
}

async fn play(client: &kube::Client, exchanges: &[Exchange]) -> Vec<String> {
    let mut names = Names::default();
    let mut differences = Vec::new();
    let mut watches = BTreeMap::new();
    for (number, exchange) in exchanges.iter().enumerate() {
        if exchange.is_watch() {
            let answer = send(client, exchange, &names).await;
            let events = exchange.events.as_ref().map_or(0, Vec::len);
            watches.insert(number, tokio::spawn(follow(answer, events)));
            continue;
        }
        let answer = send(client, exchange, &names).await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect_bytes().await.expect("because it answers in full");
        let mut body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        names.name(&mut body, number);
        let what = format!("#{number} {} {}", exchange.method, exchange.path);
        if status != exchange.status {
            differences.push(format!("{what}: status {status}, not {}: {}", exchange.status, body["message"]));
        } else {
            compare(&what, "", &exchange.answer, &body, &mut differences);
        }
    }
    for (number, watch) in watches {
        let mut seen = watch.await.expect("because following never panics");
        let told = exchanges[number].events.as_deref().unwrap_or_default();
        for event in &mut seen {
            let mut object = event["object"].take();
            names.name(&mut object, 0);
            event["object"] = object;
        }
        let what = format!("#{number} {} events", exchanges[number].path);
        if seen.len() != told.len() {
            differences.push(format!("{what}: {} came, not {}", seen.len(), told.len()));
        }
        for (at, (told, seen)) in told.iter().zip(&seen).enumerate() {
            compare(&format!("{what} [{at}]"), "", told, seen, &mut differences);
        }
    }
    differences
}

async fn send(client: &kube::Client, exchange: &Exchange, names: &Names) -> http::Response<Body> {
    let mut body = exchange.body.clone();
    names.resolve(&mut body);
    let mut request = Request::builder().method(exchange.method.as_str()).uri(names.path(&exchange.path));
    let heads =
        [("content-type", &exchange.content_type), ("accept", &exchange.accept), ("user-agent", &exchange.user_agent)];
    for (name, value) in heads.into_iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(name, value);
    }
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let request = request.body(Body::from(bytes)).expect("because it was sent before");
    client.send(request).await.expect("because the server runs")
}

/// The first so many events of a watch, bookmarks left out; fewer, if the others do not come.
async fn follow(answer: http::Response<Body>, count: usize) -> Vec<Value> {
    let mut chunks = axum::body::Body::new(answer.into_body()).into_data_stream();
    let (mut events, mut rest) = (Vec::new(), Vec::new());
    while events.len() < count {
        let Ok(Some(Ok(chunk))) = tokio::time::timeout(SOON, chunks.next()).await else { break };
        rest.extend_from_slice(&chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            if event["type"] != "BOOKMARK" && events.len() < count {
                events.push(event);
            }
        }
    }
    events
}

/// Tells where two values differ.
fn compare(what: &str, path: &str, told: &Value, seen: &Value, differences: &mut Vec<String>) {
    match (told, seen) {
        (Value::Object(left), Value::Object(right)) => {
            let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for key in keys {
                let none = json!(null);
                let (left, right) = (left.get(key).unwrap_or(&none), right.get(key).unwrap_or(&none));
                compare(what, &format!("{path}.{key}"), left, right, differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (at, (left, right)) in left.iter().zip(right).enumerate() {
                compare(what, &format!("{path}[{at}]"), left, right, differences);
            }
        }
        _ if told == seen => {}
        _ => differences.push(format!("{what}: {path}\n    real     {told}\n    embedded {seen}")),
    }
}
