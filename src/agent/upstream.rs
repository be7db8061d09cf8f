//! What the environments upstream prove, read from their logs.

use std::collections::BTreeSet;

use crate::config::Environment;
use crate::deploylog::{self, Evidence, Replay};
use crate::name::{CommitId, EnvironmentName, Reason, UnitName};

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

/// The logs of the environments that lead to one, nearest first.
#[derive(Debug, Default)]
pub(super) struct Logs {
    of: Vec<(EnvironmentName, Option<Replay>)>,
    commits: BTreeSet<CommitId>,
}

impl Logs {
    /// What they prove about a unit.
    pub(super) fn about(&self, unit: &UnitName) -> Upstream {
        let evidence = self.of.first().map(|(name, replay)| {
            let log = replay.as_ref().map(|replay| replay.of_unit(unit)).unwrap_or_default();
            Evidence::of(name, &log)
        });
        Upstream { evidence, commits: self.commits.clone() }
    }
}

/// Reads and verifies the logs of all environments that lead to one. Nothing is remembered: a promotion opens on what its
/// upstream's log says now (course.md §2 of the design).
///
/// # Errors
/// A log cannot be read, or is violated: what cannot be read proves nothing, and is never taken for empty.
pub(super) async fn logs(site: &Site, environment: &Environment) -> Result<Logs, Reason> {
    let mut logs = Logs::default();
    for from in site.setup.pipeline.upstreams_of(environment) {
        let replay = carry::read_log(site, from).await?;
        logs.commits.extend(replay.iter().flat_map(|replay| deploylog::shipped(replay.log())).cloned());
        logs.of.push((from.name.clone(), replay));
    }
    Ok(logs)
}

/// What leads to an environment, or to a unit of it.
///
/// # Errors
/// See [`logs`].
pub(super) async fn read(site: &Site, environment: &Environment) -> Result<Upstream, Reason> {
    Ok(logs(site, environment).await?.about(&environment.unit))
}
