//! Generations, finalizers, owners, namespaces and definitions.

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Test, eventually};
use crate::{config, configs, deployment, deployments, refusal};

pub(crate) const TESTS: &[Test] = &[
    ("the_generation_grows_with_what_is_meant_and_nothing_else", generation),
    ("a_finalizer_keeps_an_object_until_it_is_taken_away", finalizer),
    ("a_delete_with_another_uid_or_version_is_refused", preconditions),
    ("what_an_object_owns_goes_with_it", owned),
    ("a_namespace_goes_with_everything_in_it", namespace),
    ("a_dry_run_changes_nothing", dry_run),
    ("a_status_is_written_apart_from_the_rest", status),
    ("a_definition_makes_its_kind_served_and_takes_it_along", definition),
    ("a_generated_name_is_its_own", generated_name),
];

fn read(plane: &ControlPlane, path: &str) -> Value {
    plane.get(path).expect("because it is there")
}

fn generation(plane: &'static ControlPlane) {
    let namespace = plane.namespace("generation");
    let path = format!("{}/web", deployments(&namespace));
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 0));
    let of = |object: &Value| object["metadata"]["generation"].as_i64();
    assert_eq!(of(&read(plane, &path)), Some(1));
    plane.patch(&path, &json!({"metadata": {"labels": {"a": "b"}}}));
    assert_eq!(of(&read(plane, &path)), Some(1));
    plane.patch(&path, &json!({"spec": {"minReadySeconds": 1}}));
    assert_eq!(of(&read(plane, &path)), Some(2));
    let made = plane.create(&configs(&namespace), &config("one", "1"));
    assert_eq!(of(&made), None, "a ConfigMap has none");
}

fn finalizer(plane: &'static ControlPlane) {
    let namespace = plane.namespace("finalizer");
    let path = format!("{}/one", configs(&namespace));
    let mut object = config("one", "1");
    object["metadata"]["finalizers"] = json!(["example.com/wait"]);
    plane.create(&configs(&namespace), &object);
    plane.delete(&path);
    assert!(read(plane, &path)["metadata"]["deletionTimestamp"].is_string());
    plane.patch(&path, &json!({"metadata": {"finalizers": null}}));
    assert_eq!(plane.get(&path), None);
}

fn preconditions(plane: &'static ControlPlane) {
    let namespace = plane.namespace("preconditions");
    let made = plane.create(&configs(&namespace), &config("one", "1"));
    let path = format!("{}/one", configs(&namespace));
    let options =
        |preconditions: Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
    for wrong in [json!({"uid": "other"}), json!({"resourceVersion": "1"})] {
        assert_eq!(refusal(plane, "DELETE", &path, Some(&options(wrong))).code, 409);
    }
    let right = json!({"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]});
    let answer = plane.send("DELETE", &path, Some(&options(right))).expect("because nothing speaks against it");
    assert_eq!((&answer["status"], &answer["details"]["uid"]), (&json!("Success"), &made["metadata"]["uid"]));
}

fn owned(plane: &'static ControlPlane) {
    let namespace = plane.namespace("owned");
    let owner = plane.create(&configs(&namespace), &config("owner", "1"));
    let reference = |owner: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]});
    let other = plane.create(&configs(&namespace), &config("other", "1"));
    let mut one = config("one", "1");
    one["metadata"]["ownerReferences"] = json!([reference(&owner)]);
    plane.create(&configs(&namespace), &one);
    let mut both = config("both", "1");
    both["metadata"]["ownerReferences"] = json!([reference(&owner), reference(&other)]);
    plane.create(&configs(&namespace), &both);
    plane.delete(&format!("{}/owner", configs(&namespace)));
    let gone = |name: &str| plane.get(&format!("{}/{name}", configs(&namespace))).is_none().then_some(());
    eventually("what it owned alone is gone", || gone("one"));
    eventually("the reference is gone", || {
        let both = read(plane, &format!("{}/both", configs(&namespace)));
        (both["metadata"]["ownerReferences"].as_array().map(Vec::len) == Some(1)).then_some(())
    });
    plane.delete(&format!("{}/other", configs(&namespace)));
    eventually("it goes with its last owner", || gone("both"));
}

