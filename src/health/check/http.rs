//! What the answer of an HTTP server means.

use serde_json::Value;

use super::{Predicate, Reading};

/// Reads an answer.
///
/// A predicate that does not name `status` asks for a status of 200 to 299 besides: a server that says `ok` under a 500
/// is not well. A redirect is not followed, and without `status` in the predicate it is unknown: who answered is not who
/// was asked. A body that is no JSON is unknown to a predicate that names `body`. No message quotes the body.
#[must_use]
pub fn reading(status: u16, body: &[u8], expect: &Predicate) -> Reading {
    let answered = |good, what: &str| Reading::Answer { good, seen: format!("status {status}, {what}") };
    match status {
        _ if expect.reads_status() => {}
        200..300 => {}
        300..400 => return Reading::Unknown(format!("status {status}, a redirect, which is not followed")),
        _ => return answered(false, "expected 200 to 299"),
    }
    let body = match serde_json::from_slice::<Value>(body) {
        Ok(body) => body,
        Err(_) if expect.reads_body() => {
            return Reading::Unknown(format!("status {status}, and the body is no JSON"));
        }
        Err(_) => Value::Null,
    };
    let text = expect.as_str();
    match expect.eval(&body, status) {
        Ok(true) => answered(true, &format!("`{text}` is true")),
        Ok(false) => answered(false, &format!("`{text}` is false")),
        Err(problem) => Reading::Unknown(format!("status {status}, `{text}` {problem}")),
    }
}
