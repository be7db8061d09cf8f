//! An object in the form in which a real server stores it: empty fields gone, quantities in their shortest form.

use serde_json::{Map, Value, json};

use super::schema::{Resource, Scalar, Struct, Type, Unset};

/// The object of a kind before anything is said of it.
pub(super) fn zero_object(resource: &Resource) -> Value {
    resource.root().as_struct().map_or(Value::Null, zero_struct)
}

fn zero_struct(known: &Struct) -> Value {
    let fields = known.fields.iter().filter_map(|(name, field)| Some((name.clone(), unset(field.unset, &field.kind)?)));
    Value::Object(fields.collect())
}

/// What is written of a field that is not set.
fn unset(unset: Unset, kind: &Type) -> Option<Value> {
    match unset {
        Unset::Omitted => None,
        Unset::Null => Some(Value::Null),
        Unset::Zero => Some(zero(kind)),
    }
}

fn zero(kind: &Type) -> Value {
    match kind {
        Type::Struct(id, _) => zero_struct(id.get()),
        Type::Scalar(Scalar::Quantity) => json!("0"),
        Type::Scalar(Scalar::String | Scalar::Bytes) => json!(""),
        Type::Scalar(Scalar::Integer | Scalar::Number | Scalar::IntOrString) => json!(0),
        Type::Scalar(Scalar::Boolean) => json!(false),
        _ => Value::Null,
    }
}

/// Whether a value says no more than that it is not set.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Brings an object into the form in which it is stored; fields that its kind does not have are dropped.
pub(super) fn normalise(resource: &Resource, object: &mut Value) {
    *object = normal(&resource.root(), object.take());
}

fn normal(kind: &Type, value: Value) -> Value {
    match (kind, value) {
        (Type::Struct(id, _), Value::Object(map)) => Value::Object(normal_struct(id.get(), map)),
        (Type::Struct(..) | Type::Scalar(_), Value::Null) => zero(kind),
        (Type::Map(element, _), Value::Object(map)) => {
            Value::Object(map.into_iter().map(|(key, value)| (key, normal(element, value))).collect())
        }
        (Type::List(element, _), Value::Array(list)) => {
            Value::Array(list.into_iter().map(|item| normal(element, item)).collect())
        }
        (Type::Scalar(Scalar::Quantity), value) => quantity(&value).map_or(value, Value::String),
        (_, value) => value,
    }
}

/// The stored form of a quantity; nothing where it is none.
pub(super) fn quantity(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => crate::manifest::canonical_quantity(text),
        Value::Number(number) => crate::manifest::canonical_quantity(&number.to_string()),
        _ => None,
    }
}

fn normal_struct(known: &Struct, mut map: Map<String, Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, field) in &known.fields {
        let value = match map.remove(name) {
            None | Some(Value::Null) => None,
            // An empty list or map is stored as none, and so is a zero scalar unless none means something else.
            Some(Value::Array(list)) if list.is_empty() => None,
            Some(Value::Object(map)) if map.is_empty() && matches!(field.kind, Type::Map(..)) => None,
            Some(value) if !field.keeps_zero && field.unset == Unset::Omitted && is_zero(&value) => None,
            Some(value) => Some(normal(&field.kind, value)),
        };
        if let Some(value) = value.or_else(|| unset(field.unset, &field.kind)) {
            fields.insert(name.clone(), value);
        }
    }
    if known.rest.is_some() {
        fields.append(&mut map);
    }
    fields
}
