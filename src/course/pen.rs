//! The pen: at most one append to the log is in flight. Proposals are looked for in the order of this file, stricter
//! first; the reply says what now stands at that sequence.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::ahead::{Candidate, Stopped};
use super::backoff::{Backoff, later};
use super::tally::Tally;
use super::{Appended, Awaited, Course, Known, Order};
use crate::deploylog::{Action, Cause, Genesis, Log, Phase, Proposal, StandingRelease};
use crate::name::{Code, CommitId, Digest, ObjectKey, Reason, UnitName};

#[derive(Debug, Default)]
pub(super) struct Pen {
    retry: Backoff,
    /// Whose opening is on its way.
    opening: Option<Whose>,
    /// The heals whose summary is on its way.
    heals: Option<Tally>,
    /// The place in the log that the last append was meant for.
    place: usize,
    /// Openings of which nobody knows whether they will still come.
    adrift: Vec<Adrift>,
}

/// An opening that was sent, and not answered.
#[derive(Debug)]
struct Adrift {
    /// The place in the log that it was meant for.
    place: usize,
    release: Digest,
    keys: BTreeSet<ObjectKey>,
    /// From then on it means nothing.
    until: Timestamp,
}

/// An entry that is on its way for longer means nothing (rule 20); and a moment, because stores tell whole seconds.
const TRAVELS: Duration = Duration::from_secs(32);

/// Who asks for an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The branch.
    Candidate,
    /// A statement, or a failure.
    Rollback,
}

impl Pen {
    pub(super) fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let lapses = self.adrift.iter().map(|adrift| adrift.until).filter(|until| *until > now).min();
        self.retry.due_at().filter(|at| *at > now).into_iter().chain(lapses).min()
    }

    /// Whether an opening may still come that names this object (rule 4). Once its place is taken it cannot.
    pub(super) fn may_name(&self, key: &ObjectKey, log: &Log, now: Timestamp) -> bool {
        let may_come = |adrift: &&Adrift| adrift.place >= log.entries.len() && now < adrift.until;
        self.adrift.iter().filter(may_come).any(|adrift| adrift.keys.contains(key))
    }

    /// So much time did not pass.
    pub(super) fn skip(&mut self, span: Duration) {
        for adrift in &mut self.adrift {
            adrift.until = later(adrift.until, span);
        }
    }

    /// Whether a candidate's opening was written is unknown.
    fn set_adrift(&mut self, candidate: &Candidate, now: Timestamp) {
        let (place, release) = (self.place, candidate.release());
        let gone = |adrift: &Adrift| adrift.place < place || now >= adrift.until || adrift.release == release;
        self.adrift.retain(|adrift| !gone(adrift));
        let keys = candidate.opening.admitted.set().objects().map(|(key, _)| key.clone()).collect();
        self.adrift.push(Adrift { place, release, keys, until: later(now, TRAVELS) });
    }
}

impl Course {
    pub(super) fn decide_pen(&mut self, now: Timestamp) {
        if self.awaits(&Awaited::Append) || !self.pen.retry.is_due(now) {
            return;
        }
        let Some((mut proposal, opening)) = self.proposal(now) else { return };
        proposal.units = self.about(proposal.action);
        self.pen.opening = opening;
        self.pen.place = self.known.as_ref().map_or(0, |known| known.log.entries.len());
        if proposal.action == Action::Heal {
            self.pen.heals = Some(std::mem::take(&mut self.behind.tally));
        }
        match opening {
            Some(Whose::Rollback) => self.back.start_opening(),
            Some(Whose::Candidate) => self.ahead.start_opening(),
            None => {}
        }
        self.issue(Awaited::Append, Order::Append(Box::new(proposal)));
    }

    /// The units that an entry of ours is about.
    fn about(&self, action: Action) -> Vec<UnitName> {
        let of_all = match action {
            Action::Genesis => true,
            Action::Freeze | Action::Unfreeze => !self.unit.is_whole(),
            _ => false,
        };
        if of_all { Vec::new() } else { vec![self.unit.clone()] }
    }

