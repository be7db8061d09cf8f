//! Rows 1 to 16 and 29: the same proven content, carried in every shape that a forge knows.

use crate::control_plane::ControlPlane;
use crate::scene::Scene;
use crate::{ALLOW, TWO, WRITERS};

pub(crate) fn rows_1_2_5(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row1", TWO);
    let before = scene.tip("env/prod");
    scene.merge("nobody", "env/staging");
    scene.expect("wait", &["approvals-missing"], &["needs 2 of release-managers, has 0", "carried unsigned"]);
    scene.force("env/prod", before.as_str().expect("because it is an id"));
    let merge = scene.merge("forge", "env/staging");
    let command = format!("git tag -s approve/shop/prod/NAME {}", &merge[..7]);
    let words = ["inputs and 1 image of staging/", "carried by forge key", "lockmaster approve prod", &command];
    scene.expect("wait", &["approvals-missing"], &words);
    scene.approve("lena", &merge, &[]);
    scene.look("prod", "wait", &["approvals-missing"], &["needs 2 of release-managers, has 1: lena@example.com"]);
    scene.approve("omar", &merge, &[]);
    scene.expect(
        "admit",
        &[],
        &["2 of 2 release-managers: lena@example.com, omar@example.com", "carried by forge key"],
    );
}

pub(crate) fn rows_3_4_5_6(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row3", WRITERS);
    let before = scene.tip("env/prod");
    let shapes = [
        ("forge", "carried by forge key"),
        ("nobody", "carried unsigned"),
        ("dana", "carried by dana@example.com (not a writer of prod)"),
    ];
    for (who, words) in shapes {
        scene.force("env/prod", before.as_str().expect("because it is an id"));
        scene.merge(who, "env/staging");
        scene.pipeline("", "", WRITERS);
        let cures = ["lockmaster approve prod", "git merge -S", "`carriers: allow`"];
        let refused = scene.look("prod", "refuse", &["carrier-needs-approval"], &cures);
        assert!(
            refused.text.contains("nobody with rights in prod signed") && refused.text.contains(words),
            "{refused:?}"
        );
        scene.pipeline("", "", TWO);
        scene.look("prod", "wait", &["approvals-missing"], &[words]);
        scene.pipeline("", "", ALLOW);
        scene.look("prod", "admit", &[], &["of staging/", "`carriers: allow`", words]);
    }
    scene.pipeline("", "", WRITERS);
    scene.expect("refuse", &["carrier-needs-approval"], &["git merge -S"]);
    scene.pipeline("", "", ALLOW);
    scene.expect("admit", &[], &["of staging/", "`carriers: allow`", "carried by dana@example.com"]);
}

pub(crate) fn rows_7_8(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row7", TWO);
    let merge = scene.merge("lena", "env/staging");
    scene.approve("lena", &merge, &[]);
    let author = "lena@example.com is an author of what is newly shipped";
    scene.expect("wait", &["approvals-missing"], &["needs 2 of release-managers, has 0", author]);
    scene.pipeline("", "", WRITERS);
    scene.expect("admit", &[], &["of staging/", "signed by lena@example.com"]);
}

pub(crate) fn row_29(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row29", WRITERS);
    scene.on("env/prod");
    scene.git_as("lena", &["merge", "-q", "--no-ff", "--no-commit", "env/staging"]);
    let tree = scene.stage.git(&["write-tree"]);
    scene.stage.git(&["merge", "--abort"]);
    let parents =
        ["commit-tree", "-S", &tree, "-p", "env/staging", "-p", "env/prod", "-m", "merge, the other way round"];
    let swapped = scene.git_as("lena", &parents);
    scene.force("env/prod", &swapped);
    scene.expect("admit", &[], &["of staging/", "signed by lena@example.com"]);
}

