//! What Git says about a candidate: the commits that are new, and the inputs of the tip.

use std::sync::Arc;

use crate::config::Environment;
use crate::course::{Brief, Since};
use crate::deploylog::Rollback;
use crate::edge::clock;
use crate::name::Reason;
use crate::render::Closure;
use crate::revision::{self, Fetched, Judgement};

use super::closing::{close_tree, tree};
use super::facts;
use super::sight::{About, Range, Sight, Start};
use super::site::Site;

/// What Git says about a candidate.
pub(super) struct Source {
    pub(super) range: Arc<Range>,
    /// Since which commit the range's commits are new.
    pub(super) start: Start,
    pub(super) closure: Result<Closure, Reason>,
}

/// What is known of the commit already; units of one environment share it.
pub(super) fn sight(site: &Site, environment: &Environment, brief: &Brief) -> Arc<Sight> {
    let about = About {
        tip: brief.tip.clone(),
        accepted: brief.accepted.as_ref().map(|accepted| accepted.id.clone()),
        statements: brief.statements.clone(),
        upstream: brief.upstream,
    };
    site.sights.of(&environment.name, about, environment.unit.is_whole())
}

/// Since which commit what a candidate brings may be new; `None`: since the accepted head.
fn start(environment: &Environment, brief: &Brief) -> Start {
    // What a rollback left at the head of the branch would come in anew, with whoever wants it there.
    let standing = brief.past.standing.as_ref();
    let left = standing.filter(|standing| standing.rollback.as_ref().is_some_and(Rollback::leaves_head));
    match (left, &brief.since) {
        (Some(standing), _) => Some(Some(standing.commit.id.clone())),
        (None, Since::Accepted) => None,
        // Who brought what was there before is asked for each path (`trace`).
        (None, _) if environment.promotion.from.is_none() => None,
        (None, Since::Commit(since)) => Some(Some(since.clone())),
        (None, Since::Ever) => Some(None),
    }
}

/// Reads it.
///
/// # Errors
/// Git or the journal cannot be read.
pub(super) async fn read_source(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    sight: &Sight,
) -> Result<Source, Reason> {
    let tip = brief.tip.clone();
    let read_tree = async || {
        let read = site.with_mirror(move |mirror| tree(mirror, &tip)).await.map_err(|error| error.reason())?;
        Ok::<_, Reason>(read.map(Arc::new))
    };
    let tree = sight.tree.get_or_try_init(read_tree).await?.clone();
    let start = start(environment, brief);
    let range = sight.range(start.clone());
    let range = range.get_or_try_init(|| read_range(site, environment, brief, start.clone())).await?;
    let sources = environment.sources.clone();
    let closure = match tree {
        Ok(tree) => site.with_mirror(move |mirror| close_tree(mirror, &tree, &sources)).await,
        Err(reason) => Ok(Err(reason)),
    };
    Ok(Source { range: Arc::clone(range), start, closure: closure.map_err(|error| error.reason())? })
}

/// The commits since another one than the candidate is judged by, for all units that ask for them.
///
/// # Errors
/// Git or the journal cannot be read; `limit-exceeded`.
pub(super) async fn range_since(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    start: Start,
) -> Result<Arc<Range>, Reason> {
    let range = sight(site, environment, brief).range(start.clone());
    range.get_or_try_init(|| read_range(site, environment, brief, start)).await.cloned()
}

/// What history says of the tip, and the commits that may be new since one.
async fn read_range(site: &Site, environment: &Environment, brief: &Brief, start: Start) -> Result<Arc<Range>, Reason> {
    let (reference, tip) = (environment.branch.clone(), brief.tip.clone());
    let accepted = brief.accepted.as_ref().map(|accepted| accepted.id.clone());
    let introduction = site.setup.pipeline.trust.introduction.clone();
    let fetched = site.with_mirror(move |mirror| {
        let mut fetched = mirror.facts(&reference, &tip, accepted.as_ref(), &introduction)?;
        if let Some(since) = &start {
            let Fetched { new, boundary, merges, .. } =
                mirror.facts(&reference, &tip, since.as_ref(), &introduction)?;
            fetched = Fetched { new, boundary, merges, ..fetched };
        }
        Ok(fetched)
    });
    let fetched = fetched.await.map_err(|error| error.reason())?;
    let hashes = fetched.new.iter().filter_map(|commit| revision::payload_hash(commit).ok()).collect();
    let first_seen = facts::first_seen(site, environment, hashes).await?;
    Ok(Arc::new(Range::new(fetched, first_seen)))
}

/// Judges the commits of a range by whom the environment trusts.
pub(super) fn judge_commits(site: &Site, environment: &Environment, range: &Range) -> Judgement {
    revision::judge(range.fetched.clone(), &site.trust(environment), &range.first_seen, clock::now())
}
