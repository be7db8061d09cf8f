//! Promotions that are made for people, and by the agent.

use serde_json::json;

use crate::control_plane::{ControlPlane, eventually};
use crate::scene::Scene;
use crate::state;

const WRITERS: &str = "writers: [release-managers]";

/// Signs with somebody's key, wherever git runs.
fn key(scene: &Scene, who: &str) -> String {
    scene.stage.folder().join(who).display().to_string()
}

pub(crate) fn by_hand(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "byhand", WRITERS);
    scene.stage.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    scene.on("main");
    let before = scene.tip("env/prod");
    let dry = scene.stage.lockmaster(&["promote", "prod", "--dry-run", "--key", &key(&scene, "lena")]);
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(dry.stdout.contains("commit-tree -S") && dry.stdout.contains("push"), "{dry:?}");
    assert_eq!(scene.tip("env/prod"), before, "a dry run pushes nothing");

    let refused = scene.stage.lockmaster(&["promote", "prod", "--key", &key(&scene, "dana")]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stdout.contains("carrier-needs-approval"), "dana may not write there: {refused:?}");
    assert_eq!(scene.tip("env/prod"), before);

    let ran = scene.stage.lockmaster(&["promote", "prod", "--key", &key(&scene, "lena"), "--reason", "release day"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let message = scene.stage.git(&["log", "-1", "--format=%B", "env/prod"]);
    assert!(message.contains("release day") && message.contains("Promoted-From: staging#"), "{message}");
    let parents = scene.stage.git(&["log", "-1", "--format=%P", "env/prod"]);
    assert_eq!(json!(parents.split(' ').collect::<Vec<_>>()), json!([before, scene.tip("env/staging")]));
    let own = scene.stage.git(&["show", "env/prod:overlays/prod/patch.yaml"]);
    assert!(own.contains("by lena"), "own inputs are left alone: {own}");
    scene.expect("admit", &[], &["signed by lena@example.com"]);
    let again = scene.stage.lockmaster(&["promote", "prod", "--key", &key(&scene, "lena")]);
    assert!(again.stdout.contains("nothing to promote"), "{again:?}");
}

pub(crate) fn after_a_revert(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "revert", WRITERS);
    scene.stage.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    scene.merge("lena", "env/staging");
    scene.run();
    scene.git_as("lena", &["revert", "--no-edit", "-m", "1", "HEAD"]);
    scene.run();
    scene.on("env/dev");
    scene.stage.write("base/more.yaml", &crate::scene::config_map("more", "y"));
    scene.commit("dana", "shop 1.2");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.merge("lena", "env/staging");
    scene.expect("refuse", &["promotion-incomplete"], &["base/deploy.yaml, base/flag.yaml", "left it"]);
    scene.on("main");
    let ran = scene.stage.lockmaster(&["promote", "prod@staging/latest", "--key", &key(&scene, "lena")]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    scene.expect("wait", &["held-content"], &["holds base/deploy.yaml, base/flag.yaml"]);
    let held = scene.entries("prod", "rollback")[0]["sequence"].to_string();
    scene.state("lena", "unhold/shop/prod/again", "env/prod", &["it was the network", &format!("Sequence: {held}")]);
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"));
    let flag = plane.get("/api/v1/namespaces/revert-prod/configmaps/flag");
    assert!(flag.is_some(), "what was taken out is back");
}

pub(crate) fn protected(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "protected", WRITERS);
    scene.on("main");
    let hook = scene.stage.repository.join(".git/hooks/update");
    std::fs::create_dir_all(hook.parent().expect("because it lies in a folder")).expect("because it is ours");
    std::fs::write(&hook, "#!/bin/sh\ncase $1 in refs/heads/env/*) echo protected >&2; exit 1;; esac\n")
        .expect("because it is ours");
    let mut mode = std::fs::metadata(&hook).expect("because it was written").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&hook, mode).expect("because it is ours");
    let ran = scene.stage.lockmaster(&["promote", "prod", "--key", &key(&scene, "lena"), "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let document = ran.json();
    let branch = document["branch"].as_str().expect("because it was pushed").to_owned();
    assert!(branch.starts_with("promote/prod/"), "{document}");
    std::fs::remove_file(hook).expect("because it is ours");
    // The forge merges it: its first parent is the tip, so that the merge adds nothing.
    scene.merge("forge", &branch);
    scene.expect("admit", &[], &["signed by lena@example.com"]);
}

pub(crate) fn nothing(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "nothing", WRITERS);
    let early = scene.stage.lockmaster(&["promote", "prod", "--key", &key(&scene, "lena")]);
    assert_eq!(early.code, Some(2), "{early:?}");
    assert!(early.stderr.contains("upstream-not-proven"), "{early:?}");
    scene.run();
    let same = scene.stage.lockmaster(&["promote", "prod", "--key", &key(&scene, "lena")]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(same.stdout.contains("nothing to promote"), "{same:?}");
    let nowhere = scene.stage.lockmaster(&["promote", "dev", "--key", &key(&scene, "lena")]);
    assert!(nowhere.stderr.contains("no `from`"), "{nowhere:?}");
    let other = scene.stage.lockmaster(&["promote", "prod@dev/2", "--key", &key(&scene, "lena")]);
    assert!(other.stderr.contains("prod@staging/SEQ"), "{other:?}");
}

pub(crate) fn by_itself(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "itself", "");
    scene.pipeline(
        "",
        "promote: auto",
        "writers: [release-managers]\npromote: auto\nwindows: [\"daily 00:00-24:00 UTC\"]",
    );
    // A repository without a working tree, as forges have them.
    let bare = scene.stage.folder().join("remote.git").display().to_string();
    scene.stage.git(&["clone", "-q", "--bare", ".", &bare]);
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    std::fs::write(&file, text.replace(&scene.stage.repository.display().to_string(), &bare))
        .expect("because it is ours");
    let remote = |arguments: &[&str]| {
        let git_dir = format!("--git-dir={bare}");
        scene.stage.git(&[&[git_dir.as_str()], arguments].concat())
    };
    let run = |code| {
        let key = key(&scene, "lena");
        let ran = scene.stage.lockmaster(&["run", "--once", "--writer-key", &key]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
    };
    run(0);
    scene.on("env/dev");
    scene.deploy("v2", "two");
    scene.stage.write("base/flag.yaml", &crate::scene::config_map("flag", "on"));
    scene.commit("dana", "shop 1.1");
    scene.stage.git(&["push", "-q", &bare, "env/dev"]);
    run(0);
    for environment in ["staging", "prod"] {
        assert_eq!(state(&scene, environment)["state"], "current", "{environment}");
        let flag = plane.get(&format!("/api/v1/namespaces/itself-{environment}/configmaps/flag"));
        assert!(flag.is_some(), "{environment}");
        let author = remote(&["log", "-1", "--format=%ae", &format!("env/{environment}")]);
        assert!(author.starts_with("lena@example.com"), "{author}");
    }
    // A daemon does the same without anybody asking, and then nothing more.
    let key = key(&scene, "lena");
    let mut agent = scene.stage.spawn(&["run", "--writer-key", &key, "--interval", "1s", "--listen", "127.0.0.1:0"]);
    scene.on("env/dev");
    scene.deploy("v3", "three");
    scene.commit("dana", "shop 1.2");
    scene.stage.git(&["push", "-q", &bare, "env/dev"]);
    eventually("prod runs it", || {
        let web = plane.get("/apis/apps/v1/namespaces/itself-prod/deployments/web")?;
        (web["metadata"]["annotations"]["note"] == "three").then_some(())
    });
    eventually("it is proven there", || (state(&scene, "prod")["state"] == "current").then_some(()));
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    let count = remote(&["rev-list", "--count", "--first-parent", "env/prod"]);
    assert_eq!(count, "4", "one commit for each promotion, and none for none");
}

pub(crate) fn without_a_key(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "keyless", "");
    scene.pipeline("", "", "writers: [release-managers]\npromote: auto");
    let ran = scene.stage.lockmaster(&["run", "--once"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--writer-key FILE"), "{ran:?}");
    let ran = scene.stage.lockmaster(&["run", "--once", "--writer-key", &key(&scene, "dana")]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("no writer of `prod`"), "{ran:?}");
}
