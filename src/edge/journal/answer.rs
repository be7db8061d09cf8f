//! What the API server's answers mean. The one place that tells "no" from "I do not know".

use std::future::Future;
use std::time::Duration;

/// How long a request may take. An entry lapses 30 s after it was sealed, so waiting longer for its reply gains nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a request did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server says that the object is not there.
    Missing,
    /// The server says that an object of this name exists.
    Exists,
    /// The object is of another version than the request names.
    Conflict,
    /// The list's continuation is too old.
    Expired,
    /// A right is missing.
    Forbidden,
    /// The server refused; nothing was written.
    Rejected { reason: String, message: String },
    /// No answer, or none that can be believed: a write may have happened.
    Unknown(String),
}

/// Awaits a request, and says what came of it.
pub(super) async fn ask<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(answer) => answer.map_err(|e| failure(&e)),
        Err(_) => Err(Failure::Unknown(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// Believes a refusal only where the server itself words it (a Kubernetes `Status` with a reason): a proxy's 404 page
/// must never read as "there is none".
fn failure(error: &kube::Error) -> Failure {
    let kube::Error::Api(status) = error else { return Failure::Unknown(without_urls(error)) };
    match (status.code, status.reason.as_str()) {
        (404, "NotFound") => Failure::Missing,
        (409, "AlreadyExists") => Failure::Exists,
        (409, "Conflict") => Failure::Conflict,
        (410, "Expired" | "Gone") => Failure::Expired,
        (403, "Forbidden") if is_about_rights(&status.message) => Failure::Forbidden,
        (400 | 401 | 403 | 404 | 405 | 409 | 413 | 415 | 422 | 429, reason)
            if kube::core::response::reason::is_known(reason) =>
        {
            Failure::Rejected { reason: reason.to_owned(), message: status.message.clone() }
        }
        (code, _) => Failure::Unknown(format!("answer {code}")),
    }
}

/// Quotas, admission and terminating namespaces answer 403 too, and no right cures them; only the authorizer names the
/// user (Kubernetes, Authorization Overview: "User … cannot …").
fn is_about_rights(message: &str) -> bool {
    message.contains("forbidden: User ")
}

/// The error in words, by its kind only where its text could carry an address or a body.
fn without_urls(error: &kube::Error) -> String {
    match error {
        kube::Error::SerdeError(_) => "the answer is not what a Kubernetes API server says".to_owned(),
        kube::Error::Service(cause) => format!("no connection: {cause}"),
        kube::Error::HyperError(cause) => format!("the connection broke: {cause}"),
        _ => "the request failed on its way".to_owned(),
    }
}
