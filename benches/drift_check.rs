//! How long it takes to tell whether an event of a watch is drift, beside reading its JSON.

#[path = "support/pure.rs"]
mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use lockmaster::plan::drift::{Baseline, Check, HashKey, View, check};
use serde_json::{Map, Value, json};
use support::fleet::deployment;
use support::measure::{measure, scaled};
use support::report::{Report, median};

/// Settings of a Deployment of about 4 KB, and of one of about 7 KB, as the server sends it.
const SIZES: [usize; 2] = [0, 18];
/// How often each is measured, and how many checks one measurement has.
const MEASUREMENTS: usize = 200;
const CHECKS: usize = 200;
/// DESIGN, budgets: an event is judged within this many microseconds.
const BUDGET: f64 = 100.0;

fn main() -> ExitCode {
    measure("drift_check", bench)
}

fn bench() {
    let mut report = Report::new("drift_check");
    let key = HashKey::new([7; 32]);
    for settings in SIZES {
        let live = live(deployment("web", settings));
        let bytes = live.to_string().into_bytes();
        let name = format!("{:.1} KB", bytes.len() as f64 / 1000.0);
        let baseline = Baseline::of(&live, &key);
        let mut changed = live.clone();
        // Another generation: somebody wrote the spec, so all values are compared.
        changed["metadata"]["generation"] = json!(9);
        let read = || serde_json::from_slice::<Value>(&bytes).map(|value| drop(black_box(value)));
        let parse = microseconds(|| read().expect("because it was written as JSON"));
        let same = |object: &Value, view: View| {
            let verdict = check(&mut baseline.clone(), black_box(object), view, &key);
            assert_eq!(verdict, Check::Same, "the bench measures what is no drift");
        };
        let full = microseconds(|| same(&changed, View::Whole));
        report.baseline(&format!("{name}: read the JSON"), parse, "us");
        report.figure(
            &format!("{name}: a baseline"),
            microseconds(|| {
                black_box(Baseline::of(&live, &key));
            }),
            "us",
        );
        report.figure(&format!("{name}: check, all values"), full, "us");
        report.figure(&format!("{name}: check, same generation"), microseconds(|| same(&live, View::Whole)), "us");
        report.figure(&format!("{name}: check, metadata"), microseconds(|| same(&live, View::Metadata)), "us");
        report.bounded(&format!("{name}: read, then check all values"), parse + full, "us", BUDGET);
        report.ratio(&format!("{name}: check all values / read the JSON"), full / parse, None);
    }
    report.finish();
}

/// The middle of many measurements, in microseconds for one call.
fn microseconds(act: impl Fn()) -> f64 {
    let one = |_| {
        let started = Instant::now();
        (0..CHECKS).for_each(|_| act());
        started.elapsed().as_secs_f64() * 1e6 / CHECKS as f64
    };
    median(&(0..scaled(MEASUREMENTS, 10)).map(one).collect::<Vec<_>>())
}

/// The object as the server sends it after our apply: with our entry of `managedFields`, the Deployment controller's, and
/// a status.
fn live(mut object: Value) -> Value {
    let applied = json!({"metadata": {"labels": object["metadata"]["labels"]}, "spec": object["spec"]});
    let ours = json!({"manager": "lockmaster", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
                      "time": "2026-01-01T00:00:00Z", "fieldsV1": fields(&applied)});
    let status = json!({"availableReplicas": 2, "observedGeneration": 4, "readyReplicas": 2, "replicas": 2,
                        "updatedReplicas": 2, "conditions": [{"type": "Available", "status": "True",
                        "lastTransitionTime": "2026-01-01T00:00:09Z", "lastUpdateTime": "2026-01-01T00:00:09Z",
                        "message": "Deployment has minimum availability.", "reason": "MinimumReplicasAvailable"}]});
    let controller = json!({"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1",
                            "fieldsType": "FieldsV1", "subresource": "status", "time": "2026-01-01T00:00:09Z",
                            "fieldsV1": fields(&json!({"status": status}))});
    let metadata = object["metadata"].as_object_mut().expect("because an object has metadata");
    metadata.extend(Map::from_iter([
        ("managedFields".to_owned(), json!([ours, controller])),
        ("uid".to_owned(), json!("0b6f1d5e-1c8f-4f0e-9d8e-0e7c7d6b1a11")),
        ("resourceVersion".to_owned(), json!("4711")),
        ("generation".to_owned(), json!(4)),
        ("creationTimestamp".to_owned(), json!("2026-01-01T00:00:00Z")),
    ]));
    object["status"] = status;
    object
}

/// The field set of everything in the value, as server-side apply writes it: items of a list are named by the keys that
/// lists of Deployments have, other lists are one field.
fn fields(value: &Value) -> Value {
    let Value::Object(map) = value else {
        let items = value.as_array().into_iter().flatten().filter_map(|item| {
            let name = ["mountPath", "containerPort", "type", "name"].iter().find(|name| item.get(**name).is_some())?;
            let mut key = Map::from_iter([((*name).to_owned(), item[*name].clone())]);
            if *name == "containerPort" {
                key.insert("protocol".to_owned(), item["protocol"].clone());
            }
            let mut of_item = fields(item);
            of_item["."] = json!({});
            Some((format!("k:{}", Value::Object(key)), of_item))
        });
        return Value::Object(items.collect());
    };
    Value::Object(map.iter().map(|(key, value)| (format!("f:{key}"), fields(value))).collect())
}
