//! The objects of a small shop.

use base64::Engine as _;
use lockmaster::name::ObjectKey;
use serde_json::{Value, json};

pub(crate) const NAMESPACE: &str = "shop";

pub(crate) fn config(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
}

/// What stands in every value of a Secret, as its manifest has it (base64), and in plain words: nobody may read it anywhere
/// else.
pub(crate) const SECRETS: [&str; 2] = ["cGxhbnRlZC1z", "planted-s"];

/// A Secret of a version of one digit, or of another hand.
pub(crate) fn secret(name: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"value": secret_value(version)}})
}

/// The value of such a Secret.
pub(crate) fn secret_value(version: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{}{version}", SECRETS[1]))
}

pub(crate) fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": image}]}},
        },
    })
}

pub(crate) fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

pub(crate) fn definition() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    })
}

pub(crate) fn widget(name: &str) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": 1}})
}

pub(crate) fn in_wave(mut object: Value, wave: &str) -> Value {
    object["metadata"]["annotations"]["lockmaster.dev/wave"] = json!(wave);
    object
}

pub(crate) fn key(group: &str, kind: &str, name: &str) -> ObjectKey {
    let namespace = (kind != "CustomResourceDefinition").then(|| NAMESPACE.to_owned());
    ObjectKey { group: group.to_owned(), kind: kind.to_owned(), namespace, name: name.to_owned() }
}

pub(crate) fn deployment_key(name: &str) -> ObjectKey {
    key("apps", "Deployment", name)
}

pub(crate) fn secret_key(name: &str) -> ObjectKey {
    key("", "Secret", name)
}

pub(crate) fn config_key(name: &str) -> ObjectKey {
    key("", "ConfigMap", name)
}
