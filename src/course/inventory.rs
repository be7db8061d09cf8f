//! The inventory: widened before the first write, stamped with the opening, and narrowed by what was seen gone. Steps 10
//! and 12 of the walk.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::{Backoff, later};
use super::{Awaited, Course, InventoryWritten, Order};
use crate::deploylog::StandingRelease;
use crate::plan::{self, Inventory};

/// Failures in a row after which a delete that something holds does not keep the release from being proven.
const DELETE_TRIES: u32 = 3;

/// A log older than this is read again before anything is deleted: another agent may have opened a release that names it
/// (course.md §2 of the design: the inventory's stamp is the fence between agents).
const FRESH: Duration = Duration::from_secs(5);

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
        let mut wanted = if known.inventory.sequence < standing.sequence {
            known.inventory.widened(release.set(), standing.sequence)
        } else {
            known.inventory.clone()
        };
        for (key, member) in wanted.members.iter_mut().filter(|(_, member)| member.uid.is_some()) {
            // An object that was made again must not be taken for somebody else's when it is pruned.
            if release.is_gone(key) {
                member.uid = None;
            } else if let Some(uid) = release.uid(key) {
                member.uid = Some(uid.to_owned());
            }
        }
        for (key, stray) in self.behind.strays.iter().filter(|(key, _)| release.set().get(key).is_none()) {
            let member = wanted.members.entry(key.clone()).or_insert_with(|| plan::Member {
                api_version: stray.api_version.clone(),
                uid: None,
                origin: standing.sequence,
                doomed: true,
            });
            if member.uid.is_some() {
                member.uid.clone_from(&stray.uid);
            }
        }
        if wanted == known.inventory {
            return true;
        }
        self.behind.pruned = false;
        self.write_inventory(wanted, now);
        false
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
                }
            }
            InventoryWritten::Lost(reason) => {
                self.behind.inventory.failed(now, None);
                self.reread();
                self.failed(reason);
            }
        }
    }

    /// Deletes doomed members; true once nothing is left but what waits for a person or is held by something.
    pub(super) fn prune(&mut self, now: Timestamp) -> bool {
        let Some(known) = &self.known else { return false };
        let Some(release) = &self.behind.release else { return false };
        let (deletable, _waits) = plan::prunable(&known.inventory, release.set(), &self.settings.policy);
        let opening = self.ahead.opening_names();
        let (mut left, mut unfinished) = (false, false);
        let mut orders = Vec::new();
        for key in deletable {
            let Some(member) = known.inventory.members.get(&key) else { continue };
            if self.behind.gone.contains_key(&key) {
                continue;
            }
            let backoff = self.behind.deletions.get(&key).copied().unwrap_or_default();
            unfinished = true;
            left |= backoff.failures() < DELETE_TRIES;
            let named = opening.is_some_and(|set| set.get(&key).is_some());
            if !named && !self.writing.contains(&key) && backoff.is_due(now) {
                orders.push((key.clone(), Order::Delete { key, member: member.clone() }));
            }
        }
        self.behind.unfinished = unfinished;
        if !orders.is_empty() && now > later(self.known_at, FRESH) {
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
        let narrowed = self.narrowed();
        let differs = self.known.as_ref().is_some_and(|known| narrowed != known.inventory);
        if differs {
            self.write_inventory(narrowed, now);
        }
        self.behind.pruned = !differs;
        self.behind.pruned
    }

    /// The inventory without what was seen gone, and with the uids that the writes were answered with.
    fn narrowed(&self) -> Inventory {
        let mut inventory = self.known.as_ref().map(|known| known.inventory.clone()).unwrap_or_default();
        inventory.members.retain(|key, member| !(member.doomed && self.behind.gone.contains_key(key)));
        if let Some(release) = &self.behind.release {
            for (key, member) in &mut inventory.members {
                if let Some(uid) = release.uid(key) {
                    member.uid = Some(uid.to_owned());
                }
                if let Some(manifest) = release.set().get(key) {
                    member.api_version = manifest.kind.api_version();
                }
            }
        }
        inventory
    }
}
