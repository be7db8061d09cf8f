//! One look of a check: where it is to be had.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::Environment;
use crate::edge::clock;
use crate::health::check::{Check, Probe, Reading, job};
use crate::name::ObjectKey;

use super::site::Site;

/// Looks once. What cannot be reached is unknown, with the reason.
pub(super) async fn look(
    site: &Site,
    environment: &Environment,
    check: &Check,
    opening: u64,
    objects: &BTreeSet<ObjectKey>,
) -> Reading {
    if let Some(reading) = site.metrics().look(&check.probe).await {
        return reading;
    }
    let target = match site.target() {
        Ok(target) => target,
        Err(reason) => return Reading::Unknown(reason.message),
    };
    match manifest(site, environment, check, opening) {
        Some(manifest) => target.cluster.check_job(&manifest, clock::now()).await,
        None => target.cluster.restarts(objects).await,
    }
}

/// Removes the Job of a check whose verdict is known. The server removes one that stays, an hour after its end.
pub(super) async fn end(site: &Site, environment: &Environment, check: &Check, opening: u64) {
    let (Ok(target), Some(manifest)) = (site.target(), manifest(site, environment, check, opening)) else { return };
    if let Err(error) = target.cluster.remove_check_job(&manifest).await {
        tracing::warn!(environment = %environment.name, check = %check.name, reason = %error.reason().message, "check-job-stays");
    }
}

/// The Job of a check that is one.
fn manifest(site: &Site, environment: &Environment, check: &Check, opening: u64) -> Option<Value> {
    let Probe::Job(probe) = &check.probe else { return None };
    let place = job::Place {
        pipeline: &site.setup.pipeline.name,
        environment: &environment.name,
        namespace: environment.namespaces.first()?,
        opening,
    };
    Some(job::manifest(check, probe, &place))
}
