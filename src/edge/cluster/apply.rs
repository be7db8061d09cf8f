//! Server-side apply, and its dry run.

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};

use super::answer::{Answer, Meaning};
use super::{Cluster, ClusterError, WRITE_LIMIT};
use crate::manifest::Manifest;
use crate::name::{Code, ObjectKey, Reason};
use crate::plan::{DryRun, FIELD_MANAGER, PART_OF};

/// How an apply ended. It is total: whatever happens is one of these.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// The server took it.
    Done {
        /// The object's uid.
        uid: String,
        /// The object as it is now.
        object: Value,
    },
    /// Without force: others own fields with other values (`field-conflict`, naming them).
    Conflict(Reason),
    /// Refused for what it is (`apply-failed`, `forbidden`, `recreate-needs-approval`, `namespace-not-found`).
    Denied(Reason),
    /// Not now, or nobody knows whether it was done; it can be sent again as it is.
    Retry {
        /// Why.
        reason: Reason,
        /// How long the server asked to wait.
        after: Option<Duration>,
    },
}

/// How an object is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writing {
    /// Take fields that others own with other values; without it that is a conflict.
    pub force: bool,
    /// No write of ours to this object was answered before: former appliers are folded.
    pub first: bool,
}

/// What an apply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Forced,
    Yielding,
}

impl Cluster {
    /// Asks the server what a forced apply would make of the object; nothing is written.
    ///
    /// # Errors
    /// Why there is no verdict. A refusal is a verdict.
    pub async fn dry_run(&self, manifest: &Manifest, set_id: &str) -> Result<DryRun, ClusterError> {
        let what = format!("dry run of `{}`", manifest.key);
        let answer = self.patch(manifest, set_id, Mode::DryRun, &what).await?;
        let denied = |code| Ok(DryRun::Denied(refusal(code, &manifest.key, "is refused by a dry run", &answer)));
        match answer.meaning() {
            Meaning::Success if answer.body["kind"] == manifest.kind.kind.as_str() => Ok(DryRun::Would(answer.body)),
            Meaning::Immutable => denied(Code::RecreateNeedsApproval),
            Meaning::Denied => denied(Code::DryRunDenied),
            Meaning::NoNamespace => denied(Code::NamespaceNotFound),
            Meaning::Forbidden(right) => Ok(DryRun::Denied(forbidden(&manifest.key, &right))),
            Meaning::NoKind | Meaning::NoObject => {
                self.forget_kind(&manifest.kind).await;
                Err(ClusterError::KindNotFound(manifest.kind.clone()))
            }
            Meaning::Success
            | Meaning::Unauthenticated
            | Meaning::Terminating
            | Meaning::FieldConflict(_)
            | Meaning::Conflict
            | Meaning::Expired
            | Meaning::Throttled
            | Meaning::Broken => Err(answer.error(&what)),
        }
    }

    /// Applies an object as field manager `lockmaster`, with the set's label.
    ///
    /// One request, but for an object that others applied before (two more, see [`crate::plan::folded`]), and for one that
    /// is scaled (a read, and once a hand-off, see [`crate::plan::count_to_hand_off`]).
    pub async fn apply(&self, manifest: &Manifest, set_id: &str, how: Writing) -> Applied {
        self.apply_whole(manifest, set_id, how).await.unwrap_or_else(|error| Applied::Retry {
            reason: error.reason().at_object(manifest.key.clone()),
            after: error.retry_after(),
        })
    }

    async fn apply_whole(&self, manifest: &Manifest, set_id: &str, how: Writing) -> Result<Applied, ClusterError> {
        if let Some(stopped) = self.hand_off_count(manifest).await? {
            return Ok(stopped);
        }
        let mode = if how.force { Mode::Forced } else { Mode::Yielding };
        let applied = self.write(manifest, set_id, mode).await?;
        self.fold(manifest, set_id, how.first, applied).await
    }

    /// Applies once.
    pub(super) async fn write(&self, manifest: &Manifest, set_id: &str, mode: Mode) -> Result<Applied, ClusterError> {
        let what = format!("apply of `{}`", manifest.key);
        let answer = self.patch(manifest, set_id, mode, &what).await?;
        Ok(self.outcome(manifest, answer, &what).await)
    }

