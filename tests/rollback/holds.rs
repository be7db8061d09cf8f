//! What is on hold, and how a hold ends.

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::scene::Scene;
use crate::{at_m1, opened, rollback, silent, stopped};

/// Prod went back from M1 by a revert: X is held. Says by which entry.
fn held(plane: &'static ControlPlane, name: &str) -> (Scene, String) {
    let (scene, merge) = at_m1(plane, name);
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.run();
    let sequence = rollback(&scene)["sequence"].to_string();
    (scene, sequence)
}

/// Commits S's shared files on prod again, as a promotion does.
fn promote(scene: &Scene) {
    scene.on("env/prod");
    scene.stage.git(&["checkout", "-q", "env/staging", "--", "base"]);
    scene.commit("lena", "again");
}

fn unhold(scene: &Scene, who: &str, sequence: &str, why: &str) {
    let trailer = format!("Sequence: {sequence}");
    let message = if why.is_empty() { vec![trailer.as_str()] } else { vec![why, trailer.as_str()] };
    scene.state(who, &format!("unhold/shop/prod/{who}{}{sequence}", why.len()), "env/prod", &message);
}

pub(crate) fn unheld(plane: &'static ControlPlane) {
    let (scene, sequence) = held(plane, "unheld");
    scene.pipeline("", "", "writers: [release-managers]");
    promote(&scene);
    scene.expect("wait", &["held-content"], &["holds base/deploy.yaml, base/flag.yaml", "lockmaster unhold prod"]);
    unhold(&scene, "dana", &sequence, "I say so");
    unhold(&scene, "lena", "1", "another entry");
    unhold(&scene, "lena", &sequence, "");
    let ran = scene.run();
    for words in ["dana@example.com may not say so here", "holds nothing", "it does not say why"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(stopped(&scene), ["held-content"]);
    unhold(&scene, "lena", &sequence, "it was the network");
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"));
    let ends = scene.entries("prod", "unhold");
    assert_eq!((ends.len(), &ends[0]["of"].to_string()), (1, &sequence));
    silent(&scene);
}

pub(crate) fn partly(plane: &'static ControlPlane) {
    let (scene, sequence) = held(plane, "partly");
    scene.on("env/dev");
    scene.deploy("v3", "three");
    scene.commit("dana", "shop 1.2: the fix");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    promote(&scene);
    scene.expect("admit", &[], &[&format!("brings back 1 of 3 held by prod/{sequence}")]);
}

pub(crate) fn stated(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "statedhold", "");
    scene.merge("forge", "env/staging");
    scene.state("lena", "hold/shop/prod/s", "env/prod", &["not before the audit"]);
    scene.run();
    let hold = scene.entries("prod", "hold");
    assert_eq!((hold.len(), &hold[0]["actor"]), (1, &json!("lena@example.com")));
    scene.expect("wait", &["held-content"], &["by lena@example.com: not before the audit"]);
    // It is in the log: nobody ends it by taking the tag away.
    scene.stage.git(&["tag", "-d", "hold/shop/prod/s"]);
    scene.expect("wait", &["held-content"], &["not before the audit"]);
    unhold(&scene, "omar", &hold[0]["sequence"].to_string(), "audited");
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"));
}

pub(crate) fn not_back_to(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "notbackto");
    let first = opened(&scene)[0].clone();
    scene.on("env/prod");
    let old = first["commit"]["id"].as_str().expect("because it names its commit").to_owned();
    scene.state("lena", "hold/shop/prod/a", &old, &["it leaks"]);
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", "HEAD"]);
    scene.run();
    assert_eq!((stopped(&scene), rollback(&scene)), (vec!["held-content".to_owned()], json!(null)));
    silent(&scene);
}

pub(crate) fn downstream(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "downstream", "");
    // Staging goes back before prod took it over.
    scene.on("env/staging");
    scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
    scene.run();
    let back = scene.entries("staging", "rollback")[0]["sequence"].to_string();
    scene.merge("forge", "env/staging~1");
    scene.expect("refuse", &["upstream-failed"], &[&format!("staging/{back} rolled staging/")]);
}
