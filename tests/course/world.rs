//! The model world of one environment: journal, stored releases, inventory, cluster and repository. It carries out the
//! orders of a course as the agent would; a reply may be lost before or after the effect, or the effect may come late.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use lockmaster::course::{
    Answer, Appended, Applied, Deleted, Glance, InventoryWritten, Judged, Known, News, Order, Reverted, Verdict,
};
use lockmaster::deploylog::{self, Proposal, Recalled, Replay, Sealed, StandingRelease, Stored};
use lockmaster::manifest::{Manifest, ManifestSet};
use lockmaster::name::{Code, CommitId, Digest, ObjectKey, Reason, RefName, UnitName};
use lockmaster::plan::{Inventory, Live, Member};
use lockmaster::revision::FirstSeen;
use lockmaster::revision::statement::{RawTag, Verb};
use lockmaster::signature::AgentKey;
use serde_json::Value;

use super::cluster::{Cluster, later};
use super::facts::Upstream;
use super::forge::Forge;
use super::people::Who;
use super::rooms::Room;
use super::site::{Site, log_name};

/// Stored bytes are left alone for this many seconds, as the journal's edge does.
const COLLECT_AFTER: u64 = 600;

/// What is lost of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    Request,
    Reply,
    /// Nobody answers; a write has its effect so many seconds later.
    Late(u64),
}

/// A world that lies: each must be found by a law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    JournalAnswersBeforeItWrites,
    BytesAreNotStored,
    InventoryIsNotWritten,
    DeletesNothing,
    ForgetsTheAcceptedHead,
    EverythingLooksWell,
}

/// What an agent remembers between orders.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// How many entries the log had when it was last read or written.
    pub(super) entries: usize,
    standing: Option<StandingRelease>,
    pub(super) version: Option<u64>,
    /// What stands of each unit, and the version of its inventory.
    pub(super) units: BTreeMap<UnitName, (Option<StandingRelease>, u64)>,
    /// The version that the next write of an inventory replaces: the one that was known when it was ordered.
    pub(super) pinned: Option<u64>,
    /// What it was made believe.
    lie: Option<Box<Replay>>,
}

/// A statement that somebody made, for the laws.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) verb: Verb,
    pub(crate) who: Who,
    pub(crate) commit: CommitId,
    pub(crate) until: Option<Timestamp>,
}

/// A write that is still on its way.
#[derive(Debug)]
pub(crate) enum Afloat {
    Entry(Sealed),
    Inventory(UnitName, Inventory, Option<u64>),
    Apply(Box<Manifest>, bool),
    Delete(ObjectKey, Member),
}

#[derive(Debug)]
pub(crate) struct World {
    /// The time of the servers.
    pub(crate) now: Timestamp,
    /// The time that the machine of the agent shows whose order is carried out.
    pub(crate) machine: Timestamp,
    pub(crate) site: Site,
    pub(crate) forge: Forge,
    pub(crate) tip: Option<CommitId>,
    /// The branch was deleted.
    pub(crate) deleted: bool,
    /// The repository does not answer.
    pub(crate) unreachable: bool,
    /// The statements about this environment.
    pub(crate) tags: BTreeMap<RefName, RawTag>,
    /// Every statement that was ever made, by the SHA-256 of its signed payload.
    pub(crate) stated: BTreeMap<Digest, Said>,
    pub(crate) first_seen: FirstSeen,
    /// Commits by which the agent made Git agree with a rollback.
    pub(crate) reverts: BTreeSet<CommitId>,
    /// What upstream proves.
    pub(crate) upstream: Option<Rc<Upstream>>,
    pub(crate) cluster: Cluster,
    pub(crate) releases: BTreeMap<Digest, (Rc<Vec<u8>>, Timestamp)>,
    /// Every set that was ever stored, for the laws.
    pub(crate) archive: BTreeMap<Digest, Rc<ManifestSet>>,
    pub(crate) inventory: Inventory,
    pub(crate) inventory_version: u64,
    /// What each unit has of its own, where there are units.
    pub(crate) rooms: BTreeMap<UnitName, Room>,
    /// The unit whose order is carried out.
    pub(crate) unit: UnitName,
    pub(crate) replay: Replay,
    /// When each entry reached the store.
    pub(crate) stored_at: Vec<Timestamp>,
    pub(crate) writable: bool,
    /// Every append is lost, and nobody says so.
    pub(crate) swallows: bool,
    pub(crate) flaw: Option<Flaw>,
    /// How long a release must be healthy before it is proven.
    pub(crate) soak: Duration,
    pub(crate) key: Rc<AgentKey>,
    /// What people were told, and when.
    pub(crate) told: Vec<(Timestamp, News)>,
    /// Writes on their way, with the time of their effect.
    pub(crate) afloat: Vec<(Timestamp, Afloat)>,
    /// Objects that a late write may have made.
    pub(crate) late: BTreeSet<ObjectKey>,
}

