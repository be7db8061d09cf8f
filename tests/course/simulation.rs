//! Walks courses through the model world: in order, or in any order that a seed chooses, with crashes and lost replies.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lockmaster::course::{
    Answer, Appended, Assigned, Courses, Heard, Known, Ledger, Order, Rest, Together, Token, Units, WakeAt,
};
use lockmaster::deploylog::Hearers;
use lockmaster::name::{Code, CommitId, GroupKind, GroupVersionKind, ObjectKey, Reason, UnitName};
use lockmaster::plan::OnDrift;

use super::cluster::later;
use super::laws::{Errand, Laws};
use super::random::Random;
use super::site::settings;
use super::story::Story;
use super::walker::{Shown, Walker};
use super::world::{Loss, World};

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
    /// Kinds that nobody may watch.
    pub(crate) unwatchable: BTreeSet<GroupKind>,
    /// Steps at one moment after which the run counts as a loop.
    pub(crate) steps_at_once: usize,
    /// Writes may come late: in hundred of the orders that go wrong.
    pub(crate) lateness: u64,
    pub(crate) story: Story,
    steps: usize,
}

impl Simulation {
    pub(crate) fn new() -> Self {
        Simulation::with(1)
    }

    pub(crate) fn with(walkers: usize) -> Self {
        Simulation::of(World::new(), walkers, Story::default())
    }

    pub(crate) fn of(world: World, walkers: usize, story: Story) -> Self {
        Simulation {
            walkers: (0..walkers).map(|_| Walker::new(&world)).collect(),
            world,
            laws: Laws { alone: walkers == 1, ..Laws::default() },
            random: None,
            faults: BTreeMap::new(),
            unrest: 0,
            late_answers: false,
            tampering: None,
            carried: 0,
            issued: 0,
            unwatchable: BTreeSet::new(),
            steps_at_once: LOOP,
            lateness: 0,
            story,
            steps: 0,
        }
    }

    /// How long releases soak, for agents that start now.
    pub(crate) fn set_soak(&mut self, seconds: u64) {
        self.world.soak = Duration::from_secs(seconds);
        for walker in &mut self.walkers {
            *walker = Walker::new(&self.world);
        }
    }

    /// What is done about drift, for an agent that starts now.
    pub(crate) fn set_on_drift(&mut self, on_drift: OnDrift) {
        let mut settings = settings(&self.world.site, self.world.soak);
        settings.policy.on_drift = on_drift;
        self.walkers[0].course = Courses::new(settings, false);
    }

