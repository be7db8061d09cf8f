//! Rollbacks that a failure asks for.

use serde_json::json;

use crate::bare;
use crate::control_plane::ControlPlane;
use crate::scene::Scene;
use crate::{at_m1, has, opened, rollback, silent, stopped};

/// A Job that fails at once.
const BAD: &str = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: bad}\nspec:\n  backoffLimit: 0\n  template:\n    spec: {restartPolicy: Never, containers: [{name: bad, image: 'registry.example.com/bad:crash'}]}\n";

/// Prod's own files get an object that fails.
fn break_it(scene: &Scene) -> String {
    scene.on("env/prod");
    scene.stage.write("overlays/prod/bad.yaml", BAD);
    scene.commit("lena", "prod: more")
}

fn is_gone(scene: &Scene, namespace: &str) -> bool {
    let path = format!("/apis/batch/v1/namespaces/{namespace}-prod/jobs/bad");
    scene.stage.plane.get(&path).is_none()
}

pub(crate) fn once(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "fails");
    scene.pipeline("", "", "onFailure: rollback\ndeadline: 1m\nownImages: [registry.example.com/bad]");
    let before = opened(&scene).pop().expect("because prod stands");
    let bad = break_it(&scene);
    let ran = scene.run();
    let entries = opened(&scene);
    let (failed, last) = (&entries[entries.len() - 2], &entries[entries.len() - 1]);
    assert_eq!((&failed["commit"]["id"], &last["action"]), (&json!(bad), &json!("rollback")), "{}", ran.stderr);
    assert_eq!(last["rollback"], json!({"to": before["sequence"], "cause": "failure"}));
    assert_eq!((&last["actor"], &last["reasons"][0]["code"]), (&json!("agent"), &json!("object-failed")));
    assert_eq!(last["hold"]["files"].as_object().map(|files| files.len()), Some(1));
    assert!(is_gone(&scene, "fails") && has(&scene, "fails", "flag"), "what stood before stands again");
    assert_eq!(stopped(&scene), ["held-content"], "the tip is what was rolled back");
    silent(&scene);
    assert_eq!(opened(&scene).len(), entries.len(), "and nothing goes back and forth");
}

pub(crate) fn no_loop(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "failstwice");
    break_it(&scene);
    // A check that nothing passes: what comes back fails as well.
    let file = scene.stage.folder().join("lockmaster.yaml");
    scene.pipeline(
        "",
        "",
        "onFailure: rollback\ndeadline: 1m\nchecks: [nobody]\nownImages: [registry.example.com/bad]",
    );
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let check = "  checks:\n  - {name: nobody, http: {url: \"http://127.0.0.1:9/\", expect: \"true\"}, interval: 1s, within: 2s}\n";
    std::fs::write(&file, text.replace("  environments:\n", &format!("{check}  environments:\n")))
        .expect("because it is ours");
    let mut agent = scene.stage.spawn(&["run", "--listen", "127.0.0.1:0"]);
    crate::control_plane::eventually("the rollback failed too", || {
        let back = rollback(&scene);
        let failed = |entry: &serde_json::Value| entry["of"] == back["sequence"] && entry["phase"] == "failed";
        scene.entries("prod", "rollback").iter().any(failed).then_some(())
    });
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    let count = opened(&scene).len();
    scene.stage.proxy.forget();
    scene.run();
    assert_eq!(opened(&scene).len(), count, "nobody goes back from a rollback by itself");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "failed", "{status:#}");
}

pub(crate) fn pushed(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "pushed");
    scene.pipeline("", "", "onFailure: rollback\nwriters: [release-managers]\nownImages: [registry.example.com/bad]");
    let bad = break_it(&scene);
    let bare = bare::remote(&scene.stage);
    let shown = |format: &str| scene.stage.git(&["--git-dir", &bare, "log", "-1", format, "env/prod"]);
    let key = scene.stage.folder().join("omar").display().to_string();
    let run = || scene.stage.lockmaster(&["run", "--once", "--writer-key", &key]);
    let ran = run();
    let tip = shown("--format=%H");
    assert_eq!(shown("--format=%P"), bad, "the agent pushed one commit: {}", ran.stderr);
    assert!(shown("--format=%B").starts_with("Revert to prod/"), "{}", shown("--format=%B"));
    let count = opened(&scene).len();
    run();
    assert_eq!((shown("--format=%H"), opened(&scene).len()), (tip, count), "it is pushed once, and opens nothing");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "current", "{status:#}");
}

pub(crate) fn nothing_there(plane: &'static ControlPlane) {
    let scene =
        Scene::new(plane, "firstfails", "onFailure: rollback\ndeadline: 1m\nownImages: [registry.example.com/bad]");
    break_it(&scene);
    scene.run();
    assert_eq!(opened(&scene).len(), 1);
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "failed", "{status:#}");
    assert!(!is_gone(&scene, "firstfails"), "it stays, and is healed");
}
