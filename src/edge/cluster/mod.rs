//! The cluster: what the API server says, and what we ask of it. Foreign types stop here, except the client that the
//! journal's edge needs.
//!
//! In: keys, kinds, manifests. Out: facts ([`Live`](crate::plan::Live), [`DryRun`](crate::plan::DryRun), [`Seen`]) and
//! total outcomes ([`Applied`], [`Deleted`]). It never retries by itself (whoever gives orders knows when), never
//! takes "cannot be read" for "is not there", and never lets a value of a Secret into a message.

mod answer;
mod apply;
mod check;
mod connect;
mod delete;
mod discovery;
mod read;
mod requests;
mod takeover;
mod watch;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::name::{Code, GroupVersionKind, Reason};

pub use apply::{Applied, Writing};
pub use connect::Access;
pub use delete::Deleted;
pub use read::{namespace_kinds, standing_namespaces};
pub use requests::Requests;
pub use watch::Seen;

/// How long a read may take: the API server's own limit for a request is 60 s.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// How long a write may take: a webhook may take 30 s, and there may be several. What it did is unknown afterwards; a
/// forced apply and a delete with preconditions can be sent again.
const WRITE_LIMIT: Duration = Duration::from_secs(65);

/// A connection to one cluster, and what its server serves. Cheap to clone; clones share what was discovered.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    config: Arc<kube::Config>,
    in_cluster: bool,
    counter: Arc<requests::Counter>,
    known: Arc<RwLock<discovery::Known>>,
    refreshing: Arc<tokio::sync::Mutex<discovery::Refreshed>>,
}

/// What it is connected to, never with what credentials.
impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("url", &self.config.cluster_url.to_string()).finish_non_exhaustive()
    }
}

/// Why the cluster did not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no usable configuration.
    #[error("no access to a cluster: {0}")]
    Configuration(String),
    /// No answer, or one that is none.
    #[error("{what}: {cause}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// What happened.
        cause: String,
    },
    /// The server has no time now.
    #[error("{what}: the server asks to wait")]
    Throttled {
        /// What was asked.
        what: String,
        /// How long it asks to wait.
        after: Option<Duration>,
    },
    /// The credentials are refused.
    #[error("{what}: the credentials are refused")]
    Unauthenticated {
        /// What was asked.
        what: String,
    },
    /// A right is missing.
    #[error("{what}: {right}")]
    Forbidden {
        /// What was asked.
        what: String,
        /// The verb and the resource.
        right: String,
    },
    /// The server does not serve the kind.
    #[error("`{}` of `{}` is not served by the cluster", .0.kind, .0.api_version())]
    KindNotFound(GroupVersionKind),
    /// Discovery of a group is broken, so nothing is known about its kinds.
    #[error("`{0}`: the API group cannot be discovered now")]
    GroupUnavailable(String),
    /// The server refused otherwise.
    #[error("{what}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// What the server said.
        message: String,
    },
}

impl ClusterError {
    /// The reason, with its code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let code = match self {
            ClusterError::Configuration(_) => Code::ConfigNotFound,
            ClusterError::Unreachable { .. }
            | ClusterError::Throttled { .. }
            | ClusterError::GroupUnavailable(_)
            | ClusterError::Refused { .. } => Code::ClusterUnreachable,
            ClusterError::Unauthenticated { .. } => Code::AuthenticationFailed,
            ClusterError::Forbidden { .. } => Code::Forbidden,
            ClusterError::KindNotFound(_) => Code::KindNotFound,
        };
        Reason::new(code, self.to_string())
    }

    /// How long the server asked to wait, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ClusterError::Throttled { after, .. } => *after,
            ClusterError::Configuration(_)
            | ClusterError::Unreachable { .. }
            | ClusterError::Unauthenticated { .. }
            | ClusterError::Forbidden { .. }
            | ClusterError::KindNotFound(_)
            | ClusterError::GroupUnavailable(_)
            | ClusterError::Refused { .. } => None,
        }
    }
}
