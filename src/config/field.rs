//! Reading typed fields out of a tree, and collecting every finding on the way.

use std::ops::Range;

use super::node::{Key, Node, Problem, Value};
use super::{Finding, Severity, nearest};
use crate::name::{Code, Reason};

/// All findings against one file.
pub(super) struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    pub(super) list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Findings { file, text, list: Vec::new() }
    }

    pub(super) fn error(&mut self, code: Code, span: &Range<usize>, message: impl Into<String>) {
        let finding = self.at(code, span, message);
        self.list.push(finding);
    }

    pub(super) fn suggest(&mut self, code: Code, span: &Range<usize>, message: String, suggestion: Option<&str>) {
        let suggestion = suggestion.map(str::to_owned);
        let finding = Finding { suggestion, ..self.at(code, span, message) };
        self.list.push(finding);
    }

    pub(super) fn problem(&mut self, problem: Problem) {
        self.error(problem.code, &problem.span, problem.message);
    }

    /// An error at this place, not yet collected.
    pub(super) fn at(&self, code: Code, span: &Range<usize>, message: impl Into<String>) -> Finding {
        let start = floor(self.text, span.start);
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let number = |count: usize| u32::try_from(count).ok();
        let reason = Reason::new(code, message).at_file(self.file, number(line), number(column));
        Finding { reason, severity: Severity::Error, span: self.one_line(start..span.end), suggestion: None }
    }

    /// Where a word stands in a span, as a word of its own; the span where it does not.
    pub(super) fn within(&self, span: &Range<usize>, word: &str) -> Range<usize> {
        let (start, end) = (floor(self.text, span.start), floor(self.text, span.end.max(span.start)));
        let text = &self.text[start..end];
        let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let alone = |(at, _): &(usize, &str)| {
            !joins(text[..*at].chars().next_back()) && !joins(text[at + word.len()..].chars().next())
        };
        text.match_indices(word).find(alone).map_or(span.clone(), |(at, _)| start + at..start + at + word.len())
    }

    pub(super) fn line_of(&self, span: &Range<usize>) -> usize {
        self.text[..floor(self.text, span.start)].matches('\n').count() + 1
    }

    /// Cuts a span at the end of its first line: what stands below a collection's first line is not what is wrong.
    fn one_line(&self, span: Range<usize>) -> Range<usize> {
        let rest = &self.text[span.start..floor(self.text, span.end.max(span.start))];
        let first = rest.lines().next().unwrap_or("").trim_end();
        span.start..span.start + first.len()
    }
}

/// The nearest character boundary at or below `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The fields of one map; each is taken by name, and what nobody takes is an unknown key.
pub(super) struct Fields<'n> {
    /// What the map describes, as a message says it.
    owner: String,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
    pub(super) span: Range<usize>,
}

impl<'n> Fields<'n> {
    /// The fields of a map, or a finding.
    pub(super) fn of(node: &'n Node, owner: impl Into<String>, findings: &mut Findings<'_>) -> Option<Self> {
        let owner = owner.into();
        match &node.value {
            Value::Map(entries) => Some(Fields { owner, entries, known: Vec::new(), span: node.span.clone() }),
            _ => {
                let message = format!("{owner} is {}, expected a map", node.describe());
                findings.error(Code::InvalidValue, &node.span, message);
                None
            }
        }
    }

    /// The field of this name.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.known.push(key);
        let (_, node) = self.entries.iter().find(|(k, _)| k.text == key)?;
        Some(Field { label: format!("`{key}` in {}", self.owner), node })
    }

    /// The field of this name; its absence is a finding.
    pub(super) fn need(&mut self, key: &'static str, findings: &mut Findings<'_>) -> Option<Field<'n>> {
        let field = self.take(key);
        if field.is_none() {
            let owner = &self.owner;
            findings.error(Code::InvalidValue, &self.start(), format!("{owner} has no `{key}`"));
        }
        field
    }

    /// Refuses keys whose behaviour is not built: ignoring one would drop a rule that its writer counts on.
    pub(super) fn refuse(&mut self, keys: &[&'static str], findings: &mut Findings<'_>) {
        self.known.extend(keys);
        for (key, _) in self.entries.iter().filter(|(key, _)| keys.contains(&key.text.as_str())) {
            let message = format!("`{}` in {} is not supported yet", key.text, self.owner);
            findings.error(Code::InvalidValue, &key.span, message);
        }
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.known.contains(&key.text.as_str())) {
            let message = format!("unknown key `{}` in {}", key.text, self.owner);
            let suggestion = nearest::nearest(&key.text, self.known.iter().copied());
            findings.suggest(Code::UnknownKey, &key.span, message, suggestion);
        }
    }

    /// Where the map begins, for what is missing in it.
    pub(super) fn start(&self) -> Range<usize> {
        self.entries.first().map_or(self.span.clone(), |(key, _)| key.span.clone())
    }

    /// Keys that the writer chose, such as role names.
    pub(super) fn entries(&self) -> &'n [(Key, Node)] {
        self.entries
    }
}

