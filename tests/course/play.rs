//! Several environments of one repository, in one world and at one time.

use std::collections::BTreeSet;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use lockmaster::course::{Order, Rest};
use lockmaster::deploylog::{Evidence, Phase};
use lockmaster::name::{Code, CommitId, ObjectKey};

use super::cluster::{Fate, later};
use super::content::{Content, ENVIRONMENTS, UNITS};
use super::deeds::Deed;
use super::facts::{Ran, Upstream};
use super::forge::{Forge, Making};
use super::laws::{outcomes, standing_set};
use super::people::MIA;
use super::random::Random;
use super::simulation::Simulation;
use super::site::{Shape, Site};
use super::story::Story;
use super::units::{delayed, end_of_units};
use super::walker::Walker;
use super::world::{Flaw, World};

/// Things that may happen at one moment before it counts as a loop.
const LOOP: usize = 2000;

/// Seconds in which whatever is still to be done begins: longer than the deadline and any soak.
const ROUND: u64 = 450;

/// How long a part of a play goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// So many things happen, at one moment.
    Things(usize),
    Seconds(u64),
}

/// One deed, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) place: usize,
    pub(crate) deed: Deed,
    pub(crate) span: Span,
    /// In which order things happen; none: in their own.
    pub(crate) luck: Option<u64>,
    /// In hundred: how many orders go wrong.
    pub(crate) unrest: u64,
}

/// A whole play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) shapes: Vec<Shape>,
    pub(crate) agents: usize,
    pub(crate) acts: Vec<Act>,
    /// The one environment has units.
    pub(crate) units: bool,
    /// In the end one unit never gets well: this one.
    pub(crate) stuck: Option<usize>,
    /// The world lies.
    pub(crate) flaw: Option<Flaw>,
}

/// What broke first, and the story if it was told.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) broken: Option<(&'static str, String)>,
    pub(crate) story: Story,
}

pub(crate) struct Play {
    pub(crate) sims: Vec<Simulation>,
    pub(crate) forge: Forge,
    pub(crate) story: Story,
    /// How many statements were made.
    pub(crate) said: usize,
    random: Option<Random>,
    turn: usize,
    stuck: Option<usize>,
}

/// Plays a script until a law breaks or everything rests.
pub(crate) fn play(script: &Script, story: Story) -> Outcome {
    let mut play = Play::new(script, story.clone());
    for act in &script.acts {
        play.act(act);
        if play.is_broken() {
            break;
        }
    }
    if !play.is_broken() {
        play.finish();
    }
    let mut broken = play.sims.iter_mut().flat_map(|sim| std::mem::take(&mut sim.laws.broken));
    let broken = broken.next();
    if let Some((law, what)) = &broken {
        story.say(|| format!("BROKEN: {law} ({what})"));
    }
    Outcome { broken, story }
}

impl Play {
    fn new(script: &Script, story: Story) -> Self {
        let forge = Forge::new();
        let content = Content { units: script.units, ..Content::default() };
        let root = Making { parents: &[], files: content.files(), content: Some(content), signer: Some(MIA) };
        let root = forge.make(root);
        let site = |(place, shape): (usize, &Shape)| {
            let mut world = World::at(Site::of(place, *shape), forge.clone());
            world.soak = std::time::Duration::from_secs(shape.soak);
            if script.units {
                world.divide(*shape);
            }
            let mut sim = Simulation::of(world, script.agents, story.clone());
            sim.laws.strict = true;
            sim.lateness = 20;
            sim.world.flaw = script.flaw;
            sim
        };
        let mut sims: Vec<Simulation> = script.shapes.iter().enumerate().map(site).collect();
        sims[0].world.tip = Some(root);
        Play { sims, forge, story, said: 0, random: None, turn: 0, stuck: script.stuck }
    }

    fn is_broken(&self) -> bool {
        self.sims.iter().any(|sim| !sim.laws.broken.is_empty())
    }

