//! Walks courses through the model world: in order, or in any order that a seed chooses, with crashes and lost replies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use lockmaster::course::{Answer, Course, Event, Issued, Order, Rest, Sighting, Token, WakeAt};
use lockmaster::name::{CommitId, GroupKind, ObjectKey};
use serde_json::Value;

use super::cluster::later;
use super::laws::{Errand, Laws};
use super::random::Random;
use super::world::{Desk, Loss, World, settings};

/// Steps at one moment after which the run counts as a loop.
const LOOP: usize = 3000;

/// What goes wrong at one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The reply, or the order itself, is lost.
    Lost(Loss),
    /// The same, and the agent is gone; a new one starts.
    Crash(Loss),
}

/// One agent: its course and everything on its way to and from it.
pub(crate) struct Walker {
    pub(crate) course: Course,
    pub(crate) desk: Desk,
    pub(crate) pending: VecDeque<Issued>,
    answers: VecDeque<(Token, Answer)>,
    pub(crate) outstanding: BTreeMap<Token, Errand>,
    answered: Vec<Token>,
    watched: BTreeSet<GroupKind>,
    sightings: VecDeque<(ObjectKey, Option<Value>)>,
    told: Option<CommitId>,
    wake: Option<Timestamp>,
    started: bool,
    pub(crate) asleep: bool,
}

impl Walker {
    fn new() -> Self {
        Walker {
            course: Course::new(settings()),
            desk: Desk::default(),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            outstanding: BTreeMap::new(),
            answered: Vec::new(),
            watched: BTreeSet::new(),
            sightings: VecDeque::new(),
            told: None,
            wake: None,
            started: false,
            asleep: false,
        }
    }
}

pub(crate) struct Simulation {
    pub(crate) world: World,
    pub(crate) walkers: Vec<Walker>,
    pub(crate) laws: Laws,
    pub(crate) random: Option<Random>,
    /// What goes wrong, by the number of the order that is carried out.
    pub(crate) faults: BTreeMap<usize, Fault>,
    /// In hundred: how often an order goes wrong by chance.
    pub(crate) unrest: u64,
    /// Sightings are heard before answers.
    pub(crate) late_answers: bool,
    /// Changes each order before it is noted; true: it is issued twice.
    pub(crate) tampering: Option<fn(&mut Order) -> bool>,
    pub(crate) carried: usize,
    pub(crate) issued: usize,
    steps: usize,
}

impl Simulation {
    pub(crate) fn new() -> Self {
        Simulation::with(1)
    }

    pub(crate) fn with(walkers: usize) -> Self {
        Simulation {
            world: World::new(),
            walkers: (0..walkers).map(|_| Walker::new()).collect(),
            laws: Laws::default(),
            random: None,
            faults: BTreeMap::new(),
            unrest: 0,
            late_answers: false,
            tampering: None,
            carried: 0,
            issued: 0,
            steps: 0,
        }
    }

    pub(crate) fn restart(&mut self, who: usize) {
        self.walkers[who] = Walker::new();
    }

    /// Runs for so many seconds of the world's time.
    pub(crate) fn run(&mut self, seconds: u64) {
        let end = later(self.world.now, seconds);
        while self.world.now < end {
            self.act_until_idle();
            self.advance(end);
        }
        self.act_until_idle();
    }

    /// Lets only so many things happen, and no time pass.
    pub(crate) fn run_some(&mut self, things: usize) {
        for _ in 0..things {
            self.steps += 1;
            if !self.act() {
                return;
            }
        }
    }

    /// Runs until one walker holds an order of this kind that is not carried out yet.
    pub(crate) fn run_until(&mut self, who: usize, wanted: fn(&Order) -> bool) {
        let end = later(self.world.now, 3600);
        while !self.walkers[who].pending.iter().any(|issued| wanted(&issued.order)) {
            assert!(self.world.now < end, "because such an order comes within the hour");
            self.steps += 1;
            if !self.act() {
                self.advance(end);
            }
        }
    }

    /// Runs until every course rests, at most an hour.
    pub(crate) fn rest(&mut self) {
        let end = later(self.world.now, 3600);
        self.act_until_idle();
        while self.world.now < end && !self.is_quiet() {
            self.advance(end);
            self.act_until_idle();
        }
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let quiet = |walker: &Walker| walker.course.rest() == Some(Rest::Quiet) && walker.pending.is_empty();
        self.walkers.iter().all(|walker| walker.asleep || quiet(walker))
    }

    fn act_until_idle(&mut self) {
        self.steps = 0;
        while self.act() {
            self.steps += 1;
            if self.steps > LOOP {
                self.laws.broken("no loop", "the course goes on and on at one moment");
                return;
            }
        }
    }

    /// One thing happens to one walker; false if nothing is left to happen now.
    pub(crate) fn act(&mut self) -> bool {
        let able: Vec<usize> = (0..self.walkers.len()).filter(|who| self.is_able(*who)).collect();
        if able.is_empty() {
            return false;
        }
        let who = match &mut self.random {
            Some(random) => able[random.below(able.len())],
            None => able[self.steps % able.len()],
        };
        self.act_one(who);
        true
    }

    fn is_able(&self, who: usize) -> bool {
        let walker = &self.walkers[who];
        let news = self.world.tip.is_some() && walker.told != self.world.tip;
        let busy = !walker.answers.is_empty() || !walker.pending.is_empty() || !walker.sightings.is_empty();
        !walker.asleep && (!walker.started || news || busy)
    }

