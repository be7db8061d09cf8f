//! What an entry of `managedFields` does not say and the schemas of Kubernetes' own kinds do.

use serde_json::Value;

/// The groups whose schemas the tables below speak of. In a custom resource the same entry can have several meanings.
pub(super) const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "coordination.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Maps that are owned as a whole wherever a built-in kind has a field of this name (Kubernetes OpenAPI,
/// `x-kubernetes-map-type: atomic`).
pub(super) const ATOMIC_MAPS: &[&str] = &[
    "configMapKeyRef",
    "fieldRef",
    "labelSelector",
    "namespaceSelector",
    "nodeSelector",
    "objectSelector",
    "podSelector",
    "resourceFieldRef",
    "roleRef",
    "secretKeyRef",
    "selector",
];

/// Lists whose elements are owned one by one (Kubernetes OpenAPI, `x-kubernetes-list-type: map` or `set`).
pub(super) const NEVER_ATOMIC_LISTS: &[&str] = &[
    "containers",
    "env",
    "ephemeralContainers",
    "finalizers",
    "hostAliases",
    "imagePullSecrets",
    "initContainers",
    "ports",
    "topologySpreadConstraints",
    "volumeDevices",
    "volumeMounts",
    "volumes",
];

/// Lists that are owned as a whole wherever a built-in kind has a list of this name (Kubernetes OpenAPI,
/// `x-kubernetes-list-type: atomic`, or none).
pub(super) const ATOMIC_LISTS: &[&str] = &[
    "accessModes",
    "add",
    "args",
    "command",
    "drop",
    "egress",
    "envFrom",
    "externalIPs",
    "httpHeaders",
    "ingress",
    "items",
    "limits",
    "loadBalancerSourceRanges",
    "metrics",
    "mountOptions",
    "nodeSelectorTerms",
    "policies",
    "policyTypes",
    "rules",
    "scopes",
    "sources",
    "subjects",
    "supplementalGroups",
    "sysctls",
    "tls",
    "tolerations",
    "volumeClaimTemplates",
];

/// The value that the server gives to a key of a keyed list where an element lacks it (Kubernetes OpenAPI,
/// `ContainerPort` and `ServicePort`); of other keys there is none.
pub(super) fn key_default(name: &str) -> Value {
    if name == "protocol" { Value::from("TCP") } else { Value::Null }
}
