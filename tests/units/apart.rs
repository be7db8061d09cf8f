//! What is each unit's own: its releases, its health, its failures.

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
