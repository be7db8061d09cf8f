//! What is asked for ever after: watches, writes, reads of what a watch cannot tell, and the news of it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::backoff::later;
use super::behind::is_kept;
use super::object::uid;
use super::seeing::Moment;
use super::{Applied, Awaited, Course, News, Order, Sighting};
use crate::name::{GroupVersionKind, ObjectKey, Reason};
use crate::plan::drift::View;
use crate::plan::{self, Live};

/// Writes that wait for their turn or are in flight: as few as keep the carrier busy, because each holds its manifest.
const OUTSTANDING: usize = 32;

/// How long to wait before an object that could not be read is applied instead.
const RELOOK: Duration = Duration::from_secs(1);

impl Course {
    pub(super) fn file_sighting(&mut self, sighting: Sighting, now: Timestamp) {
        if self.behind.anew {
            // It will be shown again.
            return;
        }
        let moment = |busy| Moment { now, settings: &self.settings, busy };
        let Some(release) = &mut self.behind.release else { return };
        match sighting {
            Sighting::Object(key, value) => self.file_object(key, *value, View::Whole, now),
            Sighting::Metadata(key, value) => self.file_object(key, *value, View::Metadata, now),
            Sighting::Listing(kind) => release.see_listing(&kind),
            Sighting::Unwatched(kind, reason) => release.see_unwatched(kind, reason),
            Sighting::Listed(kind) => release.see_listed(&kind, |key| self.writing.contains(key)),
            Sighting::Gone(key, version) => {
                if let Some(backoff) = self.behind.deletions.get_mut(&key) {
                    backoff.hurry();
                }
                self.behind.strays.remove(&key);
                release.see_gone(&key, version, &moment(self.writing.contains(&key)));
            }
        }
    }

    fn file_object(&mut self, key: ObjectKey, value: Value, view: View, now: Timestamp) {
        let Some(release) = &mut self.behind.release else { return };
        if release.packed.contains(&key) {
            self.note_uid(&key, &value, now);
            let at = Moment { now, settings: &self.settings, busy: self.writing.contains(&key) };
            if let Some(release) = &mut self.behind.release {
                release.see(&key, value, view, &at);
            }
        } else if !is_kept(&value) && self.settings.fence.holds(&key) {
            self.behind.see_stray(key, &value);
        }
    }

    /// An object that was made again must not be taken for somebody else's when it is pruned.
    fn note_uid(&mut self, key: &ObjectKey, value: &Value, now: Timestamp) {
        let known = self.known.as_ref().and_then(|known| known.inventory.members.get(key)?.uid.as_deref());
        if let (Some(known), Some(seen)) = (known, uid(value))
            && known != seen
        {
            self.renew(key, Some(seen.to_owned()), now);
        }
    }

    pub(super) fn file_applied(&mut self, sequence: u64, key: ObjectKey, applied: Applied, now: Timestamp) {
        let uid = match &applied {
            Applied::Done(value) => uid(value).map(str::to_owned),
            _ => None,
        };
        if self.behind.sequence != Some(sequence) {
            let member = self.known.as_ref().and_then(|known| known.inventory.members.get(&key));
            if uid.is_some() && member.is_some_and(|member| member.uid != uid) {
                self.renew(&key, uid, now);
            }
            return;
        }
        let Some(release) = &mut self.behind.release else { return };
        release.file_applied(&key, applied, &Moment { now, settings: &self.settings, busy: false });
        if uid.is_some() {
            let baseline = release.objects.get(&key).and_then(|object| object.baseline.as_ref());
            let member = self.known.as_ref().and_then(|known| known.inventory.members.get(&key));
            let same = member.is_some_and(|member| {
                let agrees = member.baseline.as_ref().zip(baseline).is_some_and(|(old, new)| old.agrees(new));
                member.uid == uid && agrees
            });
            if !same {
                self.renew(&key, uid, now);
            }
        }
    }

    pub(super) fn watch(&mut self) {
        let Some(release) = &self.behind.release else { return };
        let doomed = self.behind.prunes.iter().flat_map(|prunes| &prunes.kinds);
        // A write of a release that stands no more may come late, ours or a rival's: what was watched once stays watched.
        let kinds = release.packed.kinds().iter().chain(doomed).chain(&self.behind.watched);
        let anew = std::mem::take(&mut self.behind.anew);
        if anew || kinds.clone().any(|kind| !self.behind.watched.contains(kind)) {
            let kinds: BTreeSet<GroupVersionKind> = kinds.cloned().collect();
            self.behind.watched.clone_from(&kinds);
            self.issue(Awaited::Other, Order::Watch { kinds, anew });
        }
    }

