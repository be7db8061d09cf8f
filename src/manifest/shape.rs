//! Whether a draft has the shape of an object that somebody may apply: type, name, metadata, no field of the server.

use serde_json::{Map, Value};

use super::{Draft, Source, Stage};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};

/// The sum of all annotations, in bytes (apimachinery, `api/validation`, `TotalAnnotationSizeLimitB`).
const ANNOTATIONS_LIMIT: usize = 256 << 10;

/// Orders objects of the stage `workload`.
const WAVE: &str = "lockmaster.dev/wave";

/// Marks the members of an ApplySet (KEP-3659); the apply edge sets it.
const MEMBER: &str = "applyset.kubernetes.io/part-of";

/// Metadata that only the server writes; generators emit some of it empty.
const SERVER_METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// An object of acceptable shape; its namespace is not decided yet.
pub(super) struct Shaped {
    /// The object, without empty fields of the server.
    pub(super) value: Map<String, Value>,
    /// Its type.
    pub(super) kind: GroupVersionKind,
    /// `metadata.name`.
    pub(super) name: String,
    /// `metadata.namespace`.
    pub(super) namespace: Option<String>,
    /// When it is applied.
    pub(super) stage: Stage,
    /// Its wave, in the stage `workload`.
    pub(super) wave: i32,
    /// Where it was read.
    pub(super) source: Source,
}

impl Shaped {
    /// The object's key in a namespace.
    pub(super) fn key(&self, namespace: Option<String>) -> ObjectKey {
        ObjectKey { group: self.kind.group.clone(), kind: self.kind.kind.clone(), namespace, name: self.name.clone() }
    }

    /// A reason against this object.
    pub(super) fn reason(&self, code: Code, found: &str) -> Reason {
        let key = self.key(self.namespace.clone());
        let reason = Reason::new(code, format!("`{key}` {found}"));
        at_source(reason, &self.source).at_object(key)
    }
}

/// A reason about the place where an object was read.
pub(super) fn at_source(reason: Reason, source: &Source) -> Reason {
    reason.at_file(source.file.to_string(), Some(source.line).filter(|line| *line > 0), None)
}

/// Takes a draft apart.
pub(super) fn shape(draft: Draft) -> Result<Shaped, Reason> {
    let Draft { value, source } = draft;
    take_apart(value, &source).map_err(|(object, found)| {
        let message = format!("{object} {found}");
        at_source(Reason::new(Code::InvalidObject, message), &source)
    })
}

/// What an object is called before its key is known, and what was found.
type Finding = (String, String);

fn take_apart(value: Value, source: &Source) -> Result<Shaped, Finding> {
    let nameless = |found: &str| ("document".to_owned(), found.to_owned());
    let Value::Object(mut value) = value else { return Err(nameless("is not a mapping")) };
    let api_version = text_of(&value, "apiVersion").ok_or_else(|| nameless("has no `apiVersion`"))?;
    let kind_text = text_of(&value, "kind").ok_or_else(|| nameless("has no `kind`"))?;
    if !is_api_version(&api_version) {
        return Err(nameless(&format!("has `apiVersion: {api_version}`, which is not `version` or `group/version`")));
    }
    let kind = GroupVersionKind::from_manifest(&api_version, &kind_text);
    let of_kind = |found: &str| (format!("`{kind_text}`"), found.to_owned());
    if kind_text.ends_with("List") && value.get("items").is_some_and(Value::is_array) {
        return Err(of_kind("stands in a list: lists are flattened one level"));
    }
    let Some(Value::Object(mut metadata)) = value.remove("metadata") else { return Err(of_kind("has no `metadata`")) };
    if metadata.contains_key("generateName") {
        return Err(of_kind("sets `metadata.generateName`: every object needs a name"));
    }
    let name = text_of(&metadata, "name").ok_or_else(|| of_kind("has no `metadata.name`"))?;
    let named = |found: String| (format!("`{kind_text}/{name}`"), found);
    check_name(&kind, &name).map_err(named)?;
    let namespace = namespace_of(&mut metadata).map_err(named)?;
    drop_server_fields(&mut value, &mut metadata).map_err(named)?;
    check_texts(&mut metadata).map_err(named)?;
    let stage = Stage::of(&kind.group_kind());
    let wave = wave_of(&metadata).map_err(named)?;
    let wave = if stage == Stage::Workload { wave } else { 0 };
    value.insert("metadata".to_owned(), Value::Object(metadata));
    Ok(Shaped { value, kind, name, namespace, stage, wave, source: source.clone() })
}

