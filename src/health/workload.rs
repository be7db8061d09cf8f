//! What runs containers: Deployment, ReplicaSet, StatefulSet, DaemonSet, Pod, Job, CronJob.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::reading::{Truth, Unreadable, conditions, is_set, list, number, observed_generation, text};
use super::reading::{flag, generation, one_line};
use super::{Assessment, Rule, Ruling};

/// How long a pod may find no node before it counts as failed (kstatus, `ScheduleWindow` in `core.go`).
const SCHEDULING: SignedDuration = SignedDuration::from_secs(15);

/// The rule of a kind of workload.
pub(super) fn rule(group: &str, kind: &str) -> Option<Rule> {
    match (group, kind) {
        ("apps", "Deployment") => Some(deployment),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => Some(replica_set),
        ("apps", "StatefulSet") => Some(stateful_set),
        ("apps", "DaemonSet") => Some(daemon_set),
        ("", "Pod") => Some(pod),
        ("batch", "Job") => Some(job),
        ("batch", "CronJob") => Some(cron_job),
        _ => None,
    }
}

/// kstatus, Deployment; paused is added, as Argo CD does (`pkg/health/health_deployment.go`).
fn deployment(object: &Value, _: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    let progress = conditions.get("Progressing");
    if let Some(late) = progress.filter(|condition| condition.reason == "ProgressDeadlineExceeded") {
        return Ok(Assessment::failed(late.because()));
    }
    if flag(object, "/spec/paused")? {
        return Ok(Assessment::suspended("paused"));
    }
    if let Some(found) = not_seen(object)? {
        return Ok(found);
    }
    let counts = Replicas::read(object)?;
    let updated = number(object, "/status/updatedReplicas")?.unwrap_or(0);
    let behind = first_of([
        counts.fewer(counts.present, "present"),
        counts.fewer(updated, "updated"),
        (counts.present > counts.wanted)
            .then(|| format!("{} old replicas are still there", counts.present - counts.wanted)),
        (updated > counts.available).then(|| format!("{} of {updated} updated replicas available", counts.available)),
        counts.fewer(counts.ready, "ready"),
    ]);
    if let Some(behind) = behind {
        return Ok(Assessment::progressing(behind));
    }
    let deadline = is_set(object.pointer("/spec/progressDeadlineSeconds"));
    let rolled_out = progress.is_some_and(|condition| condition.reason == "NewReplicaSetAvailable");
    if deadline && !rolled_out {
        return Ok(Assessment::progressing("the new replica set is not available yet"));
    }
    Ok(match conditions.get("Available") {
        Some(found) if found.truth == Truth::True => Assessment::healthy(),
        Some(found) => Assessment::progressing(found.because()),
        None => Assessment::progressing("not available yet"),
    })
}

/// kstatus, ReplicaSet.
fn replica_set(object: &Value, _: Timestamp) -> Ruling {
    if let Some(failure) = conditions(object)?.with("ReplicaFailure", Truth::True) {
        return Ok(Assessment::progressing(failure.because()));
    }
    if let Some(found) = not_seen(object)? {
        return Ok(found);
    }
    let counts = Replicas::read(object)?;
    let labelled = number(object, "/status/fullyLabeledReplicas")?.unwrap_or(0);
    Ok(settled_unless(first_of([
        counts.fewer(labelled, "labelled"),
        counts.fewer(counts.available, "available"),
        counts.fewer(counts.ready, "ready"),
        counts.extra(),
    ])))
}

