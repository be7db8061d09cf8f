//! Random writes by others: what is sent, and how.

use serde_json::{Map, Value, json};

/// A small generator of random numbers, so that a seed gives the same writes again.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("because 31 bits fit") % sides.max(1)
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len())]
    }
}

/// One request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) media: &'static str,
    /// What follows the object's path.
    pub(crate) suffix: String,
    pub(crate) body: Value,
    /// What it is meant to do, for a failure's message.
    pub(crate) what: String,
}

/// Who writes.
const WRITERS: &[&str] = &["kubectl-edit", "helm", "kube-controller-manager", "kustomize-controller", "vpa"];

/// A random write to an object as it is live.
pub(crate) fn write(dice: &mut Dice, live: &Value, wish: &Value) -> Request {
    let writer = *dice.one_of(WRITERS);
    match dice.roll(20) {
        0..=11 => put(writer, "", edited(dice, live)),
        12..=14 => apply(dice, writer, live, wish),
        15 | 16 => marked(dice, writer, live),
        17 | 18 => put(writer, "", entries_edited(dice, live)),
        _ => subresource(dice, writer, live),
    }
}

fn put(writer: &str, subresource: &str, (body, what): (Value, String)) -> Request {
    let suffix = format!("{subresource}?fieldManager={writer}");
    Request { method: "PUT", media: "application/json", suffix, body, what: format!("{writer} puts {what}") }
}

/// Labels and annotations as `kubectl label` and `kubectl annotate` write them.
fn marked(dice: &mut Dice, writer: &str, live: &Value) -> Request {
    let kind = *dice.one_of(&["labels", "annotations"]);
    let there = live["metadata"][kind].as_object();
    let mut names: Vec<String> = there.into_iter().flat_map(Map::keys).cloned().collect();
    names.extend(["shop.example/new".to_owned(), "kubectl.kubernetes.io/restartedAt".to_owned()]);
    let name = dice.one_of(&names).clone();
    let value = if dice.roll(3) == 0 { Value::Null } else { json!(format!("v{}", dice.roll(4))) };
    let what = format!("{writer} merges {kind} {name}: {value}");
    let body = json!({"metadata": {kind: {name: value}}});
    let suffix = format!("?fieldManager={writer}");
    Request { method: "PATCH", media: "application/merge-patch+json", suffix, body, what }
}

/// Another applier that says a part of the object, with the live values or others.
fn apply(dice: &mut Dice, writer: &str, live: &Value, wish: &Value) -> Request {
    let force = dice.roll(2) == 0;
    let from = if dice.roll(3) == 0 { live } else { wish };
    let mut body = part(dice, from, "").unwrap_or_else(|| json!({}));
    for name in ["status", "metadata"] {
        body.as_object_mut().expect("because it is a map").remove(name);
    }
    body["apiVersion"] = live["apiVersion"].clone();
    body["kind"] = live["kind"].clone();
    let labels = part(dice, &from["metadata"]["labels"], "labels").unwrap_or_else(|| json!({}));
    body["metadata"] = json!({"name": live["metadata"]["name"], "labels": labels});
    let what = format!("{writer} applies, force {force}: {body}");
    let suffix = format!("?fieldManager={writer}&force={force}");
    Request { method: "PATCH", media: "application/apply-patch+yaml", suffix, body, what }
}

/// Fields that stay in a part, because list elements are told apart by them or cannot be without them.
const KEYS: &[&str] = &[
    "containerPort",
    "id",
    "image",
    "ip",
    "key",
    "kind",
    "mountPath",
    "name",
    "path",
    "port",
    "protocol",
    "spec",
    "template",
    "topologyKey",
    "type",
    "weight",
    "whenUnsatisfiable",
];

/// A random part of a value; `None` for nothing of it.
fn part(dice: &mut Dice, value: &Value, name: &str) -> Option<Value> {
    if dice.roll(5) < 2 && !KEYS.contains(&name) && !name.is_empty() {
        return None;
    }
    Some(match value {
        Value::Object(members) => {
            members.iter().filter_map(|(name, value)| Some((name.clone(), part(dice, value, name)?))).collect()
        }
        Value::Array(elements) if elements.iter().any(Value::is_object) => {
            elements.iter().filter_map(|element| part(dice, element, "element")).collect()
        }
        Value::Array(elements) => Value::from(elements.clone()),
        leaf if dice.roll(8) == 0 => other(dice, leaf),
        leaf => leaf.clone(),
    })
}

