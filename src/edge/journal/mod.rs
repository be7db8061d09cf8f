//! The journal: what the agent must remember, as objects in its own namespace.
//!
//! Entries of the deployment log, release bytes, inventories, first-seen times, the agent's key, and statements that did
//! not come by Git. In: bytes and values. Out: the same, or an error that tells "there is none" from "it cannot be read"
//! and "refused" from "nobody knows". Nothing here judges what it stores: [`crate::deploylog::replay`] does.

mod answer;
mod entries;
mod key;
mod releases;
mod shelf;
mod state;
mod statements;
mod watching;

use std::collections::BTreeMap;

use kube::api::ObjectMeta;

use crate::name::{Code, EnvironmentName, PipelineName, Reason};

pub use entries::Appended;
pub use state::Version;

/// The labels of everything the journal keeps.
mod label {
    pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    pub(super) const PIPELINE: &str = "lockmaster.dev/pipeline";
    pub(super) const ENVIRONMENT: &str = "lockmaster.dev/environment";
    pub(super) const KIND: &str = "lockmaster.dev/kind";
    /// Of a named unit; what is the environment's as a whole has none.
    pub(super) const UNIT: &str = "lockmaster.dev/unit";
}

/// Why the journal did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read; whether it is there, nobody knows.
    #[error("`{object}` cannot be read: {problem}")]
    Unreadable { object: String, problem: String },
    /// The agent's role lacks a right.
    #[error("the agent may not {verb} {resource} in namespace `{namespace}`")]
    Forbidden { verb: &'static str, resource: &'static str, namespace: String },
    /// The server refused the write; nothing was written.
    #[error("the cluster does not take `{object}`: {problem}")]
    Rejected { object: String, problem: String },
    /// The write may have happened: read before anything else.
    #[error("whether `{object}` was written is not known: {problem}")]
    EffectUnknown { object: String, problem: String },
    /// Somebody else wrote first: read again.
    #[error("`{object}` was changed by somebody else meanwhile")]
    Lost { object: String },
    /// It is there, and is not what the agent stores.
    #[error("`{object}` is damaged: {problem}")]
    Damaged { object: String, problem: String },
    /// Its bytes are not those that its name promises.
    #[error("`{object}` holds other bytes than its name says: {found}")]
    OtherBytes { object: String, found: crate::name::Digest },
    /// The operating system gives no random bytes.
    #[error("no random bytes for the agent's key: {0}")]
    NoRandomness(String),
}

impl JournalError {
    /// The error as a reason with a stable code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            JournalError::Unreadable { .. } | JournalError::EffectUnknown { .. } => Code::ClusterUnreachable,
            JournalError::Forbidden { .. } => Code::Forbidden,
            JournalError::Rejected { .. } | JournalError::Lost { .. } => Code::JournalUnwritable,
            JournalError::Damaged { .. } => Code::LogRegressed,
            JournalError::OtherBytes { .. } => Code::DigestMismatch,
            JournalError::NoRandomness(_) => Code::Bug,
        };
        Reason::new(code, self.to_string())
    }
}

/// The objects of one pipeline in the agent's namespace.
#[derive(Clone)]
pub struct Journal {
    client: kube::Client,
    namespace: String,
    pipeline: PipelineName,
}

impl Journal {
    /// The journal of a pipeline. The client should not retry by itself (`Config::default_retry`): whoever asks decides.
    #[must_use]
    pub fn new(client: kube::Client, agent_namespace: &str, pipeline: PipelineName) -> Self {
        Journal { client, namespace: agent_namespace.to_owned(), pipeline }
    }

    fn shelf<K: shelf::Keeper>(&self) -> shelf::Shelf<K> {
        shelf::Shelf::new(&self.client, &self.namespace)
    }

    /// `<pipeline>.<environment>.<rest>`: neither of the two has a dot, so no two names meet.
    fn object_name(&self, environment: &EnvironmentName, rest: &str) -> String {
        format!("{}.{environment}.{rest}", self.pipeline)
    }

    fn meta(&self, environment: &EnvironmentName, rest: &str, kind: &str) -> ObjectMeta {
        let labels = [
            (label::MANAGED_BY, "lockmaster"),
            (label::PIPELINE, self.pipeline.as_str()),
            (label::ENVIRONMENT, environment.as_str()),
            (label::KIND, kind),
        ];
        ObjectMeta {
            name: Some(self.object_name(environment, rest)),
            labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
            ..ObjectMeta::default()
        }
    }

    fn selector(&self, environment: &EnvironmentName, kind: &str) -> String {
        let labels: BTreeMap<String, String> = self.meta(environment, "", kind).labels.unwrap_or_default();
        labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }
}
