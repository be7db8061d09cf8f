//! What the environments upstream prove, read from their logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

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
    of: Vec<(EnvironmentName, Option<Arc<Replay>>)>,
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

/// The logs upstream as they were last read and verified: entries never change, so that only new ones are read.
#[derive(Default)]
pub(super) struct Read(Mutex<BTreeMap<EnvironmentName, Arc<Replay>>>);

impl Read {
    /// Reads what is new of a log, and verifies it.
    async fn on(&self, site: &Site, environment: &Environment) -> Result<Option<Arc<Replay>>, Reason> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&environment.name).cloned();
        let newest = known.as_ref().and_then(|known| known.log().entries.last()).map(|last| last.sequence);
        let replay = match known.zip(newest) {
            Some((known, newest)) => {
                let news = site.target()?.journal.stored_from(&environment.name, newest + 1).await;
                let news = news.map_err(|error| error.reason())?;
                if news.is_empty() {
                    return Ok(Some(known));
                }
                let mut replay = Arc::unwrap_or_clone(known);
                for entry in &news {
                    replay.add(entry).map_err(|violation| violation.reason)?;
                }
                replay
            }
            None => match carry::read_log(site, environment).await? {
                Some(replay) => replay,
                None => return Ok(None),
            },
        };
        let replay = Arc::new(replay);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(environment.name.clone(), Arc::clone(&replay));
        Ok(Some(replay))
    }
}

/// Reads and verifies the logs of all environments that lead to one, up to their newest entries: a promotion opens on what
/// its upstream's log says now (course.md §2 of the design).
///
/// # Errors
/// A log cannot be read, or is violated: what cannot be read proves nothing, and is never taken for empty.
pub(super) async fn logs(site: &Site, environment: &Environment) -> Result<Logs, Reason> {
    let mut logs = Logs::default();
    for from in site.setup.pipeline.upstreams_of(environment) {
        let replay = site.upstream.on(site, from).await?;
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