/// Another value of the same sort.
fn other(dice: &mut Dice, value: &Value) -> Value {
    match value {
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => json!(number.as_i64().unwrap_or(0) + 1 - 2 * i64::from(dice.roll(3) == 0)),
        Value::String(text) if text.contains("registry.example") => {
            json!(format!("registry.example/other:{}", dice.roll(9)))
        }
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_digit()) => {
            json!(*dice.one_of(&["1", "2Gi", "250m", "1000m", "12"]))
        }
        Value::String(_) => json!(*dice.one_of(&["web", "other", "x1", "Always", "b2s=", "UDP", "plain"])),
        Value::Null | Value::Array(_) | Value::Object(_) => json!("x"),
    }
}

fn subresource(dice: &mut Dice, writer: &str, live: &Value) -> Request {
    let replicas = live["spec"]["replicas"].as_u64();
    if let (Some(replicas), true) = (replicas, dice.roll(2) == 0) {
        let body = json!({"spec": {"replicas": replicas + 1 - u64::from(dice.roll(3) == 0 && replicas > 0)}});
        let (media, suffix) = ("application/merge-patch+json", format!("/scale?fieldManager={writer}"));
        return Request { method: "PATCH", media, suffix, body, what: format!("{writer} scales") };
    }
    let mut object = live.clone();
    if live["kind"] == "Service" || live["kind"] == "Ingress" {
        object["status"]["loadBalancer"]["ingress"] = json!([{"ip": format!("192.0.2.{}", dice.roll(200))}]);
    } else {
        object["status"]["observedGeneration"] = json!(dice.roll(9));
    }
    put(writer, "/status", (object, "status".to_owned()))
}

/// Another wish that is close to what is live: with one place as it is live, without one, or with another value.
pub(crate) fn another_wish(dice: &mut Dice, wish: &Value, live: &Value) -> Value {
    let mut places = Vec::new();
    let from = if dice.roll(2) == 0 { live } else { wish };
    for (name, value) in from.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()) {
            pointers(&format!("/{name}"), value, &mut places);
        }
    }
    let mut other = wish.clone();
    let Some(pointer) = places.get(dice.roll(places.len())) else { return other };
    let (parent, last) = pointer.rsplit_once('/').expect("because a place has a parent");
    let seen = live.pointer(pointer).cloned();
    match (other.pointer_mut(parent), seen) {
        (Some(Value::Object(members)), Some(seen)) if dice.roll(3) > 0 => {
            members.insert(last.replace("~1", "/").replace("~0", "~"), seen);
        }
        (Some(_), _) => remove(&mut other, pointer),
        (None, _) => {}
    }
    other
}

/// The live object with its `managedFields` changed by hand.
fn entries_edited(dice: &mut Dice, live: &Value) -> (Value, String) {
    let mut object = live.clone();
    let Some(entries) = object["metadata"]["managedFields"].as_array_mut().filter(|entries| !entries.is_empty()) else {
        return edited(dice, live);
    };
    let at = if dice.roll(3) == 0 { dice.roll(entries.len()) } else { ours(entries).unwrap_or(0) };
    let what = match dice.roll(7) {
        0 => {
            *entries = vec![json!({})];
            "managedFields reset".to_owned()
        }
        1 => format!("managedFields without {}", entries.remove(at)["manager"]),
        2 => {
            entries[at]["manager"] = json!("renamed");
            "an entry of managedFields of another manager".to_owned()
        }
        3 => {
            entries[at]["time"] = json!("2020-02-03T04:05:06Z");
            "an entry of managedFields of another time".to_owned()
        }
        4 => {
            entries[at]["fieldsV1"]["f:metadata"]["f:labels"]["f:shop.example/claimed"] = json!({});
            "an entry of managedFields with a field more".to_owned()
        }
        _ => {
            let lost = without_one(dice, &mut entries[at]["fieldsV1"]);
            format!("an entry of managedFields without {lost}")
        }
    };
    (object, what)
}

fn ours(entries: &[Value]) -> Option<usize> {
    entries.iter().position(|entry| entry["manager"] == "lockmaster" && entry["operation"] == "Apply")
}

