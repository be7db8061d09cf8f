//! Next week: what the next merge brings, and what it silently leaves out.

use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::scene::Scene;
use crate::{at_m1, opened, rollback, stopped};

/// Prod went back from M1 by the revert R; staging has proven S2 = X + Y since.
fn next_week(plane: &'static ControlPlane, name: &str) -> (Scene, String) {
    let (scene, merge) = at_m1(plane, name);
    scene.git_as("lena", &["revert", "--no-edit", "-m", "1", &merge]);
    scene.run();
    scene.ship_more("more");
    scene.run();
    (scene, merge)
}

pub(crate) fn incomplete(plane: &'static ControlPlane) {
    let (scene, _) = next_week(plane, "incomplete");
    let revert = scene.stage.git(&["rev-parse", "--short=7", "env/prod"]);
    scene.merge("forge", "env/staging");
    let left = format!("as {revert} left it");
    let words = ["base/deploy.yaml, base/flag.yaml", left.as_str(), "lockmaster promote prod"];
    scene.expect("refuse", &["promotion-incomplete"], &words);
}

pub(crate) fn back_merge(plane: &'static ControlPlane) {
    let (scene, _) = next_week(plane, "backmerge");
    scene.on("env/staging");
    scene.git_as("dana", &["merge", "-q", "--no-ff", "-m", "take X out", "env/prod"]);
    scene.on("env/dev");
    scene.git_as("dana", &["merge", "-q", "--ff-only", "env/staging"]);
    scene.run();
    assert_eq!(scene.standing("staging"), scene.tip("env/staging"), "staging proves Y alone");
    scene.merge("forge", "env/staging");
    scene.expect("admit", &[], &["of staging/"]);
}

pub(crate) fn revert_of_revert(plane: &'static ControlPlane) {
    let (scene, _) = next_week(plane, "revertofrevert");
    scene.on("env/prod");
    scene.git_as("lena", &["revert", "--no-edit", "HEAD"]);
    scene.expect("wait", &["held-content"], &["base/deploy.yaml, base/flag.yaml"]);
    assert_eq!(opened(&scene).len(), 3, "it is no rollback: it was opened after what stands");
}

pub(crate) fn without_revert(plane: &'static ControlPlane) {
    let (scene, merge) = at_m1(plane, "withoutrevert");
    let entries = opened(&scene);
    let first = entries[0]["commit"]["id"].as_str().expect("because it names its commit").to_owned();
    let trailers = format!("To: {}\nSequence: {}", entries[0]["sequence"], entries[1]["sequence"]);
    scene.state("lena", "rollback/shop/prod/x", &first, &["errors doubled", &trailers]);
    scene.run();
    assert_eq!(
        (rollback(&scene)["hold"]["commit"].clone(), stopped(&scene)),
        (json!(merge), vec!["held-content".to_owned()])
    );
    scene.ship_more("more");
    scene.run();
    scene.merge("forge", "env/staging");
    scene.expect("wait", &["held-content"], &["base/deploy.yaml, base/flag.yaml"]);
    // Unheld, X and Y come together.
    let held = rollback(&scene)["sequence"].to_string();
    scene.state("lena", "unhold/shop/prod/x", "env/prod", &["fixed elsewhere", &format!("Sequence: {held}")]);
    scene.run();
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"));
}
