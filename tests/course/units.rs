//! The laws of units that walk side by side: what one may not do to another, and what none needs to do.

use std::collections::{BTreeMap, BTreeSet};

use lockmaster::course::{Brief, Overview, Rest};
use lockmaster::deploylog::{Entry, Log, Phase};
use lockmaster::manifest::ManifestSet;
use lockmaster::name::{CommitId, Digest, GroupVersionKind, ObjectKey, UnitName};
use lockmaster::plan::Inventory;

use super::laws::{Laws, opened_by, openings, outcomes, unwell};
use super::play::waits_for;
use super::rooms::place;
use super::simulation::Simulation;
use super::walker::Walker;
use super::world::World;

impl World {
    /// The log as a unit reads it.
    pub(crate) fn log_of(&self, unit: &UnitName) -> Log {
        self.replay.of_unit(unit)
    }

    /// The units; the whole where there are none.
    pub(crate) fn all(&self) -> Vec<UnitName> {
        if self.rooms.is_empty() { vec![UnitName::whole()] } else { self.rooms.keys().cloned().collect() }
    }

    /// The sets that stand.
    pub(crate) fn sets(&self) -> impl Iterator<Item = (UnitName, &ManifestSet)> {
        self.all().into_iter().filter_map(|unit| {
            let set = self.set_of(&unit)?;
            Some((unit, set))
        })
    }

    /// Whether some inventory names it.
    pub(crate) fn is_member(&self, key: &ObjectKey) -> bool {
        let mut all = self.rooms.values().map(|room| &room.inventory).chain([&self.inventory]);
        all.any(|inventory| inventory.members.contains_key(key))
    }

    /// The bytes that may have to be recalled: the last three releases of each unit.
    fn kept(&self) -> BTreeSet<Digest> {
        let kept = |unit: &UnitName| {
            let log = self.log_of(unit);
            let mut last: Vec<Digest> = Vec::new();
            for (_, release) in openings(&log).collect::<Vec<_>>().into_iter().rev() {
                if last.len() < 3 && !last.contains(&release) {
                    last.push(release);
                }
            }
            last
        };
        self.rooms.keys().flat_map(kept).collect()
    }
}

impl Laws {
    /// What an agent does to an object is done for the unit whose release names it, as far as it knows.
    pub(crate) fn is_home(&mut self, world: &World, walker: &Walker, unit: &UnitName, key: &ObjectKey) {
        for other in world.rooms.keys().filter(|other| *other != unit) {
            let known = walker.course.known(other).and_then(|known| known.log.standing.as_ref());
            let set = known.and_then(|standing| world.archive.get(&standing.release));
            if set.is_some_and(|set| set.get(key).is_some()) {
                self.broken("an object is written for its own unit", format!("{key} of {other}, for {unit}"));
            }
        }
    }

    /// Whoever was as it stands, and does not read what changed, is not judged.
    pub(crate) fn passed_over(&mut self, walker: &Walker, unit: &UnitName, brief: &Brief) {
        let Some((tip, units)) = walker.passed.as_ref().filter(|(tip, _)| *tip == brief.tip) else { return };
        let standing = |unit| Some(walker.course.known(unit)?.log.standing.as_ref()?.sequence);
        if units.get(unit).is_some_and(|was| *was == standing(unit)) && !walker.asleep {
            self.broken("who is not touched is not judged", format!("{unit} at {}", tip.short()));
        }
    }

    /// What is read freshly of several units is read of each.
    pub(crate) fn read_freshly(&mut self, world: &World, who: usize, keys: &BTreeMap<ObjectKey, GroupVersionKind>) {
        for (unit, set) in world.sets() {
            if set.manifests().iter().all(|manifest| keys.contains_key(&manifest.key)) {
                let standing = world.log_of(&unit).standing.map(|standing| standing.sequence);
                self.confirmed.insert((who, unit), (standing, unwell(world, Some(set)).is_none()));
            }
        }
    }