fn text_of(object: &Map<String, Value>, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn is_api_version(text: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    match text.split_once('/') {
        Some((group, version)) => word(group) && word(version),
        None => word(text),
    }
}

/// Kubernetes, Object Names and IDs: RBAC takes any path segment, the others a DNS label or subdomain.
fn check_name(kind: &GroupVersionKind, name: &str) -> Result<(), String> {
    let (good, expected) = match (kind.group.as_str(), kind.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => (is_path_segment(name), "a path segment"),
        ("networking.k8s.io", "IPAddress") => (name.parse::<std::net::IpAddr>().is_ok(), "an IP address"),
        ("", "Namespace" | "Service") => (is_label(name), "a DNS label"),
        _ => (name.len() <= 253 && name.split('.').all(is_label_of_any_length), "a DNS subdomain"),
    };
    if good { Ok(()) } else { Err(format!("has a name that is not {expected}")) }
}

fn is_path_segment(name: &str) -> bool {
    name != "." && name != ".." && !name.contains(['/', '%']) && !name.chars().any(char::is_control)
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_label_of_any_length(text)
}

fn is_label_of_any_length(text: &str) -> bool {
    let good = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    good && !text.is_empty() && !text.starts_with('-') && !text.ends_with('-')
}

fn namespace_of(metadata: &mut Map<String, Value>) -> Result<Option<String>, String> {
    match metadata.get("namespace") {
        None => Ok(None),
        Some(Value::Null) => {
            metadata.remove("namespace");
            Ok(None)
        }
        Some(Value::String(namespace)) if namespace.is_empty() => {
            metadata.remove("namespace");
            Ok(None)
        }
        Some(Value::String(namespace)) if is_label(namespace) => Ok(Some(namespace.clone())),
        Some(_) => Err("has a namespace that is not a DNS label".to_owned()),
    }
}

/// Drops what generators emit empty, and refuses what is set.
fn drop_server_fields(value: &mut Map<String, Value>, metadata: &mut Map<String, Value>) -> Result<(), String> {
    for field in SERVER_METADATA {
        if metadata.remove(*field).is_some_and(|set| !is_empty(&set)) {
            return Err(format!("sets `metadata.{field}`, which belongs to the server"));
        }
    }
    if value.remove("status").is_some_and(|set| !is_empty(&set)) {
        return Err("sets `status`, which belongs to the server".to_owned());
    }
    Ok(())
}

/// Whether nothing is said: `status: {loadBalancer: {}}`, `{conditions: [], currentHealthy: 0}` and the like.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(_) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
    }
}

/// Labels and annotations map text to text.
fn check_texts(metadata: &mut Map<String, Value>) -> Result<(), String> {
    for field in ["labels", "annotations"] {
        match metadata.get(field) {
            None => {}
            Some(Value::Null) => {
                metadata.remove(field);
            }
            // The server stores none, and an apply that says none is in the way of whoever owns the field.
            Some(Value::Object(members)) if members.is_empty() => {
                metadata.remove(field);
            }
            Some(Value::Object(members)) => {
                if let Some((key, _)) = members.iter().find(|(_, value)| !value.is_string()) {
                    return Err(format!("has a value in `metadata.{field}` that is not text: `{key}`"));
                }
            }
            Some(_) => return Err(format!("has `metadata.{field}` that is not a mapping")),
        }
    }
    if metadata.get("labels").is_some_and(|labels| labels.get(MEMBER).is_some()) {
        return Err(format!("sets the label `{MEMBER}`, which says whose it is in the cluster"));
    }
    let size = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    let annotations = metadata.get("annotations").and_then(Value::as_object);
    let bytes: usize = annotations.map_or(0, |annotations| annotations.iter().map(size).sum());
    if bytes > ANNOTATIONS_LIMIT {
        return Err(format!("has annotations of {bytes} bytes, limit {ANNOTATIONS_LIMIT}"));
    }
    Ok(())
}

fn wave_of(metadata: &Map<String, Value>) -> Result<i32, String> {
    match metadata.get("annotations").and_then(|annotations| annotations.get(WAVE)?.as_str()) {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| format!("has the annotation `{WAVE}: {text}`, which is not an integer")),
    }
}
