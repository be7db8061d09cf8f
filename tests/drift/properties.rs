//! Random objects under random writes: the verdict is the model server's.

use lockmaster::manifest::Manifest;
use lockmaster::plan::drift::{Baseline, Check, View, check, is_as_applied, name};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::key;
use super::model::{SET, Server, Shape, content, manifest, shape, then};

/// What is done at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Set,
    Remove,
    Add,
    Twice,
    Swap,
    Empty,
    /// Our entry loses a place, as by an edit of `managedFields`.
    Take,
}

/// One write by somebody else: what, which place of those that fit, with which value, and whether the server tracks it.
type Step = (Write, Index, u8, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writes = [Write::Set, Write::Remove, Write::Add, Write::Twice, Write::Swap, Write::Empty, Write::Take];
    let step = (prop::sample::select(writes.to_vec()), any::<Index>(), 0..6_u8, prop::bool::weighted(0.8));
    prop::collection::vec(step, 1..8)
}

fn variable(name: u8) -> Value {
    json!({"name": format!("V{name}"), "value": name.to_string()})
}

prop_compose! {
    fn container(name: &'static str)(
        image in 0..3_u8, args in prop::option::of(prop::collection::vec(0..3_u8, 1..3)), env in 0..5_u8, port in any::<bool>(),
        context in prop::option::of(prop::sample::select(vec![json!({}), json!({"runAsUser": 5})])),
    ) -> Value {
        let mut container = json!({"name": name, "image": format!("web:{image}")});
        if let Some(args) = args {
            container["args"] = json!(args);
        }
        if env == 4 {
            container["env"] = Value::Null;
        } else if env > 0 {
            container["env"] = (0..env).rev().map(variable).collect();
        }
        if port {
            container["ports"] = json!([{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}]);
        }
        if let Some(context) = context {
            container["securityContext"] = context;
        }
        container
    }
}

prop_compose! {
    fn wishes()(
        containers in (container("web"), prop::option::of(container("log"))), replicas in prop::option::of(0..3_u8),
        tmp in prop::option::of(prop::sample::select(vec![json!({}), json!({"medium": "Memory"})])),
        finalizers in 0..3_u8, annotations in prop::option::of(any::<bool>()),
    ) -> Manifest {
        let containers: Vec<Value> = [Some(containers.0), containers.1].into_iter().flatten().collect();
        let mut spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": containers}}});
        if let Some(replicas) = replicas {
            spec["replicas"] = json!(replicas);
        }
        if let Some(tmp) = tmp {
            spec["template"]["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": tmp}]);
        }
        let mut metadata = json!({"name": "web", "namespace": "shop"});
        if finalizers > 0 {
            metadata["finalizers"] = (0..finalizers).rev().map(|name| format!("shop.example/{name}")).collect();
        }
        if let Some(full) = annotations {
            metadata["annotations"] = if full { json!({"a": "b"}) } else { json!({}) };
        }
        manifest(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))
    }
}

