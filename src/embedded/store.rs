//! What is stored: the objects, the one resource version, and the changes that watches follow.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

/// Where an object lies: its collection, its namespace (empty: none) and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The API group and the plural name of the kind.
    pub(super) collection: Collection,
    /// The namespace; empty for what is cluster-scoped.
    pub(super) namespace: String,
    /// The name.
    pub(super) name: String,
}

/// The objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Collection {
    /// The API group; empty for the core.
    pub(super) group: String,
    /// The plural name, as in paths.
    pub(super) plural: String,
}

impl Collection {
    pub(super) fn new(group: &str, plural: &str) -> Collection {
        Collection { group: group.to_owned(), plural: plural.to_owned() }
    }

    pub(super) fn key(&self, namespace: &str, name: &str) -> Key {
        Key { collection: self.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `deployments.apps`, as messages of the server name it.
    pub(super) fn name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
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

/// What was asked for lies further back than what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expired {
    /// The oldest version that can be asked for.
    pub(super) oldest: u64,
}

/// The objects, and their newest changes.
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    changes: VecDeque<Arc<Change>>,
    owned: BTreeMap<String, BTreeSet<Key>>,
    window: usize,
}

impl Store {
    /// An empty store that keeps this many changes.
    pub(super) fn new(window: usize) -> Store {
        let (objects, changes, owned) = (BTreeMap::new(), VecDeque::new(), BTreeMap::new());
        Store { version: 1, objects, changes, owned, window }
    }

    /// The resource version of the newest write.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// The objects of a collection, of one namespace or of all, in the order of their names.
    pub(super) fn list<'a>(
        &'a self,
        collection: &Collection,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let first = collection.key(namespace.unwrap_or_default(), "");
        let (collection, namespace) = (collection.clone(), namespace.map(str::to_owned));
        self.objects.range(first..).take_while(move |(key, _)| {
            key.collection == collection && namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
        })
    }

    /// The same as it was at an older version.
    pub(super) fn list_at(
        &self,
        collection: &Collection,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<BTreeMap<Key, Arc<Value>>, Expired> {
        let newer = self.changes_after(version)?;
        let now = self.list(collection, namespace);
        let mut then: BTreeMap<Key, Arc<Value>> = now.map(|(key, object)| (key.clone(), Arc::clone(object))).collect();
        let concerns =
            |key: &Key| key.collection == *collection && namespace.is_none_or(|namespace| namespace == key.namespace);
        for change in newer.iter().rev().filter(|change| concerns(&change.key)) {
            match &change.old {
                Some(old) => then.insert(change.key.clone(), Arc::clone(old)),
                None => then.remove(&change.key),
            };
        }
        Ok(then)
    }

    /// The keys of everything.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.objects.keys()
    }

    /// The keys of everything in a namespace.
    pub(super) fn within(&self, namespace: &str) -> Vec<Key> {
        self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect()
    }

    /// The keys of what names this uid as an owner.
    pub(super) fn owned_by(&self, uid: &str) -> Vec<Key> {
        self.owned.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Writes an object, as the next version.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let old = self.objects.insert(key.clone(), Arc::clone(&object));
        self.index(key, old.as_deref(), Some(&object));
        self.record(Change {
            version: self.version,
            key: key.clone(),
            old,
            object: Arc::clone(&object),
            removed: false,
        });
        object
    }

    /// Removes an object; what is returned is its last state, with the version of the removal.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let old = self.objects.remove(key)?;
        self.version += 1;
        let mut last = Value::clone(&old);
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let last = Arc::new(last);
        self.index(key, Some(&old), None);
        let old = Some(old);
        self.record(Change { version: self.version, key: key.clone(), old, object: Arc::clone(&last), removed: true });
        Some(last)
    }

    /// The changes behind a version, oldest first.
    pub(super) fn changes_after(&self, version: u64) -> Result<Vec<Arc<Change>>, Expired> {
        let oldest = self.changes.front().map_or(self.version, |change| change.version - 1);
        let skipped = version.checked_sub(oldest).ok_or(Expired { oldest })?;
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(self.changes.iter().skip(skipped).cloned().collect())
    }

    /// Forgets all changes but the newest so many, as compaction does.
    pub(super) fn compact(&mut self, kept: usize) {
        let dropped = self.changes.len().saturating_sub(kept);
        self.changes.drain(..dropped);
    }

    fn record(&mut self, change: Change) {
        self.changes.push_back(Arc::new(change));
        self.compact(self.window);
    }

    fn index(&mut self, key: &Key, old: Option<&Value>, new: Option<&Value>) {
        for uid in old.into_iter().flat_map(owners) {
            if let Some(owned) = self.owned.get_mut(uid) {
                owned.remove(key);
                if owned.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
        for uid in new.into_iter().flat_map(owners) {
            self.owned.entry(uid.to_owned()).or_default().insert(key.clone());
        }
    }
}

/// The uids of the owners of an object.
pub(super) fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let references = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    references.filter_map(|reference| reference["uid"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (Store, Collection) {
        (Store::new(3), Collection::new("", "things"))
    }

    fn names(listed: &BTreeMap<Key, Arc<Value>>) -> Vec<&str> {
        listed.keys().map(|key| key.name.as_str()).collect()
    }

    #[test]
    fn a_list_at_an_older_version_is_what_was_there_then() {
        let (mut store, things) = store();
        store.put(&things.key("a", "one"), json!({"n": 1}));
        let then = store.version();
        store.put(&things.key("a", "two"), json!({}));
        store.put(&things.key("a", "one"), json!({"n": 2}));
        store.remove(&things.key("a", "one"));
        let listed = store.list_at(&things, Some("a"), then).expect("because it is kept");
        assert_eq!(names(&listed), ["one"]);
        assert_eq!(listed.values().next().expect("because it is there")["n"], 1);
        assert_eq!(store.list(&things, Some("a")).count(), 1);
    }

    #[test]
    fn what_is_not_kept_any_more_is_expired_and_never_left_out() {
        let (mut store, things) = store();
        let first = store.version();
        for name in ["one", "two", "three", "four"] {
            store.put(&things.key("", name), json!({}));
        }
        assert!(matches!(store.changes_after(first), Err(Expired { .. })));
        let kept = store.changes_after(first + 1).expect("because three are kept");
        let kept: Vec<&str> = kept.iter().map(|change| change.key.name.as_str()).collect();
        assert_eq!(kept, ["two", "three", "four"]);
        store.compact(0);
        assert_eq!(store.changes_after(store.version()).map(|changes| changes.len()), Ok(0));
        assert!(store.changes_after(store.version() - 1).is_err());
    }

    #[test]
    fn owned_objects_are_found_until_they_or_their_reference_go() {
        let (mut store, things) = store();
        let key = things.key("a", "pod");
        store.put(&key, json!({"metadata": {"ownerReferences": [{"uid": "u"}]}}));
        assert_eq!(store.owned_by("u"), std::slice::from_ref(&key));
        store.put(&key, json!({"metadata": {}}));
        assert_eq!(store.owned_by("u"), []);
    }
}
