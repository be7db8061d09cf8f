//! The fields in which two states of one object differ.

mod fold;
mod owned;
mod ownership;
mod path;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{FieldChange, FieldOwner};
use crate::name::ObjectKey;
pub(super) use fold::{count_to_hand_off, folded, without_leftovers};
pub(super) use ownership::{Ownership, entries, is_ours, label_owned_by, owner};
pub(super) use path::{Path, Step};

/// What the server keeps about an object; none of it is anybody's wish.
const BOOKKEEPING: &[&str] =
    &["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// kubectl's copy of what it applied: of a Secret, all its values.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields by which list elements are told apart where nobody owns any: those that Kubernetes uses as merge keys
/// (Kubernetes API conventions, "Merge strategy").
const USUAL_KEYS: &[&str] = &["name", "key", "containerPort", "port", "mountPath", "devicePath", "ip", "type", "uid"];

/// See [`super::field_changes`].
pub(super) fn changes(key: &ObjectKey, from: &Value, to: &Value) -> Vec<FieldChange> {
    let (from_plain, to_plain) = (without_bookkeeping(from), without_bookkeeping(to));
    let mut walk = Walk { is_secret: key.is_core("Secret"), found: Vec::new() };
    walk.compare(&Path::default(), &Ownership::of(from), Some(&from_plain), Some(&to_plain));
    walk.found
}

/// The live object as it would be if a manifest's values were laid over it: what an apply does, but for defaults,
/// webhooks and what the manifest no longer says. For where the server cannot be asked.
pub(super) fn laid_over(live: &Value, manifest: &Value) -> Value {
    laid_over_at(live, manifest, &Ownership::of(live))
}

fn laid_over_at(live: &Value, manifest: &Value, owned: &Ownership<'_>) -> Value {
    match (live, manifest) {
        (Value::Object(below), Value::Object(above)) => {
            let mut both = below.clone();
            for (name, value) in above {
                let step = Step::Field(name.clone());
                let laid = below.get(name).map(|old| laid_over_at(old, value, &owned.step(&step, Some(old))));
                both.insert(name.clone(), laid.unwrap_or_else(|| value.clone()));
            }
            Value::Object(both)
        }
        (Value::Array(below), Value::Array(above)) => {
            let Some((below, above)) = elements(below, above, owned) else { return manifest.clone() };
            let old = |step: &Step| below.iter().find(|(other, _)| other == step).map(|(_, old)| *old);
            let laid = above.iter().map(|(step, value)| match old(step) {
                Some(old) => laid_over_at(old, value, &owned.step(step, Some(old))),
                None => (*value).clone(),
            });
            let rest = below.iter().filter(|(step, _)| above.iter().all(|(other, _)| other != step));
            Value::Array(laid.chain(rest.map(|(_, old)| (*old).clone())).collect())
        }
        _ => manifest.clone(),
    }
}

fn without_bookkeeping(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|name, _| !BOOKKEEPING.contains(&name.as_str()));
        }
    }
    object
}

struct Walk {
    is_secret: bool,
    found: Vec<FieldChange>,
}

impl Walk {
    fn compare(&mut self, path: &Path, owned: &Ownership<'_>, from: Option<&Value>, to: Option<&Value>) {
        if from == to {
            return;
        }
        match (from, to) {
            (Some(Value::Object(from)), Some(Value::Object(to))) => self.maps(path, owned, from, to),
            (Some(Value::Array(before)), Some(Value::Array(after))) => match elements(before, after, owned) {
                Some((before, after)) => self.keyed(path, owned, &before, &after, (from, to)),
                None => self.indexed(path, owned, before, after),
            },
            // Whatever holds secret values is never told as a whole, so that their names can be told.
            (Some(Value::Object(gone)), None) if self.holds_secrets(path) => self.maps(path, owned, gone, &Map::new()),
            (None, Some(Value::Object(new))) if self.holds_secrets(path) => self.maps(path, owned, &Map::new(), new),
            _ => self.tell(path, owned, from, to),
        }
    }

    fn maps(&mut self, path: &Path, owned: &Ownership<'_>, from: &Map<String, Value>, to: &Map<String, Value>) {
        let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        if names.is_empty() {
            // One side has no map and the other an empty one.
            self.tell(path, owned, None, None);
        }
        for name in names {
            let step = Step::Field(name.clone());
            let further = owned.step(&step, from.get(name));
            self.compare(&path.then(step), &further, from.get(name), to.get(name));
        }
    }

