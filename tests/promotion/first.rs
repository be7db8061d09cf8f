//! Rows 44 to 49 and 51: the first release of an environment.

use crate::WRITERS;
use crate::control_plane::ControlPlane;
use crate::scene::{Scene, config_map};

pub(crate) fn rows_44_45_49_51(plane: &'static ControlPlane) {
    let scene = Scene::empty(plane, "row44", WRITERS);
    for environment in ["dev", "staging", "prod"] {
        scene.own(environment, "first");
    }
    scene.stage.write("base/flag.yaml", &config_map("flag", "on"));
    scene.commit("dana", "no workload");
    scene.stage.git(&["branch", "env/dev"]);
    scene.stage.git(&["branch", "env/staging"]);
    scene.stage.git(&["checkout", "-q", "env/dev"]);
    scene.look("staging", "wait", &["upstream-not-proven"], &["`dev` has no proven release yet"]);
    scene.run();
    assert_eq!(scene.standing("staging"), scene.tip("env/staging"), "45: the first release, as in dev");
    assert!(scene.is_proven("dev"), "49: proven at once");
    scene.on("env/dev");
    scene.stage.write("base/flag.yaml", &config_map("flag", "off"));
    scene.commit("dana", "second");
    scene.run();
    scene.on("env/staging");
    scene.git_as("nobody", &["merge", "-q", "--no-ff", "-m", "merge", "env/dev"]);
    scene.look("staging", "admit", &[], &["the merge itself; carried unsigned", "inputs of dev/"]);
    scene.run();
    assert_eq!(scene.standing("staging"), scene.tip("env/staging"), "51");
}

pub(crate) fn rows_46_47(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row46", "approvals: {count: 1, role: release-managers}");
    scene.stage.git(&["checkout", "-q", "-B", "env/prod", "env/staging"]);
    scene.pipeline("", "soak: 1h", "approvals: {count: 1, role: release-managers}");
    scene.run();
    scene.expect(
        "wait",
        &["upstream-not-proven", "approvals-missing"],
        &["soaks until", "needs 1 of release-managers"],
    );
    // 47: what is prod's own in S is dana's, and then lena's: her own commit still says nothing about prod.
    scene.pipeline("", "", WRITERS);
    scene.run();
    scene.expect("refuse", &["own-path-unsigned"], &["overlays/prod/patch.yaml", "dana@example.com"]);
    scene.on("env/dev");
    scene.own("prod", "by lena");
    scene.deploy("v2", "two");
    let shipped = scene.commit("lena", "prod: own settings");
    for branch in ["env/staging", "env/prod"] {
        scene.stage.git(&["branch", "-f", branch, &shipped]);
    }
    scene.run();
    scene.expect("refuse", &["carrier-needs-approval"], &["a fast-forward, of which no commit says so"]);
    scene.stage.git(&["branch", "-f", "env/prod", &format!("{shipped}~1")]);
    scene.approve("kim", &format!("{shipped}~1"), &[]);
    scene.expect("admit", &[], &["approved by kim@example.com"]);
}

pub(crate) fn row_48(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row48", WRITERS);
    let old = scene.stage.git(&["rev-parse", "env/prod"]);
    scene.stage.git(&["branch", "-f", "env/dev", &old]);
    scene.stage.git(&["branch", "-f", "env/staging", &old]);
    scene.ship_to_staging();
    scene.run();
    let words =
        ["base/deploy.yaml", "no release of staging", "lockmaster promote prod", "--override upstream --reason"];
    scene.expect("refuse", &["unproven-content"], &words);
    scene.state("omar", "approve/shop/prod/anyway", &old, &["first release", "Overrides: upstream"]);
    scene.expect("admit", &[], &["override by omar@example.com: first release"]);
}
