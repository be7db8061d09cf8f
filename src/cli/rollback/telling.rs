//! What `rollback` answers: what was stated and where it is, what Git says now, and what to look at next.

use serde_json::{Value, json};

use super::Reverted;
use super::choice::Choice;
use super::waiting::Ended;
use crate::agent::site::Site;
use crate::cli::answer::Answer;
use crate::cli::diagnostic::{self, Verdict, escape, hint_line};
use crate::cli::plan::report_lines;
use crate::cli::statement::{self, Done, Taken};
use crate::cli::{changes, document, message, unit};
use crate::config::Environment;
use crate::deploylog::Log;
use crate::name::{Code, Reason};
use crate::plan::Report;

/// What an answer is about.
pub(super) struct Told<'t> {
    pub(super) site: &'t Site,
    pub(super) environment: &'t Environment,
    pub(super) url: &'t str,
    pub(super) hints: bool,
}

impl Told<'_> {
    fn answer(&self, body: Value, text: String, verdict: Verdict) -> Answer {
        let empty = json!({
            "environment": self.environment.name, "undone": null, "to": null, "statement": null, "object": null,
            "revert": null, "gitAhead": null, "entry": null, "commands": [], "changes": [], "counts": null, "reasons": [],
        });
        let mut document = empty;
        if let (Value::Object(all), Value::Object(given)) = (&mut document, body) {
            all.extend(given);
        }
        if !self.environment.unit.is_whole() {
            document["unit"] = json!(self.environment.unit);
        }
        let pipeline = self.site.setup.pipeline.name.to_string();
        Answer { name: "rollback", pipeline, source: "cluster", body: document, text, verdict }
    }

    /// Why it is no release to go back to.
    pub(super) fn refused(&self, reason: &Reason) -> Answer {
        let place = message::place(self.site, self.environment, None);
        let facts = ["nothing was stated; nothing is changed".to_owned()];
        let hint = self.hint(reason.code).or_else(|| diagnostic::hint(reason, &place)).filter(|_| self.hints);
        let text = diagnostic::message(diagnostic::Word::of(reason.code), reason, &facts, hint.as_deref());
        let reasons = std::slice::from_ref(reason);
        self.answer(json!({"reasons": document::reasons(reasons, &place)}), text, Verdict::Found)
    }

    /// Its bytes are gone.
    pub(super) fn not_kept(&self, choice: &Choice) -> Answer {
        let (name, sequence, keep) = (&self.environment.name, choice.to.sequence, self.site.setup.pipeline.keep);
        let text = format!("the bytes of `{name}/{sequence}` are not kept any more: `keep` is {keep}");
        self.refused(&Reason::new(Code::StatementNotApplicable, text))
    }

    fn hint(&self, code: Code) -> Option<String> {
        let (name, of_unit) = (&self.environment.name, diagnostic::of_unit(&self.environment.unit));
        (code == Code::StatementNotApplicable)
            .then(|| format!("see what was proven: lockmaster history {name}{of_unit}"))
    }

    /// What would change.
    pub(super) fn planned(&self, choice: &Choice, report: &Report) -> Answer {
        let shown = changes::Shown { object: None, fields: true };
        let name = unit::headed(self.site, self.environment);
        let (from, to) = (self.standing(choice), self.to(choice));
        let mut lines = vec![format!("{name}: {from} -> back to {to}; nothing is written")];
        lines.extend(report_lines(report, &shown));
        let body = json!({
            "undone": self.undone(choice), "to": self.aim(choice), "counts": report.counts,
            "changes": shown.to_json(&report.changes),
        });
        self.answer(body, lines.join("\n"), Verdict::Good)
    }

    /// What would be run.
    pub(super) fn commands(&self, choice: &Choice, commands: &[String]) -> Answer {
        let body = json!({"undone": self.undone(choice), "to": self.aim(choice), "commands": commands});
        self.answer(body, commands.join("\n"), Verdict::Good)
    }

    /// What was done.
    pub(super) fn done(
        &self,
        choice: &Choice,
        done: Option<&Done>,
        reverted: &Reverted,
        ended: Option<&Ended>,
    ) -> Answer {
        let called = unit::called(self.environment);
        let statement = done.and_then(|done| done.made.first()).map(|(statement, _)| statement);
        let mut text = match statement {
            Some(statement) => {
                format!("rolling back: {called} to {}, by {}\n", self.to(choice), statement.signer())
            }
            None => format!("{called} stands at {} already\n", self.to(choice)),
        };
        if let Some(done) = done {
            text.push_str(&format!("  = undoes {}\n", self.standing(choice)));
            text.push_str(&statement::road(done, 0, self.url));
        }
        text.push_str(&self.git(choice, reverted));
        let (end, verdict) = self.end(ended);
        text.push_str(&end);
        let object = done.and_then(|done| match &done.taken {
            Taken::Git => None,
            Taken::Cluster(objects, _) => objects.first(),
        });
        let revert = match reverted {
            Reverted::On(commit, branch) => Some(json!({"commit": commit, "branch": branch})),
            Reverted::Unwanted | Reverted::Agrees | Reverted::Ahead(_) => None,
        };
        let ahead = match reverted {
            Reverted::Unwanted => None,
            Reverted::Agrees => Some(false),
            Reverted::On(_, branch) => Some(branch != self.environment.branch.short()),
            Reverted::Ahead(_) => Some(true),
        };
        let place = message::place(self.site, self.environment, None);
        let failed = ended.and_then(|ended| ended.failed.clone()).unwrap_or_default();
        let body = json!({
            "undone": self.undone(choice), "to": self.aim(choice), "statement": statement.map(statement::document),
            "object": object, "revert": revert, "gitAhead": ahead, "entry": ended.map(|ended| ended.opened),
            "reasons": document::reasons(&failed, &place),
        });
        self.answer(body, text, verdict)
    }

    /// What Git says after it.
    fn git(&self, choice: &Choice, reverted: &Reverted) -> String {
        let (name, branch, to) = (&self.environment.name, self.environment.branch.short(), choice.to.sequence);
        match reverted {
            Reverted::Unwanted => String::new(),
            Reverted::Agrees => format!("  = {branch} has its content already\n"),
            Reverted::On(commit, on) if on == branch => {
                format!("  = revert {} pushed to branch {on} of {}\n", commit.short(), escape(self.url))
            }
            Reverted::On(commit, on) => format!(
                "  = revert {} pushed to branch {on} of {}\n  = `{branch}` moved or is protected: open a pull request from \
                 {on} into it\n",
                commit.short(),
                escape(self.url)
            ),
            Reverted::Ahead(reason) => {
                let why = escape(reason.message.lines().next().unwrap_or_default());
                let text = format!("  = Git stays ahead, {branch} still has {name}/{}: {why}\n", choice.undone);
                let of_unit = diagnostic::of_unit(&self.environment.unit);
                let hint = format!("once Git answers, make it agree: lockmaster rollback {name}/{to}{of_unit}");
                if self.hints { text + &hint_line(&hint) } else { text }
            }
        }
    }

    fn end(&self, ended: Option<&Ended>) -> (String, Verdict) {
        let name = &self.environment.name;
        match ended {
            None if self.hints => (hint_line(&format!("see where it stands: lockmaster status {name}")), Verdict::Good),
            None => (String::new(), Verdict::Good),
            Some(Ended { opened, failed: None }) => (format!("  = healthy: {name}/{opened}\n"), Verdict::Good),
            Some(Ended { opened, failed: Some(reasons) }) => {
                let place = message::place(self.site, self.environment, None);
                let told = message::all(reasons, &place, self.environment, &Log::default(), self.hints);
                (format!("  = not healthy: {name}/{opened}\n{told}"), Verdict::Found)
            }
        }
    }

    fn standing(&self, choice: &Choice) -> String {
        let standing = &choice.standing;
        let (name, subject) = (&self.environment.name, escape(&standing.commit.subject));
        format!("{name}/{} {} \"{subject}\"", standing.sequence, standing.commit.id.short())
    }

    fn to(&self, choice: &Choice) -> String {
        let (name, commit) = (&self.environment.name, &choice.to.commit);
        format!("{name}/{} {} \"{}\"", choice.to.sequence, commit.id.short(), escape(&commit.subject))
    }

    fn undone(&self, choice: &Choice) -> Value {
        json!({"sequence": choice.undone})
    }

    fn aim(&self, choice: &Choice) -> Value {
        json!({"sequence": choice.to.sequence, "digest": choice.to.release, "commit": document::commit(&choice.to.commit)})
    }
}
