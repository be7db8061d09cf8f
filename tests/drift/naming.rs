//! What a drift is called.

use lockmaster::plan::PART_OF;
use lockmaster::plan::drift::{Drift, View, name};
use serde_json::{Value, json};

use super::model::{SET, Server, manifest};
use super::web;

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
    assert_eq!(drift(|_| ()), Vec::<String>::new());
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
    assert_eq!(drift(|o| o["spec"]["paused"] = json!(true)), Vec::<String>::new(), "a field of others is no drift");
}
