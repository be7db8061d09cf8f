//! The log that all units share: one entry at a time, for as many as may stand in it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::backoff::Backoff;
use super::super::{Answer, Appended, Course, Event, InventoryWritten, Known, Order, Token};
use super::{Courses, Ledger, Together, Waiting};
use crate::deploylog::{EntryCommit, Log};
use crate::name::{Code, Reason, UnitName};
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
            Together::Ours { whole, common, logs } => {
                self.learn(&whole, &common, now);
                for (unit, token) in units {
                    let log = logs.get(&unit).unwrap_or(&common).clone();
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

    /// Answers a proposal that is not written. Whoever forgot the log meanwhile reads it.
    pub(super) fn give_back(&mut self, unit: &UnitName, token: Token, now: Timestamp) {
        let appended = match self.known(unit) {
            Some(known) => Appended::Overtaken(Box::new(known.log.clone())),
            None => Appended::Taken,
        };
        self.tell(unit, Event::Answer(token, Answer::Appended(appended)), now);
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
                self.lost.ask_again();
                if self.named && (readers.is_empty() || !self.lost.seen.is_empty()) {
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
                let doomed = inventory.members.iter().filter(|(_, member)| member.doomed);
                self.house_unless_held(unit, doomed.map(|(key, _)| key));
            }
            for (unit, inventory) in &ledger.inventories {
                let kept = inventory.members.iter().filter(|(_, member)| !member.doomed);
                self.hand_over(unit, kept.map(|(key, _)| key));
            }
            for unit in ledger.logs.keys() {
                self.begin(unit, Some(ledger.of(unit)), now);
            }
            let turns =
                |(unit, course): &(&UnitName, &Course)| ledger.logs.get(*unit).is_some_and(|log| course.turns_to(log));
            self.watched.turned.extend(self.units.iter().filter(turns).map(|(unit, _)| unit.clone()));
            self.compare(&ledger, &readers, now);
        }
        for (unit, token) in readers {
            let known = Box::new(ledger.of(&unit));
            self.tell(&unit, Event::Answer(token, Answer::Log(Ok(known))), now);
        }
        if self.named {
            // What waited was proposed to the log as it was.
            for (unit, token) in self.queue.clear() {
                self.catch_up(&unit, &ledger, now);
                let log = Box::new(ledger.of(&unit).log);
                self.tell(&unit, Event::Answer(token, Answer::Appended(Appended::Overtaken(log))), now);
            }
            self.withdraw_inventories(&ledger, now);
            self.place_lost(now);
        }
    }

    /// Somebody else wrote an inventory that was to be replaced.
    fn withdraw_inventories(&mut self, ledger: &Ledger, now: Timestamp) {
        for (unit, token, inventory) in std::mem::take(&mut self.inventories) {
            let known = self.units.get(&unit).and_then(|course| course.known());
            let newer = self.written.contains(&unit);
            if known.is_some_and(|known| newer || known.inventory == ledger.of(&unit).inventory) {
                self.inventories.push((unit, token, inventory));
                continue;
            }
            let text = format!("the inventory of unit `{unit}` was written by somebody else");
            let lost = InventoryWritten::Lost(Reason::new(Code::JournalUnwritable, text));
            self.tell(&unit, Event::Answer(token, Answer::Inventory(lost)), now);
        }
    }

    /// Another agent may have written about a unit that did not ask.
    pub(super) fn compare(&mut self, ledger: &Ledger, readers: &[(UnitName, Token)], now: Timestamp) {
        let asked = |unit: &UnitName| readers.iter().any(|(reader, _)| reader == unit);
        let waits: BTreeSet<UnitName> = self.queue.units().cloned().collect();
        let units: Vec<UnitName> = self.units.keys().filter(|unit| !asked(unit)).cloned().collect();
        for unit in units {
            if !waits.contains(&unit) && self.catch_up(&unit, ledger, now) {
                self.tell(&unit, Event::Tick, now);
            }
        }
    }

    /// Tells a unit what was read, if that is news. Says whether it was.
    fn catch_up(&mut self, unit: &UnitName, ledger: &Ledger, now: Timestamp) -> bool {
        let Some(course) = self.units.get_mut(unit) else { return false };
        let mut read = ledger.of(unit);
        match course.known() {
            // What it writes may be newer than what was read.
            Some(known) if course.is_writing_inventory() || self.written.contains(unit) => {
                read.inventory.clone_from(&known.inventory);
            }
            None if course.is_writing_inventory() => return false,
            Some(_) | None => {}
        }
        let same = |known: &Known| {
            let accepted = known.log.accepted == read.log.accepted;
            accepted && known.log.entries.len() == read.log.entries.len() && known.inventory == read.inventory
        };
        let news = !course.known().is_some_and(same);
        if news {
            course.hear_log(read, now);
        }
        news
    }
}
