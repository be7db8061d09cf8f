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
