//! The answer: what was signed and pushed, by whom, and what to look at next.

use serde_json::{Value, json};

use super::{Done, Taken};
use crate::agent::site::Site;
use crate::cli::answer::Answer;
use crate::cli::diagnostic::{self, Place, Verdict, Word, escape};
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
    pub(super) fn commands(&self, commands: &[String]) -> Answer {
        let text = commands.join("\n");
        let body = json!({"pushed": false, "object": null, "commands": commands, "statements": [], "reasons": []});
        self.answer(body, text, Verdict::Good)
    }

    /// What was pushed, or put into the cluster.
    pub(super) fn done(&self, done: &Done) -> Answer {
        let mut text = String::new();
        for (index, (statement, subject)) in done.made.iter().enumerate() {
            let (environment, commit) = (statement.environment(), statement.commit());
            let whose = statement.unit().map(|unit| format!("`{unit}` of ")).unwrap_or_default();
            let until = statement.until().map(|at| format!(" until {}", at.strftime("%Y-%m-%d %H:%M:%SZ")));
            let until = until.unwrap_or_default();
            text.push_str(&format!(
                "{}: {whose}`{environment}` {}{}, by {}{until}\n",
                past(self.verb),
                commit.short(),
                if subject.is_empty() { String::new() } else { format!(" \"{subject}\"") },
                statement.signer()
            ));
            if !statement.overrides().is_empty() {
                text.push_str(&format!("  = overrides {}\n", statement.overrides().join(", ")));
            }
            text.push_str(&road(done, index, self.url));
            if self.hints {
                let of_unit = statement.unit().map(diagnostic::of_unit).unwrap_or_default();
                text.push_str(&format!("  hint: see where it stands: {}{of_unit}\n", look(environment.as_str())));
            }
        }
        let statements: Vec<Value> = done.made.iter().map(|(statement, _)| document(statement)).collect();
        let (pushed, object) = match &done.taken {
            Taken::Git => (true, None),
            Taken::Cluster(objects, _) => (false, objects.first()),
        };
        let body = json!({"pushed": pushed, "object": object, "commands": [], "statements": statements, "reasons": []});
        self.answer(body, text, Verdict::Good)
    }

    /// Why the tag that was made would not count.
    pub(super) fn void(&self, reason: &Reason, place: &Place) -> Answer {
        let facts = ["it would not count; nothing was pushed, and the tag was taken back".to_owned()];
        let hint = hint(reason.code, place);
        let text = diagnostic::message(Word::Refused, reason, &facts, hint.as_deref().filter(|_| self.hints));
        let body = json!({
            "pushed": false, "object": null, "commands": [], "statements": [],
            "reasons": [{"code": reason.code, "message": reason.message, "hint": hint, "commit": reason.commit}],
        });
        self.answer(body, text, Verdict::Found)
    }

    fn answer(&self, body: Value, text: String, verdict: Verdict) -> Answer {
        let pipeline = self.site.setup.pipeline.name.to_string();
        Answer { name: "statement", pipeline, source: "repository", body, text, verdict }
    }
}

/// Where a statement is.
pub(in crate::cli) fn road(done: &Done, index: usize, url: &str) -> String {
    let name = done.made.get(index).map(|(statement, _)| statement.name()).unwrap_or_default();
    match &done.taken {
        Taken::Git => format!("  = tag {name}, pushed to {}\n", escape(url)),
        Taken::Cluster(objects, why) => format!(
            "  = tag {name}, in the cluster: {}\n  = Git does not take it: {}\n",
            objects.get(index).map(String::as_str).unwrap_or_default(),
            escape(why.message.lines().next().unwrap_or_default())
        ),
    }
}

/// A statement as documents show it.
pub(in crate::cli) fn document(statement: &Statement) -> Value {
    let mut document = json!({
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
    });
    if let Some(unit) = statement.unit() {
        document["unit"] = json!(unit);
    }
    document
}

/// The command that says what an environment waits for.
fn look(environment: &str) -> String {
    format!("lockmaster explain {environment}")
}

fn past(verb: Verb) -> &'static str {
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