/// One value and what a message calls it.
pub(super) struct Field<'n> {
    pub(super) label: String,
    pub(super) node: &'n Node,
}

impl<'n> Field<'n> {
    /// The text, or a finding: a plain scalar that YAML or kubectl reads as something else must be quoted.
    pub(super) fn text(&self, findings: &mut Findings<'_>) -> Option<&'n str> {
        match &self.node.value {
            Value::Scalar { text, plain } if !(*plain && is_other(text)) => Some(text),
            Value::Scalar { text, .. } if !self.node.is_null() => {
                self.wrong(&format!("expected text: quote it, `\"{text}\"`"), findings)
            }
            _ => self.wrong(&format!("is {}, expected text", self.node.describe()), findings),
        }
    }

    /// The text as a value; the closure's error says what is wrong, beginning with `is …` or `expected …`.
    pub(super) fn parse<T>(
        &self,
        findings: &mut Findings<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(findings)?;
        parse(text).map_or_else(|problem| self.wrong(&problem, findings), Some)
    }

    /// The scalar as a value, quoted or not: for numbers.
    pub(super) fn parse_plain<T>(
        &self,
        findings: &mut Findings<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match &self.node.value {
            Value::Scalar { text, plain: true } => {
                parse(text).map_or_else(|problem| self.wrong(&problem, findings), Some)
            }
            _ => self.wrong(&format!("is {}, expected a number", self.node.describe()), findings),
        }
    }

    /// The items of a list with at least `min` of them, or a finding.
    pub(super) fn list(&self, min: usize, findings: &mut Findings<'_>) -> Option<Vec<Field<'n>>> {
        match &self.node.value {
            Value::List(items) if items.len() >= min => {
                Some(items.iter().map(|node| Field { label: self.label.clone(), node }).collect())
            }
            Value::List(_) => self.wrong("is an empty list, expected at least one", findings),
            _ => self.wrong(&format!("is {}, expected a list", self.node.describe()), findings),
        }
    }

    /// Every item of a list as a value; findings for those that are not, and for one that stands twice.
    pub(super) fn parse_list<T: PartialEq>(
        &self,
        findings: &mut Findings<'_>,
        min: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = self.list(min, findings)?;
        let count = items.len();
        let mut values: Vec<T> = Vec::with_capacity(count);
        for item in items {
            match item.parse(findings, &parse) {
                Some(value) if values.contains(&value) => item.wrong("stands twice", findings),
                Some(value) => {
                    values.push(value);
                    Some(())
                }
                None => None,
            };
        }
        (values.len() == count).then_some(values)
    }

    /// Reports what is wrong with the value. A problem that does not begin with `is` or `stands` quotes the value.
    pub(super) fn wrong<T>(&self, problem: &str, findings: &mut Findings<'_>) -> Option<T> {
        let label = &self.label;
        let told = problem.starts_with("is ") || problem.starts_with("holds ");
        let message = match &self.node.value {
            Value::Scalar { text, .. } if problem == "stands twice" => format!("{label} names `{text}` twice"),
            Value::Scalar { text, .. } if !told => format!("{label} is `{text}`, {problem}"),
            _ => format!("{label} {problem}"),
        };
        findings.error(Code::InvalidValue, &self.node.span, message);
        None
    }
}

/// Whether a plain scalar is something else than text, in YAML 1.2 or as kubectl reads it (YAML 1.1).
fn is_other(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "-.inf", ".nan"];
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).replace('_', "");
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok();
    let radix =
        |prefix: &str, radix| digits.strip_prefix(prefix).is_some_and(|d| u64::from_str_radix(d, radix).is_ok());
    WORDS.contains(&text.to_lowercase().as_str()) || number || radix("0x", 16) || radix("0o", 8) || radix("0b", 2)
}
