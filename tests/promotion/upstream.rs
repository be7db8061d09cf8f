//! Rows 19 to 23, 27, 28, 36 and 50: what upstream proved, and what it did not.

use crate::control_plane::ControlPlane;
use crate::scene::{Scene, config_map, deployment};
use crate::{TWO, WRITERS};

pub(crate) fn row_19_soaking(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row19", WRITERS);
    scene.run();
    scene.pipeline("", "soak: 1h", WRITERS);
    scene.ship_to_staging();
    scene.run();
    scene.merge("lena", "env/staging");
    let words = ["soaks until 20", "lockmaster explain prod"];
    scene.expect("wait", &["upstream-not-proven"], &words);
    // Where releases soak, the next one waits for them in staging itself.
    scene.ship_more("second");
    scene.run();
    let words = ["is not proven yet", "`queue: newest` would not wait for it"];
    scene.look("staging", "wait", &["soaking"], &words);
    assert_ne!(scene.standing("staging"), scene.tip("env/staging"));
    scene.pipeline("", "soak: 1h\nqueue: newest", WRITERS);
    scene.run();
    assert_eq!(scene.standing("staging"), scene.tip("env/staging"));
    // What never was proven there and is gone again proves nothing.
    scene.expect("refuse", &["unproven-content"], &["ran this content, and was replaced before it was proven"]);
}

pub(crate) fn row_20(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row20", WRITERS);
    scene.run();
    scene.ship_to_staging();
    scene.stage.write("overlays/staging/bad.yaml", &deployment("bad", "bad:crash", "one"));
    scene.commit("dana", "a neighbour that crashes");
    scene.pipeline("", "deadline: 1s\nownImages: [registry.example.com/bad]", WRITERS);
    scene.run();
    scene.run();
    assert_eq!(scene.standing("staging"), scene.tip("env/staging"), "it was not tried");
    scene.merge("lena", "env/staging");
    scene.expect("refuse", &["upstream-failed"], &["staging/", " failed: ", "bad", "fix it upstream first"]);
}

pub(crate) fn rows_21_22_27_36_50(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row21", WRITERS);
    let before = scene.stage.git(&["rev-parse", "env/prod"]);
    // 21: a branch that staging never ran.
    scene.stage.git(&["checkout", "-q", "-b", "feature", "env/staging"]);
    scene.deploy("v3", "three");
    scene.stage.write("base/flag.yaml", &config_map("flag", "off"));
    scene.commit("dana", "never in staging");
    scene.merge("lena", "feature");
    let words = ["base/deploy.yaml, base/flag.yaml: is as in neither staging/", "merge into env/staging first"];
    scene.expect("refuse", &["unproven-content"], &words);
    // 22: a merge whose content neither side has.
    scene.force("env/prod", &before);
    scene.git_as("lena", &["merge", "-q", "--no-ff", "--no-commit", "env/staging"]);
    scene.deploy("v4", "neither");
    scene.commit("lena", "evil merge");
    scene.expect("refuse", &["unproven-content"], &["base/deploy.yaml: is as in neither staging/", "nor the standing"]);
    // 27: a hotfix past staging, by a writer, with no statement.
    scene.force("env/prod", &before);
    scene.deploy("v1", "hotfix");
    scene.commit("lena", "hotfix");
    let words = ["base/deploy.yaml", "lockmaster approve prod --override upstream --reason"];
    scene.expect("refuse", &["unproven-content"], &words);
    // 36: what nobody signed, below a merge that somebody did.
    scene.force("env/prod", &before);
    scene.stage.write("base/extra.yaml", &config_map("extra", "unsigned"));
    let unsigned = scene.commit("nobody", "slipped in");
    scene.merge("lena", "env/staging");
    let words = ["base/extra.yaml", &format!("brought by the unsigned commit {}", &unsigned[..7])];
    scene.expect("refuse", &["unproven-content"], &words);
    // 50: a folder that prod alone reads, outside `own`.
    scene.force("env/prod", &before);
    scene.stage.write("components/ha/ha.yaml", &config_map("ha", "on"));
    scene.commit("lena", "high availability");
    let paths = "paths: [base, overlays/prod, components/ha]\n";
    scene.pipeline("", "", &format!("{paths}own: [overlays/prod]\n{WRITERS}"));
    let words = ["no release of staging reads components/ha", "`own: [overlays/prod, components/ha]`"];
    scene.expect("refuse", &["unproven-content"], &words);
    scene.pipeline("", "", &format!("{paths}own: [overlays/prod, components/ha]\n{WRITERS}"));
    scene.expect("admit", &[], &["signed by lena@example.com"]);
}

pub(crate) fn row_36b(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row36", WRITERS);
    scene.on("env/prod");
    scene.stage.write("base/extra.yaml", &config_map("extra", "unsigned"));
    scene.commit("nobody", "slipped in");
    scene.stage.git(&["rm", "-q", "base/extra.yaml"]);
    scene.commit("kim", "taken out");
    scene.merge("lena", "env/staging");
    scene.expect("admit", &[], &["of staging/", "signed by lena@example.com", "1 unauthorised commit void"]);
}

pub(crate) fn row_23(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row23", WRITERS);
    let merge = scene.merge("lena", "env/staging");
    scene.run();
    scene.git_as("lena", &["revert", "--no-edit", "-m", "1", &merge]);
    let revert = scene.stage.head();
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "the revert was not opened");
    scene.ship_more("next");
    scene.run();
    scene.merge("lena", "env/staging");
    let left = "leaves out base/deploy.yaml, base/flag.yaml of staging/";
    let ways = format!(
        "git switch --detach origin/env/dev && git merge -S --no-edit origin/env/prod && git push origin HEAD:env/dev; \
         if it shall come: lockmaster promote prod; the same in plain git, then merge again: git fetch origin && git switch \
         --detach origin/env/prod && git revert -S --no-edit {} && git push origin HEAD:env/prod",
        &revert[..7]
    );
    let words = [left, "if it shall stay out, merge back", &ways];
    scene.expect("refuse", &["promotion-incomplete"], &words);
}

pub(crate) fn row_28(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row28", WRITERS);
    scene.run();
    scene.on("env/prod");
    scene.deploy("v1", "hotfix");
    let hotfix = scene.commit("lena", "hotfix");
    scene.approve("lena", &hotfix, &["Overrides: upstream"]);
    let words = ["base/deploy.yaml", "the override by lena@example.com gives no reason"];
    scene.expect("refuse", &["unproven-content"], &words);
    scene.approve("kim", &hotfix, &["orders cannot be paid", "Overrides: upstream"]);
    // Where approvals are set, as many override as approve.
    scene.pipeline("", "", TWO);
    scene.look("prod", "refuse", &["unproven-content"], &[]);
    scene.pipeline("", "", WRITERS);
    scene.expect("admit", &[], &["override by kim@example.com: orders cannot be paid"]);
}
