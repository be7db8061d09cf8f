//! Deployments: one replica set for each template; the old ones go when the new one is ready.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Play, condition, controlled, controller, counts, make, show, template_hash, wanted};
use crate::embedded::state::State;
use crate::embedded::store::Key;

impl Play {
    pub(super) fn rollout(&mut self, state: &mut State, key: &Key, deployment: &Value) {
        let hash = template_hash(&deployment["spec"]["template"]);
        let name = format!("{}-{hash}", key.name);
        let sets = controlled(state, deployment, "apps", "replicasets");
        let current = sets.iter().find(|(set, _)| set.name == name);
        let paused = deployment["spec"]["paused"] == true;
        match current {
            None if !paused => make(state, deployment, "apps", "replicasets", set_of(deployment, &name, &hash)),
            None => {}
            Some((set, object)) => resize(state, set, object, wanted(deployment)),
        }
        let ready = |set: &Value| set["status"]["readyReplicas"].as_u64().unwrap_or(0);
        let rolled = current.is_some_and(|(_, set)| {
            wanted(set) == wanted(deployment) && ready(set) >= wanted(deployment) as u64 && is_seen(set)
        });
        for (set, object) in sets.iter().filter(|(set, _)| rolled && set.name != name) {
            resize(state, set, object, 0);
        }
        let status = self.rollout_status(key, deployment, &sets, &name);
        show(state, key, deployment, status);
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
        let available = match enough {
            true => condition(
                deployment,
                "Available",
                true,
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.",
            ),
            false => condition(
                deployment,
                "Available",
                false,
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            ),
        };
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
            let age = Timestamp::now().duration_since(made).as_secs().max(0).unsigned_abs();
            if age >= limit {
                let message = format!("ReplicaSet \"{name}\" has timed out progressing.");
                return told(false, "ProgressDeadlineExceeded", message);
            }
            self.look_again(key, Instant::now() + Duration::from_secs(limit - age + 1));
        }
        told(true, "ReplicaSetUpdated", format!("ReplicaSet \"{name}\" is progressing."))
    }
}

fn is_seen(set: &Value) -> bool {
    set["status"]["observedGeneration"] == set["metadata"]["generation"]
}

fn set_of(deployment: &Value, name: &str, hash: &str) -> Value {
    let mut template = deployment["spec"]["template"].clone();
    template["metadata"]["labels"]["pod-template-hash"] = json!(hash);
    let mut selector = deployment["spec"]["selector"].clone();
    selector["matchLabels"]["pod-template-hash"] = json!(hash);
    json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
           "metadata": {"name": name, "labels": template["metadata"]["labels"]},
           "spec": {"replicas": wanted(deployment), "selector": selector, "template": template}})
}

/// Sets how many replicas a replica set has.
fn resize(state: &mut State, key: &Key, set: &Value, replicas: usize) {
    if wanted(set) == replicas {
        return;
    }
    let mut resized = set.clone();
    resized["spec"]["replicas"] = json!(replicas);
    let resource = state.known("apps", "replicasets");
    drop(state.replace(&resource, key, set, resized, &controller()));
}
