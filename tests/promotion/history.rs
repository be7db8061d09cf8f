//! Rows 32 to 34: the branch of an environment lost what was accepted.

use crate::WRITERS;
use crate::control_plane::ControlPlane;
use crate::scene::Scene;

pub(crate) fn rows_32_33_34(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row32", WRITERS);
    scene.run();
    let accepted = scene.stage.git(&["rev-parse", "env/prod"]);
    let short = &accepted[..7];
    // 32b: a tip that never opened is dropped, and with it whatever it waited for.
    scene.on("env/prod");
    scene.own("prod", "by the web editor");
    scene.commit("nobody", "edited");
    scene.expect("refuse", &["own-path-unsigned"], &[]);
    scene.force("env/prod", &accepted);
    scene.expect("admit", &[], &[]);
    assert_eq!(scene.standing("prod"), accepted.as_str());
    // 32: to an ancestor.
    scene.force("env/prod", "env/prod~1");
    scene.expect(
        "refuse",
        &["ref-rewound"],
        &[short, &format!("git push origin {short}:env/prod"), "lockmaster rollback prod --rewind"],
    );
    // 33: elsewhere.
    scene.own("prod", "elsewhere");
    scene.commit("lena", "elsewhere");
    scene.expect(
        "refuse",
        &["ref-diverged"],
        &[short, &format!("git push --force-with-lease origin {short}:env/prod")],
    );
    // 34: gone; nothing is pruned.
    scene.on("env/dev");
    scene.stage.git(&["branch", "-D", "env/prod"]);
    scene.expect("refuse", &["ref-not-found"], &["env/prod", "git push origin"]);
    let settings = "/api/v1/namespaces/row32-prod/configmaps/settings";
    assert!(scene.stage.plane.get(settings).is_some(), "it was pruned");
}
