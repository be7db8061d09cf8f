//! The puppet node: does over the API what a scheduler, a kubelet and a volume binder would do.
//!
//! Pods are bound to one node and run; the tag of a container's image plays a failure: `:crash`, `:pullerror`, or
//! `:slow` (ready after [`SLOW`]). Pods of Jobs succeed (`:crash`: fail). Deleted pods go at once. Claims are bound.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// The node's name.
const NODE: &str = "puppet";
/// How long a `:slow` pod runs before it is ready.
const SLOW: Duration = Duration::from_secs(3);

/// Serves until the runtime ends.
pub(crate) async fn run(client: Client) {
    join_cluster(&client).await;
    let pods = watcher(Api::<Pod>::all(client.clone()), watcher::Config::default());
    let pods = pods.default_backoff().applied_objects().for_each_concurrent(None, |pod| {
        let client = client.clone();
        async move {
            if let Ok(pod) = pod {
                serve_pod(&client, &pod).await;
            }
        }
    });
    let claims = watcher(Api::<PersistentVolumeClaim>::all(client.clone()), watcher::Config::default());
    let claims = claims.default_backoff().applied_objects().for_each_concurrent(None, |claim| {
        let client = client.clone();
        async move {
            if let Ok(claim) = claim {
                serve_claim(&client, &claim).await;
            }
        }
    });
    futures::join!(pods, claims);
}

/// What a pod's images ask the puppet to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ready,
    Slow,
    Crash,
    PullError,
    Done,
    Failed,
}

/// Registers the node, without which a DaemonSet makes no pod. Failures show as tests whose DaemonSet never settles.
async fn join_cluster(client: &Client) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    // The server taints new nodes as not ready, and there is no controller here that takes the taint away.
    let untainted = json!({"spec": {"taints": null}});
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Puppet"}]}});
    let media = "application/merge-patch+json";
    let path = format!("/api/v1/nodes/{NODE}");
    post(client, "POST", "/api/v1/nodes", "application/json", &node).await;
    post(client, "PATCH", &path, media, &untainted).await;
    post(client, "PATCH", &format!("{path}/status"), media, &ready).await;
}

async fn serve_pod(client: &Client, pod: &Pod) {
    let namespace = pod.namespace().unwrap_or_default();
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let name = pod.name_any();
    let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if pod.metadata.deletion_timestamp.is_some() {
        if bound {
            // Gone already is as good: another event of the same pod may have been served first.
            drop(pods.delete(&name, &DeleteParams::default().grace_period(0)).await);
        }
        return;
    }
    if !bound {
        let target = json!({"apiVersion": "v1", "kind": "Node", "name": NODE});
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/binding");
        post(client, "POST", &path, "application/json", &binding).await;
        return;
    }
    let role = role_of(pod);
    if plays(pod, role) {
        return;
    }
    if role == Role::Slow && is_running(pod) {
        tokio::time::sleep(SLOW).await;
        publish(&pods, &name, status(pod, Role::Ready)).await;
    } else {
        publish(&pods, &name, status(pod, role)).await;
    }
}

async fn serve_claim(client: &Client, claim: &PersistentVolumeClaim) {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase == Some("Bound") {
        return;
    }
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
    let asked = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()).and_then(|r| r.requests.clone());
    let bound = json!({"status": {"phase": "Bound", "capacity": asked.unwrap_or_default()}});
    let patch = Patch::Merge(bound);
    // A claim that went meanwhile needs nothing.
    drop(claims.patch_status(&claim.name_any(), &PatchParams::default(), &patch).await);
}

fn role_of(pod: &Pod) -> Role {
    let spec = pod.spec.as_ref();
    let tags = spec.into_iter().flat_map(|spec| &spec.containers).filter_map(|container| container.image.as_deref());
    let mut asked = tags.filter_map(|image| match image.rsplit_once(':').map(|(_, tag)| tag) {
        Some("crash") => Some(Role::Crash),
        Some("pullerror") => Some(Role::PullError),
        Some("slow") => Some(Role::Slow),
        Some(_) | None => None,
    });
    let asked = asked.next().unwrap_or(Role::Ready);
    let of_job = pod.owner_references().iter().any(|owner| owner.kind == "Job");
    match asked {
        Role::Crash if of_job => Role::Failed,
        Role::Ready | Role::Slow if of_job => Role::Done,
        other => other,
    }
}

/// Whether the pod's status says already what its images ask for.
fn plays(pod: &Pod, role: Role) -> bool {
    let told = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let told: BTreeMap<&str, (&str, bool, bool)> = told
        .into_iter()
        .flatten()
        .map(|one| {
            let waits = one.state.as_ref().is_some_and(|state| state.waiting.is_some());
            (one.name.as_str(), (one.image.as_str(), one.ready, waits))
        })
        .collect();
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    containers.iter().all(|container| {
        let Some((image, ready, waits)) = told.get(container.name.as_str()) else { return false };
        let same = Some(*image) == container.image.as_deref();
        match role {
            Role::Ready | Role::Slow => same && *ready,
            Role::Crash | Role::PullError => same && *waits,
            Role::Done => phase == Some("Succeeded"),
            Role::Failed => phase == Some("Failed"),
        }
    })
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
}

fn status(pod: &Pod, role: Role) -> Value {
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let (phase, ready) = match role {
        Role::Ready => ("Running", true),
        Role::Slow | Role::Crash => ("Running", false),
        Role::PullError => ("Pending", false),
        Role::Done => ("Succeeded", false),
        Role::Failed => ("Failed", false),
    };
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let containers: Vec<Value> = containers
        .iter()
        .map(|container| {
            let image = container.image.clone().unwrap_or_default();
            let restarts = if role == Role::Crash { 5 } else { 0 };
            json!({"name": container.name, "image": image, "imageID": image, "ready": ready, "started": ready,
                   "restartCount": restarts, "state": container_state(role, &now)})
        })
        .collect();
    let truth = if ready { "True" } else { "False" };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now});
    let conditions = [
        condition("Initialized", "True"),
        condition("Ready", truth),
        condition("ContainersReady", truth),
        condition("PodScheduled", "True"),
    ];
    json!({"status": {"phase": phase, "startTime": now, "podIP": "10.244.0.2", "conditions": conditions,
                      "containerStatuses": containers}})
}

fn container_state(role: Role, now: &str) -> Value {
    match role {
        Role::Ready | Role::Slow => json!({"running": {"startedAt": now}}),
        Role::Crash => {
            let message = "back-off 5m0s restarting failed container";
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        }
        Role::PullError => json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}),
        Role::Done => json!({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}}),
        Role::Failed => json!({"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": now}}),
    }
}

async fn publish(pods: &Api<Pod>, name: &str, status: Value) {
    // A pod that went meanwhile needs nothing; one that changed comes again as an event.
    drop(pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await);
}

/// Sends what the server may also refuse: a pod that is bound already, a node that is known already.
async fn post(client: &Client, method: &str, path: &str, media: &str, body: &Value) {
    let request = http::Request::builder().method(method).uri(path).header("content-type", media);
    let request = request.body(body.to_string().into_bytes()).expect("because the paths are valid");
    drop(client.request::<Value>(request).await);
}
