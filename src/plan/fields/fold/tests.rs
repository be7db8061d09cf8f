use serde_json::{Value, json};

use super::*;
use crate::manifest::ManifestSet;

const VERSION: &str = "apps/v1";

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": VERSION, "kind": "Deployment", "metadata": {"name": "cart", "namespace": "shop"}, "spec": spec})
}

fn manifest(spec: Value, scaled: bool) -> Manifest {
    let line = format!("{}\n", deployment(spec));
    let set = ManifestSet::from_bytes(line.as_bytes()).expect("because the line is canonical");
    Manifest { scaled, ..set.manifests()[0].clone() }
}

fn entry(manager: &str, operation: &str, spec: Value) -> Value {
    json!({"manager": manager, "operation": operation, "apiVersion": VERSION, "time": "2026-01-01T00:00:00Z",
           "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": spec}})
}

fn with(mut entry: Value, field: &str, value: &str) -> Value {
    entry[field] = value.into();
    entry
}

/// The answer to our first apply: what kubectl said, if it did, and the entries.
fn object(said: Option<Value>, entries: &[Value]) -> Value {
    let mut object = deployment(json!({"a": 1, "b": 1, "c": 1, "replicas": 4}));
    object["metadata"]["managedFields"] = entries.iter().cloned().collect();
    if let Some(said) = said {
        object["metadata"]["annotations"] = json!({LAST_APPLIED: deployment(said).to_string()});
    }
    object
}

fn ours(spec: Value) -> Value {
    entry("lockmaster", "Apply", spec)
}

fn kubectl(spec: Value) -> Value {
    entry("kubectl-client-side-apply", "Update", spec)
}

/// All that a person's kubectl could own, defaults too.
fn all() -> Value {
    json!({"f:a": {}, "f:b": {}, "f:c": {}, "f:replicas": {}})
}

#[test]
fn what_former_appliers_said_becomes_ours_and_their_entries_go() {
    let said = || Some(json!({"a": 1, "b": 1}));
    let mine = || ours(json!({"f:a": {}}));
    let a_and_b = json!({"f:a": {}, "f:b": {}});
    let a = json!({"f:a": {}});
    let table: Vec<(&str, Value, Value)> = vec![
        ("kubectl's update", object(said(), &[kubectl(all()), mine()]), a_and_b.clone()),
        ("of lost fields", object(said(), &[entry("before-first-apply", "Update", all()), mine()]), a_and_b.clone()),
        ("nobody tells what it said", object(None, &[kubectl(all()), mine()]), a.clone()),
        ("Helm 3", object(None, &[entry("helm", "Update", all()), mine()]), a.clone()),
        ("Helm 4", object(None, &[entry("helm", "Apply", a_and_b.clone()), mine()]), a_and_b.clone()),
        ("Flux", object(None, &[entry("kustomize-controller", "Apply", a_and_b.clone()), mine()]), a_and_b.clone()),
        ("kubectl's apply", object(None, &[entry("kubectl", "Apply", a_and_b.clone()), mine()]), a_and_b),
        ("another version", object(said(), &[with(kubectl(all()), "apiVersion", "apps/v1beta1"), mine()]), a),
    ];
    for (name, object, owned) in table {
        let folded = folded(&manifest(json!({"a": 1}), false), &object, true);
        assert_eq!(folded, Some(json!([ours(owned)])), "{name}");
    }
}

#[test]
fn without_former_appliers_there_is_nothing_to_fold() {
    let mine = ours(json!({"f:a": {}}));
    let table = [
        ("nobody else", object(None, std::slice::from_ref(&mine))),
        ("a controller", object(None, &[mine.clone(), entry("kube-controller-manager", "Update", all())])),
        ("an edit", object(None, &[mine.clone(), entry("kubectl-edit", "Update", all())])),
        ("an old kubectl's edit", object(None, &[mine.clone(), entry("kubectl", "Update", all())])),
        ("a subresource", object(None, &[mine, with(entry("helm", "Update", all()), "subresource", "scale")])),
        ("no entry of ours", object(None, &[kubectl(all())])),
    ];
    for (name, object) in table {
        assert_eq!(folded(&manifest(json!({"a": 1}), false), &object, true), None, "{name}");
    }
}

