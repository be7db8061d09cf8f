//! What `init` says it did, for people and as a document.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::SIGNERS_NAME;
use super::draft::{Draft, Environment};
use super::signer::Signer;
use crate::cli::diagnostic::escape;
use crate::cli::output::table;
use crate::cli::pipeline::FILE_NAME;
use crate::edge::git::Habits;

/// What was found on the way.
pub(super) struct Told {
    folder: PathBuf,
    /// What a person should know or do.
    pub(super) notes: Vec<String>,
    /// How much of each branch's history is signed.
    pub(super) histories: BTreeMap<String, String>,
}

impl Told {
    pub(super) fn new(folder: &Path, inside: bool, habits: &Habits) -> Told {
        let mut notes = Vec::new();
        if inside {
            notes.push(
                "both files lie in the clone: never commit them, for trust is not read from what it judges; nor ignore them, for \
                 then a pull may overwrite them. Best move both to a folder of your own"
                    .to_owned(),
            );
        }
        if !habits.signs_commits {
            notes.push("git does not sign your commits by itself: git config commit.gpgsign true".to_owned());
        }
        Told { folder: folder.to_owned(), notes, histories: BTreeMap::new() }
    }

    /// The answer as text.
    pub(super) fn text(&self, draft: &Draft, signer: &Signer, hints: bool) -> String {
        let folder = self.folder.display().to_string();
        let rows: Vec<Vec<String>> = draft.environments.iter().map(|environment| self.row(environment)).collect();
        let mut text = format!(
            "wrote `{FILE_NAME}` and `{SIGNERS_NAME}` in {}\npipeline `{}` from {}\nsigner {} {}\n{}",
            escape(&folder),
            draft.name,
            escape(&draft.address.url),
            signer.principal,
            signer.fingerprint,
            table(&["ENVIRONMENT", "BRANCH", "PATH", "NAMESPACE", "HISTORY"], &rows),
        );
        text.extend(self.notes.iter().map(|note| format!("note: {}\n", escape(note))));
        if hints {
            text += "next:\n";
            text.extend(commands(draft).iter().map(|(command, what)| format!("  {command:<28}  {what}\n")));
        }
        text
    }

    fn row(&self, environment: &Environment) -> Vec<String> {
        let paths: Vec<String> = environment.paths.iter().map(ToString::to_string).collect();
        let history = self.histories.get(&environment.branch).cloned().unwrap_or_default();
        let [paths, namespaces] = [paths.join(","), environment.namespaces.join(",")];
        vec![environment.name.clone(), environment.branch.clone(), paths, namespaces, history]
    }

    /// The fields of the `init` document.
    pub(super) fn body(&self, draft: &Draft, signer: &Signer) -> Value {
        let environments = draft.environments.iter().map(|environment| {
            json!({
                "name": environment.name,
                "branch": environment.branch,
                "paths": environment.paths.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "namespaces": environment.namespaces,
                "clusterKinds": environment.cluster_kinds.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        });
        json!({
            "files": [self.folder.join(FILE_NAME), self.folder.join(SIGNERS_NAME)],
            "repository": {"url": draft.address.url},
            "signer": {"principal": signer.principal, "fingerprint": signer.fingerprint},
            "introduction": draft.introduction.iter().map(|(commit, _)| commit).collect::<Vec<_>>(),
            "environments": environments.collect::<Vec<_>>(),
            "notes": self.notes,
            "commands": commands(draft).into_iter().map(|(command, _)| command).collect::<Vec<_>>(),
        })
    }
}

/// What to run next, and what it answers.
fn commands(draft: &Draft) -> Vec<(String, &'static str)> {
    let first = draft.environments.first().map_or("dev", |environment| environment.name.as_str());
    vec![
        ("lockmaster lint".to_owned(), "is the file right?"),
        (format!("lockmaster verify {first}"), "would the tip be accepted?"),
        (format!("lockmaster plan {first}"), "what would change? From here on a cluster is needed"),
        ("lockmaster run --once".to_owned(), "deploy what is admitted"),
    ]
}
