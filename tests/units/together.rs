//! What units share: the log, the accepted head, the watches.

use crate::control_plane::ControlPlane;
use crate::scene::Scene;

pub(crate) fn units_that_open_at_once_share_an_entry(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "together", &[("dev", "")]);
    for unit in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    scene.stage.git(&["branch", "env/dev"]);
    let ran = scene.run();
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    let story = scene.story("dev");
    // The first that is ready does not wait for the others; those that are ready meanwhile go together.
    let opened = story.iter().filter(|line| line.starts_with("sync opened")).count();
    assert!(opened < 8, "{story:?}");
    let units =
        |what: &str| story.iter().filter_map(|line| line.strip_prefix(what)).flat_map(|units| units.split(',')).count();
    assert_eq!((story[0].as_str(), units("sync opened "), units("sync proven ")), ("genesis", 8, 8), "{story:?}");
    for unit in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        assert_eq!(scene.live("dev", unit).as_deref(), Some("v1"));
    }
    // A run that finds everything as it is writes nothing.
    scene.stage.proxy.forget();
    assert_eq!(scene.run().code, Some(0));
    assert_eq!(scene.story("dev"), story);
    let writes = scene.stage.proxy.writes();
    assert!(writes.is_empty(), "{writes:?}");
}

pub(crate) fn a_shared_file(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "shared", &[("dev", "")]);
    scene.stage.write("deploy/base/note.yaml", &note("v1"));
    for unit in ["cart", "web"] {
        scene.app(unit, "v1");
        let text = format!("resources: [settings.yaml, ../../base]\nnamePrefix: {unit}-\n");
        scene.stage.write(&format!("deploy/apps/{unit}/kustomization.yaml"), &text);
        scene.stage.write(&format!("deploy/apps/{unit}/deploy.yaml"), "");
    }
    scene.stage.write("deploy/base/kustomization.yaml", "resources: [note.yaml]\n");
    scene.app("mail", "v1");
    scene.commit("shop 1.0");
    scene.stage.git(&["checkout", "-q", "-b", "env/dev"]);
    scene.run();
    let before = scene.story("dev").len();
    scene.stage.write("deploy/base/note.yaml", &note("v2"));
    scene.commit("note 1.1");
    scene.run();
    let story = scene.story("dev")[before..].to_vec();
    let touched: std::collections::BTreeSet<&str> =
        story.iter().filter_map(|line| line.strip_prefix("sync opened ")).flat_map(|units| units.split(',')).collect();
    assert_eq!(touched, ["cart", "web"].into(), "{story:?}");
}

fn note(value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: note}}\ndata: {{value: {value}}}\n")
}

pub(crate) fn one_owner(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "owner", &[("dev", "")]);
    for unit in ["cart", "web"] {
        scene.app(unit, "v1");
    }
    scene.commit("shop 1.0");
    scene.stage.git(&["checkout", "-q", "-b", "env/dev"]);
    scene.run();
    // Web names cart's settings as well.
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart-settings}\ndata: {value: stolen}\n";
    scene.stage.write("deploy/apps/web/stolen.yaml", text);
    scene.commit("web takes what is cart's");
    let ran = scene.run();
    assert_eq!(scene.live("dev", "cart").as_deref(), Some("v1"), "{}", ran.stdout);
    assert!(ran.stdout.contains("[duplicate-object]") && ran.stdout.contains("unit `cart`"), "{}", ran.stdout);
    scene.stage.git(&["rm", "-q", "deploy/apps/web/stolen.yaml"]);
    scene.settings("web", "v2");
    scene.commit("web leaves it");
    assert_eq!(scene.run().code, Some(0));
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"));
}

pub(crate) fn a_freeze(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "freeze", &[("dev", "")]);
    for unit in ["cart", "mail", "web"] {
        scene.app(unit, "v1");
    }
    let first = scene.commit("shop 1.0");
    scene.stage.git(&["checkout", "-q", "-b", "env/dev"]);
    scene.run();
    scene.stage.git(&[
        "tag",
        "-s",
        "freeze/shop/dev/fair",
        &first,
        "-m",
        "a fair",
        "-m",
        "Until: 2099-01-01T00:00:00Z",
    ]);
    for unit in ["cart", "web"] {
        scene.settings(unit, "v2");
    }
    scene.commit("shop 1.1");
    let ran = scene.run();
    let story = scene.story("dev");
    assert_eq!(story.iter().filter(|line| line.starts_with("freeze")).count(), 1, "{story:?}");
    assert!(story.iter().any(|line| line == "freeze"), "it is about the environment: {story:?}");
    for unit in ["cart", "web"] {
        assert_eq!(scene.live("dev", unit).as_deref(), Some("v1"), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("[frozen]"), "{}", ran.stdout);
    let first = scene.stage.head();
    scene.stage.git(&["tag", "-s", "unfreeze/shop/dev/fair", &first, "-m", "the fair is over"]);
    assert_eq!(scene.run().code, Some(0));
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v2"), "{:?}", scene.story("dev"));
}

pub(crate) fn strangers(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "strangers", &[("dev", "")]);
    scene.app("web", "v1");
    scene.app("Not_A_Unit", "v1");
    scene.stage.write("deploy/apps/README.md", "What each app is for.\n");
    scene.commit("shop 1.0");
    scene.stage.git(&["checkout", "-q", "-b", "env/dev"]);
    let ran = scene.run();
    assert_eq!(scene.live("dev", "web").as_deref(), Some("v1"), "{}", ran.stdout);
    assert!(ran.stderr.contains("Not_A_Unit"), "{}", ran.stderr);
}
