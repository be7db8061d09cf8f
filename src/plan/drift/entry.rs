//! Our entry of `managedFields`: the set of fields that our applies say.

use serde_json::{Map, Value};

use super::HashKey;
use super::hash::{Hasher, Purpose};
use super::schema::key_default;
use crate::plan::fields::is_ours;

/// The entry of the field manager `lockmaster` with the operation `Apply` and no subresource. The server keeps one at
/// most: an apply in another version takes the place of the older one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// The version in which its fields are named.
    pub(super) api_version: &'a str,
    /// Its fields, as `FieldsV1`: see `fields/ownership.rs`.
    pub(super) set: &'a Map<String, Value>,
}

impl<'a> Entry<'a> {
    /// Our entry of an object; `None` where it has none.
    pub(super) fn of(object: &'a Value) -> Option<Self> {
        let entries = object.pointer("/metadata/managedFields")?.as_array()?;
        let entry = entries.iter().find(|entry| is_ours(entry))?;
        let api_version = entry.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        Some(Entry { api_version, set: entry.get("fieldsV1")?.as_object()? })
    }

    /// The hash of the set and its version; the order of keys does not matter.
    pub(super) fn hash(self, key: &HashKey) -> u128 {
        let mut hasher = Hasher::new(key, Purpose::Entry);
        hasher.text(self.api_version);
        hasher.map(self.set);
        hasher.finish()
    }
}

/// Whether the entry ends here.
pub(super) fn is_leaf(node: &Map<String, Value>) -> bool {
    node.keys().all(|key| key == ".")
}

/// What a list element is told apart by in a set.
pub(super) enum Item {
    /// `k:`, an element of a keyed list: these of its fields have these values.
    Keys(Map<String, Value>),
    /// `v:`, an element of a set list: it is this value.
    Value(Value),
    /// Neither; no element is it.
    Other,
}

impl Item {
    /// Reads a key of a set; `None` if it names a field or the place itself, and no list element.
    pub(super) fn read(key: &str) -> Option<Self> {
        let (kind, json) = key.split_once(':')?;
        match kind {
            "f" => None,
            "k" => Some(serde_json::from_str(json).map_or(Item::Other, Item::Keys)),
            "v" => Some(serde_json::from_str(json).map_or(Item::Other, Item::Value)),
            _ => Some(Item::Other),
        }
    }

    /// Whether a list element is this one; a key that the element lacks counts as null.
    pub(super) fn is(&self, element: &Value) -> bool {
        match self {
            Item::Keys(keys) => element.as_object().is_some_and(|fields| {
                keys.iter().all(|(name, value)| fields.get(name).unwrap_or(&Value::Null) == value)
            }),
            Item::Value(value) => element == value,
            Item::Other => false,
        }
    }
}

/// The values of a manifest's list element for these keys; `None` if it is no map.
pub(super) fn key_of<'k>(element: &Value, names: impl Iterator<Item = &'k String>) -> Option<Vec<(String, Value)>> {
    let fields = element.as_object()?;
    let value = |name: &String| fields.get(name).cloned().unwrap_or_else(|| key_default(name));
    Some(names.map(|name| (name.clone(), value(name))).collect())
}
