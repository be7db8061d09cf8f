//! `verify`: would this commit be accepted?

use serde_json::{Value, json};

use super::answer::{Answer, counted};
use super::arguments::{self, At, Target};
use super::diagnostic::{self, Place};
use super::site::find;
use super::{document, message, revision};
use crate::agent::judge::{self, Depth, Finding, Outlook};
use crate::agent::site::Site;
use crate::agent::survey;
use crate::config::Environment;
use crate::course::Known;
use crate::deploylog::Log;
use crate::name::{Code, CommitId, Reason};

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
    let mut environments = Vec::new();
    let mut texts = Vec::new();
    let mut finding = false;
    for target in &arguments.targets {
        let environment = find(site, &target.environment)?;
        let judged = judge_one(site, &environment, target, depth).await?;
        finding |= judged.refused();
        environments.push(judged.to_json());
        texts.push(judged.text(hints));
    }
    Ok(Answer {
        name: "verify",
        pipeline: site.setup.pipeline.name.to_string(),
        source: source(site),
        body: json!({"environments": environments}),
        text: texts.join("\n"),
        finding,
    })
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
}

async fn judge_one(site: &Site, environment: &Environment, target: &Target, depth: Depth) -> Result<Judged, Reason> {
    let known = match &site.target {
        Some(_) => Some(survey::known(site, environment).await?),
        None => None,
    };
    let reference = match &target.at {
        At::Tip => environment.branch.to_string(),
        _ => target.to_string(),
    };
    let place = message::place(site, environment, known.as_ref().map(|known| &known.log));
    let left_out = not_checked(depth, site.target.is_some());
    let found = revision::commit(site, environment, target).await;
    let tip = found.as_ref().ok().cloned();
    let outlook = match found {
        Ok(commit) => {
            let blank = || crate::course::Brief {
                tip: commit.clone(),
                accepted: None,
                standing: None,
                inventory: crate::plan::Inventory::default(),
            };
            let brief = known.as_ref().map_or_else(blank, |known| survey::brief(known, commit.clone()));
            let outlook = judge::judge(site, environment, &brief, depth).await;
            match outlook.verdict {
                Finding::Unreachable(reason) => return Err(reason),
                _ => Ok(outlook),
            }
        }
        Err(reason) if reason.code == Code::RefNotFound => Err(reason),
        Err(reason) => return Err(reason),
    };
    Ok(Judged { environment: environment.clone(), reference, tip, known, outlook, left_out, place })
}

impl Judged {
    fn reasons(&self) -> &[Reason] {
        match &self.outlook {
            Err(reason) => std::slice::from_ref(reason),
            Ok(Outlook { verdict: Finding::Stopped { reasons, .. }, .. }) => reasons,
            Ok(_) => &[],
        }
    }

    fn refused(&self) -> bool {
        !self.reasons().is_empty()
    }

    fn accepted_head(&self) -> Option<&crate::deploylog::EntryCommit> {
        self.known.as_ref().and_then(|known| known.log.accepted.as_ref())
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
            "verdict": if self.refused() { "refused" } else { "accepted" },
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
        if self.refused() {
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
            _ => format!("accepted: `{name}` {short} \"{subject}\", {}", signed(outlook)),
        };
        text.push_str(&format!("\n  = not checked: {}", self.left_out.join(", ")));
        text
    }
}

/// How many new commits there are, and who signed them.
pub(super) fn signed(outlook: &Outlook) -> String {
    let signers: std::collections::BTreeSet<&str> =
        outlook.commits.iter().filter_map(|commit| commit.signer.as_ref()).map(|signer| signer.as_str()).collect();
    match outlook.commits.len() {
        0 => "no new commit".to_owned(),
        count => {
            let signers = signers.into_iter().collect::<Vec<_>>().join(", ");
            format!("{}, all signed by {signers}", counted(count, "new commit"))
        }
    }
}
