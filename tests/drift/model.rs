//! A small model of a server that tracks who owns which field, for objects of a few made-up shapes.
//!
//! A place is a list of keys as `FieldsV1` writes them: `f:spec`, `k:{"name":"a"}`, `v:"x"`.

use std::collections::{BTreeMap, BTreeSet};

use lockmaster::manifest::{Manifest, Stage};
use lockmaster::name::{Digest, GroupVersionKind, ObjectKey};
use lockmaster::plan::PART_OF;
use serde_json::{Map, Value, json};

pub(crate) const SET: &str = "applyset-shop-v1";

pub(crate) type Place = Vec<String>;

/// How the value at a place is owned; the last field's name says it, as a schema would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Granular,
    Keyed(&'static [&'static str]),
    Set,
    Atomic,
}

pub(crate) fn shape(place: &[String]) -> Shape {
    match place.last().map(String::as_str) {
        Some("f:containers" | "f:env" | "f:volumes") => Shape::Keyed(&["name"]),
        Some("f:ports") => Shape::Keyed(&["containerPort", "protocol"]),
        Some("f:finalizers") => Shape::Set,
        Some("f:args" | "f:selector") => Shape::Atomic,
        _ => Shape::Granular,
    }
}

pub(crate) fn then(place: &[String], key: String) -> Place {
    place.iter().cloned().chain([key]).collect()
}

/// The key of a list element.
pub(crate) fn element_key(shape: Shape, element: &Value) -> String {
    match shape {
        Shape::Keyed(names) => {
            let keys: Map<String, Value> =
                names.iter().map(|name| ((*name).to_owned(), element[*name].clone())).collect();
            format!("k:{}", Value::Object(keys))
        }
        Shape::Granular | Shape::Set | Shape::Atomic => format!("v:{element}"),
    }
}

/// Every place that an apply of this content owns, with its value; a list element itself counts as `null`. An element
/// that stands several times is at no place.
pub(crate) fn leaves(place: &[String], value: &Value, into: &mut BTreeMap<Place, Value>) {
    let shape = shape(place);
    match value {
        Value::Object(members) if shape == Shape::Granular && !members.is_empty() => {
            members.iter().for_each(|(name, value)| leaves(&then(place, format!("f:{name}")), value, into));
        }
        Value::Array(elements) if matches!(shape, Shape::Keyed(_) | Shape::Set) => {
            let keys: Vec<String> = elements.iter().map(|element| element_key(shape, element)).collect();
            for (key, element) in keys.iter().zip(elements) {
                if keys.iter().filter(|other| *other == key).count() == 1 {
                    let inner = then(place, key.clone());
                    into.insert(inner.clone(), Value::Null);
                    if let Shape::Keyed(_) = shape {
                        leaves(&inner, element, into);
                    }
                }
            }
        }
        // Metadata is never empty: a name always stays.
        _ if place == ["f:metadata"] => {}
        _ => drop(into.insert(place.to_vec(), value.clone())),
    }
}

/// The part of an object that is tracked: no identity, no bookkeeping.
pub(crate) fn content(object: &Value) -> Value {
    let mut object = object.clone();
    for name in ["apiVersion", "kind", "status"] {
        object.as_object_mut().expect("because it is an object").remove(name);
    }
    let metadata = object["metadata"].as_object_mut().expect("because an object has metadata");
    for name in ["name", "namespace", "managedFields", "resourceVersion", "generation"] {
        metadata.remove(name);
    }
    object
}

/// The value at a place.
fn at<'a>(object: &'a Value, place: &[String]) -> Option<&'a Value> {
    (0..place.len()).try_fold(object, |value, step| match place[step].strip_prefix("f:") {
        Some(name) => value.get(name),
        None => {
            let shape = shape(&place[..step]);
            value.as_array()?.iter().find(|element| element_key(shape, element) == place[step])
        }
    })
}

/// The server keeps no null; who said it owns the place.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, value| !value.is_null());
            members.values_mut().for_each(drop_nulls);
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn tracked(object: &Value) -> BTreeMap<Place, Value> {
    let mut found = BTreeMap::new();
    leaves(&[], &content(object), &mut found);
    found
}

/// The places of a set as `FieldsV1`.
pub(crate) fn fields_v1(places: &BTreeSet<Place>) -> Value {
    let mut root = Map::new();
    for place in places {
        let mut node = &mut root;
        for key in place {
            let inner = node.entry(key.clone()).or_insert_with(|| json!({}));
            node = inner.as_object_mut().expect("because every node is a map");
        }
        let has_inner = places.range(then(place, String::new())..).next().is_some_and(|next| next.starts_with(place));
        if has_inner {
            node.insert(".".to_owned(), json!({}));
        }
    }
    Value::Object(root)
}

/// A live object and what we own of it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) object: Value,
    pub(crate) ours: BTreeSet<Place>,
    pub(crate) theirs: BTreeSet<Place>,
    version: u64,
    generation: i64,
}

