//! The lines of the demo: when, about whom, and what was seen.

use std::io::{IsTerminal as _, Read as _};
use std::time::Instant;

use serde_json::json;

use super::Stopped;
use crate::cli::answer::Answer;
use crate::cli::arguments::Form;
use crate::cli::diagnostic::{Failure, escape};
use crate::cli::output::{Console, Document, Layout, json};

/// Tells the story on standard output, each line as soon as it was seen to be true.
pub(super) struct Narrator<'c> {
    console: &'c Console,
    started: Instant,
    waits: bool,
}

/// What did not come, or came otherwise.
pub(super) fn missed(expected: impl ToString, seen: impl ToString) -> Stopped {
    Stopped::Missed { expected: expected.to_string(), seen: seen.to_string() }
}

impl<'c> Narrator<'c> {
    pub(super) fn new(console: &'c Console, waits: bool) -> Self {
        Narrator { console, started: Instant::now(), waits }
    }

    /// One line of the story.
    pub(super) fn say(&self, subject: &str, text: &str) -> Result<(), Failure> {
        self.line(subject, text, true)
    }

    /// That the story broke off, and where.
    pub(super) fn failed(&self, subject: &str, expected: &str, seen: &str) -> Result<(), Failure> {
        self.line(subject, &format!("failed: expected {expected}; seen: {seen}"), false)
    }

    fn line(&self, subject: &str, text: &str, seen: bool) -> Result<(), Failure> {
        let took = self.started.elapsed();
        if self.console.form == Form::Json {
            let at = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let body = json!({"afterMs": at, "subject": subject, "text": text, "happened": seen});
            let document = Document::new("demo", &body).of("shop").from("demo");
            return self.console.print(&format!("{}\n", json(&document, Layout::Line)));
        }
        self.console.print(&format!("{:>5.2}s  {subject:<8} {}\n", took.as_secs_f64(), escape(text)))
    }

    /// The answer of another verb, as it prints it.
    pub(super) fn show(&self, answer: &Answer) -> Result<(), Failure> {
        match self.console.form {
            Form::Json => self.console.print(&format!("{}\n", json(&answer.document(), Layout::Line))),
            Form::Table | Form::Yaml => {
                self.console.print(&format!("\n$ lockmaster status\n{}\n\n", answer.text.trim_end()))
            }
        }
    }

    /// A line that is not part of the story.
    pub(super) fn frame(&self, text: &str) -> Result<(), Failure> {
        match self.console.form {
            Form::Json => Ok(()),
            Form::Table | Form::Yaml => self.console.print(&format!("{text}\n")),
        }
    }

    /// How long it took so far, in words.
    pub(super) fn took(&self) -> String {
        format!("{:.1} s", self.started.elapsed().as_secs_f64())
    }

    /// Waits for Enter, where that was asked for. Whoever has no more to say is not waited for.
    pub(super) async fn step(&self) {
        if !self.waits {
            return;
        }
        if std::io::stdin().is_terminal() {
            self.console.tell("        (Enter)\r");
        }
        let enter = || std::io::stdin().lock().bytes().map_while(Result::ok).find(|byte| *byte == b'\n');
        drop(tokio::task::spawn_blocking(enter).await);
    }
}
