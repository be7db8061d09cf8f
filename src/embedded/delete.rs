//! Deletion: preconditions, finalizers, what is owned, and namespaces and definitions with all they hold.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::schema::Resource;
use super::state::{CRDS, State};
use super::store::{Key, owners};
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
        let stated = [("UID", &self.uid, "uid"), ("ResourceVersion", &self.version, "resourceVersion")];
        for (word, stated, field) in stated {
            let found = &live["metadata"][field];
            if let Some(stated) = stated.as_ref().filter(|stated| found != stated.as_str()) {
                return Err(Refusal::precondition(key, word, stated, found));
            }
        }
        Ok(())
    }
}

impl State {
    /// Deletes an object, or marks it where a finalizer or what is in it holds it.
    pub(super) fn delete(
        &mut self,
        resource: &Resource,
        key: &Key,
        options: &Options,
        how: &How,
    ) -> Result<Value, Refusal> {
        let live = self.live(key)?;
        options.check(key, &live)?;
        if !how.dry_run {
            let contents = self.contents(key, &live);
            if contents.is_some() || is_held(&live) {
                let marked = self.mark(resource, key, &live, how);
                if let Some(contents) = contents {
                    self.leaving.push(key.clone());
                    contents.iter().for_each(|held| self.doom(held, how));
                    self.leave(how);
                }
                return Ok(marked);
            }
            self.remove(key, how);
        }
        Ok(answer(resource, &live))
    }

    /// Deletes an object as a consequence.
    pub(super) fn doom(&mut self, key: &Key, how: &How) {
        let Some(live) = self.store.get(key).cloned() else { return };
        let resource = self.resources().find(|resource| resource.name() == key.resource).cloned();
        match resource.filter(|_| is_held(&live)) {
            Some(resource) => drop(self.mark(&resource, key, &live, how)),
            None => self.remove(key, how),
        }
    }

    /// Removes an object, and what it owned.
    pub(super) fn remove(&mut self, key: &Key, how: &How) {
        let Some(last) = self.store.remove(key) else { return };
        self.define(key, how);
        let uid = last["metadata"]["uid"].as_str().unwrap_or_default();
        let owned = self.store.all().filter(|(_, object)| owners(object).any(|owner| owner == uid));
        let owned: Vec<_> = owned.map(|(key, object)| (key.clone(), Value::clone(object))).collect();
        for (key, mut object) in owned {
            if owners(&object).all(|owner| owner == uid) {
                self.doom(&key, how);
            } else if let Some(references) = object["metadata"]["ownerReferences"].as_array_mut() {
                references.retain(|reference| reference["uid"] != uid);
                self.store.put(&key, object);
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
        if key.resource == "namespaces" {
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
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &live["spec"];
        let kind = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
        let keys = self.store.all().map(|(key, _)| key);
        match key.resource.as_str() {
            "namespaces" => Some(keys.filter(|held| held.namespace == key.name).cloned().collect()),
            CRDS => Some(keys.filter(|held| held.resource == kind).cloned().collect()),
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
