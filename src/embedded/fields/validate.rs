//! Whether a value can be read as its type: what a real server says before it applies a body, but for how it shows values.

use std::collections::BTreeSet;

use serde_json::Value;

use super::item_element;
use super::set::display_element;
use crate::embedded::schema::{Listing, Scalar, Type};

/// Reads an applied value as its type.
///
/// # Errors
/// What is wrong with it.
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
    match (kind, value) {
        (_, Value::Null) | (Type::Untyped | Type::Deduced, _) => {}
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
            map.iter().for_each(|(name, inner)| walk(element, inner, &format!("{path}.{name}"), errors));
        }
        (Type::List(element, listing), Value::Array(list)) => walk_list(element, listing, list, path, errors),
        (kind, value) => errors.extend(expected(kind, value).map(|what| format!("{path}: expected {what}"))),
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

/// What a value should be and is not.
fn expected(kind: &Type, value: &Value) -> Option<&'static str> {
    let Type::Scalar(scalar) = kind else {
        return Some(if matches!(kind, Type::List(..)) { "list" } else { "map" });
    };
    let (fits, what) = match scalar {
        Scalar::String | Scalar::Bytes | Scalar::Time => (value.is_string(), "string"),
        Scalar::Integer | Scalar::Number => (value.is_number(), "numeric (int or float)"),
        Scalar::Boolean => (value.is_boolean(), "boolean"),
        Scalar::Quantity | Scalar::IntOrString => (!value.is_object() && !value.is_array(), "any scalar"),
    };
    (!fits).then_some(what)
}
