//! What is each unit's own: its releases, its health, its failures.

use crate::bare;
use crate::control_plane::ControlPlane;
use crate::scene::Scene;

pub(crate) fn one_unit(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "apart", &[("dev", "")]);
    for unit in ["cart", "web", "mail"] {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    scene.stage.git(&["checkout", "-q", "-b", "env/dev"]);
    scene.run();
    let before = scene.story("dev").len();
    scene.settings("web", "v2");
    scene.commit("web 1.1");
    scene.stage.proxy.forget();
    scene.run();
    assert_eq!(scene.story("dev")[before..], ["sync opened web", "sync proven web"]);
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"));
    let writes = scene.stage.proxy.writes();
    let target: Vec<&str> =
        writes.iter().map(|call| call.path.as_str()).filter(|path| path.contains("apart-dev")).collect();
    assert!(target.iter().all(|path| path.contains("web-settings")), "{target:?}");
}

pub(crate) fn a_unit_that_fails(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "fails", &[("dev", ", deadline: 3s"), ("prod", "")]);
    for unit in ["cart", "web"] {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    for branch in ["env/dev", "env/prod"] {
        scene.stage.git(&["branch", branch]);
    }
    scene.run();
    assert_eq!(scene.live("prod", "web").as_deref(), Some("v1"), "{:?}", scene.story("prod"));
    scene.stage.git(&["checkout", "-q", "env/dev"]);
    scene.app("cart", "crash");
    scene.app("web", "v2");
    scene.commit("shop 1.1");
    scene.stage.git(&["branch", "-f", "env/prod", "env/dev"]);
    let ran = scene.run();
    let story = scene.story("dev");
    assert!(story.iter().any(|line| line == "sync failed cart"), "{story:?}\n{}", ran.stdout);
    assert!(
        story.iter().filter(|line| line.starts_with("sync proven") && line.contains("web")).count() == 2,
        "{story:?}"
    );
    // Prod takes the one that is proven and not the other.
    assert_eq!(scene.live("prod", "web").as_deref(), Some("v2"), "{:?}", scene.story("prod"));
    assert_eq!(scene.live("prod", "cart").as_deref(), Some("v1"));
    let refused = scene.story("prod");
    assert!(refused.iter().any(|line| line == "refuse cart"), "{refused:?}\n{}", ran.stdout);
}

/// Two apps in dev at version 1, of which web went on to version 2; the branch is checked out.
pub(crate) fn two_versions(plane: &'static ControlPlane, name: &str, keys: &str) -> Scene {
    let scene = Scene::new(plane, name, &[("dev", keys)]);
    for unit in ["cart", "web"] {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    scene.stage.git(&["checkout", "-q", "-b", "env/dev"]);
    scene.run();
    scene.settings("web", "v2");
    scene.commit("web 1.1");
    scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"));
    scene
}

pub(crate) fn a_revert(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "revert", "");
    let before = scene.entries("dev").len();
    scene.settings("cart", "v2");
    scene.commit("cart 1.1");
    scene.stage.git(&["revert", "--no-edit", "HEAD~1"]);
    scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v1"));
    assert_eq!(scene.live("dev", "cart").as_deref(), Some("v2"));
    let entries = scene.entries("dev");
    let opened = |unit: &str| {
        let about =
            |entry: &&serde_json::Value| entry["phase"] == "opened" && entry["units"] == serde_json::json!([unit]);
        entries[before..]
            .iter()
            .find(about)
            .unwrap_or_else(|| panic!("{unit} was not opened: {:?}", scene.story("dev")))
    };
    assert_eq!(opened("web")["action"], "rollback");
    assert_eq!(opened("cart")["action"], "sync");
}

pub(crate) fn goes_back_by_itself(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "alone", ", deadline: 3s, onFailure: rollback");
    scene.app("web", "crash");
    scene.app("cart", "v2");
    scene.commit("shop 2.0");
    let ran = scene.run();
    let story = scene.story("dev");
    assert!(story.iter().any(|line| line == "rollback opened web"), "{story:?}\n{}", ran.stdout);
    assert!(!story.iter().any(|line| line.starts_with("rollback") && line.contains("cart")), "{story:?}");
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"), "the release before the one that crashes");
    assert_eq!(scene.live("dev", "cart").as_deref(), Some("v2"));
}

pub(crate) fn own_revert(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "ownrevert", ", deadline: 3s, onFailure: rollback");
    scene.app("web", "crash");
    scene.app("cart", "v2");
    let bad = scene.commit("shop 2.0");
    let bare = bare::remote(&scene.stage);
    let key = scene.stage.folder().join("dana").display().to_string();
    let run = || scene.stage.lockmaster(&["run", "--once", "--writer-key", &key]);
    let ran = run();
    let shown = |format: &str| scene.stage.git(&["--git-dir", &bare, "log", "-1", format, "env/dev"]);
    assert_eq!(shown("--format=%P"), bad, "the agent pushed one commit: {}", ran.stderr);
    assert!(shown("--format=%s").starts_with("Revert web to dev/"), "{}", shown("--format=%B"));
    let touched = scene.stage.git(&["--git-dir", &bare, "diff", "--name-only", &bad, "env/dev"]);
    assert_eq!(touched, "deploy/apps/web/deploy.yaml\ndeploy/apps/web/settings.yaml", "no other unit is touched");
    let opened = || scene.story("dev").into_iter().filter(|line| line.contains("opened")).count();
    let (tip, before) = (shown("--format=%H"), opened());
    let ran = run();
    assert_eq!((shown("--format=%H"), opened()), (tip, before), "it is pushed once, and opens nothing: {}", ran.stdout);
    assert_eq!(["web", "cart"].map(|unit| scene.live("dev", unit)), [Some("v2".to_owned()), Some("v2".to_owned())]);
    let status = scene.stage.lockmaster(&["status", "-o", "json"]).json();
    assert_eq!(status["environments"][0]["state"], "current", "{status:#}");
}

pub(crate) fn gone_from_git(plane: &'static ControlPlane) {
    let scene = two_versions(plane, "gone", "");
    scene.stage.git(&["rm", "-rq", "deploy/apps/web"]);
    scene.settings("cart", "v2");
    scene.commit("web is gone");
    let ran = scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"), "nothing is pruned");
    assert_eq!(scene.live("dev", "cart").as_deref(), Some("v2"), "{:?}", scene.story("dev"));
    assert!(scene.story("dev").iter().any(|line| line == "refuse web"), "{:?}", scene.story("dev"));
    assert!(ran.stdout.contains("[path-not-found]") && ran.stdout.contains("web"), "{}", ran.stdout);
}