/// kstatus, StatefulSet. It has no sign of failure: the settle deadline ends it.
fn stateful_set(object: &Value, _: Timestamp) -> Ruling {
    if text(object, "/spec/updateStrategy/type")? == Some("OnDelete") {
        return Ok(Assessment::healthy());
    }
    if let Some(found) = not_seen(object)? {
        return Ok(found);
    }
    let counts = Replicas::read(object)?;
    let behind =
        first_of([counts.fewer(counts.present, "present"), counts.fewer(counts.ready, "ready"), counts.extra()]);
    if let Some(behind) = behind {
        return Ok(Assessment::progressing(behind));
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition")?.unwrap_or(0);
    let updated = number(object, "/status/updatedReplicas")?.unwrap_or(0);
    if partition > 0 {
        let due = (counts.wanted - partition).max(0);
        let behind = (updated < due).then(|| format!("{updated} of {due} replicas above the partition updated"));
        return Ok(settled_unless(behind));
    }
    let current = number(object, "/status/currentReplicas")?.unwrap_or(0);
    let revision = text(object, "/status/currentRevision")?;
    let rolling = (revision != text(object, "/status/updateRevision")?)
        .then(|| format!("{updated} of {} replicas at the new revision", counts.wanted));
    Ok(settled_unless(first_of([counts.fewer(current, "current"), rolling])))
}

/// kstatus, DaemonSet; `OnDelete` is added: nothing rolls by itself there.
fn daemon_set(object: &Value, _: Timestamp) -> Ruling {
    if text(object, "/spec/updateStrategy/type")? == Some("OnDelete") {
        return Ok(Assessment::healthy());
    }
    if let Some(found) = not_seen(object)? {
        return Ok(found);
    }
    let Some(wanted) = number(object, "/status/desiredNumberScheduled")? else {
        return Ok(Assessment::progressing("its nodes are not counted yet"));
    };
    let behind = |pointer: &str, word: &str| -> Result<Option<String>, Unreadable> {
        let found = number(object, pointer)?.unwrap_or(0);
        Ok((found < wanted).then(|| format!("{found} of {wanted} pods {word}")))
    };
    Ok(settled_unless(first_of([
        behind("/status/currentNumberScheduled", "scheduled")?,
        behind("/status/updatedNumberScheduled", "updated")?,
        behind("/status/numberAvailable", "available")?,
        behind("/status/numberReady", "ready")?,
    ])))
}

/// kstatus, Pod; a failed pod is failed here (kstatus: current), and so is one that waits with an error (Argo CD,
/// `pkg/health/health_pod.go`).
fn pod(object: &Value, now: Timestamp) -> Ruling {
    let phase = text(object, "/status/phase")?.unwrap_or_default();
    match phase {
        "Succeeded" => return Ok(Assessment::healthy()),
        "Failed" => {
            let why = text(object, "/status/message")?.or(text(object, "/status/reason")?).unwrap_or("its pod failed");
            return Ok(Assessment::failed(one_line(why)));
        }
        _ => {}
    }
    if let Some(stuck) = waiting_with_error(object)? {
        return Ok(Assessment::failed(stuck));
    }
    let conditions = conditions(object)?;
    if phase == "Running" && conditions.with("Ready", Truth::True).is_some() {
        return Ok(Assessment::healthy());
    }
    let scheduled = conditions.with("PodScheduled", Truth::False);
    if let Some(condition) = scheduled.filter(|condition| condition.reason == "Unschedulable") {
        let late = condition.since.is_some_and(|since| now.duration_since(since) > SCHEDULING);
        let because = condition.because();
        return Ok(if late { Assessment::failed(because) } else { Assessment::progressing(because) });
    }
    let because = conditions.get("Ready").map_or_else(|| "not started yet".to_owned(), |ready| ready.because());
    Ok(Assessment::progressing(because))
}

/// The first container, init containers included, that waits for a reason that does not pass by itself.
fn waiting_with_error(pod: &Value) -> Result<Option<String>, Unreadable> {
    for pointer in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        for container in list(pod, pointer)? {
            let reason = text(container, "/state/waiting/reason")?.unwrap_or_default();
            if reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff") {
                let name = text(container, "/name")?.unwrap_or_default();
                return Ok(Some(format!("container `{name}` waits: {reason}")));
            }
        }
    }
    Ok(None)
}

/// kstatus, Job; but a job that runs is progressing here (kstatus: current), because a release with a migration is not
/// done before it.
fn job(object: &Value, _: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    if conditions.with("Complete", Truth::True).is_some() {
        return Ok(Assessment::healthy());
    }
    if let Some(failed) = conditions.with("Failed", Truth::True) {
        return Ok(Assessment::failed(failed.because()));
    }
    if conditions.with("Suspended", Truth::True).is_some() || flag(object, "/spec/suspend")? {
        return Ok(Assessment::suspended("suspended"));
    }
    let active = number(object, "/status/active")?.unwrap_or(0);
    let done = number(object, "/status/succeeded")?.unwrap_or(0);
    Ok(Assessment::progressing(format!("{active} active, {done} succeeded")))
}

/// kstatus, CronJob: current; suspended is added.
fn cron_job(object: &Value, _: Timestamp) -> Ruling {
    let suspended = flag(object, "/spec/suspend")?;
    Ok(if suspended { Assessment::suspended("suspended") } else { Assessment::healthy() })
}

/// The counts that replicated workloads share.
struct Replicas {
    wanted: i64,
    present: i64,
    ready: i64,
    available: i64,
}

impl Replicas {
    fn read(object: &Value) -> Result<Self, Unreadable> {
        Ok(Replicas {
            wanted: number(object, "/spec/replicas")?.unwrap_or(1),
            present: number(object, "/status/replicas")?.unwrap_or(0),
            ready: number(object, "/status/readyReplicas")?.unwrap_or(0),
            available: number(object, "/status/availableReplicas")?.unwrap_or(0),
        })
    }

    fn fewer(&self, found: i64, word: &str) -> Option<String> {
        (found < self.wanted).then(|| format!("{found} of {} replicas {word}", self.wanted))
    }

    fn extra(&self) -> Option<String> {
        let extra = self.present - self.wanted;
        (extra > 0).then(|| format!("{extra} replicas too many are still there"))
    }
}

/// A controller of these kinds always says which generation it saw; before that, its counts mean nothing.
fn not_seen(object: &Value) -> Result<Option<Assessment>, Unreadable> {
    let unseen = generation(object)?.is_some() && observed_generation(object)?.is_none();
    Ok(unseen.then(|| Assessment::progressing("not seen yet by its controller")))
}

fn first_of<const N: usize>(found: [Option<String>; N]) -> Option<String> {
    found.into_iter().flatten().next()
}

fn settled_unless(behind: Option<String>) -> Assessment {
    behind.map_or_else(Assessment::healthy, Assessment::progressing)
}
