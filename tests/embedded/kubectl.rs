//! Real kubectl against it.

use std::process::Command;

use serde_json::json;

use crate::control_plane::{ADMIN, ControlPlane, Test, eventually};
use crate::{config, configs, deployment, deployments};

pub(crate) const TESTS: &[Test] = &[
    ("kubectl_gets_what_is_there", gets),
    ("kubectl_patches_labels_and_annotates_by_merge", patches),
    ("kubectl_scales_by_the_scale_subresource", scales),
    ("kubectl_waits_for_conditions_and_for_deletion", waits),
    ("kubectl_deletes_and_sees_it_gone", deletes),
    ("kubectl_creates_and_applies_server_side", creates),
    ("kubectl_is_told_by_name_what_is_not_supported", told),
];

/// Whether there is a kubectl in the path.
pub(crate) fn is_there() -> bool {
    Command::new("kubectl").args(["version", "--client"]).output().is_ok_and(|output| output.status.success())
}

fn kubectl(plane: &ControlPlane, namespace: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(plane.kubeconfig(ADMIN)).args(["-n", namespace]).args(arguments);
    let home = plane.folder().join("home");
    let output = command.env("HOME", home).output().expect("because kubectl is there");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn gets(plane: &'static ControlPlane) {
    let namespace = plane.namespace("gets");
    plane.create(&configs(&namespace), &config("one", "1"));
    plane.create(&configs(&namespace), &config("two", "2"));
    let run = |arguments: &[&str]| kubectl(plane, &namespace, arguments).expect("because it is supported");
    assert_eq!(run(&["get", "configmap/one", "-o", "jsonpath={.data.key}"]), "1");
    assert_eq!(run(&["get", "cm", "-o", "name"]), "configmap/one\nconfigmap/two");
    assert!(run(&["get", "cm"]).starts_with("NAME"));
    assert_eq!(run(&["get", "cm", "--field-selector", "metadata.name=two", "-o", "name"]), "configmap/two");
    let missing = kubectl(plane, &namespace, &["get", "cm", "three"]).expect_err("because there is none");
    assert!(missing.contains("configmaps \"three\" not found"), "{missing}");
}

fn patches(plane: &'static ControlPlane) {
    let namespace = plane.namespace("patches");
    plane.create(&configs(&namespace), &config("one", "1"));
    let run = |arguments: &[&str]| kubectl(plane, &namespace, arguments).expect("because it is supported");
    run(&["patch", "cm", "one", "--type=merge", "-p", r#"{"data":{"key":null,"other":"2"}}"#]);
    run(&["label", "cm", "one", "tier=front"]);
    run(&["annotate", "cm", "one", "note=hello"]);
    run(&["patch", "cm", "one", "--type=json", "-p", r#"[{"op":"add","path":"/data/third","value":"3"}]"#]);
    let found = plane.get(&format!("{}/one", configs(&namespace))).expect("because it is there");
    assert_eq!(found["data"], json!({"other": "2", "third": "3"}));
    assert_eq!(
        (&found["metadata"]["labels"]["tier"], &found["metadata"]["annotations"]["note"]),
        (&json!("front"), &json!("hello"))
    );
    assert_eq!(run(&["get", "cm", "-l", "tier=front", "-o", "name"]), "configmap/one");
}

fn scales(plane: &'static ControlPlane) {
    let namespace = plane.namespace("scales");
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 1));
    kubectl(plane, &namespace, &["scale", "deployment", "web", "--replicas=3"]).expect("because it is supported");
    let found = plane.get(&format!("{}/web", deployments(&namespace))).expect("because it is there");
    assert_eq!(found["spec"]["replicas"], 3);
    let fields = found["metadata"]["managedFields"].as_array().expect("because every write is in it");
    let scaled = fields.iter().find(|entry| entry["subresource"] == "scale").expect("because kubectl scaled it");
    assert_eq!((&scaled["manager"], &scaled["fieldsV1"]), (&json!("kubectl"), &json!({"f:spec": {"f:replicas": {}}})));
}

fn waits(plane: &'static ControlPlane) {
    let namespace = plane.namespace("waits");
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 2));
    let run = |arguments: &[&str]| kubectl(plane, &namespace, arguments).expect("because it is supported");
    run(&["wait", "--for=condition=Available", "deployment/web", "--timeout=30s"]);
    run(&["rollout", "status", "deployment/web", "--timeout=30s"]);
    run(&["wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/web", "--timeout=30s"]);
    run(&["delete", "deployment", "web", "--wait=false"]);
    run(&["wait", "--for=delete", "pod", "-l", "app=web", "--timeout=30s"]);
}

fn deletes(plane: &'static ControlPlane) {
    let namespace = plane.namespace("deletes");
    plane.create(&configs(&namespace), &config("one", "1"));
    let run = |arguments: &[&str]| kubectl(plane, &namespace, arguments).expect("because it is supported");
    let deleted = run(&["delete", "cm", "one"]);
    assert!(deleted.starts_with("configmap \"one\" deleted"), "{deleted}");
    assert_eq!(plane.get(&format!("{}/one", configs(&namespace))), None);
    plane.create(&configs(&namespace), &config("two", "2"));
    run(&["delete", "namespace", &namespace]);
    assert_eq!(plane.get(&format!("/api/v1/namespaces/{namespace}")), None);
}

fn creates(plane: &'static ControlPlane) {
    let namespace = plane.namespace("creates");
    let file = plane.folder().join(format!("{namespace}.json"));
    std::fs::write(&file, deployment("web", "web:1", 1).to_string()).expect("because the folder is ours");
    let file = file.display().to_string();
    let run = |arguments: &[&str]| kubectl(plane, &namespace, arguments).expect("because it is supported");
    run(&["create", "--validate=false", "-f", &file]);
    run(&["apply", "--server-side", "--validate=false", "--field-manager=team", "-f", &file]);
    eventually("the deployment is applied", || {
        let found = plane.get(&format!("{}/web", deployments(&namespace)))?;
        let fields = found["metadata"]["managedFields"].as_array()?;
        fields.iter().find(|entry| entry["manager"] == "team" && entry["operation"] == "Apply").map(|_| ())
    });
}

fn told(plane: &'static ControlPlane) {
    let namespace = plane.namespace("told");
    plane.create(&configs(&namespace), &config("one", "1"));
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 1));
    let refused = |arguments: &[&str], word: &str| {
        let told = kubectl(plane, &namespace, arguments).expect_err("because it is not supported");
        assert!(told.contains(word) && told.contains("not supported by the embedded"), "{arguments:?}: {told}");
    };
    refused(&["patch", "cm", "one", "-p", r#"{"data":{"key":"2"}}"#], "strategic merge patch");
    refused(&["delete", "cm", "one", "--cascade=orphan"], "Orphan");
}
