//! Steps 10 to 14: the standing release is applied by stage, settles, what left it is pruned, and it is proven or failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::ahead::Candidate;
use super::backoff::{Backoff, later};
use super::progress::{Progress, Release};
use super::{Applied, Awaited, Course, Deleted, Known, Order, Settings, Sighting};
use crate::deploylog::{Log, Phase, Recalled, StandingRelease};
use crate::manifest::ManifestSet;
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::{self, Live};

/// What is being done about the standing release. Lost in a crash, and recomputed.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// The opening that all of this is about.
    pub(super) sequence: Option<u64>,
    pub(super) release: Option<Release>,
    recall: Backoff,
    pub(super) inventory: Backoff,
    watched: BTreeSet<GroupVersionKind>,
    /// Doomed members seen gone, or left alone because they are not ours any more.
    /// With the uid that was meant.
    pub(super) gone: BTreeMap<ObjectKey, Option<String>>,
    pub(super) deletions: BTreeMap<ObjectKey, Backoff>,
    blocked: BTreeMap<ObjectKey, Reason>,
    /// Objects under our label that no inventory knows, such as the effect of a lost reply (rule 5).
    pub(super) strays: BTreeMap<ObjectKey, Stray>,
    /// Nothing is left to prune but what waits for a person or is blocked.
    pub(super) pruned: bool,
    /// Something is held, and tried again and again.
    pub(super) unfinished: bool,
    /// A fresh read found everything well.
    confirmed: bool,
    confirm: Backoff,
}

/// An object under our label that the standing release does not name, as it was last seen.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) api_version: String,
    pub(super) uid: Option<String>,
}

impl Behind {
    /// Forgets the older opening, but not what is watched, nor the strays that the watch will not show again.
    fn turn_to(&mut self, sequence: u64) {
        let (watched, strays) = (std::mem::take(&mut self.watched), std::mem::take(&mut self.strays));
        *self = Behind { sequence: Some(sequence), watched, strays, ..Behind::default() };
    }

    /// Takes over an opening: its objects are those of the admitted plan. If the release before it was proven, what has the
    /// same manifest in both is applied already, and only seen again; else everything is to be written.
    pub(super) fn open(
        &mut self,
        log: &Log,
        before: Option<&StandingRelease>,
        opened: Option<Candidate>,
        now: Timestamp,
    ) {
        let Some(standing) = &log.standing else { return };
        self.turn_to(standing.sequence);
        let Some(candidate) = opened else { return };
        let plan = candidate.opening.admitted.plan();
        if plan.report().digest != standing.release {
            return;
        }
        let mut release = Release::new(plan.rendered().set().clone());
        if before.is_some_and(|before| matches!(before.outcome, Some((Phase::Proven, _)))) {
            release.take_over(plan.untouched(), now);
            // A new watch lists everything, so that what is not written is seen as well.
            self.watched.clear();
        }
        self.release = Some(release);
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        self.release.as_ref().map(Release::progress)
    }

    pub(super) fn durations_ms(&self) -> BTreeMap<String, u64> {
        self.release.as_ref().map(Release::durations_ms).unwrap_or_default()
    }

    /// Looks again at objects whose health depends on the time.
    pub(super) fn look_again(&mut self, now: Timestamp) {
        if let Some(release) = &mut self.release {
            release.look_again(now);
        }
    }

    pub(super) fn file_sighting(&mut self, sighting: Sighting, now: Timestamp) {
        match sighting {
            Sighting::Object(key, value) => self.see(key, *value, now),
            Sighting::Listed(kind) => {
                if let Some(release) = &mut self.release {
                    release.see_listed(&kind, now);
                }
            }
            Sighting::Gone(key) => {
                if let Some(backoff) = self.deletions.get_mut(&key) {
                    backoff.hurry();
                }
                self.strays.remove(&key);
                if let Some(release) = &mut self.release {
                    release.see_gone(&key, now);
                }
            }
        }
    }

    fn see(&mut self, key: ObjectKey, value: Value, now: Timestamp) {
        let Some(release) = &mut self.release else { return };
        if release.set().get(&key).is_some() {
            release.see(&key, value, now);
        } else if !is_kept(&value) {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let stray = Stray { api_version: text("/apiVersion").unwrap_or_default(), uid: text("/metadata/uid") };
            if self.gone.get(&key).is_none_or(|uid| uid.is_some() && *uid != stray.uid) {
                self.gone.remove(&key);
                self.strays.insert(key, stray);
            }
        }
    }

