//! The entries of `metadata.managedFields`: one for each manager, operation and subresource.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::embedded::fields::Set;

/// Where the oldest updates go once there are too many.
const ANCIENT: &str = "ancient-changes";

/// What tells entries apart: all are of one version. Their order is that in which conflicts are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    manager: String,
    /// Whether it updates, or applies.
    updates: bool,
    /// Whether it writes the object itself; those of a subresource stand before it.
    is_whole: bool,
    subresource: String,
}

impl Identity {
    pub(super) fn new(manager: &str, updates: bool, subresource: Option<&str>) -> Identity {
        let subresource = subresource.unwrap_or_default().to_owned();
        Identity { manager: manager.to_owned(), updates, is_whole: subresource.is_empty(), subresource }
    }

    /// In the words of a conflict.
    pub(super) fn display(&self, version: &str) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.is_whole {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if self.updates {
            text += &format!(" using {version}");
        }
        text
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) identity: Identity,
    pub(super) set: Set,
    time: Option<String>,
}

/// The managers of one object, all at one version.
#[derive(Debug, Default)]
pub(super) struct Managers {
    entries: BTreeMap<Identity, Entry>,
    pub(super) version: String,
}

impl Managers {
    /// Reads managed fields; nothing where an entry is not well formed. Entries of another version are left out: no
    /// kind is served in two, and a real server drops the entries of versions that it does not know.
    pub(super) fn read(fields: &Value, version: &str) -> Option<Managers> {
        let mut managers = Managers { entries: BTreeMap::new(), version: version.to_owned() };
        for entry in fields.as_array().into_iter().flatten() {
            let text = |key: &str| entry[key].as_str().unwrap_or_default();
            let updates = text("operation") == "Update";
            if !updates && text("operation") != "Apply"
                || text("apiVersion").is_empty()
                || text("fieldsType") != "FieldsV1"
            {
                return None;
            }
            let none = json!({});
            let set = Set::parse(entry.get("fieldsV1").filter(|set| !set.is_null()).unwrap_or(&none))?;
            if text("apiVersion") == version {
                let identity = Identity::new(text("manager"), updates, Some(text("subresource")));
                let time = entry["time"].as_str().map(str::to_owned);
                managers.entries.insert(identity.clone(), Entry { identity, set, time });
            }
        }
        Some(managers)
    }

    /// Writes managed fields in the order of a real server: applies first, then by time, manager and subresource.
    pub(super) fn write(&self) -> Value {
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| {
            (entry.identity.updates, &entry.time, &entry.identity.manager, &entry.identity.subresource)
        });
        let written = entries.into_iter().map(|Entry { identity, set, time }| {
            let operation = if identity.updates { "Update" } else { "Apply" };
            let mut object = json!({"manager": identity.manager, "operation": operation, "apiVersion": self.version,
                                    "fieldsType": "FieldsV1", "fieldsV1": set.write()});
            if let Some(time) = time {
                object["time"] = json!(time);
            }
            if !identity.is_whole {
                object["subresource"] = json!(identity.subresource);
            }
            object
        });
        Value::Array(written.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What a manager owns.
    pub(super) fn get(&self, identity: &Identity) -> Set {
        self.entries.get(identity).map(|entry| entry.set.clone()).unwrap_or_default()
    }

    /// Sets what a manager owns; one that owns nothing has no entry.
    pub(super) fn set(&mut self, identity: Identity, set: Set) {
        let time = self.entries.remove(&identity).and_then(|entry| entry.time);
        if !set.is_empty() {
            self.entries.insert(identity.clone(), Entry { identity, set, time });
        }
    }

    /// Notes when a manager last wrote.
    pub(super) fn touch(&mut self, identity: &Identity, now: &str) {
        if let Some(entry) = self.entries.get_mut(identity) {
            entry.time = Some(now.to_owned());
        }
    }

    /// Merges the oldest updates into one where there are more than so many.
    pub(super) fn cap(&mut self, most: usize) {
        let mut updaters: Vec<Entry> = self.entries().filter(|entry| entry.identity.updates).cloned().collect();
        updaters.sort_by(|a, b| (&a.time, &a.identity).cmp(&(&b.time, &b.identity)));
        let spare = updaters.len().saturating_sub(most);
        if spare == 0 {
            return;
        }
        let identity = Identity::new(ANCIENT, true, None);
        let mut ancient = Entry { identity: identity.clone(), set: Set::default(), time: None };
        for merged in updaters.drain(..=spare) {
            self.entries.remove(&merged.identity);
            ancient = Entry { set: ancient.set.union(&merged.set), time: merged.time, ..ancient };
        }
        self.entries.insert(identity, ancient);
    }
}
