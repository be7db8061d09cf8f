//! What a verified log proves to others, and what it remembers for its own environment.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::entry::{Action, Entry, EntryCommit, Held, Phase, Rollback};
use super::{Inputs, Log};
use crate::name::{CommitId, Digest, EnvironmentName, Reason};

/// Below this directory an entry keeps the raw bytes of the statements that it rests on, each named by the hex digits of
/// the SHA-256 of its signed payload.
pub const STATEMENTS: &str = "evidence/statements/";

/// A release as its log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The sequence of its `opened` entry.
    pub sequence: u64,
    /// The hash of that entry.
    pub hash: Digest,
    /// The SHA-256 of its canonical bytes.
    pub release: Digest,
    /// The commit.
    pub commit: EntryCommit,
    /// Where it goes back to, if it is a rollback.
    pub rollback: Option<Rollback>,
    /// The sequence of the entry that opened what it took the place of.
    pub supersedes: Option<u64>,
    /// What it was rendered from.
    pub inputs: Inputs,
    /// The images that its objects run, as they are written there.
    pub images: BTreeSet<String>,
    /// Its Jobs that cannot be undone.
    pub irreversible: BTreeSet<String>,
    /// The sequence of the entry that first opened these inputs.
    pub first: u64,
    /// The sequences of all entries that opened these inputs.
    pub openings: BTreeSet<u64>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was seen to have settled.
    pub settled_at: Option<Timestamp>,
    /// Its newest outcome and that entry's time; `None` while it is open.
    pub outcome: Option<(Phase, Timestamp)>,
    /// When another release took its place; `None` while it stands.
    pub replaced_at: Option<Timestamp>,
    /// The sequence of the rollback that undid it.
    pub undone: Option<u64>,
    /// The sequence of a hold that stands and holds content of it.
    pub held: Option<u64>,
    /// Why it failed.
    pub reasons: Vec<Reason>,
}

impl Logged {
    /// Whether it is proven, and nobody has taken that back since.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.outcome, Some((Phase::Proven, _))) && self.undone.is_none() && self.held.is_none()
    }

    /// Whether it failed, was undone, or is held.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self.outcome, Some((Phase::Failed, _))) || self.undone.is_some() || self.held.is_some()
    }

    /// Whether it is open: neither proven, nor failed, nor replaced.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.replaced_at.is_none() && matches!(self.outcome, None | Some((Phase::Settled, _)))
    }
}

/// What an environment proves to those downstream of it. Where its log was read makes no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its releases, newest first.
    pub releases: Vec<Logged>,
}

impl Evidence {
    /// What a verified log proves.
    #[must_use]
    pub fn of(environment: &EnvironmentName, log: &Log) -> Self {
        let releases = Told::read(log).releases.iter().rev().map(Line::logged).collect();
        Evidence { environment: environment.clone(), releases }
    }

    /// The newest release that is proven.
    #[must_use]
    pub fn newest_proven(&self) -> Option<&Logged> {
        self.releases.iter().find(|release| release.is_proven())
    }
}

/// A freeze that was stated and has not been ended, be it over or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Until when.
    pub until: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A hold that nobody ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The sequence of its entry.
    pub sequence: u64,
    /// What it holds.
    pub held: Held,
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What an environment's own log says to whoever judges a candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// The standing release.
    pub standing: Option<Logged>,
    /// The releases that can be gone back to, newest first: proven once, first opened before the standing one was first
    /// opened, and among the last of which the bytes are kept.
    pub kept: Vec<Logged>,
    /// The Jobs that cannot be undone, by the sequence of the `opened` entry of their release.
    pub irreversible: BTreeMap<u64, BTreeSet<String>>,
    /// The statements that entries rest on, by the SHA-256 of their signed payload: each counts once.
    pub used: BTreeSet<Digest>,
    /// The freezes that nobody ended.
    pub freezes: Vec<Freeze>,
    /// The holds that nobody ended.
    pub holds: Vec<Hold>,
}

