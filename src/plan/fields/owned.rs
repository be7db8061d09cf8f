//! A set of fields, as `FieldsV1` writes it: what somebody owns, and what of that others say or own too.
//!
//! Sources: sigs.k8s.io/structured-merge-diff, `fieldpath` (the format) and `merge/update.go` (what an apply removes: the
//! fields that the applier owned and no longer says, but for those that others own).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Fields from some place of an object on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Owned {
    /// The place itself is in the set.
    member: bool,
    /// By `f:<field>`, `k:<keys of a list element>` or `v:<value>`.
    below: BTreeMap<String, Owned>,
}

impl Owned {
    /// Reads the `fieldsV1` of an entry; what is not readable is empty.
    pub(super) fn of(fields: &Value) -> Self {
        let below = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != ".");
        let below = below.map(|(name, inner)| {
            let mut inner_set = Owned::of(inner);
            inner_set.member = inner.as_object().is_some_and(|inner| inner.is_empty() || inner.contains_key("."));
            (name.clone(), inner_set)
        });
        Owned { member: false, below: below.collect() }
    }

    /// The set as `fieldsV1`.
    pub(super) fn to_fields(&self) -> Value {
        let mut fields: Map<String, Value> =
            self.below.iter().map(|(name, inner)| (name.clone(), inner.to_fields())).collect();
        if self.member && !fields.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        Value::Object(fields)
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    /// What is in either set.
    pub(super) fn union(mut self, other: Owned) -> Self {
        self.member |= other.member;
        for (name, inner) in other.below {
            let mine = self.below.remove(&name).unwrap_or_default();
            self.below.insert(name, mine.union(inner));
        }
        self
    }

    /// What is in this set, and of which the other has nothing at, above or below that place.
    pub(super) fn without(&self, other: &Owned) -> Self {
        if other.member && other.below.is_empty() {
            return Owned::default();
        }
        self.each(self.member && other.is_empty(), |name, inner| match other.below.get(name) {
            Some(theirs) => inner.without(theirs),
            None => inner.clone(),
        })
    }

    /// Without the field at this path, and all below it.
    pub(super) fn without_path(mut self, path: &[&str]) -> Self {
        let Some((first, rest)) = path.split_first() else { return Owned::default() };
        let name = format!("f:{first}");
        if let Some(inner) = self.below.remove(&name) {
            let inner = inner.without_path(rest);
            if !inner.is_empty() {
                self.below.insert(name, inner);
            }
        }
        self
    }

    /// The fields of this set that a value says, as an apply of that value would own them: leaves and elements of lists,
    /// no maps around them.
    pub(super) fn said_by(&self, value: &Value) -> Self {
        self.each(false, |name, inner| match element(value, name) {
            None => Owned::default(),
            Some(_) if inner.below.is_empty() => inner.clone(),
            Some(found) => {
                let mut said = inner.said_by(found);
                said.member = inner.member && name.starts_with("k:");
                said
            }
        })
    }

    /// The fields of this set that a value does not say.
    pub(super) fn unsaid_by(&self, value: Option<&Value>) -> Self {
        let value = value.filter(|value| !value.is_null());
        self.each(self.member && value.is_none(), |name, inner| {
            inner.unsaid_by(value.and_then(|value| element(value, name)))
        })
    }

    /// The value as it is when these fields are gone.
    pub(super) fn taken_from(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let left = fields.iter().filter_map(|(name, value)| {
                    let inner = self.below.get(&format!("f:{name}"));
                    Some((name.clone(), remainder(inner, value)?))
                });
                Value::Object(left.collect())
            }
            Value::Array(items) => {
                let of = |item: &Value| {
                    let found = self.below.iter().find(|(name, _)| is_element(item, name));
                    remainder(found.map(|(_, inner)| inner), item)
                };
                Value::Array(items.iter().filter_map(of).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    fn each(&self, member: bool, change: impl Fn(&str, &Owned) -> Owned) -> Self {
        let below = self.below.iter().map(|(name, inner)| (name.clone(), change(name, inner)));
        Owned { member, below: below.filter(|(_, inner)| !inner.is_empty()).collect() }
    }
}

fn remainder(gone: Option<&Owned>, value: &Value) -> Option<Value> {
    match gone {
        Some(gone) if gone.member => None,
        Some(gone) => Some(gone.taken_from(value)),
        None => Some(value.clone()),
    }
}

/// What a value has under the name of a node; null is nothing.
fn element<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = match name.strip_prefix("f:") {
        // The server keeps the old name of this field equal to the new one, and brings back one from the other.
        Some("serviceAccount") => value.get("serviceAccount").or_else(|| value.get("serviceAccountName"))?,
        Some(field) => value.get(field)?,
        None => value.as_array()?.iter().find(|item| is_element(item, name))?,
    };
    Some(found).filter(|found| !found.is_null())
}

/// Whether an element of a list is the one of a node's name. A key that an element leaves out is null to the server, but
/// for `protocol`, whose default is TCP wherever it is a key.
fn is_element(item: &Value, name: &str) -> bool {
    if let Some(value) = name.strip_prefix("v:") {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let keys = name.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Map<String, Value>>(keys).ok());
    let same = |(key, value): (&String, &Value)| match item.get(key) {
        Some(found) => found == value,
        None => value.is_null() || key == "protocol" && value == "TCP",
    };
    keys.is_some_and(|keys| item.is_object() && keys.iter().all(same))
}

#[cfg(test)]
mod tests;
