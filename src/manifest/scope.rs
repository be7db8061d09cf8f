//! Where the objects of a kind live, and when they are applied.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Scope, Scopes, Stage};
use crate::name::GroupKind;

impl Scopes {
    /// The kinds that Kubernetes itself serves.
    #[must_use]
    pub fn built_in() -> Self {
        let kinds = |table: &[(&str, &str)], scope| -> BTreeMap<GroupKind, Scope> {
            let of_group = |(group, kinds): &(&str, &str)| -> Vec<GroupKind> {
                kinds.split(' ').map(|kind| GroupKind::new(group, kind)).collect()
            };
            table.iter().flat_map(of_group).map(|kind| (kind, scope)).collect()
        };
        let mut scopes = kinds(NAMESPACED, Scope::Namespaced);
        scopes.extend(kinds(CLUSTER, Scope::Cluster));
        Scopes(scopes)
    }

    /// Adds the kind that a CustomResourceDefinition defines, where it says one.
    pub(super) fn add_definition(&mut self, definition: &Value) {
        let text = |pointer| definition.pointer(pointer).and_then(Value::as_str);
        let scope = match text("/spec/scope") {
            Some("Namespaced") => Scope::Namespaced,
            Some("Cluster") => Scope::Cluster,
            _ => return,
        };
        if let Some((group, kind)) = text("/spec/group").zip(text("/spec/names/kind")) {
            self.0.insert(GroupKind::new(group, kind), scope);
        }
    }
}

/// Discovery of a Kubernetes 1.36 server with every API switched on, and the kinds that its feature gates hide:
/// namespaced ones by group.
const NAMESPACED: &[(&str, &str)] = &[
    (
        "",
        "Binding ConfigMap Endpoints Event LimitRange PersistentVolumeClaim Pod PodTemplate ReplicationController \
         ResourceQuota Secret Service ServiceAccount",
    ),
    ("apps", "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet"),
    ("authorization.k8s.io", "LocalSubjectAccessReview"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("batch", "CronJob Job"),
    ("certificates.k8s.io", "PodCertificateRequest"),
    ("coordination.k8s.io", "Lease LeaseCandidate"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("events.k8s.io", "Event"),
    ("networking.k8s.io", "Ingress NetworkPolicy"),
    ("policy", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io", "Role RoleBinding"),
    ("resource.k8s.io", "ResourceClaim ResourceClaimTemplate"),
    ("scheduling.k8s.io", "PodGroup Workload"),
    ("storage.k8s.io", "CSIStorageCapacity"),
];

/// The same server's cluster-scoped kinds.
const CLUSTER: &[(&str, &str)] = &[
    ("", "ComponentStatus Namespace Node PersistentVolume"),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration \
         ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("authentication.k8s.io", "SelfSubjectReview TokenReview"),
    ("authorization.k8s.io", "SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview"),
    ("certificates.k8s.io", "CertificateSigningRequest ClusterTrustBundle"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema PriorityLevelConfiguration"),
    ("internal.apiserver.k8s.io", "StorageVersion"),
    ("networking.k8s.io", "IPAddress IngressClass ServiceCIDR"),
    ("node.k8s.io", "RuntimeClass"),
    ("rbac.authorization.k8s.io", "ClusterRole ClusterRoleBinding"),
    ("resource.k8s.io", "DeviceClass DeviceTaintRule ResourcePoolStatusRequest ResourceSlice"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("storage.k8s.io", "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass"),
    ("storagemigration.k8s.io", "StorageVersionMigration"),
];

impl Stage {
    /// The stage of a kind; every custom resource is a workload, which follows its definition.
    #[must_use]
    pub fn of(kind: &GroupKind) -> Stage {
        match (kind.group.as_str(), kind.kind.as_str()) {
            ("", "Namespace")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("scheduling.k8s.io", "PriorityClass")
            | ("storage.k8s.io", "StorageClass" | "VolumeAttributesClass" | "CSIDriver")
            | ("networking.k8s.io", "IngressClass")
            | ("node.k8s.io", "RuntimeClass")
            | ("resource.k8s.io", "DeviceClass")
            | ("flowcontrol.apiserver.k8s.io", "FlowSchema" | "PriorityLevelConfiguration") => Stage::Foundation,
            (
                "",
                "ServiceAccount"
                | "ResourceQuota"
                | "LimitRange"
                | "ConfigMap"
                | "Secret"
                | "PersistentVolumeClaim"
                | "PersistentVolume"
                | "Service",
            )
            | ("rbac.authorization.k8s.io", _) => Stage::Config,
            ("admissionregistration.k8s.io", "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration")
            | ("apiregistration.k8s.io", "APIService") => Stage::Webhook,
            _ => Stage::Workload,
        }
    }
}
