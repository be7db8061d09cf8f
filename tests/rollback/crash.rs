//! The agent is killed at every write, and at every step of the walk by its name: of the bad release, before the revert
//! comes; and of the rollback itself.

use std::time::{Duration, Instant};

use crate::control_plane::proxy::{Call, Moment, Verdict};
use crate::control_plane::{ControlPlane, cases, eventually};
use crate::scene::{Scene, config_map, deployment, entry_of};
use crate::{has, opened, rollback, silent};

/// A prod in which a release settles, and then soaks, and which may run images of its own.
const SOAKS: &str = "soak: 1s\nownImages: [registry.example.com/web]";

/// How long a write may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Until nothing more happens by itself.
const ONCE: &[&str] = &["run", "--once", "--environment", "prod"];

/// Until it is killed, so that it also proves what soaks.
const SERVE: &[&str] = &["run", "--listen", "127.0.0.1:0", "--environment", "prod"];

/// Starts the agent for prod and kills it before a write, or after that was done; false if it made no such write.
fn killed_at(
    scene: &Scene,
    arguments: &[&str],
    after: bool,
    wanted: impl Fn(&Call) -> bool + Send + Sync + 'static,
) -> bool {
    let proxy = &scene.stage.proxy;
    proxy.forget();
    proxy.judge(move |call, moment| {
        let now = if after { matches!(moment, Moment::After(_)) } else { moment == Moment::Before };
        if now && call.write.is_some() && wanted(call) { Verdict::Hang } else { Verdict::Pass }
    });
    let began = Instant::now();
    let mut agent = scene.stage.spawn(arguments);
    let killed = loop {
        if proxy.hanging(Duration::from_millis(50)).is_some() {
            break true;
        }
        if began.elapsed() > PATIENCE {
            break false;
        }
        if agent.try_wait().expect("because it was started").is_some() {
            break proxy.hanging(Duration::from_millis(1)).is_some();
        }
    };
    agent.kill().expect("because it was started");
    agent.wait().expect("because it was killed");
    proxy.release();
    proxy.judge(|_, _| Verdict::Pass);
    killed
}

/// Prod stands; the next release brings an extra object and takes one away, so that it is pruned.
fn standing(plane: &'static ControlPlane, name: &str, prod: &str) -> Scene {
    let scene = Scene::empty(plane, name, prod);
    scene.deploy("v1", "one");
    for environment in ["dev", "staging", "prod"] {
        scene.own(environment, "first");
    }
    scene.stage.write("overlays/prod/old.yaml", &config_map("old", "x"));
    scene.commit("dana", "shop 1.0");
    for branch in ["env/dev", "env/staging", "env/prod"] {
        scene.stage.git(&["branch", branch]);
    }
    prove(&scene);
    scene.on("env/prod");
    scene
}

/// Runs the agent until what stands in prod is proven: what soaks does so in one life of it.
fn prove(scene: &Scene) {
    scene.run();
    if !scene.is_proven("prod") {
        let mut agent = scene.stage.spawn(SERVE);
        eventually("what stands is proven", || scene.is_proven("prod").then_some(()));
        agent.kill().expect("because it was started");
        agent.wait().expect("because it was killed");
    }
}

fn change(scene: &Scene, image: &str) {
    std::fs::remove_file(scene.stage.repository.join("overlays/prod/old.yaml")).expect("because it was written");
    scene.stage.write("overlays/prod/extra.yaml", &deployment("extra", image, "x"));
    scene.stage.write("overlays/prod/more.yaml", &config_map("more", "x"));
    scene.commit("lena", "prod: more");
}

fn converged(scene: &Scene, name: &str, context: &str) {
    prove(scene);
    let extra = format!("/apis/apps/v1/namespaces/{name}-prod/deployments/extra");
    assert!(
        scene.stage.plane.get(&extra).is_none() && !has(scene, name, "more") && has(scene, name, "old"),
        "{context}: the old state is back, whole"
    );
    silent(scene);
}

/// Which writes are tried: all in full rounds, some else.
fn numbers() -> impl Iterator<Item = usize> {
    (1..).step_by(cases(1, 3))
}

pub(crate) fn of_the_release(plane: &'static ControlPlane) {
    for number in numbers() {
        let name = format!("releasekill{number}");
        let scene = standing(plane, &name, "soak: 0s");
        change(&scene, "web:v1");
        if !killed_at(&scene, ONCE, number % 2 == 0, move |call| call.write == Some(number)) {
            assert!(number > 8, "a release makes more writes than {number}");
            return;
        }
        scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
        converged(&scene, &name, &format!("killed at write {number}"));
        let undone = opened(&scene).iter().any(|entry| entry["action"] == "rollback");
        assert_eq!(undone, opened(&scene).len() > 1, "what was opened was rolled back, and nothing else");
    }
}

