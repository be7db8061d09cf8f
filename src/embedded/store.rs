//! What is stored: the objects, the one resource version, and the changes that watches follow.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

/// Where an object lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The kind as messages of the server name it, such as `pods` and `deployments.apps`.
    pub(super) resource: String,
    /// Empty for what is cluster-scoped.
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(resource: &str, namespace: &str, name: &str) -> Key {
        Key { resource: resource.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Whether it is of a kind, and in a namespace if one is meant.
    pub(super) fn is_in(&self, resource: &str, namespace: Option<&str>) -> bool {
        self.resource == resource && namespace.is_none_or(|namespace| namespace == self.namespace)
    }
}

/// One write.
#[derive(Debug)]
pub(super) struct Change {
    /// The resource version that it made.
    pub(super) version: u64,
    pub(super) key: Key,
    /// The object before it.
    pub(super) old: Option<Arc<Value>>,
    /// The object after it; of one that was removed its last state, with the version of its removal.
    pub(super) object: Arc<Value>,
    /// Whether it is gone.
    pub(super) removed: bool,
}

/// The objects, and their newest changes.
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    changes: VecDeque<Arc<Change>>,
    window: usize,
}

impl Store {
    /// An empty store that keeps this many changes.
    pub(super) fn new(window: usize) -> Store {
        Store { version: 1, objects: BTreeMap::new(), changes: VecDeque::new(), window }
    }

    /// The resource version of the newest write.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a kind, of one namespace or of all, in the order of their names.
    pub(super) fn list<'a>(
        &'a self,
        resource: &str,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let first = Key::new(resource, namespace.unwrap_or_default(), "");
        let (resource, namespace) = (resource.to_owned(), namespace.map(str::to_owned));
        self.objects.range(first..).take_while(move |(key, _)| key.is_in(&resource, namespace.as_deref()))
    }

    /// The same as it was at a version. The error is as of `changes_after`.
    pub(super) fn list_at(
        &self,
        resource: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<BTreeMap<Key, Arc<Value>>, u64> {
        let newer = self.changes_after(version)?;
        let now = self.list(resource, namespace);
        let mut then: BTreeMap<Key, Arc<Value>> = now.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        for change in newer.iter().rev().filter(|change| change.key.is_in(resource, namespace)) {
            match &change.old {
                Some(old) => then.insert(change.key.clone(), Arc::clone(old)),
                None => then.remove(&change.key),
            };
        }
        Ok(then)
    }

    /// Everything.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// Writes an object, as the next version.
    pub(super) fn put(&mut self, key: &Key, object: Value) -> Arc<Value> {
        let object = self.versioned(object);
        let old = self.objects.insert(key.clone(), Arc::clone(&object));
        self.record(key, old, &object, false);
        object
    }

    /// Removes an object; what is returned is its last state, with the version of the removal.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let old = self.objects.remove(key)?;
        let last = self.versioned(Value::clone(&old));
        self.record(key, Some(old), &last, true);
        Some(last)
    }

    fn versioned(&mut self, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Arc::new(object)
    }

    fn record(&mut self, key: &Key, old: Option<Arc<Value>>, object: &Arc<Value>, removed: bool) {
        let (version, key, object) = (self.version, key.clone(), Arc::clone(object));
        self.changes.push_back(Arc::new(Change { version, key, old, object, removed }));
        self.compact(self.window);
    }

    /// The changes behind a version, oldest first. The error is the oldest version that can be asked for.
    pub(super) fn changes_after(&self, version: u64) -> Result<Vec<Arc<Change>>, u64> {
        let oldest = self.changes.front().map_or(self.version, |change| change.version - 1);
        let skipped = version.checked_sub(oldest).ok_or(oldest)?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(self.changes.iter().skip(skipped).cloned().collect())
    }

    /// Forgets all changes but the newest so many, as compaction does.
    pub(super) fn compact(&mut self, kept: usize) {
        let dropped = self.changes.len().saturating_sub(kept);
        self.changes.drain(..dropped);
    }
}

/// The uids of the owners of an object.
pub(super) fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let references = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    references.filter_map(|reference| reference["uid"].as_str())
}
