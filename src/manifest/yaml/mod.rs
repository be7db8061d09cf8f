//! YAML and JSON as kubectl reads them: `sigs.k8s.io/yaml` (go-yaml v2) behind apimachinery's `YAMLOrJSONDecoder`.
//!
//! We refuse on purpose what kubectl takes: a key twice, more than 64 levels, invalid UTF-8, and aliases that expand
//! beyond a budget. Every fault has a line and a column; no fault quotes a value.

mod compose;
mod json;
mod scalar;
mod split;

pub(super) use scalar::{decode_base64, number};

use serde_json::Value;

use crate::name::Code;

/// The largest file, in bytes (limits of the cluster part of the design).
const FILE_LIMIT: usize = 8 << 20;

/// Documents of a file that are not empty.
const DOCUMENT_LIMIT: usize = 100_000;

/// Levels of mappings and sequences in each other.
const DEPTH_LIMIT: usize = 64;

/// One document that is not empty.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    /// What it says.
    pub(super) value: Value,
    /// The line of its first node, counted from 1.
    pub(super) line: u32,
}

/// Why bytes are not what kubectl would read, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `invalid-yaml` or `limit-exceeded`.
    pub(super) code: Code,
    /// What was found.
    pub(super) found: String,
    /// The line in the file, counted from 1.
    pub(super) line: u32,
    /// The column in the line, counted from 1 in characters.
    pub(super) column: u32,
}

impl Fault {
    fn invalid(found: impl Into<String>, (line, column): (u32, u32)) -> Self {
        Fault { code: Code::InvalidYaml, found: found.into(), line, column }
    }

    fn limit(found: impl Into<String>, (line, column): (u32, u32)) -> Self {
        Fault { code: Code::LimitExceeded, found: found.into(), line, column }
    }
}

/// Reads the documents of a file, empty ones left out.
pub(super) fn documents(bytes: &[u8]) -> Result<Vec<Document>, Fault> {
    if bytes.len() > FILE_LIMIT {
        return Err(Fault::limit(format!("file has {} bytes, limit {FILE_LIMIT}", bytes.len()), (1, 1)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Fault::invalid("invalid UTF-8", place_at(&good, good.len()))
    })?;
    // As apimachinery's GuessJSONStream: the first character that is no space decides.
    let mut read = Vec::new();
    let rest = if text.trim_start().starts_with('{') { json::stream(text, &mut read)? } else { 0 };
    let mut budget = compose::Budget::default();
    let first_line = line_at(text, rest);
    for chunk in split::chunks(&text[rest..], first_line)? {
        if let Some(document) = compose::document(&chunk, &mut budget)? {
            read.push(document);
            within_document_limit(&read)?;
        }
    }
    Ok(read)
}

fn within_document_limit(read: &[Document]) -> Result<(), Fault> {
    match read.last() {
        Some(last) if read.len() > DOCUMENT_LIMIT => {
            Err(Fault::limit(format!("file has more than {DOCUMENT_LIMIT} documents"), (last.line, 1)))
        }
        _ => Ok(()),
    }
}

/// The line of a byte offset, counted from 1.
fn line_at(text: &str, offset: usize) -> u32 {
    count(text.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count() + 1)
}

/// Line and column of a byte offset, counted from 1.
fn place_at(text: &str, offset: usize) -> (u32, u32) {
    let before = &text[..offset];
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line_at(text, offset), count(column))
}

/// A count as positions have it; files end long before the limit.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