pub(crate) fn of_the_rollback(plane: &'static ControlPlane) {
    for number in numbers() {
        let name = format!("rollbackkill{number}");
        let scene = standing(plane, &name, "soak: 0s");
        change(&scene, "web:v1");
        scene.run();
        scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
        if !killed_at(&scene, ONCE, number % 2 == 0, move |call| call.write == Some(number)) {
            assert!(number > 8, "a rollback makes more writes than {number}");
            return;
        }
        converged(&scene, &name, &format!("killed at write {number}"));
        let back = opened(&scene).iter().filter(|entry| entry["action"] == "rollback").count();
        assert_eq!((back, rollback(&scene)["commit"]["id"].clone()), (1, scene.tip("env/prod")), "it is opened once");
    }
}

/// The steps of the walk of a release, from 9 on (section 3 of the design); at each the agent may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failpoint {
    /// The release's bytes, the opened entry and the inventory become durable.
    Open,
    /// Something of it is applied, and something is not.
    MidApply,
    /// All is applied; it is waited for health.
    Settling,
    /// What it does not name any more is deleted.
    Pruning,
    /// The `settled` entry is written.
    Recording,
    /// It soaks, and the `proven` entry is written.
    Proving,
}

/// What the journal stores by a write.
fn journals(call: &Call, kind: &str) -> bool {
    call.body["metadata"]["labels"]["lockmaster.dev/kind"] == kind
}

fn records(call: &Call, phase: &str) -> bool {
    journals(call, "entry") && entry_of(&call.body)["phase"] == phase
}

fn applies(call: &Call, name: &str) -> bool {
    call.method == "PATCH" && call.path.ends_with(name)
}

fn deletes(call: &Call) -> bool {
    call.method == "DELETE"
}

/// The writes at which the agent dies, each with whether it is done then.
type Deaths = Vec<(bool, fn(&Call) -> bool)>;

impl Failpoint {
    fn deaths(self, undoing: bool) -> Deaths {
        let both = |wanted: fn(&Call) -> bool| vec![(false, wanted), (true, wanted)];
        match (self, undoing) {
            // The bytes of what is gone back to are stored already.
            (Failpoint::Open, true) => {
                [both(|call| records(call, "opened")), both(|call| journals(call, "inventory"))].concat()
            }
            (Failpoint::Open, false) => [both(|call| journals(call, "release")), Failpoint::Open.deaths(true)].concat(),
            (Failpoint::MidApply, false) => {
                vec![(true, |call| applies(call, "/more")), (false, |call| applies(call, "/extra"))]
            }
            (Failpoint::MidApply, true) => vec![(false, |call| applies(call, "/old"))],
            (Failpoint::Settling, false) => vec![(true, |call| applies(call, "/extra"))],
            (Failpoint::Settling, true) => vec![(true, |call| applies(call, "/old"))],
            (Failpoint::Pruning, _) => both(deletes),
            (Failpoint::Recording, _) => both(|call| records(call, "settled")),
            (Failpoint::Proving, _) => both(|call| records(call, "proven")),
        }
    }

    /// A scene of its own for each death.
    fn each(self, undoing: bool, mut case: impl FnMut(String, String, bool, fn(&Call) -> bool)) {
        for (place, (after, wanted)) in self.deaths(undoing).into_iter().enumerate() {
            let stem = if undoing { "undo" } else { "bad" };
            let context = format!("{self:?}, {}", if after { "written" } else { "not written" });
            case(format!("{stem}-{self:?}-{place}").to_lowercase(), context, after, wanted);
        }
    }
}

/// A bad release whose agent dies there; then a revert comes.
pub(crate) fn bad_release(plane: &'static ControlPlane, failpoint: Failpoint) {
    failpoint.each(false, |name, context, after, wanted| {
        let scene = standing(plane, &name, SOAKS);
        // What never becomes healthy is still settling when the agent dies.
        change(&scene, if failpoint == Failpoint::Settling { "web:crash" } else { "web:v1" });
        assert!(killed_at(&scene, SERVE, after, wanted), "{context}: there is such a write");
        scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
        converged(&scene, &name, &context);
        let undone = opened(&scene).iter().any(|entry| entry["action"] == "rollback");
        assert_eq!(undone, opened(&scene).len() > 1, "{context}: what was opened was rolled back, and nothing else");
    });
}

/// A rollback whose agent dies there.
pub(crate) fn going_back(plane: &'static ControlPlane, failpoint: Failpoint) {
    failpoint.each(true, |name, context, after, wanted| {
        let scene = standing(plane, &name, SOAKS);
        change(&scene, "web:v1");
        prove(&scene);
        scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
        assert!(killed_at(&scene, SERVE, after, wanted), "{context}: there is such a write");
        converged(&scene, &name, &context);
        let back = opened(&scene).iter().filter(|entry| entry["action"] == "rollback").count();
        assert_eq!((back, rollback(&scene)["commit"]["id"].clone()), (1, scene.tip("env/prod")), "{context}: once");
    });
}
