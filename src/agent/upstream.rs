//! What the environments upstream prove, read from their logs.

use std::collections::BTreeSet;

use crate::config::Environment;
use crate::deploylog::{self, Evidence};
use crate::name::{CommitId, Reason};

use super::carry;
use super::site::Site;

/// What leads to an environment.
#[derive(Debug, Clone, Default)]
pub(super) struct Upstream {
    /// What the environment that it is promoted from proves; `None` without one.
    pub(super) evidence: Option<Evidence>,
    /// Every commit that a log on the way names as shipped.
    pub(super) commits: BTreeSet<CommitId>,
}

/// Reads and verifies the logs of all environments that lead to one, nearest first. Nothing is remembered: a promotion
/// opens on what its upstream's log says now (course.md §2 of the design).
///
/// # Errors
/// A log cannot be read, or is violated: what cannot be read proves nothing, and is never taken for empty.
pub(super) async fn read(site: &Site, environment: &Environment) -> Result<Upstream, Reason> {
    let mut upstream = Upstream::default();
    for from in site.setup.pipeline.upstreams_of(environment) {
        let replay = carry::read_log(site, from).await?;
        if let Some(replay) = &replay {
            upstream.commits.extend(deploylog::shipped(replay.log()).cloned());
        }
        if upstream.evidence.is_none() {
            let log = replay.map(|replay| replay.of_unit(&environment.unit)).unwrap_or_default();
            upstream.evidence = Some(Evidence::of(&from.name, &log));
        }
    }
    Ok(upstream)
}
