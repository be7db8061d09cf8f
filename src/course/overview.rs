//! How an environment stands, as its walk knows it without asking anybody: for `status`, metrics and probes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Course, Progress, STUCK_AFTER};
use crate::deploylog::{EntryCommit, Log};
use crate::health::Assessment;
use crate::name::{Code, CommitId, ObjectKey, Reason};
use crate::plan::OnDrift;
use crate::plan::drift::Drift;

/// A candidate that may not enter, or not yet.
#[derive(Debug, Clone)]
pub struct Stop {
    /// The candidate.
    pub candidate: EntryCommit,
    /// Whether it is refused; else it waits.
    pub refused: bool,
    /// Why.
    pub reasons: Vec<Reason>,
    /// When it is judged again without anybody doing anything.
    pub until: Option<Timestamp>,
}

/// What drifted and what was done about it.
#[derive(Debug, Clone, Default)]
pub struct Drifts {
    /// Objects that are not as the release says, with how; `None`: deleted.
    pub found: BTreeMap<ObjectKey, Option<Drift>>,
    /// How many of them somebody keeps changing back.
    pub fighting: usize,
    /// Whether it is left alone on purpose.
    pub on_drift: OnDrift,
    /// When the last one was healed, since the agent started.
    pub healed_at: Option<Timestamp>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The log.
    pub log: Log,
    /// The tip of the branch, or why it could not be read; `None` before the first look.
    pub tip: Option<Result<CommitId, Reason>>,
    /// Why the candidate may not enter.
    pub stop: Option<Stop>,
    /// A candidate is being judged or opened.
    pub moving: bool,
    /// How far the standing release is.
    pub progress: Option<Progress>,
    /// The objects that are not well.
    pub unwell: BTreeMap<ObjectKey, Assessment>,
    /// Why writes of its objects fail.
    pub troubles: Vec<Reason>,
    /// What drifted.
    pub drifts: Drifts,
    /// Why pruning waits.
    pub prune_waits: Vec<Reason>,
    /// Why nothing moves: the same order failed several times in a row.
    pub stuck: Option<Reason>,
}

impl Course {
    /// How the environment stands; `None` until the log was read.
    #[must_use]
    pub fn overview(&self) -> Option<Overview> {
        let known = self.known.as_deref()?;
        let release = self.behind.release.as_ref();
        let mut drifts = Drifts { on_drift: self.settings.policy.on_drift, ..Drifts::default() };
        let mut troubles = Vec::new();
        if let Some(release) = release {
            for key in &release.drifted {
                let found = release.objects.get(key).and_then(|object| object.found());
                drifts
                    .found
                    .insert(key.clone(), found.filter(|found| found.loss.is_none()).map(|found| found.drift.clone()));
            }
            drifts.fighting = release.fights.iter().filter(|key| release.drifted.contains(*key)).count();
            troubles.extend(release.troubles().chain(release.unwatched.values()).cloned());
            troubles.extend(release.fights.iter().filter_map(|key| {
                let by = release.objects.get(key)?.found()?.drift.by.as_ref().map(|by| by.manager.clone());
                let by = by.unwrap_or_else(|| "somebody".to_owned());
                let text = format!("`{key}`: `{by}` changes it back again and again; healing pauses");
                Some(Reason::new(Code::DriftFighting, text).at_object(key.clone()))
            }));
        }
        drifts.healed_at = self.behind.healed_at;
        // A rollback that cannot be carried out is more urgent than whatever the branch has.
        let stop = self.back.stopped(self.base()).or(self.ahead.stopped()).map(|stopped| Stop {
            candidate: stopped.commit.clone(),
            refused: stopped.refused,
            reasons: stopped.reasons.clone(),
            until: stopped.until,
        });
        Some(Overview {
            log: known.log.clone(),
            tip: self.tip.clone(),
            stop,
            moving: matches!(self.tip, Some(Ok(_))) && !self.ahead.rests(&known.log),
            progress: self.progress(),
            unwell: release.map(|release| release.unwell.clone()).unwrap_or_default(),
            troubles,
            drifts,
            prune_waits: self.behind.prune_waits(),
            stuck: self.trouble.clone().filter(|_| self.failures >= STUCK_AFTER),
        })
    }
}
