//! What the agent costs when nothing changes, and when only status changes: requests and processor time.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control_plane::audit::Request;
use control_plane::{ADMIN, ControlPlane};
use serde_json::json;
use support::agent::Agent;
use support::fleet::{Thing, fleet};
use support::ground::{measure_on_plane, stage_of};
use support::measure::{progress, scaled};
use support::report::Report;

const OBJECTS: usize = 4_000;
const IDLE_SECONDS: usize = 120;
const CHURN_SECONDS: usize = 30;
/// Status updates a second.
const CHURN: u32 = 100;
/// How long the first sync, and the way to rest after it, may take.
const LIMIT: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    measure_on_plane("idle", bench)
}

fn bench(plane: &'static ControlPlane) {
    let mut report = Report::new("idle");
    let things = fleet(scaled(OBJECTS, 20));
    progress(&format!("first sync of {} objects", things.len()));
    let (stage, namespaces) = stage_of(plane, &[("prod", &things)]);
    let mut agent = Agent::start(&stage);
    agent.await_proven(1, LIMIT);
    agent.await_rest(LIMIT);
    report.figure("objects", things.len() as f64, "");
    let idle = Duration::from_secs(scaled(IDLE_SECONDS, 5) as u64);
    progress(&format!("nothing changes for {idle:?}"));
    let quiet = during(plane, &agent, || std::thread::sleep(idle));
    tell(&mut report, "idle", &namespaces[0], &quiet);
    let seconds = scaled(CHURN_SECONDS, 3) as u64;
    progress(&format!("{CHURN} status updates a second for {seconds} s"));
    let updates = seconds * u64::from(CHURN);
    let churn = during(plane, &agent, || churn(plane, &namespaces[0], &things, updates));
    report.figure("status updates", updates as f64, "");
    tell(&mut report, "churn", &namespaces[0], &churn);
    report.figure("churn: processor time per update", churn.cpu * 1e6 / updates as f64, "us");
    agent.stop();
    report.finish();
}

/// What happened in a span of time.
struct Span {
    requests: Vec<Request>,
    /// Processor time of the agent, in seconds.
    cpu: f64,
    took: Duration,
}

fn during(plane: &ControlPlane, agent: &Agent, act: impl FnOnce()) -> Span {
    let mark = plane.mark();
    let (before, started) = (agent.cpu_seconds(), Instant::now());
    act();
    let (cpu, took) = (agent.cpu_seconds() - before, started.elapsed());
    Span { requests: plane.requests_since(mark), cpu, took }
}

fn tell(report: &mut Report, name: &str, namespace: &str, span: &Span) {
    let of_objects = span.requests.iter().filter(|request| request.namespace == namespace).count();
    report.bounded(&format!("{name}: requests for objects"), of_objects as f64, "", 0.0);
    report.figure(&format!("{name}: requests in all"), span.requests.len() as f64, "");
    let mut by_verb: BTreeMap<&str, usize> = BTreeMap::new();
    for request in &span.requests {
        *by_verb.entry(&request.verb).or_default() += 1;
    }
    for (verb, count) in by_verb {
        report.figure(&format!("{name}: {verb}"), count as f64, "");
    }
    report.figure(&format!("{name}: processor time"), span.cpu, "s");
    report.figure(&format!("{name}: processor time a minute"), span.cpu * 60.0 / span.took.as_secs_f64(), "s");
}

/// Updates the status of objects, one after the other, as a controller does.
fn churn(plane: &ControlPlane, namespace: &str, things: &[Thing], updates: u64) {
    let client = plane.client(ADMIN);
    let things: Vec<&Thing> = things.iter().filter(|thing| thing.kind.kind == "CronJob").collect();
    plane.block_on(async {
        let mut beat = tokio::time::interval(Duration::from_secs(1) / CHURN);
        let start = jiff::Timestamp::from_second(1_700_000_000).expect("because it is in range");
        let mut sent = tokio::task::JoinSet::new();
        for (update, thing) in (0..updates).zip(things.iter().cycle()) {
            beat.tick().await;
            let time = start + jiff::SignedDuration::from_secs(update as i64);
            let body = json!({"status": {"lastScheduleTime": time.to_string()}}).to_string().into_bytes();
            let request = http::Request::patch(format!("{}/status?fieldManager=controller", thing.path(namespace)))
                .header("content-type", "application/merge-patch+json")
                .body(body);
            let (client, request) = (client.clone(), request.expect("because the path is valid"));
            sent.spawn(async move { client.request_text(request).await.expect("because the server takes a status") });
        }
        sent.join_all().await;
    });
}
