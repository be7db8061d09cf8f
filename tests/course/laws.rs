//! The laws that every run is held to. Each has a name, so that a planted bug can be shown to break just that one.
//!
//! | invariant (DESIGN §11) | laws |
//! |---|---|
//! | I1 applied is what was admitted or recalled | opened before the first write; heals towards what stands |
//! | I2 deletes | only doomed members are deleted; no delete while an opening names it |
//! | I3 the accepted head | the accepted head moves forward; no opening twice |
//! | I4 the log | every entry is replayed; bytes before the opening; one outcome per opening; a late entry means nothing |
//! | I5 proof | only what is proven upstream enters |
//! | I6 rivals | one append at a time, one write per object; what comes late is healed by the end |
//! | I7 what cannot be read or rendered | only what writers signed enters; what cannot be rendered does not enter; no stale alarm |
//! | I8 rest | comes to rest; live equals standing; then silence; no loop; wakes later |
//! | I9 claims | nothing is known that is not journalled; proven only when well; proven only after the soak |
//! | I10 the inventory | inventory before the first write; the inventory names all that is ours; the inventory is exact |
//! | I11 secrets | no secret leaves, in the log or in what is told |
//! | I12 bounds | orders are bounded; told once. Memory and disk are not seen here: `benches/memory.rs` |
//! | I13 others | nothing of others is taken |
//! | I14 clocks | a freeze holds; windows hold; enough people approved; proven only after the soak |
//!
//! What prints no secret either: `tests/plan.rs`, `tests/first_light.rs`, `tests/bad_cluster.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use lockmaster::course::Order;
use lockmaster::deploylog::{Entry, Log, Phase, Proposal, Rollback};
use lockmaster::manifest::{Manifest, ManifestSet, Stage};
use lockmaster::name::{CommitId, Digest, ObjectKey, UnitName};

use super::play::is_write;
use super::shop::SECRETS;
use super::simulation::Simulation;
use super::walker::Walker;
use super::world::World;

/// What an outstanding order is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// The releases that it opens.
    Append(Vec<Digest>),
    Apply(ObjectKey),
    Delete(ObjectKey),
    Other,
}

