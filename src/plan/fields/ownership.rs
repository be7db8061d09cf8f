//! Who owns a field, and by what the elements of a list are told apart: read from `metadata.managedFields`.
//!
//! The format is `FieldsV1` (Kubernetes API reference, `ManagedFieldsEntry`; sigs.k8s.io/structured-merge-diff,
//! `fieldpath`): a tree whose keys are `f:<field>`, `k:<keys of a list element as JSON>`, `v:<value>` and `.`; an empty
//! node owns all that is below it.

use serde_json::{Map, Value};

use super::super::{FIELD_MANAGER, FieldOwner};
use super::path::Step;

/// One manager's ownership, seen from some place in the object.
#[derive(Debug, Clone, Copy)]
struct Share<'a> {
    entry: &'a Value,
    node: &'a Map<String, Value>,
}

/// Who owns what below some place in the object.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Ownership<'a>(Vec<Share<'a>>);

impl<'a> Ownership<'a> {
    /// Reads an object's `managedFields`; what is not readable owns nothing.
    pub(in super::super) fn of(object: &'a Value) -> Self {
        Ownership(
            entries(object)
                .filter_map(|entry| Some(Share { entry, node: entry.get("fieldsV1")?.as_object()? }))
                .collect(),
        )
    }

    /// The ownership one step further in; `element` is the live value there.
    pub(in super::super) fn step(&self, step: &Step, element: Option<&Value>) -> Ownership<'a> {
        let further = |share: &Share<'a>| {
            if share.node.is_empty() {
                return Some(*share);
            }
            child(share.node, step, element).map(|node| Share { entry: share.entry, node })
        };
        Ownership(self.0.iter().filter_map(further).collect())
    }

    /// The names of the fields by which the server tells the elements of this list apart.
    pub(in super::super) fn list_keys(&self) -> Option<Vec<String>> {
        let mut keys = self.0.iter().flat_map(|share| share.node.keys());
        let first = keys.find_map(|key| key.strip_prefix("k:"))?;
        let parsed: Map<String, Value> = serde_json::from_str(first).ok()?;
        Some(parsed.into_iter().map(|(name, _)| name).collect())
    }

    /// Our own part of the set below this place; an empty one owns all of it, or ends here.
    pub(in super::super) fn ours(&self) -> Option<&'a Map<String, Value>> {
        self.0.iter().find(|share| is_ours(share.entry)).map(|share| share.node)
    }

    /// The parts of the others.
    pub(in super::super) fn others(&self) -> impl Iterator<Item = &'a Map<String, Value>> {
        self.0.iter().filter(|share| !is_ours(share.entry)).map(|share| share.node)
    }

    /// Who last changed the field here, if it is not ours.
    pub(in super::super) fn foreign(&self) -> Option<FieldOwner> {
        if self.ours().is_some() {
            return None;
        }
        self.0.iter().map(|share| owner(share.entry)).max_by(|a, b| a.time.cmp(&b.time))
    }
}

/// Whether an entry is the one that our applies keep.
pub(in super::super) fn is_ours(entry: &Value) -> bool {
    let is = |name: &str, word: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default() == word;
    is("manager", FIELD_MANAGER) && is("operation", "Apply") && is("subresource", "")
}

/// The owner that an entry of `managedFields` names.
pub(in super::super) fn owner(entry: &Value) -> FieldOwner {
    let word = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    FieldOwner {
        manager: word("manager").unwrap_or_default(),
        operation: word("operation").unwrap_or_default(),
        time: word("time"),
    }
}

/// Whether a manager whose name begins so owns a label of the object.
pub(in super::super) fn label_owned_by(object: &Value, label: &str, manager: &str) -> bool {
    let label = format!("f:{label}");
    let owns = |entry: &Value| entry.pointer("/fieldsV1/f:metadata/f:labels").is_some_and(|l| l.get(&label).is_some());
    entries(object).any(|entry| owner(entry).manager.starts_with(manager) && owns(entry))
}

/// The entries of an object's `managedFields`.
pub(in super::super) fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

fn child<'a>(node: &'a Map<String, Value>, step: &Step, element: Option<&Value>) -> Option<&'a Map<String, Value>> {
    let found = match step {
        Step::Field(name) => node.get(&format!("f:{name}")),
        Step::Item(key) => node.iter().find(|(name, _)| is_item(name, key)).map(|(_, child)| child),
        Step::Index(_) => element.and_then(|element| node.get(&format!("v:{element}"))),
    };
    found?.as_object()
}

/// Whether a node's name is `k:` and exactly these keys; an absent key counts as null, as the server does.
fn is_item(name: &str, key: &[(String, Value)]) -> bool {
    let parsed = name.strip_prefix("k:").and_then(|json| serde_json::from_str::<Map<String, Value>>(json).ok());
    let null = Value::Null;
    parsed.is_some_and(|parsed| key.iter().all(|(name, value)| parsed.get(name).unwrap_or(&null) == value))
}
