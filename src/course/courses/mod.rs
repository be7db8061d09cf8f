//! The walks of all units of one environment, side by side.
//!
//! Each unit is a [`Course`] of its own, which knows of no other. What they share is here: the log is read once for all who
//! ask, the openings and outcomes of several units go into one entry, one watch shows each what is its own, and no unit
//! takes an object that another holds. An environment without `units` has one course, and everything goes straight
//! through.

mod beside;
mod log;
mod objects;
mod order;
mod queue;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use super::backoff::Backoff;
use super::{Answer, Course, Event, Issued, Known, Order, Overview, Progress, Rest, Settings, Sighting, Token, WakeAt};
use crate::deploylog::{Hearers, Log};
use crate::name::{CommitId, GroupVersionKind, ObjectId, ObjectKey, Reason, RefName, UnitName};
use crate::plan::Inventory;
use crate::render;

pub use objects::of_another;
pub use order::{Assigned, Heard, Ledger, Overviews, Together, Units};
use queue::Queue;

/// Who waits for an answer.
#[derive(Debug)]
enum Waiting {
    /// This unit, for the order of this token.
    Unit(UnitName, Token),
    /// All who asked for the log.
    Log,
    /// Those whose proposals the entry joins, and whether it is about the environment.
    Append(Vec<(UnitName, Token)>, bool),
    /// Those whose objects are read freshly.
    Confirm(Vec<Asking>),
    Nobody,
}

/// A unit that wants its objects to be read freshly.
#[derive(Debug)]
struct Asking {
    unit: UnitName,
    token: Token,
    keys: BTreeMap<ObjectKey, GroupVersionKind>,
}

/// What is watched for all units together.
#[derive(Debug, Default)]
struct Watched {
    /// By any unit: what was watched once stays so.
    wanted: BTreeSet<GroupVersionKind>,
    /// Asked for.
    all: BTreeSet<GroupVersionKind>,
    /// Units of which another agent opened a release: what it left of the one before may be known to nobody here.
    turned: BTreeSet<UnitName>,
    /// All is to be listed again.
    anew: bool,
}

/// Objects with our label that no unit is known to hold. Another agent may have opened a release that names them: the log
/// and the inventories as they were read after the sight of them tell.
#[derive(Debug, Default)]
struct Lost {
    /// Seen since the read was asked for that is in flight, if one is.
    seen: BTreeMap<ObjectKey, Sighting>,
    /// Seen before that.
    asked: BTreeMap<ObjectKey, Sighting>,
}

/// See the module.
#[derive(Debug)]
pub struct Courses {
    settings: Arc<Settings>,
    /// Whether the environment has units.
    named: bool,
    units: BTreeMap<UnitName, Course>,
    /// When each unit would like to be woken.
    alarms: BTreeSet<(Timestamp, UnitName)>,
    alarm_of: BTreeMap<UnitName, Timestamp>,
    progress: Progress,
    progress_of: BTreeMap<UnitName, Progress>,
    /// The log as a unit reads it that it is not about, and what else a new unit knows from the start.
    common: Option<Known>,
    whole: Option<Log>,
    reading: Backoff,
    /// Who asked for the log; somebody may ask for those who do not exist yet.
    readers: Vec<(UnitName, Token)>,
    read_wanted: bool,
    tip: Option<Result<CommitId, Reason>>,
    strangers: Vec<Reason>,
    statements: Option<BTreeMap<RefName, ObjectId>>,
    upstream: Option<u64>,
    queue: Queue,
    confirms: Vec<Asking>,
    /// Inventories that are written once the log was read that is being read: whoever carries that out knows then which
    /// version each of them replaces.
    inventories: Vec<(UnitName, Token, Inventory)>,
    /// Units whose inventory was written since the log was last asked for: what is read of it may be older.
    written: BTreeSet<UnitName>,
    watched: Watched,
    /// Which unit holds, or is about to hold, an object.
    homes: HashMap<ObjectKey, UnitName>,
    lost: Lost,
    collect: bool,
    waiting: BTreeMap<Token, Waiting>,
    next_token: u64,
    stopping: bool,
    assigned: Vec<Assigned>,
}

