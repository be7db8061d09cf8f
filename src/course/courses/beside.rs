//! What a course is asked and told by those beside it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::{Awaited, Course, Known};
use crate::deploylog::{EntryCommit, Inputs, Log};
use crate::name::{CommitId, Digest, GroupVersionKind, ObjectKey};

impl Course {
    /// Takes the log, and the inventory, as they were read for somebody else.
    pub(super) fn hear_log(&mut self, known: Known, now: Timestamp) {
        self.file_log(Ok(Box::new(known)), now);
    }

    /// Takes the log with an entry about the environment, which may change what its gates say.
    pub(super) fn hear_of(&mut self, log: Log, now: Timestamp) {
        self.known_at = now;
        if let Some(known) = &mut self.known
            && known.log.entries.len() != log.entries.len()
        {
            known.log = log;
            self.ahead.hear_news();
        }
    }

    /// Its log is still as it was at this time; others moved the accepted head.
    pub(super) fn learn(&mut self, accepted: &Option<Arc<EntryCommit>>, before: &Option<CommitId>, now: Timestamp) {
        if let Some(known) = &mut self.known {
            self.known_at = now;
            known.log.accepted.clone_from(accepted);
            known.log.accepted_before.clone_from(before);
            self.ahead.accept(&known.log);
        }
    }

    /// The log upstream has so many entries; whether the unit is judged by them now. Where they are no news for it, it is
    /// enough to know, and also where it wants nothing.
    pub(super) fn hear_upstream(&mut self, entries: u64, news: bool) -> bool {
        if !news {
            self.upstream = entries;
            return false;
        }
        let rests = self.known.as_ref().is_some_and(|known| self.ahead.wants_nothing(&known.log));
        let idle = rests && !self.settings.promotes && !self.unit.is_whole();
        if idle {
            self.file_upstream(entries);
        }
        !idle
    }

    /// Whether there are bytes of more releases than are kept.
    pub(super) fn has_surplus(&self) -> bool {
        let opened = |known: &Known| {
            let entries = known.log.entries.iter().filter(|entry| !entry.lapsed);
            let opened = entries.filter(|entry| entry.body.phase == Some(crate::deploylog::Phase::Opened));
            opened.filter_map(|entry| entry.body.release).collect::<BTreeSet<_>>().len()
        };
        self.known.as_deref().is_some_and(|known| opened(known) > self.settings.keep.max(1))
    }

    /// What its standing release reads, if that can be told.
    pub(super) fn inputs(&self) -> Option<Inputs> {
        self.known.as_ref()?.log.standing_inputs()
    }

    /// Nothing that it reads is otherwise at this tip; whether it needs not be judged.
    pub(super) fn pass_over(&mut self, tip: &CommitId) -> bool {
        let Some(known) = &self.known else { return false };
        let passes = self.ahead.pass_over(tip, &known.log);
        if passes {
            self.tip = Some(Ok(tip.clone()));
        }
        passes
    }

    /// Whether it holds an object, or is about to.
    pub(super) fn claims(&self, key: &ObjectKey) -> bool {
        let mut candidates = [self.ahead.admitted(), self.back.admitted()].into_iter().flatten();
        self.holds(key) || candidates.any(|candidate| candidate.opening.admitted.set().get(key).is_some())
    }

    /// Whether its inventory or its standing release names an object.
    pub(super) fn holds(&self, key: &ObjectKey) -> bool {
        let member = self.known.as_ref().is_some_and(|known| known.inventory.members.contains_key(key));
        member || self.behind.release.as_ref().is_some_and(|release| release.packed.contains(key))
    }

    /// The objects of its standing release, once that is known.
    pub(super) fn objects(&self) -> Option<impl Iterator<Item = &ObjectKey>> {
        self.behind.release.as_ref().map(|release| release.objects.keys())
    }

    /// The objects that an opening of it names which is to be written.
    pub(super) fn opens(&self) -> impl Iterator<Item = &ObjectKey> {
        let opening = self.ahead.opening().or(self.back.opening());
        opening.into_iter().flat_map(|candidate| candidate.opening.admitted.set().objects().map(|(key, _)| key))
    }

    /// Whether a release of it stands of which neither its bytes nor its inventory tell yet what it names.
    pub(super) fn is_unknown(&self) -> bool {
        let newer = |known: &Known| {
            known.log.standing.as_ref().is_some_and(|standing| standing.sequence > known.inventory.sequence)
        };
        // While it reads the log it does not know its inventory either.
        self.known.as_deref().is_none_or(|known| self.behind.release.is_none() && newer(known))
    }

    /// Reads what an earlier life of the agent wrote and nobody has shown yet, where it is of these kinds.
    pub(super) fn look_at_unseen(&mut self, kinds: &BTreeSet<GroupVersionKind>) {
        if let Some(release) = &mut self.behind.release {
            let watched = |key: &&ObjectKey| release.packed.kind(key).is_some_and(|kind| kinds.contains(kind));
            let unseen: Vec<ObjectKey> = release.unseen.iter().filter(watched).cloned().collect();
            release.looks.extend(unseen);
        }
    }

    /// An object belongs to another unit now: what was seen of it is no stray of this one.
    pub(super) fn let_go(&mut self, key: &ObjectKey) {
        self.behind.strays.remove(key);
    }

    pub(super) fn is_writing_inventory(&self) -> bool {
        self.awaits(&Awaited::Inventory)
    }

    /// Whether it carries on with another opening than the one that stands in this log.
    pub(super) fn turns_to(&self, log: &Log) -> bool {
        let standing = log.standing.as_ref().map(|standing| standing.sequence);
        self.behind.sequence.is_some() && self.behind.sequence != standing
    }

    pub(super) fn is_recalling(&self) -> bool {
        self.awaited.values().any(|awaited| matches!(awaited, Awaited::Recall(_)))
    }

    /// Whether a release is on its way, or is not known to have ended well or badly.
    pub(super) fn is_busy(&self) -> bool {
        let open = |known: &Known| known.log.standing.as_ref().is_some_and(|standing| standing.outcome.is_none());
        self.ahead.is_opening() || self.back.is_opening() || self.known.as_deref().is_some_and(open)
    }

    /// The releases that it may have to recall.
    pub(super) fn kept_releases(&self) -> Option<BTreeSet<Digest>> {
        self.known.as_deref().map(|known| self.keeps(known))
    }
}