    /// An inventory was written, or not: only over one that was read.
    pub(crate) fn replaced(&mut self, world: &World, walker: &Walker, unit: &UnitName, before: &Inventory) {
        let read = walker.course.known(unit).map(|known| &known.inventory);
        if world.rooms[unit].inventory != *before && read.is_some_and(|read| read != before) {
            self.broken("an inventory replaces what was read", format!("{unit}, for {}", before.sequence));
        }
    }

    /// The bytes of what stands, or may have to come back, are kept, whoever asked for what.
    pub(crate) fn collected(&mut self, world: &World) {
        for release in world.kept() {
            if !world.releases.contains_key(&release) {
                self.broken("the bytes of every unit are kept", release.hex());
            }
        }
    }

    /// An entry about several units has reached the store.
    pub(crate) fn appended_for_all(&mut self, world: &World, who: Option<usize>) {
        let log = world.replay.log();
        let Some(last) = log.entries.last() else { return };
        let units = if last.body.units.is_empty() { world.all() } else { last.body.units.clone() };
        for unit in units {
            let view = world.log_of(&unit);
            if view.entries.last().map(|entry| entry.sequence) != Some(last.sequence) {
                continue;
            }
            self.appended_for(world, (who, &unit), &view);
            self.opens_something_new(world, &unit, &view);
            self.heads_of(&view);
        }
        self.head_of_all(world, log);
        self.stated_once(log, last);
        let mut homes: BTreeMap<ObjectKey, UnitName> = BTreeMap::new();
        for (unit, set) in world.sets() {
            for manifest in set.manifests() {
                if let Some(other) = homes.insert(manifest.key.clone(), unit.clone()) {
                    let text = format!("{} in {other} and {unit}", manifest.key);
                    self.broken("no object stands in two units", text);
                }
            }
        }
    }

    /// The accepted head of all moves forward, or stays.
    fn head_of_all(&mut self, world: &World, log: &Log) {
        let leaves = |entry: &Entry| {
            let of_parts = || entry.body.parts.values().find_map(|part| part.rollback.as_ref());
            entry.body.rollback.as_ref().or_else(of_parts).is_some_and(lockmaster::deploylog::Rollback::leaves_head)
        };
        let opened = log.entries.iter().filter(|entry| !opened_by(&entry.body).is_empty() && !entry.lapsed);
        let heads: Vec<&CommitId> =
            opened.filter(|entry| !leaves(entry)).filter_map(|entry| Some(&entry.body.commit.as_ref()?.id)).collect();
        if let [.., before, last] = heads.as_slice()
            && !world.forge.line(last).contains(before)
        {
            self.broken("the accepted head moves forward", format!("from {} to {}", before.short(), last.short()));
        }
    }

    /// No unit opens a commit twice.
    fn heads_of(&mut self, view: &Log) {
        let opening = |entry: &&Entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed;
        let opened: Vec<&Entry> = view.entries.iter().map(AsRef::as_ref).filter(opening).collect();
        let Some((last, before)) = opened.split_last() else { return };
        let commit = |entry: &Entry| entry.body.commit.as_ref().map(|commit| commit.id.clone());
        let newest = view.entries.last().is_some_and(|entry| entry.sequence == last.sequence);
        let moves = |entry: &Entry| entry.body.rollback.is_none();
        if !newest || !moves(last) || before.last().is_some_and(|entry| !moves(entry)) {
            return;
        }
        if before.iter().any(|entry| moves(entry) && commit(entry) == commit(last)) {
            self.broken("no opening twice", format!("entry {}", last.sequence));
        }
    }

