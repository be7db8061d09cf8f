//! What stays after a rollback until it is resolved: what is held, what Git still says, and who else still has it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diagnostic::{self, hint_line};
use super::view::View;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::deploylog::{Evidence, Hold, Inputs, Log, Past, Rollback};
use crate::name::{Code, EnvironmentName, Reason};

/// Paths that a line names.
const NAMED: usize = 3;

/// The logs of environments that lie beside one with holds.
pub(super) type Logs = BTreeMap<EnvironmentName, Log>;

/// The logs that lines are made of: those of the views, and of their neighbours. One that cannot be read is left out: its
/// own view tells why.
pub(super) async fn logs(site: &Site, views: &[View]) -> Logs {
    let mut logs: Logs = views.iter().map(|view| (view.environment.name.clone(), view.stand.log.clone())).collect();
    let shown: Vec<EnvironmentName> = logs.keys().cloned().collect();
    for environment in site.environments() {
        let from = environment.promotion.from.as_ref();
        let below = from.is_some_and(|from| shown.contains(from));
        let above = views.iter().any(|view| view.environment.promotion.from.as_ref() == Some(&environment.name));
        let beside = (below || above) && !shown.contains(&environment.name);
        if beside && let Ok(log) = survey::log(site, environment).await {
            logs.insert(environment.name.clone(), log);
        }
    }
    logs
}

/// The holds of an environment, for documents.
pub(super) fn document(log: &Log) -> Vec<Value> {
    let one = |hold: &Hold| {
        json!({
            "sequence": hold.sequence,
            "unit": ".",
            "commit": hold.held.commit,
            "paths": hold.held.files.keys().collect::<Vec<_>>(),
            "images": hold.held.images.iter().map(|image| &image.image).collect::<Vec<_>>(),
            "since": hold.since.to_string(),
            "by": hold.by,
            "reason": hold.reason,
        })
    };
    Past::of(log, 1).holds.iter().map(one).collect()
}

/// The lines of an environment; nothing where nothing is held and Git agrees.
pub(super) fn text(site: &Site, view: &View, logs: &Logs, hints: bool) -> String {
    let (name, log) = (&view.environment.name, &view.stand.log);
    let holds = Past::of(log, 1).holds;
    let mut parts: Vec<String> = Vec::new();
    let mut cures: Vec<String> = Vec::new();
    let back = log.standing.as_ref().and_then(|standing| standing.rollback.as_ref());
    let ahead = back.is_some_and(|back| is_ahead(view, back));
    if let Some(back) = back.filter(|_| ahead || !holds.is_empty()) {
        parts.push(format!("is rolled back to {name}/{}", back.to));
    }
    if let Some(back) = back.filter(|_| ahead) {
        parts.push(format!("branch {} does not say so yet", view.environment.branch.short()));
        cures.push(format!("make Git agree: lockmaster rollback {name}/{}", back.to));
    }
    for hold in &holds {
        parts.push(format!("{} held by {name}/{}{}", what(hold), hold.sequence, why(hold)));
        parts.extend(still_upstream(site, view, hold, logs));
        cures.push(format!("let it come again: lockmaster unhold {name}/{} --reason WHY", hold.sequence));
    }
    parts.extend(held_below(site, view, logs));
    if parts.is_empty() {
        return String::new();
    }
    let reason = Reason::new(Code::HeldContent, format!("`{name}`: {}", parts.join("; ")));
    let mut text = diagnostic::message(diagnostic::Word::of(reason.code), &reason, &[], None);
    text.extend(cures.iter().filter(|_| hints).map(|cure| hint_line(cure)));
    text
}

/// Whether the branch still has what was undone.
fn is_ahead(view: &View, back: &Rollback) -> bool {
    let accepted = view.stand.log.accepted.as_ref().map(|accepted| &accepted.id);
    back.leaves_head() && view.stand.tip.is_some() && view.stand.tip.as_ref() == accepted
}

fn what(hold: &Hold) -> String {
    let paths: Vec<&str> = hold.held.files.keys().map(|path| path.as_str()).collect();
    match paths.len() {
        0 => format!("commit {}", hold.held.commit.short()),
        count if count > NAMED => format!("{} and {} more", paths[..NAMED].join(", "), count - NAMED),
        _ => paths.join(", "),
    }
}

fn why(hold: &Hold) -> String {
    if hold.reason.is_empty() { String::new() } else { format!(" ({}: {})", hold.by, hold.reason) }
}

/// Whether the environment that it is promoted from runs what is held.
fn still_upstream(site: &Site, view: &View, hold: &Hold, logs: &Logs) -> Option<String> {
    let from = site.setup.pipeline.environment(view.environment.promotion.from.as_ref()?)?;
    let inputs = standing(&from.name, logs.get(&from.name)?)?;
    has(hold, &inputs).then(|| format!("{} still has it", from.branch.short()))
}

/// What this environment runs and those below it hold: a hold stays where it was put.
fn held_below(site: &Site, view: &View, logs: &Logs) -> Vec<String> {
    let name = &view.environment.name;
    let below = site.environments().iter().filter(|other| other.promotion.from.as_ref() == Some(name));
    let Some(inputs) = standing(name, &view.stand.log) else { return Vec::new() };
    let mut found = Vec::new();
    for other in below {
        let holds = logs.get(&other.name).map(|log| Past::of(log, 1).holds).unwrap_or_default();
        let stopped = holds.iter().filter(|hold| has(hold, &inputs));
        found.extend(
            stopped.map(|hold| format!("{} held in {} by {}/{}", what(hold), other.name, other.name, hold.sequence)),
        );
    }
    found
}

fn has(hold: &Hold, inputs: &Inputs) -> bool {
    let files = &hold.held.files;
    !files.is_empty() && files.iter().any(|(path, digest)| inputs.files.get(path) == Some(digest))
}

fn standing(name: &EnvironmentName, log: &Log) -> Option<Inputs> {
    Evidence::of(name, log).releases.into_iter().next().map(|release| release.inputs)
}
