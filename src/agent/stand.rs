//! How an environment stands, for `status`, the API and the metrics: one judgement, whether a running agent knows it or a
//! verb has just read it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::course::{Overview, Overviews, Stop};
use crate::deploylog::{EntryCommit, Log, Phase};
use crate::gate::{self, Gate};
use crate::health::{Assessment, Health};
use crate::name::{Class, Code, CommitId, ObjectKey, Reason, UnitName};
use crate::plan::OnDrift;

use super::judge::Finding;
use super::survey::{Survey, Surveys};

/// The states of an environment; the rightmost that holds is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
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

/// What is known of drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftState {
    /// Everything is as the release says.
    None,
    /// Something is not, and nobody heals it now.
    Found,
    /// Something is not, and is being healed.
    Healing,
    /// Somebody changes it back again and again.
    Fighting,
    /// It is left alone on purpose.
    Paused,
    /// Nobody looked.
    Unknown,
}

/// Drift, in short.
#[derive(Debug, Clone, Copy)]
pub struct Drifting {
    /// What is known.
    pub state: DriftState,
    /// How many objects are not as the release says.
    pub objects: usize,
    /// Of these, how many somebody changes back.
    pub fighting: usize,
    /// When the last one was healed.
    pub healed_at: Option<Timestamp>,
}

/// See the module.
#[derive(Debug)]
pub struct Stand {
    /// The state.
    pub state: State,
    /// Why.
    pub reasons: Vec<Reason>,
    /// The log.
    pub log: Log,
    /// The tip of the branch, where it could be read.
    pub tip: Option<CommitId>,
    /// The candidate, where the tip is one.
    pub candidate: Option<EntryCommit>,
    /// Commits of the candidate that the accepted head has not.
    pub behind: usize,
    /// Accepted commits that the tip does not have.
    pub left: u64,
    /// The worst health of all objects; `None` where nobody looked.
    pub health: Option<Health>,
    /// How many objects of the standing release are of each health; `None` where nobody looked.
    pub objects: Option<BTreeMap<Health, usize>>,
    /// Drift.
    pub drift: Drifting,
    /// The gates of the candidate, where a verb has just asked them.
    pub gates: Vec<Gate>,
    /// When the candidate is judged again without anybody doing anything.
    pub next_look: Option<Timestamp>,
    /// Whether anything could be read at all.
    pub seen: bool,
    /// How each unit stands, where the environment has units.
    pub units: BTreeMap<UnitName, Stand>,
}

/// What a state is made of.
struct Facts<'a> {
    log: &'a Log,
    unwell: Vec<(&'a ObjectKey, &'a Assessment)>,
    prune_waits: &'a [Reason],
    troubles: &'a [Reason],
    tip: Option<&'a Result<CommitId, Reason>>,
    candidate: Candidate<'a>,
    stuck: Option<&'a Reason>,
}

enum Candidate<'a> {
    Nothing,
    Moving,
    Stopped(bool, &'a [Reason]),
    Unreachable(&'a Reason),
}

impl Drifting {
    /// Nobody looked.
    pub const UNKNOWN: Drifting = Drifting { state: DriftState::Unknown, objects: 0, fighting: 0, healed_at: None };

    fn of(objects: usize, fighting: usize, on_drift: OnDrift, heals: bool, healed_at: Option<Timestamp>) -> Self {
        let state = match on_drift {
            OnDrift::Pause => DriftState::Paused,
            _ if objects == 0 => DriftState::None,
            _ if fighting > 0 => DriftState::Fighting,
            OnDrift::Heal if heals => DriftState::Healing,
            OnDrift::Heal | OnDrift::Report => DriftState::Found,
        };
        Drifting { state, objects, fighting, healed_at }
    }

    /// The drift of several units: the worst state, and all that drifted.
    fn together<'d>(all: impl Iterator<Item = &'d Drifting>) -> Drifting {
        let rank = |state: DriftState| match state {
            DriftState::None => 0,
            DriftState::Unknown => 1,
            DriftState::Paused => 2,
            DriftState::Healing => 3,
            DriftState::Found => 4,
            DriftState::Fighting => 5,
        };
        let sum = |a: Drifting, b: Drifting| Drifting {
            state: if rank(a.state) >= rank(b.state) { a.state } else { b.state },
            objects: a.objects + b.objects,
            fighting: a.fighting + b.fighting,
            healed_at: a.healed_at.max(b.healed_at),
        };
        all.copied().reduce(sum).unwrap_or(Drifting::UNKNOWN)
    }

    /// Whether `status` exits 1 for it.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        matches!(self.state, DriftState::Found | DriftState::Healing | DriftState::Fighting)
    }
}

