//! Aggregated discovery (Kubernetes API concepts, section Aggregated discovery): which kinds are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::schema::Resource;
use super::state::State;

const VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

impl State {
    /// The document at `/api` or at `/apis`.
    pub(super) fn discovery(&self, core: bool) -> Value {
        let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
        for resource in self.resources().filter(|resource| resource.group.is_empty() == core) {
            let versions = groups.entry(&resource.group).or_default();
            versions.entry(&resource.version).or_default().push(discovered(resource));
        }
        let items = groups.into_iter().map(|(group, versions)| {
            let versions = versions.into_iter();
            let versions = versions.map(
                |(version, resources)| json!({"version": version, "freshness": "Current", "resources": resources}),
            );
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions.collect::<Vec<_>>()})
        });
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
               "items": items.collect::<Vec<_>>()})
    }
}

fn discovered(resource: &Arc<Resource>) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let own = kind(&resource.group, &resource.version, &resource.kind);
    let part = |name: &str, kind: &Value| json!({"subresource": name, "responseKind": kind, "verbs": PART_VERBS});
    let mut parts = Vec::new();
    if resource.has_scale {
        parts.push(part("scale", &kind("autoscaling", "v1", "Scale")));
    }
    if resource.has_status {
        parts.push(part("status", &own));
    }
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut shown = json!({"resource": resource.plural, "responseKind": own, "scope": scope, "verbs": VERBS,
                           "singularResource": resource.singular});
    let lists = [("shortNames", json!(resource.short_names)), ("categories", json!(resource.categories))];
    for (field, list) in lists.into_iter().chain([("subresources", json!(parts))]) {
        if list != json!([]) {
            shown[field] = list;
        }
    }
    shown
}