    fn keyed(
        &mut self,
        path: &Path,
        owned: &Ownership<'_>,
        from: &[(Step, &Value)],
        to: &[(Step, &Value)],
        whole: (Option<&Value>, Option<&Value>),
    ) {
        let common = |these: &[(Step, &Value)], those: &[(Step, &Value)]| -> Vec<Step> {
            let kept = these.iter().filter(|(step, _)| those.iter().any(|(other, _)| other == step));
            kept.map(|(step, _)| step.clone()).collect()
        };
        // The order of elements has a meaning (init containers, environment variables), and an apply restores it.
        if common(from, to) != common(to, from) {
            self.tell(path, owned, whole.0, whole.1);
            return;
        }
        let old = |step: &Step| from.iter().find(|(other, _)| other == step).map(|(_, value)| *value);
        let new = |step: &Step| to.iter().find(|(other, _)| other == step).map(|(_, value)| *value);
        let added = to.iter().filter(|(step, _)| old(step).is_none());
        for (step, _) in from.iter().chain(added) {
            self.compare(&path.then(step.clone()), &owned.step(step, old(step)), old(step), new(step));
        }
    }

    fn indexed(&mut self, path: &Path, owned: &Ownership<'_>, from: &[Value], to: &[Value]) {
        for index in 0..from.len().max(to.len()) {
            let step = Step::Index(index);
            let further = owned.step(&step, from.get(index));
            self.compare(&path.then(step), &further, from.get(index), to.get(index));
        }
    }

    fn tell(&mut self, path: &Path, owned: &Ownership<'_>, from: Option<&Value>, to: Option<&Value>) {
        let drift = from.and_then(|_| owned.foreign());
        self.found.push(change(self.is_secret, path, from, to, drift));
    }

    fn holds_secrets(&self, path: &Path) -> bool {
        self.is_secret && holds_secrets(path)
    }
}

/// One field that differs; of a Secret without the values that are secret.
pub(super) fn change(
    is_secret: bool,
    path: &Path,
    from: Option<&Value>,
    to: Option<&Value>,
    drift: Option<FieldOwner>,
) -> FieldChange {
    let secret = is_secret
        && (path.0.is_empty()
            || path.starts_with(&["data"])
            || path.starts_with(&["stringData"])
            || path.is(&["metadata"])
            || path.is(&["metadata", "annotations"])
            || path.starts_with(&["metadata", "annotations", LAST_APPLIED]));
    let told = |value: Option<&Value>| value.filter(|_| !secret).cloned();
    FieldChange { path: path.to_string(), from: told(from), to: told(to), secret, drift }
}

/// Whether secret values of a Secret stand below a path, each under a name that may be told.
pub(super) fn holds_secrets(path: &Path) -> bool {
    let places: [&[&str]; 4] = [&["data"], &["stringData"], &["metadata"], &["metadata", "annotations"]];
    places.iter().any(|place| path.is(place))
}

type Elements<'a> = Vec<(Step, &'a Value)>;

/// The elements of two lists by their keys; `None` where nothing tells all of them apart.
fn elements<'a>(from: &'a [Value], to: &'a [Value], owned: &Ownership<'_>) -> Option<(Elements<'a>, Elements<'a>)> {
    let owned_keys = owned.list_keys().into_iter();
    let usual = USUAL_KEYS.iter().map(|name| vec![(*name).to_owned()]);
    owned_keys
        .map(|names| (names, true))
        .chain(usual.map(|names| (names, false)))
        .find_map(|(names, may_lack)| Some((by_key(from, &names, may_lack)?, by_key(to, &names, may_lack)?)))
}

/// The elements by these fields, if each has values of them that no other has.
fn by_key<'a>(list: &'a [Value], names: &[String], may_lack: bool) -> Option<Elements<'a>> {
    let mut found: Elements<'a> = Vec::with_capacity(list.len());
    let mut seen = BTreeSet::new();
    for element in list {
        let fields = element.as_object()?;
        let value = |name: &String| match fields.get(name) {
            Some(Value::Array(_) | Value::Object(_)) => None,
            Some(value) => Some((name.clone(), value.clone())),
            None => may_lack.then(|| (name.clone(), Value::Null)),
        };
        let key = names.iter().map(value).collect::<Option<Vec<_>>>()?;
        if !seen.insert(format!("{key:?}")) {
            return None;
        }
        found.push((Step::Item(key), element));
    }
    Some(found)
}
