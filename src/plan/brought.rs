//! What a release brings that other objects of it need first.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Inventory, stands};
use crate::manifest::{Manifest, ManifestSet};
use crate::name::{GroupKind, ObjectKey};

/// The namespaces and kinds that are not in the cluster, or not yet in this form, before the release is applied.
#[derive(Debug, Default)]
pub(super) struct Brought {
    namespaces: BTreeSet<String>,
    kinds: BTreeSet<GroupKind>,
}

impl Brought {
    /// Finds what a release brings: Namespaces that are not ours yet, and definitions of kinds that are new or changed.
    pub(super) fn by(release: &ManifestSet, standing: Option<&ManifestSet>, inventory: &Inventory) -> Self {
        let mut brought = Brought::default();
        for manifest in release.manifests() {
            if manifest.key.is_core("Namespace") && !inventory.members.contains_key(&manifest.key) {
                brought.namespaces.insert(manifest.key.name.clone());
            }
            if !stands(manifest, standing, inventory) {
                brought.kinds.extend(defined_by(manifest));
            }
        }
        brought
    }

    /// Whether the object's namespace is among them.
    pub(super) fn houses(&self, manifest: &Manifest) -> bool {
        manifest.key.namespace.as_ref().is_some_and(|namespace| self.namespaces.contains(namespace))
    }

    /// Whether the object's kind is among them.
    pub(super) fn defines(&self, manifest: &Manifest) -> bool {
        self.kinds.contains(&manifest.key.group_kind())
    }
}

/// The kind that a CustomResourceDefinition defines.
fn defined_by(manifest: &Manifest) -> Option<GroupKind> {
    if manifest.key.group != "apiextensions.k8s.io" || manifest.key.kind != "CustomResourceDefinition" {
        return None;
    }
    let word = |pointer: &str| manifest.value.pointer(pointer).and_then(Value::as_str);
    Some(GroupKind::new(word("/spec/group")?, word("/spec/names/kind")?))
}

/// The key of the Namespace object of a namespace.
pub(super) fn namespace_key(name: &str) -> ObjectKey {
    ObjectKey { group: String::new(), kind: "Namespace".to_owned(), namespace: None, name: name.to_owned() }
}
