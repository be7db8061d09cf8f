//! The laws of what is written down, by entry.

use jiff::SignedDuration;
use lockmaster::deploylog::{Action, Entry, Log, Phase, Rollback};
use lockmaster::name::{Code, UnitName};

use super::laws::Laws;
use super::walker::Walker;
use super::world::World;

/// How long an entry may be on its way.
const TRAVELS: SignedDuration = SignedDuration::from_secs(30);

/// Orders that one agent may have outstanding.
const OUTSTANDING: usize = 200;

impl Laws {
    /// An entry has reached the store; one that comes late is nobody's.
    pub(crate) fn appended(&mut self, world: &World, who: Option<usize>) {
        let log = world.replay.log();
        let (Some(last), Some(stored_at)) = (log.entries.last(), world.stored_at.last()) else { return };
        if self.asleep {
            return;
        }
        if !last.lapsed && stored_at.duration_since(last.time) > TRAVELS {
            self.broken("a late entry means nothing", format!("entry {}", last.sequence));
        }
        if last.lapsed {
            return;
        }
        if !world.rooms.is_empty() {
            return self.appended_for_all(world, who);
        }
        self.appended_for(world, (who, &UnitName::whole()), log);
        self.heads(world, log);
    }

    /// The newest entry, as one unit reads it.
    pub(crate) fn appended_for(&mut self, world: &World, (who, unit): (Option<usize>, &UnitName), log: &Log) {
        let Some(last) = log.entries.last() else { return };
        self.soaked(world, log);
        if let Some(who) = who.filter(|_| matches!(last.body.phase, Some(Phase::Settled | Phase::Proven))) {
            self.claimed(world, who, unit, last.body.of);
        }
        if self.strict && matches!(last.body.action, Action::Refuse | Action::Wait) {
            self.told_once(log, last);
            self.still_at_the_tip(world, last);
        }
        self.of_its_opening(log, last);
        if self.strict && last.body.phase == Some(Phase::Opened) {
            self.entered(world, unit, log, last);
        }
    }

    /// An outcome names the commit and the release of the opening that it is of.
    fn of_its_opening(&mut self, log: &Log, last: &Entry) {
        let Some(of) = last.body.of.filter(|_| last.body.phase.is_some()) else { return };
        let Some(opened) = log.entries.iter().find(|entry| entry.sequence == of) else { return };
        let what = |entry: &Entry| (entry.body.commit.as_ref().map(|commit| commit.id.clone()), entry.body.release);
        if what(opened) != what(last) {
            self.broken("an outcome is of what was opened", format!("entry {}", last.sequence));
        }
    }

    /// What an agent knows is what the journal says (I9), and it asks for so much and no more (I12).
    pub(crate) fn stepped(&mut self, world: &World, walker: &Walker) {
        if self.asleep || !self.strict {
            return;
        }
        if !world.rooms.is_empty() {
            self.known_of_all(world, walker);
        }
        if let Some(known) = walker.known() {
            let place = known.log.entries.len();
            let theirs = known.log.entries.last().map(|entry| entry.hash);
            let stored = place.checked_sub(1).and_then(|at| world.replay.log().entries.get(at)).map(|entry| entry.hash);
            if theirs != stored {
                self.broken("nothing is known that is not journalled", format!("entry {place}"));
            }
        }
        if walker.outstanding.len() > OUTSTANDING {
            self.broken("orders are bounded", format!("{} are outstanding", walker.outstanding.len()));
        }
    }

    /// A branch is said to have moved back or elsewhere by a tip that it had after the accepted head came to be (course.md,
    /// rule 15).
    fn still_at_the_tip(&mut self, world: &World, last: &Entry) {
        let moved = |code| matches!(code, Code::RefRewound | Code::RefDiverged);
        let Some(commit) = &last.body.commit else { return };
        if !last.body.reasons.iter().any(|reason| moved(reason.code)) {
            return;
        }
        let heads = world.replay.log().entries.iter().rev().filter(|entry| !entry.lapsed);
        let leaves = |entry: &Entry| entry.body.rollback.as_ref().is_some_and(Rollback::leaves_head);
        let head = heads.map(AsRef::as_ref).find(|entry| entry.body.phase == Some(Phase::Opened) && !leaves(entry));
        let since = head.map_or(0, |head| usize::try_from(head.sequence).unwrap_or(usize::MAX));
        if self.tips.get(&commit.id).is_none_or(|seen| *seen <= since) {
            self.broken("no stale alarm", format!("{}, entry {}", commit.id.short(), last.sequence));
        }
    }

    /// Since the last opening, no candidate is stopped twice for the same reasons.
    fn told_once(&mut self, log: &Log, last: &Entry) {
        let codes =
            |entry: &Entry| entry.body.reasons.iter().map(|r| r.code).collect::<std::collections::BTreeSet<_>>();
        let before =
            log.entries.iter().map(std::convert::AsRef::<Entry>::as_ref).rev().skip(1).filter(|entry| !entry.lapsed);
        let mut since = before.take_while(|entry| entry.body.phase != Some(Phase::Opened));
        let commit = |entry: &Entry| entry.body.commit.as_ref().map(|commit| commit.id.clone());
        let same = |entry: &Entry| {
            let stops = matches!(entry.body.action, Action::Refuse | Action::Wait);
            stops && commit(entry) == commit(last) && codes(entry) == codes(last)
        };
        if since.any(same) {
            self.broken("told once", format!("entry {}", last.sequence));
        }
    }
}
