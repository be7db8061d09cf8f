//! Rollbacks that a commit asks for.

use serde_json::json;

use crate::control_plane::{ControlPlane, eventually};
use crate::scene::{Scene, config_map, deployment};
use crate::{SHUT, at_m1, has, image, opened, rollback, silent, stopped};

/// The release that stood before M1 stands again, what M1 brought is gone and on hold.
fn went_back(scene: &Scene, namespace: &str, tip: &str) {
    assert_eq!(scene.standing("prod"), tip);
    let entries = opened(scene);
    let (first, second, last) = (&entries[0], &entries[1], &entries[2]);
    assert_eq!(last["action"], "rollback", "{last:#}");
    assert_eq!(last["rollback"], json!({"to": first["sequence"], "cause": "commit"}));
    assert_eq!((&last["release"], &last["supersedes"]), (&first["release"], &second["sequence"]));
    let files: Vec<&String> = last["hold"]["files"].as_object().expect("because it holds files").keys().collect();
    assert_eq!(files, ["base/deploy.yaml", "base/flag.yaml"]);
    let held = json!([{"object": format!("{namespace}-prod Deployment/web"), "image": "registry.example.com/web:v2"}]);
    assert_eq!(last["hold"]["images"], held);
    assert!(!has(scene, namespace, "flag") && image(scene, namespace).ends_with("web:v1"), "nothing is left behind");
    assert!(scene.is_proven("prod"), "a rollback that has settled is proven");
}

pub(crate) fn shapes(plane: &'static ControlPlane) {
    for (name, who, merged) in [("byweb", "nobody", false), ("bylena", "lena", false), ("bybutton", "forge", true)] {
        let (scene, merge) = at_m1(plane, name);
        scene.pipeline("", "", SHUT);
        scene.on("env/prod");
        if merged {
            // The forge's Revert button makes a branch, and its merge button merges that.
            scene.stage.git(&["checkout", "-q", "-b", "revert-1"]);
            scene.git_as(who, &["revert", "--no-edit", "-m", "1", &merge]);
            scene.merge(who, "revert-1");
        } else {
            scene.git_as(who, &["revert", "--no-edit", "-m", "1", &merge]);
        }
        let tip = scene.stage.head();
        scene.look("prod", "admit", &[], &["back to prod/"]);
        scene.run();
        went_back(&scene, name, &tip);
        silent(&scene);
    }
}

pub(crate) fn void(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "row35");
    scene.on("env/prod");
    scene.stage.write("base/deploy.yaml", &deployment("web", "web:v9", "slipped in"));
    let unsigned = scene.commit("nobody", "quick fix");
    scene.run();
    assert_eq!(stopped(&scene), ["unproven-content"]);
    scene.git_as("lena", &["revert", "--no-edit", &unsigned]);
    scene.run();
    assert_eq!(scene.standing("prod"), merge, "equal inputs open nothing");
    let status = scene.stage.lockmaster(&["status", "prod", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "current", "{status:#}");
    let verified = scene.stage.lockmaster(&["verify", "prod"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
}

/// The revert is pushed while a daemon watches a release that never gets well, long before its deadline, its checks or its
/// soak.
pub(crate) fn crash_looping(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "looping");
    scene.pipeline("", "", "ownImages: [registry.example.com/bad]\ndeadline: 1h\nsoak: 1h\nqueue: finish");
    scene.on("env/prod");
    let good = scene.stage.head();
    scene.stage.write("overlays/prod/bad.yaml", &deployment("bad", "bad:crash", "x"));
    scene.stage.write("overlays/prod/extra.yaml", &config_map("extra", "x"));
    scene.commit("lena", "prod: more");
    let mut agent = scene.stage.spawn(&["run", "--listen", "127.0.0.1:0"]);
    eventually("the bad release crash-loops", || {
        let path = "/apis/apps/v1/namespaces/looping-prod/deployments/bad";
        plane.get(path).filter(|_| has(&scene, "looping", "extra"))
    });
    scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
    let path = "/apis/apps/v1/namespaces/looping-prod/deployments/bad";
    eventually("the bad release is gone", || {
        (plane.get(path).is_none() && !has(&scene, "looping", "extra")).then_some(())
    });
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    let last = rollback(&scene);
    assert_eq!(last["commit"]["id"], scene.stage.head());
    assert_ne!(last["commit"]["id"], good);
    let outcomes: Vec<_> =
        scene.entries("prod", "promote").into_iter().filter(|e| e["of"] == last["supersedes"]).collect();
    assert!(outcomes.iter().all(|entry| entry["phase"] == "superseded"), "it neither settled nor failed: {outcomes:?}");
}

pub(crate) fn among_others(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "among");
    scene.on("env/prod");
    scene.git_as("lena", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.stage.write("base/more.yaml", &config_map("more", "x"));
    scene.commit("lena", "and one more thing");
    scene.expect("refuse", &["unproven-content"], &["base/more.yaml"]);
    assert_eq!(rollback(&scene), serde_json::Value::Null);
}

pub(crate) fn two_at_once(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "twoatonce");
    let first = opened(&scene)[0].clone();
    scene.on("env/prod");
    scene.own("prod", "second thoughts");
    let own = scene.commit("lena", "prod: other settings");
    scene.run();
    scene.git_as("nobody", &["revert", "--no-edit", &own]);
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.run();
    let last = rollback(&scene);
    assert_eq!((&last["rollback"]["to"], &last["commit"]["id"]), (&first["sequence"], &json!(scene.stage.head())));
    assert!(!has(&scene, "twoatonce", "flag"), "both are taken back");
}

