//! What a cluster's controllers, scheduler and kubelet would do, played: workloads get pods, claims are bound, services and
//! ingresses get addresses. Nothing runs.
//!
//! The tag of a container's image plays a failure: `:crash` (CrashLoopBackOff), `:pullerror` (ImagePullBackOff), `:slow`
//! (ready after [`pods::SLOW`]). Pods of Jobs end at once (`:crash`: they fail). Deployments replace all pods at once when the
//! new ones are ready. Not played: CronJobs, autoscalers, metrics, eviction, scheduling by resources or taints.

mod batch;
mod pods;
mod rollout;
mod sets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Server;
use super::state::State;
use super::store::{Change, Key, owners};
use super::write::{How, random_suffix};

/// The one node.
const NODE: &str = "embedded";

/// An address out of the range that is kept for documentation (RFC 5737), so that nothing is reached by it.
const ADDRESS: &str = "192.0.2.1";

/// The play: the objects to look at again later, and since when pods run.
#[derive(Default)]
pub(super) struct Play {
    later: BTreeMap<Instant, BTreeSet<Key>>,
    since: BTreeMap<String, Instant>,
}

/// Plays until the server ends.
pub(super) async fn play(server: Arc<Server>) {
    let mut play = Play::default();
    let mut newest = server.newest.subscribe();
    let mut position = 0;
    server.write(|state| join(state, &How::of_controller("kubelet")));
    loop {
        newest.mark_unchanged();
        let (changed, version) = play.changed(&server.state(), position);
        position = version;
        let due = play.due();
        let idle = changed.is_empty() && due.is_empty();
        for key in changed.into_iter().chain(due) {
            // One at a time, so that requests are answered in between.
            server.write(|state| play.serve(state, &key));
        }
        if !idle {
            continue;
        }
        let next = play.later.keys().next().copied();
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
        }
    }
}

impl Play {
    /// What is to be looked at because of what changed behind a version: the objects and their owners; everything, if that
    /// is not known any more.
    fn changed(&mut self, state: &State, position: u64) -> (BTreeSet<Key>, u64) {
        let changed = match state.store.changes_after(position) {
            Ok(changes) => changes
                .iter()
                .flat_map(|change| owner_keys(state, change).into_iter().chain([change.key.clone()]))
                .collect(),
            Err(_) => state.store.all().map(|(key, _)| key.clone()).collect(),
        };
        (changed, state.store.version())
    }

    fn due(&mut self) -> BTreeSet<Key> {
        let later = self.later.split_off(&(Instant::now() + std::time::Duration::from_nanos(1)));
        std::mem::replace(&mut self.later, later).into_values().flatten().collect()
    }

    fn look_again(&mut self, key: &Key, at: Instant) {
        self.later.entry(at).or_default().insert(key.clone());
    }

