//! Freezes, holds and their ends: journalled as soon as they are seen, so that nobody lifts one by deleting its tag.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::backoff::Backoff;
use super::{Awaited, Course, Decree, Order};
use crate::deploylog::{Action, Log, Proposal, STATEMENTS};
use crate::name::{ObjectId, Reason, RefName};
use crate::revision::statement::{self, Verb};

/// The statements that the repository holds about the environment, and what became of those about freezes.
#[derive(Debug, Default)]
pub(super) struct Decrees {
    pub(super) listed: BTreeMap<RefName, ObjectId>,
    /// Tags that were read.
    read: BTreeSet<ObjectId>,
    /// What is to be journalled.
    pending: Vec<Decree>,
    retry: Backoff,
}

impl Decrees {
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.retry.due_at()
    }

    /// The tags that were not read yet, but for approvals: those are asked about when a candidate is judged.
    fn unread(&self) -> BTreeMap<RefName, ObjectId> {
        let about = |name: &RefName| statement::address(name).map(|address| address.verb);
        let decrees = |name: &RefName| about(name).is_some_and(|verb| verb != Verb::Approve);
        let unread = self.listed.iter().filter(|(name, id)| decrees(name) && !self.read.contains(*id));
        unread.map(|(name, id)| (name.clone(), id.clone())).collect()
    }

    /// The newest statement to roll back what this entry opened.
    pub(super) fn rollback(&self, sequence: u64) -> Option<&Decree> {
        let about = |decree: &&Decree| decree.action == Action::Rollback && decree.of == Some(sequence);
        self.pending.iter().rev().find(about)
    }

    /// The next one to be journalled; a rollback is journalled with what it opens. What ends freezes goes first: it ends those before it, and never one that was
    /// stated while the agent did not look.
    pub(super) fn proposal(&self) -> Option<Proposal> {
        let pending = || self.pending.iter().filter(|decree| decree.action != Action::Rollback);
        let ends = pending().find(|decree| decree.action == Action::Unfreeze);
        let decree = ends.or_else(|| pending().next())?;
        let mut proposal = Proposal::new(decree.action, None, None);
        proposal.actor = decree.signer.to_string();
        proposal.statement = Some(decree.stated.clone());
        proposal.hold.clone_from(&decree.hold);
        proposal.of = decree.of;
        proposal.files = BTreeMap::from([(decree.path(), decree.bytes.clone())]);
        Some(proposal)
    }
}

impl Course {
    /// Another set of statements is there than before: whoever waits is judged again.
    pub(super) fn file_statements(&mut self, listed: BTreeMap<RefName, ObjectId>) {
        if self.decrees.listed != listed {
            self.decrees.listed = listed;
            self.ahead.hear_news();
        }
    }

    pub(super) fn decide_decrees(&mut self, now: Timestamp) {
        if let Some(known) = &self.known {
            // The log is asked only while something is pending: this runs at every event.
            let standing = self.base();
            let late = |decree: &Decree| decree.action == Action::Rollback && decree.of < standing;
            self.decrees.pending.retain(|decree| !late(decree) && !is_journalled(&known.log, decree));
        }
        let unread = self.decrees.unread();
        let ready = self.known.as_ref().is_some_and(|known| !known.log.entries.is_empty());
        if unread.is_empty() || !ready || !self.decrees.retry.is_due(now) {
            return;
        }
        if !self.awaited.values().any(|awaited| matches!(awaited, Awaited::Statements(_))) {
            self.issue(Awaited::Statements(unread.clone()), Order::ReadStatements(unread));
        }
    }

    pub(super) fn file_decrees(
        &mut self,
        asked: BTreeMap<RefName, ObjectId>,
        found: Result<Vec<Decree>, Reason>,
        now: Timestamp,
    ) {
        match found {
            Ok(found) => {
                self.decrees.retry = Backoff::default();
                self.decrees.read.extend(asked.into_values());
                self.decrees.pending.extend(found);
            }
            Err(_) => self.decrees.retry.failed(now, None),
        }
    }
}

impl Decree {
    /// Where an entry keeps the raw statement.
    pub(super) fn path(&self) -> String {
        format!("{STATEMENTS}{}", self.stated.payload_hash.hex())
    }
}

fn is_journalled(log: &Log, decree: &Decree) -> bool {
    let path = decree.path();
    log.entries.iter().any(|entry| !entry.lapsed && entry.body.files.contains_key(&path))
}
