//! The images that objects run.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifest::{Manifest, ManifestSet};
use crate::name::ObjectKey;

/// The lists of containers that a pod has (Kubernetes API reference, PodSpec).
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Every image that an object of the set names, as it is written: in the containers of a pod or pod template, wherever in
/// the object that stands, so that the templates of custom resources count too; and as the source of an image volume.
#[must_use]
pub fn images(set: &ManifestSet) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for manifest in set.manifests() {
        collect(&manifest.value, &mut found);
    }
    found
}

/// The same, each with the object that runs it.
#[must_use]
pub fn images_by_object(set: &ManifestSet) -> BTreeSet<(ObjectKey, String)> {
    let of = |manifest: &Manifest| {
        let mut found = BTreeSet::new();
        collect(&manifest.value, &mut found);
        let key = manifest.key.clone();
        found.into_iter().map(move |image| (key.clone(), image))
    };
    set.manifests().iter().flat_map(of).collect()
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                if CONTAINERS.contains(&key.as_str()) {
                    found.extend(items.iter().filter_map(|item| text(item, "/image")));
                } else if key == "volumes" {
                    found.extend(items.iter().filter_map(|item| text(item, "/image/reference")));
                }
                collect(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn text(item: &Value, pointer: &str) -> Option<String> {
    item.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

/// The name of an image without its tag and its digest (OCI distribution specification, `name`): `host:5000/app:v1` is
/// `host:5000/app`.
#[must_use]
pub fn image_name(image: &str) -> &str {
    let named = image.split_once('@').map_or(image, |(name, _)| name);
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    named[last..].find(':').map_or(named, |colon| &named[..last + colon])
}

/// Whether an image is named by its digest, so that it is the same bytes wherever it runs.
#[must_use]
pub fn is_pinned(image: &str) -> bool {
    image.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_images_name_has_neither_tag_nor_digest_but_its_hosts_port() {
        for (image, name) in [
            ("app", "app"),
            ("app:v1", "app"),
            ("host:5000/app", "host:5000/app"),
            ("host:5000/team/app:v1@sha256:00", "host:5000/team/app"),
            ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b"),
        ] {
            assert_eq!(image_name(image), name);
        }
    }

    #[test]
    fn images_are_found_in_templates_of_any_kind_and_nowhere_else() {
        let value = serde_json::json!({
            "data": {"image": "not-this"},
            "spec": {"template": {"spec": {
                "containers": [{"image": "a"}, {"name": "none"}],
                "initContainers": [{"image": "b"}],
                "volumes": [{"image": {"reference": "c"}}, {"name": "d"}],
            }}, "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"image": "e"}]}}}}},
        });
        let mut found = BTreeSet::new();
        collect(&value, &mut found);
        assert_eq!(found, ["a", "b", "c", "e"].map(str::to_owned).into());
    }
}
