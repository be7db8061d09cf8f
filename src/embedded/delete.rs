//! Deletion: preconditions, finalizers, what is owned, and namespaces and definitions with all they hold.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::schema::Resource;
use super::state::State;
use super::store::{Collection, Key, owners};
use super::write::{How, is_held};

/// `DeleteOptions`, as far as they are understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Options {
    uid: Option<String>,
    version: Option<String>,
}

impl Options {
    /// Reads the body of a DELETE, which may be empty, and its query.
    ///
    /// # Errors
    /// 501 for propagation in the foreground and for orphans.
    pub(super) fn parse(body: &Value, propagation: &str) -> Result<Options, Refusal> {
        let said = body["propagationPolicy"].as_str().unwrap_or(propagation);
        if !matches!(said, "" | "Background") {
            return Err(Refusal::not_supported(&format!("propagationPolicy `{said}`")));
        }
        if body["orphanDependents"] == true {
            return Err(Refusal::not_supported("orphanDependents"));
        }
        let text = |field: &str| body["preconditions"][field].as_str().map(str::to_owned);
        Ok(Options { uid: text("uid"), version: text("resourceVersion") })
    }

    fn check(&self, key: &Key, live: &Value) -> Result<(), Refusal> {
        let metadata = &live["metadata"];
        let stated = [("UID", &self.uid, "uid"), ("ResourceVersion", &self.version, "resourceVersion")];
        for (word, stated, field) in stated {
            if let Some(stated) = stated.as_ref().filter(|stated| metadata[field] != stated.as_str()) {
                let found = metadata[field].as_str().unwrap_or_default();
                let what =
                    format!("Precondition failed: {word} in precondition: {stated}, {word} in object meta: {found}");
                return Err(Refusal::conflict(&key.collection, &key.name, &what));
            }
        }
        Ok(())
    }
}

impl State {
    /// Deletes an object, or marks it where a finalizer holds it. `Err` in the answer's place of the object: it is gone.
    pub(super) fn delete(
        &mut self,
        resource: &Resource,
        key: &Key,
        options: &Options,
        how: &How,
    ) -> Result<Value, Refusal> {
        let Some(live) = self.store.get(key).cloned() else {
            return Err(Refusal::not_found(&key.collection, &key.name));
        };
        options.check(key, &live)?;
        if how.dry_run {
            return Ok(answer(resource, &live));
        }
        let contents = self.contents(key, &live);
        if let Some(contents) = contents {
            let marked = self.mark(resource, key, &live, how);
            self.leaving.push(key.clone());
            for held in contents {
                self.doom(&held, how);
            }
            self.leave(how);
            return Ok(marked);
        }
        if is_held(&live) {
            return Ok(self.mark(resource, key, &live, how));
        }
        self.remove(key, how);
        Ok(answer(resource, &live))
    }

    /// Deletes an object as a consequence.
    pub(super) fn doom(&mut self, key: &Key, how: &How) {
        let Some(live) = self.store.get(key).cloned() else { return };
        if is_held(&live) {
            let held = self
                .resources()
                .find(|resource| resource.group == key.collection.group && resource.plural == key.collection.plural);
            if let Some(resource) = held.cloned() {
                self.mark(&resource, key, &live, how);
            }
        } else {
            self.remove(key, how);
        }
    }

    /// Removes an object, and what it owned.
    pub(super) fn remove(&mut self, key: &Key, how: &How) {
        let Some(last) = self.store.remove(key) else { return };
        self.define(key, how);
        let uid = last["metadata"]["uid"].as_str().unwrap_or_default();
        for owned in self.store.owned_by(uid) {
            let Some(object) = self.store.get(&owned).cloned() else { continue };
            if owners(&object).any(|owner| owner != uid) {
                let mut object = Value::clone(&object);
                if let Some(references) = object["metadata"]["ownerReferences"].as_array_mut() {
                    references.retain(|reference| reference["uid"] != uid);
                }
                self.store.put(&owned, object);
            } else {
                self.doom(&owned, how);
            }
        }
        self.leave(how);
    }

    /// Says in an object that it is being deleted.
    fn mark(&mut self, resource: &Resource, key: &Key, live: &Value, how: &How) -> Value {
        if live["metadata"]["deletionTimestamp"].is_string() {
            return live.clone();
        }
        let mut object = live.clone();
        object["metadata"]["deletionTimestamp"] = json!(how.now);
        if key.collection.plural == "namespaces" && key.collection.group.is_empty() {
            object["status"]["phase"] = json!("Terminating");
        } else {
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        }
        if let Some(generation) = live["metadata"]["generation"].as_i64().filter(|_| resource.has_generation) {
            object["metadata"]["generation"] = json!(generation + 1);
        }
        Value::clone(&self.store.put(key, object))
    }

    /// What has to go before a namespace or a definition goes; `None` for all else.
    fn contents(&self, key: &Key, live: &Value) -> Option<Vec<Key>> {
        match (key.collection.group.as_str(), key.collection.plural.as_str()) {
            ("", "namespaces") => Some(self.store.within(&key.name)),
            ("apiextensions.k8s.io", "customresourcedefinitions") => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let (group, plural) = (text(&live["spec"]["group"]), text(&live["spec"]["names"]["plural"]));
                Some(self.store.list(&Collection { group, plural }, None).map(|(key, _)| key.clone()).collect())
            }
            _ => None,
        }
    }

    /// Removes the namespaces and definitions that are being deleted and hold nothing any more.
    fn leave(&mut self, how: &How) {
        for key in std::mem::take(&mut self.leaving) {
            let Some(live) = self.store.get(&key).cloned() else { continue };
            let empty = self.contents(&key, &live).is_none_or(|contents| contents.is_empty());
            if empty && !is_held(&live) {
                self.remove(&key, how);
            } else {
                self.leaving.push(key);
            }
        }
    }
}

/// What a deletion is answered with: of some kinds the object, else that it was done (`ReturnDeletedObject` of its store).
fn answer(resource: &Resource, live: &Value) -> Value {
    let returned = ["Pod", "PodTemplate", "PersistentVolume", "PersistentVolumeClaim", "Service", "ServiceAccount"];
    if resource.group.is_empty() && returned.contains(&resource.kind.as_str()) {
        return live.clone();
    }
    let mut details =
        json!({"name": live["metadata"]["name"], "kind": resource.plural, "uid": live["metadata"]["uid"]});
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
