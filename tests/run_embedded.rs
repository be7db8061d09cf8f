//! `run --embedded` through the real program: an agent with a Kubernetes API of its own.

#[path = "tools/plain.rs"]
mod plain;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

fn main() -> ExitCode {
    let tests: Vec<plain::Plain> = plain::table![
        it_says_where_it_is_and_leaves_nothing_behind,
        once_is_deployed_and_told_as_on_any_cluster,
        a_cluster_named_besides_is_refused,
    ];
    plain::run(&[], Vec::new(), tests)
}

/// The program in an empty home, with the pipeline of the fixture.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockmaster"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("HOME", home).env("KUBECONFIG", home.join("nowhere"));
    command.args(["run", "--embedded", "-f", "fixtures/hello/lockmaster.yaml", "--log-format", "json"]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The next event of this name in a log of JSON lines.
fn event(lines: &mut impl Iterator<Item = std::io::Result<String>>, holds: impl Fn(&Value) -> bool) -> Value {
    for line in lines {
        let line = line.expect("because it is text");
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("no JSON line ({error}): {line}"));
        if holds(&event) {
            return event;
        }
    }
    panic!("it ended without saying so");
}

fn stop(child: &Child) {
    let stopped = Command::new("sh").args(["-c", "kill -TERM \"$1\"", "stop", &child.id().to_string()]).status();
    assert!(stopped.expect("because there is a shell").success());
}

/// Asks the API that a kubeconfig leads to.
fn asks(kubeconfig: &str, path: &str) -> kube::Result<Value> {
    let runtime = tokio::runtime::Runtime::new().expect("because threads can be started");
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).expect("because it is a kubeconfig");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let client = kube::Client::try_from(config.expect("because it is whole")).expect("because its certificate is");
        client.request(http::Request::get(path).body(Vec::new()).expect("because the path is valid")).await
    })
}

fn it_says_where_it_is_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().expect("because there is room");
    let free = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
    let mut child = command(home.path(), &free).spawn().expect("because the program was built");
    let mut lines = BufReader::new(child.stderr.take().expect("because it is piped")).lines();
    let listening = event(&mut lines, |event| event["event"] == "listening" && event["serves"] == "kubernetes");
    let file = home.path().join(".local/state/lockmaster/embedded.kubeconfig");
    assert_eq!(listening["kubeconfig"].as_str(), file.to_str());
    let mode = std::fs::metadata(&file).expect("because it was written").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "its token lets everybody in");
    let kubeconfig = std::fs::read_to_string(&file).expect("because it was written");
    let address = listening["address"].as_str().expect("because it says where");
    assert!(address.starts_with("https://127.0.0.1:") && kubeconfig.contains(address), "{address}");
    event(&mut lines, |event| event["event"] == "entry-written" && event["phase"] == "proven");
    let path = "/apis/apps/v1/namespaces/lockmaster-hello/deployments/hello";
    let found = asks(&kubeconfig, path).expect("because it was deployed");
    assert_eq!(found["status"]["availableReplicas"], 1);
    stop(&child);
    lines.for_each(drop);
    assert_eq!(child.wait().expect("because it is our child").code(), Some(0));
    assert!(!file.exists(), "a kubeconfig that leads nowhere is taken away");
    assert!(asks(&kubeconfig, path).is_err());
}

fn once_is_deployed_and_told_as_on_any_cluster() {
    let home = tempfile::tempdir().expect("because there is room");
    let output = command(home.path(), &["--once", "-o", "json"]).output().expect("because the program was built");
    let status: Value = serde_json::from_slice(&output.stdout).expect("because it prints one document");
    assert_eq!(output.status.code(), Some(0), "{status}");
    let dev = &status["environments"][0];
    assert_eq!((&dev["state"], &dev["health"]), (&Value::from("current"), &Value::from("healthy")), "{dev}");
}

fn a_cluster_named_besides_is_refused() {
    let home = tempfile::tempdir().expect("because there is room");
    for flag in [["--kubeconfig", "other"], ["--context", "other"]] {
        let output = command(home.path(), &flag).output().expect("because the program was built");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("`--embedded`") && told.contains(flag[0]), "{told}");
        let demo = Command::new(env!("CARGO_BIN_EXE_lockmaster")).arg("demo").args(flag).output();
        let demo = demo.expect("because the program was built");
        let told = String::from_utf8_lossy(&demo.stderr).into_owned();
        assert_eq!((demo.status.code(), demo.stdout.len()), (Some(2), 0), "{told}");
        assert!(told.contains("`demo`") && told.contains(flag[0]), "{told}");
    }
}
