//! May it enter now?
//!
//! One file per gate. In: a candidate, what the environment's log remembers, what upstream proves, what people stated, and
//! at the end a plan. Out: [`Admission`], with the verdict of every gate, so that `explain` and the deployment log can show
//! all of them and not only the first that said no.
//!
//! | gate | question |
//! |---|---|
//! | `rollback` | is it content that ran here and was proven, and can it be gone back to? |
//! | `signatures` | without `from`: is every new commit signed by a writer? |
//! | `upstream` | with `from`: is the content proven there? |
//! | `intent` | does somebody with authority over this environment want it here? |
//! | `holds` | does it bring back what was taken back? |
//! | `queue` | is the release before it done? |
//! | `freezes`, `windows` | is now a time for it? |
//! | `approvals` | did enough people approve? |
//! | `adoption` | does it take objects of others? |

mod admitted;
mod adoption;
mod approvals;
pub mod calendar;
mod case;
mod holds;
mod intent;
mod layout;
mod queue;
mod rollback;
mod rules;
mod signatures;
mod time;
mod upstream;
mod words;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::deploylog::{self, GateVerdict, Inputs, Logged, Past};
use crate::name::{Digest, Principal, Reason, RepoPath};
use crate::plan::Plan;

pub use admitted::Admitted;
use admitted::Basis;
pub use approvals::Approvers;
pub use case::{Candidate, Case, Facts, Origin};
pub use holds::is_held;
pub use layout::{Layout, Moves, moves};
pub use rollback::{Return, recognise, return_to};
pub use rules::{Approvals, EXPIRES, From, RollbackBy, Rules};
pub use time::{is_a_time_for, may_approve, may_freeze, may_unfreeze};

/// What one gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing in the way.
    Pass,
    /// Not now.
    Wait,
    /// Not this candidate.
    Refuse,
}

impl Verdict {
    /// The word that people and scripts read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Wait => "wait",
            Verdict::Refuse => "refuse",
        }
    }
}

/// One gate and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The gate's name, the same in JSON, metrics and `--override`.
    pub name: &'static str,
    /// What it says.
    pub verdict: Verdict,
    /// What it found, for people.
    pub value: String,
    /// Why it does not pass; empty when it does.
    pub reasons: Vec<Reason>,
    /// When it may say something else without anybody doing anything.
    pub next_look: Option<Timestamp>,
    /// When it stops to wait.
    pub deadline: Option<Timestamp>,
    /// What happens at `next_look`, for people: `closes 16:30 Europe/Berlin`; empty where the time says it all.
    pub next: String,
    /// Whom it asks; `None` where it asks nobody.
    pub people: Option<People>,
}

/// Whom a gate asks for their approval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    /// How many approvals count.
    pub have: usize,
    /// How many are needed.
    pub need: usize,
    /// Those who may approve, have not, and wrote nothing of what is shipped where authors do not count; `None`: every
    /// signer may.
    pub may: Option<BTreeSet<Principal>>,
}

impl Gate {
    fn new(name: &'static str, verdict: Verdict, value: impl Into<String>) -> Gate {
        Gate {
            name,
            verdict,
            value: value.into(),
            reasons: Vec::new(),
            next_look: None,
            deadline: None,
            next: String::new(),
            people: None,
        }
    }

    fn pass(name: &'static str, value: impl Into<String>) -> Gate {
        Gate::new(name, Verdict::Pass, value)
    }
}

/// The own files of an environment that differ between a release and the one that stands, be they new, changed or gone:
/// whose origins the gates ask for.
#[must_use]
pub fn own_changes(rules: &Rules, standing: Option<&Logged>, inputs: &Inputs) -> Vec<RepoPath> {
    changes(standing, inputs).filter(|path| rules.layout.is_own(path)).collect()
}

/// The files that differ between a release and the one that stands.
pub fn changes(standing: Option<&Logged>, inputs: &Inputs) -> impl Iterator<Item = RepoPath> {
    let before = standing.map(|standing| standing.inputs.files.clone()).unwrap_or_default();
    let all: BTreeSet<RepoPath> = before.keys().chain(inputs.files.keys()).cloned().collect();
    let now = inputs.files.clone();
    all.into_iter().filter(move |path| before.get(path) != now.get(path))
}

