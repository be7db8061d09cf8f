//! How much memory the agent holds, by the number of objects: at rest after the first sync, and after a restart.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::process::ExitCode;
use std::time::Duration;

use control_plane::ControlPlane;
use support::agent::{Agent, Memory};
use support::fleet::{Thing, fleet};
use support::ground::{measure_on_plane, stage_of};
use support::measure::{progress, scaled};
use support::report::Report;

/// Objects, and over how many environments: one unit takes at most 64 MiB of inputs.
const SIZES: [(usize, usize); 4] = [(10, 1), (1_000, 1), (10_000, 1), (50_000, 5)];
/// How long nothing happens before memory is read.
const IDLE: Duration = Duration::from_secs(20);
/// How long the first sync, and the way to rest after it, may take.
const LIMIT: Duration = Duration::from_secs(400);
/// DESIGN, budgets: resident memory at 10,000 objects, in MiB.
const BUDGET: (usize, f64) = (10_000, 64.0);
const MIB: f64 = 1_048_576.0;

fn main() -> ExitCode {
    measure_on_plane("memory", bench)
}

fn bench(plane: &'static ControlPlane) {
    let mut report = Report::new("memory");
    let mut found: Vec<(usize, f64)> = Vec::new();
    for (objects, environments) in SIZES {
        let things = fleet(scaled(objects, 10) / environments);
        let count = things.len() * environments;
        progress(&format!("{count} objects in {environments} environments"));
        let (first, again) = rest(plane, &things, environments);
        let budget = |value: f64, report: &mut Report, name: &str| match objects == BUDGET.0 {
            true => report.bounded(name, value / MIB, "MiB", BUDGET.1),
            false => report.figure(name, value / MIB, "MiB"),
        };
        budget(first.now, &mut report, &format!("{count} objects: at rest"));
        report.figure(&format!("{count} objects: peak of the first sync"), first.peak / MIB, "MiB");
        budget(again.now, &mut report, &format!("{count} objects: at rest after a restart"));
        report.figure(&format!("{count} objects: peak of the restart"), again.peak / MIB, "MiB");
        report.baseline(
            &format!("{count} objects: their manifests as JSON"),
            bytes(&things) * environments as f64 / MIB,
            "MiB",
        );
        found.push((count, again.now));
    }
    for pair in found.windows(2) {
        let [(few, less), (many, more)] = pair else { continue };
        let name = format!("bytes per object, {few} to {many}, restarted");
        report.figure(&name, (more - less) / (*many as f64 - *few as f64), "B");
    }
    report.note("resident memory by the kernel (VmRSS, VmHWM), what the allocator keeps for later included");
    report.finish();
}

fn bytes(things: &[Thing]) -> f64 {
    things.iter().map(|thing| thing.value.to_string().len()).sum::<usize>() as f64
}

/// Memory at rest after the first sync, and after a restart on the same state.
fn rest(plane: &'static ControlPlane, things: &[Thing], environments: usize) -> (Memory, Memory) {
    let names: Vec<String> = (0..environments).map(|number| format!("env-{number}")).collect();
    let all: Vec<(&str, &[Thing])> = names.iter().map(|name| (name.as_str(), things)).collect();
    let (stage, _) = stage_of(plane, &all);
    let mut agent = Agent::start(&stage);
    agent.await_proven(environments, LIMIT);
    let first = at_rest(&agent);
    agent.stop();
    let agent = Agent::start(&stage);
    let again = at_rest(&agent);
    agent.stop();
    (first, again)
}

fn at_rest(agent: &Agent) -> Memory {
    agent.await_rest(LIMIT);
    std::thread::sleep(IDLE);
    agent.memory()
}
