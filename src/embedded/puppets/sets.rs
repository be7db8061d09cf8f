//! What keeps a number of pods: ReplicaSet, StatefulSet, DaemonSet.

use serde_json::{Value, json};

use super::pods::is_ready;
use super::{controlled, controller, counts, fresh, make, pod_of, show, template_hash, wanted};
use crate::embedded::state::State;
use crate::embedded::store::Key;

/// The label that says of which template a pod is.
const REVISION: &str = "controller-revision-hash";

/// How many pods there are, how many of them are ready, and how many are of the newest template.
fn tally(state: &State, set: &Value, revision: &str) -> [usize; 3] {
    let pods = controlled(state, set, "pods");
    let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
    let new = pods.iter().filter(|(_, pod)| pod["metadata"]["labels"][REVISION] == revision).count();
    [pods.len(), ready, new]
}

pub(super) fn replicas(state: &mut State, key: &Key, set: &Value) {
    let pods = controlled(state, set, "pods");
    let wanted = wanted(set);
    for _ in pods.len()..wanted {
        make(state, set, "pods", pod_of(&set["spec"]["template"], fresh(&key.name), &[]));
    }
    // Those that are not ready go first.
    let mut spare: Vec<&(Key, Value)> = pods.iter().collect();
    spare.sort_by_key(|(_, pod)| is_ready(pod));
    for (pod, _) in spare.into_iter().take(pods.len().saturating_sub(wanted)) {
        state.doom(pod, &controller());
    }
    let [pods, ready, _] = tally(state, set, "");
    let mut status = json!({"replicas": pods, "observedGeneration": set["metadata"]["generation"]});
    counts(&mut status, &[("fullyLabeledReplicas", pods), ("readyReplicas", ready), ("availableReplicas", ready)]);
    show(state, key, set, status);
}

/// Pods with numbers, one after the other; a new template replaces them from the last one on.
pub(super) fn stateful(state: &mut State, key: &Key, set: &Value) {
    let template = &set["spec"]["template"];
    let (hash, wanted) = (template_hash(template), wanted(set));
    let revision = format!("{}-{hash}", key.name);
    let pods = controlled(state, set, "pods");
    let name = |number: usize| format!("{}-{number}", key.name);
    let find = |number: usize| pods.iter().find(|(pod, _)| pod.name == name(number));
    let parallel = set["spec"]["podManagementPolicy"] == "Parallel";
    let all_ready = pods.iter().all(|(_, pod)| is_ready(pod));
    for number in (0..wanted).filter(|number| find(*number).is_none()) {
        if !parallel && !all_ready {
            break;
        }
        claim(state, key, set, number);
        let labels = [(REVISION, revision.as_str()), ("statefulset.kubernetes.io/pod-name", &name(number))];
        make(state, set, "pods", pod_of(template, name(number), &labels));
        if !parallel {
            break;
        }
    }
    let is_new = |pod: &Value| pod["metadata"]["labels"][REVISION] == revision.as_str();
    let kept: Vec<String> = (0..wanted).map(name).collect();
    for (pod, _) in pods.iter().filter(|(pod, _)| !kept.contains(&pod.name)) {
        state.doom(pod, &controller());
    }
    let rolls = set["spec"]["updateStrategy"]["type"] != "OnDelete";
    let old = pods.iter().rev().find(|(pod, object)| kept.contains(&pod.name) && !is_new(object));
    if let Some((pod, _)) = old.filter(|(_, object)| rolls && (all_ready || !is_ready(object))) {
        state.doom(pod, &controller());
    }
    let [pods, ready, new] = tally(state, set, &revision);
    let rolled = new == wanted && pods == wanted;
    let current = match set["status"]["currentRevision"].as_str() {
        Some(current) if !rolled => current.to_owned(),
        Some(_) | None => revision.clone(),
    };
    let mut status = json!({"observedGeneration": set["metadata"]["generation"], "replicas": pods,
                            "collisionCount": 0, "currentRevision": current, "updateRevision": revision});
    let at_current = if current == revision { new } else { pods - new };
    status["availableReplicas"] = json!(ready);
    counts(&mut status, &[("readyReplicas", ready), ("currentReplicas", at_current), ("updatedReplicas", new)]);
    show(state, key, set, status);
}

/// Makes the claims of a numbered pod, which stay when it goes.
fn claim(state: &mut State, key: &Key, set: &Value, number: usize) {
    let claims = state.known("persistentvolumeclaims");
    for template in set["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
        let stem = template["metadata"]["name"].as_str().unwrap_or_default();
        let name = format!("{stem}-{}-{number}", key.name);
        let metadata = json!({"name": name, "labels": set["spec"]["selector"]["matchLabels"]});
        let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
                           "spec": template["spec"]});
        // It is there already when a pod comes again.
        drop(state.create(&claims, Some(&key.namespace), claim, &controller()));
    }
}

/// One pod, as there is one node.
pub(super) fn daemons(state: &mut State, key: &Key, set: &Value) {
    let template = &set["spec"]["template"];
    let hash = template_hash(template);
    let is_new = |pod: &Value| pod["metadata"]["labels"][REVISION] == hash.as_str();
    let rolls = set["spec"]["updateStrategy"]["type"] != "OnDelete";
    let pods = controlled(state, set, "pods");
    let (new, old): (Vec<_>, Vec<_>) = pods.iter().partition(|(_, pod)| is_new(pod) || !rolls);
    for (pod, _) in old.into_iter().chain(new.iter().copied().skip(1)) {
        state.doom(pod, &controller());
    }
    if new.is_empty() {
        make(state, set, "pods", pod_of(template, fresh(&key.name), &[(REVISION, &hash)]));
    }
    let [pods, ready, updated] = tally(state, set, &hash);
    let mut status = json!({"observedGeneration": set["metadata"]["generation"], "currentNumberScheduled": pods,
                            "desiredNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": ready});
    let missing = 1_usize.saturating_sub(ready);
    counts(
        &mut status,
        &[("numberAvailable", ready), ("updatedNumberScheduled", updated), ("numberUnavailable", missing)],
    );
    show(state, key, set, status);
}
