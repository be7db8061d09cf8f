//! Findings with the line of the file they are about.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::{Place, escape, hint, hint_line, moves};
use crate::config::{Finding, Severity};

/// A finding with its line of the text, as compilers print it; with colour, ending in a newline.
#[must_use]
pub fn finding(finding: &Finding, text: &str, hints: bool) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let source = masked(text);
    let label = finding.suggestion.as_ref().map(|word| format!("did you mean `{}`?", escape(word)));
    let annotation = AnnotationKind::Primary.span(finding.span.clone()).label(label);
    let snippet = Snippet::source(source).path(finding.reason.file.as_deref().map(escape)).annotation(annotation);
    let title = level.primary_title(escape(&finding.reason.message)).id(finding.reason.code.as_str());
    let report = &[title.element(snippet)];
    let mut rendered = Renderer::styled().decor_style(DecorStyle::Ascii).render(report);
    rendered.push('\n');
    if let Some(hint) = hint(&finding.reason, &Place::default()).filter(|_| hints) {
        rendered.push_str(&hint_line(&hint));
    }
    rendered
}

/// The text with secrets and characters that move a cursor covered, byte for byte as long: spans still fit.
///
/// Covered are what stands between `://` and `@`, and the value of a key that ends in a word for a secret. A pipeline
/// names secrets by file, so none belongs there; one that is there by mistake must not be shown with the mistake.
#[must_use]
pub fn masked(text: &str) -> String {
    text.split_inclusive('\n').map(masked_line).collect()
}

fn masked_line(line: &str) -> String {
    let mut covered = vec![false; line.len()];
    for (start, _) in line.match_indices("://") {
        let rest = &line[start + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"',}]".contains(c)).unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@') {
            covered[start + 3..start + 3 + at].fill(true);
        }
    }
    // ASCII only: lower case keeps every byte where it is.
    let lower = line.to_ascii_lowercase();
    for word in ["password", "passphrase", "token", "secret", "privatekey", "private-key"] {
        for (start, _) in lower.match_indices(word) {
            let value = start + word.len();
            let rest = line[value..].trim_start_matches(['"', '\'']);
            if let Some(rest) = rest.strip_prefix(':') {
                let from = line.len() - rest.len();
                let to = line.trim_end().len().max(from);
                covered[from..to].fill(true);
            }
        }
    }
    line.char_indices()
        .map(|(at, c)| match c {
            '\n' | '\t' | ' ' => c.to_string(),
            c if covered[at] => "*".repeat(c.len_utf8()),
            c if moves(c) => "?".repeat(c.len_utf8()),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_shown_line_is_covered_and_nothing_moves() {
        for (line, expected) in [
            ("url: https://u:hunter2@h/p\n", "url: https://*********@h/p\n"),
            ("url: https://h/p@v1\n", "url: https://h/p@v1\n"),
            ("auth: {password: hunter2}, x: 1\n", "auth: {password: ********* ** *\n"),
            ("\"token\": abc", "\"token\": ***"),
            ("tokenFile: token", "tokenFile: token"),
            ("a\u{1b}b\u{202e}", "a?b???"),
        ] {
            assert_eq!(masked(line), expected);
            assert_eq!(masked(line).len(), line.len());
        }
    }
}