    pub(super) fn file_applied(&mut self, sequence: u64, key: ObjectKey, applied: Applied, now: Timestamp) {
        if self.sequence == Some(sequence)
            && let Some(release) = &mut self.release
        {
            release.file_applied(&key, applied, now);
        }
    }

    /// `uid` is the one that the inventory knew.
    pub(super) fn file_deleted(&mut self, key: ObjectKey, uid: Option<String>, deleted: Deleted, now: Timestamp) {
        if let Some(release) = self.release.as_mut().filter(|release| release.set().get(&key).is_some()) {
            release.file_recreated(&key, deleted, now);
            return;
        }
        match deleted {
            Deleted::Gone | Deleted::LeftAlone => {
                self.gone.insert(key.clone(), uid);
                self.strays.remove(&key);
                self.blocked.remove(&key);
                self.deletions.remove(&key);
            }
            Deleted::Terminating(reason) | Deleted::Retry(reason) => {
                self.deletions.entry(key.clone()).or_default().failed(now, None);
                self.blocked.insert(key, reason);
            }
        }
    }

    /// Why the standing release failed, if it did.
    pub(super) fn failure(
        &self,
        standing: &StandingRelease,
        deadline: Duration,
        now: Timestamp,
    ) -> Option<Vec<Reason>> {
        if self.sequence != Some(standing.sequence) {
            return None;
        }
        let release = self.release.as_ref()?;
        let failed = release.failed_objects();
        if !failed.is_empty() {
            return Some(failed);
        }
        let late = now >= later(standing.opened_at, deadline) && !self.is_settled();
        late.then(|| release.unsettled_objects(deadline))
    }

    fn is_settled(&self) -> bool {
        self.release.as_ref().is_some_and(Release::is_settled)
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_settled() && self.pruned && self.confirmed
    }

    pub(super) fn is_proven_after_all(&self, deadline: Duration, now: Timestamp) -> bool {
        let since = self.release.as_ref().and_then(Release::settled_since);
        self.is_proven() && since.is_some_and(|since| now >= later(since, deadline))
    }

    /// Whether nothing more happens by itself: proven and pruned, or failed and tried.
    pub(super) fn rests(&self, known: &Known) -> bool {
        let Some(standing) = &known.log.standing else { return true };
        match &standing.outcome {
            Some((Phase::Failed, _)) => true,
            Some(_) => !has_work(known) || (self.sequence == Some(standing.sequence) && self.pruned),
            None => false,
        }
    }

    pub(super) fn wakes_at(&self, log: &Log, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        let standing = log.standing.as_ref()?;
        let open = standing.outcome.is_none();
        let deadline = open.then(|| later(standing.opened_at, settings.deadline)).filter(|time| *time > now);
        let release = self.release.as_ref().and_then(|release| release.wakes_at(settings.deadline));
        let own = [self.recall.due_at(), self.inventory.due_at(), self.confirm.due_at()];
        let deletions = self.deletions.values().filter_map(Backoff::due_at);
        own.into_iter().flatten().chain(deadline).chain(release).chain(deletions).filter(|time| *time > now).min()
    }
}

/// Asked to be kept when it leaves the release.
fn is_kept(value: &Value) -> bool {
    value.pointer("/metadata/annotations/lockmaster.dev~1prune").and_then(Value::as_str) == Some("false")
}

/// Whether a proven release still has something to prune.
fn has_work(known: &Known) -> bool {
    known.inventory.members.values().any(|member| member.doomed)
}

impl Course {
    pub(super) fn decide_behind(&mut self, now: Timestamp) {
        let Some(standing) = self.known.as_ref().and_then(|known| known.log.standing.clone()) else { return };
        if self.behind.sequence != Some(standing.sequence) {
            self.behind.turn_to(standing.sequence);
        }
        let proven = matches!(standing.outcome, Some((Phase::Proven, _)));
        let work = self.known.as_ref().is_some_and(|known| has_work(known));
        if proven && (!work || (self.behind.pruned && !self.behind.unfinished)) {
            self.end_watch();
            return;
        }
        if !self.has_release(now) || !self.has_inventory(&standing, now) {
            return;
        }
        self.watch();
        if !proven && !self.apply_and_settle(now) {
            return;
        }
        if self.prune(now) && !proven {
            self.confirm(now);
        }
    }

    fn end_watch(&mut self) {
        if !self.behind.watched.is_empty() {
            self.behind.watched.clear();
            self.behind.release = None;
            self.issue(Awaited::Other, Order::Watch(BTreeSet::new()));
        }
    }

