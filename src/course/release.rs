//! The standing release: which of its objects are written, in which order, and whether all of them are well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::backoff::{Backoff, later};
use super::object::{Object, Seen, is_finished_job};
use super::queue::Queue;
use super::seeing::Moment;
use super::{Applied, Deleted, News};
use crate::health::{self, Assessment, Health};
use crate::manifest::{Packed, Stage};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::{self, Inventory};

/// How far the standing release has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

/// How often an object that is not well is looked at again without news, for what depends on the time alone.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The objects of the standing release and how far each is.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) packed: Packed,
    pub(super) objects: BTreeMap<ObjectKey, Object>,
    /// The group that may be written: those before it are.
    group: usize,
    /// By group, how many objects are not written.
    left: Vec<usize>,
    /// By group, how many objects are not well, without claims.
    ill: Vec<usize>,
    pub(super) queue: Queue,
    pub(super) unwell: BTreeMap<ObjectKey, Assessment>,
    failed: BTreeSet<ObjectKey>,
    /// Objects whose last write failed.
    troubled: BTreeSet<ObjectKey>,
    /// Objects that are not as the release says.
    pub(super) drifted: BTreeSet<ObjectKey>,
    /// Objects that somebody else keeps changing back.
    pub(super) fights: BTreeSet<ObjectKey>,
    /// Objects to be read whole.
    pub(super) looks: BTreeSet<ObjectKey>,
    pub(super) news: Vec<News>,
    /// Objects that an earlier life of the agent wrote, and that nobody has shown yet.
    pub(super) unseen: BTreeSet<ObjectKey>,
    /// Kinds that cannot be watched, with why: their drift is not seen.
    pub(super) unwatched: BTreeMap<GroupVersionKind, Reason>,
    /// Something changed that nobody else than an agent like us does, or of which nobody can be named.
    pub(super) in_doubt: bool,
    look_again_at: Option<Timestamp>,
    started: Option<Timestamp>,
    applied_at: Option<Timestamp>,
    settled_since: Option<Timestamp>,
    /// Since when it is not settled any more; until it was once, since it was first looked at.
    unsettled_since: Option<Timestamp>,
}

impl Release {
    /// A release of which nothing is known to be written.
    pub(super) fn new(packed: Packed) -> Self {
        let groups = packed.groups().len();
        let (mut left, mut objects) = (vec![0; groups], BTreeMap::new());
        for (key, _, group) in packed.objects() {
            left[usize::from(group)] += 1;
            objects.insert(key.clone(), Object { group, ..Object::default() });
        }
        Release {
            packed,
            objects,
            group: 0,
            left,
            ill: vec![0; groups],
            queue: Queue::default(),
            unwell: BTreeMap::new(),
            failed: BTreeSet::new(),
            troubled: BTreeSet::new(),
            drifted: BTreeSet::new(),
            fights: BTreeSet::new(),
            looks: BTreeSet::new(),
            news: Vec::new(),
            unseen: BTreeSet::new(),
            unwatched: BTreeMap::new(),
            in_doubt: false,
            look_again_at: None,
            started: None,
            applied_at: None,
            settled_since: None,
            unsettled_since: None,
        }
    }

    /// Counts these objects as written by an earlier life of the agent: what they were is in the inventory.
    pub(super) fn resume(&mut self, names: impl Fn(&ObjectKey) -> bool, inventory: &Inventory, now: Timestamp) {
        for (key, object) in self.objects.iter_mut().filter(|(key, _)| names(key)) {
            object.baseline = inventory.members.get(key).and_then(|member| member.baseline.clone());
            object.written = Some(now);
            // Its release was proven, so it had ended.
            object.finished = key.group == "batch" && key.kind == "Job";
            self.left[usize::from(object.group)] -= 1;
            self.ill[usize::from(object.group)] += usize::from(counts_as_ill(key));
            let unseen = Assessment { health: Health::Unknown, message: "not seen yet".to_owned(), assumed: false };
            self.unwell.insert(key.clone(), unseen);
            self.unseen.insert(key.clone());
        }
    }