    /// Whether an entry waits to be written, be it now or after a back-off.
    pub(super) fn pen_is_wanted(&self) -> bool {
        self.known.as_deref().is_some_and(|known| {
            known.log.entries.is_empty()
                || !known.log.unclosed.is_empty()
                || self.ahead.ready().is_some()
                || self.back.ready().is_some()
                || self.decrees.proposal().is_some()
                || self.refusal(known).is_some()
        })
    }

    /// The one entry to write next, and whose opening it is, if it is one.
    fn proposal(&self, now: Timestamp) -> Option<(Proposal, Option<Whose>)> {
        let known = self.known.as_deref()?;
        let plain = |proposal: Proposal| (proposal, None);
        if known.log.entries.is_empty() {
            return Some(plain(self.genesis(known)));
        }
        if let Some(superseded) = superseded(known) {
            return Some(plain(superseded));
        }
        if self.stopping {
            return self.heals(known, now).map(plain);
        }
        if let Some(decree) = self.decrees.proposal() {
            return Some(plain(decree));
        }
        let back = self.back.ready().map(|candidate| (candidate, Whose::Rollback));
        let ahead = self.ahead.ready().map(|candidate| (candidate, Whose::Candidate));
        let goes_back = |(candidate, _): &(&Candidate, Whose)| candidate.opening.admitted.rollback().is_some();
        if let Some((candidate, whose)) = back.or(ahead.filter(goes_back)) {
            return self.opened(known, candidate).map(|opened| (opened, Some(whose)));
        }
        if let Some(failed) = self.failed_outcome(known, now) {
            return Some(plain(failed));
        }
        if let Some((candidate, whose)) = ahead
            && let Some(opened) = self.opened(known, candidate)
        {
            return Some((opened, Some(whose)));
        }
        if let Some(claimed) = self.claimed(known, now) {
            return Some(plain(claimed));
        }
        if let Some(heals) = self.heals(known, now) {
            return Some(plain(heals));
        }
        self.refusal(known).map(plain)
    }

    /// The summary of the heals of an hour, at its end; and when the agent stops.
    fn heals(&self, known: &Known, now: Timestamp) -> Option<Proposal> {
        let tally = &self.behind.tally;
        let due = self.stopping || tally.due_at().is_some_and(|at| now >= at);
        if tally.is_empty() || !due {
            return None;
        }
        let standing = known.log.standing.as_ref()?;
        let mut proposal = Proposal::new(Action::Heal, None, Some(standing.commit.clone()));
        proposal.release = Some(standing.release);
        proposal.reasons = tally.reasons();
        Some(proposal)
    }

    fn genesis(&self, known: &Known) -> Proposal {
        let mut proposal = Proposal::new(Action::Genesis, None, None);
        proposal.files = self.settings.files.clone();
        proposal.genesis = Some(Genesis {
            cluster: known.cluster.clone(),
            agent_key: known.agent_key.clone(),
            introduction: self.settings.introduction.clone(),
        });
        proposal
    }

    /// The opening of a candidate, unless a write in flight could still touch one of its objects (rule 4).
    fn opened(&self, known: &Known, candidate: &Candidate) -> Option<Proposal> {
        let admitted = &candidate.opening.admitted;
        let set = admitted.set();
        let deleting =
            self.awaited.values().any(|awaited| matches!(awaited, Awaited::Delete(key) if set.get(key).is_some()));
        if deleting {
            return None;
        }
        let action = match admitted.rollback() {
            Some(_) => Action::Rollback,
            None if admitted.promotes() => Action::Promote,
            None => Action::Sync,
        };
        let mut proposal = Proposal::new(action, Some(Phase::Opened), Some(candidate.commit.clone()));
        let signer = candidate.commit.signer.as_ref().map(|signer| signer.principal.to_string());
        let approvers = Some(admitted.approvers().to_owned()).filter(|names| !names.is_empty());
        proposal.actor = signer.or(approvers).unwrap_or_else(|| "agent".to_owned());
        proposal.images = admitted.images().into_iter().collect();
        proposal.irreversible = admitted.irreversible().into_iter().collect();
        proposal.upstream = admitted.upstream().cloned();
        proposal.release = Some(admitted.release());
        proposal.supersedes = known.log.standing.as_ref().map(|standing| standing.sequence);
        proposal.gates = admitted.gates();
        proposal.counts = Some(admitted.counts());
        proposal.durations_ms = candidate.durations_ms.clone();
        proposal.files = self.settings.files.clone();
        proposal.files.extend(admitted.evidence().clone());
        proposal.files.insert("inputs".to_owned(), admitted.inputs().to_text().into_bytes());
        self.going_back(known, candidate, &mut proposal);
        Some(proposal)
    }