fn namespace(plane: &'static ControlPlane) {
    let namespace = plane.namespace("leaving");
    let mut held = config("held", "1");
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    plane.create(&configs(&namespace), &held);
    plane.create(&configs(&namespace), &config("free", "1"));
    let path = format!("/api/v1/namespaces/{namespace}");
    plane.delete(&path);
    assert_eq!(read(plane, &path)["status"]["phase"], "Terminating");
    let refused = refusal(plane, "POST", &configs(&namespace), Some(&config("new", "1")));
    assert_eq!(refused.code, 403, "{refused:?}");
    let gone = |path: &str| plane.get(path).is_none().then_some(());
    eventually("what nothing holds is gone", || gone(&format!("{}/free", configs(&namespace))));
    plane.patch(&format!("{}/held", configs(&namespace)), &json!({"metadata": {"finalizers": null}}));
    eventually("the namespace is gone", || gone(&path));
}

fn dry_run(plane: &'static ControlPlane) {
    let namespace = plane.namespace("dry");
    let answer = plane.create(&format!("{}?dryRun=All", configs(&namespace)), &config("one", "1"));
    assert_eq!(answer["data"]["key"], "1");
    assert_eq!(plane.get(&format!("{}/one", configs(&namespace))), None);
    let made = plane.create(&configs(&namespace), &config("one", "1"));
    let path = format!("{}/one", configs(&namespace));
    plane.send("DELETE", &format!("{path}?dryRun=All"), None).expect("because it is there");
    plane.patch(&format!("{path}?dryRun=All"), &json!({"data": {"key": "2"}}));
    assert_eq!(read(plane, &path), made);
}

fn status(plane: &'static ControlPlane) {
    let namespace = plane.namespace("status");
    let scalers = format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers");
    let path = format!("{scalers}/web");
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    let status = json!({"currentReplicas": 7, "desiredReplicas": 7, "currentMetrics": null});
    let scaler = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
                        "spec": {"maxReplicas": 3, "scaleTargetRef": target}, "status": status});
    let made = plane.create(&scalers, &scaler);
    assert_ne!(made["status"]["currentReplicas"], 7, "a status is not made with the object: {made}");
    plane.patch(&path, &json!({ "status": status }));
    assert_ne!(read(plane, &path)["status"]["currentReplicas"], 7);
    plane.patch(&format!("{path}/status"), &json!({"status": status, "spec": {"maxReplicas": 5}}));
    let found = read(plane, &path);
    assert_eq!((&found["status"]["currentReplicas"], &found["spec"]["maxReplicas"]), (&json!(7), &json!(3)));
}

fn definition(plane: &'static ControlPlane) {
    let namespace = plane.namespace("definition");
    let group = format!("{namespace}.example");
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                         "subresources": {"status": {}}});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                     "metadata": {"name": format!("widgets.{group}")},
                     "spec": {"group": group, "scope": "Namespaced", "versions": [version],
                              "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"}}});
    plane.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &crd);
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/widgets");
    let widget = json!({"apiVersion": format!("{group}/v1"), "kind": "Widget", "metadata": {"name": "one"},
                        "spec": {"size": 3, "parts": ["a", "b"]}, "status": {"phase": "Made"}});
    let made = eventually("the kind is served", || plane.send("POST", &path, Some(&widget)).ok());
    assert_eq!((&made["spec"], &made["status"]), (&widget["spec"], &Value::Null));
    let found = read(plane, &format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}"));
    let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
    assert!(conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True"));
    plane.delete(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{group}"));
    eventually("the kind is not served any more", || {
        matches!(plane.send("GET", &path, None), Err(kube::Error::Api(status)) if status.code == 404).then_some(())
    });
}

fn generated_name(plane: &'static ControlPlane) {
    let namespace = plane.namespace("generated");
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "one-"}});
    let names = [(); 2].map(|()| {
        let made = plane.create(&configs(&namespace), &object);
        made["metadata"]["name"].as_str().unwrap_or_default().to_owned()
    });
    assert!(names.iter().all(|name| name.starts_with("one-") && name.len() == 9), "{names:?}");
    assert_ne!(names[0], names[1]);
}
