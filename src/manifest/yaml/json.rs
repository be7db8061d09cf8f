//! The JSON half of apimachinery's `YAMLOrJSONDecoder`: a stream of values, until one is not JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::scalar::number;
use super::{DEPTH_LIMIT, Document, Fault, count, line_at, place_at, within_document_limit};

/// Reads values from the start of `text`, and returns the offset from which on it must be YAML.
///
/// As kubectl does, what is not JSON is read as YAML, but only after at most one JSON value.
pub(super) fn stream(text: &str, read: &mut Vec<Document>) -> Result<usize, Fault> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    let mut decoded = 0;
    loop {
        let start = values.byte_offset();
        let after_space = text.len() - text[start..].trim_start().len();
        match values.next() {
            None => return Ok(text.len()),
            Some(Ok(Strict(value))) if depth(&value) <= DEPTH_LIMIT => {
                decoded += 1;
                if !value.is_null() {
                    read.push(Document { value, line: line_at(text, after_space) });
                    within_document_limit(read)?;
                }
            }
            // The YAML composer finds the same fault and knows its place better.
            Some(_) if decoded <= 1 => return Ok(start),
            Some(Ok(_)) => return Err(too_deep(text, after_space)),
            Some(Err(error)) => return Err(fault(text, &error)),
        }
    }
}

fn too_deep(text: &str, offset: usize) -> Fault {
    Fault::limit(format!("more than {DEPTH_LIMIT} levels"), place_at(text, offset))
}

fn fault(text: &str, error: &serde_json::Error) -> Fault {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or("");
    let before = line.as_bytes().get(..error.column().saturating_sub(1)).unwrap_or(line.as_bytes());
    let place = (count(error.line()), count(String::from_utf8_lossy(before).chars().count() + 1));
    // Only our own words may be quoted: serde_json's messages can hold a part of the value.
    match error.classify() {
        Category::Data => Fault::invalid("a key stands twice in one object", place),
        Category::Syntax | Category::Eof | Category::Io => Fault::invalid("not JSON", place),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// A JSON value none of whose objects has a key twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "Kubernetes reads an integer beyond 63 bits as float64")]
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map_or_else(|_| self.visit_f64(value as f64), |value| Ok(Value::from(value)))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        number(value).map(Value::Number).ok_or_else(|| E::custom("a number that JSON lacks"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((key, Strict(value))) = members.next_entry::<String, Strict>()? {
            if read.insert(key, value).is_some() {
                return Err(A::Error::custom("a key twice"));
            }
        }
        Ok(Value::Object(read))
    }
}
