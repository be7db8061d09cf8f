//! The checks that the cluster answers: a Job that must complete, and the restarts of a release's containers.
//!
//! Each function is one look: a [`Reading`], unknown where the cluster did not answer. It needs the rights to `get`,
//! `create` and `delete` Jobs, and to `list` pods and ReplicaSets, in the environment's namespaces.

use std::collections::{BTreeMap, BTreeSet};

use http::Request;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Meaning;
use super::read::PAGE;
use super::{Cluster, ClusterError, WRITE_LIMIT};
use crate::health::check::{Container, Reading, job};
use crate::name::{GroupVersionKind, ObjectKey};
use crate::plan::Live;
use crate::plan::drift::View;

/// The most pods of a namespace that are looked at.
const POD_LIMIT: usize = 10_000;

/// A Job that plays a check, by its manifest.
struct CheckJob<'a> {
    kind: GroupVersionKind,
    key: ObjectKey,
    manifest: &'a Value,
}

impl Cluster {
    /// Looks at the Job of a check, and creates it where it is not there ([`job::manifest`] makes the manifest).
    ///
    /// A Job that another agent or an earlier run of this one created is found by its name and labels. One that was
    /// removed before its verdict was read runs again.
    pub async fn check_job(&self, manifest: &Value, now: Timestamp) -> Reading {
        self.look_at_job(&CheckJob::new(manifest), now).await.unwrap_or_else(unknown)
    }

    /// Removes the Job of a check with its pods, once the verdict is known. One that is not there, or not ours, is left.
    ///
    /// # Errors
    /// Why it may still be there; the server removes it an hour after its end in any case.
    pub async fn remove_check_job(&self, manifest: &Value) -> Result<(), ClusterError> {
        let job = CheckJob::new(manifest);
        let resource = self.resolve(&job.kind).await?;
        let Live::Present(live) = self.read_one(&resource, &job.kind, &job.key, View::Whole).await? else {
            return Ok(());
        };
        if !job.is(&live) {
            return Ok(());
        }
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                             "preconditions": {"uid": live["metadata"]["uid"]}});
        let path = resource.object(&job.kind, &job.key);
        let request = Request::delete(path).header("content-type", "application/json");
        let what = format!("`{}`", job.key);
        let answer = self.send(request, options.to_string().into_bytes(), WRITE_LIMIT, &what).await?;
        match answer.meaning() {
            // Another of its name has come meanwhile.
            Meaning::Success | Meaning::NoObject | Meaning::NoNamespace | Meaning::Conflict => Ok(()),
            _ => Err(answer.error(&what)),
        }
    }

    async fn look_at_job(&self, job: &CheckJob<'_>, now: Timestamp) -> Result<Reading, ClusterError> {
        let resource = self.resolve(&job.kind).await?;
        let what = format!("`{}`", job.key);
        let live = self.read_one(&resource, &job.kind, &job.key, View::Whole).await?;
        let object = match live {
            Live::Present(object) => object,
            Live::Absent => {
                let path = resource.collection(&job.kind, job.key.namespace.as_deref());
                let request = Request::post(path).header("content-type", "application/json");
                let answer = self.send(request, job.manifest.to_string().into_bytes(), WRITE_LIMIT, &what).await?;
                match answer.meaning() {
                    Meaning::Success => answer.body,
                    // Somebody was quicker: the next look sees it.
                    Meaning::Conflict => return Ok(Reading::Running(format!("{what} is being created"))),
                    _ => return Err(answer.error(&what)),
                }
            }
        };
        if !job.is(&object) {
            return Ok(Reading::Unknown(format!("{what} is there, and is no run of this check")));
        }
        Ok(job::reading(&object, now))
    }

    /// Looks at the containers of the pods that objects of a release control, also over ReplicaSets.
    ///
    /// `release` are the objects of the release; their namespaces are looked at. Pods that are being deleted are left
    /// out. No pods give an empty list, which passes.
    pub async fn restarts(&self, release: &BTreeSet<ObjectKey>) -> Reading {
        self.containers(release).await.map_or_else(unknown, Reading::Containers)
    }

    async fn containers(&self, release: &BTreeSet<ObjectKey>) -> Result<Vec<Container>, ClusterError> {
        let namespaces: BTreeSet<&str> = release.iter().filter_map(|key| key.namespace.as_deref()).collect();
        let mut found = Vec::new();
        for namespace in namespaces {
            let pods = self.list_namespace("v1", "Pod", namespace, View::Whole).await?;
            let over_sets = pods.iter().any(|pod| controller(pod).is_some_and(|owner| owner["kind"] == "ReplicaSet"));
            let sets = if over_sets {
                self.list_namespace("apps/v1", "ReplicaSet", namespace, View::Metadata).await?
            } else {
                Vec::new()
            };
            let owners: BTreeMap<&str, &Value> =
                sets.iter().filter_map(|set| Some((set["metadata"]["name"].as_str()?, controller(set)?))).collect();
            let ours = pods.iter().filter(|pod| belongs(pod, namespace, &owners, release));
            found.extend(ours.flat_map(containers_of));
        }
        Ok(found)
    }

    async fn list_namespace(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        view: View,
    ) -> Result<Vec<Value>, ClusterError> {
        let kind = GroupVersionKind::from_manifest(api_version, kind);
        let resource = self.resolve(&kind).await?;
        let path = resource.collection(&kind, Some(namespace));
        let what = format!("the list of `{}`", resource.plural);
        let (mut items, mut token) = (Vec::new(), String::new());
        loop {
            let next = if token.is_empty() { String::new() } else { format!("&continue={token}") };
            let page = format!("{path}?limit={PAGE}{next}");
            let mut answer = self.get_view(&page, view, "PartialObjectMetadataList", &what).await?;
            let is_list = answer.is_success() && answer.body["kind"].as_str().is_some_and(|k| k.ends_with("List"));
            let listed = answer.body.get_mut("items").filter(|_| is_list).map(Value::take);
            let Some(Value::Array(listed)) = listed else { return Err(answer.error(&what)) };
            items.extend(listed);
            if items.len() > POD_LIMIT {
                let message = format!("there are more than {POD_LIMIT} in namespace `{namespace}`");
                return Err(ClusterError::Refused { what, message });
            }
            token = answer.body.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(items);
            }
        }
    }
}

