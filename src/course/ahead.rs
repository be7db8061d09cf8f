//! Steps 3 to 9: the candidate is judged, its bytes are stored, and it is put forward for opening.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::backoff::Backoff;
use super::{Awaited, Brief, Course, Judged, Known, Opening, Order, Since, StandingBrief, Verdict};
use crate::deploylog::{Action, EntryCommit, GateVerdict, Log, Past, Phase};
use crate::name::{Code, CommitId, Digest, Reason};

/// Where the candidate stands.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The newest tip.
    tip: Option<CommitId>,
    stand: Stand,
    /// The opening that the candidate was judged against.
    base: Option<u64>,
    /// The accepted head that it was judged against: with other units beside it, that moves without this one.
    accepted: Option<CommitId>,
    /// How often a fact that gates ask about has changed.
    facts: u64,
    /// How often people said something to the gates by entries of their own.
    stated: usize,
    /// The newest commit at which nothing was new.
    clean: Option<CommitId>,
    /// The opening that was last known to have ended, and how.
    end: Option<(u64, Phase)>,
    retry: Backoff,
}

#[derive(Debug, Default)]
enum Stand {
    /// To be judged.
    #[default]
    New,
    /// Judged, and it opens nothing.
    Unchanged(CommitId),
    /// Judged, and stopped.
    Stopped(Box<Stopped>),
    /// Admitted; its bytes are being stored, or are to be.
    Storing(Box<Candidate>),
    /// Its bytes are stored: it waits for the pen.
    Ready(Box<Candidate>),
    /// Its `opened` entry is being written.
    Opening(Box<Candidate>),
}

/// A candidate that may be opened.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) commit: EntryCommit,
    pub(super) opening: Opening,
    pub(super) durations_ms: BTreeMap<String, u64>,
    judged_at: Timestamp,
}

impl Candidate {
    /// Whether what it was judged by may have changed since.
    fn is_stale(&self, now: Timestamp) -> bool {
        self.opening.admitted.promotes() && now.duration_since(self.judged_at) > FRESH
    }

    pub(super) fn new(
        commit: EntryCommit,
        opening: Opening,
        durations_ms: BTreeMap<String, u64>,
        judged_at: Timestamp,
    ) -> Self {
        Candidate { commit, opening, durations_ms, judged_at }
    }

    pub(super) fn release(&self) -> Digest {
        self.opening.admitted.release()
    }
}

/// A candidate that may not.
#[derive(Debug)]
pub(super) struct Stopped {
    pub(super) commit: EntryCommit,
    pub(super) refused: bool,
    pub(super) reasons: Vec<Reason>,
    pub(super) gates: Vec<GateVerdict>,
    /// When the gates may say something else without anybody doing anything.
    pub(super) until: Option<Timestamp>,
}

/// How old a verdict may be when it opens a promotion: its upstream's log was read as long ago (course.md §2 of the
/// design).
const FRESH: SignedDuration = SignedDuration::from_secs(5);

impl Ahead {
    /// A tip was read: another one than before is a new candidate, the same one is looked at again if it was stopped by
    /// what the cluster says.
    pub(super) fn see_tip(&mut self, commit: &CommitId) {
        if self.tip.as_ref() != Some(commit) {
            self.tip = Some(commit.clone());
            self.retry = Backoff::default();
            if !matches!(self.stand, Stand::Opening(_)) {
                self.stand = Stand::New;
            }
        }
    }

    /// Nothing that the unit reads is otherwise at this tip than at the one before: if that opened nothing, neither does
    /// this. Says whether it is so.
    pub(super) fn pass_over(&mut self, commit: &CommitId, log: &Log) -> bool {
        let passes = log.standing.is_some() && self.wants_nothing(log);
        if passes {
            self.tip = Some(commit.clone());
            self.clean = Some(commit.clone());
            self.stand = Stand::Unchanged(commit.clone());
            self.base = log.standing.as_ref().map(|standing| standing.sequence);
        }
        passes
    }

    /// The candidate, from its verdict until it is opened.
    pub(super) fn admitted(&self) -> Option<&Candidate> {
        match &self.stand {
            Stand::Storing(candidate) | Stand::Ready(candidate) | Stand::Opening(candidate) => Some(candidate),
            Stand::New | Stand::Unchanged(_) | Stand::Stopped(_) => None,
        }
    }

    /// What this candidate was judged against has changed.
    pub(super) fn judge_again(&mut self) {
        self.stand = Stand::New;
    }

    /// What was to be written was not: whoever found nothing new has nothing to judge again.
    pub(super) fn propose_again(&mut self) {
        if !matches!(self.stand, Stand::Unchanged(_)) {
            self.judge_again();
        }
    }

    /// Another release stands.
    pub(super) fn turn(&mut self) {
        self.clean = None;
        self.judge_again();
    }