    /// What the entry of a rollback says besides.
    fn going_back(&self, known: &Known, candidate: &Candidate, proposal: &mut Proposal) {
        let admitted = &candidate.opening.admitted;
        let Some(rollback) = admitted.rollback() else { return };
        proposal.rollback = Some(rollback.clone());
        proposal.hold = admitted.hold().cloned();
        let Some(standing) = &known.log.standing else { return };
        match rollback.cause {
            Cause::Commit => {}
            Cause::Failure => {
                "agent".clone_into(&mut proposal.actor);
                proposal.reasons.clone_from(&standing.reasons);
            }
            Cause::Statement => {
                let Some(decree) = self.decrees.rollback(standing.sequence) else { return };
                proposal.actor = decree.signer.to_string();
                proposal.statement = Some(decree.stated.clone());
                proposal.files.insert(decree.path(), decree.bytes.clone());
            }
        }
    }

    fn failed_outcome(&self, known: &Known, now: Timestamp) -> Option<Proposal> {
        let standing = known.log.standing.as_ref()?;
        if !matches!(standing.outcome, None | Some((Phase::Settled, _))) {
            return None;
        }
        let failure = self.behind.failure(standing, self.settings.deadline, now);
        let reasons = failure.or_else(|| self.behind.proving.failure(now))?;
        let mut proposal = outcome(&known.log, standing, Phase::Failed);
        proposal.reasons = reasons;
        proposal.durations_ms = self.behind.durations_ms();
        proposal.files = self.behind.proving.evidence();
        Some(proposal)
    }

    fn claimed(&self, known: &Known, now: Timestamp) -> Option<Proposal> {
        let standing = known.log.standing.as_ref()?;
        let mut proposal = outcome(&known.log, standing, self.claim(known, now)?);
        proposal.durations_ms = self.behind.durations_ms();
        proposal.files = self.behind.proving.evidence();
        Some(proposal)
    }

    /// A refusal or a wait, once per candidate and codes, also where two alternate (rule 13).
    fn refusal(&self, known: &Known) -> Option<Proposal> {
        let untold = |stopped: &&Stopped| {
            let codes = stopped.reasons.iter().map(|reason| reason.code).collect();
            !is_told(&known.log, &stopped.commit.id, &codes)
        };
        let both = [self.back.stopped(self.base()), self.ahead.stopped()];
        let stopped = both.into_iter().flatten().find(untold)?;
        let action = if stopped.refused { Action::Refuse } else { Action::Wait };
        let mut proposal = Proposal::new(action, None, Some(stopped.commit.clone()));
        proposal.reasons = stopped.reasons.clone();
        proposal.gates = stopped.gates.clone();
        Some(proposal)
    }

    pub(super) fn file_appended(&mut self, appended: Appended, now: Timestamp) {
        let opening = std::mem::take(&mut self.pen.opening);
        let lapsed = matches!(&appended, Appended::Ours(log) if log.entries.last().is_some_and(|entry| entry.lapsed));
        let written = matches!(appended, Appended::Ours(_)) && !lapsed;
        if let Some(heals) = self.pen.heals.take().filter(|_| !written) {
            self.behind.tally.put_back(heals);
        }
        match appended {
            Appended::Ours(_) if lapsed => {
                // It means nothing, and the next one may lapse as well: this clock may be behind that of the store.
                let text = "the entry came to the store later than it may: is the clock of this machine behind?";
                self.pen.retry.failed(now, None);
                self.append_lost();
                self.failed(Reason::new(Code::JournalUnwritable, text));
            }
            Appended::Ours(log) => self.file_written(*log, opening, now),
            Appended::Overtaken(log) => {
                // It is proposed again, if it still is to be; what is being judged was asked before that entry.
                self.ahead.hear_news();
                self.ahead.propose_again();
                self.back.forget();
                self.known_at = now;
                if let Some(known) = &mut self.known {
                    known.log = *log;
                }
            }
            Appended::Taken => self.append_lost(),
            Appended::Unknown(reason) => {
                self.pen.retry.failed(now, None);
                let lost = match opening {
                    Some(Whose::Candidate) => self.ahead.opening(),
                    Some(Whose::Rollback) => self.back.opening(),
                    None => None,
                };
                if let Some(candidate) = lost {
                    self.pen.set_adrift(candidate, now);
                }
                self.append_lost();
                self.failed(reason);
            }
            Appended::Unwritable(reason) => {
                self.pen.retry.failed(now, None);
                self.append_lost();
                self.failed(reason);
            }
        }
    }