impl Courses {
    /// Walks that know nothing yet; the first [`Heard::Tick`] reads the log. `named`: the environment has units.
    #[must_use]
    pub fn new(settings: Settings, named: bool) -> Self {
        let settings = Arc::new(settings);
        let whole = || (UnitName::whole(), Course::new(Arc::clone(&settings), UnitName::whole()));
        let units = if named { BTreeMap::new() } else { BTreeMap::from([whole()]) };
        Courses {
            settings,
            named,
            units,
            alarms: BTreeSet::new(),
            alarm_of: BTreeMap::new(),
            progress: Progress::default(),
            progress_of: BTreeMap::new(),
            common: None,
            whole: None,
            reading: Backoff::default(),
            readers: Vec::new(),
            read_wanted: named,
            tip: None,
            strangers: Vec::new(),
            statements: None,
            upstream: None,
            queue: Queue::default(),
            confirms: Vec::new(),
            inventories: Vec::new(),
            written: BTreeSet::new(),
            watched: Watched::default(),
            homes: HashMap::new(),
            lost: Lost::default(),
            collect: false,
            waiting: BTreeMap::new(),
            next_token: 0,
            stopping: false,
            assigned: Vec::new(),
        }
    }

    /// Files what was heard and says what to do next, and when to come back at the latest.
    #[must_use = "carry the orders out"]
    pub fn step(&mut self, heard: Heard, now: Timestamp) -> (Vec<Assigned>, Option<WakeAt>) {
        match heard {
            Heard::Tick => self.tick(now),
            Heard::Tip(tip, units) => self.hear_tip(tip, &units, now),
            Heard::Statements(listed) => {
                self.statements = Some(listed.clone());
                self.tell_all(now, || Event::Statements(listed.clone()));
            }
            Heard::Upstream(entries, hearers) => self.hear_upstream(entries, &hearers, now),
            Heard::Sighting(sighting) => self.see(sighting, now),
            Heard::ClockJumped(by) => self.tell_all(now, || Event::ClockJumped(by)),
            Heard::Read(token, read) => {
                if matches!(self.waiting.remove(&token), Some(Waiting::Log)) {
                    self.file_read(read, now);
                }
            }
            Heard::Written(token, written) => {
                if let Some(Waiting::Append(units, about_all)) = self.waiting.remove(&token) {
                    self.file_written(units, about_all, written, now);
                }
            }
            Heard::Answer(token, answer) => self.file_answer(token, answer, now),
            Heard::Stop => {
                self.stopping = true;
                self.tell_all(now, || Event::Stop);
            }
        }
        if self.named {
            // Whatever was heard: nobody is woken for a moment that has passed.
            self.tick(now);
        }
        self.decide(now);
        let due = [self.reading.due_at().filter(|_| self.read_wanted), self.alarms.first().map(|(at, _)| *at)];
        let wake = due.into_iter().flatten().filter(|at| *at > now).min();
        (std::mem::take(&mut self.assigned), wake.map(WakeAt))
    }

