//! Whose approval counts, for what, and how often.

use crate::TWO;
use crate::control_plane::ControlPlane;
use crate::scene::Scene;

const LENA: &str = "approve/shop/prod/lena";

pub(crate) fn who_counts(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "counting", TWO);
    let accepted = scene.tip("env/prod");
    let shipped = scene.stage.git(&["rev-parse", "env/staging"]);
    scene.on("env/prod");
    // Kim claims to have written the merge: she has her say already, and so has whoever only says to be her.
    let claim = ["-c", "user.email=kim@example.com", "merge", "-q", "--no-ff", "-m", "merge", "env/staging"];
    scene.git_as("forge", &claim);
    let merge = scene.stage.head();
    scene.state("lena", LENA, &merge, &["once"]);
    scene.state("lena", "approve/shop/prod/lena-again", &merge, &["twice"]);
    scene.state("omar", "approve/shop/staging/omar", &merge, &["another environment"]);
    scene.state("omar", "approve/store/prod/omar", &merge, &["another pipeline"]);
    let words = ["needs 2 of release-managers, has 1: lena@example.com"];
    let told = scene.look("prod", "wait", &["approvals-missing"], &words);
    assert!(!told.text.contains("not counted"), "{}", told.text);
    let old = accepted.as_str().expect("because it is an id").to_owned() + "~1";
    scene.state("omar", "approve/shop/prod/omar-late", &merge, &["over", "Until: 2020-01-01T00:00:00Z"]);
    scene.state("kim", "approve/shop/prod/kim", &merge, &["mine"]);
    scene.state("dana", "approve/shop/prod/dana", &merge, &["not my role"]);
    scene.state("mallory", "approve/shop/prod/mallory", &shipped, &["nobody's key"]);
    scene.stage.git(&["tag", "-a", "--no-sign", "-m", "unsigned", "approve/shop/prod/unsigned", &merge]);
    let words = [
        "has 1: lena@example.com; not counted: ",
        "approve/shop/prod/dana: dana@example.com is not of release-managers",
        "approve/shop/prod/kim: kim@example.com is an author of what is newly shipped",
        "approve/shop/prod/omar-late: it has expired",
        "approve/shop/prod/mallory`: its key SHA256:",
        "approve/shop/prod/unsigned`",
    ];
    scene.expect("wait", &["approvals-missing"], &words);
    scene.stage.git(&["tag", "-d", "approve/shop/prod/dana", "approve/shop/prod/omar-late"]);
    scene.state("omar", "approve/shop/prod/omar-other", &old, &["another commit"]);
    scene.look(
        "prod",
        "wait",
        &["approvals-missing"],
        &["approve/shop/prod/omar-other: it names ", ", another commit"],
    );
    // Without the exclusion an author is a person like any other.
    scene.pipeline("", "", "approvals: {count: 2, role: release-managers}");
    scene.expect("admit", &[], &["2 of 2 release-managers: kim@example.com, lena@example.com"]);
}

pub(crate) fn overrides_take_as_many(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "overriding", TWO);
    scene.pipeline("", "", &format!("windows: [\"cron 0 0 29 2 * for 1m UTC\"]\n{TWO}"));
    let merge = scene.merge("forge", "env/staging");
    scene.approve("lena", &merge, &["waited long enough", "Overrides: windows"]);
    scene.state("omar", "approve/shop/prod/omar", &merge, &["good"]);
    scene.expect(
        "wait",
        &["window-closed"],
        &[
            "2 of 2 release-managers",
            "overridden by lena@example.com, 1 of 2",
            "lockmaster approve prod --override windows",
        ],
    );
    scene.state("kim", "approve/shop/prod/kim", &merge, &["waited long enough", "Overrides: windows"]);
    let words = ["override by kim@example.com, lena@example.com: waited long enough"];
    scene.expect("admit", &[], &words);
}
