//! Discovery: which kinds are served, in the aggregated form and in the older one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::Document;
use super::schema::Resource;
use super::state::State;

const VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];
const PART_VERBS: [&str; 3] = ["get", "patch", "update"];

impl State {
    /// A document about the API.
    pub(super) fn document(&self, document: &Document, aggregated: bool) -> Result<Value, Refusal> {
        match document {
            Document::Health => unreachable!("because it is no JSON and answered before"),
            Document::Version => Ok(version()),
            Document::OpenApi => Err(Refusal::not_supported("the OpenAPI document (kubectl: add --validate=false)")),
            Document::Core if aggregated => Ok(discovered(self.groups(true))),
            Document::Groups if aggregated => Ok(discovered(self.groups(false))),
            Document::Core => Ok(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
            Document::Groups => {
                let groups: Vec<Value> =
                    self.groups(false).iter().map(|(group, served)| legacy(group, served)).collect();
                Ok(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            Document::Group(name) => {
                let groups = self.groups(false);
                let served = groups.get(name.as_str()).ok_or_else(Refusal::no_such_path)?;
                let mut group = legacy(name, served);
                group["kind"] = json!("APIGroup");
                group["apiVersion"] = json!("v1");
                Ok(group)
            }
            Document::Resources { group, version } => {
                let groups = self.groups(group.is_empty());
                let served = groups.get(group.as_str()).and_then(|versions| versions.get(version.as_str()));
                let served = served.ok_or_else(Refusal::no_such_path)?;
                let resources: Vec<Value> = served.iter().flat_map(|resource| legacy_resources(resource)).collect();
                let group_version = if group.is_empty() { version.clone() } else { format!("{group}/{version}") };
                let head = ("APIResourceList", "v1");
                Ok(json!({"kind": head.0, "apiVersion": head.1, "groupVersion": group_version, "resources": resources}))
            }
        }
    }

    fn groups(&self, core: bool) -> Groups<'_> {
        let mut groups = Groups::new();
        for resource in self.resources().filter(|resource| resource.group.is_empty() == core) {
            let versions = groups.entry(&resource.group).or_default();
            versions.entry(&resource.version).or_default().push(resource);
        }
        groups
    }
}

type Versions<'a> = BTreeMap<&'a str, Vec<&'a Arc<Resource>>>;
type Groups<'a> = BTreeMap<&'a str, Versions<'a>>;

/// Aggregated discovery (Kubernetes API concepts, section Aggregated discovery).
fn discovered(groups: Groups<'_>) -> Value {
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, served)| {
                    let resources: Vec<Value> = served.iter().map(|resource| discovered_resource(resource)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn discovered_resource(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let own = kind(&resource.group, &resource.version, &resource.kind);
    let parts = parts(resource).into_iter().map(|(part, group, version, name)| {
        json!({"subresource": part, "responseKind": kind(group, version, name), "verbs": PART_VERBS})
    });
    let parts: Vec<Value> = parts.collect();
    let scope = if resource.namespaced { "Namespaced" } else { "Cluster" };
    let mut shown = json!({"resource": resource.plural, "responseKind": own, "scope": scope, "verbs": VERBS,
                           "singularResource": resource.singular});
    for (field, values) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !values.is_empty() {
            shown[field] = json!(values);
        }
    }
    if !parts.is_empty() {
        shown["subresources"] = Value::from(parts);
    }
    shown
}

/// The parts of a kind: name, group, version and kind.
fn parts(resource: &Resource) -> Vec<(&'static str, &str, &str, &str)> {
    let status = ("status", resource.group.as_str(), resource.version.as_str(), resource.kind.as_str());
    let scale = ("scale", "autoscaling", "v1", "Scale");
    [(resource.has_scale, scale), (resource.has_status, status)]
        .into_iter()
        .filter_map(|(has, part)| has.then_some(part))
        .collect()
}

fn legacy(group: &str, versions: &Versions<'_>) -> Value {
    let shown = |version: &&str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let all: Vec<Value> = versions.keys().map(shown).collect();
    json!({"name": group, "versions": all, "preferredVersion": all[0]})
}

fn legacy_resources(resource: &Resource) -> Vec<Value> {
    let own = json!({"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
                     "kind": resource.kind, "verbs": VERBS, "shortNames": resource.short_names,
                     "categories": resource.categories});
    let parts = parts(resource).into_iter().map(|(part, group, version, kind)| {
        json!({"name": format!("{}/{part}", resource.plural), "singularName": "", "namespaced": resource.namespaced,
               "group": group, "version": version, "kind": kind, "verbs": PART_VERBS})
    });
    [own].into_iter().chain(parts).collect()
}

/// `GET /version`: the version of the API that is imitated.
fn version() -> Value {
    json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0-lockmaster-embedded", "gitCommit": "", "gitTreeState": "clean",
           "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
}
