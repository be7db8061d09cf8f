//! A candidate before its gates: what is known of it, and the gates in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    Approvers, Gate, Rules, Verdict, approvals, holds, intent, own_changes, queue, signatures, time, upstream, words,
};
use crate::deploylog::{self, Evidence, Inputs, Past};
use crate::manifest::ManifestSet;
use crate::name::{Code, CommitId, Digest, Reason, RepoPath};
use crate::render;
use crate::revision::statement::Statement;
use crate::revision::{Carrier, FirstSeen, JudgedCommit, Verified};

/// When a candidate is judged again that waits while clocks differ.
const CLOCKS_AGAIN: Duration = Duration::from_secs(60);

/// Where the content of a path came from, among the new commits of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This commit brought it.
    Commit(CommitId),
    /// It stands in an introduction, where history is taken as it is.
    Introduced,
}

/// What edges found about a candidate: facts, but for the statements, which are proofs.
#[derive(Debug, Default)]
pub struct Facts {
    /// What the log of the upstream environment proves; `None` without `from`.
    pub evidence: Option<Evidence>,
    /// Every commit that a log upstream names as shipped, over all environments that lead here.
    pub upstream_commits: BTreeSet<CommitId>,
    /// The statements about this environment whose signature holds.
    pub statements: Vec<Arc<Statement>>,
    /// Why each approval that is nobody's counts for nothing.
    pub void: Vec<String>,
    /// The raw bytes of the statements, by the SHA-256 of their signed payload.
    pub statement_bytes: BTreeMap<Digest, Vec<u8>>,
    /// When each statement was first seen, by the SHA-256 of its signed payload.
    pub first_seen: FirstSeen,
    /// What this environment would read at other commits: those that approvals name, and those that writers signed.
    pub inputs_at: BTreeMap<CommitId, Inputs>,
    /// Which new commits brought the content of paths that differ from the standing release.
    pub origins: BTreeMap<RepoPath, Vec<Origin>>,
    /// The accepted commit that last took back what upstream's newest proven release has, if one did.
    pub reverted: Option<CommitId>,
    /// The clock of this machine and the cluster's differ: no decision may become more permissive by the time.
    pub clock_suspect: bool,
}

/// A candidate before its gates.
pub struct Case<'c> {
    pub(super) rules: &'c Rules,
    pub(super) past: &'c Past,
    pub(super) facts: &'c Facts,
    pub(super) verified: &'c Verified,
    pub(super) inputs: &'c Inputs,
    pub(super) first_seen: Timestamp,
    pub(super) now: Timestamp,
    pub(super) approvals: Approvers<'c>,
    pub(super) evidence: Option<&'c Evidence>,
    pub(super) origins: &'c BTreeMap<RepoPath, Vec<Origin>>,
    pub(super) reverted: &'c Option<CommitId>,
}

/// A candidate and what its commit renders from.
#[derive(Clone, Copy)]
pub struct Candidate<'c> {
    /// The verified commit.
    pub verified: &'c Verified,
    /// What it renders from.
    pub inputs: &'c Inputs,
    /// When it was first seen.
    pub first_seen: Timestamp,
}

impl<'c> Case<'c> {
    /// Puts a candidate before the gates of an environment.
    #[must_use]
    pub fn new(rules: &'c Rules, past: &'c Past, facts: &'c Facts, candidate: Candidate<'c>, now: Timestamp) -> Self {
        let Candidate { verified, inputs, first_seen } = candidate;
        let approvals = Approvers::of(rules, past, facts, verified, inputs, now);
        Case {
            rules,
            past,
            facts,
            verified,
            inputs,
            first_seen,
            now,
            approvals,
            evidence: facts.evidence.as_ref(),
            origins: &facts.origins,
            reverted: &facts.reverted,
        }
    }

    /// The gates that need no rendered objects.
    #[must_use]
    pub fn gates(&self) -> Vec<Gate> {
        self.judge(None)
    }