impl<'a> CheckJob<'a> {
    fn new(manifest: &'a Value) -> Self {
        let text = |field: &str| manifest["metadata"][field].as_str().unwrap_or_default().to_owned();
        let kind = GroupVersionKind::from_manifest("batch/v1", "Job");
        let (name, namespace) = (text("name"), Some(text("namespace")));
        let key = ObjectKey { group: kind.group.clone(), kind: kind.kind.clone(), namespace, name };
        CheckJob { kind, key, manifest }
    }

    /// Whether a live Job is a run of this check for this opening.
    fn is(&self, live: &Value) -> bool {
        let same = |list: &str, name: &str| {
            let value = |object: &Value| object["metadata"][list][name].as_str().map(str::to_owned);
            value(live).is_some() && value(live) == value(self.manifest)
        };
        [job::CHECK, job::PIPELINE, job::ENVIRONMENT].iter().all(|label| same("labels", label))
            && same("annotations", job::OPENING)
    }
}

/// The owner that controls an object.
fn controller(object: &Value) -> Option<&Value> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.into_iter().find(|owner| owner["controller"] == true)
}

/// Whether a pod is of the release, or controlled by one of its objects, or by a ReplicaSet that is.
fn belongs(pod: &Value, namespace: &str, sets: &BTreeMap<&str, &Value>, release: &BTreeSet<ObjectKey>) -> bool {
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return false;
    }
    let is_ours = |api_version: &str, kind: &str, name: &str| {
        let group = GroupVersionKind::from_manifest(api_version, kind).group;
        let (kind, namespace, name) = (kind.to_owned(), Some(namespace.to_owned()), name.to_owned());
        release.contains(&ObjectKey { group, kind, namespace, name })
    };
    let named = |owner: &Value| {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        is_ours(text("apiVersion"), text("kind"), text("name"))
    };
    let Some(owner) = controller(pod) else {
        return is_ours("v1", "Pod", pod["metadata"]["name"].as_str().unwrap_or_default());
    };
    let above = owner["name"].as_str().filter(|_| owner["kind"] == "ReplicaSet").and_then(|name| sets.get(name));
    named(owner) || above.is_some_and(|owner| named(owner))
}

fn containers_of(pod: &Value) -> Vec<Container> {
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let lists = ["initContainerStatuses", "containerStatuses"].map(|list| pod["status"][list].as_array());
    let read = |status: &Value| {
        let ended = status.pointer("/lastState/terminated/finishedAt").and_then(Value::as_str);
        Container {
            id: format!("{uid}/{}", status["name"].as_str().unwrap_or_default()),
            restarts: status["restartCount"].as_u64().unwrap_or(0),
            last_ended: ended.and_then(|time| time.parse().ok()),
        }
    };
    lists.into_iter().flatten().flatten().map(read).collect()
}

fn unknown(error: ClusterError) -> Reading {
    Reading::Unknown(error.to_string())
}
