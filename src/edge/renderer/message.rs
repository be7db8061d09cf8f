//! What kustomize complained about, as a reason: one line, paths of the repository, no content of a file.

use std::path::Path;

use crate::name::{Code, Reason, RepoPath};
use crate::render::Closure;

/// The longest message, in characters: enough for the chain of bases that kustomize repeats.
const MESSAGE_LIMIT: usize = 600;

/// Words a reason from what the child wrote to its standard error.
pub(super) fn reason(errors: &[u8], tree: &Path, closure: &Closure, path: &RepoPath) -> Reason {
    let text = local(&unwrapped(&String::from_utf8_lossy(errors)), tree);
    let text = one_line(&without_content(&text));
    let text = if text.is_empty() { "kustomize failed and said nothing".to_owned() } else { text };
    let file = file(&text, closure).unwrap_or_else(|| path.to_string());
    Reason::new(Code::RenderFailed, format!("`{path}`: {text}")).at_file(file, line(&text), None)
}

/// The error inside the log line that `kubectl` wraps it in, or after the word with which `kustomize` begins it.
fn unwrapped(text: &str) -> String {
    if let Some((_, rest)) = text.rsplit_once("err=<\n") {
        return rest.trim_end().trim_end_matches('>').to_owned();
    }
    if let Some((_, rest)) = text.rsplit_once(" err=\"") {
        let quoted = format!("\"{}", rest.trim_end());
        return serde_json::from_str(&quoted).unwrap_or(quoted);
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("# Warning: ")).collect();
    let text = lines.join("\n");
    text.strip_prefix("Error: ").unwrap_or(&text).to_owned()
}

/// The text with every path inside the private tree as a path of the repository.
fn local(text: &str, tree: &Path) -> String {
    let tree = tree.to_string_lossy();
    text.replace(&format!("{tree}/"), "").replace(&*tree, ".")
}

/// The text without the configurations and patches that kustomize quotes: they may be of a Secret.
fn without_content(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, quoted)) = rest.split_once(" with config: `") {
        kept.push_str(before);
        rest = quoted.split_once("`: ").map_or("", |(_, after)| after);
        kept.push_str(": ");
    }
    kept.push_str(rest);
    for start in [" from [", "\npatch:", "data:", "stringData:", ": line [", ": literal sources [", " in object {"] {
        if let Some((before, _)) = kept.split_once(start) {
            kept = before.to_owned();
        }
    }
    if let Some((before, _)) = kept.split_once("not a valid key name") {
        // The line of an environment file that has no `=` is quoted as a key.
        kept = format!("{}a key of a generator is not valid", before.split('"').next().unwrap_or(""));
    }
    if kept.contains("cannot unmarshal") {
        // A YAML decoder quotes the beginning of the value.
        kept = kept.split('`').step_by(2).collect();
    }
    kept
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(MESSAGE_LIMIT).collect()
}

/// The input that the text names: the one that `in File:` gives, else the longest path in it.
fn file(text: &str, closure: &Closure) -> Option<String> {
    let paths = || closure.files().keys().map(RepoPath::as_str);
    if let Some((_, rest)) = text.split_once("in File: ") {
        let name = rest.split_whitespace().next().unwrap_or("").trim_end_matches([':', ',']);
        let is_it = |path: &&str| *path == name || path.strip_suffix(name).is_some_and(|start| start.ends_with('/'));
        let mut found = paths().filter(is_it);
        if let (Some(one), None) = (found.next(), found.next()) {
            return Some(one.to_owned());
        }
    }
    paths().filter(|path| path.contains('/') && text.contains(path)).max_by_key(|path| path.len()).map(str::to_owned)
}

/// The number after `line`, as YAML errors give it.
fn line(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("line ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_and_kustomize_wrap_the_same_error() {
        let plain = "no matches for \"a\"";
        for wrapped in [
            "# Warning: 'bases' is deprecated.\nError: no matches for \"a\"",
            "E1121 13:54:19.1 1 run.go:72] \"command failed\" err=\"no matches for \\\"a\\\"\"\n",
            "E1121 13:54:19.1 1 run.go:72] \"command failed\" err=<\n\tno matches for \"a\"\n >\n",
        ] {
            assert_eq!(one_line(&unwrapped(wrapped)), plain, "{wrapped}");
        }
    }

    #[test]
    fn the_private_tree_is_not_named() {
        let text = local("lstat /tmp/x/tree/base/a.yaml: no /tmp/x/tree", Path::new("/tmp/x/tree"));
        assert_eq!(text, "lstat base/a.yaml: no .");
    }

    #[test]
    fn content_that_kustomize_quotes_is_left_out() {
        let text = "trouble configuring builtin PatchTransformer with config: `\npatch: hush\n`: unable to parse \
                    SM or JSON patch from [kind: Secret hush]";
        let kept = one_line(&without_content(text));
        assert_eq!(kept, "trouble configuring builtin PatchTransformer: unable to parse SM or JSON patch");
    }

    #[test]
    fn values_that_decoders_quote_are_left_out() {
        let text = "line 3: cannot unmarshal !!str `hush` into map";
        assert_eq!(without_content(text), "line 3: cannot unmarshal !!str  into map");
        let text = "env source files: [a.env]: \"hush\" is not a valid key name: hush";
        assert_eq!(without_content(text), "env source files: [a.env]: a key of a generator is not valid");
        let text = "loading KV pairs: literal sources [hush]: invalid literal source hush, expected key=value";
        assert_eq!(without_content(text), "loading KV pairs");
    }

    #[test]
    fn a_line_is_the_number_after_the_word() {
        assert_eq!(line("yaml: line 12: mapping values"), Some(12));
        assert_eq!(line("no number in this line at all"), None);
    }
}
