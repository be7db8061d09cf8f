//! `verify`: would this commit be accepted?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, counted};
use super::arguments::{self, At, Target};
use super::diagnostic::{self, Failure, Place, Verdict};
use super::plan::Trouble;
use super::site::find;
use super::{document, message, revision, unit};
use crate::agent::judge::{self, Depth, Finding, Outlook};
use crate::agent::site::Site;
use crate::agent::stand;
use crate::agent::survey::{self, Brings, Candidates};
use crate::config::Environment;
use crate::course::{Known, Ledger};
use crate::deploylog::Log;
use crate::name::{Class, Code, CommitId, ObjectId, Reason, RefName, UnitName};
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
pub(super) async fn verify(site: &Site, arguments: &arguments::Verify, hints: bool) -> Result<Answer, Failure> {
    let depth = if arguments.signatures_only { Depth::Signatures } else { Depth::Render };
    let mut all = Vec::new();
    for target in &arguments.targets {
        let environment = find(site, &target.environment)?;
        let judged = judge_one(site, &environment, target, depth, arguments.unit.as_ref()).await;
        all.push(match judged {
            Ok(judged) => judged,
            Err(Trouble::Usage(failure)) => return Err(failure),
            Err(Trouble::Unseen(reason)) => Judged::unknown(site, environment, target, *reason),
        });
    }
    let unseen: Option<Vec<&Reason>> = all.iter().map(|judged| judged.failed.as_ref()).collect();
    if let Some(reason) = unseen.and_then(|all| all.first().copied()) {
        return Err(reason.clone().into());
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
    /// What judging it found; of several units, for the one to which it brings most commits.
    outlook: Result<Outlook, Reason>,
    /// Why it is refused.
    reasons: Vec<Reason>,
    /// What it is to each unit.
    units: BTreeMap<UnitName, Meaning>,
    left_out: Vec<&'static str>,
    place: Place,
    /// Why it could not be judged.
    failed: Option<Reason>,
}

/// What a commit is to a unit.
enum Meaning {
    /// It changes nothing that the unit reads.
    Unchanged,
    /// It would be accepted.
    Accepted,
    /// It would not.
    Refused(Vec<Reason>),
}

impl Meaning {
    fn of(verdict: &Finding) -> Meaning {
        match verdict {
            Finding::Unchanged => Meaning::Unchanged,
            Finding::Stopped { reasons, .. } => Meaning::Refused(reasons.clone()),
            Finding::Accepted | Finding::Admitted(_) | Finding::Unreachable(_) => Meaning::Accepted,
        }
    }

    fn reasons(&self) -> &[Reason] {
        if let Meaning::Refused(reasons) = self { reasons } else { &[] }
    }
}

async fn judge_one(
    site: &Site,
    environment: &Environment,
    target: &Target,
    depth: Depth,
    given: Option<&UnitName>,
) -> Result<Judged, Trouble> {
    let ledger = match &site.target {
        Some(_) => survey::ledger(site, environment).await?,
        None => survey::nothing(),
    };
    let known = ledger.of(&UnitName::whole());
    let revision::Found { commit, statements } = revision::find(site, environment, target).await;
    let Candidates { tip, mut units, strangers } = survey::candidates(site, environment, &ledger, commit).await;
    if let Some(given) = given {
        unit::check(environment, units.keys(), given).map_err(Trouble::Usage)?;
        units.retain(|unit, _| unit == given);
    }
    let environment = given.map_or_else(|| environment.clone(), |unit| environment.of_unit(unit));
    let mut judged = Judged {
        reference: reference(&environment, target),
        tip: tip.as_ref().ok().cloned(),
        place: message::place(site, &environment, Some(&known.log)),
        known: site.target.is_some().then(|| given.map_or(known, |unit| ledger.of(unit))),
        outlook: Err(Reason::new(Code::Bug, "no unit was judged")),
        reasons: Vec::new(),
        units: BTreeMap::new(),
        left_out: not_checked(depth, site.target.is_some()),
        failed: None,
        environment,
    };
    let commit = match tip {
        Ok(commit) => commit,
        Err(reason) if reason.code.class() == Class::Refused => {
            judged.reasons = vec![reason.clone()];
            judged.outlook = Err(reason);
            return Ok(judged);
        }
        Err(reason) => return Err(reason.into()),
    };
    judged.reasons = strangers;
    judged.every(site, &ledger, (commit, depth, statements), units).await?;
    Ok(judged)
}

fn reference(environment: &Environment, target: &Target) -> String {
    match &target.at {
        At::Tip => environment.branch.to_string(),
        _ => target.to_string(),
    }
}

impl Judged {
    /// Judges for each unit to which the commit may bring something; where that is none, for one: history and signatures are
    /// everybody's.
    async fn every(
        &mut self,
        site: &Site,
        ledger: &Ledger,
        (commit, depth, statements): (CommitId, Depth, BTreeMap<RefName, ObjectId>),
        units: BTreeMap<UnitName, Brings>,
    ) -> Result<(), Reason> {
        let nothing = units.values().all(|brings| *brings == Brings::Nothing);
        let mut most = None;
        for (index, (unit, brings)) in units.into_iter().enumerate() {
            if brings == Brings::Nothing && !(nothing && index == 0) {
                self.units.insert(unit, Meaning::Unchanged);
                continue;
            }
            let environment = self.environment.of_unit(&unit);
            let brief = survey::brief(site, &environment, &ledger.of(&unit), commit.clone(), statements.clone());
            let outlook = judge::judge(site, &environment, &brief, depth).await;
            if let Finding::Unreachable(reason) = outlook.verdict {
                return Err(reason);
            }
            self.units.insert(unit, Meaning::of(&outlook.verdict));
            if most.is_none_or(|most| most < outlook.commits.len()) {
                most = Some(outlook.commits.len());
                self.place.left = outlook.left;
                self.outlook = Ok(outlook);
            }
        }
        let units = self.units.iter().map(|(unit, meaning)| (unit, meaning.reasons()));
        self.reasons.extend(stand::shared_reasons(units.collect()));
        Ok(())
    }

    fn unknown(site: &Site, environment: Environment, target: &Target, reason: Reason) -> Judged {
        Judged {
            reference: reference(&environment, target),
            place: message::place(site, &environment, None),
            environment,
            tip: None,
            known: None,
            reasons: vec![reason.clone()],
            units: BTreeMap::new(),
            outlook: Err(reason.clone()),
            left_out: vec!["everything"],
            failed: Some(reason),
        }
    }

    fn refused(&self) -> bool {
        self.failed.is_none() && !self.reasons.is_empty()
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
        let mut body = json!({
            "name": self.environment.name,
            "ref": self.reference,
            "verdict": self.verdict(),
            "acceptedHead": self.accepted_head().map(document::commit),
            "candidate": outlook.map(|outlook| document::commit(&outlook.candidate)),
            "range": {"commits": commits.len()},
            "notChecked": self.left_out,
            "reasons": document::reasons(&self.reasons, &self.place),
            "commits": commits,
            "artifacts": [],
        });
        if self.has_units() {
            let unit = |(unit, meaning): (&UnitName, &Meaning)| {
                let verdict = if meaning.reasons().is_empty() { "accepted" } else { "refused" };
                let changed = !matches!(meaning, Meaning::Unchanged);
                json!({
                    "unit": unit, "verdict": verdict, "changed": changed,
                    "reasons": document::reasons(meaning.reasons(), &self.place),
                })
            };
            body["units"] = self.units.iter().map(unit).collect();
        }
        body
    }

    fn standing(&self) -> &'static str {
        if self.units.len() > 1 { "a standing release" } else { "the standing release" }
    }

    fn has_units(&self) -> bool {
        !self.units.contains_key(&UnitName::whole())
    }

    /// What it changes, where that is not all or nothing.
    fn units_line(&self) -> Option<String> {
        let changed: Vec<&UnitName> = self
            .units
            .iter()
            .filter(|(_, meaning)| !matches!(meaning, Meaning::Unchanged))
            .map(|(unit, _)| unit)
            .collect();
        let total = self.units.len();
        match changed.len() {
            _ if !self.has_units() || total < 2 => None,
            0 => Some(format!("\n  = changes none of {total} units")),
            count => Some(format!("\n  = changes {count} of {total} units: {}", unit::listed(changed))),
        }
    }

    fn text(&self, hints: bool) -> String {
        if !self.reasons.is_empty() {
            let nothing = Log::default();
            let log = self.known.as_ref().map_or(&nothing, |known| &known.log);
            let logs: Vec<(UnitName, &Log)> = self.units.keys().map(|unit| (unit.clone(), log)).collect();
            let logs = if logs.is_empty() { vec![(UnitName::whole(), log)] } else { logs };
            return message::of_units(&self.reasons, &self.place, &self.environment, &logs, hints);
        }
        let Ok(outlook) = &self.outlook else { return String::new() };
        let subject = diagnostic::escape(&outlook.candidate.subject);
        let short = self.tip.as_ref().map_or("", CommitId::short);
        let called = unit::called(&self.environment);
        let mut text = match outlook.verdict {
            Finding::Unchanged => {
                format!(
                    "accepted: {called} {short} \"{subject}\" changes no input of {}: it opens nothing",
                    self.standing()
                )
            }
            _ => format!("accepted: {called} {short} \"{subject}\", {}", signed_by(outlook)),
        };
        text.extend(self.units_line());
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
