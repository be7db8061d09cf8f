//! The values of an object at the places that our entry names.
//!
//! - A place that our entry ends at is hashed with all that is in it, with two exceptions.
//! - A map that our entry ends at is owned as a whole, or was empty in the manifest (`emptyDir: {}`, `strategy: {}`): then
//!   what others or the server's defaults put into it is not ours, and only counts that there is a map. An entry does not
//!   say which it is; maps that are surely owned as a whole are hashed. Nothing is lost for the others: when somebody
//!   changes a map that we own as a whole, our entry loses it.
//! - A list that our entry ends at is owned as a whole, or was null in the manifest (`env:` without a value). Those that
//!   are never owned as a whole likewise only count as there.
//! - Of a keyed list and of a set list only elements that we own are hashed, and in which order they are live: nobody owns
//!   an order, but an apply restores it. An element that stands twice shows as one more place in that order.

use serde_json::{Map, Value};

use super::HashKey;
use super::entry::{Entry, Item, is_leaf};
use super::hash::{Hasher, Purpose, sorted};
use super::schema::{ATOMIC_MAPS, NEVER_ATOMIC_LISTS};

const METADATA: &str = "f:metadata";

/// The hash of what we own below `metadata`.
pub(super) fn metadata(entry: Entry<'_>, object: &Value, key: &HashKey) -> u128 {
    let mut hasher = Hasher::new(key, Purpose::Metadata);
    if let Some(node) = entry.set.get(METADATA) {
        child(&mut hasher, "metadata", node, object.get("metadata"));
    }
    hasher.finish()
}

/// The hash of all else that we own.
pub(super) fn rest(entry: Entry<'_>, object: &Value, key: &HashKey) -> u128 {
    let mut hasher = Hasher::new(key, Purpose::Rest);
    for (name, node) in sorted(entry.set).into_iter().filter(|(name, _)| *name != METADATA) {
        if let Some(field) = name.strip_prefix("f:") {
            child(&mut hasher, field, node, object.get(field));
        }
    }
    hasher.finish()
}

/// What is at a field, or at a list element, which has no name.
fn child(hasher: &mut Hasher, name: &str, node: &Value, value: Option<&Value>) {
    match node.as_object().filter(|node| !is_leaf(node)) {
        Some(node) => inner(hasher, node, value),
        None => leaf(hasher, name, value),
    }
}

fn inner(hasher: &mut Hasher, node: &Map<String, Value>, value: Option<&Value>) {
    let mut items = Vec::new();
    for (key, node) in sorted(node) {
        if let Some(field) = key.strip_prefix("f:") {
            child(hasher, field, node, value.and_then(|value| value.get(field)));
        } else if key == "." {
            hasher.tag(if value.is_some() { b'+' } else { b'-' });
        } else if let Some(item) = Item::read(key) {
            items.push((item, node));
        }
    }
    if !items.is_empty() {
        list(hasher, &items, value);
    }
}

/// First the order, then element by element in the order of the entry.
fn list(hasher: &mut Hasher, items: &[(Item, &Value)], value: Option<&Value>) {
    let live = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut elements: Vec<Option<&Value>> = vec![None; items.len()];
    hasher.tag(b'<');
    for element in live {
        if let Some(place) = items.iter().position(|(item, _)| item.is(element)) {
            hasher.count(place + 1);
            elements[place].get_or_insert(element);
        }
    }
    hasher.count(0);
    for ((_, node), element) in items.iter().zip(elements) {
        child(hasher, "", node, element);
    }
}

fn leaf(hasher: &mut Hasher, name: &str, value: Option<&Value>) {
    match value {
        None => hasher.tag(b'-'),
        Some(Value::Object(_)) if !ATOMIC_MAPS.contains(&name) => hasher.tag(b'+'),
        Some(Value::Array(_)) if NEVER_ATOMIC_LISTS.contains(&name) => hasher.tag(b'+'),
        Some(value) => hasher.value(value),
    }
}
