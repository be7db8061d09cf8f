//! A check that runs as a Job.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Check, JobProbe, Reading};
use crate::health::{Assessment, Health, assess};
use crate::name::{Digest, EnvironmentName, PipelineName, UnitName};

/// The label of a Job and its pods that names the check.
pub const CHECK: &str = "lockmaster.dev/check";
/// The label that names the pipeline.
pub const PIPELINE: &str = "lockmaster.dev/pipeline";
/// The label that names the environment.
pub const ENVIRONMENT: &str = "lockmaster.dev/environment";
/// The annotation that says which opening it judges.
pub const OPENING: &str = "lockmaster.dev/opening";

/// How long a Job outlives what we wait for, where nobody is left to remove it.
const LEFT_BEHIND: u64 = 3600;

/// For which release, and where, a Job runs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The pipeline.
    pub pipeline: &'a PipelineName,
    /// The environment that is judged.
    pub environment: &'a EnvironmentName,
    /// The unit of it.
    pub unit: &'a UnitName,
    /// One of its namespaces.
    pub namespace: &'a str,
    /// The sequence of the opening that is judged: another opening has another Job.
    pub opening: u64,
}

/// The name of a check's Job. An agent that starts anew finds the run of the one before it. Units that were opened together
/// share the sequence, and have each a Job of its own.
fn name(check: &Check, place: &Place<'_>) -> String {
    let Place { unit, opening, .. } = place;
    if unit.is_whole() {
        return format!("check-{}-{opening}", check.name);
    }
    format!("check-{}-{opening}-{}", check.name, &Digest::of(unit.as_str().as_bytes()).hex()[..8])
}

/// The Job to create for a check.
///
/// Its pod never restarts and has no rights that it does not need; without `serviceAccount` it gets no token. It is no
/// part of the release: it carries the labels above, and not the label of the set.
#[must_use]
pub fn manifest(check: &Check, probe: &JobProbe, place: &Place<'_>) -> Value {
    let labels = json!({
        "app.kubernetes.io/managed-by": "lockmaster",
        CHECK: check.name, PIPELINE: place.pipeline, ENVIRONMENT: place.environment,
    });
    let mut container = json!({
        "name": "check",
        "image": probe.image,
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    if !probe.command.is_empty() {
        container["command"] = json!(probe.command);
    }
    if !probe.args.is_empty() {
        container["args"] = json!(probe.args);
    }
    let mut pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": probe.service_account.is_some(),
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    });
    if let Some(account) = &probe.service_account {
        pod["serviceAccountName"] = json!(account);
    }
    let opening = place.opening.to_string();
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(check, place), "namespace": place.namespace,
            "labels": labels, "annotations": {OPENING: opening},
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": check.within.as_secs().max(1),
            "ttlSecondsAfterFinished": LEFT_BEHIND,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    })
}

/// What a live Job says, by the rule of its kind; `null` is unknown.
///
/// One that ran out of time says nothing about the release: perhaps no node had room for it.
#[must_use]
pub fn reading(job: &Value, now: Timestamp) -> Reading {
    let Assessment { health, message, .. } = assess(job, now, now);
    match health {
        Health::Healthy => Reading::Answer { good: true, seen: "the job has completed".to_owned() },
        Health::Failed if message.starts_with("DeadlineExceeded") => {
            Reading::Unknown("the job did not end in its time".to_owned())
        }
        Health::Failed => Reading::Answer { good: false, seen: format!("the job has failed, {message}") },
        Health::Progressing | Health::Suspended => Reading::Running(format!("the job is not done, {message}")),
        Health::Missing | Health::Unknown => Reading::Unknown(format!("the job: {message}")),
    }
}
