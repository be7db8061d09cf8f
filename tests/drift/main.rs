//! Drift is told exactly: what a forced apply would change, nothing else, and by its name.

mod model;
mod naming;
mod properties;

use lockmaster::plan::drift::{Baseline, Check, HashKey, View, check, is_as_applied};
use model::{SET, Server, manifest};
use serde_json::{Value, json};

fn key() -> HashKey {
    HashKey::new([7; 32])
}

/// A workload with everything in it that is owned in a way of its own.
fn web() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {
                "containers": [
                    {"name": "web", "image": "web:1", "args": ["-v"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                    {"name": "log", "image": "log:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]},
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }},
        },
    })
}

fn baseline(object: &Value) -> Baseline {
    Baseline::of(object, &key())
}

#[test]
fn a_baseline_is_small() {
    assert!(size_of::<Baseline>() <= 112, "{} bytes", size_of::<Baseline>());
}

#[test]
fn the_key_is_never_shown() {
    assert_eq!(format!("{:?}", HashKey::new([77; 32])), "HashKey(..)");
}

#[test]
fn a_baseline_survives_its_text() {
    for object in [Server::applied(&manifest(web())).shown(), json!({}), json!({"metadata": {"resourceVersion": "9"}})]
    {
        let baseline = baseline(&object);
        let text = baseline.to_text();
        assert!(text.len() <= 80, "{text}");
        assert_eq!(Baseline::from_text(&text), Some(baseline), "{text}");
        for broken in
            [&text[1..], &text[..text.len() - 1], &format!("{text}A"), &format!("{text}."), &text.replace("1.", "2.")]
        {
            assert_ne!(
                Baseline::from_text(broken).as_ref().map(Baseline::to_text).as_deref(),
                Some(text.as_str()),
                "{broken}"
            );
        }
    }
    for none in ["", "1", "1...", "1.5.3.AAAA", "1.-5.3.AAAA"] {
        assert_eq!(Baseline::from_text(none), None, "{none}");
    }
}

#[test]
fn without_our_entry_everything_is_drift() {
    let mut object = Server::applied(&manifest(web())).shown();
    let mut before = baseline(&object);
    assert_eq!(check(&mut before, &object, View::Whole, &key()), Check::Same);
    object["metadata"].as_object_mut().expect("because it is there").remove("managedFields");
    assert_eq!(check(&mut before, &object, View::Whole, &key()), Check::Drifted);
    assert_eq!(check(&mut before, &object, View::Metadata, &key()), Check::Drifted);
    assert_eq!(check(&mut baseline(&object), &object, View::Whole, &key()), Check::Drifted);
    assert!(!is_as_applied(&manifest(web()), &object, SET));
}

#[test]
fn another_key_knows_nothing() {
    let object = Server::applied(&manifest(web())).shown();
    assert_eq!(check(&mut baseline(&object), &object, View::Whole, &HashKey::new([8; 32])), Check::Drifted);
}

#[test]
fn an_equal_generation_means_untouched_but_for_a_kind_that_never_counts() {
    let after = |kind: &str| {
        let wish =
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": kind, "metadata": {"name": "high"}, "value": 5});
        let mut object = Server::applied(&manifest(wish)).shown();
        let mut before = baseline(&object);
        object["metadata"]["resourceVersion"] = json!("200");
        object["value"] = json!(6);
        let by_metadata = check(&mut before.clone(), &object, View::Metadata, &key());
        (check(&mut before, &object, View::Whole, &key()), by_metadata)
    };
    assert_eq!(after("Counted"), (Check::Same, Check::Same));
    assert_eq!(after("PriorityClass"), (Check::Drifted, Check::Look));
}

#[test]
fn a_check_that_finds_nothing_moves_the_baseline_on() {
    let mut object = Server::applied(&manifest(web())).shown();
    let mut before = baseline(&object);
    object["metadata"]["resourceVersion"] = json!("200");
    object["metadata"]["generation"] = json!(7);
    object["spec"]["paused"] = json!(true);
    assert_eq!(check(&mut before, &object, View::Metadata, &key()), Check::Look, "nobody knows what changed");
    assert_eq!(before.version(), 100);
    assert_eq!(check(&mut before, &object, View::Whole, &key()), Check::Same);
    assert_eq!(before.version(), 200);
    assert_eq!(check(&mut before, &object, View::Metadata, &key()), Check::Same);
    object["metadata"]["resourceVersion"] = json!("300");
    object["spec"]["replicas"] = json!(9);
    object["metadata"]["generation"] = json!(8);
    assert_eq!(check(&mut before, &object, View::Whole, &key()), Check::Drifted);
    assert_eq!(before.version(), 200, "a drift moves nothing");
}
