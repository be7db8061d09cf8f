//! The embedded API answers writes as a real API server does: the same requests go to both, which so hold the same objects,
//! and status, message, causes and the object with its managed fields are compared.
//!
//! What is not compared: what a server alone decides (uid, versions, times, cluster addresses).

mod configs;
#[path = "../control_plane/mod.rs"]
mod control_plane;
mod random;
mod refused;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock, PoisonError};

use control_plane::{ControlPlane, Parts, Test, eventually, run_on};
use lockmaster::embedded::Options;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("a_config_map_is_written_as_by_a_real_server", |real| random::run(&Pair::of(real), &configs::CONFIG_MAP)),
        ("a_service_is_written_as_by_a_real_server", |real| random::run(&Pair::of(real), &configs::SERVICE)),
        ("a_deployment_is_written_as_by_a_real_server", |real| random::run(&Pair::of(real), &configs::DEPLOYMENT)),
        ("an_object_without_a_schema_is_written_as_by_a_real_server", |real| {
            let pair = Pair::of(real);
            make_widgets(&pair);
            random::run(&pair, &configs::WIDGET);
        }),
        ("more_than_ten_updaters_end_in_one_entry_as_on_a_real_server", many_updaters),
        ("an_object_of_every_kind_is_created_as_by_a_real_server", created),
        ("an_object_of_every_kind_is_replaced_as_by_a_real_server", replaced),
        ("what_a_real_server_refuses_is_refused_for_the_same_causes", refused::refused),
    ];
    run_on(Parts::Server, tests)
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const MERGE: &str = "application/merge-patch+json";

/// The two servers that hold the same.
pub(crate) struct Pair {
    pub(crate) real: &'static ControlPlane,
    pub(crate) embedded: &'static ControlPlane,
}

/// A request, but for the body, which may name what a server alone decides.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) media: &'a str,
}

impl Pair {
    pub(crate) fn of(real: &'static ControlPlane) -> Pair {
        static EMBEDDED: OnceLock<ControlPlane> = OnceLock::new();
        let start = || ControlPlane::start_embedded(Options { puppets: false, ..Options::default() });
        Pair { real, embedded: EMBEDDED.get_or_init(start) }
    }

    /// Makes something on both that must succeed.
    pub(crate) fn create(&self, path: &str, object: &Value) {
        self.real.create(path, object);
        self.embedded.create(path, object);
    }

    pub(crate) fn namespace(&self, name: &str) -> String {
        self.create("/api/v1/namespaces", &json!({"metadata": {"name": name}}));
        name.to_owned()
    }

    /// Sends a request to both, with a body that each gets in its own form, and compares what they answer. Says it, first
    /// the real one's.
    pub(crate) fn ask(&self, request: &Request<'_>, bodies: [&Value; 2]) -> Result<[(u16, Value); 2], String> {
        let theirs = send(self.real, request, bodies[0]);
        let mine = send(self.embedded, request, bodies[1]);
        let mut found = Vec::new();
        diff("", &json!(theirs.0), &json!(mine.0), &mut found);
        diff("", &comparable(&theirs.1, theirs.0), &comparable(&mine.1, mine.0), &mut found);
        let Request { method, path, .. } = request;
        match found.as_slice() {
            [] => Ok([theirs, mine]),
            _ => Err(format!("{method} {path}\n{}\n{}", bodies[0], found.join("\n"))),
        }
    }

    /// The path of the collection of a kind, as the real server has it, in a namespace if the kind is in any.
    pub(crate) fn collection(&self, object: &Value, namespace: &str) -> String {
        static SERVED: Mutex<BTreeMap<String, Value>> = Mutex::new(BTreeMap::new());
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let root = format!("/{}/{version}", if version.contains('/') { "apis" } else { "api" });
        let mut served = SERVED.lock().unwrap_or_else(PoisonError::into_inner);
        let list = served.entry(root.clone()).or_insert_with(|| self.real.get(&root).expect("because it is served"));
        let is_it = |found: &&Value| {
            found["kind"] == object["kind"] && found["name"].as_str().is_some_and(|name| !name.contains('/'))
        };
        let found = list["resources"].as_array().and_then(|list| list.iter().find(is_it));
        let found = found.unwrap_or_else(|| panic!("{version} {} is not served", object["kind"]));
        let within = if found["namespaced"] == true { format!("/namespaces/{namespace}") } else { String::new() };
        format!("{root}{within}/{}", found["name"].as_str().unwrap_or_default())
    }
}

/// What a server answers.
fn send(plane: &ControlPlane, request: &Request<'_>, body: &Value) -> (u16, Value) {
    let sent = http::Request::builder().method(request.method).uri(request.path).header("content-type", request.media);
    let sent = sent.body(kube::client::Body::from(body.to_string().into_bytes()));
    let sent = sent.expect("because the paths of tests are valid");
    plane.block_on(async {
        let answer = plane.admin().send(sent).await.expect("because the server runs");
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect_bytes().await.expect("because it answers in full");
        (status, serde_json::from_slice(&bytes).expect("because it answers JSON"))
    })
}

fn make_widgets(pair: &Pair) {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}});
    let spec = json!({"group": "shop.example", "names": {"kind": "Widget", "plural": "widgets"}, "scope": "Namespaced",
        "versions": [version]});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.shop.example"}, "spec": spec});
    pair.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
    let list = "/apis/shop.example/v1/namespaces/default/widgets";
    eventually("widgets are served", || pair.real.send("GET", list, None).ok());
}

