//! Whether an apply would change nothing, proven without asking the server.
//!
//! The proof: our entry names exactly the fields that the manifest says, each has the manifest's value, and the elements
//! of keyed lists stand once each and in the manifest's order. Then the merge of an apply finds nothing to do. Where a
//! schema would be needed to know what an entry of the manifest names, the answer is "not sure".

use serde_json::{Map, Value};

use super::super::PART_OF;
use super::entry::{Entry, Item, is_leaf, key_of};
use super::schema::{ATOMIC_LISTS, ATOMIC_MAPS, BUILT_IN};
use crate::manifest::Manifest;

/// The manifest as it is sent: with the set's label, and without what no entry ever names (apimachinery,
/// `managedfields`, "stripMeta").
pub(super) fn wish(manifest: &Manifest, set_id: &str) -> Map<String, Value> {
    let mut wish = manifest.value.clone();
    wish["metadata"]["labels"][PART_OF] = set_id.into();
    if let Some(metadata) = wish["metadata"].as_object_mut() {
        metadata.retain(|name, _| name != "name" && name != "namespace");
    }
    let fields = wish.as_object_mut().map(std::mem::take).unwrap_or_default();
    fields.into_iter().filter(|(name, _)| name != "apiVersion" && name != "kind").collect()
}

/// See [`super::is_as_applied`].
pub(super) fn is_as_applied(manifest: &Manifest, live: &Value, set_id: &str) -> bool {
    let Some(entry) = Entry::of(live) else { return false };
    let is_named = |pointer| manifest.value.pointer(pointer) == live.pointer(pointer);
    BUILT_IN.contains(&manifest.kind.group.as_str())
        && entry.api_version == manifest.kind.api_version()
        && ["/apiVersion", "/kind", "/metadata/name"].into_iter().all(is_named)
        && live.pointer("/metadata/namespace").and_then(Value::as_str) == manifest.key.namespace.as_deref()
        && fields(entry.set, &wish(manifest, set_id), Some(live), false)
}

fn place(name: &str, node: &Value, wish: &Value, live: Option<&Value>) -> bool {
    let Some(node) = node.as_object() else { return false };
    match wish {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => is_leaf(node) && live == Some(wish),
        // An empty map says the same whether it is owned whole or not, as long as nothing is in it.
        Value::Object(wished) if wished.is_empty() => is_leaf(node) && live == Some(wish),
        Value::Object(_) if is_leaf(node) => ATOMIC_MAPS.contains(&name) && live == Some(wish),
        Value::Object(wished) => fields(node, wished, live, false),
        // The server leaves out an empty list, and who owns it depends on its kind.
        Value::Array(wished) if wished.is_empty() => false,
        Value::Array(_) if is_leaf(node) => ATOMIC_LISTS.contains(&name) && live == Some(wish),
        Value::Array(wished) => live.and_then(Value::as_array).is_some_and(|live| elements(node, wished, live)),
    }
}

/// A map of which each field is owned, and the map itself only as an element of a list: the same fields both ways.
fn fields(node: &Map<String, Value>, wish: &Map<String, Value>, live: Option<&Value>, is_element: bool) -> bool {
    let field = |(key, child): (&String, &Value)| match key.strip_prefix("f:") {
        Some(name) => {
            let live = live.and_then(|live| live.get(name));
            wish.get(name).is_some_and(|wish| place(name, child, wish, live))
        }
        None => is_element && key == ".",
    };
    node.contains_key(".") == is_element && node.len() == wish.len() + usize::from(is_element) && node.iter().all(field)
}

/// A keyed list or a set list: the same elements both ways, each live once, in the manifest's order.
fn elements(node: &Map<String, Value>, wish: &[Value], live: &[Value]) -> bool {
    let items: Option<Vec<(Item, &Value)>> = node.iter().map(|(key, child)| Some((Item::read(key)?, child))).collect();
    let Some(items) = items.filter(|items| items.len() == wish.len()) else { return false };
    let mut next = 0;
    let mut seen = vec![false; items.len()];
    for wished in wish {
        let Some(place) = items.iter().position(|(item, _)| is_wished(item, wished)) else { return false };
        let (item, child) = &items[place];
        let mut found = live.iter().enumerate().filter(|(_, element)| item.is(element));
        let (Some((at, element)), None) = (found.next(), found.next()) else { return false };
        if std::mem::replace(&mut seen[place], true) || at < next || !element_is(item, child, wished, element) {
            return false;
        }
        next = at + 1;
    }
    true
}

/// Whether a manifest's list element is this one of the entry.
fn is_wished(item: &Item, wish: &Value) -> bool {
    match item {
        Item::Keys(keys) => key_of(wish, keys.keys()).is_some_and(|key| key.iter().all(|(name, v)| keys[name] == *v)),
        Item::Value(value) => value == wish,
        Item::Other => false,
    }
}

fn element_is(item: &Item, child: &Value, wish: &Value, live: &Value) -> bool {
    match (item, wish.as_object(), child.as_object()) {
        (Item::Keys(_), Some(wish), Some(node)) => fields(node, wish, Some(live), true),
        (Item::Value(_), None, Some(node)) => is_leaf(node),
        _ => false,
    }
}
