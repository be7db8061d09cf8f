//! The verbs through the real program against a real control plane: what they say, with which code they exit, and that
//! what only looks writes nothing.

mod control_plane;
mod stage;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitCode};
use std::sync::mpsc;
use std::time::Duration;

use control_plane::proxy::{Moment, Verdict};
use control_plane::{ControlPlane, Test, eventually, run_anywhere};
use serde_json::{Value, json};
use stage::shop::{place, set_replicas, shop, state};
use stage::{Stage, Who};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("what_only_looks_writes_nothing", looking_writes_nothing),
        ("a_change_names_the_version_of_its_object", api_versions),
        ("a_cluster_that_is_named_and_silent_is_never_taken_for_none", named_and_silent),
        ("a_mistyped_revision_is_no_verdict", mistyped),
        ("a_refusal_is_certain_whatever_else_cannot_be_checked", refusal_beats_failure),
        ("one_violated_log_hides_and_stops_no_other_environment", violated_log),
        ("a_second_agent_in_a_state_directory_is_refused", locked),
        ("the_agent_answers_at_both_addresses_and_sigterm_ends_with_0", healthz),
        ("a_new_configuration_is_taken_and_a_broken_one_changes_nothing", configuration),
        ("sigterm_ends_the_write_in_flight_and_begins_no_other", sigterm_in_the_middle),
    ];
    run_anywhere(tests)
}

fn looking_writes_nothing(plane: &'static ControlPlane) {
    let stage = shop(plane, "looking");
    let look = |what: &str| {
        stage.proxy.forget();
        for verb in [&["verify", "dev"][..], &["plan"], &["status"], &["diff", "dev"]] {
            stage.lockmaster(verb);
        }
        assert_eq!(stage.proxy.writes(), Vec::new(), "{what}");
    };
    look("before the first run");
    stage.run_once(0);
    set_replicas(&stage, 3);
    stage.commit(Who::Dana, "web: three replicas");
    look("with a candidate that nobody has seen");
    stage.commit(Who::Nobody, "not signed");
    look("with a candidate that is refused");
}

fn api_versions(plane: &'static ControlPlane) {
    let stage = shop(plane, "versions");
    let plan = stage.lockmaster(&["plan", "dev", "-o", "json"]).json();
    let changes = plan["environments"][0]["changes"].as_array().expect("because a plan lists changes");
    let version =
        |kind: &str| &changes.iter().find(|c| c["object"]["kind"] == kind).expect("because it is new")["object"];
    assert_eq!(version("Deployment")["apiVersion"], "apps/v1");
    assert_eq!(version("CronJob")["apiVersion"], "batch/v1");
    assert_eq!(version("Service")["apiVersion"], "v1");
}

