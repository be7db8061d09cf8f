//! What a real server refuses in an object: types that do not decode, fields that are missing, and fields that may not
//! change. The messages were read off a real server; what it checks beyond this is left out.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::schema::{Resource, Scalar, Struct, Type};

/// What is wrong with an object: one cause of a 422.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The path, such as `spec.template.spec.containers[0].image`.
    pub(super) field: String,
    /// `FieldValueRequired`, `FieldValueInvalid` or `FieldValueForbidden`.
    pub(super) reason: &'static str,
    /// Such as `Required value`.
    pub(super) message: String,
}

fn required(field: &str) -> Problem {
    Problem { field: field.to_owned(), reason: "FieldValueRequired", message: "Required value".to_owned() }
}

pub(super) fn invalid(field: &str, value: &Value, what: &str) -> Problem {
    let message = format!("Invalid value: {value}: {what}");
    Problem { field: field.to_owned(), reason: "FieldValueInvalid", message }
}

fn forbidden(field: &str, what: &str) -> Problem {
    Problem { field: field.to_owned(), reason: "FieldValueForbidden", message: format!("Forbidden: {what}") }
}

/// The fields of an object that its kind does not have, as strict decoding names them.
pub(super) fn unknown_fields(resource: &Resource, object: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(&resource.root(), object, "", &mut |known, map, path| {
        if let (Some(map), None) = (map.as_object(), &known.rest) {
            unknown.extend(map.keys().filter(|key| !known.fields.contains_key(*key)).map(|key| join(path, key)));
        }
    });
    unknown
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Visits every struct in a value with its path.
fn walk(kind: &Type, value: &Value, path: &str, visit: &mut impl FnMut(&Struct, &Value, &str)) {
    match (kind, value) {
        (Type::Struct(id, _), Value::Object(map)) => {
            visit(id.get(), value, path);
            for (name, inner) in map {
                if let Some(field) = id.get().fields.get(name) {
                    walk(&field.kind, inner, &join(path, name), visit);
                }
            }
        }
        (Type::Map(element, _), Value::Object(map)) => {
            map.iter().for_each(|(key, inner)| walk(element, inner, &join(path, key), visit));
        }
        (Type::List(element, _), Value::Array(list)) => {
            list.iter().enumerate().for_each(|(at, inner)| walk(element, inner, &format!("{path}[{at}]"), visit));
        }
        _ => {}
    }
}

/// Why an object cannot be decoded as its kind, in the words of a real server but for its Go types.
pub(super) fn undecodable(resource: &Resource, object: &Value) -> Option<String> {
    misfit(&resource.root(), object, &resource.kind, "")
}

fn misfit(kind: &Type, value: &Value, holder: &str, path: &str) -> Option<String> {
    let found = match value {
        Value::Null => return None,
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match (kind, value) {
        (Type::Struct(id, _), Value::Object(map)) => {
            let holder = id.get().name.rsplit('.').next().unwrap_or_default();
            let fields = id.get().fields.iter().filter_map(|(name, field)| Some((name, &field.kind, map.get(name)?)));
            return fields.into_iter().find_map(|(name, kind, inner)| misfit(kind, inner, holder, &join(path, name)));
        }
        (Type::Map(element, _), Value::Object(map)) => {
            return map.values().find_map(|inner| misfit(element, inner, holder, path));
        }
        (Type::List(element, _), Value::Array(list)) => {
            return list.iter().find_map(|inner| misfit(element, inner, holder, path));
        }
        (Type::Struct(..) | Type::Map(..) | Type::List(..), _) => false,
        (Type::Scalar(Scalar::Quantity), _) if super::objects::quantity(value).is_none() => {
            let form = "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
            return Some(format!("quantities must match the regular expression {form}"));
        }
        (Type::Scalar(Scalar::Quantity), _) | (Type::Untyped | Type::Deduced, _) => true,
        (Type::Scalar(Scalar::String | Scalar::Bytes | Scalar::Time), _) => value.is_string(),
        (Type::Scalar(Scalar::Boolean), _) => value.is_boolean(),
        (Type::Scalar(Scalar::Integer), _) => value.is_i64(),
        (Type::Scalar(Scalar::Number), _) => value.is_number(),
        (Type::Scalar(Scalar::IntOrString), _) => value.is_i64() || value.is_string(),
    };
    (!fits).then(|| format!("json: cannot unmarshal {found} into Go struct field {holder}.{path}"))
}

/// A line of the table.
struct Fixed {
    kind: &'static str,
    field: &'static str,
    but: &'static str,
    reason: &'static str,
    message: &'static str,
}

static FIXED: LazyLock<Vec<Fixed>> = LazyLock::new(|| {
    let lines = include_str!("checks.txt").lines().filter(|line| !line.starts_with('#'));
    let fixed = lines.map(|line| {
        let mut words = line.splitn(5, ' ');
        let [kind, field, but, reason, message] = [(); 5].map(|()| words.next().unwrap_or_default());
        Fixed { kind, field, but, reason, message }
    });
    fixed.collect()
});

/// What a real server would refuse in a new object that decodes and is complete. `live` is the object that it replaces.
pub(super) fn problems(resource: &Resource, live: Option<&Value>, new: &Value) -> Vec<Problem> {
    let root = resource.root();
    let Some(known) = root.as_struct() else { return Vec::new() };
    let mut problems: Vec<Problem> = name(&known.name, &new["metadata"]).into_iter().collect();
    walk(&root, new, "", &mut |known, object, path| {
        let extra = FIXED.iter().filter(|line| line.kind == "required" && line.field == known.name);
        let named = known.fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name.as_str());
        let names: BTreeSet<&str> = named.chain(extra.map(|line| line.but)).collect();
        for name in names {
            let is_missing = object[name].is_null() || object[name] == "";
            if is_missing && !path.starts_with("status") {
                problems.push(required(&join(path, name)));
            }
        }
    });
    problems.extend(selector(&known.name, &new["spec"]));
    problems.extend(special(&known.name, new));
    let Some(live) = live else { return problems };
    for line in FIXED.iter().filter(|line| line.kind == known.name) {
        problems.extend(changed(line, live, new));
    }
    problems.extend(sealed(&known.name, live, new));
    problems
}

/// What is wrong by the rules of one kind.
fn special(kind: &str, new: &Value) -> Vec<Problem> {
    let spec = &new["spec"];
    match kind {
        "core.Secret" => secret(new),
        "core.Service" if spec["type"] != "ExternalName" && spec["clusterIP"] != "None" && spec["ports"].is_null() => {
            vec![required("spec.ports")]
        }
        "apps.Deployment"
            if spec["strategy"]["type"] == "Recreate" && spec["strategy"]["rollingUpdate"].is_object() =>
        {
            let what = "may not be specified when strategy `type` is 'Recreate'";
            vec![forbidden("spec.strategy.rollingUpdate", what)]
        }
        _ => Vec::new(),
    }
}

/// The keys that a Secret of a known type must have.
fn secret(secret: &Value) -> Vec<Problem> {
    let keys: &[&str] = match secret["type"].as_str().unwrap_or_default() {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/basic-auth" => &["username", "password"],
        _ => &[],
    };
    let missing = |key: &&&str| secret["data"].get(**key).is_none_or(|value| value == "" && key.starts_with("ssh"));
    let missing: Vec<Problem> = keys.iter().filter(missing).map(|key| required(&format!("data[{key}]"))).collect();
    let one_is_enough = secret["type"] == "kubernetes.io/basic-auth";
    if one_is_enough && missing.len() < 2 { Vec::new() } else { missing }
}

/// A field that changed and may not.
fn changed(line: &Fixed, live: &Value, new: &Value) -> Option<Problem> {
    let (path, once) = line.field.strip_suffix('?').map_or((line.field, false), |path| (path, true));
    let at = |object: &Value| {
        let found = path.split('/').try_fold(object, |value, name| value.get(name));
        let mut found = found.cloned().unwrap_or_default();
        if let Some(map) = found.as_object_mut() {
            line.but.split(',').for_each(|name| drop(map.remove(name)));
        }
        found
    };
    let (old, now) = (at(live), at(new));
    if old == now || once && (old.is_null() || old == "") {
        return None;
    }
    let field = path.replace('/', ".");
    Some(if line.reason == "Forbidden" { forbidden(&field, line.message) } else { invalid(&field, &now, line.message) })
}

/// What is fixed by more than its own value: immutable data, the completions of a plain Job, the spec of a Pod.
fn sealed(kind: &str, live: &Value, new: &Value) -> Vec<Problem> {
    let differs = |field: &&&str| live[**field] != new[**field];
    match kind {
        "core.ConfigMap" | "core.Secret" if live["immutable"] == true => {
            let fields = ["immutable", "data", "binaryData"];
            let what = "field is immutable when `immutable` is set";
            fields.iter().filter(differs).map(|field| forbidden(field, what)).collect()
        }
        "batch.Job" if live["spec"]["completions"] != new["spec"]["completions"] => {
            let is_plain = new["spec"]["completionMode"] != "Indexed";
            let problem = invalid("spec.completions", &new["spec"]["completions"], "field is immutable");
            is_plain.then_some(problem).into_iter().collect()
        }
        "core.Pod" if fixed_spec(live) != fixed_spec(new) => {
            let may = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
            vec![forbidden("spec", &format!("pod updates may not change fields other than {may}"))]
        }
        _ => Vec::new(),
    }
}

/// The part of a Pod's spec that does not change.
fn fixed_spec(pod: &Value) -> Value {
    let mut spec = pod["spec"].clone();
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations"] {
        spec.as_object_mut().map(|spec| spec.remove(field));
    }
    spec
}

