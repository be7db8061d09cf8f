//! Who answers for what is read, where the commits that are new since the accepted head do not tell: other units moved that
//! head, past commits that were not theirs to judge (course.md, rule 14), and so does going back to what ran, whoever asks
//! for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::Environment;
use crate::course::{Brief, Since};
use crate::edge::git::Brought;
use crate::gate::{self, Origin};
use crate::name::{Code, CommitId, Digest, Reason, RepoPath};
use crate::revision::{self, Fetched, Judgement};

use super::facts;
use super::sight::Range;
use super::site::Site;
use super::source::{self, Source, judge_commits};

/// The commits of a candidate as they are judged in the end.
pub(super) struct Traced {
    pub(super) range: Arc<Range>,
    pub(super) judgement: Judgement,
    /// Who brought what stands at the paths that were asked for.
    pub(super) origins: BTreeMap<RepoPath, Vec<Origin>>,
}

/// Finds the commits that answer for what the new ones do not tell of, and judges them too.
///
/// # Errors
/// Git or the journal cannot be read.
pub(super) async fn trace(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    source: &Source,
    judgement: Judgement,
) -> Result<Traced, Reason> {
    let range = Arc::clone(&source.range);
    let paths = untold(site, environment, brief, source, &judgement).await?;
    if paths.is_empty() {
        return Ok(Traced { range, judgement, origins: BTreeMap::new() });
    }
    let (tip, introduction) = (brief.tip.clone(), site.setup.pipeline.trust.introduction.clone());
    let found = site.with_mirror(move |mirror| mirror.brought(&tip, &paths, &introduction)).await;
    let Brought { commits, merges, origins } = found.map_err(|error| error.reason())?;
    let hashes: BTreeSet<Digest> = commits.iter().filter_map(|commit| revision::payload_hash(commit).ok()).collect();
    let old = hashes.into_iter().filter(|hash| !range.first_seen.contains_key(hash)).collect();
    let sight = source::sight(site, environment, brief);
    let mut first_seen = facts::seen_before(site, environment, &sight, old, brief.accepted.as_deref()).await?;
    first_seen.extend(range.first_seen.iter().map(|(hash, time)| (*hash, *time)));
    let mut fetched = Fetched { brought: Some(commits), ..range.fetched.clone() };
    fetched.merges.extend(merges);
    let range = Arc::new(Range::new(fetched, first_seen));
    let judgement = judge_commits(site, environment, &range);
    Ok(Traced { range, judgement, origins })
}

/// The paths of which the new commits do not tell who answers for what stands there: where one of them does not count, all
/// that differ from the standing release; else those at which the oldest of them found it already.
async fn untold(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    source: &Source,
    judgement: &Judgement,
) -> Result<Vec<RepoPath>, Reason> {
    let Ok(closure) = &source.closure else { return Ok(Vec::new()) };
    let (standing, inputs) = (brief.past.standing.as_ref(), closure.inputs());
    let paths = match (&environment.promotion.from, environment.unit.is_whole()) {
        // What is shared is proven upstream.
        (Some(_), _) => gate::own_changes(&site.setup.pipeline.rules(environment), standing, inputs),
        // Every new commit counts, whatever it brought.
        (None, true) if judgement.verdict.is_err() => Vec::new(),
        (None, _) => gate::changes(standing, inputs).collect(),
    };
    let accepted = || brief.accepted.as_ref().map(|accepted| accepted.id.clone());
    let start: Option<CommitId> = source.start.clone().unwrap_or_else(accepted);
    if judgement.verdict.is_err() {
        return Ok(paths);
    }
    // Without a start all of history is new.
    let Some(start) = start else { return Ok(Vec::new()) };
    let same = same_at(site, start, brief, paths).await?;
    match (&environment.promotion.from, standing) {
        (None, None) if !same.is_empty() => untold_since(site, environment, brief, same).await,
        _ => Ok(same),
    }
}

/// The same of a new unit, as of before the accepted head moved to where it is: another unit of the same commit may have
/// been first. What is new since then is judged once for all units.
async fn untold_since(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    paths: Vec<RepoPath>,
) -> Result<Vec<RepoPath>, Reason> {
    let before = match &brief.since {
        Since::Accepted => return Ok(paths),
        Since::Commit(before) => Some(before.clone()),
        Since::Ever => None,
    };
    let range = match source::range_since(site, environment, brief, Some(before.clone())).await {
        Ok(range) => range,
        Err(reason) if reason.code == Code::LimitExceeded => return Ok(paths),
        Err(reason) => return Err(reason),
    };
    let signed = *range.signed.get_or_init(|| judge_commits(site, environment, &range).verdict.is_ok());
    match before {
        _ if !signed => Ok(paths),
        None => Ok(Vec::new()),
        Some(before) => same_at(site, before, brief, paths).await,
    }
}

async fn same_at(site: &Site, commit: CommitId, brief: &Brief, paths: Vec<RepoPath>) -> Result<Vec<RepoPath>, Reason> {
    let tip = brief.tip.clone();
    let same = site.with_mirror(move |mirror| mirror.same_at(&commit, &tip, &paths)).await;
    same.map_err(|error| error.reason())
}
