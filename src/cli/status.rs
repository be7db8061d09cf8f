//! `status`: where each environment stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, columns, fitted};
use super::diagnostic::Verdict;
use super::site::chosen;
use super::view::{View, word};
use super::{arguments, held, message};
use crate::agent::site::Site;
use crate::agent::{run, survey};
use crate::edge::clock;
use crate::name::{Code, EnvironmentName, Reason};

/// The column of subjects.
const SUBJECT: usize = 2;

/// Where the column of units stands, if an environment has units.
const UNITS: usize = 3;

/// Shows where each environment stands.
///
/// # Errors
/// Something cannot be reached, or is not built yet.
pub(super) async fn status(site: &Site, arguments: &arguments::Status, hints: bool) -> Result<Answer, Reason> {
    for (given, flag) in [(arguments.watch, "--watch"), (arguments.wait, "--wait")] {
        if given {
            return Err(Reason::new(Code::Usage, format!("`lockmaster status {flag}` is not supported yet")));
        }
    }
    let views = views(site, &arguments.environments, &BTreeMap::new()).await?;
    let logs = held::logs(site, &views).await;
    Ok(present(site, &views, &logs, clock::now(), "cluster", hints))
}

/// Surveys the environments; one look at the repository serves all. One that cannot be looked at, or that is stuck, hides
/// no other.
///
/// # Errors
/// None of them can be looked at.
pub(super) async fn views(
    site: &Site,
    names: &[EnvironmentName],
    stuck: &BTreeMap<EnvironmentName, Reason>,
) -> Result<Vec<View>, Reason> {
    let environments = chosen(site, names)?;
    let mut known = Vec::new();
    for environment in &environments {
        known.push(survey::ledger(site, environment).await);
    }
    let branches: Vec<_> = environments.iter().map(|environment| environment.branch.clone()).collect();
    let looked = run::look(site, &branches).await;
    let mut views = Vec::new();
    for (environment, known) in environments.into_iter().zip(known) {
        let look = looked.at(site, &environment);
        let surveyed = match known {
            Ok(ledger) => survey::survey(site, &environment, &ledger, look, None).await,
            Err(reason) => Err(reason),
        };
        let log = surveyed.as_ref().ok().map(|surveys| &surveys.whole);
        let place = message::place(site, &environment, log);
        let stuck = stuck.get(&environment.name).cloned();
        views.push(View::new(environment, surveyed, stuck, place));
    }
    let unseen: Vec<&Reason> = views.iter().filter_map(View::unseen).collect();
    match unseen.first() {
        Some(reason) if unseen.len() == views.len() => Err((*reason).clone()),
        _ => Ok(views),
    }
}

/// The answer of `status`, and of `run --once` at its end.
pub(super) fn present(
    site: &Site,
    views: &[View],
    logs: &held::Logs,
    now: Timestamp,
    source: &'static str,
    hints: bool,
) -> Answer {
    let environments: Value = views.iter().map(View::to_json).collect();
    Answer {
        name: "status",
        pipeline: site.setup.pipeline.name.to_string(),
        source,
        body: json!({"environments": environments}),
        text: text(site, views, logs, now, hints),
        verdict: views.iter().map(View::verdict).max().unwrap_or(Verdict::Good),
    }
}

fn text(site: &Site, views: &[View], logs: &held::Logs, now: Timestamp, hints: bool) -> String {
    let head = ["ENVIRONMENT", "COMMIT", "SUBJECT", "HEALTH", "OBJECTS", "DRIFT", "PROMOTION", "BEHIND", "SINCE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(views.iter().map(|view| row(view, now)));
    if views.iter().any(|view| view.environment.units.is_some()) {
        let cells = views.iter().map(|view| match &view.environment.units {
            Some(_) => view.units().to_string(),
            None => "-".to_owned(),
        });
        let cells = std::iter::once("UNITS".to_owned()).chain(cells);
        cells.zip(&mut rows).for_each(|(cell, row)| row.insert(UNITS, cell));
    }
    let mut text = format!("{}  {}  source: cluster\n", site.setup.pipeline.name, site.setup.remote);
    text.push_str(&columns(&fitted(rows, SUBJECT)));
    text.push('\n');
    text.extend(views.iter().map(|view| view.messages(hints) + &held::text(site, view, logs, hints)));
    text
}

fn row(view: &View, now: Timestamp) -> Vec<String> {
    let commit = view.commit();
    let dash = || "-".to_owned();
    vec![
        view.environment.name.to_string(),
        commit.map_or_else(dash, |commit| commit.id.short().to_owned()),
        commit.map(|it| super::diagnostic::escape(&it.subject)).filter(|s| !s.is_empty()).unwrap_or_else(dash),
        view.health(),
        view.stand.well().map_or_else(dash, |(well, total)| format!("{well}/{total}")),
        view.drift(now),
        word(&view.stand.state),
        if view.stand.behind == 0 { dash() } else { view.stand.behind.to_string() },
        view.opened_at().map_or_else(dash, |time| age(time, now)),
    ]
}

/// How long ago, in its two largest units: `2m`, `1h34m`, `5d21h`.
pub(super) fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = u64::try_from(now.duration_since(time).as_secs()).unwrap_or(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}
