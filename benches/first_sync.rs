//! How long the first release of 4,000 objects takes, against a bare blast of the same objects on the same server.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use control_plane::ControlPlane;
use control_plane::audit::Request;
use jiff::Timestamp;
use support::agent::{Agent, is_entry, time};
use support::fleet::{Thing, fleet};
use support::ground::{measure_on_plane, stage_of};
use support::measure::{progress, scaled};
use support::report::{Report, median};
use support::{blast, journal};

const OBJECTS: usize = 4_000;
const ROUNDS: usize = 3;
/// How long one sync may take before the bench gives up.
const LIMIT: Duration = Duration::from_secs(180);
/// DESIGN, budgets: the last object is applied within this multiple of the blast.
const BUDGET: f64 = 1.15;

/// Figures of one sync, with their units.
type Parts = BTreeMap<String, (f64, &'static str)>;

fn main() -> ExitCode {
    measure_on_plane("first_sync", bench)
}

fn bench(plane: &'static ControlPlane) {
    let things = fleet(scaled(OBJECTS, 20));
    let mut report = Report::new("first_sync");
    progress("warming the server up");
    blast::blast(plane, &plane.namespace("warm"), &things[..things.len() / 10]);
    let (mut syncs, mut blasts) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        progress(&format!("round {} of {ROUNDS}: {} objects by blast and by agent", round + 1, things.len()));
        // What comes second finds a server that has more to hold: the order alternates.
        if round % 2 == 0 {
            blasts.push(blast::blast(plane, &plane.namespace("blast"), &things).as_secs_f64());
            syncs.push(sync(plane, &things));
        } else {
            syncs.push(sync(plane, &things));
            blasts.push(blast::blast(plane, &plane.namespace("blast"), &things).as_secs_f64());
        }
    }
    tell(&mut report, things.len(), &syncs, &blasts);
    report.finish();
}

fn tell(report: &mut Report, objects: usize, syncs: &[Parts], blasts: &[f64]) {
    let of = |name: &str| -> Vec<f64> { syncs.iter().filter_map(|parts| parts.get(name).map(|part| part.0)).collect() };
    let blast = median(blasts);
    report.figure("objects", objects as f64, "");
    report.baseline("blast", blast, "s");
    for name in ["start to last applied", "start to proven"] {
        report.figure(name, median(&of(name)), "s");
    }
    let rounds = |name: &str| -> Vec<f64> { of(name).iter().zip(blasts).map(|(sync, blast)| sync / blast).collect() };
    report.ratio("last applied / blast, of medians", median(&of("start to last applied")) / blast, Some(BUDGET));
    report.ratio(
        "last applied / blast, best round",
        rounds("start to last applied").into_iter().fold(f64::MAX, f64::min),
        None,
    );
    report.ratio("proven / blast, of medians", median(&of("start to proven")) / blast, None);
    report.ratio("agent's processor time / blast", median(&of("processor time")) / blast, None);
    for (name, (_, unit)) in syncs[0].iter().filter(|(name, _)| !name.starts_with("start to")) {
        report.figure(name, median(&of(name)), unit);
    }
    report.note("medians over the rounds; parts named opened.* and proven.* are the agent's own account of its steps");
}

/// One first release, in namespaces of its own.
fn sync(plane: &'static ControlPlane, things: &[Thing]) -> Parts {
    let (stage, namespaces) = stage_of(plane, &[("prod", things)]);
    let mark = plane.mark();
    let mut agent = Agent::start(&stage);
    let opened = time(&agent.await_line("the release is opened", LIMIT, |line| is_entry(line, "opened")));
    let proven = agent.await_proven(1, LIMIT);
    let (cpu, memory) = (agent.cpu_seconds(), agent.memory());
    let started = agent.started;
    agent.stop();
    let requests = plane.requests_since(mark);
    let is_apply =
        |request: &&Request| request.verb == "patch" && request.namespace == namespaces[0] && !request.dry_run;
    let applies: Vec<&Request> = requests.iter().filter(is_apply).collect();
    assert_eq!(applies.len(), things.len(), "each object is applied once");
    let first = applies.iter().map(|request| request.received).min().expect("because there are applies");
    let last = applies.iter().map(|request| request.answered).max().expect("because there are applies");
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
    let mut parts: Parts = journal::durations(plane, &stage.agent_namespace, "prod")
        .into_iter()
        .map(|(step, ms)| (step, (ms / 1000.0, "s")))
        .collect();
    let measured = [
        ("start to last applied", seconds(started, last), "s"),
        ("start to proven", seconds(started, proven), "s"),
        ("1 start to opened", seconds(started, opened), "s"),
        ("2 opened to first apply", seconds(opened, first), "s"),
        ("3 first to last apply", seconds(first, last), "s"),
        ("4 last apply to proven", seconds(last, proven), "s"),
        ("processor time", cpu, "s"),
        ("requests besides applies", (requests.len() - applies.len()) as f64, ""),
        ("peak memory", memory.peak / f64::from(1 << 20), "MiB"),
    ];
    parts.extend(measured.map(|(name, value, unit)| (name.to_owned(), (value, unit))));
    parts
}