impl State {
    /// Whether `status` exits 1 for it: waiting and settling are well.
    #[must_use]
    pub fn is_finding(self) -> bool {
        self >= State::Refused
    }
}

impl Stand {
    /// As the walks of a running agent know it.
    #[must_use]
    pub fn of_overviews(overviews: Overviews) -> Stand {
        let Overviews { whole, mut units, tip, strangers } = overviews;
        if let Some(one) = units.remove(&UnitName::whole()) {
            return Stand::of_overview(one);
        }
        let units = units.into_iter().map(|(unit, overview)| (unit, Stand::of_overview(overview))).collect();
        Stand::together(whole, tip, units, strangers)
    }

    /// An environment as its units stand; `strangers` say why directories beside them are none.
    #[must_use]
    pub fn together(
        whole: Log,
        tip: Option<Result<CommitId, Reason>>,
        units: BTreeMap<UnitName, Stand>,
        strangers: Vec<Reason>,
    ) -> Stand {
        let unreadable =
            tip.as_ref().and_then(|tip| tip.as_ref().err()).map(|reason| (state_of(reason), reason.clone()));
        let mut state = units.values().map(|stand| stand.state).max().unwrap_or(State::Waiting);
        let mut reasons = shared_reasons(units.iter().map(|(unit, stand)| (unit, stand.reasons.as_slice())).collect());
        if let Some((worse, reason)) = unreadable.filter(|(_, reason)| !reasons.contains(reason)) {
            state = state.max(worse);
            reasons.push(reason);
        }
        if !strangers.is_empty() {
            state = state.max(State::Refused);
        }
        reasons.extend(strangers);
        let all = || units.values();
        let mut objects: Option<BTreeMap<Health, usize>> = None;
        for (health, count) in all().filter_map(|stand| stand.objects.as_ref()).flatten() {
            *objects.get_or_insert_default().entry(*health).or_default() += count;
        }
        let first = all().find(|stand| stand.candidate.is_some());
        Stand {
            state,
            reasons,
            log: whole,
            tip: tip.and_then(Result::ok),
            candidate: first.and_then(|stand| stand.candidate.clone()),
            behind: all().map(|stand| stand.behind).max().unwrap_or_default(),
            left: all().map(|stand| stand.left).max().unwrap_or_default(),
            health: objects.as_ref().map(worst),
            objects,
            drift: Drifting::together(all().map(|stand| &stand.drift)),
            gates: first.map(|stand| stand.gates.clone()).unwrap_or_default(),
            next_look: all().filter_map(|stand| stand.next_look).min(),
            seen: all().any(|stand| stand.seen),
            units,
        }
    }

    /// As the walk of one unit of a running agent knows it.
    #[must_use]
    pub fn of_overview(overview: Overview) -> Stand {
        let Overview { log, tip, stop, moving, progress, unwell, troubles, drifts, prune_waits, stuck } = overview;
        let candidate = match &stop {
            Some(Stop { refused, reasons, .. }) => Candidate::Stopped(*refused, reasons),
            None if moving => Candidate::Moving,
            None => Candidate::Nothing,
        };
        let facts = Facts {
            log: &log,
            unwell: unwell.iter().collect(),
            prune_waits: &prune_waits,
            troubles: &troubles,
            tip: tip.as_ref(),
            candidate,
            stuck: stuck.as_ref(),
        };
        let (state, reasons) = judge(&facts);
        let objects = progress.map(|progress| {
            let mut counts = counted(unwell.values().map(|assessment| assessment.health));
            *counts.entry(Health::Progressing).or_default() += progress.objects - progress.applied;
            *counts.entry(Health::Healthy).or_default() += progress.healthy;
            counts.retain(|_, count| *count > 0);
            counts
        });
        let drift = Drifting::of(drifts.found.len(), drifts.fighting, drifts.on_drift, true, drifts.healed_at);
        let behind = stop.as_ref().map_or(0, |stop| stop.candidate.ships.len().max(1));
        let next_look = stop.as_ref().and_then(|stop| stop.until);
        let candidate = stop.map(|stop| stop.candidate);
        let health = objects.as_ref().map(worst);
        Stand {
            state,
            reasons,
            log,
            tip: tip.and_then(Result::ok),
            candidate,
            behind,
            left: 0,
            health,
            objects,
            drift,
            gates: Vec::new(),
            next_look,
            seen: true,
            units: BTreeMap::new(),
        }
    }