pub(crate) fn twice(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "twice");
    let entries = opened(&scene);
    scene.on("env/prod");
    scene.own("prod", "second thoughts");
    let own = scene.commit("lena", "prod: other settings");
    scene.run();
    scene.git_as("nobody", &["revert", "--no-edit", &own]);
    scene.run();
    assert_eq!(rollback(&scene)["rollback"]["to"], entries[1]["sequence"]);
    // What the rollback opened was first opened as M1: before that stood A.
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.run();
    let last = rollback(&scene);
    assert_eq!((&last["rollback"]["to"], &last["release"]), (&entries[0]["sequence"], &entries[0]["release"]));
    silent(&scene);
}

pub(crate) fn writers(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "bywriters");
    scene.pipeline("", "", "writers: [release-managers]\nrollback: {by: writers}");
    scene.on("env/prod");
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.expect("refuse", &["carrier-needs-approval"], &[]);
    scene.git_as("lena", &["commit", "-q", "--allow-empty", "-m", "I want it"]);
    scene.run();
    assert_eq!(
        (scene.standing("prod"), rollback(&scene)["action"].clone()),
        (scene.tip("env/prod"), json!("rollback"))
    );
}

pub(crate) fn without_from(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "nofrom");
    scene.on("env/dev");
    scene.git_as("nobody", &["revert", "--no-edit", "HEAD"]);
    scene.run();
    let back: Vec<_> =
        scene.entries("dev", "rollback").into_iter().filter(|entry| entry["phase"] == "opened").collect();
    assert_eq!((back.len(), &back[0]["commit"]["id"], &back[0]["hold"]), (1, &scene.tip("env/dev"), &json!(null)));
    assert_eq!(scene.standing("dev"), scene.tip("env/dev"));
}

pub(crate) fn left_unread(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "leftunread");
    scene.on("env/dev");
    scene.git_as("nobody", &["revert", "--no-commit", "HEAD"]);
    scene.stage.write("extra/extra.yaml", &config_map("extra", "evil"));
    scene.stage.write("extra/kustomization.yaml", "resources: [extra.yaml]\n");
    let back = scene.commit("nobody", "back to 1.0");
    scene.run();
    assert_eq!(scene.standing("dev"), back);
    scene.stage.write("base/kustomization.yaml", "resources: [deploy.yaml, ../extra]\n");
    scene.commit("lena", "base reads extra");
    scene.run();
    assert_eq!(scene.standing("dev"), back, "nobody who may write put that there");
    let ran = scene.stage.lockmaster(&["verify", "dev"]);
    assert!(ran.stdout.contains("[unsigned-commit]") && ran.stdout.contains("\"back to 1.0\""), "{}", ran.stdout);
    scene.stage.write("extra/extra.yaml", &config_map("extra", "good"));
    scene.stage.write("extra/kustomization.yaml", "resources: [extra.yaml] # by lena\n");
    let tip = scene.commit("lena", "extra, by lena");
    scene.run();
    assert_eq!(scene.standing("dev"), tip, "{}", scene.stage.lockmaster(&["explain", "dev"]).stdout);
}

pub(crate) fn not_kept(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "notkept");
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    std::fs::write(&file, text.replace("spec:\n", "spec:\n  keep: 1\n")).expect("because it is ours");
    scene.on("env/prod");
    scene.git_as("nobody", &["revert", "--no-edit", "-m", "1", &merge]);
    // Staging proved it: it is promoted like any other content.
    scene.expect("admit", &[], &["of staging/"]);
    assert_eq!(rollback(&scene), json!(null));
}

pub(crate) fn own_inputs(plane: &'static ControlPlane) {
    let (scene, _) = at_m1(plane, "owninputs");
    scene.on("env/prod");
    scene.own("prod", "worse");
    let own = scene.commit("lena", "prod: other settings");
    scene.run();
    scene.pipeline("", "", SHUT);
    scene.git_as("nobody", &["revert", "--no-edit", &own]);
    scene.run();
    let last = rollback(&scene);
    assert_eq!(last["hold"]["files"].as_object().map(|files| files.len()), Some(1), "{last:#}");
    let settings = plane.get("/api/v1/namespaces/owninputs-prod/configmaps/settings").expect("because it stands");
    assert_eq!(settings["data"]["value"], "by lena");
}
