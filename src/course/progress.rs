//! The objects of a release on their way: written group by group, seen, and well.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::backoff::{Backoff, later};
use super::{Applied, Deleted};
use crate::health::{self, Assessment, Health};
use crate::manifest::{Manifest, ManifestSet, Stage};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan;

/// How far a release has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Objects of the release.
    pub objects: usize,
    /// Of these, written.
    pub applied: usize,
    /// Of these, well.
    pub healthy: usize,
}

/// The longest list of objects in one reason.
const NAMED: usize = 5;

/// A kind that counts as healthy only because it exists is looked at again after this time (DESIGN, health).
const ASSUMED_AFTER: Duration = Duration::from_secs(30);

/// What is known of one object of the release.
#[derive(Debug, Default)]
struct Object {
    applied: Option<Written>,
    live: Option<Value>,
    /// Seen gone since it was last written.
    gone: bool,
    retry: Backoff,
    trouble: Option<Reason>,
    /// To be deleted, then made again: an immutable field changed, and the manifest opted in.
    recreate: bool,
}

/// An answered write.
#[derive(Debug)]
struct Written {
    at: Timestamp,
    version: Option<u64>,
}

/// The objects of the standing release and how far each is.
#[derive(Debug)]
pub(super) struct Release {
    set: ManifestSet,
    objects: BTreeMap<ObjectKey, Object>,
    /// Keys by stage and wave, each group after the one before it.
    groups: Vec<Vec<ObjectKey>>,
    group: usize,
    /// Of the current group: not written yet.
    unwritten: BTreeSet<ObjectKey>,
    /// Not well, or not seen since they were written.
    unwell: BTreeMap<ObjectKey, Assessment>,
    started: Option<Timestamp>,
    applied_at: Option<Timestamp>,
    settled_since: Option<Timestamp>,
}

impl Release {
    pub(super) fn new(set: ManifestSet) -> Self {
        let groups: Vec<Vec<ObjectKey>> = set
            .manifests()
            .chunk_by(|a, b| (a.stage, a.wave) == (b.stage, b.wave))
            .map(|group| group.iter().map(|manifest| manifest.key.clone()).collect())
            .collect();
        let unseen = |m: &Manifest| (m.key.clone(), assessment(Health::Unknown, "not written yet"));
        Release {
            objects: set.manifests().iter().map(|m| (m.key.clone(), Object::default())).collect(),
            unwritten: groups.first().into_iter().flatten().cloned().collect(),
            unwell: set.manifests().iter().map(unseen).collect(),
            groups,
            group: 0,
            set,
            started: None,
            applied_at: None,
            settled_since: None,
        }
    }

    /// Counts these objects as written: the release before this one wrote them as they are, and was proven.
    pub(super) fn take_over(&mut self, untouched: &BTreeSet<ObjectKey>, now: Timestamp) {
        for key in untouched {
            if let Some(object) = self.objects.get_mut(key) {
                object.applied = Some(Written { at: now, version: None });
                self.unwell.insert(key.clone(), assessment(Health::Unknown, "not seen yet"));
            }
        }
        self.unwritten = self.unapplied(0..self.groups.len().min(1));
    }

    /// A watch has listed everything of a kind: what is to be there and was not seen is not there.
    pub(super) fn see_listed(&mut self, kind: &GroupVersionKind, now: Timestamp) {
        let unseen = |manifest: &&Manifest| {
            let object = self.objects.get(&manifest.key);
            manifest.kind == *kind && object.is_some_and(|object| object.applied.is_some() && object.live.is_none())
        };
        let missing: Vec<ObjectKey> = self.set.manifests().iter().filter(unseen).map(|m| m.key.clone()).collect();
        for key in missing {
            self.see_gone(&key, now);
        }
    }

    pub(super) fn set(&self) -> &ManifestSet {
        &self.set
    }

    pub(super) fn progress(&self) -> Progress {
        let applied = self.objects.values().filter(|object| object.applied.is_some()).count();
        Progress { objects: self.objects.len(), applied, healthy: self.objects.len() - self.unwell.len() }
    }

