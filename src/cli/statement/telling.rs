//! The answer: what was signed and pushed, by whom, and what to look at next.

use serde_json::{Value, json};

use super::draft::Draft;
use super::tagging::Desk;
use crate::agent::site::Site;
use crate::cli::answer::Answer;
use crate::cli::diagnostic::{self, Place, Verdict, Word, escape};
use crate::edge::git::GitCommand;
use crate::name::{Code, Reason};
use crate::revision::statement::{Statement, Verb};

/// What an answer is about.
pub(super) struct Told<'a> {
    pub(super) site: &'a Site,
    pub(super) url: &'a str,
    pub(super) verb: Verb,
    pub(super) hints: bool,
}

impl Told<'_> {
    /// What would be run.
    pub(super) fn commands(&self, commands: &[GitCommand]) -> Answer {
        let lines: Vec<String> = commands.iter().map(ToString::to_string).collect();
        let text = lines.join("\n");
        self.answer(json!({"pushed": false, "commands": lines, "statements": [], "reasons": []}), text, Verdict::Good)
    }

    /// What was pushed.
    pub(super) fn pushed(&self, made: &[Statement], drafts: &[Draft], desk: &Desk) -> Answer {
        let mut text = String::new();
        for (statement, draft) in made.iter().zip(drafts) {
            let (environment, commit) = (statement.environment(), statement.commit());
            let subject = desk.subject(&draft.commit);
            let until = statement.until().map(|at| format!(" until {}", at.strftime("%Y-%m-%d %H:%M:%SZ")));
            let until = until.unwrap_or_default();
            text.push_str(&format!(
                "{}: `{environment}` {} \"{subject}\", by {}{until}\n",
                done(self.verb),
                commit.short(),
                statement.signer()
            ));
            if !statement.overrides().is_empty() {
                text.push_str(&format!("  = overrides {}\n", statement.overrides().join(", ")));
            }
            text.push_str(&format!("  = tag {}, pushed to {}\n", statement.name(), escape(self.url)));
            if self.hints {
                text.push_str(&format!("  hint: see where it stands: {}\n", look(environment.as_str())));
            }
        }
        let statements: Vec<Value> = made.iter().map(document).collect();
        let body = json!({"pushed": true, "commands": [], "statements": statements, "reasons": []});
        self.answer(body, text, Verdict::Good)
    }

    /// Why the tag that was made would not count.
    pub(super) fn void(&self, reason: &Reason, place: &Place) -> Answer {
        let facts = ["it would not count; nothing was pushed, and the tag was taken back".to_owned()];
        let hint = hint(reason.code, place);
        let text = diagnostic::message(Word::Refused, reason, &facts, hint.as_deref().filter(|_| self.hints));
        let body = json!({
            "pushed": false, "commands": [], "statements": [],
            "reasons": [{"code": reason.code, "message": reason.message, "hint": hint, "commit": reason.commit}],
        });
        self.answer(body, text, Verdict::Found)
    }

    fn answer(&self, body: Value, text: String, verdict: Verdict) -> Answer {
        let pipeline = self.site.setup.pipeline.name.to_string();
        Answer { name: "statement", pipeline, source: "repository", body, text, verdict }
    }
}

fn document(statement: &Statement) -> Value {
    json!({
        "verb": statement.verb(),
        "environment": statement.environment(),
        "tag": statement.name(),
        "id": statement.id(),
        "payloadHash": statement.payload_hash(),
        "commit": statement.commit(),
        "signer": {"principal": statement.signer(), "fingerprint": statement.fingerprint()},
        "reason": statement.reason(),
        "until": statement.until().map(|at| at.to_string()),
        "overrides": statement.overrides(),
    })
}

/// The command that says what an environment waits for.
fn look(environment: &str) -> String {
    format!("lockmaster explain {environment}")
}

fn done(verb: Verb) -> &'static str {
    match verb {
        Verb::Approve => "approved",
        Verb::Hold => "held",
        Verb::Unhold => "unheld",
        Verb::Freeze => "frozen",
        Verb::Unfreeze => "unfrozen",
        Verb::Rollback => "rolled back",
    }
}

/// What helps against a tag that does not count; those for commits would not.
fn hint(code: Code, place: &Place) -> Option<String> {
    let signers = place.signers_file.as_deref().unwrap_or("allowed_signers");
    Some(match code {
        Code::UnknownSigner => format!("sign with a key that is listed: --key FILE; or add its line to {signers}"),
        Code::KeyNotValid => {
            format!("sign with a key that is valid now: --key FILE; or change its line in {signers}")
        }
        Code::UnauthorisedSigner => format!("let a writer of `{}` sign it", place.environment.as_deref()?),
        Code::BadSignature => "sign with an SSH key: --key FILE".to_owned(),
        _ => return None,
    })
}