    /// Issues what may be written now.
    pub(super) fn write(&mut self, now: Timestamp) {
        let Some(known) = &self.known else { return };
        let Some(release) = &mut self.behind.release else { return };
        let room = OUTSTANDING.saturating_sub(self.writing.len());
        let writes = release.writes(now, room, &self.writing);
        let always = self.settings.policy.adopt == plan::Adopt::Always;
        let mut orders = Vec::new();
        for key in writes {
            let (Some(member), Some(manifest)) = (known.inventory.members.get(&key), release.packed.get(&key)) else {
                continue;
            };
            let object = release.objects.get(&key);
            if object.is_some_and(|object| object.recreate) {
                orders.push((Awaited::Delete(key.clone()), Order::Delete { key, member: member.clone() }));
                continue;
            }
            let first = member.uid.is_none();
            let force = always || !first || object.is_some_and(|object| object.ours);
            let order = Order::Apply { manifest: Box::new(manifest), force, first };
            orders.push((Awaited::Apply(known.inventory.sequence, key), order));
        }
        if release.queue.is_empty() {
            release.packed.close();
        }
        for (awaited, order) in orders {
            if let Awaited::Delete(key) | Awaited::Apply(_, key) = &awaited {
                self.writing.insert(key.clone());
            }
            self.issue(awaited, order);
        }
    }

    /// Reads what its metadata alone, or a list, cannot tell.
    pub(super) fn look(&mut self) {
        let Some(release) = &mut self.behind.release else { return };
        if release.looks.is_empty() {
            return;
        }
        let looking = self.awaited.values().filter(|awaited| matches!(awaited, Awaited::Look(..))).count();
        let sequence = self.behind.sequence.unwrap_or_default();
        let asked = |key: &&ObjectKey| !self.awaited.values().any(|it| *it == Awaited::Look(sequence, (*key).clone()));
        let room = OUTSTANDING.saturating_sub(looking);
        let looks: Vec<ObjectKey> = release.looks.iter().filter(asked).take(room).cloned().collect();
        let mut orders = Vec::new();
        for key in looks {
            release.looks.remove(&key);
            orders.extend(release.packed.kind(&key).cloned().map(|kind| (key, kind)));
        }
        for (key, kind) in orders {
            self.issue(Awaited::Look(sequence, key.clone()), Order::Look { key, kind });
        }
    }

    /// Another release stands: what was being looked at for the one before it is looked at for this one.
    pub(super) fn look_on(&mut self) {
        let Some(release) = &mut self.behind.release else { return };
        let looking = self.awaited.values().filter_map(|awaited| match awaited {
            Awaited::Look(_, key) => Some(key),
            _ => None,
        });
        release.looks.extend(looking.filter(|key| release.unseen.contains(*key)).cloned());
    }

    pub(super) fn file_looked(&mut self, sequence: u64, key: &ObjectKey, looked: Result<Live, Reason>, now: Timestamp) {
        let Some(release) = self.behind.release.as_mut().filter(|_| self.behind.sequence == Some(sequence)) else {
            return;
        };
        let at = Moment { now, settings: &self.settings, busy: self.writing.contains(key) };
        match looked {
            Ok(Live::Present(value)) => release.file_looked(key, Some(value), &at),
            Ok(Live::Absent) => release.file_looked(key, None, &at),
            // What cannot be read is applied: the answer tells.
            Err(_) if self.settings.policy.on_drift == plan::OnDrift::Heal => {
                release.queue.put(key, later(now, RELOOK))
            }
            Err(_) => drop(release.unseen.remove(key)),
        }
    }

    /// Passes on what happened, and counts the heals.
    pub(super) fn tell(&mut self, now: Timestamp) {
        let Some(release) = &mut self.behind.release else { return };
        for mut news in std::mem::take(&mut release.news) {
            if let News::Healed { telling, .. } = &mut news {
                telling.requests += 1;
                self.behind.tally.add(telling, now);
                self.behind.healed_at = Some(now);
            }
            self.issue(Awaited::Other, Order::Tell(Box::new(news)));
        }
    }
}