    fn act(&mut self, act: &Act) {
        self.random = act.luck.map(Random::new);
        for (place, sim) in self.sims.iter_mut().enumerate() {
            let place = u64::try_from(place).expect("because it is small");
            sim.random = act.luck.map(|luck| Random::new(luck ^ (0x5eed + place)));
            sim.unrest = act.unrest;
        }
        if act.deed != Deed::Nothing {
            self.perform(act.place.min(self.sims.len() - 1), act.deed);
        }
        match act.span {
            Span::Things(things) => {
                for _ in 0..things {
                    if !self.happen() || self.is_broken() {
                        return;
                    }
                }
            }
            Span::Seconds(seconds) => self.run(seconds),
        }
    }

    fn now(&self) -> Timestamp {
        self.sims[0].world.now
    }

    fn run(&mut self, seconds: u64) {
        let end = later(self.now(), seconds);
        self.until_idle();
        while self.now() < end && !self.is_broken() {
            let due = self.sims.iter().filter_map(Simulation::next_due).min().unwrap_or(end);
            let soon = later(self.now(), 1);
            let now = due.clamp(soon, end.max(soon));
            let waited = now.duration_since(self.now()).as_secs();
            if waited > 20 {
                self.story.say(|| format!("{waited} s pass"));
            }
            for sim in &mut self.sims {
                sim.pass_to(now);
            }
            self.until_idle();
        }
    }

    fn until_idle(&mut self) {
        for _ in 0..LOOP {
            if !self.happen() || self.is_broken() {
                return;
            }
        }
        self.sims[0].laws.broken("no loop", "it goes on and on at one moment");
    }

    /// One thing happens to one agent; false if nothing is left to happen now.
    fn happen(&mut self) -> bool {
        self.tell_downstream();
        let mut able = Vec::with_capacity(6);
        for (place, sim) in self.sims.iter().enumerate() {
            able.extend((0..sim.walkers.len()).filter(|who| sim.is_able(*who)).map(|who| (place, who)));
        }
        if able.is_empty() {
            return false;
        }
        self.turn += 1;
        let (place, who) = match &mut self.random {
            Some(random) => able[random.below(able.len())],
            None => able[self.turn % able.len()],
        };
        self.sims[place].act_one(who);
        true
    }

    /// What is journalled upstream is evidence downstream.
    fn tell_downstream(&mut self) {
        for place in 1..self.sims.len() {
            let (above, below) = self.sims.split_at_mut(place);
            let (up, down) = (&above[place - 1].world, &mut below[0].world);
            let entries = u64::try_from(up.entries()).expect("because it is small");
            if down.upstream.as_ref().is_some_and(|known| known.entries == entries) {
                continue;
            }
            let evidence = Evidence::of(&up.site.rules.environment, up.replay.log());
            let mut commits: std::collections::BTreeSet<_> =
                lockmaster::deploylog::shipped(up.replay.log()).cloned().collect();
            commits.extend(up.upstream.iter().flat_map(|upstream| upstream.commits.clone()));
            let stored_at = |sequence: u64| up.stored_at[usize::try_from(sequence).expect("because it is small")];
            let ran = |release: &lockmaster::deploylog::Logged| Ran {
                sequence: release.sequence,
                commit: release.commit.id.clone(),
                proven: matches!(release.outcome, Some((Phase::Proven, _))),
                withdrawn: [release.undone, release.held].into_iter().flatten().map(stored_at).min(),
            };
            let log = evidence.releases.iter().map(ran).collect();
            down.upstream = Some(Rc::new(Upstream { evidence, commits, entries, log }));
        }
    }

