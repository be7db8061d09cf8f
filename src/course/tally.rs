//! The heals since the last summary entry: one entry for each environment and hour (DESIGN, deployment log).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::backoff::later;
use super::{Loss, Telling};
use crate::name::{Code, Reason};

/// Lines of one summary; further objects are only counted.
const LINES: usize = 50;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    since: Option<Timestamp>,
    heals: u64,
    lines: BTreeMap<String, (u64, Reason)>,
    unnamed: u64,
}

impl Tally {
    /// Counts a heal.
    pub(super) fn add(&mut self, telling: &Telling, now: Timestamp) {
        self.since.get_or_insert(now);
        self.heals += 1;
        let by = telling.drift.by.as_ref().map_or(String::new(), |by| format!(", by `{}`", by.manager));
        let what = match telling.drift.fields.as_slice() {
            _ if telling.loss == Some(Loss::Deleted) => "was deleted".to_owned(),
            _ if telling.loss == Some(Loss::Unlabelled) => "lost our label".to_owned(),
            [] => "had fields taken".to_owned(),
            [field] => field.path.clone(),
            [field, rest @ ..] => format!("{} and {} more", field.path, rest.len()),
        };
        let line = format!("`{}` {what}{by}", telling.object);
        if self.lines.len() >= LINES && !self.lines.contains_key(&line) {
            self.unnamed += 1;
            return;
        }
        let reason = || Reason::new(Code::DriftHealed, line.clone()).at_object(telling.object.clone());
        self.lines.entry(line.clone()).or_insert_with(|| (0, reason())).0 += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heals == 0
    }

    /// When the hour of the first heal ends.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        let since = self.since?;
        let into = u64::try_from(since.as_second().rem_euclid(3600)).unwrap_or(0);
        Some(later(since, Duration::from_secs(3600 - into)))
    }

    /// What the entry says: how many, then each object, the most healed first.
    pub(super) fn reasons(&self) -> Vec<Reason> {
        let heals = if self.heals == 1 { "1 heal".to_owned() } else { format!("{} heals", self.heals) };
        let mut lines: Vec<&(u64, Reason)> = self.lines.values().collect();
        lines.sort_by(|(a, _), (b, _)| b.cmp(a));
        let lines = lines.into_iter().map(|(count, reason)| {
            let times = if *count == 1 { String::new() } else { format!(", {count} times") };
            Reason { message: format!("{}{times}", reason.message), ..reason.clone() }
        });
        let unnamed = (self.unnamed > 0)
            .then(|| Reason::new(Code::DriftHealed, format!("{} heals of further objects", self.unnamed)));
        std::iter::once(Reason::new(Code::DriftHealed, heals)).chain(lines).chain(unnamed).collect()
    }

    /// Adds what was taken out to be written and could not be.
    pub(super) fn put_back(&mut self, taken: Tally) {
        self.since = [self.since, taken.since].into_iter().flatten().min();
        self.heals += taken.heals;
        self.unnamed += taken.unnamed;
        for (line, (count, reason)) in taken.lines {
            self.lines.entry(line).or_insert((0, reason)).0 += count;
        }
    }
}
