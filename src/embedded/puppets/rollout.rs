//! Deployments: one replica set for each template; the old ones go when the new one is ready.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Play, condition, controlled, controller, counts, make, tell, template_hash, wanted};
use crate::embedded::state::State;
use crate::embedded::store::Key;

/// The number of a template among those that a Deployment had, which its controller writes on it and on its replica sets.
const REVISION: &str = "deployment.kubernetes.io/revision";

impl Play {
    pub(super) fn rollout(&mut self, state: &mut State, key: &Key, deployment: &Value) {
        let hash = template_hash(&deployment["spec"]["template"]);
        let name = format!("{}-{hash}", key.name);
        let sets = controlled(state, deployment, "replicasets.apps");
        let (current, old): (Vec<_>, Vec<_>) = sets.iter().partition(|(set, _)| set.name == name);
        let current = current.first();
        let newest = old.iter().map(|(_, set)| revision(set)).max().unwrap_or(0) + 1;
        let revision = current.map_or(newest, |(_, set)| revision(set).max(newest));
        match current {
            Some((set, object)) => resize(state, set, object, wanted(deployment), Some(revision)),
            None if deployment["spec"]["paused"] == true => {}
            None => make(state, deployment, "replicasets.apps", set_of(deployment, &name, &hash, revision)),
        }
        let ready = |set: &Value| set["status"]["readyReplicas"].as_u64().unwrap_or(0);
        let rolled = current.is_some_and(|(_, set)| {
            wanted(set) == wanted(deployment) && ready(set) >= wanted(deployment) as u64 && is_seen(set)
        });
        for (set, object) in old.into_iter().filter(|_| rolled) {
            resize(state, set, object, 0, None);
        }
        let mut shown = deployment.clone();
        shown["status"] = self.rollout_status(key, deployment, &sets, &name);
        if current.is_some() {
            shown["metadata"]["annotations"][REVISION] = json!(revision.to_string());
        }
        tell(state, key, deployment, shown);
    }

    fn rollout_status(&mut self, key: &Key, deployment: &Value, sets: &[(Key, Value)], name: &str) -> Value {
        let sum = |field: &str| -> usize {
            let all = sets.iter().filter_map(|(_, set)| set["status"][field].as_u64());
            usize::try_from(all.sum::<u64>()).unwrap_or(usize::MAX)
        };
        let current = sets.iter().find(|(set, _)| set.name == name).map(|(_, set)| set);
        let updated = current.and_then(|set| set["status"]["replicas"].as_u64()).unwrap_or(0);
        let updated = usize::try_from(updated).unwrap_or(usize::MAX);
        let (replicas, available) = (sum("replicas"), sum("availableReplicas"));
        let wanted = wanted(deployment);
        let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
        counts(
            &mut status,
            &[
                ("replicas", replicas),
                ("updatedReplicas", updated),
                ("readyReplicas", sum("readyReplicas")),
                ("availableReplicas", available),
                ("unavailableReplicas", wanted.saturating_sub(available)),
            ],
        );
        let done = current.is_some() && updated == wanted && replicas == wanted && available == wanted;
        let progress = self.progress(key, deployment, current, name, done);
        let enough = available >= wanted;
        let (reason, does) = if enough { ("Available", "has") } else { ("Unavailable", "does not have") };
        let (reason, message) =
            (format!("MinimumReplicas{reason}"), format!("Deployment {does} minimum availability."));
        let available = condition(deployment, "Available", enough, &reason, &message);
        status["conditions"] = json!([available, progress]);
        status
    }

    /// The condition `Progressing`; one that is late is looked at again when its deadline passes.
    fn progress(&mut self, key: &Key, deployment: &Value, current: Option<&Value>, name: &str, done: bool) -> Value {
        let told = |truth, reason: &str, message: String| condition(deployment, "Progressing", truth, reason, &message);
        if done {
            let message = format!("ReplicaSet \"{name}\" has successfully progressed.");
            return told(true, "NewReplicaSetAvailable", message);
        }
        let limit = deployment["spec"]["progressDeadlineSeconds"].as_u64().unwrap_or(600);
        let made = current.and_then(|set| set["metadata"]["creationTimestamp"].as_str()?.parse::<Timestamp>().ok());
        if let Some(made) = made {
            let limit = SignedDuration::from_secs(i64::try_from(limit).unwrap_or(i64::MAX));
            let left = limit.saturating_sub(Timestamp::now().duration_since(made));
            if !left.is_positive() {
                let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
                return told(false, "ProgressDeadlineExceeded", message);
            }
            self.look_again(key, Instant::now() + left.unsigned_abs());
        }
        told(true, "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."))
    }
}

fn is_seen(set: &Value) -> bool {
    set["status"]["observedGeneration"] == set["metadata"]["generation"]
}

fn revision(set: &Value) -> u64 {
    set["metadata"]["annotations"][REVISION].as_str().and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

fn set_of(deployment: &Value, name: &str, hash: &str, revision: u64) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"]["pod-template-hash"] = json!(hash);
    let annotations = json!({REVISION: revision.to_string()});
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
           "metadata": {"name": name, "labels": template["metadata"]["labels"], "annotations": annotations},
           "spec": {"replicas": wanted(deployment), "selector": selector, "template": template}})
}

/// Sets how many replicas a replica set has, and its revision.
fn resize(state: &mut State, key: &Key, set: &Value, replicas: usize, revision: Option<u64>) {
    let mut resized = set.clone();
    resized["spec"]["replicas"] = json!(replicas);
    if let Some(revision) = revision {
        resized["metadata"]["annotations"][REVISION] = json!(revision.to_string());
    }
    if resized != *set {
        let resource = state.known(&key.resource);
        drop(state.replace(&resource, key, set, resized, &controller()));
    }
}
