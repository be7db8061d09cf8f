//! The agent is killed at every write: of the bad release, before the revert comes; and of the rollback itself.

use std::time::Duration;

use crate::control_plane::proxy::{Moment, Verdict};
use crate::control_plane::{ControlPlane, cases};
use crate::scene::{Scene, config_map, deployment};
use crate::{has, opened, rollback, silent};

/// Starts the agent for prod and kills it before its `number`-th write, or after it was done; false if it ended before
/// that.
fn killed_at(scene: &Scene, number: usize, after: bool) -> bool {
    let proxy = &scene.stage.proxy;
    proxy.forget();
    proxy.judge(move |call, moment| {
        let now = if after { matches!(moment, Moment::After(_)) } else { moment == Moment::Before };
        if call.write == Some(number) && now { Verdict::Hang } else { Verdict::Pass }
    });
    let mut agent = scene.stage.spawn(&["run", "--once", "--environment", "prod"]);
    let killed = loop {
        if proxy.hanging(Duration::from_millis(50)).is_some() {
            break true;
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
fn standing(plane: &'static ControlPlane, name: &str) -> Scene {
    let scene = Scene::empty(plane, name, "soak: 0s");
    scene.deploy("v1", "one");
    for environment in ["dev", "staging", "prod"] {
        scene.own(environment, "first");
    }
    scene.stage.write("overlays/prod/old.yaml", &config_map("old", "x"));
    scene.commit("dana", "shop 1.0");
    for branch in ["env/dev", "env/staging", "env/prod"] {
        scene.stage.git(&["branch", branch]);
    }
    scene.run();
    scene.on("env/prod");
    scene
}

fn change(scene: &Scene) {
    std::fs::remove_file(scene.stage.repository.join("overlays/prod/old.yaml")).expect("because it was written");
    scene.stage.write("overlays/prod/extra.yaml", &deployment("extra", "web:v1", "x"));
    scene.commit("lena", "prod: more");
}

fn converged(scene: &Scene, name: &str, context: &str) {
    scene.run();
    let extra = format!("/apis/apps/v1/namespaces/{name}-prod/deployments/extra");
    assert!(
        scene.stage.plane.get(&extra).is_none() && has(scene, name, "old"),
        "{context}: the old state is back, whole"
    );
    assert!(scene.is_proven("prod"), "{context}: what stands is proven");
    silent(scene);
}

/// Which writes are tried: all in full rounds, some else.
fn numbers() -> impl Iterator<Item = usize> {
    (1..).step_by(cases(1, 3))
}

pub(crate) fn of_the_release(plane: &'static ControlPlane) {
    for number in numbers() {
        let name = format!("releasekill{number}");
        let scene = standing(plane, &name);
        change(&scene);
        if !killed_at(&scene, number, number % 2 == 0) {
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
        let scene = standing(plane, &name);
        change(&scene);
        scene.run();
        scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
        if !killed_at(&scene, number, number % 2 == 0) {
            assert!(number > 8, "a rollback makes more writes than {number}");
            return;
        }
        converged(&scene, &name, &format!("killed at write {number}"));
        let back = opened(&scene).iter().filter(|entry| entry["action"] == "rollback").count();
        assert_eq!((back, rollback(&scene)["commit"]["id"].clone()), (1, scene.tip("env/prod")), "it is opened once");
    }
}
