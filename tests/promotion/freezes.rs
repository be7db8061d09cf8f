//! When nothing may enter: windows, dated freezes and stated ones.

use jiff::{SignedDuration, Timestamp};

use crate::WRITERS;
use crate::control_plane::ControlPlane;
use crate::scene::Scene;

/// Days of the week as windows name them.
fn weekday(at: Timestamp) -> String {
    at.strftime("%a").to_string()
}

pub(crate) fn times_of_the_pipeline(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "times", WRITERS);
    let merge = scene.merge("lena", "env/staging");
    let now = Timestamp::now();
    let day = now + SignedDuration::from_hours(3 * 24);
    let window = format!("windows: [\"{} 09:00-10:00 UTC\"]\n", weekday(day));
    scene.pipeline("", "", &format!("{window}{WRITERS}"));
    let opens = day.strftime("opens %a %F 09:00 UTC").to_string();
    scene.expect("wait", &["window-closed"], &["the window of prod is shut, ", &opens]);
    let ends = now + SignedDuration::from_hours(50);
    let (from, until) = (now - SignedDuration::from_hours(50), ends.strftime("%FT%TZ"));
    let freezes = format!("freezes: [{{from: \"{from}\", until: \"{until}\", reason: audit of the books}}]\n");
    scene.pipeline("", "", &format!("{window}{freezes}{WRITERS}"));
    let frozen = ["prod is frozen until ", "by the pipeline: audit of the books", "--override freezes --reason"];
    scene.expect("wait", &["frozen", "window-closed"], &frozen);
    // Both can be overridden, by name.
    scene.state("omar", "approve/shop/prod/now", &merge, &["it burns", "Overrides: freezes"]);
    scene.look("prod", "wait", &["window-closed"], &["override by omar@example.com: it burns"]);
    let open = "windows: [\"daily 00:00-24:00 UTC\"]\n";
    scene.pipeline("", "", &format!("{open}{freezes}{WRITERS}"));
    scene.expect("admit", &[], &["open, daily 00:00-24:00 UTC", "override by omar@example.com: it burns"]);
}

pub(crate) fn stated(plane: &'static ControlPlane) {
    let scene = Scene::proven(plane, "stated", WRITERS);
    let merge = scene.merge("lena", "env/staging");
    // She may not write prod, and so neither freezes it nor ends what others froze.
    scene.state("dana", "freeze/shop/prod/dana", &merge, &["please not now", "Until: 2099-01-01T00:00:00Z"]);
    scene.look("prod", "admit", &[], &[]);
    scene.state("omar", "freeze/shop/prod/quarter", &merge, &["end of the quarter", "Until: 2098-12-31T00:00:00Z"]);
    let words = [
        "prod is frozen until 2098-12-31 00:00:00Z by omar@example.com: end of the quarter",
        "lockmaster unfreeze prod",
    ];
    scene.expect("wait", &["frozen"], &words);
    let journalled = scene.entries("prod", "freeze");
    let told = |entry: &serde_json::Value| entry["actor"] == "omar@example.com";
    assert!(journalled.len() == 1 && journalled.iter().all(told), "of omar's, and not of dana's: {journalled:?}");
    // It is in the log: nobody ends it by taking the tag away.
    scene.stage.git(&["tag", "-d", "freeze/shop/prod/quarter"]);
    scene.expect("wait", &["frozen"], &words);
    scene.state("dana", "unfreeze/shop/prod/dana", &merge, &["go on"]);
    scene.expect("wait", &["frozen"], &words);
    scene.state("kim", "unfreeze/shop/prod/kim", &merge, &["the quarter is over"]);
    scene.run();
    assert_eq!(scene.entries("prod", "unfreeze").len(), 1, "of kim's, and not of dana's");
    assert_eq!(scene.standing("prod"), scene.tip("env/prod"), "it was not opened");
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", scene.stage.agent_namespace);
    let events = plane.get(&path).expect("because events are served")["items"].to_string();
    for told in
        ["\"Frozen\"", "\"Unfrozen\"", "\"Promoted\"", "by omar@example.com: end of the quarter", "as in staging/"]
    {
        assert!(events.contains(told), "{told}: {events}");
    }
    // What was ended does not come back with its tag.
    scene.state("omar", "freeze/shop/prod/next", &merge, &["next quarter", "Until: 2020-01-01T00:00:00Z"]);
    scene.on("env/prod");
    scene.own("prod", "by kim");
    scene.commit("kim", "prod: settings");
    scene.expect("admit", &[], &[]);
}
