//! Going back: because a person stated it, or because the standing release failed where `onFailure: rollback` is set. It
//! waits for no settle, check or queue, needs no branch, and runs beside whatever candidate the branch has. (A commit that
//! goes back is a candidate like others, judged by `ahead`.)
//!
//! A release that fails makes room once: what a rollback opened and fails as well stays, and asks for a person.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::ahead::{Candidate, Stopped};
use super::backoff::Backoff;
use super::{Awaited, Back, Course, Decree, Judged, Known, Order, Reverted, Verdict};
use crate::deploylog::{Action, Log, Past, Phase, Rollback};
use crate::name::Digest;

/// How far a rollback is that no commit asks for.
#[derive(Debug, Default)]
pub(super) struct GoingBack {
    stage: Stage,
    /// What was asked, for which nothing can be done, or not yet; and why.
    stopped: Option<(Asked, Option<Box<Stopped>>)>,
    retry: Backoff,
    reverting: Reverting,
}

/// The entry that opened what is to be undone, the statement that says so, and the holds that stand meanwhile: with
/// others the answer may be another.
type Asked = (u64, Option<Digest>, BTreeSet<u64>);

#[derive(Debug, Default)]
enum Stage {
    #[default]
    None,
    Storing(Box<Candidate>),
    Ready(Box<Candidate>),
    Opening(Box<Candidate>),
}

/// The commit that makes Git agree.
#[derive(Debug, Default)]
struct Reverting {
    /// The rollback for which all was done.
    done: Option<u64>,
    retry: Backoff,
}

impl GoingBack {
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        [self.retry.due_at(), self.reverting.retry.due_at()].into_iter().flatten().min()
    }

    /// Why what the standing release asks for cannot be done.
    pub(super) fn stopped(&self, standing: Option<u64>) -> Option<&Stopped> {
        let (asked, stopped) = self.stopped.as_ref()?;
        stopped.as_deref().filter(|_| Some(asked.0) == standing)
    }

    pub(super) fn ready(&self) -> Option<&Candidate> {
        match &self.stage {
            Stage::Ready(candidate) => Some(candidate),
            _ => None,
        }
    }

    /// The candidate whose `opened` entry is on its way.
    pub(super) fn opening(&self) -> Option<&Candidate> {
        match &self.stage {
            Stage::Opening(candidate) => Some(candidate),
            _ => None,
        }
    }

    /// The candidate, from its verdict until it is opened.
    pub(super) fn admitted(&self) -> Option<&Candidate> {
        match &self.stage {
            Stage::Storing(candidate) | Stage::Ready(candidate) | Stage::Opening(candidate) => Some(candidate),
            Stage::None => None,
        }
    }

    pub(super) fn is_opening(&self) -> bool {
        !matches!(self.stage, Stage::None)
    }

    pub(super) fn start_opening(&mut self) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Ready(candidate) => Stage::Opening(candidate),
            other => other,
        };
    }

    pub(super) fn take_opened(&mut self) -> Option<Candidate> {
        match std::mem::take(&mut self.stage) {
            Stage::Opening(candidate) => Some(*candidate),
            _ => None,
        }
    }

    pub(super) fn retry_later(&mut self, now: Timestamp) {
        if matches!(self.stage, Stage::Storing(_)) {
            self.retry.failed(now, None);
        }
    }

    /// What was to be undone does not stand any more, or nobody knows.
    pub(super) fn forget(&mut self) {
        self.stage = Stage::None;
    }

    /// Another release stands: whatever was asked about the one before it is settled.
    pub(super) fn turn(&mut self) {
        self.stage = Stage::None;
        self.stopped = None;
        self.retry = Backoff::default();
    }

    /// Its bytes are stored.
    pub(super) fn stored(&mut self, release: Digest) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Storing(candidate) if candidate.release() == release => Stage::Ready(candidate),
            other => other,
        };
    }
}

/// What asks for a rollback now.
struct Wish<'c> {
    to: u64,
    decree: Option<&'c Decree>,
}

impl Course {
    /// Whether nothing is left to do about rollbacks.
    pub(super) fn rollback_rests(&self, known: &Known) -> bool {
        let asked = self.asked(known);
        let answered = asked.is_none() || self.back.stopped.as_ref().map(|(asked, _)| asked) == asked.as_ref();
        !self.back.is_opening() && answered && !self.wants_revert(known)
    }

    /// What asks for a rollback, as far as it can be told without reading through the log.
    fn asked(&self, known: &Known) -> Option<Asked> {
        let standing = known.log.standing.as_ref()?;
        let stated = self.decrees.rollback(standing.sequence).map(|decree| decree.stated.payload_hash);
        let failed = self.settings.rolls_back
            && standing.rollback.is_none()
            && matches!(standing.outcome, Some((Phase::Failed, _)));
        (stated.is_some() || failed).then(|| (standing.sequence, stated, holds(&known.log)))
    }

