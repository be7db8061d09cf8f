//! The inventory: widened before the first write, stamped with the opening, narrowed by what was seen gone, and renewed
//! with what the writes were answered. Steps 10 and 12 of the walk.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::{Backoff, later};
use super::{Awaited, Course, InventoryWritten, Order};
use crate::deploylog::StandingRelease;
use crate::name::{GroupVersionKind, ObjectKey, Reason};
use crate::plan::{self, Inventory};

/// Failures in a row after which a delete that something holds does not keep the release from being proven.
const DELETE_TRIES: u32 = 3;

/// A log older than this is read again before anything is deleted, and after what looks as if another agent did it:
/// that one may have opened a newer release
/// (course.md §2 of the design: the inventory's stamp is the fence between agents).
const FRESH: Duration = Duration::from_secs(5);

/// How long changed rows of the inventory may wait, so that one write takes many: after a crash the next list shows them
/// again.
const RENEW_AFTER: Duration = Duration::from_secs(10);

/// What is to be pruned, for one state of the inventory.
#[derive(Debug)]
pub(super) struct Prunes {
    /// The count of inventories when this was found.
    inventories: u64,
    /// What may be deleted, in order.
    free: Vec<ObjectKey>,
    /// Why the rest waits.
    pub(super) waits: Vec<Reason>,
    /// The kinds of all that is doomed.
    pub(super) kinds: BTreeSet<GroupVersionKind>,
}

impl Course {
    /// The inventory names everything the release will create, and carries its sequence, before the first write.
    pub(super) fn has_inventory(&mut self, standing: &StandingRelease, now: Timestamp) -> bool {
        let Some(known) = &self.known else { return false };
        let Some(release) = &self.behind.release else { return false };
        if known.inventory.sequence > standing.sequence {
            // Somebody opened a newer release: this log is old.
            self.reading.failed(now, None);
            self.reread();
            return false;
        }
        let strays = self.behind.strays.iter().any(|(key, stray)| match known.inventory.members.get(key) {
            None => true,
            Some(member) => member.uid.is_some() && member.uid != stray.uid,
        });
        if known.inventory.sequence == standing.sequence && !strays {
            self.find_prunes();
            return true;
        }
        let mut wanted = if known.inventory.sequence < standing.sequence {
            known.inventory.widened(release.packed.objects().map(|(key, kind, _)| (key, kind)), standing.sequence)
        } else {
            known.inventory.clone()
        };
        for (key, stray) in &self.behind.strays {
            let member = wanted.members.entry(key.clone()).or_insert_with(|| plan::Member {
                api_version: stray.api_version.clone(),
                uid: None,
                origin: standing.sequence,
                doomed: true,
                baseline: None,
            });
            if member.uid.is_some() {
                member.uid.clone_from(&stray.uid);
            }
        }
        self.behind.pruned = false;
        self.write_inventory(wanted, now);
        false
    }

    /// Whether another agent may have opened a release meanwhile.
    pub(super) fn is_log_old(&self, now: Timestamp) -> bool {
        now > later(self.known_at, FRESH)
    }

    fn write_inventory(&mut self, wanted: Inventory, now: Timestamp) {
        if self.behind.inventory.is_due(now) && !self.awaits(&Awaited::Inventory) {
            self.writing_inventory = Some(wanted.clone());
            self.issue(Awaited::Inventory, Order::WriteInventory(wanted));
        }
    }

    pub(super) fn file_inventory(&mut self, written: InventoryWritten, now: Timestamp) {
        let wanted = self.writing_inventory.take();
        match written {
            InventoryWritten::Ours => {
                self.succeeded();
                self.behind.inventory = Backoff::default();
                self.known_at = now;
                if let (Some(known), Some(wanted)) = (&mut self.known, wanted) {
                    known.inventory = wanted;
                    self.inventories += 1;
                    self.forget_renewed();
                }
            }
            InventoryWritten::Lost(reason) => {
                self.behind.inventory.failed(now, None);
                self.reread();
                self.failed(reason);
            }
        }
    }

    /// Notes that a member's row is out of date.
    pub(super) fn renew(&mut self, key: &ObjectKey, uid: Option<String>, now: Timestamp) {
        self.behind.renew.insert(key.clone(), uid);
        self.behind.renew_at.get_or_insert(later(now, RENEW_AFTER));
    }