impl Past {
    /// What a verified log says, of which the bytes of the last `keep` releases are kept.
    #[must_use]
    pub fn of(log: &Log, keep: usize) -> Self {
        let told = Told::read(log);
        let marked = told.releases.iter().filter(|line| !line.entry.body.irreversible.is_empty());
        let jobs = |line: &Line<'_>| line.entry.body.irreversible.iter().cloned().collect();
        let mut past = Past {
            standing: told.releases.last().map(Line::logged),
            kept: told.kept(keep),
            irreversible: marked.map(|line| (line.entry.sequence, jobs(line))).collect(),
            holds: told.holds,
            ..Past::default()
        };
        for entry in valid(log) {
            let names = entry.body.files.keys().filter_map(|path| path.strip_prefix(STATEMENTS));
            past.used.extend(names.filter_map(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
            match (entry.body.action, &entry.body.statement) {
                (Action::Freeze, Some(stated)) => past.freezes.extend(stated.until.map(|until| Freeze {
                    until,
                    by: entry.body.actor.clone(),
                    reason: stated.reason.clone(),
                })),
                (Action::Unfreeze, _) => past.freezes.clear(),
                (_, _) => {}
            }
        }
        past
    }

    /// The newest release that can be gone back to and is not held.
    #[must_use]
    pub fn last_good(&self) -> Option<&Logged> {
        self.kept.iter().find(|release| release.held.is_none())
    }

    /// The release that an entry opened, if it can be gone back to.
    #[must_use]
    pub fn earlier(&self, sequence: u64) -> Option<&Logged> {
        self.kept.iter().find(|release| release.openings.contains(&sequence))
    }
}

/// The release before content: where a release of the log has these inputs, the one whose place it first took; else the
/// standing one.
#[must_use]
pub fn release_before(log: &Log, inputs: &Inputs) -> Option<Logged> {
    let told = Told::read(log);
    let digest = inputs.digest();
    match told.releases.iter().position(|line| line.text.1 == digest) {
        Some(place) => place.checked_sub(1).map(|before| told.releases[before].logged()),
        None => told.releases.last().map(Line::logged),
    }
}

/// Every commit that a log names as shipped.
pub fn shipped(log: &Log) -> impl Iterator<Item = &CommitId> {
    log.entries.iter().flat_map(|entry| shipped_by(entry))
}

/// Every commit that an entry names as shipped.
pub(super) fn shipped_by(entry: &Entry) -> impl Iterator<Item = &CommitId> {
    let opens = !entry.lapsed && entry.body.phase == Some(Phase::Opened);
    let commit = entry.body.commit.as_ref().filter(|_| opens);
    commit.into_iter().flat_map(|commit| std::iter::once(&commit.id).chain(&commit.ships))
}

fn valid(log: &Log) -> impl Iterator<Item = &Entry> {
    log.entries.iter().map(AsRef::as_ref).filter(|entry: &&Entry| !entry.lapsed)
}

/// An `opened` entry and what came of it. Inputs are read only where somebody asks for them.
struct Line<'l> {
    entry: &'l Entry,
    /// The text of its inputs, and the digest of that.
    text: (&'l [u8], Digest),
    inputs: OnceCell<Inputs>,
    first: u64,
    settled_at: Option<Timestamp>,
    outcome: Option<(Phase, Timestamp)>,
    replaced_at: Option<Timestamp>,
    undone: Option<u64>,
    held: Option<u64>,
    reasons: &'l [Reason],
}

impl Line<'_> {
    fn inputs(&self) -> &Inputs {
        // What cannot be read equals nothing, so it proves nothing.
        self.inputs.get_or_init(|| Inputs::read(self.text.0).unwrap_or_default())
    }

    fn holds_all(&self, held: &Held) -> bool {
        let inputs = self.inputs();
        !held.files.is_empty() && held.files.iter().all(|(path, digest)| inputs.files.get(path) == Some(digest))
    }

    fn logged(&self) -> Logged {
        let body = &self.entry.body;
        Logged {
            sequence: self.entry.sequence,
            hash: self.entry.hash,
            release: body.release.expect("because an `opened` entry without a release is not replayed"),
            commit: body.commit.clone().expect("because an `opened` entry without a commit is not replayed"),
            rollback: body.rollback.clone(),
            supersedes: body.supersedes,
            inputs: self.inputs().clone(),
            images: body.images.iter().cloned().collect(),
            irreversible: body.irreversible.iter().cloned().collect(),
            first: self.first,
            openings: BTreeSet::from([self.entry.sequence]),
            opened_at: self.entry.time,
            settled_at: self.settled_at,
            outcome: self.outcome,
            replaced_at: self.replaced_at,
            undone: self.undone,
            held: self.held,
            reasons: self.reasons.to_vec(),
        }
    }
}

/// The releases of a log, oldest first, and its holds.
#[derive(Default)]
struct Told<'l> {
    releases: Vec<Line<'l>>,
    by_sequence: BTreeMap<u64, usize>,
    holds: Vec<Hold>,
}