    /// Makes a namespace if there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ensure_namespace(&self, name: &str) -> Result<(), ClusterError> {
        let what = format!("`Namespace/{name}`");
        let path = format!("/api/v1/namespaces/{name}");
        if self.get(&path, &what).await?.is_success() {
            return Ok(());
        }
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string();
        let request = Request::post("/api/v1/namespaces").header("content-type", "application/json");
        let answer = self.send(request, body.into_bytes(), WRITE_LIMIT, &what).await?;
        match answer.meaning() {
            // Somebody was quicker.
            Meaning::Success | Meaning::Conflict => Ok(()),
            _ => Err(answer.error(&what)),
        }
    }

    /// What an answer to a write means.
    pub(super) async fn outcome(&self, manifest: &Manifest, answer: Answer, what: &str) -> Applied {
        let key = &manifest.key;
        let denied = |code| Applied::Denied(refusal(code, key, "is refused", &answer));
        let retry = |code| Applied::Retry {
            reason: refusal(code, key, "cannot be applied now", &answer),
            after: answer.retry_after,
        };
        match answer.meaning() {
            Meaning::Success => self.done(manifest, answer, what).await,
            Meaning::FieldConflict(fields) => {
                let message = format!("`{key}` has fields that others own: {}", fields.join(", "));
                Applied::Conflict(Reason::new(Code::FieldConflict, message).at_object(key.clone()))
            }
            Meaning::Forbidden(right) => Applied::Denied(forbidden(key, &right)),
            Meaning::Immutable => denied(Code::RecreateNeedsApproval),
            Meaning::Denied => denied(Code::ApplyFailed),
            Meaning::NoNamespace => denied(Code::NamespaceNotFound),
            Meaning::NoKind | Meaning::NoObject => {
                self.forget_kind(&manifest.kind).await;
                retry(Code::KindNotFound)
            }
            Meaning::Terminating => {
                let message = format!("`{key}` waits: its namespace is being deleted");
                let reason = Reason::new(Code::DeletionBlocked, message).at_object(key.clone());
                Applied::Retry { reason, after: answer.retry_after }
            }
            Meaning::Conflict | Meaning::Expired => retry(Code::ApplyFailed),
            // A webhook that cannot be called shows as an internal error.
            Meaning::Broken if answer.status == 500 => retry(Code::ApplyFailed),
            Meaning::Unauthenticated => retry(Code::AuthenticationFailed),
            Meaning::Throttled | Meaning::Broken => retry(Code::ClusterUnreachable),
        }
    }

    async fn done(&self, manifest: &Manifest, answer: Answer, what: &str) -> Applied {
        let uid = answer.body.pointer("/metadata/uid").and_then(Value::as_str);
        let Some(uid) = uid.filter(|_| answer.body["kind"] == manifest.kind.kind.as_str()).map(str::to_owned) else {
            let reason = answer.error(what).reason().at_object(manifest.key.clone());
            return Applied::Retry { reason, after: None };
        };
        if matches!(manifest.kind.kind.as_str(), "CustomResourceDefinition" | "APIService") {
            self.expire_discovery().await;
        }
        Applied::Done { uid, object: answer.body }
    }

    async fn patch(&self, manifest: &Manifest, set_id: &str, mode: Mode, what: &str) -> Result<Answer, ClusterError> {
        let mut body = manifest.value.clone();
        body["metadata"]["labels"][PART_OF] = json!(set_id);
        self.server_side_apply(manifest, FIELD_MANAGER, mode, &body, what).await
    }

    pub(super) async fn server_side_apply(
        &self,
        manifest: &Manifest,
        manager: &str,
        mode: Mode,
        body: &Value,
        what: &str,
    ) -> Result<Answer, ClusterError> {
        let resource = self.resolve(&manifest.kind).await?;
        let mode = match mode {
            Mode::DryRun => "&force=true&dryRun=All",
            Mode::Forced => "&force=true",
            Mode::Yielding => "&force=false",
        };
        let path = resource.object(&manifest.kind, &manifest.key);
        let uri = format!("{path}?fieldManager={manager}&fieldValidation=Strict{mode}");
        let request = Request::patch(uri).header("content-type", "application/apply-patch+yaml");
        self.send(request, body.to_string().into_bytes(), WRITE_LIMIT, what).await
    }
}

/// A reason out of the server's message.
pub(super) fn refusal(code: Code, key: &ObjectKey, verdict: &str, answer: &Answer) -> Reason {
    Reason::new(code, format!("`{key}` {verdict}: {}", answer.message())).at_object(key.clone())
}

pub(super) fn forbidden(key: &ObjectKey, right: &str) -> Reason {
    Reason::new(Code::Forbidden, format!("`{key}` is out of reach: {right}")).at_object(key.clone())
}