    pub(super) fn judge(&self, set: Option<&ManifestSet>) -> Vec<Gate> {
        let rules = self.rules;
        let images = set.map(render::images);
        let proof = match &rules.from {
            None => vec![signatures::judge(self.verified)],
            Some(from) => vec![upstream::judge(self, from, images.as_ref()), intent::judge(self)],
        };
        let mut gates = proof;
        gates.push(holds::judge(self, set));
        gates.push(queue::judge(self));
        gates.push(time::freezes(self));
        gates.push(time::windows(self));
        gates.push(approvals::judge(self, self.gives_up()));
        for gate in &mut gates {
            if gate.verdict == Verdict::Wait {
                if self.facts.clock_suspect {
                    // Nothing tells when the clocks agree again.
                    let soon = words::later(self.now, CLOCKS_AGAIN);
                    gate.next_look = Some(gate.next_look.map_or(soon, |next| next.min(soon)));
                }
                if gate.name != holds::NAME {
                    self.give_up(gate);
                }
            }
            if let (Some(words), Some(reason)) = (self.approvals.short_of(gate.name), gate.reasons.first_mut()) {
                reason.message = format!("{}; {words}", reason.message);
            }
            for reason in &mut gate.reasons {
                reason.commit.get_or_insert_with(|| self.verified.commit().clone());
            }
        }
        gates
    }

    /// When the candidate has waited long enough.
    pub(super) fn gives_up(&self) -> Timestamp {
        words::later(self.first_seen, self.rules.give_up)
    }

    /// A wait has a deadline; then it is a refusal, with the code that it waited on.
    pub(super) fn give_up(&self, gate: &mut Gate) {
        let deadline = self.gives_up();
        if self.now < deadline {
            gate.deadline = Some(deadline);
            gate.next_look = Some(gate.next_look.map_or(deadline, |next| next.min(deadline)));
            return;
        }
        gate.verdict = Verdict::Refuse;
        gate.next_look = None;
        for reason in &mut gate.reasons {
            let waited = words::span(self.first_seen, self.now);
            reason.message = format!("{}; given up after {waited} (`giveUp`)", reason.message);
        }
    }

    pub(super) fn reason(&self, code: Code, text: impl Into<String>) -> Reason {
        Reason::new(code, text).at_commit(self.verified.commit().clone())
    }

    pub(super) fn commit(&self, id: &CommitId) -> Option<&'c JudgedCommit> {
        self.verified.judged(id)
    }

    /// Who overrides a gate, and why; `None` if nobody may.
    pub(super) fn overridden(&self, gate: &str) -> Option<String> {
        self.approvals.overriding(gate)
    }

    /// The own files that differ from the standing release.
    pub(super) fn own_changes(&self) -> Vec<RepoPath> {
        own_changes(self.rules, self.past.standing.as_ref(), self.inputs)
    }

    /// Who brought what stands at a path; `None` where an introduction did, or nobody can be found.
    pub(super) fn bringer(&self, path: &RepoPath) -> Option<String> {
        let commits = self.origins.get(path)?.iter().filter_map(|origin| match origin {
            Origin::Commit(id) => self.commit(id),
            Origin::Introduced => None,
        });
        commits.into_iter().next().map(|commit| match &commit.signer {
            Some(signer) => format!("{signer} ({})", commit.id.short()),
            None if commit.carrier == Some(Carrier::ForeignKey) => {
                format!("{}, by forge key ({})", commit.claimed_author, commit.id.short())
            }
            None => format!("{}, unsigned ({})", commit.claimed_author, commit.id.short()),
        })
    }

    /// The own files that differ from the standing release, with who brought each.
    pub(super) fn own_brought(&self) -> Vec<String> {
        let who = |path: RepoPath| match self.bringer(&path) {
            Some(who) => format!("{path} by {who}"),
            None => path.to_string(),
        };
        if self.rules.from.is_some() { self.own_changes().into_iter().map(who).collect() } else { Vec::new() }
    }

    /// What proved the content upstream, if that did.
    #[must_use]
    pub fn upstream(&self) -> Option<deploylog::Upstream> {
        let from = self.rules.from.as_ref()?;
        match upstream::prove(self, from) {
            upstream::Proof::Upstream(release) => Some(deploylog::Upstream {
                environment: from.environment.clone(),
                sequence: release.sequence,
                hash: release.hash,
            }),
            upstream::Proof::Standing(_)
            | upstream::Proof::Own
            | upstream::Proof::Overridden(_)
            | upstream::Proof::Missing(_) => None,
        }
    }
}
