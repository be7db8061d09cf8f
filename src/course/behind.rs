//! Steps 10 to 14, and ever after: the standing release is applied by stage, settles, what left it is pruned, it is proven
//! or failed, and it is healed until another is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::ahead::Candidate;
use super::backoff::{Backoff, later};
use super::inventory::Prunes;
use super::proving::Proving;
use super::release::{Progress, Release};
use super::seeing::Moment;
use super::tally::Tally;
use super::{Awaited, Course, Deleted, Glance, Known, Order, Settings};
use crate::deploylog::{Log, Phase, Recalled, StandingRelease};
use crate::health::Health;
use crate::manifest::Packed;
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::{Inventory, OnDrift};

/// What is being done about the standing release. Lost in a crash, and recomputed.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// The opening that all of this is about.
    pub(super) sequence: Option<u64>,
    pub(super) release: Option<Release>,
    recall: Backoff,
    pub(super) inventory: Backoff,
    pub(super) watched: BTreeSet<GroupVersionKind>,
    /// What is watched is to be listed again: sightings may have been missed.
    pub(super) anew: bool,
    /// Doomed members seen gone, or left alone because they are not ours any more.
    /// With the uid that was meant.
    pub(super) gone: BTreeMap<ObjectKey, Option<String>>,
    pub(super) deletions: BTreeMap<ObjectKey, Backoff>,
    blocked: BTreeMap<ObjectKey, Reason>,
    /// Objects under our label that no inventory knows, such as the effect of a lost reply (rule 5).
    pub(super) strays: BTreeMap<ObjectKey, Stray>,
    /// Members whose row in the inventory is out of date, with their uid.
    pub(super) renew: BTreeMap<ObjectKey, Option<String>>,
    pub(super) renew_at: Option<Timestamp>,
    pub(super) prunes: Option<Prunes>,
    /// Nothing is left to prune but what waits for a person or is blocked.
    pub(super) pruned: bool,
    /// A fresh read found everything well.
    confirmed: bool,
    confirm: Backoff,
    pub(super) proving: Proving,
    pub(super) tally: Tally,
    pub(super) healed_at: Option<Timestamp>,
    /// How far the clock was set forward since this opening is looked after: time that did not pass.
    skipped: Duration,
}

/// An object under our label that the standing release does not name, as it was last seen.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) api_version: String,
    pub(super) uid: Option<String>,
}

impl Behind {
    /// Forgets the older opening, but not what is watched, nor the strays that the watch will not show again.
    fn turn_to(&mut self, sequence: u64) -> Option<Release> {
        let old = std::mem::take(self);
        *self = Behind {
            sequence: Some(sequence),
            watched: old.watched,
            strays: old.strays,
            // What was made again and is doomed now would else be taken for somebody else's.
            renew: old.renew,
            renew_at: old.renew_at,
            tally: old.tally,
            healed_at: old.healed_at,
            // Whoever has the release as it was carries on with it; else what was shown to nobody is shown again.
            anew: true,
            ..Behind::default()
        };
        old.release
    }

    /// Takes over an opening: its objects are those that were admitted. If the release before it was proven, what has the
    /// same manifest in both is applied already; else everything is to be written.
    pub(super) fn open(&mut self, log: &Log, known: Option<&Known>, opened: Option<Candidate>, now: Timestamp) {
        let Some(standing) = &log.standing else { return };
        let before = self.turn_to(standing.sequence);
        let Some(candidate) = opened else { return };
        let admitted = &candidate.opening.admitted;
        if admitted.release() != standing.release {
            return;
        }
        let mut release = Release::new(Packed::new(admitted.set()));
        self.strays.retain(|key, _| !release.packed.contains(key));
        let was = known.and_then(|known| known.log.standing.as_ref()?.outcome.as_ref());
        if matches!(was, Some((Phase::Proven, _))) {
            match (before, known) {
                (Some(before), _) => {
                    release.take_over(before, admitted.untouched());
                    self.anew = false;
                }
                (None, Some(known)) => release.resume(|key| admitted.untouched().contains(key), &known.inventory, now),
                (None, None) => {}
            }
        }
        self.release = Some(release);
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        self.release.as_ref().map(Release::progress)
    }

    pub(super) fn durations_ms(&self) -> BTreeMap<String, u64> {
        self.release.as_ref().map(Release::durations_ms).unwrap_or_default()
    }

    /// So much time did not pass: no soak, settle deadline or check is nearer to its end by it (I14).
    pub(super) fn skip(&mut self, span: Duration) {
        self.skipped = self.skipped.saturating_add(span);
        self.proving.skip(span);
        if let Some(release) = &mut self.release {
            release.skip(span);
        }
    }