    /// A fact that its gates ask about has changed: no verdict is final (DESIGN §3).
    pub(super) fn hear_news(&mut self) {
        self.facts += 1;
        if matches!(self.stand, Stand::Stopped(_) | Stand::Storing(_) | Stand::Ready(_)) {
            self.stand = Stand::New;
            self.retry = Backoff::default();
        }
    }

    /// The standing release may have been proven, or have failed: whoever waited for that waits no more.
    pub(super) fn hear_end(&mut self, log: &Log) {
        let standing = log.standing.as_ref();
        let end = standing.and_then(|standing| Some((standing.sequence, standing.outcome?.0)));
        let end = end.filter(|(_, phase)| matches!(phase, Phase::Proven | Phase::Failed));
        if end.is_some() && self.end != end {
            self.end = end;
            self.hear_news();
        }
    }

    /// The log was read again: what was judged against another opening than the one that stands means nothing.
    pub(super) fn judge_against(&mut self, base: Option<u64>, log: &Log) {
        if self.base != base {
            self.turn();
        }
        let moved = self.accept(log);
        let stated = self.count_stated(log);
        if moved || stated {
            self.hear_news();
        }
    }

    /// Counts what people said to the gates by entries of their own. Says whether there is more of it, or less.
    pub(super) fn count_stated(&mut self, log: &Log) -> bool {
        let says = |action| matches!(action, Action::Freeze | Action::Unfreeze | Action::Hold | Action::Unhold);
        let stated = log.entries.iter().filter(|entry| !entry.lapsed && says(entry.body.action)).count();
        std::mem::replace(&mut self.stated, stated) != stated
    }

    /// Takes the accepted head as it is now. Says whether it moved.
    pub(super) fn accept(&mut self, log: &Log) -> bool {
        let accepted = log.accepted.as_ref().map(|accepted| accepted.id.clone());
        let moved = self.accepted != accepted;
        self.accepted = accepted;
        moved
    }

    /// Whether no candidate is on its way: the tip is what was accepted, or opens nothing.
    pub(super) fn wants_nothing(&self, log: &Log) -> bool {
        match &self.stand {
            Stand::New => self.is_accepted(log),
            Stand::Unchanged(commit) => self.tip.as_ref() == Some(commit),
            Stand::Stopped(_) | Stand::Storing(_) | Stand::Ready(_) | Stand::Opening(_) => false,
        }
    }

    /// How often a fact that gates ask about has changed.
    pub(super) fn facts(&self) -> u64 {
        self.facts
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stand, Stand::Storing(_) | Stand::Ready(_) | Stand::Opening(_))
    }

    /// Whether nothing is left to do for the candidate.
    pub(super) fn rests(&self, log: &Log) -> bool {
        match &self.stand {
            Stand::New => self.is_accepted(log),
            Stand::Unchanged(_) | Stand::Stopped(_) => true,
            Stand::Storing(_) | Stand::Ready(_) | Stand::Opening(_) => false,
        }
    }

    pub(super) fn due_at(&self) -> Option<Timestamp> {
        match &self.stand {
            Stand::New | Stand::Storing(_) => self.retry.due_at(),
            Stand::Stopped(stopped) => {
                let retry = self.retry.due_at().filter(|_| stopped.rests_on_cluster());
                [retry, stopped.until].into_iter().flatten().min()
            }
            _ => None,
        }
    }

    pub(super) fn stopped(&self) -> Option<&Stopped> {
        match &self.stand {
            Stand::Stopped(stopped) => Some(stopped),
            _ => None,
        }
    }

    pub(super) fn ready(&self) -> Option<&Candidate> {
        match &self.stand {
            Stand::Ready(candidate) => Some(candidate),
            _ => None,
        }
    }

    /// The candidate whose `opened` entry is on its way.
    pub(super) fn opening(&self) -> Option<&Candidate> {
        match &self.stand {
            Stand::Opening(candidate) => Some(candidate),
            _ => None,
        }
    }

    /// The candidate's `opened` entry is on its way.
    pub(super) fn start_opening(&mut self) {
        self.stand = match std::mem::take(&mut self.stand) {
            Stand::Ready(candidate) => Stand::Opening(candidate),
            other => other,
        };
    }

    /// The candidate whose `opened` entry was written; the next tip is judged afresh.
    pub(super) fn take_opened(&mut self) -> Option<Candidate> {
        match std::mem::take(&mut self.stand) {
            Stand::Opening(candidate) => Some(*candidate),
            _ => None,
        }
    }

    fn is_accepted(&self, log: &Log) -> bool {
        self.tip.as_ref().is_some_and(|tip| log.is_accepted(tip))
    }
}

impl Stopped {
    /// Whether a fact outside Git could change the verdict, so that it is judged again by and by.
    fn rests_on_cluster(&self) -> bool {
        let outside = |reason: &Reason| {
            matches!(
                reason.code,
                Code::AdoptionNeeded
                    | Code::OwnedByOther
                    | Code::NamespaceNotFound
                    | Code::DryRunDenied
                    | Code::Forbidden
                    | Code::KindNotFound
                    | Code::RecreateNeedsApproval
                    | Code::KeyNotValid
            )
        };
        self.reasons.iter().any(outside)
    }
}

