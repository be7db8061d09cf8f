//! What units want to write down, until the pen is free: what may stand in one entry is written together.

use std::collections::BTreeMap;

use super::Token;
use crate::deploylog::{Action, Phase, Proposal};
use crate::name::{CommitId, UnitName};

/// The most units of one entry: so many releases, with what they read, fit into the objects that keep an entry.
const UNITS: usize = 1000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Queue {
    proposals: BTreeMap<UnitName, (Token, Proposal)>,
}

/// Stricter first (course.md, section 1).
fn rank(proposal: &Proposal) -> u8 {
    match (proposal.action, proposal.phase) {
        (Action::Genesis, _) => 0,
        (_, Some(Phase::Superseded)) => 1,
        (Action::Freeze | Action::Unfreeze | Action::Hold | Action::Unhold, _) => 2,
        (Action::Rollback, Some(Phase::Opened)) => 3,
        (_, Some(Phase::Failed)) => 4,
        (_, Some(Phase::Opened)) => 5,
        (_, Some(Phase::Settled | Phase::Proven)) => 6,
        (Action::Heal, _) => 7,
        (_, _) => 8,
    }
}

impl Queue {
    pub(super) fn put(&mut self, unit: &UnitName, token: Token, proposal: Proposal) {
        self.proposals.insert(unit.clone(), (token, proposal));
    }

    /// Those that wait.
    pub(super) fn units(&self) -> impl Iterator<Item = &UnitName> {
        self.proposals.keys()
    }

    /// Takes out the strictest, and all that may stand in one entry with it. What is about the environment stands alone.
    pub(super) fn next(&mut self) -> Option<(Vec<(UnitName, Token)>, Proposal)> {
        let (_, (_, first)) = self.proposals.iter().min_by_key(|(_, (_, proposal))| rank(proposal))?;
        let first = first.clone();
        let alone = first.units.is_empty();
        let like = self.proposals.iter().filter(|(_, (_, proposal))| proposal.is_like(&first));
        let units: Vec<UnitName> = like.map(|(unit, _)| unit.clone()).take(if alone { 1 } else { UNITS }).collect();
        let (mut writers, mut proposals) = (Vec::new(), Vec::new());
        for unit in units {
            let Some((token, proposal)) = self.proposals.remove(&unit) else { continue };
            writers.push((unit, token));
            proposals.push(proposal);
        }
        Some((writers, Proposal::joint(proposals)))
    }

    /// Takes out the openings at another commit than this one, but for those that go back.
    pub(super) fn withdraw(&mut self, tip: &CommitId) -> Vec<(UnitName, Token)> {
        let stale = |proposal: &Proposal| {
            proposal.phase == Some(Phase::Opened)
                && proposal.rollback.is_none()
                && proposal.commit.as_ref().is_some_and(|commit| commit.id != *tip)
        };
        let out: Vec<(UnitName, Token)> = self
            .proposals
            .iter()
            .filter(|(unit, (_, proposal))| !unit.is_whole() && stale(proposal))
            .map(|(unit, (token, _))| (unit.clone(), *token))
            .collect();
        for (unit, _) in &out {
            self.proposals.remove(unit);
        }
        out
    }

    /// Takes out all.
    pub(super) fn clear(&mut self) -> Vec<(UnitName, Token)> {
        std::mem::take(&mut self.proposals).into_iter().map(|(unit, (token, _))| (unit, token)).collect()
    }
}
