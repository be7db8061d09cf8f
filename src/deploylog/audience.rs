//! For whom downstream the entries of a log are news.

use std::collections::{BTreeMap, BTreeSet};

use super::Log;
use super::evidence::shipped_by;
use crate::name::{CommitId, UnitName};

/// Whom something is news for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hearers {
    /// Every unit.
    All,
    /// These alone.
    Units(BTreeSet<UnitName>),
}

impl Hearers {
    /// Whether a unit is among them.
    #[must_use]
    pub fn include(&self, unit: &UnitName) -> bool {
        match self {
            Hearers::All => true,
            Hearers::Units(units) => units.contains(unit),
        }
    }
}

/// Up to which entry a log was read, and what is the newest of it for each unit downstream.
///
/// An entry is news for the units that it names. It is news for all of them where it is about the environment, and where
/// it is the first to name a commit as shipped: what is shipped lets a commit through for whatever unit brings it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    entries: u64,
    all: u64,
    units: BTreeMap<UnitName, u64>,
    shipped: BTreeSet<CommitId>,
}

impl Audience {
    /// Takes in what was added to the log since it was read last; says whether anything was.
    pub fn read(&mut self, log: &Log) -> bool {
        let newest = log.entries.last().map_or(0, |last| last.sequence + 1);
        if newest <= self.entries {
            return false;
        }
        let old = log.entries.partition_point(|entry| entry.sequence < self.entries);
        for entry in &log.entries[old..] {
            let place = entry.sequence + 1;
            let units = &entry.body.units;
            let mut new = units.is_empty() || units.iter().any(UnitName::is_whole);
            for commit in shipped_by(entry) {
                new |= self.shipped.insert(commit.clone());
            }
            if new {
                self.all = place;
            }
            self.units.extend(units.iter().map(|unit| (unit.clone(), place)));
        }
        self.entries = newest;
        true
    }

    /// How many entries were read.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Whom the entries behind the first so many are news for.
    #[must_use]
    pub fn since(&self, entries: u64) -> Hearers {
        if self.all > entries || entries > self.entries {
            return Hearers::All;
        }
        Hearers::Units(
            self.units.iter().filter(|(_, newest)| **newest > entries).map(|(unit, _)| unit.clone()).collect(),
        )
    }
}
