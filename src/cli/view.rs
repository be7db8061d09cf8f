//! One view of an environment for `status` and for the end of `run --once`: its state, and every reason.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::diagnostic::{self, Place, Verdict};
use super::{document, gates, held, message};
use crate::agent::stand::{DriftState, Stand};
use crate::agent::survey::Survey;
use crate::config::Environment;
use crate::deploylog::{Log, Past, Phase};
use crate::edge::clock;
use crate::gate::calendar::freezes_at;
use crate::health::Health;
use crate::name::{Class, Code, Reason};

/// An environment as `status` shows it.
pub(super) struct View {
    pub(super) environment: Environment,
    pub(super) stand: Stand,
    pub(super) place: Place,
    /// Why the environment could not be looked at, or is stuck.
    trouble: Option<Reason>,
}

impl View {
    pub(super) fn new(
        environment: Environment,
        surveyed: Result<Survey, Reason>,
        stuck: Option<Reason>,
        place: Place,
    ) -> View {
        match surveyed {
            Ok(survey) => {
                let stand = Stand::of_survey(survey, environment.on_drift, stuck.as_ref());
                View { place: Place { left: stand.left, ..place }, environment, stand, trouble: stuck }
            }
            Err(reason) => {
                let trouble = Some(reason.clone());
                View { environment, stand: Stand::unknown(reason), place, trouble }
            }
        }
    }

    /// As the agent that runs knows it.
    pub(super) fn of(environment: Environment, stand: Stand, place: Place) -> View {
        View { environment, stand, place, trouble: None }
    }

    /// Why nothing at all is known of the environment.
    pub(super) fn unseen(&self) -> Option<&Reason> {
        self.trouble.as_ref().filter(|_| !self.stand.seen)
    }

    /// What could not be looked at or done has failed; a log that must not be trusted is a finding.
    pub(super) fn verdict(&self) -> Verdict {
        let failed = |reason: &Reason| {
            matches!(reason.code.class(), Class::Retried | Class::Failed) || reason.code == Code::Forbidden
        };
        match &self.trouble {
            Some(reason) if failed(reason) => Verdict::Failed,
            _ if self.stand.state.is_finding() || self.stand.drift.is_finding() => Verdict::Found,
            _ => Verdict::Good,
        }
    }

    pub(super) fn health(&self) -> String {
        word(&self.stand.health.unwrap_or(Health::Unknown))
    }

    /// Drift in a word or two; what was healed stays to be seen.
    pub(super) fn drift(&self, now: Timestamp) -> String {
        let drift = &self.stand.drift;
        match (drift.state, drift.healed_at) {
            (DriftState::None, Some(at)) => format!("healed {} ago", super::status::age(at, now)),
            (DriftState::None | DriftState::Unknown | DriftState::Paused, _) => word(&drift.state),
            (state, _) => format!("{} {}", drift.objects, word(&state)),
        }
    }

    pub(super) fn opened_at(&self) -> Option<Timestamp> {
        self.stand.log.standing.as_ref().map(|standing| standing.opened_at)
    }

    /// The reasons as messages, each with its hint.
    pub(super) fn messages(&self, hints: bool) -> String {
        let messages = message::all(&self.stand.reasons, &self.place, &self.environment, &self.stand.log, hints);
        messages + &self.freeze_text(hints)
    }

    pub(super) fn to_json(&self) -> Value {
        let Stand { log, drift, .. } = &self.stand;
        let newest = log.entries.last();
        let objects = self.stand.well().map(|(well, total)| json!({"total": total, "healthy": well}));
        let is_proven = |log: &Log| {
            matches!(log.standing.as_ref().map(|standing| &standing.outcome), Some(Some((Phase::Proven, _))))
        };
        let units = &self.stand.units;
        let (total, proven) = match units.len() {
            0 => (1, usize::from(is_proven(log))),
            total => (total, units.values().filter(|unit| is_proven(&unit.log)).count()),
        };
        json!({
            "name": self.environment.name,
            "ref": self.environment.branch,
            "state": self.stand.state,
            "reasons": document::reasons(&self.stand.reasons, &self.place),
            "accepted": log.accepted.as_deref().map(document::commit),
            "standing": log.standing.as_ref().map(document::release),
            "candidate": self.stand.candidate.as_ref().map(document::commit),
            "units": {"total": total, "proven": proven},
            "behind": self.stand.behind,
            "health": self.health(),
            "objects": objects,
            "nextLook": self.stand.next_look.map(|at| at.to_string()),
            "log": newest.map(|entry| json!({
                "sequence": entry.sequence, "hash": entry.hash, "unpublished": log.entries.len(),
            })),
            "drift": {"state": drift.state, "objects": drift.objects, "lastHealedAt": drift.healed_at.map(|at| at.to_string())},
            "holds": held::document(log),
            "freeze": self.freeze(clock::now()),
        })
    }

    /// The freeze that ends last: what a person stated, else what the pipeline says. Whether it is over is told by the
    /// clock of this machine.
    fn freeze(&self, now: Timestamp) -> Option<Frozen> {
        let stated = Past::of(&self.stand.log, 1).freezes.into_iter().filter(|freeze| now < freeze.until);
        let stated = stated.map(|freeze| Frozen { until: freeze.until, by: freeze.by, reason: freeze.reason });
        let dated = freezes_at(&self.environment.freezes, now).map(|(freeze, until)| {
            let reason = freeze.reason().unwrap_or_default().to_owned();
            Frozen { until, by: PIPELINE.to_owned(), reason }
        });
        stated.chain(dated).max_by_key(|freeze| freeze.until)
    }

    /// A freeze that no candidate waits for is told as well.
    fn freeze_text(&self, hints: bool) -> String {
        let waits = self.stand.reasons.iter().any(|reason| reason.code == Code::Frozen);
        let Some(freeze) = self.freeze(clock::now()).filter(|_| !waits) else { return String::new() };
        let why = if freeze.reason.is_empty() { String::new() } else { format!(": {}", freeze.reason) };
        let until = gates::utc(freeze.until);
        let text = format!("`{}` is frozen until {until} by {}{why}", self.environment.name, freeze.by);
        let reason = Reason::new(Code::Frozen, text);
        diagnostic::message(diagnostic::Word::of(reason.code), &reason, &[], None) + &self.unfreeze(&freeze, hints)
    }

    fn unfreeze(&self, freeze: &Frozen, hints: bool) -> String {
        let stated = hints && freeze.by != PIPELINE;
        let command = format!("end it: lockmaster unfreeze {} --reason WHY", self.environment.name);
        if stated { diagnostic::hint_line(&command) } else { String::new() }
    }
}

/// Who froze what the pipeline froze.
const PIPELINE: &str = "the pipeline";

/// Until when nothing is promoted into an environment.
#[derive(serde::Serialize)]
struct Frozen {
    until: Timestamp,
    by: String,
    reason: String,
}

/// The word that people and scripts read.
pub(super) fn word(state: &impl serde::Serialize) -> String {
    let text = serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_default()
}
