//! The canonical form: what the API server would store anyway, so that the same object has the same bytes whoever wrote
//! it. Labels stay as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::quantity;
use super::yaml;
use crate::name::GroupVersionKind;

/// Brings an object into canonical form.
///
/// # Errors
/// What is wrong with a Secret; never with a value of it.
pub(super) fn canonicalise(kind: &GroupVersionKind, value: &mut Value) -> Result<(), String> {
    settle_numbers(value);
    if kind.group.is_empty() && kind.kind == "Secret" {
        settle_secret(value)?;
    }
    for (group, name, places) in QUANTITIES {
        if kind.group == *group && kind.kind == *name {
            places.iter().for_each(|place| each(value, &path(place), &mut settle_quantity));
        }
    }
    if let Some(template) = pod_template(kind) {
        for inner in POD_QUANTITIES {
            each(value, &path(template).chain(path(inner)), &mut settle_quantity);
        }
        let drop_time = &mut |metadata: &mut Value| drop_if(metadata, "creationTimestamp", Value::is_null);
        each(value, &path(template).chain(path("metadata")), drop_time);
    }
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration") => {
            each(value, &path("webhooks * clientConfig"), &mut drop_placeholder);
        }
        ("apiextensions.k8s.io", _) => {
            each(value, &path("spec conversion webhook clientConfig"), &mut drop_placeholder)
        }
        ("apiregistration.k8s.io", _) => each(value, &path("spec"), &mut drop_placeholder),
        // The controller writes the rules of an aggregated role (Kubernetes, RBAC, Aggregated ClusterRoles).
        ("rbac.authorization.k8s.io", "ClusterRole") if value.get("aggregationRule").is_some_and(|r| !r.is_null()) => {
            drop_if(value, "rules", |_| true);
        }
        _ => {}
    }
    Ok(())
}

/// Quantities by group and kind; the steps of a place are keys, and `*` for every item or member.
const QUANTITIES: &[(&str, &str, &[&str])] = &[
    ("", "ResourceQuota", &["spec hard *"]),
    (
        "",
        "LimitRange",
        &[
            "spec limits * max *",
            "spec limits * min *",
            "spec limits * default *",
            "spec limits * defaultRequest *",
            "spec limits * maxLimitRequestRatio *",
        ],
    ),
    ("", "PersistentVolume", &["spec capacity *"]),
    ("", "PersistentVolumeClaim", &["spec resources requests *", "spec resources limits *"]),
    (
        "apps",
        "StatefulSet",
        &[
            "spec volumeClaimTemplates * spec resources requests *",
            "spec volumeClaimTemplates * spec resources limits *",
        ],
    ),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        &[
            "spec metrics * * target value",
            "spec metrics * * target averageValue",
            "spec behavior scaleUp tolerance",
            "spec behavior scaleDown tolerance",
        ],
    ),
    ("node.k8s.io", "RuntimeClass", &["overhead podFixed *"]),
    ("storage.k8s.io", "CSIStorageCapacity", &["capacity", "maximumVolumeSize"]),
];

/// Quantities in a pod template.
const POD_QUANTITIES: &[&str] = &[
    "spec containers * resources requests *",
    "spec containers * resources limits *",
    "spec containers * env * valueFrom resourceFieldRef divisor",
    "spec initContainers * resources requests *",
    "spec initContainers * resources limits *",
    "spec initContainers * env * valueFrom resourceFieldRef divisor",
    "spec ephemeralContainers * env * valueFrom resourceFieldRef divisor",
    "spec resources requests *",
    "spec resources limits *",
    "spec overhead *",
    "spec volumes * emptyDir sizeLimit",
    "spec volumes * downwardAPI items * resourceFieldRef divisor",
    "spec volumes * projected sources * downwardAPI items * resourceFieldRef divisor",
    "spec volumes * ephemeral volumeClaimTemplate spec resources requests *",
    "spec volumes * ephemeral volumeClaimTemplate spec resources limits *",
];

/// Where a built-in kind has its pod template; a Pod is one itself.
fn pod_template(kind: &GroupVersionKind) -> Option<&'static str> {
    match (kind.group.as_str(), kind.kind.as_str()) {
        ("", "Pod") => Some(""),
        ("", "PodTemplate") => Some("template"),
        ("", "ReplicationController")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job") => Some("spec template"),
        ("batch", "CronJob") => Some("spec jobTemplate spec template"),
        _ => None,
    }
}

fn path(place: &str) -> impl Iterator<Item = &str> + Clone {
    place.split_whitespace()
}

/// Calls `change` on every value at a place.
fn each<'a>(value: &mut Value, place: &(impl Iterator<Item = &'a str> + Clone), change: &mut dyn FnMut(&mut Value)) {
    let mut rest = place.clone();
    match (rest.next(), value) {
        (None, value) => change(value),
        (Some("*"), Value::Array(items)) => items.iter_mut().for_each(|item| each(item, &rest, change)),
        (Some("*"), Value::Object(members)) => members.values_mut().for_each(|member| each(member, &rest, change)),
        (Some(key), Value::Object(members)) => {
            if let Some(member) = members.get_mut(key) {
                each(member, &rest, change);
            }
        }
        (Some(_), _) => {}
    }
}

fn settle_quantity(value: &mut Value) {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return,
    };
    if let Some(canonical) = quantity::canonical(&text) {
        *value = Value::String(canonical);
    }
}

fn drop_if(value: &mut Value, key: &str, drops: impl Fn(&Value) -> bool) {
    if let Some(members) = value.as_object_mut()
        && members.get(key).is_some_and(drops)
    {
        members.remove(key);
    }
}

/// Drops a CA bundle that says nothing: empty, or the newline that stands where an injector will write (`Cg==`).
fn drop_placeholder(client: &mut Value) {
    drop_if(client, "caBundle", |bundle| bundle.is_null() || matches!(bundle.as_str(), Some("" | "Cg==")));
}

/// Gives every number its one form.
fn settle_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() => {
            if let Some(settled) = number.as_f64().and_then(yaml::number) {
                *number = settled;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle_numbers),
        Value::Object(members) => members.values_mut().for_each(settle_numbers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `stringData` into `data`, and `data` checked: the server does the same (Kubernetes, Secrets, "Working with Secrets").
fn settle_secret(value: &mut Value) -> Result<(), String> {
    let Some(secret) = value.as_object_mut() else { return Ok(()) };
    if secret.get("type").is_some_and(|kind| !kind.is_string()) {
        return Err("has a `type` that is not text".to_owned());
    }
    let mut data = texts(secret, "data")?;
    for (key, text) in &mut data {
        let bytes = yaml::decode_base64(text).ok_or_else(|| format!("has `data.{key}` that is not base64"))?;
        *text = STANDARD.encode(bytes);
    }
    for (key, text) in texts(secret, "stringData")? {
        data.retain(|(other, _)| *other != key);
        data.push((key, STANDARD.encode(text)));
    }
    if !data.is_empty() {
        let data: Map<String, Value> = data.into_iter().map(|(key, text)| (key, Value::String(text))).collect();
        secret.insert("data".to_owned(), Value::Object(data));
    }
    Ok(())
}

/// Takes a mapping of text to text out of a Secret; null is empty.
fn texts(secret: &mut Map<String, Value>, field: &str) -> Result<Vec<(String, String)>, String> {
    match secret.remove(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(members)) => members
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key, text)),
                Value::Null => Ok((key, String::new())),
                _ => Err(format!("has `{field}.{key}` that is not text")),
            })
            .collect(),
        Some(_) => Err(format!("has `{field}` that is not a mapping")),
    }
}