/// Carries the content of S as a copy of its commits: as a squash, and as a rebase.
fn copied(scene: &Scene, carry: impl Fn()) -> String {
    scene.on("env/prod");
    carry();
    scene.expect("refuse", &["carrier-needs-approval"], &["nobody with rights in prod", "carried"]);
    scene.pipeline("", "", TWO);
    let commit = scene.stage.head();
    scene.approve("lena", &commit, &[]);
    scene.expect("wait", &["approvals-missing"], &["has 1: lena@example.com"]);
    scene.approve("omar", &commit, &[]);
    let how =
        ["of staging/", "by content, not merged: the next merge may conflict", "lena@example.com, omar@example.com"];
    scene.expect("admit", &[], &how);
    commit
}

pub(crate) fn rows_9_10_11(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row9", WRITERS);
    copied(&scene, || {
        scene.git_as("forge", &["merge", "-q", "--squash", "env/staging"]);
        scene.commit("forge", "shop 1.1 (#1)");
    });
    // The next squash conflicts, as the first one told; whoever solves it in the forge may make anything of it.
    scene.on("env/dev");
    scene.deploy("v3", "three");
    scene.commit("dana", "shop 1.2");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.on("env/prod");
    scene.deploy("v3", "solved in the web editor");
    scene.commit("nobody", "shop 1.2 (#2)");
    let words = ["base/deploy.yaml", "neither staging/", "nor the standing release", "lockmaster promote prod"];
    scene.expect("refuse", &["unproven-content"], &words);
}

pub(crate) fn rows_12_13(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row12", WRITERS);
    scene.run();
    scene.ship_to_staging();
    scene.ship_more("second");
    scene.run();
    copied(&scene, || {
        scene.git_as("nobody", &["cherry-pick", "env/staging~1", "env/staging"]);
        let words = ["2 commits carried unsigned", "it drops signatures"];
        scene.look("prod", "refuse", &["carrier-needs-approval"], &words);
    });
}

pub(crate) fn rows_14_15(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row14", WRITERS);
    scene.run();
    scene.on("env/dev");
    scene.stage.git(&["merge", "-q", "--ff-only", "env/prod"]);
    scene.deploy("v2", "two");
    // She may write prod, and says nothing about it: she made the commit for dev.
    let shipped = scene.commit("lena", "shop 1.1");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.force("env/prod", "env/staging");
    let words = ["a fast-forward, of which no commit says so", "lockmaster approve prod"];
    scene.expect("refuse", &["carrier-needs-approval"], &words);
    scene.pipeline("", "", TWO);
    scene.approve("omar", &shipped, &[]);
    scene.expect("wait", &["approvals-missing"], &["has 1: omar@example.com"]);
    scene.approve("kim", &shipped, &[]);
    scene.expect("admit", &[], &["2 of 2 release-managers: kim@example.com, omar@example.com", "fast-forward"]);
}

pub(crate) fn row_16(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "row16", TWO);
    let before = scene.tip("env/prod");
    let shipped = scene.stage.git(&["rev-parse", "env/staging"]);
    scene.approve("lena", &shipped, &[]);
    scene.approve("omar", &shipped, &[]);
    // A merge that also changes what is prod's own is another thing than they approved.
    scene.on("env/prod");
    scene.git_as("nobody", &["merge", "-q", "--no-ff", "--no-commit", "env/staging"]);
    scene.own("prod", "slipped in");
    scene.commit("nobody", "merge");
    scene.expect("wait", &["approvals-missing"], &["has 0", &format!("names {}, another commit", &shipped[..7])]);
    scene.force("env/prod", before.as_str().expect("because it is an id"));
    let merge = scene.merge("forge", "env/staging");
    let words = format!("lena@example.com, omar@example.com, on {}", &shipped[..7]);
    scene.expect("admit", &[], &[&words]);
    // They are used up: the same content, taken back and merged again, is approved anew.
    scene.on("env/prod");
    scene.git_as("kim", &["revert", "--no-edit", "-m", "1", &merge]);
    let back = scene.stage.head();
    scene.approve("lena", &back, &[]);
    scene.approve("omar", &back, &[]);
    scene.run();
    scene.git_as("kim", &["revert", "--no-edit", &back]);
    let words = ["needs 2 of release-managers, has 0", "holds base/deploy.yaml"];
    scene.expect("wait", &["held-content", "approvals-missing"], &words);
}