impl Server {
    /// The object that a first apply makes.
    pub(crate) fn applied(manifest: &Manifest) -> Self {
        let mut object = manifest.value.clone();
        object["metadata"]["labels"][PART_OF] = json!(SET);
        let ours = tracked(&object).into_keys().collect();
        drop_nulls(&mut object);
        Server { object, ours, theirs: BTreeSet::new(), version: 100, generation: 1 }
    }

    /// What a read or a watch shows.
    pub(crate) fn shown(&self) -> Value {
        let entry = |manager: &str, operation: &str, time: &str, set: &BTreeSet<Place>| {
            json!({
                "manager": manager, "operation": operation, "apiVersion": self.object["apiVersion"], "time": time,
                "fieldsType": "FieldsV1", "fieldsV1": fields_v1(set),
            })
        };
        let ours = entry("lockmaster", "Apply", "2026-03-01T10:00:00Z", &self.ours);
        let theirs = entry("kubectl-edit", "Update", "2026-03-01T11:00:00Z", &self.theirs);
        let mut shown = self.object.clone();
        shown["metadata"]["managedFields"] = if self.theirs.is_empty() { json!([ours]) } else { json!([ours, theirs]) };
        shown["metadata"]["resourceVersion"] = json!(self.version.to_string());
        shown["metadata"]["generation"] = json!(self.generation);
        shown
    }

    /// Somebody else writes the object: what it changes or removes is no longer ours.
    pub(crate) fn updated(&mut self, object: Value) {
        let (before, after) = (tracked(&self.object), tracked(&object));
        let changed = |place: &Place| match (before.get(place), after.get(place)) {
            // Filling an empty map changes only what is put into it.
            (Some(old), None) if *old == json!({}) => at(&object, place).is_none(),
            // A list or a map that comes or goes changes its own place too.
            (None, None) => at(&self.object, place).is_some() != at(&object, place).is_some(),
            (old, new) => old != new,
        };
        self.ours.retain(|place| !changed(place));
        self.theirs.retain(|place| after.contains_key(place));
        self.theirs.extend(after.keys().filter(|place| changed(place)).cloned());
        self.untracked(object);
    }

    /// A webhook changes the object, which nobody tracks.
    pub(crate) fn untracked(&mut self, object: Value) {
        self.version += 1;
        let without_metadata = |object: &Value| {
            let mut object = content(object);
            object["metadata"].take();
            object
        };
        self.generation += i64::from(without_metadata(&object) != without_metadata(&self.object));
        self.object = object;
    }

    /// A forced apply; says whether it changed anything.
    pub(crate) fn apply(&mut self, manifest: &Manifest) -> bool {
        let wish = Server::applied(manifest);
        let merged = merged(&[], &self.object, &wish.object);
        let is_changed = merged != self.object || wish.ours != self.ours;
        if is_changed {
            self.untracked(merged);
            self.ours = wish.ours;
        }
        is_changed
    }
}

fn merged(place: &[String], live: &Value, wish: &Value) -> Value {
    match (live, wish, shape(place)) {
        (Value::Object(live), Value::Object(wish), Shape::Granular) => {
            let mut both = live.clone();
            for (name, wish) in wish.iter().filter(|(_, wish)| !wish.is_null()) {
                let inner = then(place, format!("f:{name}"));
                let value = live.get(name).map_or_else(|| wish.clone(), |live| merged(&inner, live, wish));
                both.insert(name.clone(), value);
            }
            Value::Object(both)
        }
        (Value::Array(live), Value::Array(wish), shape @ (Shape::Keyed(_) | Shape::Set)) => {
            let key = |element: &Value| element_key(shape, element);
            let mut wished = wish.iter().map(|wish| {
                let old = live.iter().find(|live| key(live) == key(wish));
                old.map_or_else(|| wish.clone(), |old| merged(&then(place, key(wish)), old, wish))
            });
            // Each place in the list that an element of ours has is taken by the next of ours.
            let mut places: BTreeSet<String> = wish.iter().map(key).collect();
            let mut both = Vec::new();
            for element in live {
                if wish.iter().all(|wish| key(wish) != key(element)) {
                    both.push(element.clone());
                } else if places.remove(&key(element)) {
                    both.extend(wished.next());
                }
            }
            both.extend(wished);
            Value::Array(both)
        }
        _ => wish.clone(),
    }
}

/// A manifest of this value.
pub(crate) fn manifest(value: Value) -> Manifest {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::from_manifest(text("/apiVersion"), text("/kind"));
    let namespace = value.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
    let name = text("/metadata/name").to_owned();
    let key = ObjectKey { group: kind.group.clone(), kind: kind.kind.clone(), namespace, name };
    let digest = Digest::of(value.to_string().as_bytes());
    Manifest { key, kind, stage: Stage::Workload, wave: 0, scaled: false, value, digest }
}