    fn serve(&mut self, state: &mut State, key: &Key) {
        let Some(object) = state.store.get(key).cloned() else { return };
        if object["metadata"]["deletionTimestamp"].is_string() {
            return;
        }
        match key.resource.as_str() {
            "pods" => self.pod(state, key, &object),
            "replicasets.apps" => sets::replicas(state, key, &object),
            "statefulsets.apps" => sets::stateful(state, key, &object),
            "daemonsets.apps" => sets::daemons(state, key, &object),
            "deployments.apps" => self.rollout(state, key, &object),
            "jobs.batch" => self.job(state, key, &object),
            "persistentvolumeclaims" => {
                let capacity = &object["spec"]["resources"]["requests"];
                let status =
                    json!({"phase": "Bound", "accessModes": object["spec"]["accessModes"], "capacity": capacity});
                show(state, key, &object, status);
            }
            "poddisruptionbudgets.policy" => {
                let status = json!({"observedGeneration": object["metadata"]["generation"], "currentHealthy": 0,
                                    "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
                show(state, key, &object, status);
            }
            "services" if object["spec"]["type"] == "LoadBalancer" => reach(state, key, &object),
            "ingresses.networking.k8s.io" => reach(state, key, &object),
            _ => {}
        }
    }
}

/// Gives an address.
fn reach(state: &mut State, key: &Key, object: &Value) {
    show(state, key, object, json!({"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}));
}

/// The owners of what changed.
fn owner_keys(state: &State, change: &Change) -> Vec<Key> {
    let references = change.object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys = references.filter_map(|owner| {
        let (version, kind) = (text(&owner["apiVersion"]), text(&owner["kind"]));
        let resource = state.resources().find(|found| found.kind == kind && found.api_version() == version)?;
        Some(resource.key(&change.key.namespace, owner["name"].as_str()?))
    });
    keys.collect()
}

/// The controllers' name in `managedFields`.
fn controller() -> How {
    How::of_controller("kube-controller-manager")
}

/// Writes a status, if it says something new.
fn show(state: &mut State, key: &Key, object: &Value, status: Value) {
    let mut shown = object.clone();
    shown["status"] = status;
    tell(state, key, object, shown);
}

/// The same with what else of the object is written together with its status.
fn tell(state: &mut State, key: &Key, object: &Value, shown: Value) {
    if *object != shown {
        let manager = if key.resource == "pods" { "kubelet" } else { "kube-controller-manager" };
        state.write_status(key, shown, manager);
    }
}

/// The objects of a kind that an object controls.
fn controlled(state: &State, owner: &Value, resource: &str) -> Vec<(Key, Value)> {
    let metadata = &owner["metadata"];
    let uid = metadata["uid"].as_str().unwrap_or_default();
    let found = state.store.list(resource, metadata["namespace"].as_str()).filter(|(_, object)| {
        owners(object).any(|owner| owner == uid) && !object["metadata"]["deletionTimestamp"].is_string()
    });
    found.map(|(key, object)| (key.clone(), Value::clone(object))).collect()
}

/// Makes an object that is controlled by another one.
fn make(state: &mut State, owner: &Value, resource: &str, mut object: Value) {
    let resource = state.known(resource);
    let metadata = &owner["metadata"];
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"],
        "controller": true, "blockOwnerDeletion": true,
    }]);
    let made = state.create(&resource, metadata["namespace"].as_str(), object, &controller());
    // The namespace may be going, or the template says what no pod may: the workload stays without pods, and says so.
    drop(made.inspect_err(|refusal| tracing::debug!(?refusal, "embedded-controller-refused")));
}

/// A pod of a template.
fn pod_of(template: &Value, name: String, labels: &[(&str, &str)]) -> Value {
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!(name);
    for (key, value) in labels {
        metadata["labels"][*key] = json!(value);
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("creationTimestamp");
    }
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!(NODE);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// A name that nobody else has.
fn fresh(stem: &str) -> String {
    format!("{stem}-{}", random_suffix())
}

/// Ten characters that tell one template from another.
fn template_hash(template: &Value) -> String {
    let hex = crate::name::Digest::of(template.to_string().as_bytes()).hex();
    hex[..10].to_owned()
}

/// How many replicas are wanted.
fn wanted(object: &Value) -> usize {
    object["spec"]["replicas"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
}

/// Counts that are zero are left out, as Go's `omitempty` does.
fn counts(status: &mut Value, counts: &[(&str, usize)]) {
    for (name, count) in counts.iter().filter(|(_, count)| *count > 0) {
        status[*name] = json!(count);
    }
}

/// The conditions of a status, in order; of one that says what it said before the times are kept.
fn condition(object: &Value, kind: &str, truth: bool, reason: &str, message: &str) -> Value {
    let now = super::request::now();
    let before = object["status"]["conditions"].as_array().into_iter().flatten();
    let before = before.into_iter().find(|condition| condition["type"] == kind);
    let status = if truth { "True" } else { "False" };
    let kept = before.filter(|before| before["status"] == status);
    let turned = kept.map_or(json!(now), |before| before["lastTransitionTime"].clone());
    let said = kept.filter(|before| before["reason"] == reason && before["message"] == message);
    let mut condition =
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": turned});
    if object["kind"] == "Deployment" {
        condition["lastUpdateTime"] = said.map_or(json!(now), |before| before["lastUpdateTime"].clone());
    }
    condition
}

/// The node, which is always ready.
fn join(state: &mut State, how: &How) {
    let nodes = state.known("nodes");
    let name = json!({"name": NODE, "labels": {"kubernetes.io/hostname": NODE}});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": name});
    let Ok(node) = state.create(&nodes, None, node, how) else { return };
    let ready = condition(&node, "Ready", true, "KubeletReady", "pods are simulated");
    let mut shown = node.clone();
    shown["status"] = json!({"conditions": [ready]});
    state.write_status(&nodes.key("", NODE), shown, "kubelet");
}