    /// A unit opens where something that it reads is otherwise.
    fn opens_something_new(&mut self, world: &World, unit: &UnitName, view: &Log) {
        let opening = |entry: &&Entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed;
        let mut opened = view.entries.iter().map(AsRef::as_ref).rev().filter(opening);
        let (Some(last), Some(before)) = (opened.next(), opened.next()) else { return };
        let newest = view.entries.last().is_some_and(|entry| entry.sequence == last.sequence);
        let plain = last.body.rollback.is_none() && before.body.rollback.is_none();
        let content = |entry: &Entry| {
            let commit = &entry.body.commit.as_ref()?.id;
            Some(world.forge.made(commit).content?.read_by(place(unit)))
        };
        if newest && plain && content(last) == content(before) {
            self.broken("who is not touched opens nothing", format!("{unit}, entry {}", last.sequence));
        }
    }

    /// No statement is journalled twice: of a unit by that unit, of the environment at all.
    fn stated_once(&mut self, log: &Log, last: &Entry) {
        let Some(stated) = &last.body.statement else { return };
        for entry in log.entries.iter().filter(|entry| entry.sequence < last.sequence && !entry.lapsed) {
            let same = entry.body.statement.as_ref().is_some_and(|it| it.payload_hash == stated.payload_hash);
            let about =
                last.body.units.is_empty() || entry.body.units.iter().any(|unit| last.body.units.contains(unit));
            if same && about {
                self.broken("a statement is journalled once", format!("{} and {}", entry.sequence, last.sequence));
            }
        }
    }

    /// What an agent knows of each unit is what the journal says, and nothing is left out.
    pub(crate) fn known_of_all(&mut self, world: &World, walker: &Walker) {
        for unit in world.rooms.keys() {
            let Some(known) = walker.course.known(unit) else { continue };
            let Some(last) = known.log.entries.last() else { continue };
            let view = world.log_of(unit);
            let theirs = known.log.entries.iter().map(|entry| (entry.sequence, entry.hash));
            let ours = view.entries.iter().map(|entry| (entry.sequence, entry.hash));
            if !theirs.eq(ours.take_while(|(sequence, _)| *sequence <= last.sequence)) {
                self.broken("nothing is known that is not journalled", format!("{unit}, up to {}", last.sequence));
            }
        }
    }
}

/// The units that need not be judged at a tip, and what stands of each.
pub(crate) type Passed = (CommitId, BTreeMap<UnitName, Option<u64>>);

impl Walker {
    /// It is about to hear of a tip: of which units can it tell that nothing changed?
    pub(crate) fn passes(&self, world: &World, tip: &CommitId, before: Option<&CommitId>) -> Option<Passed> {
        let before = before.filter(|before| *before != tip && world.forge.line(tip).contains(before))?;
        let content = |id: &CommitId| world.forge.made(id).content.unwrap_or_default();
        let (old, new) = (content(before), content(tip));
        let same = |unit: &UnitName, at: &CommitId| {
            let place = place(unit);
            old.has(place) && new.has(place) && content(at).read_by(place) == new.read_by(place)
        };
        let quiet = |(unit, overview): (&UnitName, &Overview)| {
            let standing = overview.log.standing.as_ref()?;
            let as_is = standing.rollback.is_none() && same(unit, before) && same(unit, &standing.commit.id);
            let still = !overview.moving && overview.stop.is_none() && overview.tip == Some(Ok(before.clone()));
            (as_is && still).then(|| (unit.clone(), Some(standing.sequence)))
        };
        let units = self.course.overview()?.units.iter().filter_map(quiet).collect();
        Some((tip.clone(), units))
    }
}