    pub(super) fn durations_ms(&self) -> BTreeMap<String, u64> {
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
            from.zip(to).and_then(|(from, to)| u64::try_from(to.duration_since(from).as_millis()).ok())
        };
        let apply = between(self.started, self.applied_at).map(|ms| ("apply".to_owned(), ms));
        let settle = between(self.applied_at, self.settled_since).map(|ms| ("settle".to_owned(), ms));
        apply.into_iter().chain(settle).collect()
    }

    /// What may be written now: what is due of the current group, without what has a write in flight.
    pub(super) fn writes(&mut self, in_flight: &BTreeSet<ObjectKey>, now: Timestamp) -> Vec<ObjectKey> {
        self.started.get_or_insert(now);
        while self.unwritten.is_empty() && self.group + 1 < self.groups.len() && self.next_group_is_open() {
            self.group += 1;
            self.unwritten = self.unapplied(self.group..self.group + 1);
        }
        if self.unwritten.is_empty() && self.group + 1 >= self.groups.len() {
            self.applied_at.get_or_insert(now);
        }
        let due = |key: &&ObjectKey| {
            !in_flight.contains(*key) && self.objects.get(*key).is_some_and(|object| object.retry.is_due(now))
        };
        self.unwritten.iter().filter(due).cloned().collect()
    }

    fn unapplied(&self, groups: Range<usize>) -> BTreeSet<ObjectKey> {
        let written = |key: &&ObjectKey| self.objects.get(*key).is_some_and(|object| object.applied.is_some());
        self.groups[groups].iter().flatten().filter(|key| !written(key)).cloned().collect()
    }

    /// Whether the group after the current one may start: after the foundation, between waves and before the webhooks
    /// everything so far must be well; between config and workload the writes are enough. A claim keeps nobody waiting: it
    /// may be bound only when its first consumer runs.
    fn next_group_is_open(&self) -> bool {
        let stage = |group: usize| {
            self.groups[group].first().and_then(|key| self.set.get(key)).map_or(Stage::Workload, |m| m.stage)
        };
        if stage(self.group) == Stage::Config && stage(self.group + 1) == Stage::Workload {
            return true;
        }
        let ready = |key: &ObjectKey| key.is_core("PersistentVolumeClaim") || !self.unwell.contains_key(key);
        self.groups[..=self.group].iter().flatten().all(ready)
    }

    pub(super) fn file_applied(&mut self, key: &ObjectKey, applied: Applied, now: Timestamp) {
        let recreate = self.may_recreate(key);
        let Some(object) = self.objects.get_mut(key) else { return };
        match applied {
            Applied::Done(value) => {
                object.applied = Some(Written { at: now, version: version(&value) });
                object.gone = false;
                object.retry = Backoff::default();
                object.trouble = None;
                self.unwritten.remove(key);
                if self.unwritten.is_empty() && self.group + 1 == self.groups.len() {
                    self.applied_at = Some(now);
                }
                self.see(key, *value, now);
            }
            Applied::Denied(reason) if reason.code == Code::RecreateNeedsApproval && recreate => {
                object.recreate = true;
                object.retry.hurry();
            }
            Applied::Conflict(reason) | Applied::Denied(reason) => {
                object.retry.failed(now, None);
                object.trouble = Some(reason);
            }
            Applied::Retry { reason, after } => {
                object.retry.failed(now, after);
                object.trouble = Some(reason);
            }
        }
    }

    /// Recreate only if opted in; a finished Job is replaced (DESIGN, apply).
    fn may_recreate(&self, key: &ObjectKey) -> bool {
        let opted_in = self.set.get(key).is_some_and(|manifest| {
            let pointer = "/metadata/annotations/lockmaster.dev~1recreate";
            manifest.value.pointer(pointer).and_then(Value::as_str) == Some("true")
        });
        let live = self.objects.get(key).and_then(|object| object.live.as_ref());
        opted_in || (key.group == "batch" && key.kind == "Job" && live.is_some_and(is_finished))
    }

    pub(super) fn is_to_be_recreated(&self, key: &ObjectKey) -> bool {
        self.objects.get(key).is_some_and(|object| object.recreate)
    }

    pub(super) fn file_recreated(&mut self, key: &ObjectKey, deleted: Deleted, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        match deleted {
            Deleted::Gone => {
                object.recreate = false;
                object.live = None;
                object.gone = true;
                object.retry.hurry();
            }
            Deleted::LeftAlone => {
                object.recreate = false;
                object.retry.failed(now, None);
            }
            Deleted::Terminating(reason) | Deleted::Retry(reason) => {
                object.retry.failed(now, None);
                object.trouble = Some(reason);
            }
        }
    }

    pub(super) fn see(&mut self, key: &ObjectKey, value: Value, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        let written = object.applied.as_ref().and_then(|written| written.version);
        let newest = written.max(object.live.as_ref().and_then(version));
        let older = newest.zip(version(&value)).is_some_and(|(newest, seen)| seen < newest);
        let poorer = object.live.is_some() && bare_metadata(&value);
        if !older && !poorer {
            object.live = Some(value);
        }
        self.assess(key, now);
    }

    /// Deleted behind our back while it is being settled: it is written again.
    pub(super) fn see_gone(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        object.live = None;
        object.gone = true;
        if object.recreate {
            object.retry.hurry();
            return;
        }
        if object.applied.take().is_some() {
            object.retry.failed(now, None);
            self.group = self.groups.iter().position(|group| group.contains(key)).unwrap_or(0).min(self.group);
            self.unwritten = self.unapplied(0..self.group + 1);
        }
        self.unwell.insert(key.clone(), assessment(Health::Missing, "it is gone"));
        self.settled_since = None;
    }

    fn assess(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(object) = self.objects.get(key) else { return };
        let (Some(written), Some(live)) = (&object.applied, &object.live) else { return };
        let assessment = health::assess(live, written.at, now);
        if plan::is_settled(assessment.health) {
            self.unwell.remove(key);
        } else {
            self.unwell.insert(key.clone(), assessment);
        }
        if !self.unwell.is_empty() {
            self.settled_since = None;
        } else if self.settled_since.is_none() {
            self.settled_since = Some(now);
        }
    }

    /// Looks again at objects whose health depends on the time.
    pub(super) fn look_again(&mut self, now: Timestamp) {
        let keys: Vec<ObjectKey> = self.unwell.keys().cloned().collect();
        for key in keys {
            self.assess(&key, now);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unwell.is_empty()
    }

    pub(super) fn settled_since(&self) -> Option<Timestamp> {
        self.settled_since
    }

    /// Whether a live object carries our label: then its fields are ours to force.
    pub(super) fn is_ours(&self, key: &ObjectKey) -> bool {
        let live = self.objects.get(key).and_then(|object| object.live.as_ref());
        live.is_some_and(|live| live.pointer("/metadata/labels/applyset.kubernetes.io~1part-of").is_some())
    }

    /// Whether it was seen gone since it was last written: what is written next has another uid.
    pub(super) fn is_gone(&self, key: &ObjectKey) -> bool {
        self.objects.get(key).is_some_and(|object| object.gone)
    }

    pub(super) fn uid(&self, key: &ObjectKey) -> Option<&str> {
        self.objects.get(key)?.live.as_ref()?.pointer("/metadata/uid")?.as_str()
    }

    /// Objects that will not get well by themselves.
    pub(super) fn failed_objects(&self) -> Vec<Reason> {
        let failed = self.unwell.iter().filter(|(_, assessment)| assessment.health == Health::Failed);
        let reason = |(key, assessment): (&ObjectKey, &Assessment)| {
            Reason::new(Code::ObjectFailed, format!("`{key}` failed: {}", assessment.message)).at_object(key.clone())
        };
        failed.take(NAMED).map(reason).collect()
    }

    /// Why the release has not settled: what could not be written, then what is not well.
    pub(super) fn unsettled_objects(&self, deadline: Duration) -> Vec<Reason> {
        let troubles = self.objects.values().filter_map(|object| object.trouble.clone());
        let mut reasons: Vec<Reason> = troubles.take(NAMED).collect();
        if reasons.is_empty() {
            let unwell = self.unwell.iter().take(NAMED).map(|(key, assessment)| {
                let text = format!(
                    "`{key}` was not healthy within the deadline of {}: {}",
                    humantime::format_duration(deadline),
                    assessment.message
                );
                Reason::new(Code::Unsettled, text).at_object(key.clone())
            });
            reasons.extend(unwell);
        }
        reasons
    }

    pub(super) fn wakes_at(&self, deadline: Duration) -> Option<Timestamp> {
        let retries = self.unwritten.iter().filter_map(|key| self.objects.get(key)?.retry.due_at());
        let assumed = self.unwell.keys().filter_map(|key| {
            let written = self.objects.get(key)?.applied.as_ref()?;
            Some(later(written.at, ASSUMED_AFTER))
        });
        let proven = self.settled_since.map(|since| later(since, deadline));
        retries.chain(assumed).chain(proven).min()
    }
}

fn assessment(health: Health, message: &str) -> Assessment {
    Assessment { health, message: message.to_owned(), assumed: false }
}

/// Resource versions of one resource are comparable integers (Kubernetes KEP-5504).
fn version(value: &Value) -> Option<u64> {
    value.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}

/// What a metadata watch sends: no more than a name.
fn bare_metadata(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|map| map.keys().all(|key| ["apiVersion", "kind", "metadata"].contains(&key.as_str())))
}

/// Complete or failed: a Job whose spec cannot do anything any more.
fn is_finished(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        let kind = condition.get("type").and_then(Value::as_str);
        matches!(kind, Some("Complete" | "Failed")) && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}