impl<'l> Told<'l> {
    fn read(log: &'l Log) -> Self {
        let mut told = Told::default();
        let mut text: (&[u8], Digest) = (b"", Digest::of(b""));
        for entry in valid(log) {
            let body = &entry.body;
            if let Some(bytes) = body.files.get("inputs") {
                text = (bytes, Digest::of(bytes));
            }
            match (body.phase, body.of) {
                // What opened several units is read unit by unit: of the whole it says no release.
                (Some(Phase::Opened), _) if body.release.is_none() => {}
                (Some(Phase::Opened), _) => told.open(entry, text),
                (Some(phase), Some(of)) => told.end(entry, phase, of),
                (None, Some(of)) if body.action == Action::Unhold => told.holds.retain(|hold| hold.sequence != of),
                (_, _) => {}
            }
            if let Some(held) = &body.hold {
                told.holds.push(hold(entry, held));
            }
        }
        told.hold_back();
        told
    }

    fn open(&mut self, entry: &'l Entry, text: (&'l [u8], Digest)) {
        if let Some(last) = self.releases.last_mut() {
            last.replaced_at = Some(entry.time);
            if entry.body.rollback.is_some() {
                last.undone = Some(entry.sequence);
            }
        }
        let same = self.releases.iter().find(|line| line.text.1 == text.1);
        let line = Line {
            entry,
            text,
            inputs: OnceCell::new(),
            first: same.map_or(entry.sequence, |line| line.first),
            settled_at: None,
            outcome: None,
            replaced_at: None,
            undone: None,
            held: None,
            reasons: &[],
        };
        self.by_sequence.insert(entry.sequence, self.releases.len());
        self.releases.push(line);
    }

    fn end(&mut self, entry: &'l Entry, phase: Phase, of: u64) {
        let Some(line) = self.by_sequence.get(&of).and_then(|place| self.releases.get_mut(*place)) else { return };
        line.outcome = Some((phase, entry.time));
        line.reasons = &entry.body.reasons;
        if phase == Phase::Settled {
            line.settled_at = Some(entry.time);
        }
    }

    /// A hold takes back what was proven before it.
    fn hold_back(&mut self) {
        for hold in &self.holds {
            let before = self.releases.iter_mut().filter(|line| line.entry.sequence < hold.sequence);
            for line in before.filter(|line| line.holds_all(&hold.held)) {
                line.held = Some(hold.sequence);
            }
        }
    }

    /// See [`Past::kept`]. A release that was opened several times counts as its newest opening.
    fn kept(&self, keep: usize) -> Vec<Logged> {
        let Some(standing) = self.releases.last() else { return Vec::new() };
        let mut bytes = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut kept = Vec::new();
        for line in self.releases.iter().rev() {
            bytes.insert(line.entry.body.release);
            if bytes.len() > keep.max(1) {
                break;
            }
            let proven =
                |other: &&Line<'_>| other.text.1 == line.text.1 && matches!(other.outcome, Some((Phase::Proven, _)));
            if line.first < standing.first
                && seen.insert(line.text.1)
                && self.releases.iter().any(|other| proven(&other))
            {
                let same = self.releases.iter().filter(|other| other.text.1 == line.text.1);
                let openings = same.map(|other| other.entry.sequence).collect();
                kept.push(Logged { openings, ..line.logged() });
            }
        }
        kept
    }
}

fn hold(entry: &Entry, held: &Held) -> Hold {
    let body = &entry.body;
    let failed = || body.reasons.first().map(|reason| reason.message.clone()).unwrap_or_default();
    Hold {
        sequence: entry.sequence,
        held: held.clone(),
        since: entry.time,
        by: body.actor.clone(),
        reason: body.statement.as_ref().map_or_else(failed, |stated| stated.reason.clone()),
    }
}