    /// What stands in the inventory as it is need not be written again.
    fn forget_renewed(&mut self) {
        let (Some(known), Some(release)) = (&self.known, &self.behind.release) else { return };
        self.behind.renew.retain(|key, uid| {
            let Some(member) = known.inventory.members.get(key) else { return false };
            let baseline = release.objects.get(key).and_then(|object| object.baseline.as_ref());
            let old = member.baseline.as_ref();
            let agrees = baseline.is_none() || old.zip(baseline).is_some_and(|(old, new)| old.agrees(new));
            member.uid != *uid || !agrees
        });
        if self.behind.renew.is_empty() {
            self.behind.renew_at = None;
        }
    }

    /// Finds what is to be pruned, anew for each inventory.
    fn find_prunes(&mut self) {
        let (Some(known), Some(release)) = (&self.known, &self.behind.release) else { return };
        if self.behind.prunes.as_ref().is_some_and(|prunes| prunes.inventories == self.inventories) {
            return;
        }
        let names = |key: &ObjectKey| release.packed.contains(key);
        let rollback = known.log.standing.as_ref().and_then(|standing| standing.rollback.as_ref());
        let undone = rollback.map(|rollback| rollback.to);
        let (free, waits) = plan::prunable(&known.inventory, names, &self.settings.policy, undone);
        let doomed = known.inventory.members.iter().filter(|(_, member)| member.doomed);
        let kinds = doomed.map(|(key, member)| GroupVersionKind::from_manifest(&member.api_version, &key.kind));
        self.behind.prunes = Some(Prunes { inventories: self.inventories, free, waits, kinds: kinds.collect() });
    }

    /// Deletes doomed members; true once nothing is left but what waits for a person or is held by something.
    pub(super) fn prune(&mut self, now: Timestamp, proven: bool) -> bool {
        let Some(known) = &self.known else { return false };
        let Some(prunes) = &self.behind.prunes else { return false };
        let opening = self.ahead.opening().or(self.back.opening()).map(|candidate| candidate.opening.admitted.set());
        let mut left = false;
        let mut orders = Vec::new();
        for key in &prunes.free {
            let Some(member) = known.inventory.members.get(key) else { continue };
            if self.behind.gone.contains_key(key) {
                continue;
            }
            let backoff = self.behind.deletions.get(key).copied().unwrap_or_default();
            left |= backoff.failures() < DELETE_TRIES;
            let named = opening.is_some_and(|set| set.get(key).is_some()) || self.pen.may_name(key, &known.log, now);
            if !named && !self.writing.contains(key) && backoff.is_due(now) {
                let mut member = member.clone();
                if let Some(uid) = self.behind.renew.get(key) {
                    // It was made again, and the row does not say so yet.
                    member.uid.clone_from(uid);
                }
                orders.push((key.clone(), Order::Delete { key: key.clone(), member }));
            }
        }
        if !orders.is_empty() && self.is_log_old(now) {
            self.reread();
            return false;
        }
        for (key, order) in orders {
            self.writing.insert(key.clone());
            self.issue(Awaited::Delete(key), order);
        }
        if left {
            return false;
        }
        self.behind.pruned = self.is_inventory_exact(now, proven);
        self.behind.pruned
    }

    /// Writes the inventory without what was seen gone, and with what the writes were answered; true if it says so.
    fn is_inventory_exact(&mut self, now: Timestamp, proven: bool) -> bool {
        let Some(known) = &self.known else { return false };
        let Some(release) = &self.behind.release else { return false };
        let ended = |key: &ObjectKey| known.inventory.members.get(key).is_some_and(|member| member.doomed);
        let narrows = self.behind.gone.keys().any(ended);
        let renews = !self.behind.renew.is_empty();
        let due = renews && (!proven || self.behind.renew_at.is_none_or(|at| now >= at));
        if !narrows && !due {
            // Once proven, rows may lag behind for a moment.
            return true;
        }
        let mut inventory = known.inventory.clone();
        inventory.members.retain(|key, member| !(member.doomed && self.behind.gone.contains_key(key)));
        for (key, uid) in &self.behind.renew {
            let Some(member) = inventory.members.get_mut(key) else { continue };
            member.uid.clone_from(uid);
            if let Some(kind) = release.packed.kind(key) {
                member.api_version = kind.api_version();
                let baseline = release.objects.get(key).and_then(|object| object.baseline.clone());
                member.baseline = baseline.or(member.baseline.take());
            }
        }
        self.write_inventory(inventory, now);
        false
    }
}
