//! May it enter now?
//!
//! One file per gate. In: a plan, the proof that the walk came this far. Out: [`Admission`], with the verdict of every
//! gate, so that `explain` and the deployment log can show all of them and not only the first that said no.

mod adoption;
pub mod calendar;
mod signatures;

use crate::deploylog::GateVerdict;
use crate::name::Reason;
use crate::plan::Plan;

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
}

/// A plan that every gate admits.
#[derive(Debug)]
#[must_use = "open it"]
pub struct Admitted {
    plan: Plan,
    gates: Vec<Gate>,
}

impl Admitted {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The gates as they stood, for the `opened` entry.
    #[must_use]
    pub fn gates(&self) -> Vec<GateVerdict> {
        recorded(&self.gates)
    }
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
        /// Why: all reasons at once.
        reasons: Vec<Reason>,
    },
}

/// The gates of a plan, each with its verdict.
#[must_use]
pub fn gates(plan: &Plan) -> Vec<Gate> {
    vec![signatures::judge(plan), adoption::judge(plan)]
}

/// Asks every gate.
#[must_use]
pub fn admit(plan: Plan) -> Admission {
    let gates = gates(&plan);
    let mut reasons = plan.report().refusals.clone();
    reasons.extend(gates.iter().flat_map(|gate| gate.reasons.clone()));
    let refused = !plan.report().refusals.is_empty() || gates.iter().any(|gate| gate.verdict == Verdict::Refuse);
    if reasons.is_empty() {
        Admission::Admit(Box::new(Admitted { plan, gates }))
    } else {
        Admission::Stopped { plan: Box::new(plan), gates, refused, reasons }
    }
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
