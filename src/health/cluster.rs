//! What Kubernetes itself serves besides workloads: volumes, networking, policies, extensions, and all that is well as
//! soon as it exists.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::reading::{Truth, conditions, generation, list, observed_generation, text};
use super::{Assessment, Rule, Ruling, exists};

/// How long an autoscaler may be unable to scale before it counts as failed: shorter breaks come with each rollout of
/// its target.
const UNABLE_TO_SCALE: SignedDuration = SignedDuration::from_secs(30);

/// Kinds that no controller has to answer for, or whose status says nothing about being well.
const EXISTING_IS_ENOUGH: &[(&str, &[&str])] = &[
    (
        "",
        &["ConfigMap", "Secret", "ServiceAccount", "Endpoints", "LimitRange", "ResourceQuota", "PodTemplate", "Event"],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingWebhookConfiguration",
            "ValidatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
        ],
    ),
    ("apps", &["ControllerRevision"]),
    ("autoscaling.k8s.io", &["VerticalPodAutoscaler"]),
    ("certificates.k8s.io", &["ClusterTrustBundle"]),
    ("coordination.k8s.io", &["Lease"]),
    ("discovery.k8s.io", &["EndpointSlice"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io", &["Ingress", "IngressClass", "NetworkPolicy", "IPAddress"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "ResourceClaimTemplate", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    ("storage.k8s.io", &["StorageClass", "CSIDriver", "CSINode", "CSIStorageCapacity", "VolumeAttributesClass"]),
];

/// The rule of a kind that Kubernetes serves.
pub(super) fn rule(group: &str, kind: &str) -> Option<Rule> {
    match (group, kind) {
        ("", "PersistentVolumeClaim") => Some(claim),
        ("", "PersistentVolume") => Some(volume),
        ("", "Service") => Some(service),
        ("", "Namespace") => Some(namespace),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Some(definition),
        ("apiregistration.k8s.io", "APIService") => Some(api_service),
        ("autoscaling", "HorizontalPodAutoscaler") => Some(autoscaler),
        ("policy", "PodDisruptionBudget") => Some(disruption_budget),
        _ => {
            let kinds = EXISTING_IS_ENOUGH.iter().find(|(of, _)| *of == group).map(|(_, kinds)| *kinds);
            kinds.is_some_and(|kinds| kinds.contains(&kind)).then_some(exists as Rule)
        }
    }
}

/// kstatus, PersistentVolumeClaim; lost is added. A claim that waits for its first consumer cannot be told from one
/// that waits for its volume without reading its class: both are progressing.
fn claim(object: &Value, _: Timestamp) -> Ruling {
    Ok(match text(object, "/status/phase")? {
        Some("Bound") => Assessment::healthy(),
        Some("Lost") => Assessment::failed("its volume is lost"),
        Some(phase) => Assessment::progressing(format!("{} and not bound", phase.to_lowercase())),
        None => Assessment::progressing("not bound yet"),
    })
}

/// Kubernetes documentation, Persistent Volumes, Phase.
fn volume(object: &Value, _: Timestamp) -> Ruling {
    Ok(match text(object, "/status/phase")? {
        Some("Available" | "Bound" | "Released") => Assessment::healthy(),
        Some("Failed") => Assessment::failed(super::reading::one_line(
            text(object, "/status/message")?.unwrap_or("reclaiming failed"),
        )),
        Some(_) | None => Assessment::progressing("not available yet"),
    })
}

/// kstatus asks a load balancer for a `clusterIP` only; like Argo CD (`pkg/health/health_service.go`) we ask for an
/// ingress.
fn service(object: &Value, _: Timestamp) -> Ruling {
    if text(object, "/spec/type")? != Some("LoadBalancer") || !list(object, "/status/loadBalancer/ingress")?.is_empty()
    {
        return Ok(Assessment::healthy());
    }
    Ok(Assessment::progressing("its load balancer has no address yet"))
}

/// Kubernetes documentation, Namespaces: `status.phase`.
fn namespace(object: &Value, _: Timestamp) -> Ruling {
    Ok(match text(object, "/status/phase")? {
        Some("Active") => Assessment::healthy(),
        Some("Terminating") => Assessment::progressing("terminating"),
        Some(_) | None => Assessment::progressing("not active yet"),
    })
}

/// kstatus, CustomResourceDefinition.
fn definition(object: &Value, _: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    if let Some(refused) = conditions.with("NamesAccepted", Truth::False) {
        return Ok(Assessment::failed(refused.because()));
    }
    Ok(match conditions.get("Established") {
        Some(found) if found.truth == Truth::True => Assessment::healthy(),
        Some(found) if found.truth == Truth::False && found.reason != "Installing" => {
            Assessment::failed(found.because())
        }
        Some(_) | None => Assessment::progressing("not established yet"),
    })
}

/// Kubernetes documentation, API aggregation: the condition `Available`.
fn api_service(object: &Value, _: Timestamp) -> Ruling {
    Ok(match conditions(object)?.get("Available") {
        Some(found) if found.truth == Truth::True => Assessment::healthy(),
        Some(found) => Assessment::progressing(found.because()),
        None => Assessment::progressing("not available yet"),
    })
}

/// Argo CD, `pkg/health/health_hpa.go`, but missing metrics are no failure of a release, and how many replicas it wants
/// is its own business.
fn autoscaler(object: &Value, now: Timestamp) -> Ruling {
    let conditions = conditions(object)?;
    if let Some(inactive) = conditions.with("ScalingActive", Truth::False)
        && matches!(inactive.reason, "InvalidSelector" | "AmbiguousSelector")
    {
        return Ok(Assessment::failed(inactive.because()));
    }
    let Some(unable) = conditions.with("AbleToScale", Truth::False) else { return Ok(Assessment::healthy()) };
    let late = unable.since.is_some_and(|since| now.duration_since(since) > UNABLE_TO_SCALE);
    if late || matches!(unable.reason, "FailedUpdateScale" | "InvalidSelector" | "AmbiguousSelector") {
        return Ok(Assessment::failed(unable.because()));
    }
    Ok(Assessment::progressing(unable.because()))
}

/// kstatus, PodDisruptionBudget: that its generation was seen.
fn disruption_budget(object: &Value, _: Timestamp) -> Ruling {
    let unseen = generation(object)?.is_some() && observed_generation(object)?.is_none();
    Ok(if unseen { Assessment::progressing("not seen yet by its controller") } else { Assessment::healthy() })
}