pub(crate) fn lost() -> Reason {
    Reason::new(Code::ClusterUnreachable, "nobody answered")
}

impl World {
    pub(crate) fn new() -> Self {
        World::at(Site::plain(), Forge::new())
    }

    pub(crate) fn at(site: Site, forge: Forge) -> Self {
        let key = agent_key();
        let now = Timestamp::from_second(1_790_000_000).expect("because it is a time");
        World {
            now,
            machine: now,
            forge,
            tip: None,
            deleted: false,
            unreachable: false,
            tags: BTreeMap::new(),
            stated: BTreeMap::new(),
            first_seen: FirstSeen::new(),
            reverts: BTreeSet::new(),
            upstream: None,
            cluster: Cluster::default(),
            releases: BTreeMap::new(),
            archive: BTreeMap::new(),
            inventory: Inventory::default(),
            inventory_version: 0,
            rooms: BTreeMap::new(),
            unit: UnitName::whole(),
            replay: Replay::new(log_name(&site), key.fingerprint()),
            stored_at: Vec::new(),
            site,
            writable: true,
            swallows: false,
            flaw: None,
            soak: Duration::ZERO,
            key,
            told: Vec::new(),
            afloat: Vec::new(),
            late: BTreeSet::new(),
        }
    }

    /// Commits objects on top of the tip, signed, and moves the branch.
    pub(crate) fn push(&mut self, objects: &[Value]) -> CommitId {
        let parent = self.tip.clone();
        let id = self.forge.commit(parent.as_ref(), objects, true);
        self.tip = Some(id.clone());
        id
    }

    pub(crate) fn push_unsigned(&mut self, objects: &[Value]) -> CommitId {
        let parent = self.tip.clone();
        let id = self.forge.commit(parent.as_ref(), objects, false);
        self.tip = Some(id.clone());
        id
    }

    pub(crate) fn carry_out(&mut self, desk: &mut Desk, order: &Order, loss: Loss) -> Answer {
        let done = matches!(loss, Loss::Nothing | Loss::Reply);
        if let Loss::Late(seconds) = loss {
            self.set_afloat(desk, order, seconds);
        }
        self.cluster.looks_well = self.flaw == Some(Flaw::EverythingLooksWell);
        if let Some(answer) = unread(order).filter(|_| loss != Loss::Nothing) {
            return answer;
        }
        match order {
            Order::Check { .. } | Order::EndCheck { .. } | Order::Promote { .. } => unreachable!("because none is set"),
            Order::Revert { tip, past } => Answer::Reverted(self.revert(tip, past)),
            Order::ReadStatements(listed) => Answer::Statements(Ok(self.decrees(desk.entries, listed))),
            Order::ReadLog => Answer::Log(Ok(Box::new(self.read_log(desk)))),
            Order::Judge(brief) => Answer::Judged(heard(self.judge(brief), loss)),
            Order::RollBack(back) => Answer::RolledBack(heard(self.roll_back(back), loss)),
            Order::StoreRelease { release, bytes } => {
                if done && self.flaw != Some(Flaw::BytesAreNotStored) {
                    self.releases.insert(*release, (Rc::new(bytes.clone()), self.now));
                }
                self.archive.entry(*release).or_insert_with(|| set_of(bytes));
                Answer::Stored(if loss == Loss::Nothing { Ok(()) } else { Err(lost()) })
            }
            Order::Append(proposal) => Answer::Appended(self.append(desk, proposal, loss)),
            Order::Recall => Answer::Recalled(self.recall(desk).map(Box::new)),
            Order::WriteInventory(inventory) => Answer::Inventory(self.write_inventory(desk, inventory, loss)),
            Order::Apply { manifest, force, .. } => {
                let applied = done.then(|| self.cluster.apply(manifest, *force, self.now));
                let retry = Applied::Retry { reason: lost(), after: None };
                Answer::Applied(applied.filter(|_| loss == Loss::Nothing).unwrap_or(retry))
            }
            Order::Delete { key, member } => {
                if self.flaw == Some(Flaw::DeletesNothing) {
                    return Answer::Deleted(Deleted::Gone);
                }
                let deleted = done.then(|| self.cluster.delete(key, member));
                Answer::Deleted(deleted.filter(|_| loss == Loss::Nothing).unwrap_or(Deleted::Retry(lost())))
            }
            Order::Confirm(keys) => {
                let glance = |key: &ObjectKey| Glance::of(key.clone(), &self.live(key), self.now);
                Answer::Confirmed(Ok(keys.keys().map(glance).collect()))
            }
            Order::Collect(keep) => {
                let now = self.now;
                self.releases
                    .retain(|release, (_, stored)| keep.contains(release) || later(*stored, COLLECT_AFTER) > now);
                Answer::Done
            }
            Order::Look { key, .. } => Answer::Looked(Ok(self.live(key))),
            Order::Watch { .. } => Answer::Done,
            Order::Tell(news) => {
                self.told.push((self.now, (**news).clone()));
                Answer::Done
            }
        }
    }