/// Takes a random node out of a set.
fn without_one(dice: &mut Dice, set: &mut Value) -> String {
    let mut node = set;
    let mut path = String::new();
    loop {
        let names: Vec<String> = node.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        if names.is_empty() {
            return path;
        }
        let name = dice.one_of(&names).clone();
        path = format!("{path}/{name}");
        let is_end = node[&name].as_object().is_none_or(Map::is_empty) || dice.roll(6) == 0;
        if is_end {
            node.as_object_mut().expect("because it has names").remove(&name);
            return path;
        }
        node = &mut node[&name];
    }
}

/// The live object with one random edit.
fn edited(dice: &mut Dice, live: &Value) -> (Value, String) {
    let mut places = Vec::new();
    for name in ["labels", "annotations", "finalizers"] {
        pointers(&format!("/metadata/{name}"), &live["metadata"][name], &mut places);
    }
    for (name, value) in live.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()) {
            pointers(&format!("/{name}"), value, &mut places);
        }
    }
    if places.is_empty() {
        places.push("/metadata/labels".to_owned());
    }
    let pointer = dice.one_of(&places).clone();
    let mut object = live.clone();
    let what = edit(dice, &mut object, &pointer);
    (object, format!("{what} at {pointer}"))
}

/// Every place at or below a value.
fn pointers(pointer: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null => return,
        Value::Object(members) => members.iter().for_each(|(name, inner)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            pointers(&format!("{pointer}/{name}"), inner, into);
        }),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(at, inner)| pointers(&format!("{pointer}/{at}"), inner, into));
            // Lists are few and most has to be found out about them.
            into.extend([pointer.to_owned(), pointer.to_owned(), pointer.to_owned()]);
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    into.push(pointer.to_owned());
}

fn edit(dice: &mut Dice, object: &mut Value, pointer: &str) -> &'static str {
    if dice.roll(4) == 0 {
        remove(object, pointer);
        return "without what is";
    }
    let here = object.pointer_mut(pointer).expect("because the place was found");
    match here {
        Value::Object(members) if dice.roll(3) == 0 => {
            members.clear();
            "an empty map"
        }
        Value::Object(members) => {
            let new = [
                ("new", json!("x")),
                ("shop.example/new", json!("y")),
                ("medium", json!("Memory")),
                ("runAsUser", json!(7)),
                ("rollingUpdate", json!({"maxSurge": 3})),
                ("requests", json!({"cpu": "50m"})),
                ("matchLabels", json!({"new": "x"})),
                ("stdin", json!(true)),
                ("paused", json!(true)),
                ("mode", json!("wild")),
                ("env", json!([{"name": "NEW", "value": "n"}])),
            ];
            let (name, value) = dice.one_of(&new);
            members.insert((*name).to_owned(), value.clone());
            "a new field"
        }
        Value::Array(elements) => edit_list(dice, elements),
        leaf => {
            *leaf = other(dice, leaf);
            "another value"
        }
    }
}

fn edit_list(dice: &mut Dice, elements: &mut Vec<Value>) -> &'static str {
    let (length, choice) = (elements.len(), dice.roll(6));
    match choice {
        0 => {
            elements.clear();
            "an empty list"
        }
        1 | 2 if length > 1 => {
            let at = dice.roll(length - 1);
            elements.swap(at, at + 1);
            "another order"
        }
        3 if length > 0 => {
            let again = elements[dice.roll(length)].clone();
            elements.insert(dice.roll(length + 1), again);
            "an element twice"
        }
        _ if length > 0 => {
            let mut new = elements[dice.roll(length)].clone();
            let number = dice.roll(5);
            match &mut new {
                Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match value {
                    Value::String(text) if ["name", "id", "key", "ip", "host"].contains(&name.as_str()) => {
                        *text = format!("new{number}");
                    }
                    Value::Number(port) if name.to_lowercase().contains("port") => *port = (9000 + number).into(),
                    Value::String(path) if name == "mountPath" => *path = format!("/new{number}"),
                    _ => {}
                }),
                value => *value = json!(format!("shop.example/new{number}")),
            }
            elements.insert(dice.roll(length + 1), new);
            "a new element"
        }
        _ => {
            elements.push(json!("x"));
            "an element"
        }
    }
}

fn remove(object: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').expect("because the root is never removed");
    match object.pointer_mut(parent).expect("because the place was found") {
        Value::Array(elements) => {
            let at: usize = last.parse().expect("because it is a place in a list");
            if at < elements.len() {
                elements.remove(at);
            }
        }
        Value::Object(members) => drop(members.remove(&last.replace("~1", "/").replace("~0", "~"))),
        _ => {}
    }
}