/// The oldest updates are counted as one.
fn many_updaters(real: &'static ControlPlane) {
    let pair = Pair::of(real);
    let collection = format!("/api/v1/namespaces/{}/configmaps", pair.namespace("updaters"));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}});
    pair.create(&collection, &object);
    for number in 0..13 {
        let path = format!("{collection}/shop?fieldManager=m{number:02}");
        let body = json!({"data": {format!("k{number}"): "v"}});
        let asked = pair.ask(&Request { method: "PATCH", path: &path, media: MERGE }, [&body, &body]);
        asked.unwrap_or_else(|difference| panic!("{difference}"));
    }
}

/// Objects with and without what a server fills in; the first file has one of every kind.
fn created(real: &'static ControlPlane) {
    let pair = Pair::of(real);
    let texts = [include_str!("../schema_table/bodies.jsonl"), include_str!("created.jsonl")];
    let mut differences = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let mut body: Value = serde_json::from_str(line).expect("because each line is an object");
        if body["metadata"]["name"].is_null() {
            body["metadata"]["name"] = "probe".into();
        }
        let path = format!("{}?dryRun=All&fieldManager=alice", pair.collection(&body, "default"));
        match pair.ask(&Request { method: "POST", path: &path, media: JSON }, [&body, &body]) {
            Ok([(201, _), _]) => {}
            Ok([(code, why), _]) => panic!("{line}: {code}\n{why:#}"),
            Err(difference) => differences.push(difference),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Objects of every kind, each replaced by what was sent: without a version, which some kinds refuse, and with it.
fn replaced(real: &'static ControlPlane) {
    let pair = Pair::of(real);
    let mut differences = Vec::new();
    for line in include_str!("../schema_table/bodies.jsonl").lines() {
        let mut body: Value = serde_json::from_str(line).expect("because each line is an object");
        if ["Event", "Job"].iter().any(|kind| body["kind"] == *kind) {
            // A real server stores the Events of both groups as one, and a Job does not change.
            continue;
        }
        if body["metadata"]["name"].is_null() {
            body["metadata"]["name"] = "replaced".into();
        }
        let collection = pair.collection(&body, "default");
        let path = format!("{collection}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
        let mut ask = |method, path, bodies: [&Value; 2]| match pair.ask(&Request { method, path, media: JSON }, bodies)
        {
            Ok(answers) => answers,
            Err(difference) => {
                differences.push(difference);
                [(0, Value::Null), (0, Value::Null)]
            }
        };
        ask("POST", &collection, [&body, &body]);
        if body["kind"] == "CustomResourceDefinition" {
            // A real server accepts its names first, and installs it a moment later.
            eventually("it is installed", || is_established(&real.get(&path)?).then_some(()));
        }
        ask("PUT", &path, [&body, &body]);
        let live = ask("GET", &path, [&Value::Null, &Value::Null]);
        let [theirs, mine] = live.map(|(_, live)| {
            let mut body = body.clone();
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            body["metadata"]["labels"]["changed"] = "yes".into();
            body["metadata"]["annotations"]["changed"] = "yes".into();
            body
        });
        ask("PUT", &path, [&theirs, &mine]);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Established" && it["status"] == "True")
}

/// The fields of a Service that a server allots.
pub(crate) const ALLOTTED: [&str; 2] = ["clusterIP", "clusterIPs"];

/// What is compared: without what the server alone decides, entries in one order, and of their times only whether there
/// is one; of a refusal the causes in one order.
fn comparable(answer: &Value, status: u16) -> Value {
    if status >= 400 {
        return refused::comparable(answer);
    }
    // A Job's own labels name its uid.
    let text = answer.to_string();
    let uid = answer["metadata"]["uid"].as_str().map(|uid| text.replace(uid, "UID"));
    let mut object: Value = serde_json::from_str(&uid.unwrap_or(text)).expect("because a uid is a word");
    let Some(metadata) = object["metadata"].as_object_mut() else { return object };
    for own in ["uid", "resourceVersion", "creationTimestamp"] {
        let is_there = metadata.get(own).is_some_and(Value::is_string);
        metadata.insert(own.to_owned(), is_there.into());
    }
    for own in ALLOTTED {
        object["spec"].as_object_mut().map(|spec| spec.remove(own));
    }
    // Worked out from other fields; the puppets say it here.
    for own in ["qosClass", "lastPhaseTransitionTime"] {
        object["status"].as_object_mut().map(|status| status.remove(own));
    }
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let order = |entry: &Value| {
        ["operation", "time", "manager", "subresource"].map(|key| entry[key].as_str().unwrap_or("").to_owned())
    };
    object["metadata"]["inOrder"] = entries.iter().map(order).is_sorted().into();
    let by_name = entries.into_iter().map(|mut entry| {
        entry["time"] = entry["time"].is_string().into();
        (format!("{} {} {}", entry["manager"], entry["operation"], entry["subresource"]), entry)
    });
    object["metadata"]["managedFields"] = Value::Object(by_name.collect());
    object
}

fn diff(path: &str, theirs: &Value, mine: &Value, into: &mut Vec<String>) {
    match (theirs, mine) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let [left, right] = [a, b].map(|side| side.get(key).unwrap_or(&Value::Null));
                if a.contains_key(key) != b.contains_key(key) && left == right {
                    into.push(format!("{path}/{key}: null on one side"));
                }
                diff(&format!("{path}/{key}"), left, right, into);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(at, (a, b))| diff(&format!("{path}/{at}"), a, b, into));
        }
        (a, b) if a == b => {}
        (a, b) => into.push(format!("{path}:\n  real     {a}\n  embedded {b}")),
    }
}