#[test]
fn entries_of_others_stay_as_they_are() {
    let hpa = with(entry("kube-controller-manager", "Update", json!({"f:replicas": {}})), "subresource", "scale");
    let edit = entry("kubectl-edit", "Update", json!({"f:c": {}}));
    let mine = ours(json!({"f:a": {}}));
    let live = object(Some(json!({"a": 1})), &[hpa.clone(), kubectl(all()), mine.clone(), edit.clone()]);
    assert_eq!(folded(&manifest(json!({"a": 1}), false), &live, true), Some(json!([hpa, mine, edit])));
}

#[test]
fn later_only_the_entry_of_lost_fields_goes_and_only_if_nobody_else_has_one() {
    let mine = ours(json!({"f:a": {}}));
    let lost = entry("before-first-apply", "Update", all());
    let status = with(entry("kube-controller-manager", "Update", json!({})), "subresource", "status");
    let edit = entry("kubectl-edit", "Update", json!({"f:c": {}}));
    let said = || Some(json!({"a": 1, "b": 1}));
    let table = [
        ("alone", object(said(), &[lost.clone(), mine.clone()]), Some(json!([mine]))),
        ("with a status", object(None, &[lost.clone(), mine.clone(), status.clone()]), Some(json!([mine, status]))),
        ("with an edit", object(None, &[lost, mine.clone(), edit]), None),
        ("kubectl's", object(said(), &[kubectl(all()), mine]), None),
    ];
    for (name, object, expected) in table {
        assert_eq!(folded(&manifest(json!({"a": 1}), false), &object, false), expected, "{name}");
    }
}

#[test]
fn what_a_scaler_decides_never_becomes_ours() {
    let mine = ours(json!({"f:a": {}}));
    let live = object(Some(json!({"a": 1, "replicas": 4})), &[kubectl(all()), mine.clone()]);
    assert_eq!(folded(&manifest(json!({"a": 1}), true), &live, true), Some(json!([mine])));
    assert_eq!(without_leftovers(&manifest(json!({"a": 1}), true), &live), live);
    assert_eq!(without_leftovers(&manifest(json!({"a": 1}), false), &live)["spec"], json!({"a": 1, "b": 1, "c": 1}));
}

#[test]
fn leftovers_are_what_former_appliers_said_and_nobody_else_owns_or_says() {
    let edit = entry("kubectl-edit", "Update", json!({"f:b": {}}));
    let said = Some(json!({"a": 1, "b": 1, "c": 1}));
    let live = object(said.clone(), &[kubectl(all()), ours(json!({"f:a": {}}))]);
    let spec = |live: &Value| without_leftovers(&manifest(json!({"a": 1}), false), live)["spec"].clone();
    assert_eq!(spec(&live), json!({"a": 1, "replicas": 4}));
    let live = object(said, &[kubectl(all()), ours(json!({"f:a": {}})), edit]);
    assert_eq!(spec(&live), json!({"a": 1, "b": 1, "replicas": 4}));
}

#[test]
fn the_plain_data_of_a_secret_is_its_data() {
    let line = json!({"apiVersion": "v1", "data": {"a": "MQ=="}, "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}});
    let set = ManifestSet::from_bytes(format!("{line}\n").as_bytes()).expect("because the line is canonical");
    let mut live = line.clone();
    live["data"]["b"] = "MQ==".into();
    let copy = json!({"stringData": {"a": "1", "b": "1"}}).to_string();
    let data = json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}});
    live["metadata"]["annotations"] = json!({LAST_APPLIED: copy});
    live["metadata"]["managedFields"] =
        json!([{"manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1", "fieldsV1": data}]);
    assert_eq!(without_leftovers(&set.manifests()[0], &live)["data"], json!({"a": "MQ=="}));
}

#[test]
fn a_number_is_handed_off_where_ours_is_the_entry_that_owns_it() {
    let owning = object(None, &[ours(all())]);
    let count = json!(4);
    let said = |scaled: bool| manifest(json!({"a": 1}), scaled);
    assert_eq!(count_to_hand_off(&said(true), &owning), Some(&count));
    assert_eq!(count_to_hand_off(&said(false), &owning), None);
    assert_eq!(count_to_hand_off(&said(true), &object(None, &[kubectl(all()), ours(json!({"f:a": {}}))])), None);
}
