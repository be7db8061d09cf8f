//! The pipeline as `init` writes it: short, with comments, and the same for the same repository.

use std::fmt::Write as _;

use super::address::Address;
use crate::config::{API_VERSION, Transport};
use crate::name::{CommitId, GroupKind, PipelineName, RepoPath};

/// An environment of the file.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) name: String,
    pub(super) branch: String,
    pub(super) paths: Vec<RepoPath>,
    pub(super) namespaces: Vec<String>,
    pub(super) cluster_kinds: Vec<GroupKind>,
    /// What a person should know about its namespace.
    pub(super) remark: Option<String>,
}

/// The whole file.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: PipelineName,
    pub(super) address: Address,
    /// For ssh: the key and the file of known hosts.
    pub(super) login: Option<(String, String)>,
    /// Commits up to which history is taken as it is, each with the branches it is the tip of.
    pub(super) introduction: Vec<(CommitId, String)>,
    pub(super) environments: Vec<Environment>,
}

impl Draft {
    /// The text of `lockmaster.yaml`.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "# Written by `lockmaster init`. Every key and its default: lockmaster lint --expand\n\
             apiVersion: {API_VERSION}\nkind: Pipeline\nmetadata:\n  name: {}\nspec:\n  repository:\n    url: {}\n",
            scalar(self.name.as_str()),
            scalar(&self.address.url),
        );
        text += &self.login();
        text += "  trust:\n    signers:\n      file: allowed_signers\n";
        text += &self.introduction();
        text += "  environments:\n";
        text.extend(self.environments.iter().map(Environment::text));
        text
    }

    fn login(&self) -> String {
        match (&self.login, self.address.transport) {
            (Some((key, hosts)), _) => format!(
                "    auth:   # a key without a passphrase that may read the repository, best a deploy key\n      \
                 sshKeyFile: {}\n      knownHostsFile: {}\n",
                scalar(key),
                scalar(hosts)
            ),
            (None, Transport::Https) => "    # auth: {tokenFile: FILE}   # if the repository is private\n".to_owned(),
            (None, _) => String::new(),
        }
    }

    fn introduction(&self) -> String {
        if self.introduction.is_empty() {
            return String::new();
        }
        let mut text = "    # History up to these commits is taken as it is, signed or not. What comes after them is judged.\n    \
                        introduction:\n"
            .to_owned();
        for (commit, branches) in &self.introduction {
            // Writing into a text never fails.
            let _ = writeln!(text, "    - {}   # {branches}", scalar(commit.as_str()));
        }
        text
    }
}

impl Environment {
    fn text(&self) -> String {
        let mut text = format!("  - name: {}\n    branch: {}\n", scalar(&self.name), scalar(&self.branch));
        let paths: Vec<String> = self.paths.iter().map(|path| scalar(&path.to_string())).collect();
        text += &one_or_many("path", &paths);
        let namespaces: Vec<String> = self.namespaces.iter().map(|name| scalar(name)).collect();
        text.extend(self.remark.iter().map(|remark| format!("    # {remark}\n")));
        text += &one_or_many("namespace", &namespaces);
        if !self.cluster_kinds.is_empty() {
            text += "    clusterKinds:\n";
            text.extend(self.cluster_kinds.iter().map(|kind| format!("    - {}\n", scalar(&kind.to_string()))));
        }
        text
    }
}

/// `path: a`, or `paths:` with one line each.
fn one_or_many(key: &str, values: &[String]) -> String {
    match values {
        [one] => format!("    {key}: {one}\n"),
        many => {
            let lines: String = many.iter().map(|value| format!("    - {value}\n")).collect();
            format!("    {key}s:\n{lines}")
        }
    }
}

/// A text as YAML reads it back: plain where every reader takes it for a text, else in double quotes as JSON has them.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') || text == ".";
    let all = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@+:~".contains(c));
    let word = WORDS.contains(&text.to_lowercase().as_str());
    if first && all && !word && !text.ends_with(':') {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        for plain in [
            "shop-dev",
            "overlays/dev",
            ".",
            "https://git.example.com/a.git",
            "ssh://git@h:22/a",
            "/srv/a b".split(' ').next().unwrap_or(""),
        ] {
            assert_eq!(scalar(plain), plain);
        }
        for quoted in [
            "", "on", "No", "null", "1e3", "0123", "~", "*x", "a b", "a #b", "{a}", "-", "a:", ".inf", "\u{e9}", "a\"b",
        ] {
            let text = scalar(quoted);
            let document = format!("a: {text}\n");
            let path = "x.yaml".parse().expect("because it is a path");
            let read = crate::manifest::read_values(&path, document.as_bytes()).expect("because it is YAML");
            assert!(text.starts_with('"'), "{quoted}");
            assert_eq!(read[0]["a"], quoted, "{text}");
        }
    }
}
