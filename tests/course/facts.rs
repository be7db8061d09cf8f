//! What the gates ask about a candidate, gathered from the model world as the agent gathers it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use lockmaster::course::Brief;
use lockmaster::deploylog::{Evidence, Inputs};
use lockmaster::gate::{self, Facts};
use lockmaster::name::{CommitId, Digest, ObjectId, RefName, RepoPath};
use lockmaster::render::Closure;
use lockmaster::revision::statement::{self, RawTag, Statement, Verb};
use lockmaster::revision::{Fetched, FirstSeen, Verified};

use super::people::signers;
use super::world::World;

/// How far the clocks of the machine and of the cluster may be apart.
pub(crate) const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(30);

/// What leads to an environment.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) evidence: Evidence,
    pub(crate) commits: BTreeSet<CommitId>,
    /// How many entries its log had.
    pub(crate) entries: u64,
    /// What its log opened, for the laws.
    pub(crate) log: Vec<Ran>,
}

/// A release that upstream opened.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) sequence: u64,
    pub(crate) commit: CommitId,
    /// Whether it was proven; nobody may have taken that back since.
    pub(crate) proven: bool,
    /// When somebody took that back, by undoing it or by a hold.
    pub(crate) withdrawn: Option<Timestamp>,
}

impl World {
    /// When things were first seen: as journalled, and now for those never seen before; later is never earlier.
    pub(crate) fn seen(&mut self, hashes: BTreeSet<Digest>) -> FirstSeen {
        let now = self.first_seen.values().copied().max().map_or(self.machine, |latest| latest.max(self.machine));
        hashes.into_iter().map(|hash| (hash, *self.first_seen.entry(hash).or_insert(now))).collect()
    }

    /// The statements that a look listed, as far as they can still be read.
    pub(crate) fn statements(
        &mut self,
        listed: &BTreeMap<RefName, ObjectId>,
    ) -> Vec<(RawTag, Result<Statement, String>)> {
        let raws: Vec<RawTag> =
            listed.iter().filter_map(|(name, id)| self.tags.get(name).filter(|raw| raw.id == *id).cloned()).collect();
        let hashes = raws.iter().filter_map(|raw| statement::payload_hash(raw).ok()).collect();
        let seen = self.seen(hashes);
        let read = |raw: RawTag| {
            let hash = statement::payload_hash(&raw).ok();
            let at = hash.and_then(|hash| seen.get(&hash).copied()).unwrap_or(self.machine);
            let found = statement::read(&raw, &signers(), at).map_err(|reason| reason.message);
            (raw, found)
        };
        raws.into_iter().map(read).collect()
    }

    pub(crate) fn facts(&mut self, brief: &Brief, fetched: &Fetched, verified: &Verified, closure: &Closure) -> Facts {
        let mut facts = Facts::default();
        for (raw, found) in self.statements(&brief.statements) {
            match found {
                Ok(statement) => {
                    facts.statement_bytes.insert(statement.payload_hash(), raw.bytes);
                    facts.statements.push(std::sync::Arc::new(statement));
                }
                Err(why) => facts.void.push(why),
            }
        }
        facts.first_seen.clone_from(&self.first_seen);
        let timed = self.site.rules.depends_on_time(&brief.past, &facts.statements);
        facts.clock_suspect = timed && self.machine.duration_since(self.now).abs() > CLOCKS_APART;
        let rules = &self.site.rules;
        if rules.from.is_none() {
            return facts;
        }
        if let Some(upstream) = &self.upstream {
            facts.evidence = Some(upstream.evidence.clone());
            facts.upstream_commits.clone_from(&upstream.commits);
        }
        facts.inputs_at = self.inputs_at(&facts, verified);
        let inputs = closure.inputs();
        let paths: Vec<RepoPath> = match &brief.past.standing {
            Some(standing) => gate::changes(Some(standing), inputs).collect(),
            None => gate::own_changes(rules, None, inputs),
        };
        facts.origins = self.forge.origins(fetched, paths);
        let standing = brief.past.standing.as_ref();
        let left_out = standing.and_then(|standing| gate::left_out(rules, standing, &facts));
        let accepted = brief.accepted.as_ref().map(|accepted| &accepted.id);
        facts.reverted = left_out.zip(accepted).map(|(path, accepted)| self.forge.last_change(accepted, &path));
        facts
    }

    /// What this environment would read at commits that approvals name and that writers signed.
    fn inputs_at(&self, facts: &Facts, verified: &Verified) -> BTreeMap<CommitId, Inputs> {
        let rules = &self.site.rules;
        let new = verified.new_commits();
        let approved = facts.statements.iter().filter(|statement| statement.verb() == Verb::Approve);
        let named = approved.map(|statement| statement.commit().clone());
        let named = named.filter(|id| *id != *verified.commit() && new.iter().any(|commit| commit.id == *id));
        let asked = rules.approvals.is_none() && rules.writers.is_some();
        let ours = |id: &CommitId| !facts.upstream_commits.contains(id);
        let signed = new.iter().filter(|commit| asked && commit.authorised_by().is_some() && ours(&commit.id));
        let wanted = named.chain(signed.map(|commit| commit.id.clone()));
        wanted.map(|id| (id.clone(), self.close(&id).inputs().clone())).collect()
    }
}
