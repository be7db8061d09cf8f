//! Crashes: the agent is killed before and after every write it makes, and at random moments. After a restart it
//! converges, with no orphan, no duplicate entry, and nothing left to write.

mod control_plane;
mod stage;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control_plane::proxy::{Moment, Verdict};
use control_plane::{ControlPlane, Test, cases, run_anywhere};
use serde_json::Value;
use stage::shop::{all_of_shop, leave_out, objects, place, replicas, set_replicas, shop, state};
use stage::{Stage, Who};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("killed_before_every_write_of_a_first_release_it_converges", first_release_before),
        ("killed_after_every_write_of_a_first_release_it_converges", first_release_after),
        ("killed_before_every_write_of_a_change_with_prune_it_converges", change_before),
        ("killed_after_every_write_of_a_change_with_prune_it_converges", change_after),
        ("killed_at_random_moments_it_converges", random_moments),
    ];
    control_plane::at_once(4);
    run_anywhere(tests)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// Starts the agent and kills it at its `number`-th write; false if it ended before that write.
fn killed_at(stage: &Stage, number: usize, when: When) -> bool {
    stage.proxy.forget();
    stage.proxy.judge(move |call, moment| {
        let now = match when {
            When::Before => moment == Moment::Before,
            When::After => matches!(moment, Moment::After(_)),
        };
        if call.write == Some(number) && now { Verdict::Hang } else { Verdict::Pass }
    });
    let mut agent = stage.spawn(&["run", "--once"]);
    let killed = loop {
        if stage.proxy.hanging(Duration::from_millis(50)).is_some() {
            break true;
        }
        if agent.try_wait().expect("because it was started").is_some() {
            break stage.proxy.hanging(Duration::from_millis(1)).is_some();
        }
    };
    agent.kill().expect("because it was started");
    agent.wait().expect("because it was killed");
    stage.proxy.release();
    stage.proxy.judge(|_, _| Verdict::Pass);
    killed
}

/// What must hold once the agent has run to its end.
fn converged(stage: &Stage, namespace: &str, expected: &BTreeSet<String>, context: &str) {
    let ran = stage.lockmaster(&["run", "--once"]);
    assert_eq!(ran.code, Some(0), "{context}: {}\n{}", ran.stdout, ran.stderr);
    assert_eq!(&objects(stage.plane, namespace), expected, "{context}: no orphan and nothing missing");
    let status = stage.lockmaster(&["status", "-o", "json"]).json();
    let view = state(&status, "dev");
    assert_eq!(view["state"], "current", "{context}: {view}");
    assert_eq!(view["standing"]["commit"]["id"], stage.head(), "{context}");
    one_opening_per_commit(stage, context);
    stage.proxy.forget();
    stage.lockmaster(&["run", "--once"]);
    assert_eq!(stage.proxy.writes(), Vec::new(), "{context}: a further run must not write");
}

/// The journal has no gap, no commit is opened twice, and every opening has exactly one outcome.
fn one_opening_per_commit(stage: &Stage, context: &str) {
    let entries = entries(stage);
    let sequences: Vec<Option<u64>> = entries.iter().map(|entry| entry["sequence"].as_u64()).collect();
    let expected: Vec<Option<u64>> = (0..).take(entries.len()).map(Some).collect();
    assert_eq!(sequences, expected, "{context}: no gap");
    let opened: Vec<&Value> = entries.iter().filter(|entry| entry["phase"] == "opened").collect();
    let commits: BTreeSet<&str> = opened.iter().filter_map(|entry| entry["commit"]["id"].as_str()).collect();
    assert!(commits.contains(stage.head().as_str()), "{context}: the commit that stands was never opened");
    assert_eq!(commits.len(), opened.len(), "{context}: a commit was opened twice: {opened:?}");
    for opening in opened {
        let outcomes: Vec<&Value> = entries.iter().filter(|entry| entry["of"] == opening["sequence"]).collect();
        assert_eq!(outcomes.len(), 1, "{context}: {opening} has the outcomes {outcomes:?}");
    }
}

/// Every `entry.json` of the journal of `dev`, in the order of the names of their objects.
fn entries(stage: &Stage) -> Vec<Value> {
    let path = format!(
        "/api/v1/namespaces/{}/configmaps?labelSelector=lockmaster.dev/kind%3Dentry,lockmaster.dev/environment%3Ddev",
        stage.agent_namespace
    );
    let list = stage.plane.get(&path).expect("because a list is never absent");
    let mut items: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
    items.sort_by_key(|item| item["metadata"]["name"].as_str());
    items.into_iter().map(entry_of).collect()
}