    /// Takes the log with an entry of ours at its end.
    fn file_written(&mut self, log: Log, opening: Option<Whose>, now: Timestamp) {
        self.succeeded();
        let last = log.entries.last().map(|entry| &entry.body);
        if last.is_some_and(|body| body.phase == Some(Phase::Settled)) {
            self.behind.claimed();
        }
        self.ahead.hear_end(&log);
        if self.ahead.count_stated(&log) {
            self.ahead.hear_news();
        }
        self.ahead.accept(&log);
        self.pen.retry = Backoff::default();
        self.known_at = now;
        if let Some(whose) = opening {
            let opened = match whose {
                Whose::Candidate => self.ahead.take_opened(),
                Whose::Rollback => self.back.take_opened(),
            };
            self.behind.open(&log, self.known.as_deref(), opened, now);
            self.look_on();
            // Both were judged against what stood until now.
            self.back.turn();
            self.ahead.turn();
        }
        if let Some(known) = &mut self.known {
            known.log = log;
        }
    }

    fn append_lost(&mut self) {
        // What is being judged was asked before whatever stands there now.
        self.ahead.hear_news();
        self.ahead.propose_again();
        self.back.forget();
        self.reread();
    }
}

/// Whether the log says already, since the last opening, that this commit is stopped for these reasons.
fn is_told(log: &Log, commit: &CommitId, codes: &BTreeSet<Code>) -> bool {
    let valid = log.entries.iter().rev().filter(|entry| !entry.lapsed).map(|entry| &entry.body);
    let mut since = valid.take_while(|body| body.phase != Some(Phase::Opened));
    since.any(|body| {
        let about = body.commit.as_ref().is_some_and(|about| about.id == *commit);
        let stops = matches!(body.action, Action::Refuse | Action::Wait);
        stops && about && body.reasons.iter().map(|reason| reason.code).collect::<BTreeSet<_>>() == *codes
    })
}

fn outcome(log: &Log, standing: &StandingRelease, phase: Phase) -> Proposal {
    let action = action_of(log, standing.sequence);
    let mut proposal = Proposal::new(action, Some(phase), Some(standing.commit.clone()));
    proposal.release = Some(standing.release);
    proposal.of = Some(standing.sequence);
    proposal
}

/// What the entry of an opening did.
fn action_of(log: &Log, sequence: u64) -> Action {
    let opened = log.entries.iter().find(|entry| entry.sequence == sequence);
    opened.map_or(Action::Sync, |entry| entry.body.action)
}

/// One `opened` entry replaces the standing release by itself; the older one is closed afterwards (rule 1).
fn superseded(known: &Known) -> Option<Proposal> {
    let sequence = *known.log.unclosed.first()?;
    let opened = known.log.entries.iter().find(|entry| entry.sequence == sequence)?;
    let mut proposal = Proposal::new(opened.body.action, Some(Phase::Superseded), opened.body.commit.clone());
    proposal.release = opened.body.release;
    proposal.of = Some(sequence);
    let by = known.log.standing.as_ref().map(|standing| standing.commit.id.short().to_owned()).unwrap_or_default();
    proposal.reasons = vec![Reason::new(Code::Superseded, format!("`{by}` took its place"))];
    Some(proposal)
}
