//! Rows 17, 18 and 24 to 26: what belongs to prod alone, and nobody upstream ever runs.

use crate::control_plane::ControlPlane;
use crate::scene::{Scene, config_map};
use crate::{TWO, WRITERS};

pub(crate) fn rows_17_18(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row17", WRITERS);
    scene.run();
    scene.on("env/dev");
    scene.deploy("v2", "two");
    scene.own("prod", "by dana");
    let by_dana = scene.commit("dana", "shop 1.1 and prod's settings");
    scene.stage.git(&["branch", "-f", "env/staging", "env/dev"]);
    scene.run();
    scene.on("env/prod");
    let before = scene.stage.head();
    let who = format!("dana@example.com ({})", &by_dana[..7]);
    for merged_by in ["forge", "lena"] {
        scene.force("env/prod", &before);
        scene.git_as(merged_by, &["merge", "-q", "--no-ff", "-X", "theirs", "-m", "merge", "env/staging"]);
        let words = ["overlays/prod/patch.yaml", &who, "not a writer of prod", "staging never runs it"];
        scene.expect("refuse", &["own-path-unsigned"], &words);
    }
    scene.pipeline("", "", TWO);
    let changed = format!("own inputs change: overlays/prod/patch.yaml by {who}");
    scene.expect("wait", &["approvals-missing"], &[&changed]);
}

pub(crate) fn rows_24_25_26(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "row24", WRITERS);
    scene.run();
    scene.on("env/prod");
    let before = scene.stage.head();
    for (who, words) in [("nobody", "dana@example.com, unsigned"), ("forge", "forge@example.com, by forge key")] {
        scene.force("env/prod", &before);
        scene.own("prod", "by the web editor");
        scene.commit(who, "edited");
        let cures =
            ["overlays/prod/patch.yaml", words, "not a writer of prod", "git commit -S", "lockmaster approve prod"];
        scene.expect("refuse", &["own-path-unsigned"], &cures);
    }
    scene.pipeline("", "", TWO);
    let edited = scene.stage.head();
    scene.approve("lena", &edited, &[]);
    scene.approve("omar", &edited, &[]);
    scene.expect(
        "admit",
        &[],
        &["shared inputs are those of the standing release", "lena@example.com, omar@example.com"],
    );
    scene.pipeline("", "", WRITERS);
    scene.own("prod", "by lena herself");
    scene.commit("lena", "prod: settings");
    scene.expect("admit", &[], &["shared inputs are those of the standing release", "signed by lena@example.com"]);
}

pub(crate) fn left_unread(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "leftunread", WRITERS);
    scene.run();
    scene.on("env/prod");
    scene.stage.write("overlays/prod/kustomization.yaml", "resources: [patch.yaml]\n");
    scene.commit("lena", "prod: a kustomization");
    scene.run();
    scene.stage.write("overlays/prod/extra.yaml", &config_map("extra", "evil"));
    let planted = scene.commit("nobody", "extra");
    scene.own("prod", "by lena, again");
    let above = scene.commit("lena", "prod: settings");
    scene.run();
    assert_eq!(scene.standing("prod"), above, "what nobody reads stops nobody");
    scene.stage.write("overlays/prod/kustomization.yaml", "resources: [patch.yaml, extra.yaml]\n");
    scene.commit("lena", "prod reads extra");
    let who = format!("dana@example.com, unsigned ({})", &planted[..7]);
    scene.expect("refuse", &["own-path-unsigned"], &["overlays/prod/extra.yaml", &who]);
}
