//! `verify`: would this commit be accepted?

use serde_json::{Value, json};

use super::answer::{Answer, counted};
use super::arguments::{self, At, Target};
use super::diagnostic::{self, Place, Verdict};
use super::site::find;
use super::{document, message, revision};
use crate::agent::judge::{self, Depth, Finding, Outlook};
use crate::agent::site::Site;
use crate::agent::survey;
use crate::config::Environment;
use crate::course::Known;
use crate::deploylog::Log;
use crate::name::{Class, CommitId, Reason};
use crate::revision::authorship;

/// What was left out, always or because the verb was told to.
fn not_checked(depth: Depth, cluster: bool) -> Vec<&'static str> {
    let mut left_out = vec!["artifacts"];
    if depth == Depth::Signatures {
        left_out.push("render");
    }
    if !cluster {
        left_out.push("accepted head: no cluster is configured, history was judged from its beginning");
    }
    left_out
}

/// Judges commits as the agent would.
///
/// # Errors
/// Something cannot be reached; a refusal is an answer.
pub(super) async fn verify(site: &Site, arguments: &arguments::Verify, hints: bool) -> Result<Answer, Reason> {
    let depth = if arguments.signatures_only { Depth::Signatures } else { Depth::Render };
    let mut all = Vec::new();
    for target in &arguments.targets {
        let environment = find(site, &target.environment)?;
        let judged = judge_one(site, &environment, target, depth).await;
        all.push(judged.unwrap_or_else(|reason| Judged::unknown(site, environment, target, reason)));
    }
    let unseen: Option<Vec<&Reason>> = all.iter().map(|judged| judged.failed.as_ref()).collect();
    if let Some(reason) = unseen.and_then(|all| all.first().copied()) {
        return Err(reason.clone());
    }
    let environments: Value = all.iter().map(Judged::to_json).collect();
    let texts: Vec<String> = all.iter().map(|judged| judged.text(hints).trim_end().to_owned()).collect();
    Ok(Answer {
        name: "verify",
        pipeline: site.setup.pipeline.name.to_string(),
        source: source(site),
        body: json!({"environments": environments}),
        text: texts.join("\n"),
        verdict: verdict(&all),
    })
}

/// A refusal is certain, whatever else could not be checked (cli.md §2 of the design, exit codes).
fn verdict(all: &[Judged]) -> Verdict {
    if all.iter().any(Judged::refused) {
        Verdict::Found
    } else if all.iter().any(|judged| judged.failed.is_some()) {
        Verdict::Failed
    } else {
        Verdict::Good
    }
}

fn source(site: &Site) -> &'static str {
    if site.target.is_some() { "cluster" } else { "repository" }
}

/// A commit, judged.
struct Judged {
    environment: Environment,
    reference: String,
    tip: Option<CommitId>,
    known: Option<Known>,
    outlook: Result<Outlook, Reason>,
    left_out: Vec<&'static str>,
    place: Place,
    /// Why it could not be judged.
    failed: Option<Reason>,
}

async fn judge_one(site: &Site, environment: &Environment, target: &Target, depth: Depth) -> Result<Judged, Reason> {
    let known = match &site.target {
        Some(_) => Some(survey::known(site, environment).await?),
        None => None,
    };
    let reference = reference(environment, target);
    let place = message::place(site, environment, known.as_ref().map(|known| &known.log));
    let left_out = not_checked(depth, site.target.is_some());
    let revision::Found { commit: found, statements } = revision::find(site, environment, target).await;
    let tip = found.as_ref().ok().cloned();
    let outlook = match found {
        Ok(commit) => {
            let brief = survey::brief(site, known.as_ref().unwrap_or(&survey::nothing()), commit.clone(), statements);
            let outlook = judge::judge(site, environment, &brief, depth).await;
            match outlook.verdict {
                Finding::Unreachable(reason) => return Err(reason),
                _ => Ok(outlook),
            }
        }
        Err(reason) if reason.code.class() == Class::Refused => Err(reason),
        Err(reason) => return Err(reason),
    };
    let environment = environment.clone();
    let place = Place { left: outlook.as_ref().map_or(0, |outlook| outlook.left), ..place };
    Ok(Judged { environment, reference, tip, known, outlook, left_out, place, failed: None })
}

