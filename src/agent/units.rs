//! The units of a commit, and what of them is otherwise than at the commit before.

use crate::config::Environment;
use crate::course::Units;
use crate::name::CommitId;

use super::site::Site;
use super::walk::Tip;

/// A tip whose units are to be found.
pub(super) struct Sought {
    pub(super) tip: Tip,
    /// The tip that was told before.
    pub(super) before: Option<CommitId>,
}

/// Finds the units of a tip. Where they cannot be found, it is as if the tip could not be read: nobody's unit is gone.
pub(super) async fn find(site: &Site, environment: &Environment, sought: Sought) -> (Tip, Units) {
    let Sought { tip, before } = sought;
    let Ok(commit) = &tip else { return (tip, Units::default()) };
    let (id, sources) = (commit.clone(), environment.clone());
    let found = site.with_mirror(move |mirror| {
        let changed = before.as_ref().map(|before| mirror.changed_paths(before, &id)).transpose()?.flatten();
        Ok((sources.units_in(&mirror.tree(&id)?), changed))
    });
    let (found, changed) = match found.await {
        Ok((Ok(found), changed)) => (found, changed),
        Ok((Err(mut reasons), _)) => return (Err(reasons.remove(0).at_commit(commit.clone())), Units::default()),
        Err(error) => return (Err(error.reason()), Units::default()),
    };
    for reason in &found.reasons {
        let (environment, commit) = (&environment.name, commit.short());
        tracing::warn!(%environment, commit, code = %reason.code, reason = %reason.message, "no-unit");
    }
    // What stands at a unit's name and is no directory is judged, and refused with the reason.
    let names = found.units.iter().chain(found.refused.keys());
    let directories = names.filter_map(|unit| Some((unit.clone(), environment.unit_path(unit)?))).collect();
    (tip, Units { directories, changed, strangers: found.reasons })
}