    fn act_one(&mut self, who: usize) {
        let walker = &mut self.walkers[who];
        if !walker.started {
            walker.started = true;
            return self.step(who, Event::Tick);
        }
        if walker.told != self.world.tip
            && let Some(tip) = self.world.tip.clone()
        {
            walker.told = Some(tip.clone());
            return self.step(who, Event::Tip(Ok(tip)));
        }
        let choices = [!walker.answers.is_empty(), !walker.pending.is_empty(), !walker.sightings.is_empty()];
        let able: Vec<usize> = (0..choices.len()).filter(|choice| choices[*choice]).collect();
        let choice = match &mut self.random {
            Some(random) => able[random.below(able.len())],
            None if self.late_answers => able[able.len() - 1],
            None => able[0],
        };
        match choice {
            0 => self.hear_answer(who),
            1 => self.carry_out(who),
            _ => self.hear_sighting(who),
        }
    }

    fn pick(&mut self, count: usize) -> usize {
        self.random.as_mut().map_or(0, |random| random.below(count))
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.as_mut().is_some_and(|random| random.chance(percent))
    }

    fn hear_answer(&mut self, who: usize) {
        let place = self.pick(self.walkers[who].answers.len());
        let Some((token, answer)) = self.walkers[who].answers.remove(place) else { return };
        self.walkers[who].outstanding.remove(&token);
        self.walkers[who].answered.push(token);
        self.step(who, Event::Answer(token, answer));
        if self.chance(5) {
            // A duplicate: its token is no longer awaited.
            let place = self.pick(self.walkers[who].answered.len());
            let token = self.walkers[who].answered[place];
            self.step(who, Event::Answer(token, Answer::Done));
        }
    }

    fn hear_sighting(&mut self, who: usize) {
        let Some((key, value)) = self.walkers[who].sightings.pop_front() else { return };
        let skipped = self.walkers[who].sightings.iter().any(|(later, _)| *later == key) && self.chance(30);
        if skipped {
            return;
        }
        if self.chance(10) {
            let place = self.pick(self.walkers[who].sightings.len() + 1);
            self.walkers[who].sightings.insert(place, (key.clone(), value.clone()));
        }
        let sighting = value.map_or(Sighting::Gone(key.clone()), |value| Sighting::Object(key, Box::new(value)));
        self.step(who, Event::Sighting(sighting));
    }

    fn carry_out(&mut self, who: usize) {
        let place = self.pick(self.walkers[who].pending.len());
        let Some(issued) = self.walkers[who].pending.remove(place) else { return };
        let number = self.carried;
        self.carried += 1;
        let mut fault = self.faults.get(&number).copied();
        if fault.is_none() && self.chance(self.unrest) {
            let loss = [Loss::Request, Loss::Reply, Loss::Nothing][self.pick(3)];
            fault = Some(if self.chance(20) { Fault::Crash(loss) } else { Fault::Lost(loss) });
        }
        let loss = match fault {
            None => Loss::Nothing,
            Some(Fault::Lost(loss) | Fault::Crash(loss)) => loss,
        };
        let Issued { token, order } = issued;
        self.laws.before_effect(&self.world, &order);
        let answer = self.world.carry_out(&mut self.walkers[who].desk, &order, loss);
        self.laws.after_effect(&self.world, &order, &answer);
        if let Order::Watch(kinds) = &order {
            self.walkers[who].watched = kinds.iter().map(lockmaster::name::GroupVersionKind::group_kind).collect();
            let walker = &mut self.walkers[who];
            walker.sightings.clear();
            let seen = self.world.cluster.objects.iter().filter(|(_, body)| body.ours);
            let seen = seen.filter(|(key, _)| walker.watched.contains(&key.group_kind()));
            let listed: Vec<_> = seen.map(|(key, _)| (key.clone(), self.world.cluster.value(key))).collect();
            walker.sightings.extend(listed);
        }
        self.spread();
        if matches!(fault, Some(Fault::Crash(_))) {
            self.restart(who);
        } else {
            self.walkers[who].answers.push_back((token, answer));
        }
    }

    /// Tells every watch what changed.
    pub(crate) fn spread(&mut self) {
        for (key, value) in self.world.cluster.take_changes() {
            for walker in self.walkers.iter_mut().filter(|walker| walker.watched.contains(&key.group_kind())) {
                walker.sightings.push_back((key.clone(), value.clone()));
            }
        }
    }

    fn step(&mut self, who: usize, event: Event) {
        let now = self.world.now;
        let (issued, wake) = self.walkers[who].course.step(event, now);
        let wake = wake.map(|WakeAt(time)| time);
        if wake.is_some_and(|time| time <= now) {
            self.laws.broken("wakes later", "the course asks to be woken at a time that has passed");
        }
        self.walkers[who].wake = wake;
        for mut order in issued {
            let twice = self.tampering.is_some_and(|tampering| tampering(&mut order.order));
            for _ in 0..=usize::from(twice) {
                self.issued += 1;
                let alone = self.walkers.len() == 1;
                self.laws.issued(&self.world, &self.walkers[who], &order.order, alone);
                let errand = Errand::of(&order.order);
                self.walkers[who].outstanding.insert(order.token, errand);
            }
            self.walkers[who].pending.push_back(order);
        }
    }

    /// Lets time pass until something is due.
    fn advance(&mut self, end: Timestamp) {
        let wakes = self.walkers.iter().filter(|walker| !walker.asleep).filter_map(|walker| walker.wake);
        let due = wakes.chain(self.world.cluster.next_change()).min().unwrap_or(end);
        let soon = later(self.world.now, 1);
        self.world.now = due.clamp(soon, end.max(soon));
        self.world.cluster.advance(self.world.now);
        self.spread();
        for who in 0..self.walkers.len() {
            if !self.walkers[who].asleep && self.walkers[who].started {
                self.step(who, Event::Tick);
            }
        }
    }
}