    /// The objects of the standing release: from its opening, or recalled after a restart.
    fn has_release(&mut self, now: Timestamp) -> bool {
        let sequence = self.behind.sequence.unwrap_or_default();
        if self.behind.release.is_none() && self.behind.recall.is_due(now) && !self.awaits(&Awaited::Recall(sequence)) {
            self.issue(Awaited::Recall(sequence), Order::Recall);
        }
        self.behind.release.is_some()
    }

    pub(super) fn file_recalled(&mut self, sequence: u64, recalled: Result<Box<Recalled>, Reason>, now: Timestamp) {
        if self.behind.sequence != Some(sequence) {
            return;
        }
        let set = recalled.and_then(|recalled| {
            ManifestSet::from_bytes(recalled.bytes()).map_err(|problem| {
                let text = format!("the stored release `{}` cannot be read: {problem}", recalled.release());
                Reason::new(Code::Bug, text)
            })
        });
        match set {
            Ok(set) => {
                self.succeeded();
                self.behind.release = Some(Release::new(set));
            }
            Err(reason) => {
                self.behind.recall.failed(now, None);
                self.failed(reason);
            }
        }
    }

    fn watch(&mut self) {
        let Some(known) = &self.known else { return };
        let Some(release) = &self.behind.release else { return };
        let mut kinds: BTreeSet<GroupVersionKind> =
            release.set().manifests().iter().map(|manifest| manifest.kind.clone()).collect();
        let doomed = known.inventory.members.iter().filter(|(_, member)| member.doomed);
        kinds.extend(doomed.map(|(key, member)| GroupVersionKind::from_manifest(&member.api_version, &key.kind)));
        if !kinds.is_subset(&self.behind.watched) {
            self.behind.watched = kinds.clone();
            self.issue(Awaited::Other, Order::Watch(kinds));
        }
    }

    /// Issues what may be written now; true once everything is written and well.
    fn apply_and_settle(&mut self, now: Timestamp) -> bool {
        let Some(known) = &self.known else { return false };
        let Some(release) = &mut self.behind.release else { return false };
        let sequence = known.inventory.sequence;
        let writes = release.writes(&self.writing, now);
        let settled = release.is_settled();
        let always = self.settings.policy.adopt == plan::Adopt::Always;
        let mut orders = Vec::new();
        for key in writes {
            let Some(member) = known.inventory.members.get(&key) else { continue };
            if release.is_to_be_recreated(&key) {
                orders.push((Awaited::Delete(key.clone()), Order::Delete { key, member: member.clone() }));
                continue;
            }
            let Some(manifest) = release.set().get(&key) else { continue };
            let force = always || member.uid.is_some() || release.is_ours(&key);
            let order = Order::Apply { manifest: Box::new(manifest.clone()), force };
            orders.push((Awaited::Apply(sequence, key), order));
        }
        for (awaited, order) in orders {
            if let Awaited::Delete(key) | Awaited::Apply(_, key) = &awaited {
                self.writing.insert(key.clone());
            }
            self.issue(awaited, order);
        }
        if !settled {
            self.behind.confirmed = false;
        }
        settled
    }

    /// A lagging watch must not make a claim: everything is read freshly before `proven` is written.
    fn confirm(&mut self, now: Timestamp) {
        let sequence = self.behind.sequence.unwrap_or_default();
        if self.behind.confirmed || self.awaits(&Awaited::Confirm(sequence)) || !self.behind.confirm.is_due(now) {
            return;
        }
        let Some(release) = &self.behind.release else { return };
        let keys = release.set().manifests().iter().map(|m| (m.key.clone(), m.kind.clone())).collect();
        self.issue(Awaited::Confirm(sequence), Order::Confirm(keys));
    }

    pub(super) fn file_confirmed(
        &mut self,
        sequence: u64,
        read: Result<BTreeMap<ObjectKey, Live>, Reason>,
        now: Timestamp,
    ) {
        if self.behind.sequence != Some(sequence) {
            return;
        }
        let Some(release) = &mut self.behind.release else { return };
        match read {
            Ok(read) => {
                for (key, live) in read {
                    match live {
                        Live::Present(value) => release.see(&key, value, now),
                        Live::Absent => release.see_gone(&key, now),
                    }
                }
                self.behind.confirmed = release.is_settled();
                if !self.behind.confirmed {
                    self.behind.confirm.failed(now, None);
                }
                self.succeeded();
            }
            Err(reason) => {
                self.behind.confirm.failed(now, None);
                self.failed(reason);
            }
        }
    }
}