fn named_and_silent(plane: &'static ControlPlane) {
    let stage = shop(plane, "silent");
    for flags in [["--kubeconfig", "nowhere"], ["--context", "nobody"]] {
        let ran = stage.lockmaster(&[&["verify", "dev"][..], &flags].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{flags:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--kubeconfig FILE"), "the hint names the way out: {}", ran.stderr);
    }
    stage.proxy.judge(|_, _| Verdict::Cut);
    let ran = stage.lockmaster(&["verify", "dev"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error[cluster-unreachable]: "), "{}", ran.stderr);
    let mut command = stage.command(&["verify", "dev"]);
    let alone = command.env_remove("KUBECONFIG").output().expect("because the program was built");
    let said = String::from_utf8_lossy(&alone.stdout).into_owned();
    assert_eq!(alone.status.code(), Some(0), "{said}");
    assert!(said.contains("not checked: artifacts, accepted head"), "{said}");
}

fn mistyped(plane: &'static ControlPlane) {
    let stage = shop(plane, "mistyped");
    for verb in ["verify", "plan"] {
        let ran = stage.lockmaster(&[verb, "dev@no-such-branch"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error[usage]: `no-such-branch` names no commit"), "{}", ran.stderr);
    }
    let ran = stage.lockmaster(&["status", "nowhere"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.starts_with("error[unknown-name]: `shop` has no environment `nowhere`"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("add its line"), "an environment is no signer: {}", ran.stderr);
    let ran = stage.lockmaster(&["verify", "dev", "--repository", "ext::sh -c true"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.starts_with("error[usage]: the value of `--repository` names a remote helper"),
        "{}",
        ran.stderr
    );
}

/// Damages the log of an environment as nobody but the cluster's owner can: an entry is gone.
fn damage(stage: &Stage, environment: &str) {
    let name = format!("shop.{environment}.0000000001");
    stage.plane.delete(&format!("/api/v1/namespaces/{}/configmaps/{name}", stage.agent_namespace));
}

fn refusal_beats_failure(plane: &'static ControlPlane) {
    let stage = shop(plane, "certain");
    stage.run_once(0);
    set_replicas(&stage, 9);
    stage.commit(Who::Nobody, "hotfix");
    damage(&stage, "prod");
    let verify = stage.lockmaster(&["verify", "prod", "dev", "-o", "json"]);
    assert_eq!(verify.code, Some(1), "{verify:?}");
    let verdicts: Vec<Value> = verify.json()["environments"]
        .as_array()
        .expect("because verify lists environments")
        .iter()
        .map(|environment| environment["verdict"].clone())
        .collect();
    assert_eq!(verdicts, [json!("unknown"), json!("refused")]);
    let plan = stage.lockmaster(&["plan", "prod", "staging", "-o", "json"]);
    assert_eq!(plan.code, Some(2), "elsewhere what could not be done wins: {plan:?}");
}

fn violated_log(plane: &'static ControlPlane) {
    let stage = shop(plane, "violated");
    stage.run_once(0);
    damage(&stage, "prod");
    set_replicas(&stage, 3);
    let commit = stage.commit(Who::Dana, "web: three replicas");
    let ran = stage.lockmaster(&["run", "--once"]);
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
    let status = stage.lockmaster(&["status", "-o", "json"]);
    assert_eq!(status.code, Some(1), "{status:?}");
    let document = status.json();
    assert_eq!(state(&document, "prod")["state"], "blocked", "{document}");
    assert_eq!(state(&document, "staging")["state"], "current", "{document}");
    let dev = state(&document, "dev");
    assert_eq!((&dev["state"], &dev["standing"]["commit"]["id"]), (&json!("current"), &json!(commit)), "{document}");
}

/// An agent that runs, with what it logs.
struct Agent {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Agent {
    fn start(stage: &Stage, flags: &[&str]) -> Agent {
        let quiet = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json"];
        let mut process = stage.spawn(&[&["run"][..], flags, &quiet].concat());
        let stderr = BufReader::new(process.stderr.take().expect("because the stage pipes it"));
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|text| line.send(text).map_err(drop))
        });
        Agent { process, lines }
    }

    /// Waits for an event, and gives its line.
    fn hears(&self, event: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("`{event}` was never logged"));
            let document: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no log line: {line}"));
            if document["event"] == event {
                return document;
            }
        }
    }

    fn terminate(&self) {
        let pid = self.process.id().to_string();
        let status = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(status.expect("because kill is there").success());
    }

    fn ends(mut self) -> Option<i32> {
        self.process.wait().expect("because it was started").code()
    }
}

fn locked(plane: &'static ControlPlane) {
    let stage = shop(plane, "locked");
    let agent = Agent::start(&stage, &[]);
    agent.hears("listening");
    let ran = stage.lockmaster(&["run", "--once"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
    assert!(ran.stderr.starts_with("error[state-locked]: "), "{}", ran.stderr);
    let status = stage.lockmaster(&["status"]);
    assert_ne!(status.code, Some(2), "looking needs no lock: {}", status.stderr);
    agent.terminate();
    assert_eq!(agent.ends(), Some(0));
    stage.run_once(0);
}

fn healthz(plane: &'static ControlPlane) {
    let stage = shop(plane, "healthz");
    let agent = Agent::start(&stage, &[]);
    for (serves, path, status) in [("probes", "/healthz", "200"), ("api", "/api/v1/pipelines", "401")] {
        let listening = agent.hears("listening");
        assert_eq!(listening["serves"], serves, "{listening}");
        let mut stream = TcpStream::connect(listening["address"].as_str().expect("because it is text"));
        let stream = stream.as_mut().expect("because the agent listens");
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).expect("because the agent reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("because the agent answers");
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{answer}");
    }
    agent.terminate();
    assert_eq!(agent.ends(), Some(0));
}

fn configuration(plane: &'static ControlPlane) {
    let stage = shop(plane, "configured");
    let file = stage.folder().join("lockmaster.yaml");
    let whole = std::fs::read_to_string(&file).expect("because the stage wrote it");
    let without_prod: Vec<&str> = whole.lines().filter(|line| !line.contains("name: prod")).collect();
    std::fs::write(&file, without_prod.join("\n") + "\n").expect("because the folder is ours");
    let agent = Agent::start(&stage, &["--interval", "1h"]);
    let current = |environment: &str, commit: &str| {
        let status = stage.lockmaster(&["status", "-o", "json"]);
        let document = if status.stdout.is_empty() { return None } else { status.json() };
        let view = document["environments"].as_array()?.iter().find(|view| view["name"] == environment)?;
        (view["state"] == "current" && view["standing"]["commit"]["id"] == commit).then_some(())
    };
    let first = stage.head();
    eventually("the first environments are proven", || current("staging", &first));
    std::fs::write(&file, whole.replace("spec:", "spec: [")).expect("because the folder is ours");
    let refused = agent.hears("configuration-refused");
    assert_eq!(refused["code"], "invalid-yaml", "{refused}");
    set_replicas(&stage, 3);
    let second = stage.commit(Who::Dana, "web: three replicas");
    std::fs::write(&file, &whole).expect("because the folder is ours");
    agent.hears("configuration-read");
    eventually("the new environment is proven", || current("prod", &first));
    eventually("the old ones go on", || current("dev", &second));
    // A signer who is taken out counts no more, at once.
    let signers = stage.folder().join("allowed_signers");
    let dana = std::fs::read_to_string(&signers).expect("because the stage wrote it");
    let mallory = std::fs::read_to_string(stage.folder().join("mallory.pub")).expect("because the stage made it");
    std::fs::write(&signers, format!("mallory@example.com namespaces=\"git\" {mallory}")).expect("because it is ours");
    agent.hears("configuration-read");
    set_replicas(&stage, 5);
    stage.commit(Who::Dana, "web: by nobody who counts");
    let entry = agent.hears("entry-written");
    assert_eq!((&entry["action"], &entry["code"]), (&json!("refuse"), &json!("unknown-signer")), "{entry}");
    std::fs::write(&signers, dana).expect("because it is ours");
    agent.terminate();
    assert_eq!(agent.ends(), Some(0));
}

fn sigterm_in_the_middle(plane: &'static ControlPlane) {
    let stage = shop(plane, "middle");
    stage.pipeline(&format!("  - {{name: dev, branch: env/dev, {}, namespace: middle-dev}}", place("dev")));
    let is_apply = |path: &str| path.contains("/namespaces/middle-dev/");
    stage.proxy.judge(move |call, moment| {
        let hangs = call.write.is_some() && is_apply(&call.path) && moment == Moment::Before;
        if hangs { Verdict::Hang } else { Verdict::Pass }
    });
    let agent = Agent::start(&stage, &[]);
    stage.proxy.hanging(Duration::from_secs(60)).expect("because the release is applied");
    agent.terminate();
    agent.hears("stopping");
    stage.proxy.judge(|_, _| Verdict::Pass);
    let begun = stage.proxy.writes().iter().filter(|call| is_apply(&call.path)).count();
    stage.proxy.release();
    assert_eq!(agent.ends(), Some(0));
    let written = stage.proxy.writes().iter().filter(|call| is_apply(&call.path)).count();
    assert!(written <= begun + 16, "what waited for its turn is not begun: {begun} and then {written}");
    stage.run_once(0);
}
