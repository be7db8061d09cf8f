//! Deleting what is ours, and nothing else.

use std::time::Duration;

use http::Request;
use http::header::ACCEPT;
use serde_json::{Value, json};

use super::answer::{Answer, Meaning};
use super::apply::{forbidden, refusal};
use super::discovery::Resource;
use super::{Cluster, ClusterError, READ_LIMIT, WRITE_LIMIT};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::PART_OF;

const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// How a delete ended. It is total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// The server says that there is none.
    Gone,
    /// There is one, but it is not the one that we made: it is left alone (`owned-by-other`).
    NotOurs(Reason),
    /// It is marked, and waits for its finalizers (`deletion-blocked`, naming them).
    Terminating(Reason),
    /// Not now, or not permitted; it can be asked again.
    Retry {
        /// Why.
        reason: Reason,
        /// How long the server asked to wait.
        after: Option<Duration>,
    },
}

/// What is to be deleted, and how it is known as ours.
struct Doomed<'a> {
    key: &'a ObjectKey,
    kind: &'a GroupVersionKind,
    uid: Option<&'a str>,
    set_id: &'a str,
}

impl Cluster {
    /// Deletes an object if it carries our set's label, has the uid we know, and no controller owns it.
    ///
    /// What was judged is what is deleted: uid and resource version are preconditions. Dependents follow in the
    /// background.
    pub async fn delete(&self, key: &ObjectKey, kind: &GroupVersionKind, uid: Option<&str>, set_id: &str) -> Deleted {
        let doomed = Doomed { key, kind, uid, set_id };
        let deleted = match self.resolve(kind).await {
            Ok(resource) => self.delete_served(&resource, &doomed).await,
            // Objects of a kind go with its CRD.
            Err(ClusterError::KindNotFound(kind)) => self.confirm_unserved(&kind).await.map(|()| Deleted::Gone),
            Err(error) => Err(error),
        };
        deleted.unwrap_or_else(|error| retry(error.reason().at_object(key.clone()), error.retry_after()))
    }

    async fn delete_served(&self, resource: &Resource, doomed: &Doomed<'_>) -> Result<Deleted, ClusterError> {
        let mut outcome = self.delete_once(resource, doomed).await?;
        if outcome.is_none() {
            // It changed between our look and our delete: judge it once more.
            outcome = self.delete_once(resource, doomed).await?;
        }
        let busy = || Reason::new(Code::ApplyFailed, format!("`{}` changes while it is being deleted", doomed.key));
        Ok(outcome.unwrap_or_else(|| retry(busy().at_object(doomed.key.clone()), None)))
    }

    /// `None`: a precondition did not hold.
    async fn delete_once(&self, resource: &Resource, doomed: &Doomed<'_>) -> Result<Option<Deleted>, ClusterError> {
        let path = resource.object(doomed.kind, doomed.key);
        let what = format!("`{}`", doomed.key);
        let look = self.send(Request::get(&path).header(ACCEPT, METADATA), Vec::new(), READ_LIMIT, &what).await?;
        match look.meaning() {
            Meaning::Success => {}
            Meaning::NoObject | Meaning::NoNamespace => return Ok(Some(Deleted::Gone)),
            _ => return Ok(Some(self.refused(doomed, &look).await)),
        }
        let metadata = &look.body["metadata"];
        if let Some(verdict) = judge(metadata, doomed) {
            return Ok(Some(verdict));
        }
        let preconditions = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions,
                             "propagationPolicy": "Background"});
        let request = Request::delete(&path).header("content-type", "application/json");
        let answer = self.send(request, options.to_string().into_bytes(), WRITE_LIMIT, &what).await?;
        Ok(match answer.meaning() {
            Meaning::NoObject => Some(Deleted::Gone),
            Meaning::Conflict => None,
            Meaning::Success if answer.body["metadata"]["deletionTimestamp"].is_string() => {
                Some(Deleted::Terminating(blocked(doomed.key, &answer.body)))
            }
            Meaning::Success => Some(Deleted::Gone),
            _ => Some(self.refused(doomed, &answer).await),
        })
    }

    async fn refused(&self, doomed: &Doomed<'_>, answer: &Answer) -> Deleted {
        let because = |code| refusal(code, doomed.key, "cannot be deleted", answer);
        let reason = match answer.meaning() {
            Meaning::Forbidden(right) => forbidden(doomed.key, &right),
            Meaning::Unauthenticated => because(Code::AuthenticationFailed),
            Meaning::NoKind => {
                self.forget_kind(doomed.kind).await;
                because(Code::KindNotFound)
            }
            Meaning::Denied | Meaning::Immutable | Meaning::Terminating => because(Code::ApplyFailed),
            Meaning::Success
            | Meaning::NoObject
            | Meaning::NoNamespace
            | Meaning::FieldConflict(_)
            | Meaning::Conflict
            | Meaning::Expired
            | Meaning::Throttled
            | Meaning::Broken => because(Code::ClusterUnreachable),
        };
        retry(reason, answer.retry_after)
    }
}

/// Why it is not to be deleted, or not again; `None` if it is to be.
fn judge(metadata: &Value, doomed: &Doomed<'_>) -> Option<Deleted> {
    let foreign = |found: &str| {
        let message = format!("`{}` is left alone: {found}", doomed.key);
        Some(Deleted::NotOurs(Reason::new(Code::OwnedByOther, message).at_object(doomed.key.clone())))
    };
    let Some(uid) = metadata["uid"].as_str() else {
        let cause = "the answer is no object's metadata";
        let reason = Reason::new(Code::ClusterUnreachable, format!("`{}`: {cause}", doomed.key));
        return Some(retry(reason.at_object(doomed.key.clone()), None));
    };
    if doomed.uid.is_some_and(|ours| ours != uid) {
        return foreign("another object has taken its name");
    }
    if metadata["labels"][PART_OF] != doomed.set_id {
        return foreign("it does not carry our set's label");
    }
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    if let Some(owner) = owners.into_iter().find(|owner| owner["controller"] == true) {
        let text = |field: &str| owner[field].as_str().unwrap_or_default();
        return foreign(&format!("`{}/{}` controls it", text("kind"), text("name")));
    }
    if metadata["annotations"]["lockmaster.dev/prune"] == "false" {
        return foreign("its annotation `lockmaster.dev/prune: \"false\"` asks to keep it");
    }
    let terminating = metadata["deletionTimestamp"].is_string();
    terminating.then(|| Deleted::Terminating(blocked(doomed.key, &json!({ "metadata": metadata }))))
}

fn blocked(key: &ObjectKey, object: &Value) -> Reason {
    let lists = [&object["metadata"]["finalizers"], &object["spec"]["finalizers"]];
    let finalizers = lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let finalizers: Vec<String> = finalizers.map(|finalizer| format!("`{finalizer}`")).collect();
    let blocker = if finalizers.is_empty() { "its grace period".to_owned() } else { finalizers.join(", ") };
    Reason::new(Code::DeletionBlocked, format!("`{key}` is being deleted and waits for {blocker}"))
        .at_object(key.clone())
}

fn retry(reason: Reason, after: Option<Duration>) -> Deleted {
    Deleted::Retry { reason, after }
}
