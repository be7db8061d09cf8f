//! One request and what its answer means.
//!
//! Sources: Kubernetes API conventions, "HTTP status codes" and "Response status kind"; the messages of the RBAC
//! authorizer and of API validation, which carry what the `Status` has no field for.

use std::time::Duration;

use jiff::Timestamp;

use http::Request;
use serde_json::Value;

use super::connect::chain;
use super::{Cluster, ClusterError, READ_LIMIT};

/// The longest part of a server's message that is passed on, in characters.
const MESSAGE_LIMIT: usize = 600;

/// Phrases of API validation that say: this field cannot be changed on an object that exists.
const IMMUTABLE: [&str; 8] = [
    "field is immutable",
    "is immutable after creation",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields other than",
    "may not change once set",
    "cannot change roleRef",
    "updates to parameters are forbidden",
    "updates to provisioner are forbidden",
];

/// Phrases of server-side apply that say: this object does not fit its kind.
const UNREADABLE: [&str; 3] =
    ["failed to create typed patch object", "failed to convert new object", "unable to convert unstructured object"];

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    /// From `Retry-After`, or from the `Status`.
    pub(super) retry_after: Option<Duration>,
    /// The server's clock, in whole seconds.
    pub(super) date: Option<Timestamp>,
    pub(super) body: Value,
    /// It is about a Secret: what the server says may quote values, and is told to nobody.
    pub(super) withheld: bool,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Success,
    /// This very object is not there.
    NoObject,
    /// The namespace is not there.
    NoNamespace,
    /// The kind is not served (any more, or yet).
    NoKind,
    Unauthenticated,
    /// The right, as verb and resource.
    Forbidden(String),
    /// The namespace is being deleted.
    Terminating,
    /// The fields and their managers, as the server words them.
    FieldConflict(Vec<String>),
    /// A precondition did not hold, or somebody was quicker.
    Conflict,
    /// A continue token or a resource version is too old.
    Expired,
    /// An immutable field would change.
    Immutable,
    /// Refused for what it is: sending it again changes nothing.
    Denied,
    Throttled,
    /// The server failed; what it did is unknown.
    Broken,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn meaning(&self) -> Meaning {
        let message = self.text("/message");
        match self.status {
            200..300 => Meaning::Success,
            401 => Meaning::Unauthenticated,
            403 if self.has_cause("NamespaceTerminating") => Meaning::Terminating,
            403 => right(message).map_or(Meaning::Denied, Meaning::Forbidden),
            404 if self.text("/details/kind") == "namespaces" => Meaning::NoNamespace,
            404 if !self.text("/details/name").is_empty() => Meaning::NoObject,
            404 => Meaning::NoKind,
            409 if self.has_cause("FieldManagerConflict") => Meaning::FieldConflict(self.conflicts()),
            409 => Meaning::Conflict,
            410 => Meaning::Expired,
            422 if IMMUTABLE.iter().any(|phrase| message.contains(phrase)) => Meaning::Immutable,
            429 => Meaning::Throttled,
            // Server-side apply refuses what it cannot read as an internal error.
            500 if UNREADABLE.iter().any(|phrase| message.contains(phrase)) => Meaning::Denied,
            400..500 => Meaning::Denied,
            _ => Meaning::Broken,
        }
    }

    /// What the server said, in one line of bounded length.
    pub(super) fn message(&self) -> String {
        if self.withheld {
            let status = self.status;
            return format!("the server answered {status}; its message is withheld because it may quote secret values");
        }
        let text = match self.text("/message") {
            "" => self.body.as_str().unwrap_or_default(),
            text => text,
        };
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MESSAGE_LIMIT).collect();
        if line.is_empty() { format!("the server answered {}", self.status) } else { line }
    }

    /// The error that this answer is to a question.
    pub(super) fn error(&self, what: &str) -> ClusterError {
        let what = what.to_owned();
        match self.meaning() {
            Meaning::Unauthenticated => ClusterError::Unauthenticated { what },
            Meaning::Forbidden(right) => ClusterError::Forbidden { what, right },
            Meaning::Throttled => ClusterError::Throttled { what, after: self.retry_after },
            Meaning::Broken => ClusterError::Unreachable { what, cause: self.message() },
            Meaning::Success => {
                ClusterError::Unreachable { what, cause: "the answer is not what was asked for".into() }
            }
            Meaning::NoObject
            | Meaning::NoNamespace
            | Meaning::NoKind
            | Meaning::Terminating
            | Meaning::FieldConflict(_)
            | Meaning::Conflict
            | Meaning::Expired
            | Meaning::Immutable
            | Meaning::Denied => ClusterError::Refused { what, message: self.message() },
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn causes(&self) -> impl Iterator<Item = &Value> {
        self.body.pointer("/details/causes").and_then(Value::as_array).into_iter().flatten()
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.causes().any(|cause| cause["reason"] == reason)
    }

    fn conflicts(&self) -> Vec<String> {
        let told = self.causes().filter(|cause| cause["reason"] == "FieldManagerConflict");
        let told = told.map(|cause| {
            let field = cause["field"].as_str().unwrap_or_default().trim_start_matches('.');
            let manager = cause["message"].as_str().unwrap_or_default();
            format!("`{field}` ({manager})")
        });
        told.collect()
    }
}

/// The verb and the resource out of the RBAC authorizer's message: `User "x" cannot patch resource "deployments" in API
/// group "apps" …`; also a refused escalation. `None` for a refusal by admission.
fn right(message: &str) -> Option<String> {
    if message.contains("is attempting to grant RBAC permissions not currently held") {
        return Some("no right to grant permissions that it does not hold itself".to_owned());
    }
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let group = rest.strip_prefix(" in API group \"").and_then(|rest| rest.split_once('"')).map(|(group, _)| group);
    let resource = match group {
        Some(group) if !group.is_empty() => format!("{resource}.{group}"),
        Some(_) | None => resource.to_owned(),
    };
    Some(format!("no right to `{verb}` `{resource}`"))
}

impl Cluster {
    /// Reads a path.
    pub(super) async fn get(&self, path: &str, what: &str) -> Result<Answer, ClusterError> {
        self.send(Request::get(path), Vec::new(), READ_LIMIT, what).await
    }

    /// Sends a request once and reads the whole answer within the limit.
    ///
    /// # Errors
    /// [`ClusterError::Unreachable`]: there was no answer, or a success that is not JSON, as proxies and portals give.
    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
        limit: Duration,
        what: &str,
    ) -> Result<Answer, ClusterError> {
        let withheld = request.uri_ref().is_some_and(|uri| uri.path().split('/').any(|segment| segment == "secrets"));
        let unreachable = |cause: String| ClusterError::Unreachable { what: what.to_owned(), cause };
        let request = request.body(kube::client::Body::from(body)).map_err(|error| unreachable(error.to_string()))?;
        let exchange = async {
            let (parts, body) = self.client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((parts, body.collect_bytes().await?))
        };
        let exchanged = tokio::time::timeout(limit, exchange).await;
        let exchanged = exchanged.map_err(|_| unreachable(format!("no answer within {} s", limit.as_secs())))?;
        let (parts, bytes) = exchanged.map_err(|error| unreachable(chain(&error)))?;
        let status = parts.status.as_u16();
        let body = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            Err(_) if parts.status.is_success() => return Err(unreachable("the answer is not JSON".to_owned())),
            Err(_) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let header = parts.headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let told = body.pointer("/details/retryAfterSeconds").and_then(Value::as_u64);
        let date = parts.headers.get(http::header::DATE).and_then(|value| value.to_str().ok());
        // RFC 9110, section 5.6.7: the preferred form is one that mail has too.
        let date = date.and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
        Ok(Answer { status, retry_after: header.or(told).map(Duration::from_secs), date, body, withheld })
    }
}

#[cfg(test)]
mod tests;
