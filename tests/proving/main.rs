//! How a release becomes proven, and how the agent and people promote what is: soak, checks, `promote`, `promote: auto`.

#[path = "../control_plane/mod.rs"]
mod control_plane;
#[expect(dead_code, reason = "the rows of promotion use the rest")]
#[path = "../promotion/scene.rs"]
mod scene;
#[path = "../stage/mod.rs"]
mod stage;

mod promoting;
mod server;

use std::process::ExitCode;

use control_plane::{ControlPlane, Test, eventually, run_anywhere};
use scene::Scene;
use serde_json::{Value, json};
use server::Server;

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("a_settled_release_soaks_before_it_is_proven", soak),
        ("a_check_that_passes_proves_and_says_what_it_saw", passing),
        ("a_check_that_fails_stops_the_release_and_what_is_downstream", failing),
        ("a_check_that_is_unknown_passes_nothing_and_fails_when_its_time_is_up", unknown),
        ("a_job_and_restarts_prove_a_release_and_the_job_goes_away", job),
        ("promote_makes_the_commit_that_the_gates_admit", promoting::by_hand),
        ("promote_takes_a_named_entry_and_brings_back_what_was_taken_out", promoting::after_a_revert),
        ("promote_goes_beside_a_protected_branch", promoting::protected),
        ("promote_of_what_stands_or_is_not_proven_pushes_nothing", promoting::nothing),
        ("the_agent_promotes_what_upstream_has_proven_where_it_may", promoting::by_itself),
        ("without_a_key_that_may_write_the_agent_does_not_begin", promoting::without_a_key),
    ];
    control_plane::at_once(4);
    run_anywhere(tests)
}

fn state(scene: &Scene, environment: &str) -> Value {
    scene.stage.lockmaster(&["status", environment, "-o", "json"]).json()["environments"][0].clone()
}

fn soak(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "soak", "");
    scene.pipeline("soak: 1h", "", "");
    scene.run();
    let dev = state(&scene, "dev");
    assert_eq!((&dev["state"], &dev["health"]), (&json!("settling"), &json!("healthy")), "{dev:#}");
    let told = scene.told("staging");
    assert_eq!((told.verdict.as_str(), told.codes), ("wait", vec!["upstream-not-proven".to_owned()]), "{}", told.text);
    assert!(told.text.contains("soaks until"), "{}", told.text);
    // A shorter soak is over at once for what has settled; the daemon does not wait for anything else.
    scene.pipeline("soak: 1s", "", "");
    let mut agent = scene.stage.spawn(&["run", "--interval", "1s", "--listen", "127.0.0.1:0"]);
    eventually("everything is proven", || {
        ["dev", "staging", "prod"].iter().all(|name| state(&scene, name)["state"] == "current").then_some(())
    });
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
}

fn checks(scene: &Scene, server: &Server, more: &str) {
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let check = format!(
        "  checks:\n  - {{name: smoke, http: {{url: \"{}\", expect: \"body.status == 'ok'\"}}, interval: 1s{more}}}\n",
        server.url()
    );
    std::fs::write(file, text.replace("  environments:\n", &format!("{check}  environments:\n")))
        .expect("because the folder is ours");
}

fn passing(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "passing", "");
    let server = Server::start(plane, "{\"status\": \"ok\"}");
    scene.pipeline("checks: [smoke]", "", "");
    checks(&scene, &server, "");
    scene.run();
    assert_eq!(state(&scene, "dev")["state"], "current");
    assert_eq!(state(&scene, "prod")["state"], "current", "what a check proved is promoted in the same run");
    assert!(server.asked() > 0);
}

fn failing(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "failing", "");
    let server = Server::start(plane, "{\"status\": \"broken\"}");
    scene.pipeline("checks: [smoke]", "", "");
    checks(&scene, &server, ", bad: 1 of 1");
    scene.run();
    let dev = state(&scene, "dev");
    assert_eq!(dev["state"], "failed", "{dev:#}");
    assert_eq!(dev["reasons"][0]["code"], "check-failed", "{dev:#}");
    let told = scene.told("staging");
    assert_eq!((told.verdict.as_str(), told.codes), ("refuse", vec!["upstream-failed".to_owned()]), "{}", told.text);
    assert!(told.text.contains("smoke"), "{}", told.text);
    let objects = plane.get("/apis/apps/v1/namespaces/failing-dev/deployments/web");
    assert!(objects.is_some(), "`onFailure: stop` leaves the release standing");
    server.answer("{\"status\": \"ok\"}");
    scene.on("env/dev");
    scene.deploy("v2", "mended");
    scene.commit("dana", "mend it");
    scene.run();
    assert_eq!(state(&scene, "dev")["state"], "current", "the next candidate is judged as usual");
}

fn unknown(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "unknown", "");
    let server = Server::start(plane, "no JSON at all");
    scene.pipeline("checks: [smoke]", "", "");
    checks(&scene, &server, ", within: 2s");
    let mut agent = scene.stage.spawn(&["run", "--interval", "1s", "--listen", "127.0.0.1:0"]);
    let dev = eventually("the check is given up", || {
        let dev = state(&scene, "dev");
        (dev["state"] == "failed").then_some(dev)
    });
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    assert_eq!(dev["reasons"][0]["code"], "check-unknown", "{dev:#}");
}

fn job(plane: &'static ControlPlane) {
    let scene = Scene::new(plane, "jobs", "");
    scene.pipeline("checks: [try, calm]", "", "");
    let file = scene.stage.folder().join("lockmaster.yaml");
    let text = std::fs::read_to_string(&file).expect("because it was written");
    let checks = "  checks:\n  - {name: try, job: {image: \"registry.example.com/try:1\"}, interval: 1s}\n  - {name: calm, restarts: {max: 0}, interval: 1s}\n";
    let text = text.replace("  environments:\n", &format!("{checks}  environments:\n"));
    std::fs::write(file, text).expect("because the folder is ours");
    let mut agent = scene.stage.spawn(&["run", "--interval", "1s", "--listen", "127.0.0.1:0"]);
    eventually("dev is proven", || (state(&scene, "dev")["state"] == "current").then_some(()));
    let jobs = "/apis/batch/v1/namespaces/jobs-dev/jobs";
    eventually("its job is removed", || {
        let jobs = plane.get(jobs).expect("because jobs are served");
        jobs["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    let shown = scene.stage.lockmaster(&["show", "dev/latest"]).stdout;
    assert!(shown.contains("evidence/checks"), "what was seen is in the log: {shown}");
}