    /// Takes over what the release before this one knew of objects whose manifest is the same in both.
    pub(super) fn take_over(&mut self, mut before: Release, untouched: &BTreeSet<ObjectKey>) {
        for (key, object) in &mut self.objects {
            let Some(old) = before.objects.remove(key) else { continue };
            let (group, place) = (object.group, usize::from(object.group));
            if !untouched.contains(key) {
                (object.version, object.ours, object.finished) = (old.version, old.ours, old.finished);
                continue;
            }
            *object = Object { group, ..old };
            self.left[place] -= usize::from(object.written.is_some());
            if let Some(assessment) = before.unwell.remove(key) {
                self.ill[place] += usize::from(counts_as_ill(key));
                self.unwell.insert(key.clone(), assessment);
            }
            if let Some(at) = before.queue.remove(key) {
                self.queue.put(key, at);
            }
            for (old, new) in [
                (&before.failed, &mut self.failed),
                (&before.troubled, &mut self.troubled),
                (&before.drifted, &mut self.drifted),
                (&before.fights, &mut self.fights),
                (&before.looks, &mut self.looks),
                (&before.unseen, &mut self.unseen),
            ] {
                if old.contains(key) {
                    new.insert(key.clone());
                }
            }
        }
        self.look_again_at = before.look_again_at;
        self.unwatched = before.unwatched;
    }

    pub(super) fn progress(&self) -> Progress {
        let objects = self.objects.len();
        let applied = objects - self.left.iter().sum::<usize>();
        Progress { objects, applied, healthy: applied.saturating_sub(self.unwell.len()) }
    }

    /// Whether every object was written.
    pub(super) fn is_applied(&self) -> bool {
        self.applied_at.is_some()
    }