    fn live(&self, key: &ObjectKey) -> Live {
        self.cluster.value(key).map_or(Live::Absent, Live::Present)
    }

    fn read_log(&self, desk: &mut Desk) -> Known {
        let standing = self.replay.log().standing.clone();
        let version = Some(self.inventory_version);
        *desk = Desk { entries: self.entries(), standing, version, ..Desk::default() };
        Known {
            log: self.replay.log().clone(),
            inventory: self.inventory.clone(),
            cluster: "cluster".to_owned(),
            agent_key: self.key.public_key(),
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.replay.log().entries.len()
    }

    fn append(&mut self, desk: &mut Desk, proposal: &Proposal, loss: Loss) -> Appended {
        if !self.writable {
            return Appended::Unwritable(Reason::new(Code::JournalUnwritable, "the journal takes nothing"));
        }
        if !matches!(loss, Loss::Nothing | Loss::Reply) || self.swallows {
            return Appended::Unknown(lost());
        }
        if desk.lie.is_none() && desk.entries < self.entries() {
            return if loss == Loss::Nothing { Appended::Taken } else { Appended::Unknown(lost()) };
        }
        let sealed = self.seal(desk, proposal);
        if self.flaw == Some(Flaw::JournalAnswersBeforeItWrites) {
            let stored = Stored { sequence: sealed.sequence, bytes: sealed.bytes, stored_at: self.now };
            let lie = desk.lie.get_or_insert_with(|| Box::new(self.replay.clone()));
            lie.add(&stored).expect("because it was sealed on this log");
            desk.standing = lie.log().standing.clone();
            return Appended::Ours(Box::new(lie.log().clone()));
        }
        self.store_entry(sealed);
        if loss != Loss::Nothing {
            return Appended::Unknown(lost());
        }
        (desk.entries, desk.standing) = (self.entries(), self.replay.log().standing.clone());
        Appended::Ours(Box::new(self.replay.log().clone()))
    }

    pub(super) fn seal(&self, desk: &Desk, proposal: &Proposal) -> Sealed {
        let log = desk.lie.as_ref().map_or(self.replay.log(), |lie| lie.log());
        deploylog::seal(&log_name(&self.site), log, proposal, &self.key, self.machine)
    }

    pub(super) fn store_entry(&mut self, sealed: Sealed) {
        let stored = Stored { sequence: sealed.sequence, bytes: sealed.bytes, stored_at: self.now };
        self.replay.add(&stored).expect("because the chain is unbroken and the place was free");
        self.stored_at.push(self.now);
    }

    /// A write leaves the agent, and nobody knows when it comes to the store.
    pub(super) fn set_afloat(&mut self, desk: &Desk, order: &Order, seconds: u64) {
        let afloat = match order {
            Order::Append(proposal) if self.writable && desk.lie.is_none() && desk.entries == self.entries() => {
                Afloat::Entry(self.seal(desk, proposal))
            }
            Order::WriteInventory(inventory) => Afloat::Inventory(self.unit.clone(), inventory.clone(), desk.version),
            Order::Apply { manifest, force, .. } => Afloat::Apply(manifest.clone(), *force),
            Order::Delete { key, member } => Afloat::Delete(key.clone(), member.clone()),
            _ => return,
        };
        self.afloat.push((later(self.now, seconds), afloat));
    }

    /// When the next late write has its effect.
    pub(crate) fn next_landing(&self) -> Option<Timestamp> {
        self.afloat.iter().map(|(at, _)| *at).min()
    }

    /// The first late write that is due.
    pub(crate) fn take_landing(&mut self) -> Option<Afloat> {
        let place = self.afloat.iter().position(|(at, _)| *at <= self.now)?;
        Some(self.afloat.remove(place).1)
    }

    /// A late write has its effect, if it still can.
    pub(crate) fn land(&mut self, afloat: Afloat) {
        match afloat {
            Afloat::Entry(sealed) => {
                let next = u64::try_from(self.entries()).expect("because it is small");
                if self.writable && sealed.sequence == next {
                    self.store_entry(sealed);
                }
            }
            Afloat::Inventory(unit, inventory, version) => self.within(&unit, |world| {
                if version == Some(world.inventory_version) {
                    world.inventory = inventory;
                    world.inventory_version += 1;
                }
            }),
            Afloat::Apply(manifest, force) => {
                self.late.insert(manifest.key.clone());
                self.cluster.apply(&manifest, force, self.now);
            }
            Afloat::Delete(key, member) => drop(self.cluster.delete(&key, &member)),
        }
    }

    fn recall(&self, desk: &Desk) -> Result<Recalled, Reason> {
        let standing = if self.unit.is_whole() { desk.standing.as_ref() } else { desk.standing_of(&self.unit) };
        let nothing = || Reason::new(Code::Bug, "nothing stands that could be recalled");
        let standing = standing.ok_or_else(nothing)?;
        let missing = || Reason::new(Code::ClusterUnreachable, "the bytes are not stored");
        let (bytes, _) = self.releases.get(&standing.release).ok_or_else(missing)?;
        Ok(Recalled::new(standing, bytes.to_vec()).expect("because bytes are stored under their digest"))
    }

    fn write_inventory(&mut self, desk: &mut Desk, inventory: &Inventory, loss: Loss) -> InventoryWritten {
        let done = matches!(loss, Loss::Nothing | Loss::Reply);
        if !done || desk.version != Some(self.inventory_version) {
            return InventoryWritten::Lost(lost());
        }
        if self.flaw != Some(Flaw::InventoryIsNotWritten) {
            self.inventory = inventory.clone();
        }
        self.inventory_version += 1;
        if loss == Loss::Reply {
            return InventoryWritten::Lost(lost());
        }
        desk.version = Some(self.inventory_version);
        InventoryWritten::Ours
    }
}

/// A verdict, if what it rests on could be read.
fn heard(judged: Judged, loss: Loss) -> Box<Judged> {
    let verdict = if loss == Loss::Nothing { judged.verdict } else { Verdict::Unreachable(lost()) };
    Box::new(Judged { verdict, ..judged })
}

/// The answer to an order that reads, if nobody answers it.
fn unread(order: &Order) -> Option<Answer> {
    Some(match order {
        Order::ReadLog => Answer::Log(Err(lost())),
        Order::ReadStatements(_) => Answer::Statements(Err(lost())),
        Order::Revert { .. } => Answer::Reverted(Reverted::Failed(lost())),
        Order::Recall => Answer::Recalled(Err(lost())),
        Order::Confirm(_) => Answer::Confirmed(Err(lost())),
        Order::Look { .. } => Answer::Looked(Err(lost())),
        _ => return None,
    })
}

/// The set that these bytes hold. Other seeds store the same ones.
fn set_of(bytes: &[u8]) -> Rc<ManifestSet> {
    thread_local! {
        static SETS: RefCell<BTreeMap<Vec<u8>, Rc<ManifestSet>>> = const { RefCell::new(BTreeMap::new()) };
    }
    let read = || Rc::new(ManifestSet::from_bytes(bytes).expect("because a set is stored"));
    SETS.with_borrow_mut(|sets| Rc::clone(sets.entry(bytes.to_vec()).or_insert_with(read)))
}

/// The agent's key is the same in every seed: making it costs more than a signature.
fn agent_key() -> Rc<AgentKey> {
    thread_local! {
        static KEY: Rc<AgentKey> = Rc::new(AgentKey::from_seed([9; 32]));
    }
    KEY.with(Rc::clone)
}
