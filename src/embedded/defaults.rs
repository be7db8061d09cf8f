//! What a real server fills in that nobody said: the rules of `defaults.txt`, and those that are no table.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::objects;
use super::schema::{Field, Resource, Struct, Type};

/// A line of the table.
struct Rule {
    on_create: bool,
    field: &'static str,
    value: What,
    conditions: Vec<&'static str>,
}

enum What {
    Is(Value),
    Copy(&'static str),
    Remove,
}

static RULES: LazyLock<HashMap<&str, Vec<Rule>>> = LazyLock::new(|| {
    let mut rules: HashMap<&str, Vec<Rule>> = HashMap::new();
    for line in include_str!("defaults.txt").lines().filter(|line| !line.starts_with('#')) {
        let (rule, conditions) = line.split_once(" if ").unwrap_or((line, ""));
        let mut words = rule.splitn(3, ' ');
        let [name, field, value] = [(); 3].map(|()| words.next().expect("because a rule has three parts"));
        let value = match value.strip_prefix('$') {
            _ if value == "-" => What::Remove,
            Some(field) => What::Copy(field),
            None => What::Is(serde_json::from_str(value).expect("because the value is JSON")),
        };
        let (on_create, name) = name.strip_prefix('+').map_or((false, name), |name| (true, name));
        let rule = Rule { on_create, field, value, conditions: conditions.split_whitespace().collect() };
        rules.entry(name).or_default().push(rule);
    }
    rules
});

/// Brings an object that is to be written into its stored form, with every default.
pub(super) fn complete(resource: &Resource, object: &mut Value) {
    objects::normalise(resource, object);
    fill(&resource.root(), object);
    objects::normalise(resource, object);
}

/// Fills in what a real server adds to an object that it creates, after its managed fields are known.
///
/// A Job without a selector of its own gets one, and the labels, from its `metadata.uid` and name.
pub(super) fn complete_new(resource: &Resource, object: &mut Value) {
    if let Some(known) = resource.root().as_struct() {
        apply_rules(known, object, true);
    }
    let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
    if resource.name() == "jobs.batch" && object["spec"]["manualSelector"] != true {
        let labels = &mut object["spec"]["template"]["metadata"]["labels"];
        for prefix in ["", "batch.kubernetes.io/"] {
            labels[format!("{prefix}controller-uid")] = uid.clone();
            labels[format!("{prefix}job-name")] = name.clone();
        }
        let copied = labels.clone();
        object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
        if object["metadata"]["labels"].is_null() {
            object["metadata"]["labels"] = copied;
        }
    }
}

fn apply_rules(known: &Struct, object: &mut Value, on_create: bool) {
    let rules = RULES.get(known.name.as_str()).into_iter().flatten();
    rules.filter(|rule| rule.on_create == on_create).for_each(|rule| apply(known, rule, object));
}

/// Gives an object what a server works out for it once, and keeps that where a write leaves it out. `number` is one that
/// no other object gets.
pub(super) fn allot(resource: &Resource, live: Option<&Value>, new: &mut Value, number: u64) {
    let service = ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"];
    let kept: &[&str] = match resource.name().as_str() {
        "services" if new["spec"]["type"] != "ExternalName" => &service,
        "pods" => &["priority", "preemptionPolicy", "tolerations"],
        "namespaces" => &["finalizers"],
        "customresourcedefinitions.apiextensions.k8s.io" => {
            let mut stored = new["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
            for version in new["spec"]["versions"].as_array().into_iter().flatten() {
                if version["storage"] == true && !stored.contains(&version["name"]) {
                    stored.push(version["name"].clone());
                }
            }
            new["status"]["storedVersions"] = stored.into();
            return;
        }
        _ => return,
    };
    let mut given = live.map_or(Value::Null, |live| live["spec"].clone());
    if live.is_none() && kept == service {
        // In the range that clusters commonly use.
        let own = format!("10.96.{}.{}", number / 250 % 250, number % 250 + 2);
        let address = new["spec"]["clusterIP"].as_str().unwrap_or(&own);
        given = json!({"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
                       "ipFamilyPolicy": "SingleStack"});
    }
    for field in kept {
        if let (Some(value), true) = (given.get(field), new["spec"][field].is_null()) {
            new["spec"][*field] = value.clone();
        }
    }
}

/// Fills in a value and all below it.
fn fill(kind: &Type, value: &mut Value) {
    match (kind, value) {
        (Type::Struct(id, _), value) if value.is_object() => {
            let known = id.get();
            apply_rules(known, value, false);
            special(&known.name, value);
            let Value::Object(map) = value else { return };
            for (name, field) in &known.fields {
                let is_set = map.get(name).is_some_and(|value| field.keeps_zero || !objects::is_zero(value));
                if let (false, Some(default)) = (is_set, &field.default) {
                    map.insert(name.clone(), default.clone());
                }
                if let Some(inner) = map.get_mut(name) {
                    fill(&field.kind, inner);
                }
            }
        }
        (Type::Map(element, _), Value::Object(map)) => map.values_mut().for_each(|inner| fill(element, inner)),
        (Type::List(element, _), Value::Array(list)) => list.iter_mut().for_each(|inner| fill(element, inner)),
        _ => {}
    }
}

/// The field of a struct at a path, as far as the path names fields.
fn field_at<'s>(known: &'s Struct, path: &str) -> Option<&'s Field> {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let field = known.fields.get(first)?;
    match rest {
        None => Some(field),
        Some(rest) => field_at(field.kind.as_struct()?, rest),
    }
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('/').try_fold(value, |value, name| value.get(name))
}

