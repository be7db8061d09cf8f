//! How long a pushed change of one object takes to be live among 5,000, from a local repository, against `git fetch` and
//! one bare apply.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control_plane::ControlPlane;
use serde_json::json;
use stage::{Stage, Who};
use support::agent::Agent;
use support::fleet::{OF_AN_APPLICATION, Thing, fleet, yaml};
use support::ground::{measure_on_plane, stage_of};
use support::measure::{progress, scaled};
use support::report::{Report, median, milliseconds};
use support::sight::Sight;
use support::{blast, journal};

const OBJECTS: usize = 5_000;
const REPETITIONS: usize = 20;
/// How long the first sync may take.
const LIMIT: Duration = Duration::from_secs(180);
/// How long one change may take.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);
const POINTER: &str = "/data/LOG_LEVEL";

fn main() -> ExitCode {
    measure_on_plane("push_to_live", bench)
}

fn bench(plane: &'static ControlPlane) {
    let mut report = Report::new("push_to_live");
    let things = fleet(scaled(OBJECTS, 200));
    let (stage, namespaces) = stage_of(plane, &[("prod", &things)]);
    push_from_a_clone(&stage);
    progress(&format!("first sync of {} objects", things.len()));
    let mut agent = Agent::start(&stage);
    agent.await_proven(1, LIMIT);
    agent.await_rest(LIMIT);
    let kind = things[1].kind;
    let sight = Sight::open(plane, &namespaces[0], &[kind]);
    let (mut live, mut fetched, mut proven, mut applied) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let repetitions = scaled(REPETITIONS, 3);
    for repetition in 0..repetitions {
        progress(&format!("push {} of {repetitions}", repetition + 1));
        let changed = change(&stage, &things, repetition);
        stage.git(&["push", "-q", "origin", "main"]);
        let pushed = Instant::now();
        live.push(await_value(&sight, &changed).duration_since(pushed));
        agent.await_proven(1, CHANGE_LIMIT);
        proven.push(pushed.elapsed());
        let started = Instant::now();
        stage.git(&["--git-dir", "../mirror.git", "fetch", "-q", "origin"]);
        fetched.push(started.elapsed());
        for (step, ms) in journal::durations(plane, &stage.agent_namespace, "prod") {
            steps.entry(step).or_default().push(ms);
        }
        applied.push(apply(plane, &sight, &namespaces[0], &things[2], repetition));
    }
    agent.stop();
    report.figure("objects", things.len() as f64, "");
    report.distribution("pushed to live", &live, None);
    report.distribution("pushed to proven", &proven, None);
    let ms = |durations: &[Duration]| median(&milliseconds(durations));
    report.baseline("git fetch of the commit by git, p50", ms(&fetched), "ms");
    report.baseline("one apply to seen, p50", ms(&applied), "ms");
    report.ratio("pushed to live / (git fetch + one apply), p50", ms(&live) / (ms(&fetched) + ms(&applied)), None);
    for (step, values) in &steps {
        report.figure(&format!("{step} p50"), median(values), "ms");
    }
    report.note("parts named opened.* and proven.* are the agent's own account of its steps");
    report.finish();
}

/// Makes a bare repository that the stage pushes to and the agent reads, and a mirror of it for git.
fn push_from_a_clone(stage: &Stage) {
    stage.git(&["clone", "-q", "--bare", ".", "../origin.git"]);
    stage.git(&["clone", "-q", "--mirror", "--no-local", "../origin.git", "../mirror.git"]);
    stage.git(&["remote", "add", "origin", "../origin.git"]);
    let file = stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because the stage wrote it");
    let origin = stage.folder().join("origin.git").display().to_string();
    let text = text.replace(&format!("url: {}}}", stage.repository.display()), &format!("url: {origin}}}"));
    assert!(text.contains(&origin), "the pipeline file names the repository in another way");
    std::fs::write(file, text).expect("because the folder is ours");
}

/// Changes one ConfigMap, another one each time, in a signed commit.
fn change(stage: &Stage, things: &[Thing], repetition: usize) -> Thing {
    let applications = things.len() / OF_AN_APPLICATION;
    let application = (repetition * 7 + 3) % applications;
    let mut of_it = things[application * OF_AN_APPLICATION..][..OF_AN_APPLICATION].to_vec();
    let changed = of_it[1].changed(repetition);
    of_it[1] = changed.clone();
    stage.write(&format!("prod/app-{application:05}.yaml"), &yaml(&of_it));
    stage.commit(Who::Dana, &format!("change {repetition}"));
    changed
}

/// When the object was first seen with its new value.
fn await_value(sight: &Sight, changed: &Thing) -> Instant {
    let wanted = changed.value.pointer(POINTER);
    let deadline = Instant::now() + CHANGE_LIMIT;
    loop {
        let seen = sight.next(deadline.saturating_duration_since(Instant::now()));
        let seen = seen.unwrap_or_else(|| panic!("{} was not changed within {CHANGE_LIMIT:?}", changed.name));
        let value = seen.object.as_ref().and_then(|object| object.pointer(POINTER));
        if seen.name == changed.name && value == wanted {
            return seen.at;
        }
    }
}

/// One bare apply of another object, which no release holds, from sending it to seeing it.
fn apply(plane: &ControlPlane, sight: &Sight, namespace: &str, like: &Thing, repetition: usize) -> Duration {
    let mut thing = like.changed(repetition);
    thing.name = "bare".to_owned();
    thing.value["metadata"]["name"] = json!(thing.name);
    let (client, request) = (plane.admin(), blast::request(&thing, namespace));
    let started = Instant::now();
    plane.block_on(client.request_text(request)).expect("because the server takes it");
    await_value(sight, &thing).duration_since(started)
}
