//! What of an object is not valid.

use serde_json::Value;

use super::schema::Resource;

/// One thing that is not valid.
pub(super) struct Problem {
    pub(super) field: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// The fields that the kind does not have.
pub(super) fn unknown_fields(_: &Resource, _: &Value) -> Vec<String> {
    Vec::new()
}

/// What is wrong with an object that is to become another one.
pub(super) fn problems(_: &Resource, _: Option<&Value>, _: &Value) -> Vec<Problem> {
    Vec::new()
}