impl Errand {
    pub(crate) fn of(order: &Order) -> Self {
        match order {
            Order::Append(proposal) => {
                Errand::Append(opened_by(proposal).into_iter().map(|(_, release)| release).collect())
            }
            Order::Apply { manifest, .. } => Errand::Apply(manifest.key.clone()),
            Order::Delete { key, .. } => Errand::Delete(key.clone()),
            _ => Errand::Other,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Laws {
    pub(crate) broken: Vec<(&'static str, String)>,
    /// Also the order of stages is watched; not where objects go or get ill behind our back.
    pub(crate) stages: bool,
    /// Nothing is watched: for worlds so large that it would take too long.
    pub(crate) asleep: bool,
    /// Every apply that was carried out.
    pub(crate) applies: Vec<(ObjectKey, Timestamp)>,
    pub(crate) deletes: Vec<ObjectKey>,
    /// By agent: the opening that it last read freshly, and whether everything was well then.
    pub(crate) confirmed: BTreeMap<(usize, UnitName), (Option<u64>, bool)>,
    /// More is watched than directed tests may break: what people may see in the log.
    pub(crate) strict: bool,
    /// There is one agent only.
    pub(crate) alone: bool,
    /// Orders that change something that lasts.
    pub(crate) written: usize,
    /// How many entries the log had when a commit was last seen at the tip of the branch.
    pub(crate) tips: BTreeMap<CommitId, usize>,
}

impl Laws {
    pub(crate) fn broken(&mut self, law: &'static str, what: impl Into<String>) {
        self.broken.push((law, what.into()));
    }

    pub(crate) fn names(&self) -> BTreeSet<&'static str> {
        self.broken.iter().map(|(law, _)| *law).collect()
    }

    pub(crate) fn hold(&self, context: &str) {
        let shown = &self.broken[..self.broken.len().min(8)];
        assert!(self.broken.is_empty(), "{context}: {shown:#?}");
    }

    /// What the course may not even ask for.
    pub(crate) fn issued(&mut self, world: &World, walker: &Walker, (unit, order): (&UnitName, &Order), alone: bool) {
        // What somebody else made under one of our names is asked for again and again, as it may go any time.
        let in_vain = |key: &ObjectKey| world.cluster.objects.get(key).is_some_and(|body| body.foreign);
        let vain = matches!(order, Order::Apply { manifest, .. } if in_vain(&manifest.key));
        self.written += usize::from(is_write(order) && !vain);
        if self.asleep {
            return;
        }
        let before = &walker.outstanding;
        let writes = |key: &ObjectKey| {
            before.values().any(|errand| matches!(errand, Errand::Apply(other) | Errand::Delete(other) if other == key))
        };
        self.secrets(order);
        match order {
            Order::Append(proposal) => self.appends(world, walker, proposal),
            Order::Apply { manifest, .. } => {
                if writes(&manifest.key) {
                    self.broken("one write per object", manifest.key.to_string());
                }
                let known = walker.course.known(unit).and_then(|known| known.log.standing.as_ref());
                let set = known.and_then(|standing| world.archive.get(&standing.release));
                if set.is_some_and(|set| set.get(&manifest.key).is_none_or(|named| named.digest != manifest.digest)) {
                    self.broken("heals towards what stands", manifest.key.to_string());
                }
                if !unit.is_whole() {
                    self.is_home(world, walker, unit, &manifest.key);
                }
                if alone {
                    self.inventory_first(world, walker, unit, manifest);
                    if self.stages {
                        self.in_order(world, manifest);
                    }
                }
            }
            Order::Delete { key, .. } => {
                if writes(key) {
                    self.broken("one write per object", key.to_string());
                }
                let names = |errand: &Errand| match errand {
                    Errand::Append(releases) => {
                        let mut sets = releases.iter().filter_map(|release| world.archive.get(release));
                        sets.any(|set| set.get(key).is_some())
                    }
                    _ => false,
                };
                if before.values().any(names) {
                    self.broken("no delete while an opening names it", key.to_string());
                }
                if unit.is_whole() {
                    self.named_for_long(world, key);
                } else {
                    self.is_home(world, walker, unit, key);
                }
            }
            Order::Judge(brief) if !unit.is_whole() => self.passed_over(walker, unit, brief),
            _ => {}
        }
    }

    /// One entry at a time, and none that opens what is being deleted.
    fn appends(&mut self, world: &World, walker: &Walker, proposal: &Proposal) {
        let before = &walker.outstanding;
        if before.values().any(|errand| matches!(errand, Errand::Append(_))) {
            self.broken("one append at a time", format!("{:?}", proposal.phase));
        }
        let opens = opened_by(proposal);
        let sets = opens.iter().filter_map(|(_, release)| world.archive.get(release));
        let deleting = |key: &ObjectKey| before.values().any(|errand| *errand == Errand::Delete(key.clone()));
        for manifest in sets.flat_map(|set| set.manifests()) {
            if deleting(&manifest.key) {
                self.broken("no opening while its object is deleted", manifest.key.to_string());
            }
        }
    }

    /// No value of a Secret is in an entry, an inventory, or what people and metrics are told (I11).
    fn secrets(&mut self, order: &Order) {
        let told = match order {
            Order::Append(proposal) => {
                let mut proposal = (**proposal).clone();
                let files = std::mem::take(&mut proposal.files).into_values();
                let files = files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                files.chain([format!("{proposal:?}")]).collect::<String>()
            }
            Order::WriteInventory(inventory) => format!("{inventory:?}"),
            Order::Tell(news) => format!("{news:?}"),
            _ => return,
        };
        if SECRETS.iter().any(|secret| told.contains(secret)) {
            self.broken("no secret leaves", told);
        }
    }

    /// Nobody deletes what a release names that was opened longer ago than a log may be old.
    fn named_for_long(&mut self, world: &World, key: &ObjectKey) {
        let standing = world.replay.log().standing.as_ref();
        let stands = standing_set(world).is_some_and(|set| set.get(key).is_some());
        let old = standing.is_some_and(|standing| {
            let at = usize::try_from(standing.sequence).expect("because it is small");
            world.now.duration_since(world.stored_at[at]).as_secs() > 6
        });
        if stands && old {
            self.broken("only doomed members are deleted", format!("`{key}` has been named for long"));
        }
    }

    fn inventory_first(&mut self, world: &World, walker: &Walker, unit: &UnitName, manifest: &Manifest) {
        let inventory = world.rooms.get(unit).map_or(&world.inventory, |room| &room.inventory);
        // While the log is read again, the course goes by what it knew.
        let known = walker.course.known(unit).and_then(|known| known.log.standing.as_ref());
        let standing = known.map_or(Some(inventory.sequence), |standing| Some(standing.sequence));
        let known = inventory.members.contains_key(&manifest.key);
        if !known || Some(inventory.sequence) != standing {
            self.broken("inventory before the first write", manifest.key.to_string());
        }
    }

    fn in_order(&mut self, world: &World, manifest: &Manifest) {
        let Some(set) = standing_set(world) else { return };
        let place = (manifest.stage, manifest.wave);
        for other in set.manifests().iter().filter(|other| (other.stage, other.wave) < place) {
            let live = world.cluster.objects.get(&other.key);
            let written = live.is_some_and(|body| body.digest == other.digest);
            let waited = other.stage != Stage::Config && !other.key.is_core("PersistentVolumeClaim");
            if !written || (waited && !live.is_some_and(|body| body.well)) {
                self.broken("stages in order", format!("`{}` before `{}`", manifest.key, other.key));
            }
        }
    }

    /// What may not reach the world.
    pub(crate) fn before_effect(&mut self, world: &World, who: usize, (unit, order): (&UnitName, &Order)) {
        if self.asleep {
            return;
        }
        let log = &world.log_of(unit);
        match order {
            Order::Append(proposal) if proposal.phase == Some(Phase::Opened) => {
                let opens = opened_by(proposal);
                if opens.is_empty() || !opens.iter().all(|(_, release)| world.releases.contains_key(release)) {
                    self.broken("bytes before the opening", format!("{opens:?}"));
                }
            }
            Order::Confirm(keys) if !world.rooms.is_empty() => self.read_freshly(world, who, keys),
            Order::Confirm(_) => {
                let standing = log.standing.as_ref().map(|standing| standing.sequence);
                self.confirmed
                    .insert((who, UnitName::whole()), (standing, unwell(world, standing_set(world)).is_none()));
            }
            Order::Apply { manifest, force, .. } => {
                let live = world.cluster.objects.get(&manifest.key);
                if *force && live.is_some_and(|body| body.foreign) {
                    self.broken("nothing of others is taken", manifest.key.to_string());
                }
                self.applies.push((manifest.key.clone(), world.now));
                let opened = openings(log).any(|(_, release)| {
                    let named = world.archive.get(&release).and_then(|set| set.get(&manifest.key));
                    named.is_some_and(|named| named.digest == manifest.digest)
                });
                if !opened {
                    self.broken("opened before the first write", manifest.key.to_string());
                }
            }
            Order::Delete { key, .. } => {
                self.deletes.push(key.clone());
                let inventory = world.rooms.get(unit).map_or(&world.inventory, |room| &room.inventory);
                let member = inventory.members.get(key);
                let live = world.cluster.objects.get(key).is_some_and(|body| body.ours);
                // With rivals, a newer opening may have come while the delete was on its way.
                if self.alone && world.sets().any(|(_, set)| set.get(key).is_some()) {
                    self.broken("only doomed members are deleted", format!("`{key}` is named by what stands"));
                } else if self.alone && live && !member.is_some_and(|member| member.doomed) {
                    self.broken("only doomed members are deleted", format!("`{key}` is not doomed"));
                }
            }
            _ => {}
        }
    }

    /// No claim beyond what a fresh read found.
    pub(crate) fn claimed(&mut self, world: &World, who: usize, unit: &UnitName, of: Option<u64>) {
        let (opening, well) = self.confirmed.get(&(who, unit.clone())).copied().unwrap_or_default();
        if opening != of || !well {
            let set = world.set_of(unit);
            let unwell = unwell(world, set).map_or("nothing was read".to_owned(), |key| key.to_string());
            self.broken("proven only when well", unwell);
        }
    }

    /// What must be true after each order. A deposed agent's last write may come late: it is drift, and is healed.
    pub(crate) fn after_effect(&mut self, world: &World, alone: bool) {
        if self.asleep {
            return;
        }
        if let Some(tip) = world.tip.as_ref().filter(|tip| self.tips.get(*tip) != Some(&world.entries())) {
            self.tips.insert(tip.clone(), world.entries());
        }
        for (key, body) in &world.cluster.objects {
            let late = world.late.contains(key);
            if alone && body.ours && !late && !world.is_member(key) {
                self.broken("the inventory names all that is ours", key.to_string());
            }
        }
    }

    /// Nothing is proven before it settled, by an entry of its own, and before it can have soaked.
    pub(crate) fn soaked(&mut self, world: &World, log: &Log) {
        let Some(last) = log.entries.last().filter(|last| last.body.phase == Some(Phase::Proven)) else { return };
        let of = |sequence: u64| log.entries.iter().find(|entry| entry.sequence == sequence);
        let Some(opened) = last.body.of.and_then(of).filter(|_| !world.soak.is_zero()) else { return };
        let ended = |phase| log.entries.iter().any(|e| e.body.of == last.body.of && e.body.phase == Some(phase));
        // By the clock of the store.
        let stored = |entry: &Entry| usize::try_from(entry.sequence).ok().and_then(|at| world.stored_at.get(at));
        let took = stored(last).zip(stored(opened)).map(|(last, opened)| last.duration_since(*opened).unsigned_abs());
        let soaked = took.is_some_and(|took| took >= world.soak);
        if !soaked || !(ended(Phase::Settled) || ended(Phase::Failed)) {
            self.broken("proven only after the soak", format!("{:?}", last.body.of));
        }
    }

    /// The newest opening, if it moves the head: heads move forward, no commit opens twice.
    pub(crate) fn heads(&mut self, world: &World, log: &Log) {
        let moves = |entry: &&Entry| !entry.body.rollback.as_ref().is_some_and(Rollback::leaves_head);
        if !log.entries.last().is_some_and(|last| last.body.phase == Some(Phase::Opened) && moves(&last.as_ref())) {
            return;
        }
        let opened = log
            .entries
            .iter()
            .map(AsRef::as_ref)
            .filter(|entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed);
        let opened = opened.filter(moves);
        let heads: Vec<&CommitId> = opened.filter_map(|entry| entry.body.commit.as_ref().map(|c| &c.id)).collect();
        let Some((last, before)) = heads.split_last() else { return };
        // What was rolled back with the head where it is may come again, once nothing holds it.
        let opening = |entry: &&Entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed;
        let undone =
            log.entries.iter().map(AsRef::as_ref).filter(opening).rev().nth(1).is_some_and(|entry| !moves(&entry));
        if before.contains(last) && !undone {
            self.broken("no opening twice", last.short());
        }
        if before.last().is_some_and(|before| !world.forge.line(last).contains(before)) {
            self.broken("the accepted head moves forward", last.short());
        }
    }
}

pub(crate) fn openings(log: &Log) -> impl Iterator<Item = (u64, Digest)> + '_ {
    log.entries.iter().filter_map(|entry| {
        let opened = entry.body.phase == Some(Phase::Opened) && !entry.lapsed;
        entry.body.release.filter(|_| opened).map(|release| (entry.sequence, release))
    })
}

/// The releases that an entry opens, by unit.
pub(crate) fn opened_by(proposal: &Proposal) -> Vec<(UnitName, Digest)> {
    let of = |unit: &UnitName| {
        let own = proposal.parts.get(unit).and_then(|part| part.release);
        Some((unit.clone(), own.or(proposal.release)?))
    };
    let opens = proposal.phase == Some(Phase::Opened);
    proposal.units.iter().filter(|_| opens).filter_map(of).collect()
}

/// An object of the standing release that is not as it says, or not well.
pub(crate) fn unwell<'s>(world: &World, set: Option<&'s ManifestSet>) -> Option<&'s ObjectKey> {
    let bad = |manifest: &&Manifest| {
        let live = world.cluster.objects.get(&manifest.key);
        !live.is_some_and(|body| body.well && body.digest == manifest.digest && body.edits.is_empty())
    };
    set?.manifests().iter().find(bad).map(|manifest| &manifest.key)
}

