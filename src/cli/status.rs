//! `status`: where each environment stands.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, columns};
use super::site::chosen;
use super::view::View;
use super::{arguments, message};
use crate::agent::site::Site;
use crate::agent::{run, survey};
use crate::edge::clock;
use crate::name::{Code, EnvironmentName, Reason};

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
    let views = views(site, &arguments.environments).await?;
    Ok(present(site, &views, clock::now(), hints))
}

/// Surveys the environments; one look at the repository serves all.
///
/// # Errors
/// Something cannot be reached.
pub(super) async fn views(site: &Site, names: &[EnvironmentName]) -> Result<Vec<View>, Reason> {
    let environments = chosen(site, names)?;
    let branches: Vec<_> = environments.iter().map(|environment| environment.branch.clone()).collect();
    let tips = run::tips(site, &branches).await;
    let mut views = Vec::new();
    for environment in environments {
        let tip = tips.get(&environment.branch).cloned().unwrap_or_else(|| Err(run::missing(&environment.branch)));
        let survey = survey::survey(site, &environment, tip).await?;
        let place = message::place(site, &environment, Some(&survey.known.log));
        views.push(View::new(environment, survey, place));
    }
    Ok(views)
}

/// The answer of `status`, and of `run --once` at its end.
pub(super) fn present(site: &Site, views: &[View], now: Timestamp, hints: bool) -> Answer {
    let environments: Value = views.iter().map(View::to_json).collect();
    Answer {
        name: "status",
        pipeline: site.setup.pipeline.name.to_string(),
        source: "cluster",
        body: json!({"environments": environments}),
        text: text(site, views, now, hints),
        finding: views.iter().any(|view| view.state.is_finding()),
    }
}

fn text(site: &Site, views: &[View], now: Timestamp, hints: bool) -> String {
    let head = ["ENVIRONMENT", "COMMIT", "SUBJECT", "HEALTH", "OBJECTS", "DRIFT", "PROMOTION", "BEHIND", "SINCE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(views.iter().map(|view| row(view, now)));
    let mut text = format!("{}  {}  source: cluster\n", site.setup.pipeline.name, site.setup.remote);
    text.push_str(&columns(&rows));
    text.push('\n');
    text.extend(views.iter().map(|view| view.messages(hints)));
    text
}

fn row(view: &View, now: Timestamp) -> Vec<String> {
    let standing = view.survey.known.log.standing.as_ref();
    let dash = || "-".to_owned();
    vec![
        view.environment.name.to_string(),
        standing.map_or_else(dash, |standing| standing.commit.id.short().to_owned()),
        standing.map_or_else(dash, |standing| super::diagnostic::escape(&standing.commit.subject)),
        view.health().to_owned(),
        view.objects().map_or_else(dash, |(well, total)| format!("{well}/{total}")),
        "unknown".to_owned(),
        view.state.as_str().to_owned(),
        if view.behind() == 0 { dash() } else { view.behind().to_string() },
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