    pub(super) fn durations_ms(&self) -> BTreeMap<String, u64> {
        let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
            from.zip(to).and_then(|(from, to)| u64::try_from(to.duration_since(from).as_millis()).ok())
        };
        let apply = between(self.started, self.applied_at).map(|ms| ("apply".to_owned(), ms));
        let settle = between(self.applied_at, self.settled_since).map(|ms| ("settle".to_owned(), ms));
        apply.into_iter().chain(settle).collect()
    }

    /// Opens the group that may be written now, and says which objects are due.
    pub(super) fn writes(&mut self, now: Timestamp, most: usize, busy: &BTreeSet<ObjectKey>) -> Vec<ObjectKey> {
        if self.started.is_none() {
            self.started = Some(now);
            self.open_group(now);
        }
        while self.left[..=self.group].iter().all(|left| *left == 0)
            && self.group + 1 < self.left.len()
            && self.next_group_is_open()
        {
            self.group += 1;
            self.open_group(now);
        }
        if self.applied_at.is_none() && self.left.iter().all(|left| *left == 0) {
            self.applied_at = Some(now);
        }
        self.settle(now);
        self.queue.take_due(now, most, busy)
    }

    fn open_group(&mut self, now: Timestamp) {
        let here = |object: &Object| usize::from(object.group) == self.group && object.written.is_none();
        for (key, _) in self.objects.iter().filter(|(_, object)| here(object)) {
            self.queue.put(key, now);
        }
    }

    /// Whether the group after the current one may start: after the foundation, between waves and before the webhooks
    /// everything so far must be well; between config and workload the writes are enough. A claim keeps nobody waiting: it
    /// may be bound only when its first consumer runs.
    fn next_group_is_open(&self) -> bool {
        let stage = |group: usize| self.packed.groups().get(group).map_or(Stage::Workload, |(stage, _)| *stage);
        if stage(self.group) == Stage::Config && stage(self.group + 1) == Stage::Workload {
            return true;
        }
        self.ill[..=self.group].iter().all(|ill| *ill == 0)
    }

    /// Takes an object as not written: it is gone.
    pub(super) fn unwrite(&mut self, key: &ObjectKey) {
        let Some(object) = self.objects.get_mut(key) else { return };
        if object.written.take().is_some() {
            self.left[usize::from(object.group)] += 1;
        }
    }

    pub(super) fn file_applied(&mut self, key: &ObjectKey, applied: Applied, at: &Moment<'_>) {
        let asks = matches!(&applied, Applied::Denied(reason) if reason.code == Code::RecreateNeedsApproval);
        let recreate = asks && self.may_recreate(key);
        let Some(object) = self.objects.get_mut(key) else { return };
        let stash = object.aside.as_mut().and_then(|aside| aside.stash.take());
        match applied {
            Applied::Done(value) => {
                if object.written.replace(at.now).is_none() {
                    self.left[usize::from(object.group)] -= 1;
                }
                object.recreate = false;
                object.retry = Backoff::default();
                // Its group may have been opened while the write was in flight.
                self.queue.remove(key);
                self.calm_down(key);
                self.take_answer(key, *value, at);
                if ["Namespace", "CustomResourceDefinition"].contains(&key.kind.as_str()) {
                    self.hurry(|_| true, at.now);
                }
                self.answers_again(at.now);
            }
            Applied::Denied(_) if recreate => {
                object.recreate = true;
                self.queue.put(key, at.now);
            }
            Applied::Conflict(reason) | Applied::Denied(reason) => self.try_again(key, reason, None, at.now),
            Applied::Retry { reason, after } => self.try_again(key, reason, after, at.now),
        }
        if let Some(seen) = stash {
            self.file_seen(key, seen, &Moment { busy: false, ..*at });
        }
        self.settle(at.now);
    }

    fn try_again(&mut self, key: &ObjectKey, reason: Reason, after: Option<Duration>, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        object.retry.failed(now, after);
        object.aside().trouble = Some(reason);
        let due = object.retry.due_at().unwrap_or(now);
        self.troubled.insert(key.clone());
        self.queue.put(key, due);
    }

    fn calm_down(&mut self, key: &ObjectKey) {
        self.troubled.remove(key);
        if let Some(aside) = self.objects.get_mut(key).and_then(|object| object.aside.as_mut()) {
            aside.trouble = None;
        }
    }

    /// The server answers: what failed because it did not is tried at once.
    pub(super) fn answers_again(&mut self, now: Timestamp) {
        if !self.troubled.is_empty() {
            self.hurry(|reason| reason.code == Code::ClusterUnreachable, now);
        }
    }

    fn hurry(&mut self, which: impl Fn(&Reason) -> bool, now: Timestamp) {
        for key in &self.troubled {
            let trouble = self.objects.get(key).and_then(Object::trouble);
            if trouble.is_some_and(&which) && self.queue.remove(key).is_some() {
                self.queue.put(key, now);
            }
        }
    }

    /// Recreate only if opted in; a finished Job is replaced (DESIGN, apply).
    fn may_recreate(&mut self, key: &ObjectKey) -> bool {
        let opted_in = |manifest: crate::manifest::Manifest| {
            let pointer = "/metadata/annotations/lockmaster.dev~1recreate";
            manifest.value.pointer(pointer).and_then(Value::as_str) == Some("true")
        };
        let finished = self.objects.get(key).is_some_and(|object| object.finished);
        finished || self.packed.get(key).is_some_and(opted_in)
    }

    pub(super) fn file_recreated(&mut self, key: &ObjectKey, deleted: Deleted, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        if let Some(aside) = &mut object.aside {
            aside.stash = None;
        }
        match deleted {
            Deleted::Gone => {
                (object.recreate, object.finished, object.version) = (false, false, 0);
                self.queue.put(key, now);
            }
            Deleted::LeftAlone => {
                object.recreate = false;
                object.retry.failed(now, None);
                let due = object.retry.due_at().unwrap_or(now);
                self.queue.put(key, due);
            }
            Deleted::Terminating(reason) | Deleted::Retry(reason) => self.try_again(key, reason, None, now),
        }
    }

    /// Judges the health of what was seen.
    pub(super) fn assess(&mut self, key: &ObjectKey, value: &Value, whole: bool, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        object.finished |= whole && is_finished_job(value);
        let Some(written) = object.written else { return };
        let assessment = if whole { health::assess(value, written, now) } else { health::assess_metadata(value) };
        if plan::is_settled(assessment.health) {
            self.mark_well(key, now);
            return;
        }
        if whole {
            object.aside().live = Some(value.clone());
        }
        self.mark_unwell(key, assessment, now);
    }

    pub(super) fn mark_well(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(object) = self.objects.get_mut(key) else { return };
        if self.unwell.remove(key).is_some() {
            self.ill[usize::from(object.group)] -= usize::from(counts_as_ill(key));
            self.failed.remove(key);
        }
        if let Some(aside) = &mut object.aside {
            aside.live = None;
        }
        object.tidy(now);
    }

    pub(super) fn mark_unwell(&mut self, key: &ObjectKey, assessment: Assessment, now: Timestamp) {
        let Some(object) = self.objects.get(key) else { return };
        let assumed = object.written.map(|at| later(at, ASSUMED_AFTER)).filter(|at| *at > now);
        let again = assumed.unwrap_or(later(now, LOOK_AGAIN)).min(later(now, LOOK_AGAIN));
        self.look_again_at = Some(self.look_again_at.map_or(again, |at| at.min(again)));
        if assessment.health == Health::Failed {
            self.failed.insert(key.clone());
        } else {
            self.failed.remove(key);
        }
        if self.unwell.insert(key.clone(), assessment).is_none() {
            self.ill[usize::from(object.group)] += usize::from(counts_as_ill(key));
        }
    }

    /// Looks again at objects whose health depends on the time.
    pub(super) fn look_again(&mut self, now: Timestamp) {
        if self.look_again_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_again_at = None;
        let keys: Vec<ObjectKey> = self.unwell.keys().cloned().collect();
        for key in keys {
            let live = self.objects.get_mut(&key).and_then(|object| object.aside.as_mut()?.live.take());
            if let Some(live) = live {
                self.assess(&key, &live, true, now);
            }
        }
        self.settle(now);
    }

    pub(super) fn settle(&mut self, now: Timestamp) {
        if !self.is_settled() {
            self.settled_since = None;
            self.unsettled_since.get_or_insert(now);
        } else if self.settled_since.is_none() {
            (self.settled_since, self.unsettled_since) = (Some(now), None);
        }
    }

    /// So much time did not pass.
    pub(super) fn skip(&mut self, span: Duration) {
        for since in [&mut self.settled_since, &mut self.unsettled_since].into_iter().flatten() {
            *since = later(*since, span);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unwell.is_empty() && self.left.iter().all(|left| *left == 0)
    }

    pub(super) fn unsettled_since(&self) -> Option<Timestamp> {
        self.unsettled_since
    }

    pub(super) fn settled_since(&self) -> Option<Timestamp> {
        self.settled_since
    }

    /// Objects that will not get well by themselves.
    pub(super) fn failed_objects(&self) -> Vec<Reason> {
        let failed = self.failed.iter().filter_map(|key| Some((key, self.unwell.get(key)?)));
        let reason = |(key, assessment): (&ObjectKey, &Assessment)| {
            Reason::new(Code::ObjectFailed, format!("`{key}` failed: {}", assessment.message)).at_object(key.clone())
        };
        failed.take(NAMED).map(reason).collect()
    }

    /// Why the last writes failed.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &Reason> {
        self.troubled.iter().filter_map(|key| self.objects.get(key)?.trouble())
    }

    /// Why the release has not settled: what could not be written, then what is not well.
    pub(super) fn unsettled_objects(&self, deadline: Duration) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.troubles().take(NAMED).cloned().collect();
        if reasons.is_empty() {
            let unwell = self.unwell.iter().map(|(key, assessment)| (key, assessment.message.as_str()));
            let unwritten = self.objects.iter().filter(|(_, object)| object.written.is_none());
            let late = unwell.chain(unwritten.map(|(key, _)| (key, "not written yet")));
            reasons.extend(late.take(NAMED).map(|(key, message)| {
                let deadline = humantime::format_duration(deadline);
                let text = format!("`{key}` was not healthy within the deadline of {deadline}: {message}");
                Reason::new(Code::Unsettled, text).at_object(key.clone())
            }));
        }
        reasons
    }

    pub(super) fn wakes_at(&self, deadline: Duration, soak: Duration, now: Timestamp) -> Option<Timestamp> {
        let proven = self.settled_since.map(|since| later(since, deadline.max(soak)));
        let soaked = self.settled_since.map(|since| later(since, soak));
        let late = self.unsettled_since.map(|since| later(since, deadline));
        let times = [late, soaked, self.queue.next_after(now), self.look_again_at, proven, self.next_peace()];
        times.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Whether nothing is on its way: what is left waits for others.
    pub(super) fn rests(&self) -> bool {
        self.queue.is_empty() && self.looks.is_empty() && self.news.is_empty() && self.unseen.is_empty()
    }

    pub(super) fn file_seen(&mut self, key: &ObjectKey, seen: Seen, at: &Moment<'_>) {
        match seen {
            Seen::Object(value, view) => self.see(key, value, view, at),
            Seen::Gone(version) => self.see_gone(key, version, at),
        }
    }
}

/// A claim keeps no group waiting.
fn counts_as_ill(key: &ObjectKey) -> bool {
    !key.is_core("PersistentVolumeClaim")
}
