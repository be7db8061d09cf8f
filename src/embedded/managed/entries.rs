//! The entries of `metadata.managedFields`: one for each manager, operation and subresource.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::embedded::fields::Set;
use crate::embedded::write::How;

/// Where the oldest updates go once there are too many.
const ANCIENT: &str = "ancient-changes";

/// What tells entries apart. Their order is that in which conflicts are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    manager: String,
    /// Whether it updates; what it applies has one entry whatever the version.
    updates: bool,
    version: String,
    /// Whether it writes the object itself; those of a subresource stand before it.
    is_whole: bool,
    subresource: String,
}

impl Identity {
    fn new(manager: String, updates: bool, version: String, subresource: String) -> Identity {
        Identity { manager, updates, version, is_whole: subresource.is_empty(), subresource }
    }

    pub(super) fn apply(how: &How) -> Identity {
        Identity::new(how.manager.clone(), false, String::new(), how.subresource.unwrap_or_default().to_owned())
    }

    pub(super) fn update(how: &How, version: &str) -> Identity {
        Identity { updates: true, version: version.to_owned(), ..Identity::apply(how) }
    }

    /// In the words of a conflict.
    pub(super) fn display(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text += &format!(" with subresource {:?}", self.subresource);
        }
        if self.updates {
            text += &format!(" using {}", self.version);
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
    version: String,
}

impl Managers {
    /// Reads managed fields; nothing where an entry is not well formed. Entries of another version are left out: no
    /// kind is served in two, and a real server drops the entries of versions that it does not know.
    pub(super) fn read(fields: &Value, version: &str) -> Option<Managers> {
        let mut managers = Managers { entries: BTreeMap::new(), version: version.to_owned() };
        for entry in fields.as_array().into_iter().flatten() {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            let updates = match text("operation").as_str() {
                "Apply" => false,
                "Update" => true,
                _ => return None,
            };
            if text("apiVersion").is_empty() || text("fieldsType") != "FieldsV1" {
                return None;
            }
            let none = json!({});
            let set = Set::parse(entry.get("fieldsV1").filter(|set| !set.is_null()).unwrap_or(&none))?;
            if text("apiVersion") == version {
                let version = if updates { version.to_owned() } else { String::new() };
                let identity = Identity::new(text("manager"), updates, version, text("subresource"));
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
        let written = entries.into_iter().map(|entry| {
            let operation = if entry.identity.updates { "Update" } else { "Apply" };
            let mut object = json!({
                "manager": entry.identity.manager,
                "operation": operation,
                "apiVersion": self.version,
                "fieldsType": "FieldsV1",
                "fieldsV1": entry.set.write(),
            });
            if let Some(time) = &entry.time {
                object["time"] = json!(time);
            }
            if !entry.identity.subresource.is_empty() {
                object["subresource"] = json!(entry.identity.subresource);
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

    pub(super) fn get(&self, identity: &Identity) -> Option<&Set> {
        self.entries.get(identity).map(|entry| &entry.set)
    }

    /// Sets what a manager owns; one that owns nothing has no entry.
    pub(super) fn set(&mut self, identity: Identity, set: Set) {
        if set.is_empty() {
            self.entries.remove(&identity);
            return;
        }
        let time = self.entries.get(&identity).and_then(|entry| entry.time.clone());
        self.entries.insert(identity.clone(), Entry { identity, set, time });
    }

    /// Takes these fields from a manager.
    pub(super) fn strip(&mut self, identity: &Identity, fields: &Set) {
        if let Some(set) = self.get(identity) {
            self.set(identity.clone(), set.difference(fields));
        }
    }

    /// Notes when a manager last wrote.
    pub(super) fn touch(&mut self, identity: &Identity, now: &str) {
        if let Some(entry) = self.entries.get_mut(identity) {
            entry.time = Some(now.to_owned());
        }
    }

    /// Merges the oldest updates into one until no more than so many are left.
    pub(super) fn cap(&mut self, most: usize) {
        let mut updaters: Vec<Entry> = self.entries().filter(|entry| entry.identity.updates).cloned().collect();
        updaters.sort_by(|a, b| (&a.time, &a.identity).cmp(&(&b.time, &b.identity)));
        let mut left = updaters.len();
        let mut first: HashMap<String, Entry> = HashMap::new();
        for entry in updaters {
            if left <= most {
                return;
            }
            let version = entry.identity.version.clone();
            let Some(oldest) = first.get(&version) else {
                first.insert(version, entry);
                continue;
            };
            let bucket = Identity::new(ANCIENT.to_owned(), true, version, String::new());
            let kept = self.get(&bucket).cloned().unwrap_or_else(|| {
                let set = oldest.set.clone();
                self.entries.remove(&oldest.identity);
                set
            });
            self.entries.remove(&entry.identity);
            self.set(bucket.clone(), kept.union(&entry.set));
            if let Some(time) = &entry.time {
                self.touch(&bucket, time);
            }
            left -= 1;
        }
    }
}
