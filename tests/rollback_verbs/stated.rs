//! What a person signed and put into the cluster, as `kubectl` does it.

use serde_json::json;

use crate::WRITERS;
use crate::control_plane::{ControlPlane, eventually};
use crate::scene::Scene;

/// The bytes of a signed tag on the tip of prod, which is taken out of the repository again.
fn signed(scene: &Scene, who: &str, name: &str, message: &[&str]) -> String {
    let commit = scene.stage.git(&["rev-parse", "env/prod"]);
    scene.state(who, name, &commit, message);
    // What git prints of it is the tag's bytes, but for the line feed at the end, which the stage takes away.
    let tag = format!("{}\n", scene.stage.git(&["cat-file", "tag", name]));
    scene.stage.git(&["tag", "-d", name]);
    tag
}

/// Puts the bytes of a tag into the cluster.
fn put(scene: &Scene, name: &str, tag: &str) {
    let metadata = json!({"name": name, "labels": {"lockmaster.dev/statement": ""}});
    let object = json!({"metadata": metadata, "data": {"tag": tag}});
    scene.stage.plane.create(&format!("/api/v1/namespaces/{}/configmaps", scene.stage.agent_namespace), &object);
}

fn frozen(scene: &Scene) -> Vec<serde_json::Value> {
    scene.entries("prod", "freeze")
}

pub(crate) fn counts_while_git_is_away(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "away", WRITERS);
    let freeze = ["it burns", "Until: 2099-01-01T00:00:00Z"];
    // Of no effect: somebody who may not, what was changed, and what is about another pipeline.
    put(&scene, "dana", &signed(&scene, "dana", "freeze/shop/prod/dana", &freeze));
    put(&scene, "kim", &signed(&scene, "kim", "freeze/shop/prod/kim", &freeze).replace("burns", "rains"));
    put(&scene, "other", &signed(&scene, "omar", "freeze/other/prod/omar", &freeze));
    let tag = signed(&scene, "omar", "freeze/shop/prod/omar", &freeze);
    let mut agent = scene.stage.spawn(&["run", "--listen", "127.0.0.1:0", "--interval", "1h"]);
    eventually("the agent serves", || scene.stage.folder().join("state/agent.json").exists().then_some(()));
    let away = scene.stage.folder().join("away");
    std::fs::rename(&scene.stage.repository, &away).expect("because the folder is ours");
    put(&scene, "omar", &tag);
    let entries = eventually("the freeze is in the log", || Some(frozen(&scene)).filter(|entries| !entries.is_empty()));
    assert!(entries.len() == 1 && entries[0]["actor"] == "omar@example.com", "{entries:?}");
    std::fs::rename(&away, &scene.stage.repository).expect("because the folder is ours");
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
}

pub(crate) fn counts_once(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "once", WRITERS);
    let merge = scene.merge("lena", "env/staging");
    let freeze = ["end of the quarter", "Until: 2098-12-31T00:00:00Z"];
    put(&scene, "omar", &signed(&scene, "omar", "freeze/shop/prod/omar", &freeze));
    let words = ["prod is frozen until 2098-12-31 00:00:00Z by omar@example.com: end of the quarter"];
    scene.expect("wait", &["frozen"], &words);
    assert_eq!(frozen(&scene).len(), 1);
    // The same tag, pushed later.
    scene.state("omar", "freeze/shop/prod/omar", &merge, &["another reason", "Until: 2098-12-31T00:00:00Z"]);
    scene.run();
    assert_eq!(frozen(&scene).len(), 1, "what the cluster holds of this name stands");
    put(&scene, "kim", &signed(&scene, "kim", "unfreeze/shop/prod/kim", &["the quarter is over"]));
    scene.stage.git(&["tag", "-d", "freeze/shop/prod/omar"]);
    scene.run();
    assert_eq!((frozen(&scene).len(), scene.entries("prod", "unfreeze").len()), (1, 1));
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "it was opened");
}
