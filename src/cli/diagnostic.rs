//! How errors, hints and exit codes are worded: the only place that does it.

mod cure;
mod hint;
mod snippet;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::config::{Finding, Severity};
use crate::gate;
use crate::name::{Class, Code, CommitId, ObjectKey, Reason};

pub use cure::{Cure, Stopped, cures, meaning};
pub use hint::{Place, hint, of_unit};
pub use snippet::{finding, masked};

/// How a verb ended. Nothing else decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "it is the exit code"]
pub enum Verdict {
    /// Done, equal, accepted, nothing in the way: 0.
    Good,
    /// Different, waiting, held, refused, drifted, violated: 1.
    Found,
    /// Could not do or check: 2.
    Failed,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        match verdict {
            Verdict::Good => ExitCode::SUCCESS,
            Verdict::Found => ExitCode::from(1),
            Verdict::Failed => ExitCode::from(2),
        }
    }
}

/// Why a verb could not do or check: exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code and one line.
    pub reason: Box<Reason>,
    /// What lies behind it, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Text that was rendered before, such as findings against the pipeline; printed above the line.
    pub preface: String,
}

impl Failure {
    /// A failure with the hint that its code has anywhere.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Failure::from(Reason::new(code, message))
    }

    /// Something that was asked for and is not built yet; `what` is named as it was typed.
    #[must_use]
    pub fn not_yet(what: &str) -> Self {
        Failure::new(Code::Usage, format!("`{what}` is not supported yet"))
    }

    /// The same failure with another hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure because of this.
    #[must_use]
    pub fn because(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// The failure as text, with colour.
    #[must_use]
    pub fn text(&self, hints: bool) -> String {
        let facts: Vec<String> = self.causes.iter().map(|cause| format!("caused by: {cause}")).collect();
        let hint = self.hint.as_deref().filter(|_| hints);
        format!("{}{}", self.preface, message(Word::Error, &self.reason, &facts, hint))
    }

    /// The failure as the body of the `error` document.
    #[must_use]
    pub fn body(&self) -> FailureBody<'_> {
        FailureBody {
            code: self.reason.code,
            message: &self.reason.message,
            causes: &self.causes,
            hint: self.hint.as_deref(),
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        let hint = hint(&reason, &Place::default());
        Failure { reason: Box::new(reason), causes: Vec::new(), hint, preface: String::new() }
    }
}

/// The fields of the `error` document.
#[derive(Debug, Serialize)]
pub struct FailureBody<'a> {
    code: Code,
    message: &'a str,
    causes: &'a [String],
    hint: Option<&'a str>,
}

/// The first word of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It waits by itself.
    Wait,
    /// It does not enter.
    Refused,
    /// It needs a person.
    Held,
    /// A law of the log is violated.
    Violated,
    /// It stops nothing.
    Warning,
    /// It could not be done or checked, or the pipeline is wrong.
    Error,
}

impl Word {
    /// The word for a reason of a gate: one that has waited long enough refuses with the code that it waited on.
    #[must_use]
    pub fn of_gate(verdict: gate::Verdict, code: Code) -> Self {
        match (verdict, code.class()) {
            (gate::Verdict::Refuse, Class::Waits) => Word::Refused,
            _ => Word::of(code),
        }
    }

    /// The word for a reason of a verdict.
    #[must_use]
    pub fn of(code: Code) -> Self {
        match code.class() {
            Class::Refused => Word::Refused,
            Class::Waits => Word::Wait,
            Class::Person => Word::Held,
            Class::Violated => Word::Violated,
            Class::Notice => Word::Warning,
            Class::Retried | Class::Failed | Class::Lint => Word::Error,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Word::Wait => "wait",
            Word::Refused => "refused",
            Word::Held => "held",
            Word::Violated => "violated",
            Word::Warning => "warning",
            Word::Error => "error",
        }
    }

    fn style(self) -> Style {
        let color = match self {
            Word::Refused | Word::Violated | Word::Error => AnsiColor::Red,
            Word::Wait | Word::Held | Word::Warning => AnsiColor::Yellow,
        };
        color.on_default().bold()
    }
}

/// One message: the word, the code, one line; then facts; then a hint. With colour, each line ending in a newline.
#[must_use]
pub fn message(word: Word, reason: &Reason, facts: &[String], hint: Option<&str>) -> String {
    let style = word.style();
    let mut lines = reason.message.lines();
    let first = escape(lines.next().unwrap_or_default());
    let mut text = format!("{style}{}[{}]{style:#}: {first}\n", word.text(), reason.code);
    for line in lines {
        text.push_str(&format!("  {}\n", escape(line)));
    }
    if let Some(place) = place(reason) {
        text.push_str(&format!("  = at {place}\n"));
    }
    for fact in facts {
        text.push_str(&format!("  = {}\n", escape(fact)));
    }
    if let Some(hint) = hint {
        text.push_str(&hint_line(hint));
    }
    text
}

