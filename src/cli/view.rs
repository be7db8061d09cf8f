//! One view of an environment for `status` and for the end of `run --once`: its state, and every reason.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::diagnostic::{self, Place, Verdict};
use super::{document, gates, held, message};
use crate::agent::stand::{DriftState, Stand};
use crate::agent::survey::Surveys;
use crate::config::Environment;
use crate::deploylog::{EntryCommit, Log, Past};
use crate::edge::clock;
use crate::gate::calendar::freezes_at;
use crate::health::Health;
use crate::name::{Class, Code, Reason, UnitName};

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
        surveyed: Result<Surveys, Reason>,
        stuck: Option<Reason>,
        place: Place,
    ) -> View {
        match surveyed {
            Ok(surveys) => {
                let stand = Stand::of_surveys(surveys, environment.on_drift, stuck.as_ref());
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

    /// When what stands was opened; of several units, the newest.
    pub(super) fn opened_at(&self) -> Option<Timestamp> {
        self.logs().filter_map(|(_, log)| log.standing.as_ref()).map(|standing| standing.opened_at).max()
    }

    /// The commit that stands; of several units, the newest that any opened.
    pub(super) fn commit(&self) -> Option<&EntryCommit> {
        match &self.environment.units {
            Some(_) => self.stand.log.accepted.as_deref(),
            None => self.stand.log.standing.as_ref().map(|standing| &standing.commit),
        }
    }

    /// How many units there are, and how many of them stand proven.
    pub(super) fn units(&self) -> Units {
        match &self.environment.units {
            Some(_) => {
                let proven = self.stand.units.values().filter(|unit| unit.is_proven()).count();
                Units { total: self.stand.units.len(), proven }
            }
            None => Units { total: 1, proven: usize::from(self.stand.is_proven()) },
        }
    }

    /// The log of each unit; where there are none, the log.
    fn logs(&self) -> impl Iterator<Item = (UnitName, &Log)> {
        let alone = self.stand.units.is_empty().then_some((UnitName::whole(), &self.stand.log));
        alone.into_iter().chain(self.stand.units.iter().map(|(unit, stand)| (unit.clone(), &stand.log)))
    }

    /// The reasons as messages, each with its hint.
    pub(super) fn messages(&self, hints: bool) -> String {
        let logs: Vec<(UnitName, &Log)> = self.logs().collect();
        let messages = message::of_units(&self.stand.reasons, &self.place, &self.environment, &logs, hints);
        messages + &self.freeze_text(hints)
    }

    pub(super) fn to_json(&self) -> Value {
        let Stand { log, drift, .. } = &self.stand;
        let newest = log.entries.last();
        let objects = self.stand.well().map(|(well, total)| json!({"total": total, "healthy": well}));
        json!({
            "name": self.environment.name,
            "ref": self.environment.branch,
            "state": self.stand.state,
            "reasons": document::reasons(&self.stand.reasons, &self.place),
            "accepted": log.accepted.as_deref().map(document::commit),
            "standing": log.standing.as_ref().map(document::release),
            "candidate": self.stand.candidate.as_ref().map(document::commit),
            "units": self.units(),
            "behind": self.stand.behind,
            "health": self.health(),
            "objects": objects,
            "nextLook": self.stand.next_look.map(|at| at.to_string()),
            "log": newest.map(|entry| json!({
                "sequence": entry.sequence, "hash": entry.hash, "unpublished": log.entries.len(),
            })),
            "drift": {"state": drift.state, "objects": drift.objects, "lastHealedAt": drift.healed_at.map(|at| at.to_string())},
            "holds": held::document(&self.stand),
            "freeze": self.freeze(clock::now()),
        })
    }

    /// The freeze that ends last: what a person stated, else what the pipeline says. Whether it is over is told by the
    /// clock of this machine.
    fn freeze(&self, now: Timestamp) -> Option<Frozen> {
        let stated = Past::of(self.stand.shared_log(), 1).freezes.into_iter().filter(|freeze| now < freeze.until);
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

/// How many units there are, and how many of them stand proven.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Units {
    total: usize,
    proven: usize,
}

impl std::fmt::Display for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.proven, self.total)
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
