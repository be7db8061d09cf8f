//! What stands in a test: one release in a namespace of the test's own, and what is sent about it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::control_plane::proxy::Call;
use crate::stage::{Stage, Who};

pub(crate) const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {note: ours}}
spec:
  replicas: 2
  revisionHistoryLimit: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'registry.example/web:1'}]}
";

pub(crate) const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, annotations: {note: ours}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80}, {name: metrics, port: 9090}, {name: admin, port: 9091}]
";

pub(crate) const SETTINGS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings, annotations: {note: ours}}
data: {colour: green, size: small}
";

/// Never to be seen in any text.
pub(crate) const PLANTED: [&str; 4] = ["planted-ours", "planted-theirs", "cGxhbnRlZC1vdXJz", "cGxhbnRlZC10aGVpcnM="];

pub(crate) const STORE: &str = "apiVersion: v1
kind: Secret
metadata: {name: store, annotations: {note: ours}}
stringData: {password: planted-ours}
";

/// A stage with one environment, `dev`, whose release has these files; more of the environment as YAML flow.
pub(crate) fn release(plane: &'static ControlPlane, stem: &str, environment: &str, files: &[&str]) -> Stage {
    let stage = Stage::new(plane);
    stage.pipeline(&format!(
        "  - {{name: dev, branch: main, path: deploy, namespace: {stem}, deadline: 60s{environment}}}"
    ));
    stage.write("deploy/namespace.yaml", &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {stem}}}\n"));
    for (number, text) in files.iter().enumerate() {
        stage.write(&format!("deploy/{number}.yaml"), text);
    }
    stage.commit(Who::Dana, "first");
    stage
}

/// Another of the same.
pub(crate) fn named(text: &str, name: &str) -> String {
    text.replacen("name: web", &format!("name: {name}"), 1).replacen("name: settings", &format!("name: {name}"), 1)
}

fn is_of_the_target(stage: &Stage, call: &Call) -> bool {
    !call.path.contains(&stage.agent_namespace)
}

/// The writes to the target so far: method and path.
pub(crate) fn writes(stage: &Stage) -> Vec<String> {
    let calls = stage.proxy.writes().into_iter().filter(|call| is_of_the_target(stage, call));
    calls.map(|call| format!("{} {}", call.method, call.path)).collect()
}

/// The reads of single objects in a namespace so far.
pub(crate) fn reads(stage: &Stage, namespace: &str) -> Vec<String> {
    let inside = format!("/namespaces/{namespace}/");
    let calls = stage.proxy.calls().into_iter();
    let calls = calls.filter(|call| call.method == "GET" && call.path.contains(&inside));
    calls.map(|call| call.path).collect()
}

/// Looks on for a while: nothing is written to the target.
pub(crate) fn silent(stage: &Stage, time: Duration) {
    let before = writes(stage).len();
    lasts(stage, time, || {
        let writes = writes(stage);
        assert_eq!(writes.len(), before, "written after the last heal: {:?}", &writes[before..]);
    });
}

/// Lets a time pass, and looks every now and then.
pub(crate) fn lasts(stage: &Stage, time: Duration, mut look: impl FnMut()) {
    let start = Instant::now();
    while start.elapsed() < time {
        look();
        // A request that hangs would be told at once; there is none, so this only waits.
        assert_eq!(stage.proxy.hanging(Duration::from_millis(100)), None);
    }
}

/// Where an object is.
pub(crate) fn at(namespace: &str, kind: &str, name: &str) -> String {
    let api = match kind {
        "deployments" => "/apis/apps/v1",
        "jobs" => "/apis/batch/v1",
        "horizontalpodautoscalers" => "/apis/autoscaling/v2",
        _ => "/api/v1",
    };
    format!("{api}/namespaces/{namespace}/{kind}/{name}")
}

/// Merge-patches an object as a person with `kubectl edit` does.
pub(crate) fn edit(plane: &ControlPlane, path: &str, patch: &Value) -> Value {
    plane.patch(&format!("{path}?fieldManager=kubectl-edit"), patch)
}
