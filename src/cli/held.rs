//! What stays after a rollback until it is resolved: what is held, what Git still says, and who else still has it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diagnostic::{self, hint_line};
use super::view::View;
use crate::agent::site::Site;
use crate::agent::stand::Stand;
use crate::agent::survey;
use crate::deploylog::{Evidence, Hold, Inputs, Log, Past, Rollback};
use crate::name::{Code, EnvironmentName, Reason, UnitName};

/// Paths that a line names.
const NAMED: usize = 3;

/// Units that are told of, one message each; the others are counted.
const TOLD: usize = 3;

/// The logs of environments that lie beside one with holds.
pub(super) type Logs = BTreeMap<EnvironmentName, survey::Logs>;

/// The logs that lines are made of: those of the views, and of their neighbours. One that cannot be read is left out: its
/// own view tells why.
pub(super) async fn logs(site: &Site, views: &[View]) -> Logs {
    let known = |stand: &Stand| survey::Logs {
        whole: stand.log.clone(),
        common: Log::default(),
        units: stand.units.iter().map(|(unit, stand)| (unit.clone(), stand.log.clone())).collect(),
    };
    let mut logs: Logs = views.iter().map(|view| (view.environment.name.clone(), known(&view.stand))).collect();
    let shown: Vec<EnvironmentName> = logs.keys().cloned().collect();
    for environment in site.environments() {
        let from = environment.promotion.from.as_ref();
        let below = from.is_some_and(|from| shown.contains(from));
        let above = views.iter().any(|view| view.environment.promotion.from.as_ref() == Some(&environment.name));
        let beside = (below || above) && !shown.contains(&environment.name);
        if beside && let Ok(log) = survey::logs(site, environment).await {
            logs.insert(environment.name.clone(), log);
        }
    }
    logs
}

/// The stand of each unit, or the one of an environment without units.
fn stands(stand: &Stand) -> Vec<(UnitName, &Stand)> {
    if stand.units.is_empty() {
        return vec![(UnitName::whole(), stand)];
    }
    stand.units.iter().map(|(unit, stand)| (unit.clone(), stand)).collect()
}

/// The holds of an environment, for documents.
pub(super) fn document(stand: &Stand) -> Vec<Value> {
    let one = |unit: &UnitName, hold: &Hold| {
        json!({
            "sequence": hold.sequence,
            "unit": unit,
            "commit": hold.held.commit,
            "paths": hold.held.files.keys().collect::<Vec<_>>(),
            "images": hold.held.images.iter().map(|image| &image.image).collect::<Vec<_>>(),
            "since": hold.since.to_string(),
            "by": hold.by,
            "reason": hold.reason,
        })
    };
    let of = |(unit, stand): (UnitName, &Stand)| {
        Past::of(&stand.log, 1).holds.iter().map(|hold| one(&unit, hold)).collect::<Vec<_>>()
    };
    stands(stand).into_iter().flat_map(of).collect()
}

/// The lines of an environment; nothing where nothing is held and Git agrees.
pub(super) fn text(site: &Site, view: &View, logs: &Logs, hints: bool) -> String {
    // Of an environment whose units nobody could find, no entry is asked as if it were about all.
    if view.environment.units.is_some() && view.stand.units.is_empty() {
        return String::new();
    }
    let one = |(unit, stand)| Held { site, view, unit, stand, logs }.text(hints);
    let mut told: Vec<String> = stands(&view.stand).into_iter().filter_map(one).collect();
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        let units = if more == 1 { "1 more unit is" } else { &format!("{more} more units are") };
        told.push(format!("  = {units} rolled back or held: lockmaster explain {}\n", view.environment.name));
    }
    told.concat()
}

/// What is held of one unit.
struct Held<'h> {
    site: &'h Site,
    view: &'h View,
    unit: UnitName,
    stand: &'h Stand,
    logs: &'h Logs,
}

