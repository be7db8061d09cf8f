//! The objects of the test, and where the server keeps them.

use std::sync::OnceLock;

use lockmaster::manifest::{Fence, Manifest, ManifestSet, Scope, Scopes, read};
use lockmaster::name::{GroupKind, RepoPath};
use serde_json::json;

use crate::control_plane::{ControlPlane, eventually};

/// The manifests of the test, read and brought into canonical form as a release's are.
pub(crate) fn manifests(namespace: &str) -> Vec<Manifest> {
    let file = RepoPath::root().join("objects.yaml").expect("because this is a path");
    let drafts = read(&file, include_bytes!("objects.yaml")).expect("because the file is valid");
    let fence = Fence {
        namespaces: vec![namespace.to_owned()],
        default_namespace: Some(namespace.to_owned()),
        cluster_kinds: Vec::new(),
        agent_namespace: "lockmaster".to_owned(),
    };
    let mut scopes = Scopes::built_in();
    scopes.0.insert(GroupKind::new("shop.example", "Widget"), Scope::Namespaced);
    let set = ManifestSet::assemble(drafts, &fence, &scopes).expect("because the objects are valid");
    set.manifests().to_vec()
}

/// The same manifest under another name.
pub(crate) fn renamed(manifest: &Manifest, name: &str) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.value["metadata"]["name"] = json!(name);
    manifest.key.name = name.to_owned();
    manifest
}

/// Where the server keeps the object.
pub(crate) fn path(manifest: &Manifest) -> String {
    let namespace = manifest.key.namespace.as_deref().expect("because the object is namespaced");
    let root = if manifest.kind.group.is_empty() { "api" } else { "apis" };
    let plural = match manifest.kind.kind.to_lowercase() {
        kind if kind.ends_with('y') => format!("{}ies", &kind[..kind.len() - 1]),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => format!("{kind}s"),
    };
    format!("/{root}/{}/namespaces/{namespace}/{plural}/{}", manifest.kind.api_version(), manifest.key.name)
}

/// Makes the kind `Widget`, once for all tests.
pub(crate) fn define_widget(plane: &ControlPlane) {
    static DEFINED: OnceLock<()> = OnceLock::new();
    DEFINED.get_or_init(|| define(plane));
}

/// A kind that keeps each of its fields in another way.
fn define(plane: &ControlPlane) {
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let part = json!({"type": "object", "required": ["id"], "properties": {"id": text, "weight": number}});
    let spec = json!({"type": "object", "properties": {
        "size": number,
        "color": {"type": "object", "additionalProperties": number},
        "frame": {"type": "object", "properties": {"width": number, "height": number}, "x-kubernetes-map-type": "atomic"},
        "parts": {"type": "array", "items": part, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        "tags": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "notes": {"type": "array", "items": text},
        "blob": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "options": {"type": "object", "properties": {"mode": {"type": "string", "default": "calm"}, "note": text}},
        "nothing": {"type": "string", "nullable": true},
    }});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names = json!({"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"});
    let spec = json!({"group": "shop.example", "scope": "Namespaced", "names": names, "versions": [version]});
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    plane.create(path, &json!({"metadata": {"name": "widgets.shop.example"}, "spec": spec}));
    eventually("widgets are served", || {
        plane.send("GET", "/apis/shop.example/v1/namespaces/default/widgets", None).ok()
    });
}
