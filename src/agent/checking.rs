//! One look of a check: where it is to be had.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::Environment;
use crate::edge::clock;
use crate::health::check::{Check, Probe, Reading, job};
use crate::name::ObjectKey;

use super::site::Site;

/// What is checked.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) site: &'p Site,
    pub(super) environment: &'p Environment,
    /// The sequence of the opening that is judged.
    pub(super) opening: u64,
}

/// Looks once. What cannot be reached is unknown, with the reason.
pub(super) async fn look(place: &Place<'_>, check: &Check, objects: &BTreeSet<ObjectKey>) -> Reading {
    let site = place.site;
    if let Some(reading) = site.metrics().look(&check.probe).await {
        return reading;
    }
    let target = match site.target() {
        Ok(target) => target,
        Err(reason) => return Reading::Unknown(reason.message),
    };
    match manifest(place, check) {
        Some(manifest) => target.cluster.check_job(&manifest, clock::now()).await,
        None => target.cluster.restarts(objects).await,
    }
}

/// Removes the Job of a check whose verdict is known. The server removes one that stays, an hour after its end.
pub(super) async fn end(place: &Place<'_>, check: &Check) {
    let (Ok(target), Some(manifest)) = (place.site.target(), manifest(place, check)) else { return };
    if let Err(error) = target.cluster.remove_check_job(&manifest).await {
        tracing::warn!(environment = %place.environment.name, check = %check.name, reason = %error.reason().message, "check-job-stays");
    }
}

/// The Job of a check that is one.
fn manifest(place: &Place<'_>, check: &Check) -> Option<Value> {
    let Probe::Job(probe) = &check.probe else { return None };
    let Place { site, environment, opening } = *place;
    let place = job::Place {
        pipeline: &site.setup.pipeline.name,
        environment: &environment.name,
        unit: &environment.unit,
        namespace: environment.namespaces.first()?,
        opening,
    };
    Some(job::manifest(check, probe, &place))
}