    /// Faults and people stop: everything converges, and then nothing is ordered any more (I8).
    fn finish(&mut self) {
        self.story.say(|| "faults and people stop".to_owned());
        self.random = None;
        for sim in &mut self.sims {
            sim.calm();
            sim.world.unreachable = false;
            sim.world.cluster.denied.clear();
            let now = sim.world.now;
            sim.world.cluster.recover_all(now);
            sim.spread();
            for who in 0..sim.walkers.len() {
                if !sim.walkers[who].skew.is_zero() {
                    sim.restart(who);
                }
            }
        }
        self.run(ROUND);
        self.waits_in_vain();
        self.one_is_stuck();
        self.mend();
        let mut still = 0;
        for _ in 0..60 {
            let before = self.written();
            self.run(ROUND);
            if self.is_broken() {
                return;
            }
            still = if self.written() == before { still + 1 } else { 0 };
            if still == 2 {
                return self.judge_end();
            }
        }
        self.sims[0].laws.broken("then silence", "something is written for ever");
    }

    /// Nobody waits for the end of a release that has ended.
    fn waits_in_vain(&mut self) {
        for sim in self.sims.iter_mut().filter(|sim| sim.world.rooms.is_empty()) {
            let standing = sim.world.replay.log().standing.as_ref();
            let ended = standing.is_some_and(|it| matches!(it.outcome, Some((Phase::Proven | Phase::Failed, _))));
            let stop = |walker: &Walker| walker.overview().and_then(|overview| overview.stop);
            let mut stops = sim.walkers.iter().filter_map(stop);
            if ended && stops.any(|stop| stop.reasons.iter().any(|reason| reason.code == Code::Soaking)) {
                sim.laws.broken("nobody waits in vain", "for a release that has ended");
            }
        }
    }

    /// One unit never gets well: that delays no other.
    fn one_is_stuck(&mut self) {
        let Some(stuck) = self.stuck else { return };
        let key = super::shop::deployment_key(UNITS[stuck]);
        self.story.say(|| format!("dev: {} gets well no more", UNITS[stuck]));
        self.sims[0].world.cluster.fates.insert(key, Fate::Never);
        self.mend();
        self.run(200);
        let found = delayed(&self.sims[0], stuck);
        self.sims[0].laws.broken.extend(found);
        let sim = &mut self.sims[0];
        let now = sim.world.now;
        sim.world.cluster.recover_all(now);
        sim.spread();
    }

    /// Somebody brings the branch of the first environment in order.
    fn mend(&mut self) {
        let accepted = self.sims[0].world.replay.log().accepted.as_ref().map(|accepted| accepted.id.clone());
        let base = accepted.or_else(|| self.sims[0].world.tip.clone());
        let Some(base) = base else { return };
        let mut content = self.forge.made(&base).content.unwrap_or_default();
        content.shared = if content.shared == [1, 6] { [2, 6] } else { [1, 6] };
        if content.units {
            // All that a unit reads is put there by somebody who may.
            let fresh = |now: u8, [one, other]: [u8; 2]| if now == one { other } else { one };
            let now = self.forge.made(&base).content.unwrap_or_default();
            content.shared = [fresh(now.shared[0], [1, 2]), fresh(now.shared[1], [6, 7])];
            content.own = [fresh(now.own[0], [5, 6]), fresh(now.own[1], [5, 6]), fresh(now.own[2], [1, 2])];
        }
        let making = Making { parents: &[base], files: content.files(), content: Some(content), signer: Some(MIA) };
        let tip = self.forge.make(making);
        self.story.say(|| format!("dev: mia pushes {}", tip.short()));
        self.sims[0].world.tip = Some(tip);
        self.sims[0].world.deleted = false;
    }

    /// Orders that change something.
    fn written(&self) -> usize {
        self.sims.iter().map(|sim| sim.laws.written).sum()
    }

    fn judge_end(&mut self) {
        for place in 0..self.sims.len() {
            let sim = &self.sims[place];
            let found = if sim.world.rooms.is_empty() { end_of(sim, place) } else { end_of_units(sim) };
            self.sims[place].laws.broken.extend(found);
        }
    }
}

