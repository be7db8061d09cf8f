//! Live objects, read at quorum.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use http::header::ACCEPT;
use serde_json::{Value, json};

use super::answer::{Answer, Meaning};
use super::discovery::Resource;
use super::{Cluster, ClusterError, READ_LIMIT};
use crate::name::{GroupVersionKind, ObjectKey};
use crate::plan::Live;
use crate::plan::drift::View;

/// Requests at once.
const IN_FLIGHT: usize = 16;
/// More objects than this of one kind and namespace are read by one list.
const LIST_FROM: usize = 8;
/// Objects a page of a list.
pub(super) const PAGE: usize = 100;
/// How often a list is begun anew when its continue token expires.
const LIST_ATTEMPTS: usize = 3;

/// The objects to read of one kind and namespace.
struct Batch {
    kind: GroupVersionKind,
    namespace: Option<String>,
    keys: Vec<ObjectKey>,
}

impl Cluster {
    /// Reads objects; each asked key is in the answer, as present or absent.
    ///
    /// # Errors
    /// Why one could not be read: an object is absent only if the server said so, or if its kind is not served and
    /// discovery of its group is whole.
    pub async fn read(
        &self,
        keys: &BTreeMap<ObjectKey, GroupVersionKind>,
    ) -> Result<BTreeMap<ObjectKey, Live>, ClusterError> {
        let whole = |key: &ObjectKey, live| (key.clone(), live);
        Ok(self.read_through(keys, View::Whole, &whole).await?.into_iter().collect())
    }

    /// Looks at objects without keeping them: each asked key once. Of kinds without a status only the metadata is read.
    ///
    /// # Errors
    /// As [`Cluster::read`].
    pub async fn glance<T: Send>(
        &self,
        keys: &BTreeMap<ObjectKey, GroupVersionKind>,
        look: impl Fn(&ObjectKey, Live) -> T + Sync,
    ) -> Result<Vec<T>, ClusterError> {
        self.read_through(keys, View::Metadata, &look).await
    }

