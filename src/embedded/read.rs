//! Reads: one object, lists by pages, and in which form they are shown.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::Parameters;
use super::schema::Resource;
use super::selector::Selector;
use super::state::State;
use super::store::Key;

/// How objects are shown (Kubernetes API concepts, section Alternate representations of resources).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// As they are.
    Whole,
    /// As `PartialObjectMetadata`.
    Metadata,
}

impl View {
    /// An object as it is shown alone, and in watch events.
    pub(super) fn show(self, resource: &Resource, object: &Value) -> Value {
        match self {
            View::Whole => {
                let mut shown = object.clone();
                shown["apiVersion"] = json!(resource.api_version());
                shown
            }
            View::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
            }
        }
    }

    fn show_item(self, resource: &Resource, object: &Value) -> Value {
        let mut shown = self.show(resource, object);
        // Items of a typed list do not repeat what the list says.
        if let (true, Some(fields)) = (self == View::Whole && !resource.is_custom, shown.as_object_mut()) {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        shown
    }

    fn list_of(self, resource: &Resource) -> (String, String) {
        match self {
            View::Whole => (format!("{}List", resource.kind), resource.api_version()),
            View::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        }
    }
}

impl State {
    /// Lists a collection, or a page of it.
    pub(super) fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        parameters: &Parameters,
        view: View,
    ) -> Result<Value, Refusal> {
        let selector = parameters.selector()?;
        let (version, after) = self.snapshot(parameters)?;
        let listed = self.store.list_at(&resource.name(), namespace, version).map_err(|_| {
            let message = "The provided continue parameter is too old to display a consistent list result.";
            Refusal::new(410, "Expired", message)
        })?;
        let limit = parameters.limit.unwrap_or(0);
        let behind =
            |key: &Key| after.as_ref().is_none_or(|(namespace, name)| (&key.namespace, &key.name) > (namespace, name));
        let meant = listed.into_iter().filter(|(key, object)| behind(key) && selector.takes(object));
        let mut page: Vec<(Key, Arc<Value>)> = meant.collect();
        let left = if limit == 0 { 0 } else { page.len().saturating_sub(limit) };
        page.truncate(page.len() - left);
        let (kind, api_version) = view.list_of(resource);
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let (true, Some((last, _))) = (left > 0, page.last()) {
            metadata["continue"] = json!(token(version, last));
            if selector == Selector::default() {
                metadata["remainingItemCount"] = json!(left);
            }
        }
        let items: Vec<Value> = page.iter().map(|(_, object)| view.show_item(resource, object)).collect();
        // The server's own slip: a list of metadata without items has none, where others have an empty list.
        let items = if items.is_empty() && view == View::Metadata { Value::Null } else { Value::from(items) };
        Ok(json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}))
    }

    /// The version that a list shows, and the object behind which its page begins.
    fn snapshot(&self, parameters: &Parameters) -> Result<(u64, Option<(String, String)>), Refusal> {
        let newest = self.store.version();
        if let Some(token) = parameters.r#continue.as_deref().filter(|token| !token.is_empty()) {
            let wrong = || Refusal::bad_request("continue key is not valid");
            let (version, namespace, name) = read_token(token).ok_or_else(wrong)?;
            return Ok((version, Some((namespace, name))));
        }
        let asked = parameters.version()?;
        if let Some(asked) = asked.filter(|asked| *asked > newest) {
            return Err(Refusal::too_large_version(asked, newest));
        }
        match (asked, parameters.resource_version_match.as_deref()) {
            (Some(asked), Some("Exact")) => Ok((asked, None)),
            _ => Ok((newest, None)),
        }
    }
}

fn token(version: u64, last: &Key) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json!([version, last.namespace, last.name]).to_string())
}

fn read_token(token: &str) -> Option<(u64, String, String)> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}
