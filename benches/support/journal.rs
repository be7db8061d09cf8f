//! How long the steps took by the agent's own account, from the entries of its journal.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockmaster::deploylog::{ObjectKind, unpack};
use serde_json::Value;

use crate::control_plane::ControlPlane;

/// `phase.step` and its milliseconds, of the newest entry of each phase of an environment.
pub(crate) fn durations(plane: &ControlPlane, agent_namespace: &str, environment: &str) -> BTreeMap<String, f64> {
    let selector = format!("lockmaster.dev/kind=entry,lockmaster.dev/environment={environment}");
    let path =
        format!("/api/v1/namespaces/{agent_namespace}/configmaps?labelSelector={}", selector.replace('=', "%3D"));
    let list = plane.get(&path).expect("because a list is never absent");
    let mut found = BTreeMap::new();
    for document in list["items"].as_array().into_iter().flatten().filter_map(entry) {
        let phase = document["phase"].as_str().unwrap_or_default();
        for (step, ms) in document["durationsMs"].as_object().into_iter().flatten() {
            found.insert(format!("{phase}.{step}"), ms.as_f64().unwrap_or_default());
        }
    }
    found
}

/// The document of an entry; `None` where it is continued in other objects.
fn entry(config_map: &Value) -> Option<Value> {
    let packed = STANDARD.decode(config_map["binaryData"]["content"].as_str()?).ok()?;
    let bytes = zstd::decode_all(packed.as_slice()).ok()?;
    let objects = unpack(&bytes).ok()?;
    let blobs = objects.iter().filter(|object| object.kind == ObjectKind::Blob);
    blobs
        .filter_map(|blob| serde_json::from_slice(&blob.body).ok())
        .find(|value: &Value| value["durationsMs"].is_object())
}
