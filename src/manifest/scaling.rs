//! Workloads whose number of replicas a scaler of the same release decides: their manifests leave it out, so that nobody
//! fights over it.
//!
//! Sources: Kubernetes, "Horizontal Pod Autoscaling" (`spec.scaleTargetRef`); KEDA, "ScaledObject specification" (the
//! defaults of its `scaleTargetRef`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Manifest, canonical_json};
use crate::name::{Digest, GroupVersionKind, ObjectKey};

/// Takes the number of replicas out of every manifest that a scaler among them targets.
pub(super) fn leave_counts(manifests: &mut [Manifest]) {
    let targets = targets(manifests);
    for manifest in manifests.iter_mut().filter(|manifest| targets.contains(&manifest.key)) {
        let spec = manifest.value.get_mut("spec").and_then(Value::as_object_mut);
        if spec.is_some_and(|spec| spec.remove("replicas").is_some()) {
            manifest.digest = Digest::of(&canonical_json(&manifest.value));
        }
    }
}

/// Marks every manifest that a scaler among them targets and that leaves the number of replicas to it.
pub(super) fn mark(manifests: &mut [Manifest]) {
    let targets = targets(manifests);
    for manifest in manifests {
        manifest.scaled = is_left_to(&targets, manifest);
    }
}

/// Whether a manifest leaves the number of replicas to a scaler.
pub(super) fn is_left_to(targets: &BTreeSet<ObjectKey>, manifest: &Manifest) -> bool {
    manifest.value.pointer("/spec/replicas").is_none() && targets.contains(&manifest.key)
}

fn targets(manifests: &[Manifest]) -> BTreeSet<ObjectKey> {
    manifests.iter().filter_map(target).collect()
}

/// What a scaler scales: an object of its own namespace.
pub(super) fn target(scaler: &Manifest) -> Option<ObjectKey> {
    let default = match (scaler.key.group.as_str(), scaler.key.kind.as_str()) {
        ("autoscaling", "HorizontalPodAutoscaler") => ("", None),
        ("keda.sh", "ScaledObject") => ("apps/v1", Some("Deployment")),
        _ => return None,
    };
    let reference = scaler.value.pointer("/spec/scaleTargetRef")?;
    let text = |field: &str| reference.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = GroupVersionKind::from_manifest(text("apiVersion").unwrap_or(default.0), text("kind").or(default.1)?);
    let (namespace, name) = (scaler.key.namespace.clone(), text("name")?.to_owned());
    Some(ObjectKey { group: kind.group, kind: kind.kind, namespace, name })
}

#[cfg(test)]
mod tests;
