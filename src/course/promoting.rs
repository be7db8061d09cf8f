//! Automatic promotion: where the configuration wants it and the agent has a writer key, what upstream has proven is pushed
//! to the branch. It comes back as a candidate, which the gates judge like any other.

use jiff::Timestamp;

use super::backoff::Backoff;
use super::{Awaited, Course, Order};
use crate::deploylog::Past;
use crate::name::{CommitId, Reason};

/// What became of an automatic promotion.
#[derive(Debug)]
pub enum Promoted {
    /// It was pushed: the next look sees it.
    Pushed,
    /// There is nothing to promote.
    Nothing,
    /// Windows or freezes say: not before this time, if they know one.
    Later(Option<Timestamp>),
    /// It failed; tried again.
    Failed(Reason),
}

/// What was promoted last.
#[derive(Debug, Default)]
pub(super) struct Promoting {
    /// The tip, and how often a fact had changed, for which all was done.
    done: Option<(CommitId, u64)>,
    /// The tip on top of which something was pushed.
    pushed: Option<CommitId>,
    later: Option<Timestamp>,
    retry: Backoff,
}

impl Promoting {
    /// Whether nothing is on its way to the branch: what was pushed is what the next look shows, and nothing failed.
    pub(super) fn rests(&self, tip: &CommitId) -> bool {
        self.pushed.as_ref() != Some(tip) && self.retry.due_at().is_none()
    }

    pub(super) fn due_at(&self) -> Option<Timestamp> {
        [self.later, self.retry.due_at()].into_iter().flatten().min()
    }
}

impl Course {
    /// Asks for a promotion while no candidate is on its way, once for each tip and each change of what upstream proves.
    pub(super) fn decide_promoting(&mut self, now: Timestamp) {
        let (Some(known), Some(Ok(tip))) = (&self.known, &self.tip) else { return };
        if !self.settings.promotes || known.log.entries.is_empty() || !self.ahead.wants_nothing(&known.log) {
            return;
        }
        let about = (tip.clone(), self.ahead.facts());
        let again = self.promoting.later.is_some_and(|at| now >= at);
        let done = self.promoting.done.as_ref() == Some(&about) && !again;
        if done || !self.promoting.retry.is_due(now) || self.awaits(&Awaited::Promote(about.0.clone(), about.1)) {
            return;
        }
        let past = Box::new(Past::of(&known.log, self.settings.keep));
        self.issue(Awaited::Promote(about.0.clone(), about.1), Order::Promote { tip: about.0, past });
    }

    pub(super) fn file_promoted(&mut self, about: (CommitId, u64), promoted: Promoted, now: Timestamp) {
        self.promoting.later = None;
        match promoted {
            Promoted::Pushed => {
                self.promoting.retry = Backoff::default();
                self.promoting.pushed = Some(about.0.clone());
                self.promoting.done = Some(about);
            }
            Promoted::Nothing => {
                self.promoting.retry = Backoff::default();
                self.promoting.done = Some(about);
            }
            Promoted::Later(until) => {
                self.promoting.retry = Backoff::default();
                self.promoting.done = Some(about);
                self.promoting.later = until;
            }
            Promoted::Failed(reason) => {
                self.promoting.retry.failed(now, None);
                self.failed(reason);
            }
        }
    }
}
