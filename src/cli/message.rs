//! The messages of verbs about an environment: the reason, what it means for what stands, and the hint.

use std::collections::BTreeMap;

use super::answer::counted;
use super::diagnostic::{self, Place};
use crate::agent::site::Site;
use crate::config::Environment;
use crate::deploylog::{Log, Phase};
use crate::name::{Class, Code, CommitId, Reason, UnitName};
use crate::plan::OnDrift;

/// How many reasons of an environment with units are told.
const MOST: usize = 12;

/// What hints may name about an environment.
pub(super) fn place(site: &Site, environment: &Environment, log: Option<&Log>) -> Place {
    let source = site.setup.pipeline.upstreams_of(environment).last().map(|first| first.branch.short().to_owned());
    Place {
        pipeline: Some(site.setup.pipeline.name.to_string()),
        environment: Some(environment.name.to_string()),
        unit: Some(environment.unit.clone()).filter(|unit| !unit.is_whole()),
        branch: Some(environment.branch.short().to_owned()),
        accepted: log.and_then(|log| log.accepted.as_ref()).map(|accepted| accepted.id.clone()),
        left: 0,
        namespace: environment.namespaces.first().cloned(),
        signers_file: Some(site.setup.pipeline.trust.signers_file.display().to_string()),
        source,
        opened: log.map(opened).unwrap_or_default(),
    }
}

/// The commits that were opened, and the newest entry that did.
fn opened(log: &Log) -> BTreeMap<CommitId, u64> {
    let opened = log.entries.iter().filter(|entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed);
    opened.filter_map(|entry| Some((entry.body.commit.as_ref()?.id.clone(), entry.sequence))).collect()
}

/// One message for each reason, each line ending in a newline. What a refusal means for the cluster is said once, with
/// the first of them.
pub(super) fn all(reasons: &[Reason], place: &Place, environment: &Environment, log: &Log, hints: bool) -> String {
    of_units(reasons, place, environment, &[(environment.unit.clone(), log)], hints)
}

/// The same of an environment of which each unit has a log: a reason may begin with the names of units.
pub(super) fn of_units(
    reasons: &[Reason],
    place: &Place,
    environment: &Environment,
    logs: &[(UnitName, &Log)],
    hints: bool,
) -> String {
    let mut text = String::new();
    let mut said = false;
    let told = if environment.units.is_some() { MOST } else { usize::MAX };
    for (index, reason) in reasons.iter().enumerate().take(told) {
        let mut facts = Vec::new();
        let about = logs.iter().find(|(unit, _)| reason.message.strip_prefix(unit.as_str()).is_some_and(is_said));
        let place =
            &Place { unit: about.map(|(unit, _)| unit.clone()).or_else(|| place.unit.clone()), ..place.clone() };
        if !said && reason.code.class() == Class::Refused && !logs.iter().any(|(_, log)| is_outcome(reason, log)) {
            said = true;
            facts.push(format!("{}{}", lost(reason, place), consequence(environment, logs)));
        }
        // Several gates have the same hint: it stands below the last of them.
        let hint = diagnostic::hint(reason, place);
        let again = hint.as_ref().is_some_and(|hint| hint.contains("lockmaster explain"))
            && reasons[index + 1..].iter().any(|later| diagnostic::hint(later, place) == hint);
        text.push_str(&diagnostic::explained(reason, place, &facts, hints && !again));
    }
    let more = reasons.len().saturating_sub(told);
    if more > 0 {
        let name = &environment.name;
        text.push_str(&format!("  = and {}: lockmaster explain {name}\n", counted(more, "more reason")));
    }
    text
}

/// What stands between the name of the only unit that a reason is about and the reason.
fn is_said(rest: &str) -> bool {
    rest.starts_with(": ")
}

/// Whether the reason is why the standing release failed, and not why a candidate is kept out.
fn is_outcome(reason: &Reason, log: &Log) -> bool {
    let says = |own: &Reason| {
        let named = || reason.message.strip_suffix(&own.message).is_some_and(|names| names.ends_with(": "));
        own == reason || (own.code == reason.code && named())
    };
    log.standing.as_ref().is_some_and(|standing| standing.reasons.iter().any(says))
}

/// What a rewound or diverged branch lost.
fn lost(reason: &Reason, place: &Place) -> String {
    match (reason.code, place.left) {
        (Code::RefRewound | Code::RefDiverged, 1) => "1 accepted commit left the branch; ".to_owned(),
        (Code::RefRewound | Code::RefDiverged, left) if left > 1 => {
            format!("{left} accepted commits left the branch; ")
        }
        _ => String::new(),
    }
}

fn consequence(environment: &Environment, logs: &[(UnitName, &Log)]) -> String {
    if environment.units.is_some() {
        return "nothing of that is applied; what stands of each unit stays".to_owned();
    }
    match logs.first().and_then(|(_, log)| log.standing.as_ref()) {
        Some(standing) => {
            let short = standing.commit.id.short();
            let healed = if environment.on_drift == OnDrift::Heal { " and is still healed" } else { "" };
            format!("nothing is applied; {short} ({}/{}) stays{healed}", environment.name, standing.sequence)
        }
        None => "nothing is applied".to_owned(),
    }
}