fn reference(environment: &Environment, target: &Target) -> String {
    match &target.at {
        At::Tip => environment.branch.to_string(),
        _ => target.to_string(),
    }
}

impl Judged {
    fn unknown(site: &Site, environment: Environment, target: &Target, reason: Reason) -> Judged {
        Judged {
            reference: reference(&environment, target),
            place: message::place(site, &environment, None),
            environment,
            tip: None,
            known: None,
            outlook: Err(reason.clone()),
            left_out: vec!["everything"],
            failed: Some(reason),
        }
    }

    fn reasons(&self) -> &[Reason] {
        match &self.outlook {
            Err(reason) => std::slice::from_ref(reason),
            Ok(Outlook { verdict: Finding::Stopped { reasons, .. }, .. }) => reasons,
            Ok(_) => &[],
        }
    }

    fn refused(&self) -> bool {
        self.failed.is_none() && !self.reasons().is_empty()
    }

    fn verdict(&self) -> &'static str {
        match (&self.failed, self.refused()) {
            (Some(_), _) => "unknown",
            (None, true) => "refused",
            (None, false) => "accepted",
        }
    }

    fn accepted_head(&self) -> Option<&crate::deploylog::EntryCommit> {
        self.known.as_ref().and_then(|known| known.log.accepted.as_deref())
    }

    fn to_json(&self) -> Value {
        let outlook = self.outlook.as_ref().ok();
        let commits: Vec<Value> = outlook
            .into_iter()
            .flat_map(|outlook| &outlook.commits)
            .map(|commit| document::judged_commit(commit, &self.place))
            .collect();
        json!({
            "name": self.environment.name,
            "ref": self.reference,
            "verdict": self.verdict(),
            "acceptedHead": self.accepted_head().map(document::commit),
            "candidate": outlook.map(|outlook| document::commit(&outlook.candidate)),
            "range": {"commits": commits.len()},
            "notChecked": self.left_out,
            "reasons": document::reasons(self.reasons(), &self.place),
            "commits": commits,
            "artifacts": [],
        })
    }

    fn text(&self, hints: bool) -> String {
        if !self.reasons().is_empty() {
            let nothing = Log::default();
            let log = self.known.as_ref().map_or(&nothing, |known| &known.log);
            return message::all(self.reasons(), &self.place, &self.environment, log, hints);
        }
        let Ok(outlook) = &self.outlook else { return String::new() };
        let subject = diagnostic::escape(&outlook.candidate.subject);
        let short = self.tip.as_ref().map_or("", CommitId::short);
        let name = &self.environment.name;
        let mut text = match outlook.verdict {
            Finding::Unchanged => {
                format!(
                    "accepted: `{name}` {short} \"{subject}\" changes no input of the standing release: it opens nothing"
                )
            }
            _ => format!("accepted: `{name}` {short} \"{subject}\", {}", signed_by(outlook)),
        };
        text.push_str(&format!("\n  = not checked: {}", self.left_out.join(", ")));
        text
    }
}

/// How many new commits there are, and who answers for them.
fn signed_by(outlook: &Outlook) -> String {
    match outlook.commits.len() {
        0 => "no new commit".to_owned(),
        count => format!("{}, {}", counted(count, "new commit"), authorship(&outlook.commits)),
    }
}

/// The same, without the names where every commit is signed.
pub(super) fn signed(outlook: &Outlook) -> String {
    let carried = outlook.commits.iter().any(|commit| commit.carrier.is_some());
    match outlook.commits.len() {
        1 if !carried => "1 new commit, signed".to_owned(),
        count if count > 1 && !carried => format!("{}, all signed", counted(count, "new commit")),
        _ => signed_by(outlook),
    }
}
