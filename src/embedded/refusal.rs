//! What the API answers where it does not do what was asked: a `Status`, worded as kube-apiserver words it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::store::{Collection, Key};

/// A `Status` of failure (Kubernetes API conventions, section Response Status Kind).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, collection: &Collection, name: &str) -> Refusal {
        self.details = json!({"kind": collection.plural});
        for (field, text) in [("name", name), ("group", &collection.group)] {
            if !text.is_empty() {
                self.details[field] = json!(text);
            }
        }
        self
    }

    fn because(mut self, causes: impl IntoIterator<Item = Value>) -> Refusal {
        let causes: Vec<Value> = causes.into_iter().collect();
        if !causes.is_empty() {
            self.details["causes"] = Value::from(causes);
        }
        self
    }

    /// 501: a part of the Kubernetes API that is not built here, by its name.
    pub(super) fn not_supported(feature: &str) -> Refusal {
        Refusal::new(501, "NotImplemented", format!("{feature} is not supported by the embedded Kubernetes API"))
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Refusal {
        Refusal::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn no_such_path() -> Refusal {
        let mut refusal = Refusal::new(404, "NotFound", "the server could not find the requested resource");
        refusal.details = json!({});
        refusal
    }

    pub(super) fn not_found(collection: &Collection, name: &str) -> Refusal {
        Refusal::new(404, "NotFound", format!("{} \"{name}\" not found", collection.name())).about(collection, name)
    }

    pub(super) fn already_exists(collection: &Collection, name: &str) -> Refusal {
        let message = format!("{} \"{name}\" already exists", collection.name());
        Refusal::new(409, "AlreadyExists", message).about(collection, name)
    }

    /// A precondition did not hold.
    pub(super) fn conflict(collection: &Collection, name: &str, what: &str) -> Refusal {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {what}", collection.name());
        Refusal::new(409, "Conflict", message).about(collection, name)
    }

    pub(super) fn modified(collection: &Collection, name: &str) -> Refusal {
        let what = "the object has been modified; please apply your changes to the latest version and try again";
        Refusal::conflict(collection, name, what)
    }

    /// A server-side apply would take fields of others: the message, and a field and a message each.
    pub(super) fn field_conflict(message: String, conflicts: impl IntoIterator<Item = (String, String)>) -> Refusal {
        let causes = conflicts.into_iter();
        let causes = causes
            .map(|(field, message)| json!({"reason": "FieldManagerConflict", "message": message, "field": field}));
        let mut refusal = Refusal::new(409, "Conflict", message);
        refusal.details = json!({});
        refusal.because(causes)
    }

    pub(super) fn terminating(collection: &Collection, name: &str, namespace: &str) -> Refusal {
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            collection.name()
        );
        let cause = json!({"reason": "NamespaceTerminating", "field": "metadata.namespace",
                           "message": format!("namespace {namespace} is being terminated")});
        Refusal::new(403, "Forbidden", message).about(collection, name).because([cause])
    }

    /// An object that is not valid: its kind, and of each problem the field, the reason and the message.
    pub(super) fn invalid(collection: &Collection, kind: &str, name: &str, problems: Vec<[String; 3]>) -> Refusal {
        let told: Vec<String> = problems.iter().map(|[field, _, message]| format!("{field}: {message}")).collect();
        let told = match told.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let group = if collection.group.is_empty() { String::new() } else { format!(".{}", collection.group) };
        let causes = problems.into_iter();
        let causes =
            causes.map(|[field, reason, message]| json!({"reason": reason, "message": message, "field": field}));
        let mut refusal = Refusal::new(422, "Invalid", format!("{kind}{group} \"{name}\" is invalid: {told}"));
        refusal = refusal.about(collection, name);
        refusal.details["kind"] = json!(kind);
        refusal.because(causes)
    }

    /// What a patch made of an object cannot be decoded.
    pub(super) fn unreadable_patch(patched: &Value, why: &Refusal) -> Refusal {
        let message = format!(
            "Invalid value: {:?}: {}",
            patched.to_string(),
            why.message.split_once(": ").map_or("", |(_, why)| why)
        );
        let problem = ["patch".to_owned(), "FieldValueInvalid".to_owned(), message];
        let mut refusal = Refusal::new(422, "Invalid", format!(" \"\" is invalid: {}: {}", problem[0], problem[2]));
        refusal.details = json!({});
        refusal.because([json!({"reason": problem[1], "message": problem[2], "field": problem[0]})])
    }

    /// A replacement of a custom object does not say which version it replaces.
    pub(super) fn without_version(key: &Key) -> Refusal {
        let words =
            ["metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update"];
        Refusal::invalid(&key.collection, &key.collection.plural, &key.name, vec![words.map(str::to_owned)])
    }

    pub(super) fn expired(message: impl Into<String>) -> Refusal {
        Refusal::new(410, "Expired", message)
    }

    pub(super) fn too_large_version(asked: u64, newest: u64) -> Refusal {
        let message = format!("Timeout: Too large resource version: {asked}, current: {newest}");
        let mut refusal = Refusal::new(504, "Timeout", message);
        refusal.details = json!({"retryAfterSeconds": 1});
        refusal.because([json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"})])
    }

    pub(super) fn media_type(given: &str, accepted: &str) -> Refusal {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}; this was `{given}`"
        );
        Refusal::new(415, "UnsupportedMediaType", message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Refusal {
        Refusal::new(422, "Invalid", message)
    }

    pub(super) fn too_long(limit: usize) -> Refusal {
        Refusal::new(413, "RequestEntityTooLarge", format!("a body is at most {limit} bytes long"))
    }

    /// A failure without a reason of its own, as an apply that cannot be read.
    pub(super) fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(500, "", message)
    }

    pub(super) fn method(method: &str) -> Refusal {
        let message = format!("the server does not allow this method on the requested resource: {method}");
        Refusal::new(405, "MethodNotAllowed", message)
    }

    /// As a document.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.code).expect("because every code above is one");
        (code, axum::Json(self.status())).into_response()
    }
}
