//! A cluster as a map of objects: uid, resource version, health, finalizers, labels. It applies and deletes as the edge
//! would, in one atomic step each.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lockmaster::course::{Applied, Deleted};
use lockmaster::manifest::Manifest;
use lockmaster::name::{Code, Digest, ObjectKey, Reason};
use lockmaster::plan::{Member, PART_OF};
use serde_json::{Value, json};

use super::walker::Shown;

pub(crate) const SET_ID: &str = "applyset-shop";

/// What becomes of an object once it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    AtOnce,
    WellAfter(u64),
    Never,
    Fails,
}

#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) digest: Digest,
    manifest: Value,
    uid: String,
    version: u64,
    generation: u64,
    well_at: Option<Timestamp>,
    pub(crate) well: bool,
    pub(crate) ours: bool,
    /// Somebody else made it, and it was never ours.
    pub(crate) foreign: bool,
    terminating: bool,
    pub(crate) finalizer: bool,
    /// What somebody else wrote over our fields, by JSON pointer.
    pub(crate) edits: BTreeMap<String, Value>,
}

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) objects: BTreeMap<ObjectKey, Body>,
    pub(crate) fates: BTreeMap<ObjectKey, Fate>,
    pub(crate) denied: BTreeSet<ObjectKey>,
    /// Objects of these names get a finalizer when they are made.
    pub(crate) held: BTreeSet<ObjectKey>,
    /// A lie: whatever is looked at looks well.
    pub(crate) looks_well: bool,
    /// What a watch has to tell, oldest first.
    changes: Vec<Shown>,
    /// Fields that somebody sets back whenever they are applied.
    pub(crate) opponents: BTreeMap<ObjectKey, (&'static str, Value)>,
    version: u64,
    uids: u64,
}

impl Cluster {
    pub(crate) fn apply(&mut self, manifest: &Manifest, force: bool, now: Timestamp) -> Applied {
        let key = &manifest.key;
        if self.denied.contains(key) {
            let reason = Reason::new(Code::ApplyFailed, format!("`{key}` is refused")).at_object(key.clone());
            return Applied::Denied(reason);
        }
        let foreign = self.objects.get(key).is_some_and(|body| body.foreign && body.digest != manifest.digest);
        if foreign && !force {
            let reason = Reason::new(Code::FieldConflict, format!("`{key}` has fields of others"));
            return Applied::Conflict(reason.at_object(key.clone()));
        }
        let as_is = |body: &Body| body.digest == manifest.digest && body.ours && body.edits.is_empty();
        let same = self.objects.get(key).is_some_and(as_is);
        if !same {
            self.version += 1;
            let fate = self.fates.get(key).copied().unwrap_or(Fate::WellAfter(2));
            let instant = ["ConfigMap", "Secret"].contains(&key.kind.as_str()) || fate == Fate::AtOnce;
            let old = self.objects.remove(key);
            let fresh = old.is_none();
            self.uids += u64::from(fresh);
            let body = Body {
                digest: manifest.digest,
                manifest: manifest.value.clone(),
                uid: old.as_ref().map_or_else(|| format!("uid-{}", self.uids), |body| body.uid.clone()),
                version: self.version,
                generation: old.as_ref().map_or(1, |body| body.generation + 1),
                well_at: match fate {
                    Fate::WellAfter(seconds) if !instant => Some(later(now, seconds)),
                    _ => None,
                },
                well: instant,
                ours: true,
                foreign: false,
                terminating: old.as_ref().is_some_and(|body| body.terminating),
                finalizer: old.as_ref().map_or_else(|| self.held.contains(key), |body| body.finalizer),
                edits: BTreeMap::new(),
            };
            self.objects.insert(key.clone(), body);
            self.tell(key);
            let answer = self.value(key);
            if fate == Fate::WellAfter(0) {
                self.advance(now);
            }
            if let Some((pointer, value)) = self.opponents.get(key).cloned() {
                self.edit(key, pointer, value);
            }
            return Applied::Done(Box::new(answer.expect("because it was just applied")));
        }
        Applied::Done(Box::new(self.value(key).expect("because it was just applied")))
    }

    pub(crate) fn delete(&mut self, key: &ObjectKey, member: &Member) -> Deleted {
        let Some(body) = self.objects.get_mut(key) else { return Deleted::Gone };
        if member.uid.as_ref().is_some_and(|uid| *uid != body.uid) || !body.ours {
            return Deleted::LeftAlone;
        }
        if body.finalizer {
            self.version += 1;
            body.terminating = true;
            body.version = self.version;
            self.tell(key);
            let text = format!("`{key}` waits for its finalizer");
            return Deleted::Terminating(Reason::new(Code::DeletionBlocked, text));
        }
        self.remove(key);
        Deleted::Gone
    }