    pub(super) fn decide_rollback(&mut self, now: Timestamp) {
        let Some(known) = &self.known else { return };
        match &self.back.stage {
            Stage::Storing(candidate) => {
                let release = candidate.release();
                if self.back.retry.is_due(now) && !self.awaits(&Awaited::Store(release)) {
                    let bytes = candidate.opening.admitted.set().to_bytes();
                    self.issue(Awaited::Store(release), Order::StoreRelease { release, bytes });
                }
                return;
            }
            Stage::Ready(_) | Stage::Opening(_) => return,
            Stage::None => {}
        }
        let Some(asked) = self.asked(known) else { return };
        let answered = self.back.stopped.as_ref().is_some_and(|(answered, _)| *answered == asked);
        let awaited = Awaited::RollBack(asked.clone());
        if answered || !self.back.retry.is_due(now) || self.awaits(&awaited) {
            return;
        }
        let past = Past::of(&known.log, self.settings.keep);
        let Some(wish) = self.wish(&past) else {
            self.back.stopped = Some((asked, None));
            return;
        };
        let back = Back { to: wish.to, decree: wish.decree.cloned(), past };
        self.issue(awaited, Order::RollBack(Box::new(back)));
    }

    /// What a person states comes before what the configuration says.
    fn wish(&self, past: &Past) -> Option<Wish<'_>> {
        let standing = past.standing.as_ref()?;
        match self.decrees.rollback(standing.sequence) {
            Some(decree) => Some(Wish { to: decree.to?, decree: Some(decree) }),
            None => past.last_good().map(|good| Wish { to: good.sequence, decree: None }),
        }
    }

    pub(super) fn file_rolled_back(&mut self, asked: Asked, judged: Judged, now: Timestamp) {
        let current = self.known.as_deref().and_then(|known| self.asked(known));
        if current.as_ref() != Some(&asked) || self.back.is_opening() {
            return;
        }
        let Judged { candidate, verdict, durations_ms } = judged;
        match verdict {
            Verdict::Admitted(opening) => {
                self.succeeded();
                self.back.retry = Backoff::default();
                self.back.stopped = None;
                self.back.stage = Stage::Storing(Box::new(Candidate::new(candidate, opening, durations_ms, now)));
            }
            Verdict::Stopped { refused, reasons, gates, until } => {
                self.succeeded();
                let stopped = Stopped { commit: candidate, refused, reasons, gates, until };
                self.back.stopped = Some((asked, Some(Box::new(stopped))));
            }
            Verdict::Unreachable(reason) => {
                self.back.retry.failed(now, None);
                self.failed(reason);
            }
            Verdict::Unchanged => unreachable!("because a rollback has another release to go back to"),
        }
    }

    /// Whether Git is still ahead of a rollback and the agent has the key to say so there.
    fn wants_revert(&self, known: &Known) -> bool {
        let Some(standing) = known.log.standing.as_ref() else { return false };
        let leaves = standing.rollback.as_ref().is_some_and(Rollback::leaves_head);
        let readable = matches!(self.tip, Some(Ok(_)));
        self.settings.reverts && leaves && readable && self.back.reverting.done != Some(standing.sequence)
    }

    /// Pushes the commit that makes Git agree, once for each rollback. It comes back as a candidate that changes nothing.
    pub(super) fn decide_reverting(&mut self, now: Timestamp) {
        let Some(known) = &self.known else { return };
        if !self.wants_revert(known) || !self.back.reverting.retry.is_due(now) {
            return;
        }
        let (Some(standing), Some(Ok(tip))) = (&known.log.standing, &self.tip) else { return };
        let (sequence, tip) = (standing.sequence, tip.clone());
        let awaited = Awaited::Revert(sequence);
        if !self.awaits(&awaited) {
            let past = Box::new(Past::of(&known.log, self.settings.keep));
            self.issue(awaited, Order::Revert { tip, past });
        }
    }

    pub(super) fn file_reverted(&mut self, sequence: u64, reverted: Reverted, now: Timestamp) {
        match reverted {
            Reverted::Pushed | Reverted::Nothing => {
                self.back.reverting = Reverting { done: Some(sequence), retry: Backoff::default() };
            }
            Reverted::Failed(reason) => {
                self.back.reverting.retry.failed(now, None);
                self.failed(reason);
            }
        }
    }
}

/// The entries whose holds stand.
fn holds(log: &Log) -> BTreeSet<u64> {
    let mut holds = BTreeSet::new();
    for entry in log.entries.iter().filter(|entry| !entry.lapsed) {
        if entry.body.hold.is_some() {
            holds.insert(entry.sequence);
        }
        if let (Action::Unhold, Some(of)) = (entry.body.action, entry.body.of) {
            holds.remove(&of);
        }
    }
    holds
}
