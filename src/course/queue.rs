//! Objects that want a write, each with the time from which it may be sent.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::name::ObjectKey;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    times: BTreeMap<ObjectKey, Timestamp>,
    order: BTreeSet<(Timestamp, ObjectKey)>,
}

impl Queue {
    /// Puts an object in, or moves it.
    pub(super) fn put(&mut self, key: &ObjectKey, at: Timestamp) {
        self.remove(key);
        self.times.insert(key.clone(), at);
        self.order.insert((at, key.clone()));
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Timestamp> {
        let at = self.times.remove(key)?;
        self.order.remove(&(at, key.clone()));
        Some(at)
    }

    /// Takes out at most so many that are due, the earliest first, without those that have a write in flight.
    pub(super) fn take_due(&mut self, now: Timestamp, most: usize, busy: &BTreeSet<ObjectKey>) -> Vec<ObjectKey> {
        let due = self.order.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| key);
        let due: Vec<ObjectKey> = due.filter(|key| !busy.contains(*key)).take(most).cloned().collect();
        for key in &due {
            self.remove(key);
        }
        due
    }

    /// The first one that is due after a time.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let nobody = ObjectKey { group: String::new(), kind: String::new(), namespace: None, name: String::new() };
        let after = now.checked_add(SignedDuration::from_nanos(1)).ok()?;
        self.order.range((after, nobody)..).next().map(|(at, _)| *at)
    }

    /// All that want a write.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.times.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}
