//! What the gates ask about a candidate, gathered from Git, the journals and the cluster's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Environment;
use crate::course::Brief;
use crate::deploylog::{EntryCommit, Inputs};
use crate::edge::clock;
use crate::gate::{self, Facts, Origin, Rules};
use crate::name::{Class, CommitId, Digest, ObjectId, Reason, RefName, RepoPath};
use crate::render::Closure;
use crate::revision::statement::{self, RawTag, Statement, Verb};
use crate::revision::{Fetched, FirstSeen, Verified};

use super::closing::close;
use super::sight::Sight;
use super::site::Site;
use super::upstream;

/// Commits of one candidate whose inputs are looked at to find who wanted its content.
const LOOKED_AT: usize = 20;

/// How far the clock of this machine and the cluster's may be apart (course.md, rule 19).
const CLOCKS_APART: std::time::Duration = std::time::Duration::from_secs(30);

/// When things were first seen, by the SHA-256 of their signed payload: as journalled, and now for those never seen
/// before. What is seen later was first seen later, also where the clock of the machine was set back in between.
///
/// # Errors
/// The journal cannot be read or written.
pub(super) async fn first_seen(
    site: &Site,
    environment: &Environment,
    hashes: BTreeSet<Digest>,
) -> Result<FirstSeen, Reason> {
    let journalled = match &site.target {
        Some(target) => target.journal.first_seen(&environment.name).await.map_err(|error| error.reason())?,
        None => FirstSeen::new(),
    };
    let now = journalled.values().copied().max().map_or_else(clock::now, |latest| latest.max(clock::now()));
    let time = |hash: Digest| (hash, journalled.get(&hash).copied().unwrap_or(now));
    let seen: FirstSeen = hashes.into_iter().map(time).collect();
    let news = seen.keys().any(|hash| !journalled.contains_key(hash));
    if let Some(target) = site.target.as_ref().filter(|_| news && !site.read_only) {
        let standing = target.journal.put_first_seen(&environment.name, &seen).await.map_err(|error| error.reason())?;
        // Another agent may have seen one of them first.
        return Ok(seen.into_keys().filter_map(|hash| Some((hash, *standing.get(&hash)?))).collect());
    }
    Ok(seen)
}

/// When commits were first seen that may be below the accepted head: where the journal does not know it any more, when that
/// head was.
///
/// # Errors
/// The journal cannot be read.
pub(super) async fn seen_before(
    site: &Site,
    environment: &Environment,
    sight: &Sight,
    hashes: BTreeSet<Digest>,
    accepted: Option<&EntryCommit>,
) -> Result<FirstSeen, Reason> {
    let Some(target) = site.target.as_ref().filter(|_| !hashes.is_empty()) else {
        return Ok(seen_at_latest(hashes, &FirstSeen::new(), accepted));
    };
    let read = async || target.journal.first_seen(&environment.name).await.map_err(|error| error.reason());
    Ok(seen_at_latest(hashes, sight.journalled.get_or_try_init(read).await?, accepted))
}

fn seen_at_latest(hashes: BTreeSet<Digest>, journalled: &FirstSeen, accepted: Option<&EntryCommit>) -> FirstSeen {
    let latest = accepted.map_or_else(clock::now, |accepted| accepted.first_seen);
    hashes.into_iter().map(|hash| (hash, journalled.get(&hash).copied().unwrap_or(latest))).collect()
}

/// The statements about an environment.
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// Those whose signature holds.
    pub(super) good: Vec<Arc<Statement>>,
    /// Why the others count for nothing, by what they were to say.
    pub(super) void: Vec<(Verb, Reason)>,
    /// The raw bytes of the good ones, by the SHA-256 of their signed payload.
    pub(super) bytes: BTreeMap<Digest, Vec<u8>>,
    pub(super) first_seen: FirstSeen,
}

/// Reads the tags that a look listed as statements.
///
/// # Errors
/// Git or the journal cannot be read.
pub(super) async fn statements(
    site: &Site,
    environment: &Environment,
    listed: &BTreeMap<RefName, ObjectId>,
) -> Result<Statements, Reason> {
    let mut statements = Statements::default();
    if listed.is_empty() {
        return Ok(statements);
    }
    let wanted: Vec<(RefName, ObjectId)> = listed.iter().map(|(name, id)| (name.clone(), id.clone())).collect();
    let raws = site.with_mirror(move |mirror| mirror.tags(&wanted)).await.map_err(|error| error.reason())?;
    let hash = |raw: &RawTag| statement::payload_hash(raw).ok();
    statements.first_seen = first_seen(site, environment, raws.iter().filter_map(hash).collect()).await?;
    for raw in raws {
        let Some(address) = statement::address(&raw.name) else { continue };
        let seen = hash(&raw).and_then(|hash| statements.first_seen.get(&hash).copied()).unwrap_or_else(clock::now);
        match statement::read(&raw, &site.setup.signers, seen) {
            Ok(good) => {
                statements.bytes.insert(good.payload_hash(), raw.bytes);
                statements.good.push(Arc::new(good));
            }
            Err(reason) => statements.void.push((address.verb, reason)),
        }
    }
    Ok(statements)
}