/// Every place of the object that this write can be done at, as JSON pointers with their shapes.
fn fitting(write: Write, object: &Value) -> Vec<(String, Shape)> {
    fn walk(pointer: &str, place: &[String], value: &Value, visit: &mut dyn FnMut(&str, &[String], &Value)) {
        visit(pointer, place, value);
        match value {
            Value::Object(members) => members.iter().for_each(|(name, inner)| {
                let step = name.replace('~', "~0").replace('/', "~1");
                walk(&format!("{pointer}/{step}"), &then(place, format!("f:{name}")), inner, visit);
            }),
            Value::Array(elements) => elements.iter().enumerate().for_each(|(at, inner)| {
                walk(&format!("{pointer}/{at}"), &then(place, "e".to_owned()), inner, visit);
            }),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk("", &[], &content(object), &mut |pointer, place, value| {
        let is_deep = place.len() > 1;
        let is_element = place.last().is_some_and(|key| key == "e");
        let length = value.as_array().map_or(0, Vec::len);
        let fits = match write {
            Write::Set => is_deep && !is_element && (!value.is_object() && !value.is_array() || *value == json!({})),
            Write::Remove => is_deep,
            Write::Add => is_deep && (value.is_object() || value.is_array()),
            Write::Twice => length > 0 && shape(place) != Shape::Set,
            Write::Swap => length > 1,
            Write::Take => true,
            Write::Empty => {
                is_deep && !is_element && (length > 0 || value.as_object().is_some_and(|map| !map.is_empty()))
            }
        };
        if fits {
            found.push((pointer.to_owned(), shape(place)));
        }
    });
    found
}

fn written(object: &Value, (write, at, value, _): Step) -> Option<Value> {
    let fitting = fitting(write, object);
    if fitting.is_empty() {
        return None;
    }
    let (pointer, shape) = at.get(&fitting);
    let mut object = object.clone();
    let pool = [json!(1), json!("x"), json!({}), json!({"deep": 1}), json!(0), json!("web:1")];
    let new = pool[usize::from(value)].clone();
    if write == Write::Take {
        return Some(object);
    }
    if write == Write::Remove {
        let (parent, last) = pointer.rsplit_once('/').expect("because the root is never removed");
        match object.pointer_mut(parent).expect("because the place was found") {
            Value::Array(elements) => drop(elements.remove(last.parse().expect("because it is a place in a list"))),
            parent => drop(parent.as_object_mut()?.remove(&last.replace("~1", "/").replace("~0", "~"))),
        }
        return Some(object);
    }
    let here = object.pointer_mut(pointer).expect("because the place was found");
    match (write, here) {
        (Write::Add, Value::Object(members)) if value > 2 && members.contains_key("image") => {
            members.entry("env").or_insert_with(|| json!([variable(value), variable(9)]));
        }
        (Write::Add, Value::Object(members)) => drop(members.insert(format!("new{value}"), new)),
        (Write::Add, Value::Array(elements)) => {
            let element = match shape {
                Shape::Keyed(["name"]) => json!({"name": format!("n{value}"), "value": new}),
                Shape::Keyed(_) => json!({"containerPort": 90 + value, "protocol": "TCP"}),
                Shape::Granular | Shape::Set | Shape::Atomic => json!(format!("n{value}")),
            };
            let is_there = elements.contains(&element);
            elements.insert(usize::from(value) % (elements.len() + 1), element);
            if is_there {
                return None;
            }
        }
        (Write::Twice, Value::Array(elements)) => {
            let again = elements[usize::from(value) % elements.len()].clone();
            elements.push(again);
        }
        (Write::Swap, Value::Array(elements)) => {
            let at = usize::from(value) % (elements.len() - 1);
            elements.swap(at, at + 1);
        }
        (Write::Empty, here) => *here = if here.is_array() { json!([]) } else { Value::Object(Map::new()) },
        (_, here) => *here = new,
    }
    Some(object)
}

/// The verdicts on an object from both views, and what would be remembered.
fn verdicts(before: &Baseline, shown: &Value) -> (Check, Check, Baseline) {
    let (mut whole, mut metadata) = (before.clone(), before.clone());
    let only = json!({"apiVersion": shown["apiVersion"], "kind": shown["kind"], "metadata": shown["metadata"]});
    let by_metadata = check(&mut metadata, &only, View::Metadata, &key());
    (check(&mut whole, shown, View::Whole, &key()), by_metadata, whole)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_write_is_drift_exactly_if_a_forced_apply_would_change_something(
        wish in wishes(), other in wishes(), steps in steps(), has_generation in any::<bool>(),
    ) {
        let mut server = Server::applied(&wish);
        let show = |server: &Server| {
            let mut shown = server.shown();
            if !has_generation {
                shown["metadata"].as_object_mut().expect("because it is there").remove("generation");
            }
            shown
        };
        let mut baseline = Baseline::of(&show(&server), &key());
        for step in steps {
            let Some(object) = written(&server.object, step) else { continue };
            if step.0 == Write::Take {
                let place = step.1.get(&Vec::from_iter(&server.ours)).to_vec();
                server.ours.remove(&place);
            }
            // A webhook that fills what the manifest left empty and the server did not keep makes one apply too many.
            let leaves_empty = |what: &str| wish.value.to_string().contains(what);
            let is_tracked = step.3 || leaves_empty("null") || leaves_empty("\"annotations\":{}");
            if is_tracked { server.updated(object) } else { server.untracked(object) }
            let shown = show(&server);
            let mut healed = server.clone();
            let truth = healed.apply(&wish);
            let (whole, metadata, moved) = verdicts(&baseline, &shown);
            prop_assert_eq!(whole == Check::Drifted, truth, "{:?}: {:?} in {}", step, whole, shown);
            prop_assert!(whole != Check::Look, "the whole object always tells");
            prop_assert!(metadata == Check::Look || metadata == whole, "{:?} by metadata, {:?}", metadata, whole);
            prop_assert!(!(truth && is_as_applied(&wish, &shown, SET)), "taken as applied: {}", shown);
            prop_assert!(!is_as_applied(&other, &shown, SET) || !server.clone().apply(&other), "taken as applied: {}", shown);
            if truth {
                let drift = name(&wish, &shown, View::Whole, SET);
                prop_assert!(!drift.fields.is_empty(), "no name for {:?}: {}", step, shown);
                server = healed;
                prop_assert!(!server.apply(&wish), "an apply is done once");
                baseline = Baseline::of(&show(&server), &key());
            } else {
                baseline = moved;
            }
            prop_assert_eq!(verdicts(&baseline, &show(&server)).0, Check::Same);
            prop_assert_eq!(verdicts(&baseline, &show(&server)).1, Check::Same);
            prop_assert_eq!(Baseline::from_text(&baseline.to_text()), Some(baseline.clone()));
        }
    }
}