    /// Somebody else writes over one of our fields.
    pub(crate) fn edit(&mut self, key: &ObjectKey, pointer: &str, value: Value) {
        self.version += 1;
        let version = self.version;
        let Some(body) = self.objects.get_mut(key) else { return };
        body.version = version;
        body.generation += u64::from(!["ConfigMap", "Secret"].contains(&key.kind.as_str()));
        if body.manifest.pointer(pointer) == Some(&value) {
            body.edits.remove(pointer);
        } else {
            body.edits.insert(pointer.to_owned(), value);
        }
        self.tell(key);
    }

    /// Somebody else makes an object.
    pub(crate) fn make(&mut self, manifest: &Manifest) {
        (self.version, self.uids) = (self.version + 1, self.uids + 1);
        let body = Body {
            digest: manifest.digest,
            manifest: manifest.value.clone(),
            uid: format!("uid-{}", self.uids),
            version: self.version,
            generation: 1,
            well_at: None,
            well: true,
            ours: false,
            foreign: true,
            terminating: false,
            finalizer: false,
            edits: BTreeMap::new(),
        };
        self.objects.insert(manifest.key.clone(), body);
    }

    /// Somebody else takes our label off.
    pub(crate) fn unlabel(&mut self, key: &ObjectKey) {
        self.version += 1;
        let version = self.version;
        let Some(body) = self.objects.get_mut(key) else { return };
        (body.version, body.ours) = (version, false);
        self.tell(key);
    }

    /// Something that is not ours changes, such as a status.
    pub(crate) fn touch(&mut self, key: &ObjectKey) {
        self.version += 1;
        let version = self.version;
        let Some(body) = self.objects.get_mut(key) else { return };
        body.version = version;
        self.tell(key);
    }