    /// As a verb has just read it; `stuck` is what the agent of `run --once` could not do.
    #[must_use]
    pub fn of_surveys(surveys: Surveys, on_drift: OnDrift, stuck: Option<&Reason>) -> Stand {
        let Surveys { whole, tip, mut units, strangers } = surveys;
        if let Some(one) = units.remove(&UnitName::whole()) {
            return Stand::of_survey(one, on_drift, stuck);
        }
        let units = units.into_iter().map(|(unit, survey)| (unit, Stand::of_survey(survey, on_drift, None))).collect();
        let mut stand = Stand::together(whole, Some(tip), units, strangers);
        if let Some(reason) = stuck {
            stand.state = State::Blocked;
            // It stands last: it is why nothing moves.
            stand.reasons.retain(|known| known != reason);
            stand.reasons.push(reason.clone());
        }
        stand
    }

    /// The log in which the entries stand that are about all units.
    #[must_use]
    pub fn shared_log(&self) -> &Log {
        self.units.values().next().map_or(&self.log, |unit| &unit.log)
    }

    /// Whether the standing release is proven.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        matches!(self.log.standing.as_ref().map(|standing| &standing.outcome), Some(Some((Phase::Proven, _))))
    }

    /// As a verb has just read one unit of it.
    #[must_use]
    pub fn of_survey(survey: Survey, on_drift: OnDrift, stuck: Option<&Reason>) -> Stand {
        let Survey { known, tip, outlook, objects } = survey;
        let candidate = match outlook.as_ref().map(|outlook| &outlook.verdict) {
            Some(Finding::Stopped { refused, reasons }) => Candidate::Stopped(*refused, reasons),
            Some(Finding::Unreachable(reason)) => Candidate::Unreachable(reason),
            Some(Finding::Admitted(_) | Finding::Accepted) => Candidate::Moving,
            Some(Finding::Unchanged) | None => Candidate::Nothing,
        };
        let facts = Facts {
            log: &known.log,
            unwell: objects.iter().flat_map(|objects| &objects.health).collect(),
            prune_waits: objects.as_ref().map_or(&[], |objects| &objects.prune_waits),
            troubles: &[],
            tip: Some(&tip),
            candidate,
            stuck,
        };
        let (state, reasons) = judge(&facts);
        let drift = objects.as_ref().and_then(|objects| objects.drifted);
        let drift = drift.map_or(Drifting::UNKNOWN, |found| Drifting::of(found, 0, on_drift, false, None));
        let left = outlook.as_ref().map_or(0, |outlook| outlook.left);
        let outlook = outlook.filter(|outlook| !matches!(outlook.verdict, Finding::Unchanged));
        let behind = outlook.as_ref().map_or(0, |outlook| outlook.commits.len().max(1));
        let objects = objects.map(|objects| counted(objects.health.values().map(|assessment| assessment.health)));
        Stand {
            state,
            reasons,
            log: known.log,
            tip: tip.ok(),
            next_look: outlook.as_ref().and_then(|outlook| gate::next_look(&outlook.gates)),
            gates: outlook.as_ref().map(|outlook| outlook.gates.clone()).unwrap_or_default(),
            candidate: outlook.map(|outlook| outlook.candidate),
            behind,
            left,
            health: objects.as_ref().map(worst),
            objects,
            drift,
            seen: !known.cluster.is_empty(),
            units: BTreeMap::new(),
        }
    }

    /// Of an environment that cannot be looked at.
    #[must_use]
    pub fn unknown(reason: Reason) -> Stand {
        Stand {
            state: State::Blocked,
            reasons: vec![reason],
            log: Log::default(),
            tip: None,
            candidate: None,
            behind: 0,
            left: 0,
            health: None,
            objects: None,
            drift: Drifting::UNKNOWN,
            gates: Vec::new(),
            next_look: None,
            seen: false,
            units: BTreeMap::new(),
        }
    }

    /// How many objects the standing release has that are well, and how many it has.
    #[must_use]
    pub fn well(&self) -> Option<(usize, usize)> {
        let objects = self.objects.as_ref()?;
        let well = objects.iter().filter(|(health, _)| crate::plan::is_settled(**health)).map(|(_, count)| count).sum();
        Some((well, objects.values().sum()))
    }
}