    /// When the standing release was opened, in the time that passed since.
    fn opened_at(&self, standing: &StandingRelease) -> Timestamp {
        later(standing.opened_at, self.skipped)
    }

    /// What time alone changes.
    pub(super) fn look_again(&mut self, now: Timestamp) {
        if let Some(release) = &mut self.release {
            release.look_again(now);
            release.make_peace(now);
        }
    }

    pub(super) fn see_stray(&mut self, key: ObjectKey, value: &Value) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let stray = Stray { api_version: text("/apiVersion").unwrap_or_default(), uid: text("/metadata/uid") };
        // Where no uid was known nothing may have been there yet, or this is what was deleted: then it is deleted once more.
        if self.gone.get(&key).is_none_or(|uid| *uid != stray.uid) {
            self.gone.remove(&key);
            self.strays.insert(key, stray);
        }
    }

    /// `uid` is the one that the inventory knew.
    pub(super) fn file_deleted(&mut self, key: ObjectKey, uid: Option<String>, deleted: Deleted, now: Timestamp) {
        if let Some(release) = self.release.as_mut().filter(|release| release.packed.contains(&key)) {
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

    /// Why the standing release failed, if it did. Until it has settled once the deadline counts from its opening; after
    /// that, from the moment at which it was not well any more (rule 21).
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
        let settled_once = matches!(standing.outcome, Some((Phase::Settled, _)));
        let since = if settled_once { release.unsettled_since()? } else { self.opened_at(standing) };
        let late = now >= later(since, deadline) && !self.is_settled();
        late.then(|| release.unsettled_objects(deadline))
    }

    fn is_settled(&self) -> bool {
        self.release.as_ref().is_some_and(Release::is_settled)
    }

    /// Whether a fresh read found it settled, and nothing is left to prune.
    pub(super) fn is_confirmed(&self) -> bool {
        self.is_settled() && self.pruned && self.confirmed
    }

    /// Whether it has been well for so long without a break.
    pub(super) fn is_well_for(&self, span: Duration, now: Timestamp) -> bool {
        let since = self.release.as_ref().and_then(Release::settled_since);
        since.is_some_and(|since| now >= later(since, span))
    }

    /// What was claimed is written: the next claim needs a fresh read of its own.
    pub(super) fn claimed(&mut self) {
        self.confirmed = false;
    }

    /// Whether nothing more happens by itself: proven and pruned, or failed and tried.
    pub(super) fn rests(&self, known: &Known, settings: &Settings) -> bool {
        let Some(standing) = &known.log.standing else { return true };
        let ours = self.sequence == Some(standing.sequence);
        let still = ours && self.release.as_ref().is_some_and(Release::rests) && self.renew.is_empty();
        match &standing.outcome {
            Some((Phase::Failed, _)) => true,
            // What is left is a matter of time.
            Some((Phase::Settled, _)) => still && self.pruned && self.is_settled() && self.proving.rests(settings),
            Some(_) => still && self.pruned,
            None => false,
        }
    }

    pub(super) fn wakes_at(&self, log: &Log, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
        let standing = log.standing.as_ref()?;
        let open = standing.outcome.is_none();
        let deadline = open.then(|| later(self.opened_at(standing), settings.deadline)).filter(|time| *time > now);
        let release = self.release.as_ref().and_then(|release| release.wakes_at(settings.deadline, settings.soak, now));
        let own = [self.recall.due_at(), self.inventory.due_at(), self.confirm.due_at(), self.renew_at];
        let deletions = self.deletions.values().filter_map(Backoff::due_at).chain(self.proving.wakes_at(now));
        own.into_iter().flatten().chain(deadline).chain(release).chain(deletions).filter(|time| *time > now).min()
    }

    /// Why pruning waits for a person, or is held by something.
    pub(super) fn prune_waits(&self) -> Vec<Reason> {
        self.prunes.as_ref().map(|prunes| prunes.waits.clone()).unwrap_or_default()
    }
}

/// Asked to be kept when it leaves the release.
pub(super) fn is_kept(value: &Value) -> bool {
    value.pointer("/metadata/annotations/lockmaster.dev~1prune").and_then(Value::as_str) == Some("false")
}