/// What is wrong in the end of an environment with units.
pub(crate) fn end_of_units(sim: &Simulation) -> Vec<(&'static str, String)> {
    let (world, mut broken) = (&sim.world, Vec::new());
    let content = |id: &CommitId| world.forge.made(id).content.unwrap_or_default();
    let foreign: BTreeSet<&ObjectKey> =
        world.cluster.objects.iter().filter(|(_, body)| body.foreign).map(|(key, _)| key).collect();
    let (mut wanted, mut left) = (BTreeMap::new(), BTreeSet::new());
    for (unit, room) in &world.rooms {
        let log = world.log_of(unit);
        let Some(standing) = &log.standing else { continue };
        let set = world.set_of(unit).expect("because it was stored");
        let in_the_way = set.manifests().iter().any(|manifest| foreign.contains(&manifest.key));
        let doomed = room.inventory.members.iter().filter(|(_, member)| member.doomed).map(|(key, _)| key.clone());
        if in_the_way || !super::seeds::held(&room.inventory, set).is_empty() {
            left.extend(doomed);
        }
        if !matches!(standing.outcome, Some((Phase::Proven, _))) && !in_the_way {
            broken.push(("proven in the end", format!("{unit}: {:?}", standing.outcome)));
        }
        wanted.extend(set.manifests().iter().map(|manifest| (&manifest.key, manifest.digest)));
        let members = room.inventory.members.keys().filter(|key| !left.contains(*key) && !foreign.contains(key));
        let named = set.manifests().iter().map(|manifest| &manifest.key).filter(|key| !foreign.contains(key));
        if members.collect::<BTreeSet<_>>() != named.collect() {
            broken.push(("the inventory is exact", format!("{unit}: {:?}", room.inventory.members.keys())));
        }
        broken.extend(outcomes(&log));
    }
    wanted.retain(|key, _| !foreign.contains(key));
    let live = world.cluster.objects.iter().filter(|(key, body)| body.ours && !left.contains(key));
    let live: BTreeMap<_, _> = live.map(|(key, body)| (key, body.digest)).collect();
    if live != wanted {
        broken.push(("live equals standing", format!("live {:?}, wanted {:?}", live.keys(), wanted.keys())));
    }
    for walker in &sim.walkers {
        let Some(overviews) = walker.course.overview() else {
            broken.push(("comes to rest", "it does not know the log".to_owned()));
            continue;
        };
        let stopped = overviews.units.values().any(|overview| overview.stop.is_some());
        if walker.course.rest() != Some(Rest::Quiet) && !stopped && !world.deleted {
            let told = format!("{:?}, {:?}", walker.course.rest(), walker.outstanding);
            broken.push(("comes to rest", told));
        }
        let Some(tip) = world.tip.as_ref().map(content).filter(|tip| (0..3).any(|place| tip.has(place))) else {
            continue;
        };
        for unit in world.rooms.keys().filter(|unit| tip.has(place(unit))) {
            let log = world.log_of(unit);
            let stands = log.standing.as_ref().map(|standing| content(&standing.commit.id).read_by(place(unit)));
            let stop = overviews.units.get(unit).and_then(|overview| overview.stop.as_ref());
            let told = log.last_refusal.iter().flat_map(|(_, codes)| codes).any(|code| waits_for(*code));
            let waits = told || stop.is_some_and(|stop| stop.reasons.iter().any(|reason| waits_for(reason.code)));
            if stands != Some(tip.read_by(place(unit))) && !waits {
                let reasons = stop.map(|stop| &stop.reasons);
                broken.push(("what is good enters", format!("{unit}: {reasons:?}")));
            }
        }
    }
    broken
}

/// The units that a stuck one keeps from being proven.
pub(crate) fn delayed(sim: &Simulation, stuck: usize) -> Vec<(&'static str, String)> {
    let world = &sim.world;
    let late = |unit: &UnitName| {
        let log = world.log_of(unit);
        let standing = log.standing.as_ref()?;
        let set = world.set_of(unit)?;
        let at = usize::try_from(standing.sequence).expect("because it is small");
        let open = matches!(standing.outcome, None | Some((Phase::Settled, _)));
        let long = world.now.duration_since(world.stored_at[at]).as_secs() > 150;
        let well = unwell(world, Some(set)).is_none();
        (open && long && well && place(unit) != stuck).then(|| {
            let seen = sim.walkers[0].course.overview().and_then(|mut all| all.units.remove(unit));
            let seen = seen.map(|seen| (seen.progress, seen.unwell, seen.troubles, seen.prune_waits));
            ("who never settles delays no other", format!("{unit}: {:?}, {seen:?}", standing.outcome))
        })
    };
    world.rooms.keys().filter_map(late).collect()
}
