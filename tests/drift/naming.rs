//! What a drift is called.

use lockmaster::plan::PART_OF;
use lockmaster::plan::drift::{Baseline, Check, Drift, View, check, name};
use serde_json::{Value, json};

use super::model::{Place, SET, Server, manifest};
use super::{key, web};

/// The drift after somebody else wrote the object, as `path: from -> to`.
fn drift(write: impl Fn(&mut Value)) -> Vec<String> {
    let manifest = manifest(web());
    let mut server = Server::applied(&manifest);
    let mut object = server.object.clone();
    write(&mut object);
    server.updated(object);
    told(&name(&manifest, &server.shown(), View::Whole, SET))
}

fn told(drift: &Drift) -> Vec<String> {
    let value = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    drift.fields.iter().map(|field| format!("{}: {} -> {}", field.path, value(&field.from), value(&field.to))).collect()
}

fn containers(object: &mut Value) -> &mut Vec<Value> {
    object["spec"]["template"]["spec"]["containers"].as_array_mut().expect("because it is a list")
}

#[test]
fn every_drift_has_a_name() {
    const POD: &str = "spec.template.spec";
    assert_eq!(drift(|o| o["spec"]["replicas"] = json!(5)), ["spec.replicas: 5 -> 2"]);
    assert_eq!(
        drift(|o| containers(o)[0]["image"] = json!("web:2")),
        [format!("{POD}.containers[name=web].image: \"web:2\" -> \"web:1\"")]
    );
    let gone = drift(|o| drop(containers(o)[0]["env"].as_array_mut().expect("because it is a list").remove(0)));
    assert_eq!(gone, [format!("{POD}.containers[name=web].env[name=A]: - -> {}", json!({"name": "A", "value": "1"}))]);
    let twice = drift(|o| {
        let env = containers(o)[0]["env"].as_array_mut().expect("because it is a list");
        env.push(json!({"name": "A", "value": "9"}));
    });
    let both = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "9"}]);
    let wished = json!({"name": "A", "value": "1"});
    assert_eq!(twice, [format!("{POD}.containers[name=web].env[name=A]: {both} -> {wished}")]);
    assert_eq!(
        drift(|o| containers(o).swap(0, 1)),
        [format!("{POD}.containers: [\"log\",\"web\"] -> [\"web\",\"log\"]")]
    );
    assert_eq!(
        drift(|o| containers(o)[0]["args"] = json!(["-v", "-q"])),
        [format!("{POD}.containers[name=web].args: [\"-v\",\"-q\"] -> [\"-v\"]")]
    );
    assert_eq!(
        drift(|o| drop(o["metadata"]["labels"].as_object_mut().expect("because it is a map").remove(PART_OF))),
        [format!("metadata.labels['{PART_OF}']: - -> \"{SET}\"")]
    );
    assert_eq!(
        drift(|o| drop(o["metadata"].as_object_mut().expect("because it is a map").remove("labels"))),
        [format!("metadata.labels: - -> {}", json!({"app": "web", PART_OF: SET}))]
    );
    assert_eq!(drift(|o| o["spec"]["paused"] = json!(true)), ["metadata.managedFields: - -> -"], "no field of ours");
}

