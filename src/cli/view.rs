//! One view of an environment for `status` and for the end of `run --once`: its state, and every reason.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::diagnostic::{Place, Verdict};
use super::{document, message};
use crate::agent::judge::Finding;
use crate::agent::survey::Survey;
use crate::config::Environment;
use crate::deploylog::{EntryCommit, Phase};
use crate::health::Health;
use crate::name::{Class, Code, Reason};

/// The states of an environment; the rightmost that holds is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// The tip opens nothing, and the standing release is proven.
    Current,
    /// A candidate waits by itself.
    Waiting,
    /// From opened until proven, failed or superseded.
    Settling,
    /// The candidate is refused.
    Refused,
    /// The candidate needs a person.
    Held,
    /// The standing release is not healthy.
    Failed,
    /// The agent cannot look, write, or trust its own log.
    Blocked,
}

impl State {
    /// The word that people and scripts read.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            State::Current => "current",
            State::Waiting => "waiting",
            State::Settling => "settling",
            State::Refused => "refused",
            State::Held => "held",
            State::Failed => "failed",
            State::Blocked => "blocked",
        }
    }

    /// Whether `status` exits 1 for it: waiting and settling are well.
    pub(super) fn is_finding(self) -> bool {
        self >= State::Refused
    }
}

/// An environment as `status` shows it.
pub(super) struct View {
    pub(super) environment: Environment,
    pub(super) survey: Survey,
    pub(super) state: State,
    pub(super) reasons: Vec<Reason>,
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
        let survey = match surveyed {
            Ok(survey) => survey,
            Err(reason) => {
                let survey = Survey::unknown(&reason);
                let trouble = Some(reason.clone());
                return View { environment, survey, state: State::Blocked, reasons: vec![reason], place, trouble };
            }
        };
        let left = survey.outlook.as_ref().map_or(0, |outlook| outlook.left);
        let place = Place { left, ..place };
        let mut states = BTreeSet::from([State::Current]);
        let mut reasons = Vec::new();
        let mut add = |state: State, more: Vec<Reason>| {
            states.insert(state);
            reasons.extend(more);
        };
        if let Some(standing) = &survey.known.log.standing {
            match &standing.outcome {
                None => add(State::Settling, Vec::new()),
                Some((Phase::Failed, _)) => add(State::Failed, standing.reasons.clone()),
                Some(_) => {}
            }
        } else {
            add(State::Waiting, Vec::new());
        }
        let proven = matches!(survey.known.log.standing.as_ref().map(|s| &s.outcome), Some(Some((Phase::Proven, _))));
        if let Some(objects) = survey.objects.as_ref().filter(|_| proven) {
            let worst = objects.worst();
            if matches!(worst, Health::Failed | Health::Missing) {
                add(State::Failed, unwell(objects));
            }
            if !objects.prune_waits.is_empty() {
                add(State::Held, objects.prune_waits.clone());
            }
        }
        match (&survey.tip, survey.outlook.as_ref().map(|outlook| &outlook.verdict)) {
            (Err(reason), _) => add(state_of(reason), vec![reason.clone()]),
            (_, Some(Finding::Stopped { refused, reasons })) => add(stopped(*refused, reasons), reasons.clone()),
            (_, Some(Finding::Unreachable(reason))) => add(State::Blocked, vec![reason.clone()]),
            (_, Some(Finding::Admitted(_) | Finding::Accepted)) => add(State::Waiting, Vec::new()),
            (_, Some(Finding::Unchanged) | None) => {}
        }
        if let Some(reason) = &stuck {
            states.insert(State::Blocked);
            reasons.retain(|known| known != reason);
            reasons.push(reason.clone());
        }
        let state = states.last().copied().unwrap_or(State::Blocked);
        View { environment, survey, state, reasons, place, trouble: stuck }
    }

    /// Why nothing at all is known of the environment.
    pub(super) fn unseen(&self) -> Option<&Reason> {
        self.trouble.as_ref().filter(|_| self.survey.known.cluster.is_empty())
    }

    /// What could not be looked at or done has failed; a log that must not be trusted is a finding.
    pub(super) fn verdict(&self) -> Verdict {
        let failed = |reason: &Reason| {
            matches!(reason.code.class(), Class::Retried | Class::Failed) || reason.code == Code::Forbidden
        };
        match &self.trouble {
            Some(reason) if failed(reason) => Verdict::Failed,
            _ if self.state.is_finding() => Verdict::Found,
            _ => Verdict::Good,
        }
    }

    /// The candidate, where the tip is one.
    pub(super) fn candidate(&self) -> Option<&EntryCommit> {
        let outlook = self.survey.outlook.as_ref()?;
        (!matches!(outlook.verdict, Finding::Unchanged)).then_some(&outlook.candidate)
    }

    pub(super) fn behind(&self) -> usize {
        let outlook = self.survey.outlook.as_ref();
        outlook.filter(|_| self.candidate().is_some()).map_or(0, |outlook| outlook.commits.len().max(1))
    }

    pub(super) fn health(&self) -> &'static str {
        let objects = self.survey.objects.as_ref();
        match objects.map(super::super::agent::survey::Objects::worst) {
            None => "unknown",
            Some(Health::Healthy) => "healthy",
            Some(Health::Progressing) => "progressing",
            Some(Health::Suspended) => "suspended",
            Some(Health::Missing) => "missing",
            Some(Health::Failed) => "failed",
            Some(Health::Unknown) => "unknown",
        }
    }

    /// How many objects the standing release has, and how many of them are well.
    pub(super) fn objects(&self) -> Option<(usize, usize)> {
        let objects = self.survey.objects.as_ref()?;
        let well = objects.health.values().filter(|assessment| crate::plan::is_settled(assessment.health)).count();
        Some((well, objects.health.len()))
    }

    pub(super) fn opened_at(&self) -> Option<Timestamp> {
        self.survey.known.log.standing.as_ref().map(|standing| standing.opened_at)
    }

    /// The reasons as messages, each with its hint.
    pub(super) fn messages(&self, hints: bool) -> String {
        message::all(&self.reasons, &self.place, &self.environment, &self.survey.known.log, hints)
    }

    pub(super) fn to_json(&self) -> Value {
        let log = &self.survey.known.log;
        let newest = log.entries.last();
        let objects = self.objects().map(|(well, total)| json!({"total": total, "healthy": well}));
        let proven = usize::from(matches!(log.standing.as_ref().map(|s| &s.outcome), Some(Some((Phase::Proven, _)))));
        json!({
            "name": self.environment.name,
            "ref": self.environment.branch,
            "state": self.state,
            "reasons": document::reasons(&self.reasons, &self.place),
            "accepted": log.accepted.as_ref().map(document::commit),
            "standing": log.standing.as_ref().map(document::release),
            "candidate": self.candidate().map(document::commit),
            "units": {"total": 1, "proven": proven},
            "behind": self.behind(),
            "health": self.health(),
            "objects": objects,
            "nextLook": null,
            "log": newest.map(|entry| json!({
                "sequence": entry.sequence, "hash": entry.hash, "unpublished": log.entries.len(),
            })),
            "drift": {"state": "unknown", "objects": 0, "lastHealedAt": null},
            "holds": [],
            "freeze": null,
        })
    }
}

fn unwell(objects: &crate::agent::survey::Objects) -> Vec<Reason> {
    let unwell =
        objects.health.iter().filter(|(_, assessment)| matches!(assessment.health, Health::Failed | Health::Missing));
    let reason = |(key, assessment): (&crate::name::ObjectKey, &crate::health::Assessment)| {
        Reason::new(Code::ObjectFailed, format!("`{key}`: {}", assessment.message)).at_object(key.clone())
    };
    unwell.map(reason).collect()
}

fn stopped(refused: bool, reasons: &[Reason]) -> State {
    let person = reasons.iter().any(|reason| reason.code.class() == Class::Person);
    match (refused, person) {
        (_, true) => State::Held,
        (true, false) => State::Refused,
        (false, false) => State::Waiting,
    }
}

/// What it means that the tip could not be read.
fn state_of(reason: &Reason) -> State {
    match reason.code.class() {
        Class::Refused => State::Refused,
        Class::Person => State::Held,
        _ => State::Blocked,
    }
}