/// A reason as its verdict words it, with the hint for its place.
#[must_use]
pub fn explained(reason: &Reason, at: &Place, facts: &[String], hints: bool) -> String {
    let hint = hint(reason, at).filter(|_| hints);
    message(Word::of(reason.code), reason, facts, hint.as_deref())
}

/// A hint on a line of its own, with colour.
#[must_use]
pub fn hint_line(hint: &str) -> String {
    let style = AnsiColor::Cyan.on_default();
    format!("  {style}hint{style:#}: {}\n", escape(hint))
}

fn place(reason: &Reason) -> Option<String> {
    let file = escape(reason.file.as_deref()?);
    Some(match (reason.line, reason.column) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        (Some(line), None) => format!("{file}:{line}"),
        (None, _) => file,
    })
}

/// The text with every character that could move a cursor, hide text or turn its direction spelled out.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if moves(c) => escaped.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Control characters, and the format characters of Unicode TR36 that reorder or hide text.
fn moves(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A reason as documents show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonBody {
    code: Code,
    message: String,
    hint: Option<String>,
    commit: Option<CommitId>,
    object: Option<ObjectBody>,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
}

/// An object as documents show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectBody {
    /// Of the core group it is always known; of others where the manifest is at hand.
    api_version: Option<String>,
    group: String,
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl ObjectBody {
    /// The object of this key.
    #[must_use]
    pub fn new(key: &ObjectKey) -> Self {
        let ObjectKey { group, kind, namespace, name } = key.clone();
        ObjectBody { api_version: group.is_empty().then(|| "v1".to_owned()), group, kind, namespace, name }
    }

    /// The same object, written in this version.
    #[must_use]
    pub fn written_in(mut self, api_version: &str) -> Self {
        self.api_version = Some(api_version.to_owned()).filter(|version| !version.is_empty()).or(self.api_version);
        self
    }
}

impl ReasonBody {
    /// The reason with the hint for its place.
    #[must_use]
    pub fn new(reason: &Reason, place: &Place) -> Self {
        let Reason { code, message, commit, object, file, line, column } = reason.clone();
        let hint = hint(reason, place);
        let object = object.as_ref().map(ObjectBody::new);
        ReasonBody { code, message, hint, commit, object, file, line, column }
    }
}

/// A finding as documents show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingBody {
    #[serde(flatten)]
    reason: ReasonBody,
    severity: Severity,
    suggestion: Option<String>,
}

impl FindingBody {
    /// The finding with the hint of its code.
    #[must_use]
    pub fn new(finding: &Finding) -> Self {
        let Finding { reason, severity, suggestion, span: _ } = finding;
        let reason = ReasonBody::new(reason, &Place::default());
        FindingBody { reason, severity: *severity, suggestion: suggestion.clone() }
    }
}

/// Where the last panic happened, once.
#[must_use]
pub fn panicked_at() -> String {
    let place = PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner).take();
    place.unwrap_or_else(|| "an unknown place".to_owned())
}

static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// Keeps a panic from printing its message, which may hold anything, and remembers where it happened.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|location| format!("{}:{}", location.file(), location.line()));
        *PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner) = place;
    }));
}

/// Runs `work`, and makes a failure of a panic.
///
/// # Errors
/// What `work` fails with, or `bug`.
pub fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing that `work` touched is used after a panic but to print the failure.
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let place = panicked_at();
        let failure = Failure::new(Code::Bug, format!("lockmaster panicked at `{place}`, version {}", version()));
        // Only a literal is shown: a formatted message may quote a secret.
        Err(match payload.downcast_ref::<&'static str>() {
            Some(literal) => failure.because(literal),
            None => failure,
        })
    })
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_code_bug() {
        let failed = guard::<()>(|| panic!("because the test wants it"));
        let failure = failed.expect_err("because the work panicked");
        assert_eq!(failure.reason.code, Code::Bug);
        assert_eq!(failure.causes, ["because the test wants it"]);
    }

    #[test]
    fn a_formatted_panic_message_is_withheld() {
        let secret = String::from("hunter2");
        let failed = guard::<()>(|| panic!("token {secret}"));
        let failure = failed.expect_err("because the work panicked");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }

    #[test]
    fn what_moves_a_cursor_or_hides_text_is_spelled_out() {
        for (text, expected) in [
            ("plain é", "plain é"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{200b}b", "a\\u{200b}b"),
        ] {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn a_message_is_word_code_line_facts_hint() {
        let reason = Reason::new(Code::RefRewound, "`refs/heads/env/prod` moved back").at_file("a.yaml", Some(3), None);
        let text = message(Word::of(reason.code), &reason, &["nothing is applied".to_owned()], Some("put it back"));
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "refused[ref-rewound]: `refs/heads/env/prod` moved back\n  = at a.yaml:3\n  = nothing is applied\n  hint: \
             put it back\n"
        );
    }
}