/// The selector of a workload must select its own pods.
fn selector(kind: &str, spec: &Value) -> Option<Problem> {
    let named =
        matches!(kind, "apps.Deployment" | "apps.ReplicaSet" | "apps.DaemonSet" | "apps.StatefulSet" | "batch.Job");
    if !named || kind == "batch.Job" && spec["selector"].is_null() {
        return None;
    }
    let (selector, labels) = (&spec["selector"], &spec["template"]["metadata"]["labels"]);
    if *selector == json!({}) {
        let kind = kind.rsplit('.').next().unwrap_or_default().to_lowercase();
        return Some(invalid("spec.selector", selector, &format!("empty selector is invalid for {kind}")));
    }
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let mut matches = !selector.is_null();
    matches &= wanted.into_iter().all(|(key, value)| labels[key] == *value);
    for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
        let found = &labels[rule["key"].as_str().unwrap_or_default()];
        let is_in = rule["values"].as_array().is_some_and(|values| values.contains(found));
        matches &= match rule["operator"].as_str() {
            Some("In") => is_in,
            Some("NotIn") => !is_in,
            Some("Exists") => !found.is_null(),
            _ => found.is_null(),
        };
    }
    let what = "`selector` does not match template `labels`";
    (!matches).then(|| invalid("spec.template.metadata.labels", labels, what))
}

/// What is wrong with the name of an object.
fn name(kind: &str, metadata: &Value) -> Option<Problem> {
    let Some(name) = metadata["name"].as_str().filter(|name| !name.is_empty()) else {
        let problem = required("metadata.name");
        return Some(Problem { message: format!("{}: name or generateName is required", problem.message), ..problem });
    };
    let bad = |what: &str| Some(invalid("metadata.name", &metadata["name"], what));
    if kind.starts_with("rbac.") {
        let wrong = ['/', '%'].into_iter().find(|c| name.contains(*c));
        return wrong.and_then(|c| bad(&format!("may not contain '{c}'")));
    }
    let plain = |part: &str| {
        let inner = part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        inner && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    let is_label = matches!(kind, "core.Namespace" | "core.Service" | "apps.StatefulSet");
    let most = if is_label { 63 } else { 253 };
    match () {
        () if name.len() > most => bad(&format!("must be no more than {most} characters")),
        () if is_label && name.contains('.') => bad("must not contain dots"),
        () if kind == "networking.IPAddress" || name.split('.').all(plain) => None,
        () if is_label => bad(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        ),
        () => bad(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ),
    }
}
