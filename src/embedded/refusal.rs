//! What the API answers where it does not do what was asked: a `Status`, worded as kube-apiserver words it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::checks::Problem;
use super::store::Key;

/// A `Status` of failure (Kubernetes API conventions, section Response Status Kind).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    pub(super) message: String,
    details: Value,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, reason, message: message.into(), details: json!({}) }
    }

    fn about(mut self, key: &Key) -> Refusal {
        let (plural, group) = key.resource.split_once('.').unwrap_or((&key.resource, ""));
        self.details = json!({"kind": plural});
        for (field, text) in [("name", key.name.as_str()), ("group", group)] {
            if !text.is_empty() {
                self.details[field] = json!(text);
            }
        }
        self
    }

    /// With causes: of each the reason, the message and the field.
    pub(super) fn because(mut self, causes: impl IntoIterator<Item = (&'static str, String, String)>) -> Refusal {
        let causes = causes.into_iter();
        let causes =
            causes.map(|(reason, message, field)| json!({"reason": reason, "message": message, "field": field}));
        self.details["causes"] = causes.collect::<Vec<_>>().into();
        self
    }

    /// 501: a part of the Kubernetes API that is not built here, by its name.
    pub(super) fn not_supported(feature: &str) -> Refusal {
        Refusal::new(501, "NotImplemented", format!("not supported by the embedded Kubernetes API: {feature}"))
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "BadRequest", message)
    }

    pub(super) fn method(method: &str) -> Refusal {
        let message = format!("the server does not allow this method on the requested resource: {method}");
        Refusal::new(405, "MethodNotAllowed", message)
    }

    /// A failure without a reason of its own, as of an apply that cannot be read.
    pub(super) fn internal(message: impl Into<String>) -> Refusal {
        Refusal::new(500, "", message)
    }

    pub(super) fn no_such_path() -> Refusal {
        Refusal::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn not_found(key: &Key) -> Refusal {
        Refusal::new(404, "NotFound", format!("{} \"{}\" not found", key.resource, key.name)).about(key)
    }

    pub(super) fn already_exists(key: &Key) -> Refusal {
        Refusal::new(409, "AlreadyExists", format!("{} \"{}\" already exists", key.resource, key.name)).about(key)
    }

    /// A precondition did not hold.
    pub(super) fn conflict(key: &Key, what: &str) -> Refusal {
        let message = format!("Operation cannot be fulfilled on {} \"{}\": {what}", key.resource, key.name);
        Refusal::new(409, "Conflict", message).about(key)
    }

    /// What a precondition says of a uid or a version is not what was found.
    pub(super) fn precondition(key: &Key, what: &str, said: &str, found: &Value) -> Refusal {
        let found = found.as_str().unwrap_or_default();
        let what = format!("Precondition failed: {what} in precondition: {said}, {what} in object meta: {found}");
        Refusal::conflict(key, &what)
    }

    /// A server-side apply would take fields of others: of each whose it is, and its path.
    pub(super) fn field_conflicts(conflicts: Vec<(String, String)>) -> Refusal {
        let mut lines: Vec<String> = Vec::new();
        for (at, (whose, field)) in conflicts.iter().enumerate() {
            if at == 0 || conflicts[at - 1].0 != *whose {
                lines.push(format!("conflicts with {whose}:"));
            }
            lines.push(format!("- {field}"));
        }
        let message = match conflicts.as_slice() {
            [(whose, field)] => format!("1 conflict: conflict with {whose}: {field}"),
            more => format!("{} conflicts: {}", more.len(), lines.join("\n")),
        };
        let causes = conflicts.into_iter();
        let causes = causes.map(|(whose, field)| ("FieldManagerConflict", format!("conflict with {whose}"), field));
        Refusal::new(409, "Conflict", format!("Apply failed with {message}")).because(causes)
    }

    pub(super) fn terminating(key: &Key) -> Refusal {
        let Key { resource, namespace, name } = key;
        let ends = "being terminated";
        let message = format!(
            "{resource} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is {ends}"
        );
        let cause =
            ("NamespaceTerminating", format!("namespace {namespace} is {ends}"), "metadata.namespace".to_owned());
        Refusal::new(403, "Forbidden", message).about(key).because([cause])
    }

    /// An object that is not valid; `kind` is that of the object, or its plural.
    pub(super) fn invalid(kind: &str, key: &Key, problems: Vec<Problem>) -> Refusal {
        let told: Vec<String> = problems.iter().map(|one| format!("{}: {}", one.field, one.message)).collect();
        let told = match told.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let group = key.resource.split_once('.').map_or(String::new(), |(_, group)| format!(".{group}"));
        let message = format!("{kind}{group} \"{}\" is invalid: {told}", key.name);
        let mut refusal = Refusal::new(422, "Invalid", message).about(key);
        refusal.details["kind"] = json!(kind);
        refusal.because(problems.into_iter().map(|problem| (problem.reason, problem.message, problem.field)))
    }

    /// The same of what a patch made of an object, which cannot be decoded.
    pub(super) fn of_patch(self, patched: &Value) -> Refusal {
        let why = self.message.split_once(": ").map_or("", |(_, why)| why);
        let message = format!("Invalid value: {:?}: {why}", patched.to_string());
        let refusal = Refusal::new(422, "Invalid", format!(" \"\" is invalid: patch: {message}"));
        refusal.because([("FieldValueInvalid", message, "patch".to_owned())])
    }

    pub(super) fn too_large_version(asked: u64, newest: u64) -> Refusal {
        let message = format!("Timeout: Too large resource version: {asked}, current: {newest}");
        let mut refusal = Refusal::new(504, "Timeout", message);
        let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        refusal.details = json!({"retryAfterSeconds": 1, "causes": [cause]});
        refusal
    }

    /// As a document.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if self.details != json!({}) || self.code == 404 {
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
