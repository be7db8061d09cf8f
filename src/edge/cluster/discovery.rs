//! What the server serves.
//!
//! We read aggregated discovery (Kubernetes API reference, `apidiscovery.k8s.io/v2`) ourselves: a client that defaults
//! missing lists takes a proxy's page for "no groups", and one that drops `freshness` takes a dead aggregated server for
//! "no kinds". Both would make live objects look absent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::time::Duration;

use http::Request;
use http::header::ACCEPT;
use serde_json::Value;
use tokio::time::Instant;

use super::answer::Meaning;
use super::{Cluster, ClusterError, READ_LIMIT};
use crate::manifest::{Scope, Scopes};
use crate::name::{GroupKind, GroupVersionKind, ObjectKey};
use crate::plan::drift::View;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// The least time between two discoveries that unknown kinds cause: two requests, some 100 KiB.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How a kind is addressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) plural: String,
    pub(super) scope: Scope,
    /// It has a status, by the subresource.
    pub(super) has_status: bool,
}

/// What was discovered last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    kinds: BTreeMap<GroupVersionKind, Resource>,
    groups: BTreeSet<String>,
    /// Groups with a version of which the server says that its list is out of date.
    stale: BTreeSet<String>,
}

/// When it was discovered last; `None`: never, or it has to be done again.
#[derive(Debug, Default)]
pub(super) struct Refreshed(Option<Instant>);

impl Cluster {
    /// Discovers what the server serves.
    ///
    /// A group that the server cannot reach now is no error here; it is one for whoever asks for a kind of it.
    ///
    /// # Errors
    /// Why it could not be read; what was known stays.
    pub async fn discover(&self) -> Result<(), ClusterError> {
        let mut refreshed = self.refreshing.lock().await;
        self.refresh(&mut refreshed).await
    }

    /// The scope of every kind that is served.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Scopes(known.kinds.iter().map(|(kind, resource)| (kind.group_kind(), resource.scope)).collect())
    }

    /// How a kind is addressed; an unknown one is discovered again, at most once a second.
    pub(super) async fn resolve(&self, kind: &GroupVersionKind) -> Result<Resource, ClusterError> {
        if let Some(resource) = self.lookup(kind) {
            return Ok(resource);
        }
        let mut refreshed = self.refreshing.lock().await;
        // Another caller may have discovered it while we waited.
        if let Some(resource) = self.lookup(kind) {
            return Ok(resource);
        }
        if refreshed.0.is_none_or(|last| last.elapsed() >= REFRESH_INTERVAL) {
            self.refresh(&mut refreshed).await?;
        }
        drop(refreshed);
        match self.lookup(kind) {
            Some(resource) => Ok(resource),
            None if self.is_stale(&kind.group) => Err(ClusterError::GroupUnavailable(kind.group.clone())),
            None => Err(ClusterError::KindNotFound(kind.clone())),
        }
    }

    /// Forgets when it was discovered: a CRD was applied, or the server did not know a kind that we knew.
    pub(super) async fn expire_discovery(&self) {
        self.refreshing.lock().await.0 = None;
    }

    /// Forgets one kind, so that it is discovered again before it is used.
    pub(super) async fn forget_kind(&self, kind: &GroupVersionKind) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).kinds.remove(kind);
        self.expire_discovery().await;
    }

    /// Makes sure that a kind, which discovery does not list, is truly not served: only then is an object of it absent.
    pub(super) async fn confirm_unserved(&self, kind: &GroupVersionKind) -> Result<(), ClusterError> {
        let unavailable = || ClusterError::GroupUnavailable(kind.group.clone());
        if self.is_stale(&kind.group) {
            return Err(unavailable());
        }
        let listed = self.known.read().unwrap_or_else(PoisonError::into_inner).groups.contains(&kind.group);
        if listed {
            return Ok(());
        }
        // The whole group is missing: a dead aggregated server answers 503 here, an unknown group 404.
        let answer = self.get(&format!("/apis/{}", kind.group), &format!("API group `{}`", kind.group)).await?;
        match answer.meaning() {
            Meaning::NoKind | Meaning::NoObject => Ok(()),
            _ => Err(unavailable()),
        }
    }

    fn lookup(&self, kind: &GroupVersionKind) -> Option<Resource> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).kinds.get(kind).cloned()
    }

    fn is_stale(&self, group: &str) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).stale.contains(group)
    }

    async fn refresh(&self, refreshed: &mut Refreshed) -> Result<(), ClusterError> {
        let core = self.groups("/api").await?;
        let named = self.groups("/apis").await?;
        let known = read_groups(core.iter().chain(&named));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        refreshed.0 = Some(Instant::now());
        Ok(())
    }

    async fn groups(&self, path: &str) -> Result<Vec<Value>, ClusterError> {
        let what = format!("API discovery at `{path}`");
        let mut answer =
            self.send(Request::get(path).header(ACCEPT, AGGREGATED), Vec::new(), READ_LIMIT, &what).await?;
        if !answer.is_success() {
            return Err(answer.error(&what));
        }
        let is_aggregated = answer.body["kind"] == "APIGroupDiscoveryList";
        match answer.body.get_mut("items").filter(|_| is_aggregated).map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(ClusterError::Unreachable { what, cause: "the answer is no aggregated discovery".to_owned() }),
        }
    }
}

