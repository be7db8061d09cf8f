//! What is the next step of the walk?
//!
//! The walk of one unit of an environment as a pure machine: [`Course::step`] files what it hears, then one `decide` looks at
//! everything that is known and issues what is missing. There is one path for first run, retry, restart and pre-emption.
//!
//! | step of the walk | where |
//! |---|---|
//! | 1–2 wake, fetch | [`Event::Tip`]: the agent looks, one `ls-remote` for all environments of a repository |
//! | 3–8 verify, render, observe, plan, admit | `ahead`: [`Order::Judge`] |
//! | back | `rollback`: [`Order::RollBack`] where no commit asks for it; it opens like a candidate |
//! | 9 open | `ahead`: [`Order::StoreRelease`], then `pen`: [`Order::Append`]; accepted head and standing release move here |
//! | 10 apply | `inventory`: widened; `release`: [`Order::Apply`] by stage and wave |
//! | 11 settle | `behind`: [`Order::Watch`], health by sighting |
//! | 12 prune | `inventory`: [`Order::Delete`] of doomed members, then the inventory narrowed |
//! | 13–14 record, prove | `behind`: [`Order::Confirm`], then `pen` |
//! | side by side | `courses`: the units of an environment share its log, its pen, its watches and its tip |
//! | ever after | `seeing`: what drifts is healed; `heat`: no fight without end; `tally`: told once an hour |
//!
//! State is the fold of the environment's log (durable truth), the facts last seen, and volatile progress of the standing
//! release, which a crash loses and the next run recomputes. No decision rests on a reply that is not awaited any more.

mod ahead;
mod backoff;
mod behind;
mod courses;
mod decrees;
mod heat;
mod inventory;
mod object;
mod order;
mod overview;
mod pen;
mod promoting;
mod proving;
mod queue;
mod release;
mod rollback;
mod seeing;
mod tally;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::health::check::Check;
use crate::manifest::Fence;
use crate::name::{CheckName, CommitId, Digest, EnvironmentName, ObjectId, ObjectKey, Reason, RefName, UnitName};
use crate::plan::drift::HashKey;
use crate::plan::{Inventory, Policy};

use ahead::Ahead;
use backoff::Backoff;
use behind::Behind;
pub use courses::{Assigned, Courses, Heard, Ledger, Overviews, Together, Units, of_another};
use decrees::Decrees;
pub use order::{
    Answer, Appended, Applied, Back, Brief, Decree, Deleted, Event, Glance, InventoryWritten, Issued, Judged, Known,
    Loss, News, Opening, Order, Reverted, Sighting, Since, StandingBrief, Telling, Token, Verdict, WakeAt,
};
pub use overview::{Drifts, Overview, Stop};
use pen::Pen;
pub use promoting::Promoted;
use promoting::Promoting;
pub use release::Progress;
use rollback::GoingBack;

/// What the configuration says about one environment's walk.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The environment.
    pub environment: EnvironmentName,
    /// From the `opened` entry until a release that has not settled fails.
    pub deadline: Duration,
    /// How long it must be healthy before it is proven.
    pub soak: Duration,
    /// Whether a release that fails makes room for the one before it.
    pub rolls_back: bool,
    /// Whether the agent can push the commit that makes Git agree with a rollback.
    pub reverts: bool,
    /// Whether the agent moves the branch itself when upstream is proven.
    pub promotes: bool,
    /// What a settled release must pass before it is proven.
    pub checks: Vec<Check>,
    /// How many releases stay recallable.
    pub keep: usize,
    /// What a plan may do.
    pub policy: Policy,
    /// What the environment may touch.
    pub fence: Fence,
    /// The key of the hashes by which drift is seen.
    pub hash_key: HashKey,
    /// Files that every entry carries: `signers`, `policy.yaml`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The commits up to which history is taken as it is.
    pub introduction: Vec<CommitId>,
}