    pub(crate) fn restart(&mut self, who: usize) {
        self.laws.confirmed.retain(|(other, _), _| *other != who);
        self.walkers[who] = Walker::new(&self.world);
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
            if self.steps > self.steps_at_once {
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

    pub(crate) fn is_able(&self, who: usize) -> bool {
        let walker = &self.walkers[who];
        !walker.asleep && (!walker.started || !walker.choices(&self.world).is_empty())
    }

    pub(crate) fn act_one(&mut self, who: usize) {
        let walker = &mut self.walkers[who];
        if !walker.started {
            walker.started = true;
            return self.step(who, Heard::Tick);
        }
        let able = walker.choices(&self.world);
        let choice = match &mut self.random {
            Some(random) => able[random.below(able.len())],
            None if self.late_answers && able[0] != 0 => able[able.len() - 1],
            None => able[0],
        };
        match choice {
            0 => self.hear_news(who),
            1 => self.hear_answer(who),
            2 => self.carry_out(who),
            _ => self.hear_sighting(who),
        }
    }

    /// What a look shows, the statements first; and how long the log upstream is.
    fn hear_news(&mut self, who: usize) {
        let before = self.walkers[who].told.clone();
        let look = self.world.look(&before);
        self.walkers[who].told = look.clone();
        if look.statements != before.statements {
            self.step(who, Heard::Statements(look.statements));
        }
        if let Some(tip) = look.tip {
            self.hear_tip(who, tip, before.tip.and_then(Result::ok).as_ref());
        }
        let upstream = self.world.upstream.as_ref().map_or(0, |upstream| upstream.entries);
        if self.walkers[who].told_upstream != upstream {
            self.walkers[who].told_upstream = upstream;
            self.step(who, Heard::Upstream(upstream, Hearers::All));
        }
    }

    fn hear_tip(&mut self, who: usize, tip: Result<CommitId, Code>, before: Option<&CommitId>) {
        let unread = |code: Code| Reason::new(code, "it cannot be read");
        // Where no unit was found nothing was told.
        let before = before.filter(|before| self.world.units_of(before, None).is_ok());
        let units = tip.as_ref().map_err(|code| *code).and_then(|tip| self.world.units_of(tip, before));
        let heard = match units {
            Ok(units) => {
                if let Ok(tip) = &tip
                    && !self.world.rooms.is_empty()
                {
                    self.walkers[who].passed = self.walkers[who].passes(&self.world, tip, before);
                }
                Heard::Tip(tip.map_err(unread), units)
            }
            Err(code) => Heard::Tip(Err(unread(code)), Units::default()),
        };
        self.step(who, heard);
    }

    fn pick(&mut self, count: usize) -> usize {
        self.random.as_mut().map_or(0, |random| random.below(count))
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.as_mut().is_some_and(|random| random.chance(percent))
    }

    fn hear_answer(&mut self, who: usize) {
        let place = self.pick(self.walkers[who].answers.len());
        let Some((token, heard)) = self.walkers[who].answers.remove(place) else { return };
        self.walkers[who].outstanding.remove(&token);
        self.walkers[who].answered.push(token);
        self.step(who, heard);
        if self.chance(5) {
            // A duplicate: its token is no longer awaited.
            let place = self.pick(self.walkers[who].answered.len());
            let token = self.walkers[who].answered[place];
            self.step(who, Heard::Answer(token, Answer::Done));
        }
    }

    fn hear_sighting(&mut self, who: usize) {
        let Some(shown) = self.walkers[who].sightings.pop_front() else { return };
        if let Some(key) = shown.key() {
            // A watch may leave out what is older than what it shows next, and show something twice.
            let later = self.walkers[who].sightings.iter().any(|later| later.key() == Some(key));
            if later && self.chance(30) {
                return;
            }
            if self.chance(10) {
                let place = self.pick(self.walkers[who].sightings.len() + 1);
                self.walkers[who].sightings.insert(place, shown.clone());
            }
        }
        self.step(who, Heard::Sighting(shown.sighting()));
        if !self.world.rooms.is_empty() && self.chance(3) {
            // Another look found what was found before.
            if let Some(Ok(tip)) = self.walkers[who].told.tip.clone() {
                self.hear_tip(who, Ok(tip.clone()), Some(&tip));
            }
        }
    }

    fn carry_out(&mut self, who: usize) {
        let place = self.pick(self.walkers[who].pending.len());
        let place = self.in_turn(who, place);
        let Some(issued) = self.walkers[who].pending.remove(place) else { return };
        let number = self.carried;
        self.carried += 1;
        let mut fault = self.faults.get(&number).copied();
        if fault.is_none() && self.chance(self.unrest) {
            let late = self.chance(self.lateness);
            let loss = [Loss::Request, Loss::Reply, Loss::Nothing][self.pick(3)];
            let loss = if late { Loss::Late([1, 8, 25, 45, 400][self.pick(5)]) } else { loss };
            fault = Some(if self.chance(20) { Fault::Crash(loss) } else { Fault::Lost(loss) });
        }
        let loss = match fault {
            None => Loss::Nothing,
            Some(Fault::Lost(loss) | Fault::Crash(loss)) => loss,
        };
        let Assigned { token, unit, order } = issued;
        self.story.order(&self.world, who, (&unit, &order), fault);
        self.world.machine = self.time_of(who);
        self.laws.before_effect(&self.world, who, (&unit, &order));
        let entries = self.world.entries();
        let inventory = self.world.rooms.get(&unit).map(|room| room.inventory.clone());
        let pinned = self.walkers[who].replaces.remove(&token);
        self.walkers[who].desk.pin(pinned);
        let heard = self.world.hear(&mut self.walkers[who].desk, (token, &unit), &order, loss);
        if let Some(before) = inventory.filter(|_| matches!(order, Order::WriteInventory(_))) {
            self.laws.replaced(&self.world, &self.walkers[who], &unit, &before);
        }
        let alone = self.walkers.len() == 1;
        self.laws.after_effect(&self.world, alone);
        if alone && matches!(order, Order::Collect(_)) {
            self.laws.collected(&self.world);
        }
        if self.world.entries() > entries {
            self.laws.appended(&self.world, Some(who));
        }
        if let Order::Watch { kinds, anew } = &order {
            self.watch(who, kinds, *anew);
        }
        self.spread();
        if matches!(fault, Some(Fault::Crash(_))) {
            self.restart(who);
        } else {
            self.walkers[who].answers.push_back((token, heard));
        }
    }

    /// Where there are units, what is watched is carried out in the order in which it was asked for, as the agent does.
    fn in_turn(&self, who: usize, place: usize) -> usize {
        let watches = |assigned: &Assigned| matches!(assigned.order, Order::Watch { .. });
        let pending = &self.walkers[who].pending;
        let picked = !self.world.rooms.is_empty() && pending.get(place).is_some_and(watches);
        pending.iter().position(watches).filter(|_| picked).unwrap_or(place)
    }

    /// As the shared watches do: what is new for this walker is listed, and what is watched already only if asked anew.
    fn watch(&mut self, who: usize, kinds: &BTreeSet<GroupVersionKind>, anew: bool) {
        let walker = &mut self.walkers[who];
        if anew {
            walker.sightings.clear();
            walker.watched.clear();
        }
        let fresh: Vec<_> = kinds.iter().filter(|kind| !walker.watched.contains(&kind.group_kind())).cloned().collect();
        walker.watched = kinds.iter().map(GroupVersionKind::group_kind).collect();
        walker.kinds.clone_from(kinds);
        for kind in fresh {
            if self.unwatchable.contains(&kind.group_kind()) {
                self.walkers[who].sightings.push_back(Shown::Unwatched(kind));
                continue;
            }
            self.list(who, kind);
        }
    }

    fn list(&mut self, who: usize, kind: GroupVersionKind) {
        let walker = &mut self.walkers[who];
        walker.sightings.push_back(Shown::Listing(kind.clone()));
        let seen =
            self.world.cluster.objects.iter().filter(|(key, body)| body.ours && key.group_kind() == kind.group_kind());
        for (key, _) in seen {
            let value = self.world.cluster.value(key).expect("because it is there");
            walker.sightings.push_back(Shown::Object(key.clone(), value));
        }
        walker.sightings.push_back(Shown::Listed(kind));
    }

    /// What is on its way to a watch is lost, and everything is listed again.
    pub(crate) fn relist(&mut self, who: usize) {
        self.walkers[who].sightings.clear();
        for kind in self.walkers[who].kinds.clone() {
            self.list(who, kind);
        }
    }

    /// Tells every watch what changed.
    pub(crate) fn spread(&mut self) {
        for shown in self.world.cluster.take_changes() {
            let kind = shown.key().map(ObjectKey::group_kind);
            let shown_to_nobody = kind.as_ref().is_some_and(|kind| self.unwatchable.contains(kind));
            let watches = |walker: &&mut Walker| {
                !shown_to_nobody && kind.as_ref().is_some_and(|kind| walker.watched.contains(kind))
            };
            for walker in self.walkers.iter_mut().filter(watches) {
                walker.sightings.push_back(shown.clone());
            }
        }
    }

    /// What the clock of an agent's machine shows.
    fn time_of(&self, who: usize) -> Timestamp {
        self.world.now.checked_add(self.walkers[who].skew).expect("because clocks jump by hours")
    }

    pub(crate) fn step(&mut self, who: usize, heard: Heard) {
        let now = self.time_of(who);
        let walker = &mut self.walkers[who];
        let mut issued = Vec::new();
        let jumped = std::mem::take(&mut walker.jumped);
        if !jumped.is_zero() {
            issued = walker.course.step(Heard::ClockJumped(jumped), now).0;
        }
        let (more, wake) = walker.course.step(heard, now);
        issued.extend(more);
        let wake = wake.map(|WakeAt(time)| time);
        if wake.is_some_and(|time| time <= now) {
            self.laws.broken("wakes later", "the course asks to be woken at a time that has passed");
        }
        // It sleeps for a span: what its clock does meanwhile changes nothing.
        let skew = self.walkers[who].skew;
        self.walkers[who].wake = wake.and_then(|time| time.checked_sub(skew).ok());
        self.laws.stepped(&self.world, &self.walkers[who]);
        for mut order in issued {
            let twice = self.tampering.is_some_and(|tampering| tampering(&mut order.order));
            for _ in 0..=usize::from(twice) {
                self.issued += 1;
                let alone = self.walkers.len() == 1;
                self.laws.issued(&self.world, &self.walkers[who], (&order.unit, &order.order), alone);
                let errand = Errand::of(&order.order);
                if matches!(order.order, Order::WriteInventory(_)) {
                    let version = self.walkers[who].desk.version_of(&order.unit);
                    self.walkers[who].replaces.insert(order.token, version);
                }
                self.walkers[who].outstanding.insert(order.token, errand);
            }
            self.walkers[who].pending.push_back(order);
        }
    }

    /// Lets time pass until something is due.
    fn advance(&mut self, end: Timestamp) {
        let soon = later(self.world.now, 1);
        let due = self.next_due().unwrap_or(end).clamp(soon, end.max(soon));
        self.pass_to(due);
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let wakes = self.walkers.iter().filter(|walker| !walker.asleep).filter_map(|walker| walker.wake);
        wakes.chain(self.world.cluster.next_change()).chain(self.world.next_landing()).min()
    }

    /// It is that time now.
    pub(crate) fn pass_to(&mut self, now: Timestamp) {
        self.world.now = now;
        self.world.cluster.advance(now);
        while let Some(afloat) = self.world.take_landing() {
            self.story.landing(&self.world, &afloat);
            let (entries, alone) = (self.world.entries(), self.walkers.len() == 1);
            self.world.land(afloat);
            self.laws.after_effect(&self.world, alone);
            if self.world.entries() > entries {
                self.laws.appended(&self.world, None);
            }
        }
        self.spread();
        for who in 0..self.walkers.len() {
            let walker = &self.walkers[who];
            if !walker.asleep && walker.started && walker.wake.is_some_and(|wake| wake <= now) {
                self.step(who, Heard::Tick);
            }
        }
    }
}

/// What the walk of an environment without units hears of an answer.
pub(crate) fn heard(token: Token, answer: Answer) -> Heard {
    let whole = UnitName::whole();
    match answer {
        Answer::Log(read) => {
            let ledger = |known: Box<Known>| {
                let Known { log, inventory, cluster, agent_key } = *known;
                let (logs, inventories) = ([(whole.clone(), log.clone())].into(), [(whole.clone(), inventory)].into());
                Box::new(Ledger { whole: log.clone(), common: log, logs, inventories, cluster, agent_key })
            };
            Heard::Read(token, read.map(ledger))
        }
        Answer::Appended(appended) => {
            let together = match appended {
                Appended::Ours(log) => {
                    Together::Ours { whole: log.clone(), common: log.clone(), logs: [(whole, *log)].into() }
                }
                Appended::Taken => Together::Taken,
                Appended::Unknown(reason) => Together::Unknown(reason),
                Appended::Unwritable(reason) => Together::Unwritable(reason),
                Appended::Overtaken(_) => unreachable!("because no journal says so"),
            };
            Heard::Written(token, together)
        }
        answer => Heard::Answer(token, answer),
    }
}