    /// Somebody else deletes an object, or its last finalizer goes.
    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        self.version += 1;
        self.objects.remove(key);
        self.changes.push(Shown::Gone(key.clone(), self.version));
    }

    /// Lets the finalizers of everything that is being deleted run.
    pub(crate) fn finalize(&mut self) {
        self.held.clear();
        let ended: Vec<ObjectKey> =
            self.objects.iter().filter(|(_, body)| body.terminating).map(|(key, _)| key.clone()).collect();
        for body in self.objects.values_mut() {
            body.finalizer = false;
        }
        for key in ended {
            self.remove(&key);
        }
    }

    /// Objects whose time has come get well.
    pub(crate) fn advance(&mut self, now: Timestamp) {
        let due = |body: &Body| !body.well && !body.terminating && body.well_at.is_some_and(|time| time <= now);
        let ready: Vec<ObjectKey> =
            self.objects.iter().filter(|(_, body)| due(body)).map(|(key, _)| key.clone()).collect();
        for key in ready {
            self.version += 1;
            let version = self.version;
            if let Some(body) = self.objects.get_mut(&key) {
                body.well = true;
                body.version = version;
            }
            self.tell(&key);
        }
    }

    /// An object gets ill, until it is told to recover.
    pub(crate) fn fall_ill(&mut self, key: &ObjectKey) {
        self.version += 1;
        let version = self.version;
        if let Some(body) = self.objects.get_mut(key) {
            (body.well, body.well_at, body.version) = (false, None, version);
        }
        self.tell(key);
    }

    /// Everything that is stuck recovers, and nothing is held any more.
    pub(crate) fn recover_all(&mut self, now: Timestamp) {
        self.finalize();
        let ill: Vec<ObjectKey> =
            self.objects.iter().filter(|(_, body)| !body.well).map(|(key, _)| key.clone()).collect();
        for key in ill {
            self.recover(&key, now);
        }
        self.fates.clear();
    }

    /// A stuck object recovers.
    pub(crate) fn recover(&mut self, key: &ObjectKey, now: Timestamp) {
        self.fates.remove(key);
        if let Some(body) = self.objects.get_mut(key) {
            body.well_at = Some(now);
        }
        self.advance(now);
    }

    pub(crate) fn next_change(&self) -> Option<Timestamp> {
        let coming = self.objects.values().filter(|body| !body.well && !body.terminating);
        coming.filter_map(|body| body.well_at).min()
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Shown> {
        std::mem::take(&mut self.changes)
    }

    fn tell(&mut self, key: &ObjectKey) {
        let Some(value) = self.value(key) else { return };
        // A selector shows an object without our label as deleted.
        let shown = match value["metadata"]["labels"][PART_OF].is_string() {
            true => Shown::Object(key.clone(), value),
            false => Shown::Gone(key.clone(), self.version),
        };
        self.changes.push(shown);
    }

    pub(crate) fn value(&self, key: &ObjectKey) -> Option<Value> {
        let body = self.objects.get(key)?;
        let mut value = owned(body);
        for (pointer, edit) in &body.edits {
            *value.pointer_mut(pointer).expect("because only fields of the manifest are edited") = edit.clone();
        }
        let metadata = &mut value["metadata"];
        metadata["uid"] = Value::String(body.uid.clone());
        metadata["resourceVersion"] = Value::String(body.version.to_string());
        if !["ConfigMap", "Secret"].contains(&key.kind.as_str()) {
            metadata["generation"] = body.generation.into();
        }
        if body.terminating {
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        let fails = !body.well && self.fates.get(key) == Some(&Fate::Fails);
        if let Some(status) = status(&key.kind, body.well || self.looks_well, body.generation, fails) {
            value["status"] = status;
        }
        Some(value)
    }
}

/// Manifests with their owners, by all that these depend on.
type Owned = BTreeMap<(Digest, bool, bool, Vec<String>), Value>;

thread_local! {
    static OWNED: RefCell<Owned> = const { RefCell::new(BTreeMap::new()) };
}

/// A manifest with our label, if it is ours, and with who owns what: the same in every seed, and asked for all the time.
fn owned(body: &Body) -> Value {
    let make = || {
        let mut value = body.manifest.clone();
        value["metadata"]["managedFields"] = managed(body);
        if body.ours {
            value["metadata"]["labels"][PART_OF] = json!(SET_ID);
        }
        value
    };
    let what = (body.digest, body.ours, body.foreign, body.edits.keys().cloned().collect());
    OWNED.with_borrow_mut(|owned| owned.entry(what).or_insert_with(make).clone())
}

/// Who owns what: an edited field is no longer ours.
fn managed(body: &Body) -> Value {
    let label = format!("f:{PART_OF}");
    let mut ours = fields(&body.manifest);
    ours["f:metadata"]["f:labels"][label] = json!({});
    let mut theirs = json!({});
    for pointer in body.edits.keys() {
        let steps: Vec<String> = pointer.split('/').skip(1).map(|step| format!("f:{step}")).collect();
        let (last, above) = steps.split_last().expect("because a field has a name");
        let parent = above.iter().fold(&mut ours, |node, step| &mut node[step]);
        parent.as_object_mut().expect("because it is a map").remove(last);
        *steps.iter().fold(&mut theirs, |node, step| &mut node[step]) = json!({});
    }
    let entry = |manager: &str, operation: &str, fields: Value| {
        json!({"manager": manager, "operation": operation, "apiVersion": body.manifest["apiVersion"],
               "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z"})
    };
    let mut entries = vec![];
    if body.ours {
        entries.push(entry("lockmaster", "Apply", ours));
    } else if body.foreign {
        entries.push(entry("kubectl-create", "Update", ours));
    }
    if !body.edits.is_empty() {
        entries.push(entry("kubectl-edit", "Update", theirs));
    }
    Value::Array(entries)
}

/// The set of a manifest's fields: lists of named things are owned by name, others as a whole.
fn fields(value: &Value) -> Value {
    if let Some(items) = value.as_array().filter(|items| items.iter().all(|item| item["name"].is_string())) {
        let keyed = |item: &Value| {
            let mut owned = fields(item);
            (owned["."], owned["f:name"]) = (json!({}), json!({}));
            (format!("k:{}", json!({"name": item["name"]})), owned)
        };
        return Value::Object(items.iter().map(keyed).collect());
    }
    let Some(members) = value.as_object() else { return json!({}) };
    let named = |name: &str| ["apiVersion", "kind", "name", "namespace"].contains(&name);
    let owned = members.iter().filter(|(name, _)| !named(name));
    Value::Object(owned.map(|(name, member)| (format!("f:{name}"), fields(member))).collect())
}

fn status(kind: &str, well: bool, seen: u64, fails: bool) -> Option<Value> {
    let truth = if well { "True" } else { "False" };
    Some(match kind {
        "Deployment" => {
            let available = u32::from(well);
            let progress = if fails { "ProgressDeadlineExceeded" } else { "NewReplicaSetAvailable" };
            json!({
                "observedGeneration": seen, "replicas": 1, "updatedReplicas": 1,
                "readyReplicas": available, "availableReplicas": available,
                "conditions": [
                    {"type": "Available", "status": truth, "reason": "Replicas", "message": "replicas"},
                    {"type": "Progressing", "status": "True", "reason": progress, "message": "progress"},
                ],
            })
        }
        "CustomResourceDefinition" if well => {
            json!({"conditions": [{"type": "Established", "status": "True", "reason": "Accepted", "message": "ok"}]})
        }
        "CustomResourceDefinition" => json!({}),
        "PersistentVolumeClaim" => json!({"phase": if well { "Bound" } else { "Pending" }}),
        "Widget" => json!({"observedGeneration": seen,
            "conditions": [{"type": "Ready", "status": truth, "reason": "Made", "message": "made"}]}),
        _ => return None,
    })
}

pub(crate) fn later(time: Timestamp, seconds: u64) -> Timestamp {
    time.checked_add(Duration::from_secs(seconds)).expect("because the run is short")
}
