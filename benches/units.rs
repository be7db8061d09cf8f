//! Environments of many units: the first sync of 1,000 units of 4 objects against a bare blast, and what a commit that
//! touches one unit of 500 takes through three environments, against the same in a repository of one unit.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use control_plane::audit::Request;
use control_plane::{COUNTED, ControlPlane};
use serde_json::Value;
use stage::{Stage, Who};
use support::agent::{Agent, is_entry, time};
use support::blast;
use support::fleet::{OF_AN_APPLICATION, Thing, fleet, yaml};
use support::ground::measure_on_plane;
use support::measure::{progress, scaled};
use support::report::{Report, median, milliseconds};
use support::sight::Sight;

const FIRST: usize = 1_000;
const UNITS: usize = 500;
/// Objects of a unit: the first ones of an application of the fleet.
const OF_A_UNIT: usize = 4;
const PUSHES: usize = 20;
const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];
const LIMIT: Duration = Duration::from_secs(300);
const POINTER: &str = "/data/LOG_LEVEL";

fn main() -> ExitCode {
    measure_on_plane("units", bench)
}

fn bench(plane: &'static ControlPlane) {
    let mut report = Report::new("units");
    first_sync(plane, &mut report);
    let many = one_of(plane, scaled(UNITS, 5));
    let alone = one_of(plane, 1);
    report.figure("units", many.units as f64, "");
    report.distribution("one unit of many: pushed to live in prod", &many.live, None);
    report.distribution("one unit alone: pushed to live in prod", &alone.live, None);
    let ms = |durations: &[Duration]| median(&milliseconds(durations));
    report.ratio("pushed to live, one of many / alone, p50", ms(&many.live) / ms(&alone.live), None);
    report.figure("one unit of many: processor time a push", many.cpu * 1000.0, "ms");
    report.baseline("one unit alone: processor time a push", alone.cpu * 1000.0, "ms");
    report.ratio("processor time a push, one of many / alone", many.cpu / alone.cpu, None);
    report.figure("one unit of many: requests a push", many.requests, "");
    report.baseline("one unit alone: requests a push", alone.requests, "");
    report.finish();
}

/// The units of the fleet, each with its first objects.
fn units(count: usize) -> Vec<Vec<Thing>> {
    fleet(count * OF_AN_APPLICATION).chunks(OF_AN_APPLICATION).map(|all| all[..OF_A_UNIT].to_vec()).collect()
}

fn write(stage: &Stage, unit: usize, things: &[Thing]) {
    stage.write(&format!("deploy/apps/app-{unit:05}/objects.yaml"), &yaml(things));
}

/// A repository of units, and environments that read it each from a branch of its own.
fn stage_of(plane: &'static ControlPlane, units: &[Vec<Thing>], environments: &[&str]) -> (Stage, Vec<String>) {
    let stage = Stage::straight(plane, COUNTED);
    for (unit, things) in units.iter().enumerate() {
        write(&stage, unit, things);
    }
    stage.commit(Who::Dana, "all units");
    let (mut namespaces, mut items, mut from) = (Vec::new(), Vec::new(), String::new());
    for environment in environments {
        let namespace = plane.namespace("units");
        stage.git(&["branch", &format!("env/{environment}")]);
        items.push(format!(
            "  - {{name: {environment}, branch: env/{environment}, path: deploy, units: apps/*, renderer: plain, namespace: {namespace}{from}}}"
        ));
        from = format!(", from: {environment}");
        namespaces.push(namespace);
    }
    stage.pipeline(&items.join("\n"));
    (stage, namespaces)
}