pub(crate) fn standing_set(world: &World) -> Option<&ManifestSet> {
    world.archive.get(&world.replay.log().standing.as_ref()?.release).map(Rc::as_ref)
}

impl Simulation {
    /// Without further faults everything comes to rest: live equals what stands, the log is whole, and nothing more is
    /// ordered (I8). `left` are doomed objects that wait for a person.
    pub(crate) fn converge(&mut self, left: &[ObjectKey]) {
        self.calm();
        self.rest();
        if !self.world.soak.is_zero() {
            // What soaks rests, and is not done.
            self.run(self.world.soak.as_secs() + 10);
            self.rest();
        }
        self.judge_end(left);
        // The summary of an hour's heals may still be due.
        self.run(4000);
        let issued = self.issued;
        self.run(4000);
        if self.issued != issued {
            let text = format!("{} more orders", self.issued - issued);
            self.laws.broken("then silence", text);
        }
        self.judge_end(left);
    }

    pub(crate) fn calm(&mut self) {
        self.faults.clear();
        self.unrest = 0;
        self.random = None;
        self.world.writable = true;
        for walker in &mut self.walkers {
            walker.asleep = false;
        }
    }

    fn judge_end(&mut self, left: &[ObjectKey]) {
        let Some(set) = standing_set(&self.world) else {
            self.laws.broken("comes to rest", "nothing stands");
            return;
        };
        if !self.is_quiet() {
            self.laws.broken("comes to rest", format!("{:?}", self.walkers[0].outstanding));
        }
        let wanted: BTreeMap<&ObjectKey, Digest> = set.manifests().iter().map(|m| (&m.key, m.digest)).collect();
        let live = self.world.cluster.objects.iter().filter(|(key, body)| body.ours && !left.contains(key));
        let live: BTreeMap<&ObjectKey, Digest> = live.map(|(key, body)| (key, body.digest)).collect();
        let mut broken = Vec::new();
        if live != wanted {
            let text = format!("live {}, standing {}", named(live.into_keys()), named(wanted.keys().copied()));
            broken.push(("live equals standing", text));
        }
        let members: BTreeSet<&ObjectKey> =
            self.world.inventory.members.keys().filter(|key| !left.contains(key)).collect();
        if members != wanted.keys().copied().collect() {
            broken.push(("the inventory is exact", named(members)));
        }
        broken.extend(outcomes(self.world.replay.log()));
        self.laws.broken.extend(broken);
    }
}

fn named<'a>(keys: impl IntoIterator<Item = &'a ObjectKey>) -> String {
    let names: Vec<String> = keys.into_iter().map(|key| format!("{}/{}", key.kind, key.name)).collect();
    names.join(" ")
}

/// Exactly one last outcome per opening, after at most one `settled`; only a failed one may be proven after all.
pub(crate) fn outcomes(log: &Log) -> Vec<(&'static str, String)> {
    let mut broken = Vec::new();
    for (sequence, _) in openings(log) {
        let of = log.entries.iter().filter(|entry| entry.body.of == Some(sequence) && !entry.lapsed);
        let phases: Vec<Phase> = of.filter_map(|entry| entry.body.phase).collect();
        // Where releases soak, the first says that it settled; once.
        let ends = phases.strip_prefix(&[Phase::Settled]).unwrap_or(&phases);
        let good = matches!(ends, [Phase::Proven | Phase::Failed | Phase::Superseded] | [Phase::Failed, Phase::Proven]);
        if !good {
            broken.push(("one outcome per opening", format!("{sequence}: {phases:?}")));
        }
    }
    broken
}
