//! Whether a value can be read as its type: what a real server says before it applies a body.

use std::collections::BTreeSet;

use serde_json::Value;

use super::item_element;
use super::set::display_element;
use crate::embedded::schema::{Listing, Scalar, Type};

/// Reads an applied value as its type.
///
/// # Errors
/// What is wrong with it, in the words of a real server.
pub(crate) fn validate(kind: &Type, value: &Value) -> Result<(), String> {
    let mut errors = Vec::new();
    walk(kind, value, "", &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        more => Err(format!("errors:\n  {}", more.join("\n  "))),
    }
}

fn walk(kind: &Type, value: &Value, path: &str, errors: &mut Vec<String>) {
    let mut fail = |path: &str, what: &str| {
        errors.push(if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") });
    };
    match (kind, value) {
        (_, Value::Null) | (Type::Untyped | Type::Deduced, _) => {}
        (Type::Scalar(scalar), _) => {
            if let Some(what) = not_scalar(*scalar, value) {
                fail(path, &what);
            }
        }
        (Type::Struct(id, _), Value::Object(map)) => {
            for (name, inner) in map {
                let path = format!("{path}.{name}");
                match id.get().fields.get(name).map(|field| &field.kind).or(id.get().rest.as_ref()) {
                    Some(kind) => walk(kind, inner, &path, errors),
                    None => errors.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        (Type::Map(element, _), Value::Object(map)) => {
            for (name, inner) in map {
                walk(element, inner, &format!("{path}.{name}"), errors);
            }
        }
        (Type::List(element, listing), Value::Array(list)) => walk_list(element, listing, list, path, errors),
        (Type::Struct(..) | Type::Map(..), _) => fail(path, &format!("expected map, got &{{{}}}", plain(value))),
        (Type::List(..), _) => fail(path, &format!("expected list, got &{{{}}}", plain(value))),
    }
}

fn walk_list(element: &Type, listing: &Listing, list: &[Value], path: &str, errors: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, item) in list.iter().enumerate() {
        let name = if *listing == Listing::Atomic { Ok(format!("i:{index}")) } else { item_element(listing, item) };
        match name {
            Ok(name) => {
                let shown = display_element(&name);
                walk(element, item, &format!("{path}{shown}"), errors);
                if !seen.insert(name) {
                    errors.push(format!("{path}: duplicate entries for key {shown}"));
                }
            }
            Err(what) => return errors.push(format!("{path}: element {index}: {what}")),
        }
    }
}

/// A value as a real server prints it, which is as Go does.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let members: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", members.join(" "))
        }
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// Why a value is not such a scalar.
fn not_scalar(scalar: Scalar, value: &Value) -> Option<String> {
    let shown = || match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    let is_wrong = match scalar {
        Scalar::String | Scalar::Bytes | Scalar::Time => !value.is_string(),
        Scalar::Integer | Scalar::Number => !value.is_number(),
        Scalar::Boolean => !value.is_boolean(),
        Scalar::Quantity | Scalar::IntOrString => value.is_object() || value.is_array(),
    };
    let what = match scalar {
        Scalar::String | Scalar::Bytes | Scalar::Time => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", shown())
        }
        Scalar::Integer | Scalar::Number => format!("expected numeric (int or float), got {}", go_type(value)),
        Scalar::Boolean => format!("expected boolean, got &{{{}}}", plain(value)),
        Scalar::Quantity | Scalar::IntOrString => format!("expected any scalar, got &{{{}}}", plain(value)),
    };
    is_wrong.then_some(what)
}

/// What a real server calls the type of a value.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