fn first_sync(plane: &'static ControlPlane, report: &mut Report) {
    let units = units(scaled(FIRST, 5));
    let things: Vec<Thing> = units.iter().flatten().cloned().collect();
    progress("warming the server up");
    blast::blast(plane, &plane.namespace("warm"), &things[..things.len() / 10]);
    progress(&format!("{} units of {OF_A_UNIT} objects by blast", units.len()));
    let blast = blast::blast(plane, &plane.namespace("blast"), &things).as_secs_f64();
    progress("and by agent");
    let (stage, namespaces) = stage_of(plane, &units, &["dev"]);
    let mark = plane.mark();
    let mut agent = Agent::start(&stage);
    let proven = await_proven(&mut agent, "dev", units.len());
    let (cpu, memory, started) = (agent.cpu_seconds(), agent.memory(), agent.started);
    let entries = agent.count("entry-written");
    agent.await_rest(LIMIT);
    let rest = agent.memory().now;
    agent.stop();
    let requests = plane.requests_since(mark);
    let is_apply =
        |request: &&Request| request.verb == "patch" && request.namespace == namespaces[0] && !request.dry_run;
    let last =
        requests.iter().filter(is_apply).map(|request| request.answered).max().expect("because there are applies");
    let applied = last.duration_since(started).as_secs_f64();
    let proven = proven.duration_since(started).as_secs_f64();
    report.figure("first sync: objects", things.len() as f64, "");
    report.baseline("first sync: blast", blast, "s");
    report.figure("first sync: start to last applied", applied, "s");
    report.figure("first sync: start to all proven", proven, "s");
    report.ratio("first sync: last applied / blast", applied / blast, None);
    report.ratio("first sync: all proven / blast", proven / blast, None);
    report.figure("first sync: entries", entries as f64, "");
    report.figure("first sync: requests besides applies", requests.iter().filter(|r| !is_apply(r)).count() as f64, "");
    report.figure("first sync: processor time", cpu, "s");
    report.figure("first sync: memory at rest", rest / f64::from(1 << 20), "MiB");
    report.figure("first sync: peak memory", memory.peak / f64::from(1 << 20), "MiB");
}

/// Waits until so many units of an environment wrote `proven`.
fn await_proven(agent: &mut Agent, environment: &str, units: usize) -> jiff::Timestamp {
    let (mut left, deadline) = (units, Instant::now() + LIMIT);
    loop {
        let wanted = |line: &Value| {
            is_entry(line, "proven") && line["environment"].as_str() == Some(&format!("shop/{environment}"))
        };
        let line = agent.await_line("units are proven", deadline.saturating_duration_since(Instant::now()), wanted);
        left = left.saturating_sub(count(line["units"].as_str().unwrap_or_default()));
        if left == 0 {
            return time(&line);
        }
    }
}

/// How many units a line names: `a, b, c and 4 more`.
fn count(units: &str) -> usize {
    let (named, more) = units.split_once(" and ").unwrap_or((units, "0 more"));
    named.split(", ").count() + more.trim_end_matches(" more").parse::<usize>().unwrap_or_default()
}

/// What a push that touches one unit takes.
struct OneOf {
    units: usize,
    live: Vec<Duration>,
    /// Seconds of the agent, each push.
    cpu: f64,
    /// Requests, each push.
    requests: f64,
}

fn one_of(plane: &'static ControlPlane, count: usize) -> OneOf {
    let units = units(count);
    progress(&format!("first sync of {count} units in {} environments", ENVIRONMENTS.len()));
    let (stage, namespaces) = stage_of(plane, &units, &ENVIRONMENTS);
    let mut agent = Agent::start(&stage);
    await_proven(&mut agent, "prod", count);
    agent.await_rest(LIMIT);
    let sight = Sight::open(plane, &namespaces[2], &[units[0][1].kind]);
    let mut live = Vec::new();
    let (mark, before) = (plane.mark(), agent.cpu_seconds());
    for push in 0..PUSHES {
        progress(&format!("push {} of {PUSHES}", push + 1));
        let unit = push * 7 % count;
        let mut things = units[unit].clone();
        things[1] = things[1].changed(push);
        write(&stage, unit, &things);
        stage.commit(Who::Dana, &format!("change {push}"));
        let pushed = Instant::now();
        for environment in ENVIRONMENTS.iter().rev() {
            stage.git(&["branch", "-f", &format!("env/{environment}"), "HEAD"]);
        }
        live.push(await_value(&sight, &things[1]).duration_since(pushed));
        await_proven(&mut agent, "prod", 1);
    }
    let cpu = (agent.cpu_seconds() - before) / PUSHES as f64;
    agent.stop();
    let requests = plane.requests_since(mark).len() as f64 / PUSHES as f64;
    OneOf { units: count, live, cpu, requests }
}

/// When the object was first seen with its new value.
fn await_value(sight: &Sight, changed: &Thing) -> Instant {
    let deadline = Instant::now() + LIMIT;
    loop {
        let seen = sight.next(deadline.saturating_duration_since(Instant::now()));
        let seen = seen.unwrap_or_else(|| panic!("{} was not changed within {LIMIT:?}", changed.name));
        let value = seen.object.as_ref().and_then(|object| object.pointer(POINTER));
        if seen.name == changed.name && value == changed.value.pointer(POINTER) {
            return seen.at;
        }
    }
}
