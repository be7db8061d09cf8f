//! Entries about several units: what is said of all of them stands once, and each unit reads the entry as if it were about
//! that unit alone.

use std::collections::BTreeMap;

use super::STATEMENTS;
use super::entry::{Part, Proposal};
use super::seal::EVIDENCE;
use crate::name::UnitName;

/// Where an entry keeps what the render of its one unit reads.
pub(super) const INPUTS: &str = "inputs";

/// Below this directory an entry keeps the inputs of units that have a name; like evidence they are not carried on.
pub(super) const UNITS: &str = "units/";

/// Below this directory an entry keeps the evidence of units that have a name.
const UNIT_EVIDENCE: &str = "evidence/units/";

/// Where a file of one unit lies in an entry about units that have names.
fn placed(unit: &UnitName, path: String) -> String {
    match path.strip_prefix(EVIDENCE) {
        _ if unit.is_whole() || path.starts_with(STATEMENTS) => path,
        Some(rest) => format!("{UNIT_EVIDENCE}{unit}/{rest}"),
        None if path == INPUTS => format!("{UNITS}{unit}/{INPUTS}"),
        None => path,
    }
}

/// The file as the unit itself calls it; `None` where it belongs to another.
fn taken(unit: &UnitName, path: &str) -> Option<String> {
    let of =
        |rest: &str| rest.split_once('/').filter(|(name, _)| *name == unit.as_str()).map(|(_, rest)| rest.to_owned());
    if let Some(rest) = path.strip_prefix(UNIT_EVIDENCE) {
        return of(rest).map(|rest| format!("{EVIDENCE}{rest}"));
    }
    path.strip_prefix(UNITS).map_or_else(|| Some(path.to_owned()), of)
}

/// Where an entry keeps the inputs of a unit.
pub(super) fn inputs_path(unit: &UnitName) -> String {
    placed(unit, INPUTS.to_owned())
}

/// Takes a field out of every proposal: into the joint one where all say the same, else into the part of each.
fn hoist<T: Default + PartialEq>(
    all: &mut [Proposal],
    parts: &mut [Part],
    field: fn(&mut Proposal) -> &mut T,
    part: fn(&mut Part) -> &mut T,
) -> T {
    let mut values: Vec<T> = all.iter_mut().map(|proposal| std::mem::take(field(proposal))).collect();
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return values.pop().unwrap_or_default();
    }
    for (value, into) in values.into_iter().zip(parts) {
        *part(into) = value;
    }
    T::default()
}

impl Proposal {
    /// One proposal of several that do the same for one commit, each for a unit of its own.
    ///
    /// # Panics
    /// Where there is none, or one is not about exactly one unit, or they differ in what an entry says only once (action,
    /// phase, commit, actor, statement): a bug of the proposer.
    #[must_use]
    pub fn joint(mut all: Vec<Proposal>) -> Proposal {
        let first = all.first().expect("because an entry is about something");
        if all.len() == 1 && first.units.first().is_none_or(UnitName::is_whole) {
            return all.remove(0);
        }
        let mut joint = Proposal::new(first.action, first.phase, first.commit.clone());
        joint.actor.clone_from(&first.actor);
        joint.statement.clone_from(&first.statement);
        joint.units.clear();
        for proposal in &mut all {
            let same = joint.is_like(proposal);
            assert!(same && proposal.units.len() == 1, "because only what does the same is joined, unit by unit");
            let unit = proposal.units.remove(0);
            let files = std::mem::take(&mut proposal.files);
            joint.files.extend(files.into_iter().map(|(path, bytes)| (placed(&unit, path), bytes)));
            for (step, took) in std::mem::take(&mut proposal.durations_ms) {
                let most = joint.durations_ms.entry(step).or_default();
                *most = took.max(*most);
            }
            joint.units.push(unit);
        }
        let mut parts = vec![Part::default(); all.len()];
        joint.release = hoist(&mut all, &mut parts, |p| &mut p.release, |p| &mut p.release);
        joint.images = hoist(&mut all, &mut parts, |p| &mut p.images, |p| &mut p.images);
        joint.upstream = hoist(&mut all, &mut parts, |p| &mut p.upstream, |p| &mut p.upstream);
        joint.rollback = hoist(&mut all, &mut parts, |p| &mut p.rollback, |p| &mut p.rollback);
        joint.hold = hoist(&mut all, &mut parts, |p| &mut p.hold, |p| &mut p.hold);
        joint.irreversible = hoist(&mut all, &mut parts, |p| &mut p.irreversible, |p| &mut p.irreversible);
        joint.of = hoist(&mut all, &mut parts, |p| &mut p.of, |p| &mut p.of);
        joint.supersedes = hoist(&mut all, &mut parts, |p| &mut p.supersedes, |p| &mut p.supersedes);
        joint.reasons = hoist(&mut all, &mut parts, |p| &mut p.reasons, |p| &mut p.reasons);
        joint.gates = hoist(&mut all, &mut parts, |p| &mut p.gates, |p| &mut p.gates);
        joint.counts = hoist(&mut all, &mut parts, |p| &mut p.counts, |p| &mut p.counts);
        let named = joint.units.iter().cloned().zip(parts);
        joint.parts = named.filter(|(_, part)| *part != Part::default()).collect();
        joint
    }