/// Whether a field says something.
fn is_set(known: &Struct, object: &Value, path: &str) -> bool {
    let keeps_zero = field_at(known, path).is_some_and(|field| field.keeps_zero);
    at(object, path).is_some_and(|value| !value.is_null() && (keeps_zero || !objects::is_zero(value)))
}

fn apply(known: &Struct, rule: &Rule, object: &mut Value) {
    let holds =
        rule.conditions.iter().all(|condition| match (condition.split_once('='), condition.strip_prefix('!')) {
            (Some((field, value)), _) => at(object, field).and_then(Value::as_str) == Some(value),
            (None, Some(field)) => !is_set(known, object, field),
            (None, None) => is_set(known, object, condition),
        });
    if let (true, Some((list, field))) = (holds, rule.field.split_once("/*/")) {
        for item in object[list].as_array_mut().into_iter().flatten() {
            set(item, field, &rule.value);
        }
    } else if holds && (matches!(rule.value, What::Remove) || !is_set(known, object, rule.field)) {
        set(object, rule.field, &rule.value);
    }
}

/// Sets a field whose parent is there.
fn set(object: &mut Value, path: &str, what: &What) {
    let value = match what {
        What::Is(value) => Some(value.clone()),
        What::Copy(from) => at(object, from).filter(|value| !value.is_null()).cloned(),
        What::Remove => None,
    };
    let (parent, name) = path.rsplit_once('/').map_or((None, path), |(parent, name)| (Some(parent), name));
    let parent =
        parent.into_iter().flat_map(|parent| parent.split('/')).try_fold(object, |value, name| value.get_mut(name));
    let Some(Value::Object(parent)) = parent else { return };
    match value {
        Some(value) => parent.insert(name.to_owned(), value),
        None if matches!(what, What::Remove) => parent.remove(name),
        None => None,
    };
}

/// What depends on more than other fields of the same struct.
fn special(name: &str, value: &mut Value) {
    match name {
        "Container" | "EphemeralContainer" if !value["imagePullPolicy"].is_string() => {
            let image = value["image"].as_str().unwrap_or_default();
            let last = image.rsplit('/').next().unwrap_or_default();
            let is_latest = !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
            value["imagePullPolicy"] = json!(if is_latest { "Always" } else { "IfNotPresent" });
        }
        "Volume" if value.as_object().is_some_and(|volume| volume.keys().all(|key| key == "name")) => {
            value["emptyDir"] = json!({});
        }
        "core.Pod" => complete_pod(&mut value["spec"]),
        "core.Namespace" if value["metadata"]["name"].is_string() => {
            let name = value["metadata"]["name"].clone();
            value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        "core.Secret" => {
            let Some(Value::Object(plain)) = value.as_object_mut().and_then(|secret| secret.remove("stringData"))
            else {
                return;
            };
            for (key, text) in plain {
                value["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
            }
        }
        "CustomResourceDefinitionSpec" => {
            let kind = value["names"]["kind"].as_str().unwrap_or_default().to_owned();
            for (field, made) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
                if !value["names"][field].is_string() {
                    value["names"][field] = made.into();
                }
            }
        }
        _ => {}
    }
}

/// Limits are requests too, and ports of the host are ports of the pod; in pods only, not in their templates.
fn complete_pod(spec: &mut Value) {
    let on_host = spec["hostNetwork"] == true;
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let limits = container["resources"]["limits"].as_object().cloned().unwrap_or_else(Map::new);
            for (name, limit) in limits {
                if container["resources"]["requests"][&name].is_null() {
                    container["resources"]["requests"][&name] = limit;
                }
            }
            for port in container["ports"].as_array_mut().into_iter().flatten() {
                if on_host && port["hostPort"].is_null() {
                    port["hostPort"] = port["containerPort"].clone();
                }
            }
        }
    }
}