impl Held<'_> {
    fn text(&self, hints: bool) -> Option<String> {
        let (name, log) = (&self.view.environment.name, &self.stand.log);
        let holds = Past::of(log, 1).holds;
        let of_unit = diagnostic::of_unit(&self.unit);
        let mut parts: Vec<String> = Vec::new();
        let mut cures: Vec<String> = Vec::new();
        let back = log.standing.as_ref().and_then(|standing| standing.rollback.as_ref());
        let ahead = back.is_some_and(|back| self.is_ahead(back));
        if let Some(back) = back.filter(|_| ahead || !holds.is_empty()) {
            parts.push(format!("is rolled back to {name}/{}", back.to));
        }
        if let Some(back) = back.filter(|_| ahead) {
            parts.push(format!("branch {} does not say so yet", self.view.environment.branch.short()));
            cures.push(format!("make Git agree: lockmaster rollback {name}/{}{of_unit}", back.to));
        }
        for hold in &holds {
            parts.push(format!("{} held by {name}/{}{}", what(hold), hold.sequence, why(hold)));
            parts.extend(self.still_upstream(hold));
            let entry = format!("{name}/{}{of_unit}", hold.sequence);
            cures.push(format!("let it come again: lockmaster unhold {entry} --reason WHY"));
        }
        parts.extend(self.held_below());
        if parts.is_empty() {
            return None;
        }
        let whose = if self.unit.is_whole() { String::new() } else { format!(" {}", self.unit) };
        let reason = Reason::new(Code::HeldContent, format!("`{name}`{whose}: {}", parts.join("; ")));
        let mut text = diagnostic::message(diagnostic::Word::of(reason.code), &reason, &[], None);
        text.extend(cures.iter().filter(|_| hints).map(|cure| hint_line(cure)));
        Some(text)
    }

    /// Whether the branch still has what was undone. Other units may have moved the accepted head since, so that one with
    /// a name is asked whether its candidate is held.
    fn is_ahead(&self, back: &Rollback) -> bool {
        let accepted = self.stand.log.accepted.as_ref().map(|accepted| &accepted.id);
        let has_it = match self.unit.is_whole() {
            true => self.stand.tip.as_ref() == accepted,
            false => self.stand.reasons.iter().any(|reason| reason.code == Code::HeldContent),
        };
        back.leaves_head() && self.stand.tip.is_some() && has_it
    }

    /// Whether the environment that it is promoted from runs what is held.
    fn still_upstream(&self, hold: &Hold) -> Option<String> {
        let from = self.site.setup.pipeline.environment(self.view.environment.promotion.from.as_ref()?)?;
        let inputs = standing(&from.name, self.logs.get(&from.name)?.of(&self.unit))?;
        has(hold, &inputs).then(|| format!("{} still has it", from.branch.short()))
    }

    /// What this environment runs and those below it hold: a hold stays where it was put.
    fn held_below(&self) -> Vec<String> {
        let name = &self.view.environment.name;
        let below = self.site.environments().iter().filter(|other| other.promotion.from.as_ref() == Some(name));
        let Some(inputs) = standing(name, &self.stand.log) else { return Vec::new() };
        let mut found = Vec::new();
        for other in below {
            let log = self.logs.get(&other.name).map(|logs| logs.of(&self.unit));
            let holds = log.map(|log| Past::of(log, 1).holds).unwrap_or_default();
            let stopped = holds.iter().filter(|hold| has(hold, &inputs));
            found.extend(
                stopped
                    .map(|hold| format!("{} held in {} by {}/{}", what(hold), other.name, other.name, hold.sequence)),
            );
        }
        found
    }
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

fn has(hold: &Hold, inputs: &Inputs) -> bool {
    let files = &hold.held.files;
    !files.is_empty() && files.iter().any(|(path, digest)| inputs.files.get(path) == Some(digest))
}

fn standing(name: &EnvironmentName, log: &Log) -> Option<Inputs> {
    Evidence::of(name, log).releases.into_iter().next().map(|release| release.inputs)
}
