//! When each window opens next, for the document and for people.

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::diagnostic;
use crate::config::{Environment, Pipeline};
use crate::gate::calendar::{Freeze, HORIZON_DAYS, State, Window, freezes_at};

/// Openings that are told of each window.
const COUNT: usize = 5;

/// One window and its next openings.
#[derive(Serialize)]
pub(super) struct Openings {
    pipeline: String,
    environment: String,
    window: String,
    next: Vec<Opening>,
    /// For people: how it stands now.
    #[serde(skip)]
    state: String,
}

/// One opening, in UTC and on the clocks of the window's zone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Opening {
    opens: Timestamp,
    closes: Timestamp,
    opens_local: String,
    closes_local: String,
    /// When the freeze ends in which it lies with its whole length; deny beats allow.
    frozen_until: Option<Timestamp>,
    #[serde(skip)]
    text: String,
}

/// The next openings of every window, in the order of the file.
pub(super) fn of(pipelines: &[Pipeline], now: Timestamp) -> Vec<Openings> {
    let environments = pipelines.iter().flat_map(|pipeline| pipeline.environments.iter().map(move |e| (pipeline, e)));
    let of_environment = |(pipeline, environment): (&Pipeline, &Environment)| {
        let of_window = |window| openings(pipeline, environment, window, now);
        environment.windows.iter().map(of_window).collect::<Vec<_>>()
    };
    environments.flat_map(of_environment).collect()
}

fn openings(pipeline: &Pipeline, environment: &Environment, window: &Window, now: Timestamp) -> Openings {
    let next = window.openings(now, COUNT);
    Openings {
        pipeline: pipeline.name.to_string(),
        environment: environment.name.to_string(),
        window: window.to_string(),
        next: next.into_iter().map(|opening| told(window, &environment.freezes, opening)).collect(),
        state: match window.at(now) {
            State::Open { closes: Some(closes) } => format!("open, closes {}", window.zone().word(closes, now)),
            State::Open { closes: None } => "always open".to_owned(),
            State::Shut { opens: Some(_) } => "shut".to_owned(),
            State::Shut { opens: None } => format!("shut, does not open within {HORIZON_DAYS} days"),
        },
    }
}

fn told(window: &Window, freezes: &[Freeze], (opens, closes): (Timestamp, Timestamp)) -> Opening {
    let zone = window.zone();
    let (opens_local, closes_local) = (zone.word_in_full(opens), zone.word_in_full(closes));
    let frozen = freezes_at(freezes, opens).filter(|(_, until)| *until >= closes);
    let mut text =
        format!("opens {} ({opens_local}), closes {} ({})", utc(opens), utc(closes), zone.word(closes, opens));
    if let Some((freeze, until)) = frozen {
        let reason = freeze.reason().map(|reason| format!(": {}", diagnostic::escape(reason))).unwrap_or_default();
        text.push_str(&format!(", frozen until {}{reason}", zone.word_in_full(until)));
    }
    Opening { opens, closes, opens_local, closes_local, frozen_until: frozen.map(|(_, until)| until), text }
}

fn utc(at: Timestamp) -> String {
    at.strftime("%F %TZ").to_string()
}

/// The openings for people; nothing where there are no windows.
pub(super) fn text(openings: &[Openings]) -> String {
    let mut text = String::new();
    for Openings { pipeline, environment, window, next, state } in openings {
        text.push_str(&format!("{pipeline}/{environment}: {window}, {state}\n"));
        next.iter().for_each(|opening| text.push_str(&format!("  {}\n", opening.text)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    const FILE: &str = "apiVersion: lockmaster.dev/v1alpha1
kind: Pipeline
metadata: {name: shop}
spec:
  repository: {url: https://git.example.com/shop/deploy.git}
  trust: {signers: {file: allowed_signers}}
  environments:
  - name: prod
    branch: env/prod
    path: overlays/prod
    namespace: shop-prod
    windows: [Mon-Fri 09:00-16:30 Europe/Berlin, daily 00:00-24:00 UTC, cron 0 0 29 2 * for 1h UTC]
    freezes: [{from: 2026-03-30, until: 2026-03-31 12:00, zone: Europe/Berlin, reason: \"quarter\\u0007 end\"}]
";

    fn told_at(now: &str) -> Vec<Openings> {
        let pipelines = config::read("lockmaster.yaml", FILE).expect("because the file is good");
        of(&pipelines, now.parse().expect("because it is an instant"))
    }

    #[test]
    fn openings_are_told_in_utc_and_in_their_zone_across_a_change_of_the_clocks() {
        let expected = "\
shop/prod: Mon-Fri 09:00-16:30 Europe/Berlin, open, closes 16:30 Europe/Berlin
  opens 2026-03-27 08:00:00Z (Fri 2026-03-27 09:00 Europe/Berlin), closes 2026-03-27 15:30:00Z (16:30 Europe/Berlin)
  opens 2026-03-30 07:00:00Z (Mon 2026-03-30 09:00 Europe/Berlin), closes 2026-03-30 14:30:00Z (16:30 Europe/Berlin), \
frozen until Tue 2026-03-31 12:00 Europe/Berlin: quarter\\u{7} end
  opens 2026-03-31 07:00:00Z (Tue 2026-03-31 09:00 Europe/Berlin), closes 2026-03-31 14:30:00Z (16:30 Europe/Berlin)
  opens 2026-04-01 07:00:00Z (Wed 2026-04-01 09:00 Europe/Berlin), closes 2026-04-01 14:30:00Z (16:30 Europe/Berlin)
  opens 2026-04-02 07:00:00Z (Thu 2026-04-02 09:00 Europe/Berlin), closes 2026-04-02 14:30:00Z (16:30 Europe/Berlin)
shop/prod: daily 00:00-24:00 UTC, always open
shop/prod: cron 0 0 29 2 * for 1h UTC, shut, does not open within 400 days
";
        assert_eq!(text(&told_at("2026-03-26T15:00:00Z")), expected);
    }

    #[test]
    fn the_document_has_the_same_openings() {
        let document = serde_json::to_value(told_at("2026-03-27T15:30:00Z")).expect("because it is plain data");
        assert_eq!(document.as_array().map(Vec::len), Some(3));
        assert_eq!(document[0]["next"].as_array().map(Vec::len), Some(5));
        let expected = serde_json::json!({
            "opens": "2026-03-30T07:00:00Z", "closes": "2026-03-30T14:30:00Z",
            "opensLocal": "Mon 2026-03-30 09:00 Europe/Berlin", "closesLocal": "Mon 2026-03-30 16:30 Europe/Berlin",
            "frozenUntil": "2026-03-31T10:00:00Z",
        });
        assert_eq!(document[0]["next"][0], expected);
        assert_eq!(document[0]["next"][1]["frozenUntil"], serde_json::Value::Null);
        let always = serde_json::json!({
            "pipeline": "shop", "environment": "prod", "window": "daily 00:00-24:00 UTC", "next": [],
        });
        assert_eq!(document[1], always);
    }
}