impl Course {
    pub(super) fn decide_behind(&mut self, now: Timestamp) {
        let Some(standing) = self.known.as_ref().and_then(|known| known.log.standing.clone()) else { return };
        if self.behind.sequence != Some(standing.sequence) {
            self.behind.turn_to(standing.sequence);
        }
        if !self.has_release(now) || !self.has_inventory(&standing, now) {
            return;
        }
        self.watch();
        self.write(now);
        self.look();
        self.tell(now);
        let proven = matches!(standing.outcome, Some((Phase::Proven, _)));
        let settled = self.behind.is_settled();
        if !settled {
            self.behind.confirmed = false;
        }
        // Nothing that a rollback takes back is left until what comes back is well.
        let applied = standing.rollback.is_some() && self.behind.release.as_ref().is_some_and(Release::is_applied);
        let pruned = (proven || settled || applied) && self.prune(now, proven);
        if pruned && settled && !proven && self.is_claim_due(&standing, now) {
            self.confirm(now);
        }
        self.check(&standing, now);
        let in_doubt = self.behind.release.as_mut().is_some_and(|release| std::mem::take(&mut release.in_doubt));
        if in_doubt && self.is_log_old(now) {
            // Perhaps another agent opened a newer release.
            self.reread();
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
        if recalled.as_ref().is_ok_and(|recalled| recalled.sequence() != sequence) {
            // Another one was opened meanwhile, and nobody has said so here yet.
            self.behind.recall.failed(now, None);
            return;
        }
        let packed = recalled.and_then(|recalled| {
            Packed::from_bytes(recalled.bytes()).map_err(|problem| {
                let text = format!("the stored release `{}` cannot be read: {problem}", recalled.release());
                Reason::new(Code::Bug, text)
            })
        });
        match packed {
            Ok(packed) => {
                self.succeeded();
                let mut release = Release::new(packed);
                let known = self.known.as_deref().filter(|known| known.inventory.sequence == sequence);
                let standing = known.and_then(|known| known.log.standing.as_ref());
                if standing.is_some_and(|standing| matches!(standing.outcome, Some((Phase::Proven, _)))) {
                    let inventory = known.map(|known| &known.inventory);
                    release.resume(|_| true, inventory.unwrap_or(&Inventory::default()), now);
                }
                self.behind.strays.retain(|key, _| !release.packed.contains(key));
                self.behind.release = Some(release);
            }
            Err(reason) => {
                self.behind.recall.failed(now, None);
                self.failed(reason);
            }
        }
    }

    /// A lagging watch must not make a claim: everything is read freshly before `proven` is written.
    fn confirm(&mut self, now: Timestamp) {
        let sequence = self.behind.sequence.unwrap_or_default();
        if self.behind.confirmed || self.awaits(&Awaited::Confirm(sequence)) || !self.behind.confirm.is_due(now) {
            return;
        }
        let Some(release) = &self.behind.release else { return };
        let keys = release.packed.objects().map(|(key, kind, _)| (key.clone(), kind.clone())).collect();
        self.issue(Awaited::Confirm(sequence), Order::Confirm(keys));
    }

    pub(super) fn file_confirmed(&mut self, sequence: u64, read: Result<Vec<Glance>, Reason>, now: Timestamp) {
        if self.behind.sequence != Some(sequence) {
            return;
        }
        let looking = self.awaited.values().any(|awaited| matches!(awaited, Awaited::Look(..)));
        let Some(release) = &mut self.behind.release else { return };
        match read {
            Ok(glances) => {
                // A drift that is being found out or healed is none of the release; a fight is left to those who fight.
                let heals = self.settings.policy.on_drift == OnDrift::Heal;
                let drifts = heals && release.drifted.iter().any(|key| !release.fights.contains(key));
                // What could not be read is to be written, or is being: it may be anything.
                let unread = release.queue.keys().chain(&self.writing).any(|key| !release.fights.contains(key));
                let mut well = release.is_settled() && !looking && release.looks.is_empty() && !drifts && !unread;
                for Glance { object, present, edition, unwell } in glances {
                    let finished = release.objects.get(&object).is_some_and(|object| object.finished);
                    if !present && !finished {
                        let at = Moment { now, settings: &self.settings, busy: self.writing.contains(&object) };
                        release.see_gone(&object, None, &at);
                        well = false;
                    }
                    if present && release.objects.get(&object).is_some_and(|object| edition != object.edition) {
                        // Somebody wrote it, and no watch has shown what: a read of the whole tells.
                        release.looks.insert(object.clone());
                        well = false;
                    }
                    // The watch will tell: until then nothing is claimed.
                    well &= finished || unwell.is_none_or(|unwell| unwell.health == Health::Missing);
                }
                self.behind.confirmed = well && release.is_settled();
                if !self.behind.confirmed {
                    self.behind.confirm.failed(now, None);
                }
            }
            Err(reason) => {
                self.behind.confirm.failed(now, None);
                self.failed(reason);
            }
        }
    }
}