impl Resource {
    /// The path of all objects of the kind, or of those of a namespace.
    pub(super) fn collection(&self, kind: &GroupVersionKind, namespace: Option<&str>) -> String {
        let root = if kind.group.is_empty() { "/api" } else { "/apis" };
        let version = kind.api_version();
        match namespace.filter(|_| self.scope == Scope::Namespaced) {
            Some(namespace) => format!("{root}/{version}/namespaces/{}/{}", segment(namespace), self.plural),
            None => format!("{root}/{version}/{}", self.plural),
        }
    }

    /// How objects of the kind are watched and listed. Metadata is enough where there is no status to judge: our fields are
    /// in `managedFields`. Of a Secret nothing else is asked for, so that no value crosses the wire without need. Older
    /// custom resources have a status without the subresource; they are shown whole.
    pub(super) fn view(&self, kind: &GroupVersionKind) -> View {
        let built_in = !kind.group.contains('.') || kind.group.ends_with(".k8s.io");
        let secret = kind.group.is_empty() && kind.kind == "Secret";
        if secret || built_in && !self.has_status { View::Metadata } else { View::Whole }
    }

    /// The path of an object.
    pub(super) fn object(&self, kind: &GroupVersionKind, key: &ObjectKey) -> String {
        format!("{}/{}", self.collection(kind, key.namespace.as_deref()), segment(&key.name))
    }
}

/// A path segment; names of RBAC objects may hold almost anything (RFC 3986 §3.3, `pchar`).
fn segment(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:@!$&'()*+,;=".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn read_groups<'a>(groups: impl Iterator<Item = &'a Value>) -> Known {
    let mut known = Known::default();
    for group in groups {
        let name = group.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        known.groups.insert(name.to_owned());
        for version in group["versions"].as_array().into_iter().flatten() {
            if version["freshness"] == "Stale" {
                known.stale.insert(name.to_owned());
                continue;
            }
            read_version(&mut known, name, version);
        }
    }
    known
}

fn read_version(known: &mut Known, group: &str, version: &Value) {
    let number = version["version"].as_str().unwrap_or_default();
    for resource in version["resources"].as_array().into_iter().flatten() {
        let readable = resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|verb| verb == "get"));
        let kind = resource.pointer("/responseKind/kind").and_then(Value::as_str).unwrap_or_default();
        let Some(plural) = resource["resource"].as_str().filter(|_| readable && !kind.is_empty()) else { continue };
        let scope = if resource["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster };
        let GroupKind { group, kind } = GroupKind::new(group, kind);
        let kind = GroupVersionKind { group, version: number.to_owned(), kind };
        let parts = resource["subresources"].as_array().into_iter().flatten();
        let has_status = parts.into_iter().any(|part| part["subresource"] == "status");
        known.kinds.insert(kind, Resource { plural: plural.to_owned(), scope, has_status });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(name: &str, freshness: &str) -> Value {
        let verbs = json!(["get", "patch"]);
        let resource = json!({"resource": "things", "responseKind": {"group": name, "version": "v1", "kind": "Thing"},
                              "scope": "Namespaced", "verbs": verbs});
        let review = json!({"resource": "reviews", "responseKind": {"kind": "Review"}, "scope": "Cluster",
                            "verbs": ["create"]});
        let version = json!({"version": "v1", "freshness": freshness, "resources": [resource, review]});
        json!({"metadata": {"name": name}, "versions": [version]})
    }

    fn thing(group: &str) -> GroupVersionKind {
        GroupVersionKind { group: group.to_owned(), version: "v1".to_owned(), kind: "Thing".to_owned() }
    }

    #[test]
    fn a_stale_group_is_known_to_be_unknown() {
        let known = read_groups([group("good.example", "Current"), group("dead.example", "Stale")].iter());
        let resource = Resource { plural: "things".to_owned(), scope: Scope::Namespaced, has_status: false };
        assert_eq!(known.kinds, BTreeMap::from([(thing("good.example"), resource)]));
        assert_eq!(known.stale, BTreeSet::from(["dead.example".to_owned()]));
        assert_eq!(known.groups, BTreeSet::from(["dead.example".to_owned(), "good.example".to_owned()]));
    }

    #[test]
    fn paths_are_those_of_the_api() {
        let namespaced = Resource { plural: "things".to_owned(), scope: Scope::Namespaced, has_status: false };
        let cluster = Resource { plural: "things".to_owned(), scope: Scope::Cluster, has_status: false };
        let key = |namespace: Option<&str>, name: &str| ObjectKey {
            group: String::new(),
            kind: "Thing".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        let table = [
            (&namespaced, "", key(Some("shop"), "cart"), "/api/v1/namespaces/shop/things/cart"),
            (&namespaced, "x.example", key(Some("shop"), "cart"), "/apis/x.example/v1/namespaces/shop/things/cart"),
            (&cluster, "", key(None, "system:a b/c?"), "/api/v1/things/system:a%20b%2Fc%3F"),
        ];
        for (resource, group, key, path) in table {
            assert_eq!(resource.object(&thing(group), &key), path);
        }
    }
}