    /// Whether another proposal may stand in one entry with this one: it does the same, for the same commit and reason.
    #[must_use]
    pub fn is_like(&self, other: &Proposal) -> bool {
        let about = |it: &Proposal| (it.action, it.phase, it.genesis.is_some());
        about(self) == about(other)
            && self.commit == other.commit
            && self.actor == other.actor
            && self.statement == other.statement
    }

    /// What it says to each of its units that have names, as if it were about that one alone.
    pub(super) fn by_unit(&self) -> impl Iterator<Item = (&UnitName, Proposal)> {
        let own = |path: &str| path.starts_with(UNITS) || path.starts_with(UNIT_EVIDENCE);
        let (files, all): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.files.iter().map(|(path, bytes)| (path.clone(), bytes.clone())).partition(|(path, _)| own(path));
        let top = Proposal { files: all, ..self.without_parts() };
        self.units.iter().filter(|unit| !unit.is_whole()).map(move |unit| {
            let mut alone = Proposal { units: vec![unit.clone()], ..top.clone() };
            if let Some(part) = self.parts.get(unit) {
                alone.overlay(part.clone());
            }
            let here = |prefix: &str| format!("{prefix}{unit}/");
            for prefix in [here(UNITS), here(UNIT_EVIDENCE)] {
                let below = files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
                alone.files.extend(below.filter_map(|(path, bytes)| Some((taken(unit, path)?, bytes.clone()))));
            }
            (unit, alone)
        })
    }

    fn without_parts(&self) -> Proposal {
        Proposal {
            action: self.action,
            phase: self.phase,
            units: Vec::new(),
            actor: self.actor.clone(),
            commit: self.commit.clone(),
            release: self.release,
            images: self.images.clone(),
            upstream: self.upstream.clone(),
            statement: self.statement.clone(),
            rollback: self.rollback.clone(),
            hold: self.hold.clone(),
            irreversible: self.irreversible.clone(),
            of: self.of,
            supersedes: self.supersedes,
            reasons: self.reasons.clone(),
            gates: self.gates.clone(),
            counts: self.counts,
            parts: BTreeMap::new(),
            durations_ms: self.durations_ms.clone(),
            genesis: self.genesis.clone(),
            files: BTreeMap::new(),
        }
    }

    fn overlay(&mut self, part: Part) {
        fn lay<T: Default + PartialEq>(over: &mut T, value: T) {
            if value != T::default() {
                *over = value;
            }
        }
        lay(&mut self.release, part.release);
        lay(&mut self.images, part.images);
        lay(&mut self.upstream, part.upstream);
        lay(&mut self.rollback, part.rollback);
        lay(&mut self.hold, part.hold);
        lay(&mut self.irreversible, part.irreversible);
        lay(&mut self.of, part.of);
        lay(&mut self.supersedes, part.supersedes);
        lay(&mut self.reasons, part.reasons);
        lay(&mut self.gates, part.gates);
        lay(&mut self.counts, part.counts);
    }
}
