//! Reads fields of an object whose shape nobody promised: absent is `None`, another shape than expected is an error.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// The longest message that is passed on, in characters: controllers put whole logs there.
const LONGEST_MESSAGE: usize = 240;

/// What could not be read.
#[derive(Debug)]
pub(super) struct Unreadable(pub(super) String);

/// What a condition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// Also what it said about an older generation.
    Unknown,
}

/// One entry of a list of conditions.
#[derive(Debug)]
pub(super) struct Condition<'a> {
    pub(super) kind: &'a str,
    pub(super) truth: Truth,
    pub(super) reason: &'a str,
    /// Cluster API, conditions of v1beta1: `Error`, `Warning` or `Info`.
    pub(super) severity: &'a str,
    pub(super) since: Option<Timestamp>,
    message: &'a str,
}

/// A list of conditions.
#[derive(Debug)]
pub(super) struct Conditions<'a>(Vec<Condition<'a>>);

impl<'a> Conditions<'a> {
    pub(super) fn get(&self, kind: &str) -> Option<&Condition<'a>> {
        self.0.iter().find(|condition| condition.kind == kind)
    }

    pub(super) fn with(&self, kind: &str, truth: Truth) -> Option<&Condition<'a>> {
        self.get(kind).filter(|condition| condition.truth == truth)
    }
}

impl Condition<'_> {
    /// Reason and message in one line.
    pub(super) fn because(&self) -> String {
        let line = match (self.reason, self.message) {
            ("", "") => format!("`{}` is {:?}", self.kind, self.truth),
            ("", message) => message.to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        };
        one_line(&line)
    }
}

/// The conditions of `status.conditions`.
pub(super) fn conditions(object: &Value) -> Result<Conditions<'_>, Unreadable> {
    conditions_of(object.pointer("/status/conditions"), generation(object)?.as_deref(), "status.conditions")
}

/// The conditions of a list; one that carries an older `observedGeneration` than the object's counts as unknown.
pub(super) fn conditions_of<'a>(
    list: Option<&'a Value>,
    generation: Option<&str>,
    place: &str,
) -> Result<Conditions<'a>, Unreadable> {
    let list = match list {
        None | Some(Value::Null) => return Ok(Conditions(Vec::new())),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(Unreadable(format!("`{place}` is not a list"))),
    };
    list.iter().map(|entry| condition(entry, generation, place)).collect::<Result<_, _>>().map(Conditions)
}

fn condition<'a>(entry: &'a Value, generation: Option<&str>, place: &str) -> Result<Condition<'a>, Unreadable> {
    let word = |name: &str| entry.get(name).and_then(Value::as_str);
    let (Some(kind), Some(status)) = (word("type"), word("status")) else {
        return Err(Unreadable(format!("`{place}` has an entry without `type` and `status`")));
    };
    let seen = entry.get("observedGeneration").filter(|seen| !seen.is_null()).map(Value::to_string);
    // Some controllers never fill the field, and write the zero value of its type.
    let stale = seen.is_some_and(|seen| seen != "0" && generation.is_some_and(|wanted| wanted != seen));
    let truth = match status {
        "True" if !stale => Truth::True,
        "False" if !stale => Truth::False,
        _ => Truth::Unknown,
    };
    Ok(Condition {
        kind,
        truth,
        reason: word("reason").unwrap_or_default(),
        severity: word("severity").unwrap_or_default(),
        since: word("lastTransitionTime").and_then(|time| time.parse().ok()),
        message: word("message").unwrap_or_default(),
    })
}

/// A text in one line without control characters, cut at 240 characters.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join(" ");
    let Some((cut, _)) = joined.char_indices().nth(LONGEST_MESSAGE) else { return joined };
    let mut line = joined[..cut].to_owned();
    let _ = write!(line, "...");
    line
}

/// Whether a field is there and not `null`.
pub(super) fn is_set(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

/// A whole number.
pub(super) fn number(object: &Value, pointer: &str) -> Result<Option<i64>, Unreadable> {
    read(object, pointer, "a whole number", Value::as_i64)
}

/// A text.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Result<Option<&'a str>, Unreadable> {
    read(object, pointer, "a text", Value::as_str)
}

/// A list; absent is empty.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> Result<&'a [Value], Unreadable> {
    read(object, pointer, "a list", |value| value.as_array().map(Vec::as_slice)).map(Option::unwrap_or_default)
}

/// Whether a switch is on; absent is off.
pub(super) fn flag(object: &Value, pointer: &str) -> Result<bool, Unreadable> {
    read(object, pointer, "true or false", Value::as_bool).map(Option::unwrap_or_default)
}

/// `metadata.generation` as text.
pub(super) fn generation(object: &Value) -> Result<Option<String>, Unreadable> {
    counter(object, "/metadata/generation")
}

/// `status.observedGeneration` as text: Argo Rollouts writes it as a string.
pub(super) fn observed_generation(object: &Value) -> Result<Option<String>, Unreadable> {
    counter(object, "/status/observedGeneration")
}

/// A counter that may be written as a number or as a string.
pub(super) fn counter(object: &Value, pointer: &str) -> Result<Option<String>, Unreadable> {
    read(object, pointer, "a number", |value| match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    })
}

fn read<'a, T>(
    object: &'a Value,
    pointer: &str,
    expected: &str,
    as_expected: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, Unreadable> {
    match object.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => as_expected(value).map(Some).ok_or_else(|| {
            let path = pointer.trim_start_matches('/').replace('/', ".");
            Unreadable(format!("`{path}` is not {expected}"))
        }),
    }
}