    /// Whether nothing more happens by itself: for `run --once`.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        let mut rests = Vec::new();
        for course in self.units.values() {
            rests.push(course.rest()?);
        }
        // An environment without a unit waits for one.
        if self.tip.is_none() || self.read_wanted {
            return None;
        }
        Some(rests.into_iter().find(|rest| *rest != Rest::Quiet).unwrap_or(Rest::Quiet))
    }

    /// The log, every entry as it was written, as far as is known.
    #[must_use]
    pub fn log(&self) -> Option<&Log> {
        match self.units.get(&UnitName::whole()) {
            Some(course) => Some(&course.known()?.log),
            None => self.whole.as_ref(),
        }
    }

    /// The log and inventory of a unit as last read, if they were.
    #[must_use]
    pub fn known(&self, unit: &UnitName) -> Option<&Known> {
        self.units.get(unit)?.known()
    }

    /// How far the standing releases have come, for progress on a terminal.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        (!self.progress_of.is_empty()).then_some(self.progress)
    }

    /// Counts how far a unit has come: this runs at every event, and nobody adds up all units then.
    fn count(&mut self, unit: &UnitName) {
        let new = self.units.get(unit).and_then(Course::progress);
        let old = self.progress_of.get(unit).copied();
        if new == old {
            return;
        }
        let (less, more) = (old.unwrap_or_default(), new.unwrap_or_default());
        self.progress = Progress {
            objects: self.progress.objects + more.objects - less.objects,
            applied: self.progress.applied + more.applied - less.applied,
            healthy: self.progress.healthy + more.healthy - less.healthy,
        };
        match new {
            Some(new) => drop(self.progress_of.insert(unit.clone(), new)),
            None => drop(self.progress_of.remove(unit)),
        }
    }

    /// How the environment stands; `None` until the log was read.
    #[must_use]
    pub fn overview(&self) -> Option<Overviews> {
        let overviews = self.units.iter().map(|(unit, course)| Some((unit.clone(), course.overview()?)));
        let units: BTreeMap<UnitName, Overview> = overviews.collect::<Option<_>>()?;
        let whole = match units.get(&UnitName::whole()) {
            Some(overview) => overview.log.clone(),
            None => self.whole.clone()?,
        };
        Some(Overviews { whole, units, tip: self.tip.clone(), strangers: self.strangers.clone() })
    }

    fn tick(&mut self, now: Timestamp) {
        if !self.named {
            return self.tell(&UnitName::whole(), Event::Tick, now);
        }
        let due: Vec<UnitName> =
            self.alarms.iter().take_while(|(at, _)| *at <= now).map(|(_, unit)| unit.clone()).collect();
        for unit in due {
            self.tell(&unit, Event::Tick, now);
        }
    }

    fn tell_all(&mut self, now: Timestamp, event: impl Fn() -> Event) {
        for unit in self.units.keys().cloned().collect::<Vec<_>>() {
            self.tell(&unit, event(), now);
        }
    }

    /// Steps one unit, and takes its orders.
    fn tell(&mut self, unit: &UnitName, event: Event, now: Timestamp) {
        let Some(course) = self.units.get_mut(unit) else { return };
        let (orders, wake) = course.step(event, now);
        if let Some(at) = self.alarm_of.remove(unit) {
            self.alarms.remove(&(at, unit.clone()));
        }
        if let Some(WakeAt(at)) = wake {
            self.alarms.insert((at, unit.clone()));
            self.alarm_of.insert(unit.clone(), at);
        }
        self.count(unit);
        for order in orders {
            self.take(unit, order, now);
        }
    }

    /// A unit wants something done.
    fn take(&mut self, unit: &UnitName, issued: Issued, now: Timestamp) {
        let Issued { token, order } = issued;
        match order {
            Order::ReadLog => {
                self.readers.push((unit.clone(), token));
                self.read_wanted = true;
                if !self.named {
                    // It keeps its own pace.
                    self.reading = Backoff::default();
                }
            }
            Order::Append(_) if self.named && self.is_contested(unit) => self.give_back(unit, token, now),
            Order::Append(proposal) => self.queue.put(unit, token, *proposal),
            Order::Confirm(keys) => self.confirms.push(Asking { unit: unit.clone(), token, keys }),
            Order::Watch { kinds, anew } if self.named => {
                self.watch(unit, kinds, anew);
                self.tell(unit, Event::Answer(token, Answer::Done), now);
            }
            Order::Collect(_) if self.named => {
                // A list of everything that is stored is not read for a unit that has nothing to give.
                self.collect |= self.units.get(unit).is_some_and(Course::has_surplus);
                self.tell(unit, Event::Answer(token, Answer::Done), now);
            }
            Order::WriteInventory(inventory) if self.named => {
                self.house_unless_held(unit, inventory.members.keys());
                self.inventories.push((unit.clone(), token, inventory));
            }
            Order::Delete { key, member } if self.named => match self.unless_held(unit, &key) {
                Ok(()) => self.assign(Waiting::Unit(unit.clone(), token), unit.clone(), Order::Delete { key, member }),
                Err(deleted) => self.tell(unit, Event::Answer(token, Answer::Deleted(deleted)), now),
            },
            order => {
                self.assign(Waiting::Unit(unit.clone(), token), unit.clone(), order);
            }
        }
    }

    fn assign(&mut self, waiting: Waiting, unit: UnitName, order: Order) {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.waiting.insert(token, waiting);
        self.assigned.push(Assigned { token, unit, order });
    }

    fn assign_for_all(&mut self, waiting: Waiting, order: Order) {
        self.assign(waiting, UnitName::whole(), order);
    }

    fn awaits(&self, is: impl Fn(&Waiting) -> bool) -> bool {
        self.waiting.values().any(is)
    }

    /// Issues what is for all of them.
    fn decide(&mut self, now: Timestamp) {
        let reads = self.awaits(|waiting| matches!(waiting, Waiting::Log));
        let appends = self.awaits(|waiting| matches!(waiting, Waiting::Append(..)));
        if self.read_wanted && !reads && !appends && !self.stopping && self.reading.is_due(now) {
            self.lost.ask();
            self.written.clear();
            self.assign_for_all(Waiting::Log, Order::ReadLog);
        } else if !reads && !appends && (!self.read_wanted || self.stopping) {
            self.append();
        }
        if !self.awaits(|waiting| matches!(waiting, Waiting::Log)) {
            for (unit, token, inventory) in std::mem::take(&mut self.inventories) {
                self.assign(Waiting::Unit(unit.clone(), token), unit, Order::WriteInventory(inventory));
            }
        }
        if !self.confirms.is_empty() && !self.awaits(|waiting| matches!(waiting, Waiting::Confirm(_))) {
            let asking = std::mem::take(&mut self.confirms);
            let keys = asking.iter().flat_map(|asking| asking.keys.clone()).collect();
            self.assign_for_all(Waiting::Confirm(asking), Order::Confirm(keys));
        }
        if self.named && !self.stopping {
            self.decide_watch();
            self.decide_collect();
        }
    }

    /// A unit walks from now on; it knows what is known of it.
    fn begin(&mut self, unit: &UnitName, known: Option<Known>, now: Timestamp) {
        if self.units.contains_key(unit) || !self.named {
            return;
        }
        self.units.insert(unit.clone(), Course::new(Arc::clone(&self.settings), unit.clone()));
        if let (Some(known), Some(course)) = (known, self.units.get_mut(unit)) {
            course.hear_log(known, now);
        }
        let said = [self.statements.clone().map(Event::Statements), self.upstream.map(Event::Upstream)];
        for event in said.into_iter().flatten() {
            self.tell(unit, event, now);
        }
        if let Some(tip) = self.tip.clone() {
            self.tell(unit, Event::Tip(tip), now);
        }
    }

    fn hear_tip(&mut self, tip: Result<CommitId, Reason>, units: &Units, now: Timestamp) {
        let before = self.tip.replace(tip.clone());
        self.strangers.clone_from(&units.strangers);
        let known: Vec<UnitName> = self.units.keys().cloned().collect();
        if let Ok(commit) = &tip
            && before.as_ref().and_then(|tip| tip.as_ref().ok()) != Some(commit)
        {
            // An opening at a commit that is not the tip any more could move the accepted head back.
            for (unit, token) in self.queue.withdraw(commit) {
                self.give_back(&unit, token, now);
            }
        }
        let same = self.named && tip.is_ok() && before.as_ref() == Some(&tip);
        for unit in known.iter().filter(|_| !same) {
            let passes = matches!(before, Some(Ok(_))) && self.pass_over(unit, &tip, units);
            if !passes {
                self.tell(unit, Event::Tip(tip.clone()), now);
            }
        }
        for unit in units.directories.keys() {
            self.begin(unit, self.common.clone(), now);
        }
    }

    /// The log upstream has grown. Units that it says nothing new about only learn how long it is.
    fn hear_upstream(&mut self, entries: u64, hearers: &Hearers, now: Timestamp) {
        self.upstream = Some(entries);
        let units: Vec<UnitName> = self.units.keys().cloned().collect();
        for unit in units {
            let hears = hearers.include(&unit) || !self.named;
            let judged = self.units.get_mut(&unit).is_some_and(|course| course.hear_upstream(entries, hears));
            if judged {
                self.tell(&unit, Event::Upstream(entries), now);
            }
        }
    }

    /// Whether nothing that a unit reads has changed, so that it needs not be judged.
    fn pass_over(&mut self, unit: &UnitName, tip: &Result<CommitId, Reason>, units: &Units) -> bool {
        let (Ok(commit), Some(changed), Some(course)) = (tip, &units.changed, self.units.get_mut(unit)) else {
            return false;
        };
        let Some(directory) = units.directories.get(unit) else { return false };
        let touched = |inputs| render::is_touched(&inputs, directory, changed);
        let touched = !changed.is_empty() && course.inputs().is_none_or(touched);
        !touched && course.pass_over(commit)
    }

    fn file_answer(&mut self, token: Token, answer: Answer, now: Timestamp) {
        match (self.waiting.remove(&token), answer) {
            (Some(Waiting::Unit(unit, token)), Answer::Judged(judged)) => {
                let judged = Box::new(self.unless_taken(&unit, *judged, now));
                self.tell(&unit, Event::Answer(token, Answer::Judged(judged)), now);
            }
            (Some(Waiting::Unit(unit, token)), Answer::RolledBack(judged)) => {
                let judged = Box::new(self.unless_taken(&unit, *judged, now));
                self.tell(&unit, Event::Answer(token, Answer::RolledBack(judged)), now);
            }
            (Some(Waiting::Unit(unit, token)), answer) => {
                let recalled = matches!(answer, Answer::Recalled(Ok(_)));
                if matches!(answer, Answer::Inventory(_)) {
                    self.written.insert(unit.clone());
                }
                self.tell(&unit, Event::Answer(token, answer), now);
                if recalled && self.named {
                    self.house_release(&unit);
                }
            }
            (Some(Waiting::Confirm(asking)), Answer::Confirmed(read)) => self.file_confirmed(asking, &read, now),
            (_, _) => {}
        }
    }
}