/// What an awaited answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaited {
    Log,
    /// The candidate, the opening that it is judged against, and how often the facts of its gates had changed.
    Judge(CommitId, Option<u64>, u64),
    Statements(BTreeMap<RefName, ObjectId>),
    /// The tip, and how often a fact had changed.
    Promote(CommitId, u64),
    /// The opening to be undone, the statement that says so, and the holds that stand.
    RollBack((u64, Option<Digest>, BTreeSet<u64>)),
    /// The rollback with which Git is to agree.
    Revert(u64),
    Store(Digest),
    Append,
    Recall(u64),
    Inventory,
    Apply(u64, ObjectKey),
    Delete(ObjectKey),
    Look(u64, ObjectKey),
    Confirm(u64),
    /// The opening, the check, and when it was asked.
    Check(u64, CheckName, Timestamp),
    Other,
}

/// How an environment stands when nothing more happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Everything that can be done now is done.
    Quiet,
    /// The same order failed several times in a row.
    Stuck(Reason),
}

/// Failures in a row of one essential order after which [`Course::rest`] calls the environment stuck.
const STUCK_AFTER: u32 = 3;

/// The walk of one unit. Those of an environment walk side by side: [`Courses`].
#[derive(Debug)]
pub struct Course {
    /// The unit that walks; `.` where the environment is one.
    unit: UnitName,
    settings: Arc<Settings>,
    known: Option<Box<Known>>,
    /// When that was last known to be all there is.
    known_at: Timestamp,
    reading: Backoff,
    tip: Option<Result<CommitId, Reason>>,
    decrees: Decrees,
    promoting: Promoting,
    back: GoingBack,
    /// The entries that the log upstream had when it was last heard of.
    upstream: u64,
    ahead: Ahead,
    behind: Behind,
    pen: Pen,
    awaited: BTreeMap<Token, Awaited>,
    /// Objects with a write in flight: never two at once for one object.
    writing: BTreeSet<ObjectKey>,
    /// The inventory that is being written, for whichever opening.
    writing_inventory: Option<Inventory>,
    /// How many inventories were known so far.
    inventories: u64,
    /// The agent is told to stop.
    stopping: bool,
    collected: Option<Digest>,
    failures: u32,
    trouble: Option<Reason>,
    next_token: u64,
    issued: Vec<Issued>,
}

impl Course {
    /// A walk that knows nothing yet; the first [`Event::Tick`] reads the log.
    #[must_use]
    pub fn new(settings: Arc<Settings>, unit: UnitName) -> Self {
        Course {
            unit,
            settings,
            known: None,
            known_at: Timestamp::MIN,
            reading: Backoff::default(),
            tip: None,
            decrees: Decrees::default(),
            promoting: Promoting::default(),
            back: GoingBack::default(),
            upstream: 0,
            ahead: Ahead::default(),
            behind: Behind::default(),
            pen: Pen::default(),
            awaited: BTreeMap::new(),
            writing: BTreeSet::new(),
            writing_inventory: None,
            inventories: 0,
            stopping: false,
            collected: None,
            failures: 0,
            trouble: None,
            next_token: 0,
            issued: Vec::new(),
        }
    }

    /// Files the event and says what to do next, and when to come back at the latest.
    #[must_use = "carry the orders out"]
    pub fn step(&mut self, event: Event, now: Timestamp) -> (Vec<Issued>, Option<WakeAt>) {
        match event {
            Event::Tick => self.behind.look_again(now),
            Event::Tip(tip) => self.file_tip(tip),
            Event::Statements(listed) => self.file_statements(listed),
            Event::Upstream(entries) => self.file_upstream(entries),
            Event::Sighting(sighting) => self.file_sighting(sighting, now),
            Event::ClockJumped(by) => {
                self.behind.skip(by);
                self.pen.skip(by);
            }
            Event::Stop => self.stopping = true,
            Event::Answer(token, answer) => {
                if let Some(awaited) = self.awaited.remove(&token) {
                    self.file_answer(awaited, answer, now);
                }
            }
        }
        self.decide(now);
        let wake = self.wake_at(now).map(WakeAt);
        (std::mem::take(&mut self.issued), wake)
    }