    async fn read_through<T: Send>(
        &self,
        keys: &BTreeMap<ObjectKey, GroupVersionKind>,
        least: View,
        look: &(impl Fn(&ObjectKey, Live) -> T + Sync),
    ) -> Result<Vec<T>, ClusterError> {
        let batches = stream::iter(batches(keys)).map(|batch| self.read_batch(batch, least, look));
        let read: Vec<Vec<T>> = batches.buffer_unordered(IN_FLIGHT).try_collect().await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Which of these namespaces exist and are not being deleted.
    ///
    /// # Errors
    /// Why one could not be read.
    pub async fn namespaces(&self, names: &BTreeSet<String>) -> Result<BTreeSet<String>, ClusterError> {
        Ok(standing_namespaces(self.read(&namespace_kinds(names)).await?))
    }

    async fn read_batch<T>(
        &self,
        batch: Batch,
        least: View,
        look: &(impl Fn(&ObjectKey, Live) -> T + Sync),
    ) -> Result<Vec<T>, ClusterError> {
        let resource = match self.resolve(&batch.kind).await {
            Ok(resource) => resource,
            Err(ClusterError::KindNotFound(kind)) => {
                self.confirm_unserved(&kind).await?;
                return Ok(batch.keys.iter().map(|key| look(key, Live::Absent)).collect());
            }
            Err(error) => return Err(error),
        };
        let view = if least == View::Whole { View::Whole } else { resource.view(&batch.kind) };
        if batch.keys.len() > LIST_FROM {
            return self.list(&resource, &batch, view, look).await;
        }
        let mut read = Vec::with_capacity(batch.keys.len());
        for key in &batch.keys {
            read.push(look(key, self.read_one(&resource, &batch.kind, key, view).await?));
        }
        Ok(read)
    }

    pub(super) async fn read_one(
        &self,
        resource: &Resource,
        kind: &GroupVersionKind,
        key: &ObjectKey,
        view: View,
    ) -> Result<Live, ClusterError> {
        let what = format!("`{key}`");
        let mut answer = self.get_view(&resource.object(kind, key), view, "PartialObjectMetadata", &what).await?;
        if view == View::Metadata && answer.is_success() && answer.body["kind"] == "PartialObjectMetadata" {
            name_kind(&mut answer.body, kind);
        }
        match answer.meaning() {
            // The content counts, not the status alone: a portal answers 200 to everything.
            Meaning::Success if names(&answer.body, kind, key) => Ok(Live::Present(answer.body)),
            Meaning::NoObject | Meaning::NoNamespace => Ok(Live::Absent),
            Meaning::NoKind => {
                self.forget_kind(kind).await;
                Err(answer.error(&what))
            }
            _ => Err(answer.error(&what)),
        }
    }

    pub(super) async fn get_view(
        &self,
        path: &str,
        view: View,
        form: &str,
        what: &str,
    ) -> Result<Answer, ClusterError> {
        let request = match view {
            View::Whole => Request::get(path),
            View::Metadata => {
                let form = format!("application/json;as={form};g=meta.k8s.io;v=v1,application/json");
                Request::get(path).header(ACCEPT, form)
            }
        };
        self.send(request, Vec::new(), READ_LIMIT, what).await
    }

    /// Reads a whole list; pages of a list that broke off are dropped.
    async fn list<T>(
        &self,
        resource: &Resource,
        batch: &Batch,
        view: View,
        look: &(impl Fn(&ObjectKey, Live) -> T + Sync),
    ) -> Result<Vec<T>, ClusterError> {
        let what = format!("the list of `{}`", resource.plural);
        let path = resource.collection(&batch.kind, batch.namespace.as_deref());
        for _ in 0..LIST_ATTEMPTS {
            if let Some(mut found) = self.list_once(&path, batch, view, look, &what).await? {
                let absent = |key: &ObjectKey| look(key, Live::Absent);
                return Ok(batch
                    .keys
                    .iter()
                    .map(|key| found.remove(&key.name).unwrap_or_else(|| absent(key)))
                    .collect());
            }
        }
        Err(ClusterError::Unreachable { what, cause: "the list expired while it was read".to_owned() })
    }

    /// What is found of the asked objects of a list, by name; `None` if it expired while it was read.
    async fn list_once<T>(
        &self,
        path: &str,
        batch: &Batch,
        view: View,
        look: &(impl Fn(&ObjectKey, Live) -> T + Sync),
        what: &str,
    ) -> Result<Option<BTreeMap<String, T>>, ClusterError> {
        let asked: BTreeMap<&str, &ObjectKey> = batch.keys.iter().map(|key| (key.name.as_str(), key)).collect();
        let mut found = BTreeMap::new();
        let mut token = String::new();
        loop {
            let next = if token.is_empty() { String::new() } else { format!("&continue={token}") };
            let path = format!("{path}?limit={PAGE}{next}");
            let mut answer = self.get_view(&path, view, "PartialObjectMetadataList", what).await?;
            if answer.meaning() == Meaning::Expired {
                return Ok(None);
            }
            let is_list =
                answer.is_success() && answer.body["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
            let items = answer.body.get_mut("items").filter(|_| is_list).map(Value::take);
            let Some(Value::Array(items)) = items else { return Err(answer.error(what)) };
            for mut item in items {
                let Some(name) = item.pointer("/metadata/name").and_then(Value::as_str) else { continue };
                if let Some(key) = asked.get(name) {
                    let name = name.to_owned();
                    name_kind(&mut item, &batch.kind);
                    found.insert(name, look(key, Live::Present(item)));
                }
            }
            token = answer.body.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(Some(found));
            }
        }
    }
}

/// Namespaces as objects to be read.
#[must_use]
pub fn namespace_kinds(names: &BTreeSet<String>) -> BTreeMap<ObjectKey, GroupVersionKind> {
    let kind = GroupVersionKind::from_manifest("v1", "Namespace");
    let key = |name: &String| {
        let (group, kind) = (String::new(), "Namespace".to_owned());
        ObjectKey { group, kind, namespace: None, name: name.clone() }
    };
    names.iter().map(|name| (key(name), kind.clone())).collect()
}

/// Those of the namespaces that were read which exist and are not being deleted.
#[must_use]
pub fn standing_namespaces(read: BTreeMap<ObjectKey, Live>) -> BTreeSet<String> {
    let standing = read.into_iter().filter_map(|(key, live)| match live {
        Live::Present(object) if object.pointer("/metadata/deletionTimestamp").is_none() => Some(key.name),
        Live::Present(_) | Live::Absent => None,
    });
    standing.collect()
}

/// Says in an item of a list what it is, as in an object that is read alone: the server leaves that out.
pub(super) fn name_kind(item: &mut Value, kind: &GroupVersionKind) {
    if let Some(fields) = item.as_object_mut() {
        fields.insert("apiVersion".to_owned(), json!(kind.api_version()));
        fields.insert("kind".to_owned(), json!(kind.kind));
    }
}

fn names(object: &Value, kind: &GroupVersionKind, key: &ObjectKey) -> bool {
    object["kind"] == kind.kind.as_str() && object["metadata"]["name"] == key.name.as_str()
}

/// One batch for each list, and one for each object that is read alone.
fn batches(keys: &BTreeMap<ObjectKey, GroupVersionKind>) -> Vec<Batch> {
    let mut groups: BTreeMap<(GroupVersionKind, Option<String>), Vec<ObjectKey>> = BTreeMap::new();
    for (key, kind) in keys {
        groups.entry((kind.clone(), key.namespace.clone())).or_default().push(key.clone());
    }
    let mut batches = Vec::new();
    for ((kind, namespace), keys) in groups {
        if keys.len() > LIST_FROM {
            batches.push(Batch { kind, namespace, keys });
        } else {
            let alone = |key| Batch { kind: kind.clone(), namespace: namespace.clone(), keys: vec![key] };
            batches.extend(keys.into_iter().map(alone));
        }
    }
    batches
}
