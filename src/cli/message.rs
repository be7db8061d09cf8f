//! The messages of verbs about an environment: the reason, what it means for what stands, and the hint.

use std::collections::BTreeMap;

use super::diagnostic::{self, Place};
use crate::agent::site::Site;
use crate::config::Environment;
use crate::deploylog::{Log, Phase};
use crate::name::{Class, Code, CommitId, Reason};
use crate::plan::OnDrift;

/// What hints may name about an environment.
pub(super) fn place(site: &Site, environment: &Environment, log: Option<&Log>) -> Place {
    let source = site.setup.pipeline.upstreams_of(environment).last().map(|first| first.branch.short().to_owned());
    Place {
        pipeline: Some(site.setup.pipeline.name.to_string()),
        environment: Some(environment.name.to_string()),
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
    let mut text = String::new();
    let mut said = false;
    for (index, reason) in reasons.iter().enumerate() {
        let mut facts = Vec::new();
        if !said && reason.code.class() == Class::Refused && !is_outcome(reason, log) {
            said = true;
            facts.push(format!("{}{}", lost(reason, place), consequence(environment, log)));
        }
        // Several gates have the same hint: it stands below the last of them.
        let hint = diagnostic::hint(reason, place);
        let again = hint.as_ref().is_some_and(|hint| hint.contains("lockmaster explain"))
            && reasons[index + 1..].iter().any(|later| diagnostic::hint(later, place) == hint);
        text.push_str(&diagnostic::explained(reason, place, &facts, hints && !again));
    }
    text
}

/// Whether the reason is why the standing release failed, and not why a candidate is kept out.
fn is_outcome(reason: &Reason, log: &Log) -> bool {
    log.standing.as_ref().is_some_and(|standing| standing.reasons.contains(reason))
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

fn consequence(environment: &Environment, log: &Log) -> String {
    match &log.standing {
        Some(standing) => {
            let short = standing.commit.id.short();
            let healed = if environment.on_drift == OnDrift::Heal { " and is still healed" } else { "" };
            format!("nothing is applied; {short} ({}/{}) stays{healed}", environment.name, standing.sequence)
        }
        None => "nothing is applied".to_owned(),
    }
}
