//! What the forge did, what the agent does: `promotion.md`, section 1, by row number.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod scene;
#[path = "../stage/mod.rs"]
mod stage;

use std::process::ExitCode;

use control_plane::{ControlPlane, Test, run_anywhere};
use scene::Scene;

/// What prod of the fixture demands where the table says N=0: somebody with rights there wants it.
const WRITERS: &str = "writers: [release-managers]";
/// The same with two approvals, N=2.
const TWO: &str = "writers: [release-managers]\napprovals: {count: 2, role: release-managers, excludeAuthor: true}";

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("row_01_02_a_forge_merge_waits_for_two_approvals_and_enters_with_them", rows_1_2),
        ("row_03_a_forge_merge_that_nobody_with_rights_wants_is_refused", row_3),
        ("row_07_a_merge_signed_by_a_writer_enters", row_7),
        ("row_14_a_fast_forward_says_nothing_about_prod", row_14),
        ("row_17_own_inputs_of_somebody_else_are_refused_even_merged_by_a_writer", row_17),
        ("row_22_a_merge_with_a_hand_made_third_content_is_refused", row_22),
    ];
    control_plane::at_once(4);
    run_anywhere(tests)
}

fn rows_1_2(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row1", TWO);
    let merge = scene.merge("forge", "env/staging");
    scene.expect("wait", &["approvals-missing"], &["needs 2 of release-managers", "inputs and 1 image of staging/"]);
    scene.approve("lena", &merge, &[]);
    scene.approve("omar", &merge, &[]);
    scene.expect("admit", &[], &["2 of 2 release-managers: lena@example.com, omar@example.com", "carried"]);
}

fn row_3(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row3", WRITERS);
    scene.merge("forge", "env/staging");
    scene.expect("refuse", &["carrier-needs-approval"], &["nobody with rights in prod signed"]);
}

fn row_7(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row7", WRITERS);
    scene.merge("lena", "env/staging");
    scene.expect("admit", &[], &["of staging/", "signed by lena@example.com"]);
}

fn row_14(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row14", WRITERS);
    scene.run();
    scene.on("env/dev");
    scene.deploy("v2", "two");
    scene.commit("lena", "shop 1.1");
    scene.on("env/prod");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.git_as("nobody", &["merge", "-q", "--no-ff", "-m", "forge", "env/staging"]);
    scene.expect("refuse", &["carrier-needs-approval"], &[]);
}

fn row_17(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row17", WRITERS);
    scene.run();
    scene.on("env/dev");
    scene.deploy("v2", "two");
    scene.own("prod", "by dana");
    scene.commit("dana", "shop 1.1 and prod's settings");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.on("env/prod");
    scene.git_as("lena", &["merge", "-q", "--no-ff", "-X", "theirs", "-m", "merge", "env/staging"]);
    scene.expect(
        "refuse",
        &["own-path-unsigned"],
        &["overlays/prod/patch.yaml", "dana@example.com", "not a writer of prod"],
    );
}

fn row_22(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row22", WRITERS);
    scene.on("env/prod");
    scene.git_as("lena", &["merge", "-q", "--no-ff", "--no-commit", "env/staging"]);
    scene.deploy("v3", "neither");
    scene.commit("lena", "evil merge");
    scene.expect("refuse", &["unproven-content"], &["base/deploy.yaml", "neither staging/"]);
}