/// Gathers what the gates ask about a candidate.
///
/// # Errors
/// Git, a journal or the cluster cannot be read: then nothing is decided.
pub(super) async fn gather(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    candidate: Found<'_>,
) -> Result<Facts, Reason> {
    let rules = site.setup.pipeline.rules(environment);
    let sight = candidate.sight;
    let read_logs = async || upstream::logs(site, environment).await.map(Arc::new);
    let upstream = sight.upstream.get_or_try_init(read_logs).await?.about(&environment.unit);
    let read_statements = async || statements(site, environment, &brief.statements).await.map(Arc::new);
    let stated = sight.statements.get_or_try_init(read_statements).await?;
    let timed = rules.depends_on_time(&brief.past, &stated.good);
    let void = stated.void.iter().filter(|(verb, _)| *verb == Verb::Approve);
    let ask_clocks = async || is_clock_suspect(site, timed).await;
    let mut facts = Facts {
        evidence: upstream.evidence,
        upstream_commits: upstream.commits,
        statements: stated.good.clone(),
        void: void.map(|(_, reason)| reason.message.clone()).collect(),
        statement_bytes: stated.bytes.clone(),
        first_seen: stated.first_seen.clone(),
        clock_suspect: if timed { *sight.clock_suspect.get_or_try_init(ask_clocks).await? } else { false },
        ..Facts::default()
    };
    if rules.from.is_some() {
        let inputs = candidate.closure.inputs();
        facts.inputs_at = inputs_at(site, environment, wanted(&rules, &facts, candidate.verified)).await?;
        let paths: Vec<RepoPath> = match &brief.past.standing {
            Some(standing) => gate::changes(Some(standing), inputs).collect(),
            None => gate::own_changes(&rules, None, inputs),
        };
        let fetched = candidate.fetched.clone();
        facts.origins = git(site, move |mirror| mirror.origins(&fetched, &paths)).await?;
        facts.origins.extend(candidate.origins);
        facts.reverted = reverted(site, brief, &rules, &facts).await?;
    }
    Ok(facts)
}

/// What was found out about a candidate before its gates.
pub(super) struct Found<'f> {
    pub(super) fetched: &'f Fetched,
    pub(super) verified: &'f Verified,
    pub(super) closure: &'f Closure,
    pub(super) sight: &'f Sight,
    /// Who brought what the new commits do not tell of.
    pub(super) origins: BTreeMap<RepoPath, Vec<Origin>>,
}

/// The commits whose inputs decide whether an approval or a signature speaks of this content.
fn wanted(rules: &Rules, facts: &Facts, verified: &Verified) -> BTreeSet<CommitId> {
    let new = verified.new_commits();
    let approved = facts.statements.iter().filter(|statement| statement.verb() == Verb::Approve);
    let named = approved.map(|statement| statement.commit().clone());
    let named = named.filter(|id| *id != *verified.commit() && new.iter().any(|commit| commit.id == *id));
    let asked = rules.approvals.is_none() && rules.writers.is_some();
    let signed = new
        .iter()
        .filter(|commit| asked && commit.authorised_by().is_some() && !facts.upstream_commits.contains(&commit.id));
    named.chain(signed.map(|commit| commit.id.clone())).take(LOOKED_AT).collect()
}

async fn inputs_at(
    site: &Site,
    environment: &Environment,
    commits: BTreeSet<CommitId>,
) -> Result<BTreeMap<CommitId, Inputs>, Reason> {
    let sources = environment.sources.clone();
    git(site, move |mirror| {
        let mut found = BTreeMap::new();
        for commit in commits {
            // A commit that renders nothing has no inputs that could be compared.
            if let Ok(closure) = close(mirror, &commit, &sources)? {
                found.insert(commit, closure.inputs().clone());
            }
        }
        Ok(found)
    })
    .await
}

/// The accepted commit that last changed what upstream's newest proven release has otherwise than the standing one.
async fn reverted(site: &Site, brief: &Brief, rules: &Rules, facts: &Facts) -> Result<Option<CommitId>, Reason> {
    let path = brief.past.standing.as_ref().and_then(|standing| gate::left_out(rules, standing, facts));
    let (Some(path), Some(accepted)) = (path, brief.accepted.as_ref().map(|accepted| accepted.id.clone())) else {
        return Ok(None);
    };
    git(site, move |mirror| mirror.last_change(&accepted, &path)).await
}

async fn git<T, F>(site: &Site, work: F) -> Result<T, Reason>
where
    T: Send + 'static,
    F: FnOnce(&crate::edge::git::Mirror) -> Result<T, crate::edge::git::GitError> + Send + 'static,
{
    site.with_mirror(work).await.map_err(|error| error.reason())
}

/// Where rules depend on the time, the cluster is asked for its own.
async fn is_clock_suspect(site: &Site, depends: bool) -> Result<bool, Reason> {
    let Some(target) = site.target.as_ref().filter(|_| depends) else { return Ok(false) };
    let theirs: Timestamp = target.cluster.time().await.map_err(|error| error.reason())?;
    Ok(clock::now().duration_since(theirs).unsigned_abs() > CLOCKS_APART)
}

/// Whether a reason says that something could not be read, so that nothing may be decided.
pub(super) fn is_unreachable(reason: &Reason) -> bool {
    reason.code.class() == Class::Retried || reason.code == crate::name::Code::Forbidden
}
