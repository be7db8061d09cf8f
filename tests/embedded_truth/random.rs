//! Random writes by several managers, the same to both servers.

use serde_json::{Value, json};

use super::{ALLOTTED, JSON, MERGE, Pair, Request};

/// Rounds of each kind; every round has an object of its own.
const ROUNDS: u64 = 10;
/// Writes to each object.
const WRITES: u64 = 25;

const MANAGERS: [&str; 3] = ["alice", "bob", "carol"];

const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A small generator of its own, so that the writes are the same in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// Whether one in so many.
    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.roll(many) == 0
    }
}

/// A kind to write.
pub(crate) struct Sort {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) has_scale: bool,
    /// A random configuration without `apiVersion`, `kind` and name.
    pub(crate) config: fn(&mut Dice) -> Value,
    /// A random status, if the kind has any.
    pub(crate) status: Option<fn(&mut Dice) -> Value>,
}

/// A write, with the body for either server.
struct Sent {
    method: &'static str,
    path: String,
    media: &'static str,
    bodies: [Value; 2],
}

impl Sent {
    fn to(method: &'static str, path: impl Into<String>, media: &'static str, body: Value) -> Sent {
        Sent { method, path: path.into(), media, bodies: [body.clone(), body] }
    }
}

pub(crate) fn run(pair: &Pair, sort: &Sort) {
    let namespace = pair.namespace(&format!("random-{}", sort.kind.to_lowercase()));
    let kind = json!({"apiVersion": sort.api_version, "kind": sort.kind});
    let collection = pair.collection(&kind, &namespace);
    let mut dice = Dice(7);
    let (mut written, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let name = format!("thing-{round}");
        let mut live: Option<[Value; 2]> = None;
        for number in 0..WRITES {
            let manager = MANAGERS[dice.roll(3) as usize];
            let sent = roll(&mut dice, sort, &collection, &name, live.as_ref());
            let joint = if sent.path.contains('?') { '&' } else { '?' };
            let path = format!("{}{joint}fieldManager={manager}", sent.path);
            let request = Request { method: sent.method, path: &path, media: sent.media };
            let answers = pair.ask(&request, [&sent.bodies[0], &sent.bodies[1]]).unwrap_or_else(|difference| {
                let live = live.as_ref().map(|live| format!("{:#}", live[0])).unwrap_or_default();
                panic!("round {round}, write {number}: {difference}\nlive: {live}")
            });
            if answers[0].0 >= 400 {
                refused += 1;
                continue;
            }
            written += 1;
            live = Some(match sent.path.ends_with("/scale") {
                false => answers.map(|(_, object)| object),
                true => {
                    let path = format!("{collection}/{name}");
                    let request = Request { method: "GET", path: &path, media: JSON };
                    let found = pair.ask(&request, [&Value::Null, &Value::Null]);
                    found.unwrap_or_else(|difference| panic!("{difference}")).map(|(_, object)| object)
                }
            });
        }
    }
    println!("{}: {written} writes and {refused} refusals compared", sort.kind);
    assert!(written > ROUNDS * WRITES / 2 && refused > 5, "{written} writes, {refused} refusals: too few");
}