impl Course {
    /// Judges a new tip, and stores the bytes of an admitted one.
    pub(super) fn decide_ahead(&mut self, now: Timestamp) {
        let Some(known) = &self.known else { return };
        let Some(Ok(tip)) = &self.tip else { return };
        if known.log.entries.is_empty() {
            return;
        }
        let (due, base) = (self.ahead.retry.is_due(now), self.base());
        let judge = match &self.ahead.stand {
            Stand::New => !self.ahead.is_accepted(&known.log) && due,
            Stand::Stopped(stopped) => {
                (stopped.rests_on_cluster() && due) || stopped.until.is_some_and(|until| now >= until)
            }
            Stand::Unchanged(commit) => commit != tip,
            Stand::Storing(_) if due => return self.store(),
            Stand::Ready(candidate) => candidate.is_stale(now),
            Stand::Storing(_) | Stand::Opening(_) => false,
        };
        if matches!(self.ahead.stand, Stand::Ready(_)) && judge {
            self.ahead.judge_again();
        }
        let facts = self.ahead.facts;
        if judge && !self.awaits(&Awaited::Judge(tip.clone(), base, facts)) {
            let brief = Brief {
                tip: tip.clone(),
                accepted: known.log.accepted.clone(),
                since: self.since(known),
                upstream: self.upstream,
                standing: known
                    .log
                    .standing
                    .as_ref()
                    .map(|standing| StandingBrief { release: standing.release, inputs: standing.inputs }),
                inventory: known.inventory.clone(),
                past: Past::of(&known.log, self.settings.keep),
                statements: self.decrees.listed.clone(),
            };
            self.issue(Awaited::Judge(tip.clone(), base, facts), Order::Judge(Box::new(brief)));
        }
    }

    /// Since when what the unit brings may be new: with others beside it, the accepted head says nothing about this one.
    fn since(&self, known: &Known) -> Since {
        if self.unit.is_whole() {
            return Since::Accepted;
        }
        let log = &known.log;
        let standing = log.standing.as_ref().map(|standing| &standing.commit.id);
        match (self.ahead.clean.as_ref().or(standing), &log.accepted_before) {
            (Some(commit), _) => Since::Commit(commit.clone()),
            // It never was there: another unit may have been opened at this very commit.
            (None, Some(before)) => Since::Commit(before.clone()),
            (None, None) => Since::Ever,
        }
    }

    pub(super) fn file_judged(&mut self, what: (CommitId, Option<u64>, u64), judged: Judged, now: Timestamp) {
        let (commit, base, facts) = what;
        let stale = (self.known.is_some() && self.base() != base) || self.ahead.facts != facts;
        if stale || self.ahead.tip.as_ref() != Some(&commit) || self.ahead.is_opening() {
            return;
        }
        self.ahead.base = base;
        let Judged { candidate, verdict, durations_ms } = judged;
        match verdict {
            Verdict::Unchanged => {
                self.succeeded();
                self.ahead.clean = Some(commit.clone());
                self.ahead.stand = Stand::Unchanged(commit);
            }
            Verdict::Admitted(opening) => {
                self.succeeded();
                self.ahead.retry = Backoff::default();
                self.ahead.stand = Stand::Storing(Box::new(Candidate::new(candidate, opening, durations_ms, now)));
            }
            Verdict::Stopped { refused, reasons, gates, until } => {
                self.succeeded();
                self.ahead.retry.failed(now, None);
                self.ahead.stand =
                    Stand::Stopped(Box::new(Stopped { commit: candidate, refused, reasons, gates, until }));
            }
            Verdict::Unreachable(reason) => {
                self.ahead.retry.failed(now, None);
                self.ahead.stand = Stand::New;
                self.failed(reason);
            }
        }
    }

    /// The bytes must be durable before the entry that opens them (course.md §2 of the design).
    fn store(&mut self) {
        let Stand::Storing(candidate) = &self.ahead.stand else { return };
        let release = candidate.release();
        if !self.awaits(&Awaited::Store(release)) {
            let bytes = candidate.opening.admitted.set().to_bytes();
            self.issue(Awaited::Store(release), Order::StoreRelease { release, bytes });
        }
    }

    pub(super) fn file_stored(&mut self, release: Digest, stored: Result<(), Reason>, now: Timestamp) {
        match stored {
            Ok(()) => {
                self.succeeded();
                self.ahead.stand = match std::mem::take(&mut self.ahead.stand) {
                    Stand::Storing(candidate) if candidate.release() == release => Stand::Ready(candidate),
                    other => other,
                };
                self.back.stored(release);
            }
            Err(reason) => {
                self.ahead.retry.failed(now, None);
                self.back.retry_later(now);
                self.failed(reason);
            }
        }
    }
}
