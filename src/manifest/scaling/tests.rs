use serde_json::{Value, json};

use crate::manifest::{Draft, Fence, Manifest, ManifestSet, Scope, Scopes, Source};
use crate::name::{Digest, GroupKind, RepoPath};

fn object(api_version: &str, name: &str, spec: Value) -> Value {
    let (kind, name) = name.split_once('/').expect("because a test object is named `Kind/name`");
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn workload(api_version: &str, name: &str) -> Value {
    object(api_version, name, json!({"paused": true, "replicas": 3}))
}

fn hpa(target: Value) -> Value {
    object("autoscaling/v2", "HorizontalPodAutoscaler/cart", json!({"maxReplicas": 9, "scaleTargetRef": target}))
}

fn scaled_object(target: Value) -> Value {
    object("keda.sh/v1alpha1", "ScaledObject/cart", json!({"scaleTargetRef": target}))
}

fn release(objects: &[Value]) -> ManifestSet {
    let fence = Fence {
        namespaces: vec!["shop".to_owned(), "other".to_owned()],
        default_namespace: None,
        cluster_kinds: Vec::new(),
        agent_namespace: "lockmaster".to_owned(),
    };
    let mut scopes = Scopes::built_in();
    for (group, kind) in [("keda.sh", "ScaledObject"), ("argoproj.io", "Rollout"), ("extensions", "Deployment")] {
        scopes.0.insert(GroupKind::new(group, kind), Scope::Namespaced);
    }
    let source = Source { file: RepoPath::root(), line: 1 };
    let drafts = objects.iter().map(|value| Draft { value: value.clone(), source: source.clone() });
    ManifestSet::assemble(drafts.collect(), &fence, &scopes).expect("because the objects are good")
}

/// The workload, which is the one object that is no scaler.
fn of(set: &ManifestSet) -> &Manifest {
    let scalers = ["HorizontalPodAutoscaler", "ScaledObject"];
    let found = set.manifests().iter().find(|manifest| !scalers.contains(&manifest.kind.kind.as_str()));
    found.expect("because it is in the release")
}

#[test]
fn a_scaler_of_the_release_decides_the_number_of_its_very_target() {
    let target = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "name": "cart"});
    let mut elsewhere = hpa(target("apps/v1", "Deployment"));
    elsewhere["metadata"]["namespace"] = "other".into();
    let mut first_version = hpa(target("apps/v1", "Deployment"));
    first_version["apiVersion"] = "autoscaling/v1".into();
    let keda_default = scaled_object(json!({"name": "cart"}));
    let table = [
        ("autoscaling/v2", "apps/v1", "Deployment", hpa(target("apps/v1", "Deployment")), true),
        ("autoscaling/v1", "apps/v1", "Deployment", first_version, true),
        ("another version", "apps/v1", "StatefulSet", hpa(target("apps/v1beta1", "StatefulSet")), true),
        ("a custom kind", "argoproj.io/v1alpha1", "Rollout", hpa(target("argoproj.io/v1alpha1", "Rollout")), true),
        (
            "the core group",
            "v1",
            "ReplicationController",
            hpa(json!({"kind": "ReplicationController", "name": "cart"})),
            true,
        ),
        ("KEDA", "apps/v1", "ReplicaSet", scaled_object(target("apps/v1", "ReplicaSet")), true),
        ("KEDA's defaults", "apps/v1", "Deployment", keda_default.clone(), true),
        ("KEDA's defaults, another kind", "apps/v1", "StatefulSet", keda_default, false),
        (
            "another name",
            "apps/v1",
            "Deployment",
            hpa(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"})),
            false,
        ),
        ("another kind", "apps/v1", "StatefulSet", hpa(target("apps/v1", "Deployment")), false),
        ("another group", "apps/v1", "Deployment", hpa(target("extensions/v1beta1", "Deployment")), false),
        ("another namespace", "apps/v1", "Deployment", elsewhere, false),
        ("no target", "apps/v1", "Deployment", hpa(json!({})), false),
    ];
    for (name, api_version, kind, scaler, scaled) in table {
        let set = release(&[workload(api_version, &format!("{kind}/cart")), scaler]);
        let manifest = of(&set);
        let expected = if scaled { json!({"paused": true}) } else { json!({"paused": true, "replicas": 3}) };
        assert_eq!((manifest.scaled, &manifest.value["spec"]), (scaled, &expected), "{name}");
    }
}

#[test]
fn bytes_and_digest_are_of_what_is_applied() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"});
    let set = release(&[workload("apps/v1", "Deployment/cart"), hpa(target.clone())]);
    let bytes = set.to_bytes();
    let lines: Vec<Digest> = bytes.split(|b| *b == b'\n').map(Digest::of).collect();
    assert!(set.manifests().iter().all(|manifest| lines.contains(&manifest.digest)));
    assert!(!String::from_utf8_lossy(&bytes).contains("\"replicas\""));
    let again = ManifestSet::from_bytes(&bytes).expect("because we wrote it");
    assert_eq!(again, set, "what is scaled is found again");
    let same = release(&[object("apps/v1", "Deployment/cart", json!({"paused": true})), hpa(target)]);
    assert_eq!(same, set, "what a scaler decides makes no other release");
}

#[test]
fn stored_bytes_that_say_a_number_are_applied_as_they_are() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"});
    let lines = [workload("apps/v1", "Deployment/cart"), hpa(target)].map(|object| format!("{object}\n")).concat();
    let set = ManifestSet::from_bytes(lines.as_bytes()).expect("because the lines are canonical");
    assert_eq!((of(&set).scaled, &of(&set).value["spec"]["replicas"]), (false, &json!(3)));
    assert_eq!(set.to_bytes(), lines.as_bytes());
}