fn roll(dice: &mut Dice, sort: &Sort, collection: &str, name: &str, live: Option<&[Value; 2]>) -> Sent {
    let config = |dice: &mut Dice| {
        let mut config = (sort.config)(dice);
        config["apiVersion"] = sort.api_version.into();
        config["kind"] = sort.kind.into();
        config["metadata"]["name"] = name.into();
        config
    };
    let path = format!("{collection}/{name}");
    let apply = |dice: &mut Dice| {
        let force = dice.one_in(2);
        Sent::to("PATCH", format!("{path}?force={force}"), APPLY, config(dice))
    };
    let Some(live) = live else {
        return if dice.one_in(2) { apply(dice) } else { Sent::to("POST", collection, JSON, config(dice)) };
    };
    match dice.roll(11) {
        0 | 1 => {
            let bodies = replacement(dice, live, config);
            Sent { method: "PUT", path, media: JSON, bodies }
        }
        2 | 3 => {
            let mut body = config(dice);
            forget(dice, &mut body);
            Sent::to("PATCH", path, MERGE, body)
        }
        4 if sort.status.is_some() => {
            let status = sort.status.expect("because it has one")(dice);
            let body = json!({"metadata": {"annotations": {"by": "status"}}, "status": status});
            Sent::to("PATCH", format!("{path}/status"), MERGE, body)
        }
        5 if sort.has_scale => {
            // A real server writes one manager down twice where the number stays; ours changes nothing then.
            let now = live[0]["spec"]["replicas"].as_i64().unwrap_or_default();
            let replicas = (now + 1 + dice.roll(3) as i64) % 4;
            Sent::to("PATCH", format!("{path}/scale"), MERGE, json!({"spec": {"replicas": replicas}}))
        }
        6 if dice.one_in(4) => Sent::to("PATCH", path, MERGE, json!({"metadata": {"managedFields": [{}]}})),
        7 => Sent::to("PATCH", path, JSON_PATCH, operations(dice, config)),
        _ => apply(dice),
    }
}

/// A JSON patch that puts parts of a random configuration in their place, and asks for its name first.
fn operations(dice: &mut Dice, config: impl Fn(&mut Dice) -> Value) -> Value {
    let config = config(dice);
    let mut operations = vec![json!({"op": "test", "path": "/metadata/name", "value": config["metadata"]["name"]})];
    for (parent, part) in [("/metadata", "labels"), ("/metadata", "annotations"), ("", "data"), ("", "spec")] {
        let path = format!("{parent}/{part}");
        if let Some(value) = config.pointer(&path).filter(|value| value.is_object()) {
            operations.push(json!({"op": "add", "path": path, "value": value}));
        }
    }
    json!(operations)
}

/// A whole object in the place of the live one, with other parts, and without some that a client need not send.
fn replacement(dice: &mut Dice, live: &[Value; 2], config: impl Fn(&mut Dice) -> Value) -> [Value; 2] {
    let mut body = live[0].clone();
    replace(&mut body, config(dice));
    if dice.one_in(3) {
        body["metadata"].as_object_mut().expect("because it is an object").remove("managedFields");
    }
    for own in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        body["spec"].as_object_mut().filter(|_| dice.one_in(3)).map(|spec| spec.remove(own));
    }
    // Based on what it replaces, or on whatever is there.
    let is_based = !dice.one_in(3);
    let mut bodies = [body.clone(), body];
    for (body, live) in bodies.iter_mut().zip(live) {
        for own in ["uid", "resourceVersion"] {
            body["metadata"][own] = if is_based { live["metadata"][own].clone() } else { Value::Null };
        }
        for own in ALLOTTED {
            if let Some(value) = body["spec"].get_mut(own) {
                *value = live["spec"][own].clone();
            }
        }
    }
    bodies
}

/// Puts the parts of a configuration in the place of those of an object.
fn replace(object: &mut Value, config: Value) {
    let Value::Object(config) = config else { return };
    for (key, value) in config {
        match (key.as_str(), value) {
            ("metadata", Value::Object(metadata)) => {
                metadata.into_iter().for_each(|(key, value)| object["metadata"][key] = value);
            }
            ("spec", Value::Object(spec)) if object["spec"].is_object() => {
                spec.into_iter().for_each(|(key, value)| object["spec"][key] = value);
            }
            (_, value) => object[key] = value,
        }
    }
}

/// Makes a field of a merge patch one that is to be removed.
fn forget(dice: &mut Dice, patch: &mut Value) {
    for part in ["/metadata/labels", "/metadata/annotations", "/data", "/spec"] {
        if let Some(Value::Object(map)) = patch.pointer_mut(part) {
            for value in map.values_mut() {
                if dice.one_in(5) {
                    *value = Value::Null;
                }
            }
        }
    }
}