fn entry_of(item: &Value) -> Value {
    let text = item["binaryData"]["content"].as_str().expect("because an entry has content");
    let bytes = STANDARD.decode(text).expect("because the server encodes binary data");
    let bytes = zstd::decode_all(&bytes[..]).expect("because the journal compresses it");
    let objects = lockmaster::deploylog::unpack(&bytes).expect("because the journal packs it");
    let documents = objects.iter().filter_map(|object| serde_json::from_slice::<Value>(&object.body).ok());
    documents.into_iter().find(|document| document["sequence"].is_u64()).expect("because an entry says its place")
}

fn dev_only(stage: &Stage, stem: &str) {
    stage.pipeline(&format!(
        "  - {{name: dev, branch: env/dev, {}, namespace: {stem}-dev, deadline: 90s}}",
        place("dev")
    ));
}

/// A first release, crashed at every write in turn: each further run is killed one write later than the one before.
fn first_release(plane: &'static ControlPlane, stem: &str, when: When) {
    for number in (1..).step_by(cases(1, 3)) {
        let stem = format!("{stem}-{number}");
        let stage = shop(plane, &stem);
        dev_only(&stage, &stem);
        if !killed_at(&stage, number, when) {
            assert!(number > 10, "a first release has more than ten writes, not {number}");
            return;
        }
        converged(&stage, &format!("{stem}-dev"), &all_of_shop(), &format!("{when:?} write {number}"));
    }
}

fn first_release_before(plane: &'static ControlPlane) {
    first_release(plane, "cfb", When::Before);
}

fn first_release_after(plane: &'static ControlPlane) {
    first_release(plane, "cfa", When::After);
}

/// A change that creates, updates and prunes, crashed at every write in turn, in one environment.
fn change(plane: &'static ControlPlane, stem: &str, when: When) {
    let stage = shop(plane, stem);
    dev_only(&stage, stem);
    stage.run_once(0);
    let namespace = format!("{stem}-dev");
    let mut pruned = all_of_shop();
    pruned.remove("cronjobs/sweeper");
    for number in (1..).step_by(cases(1, 3)) {
        let without = number % 2 == 1;
        set_replicas(&stage, 2 + u32::from(without));
        leave_out(&stage, "sweeper.yaml", without);
        stage.commit(Who::Dana, &format!("change {number}"));
        let killed = killed_at(&stage, number, when);
        let expected = if without { &pruned } else { &all_of_shop() };
        converged(&stage, &namespace, expected, &format!("{when:?} write {number}"));
        assert_eq!(replicas(plane, &namespace), serde_json::json!(2 + u32::from(without)));
        if !killed {
            assert!(number > 5, "a change has more than five writes, not {number}");
            return;
        }
    }
}

fn change_before(plane: &'static ControlPlane) {
    change(plane, "ccb", When::Before);
}

fn change_after(plane: &'static ControlPlane) {
    change(plane, "cca", When::After);
}

/// Killed at random moments of its life, not only at writes: by counting requests of any kind, from a fixed seed.
fn random_moments(plane: &'static ControlPlane) {
    let stage = shop(plane, "random");
    dev_only(&stage, "random");
    let mut seed: u64 = 0x10c4_3a57;
    let rounds = u32::try_from(cases(50, 15)).expect("because it is a small number");
    for round in 1..=rounds {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let request = usize::try_from(seed >> 33).expect("because 31 bits fit") % 60 + 1;
        set_replicas(&stage, 1 + round % 5);
        stage.commit(Who::Dana, &format!("round {round}"));
        stage.proxy.forget();
        stage.proxy.judge(move |call, moment| {
            if call.number == request && moment == Moment::Before { Verdict::Hang } else { Verdict::Pass }
        });
        let mut agent = stage.spawn(&["run", "--once"]);
        loop {
            let hangs = stage.proxy.hanging(Duration::from_millis(20)).is_some();
            if hangs || agent.try_wait().expect("because it was started").is_some() {
                break;
            }
        }
        agent.kill().expect("because it was started");
        agent.wait().expect("because it was killed");
        stage.proxy.release();
        stage.proxy.judge(|_, _| Verdict::Pass);
    }
    converged(&stage, "random-dev", &all_of_shop(), "after fifty crashes");
}