/// A shared file that upstream's newest proven release has otherwise than the standing release, if there is one.
#[must_use]
pub fn left_out(rules: &Rules, standing: &Logged, facts: &Facts) -> Option<RepoPath> {
    let newest = facts.evidence.as_ref()?.newest_proven()?;
    let pair = layout::Pair::new(&rules.layout, &rules.from.as_ref()?.layout);
    let differences = pair.differences(&pair.compared(&standing.inputs), &newest.inputs);
    let file = differences.into_iter().find(|(kind, _)| *kind == deploylog::InputKind::File);
    file.map(|(_, path)| pair.to_ours(&path))
}

/// The verdict of all gates together.
#[derive(Debug)]
pub enum Admission {
    /// It may be opened.
    Admit(Box<Admitted>),
    /// It may not be opened yet, or not at all.
    Stopped {
        /// The plan, for its report.
        plan: Box<Plan>,
        /// Every gate.
        gates: Vec<Gate>,
        /// Whether it is refused; else it waits.
        refused: bool,
        /// Why.
        reasons: Vec<Reason>,
    },
}

impl Admission {
    /// Every gate, as it stood.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        match self {
            Admission::Admit(admitted) => admitted.asked(),
            Admission::Stopped { gates, .. } => gates,
        }
    }
}

fn planned_gates(plan: &Plan, rules: &Rules, past: &Past, facts: &Facts, now: Moment) -> Vec<Gate> {
    let mut gates = case(plan, rules, past, facts, now).judge(Some(plan.rendered().set()));
    gates.push(adoption::judge(plan));
    gates
}

/// When a candidate is judged.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Now.
    pub now: Timestamp,
}

fn case<'c>(plan: &'c Plan, rules: &'c Rules, past: &'c Past, facts: &'c Facts, at: Moment) -> Case<'c> {
    let rendered = plan.rendered();
    let candidate = Candidate { verified: rendered.verified(), inputs: rendered.inputs(), first_seen: at.first_seen };
    Case::new(rules, past, facts, candidate, at.now)
}

/// Asks every gate.
#[must_use]
pub fn admit(plan: Plan, rules: &Rules, past: &Past, facts: &Facts, now: Moment) -> Admission {
    let gates = planned_gates(&plan, rules, past, facts, now);
    let refusals = &plan.report().refusals;
    if !refusals.is_empty() || gates.iter().any(|gate| gate.verdict != Verdict::Pass) {
        let (refused, mut reasons) = stops(&gates);
        if !refused && !refusals.is_empty() {
            reasons.clear();
        }
        reasons.extend(refusals.clone());
        let refused = refused || !refusals.is_empty();
        return Admission::Stopped { plan: Box::new(plan), gates, refused, reasons };
    }
    let case = case(&plan, rules, past, facts, now);
    let path = |digest: Digest| format!("{}{}", deploylog::STATEMENTS, digest.hex());
    let bytes = |digest: Digest| facts.statement_bytes.get(&digest).cloned().unwrap_or_default();
    let basis = Basis {
        upstream: case.upstream(),
        approvers: case.approvals.names(),
        evidence: case.approvals.used().map(|digest| (path(digest), bytes(digest))).collect(),
        promotes: rules.from.is_some(),
    };
    Admission::Admit(Box::new(Admitted::planned(plan, gates, basis)))
}

/// Why a candidate is stopped: the reasons of the first gate that refuses, else every wait; and whether it is refused.
#[must_use]
pub fn stops(gates: &[Gate]) -> (bool, Vec<Reason>) {
    match gates.iter().find(|gate| gate.verdict == Verdict::Refuse) {
        Some(refusing) => (true, refusing.reasons.clone()),
        None => (false, gates.iter().flat_map(|gate| gate.reasons.clone()).collect()),
    }
}

/// When the gates may say something else without anybody doing anything.
#[must_use]
pub fn next_look(gates: &[Gate]) -> Option<Timestamp> {
    gates.iter().filter_map(|gate| gate.next_look).min()
}

/// Gates as an entry of the deployment log keeps them.
#[must_use]
pub fn recorded(gates: &[Gate]) -> Vec<GateVerdict> {
    let record = |gate: &Gate| GateVerdict {
        name: gate.name.to_owned(),
        verdict: gate.verdict.as_str().to_owned(),
        value: gate.value.clone(),
    };
    gates.iter().map(record).collect()
}
