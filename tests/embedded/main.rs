//! The embedded API by itself: what it does, what it refuses by name, and that real kubectl works on it.

#[path = "../control_plane/mod.rs"]
mod control_plane;

mod applying;
mod kubectl;
mod lifecycle;
mod pods;
mod reading;
mod refused;

use std::process::ExitCode;

use control_plane::{ControlPlane, Test, run_split};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let tests: Vec<Test> = [applying::TESTS, reading::TESTS, lifecycle::TESTS, refused::TESTS, pods::TESTS].concat();
    if kubectl::is_there() {
        return run_split([tests, kubectl::TESTS.to_vec()].concat(), Vec::new(), &[]);
    }
    let missing: Vec<(&str, &str)> = kubectl::TESTS.iter().map(|(name, _)| (*name, "no kubectl in PATH")).collect();
    run_split(tests, Vec::new(), &missing)
}

/// A ConfigMap as it is sent.
fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": value}})
}

/// A Deployment as it is sent.
fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
           "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                    "template": {"metadata": {"labels": {"app": name}},
                                 "spec": {"containers": [{"name": "main", "image": image}]}}}})
}

/// The path of the ConfigMaps of a namespace.
fn configs(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

/// The path of the Deployments of a namespace.
fn deployments(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments")
}

/// The Status that a request is refused with.
fn refusal(plane: &ControlPlane, method: &str, path: &str, body: Option<&Value>) -> kube::core::Status {
    match plane.send(method, path, body) {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("{method} {path} is not refused: {other:?}"),
    }
}
