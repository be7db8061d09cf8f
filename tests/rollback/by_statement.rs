//! Rollbacks that a signed statement asks for.

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::scene::Scene;
use crate::{SHUT, at_m1, has, image, opened, rollback, silent, stopped};

/// States that the release of an entry shall stand again.
fn state(scene: &Scene, who: &str, name: &str, to: &Value, of: &Value, more: &[&str]) {
    let commit = to["commit"]["id"].as_str().expect("because an opening names its commit").to_owned();
    let trailers = [format!("To: {}", to["sequence"]), format!("Sequence: {}", of["sequence"])];
    let trailers: Vec<&str> = trailers.iter().map(String::as_str).chain(more.iter().copied()).collect();
    scene.state(who, &format!("rollback/shop/prod/{name}"), &commit, &["errors doubled", &trailers.join("\n")]);
}

pub(crate) fn goes_back(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "stated");
    scene.pipeline("", "", SHUT);
    let entries = opened(&scene);
    state(&scene, "lena", "one", &entries[0], &entries[1], &[]);
    scene.run();
    let last = rollback(&scene);
    assert_eq!(last["rollback"], json!({"to": entries[0]["sequence"], "cause": "statement"}), "{last:#}");
    assert_eq!((&last["actor"], &last["statement"]["reason"]), (&json!("lena@example.com"), &json!("errors doubled")));
    assert_eq!(last["hold"]["commit"], merge);
    assert!(!has(&scene, "stated", "flag") && image(&scene, "stated").ends_with("web:v1"));
    // Git is ahead, and its tip is held.
    assert_eq!(scene.tip("env/prod"), merge);
    assert_eq!(stopped(&scene)[0], "held-content");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]);
    assert_eq!((status.code, &status.json()["environments"][0]["state"]), (Some(1), &json!("held")));
    silent(&scene);
    // The revert that comes later is what stands.
    scene.on("env/prod");
    scene.git_as("lena", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.run();
    assert_eq!(opened(&scene).len(), 3, "equal inputs open nothing");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "current", "{status:#}");
    silent(&scene);
}

pub(crate) fn once(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "statedonce");
    let entries = opened(&scene);
    state(&scene, "lena", "one", &entries[0], &entries[1], &[]);
    scene.run();
    let held = rollback(&scene)["sequence"].to_string();
    scene.state("lena", "unhold/shop/prod/one", "env/prod", &["it was the network", &format!("Sequence: {held}")]);
    scene.run();
    let last = opened(&scene).pop().expect("because prod was opened");
    assert_eq!((&last["action"], &last["release"]), (&json!("promote"), &entries[1]["release"]), "it stands again");
    silent(&scene);
    // The same words for the entry that stands now are another statement.
    state(&scene, "lena", "two", &entries[0], &last, &[]);
    let ran = scene.run();
    let newest = opened(&scene).last().map(|entry| entry["action"].clone());
    assert_eq!(newest, Some(json!("rollback")), "{}", ran.stderr);
}

pub(crate) fn void(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "statedvoid");
    scene.pipeline("", "", "writers: [release-managers]");
    let entries = opened(&scene);
    state(&scene, "mallory", "one", &entries[0], &entries[1], &[]);
    state(&scene, "dana", "two", &entries[0], &entries[1], &[]);
    state(&scene, "lena", "three", &entries[0], &entries[0], &[]);
    let ran = scene.run();
    assert!(ran.stderr.contains("dana@example.com may not say so here"), "{}", ran.stderr);
    assert_eq!((scene.standing("prod"), opened(&scene).len()), (json!(merge), 2));
    let missing = json!({"sequence": 99, "commit": entries[0]["commit"]});
    state(&scene, "lena", "four", &missing, &entries[1], &[]);
    scene.run();
    assert_eq!((stopped(&scene), opened(&scene).len()), (vec!["statement-not-applicable".to_owned()], 2));
    silent(&scene);
}

pub(crate) fn rewound(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "rewound");
    let entries = opened(&scene);
    let first = entries[0]["commit"]["id"].as_str().expect("because it names its commit").to_owned();
    scene.force("env/prod", &first);
    scene.run();
    assert_eq!((stopped(&scene), scene.standing("prod")), (vec!["ref-rewound".to_owned()], json!(merge)));
    // A statement that does not say so goes back, and leaves the accepted head.
    state(&scene, "lena", "one", &entries[0], &entries[1], &["Rewind: true"]);
    scene.run();
    let last = rollback(&scene);
    assert_eq!(last["rollback"], json!({"to": entries[0]["sequence"], "cause": "statement", "rewind": true}));
    assert_eq!((&last["commit"]["id"], scene.standing("prod")), (&json!(first), json!(first)));
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "current", "the branch is as it was accepted: {status:#}");
    silent(&scene);
    // What is made on top is judged from there.
    scene.on("env/prod");
    scene.own("prod", "after the rewind");
    let next = scene.commit("lena", "prod: next");
    scene.run();
    assert_eq!(scene.standing("prod"), next);
}

pub(crate) fn irreversible(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "migrating", "");
    scene.on("env/dev");
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {lockmaster.dev/irreversible: \"true\"}}\nspec:\n  template:\n    spec: {restartPolicy: Never, containers: [{name: migrate, image: 'registry.example.com/migrate:v2'}]}\n";
    scene.stage.write("base/migrate.yaml", job);
    scene.commit("dana", "schema 2");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    let merge = scene.merge("forge", "env/staging");
    scene.run();
    assert_eq!(opened(&scene)[1]["irreversible"], json!(["migrating-prod Job/migrate"]));
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.run();
    assert_eq!((stopped(&scene), scene.standing("prod")), (vec!["irreversible-migration".to_owned()], json!(merge)));
    let told = scene.look("prod", "wait", &["irreversible-migration"], &["Job/migrate ran after prod/", "fix forward"]);
    assert!(told.text.contains("lockmaster") || !told.text.is_empty());
    silent(&scene);
}