/// What is wrong in the end.
fn end_of(sim: &Simulation, place: usize) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    let (world, log) = (&sim.world, sim.world.replay.log());
    for walker in &sim.walkers {
        let stop = walker.overview().and_then(|overview| overview.stop);
        let waits = stop.as_ref().is_some_and(|stop| !stop.reasons.is_empty());
        if walker.course.rest() != Some(Rest::Quiet) && !waits && world.tip.is_some() && !world.deleted {
            let text = format!("{}: {:?}, {:?}", ENVIRONMENTS[place], walker.course.rest(), walker.outstanding);
            broken.push(("comes to rest", text));
        }
        // Where a rollback is stopped as well, that is what is shown; the log knows of both.
        let told = log.last_refusal.as_ref().filter(|(id, _)| Some(id) == world.tip.as_ref());
        let frozen = stop.as_ref().is_some_and(|stop| stop.reasons.iter().all(|reason| waits_for(reason.code)))
            || told.is_some_and(|(_, codes)| codes.iter().all(|code| waits_for(*code)));
        let accepted = log.accepted.as_ref().map(|accepted| &accepted.id);
        let content = |id: Option<&CommitId>| world.forge.made(id?).content.map(|it| (it.shared, it.own[place]));
        let stands = content(log.standing.as_ref().map(|standing| &standing.commit.id));
        let as_is = accepted == world.tip.as_ref() || stands == content(world.tip.as_ref());
        if place == 0 && !as_is && !frozen {
            let reasons = stop.map(|stop| stop.reasons);
            broken
                .push(("what is good enters", format!("{:?} is accepted: {reasons:?}", accepted.map(|id| id.short()))));
        }
    }
    let Some(standing) = &log.standing else { return broken };
    let theirs: BTreeSet<&ObjectKey> =
        world.cluster.objects.iter().filter(|(_, body)| body.foreign).map(|(key, _)| key).collect();
    let set = standing_set(world).expect("because it was stored");
    let in_the_way = set.manifests().iter().any(|manifest| theirs.contains(&manifest.key));
    if !matches!(standing.outcome, Some((Phase::Proven, _))) && !in_the_way {
        broken.push(("proven in the end", format!("{}: {:?}", ENVIRONMENTS[place], standing.outcome)));
    }
    let mut left = super::seeds::waiting(sim);
    if in_the_way {
        // What does not settle is not pruned after.
        let doomed = world.inventory.members.iter().filter(|(_, member)| member.doomed);
        left.extend(doomed.map(|(key, _)| key.clone()));
    }
    let wanted = set.manifests().iter().map(|manifest| (&manifest.key, manifest.digest));
    let wanted: BTreeSet<_> = wanted.filter(|(key, _)| !theirs.contains(key)).collect();
    let live = world.cluster.objects.iter().filter(|(key, body)| body.ours && !left.contains(key));
    let live: BTreeSet<_> = live.map(|(key, body)| (key, body.digest)).collect();
    if live != wanted {
        broken.push(("live equals standing", format!("live {live:?}, wanted {wanted:?}")));
    }
    let edited = world.cluster.objects.iter().find(|(_, body)| body.ours && !body.edits.is_empty());
    if let Some((key, _)) = edited {
        broken.push(("live equals standing", format!("{key} is edited")));
    }
    let members = world.inventory.members.keys().filter(|key| !left.contains(key) && !theirs.contains(*key));
    let members: BTreeSet<&ObjectKey> = members.collect();
    if members != wanted.iter().map(|(key, _)| *key).collect() {
        broken.push(("the inventory is exact", format!("{members:?}")));
    }
    broken.extend(outcomes(log));
    broken
}

/// Whether a candidate may wait for this for ever, though nothing is wrong with it.
pub(crate) fn waits_for(code: Code) -> bool {
    matches!(
        code,
        Code::Frozen | Code::WindowClosed | Code::ApprovalsMissing | Code::AdoptionNeeded | Code::HeldContent
    )
}

/// Whether an order changes anything that lasts.
pub(crate) fn is_write(order: &Order) -> bool {
    matches!(
        order,
        Order::Append(_)
            | Order::Apply { .. }
            | Order::Delete { .. }
            | Order::WriteInventory(_)
            | Order::StoreRelease { .. }
            | Order::Collect(_)
    )
}

/// A span of a clock.
pub(crate) fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}
