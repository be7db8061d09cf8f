//! The real program: what a running agent serves, and what it leaves in its state directory.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;

use serde_json::{Value, json};

use crate::client::{ask, get};
use crate::control_plane::{ControlPlane, eventually};
use crate::stage::Stage;
use crate::stage::shop::shop;

/// An agent that runs until the test ends.
struct Agent(Child);

impl Agent {
    fn start(stage: &Stage, flags: &[&str]) -> Agent {
        Agent(stage.spawn(&[&["run", "--interval", "1h", "--listen", "127.0.0.1:0"][..], flags].concat()))
    }

    /// Ends it by SIGTERM: its exit code, and what it logged.
    fn terminate(mut self) -> (Option<i32>, String) {
        let status = std::process::Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(status.expect("because kill is there").success());
        let mut stderr = self.0.stderr.take().expect("because the stage pipes it");
        let mut log = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut log).expect("because it is text");
        (self.0.wait().expect("because it was started").code(), log)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that ended is no error.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).expect("because the agent made it").permissions().mode() & 0o777
}

/// What `agent.json` says.
fn announced(stage: &Stage) -> Value {
    let file = stage.folder().join("state/agent.json");
    let text = eventually("the agent listens", || std::fs::read_to_string(&file).ok());
    serde_json::from_str(&text).expect("because it is whole or not there")
}

pub(super) fn serves_its_documents(plane: &'static ControlPlane) {
    let stage = shop(plane, "served");
    let agent = Agent::start(&stage, &[]);
    let announced = announced(&stage);
    assert_eq!(announced["pid"], agent.0.id(), "{announced}");
    let address: SocketAddr = announced["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    let state = stage.folder().join("state");
    assert_eq!((mode(&state.join("token")), mode(&state.join("agent.json"))), (0o600, 0o600));
    let token = std::fs::read_to_string(state.join("token")).expect("because the agent made it").trim().to_owned();
    let read = |path: &str| plane.block_on(get(address, path, &token));
    let list = read("/api/v1/pipelines");
    assert_eq!(
        (&list.json()["schema"], &list.json()["pipelines"]),
        (&json!("lockmaster.dev/pipelines/v1"), &json!(["shop"]))
    );
    let status = || {
        let reply = read("/api/v1/pipelines/shop");
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let current = |document: &Value| {
        let environments = document["environments"].as_array().expect("because there are some");
        environments.len() == 3 && environments.iter().all(|environment| environment["state"] == "current")
    };
    let document = eventually("everything is deployed", || Some(status()).filter(current));
    let head = json!({"schema": "lockmaster.dev/status/v1", "pipeline": "shop", "source": "agent"});
    for (field, value) in head.as_object().expect("because it is one") {
        assert_eq!(document[field], *value, "{field}: {document}");
    }
    let mut by_verb = stage.lockmaster(&["status", "-o", "json"]).json();
    let mut served = status();
    for document in [&mut by_verb, &mut served] {
        document["asOf"] = Value::Null;
        document["source"] = Value::Null;
    }
    assert_eq!(served, by_verb, "the API tells what the verb tells");
    let calls = stage.proxy.calls().len();
    status();
    assert_eq!(stage.proxy.calls().len(), calls, "the agent asks nobody for it");
    let unknown = read("/api/v1/pipelines/none");
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("unknown-name")), "{unknown:?}");
    let nobody = plane.block_on(ask(address, "GET", "/api/v1/pipelines/shop", &[]));
    assert_eq!(nobody.status, 401, "{nobody:?}");
    let (code, log) = agent.terminate();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("listening") && !log.contains(&token), "{log}");
    assert!(!state.join("agent.json").exists(), "a stopped agent is nowhere");
    assert!(state.join("token").exists(), "the token lasts");
}

pub(super) fn counts_every_request(plane: &'static ControlPlane) {
    let stage = shop(plane, "counted");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = port.expect("because loopback ports are left");
    let agent = Agent::start(&stage, &["--metrics-listen", &address.to_string()]);
    announced(&stage);
    let scraped = || {
        let metrics = plane.block_on(ask(address, "GET", "/metrics", &[])).body;
        let series = metrics.lines().filter(|line| line.starts_with("lockmaster_cluster_requests_total{"));
        series.map(|line| line.rsplit(' ').next().and_then(|count| count.parse::<usize>().ok()).expect("a count")).sum()
    };
    eventually("every request was counted, and there were many", || {
        let (before, counted): (usize, usize) = (stage.proxy.calls().len(), scraped());
        (counted > 60 && counted == before && stage.proxy.calls().len() == before).then_some(())
    });
    let (code, log) = agent.terminate();
    assert_eq!(code, Some(0), "{log}");
}

pub(super) fn an_address_that_is_taken(plane: &'static ControlPlane) {
    let stage = shop(plane, "taken");
    let taken = TcpListener::bind("127.0.0.1:0").expect("because loopback ports are left");
    let taken = taken.local_addr().map(|address| (address.to_string(), taken)).expect("because it is bound");
    for (flag, other) in [("--listen", "--metrics-listen"), ("--metrics-listen", "--listen")] {
        let ran = stage.lockmaster(&["run", flag, &taken.0, other, "127.0.0.1:0"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains(&format!("error[usage]: `{flag} {}`", taken.0)), "{}", ran.stderr);
        assert!(!stage.folder().join("state/agent.json").exists(), "an agent that does not run is nowhere");
    }
}