    /// Whether nothing more happens by itself: for `run --once`.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        if self.failures >= STUCK_AFTER {
            return self.trouble.clone().map(Rest::Stuck);
        }
        let busy = self.awaited.values().any(|awaited| *awaited != Awaited::Other);
        let known = self.known.as_ref()?;
        let tip = self.tip.as_ref()?;
        let promoted = tip.as_ref().is_ok_and(|tip| self.promoting.rests(tip));
        let ahead = tip.is_err() || (promoted && self.ahead.rests(&known.log));
        let back = self.rollback_rests(known);
        let behind = self.behind.rests(known, &self.settings);
        (!busy && ahead && back && behind && !self.pen_is_wanted()).then_some(Rest::Quiet)
    }

    /// The log and inventory as last read, if they were.
    #[must_use]
    pub fn known(&self) -> Option<&Known> {
        self.known.as_deref()
    }

    /// How far the standing release has come, for progress on a terminal.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.behind.progress()
    }

    fn file_tip(&mut self, tip: Result<CommitId, Reason>) {
        if let Ok(commit) = &tip {
            self.ahead.see_tip(commit);
        }
        self.tip = Some(tip);
    }

    /// The log upstream has grown: what it proves may have changed.
    fn file_upstream(&mut self, entries: u64) {
        if self.upstream != entries {
            self.upstream = entries;
            self.ahead.hear_news();
        }
    }

    fn file_answer(&mut self, awaited: Awaited, answer: Answer, now: Timestamp) {
        match (awaited, answer) {
            (Awaited::Log, Answer::Log(read)) => self.file_log(read, now),
            (Awaited::Judge(commit, base, facts), Answer::Judged(judged)) => {
                self.file_judged((commit, base, facts), *judged, now);
            }
            (Awaited::Promote(tip, facts), Answer::Promoted(promoted)) => {
                self.file_promoted((tip, facts), promoted, now);
            }
            (Awaited::RollBack(asked), Answer::RolledBack(judged)) => self.file_rolled_back(asked, *judged, now),
            (Awaited::Revert(sequence), Answer::Reverted(reverted)) => self.file_reverted(sequence, reverted, now),
            (Awaited::Statements(asked), Answer::Statements(found)) => self.file_decrees(asked, found, now),
            (Awaited::Store(release), Answer::Stored(stored)) => self.file_stored(release, stored, now),
            (Awaited::Append, Answer::Appended(appended)) => self.file_appended(appended, now),
            (Awaited::Recall(sequence), Answer::Recalled(recalled)) => self.file_recalled(sequence, recalled, now),
            (Awaited::Inventory, Answer::Inventory(written)) => self.file_inventory(written, now),
            (Awaited::Apply(sequence, key), Answer::Applied(applied)) => {
                self.writing.remove(&key);
                self.file_applied(sequence, key, applied, now);
            }
            (Awaited::Delete(key), Answer::Deleted(deleted)) => {
                self.writing.remove(&key);
                let member = self.known.as_ref().and_then(|known| known.inventory.members.get(&key));
                let uid = member.and_then(|member| member.uid.clone());
                // Where the row is out of date, this is the one that was meant.
                let uid = self.behind.renew.get(&key).cloned().flatten().or(uid);
                self.behind.file_deleted(key, uid, deleted, now);
            }
            (Awaited::Look(sequence, key), Answer::Looked(looked)) => self.file_looked(sequence, &key, looked, now),
            (Awaited::Confirm(sequence), Answer::Confirmed(read)) => self.file_confirmed(sequence, read, now),
            (Awaited::Check(opening, name, asked_at), Answer::Checked(reading)) => {
                self.file_checked(opening, &name, asked_at, &reading);
            }
            (Awaited::Other, _) => {}
            (awaited, answer) => unreachable!("because an order has one kind of answer: {awaited:?}, {answer:?}"),
        }
    }

    fn file_log(&mut self, read: Result<Box<Known>, Reason>, now: Timestamp) {
        match read {
            Ok(known) => {
                self.succeeded();
                self.reading = Backoff::default();
                self.ahead.hear_end(&known.log);
                let base = known.log.standing.as_ref().map(|standing| standing.sequence);
                self.ahead.judge_against(base, &known.log);
                self.known = Some(known);
                self.inventories += 1;
                self.known_at = now;
                // It is asked for again, if it still is to be.
                self.back.forget();
            }
            Err(reason) => {
                self.reading.failed(now, None);
                self.failed(reason);
            }
        }
    }

    /// The sequence of the standing release: what a candidate is judged against.
    fn base(&self) -> Option<u64> {
        self.known.as_ref()?.log.standing.as_ref().map(|standing| standing.sequence)
    }

    /// Forgets the log, so that it is read before anything else is done.
    fn reread(&mut self) {
        self.known = None;
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.trouble = None;
    }

    fn failed(&mut self, reason: Reason) {
        self.failures += 1;
        self.trouble = Some(reason);
    }

    fn decide(&mut self, now: Timestamp) {
        if self.stopping {
            self.tell(now);
            return self.decide_pen(now);
        }
        self.decide_behind(now);
        self.decide_decrees(now);
        self.decide_rollback(now);
        self.decide_ahead(now);
        self.decide_promoting(now);
        self.decide_reverting(now);
        self.decide_pen(now);
        self.collect();
        self.read(now);
    }

    /// Reads the log if it is not known; not while it or the inventory is being written, so that what is read is never
    /// older than what an answer tells.
    fn read(&mut self, now: Timestamp) {
        let writing = self.awaits(&Awaited::Append) || self.awaits(&Awaited::Inventory);
        if self.known.is_none() && !writing && !self.awaits(&Awaited::Log) && self.reading.is_due(now) {
            self.issue(Awaited::Log, Order::ReadLog);
        }
    }

    /// Removes the bytes of releases that need not be recalled any more, once per opening.
    fn collect(&mut self) {
        let Some(known) = &self.known else { return };
        let Some(standing) = &known.log.standing else { return };
        let open = matches!(standing.outcome, None | Some((crate::deploylog::Phase::Settled, _)));
        if open || self.collected == Some(standing.release) || self.ahead.is_opening() || self.back.is_opening() {
            return;
        }
        self.collected = Some(standing.release);
        let keep = self.keeps(known);
        self.issue(Awaited::Other, Order::Collect(keep));
    }

    /// The releases that stay recallable.
    fn keeps(&self, known: &Known) -> BTreeSet<Digest> {
        let opened = known.log.entries.iter().rev().filter_map(|entry| {
            let opened = entry.body.phase == Some(crate::deploylog::Phase::Opened) && !entry.lapsed;
            entry.body.release.filter(|_| opened)
        });
        let mut keep = BTreeSet::new();
        for release in opened {
            if keep.len() >= self.settings.keep.max(1) {
                break;
            }
            keep.insert(release);
        }
        keep
    }

    fn awaits(&self, wanted: &Awaited) -> bool {
        self.awaited.values().any(|awaited| awaited == wanted)
    }

    fn issue(&mut self, awaited: Awaited, order: Order) {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.awaited.insert(token, awaited);
        self.issued.push(Issued { token, order });
    }

    fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let reading = if self.known.is_none() { self.reading.due_at() } else { None };
        let deadline = self.known.as_ref().and_then(|known| self.behind.wakes_at(&known.log, &self.settings, now));
        // What was due at this moment has just been decided: a time that has passed would only spin.
        let heals = self.behind.tally.due_at();
        let times = [
            reading,
            deadline,
            self.ahead.due_at(),
            self.decrees.due_at(),
            self.promoting.due_at(),
            self.back.due_at(),
            self.pen.due_at(now),
            heals,
        ]
        .into_iter()
        .flatten();
        times.filter(|time| *time > now).min()
    }
}
