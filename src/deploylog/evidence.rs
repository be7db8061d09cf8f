//! What a verified log proves to others, and what it remembers for its own environment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::entry::{Action, Entry, EntryCommit, Phase};
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
    /// The commit.
    pub commit: EntryCommit,
    /// What it was rendered from.
    pub inputs: Inputs,
    /// The images that its objects run, as they are written there.
    pub images: BTreeSet<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was seen to have settled.
    pub settled_at: Option<Timestamp>,
    /// Its newest outcome and that entry's time; `None` while it is open.
    pub outcome: Option<(Phase, Timestamp)>,
    /// When another release took its place; `None` while it stands.
    pub replaced_at: Option<Timestamp>,
    /// Why it failed.
    pub reasons: Vec<Reason>,
}

impl Logged {
    /// Whether it is proven.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.outcome, Some((Phase::Proven, _)))
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
    /// Every commit that its log names as shipped.
    pub commits: BTreeSet<CommitId>,
}

impl Evidence {
    /// What a verified log proves.
    #[must_use]
    pub fn of(environment: &EnvironmentName, log: &Log) -> Self {
        let bodies = valid(log).filter(|entry| entry.body.phase == Some(Phase::Opened));
        let commits = bodies.filter_map(|entry| entry.body.commit.as_ref());
        let commits = commits.flat_map(|commit| std::iter::once(&commit.id).chain(&commit.ships)).cloned().collect();
        Evidence { environment: environment.clone(), releases: releases(log), commits }
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

/// What an environment's own log says to whoever judges a candidate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// The standing release.
    pub standing: Option<Logged>,
    /// The statements that entries rest on, by the SHA-256 of their signed payload: each counts once.
    pub used: BTreeSet<Digest>,
    /// The freezes that nobody ended.
    pub freezes: Vec<Freeze>,
}

impl Past {
    /// What a verified log says.
    #[must_use]
    pub fn of(log: &Log) -> Self {
        let mut past = Past { standing: releases(log).into_iter().next(), ..Past::default() };
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
}

fn valid(log: &Log) -> impl Iterator<Item = &Entry> {
    log.entries.iter().filter(|entry| !entry.lapsed)
}

/// Every release of a log, newest first.
fn releases(log: &Log) -> Vec<Logged> {
    let mut inputs = Inputs::default();
    let mut found: Vec<Logged> = Vec::new();
    let mut by_sequence: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in valid(log) {
        let body = &entry.body;
        if let Some(text) = body.files.get("inputs") {
            // What cannot be read equals nothing, so it proves nothing.
            inputs = Inputs::read(text).unwrap_or_default();
        }
        match (body.phase, &body.commit, body.of) {
            (Some(Phase::Opened), Some(commit), _) => {
                if let Some(last) = found.last_mut() {
                    last.replaced_at = Some(entry.time);
                }
                by_sequence.insert(entry.sequence, found.len());
                found.push(Logged {
                    sequence: entry.sequence,
                    hash: entry.hash,
                    commit: commit.clone(),
                    inputs: inputs.clone(),
                    images: body.images.iter().cloned().collect(),
                    opened_at: entry.time,
                    settled_at: None,
                    outcome: None,
                    replaced_at: None,
                    reasons: Vec::new(),
                });
            }
            (Some(phase), _, Some(of)) => {
                let Some(release) = by_sequence.get(&of).and_then(|place| found.get_mut(*place)) else { continue };
                release.outcome = Some((phase, entry.time));
                release.reasons.clone_from(&body.reasons);
                if phase == Phase::Settled {
                    release.settled_at = Some(entry.time);
                }
            }
            (_, _, _) => {}
        }
    }
    found.reverse();
    found
}
