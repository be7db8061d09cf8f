//! What the server knows: the stored objects and the kinds that it serves.

use std::sync::Arc;

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::schema::{self, Resource};
use super::store::{Key, Store};
use super::write::How;

/// Where custom resource definitions lie.
pub(super) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The store, and the kinds whose definitions are in it.
pub(super) struct State {
    pub(super) store: Store,
    built_in: Vec<Arc<Resource>>,
    custom: Vec<Arc<Resource>>,
    /// Namespaces and definitions that go as soon as nothing of theirs is left.
    pub(super) leaving: Vec<Key>,
}

impl State {
    /// A new cluster that keeps this many changes for watches.
    pub(super) fn new(window: usize, how: &How) -> State {
        let built_in = schema::built_in().iter().cloned().map(Arc::new).collect();
        let mut state = State { store: Store::new(window), built_in, custom: Vec::new(), leaving: Vec::new() };
        let namespaces = state.known("namespaces");
        for name in NAMESPACES {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            state.create(&namespaces, None, object, how).expect("because nothing is there yet");
        }
        state
    }

    /// The kind that is served under this group, version and plural name.
    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let fits = |resource: &&Arc<Resource>| {
            resource.plural == plural && resource.group == group && resource.version == version
        };
        self.resources().find(fits).cloned()
    }

    /// A kind of Kubernetes itself by its name, such as `deployments.apps`.
    pub(super) fn known(&self, name: &str) -> Arc<Resource> {
        let found = self.built_in.iter().find(|resource| resource.name() == name);
        Arc::clone(found.expect("because the table has it"))
    }

    /// Everything that is served.
    pub(super) fn resources(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.built_in.iter().chain(&self.custom)
    }

    /// An object that is there.
    pub(super) fn live(&self, key: &Key) -> Result<Arc<Value>, Refusal> {
        self.store.get(key).cloned().ok_or_else(|| Refusal::not_found(key))
    }

    /// Why something cannot be made in its namespace, if so.
    pub(super) fn check_namespace(&self, resource: &Resource, key: &Key) -> Result<(), Refusal> {
        if !resource.namespaced {
            return Ok(());
        }
        match self.live(&Key::new("namespaces", "", &key.namespace))?["metadata"]["deletionTimestamp"].is_string() {
            true => Err(Refusal::terminating(key)),
            false => Ok(()),
        }
    }

    /// Serves what a definition that was written names, and says so in its status, as the server's controllers do.
    pub(super) fn define(&mut self, key: &Key, how: &How) {
        if key.resource != CRDS {
            return;
        }
        self.custom = self.store.list(CRDS, None).flat_map(|(_, crd)| defined(crd)).map(Arc::new).collect();
        let Some(crd) = self.store.get(key).filter(|crd| crd["status"]["conditions"].is_null()) else { return };
        let mut crd = Value::clone(crd);
        let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": how.now, "reason": reason, "message": message});
        crd["status"]["conditions"] = json!([
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ]);
        crd["status"]["acceptedNames"] = crd["spec"]["names"].clone();
        self.write_status(key, crd, "kube-apiserver");
    }

    /// Writes the status of an object in the name of a controller. It may be gone by now.
    pub(super) fn write_status(&mut self, key: &Key, object: Value, controller: &str) {
        let resource = self.known(&key.resource);
        if let Some(live) = self.store.get(key).cloned() {
            let how = How::of_controller(controller).to(Some("status"));
            let written = self.replace(&resource, key, &live, object, &how);
            drop(written.inspect_err(|refusal| tracing::warn!(?refusal, "embedded-status-refused")));
        }
    }
}

/// The kinds that a definition names, one for each version that is served.
fn defined(crd: &Value) -> Vec<Resource> {
    let spec = &crd["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let names = &spec["names"];
    let versions = spec["versions"].as_array().into_iter().flatten();
    let versions = versions.filter(|version| version["served"] == true);
    versions
        .map(|version| Resource {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            kind: text(&names["kind"]),
            plural: text(&names["plural"]),
            singular: text(&names["singular"]),
            short_names: texts(&names["shortNames"]),
            categories: texts(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            has_status: version["subresources"]["status"].is_object(),
            has_scale: false,
            has_generation: true,
            is_custom: true,
            root: schema::opaque(),
        })
        .collect()
}