/// A place by its keys.
fn place(keys: &[&str]) -> Place {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn ownership_that_went_is_named_with_equal_values() {
    let manifest = manifest(web());
    let mut server = Server::applied(&manifest);
    server.ours.remove(&place(&["f:spec", "f:replicas"]));
    server.theirs.insert(place(&["f:spec", "f:replicas"]));
    let drift = name(&manifest, &server.shown(), View::Whole, SET);
    assert_eq!(told(&drift), ["spec.replicas: 2 -> 2"]);
    assert_eq!(drift.by.map(|by| by.manager).as_deref(), Some("kubectl-edit"));
    let mut server = Server::applied(&manifest);
    server.ours.insert(place(&["f:spec", "f:paused"]));
    assert_eq!(told(&name(&manifest, &server.shown(), View::Whole, SET)), ["spec.paused: - -> -"]);
    let mut bare = Server::applied(&manifest).shown();
    bare["metadata"].as_object_mut().expect("because it is there").remove("managedFields");
    assert_eq!(told(&name(&manifest, &bare, View::Whole, SET)), ["metadata.managedFields: - -> \"apps/v1\""]);
}

#[test]
fn a_drift_names_its_writer() {
    let manifest = manifest(web());
    let by = |write: &dyn Fn(&mut Value)| {
        let mut server = Server::applied(&manifest);
        let mut object = server.object.clone();
        write(&mut object);
        server.updated(object);
        let by = name(&manifest, &server.shown(), View::Whole, SET).by?;
        Some(format!("{} {} {}", by.manager, by.operation, by.time.unwrap_or_default()))
    };
    let edit = Some("kubectl-edit Update 2026-03-01T11:00:00Z".to_owned());
    assert_eq!(by(&|o| o["spec"]["replicas"] = json!(5)), edit);
    assert_eq!(by(&|o| containers(o).swap(0, 1)), None, "nobody owns an order");
    let without = |o: &mut Value| drop(o["spec"].as_object_mut().expect("because it is a map").remove("replicas"));
    assert_eq!(by(&without), None, "whoever only removes leaves no trace");
    let also = |o: &mut Value| {
        without(o);
        o["spec"]["paused"] = json!(true);
    };
    assert_eq!(by(&also), edit, "of a field that is gone it is whoever else wrote last");
}

#[test]
fn metadata_alone_names_the_fields_without_their_live_values() {
    let manifest = manifest(web());
    let mut server = Server::applied(&manifest);
    let mut baseline = Baseline::of(&server.shown(), &key());
    let mut object = server.object.clone();
    object["spec"]["replicas"] = json!(5);
    containers(&mut object)[0]["image"] = json!("web:2");
    containers(&mut object)[1].as_object_mut().expect("because it is a map").remove("ports");
    object["metadata"]["labels"]["app"] = json!("other");
    server.updated(object);
    let shown = server.shown();
    let seen = json!({"apiVersion": shown["apiVersion"], "kind": shown["kind"], "metadata": shown["metadata"]});
    assert_eq!(check(&mut baseline, &seen, View::Metadata, &key()), Check::Drifted);
    let drift = name(&manifest, &seen, View::Metadata, SET);
    let expected = [
        "metadata.labels.app: \"other\" -> \"web\"",
        "spec.replicas: - -> 2",
        "spec.template.spec.containers[name=web].image: - -> \"web:1\"",
        "spec.template.spec.containers[name=log].ports: - -> [{\"containerPort\":80,\"protocol\":\"TCP\"}]",
    ];
    assert_eq!(told(&drift), expected);
    assert_eq!(drift.by.map(|by| by.manager).as_deref(), Some("kubectl-edit"));
}

#[test]
fn a_secret_keeps_its_values() {
    let wish = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "store", "namespace": "shop"},
        "data": {"token": "aHVudGVyMg==", "old": "c3dvcmRmaXNo"},
    });
    let manifest = manifest(wish);
    let mut server = Server::applied(&manifest);
    let mut object = server.object.clone();
    object["data"] = json!({"token": "Y2hhbmdlZA=="});
    server.updated(object);
    let whole = name(&manifest, &server.shown(), View::Whole, SET);
    assert_eq!(told(&whole), ["data.old: - -> -", "data.token: - -> -"]);
    let shown = server.shown();
    let by_metadata = name(&manifest, &json!({"metadata": shown["metadata"]}), View::Metadata, SET);
    assert_eq!(told(&by_metadata), ["data.old: - -> -", "data.token: - -> -"]);
    let mut gone = server.clone();
    let mut object = gone.object.clone();
    object.as_object_mut().expect("because it is a map").remove("data");
    gone.updated(object);
    let gone = name(&manifest, &gone.shown(), View::Whole, SET);
    let texts = format!("{whole:?} {by_metadata:?} {gone:?} {:?}", Baseline::of(&shown, &key()));
    for value in ["aHVudGVyMg", "c3dvcmRmaXNo", "Y2hhbmdlZA"] {
        assert!(!texts.contains(value), "{texts}");
    }
    assert!(whole.fields.iter().chain(&gone.fields).all(|field| field.secret));
}
