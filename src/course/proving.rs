//! Step 14: a settled release is checked and soaks before it is proven.
//!
//! Its `settled` entry is written first, where there is anything to prove. Soak counts from the moment at which this
//! release was seen healthy, starts again after any unhealthy moment, and never carries over to another release
//! (course.md, rule 10). What its checks have found is lost in a crash: they begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{Awaited, Course, Known, Order, Settings};
use crate::deploylog::{Phase, StandingRelease};
use crate::health::check::{Check, Probe, Reading, Run, Verdict};
use crate::name::{CheckName, Reason};

/// Where an outcome keeps what the checks saw.
const EVIDENCE: &str = "evidence/checks";

/// What the checks of the standing release have found so far.
#[derive(Debug, Default)]
pub(super) struct Proving {
    /// The checks, once they began.
    runs: BTreeMap<CheckName, Run>,
    /// Those that were looked at once at least.
    looked: BTreeSet<CheckName>,
    /// Jobs that were asked to be removed.
    ended: BTreeSet<CheckName>,
}

impl Proving {
    /// Whether nothing but time is awaited.
    pub(super) fn rests(&self, settings: &Settings) -> bool {
        settings.checks.iter().all(|check| self.looked.contains(&check.name))
    }

    pub(super) fn wakes_at(&self, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.runs.values().filter_map(move |run| run.next_look(now))
    }

    /// So much time did not pass.
    pub(super) fn skip(&mut self, span: Duration) {
        self.runs.values_mut().for_each(|run| run.skip(span));
    }

    fn passed(&self, settings: &Settings, now: Timestamp) -> bool {
        let passed = |check: &Check| self.runs.get(&check.name).is_some_and(|run| run.verdict(now) == Verdict::Passed);
        settings.checks.iter().all(passed)
    }

    /// Why the checks failed the release, if one did.
    pub(super) fn failure(&self, now: Timestamp) -> Option<Vec<Reason>> {
        let failed = self.runs.values().filter_map(|run| match run.verdict(now) {
            Verdict::Failed { reason, .. } => Some(reason),
            Verdict::Pending | Verdict::Passed => None,
        });
        Some(failed.collect::<Vec<_>>()).filter(|reasons| !reasons.is_empty())
    }

    /// What the checks saw last, for the entry of the outcome: one line each.
    pub(super) fn evidence(&self) -> BTreeMap<String, Vec<u8>> {
        let lines: String = self.runs.iter().map(|(name, run)| format!("{name}: {}\n", run.value())).collect();
        if lines.is_empty() { BTreeMap::new() } else { BTreeMap::from([(EVIDENCE.to_owned(), lines.into_bytes())]) }
    }
}

/// Whether there is anything to prove besides that it settles.
fn proves(settings: &Settings) -> bool {
    !settings.soak.is_zero() || !settings.checks.is_empty()
}

impl Course {
    /// Whether the next claim about the standing release is due, but for a fresh read: `settled`, or `proven`.
    ///
    /// Rule 11: a failed release that stays healthy for as long as it was given to settle is proven after all; not where
    /// checks are set, which may be why it failed.
    pub(super) fn is_claim_due(&self, standing: &StandingRelease, now: Timestamp) -> bool {
        let settings = &self.settings;
        match &standing.outcome {
            None => true,
            Some((Phase::Settled, _)) => {
                self.behind.is_well_for(settings.soak, now) && self.behind.proving.passed(settings, now)
            }
            Some((Phase::Failed, _)) => {
                settings.checks.is_empty() && self.behind.is_well_for(settings.deadline.max(settings.soak), now)
            }
            Some(_) => false,
        }
    }

    /// The claim that is to be written next, if a fresh read bears it out.
    pub(super) fn claim(&self, known: &Known, now: Timestamp) -> Option<Phase> {
        let standing = known.log.standing.as_ref()?;
        if !self.behind.is_confirmed() || !self.is_claim_due(standing, now) {
            return None;
        }
        let first = standing.outcome.is_none() && proves(&self.settings);
        Some(if first { Phase::Settled } else { Phase::Proven })
    }

    /// Looks at what checks look at, as soon as the release has settled and whenever they are due; and removes the Jobs of
    /// those that are decided.
    pub(super) fn check(&mut self, standing: &StandingRelease, now: Timestamp) {
        if !matches!(standing.outcome, Some((Phase::Settled, _))) {
            return;
        }
        for check in &self.settings.checks {
            let run = || Run::new(check.clone(), now);
            self.behind.proving.runs.entry(check.name.clone()).or_insert_with(run);
        }
        let mut due = Vec::new();
        let mut done = Vec::new();
        for (name, run) in &self.behind.proving.runs {
            let is_job = matches!(run.check().probe, Probe::Job(_));
            match run.next_look(now) {
                Some(at) if at <= now && run.verdict(now) == Verdict::Pending => due.push(run.check().clone()),
                None if is_job && !self.behind.proving.ended.contains(name) => done.push(run.check().clone()),
                Some(_) | None => {}
            }
        }
        let opening = standing.sequence;
        for check in due {
            let asked = |awaited: &Awaited| matches!(awaited, Awaited::Check(of, name, _) if *of == opening && *name == check.name);
            if !self.awaited.values().any(asked) {
                let Some(release) = &self.behind.release else { return };
                let objects = release.objects.keys().cloned().collect();
                self.issue(
                    Awaited::Check(opening, check.name.clone(), now),
                    Order::Check { check: Box::new(check), opening, objects },
                );
            }
        }
        for check in done {
            self.behind.proving.ended.insert(check.name.clone());
            self.issue(Awaited::Other, Order::EndCheck { check: Box::new(check), opening });
        }
    }

    /// Takes what a look saw, at the time when it was asked for.
    pub(super) fn file_checked(&mut self, opening: u64, name: &CheckName, asked_at: Timestamp, reading: &Reading) {
        if self.behind.sequence != Some(opening) {
            return;
        }
        if let Some(run) = self.behind.proving.runs.get_mut(name) {
            run.file(reading, asked_at);
            self.behind.proving.looked.insert(name.clone());
        }
    }
}
