//! What goes to standard output and standard error: text, tables, colour, documents.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use jiff::Timestamp;
use serde::Serialize;

use super::arguments::{Color, Form, Global};
use super::diagnostic::{Failure, Verdict, escape};
use crate::name::Code;

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// The form of results.
    pub form: Form,
    /// Whether text is coloured.
    pub color: Color,
    /// Without progress and hints.
    pub quiet: bool,
}

impl Console {
    /// The console that the flags ask for.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Console { form: global.output, color: global.color, quiet: global.quiet }
    }

    /// Whether hints are printed.
    #[must_use]
    pub fn hints(&self) -> bool {
        !self.quiet
    }

    /// Prints a result, all of it at once. A closed pipe is no failure: whoever reads has seen enough.
    ///
    /// # Errors
    /// Standard output does not take it.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let stdout = io::stdout();
        let choice = self.choice(AutoStream::choice(&stdout));
        let mut stream = AutoStream::new(stdout.lock(), choice);
        match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Code::Usage, "standard output cannot be written").because(error))
            }
            _ => Ok(()),
        }
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// Standard output does not take them.
    pub fn verbatim(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Code::Usage, "standard output cannot be written").because(error))
            }
            _ => Ok(()),
        }
    }

    /// Prints a result as a document in the form that was asked for, or else as text.
    ///
    /// # Errors
    /// Standard output does not take it.
    pub fn result<T: Serialize>(
        &self,
        document: &Document<'_, T>,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let text = match self.form {
            Form::Table => text(),
            Form::Json => format!("{}\n", json(document, Layout::Pretty)),
            Form::Yaml => yaml(document),
        };
        self.print(&text)
    }

    /// Prints a failure to standard error. That nobody reads it changes nothing.
    pub fn fail(&self, failure: &Failure) -> Verdict {
        let stderr = io::stderr();
        let choice = self.choice(AutoStream::choice(&stderr));
        let text = match self.form {
            Form::Json => format!("{}\n", json(&Document::new("error", &failure.body()), Layout::Line)),
            Form::Table | Form::Yaml => failure.text(self.hints()),
        };
        let mut stream = AutoStream::new(stderr.lock(), choice);
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).ok();
        Verdict::Failed
    }

    /// Prints text to standard error, as [`Console::fail`] does.
    pub fn tell(&self, text: &str) {
        let stderr = io::stderr();
        let choice = self.choice(AutoStream::choice(&stderr));
        let mut stream = AutoStream::new(stderr.lock(), choice);
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).ok();
    }

    fn choice(&self, auto: ColorChoice) -> ColorChoice {
        match self.color {
            Color::Auto => auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

/// A document: the fields that all have, and its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a, T: Serialize> {
    schema: String,
    pipeline: Option<&'a str>,
    as_of: Timestamp,
    source: Option<&'a str>,
    #[serde(flatten)]
    body: &'a T,
}

impl<'a, T: Serialize> Document<'a, T> {
    /// A document of this name, such as `plan`, about now.
    pub fn new(name: &str, body: &'a T) -> Self {
        // Whole milliseconds: nothing here is known better.
        let now = Timestamp::now();
        let as_of = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Document { schema: format!("lockmaster.dev/{name}/v1"), pipeline: None, as_of, source: None, body }
    }

    /// The same document, about this pipeline.
    #[must_use]
    pub fn of(mut self, pipeline: &'a str) -> Self {
        self.pipeline = Some(pipeline);
        self
    }

    /// The same document, with the facts from this source.
    #[must_use]
    pub fn from(mut self, source: &'a str) -> Self {
        self.source = Some(source);
        self
    }
}

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Indented, for one document.
    Pretty,
    /// On one line, for a stream of documents.
    Line,
}

/// A document as JSON, without a newline at its end.
///
/// # Panics
/// Never: documents are maps with text keys.
#[must_use]
pub fn json<T: Serialize>(document: &Document<'_, T>, layout: Layout) -> String {
    let text = match layout {
        Layout::Pretty => serde_json::to_string_pretty(document),
        Layout::Line => serde_json::to_string(document),
    };
    text.expect("because documents are maps with text keys")
}

/// A document as YAML.
///
/// # Panics
/// Never: documents are maps with text keys.
#[must_use]
pub fn yaml<T: Serialize>(document: &Document<'_, T>) -> String {
    serde_saphyr::to_string(document).expect("because documents are maps with text keys")
}

/// Rows under a head, in columns two spaces apart, control characters spelled out. An empty cell prints as `-`.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let cell = |cell: &String| if cell.is_empty() { "-".to_owned() } else { escape(cell) };
    let lines: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(cell).collect()).collect();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    lines
        .iter()
        .map(|line| {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_its_columns_and_ends_no_line_in_spaces() {
        let rows =
            [vec!["dev".into(), "c07d1aa".into(), String::new()], vec!["staging".into(), "é".into(), "a\nb".into()]];
        assert_eq!(
            table(&["ENVIRONMENT", "COMMIT", "WHAT"], &rows),
            "ENVIRONMENT  COMMIT   WHAT\ndev          c07d1aa  -\nstaging      é        a\\nb\n"
        );
    }
}
