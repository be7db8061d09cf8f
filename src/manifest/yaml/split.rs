//! The line splitter of kubectl (apimachinery, `util/yaml`, `YAMLReader`): a line that begins with `---` ends a document,
//! wherever it stands, and nothing but a comment may follow it.

use super::{Fault, count};

/// The lines between two separators.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The lines, each ended by one `\n`.
    pub(super) text: String,
    /// The line of the file that the first one is, counted from 1.
    pub(super) line: u32,
}

/// Splits text, whose first line is `first_line` of the file, into documents.
pub(super) fn chunks(text: &str, first_line: u32) -> Result<Vec<Chunk>, Fault> {
    let mut chunks = Vec::new();
    let mut chunk = Chunk { text: String::new(), line: first_line };
    for (index, line) in text.split_terminator('\n').enumerate() {
        let number = first_line.saturating_add(count(index));
        // Go's bufio.ReadLine takes `\r\n` for the end of a line, so block scalars never see the `\r`.
        let line = line.strip_suffix('\r').unwrap_or(line);
        check_characters(line, number)?;
        let Some(rest) = line.strip_prefix("---") else {
            chunk.text.push_str(line);
            chunk.text.push('\n');
            continue;
        };
        if !rest.trim().is_empty() && !rest.trim().starts_with('#') {
            return Err(Fault::invalid("text after the document separator `---`", (number, 4)));
        }
        let next = Chunk { text: String::new(), line: number.saturating_add(1) };
        chunks.push(std::mem::replace(&mut chunk, next));
    }
    chunks.push(chunk);
    chunks.retain(|chunk| !chunk.text.is_empty());
    Ok(chunks)
}

/// Refuses control characters, as go-yaml's reader does (`readerc.go`).
fn check_characters(line: &str, number: u32) -> Result<(), Fault> {
    let refused = |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}'..='\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}'..='\u{ffff}');
    match line.chars().position(refused) {
        Some(index) => Err(Fault::invalid("control character", (number, count(index + 1)))),
        None => Ok(()),
    }
}
