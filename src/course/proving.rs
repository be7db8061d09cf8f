//! Step 14: a settled release is checked and soaks before it is proven.
//!
//! Its `settled` entry is written first, where there is anything to prove. Soak counts from the moment at which this
//! release was seen healthy, starts again after any unhealthy moment, and never carries over to another release
//! (course.md, rule 10).

use jiff::Timestamp;

use super::{Course, Known, Settings};
use crate::deploylog::{Phase, StandingRelease};
use crate::name::Reason;

/// What the checks of the standing release have found so far. Lost in a crash: they begin anew.
#[derive(Debug, Default)]
pub(super) struct Proving {}

impl Proving {
    /// Whether nothing but time is awaited.
    pub(super) fn rests(&self) -> bool {
        true
    }

    pub(super) fn wakes_at(&self, _now: Timestamp) -> Option<Timestamp> {
        None
    }

    fn passed(&self) -> bool {
        true
    }

    pub(super) fn failure(&self) -> Option<Vec<Reason>> {
        None
    }
}

/// Whether there is anything to prove besides that it settles.
fn proves(settings: &Settings) -> bool {
    !settings.soak.is_zero()
}

impl Course {
    /// Whether the next claim about the standing release is due, but for a fresh read: `settled`, or `proven`.
    pub(super) fn is_claim_due(&self, standing: &StandingRelease, now: Timestamp) -> bool {
        match &standing.outcome {
            None => true,
            Some((Phase::Settled, _)) => self.is_soaked(now),
            Some(_) => self.behind.is_well_for(self.settings.deadline.max(self.settings.soak), now),
        }
    }

    fn is_soaked(&self, now: Timestamp) -> bool {
        self.behind.is_well_for(self.settings.soak, now) && self.behind.proving.passed()
    }

    /// The claim that is to be written next, if a fresh read bears it out.
    pub(super) fn claim(&self, known: &Known, now: Timestamp) -> Option<Phase> {
        let standing = known.log.standing.as_ref()?;
        if !self.behind.is_confirmed() || !self.is_claim_due(standing, now) {
            return None;
        }
        match &standing.outcome {
            None if proves(&self.settings) => Some(Phase::Settled),
            None | Some((Phase::Settled, _)) => Some(Phase::Proven),
            // Rule 11: a failed release that stays healthy for as long as it was given to settle is proven after all.
            Some((Phase::Failed, _)) => Some(Phase::Proven),
            Some(_) => None,
        }
    }

    /// Takes the readings that are due.
    pub(super) fn check(&mut self, _standing: &StandingRelease, _now: Timestamp) {}
}