/// How many units a reason names that several have.
const NAMED: usize = 3;

/// The reasons of all units, each with the names of those whose reason it is.
#[must_use]
pub fn shared_reasons(units: BTreeMap<&UnitName, &[Reason]>) -> Vec<Reason> {
    let count = units.len();
    let mut all: Vec<(Reason, Vec<&UnitName>)> = Vec::new();
    let mut places: BTreeMap<(Code, &str), usize> = BTreeMap::new();
    for (unit, reasons) in units {
        for reason in reasons {
            let place = *places.entry((reason.code, &reason.message)).or_insert_with(|| {
                all.push((reason.clone(), Vec::<&UnitName>::new()));
                all.len() - 1
            });
            all[place].1.push(unit);
        }
    }
    let named = |(mut reason, of): (Reason, Vec<&UnitName>)| {
        if (of.len() < count || count == 1) && !of.iter().any(|unit| unit.is_whole()) {
            let more = of.len().saturating_sub(NAMED);
            let names = of.into_iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            reason.message = format!("{names}{more}: {}", reason.message);
        }
        reason
    };
    all.into_iter().map(named).collect()
}

/// The worst health of all.
fn worst(objects: &BTreeMap<Health, usize>) -> Health {
    let rank = |health: &Health| match health {
        Health::Healthy => 0,
        Health::Suspended => 1,
        Health::Progressing => 2,
        Health::Unknown => 3,
        Health::Missing => 4,
        Health::Failed => 5,
    };
    objects.keys().copied().max_by_key(rank).unwrap_or(Health::Healthy)
}

fn counted(all: impl Iterator<Item = Health>) -> BTreeMap<Health, usize> {
    let mut counts = BTreeMap::new();
    for health in all {
        *counts.entry(health).or_default() += 1;
    }
    counts
}

fn judge(facts: &Facts<'_>) -> (State, Vec<Reason>) {
    let mut states = BTreeSet::from([State::Current]);
    let mut reasons: Vec<Reason> = Vec::new();
    let mut add = |state: State, more: &[Reason]| {
        states.insert(state);
        let new = more.iter().filter(|reason| !reasons.contains(reason)).cloned().collect::<Vec<_>>();
        reasons.extend(new);
    };
    let standing = facts.log.standing.as_ref();
    match standing.map(|standing| &standing.outcome) {
        None => add(State::Waiting, &[]),
        Some(None | Some((Phase::Settled, _))) => add(State::Settling, &[]),
        Some(Some((Phase::Failed, _))) => add(State::Failed, &standing.map_or(Vec::new(), |it| it.reasons.clone())),
        Some(Some((Phase::Proven, _))) => {
            let ill = unwell(&facts.unwell);
            if !ill.is_empty() {
                add(State::Failed, &ill);
            }
            if !facts.prune_waits.is_empty() {
                add(State::Held, facts.prune_waits);
            }
        }
        Some(Some(_)) => {}
    }
    for trouble in facts.troubles {
        let person = trouble.code.class() == Class::Person;
        add(if person { State::Held } else { State::Settling }, std::slice::from_ref(trouble));
    }
    if let Some(Err(reason)) = facts.tip {
        add(state_of(reason), std::slice::from_ref(reason));
    }
    match facts.candidate {
        Candidate::Nothing => {}
        Candidate::Moving => add(State::Waiting, &[]),
        Candidate::Stopped(refused, reasons) => add(stopped(refused, reasons), reasons),
        Candidate::Unreachable(reason) => add(State::Blocked, std::slice::from_ref(reason)),
    }
    if let Some(reason) = facts.stuck {
        add(State::Blocked, std::slice::from_ref(reason));
        // It stands last: it is why nothing moves.
        reasons.retain(|known| known != reason);
        reasons.push(reason.clone());
    }
    (states.last().copied().unwrap_or(State::Blocked), reasons)
}

fn unwell(objects: &[(&ObjectKey, &Assessment)]) -> Vec<Reason> {
    let bad = objects.iter().filter(|(_, it)| matches!(it.health, Health::Failed | Health::Missing));
    let reason = |(key, assessment): &(&ObjectKey, &Assessment)| {
        Reason::new(Code::ObjectFailed, format!("`{key}`: {}", assessment.message)).at_object((*key).clone())
    };
    bad.map(reason).collect()
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
