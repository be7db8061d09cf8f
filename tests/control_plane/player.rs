//! Plays the controllers of a server that has none, so that what is recorded holds nothing that they do by themselves:
//! workloads are ready at once, but with the image tag `:crash` never; claims are bound.

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde::Serialize;
use serde_json::{Value, json};

/// Watches through one client and writes through the other one.
pub(crate) async fn play(watched: Client, written: Client) {
    futures::join!(
        follow::<Deployment>(&watched, &written, "/apis/apps/v1", "deployments"),
        follow::<StatefulSet>(&watched, &written, "/apis/apps/v1", "statefulsets"),
        follow::<PersistentVolumeClaim>(&watched, &written, "/api/v1", "persistentvolumeclaims"),
    );
}

async fn follow<K>(watched: &Client, written: &Client, api: &str, plural: &str)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + Serialize + Send + 'static,
    K: serde::de::DeserializeOwned,
{
    let objects = watcher(Api::<K>::all(watched.clone()), watcher::Config::default());
    let mut objects = std::pin::pin!(objects.default_backoff().applied_objects());
    while let Some(object) = objects.next().await {
        let Ok(object) = object.map(|object| json!(object)) else { continue };
        let Some(status) = status(plural, &object) else { continue };
        let metadata = &object["metadata"];
        let (namespace, name) = (metadata["namespace"].as_str(), metadata["name"].as_str());
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        let path = format!("{api}/namespaces/{namespace}/{plural}/{name}/status?fieldManager=player");
        let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
        let request = request.header("user-agent", "player").body(json!({"status": status}).to_string().into_bytes());
        // An object that went meanwhile needs nothing.
        drop(written.request::<Value>(request.expect("because the path is valid")).await);
    }
}

/// The status that an object is to have; `None` where it has it.
fn status(plural: &str, object: &Value) -> Option<Value> {
    if plural == "persistentvolumeclaims" {
        return (object["status"]["phase"] != "Bound").then(|| json!({"phase": "Bound"}));
    }
    let generation = &object["metadata"]["generation"];
    if object["status"]["observedGeneration"] == *generation {
        return None;
    }
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let crashes = object["spec"]["template"]["spec"].to_string().contains(":crash\"");
    if plural == "statefulsets" {
        return Some(json!({"observedGeneration": generation, "replicas": replicas, "readyReplicas": replicas,
                           "currentReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
                           "currentRevision": "one", "updateRevision": "one"}));
    }
    let time = "2026-01-01T00:00:00Z";
    let condition = |kind: &str, truth: bool, reason: &str| {
        json!({"type": kind, "status": if truth { "True" } else { "False" }, "reason": reason, "message": reason,
               "lastTransitionTime": time, "lastUpdateTime": time})
    };
    if crashes {
        let conditions = [
            condition("Available", false, "MinimumReplicasUnavailable"),
            condition("Progressing", true, "ReplicaSetUpdated"),
        ];
        return Some(json!({"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
                           "unavailableReplicas": replicas, "conditions": conditions}));
    }
    let conditions = [
        condition("Available", true, "MinimumReplicasAvailable"),
        condition("Progressing", true, "NewReplicaSetAvailable"),
    ];
    Some(json!({"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas, "conditions": conditions}))
}
