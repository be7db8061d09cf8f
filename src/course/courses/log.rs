//! The log that all units share: one entry at a time, for as many as may stand in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::backoff::Backoff;
use super::super::{Answer, Appended, Event, Known, Order, Token};
use super::{Courses, Ledger, Together, Waiting};
use crate::deploylog::{EntryCommit, Log};
use crate::name::{Reason, UnitName};
use crate::plan::Inventory;

impl Courses {
    /// Writes what may stand in one entry, the strictest first.
    pub(super) fn append(&mut self) {
        let Some((units, proposal)) = self.queue.next() else { return };
        let about_all = self.named && proposal.units.is_empty();
        self.assign_for_all(Waiting::Append(units, about_all), Order::Append(Box::new(proposal)));
    }

    pub(super) fn file_written(
        &mut self,
        units: Vec<(UnitName, Token)>,
        about_all: bool,
        written: Together,
        now: Timestamp,
    ) {
        let again = |reason: &Reason| Appended::Unknown(reason.clone());
        match written {
            Together::Ours { whole, common, mut logs } => {
                self.learn(&whole, &common, now);
                for (unit, token) in units {
                    let log = logs.remove(&unit).unwrap_or_else(|| (*common).clone());
                    self.tell(&unit, Event::Answer(token, Answer::Appended(Appended::Ours(Box::new(log)))), now);
                }
                if about_all {
                    self.overtake(now, |unit| Some(logs.get(unit).unwrap_or(&common).clone()));
                }
            }
            Together::Taken => {
                for (unit, token) in units {
                    self.tell(&unit, Event::Answer(token, Answer::Appended(Appended::Taken)), now);
                }
            }
            Together::Unknown(reason) => {
                for (unit, token) in units {
                    self.tell(&unit, Event::Answer(token, Answer::Appended(again(&reason))), now);
                }
                self.read_wanted |= self.named;
            }
            Together::Unwritable(reason) => {
                for (unit, token) in units {
                    let answer = Answer::Appended(Appended::Unwritable(reason.clone()));
                    self.tell(&unit, Event::Answer(token, answer), now);
                }
            }
        }
    }

    /// Lets those propose anew who waited for the pen while something was written that concerns them.
    pub(super) fn overtake(&mut self, now: Timestamp, log: impl Fn(&UnitName) -> Option<Log>) {
        for (unit, token) in self.queue.clear() {
            let Some(log) = log(&unit) else { continue };
            self.tell(&unit, Event::Answer(token, Answer::Appended(Appended::Overtaken(Box::new(log)))), now);
        }
        for unit in self.units.keys().cloned().collect::<Vec<_>>() {
            if let (Some(log), Some(course)) = (log(&unit), self.units.get_mut(&unit)) {
                course.hear_of(log, now);
            }
            self.tell(&unit, Event::Tick, now);
        }
    }

    /// An entry of ours stands: nobody else wrote one before it, so that everybody's log is as new as this.
    pub(super) fn learn(&mut self, whole: &Log, common: &Log, now: Timestamp) {
        if !self.named {
            return;
        }
        let (accepted, before): (Option<Arc<EntryCommit>>, _) = (whole.accepted.clone(), &whole.accepted_before);
        for course in self.units.values_mut() {
            course.learn(&accepted, before, now);
        }
        if let Some(known) = &mut self.common {
            known.log = common.clone();
        }
        self.whole = Some(whole.clone());
    }

    pub(super) fn file_read(&mut self, read: Result<Box<Ledger>, Reason>, now: Timestamp) {
        self.read_wanted = false;
        let readers = std::mem::take(&mut self.readers);
        let ledger = match read {
            Ok(ledger) => ledger,
            Err(reason) => {
                if self.named && readers.is_empty() {
                    self.read_wanted = true;
                    self.reading.failed(now, None);
                }
                for (unit, token) in readers {
                    self.tell(&unit, Event::Answer(token, Answer::Log(Err(reason.clone()))), now);
                }
                return;
            }
        };
        self.reading = Backoff::default();
        if self.named {
            let (cluster, agent_key) = (ledger.cluster.clone(), ledger.agent_key.clone());
            self.common =
                Some(Known { log: ledger.common.clone(), inventory: Inventory::default(), cluster, agent_key });
            self.whole = Some(ledger.whole.clone());
            for (unit, inventory) in &ledger.inventories {
                self.house(unit, inventory.members.keys());
            }
            for unit in ledger.logs.keys() {
                self.begin(unit, Some(ledger.of(unit)), now);
            }
            self.compare(&ledger, &readers, now);
        }
        for (unit, token) in readers {
            let known = Box::new(ledger.of(&unit));
            self.tell(&unit, Event::Answer(token, Answer::Log(Ok(known))), now);
        }
        if self.named {
            // What waited was proposed to the log as it was.
            for (unit, token) in self.queue.clear() {
                let log = Box::new(ledger.of(&unit).log);
                self.tell(&unit, Event::Answer(token, Answer::Appended(Appended::Overtaken(log))), now);
            }
        }
    }

    /// Another agent may have written about a unit that did not ask.
    pub(super) fn compare(&mut self, ledger: &Ledger, readers: &[(UnitName, Token)], now: Timestamp) {
        let asked = |unit: &UnitName| readers.iter().any(|(reader, _)| reader == unit);
        let waits: BTreeSet<UnitName> = self.queue.units().cloned().collect();
        let units: Vec<UnitName> = self.units.keys().filter(|unit| !asked(unit)).cloned().collect();
        for unit in units {
            let known = ledger.of(&unit);
            let Some(course) = self.units.get_mut(&unit) else { continue };
            let old = course.known().is_none_or(|old| old.log.entries.len() != known.log.entries.len());
            if old && !waits.contains(&unit) && course.may_hear() {
                course.hear_log(known, now);
                self.tell(&unit, Event::Tick, now);
            }
        }
    }
}
