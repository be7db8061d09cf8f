//! The model world: journal, stored releases, inventory, cluster and repository. It carries out the orders of a course
//! as the agent would; a reply may be lost before or after the effect.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lockmaster::course::{
    Answer, Appended, Applied, Deleted, Glance, InventoryWritten, Judged, Known, News, Order, Settings, Verdict,
};
use lockmaster::deploylog::{self, LogName, Proposal, Recalled, Replay, Stored};
use lockmaster::manifest::ManifestSet;
use lockmaster::name::{Code, CommitId, Digest, ObjectKey, Reason};
use lockmaster::plan::drift::HashKey;
use lockmaster::plan::{Adopt, Inventory, Live, OnDrift, Policy};
use lockmaster::signature::AgentKey;
use serde_json::Value;

use super::cluster::{Cluster, SET_ID, later};
use super::forge::Forge;
use super::judging::fence;

/// Seconds from the opening until what has not settled fails.
pub(crate) const DEADLINE: u64 = 300;

/// Stored bytes are left alone for this many seconds, as the journal's edge does.
const COLLECT_AFTER: u64 = 600;

/// What is lost of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    Request,
    Reply,
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
    replay: Option<Replay>,
    version: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) forge: Forge,
    pub(crate) tip: Option<CommitId>,
    pub(crate) cluster: Cluster,
    pub(crate) releases: BTreeMap<Digest, (Vec<u8>, Timestamp)>,
    /// Every set that was ever stored, for the laws.
    pub(crate) archive: BTreeMap<Digest, ManifestSet>,
    pub(crate) inventory: Inventory,
    pub(crate) inventory_version: u64,
    pub(crate) replay: Replay,
    pub(crate) writable: bool,
    /// Every append is lost, and nobody says so.
    pub(crate) swallows: bool,
    pub(crate) flaw: Option<Flaw>,
    /// How long a release must be healthy before it is proven.
    pub(crate) soak: Duration,
    key: AgentKey,
    /// What people were told, and when.
    pub(crate) told: Vec<(Timestamp, News)>,
}

pub(crate) fn policy() -> Policy {
    Policy { adopt: Adopt::Identical, on_drift: OnDrift::Heal, prune_share: 0.5, set_id: SET_ID.to_owned() }
}

pub(crate) fn settings(soak: Duration) -> Settings {
    Settings {
        environment: "dev".parse().expect("because it is a name"),
        deadline: Duration::from_secs(DEADLINE),
        soak,
        rolls_back: false,
        reverts: false,
        promotes: false,
        checks: Vec::new(),
        keep: 3,
        policy: policy(),
        fence: fence(),
        hash_key: HashKey::new([7; 32]),
        files: BTreeMap::from([("signers".to_owned(), b"lena".to_vec())]),
        introduction: Vec::new(),
    }
}

fn log_name() -> LogName {
    LogName {
        pipeline: "shop".parse().expect("because it is a name"),
        environment: "dev".parse().expect("because it is a name"),
    }
}

fn lost() -> Reason {
    Reason::new(Code::ClusterUnreachable, "nobody answered")
}

impl World {
    pub(crate) fn new() -> Self {
        let key = AgentKey::from_seed([9; 32]);
        World {
            now: Timestamp::from_second(1_790_000_000).expect("because it is a time"),
            forge: Forge::new(),
            tip: None,
            cluster: Cluster::default(),
            releases: BTreeMap::new(),
            archive: BTreeMap::new(),
            inventory: Inventory::default(),
            inventory_version: 0,
            replay: Replay::new(log_name(), key.fingerprint()),
            writable: true,
            swallows: false,
            flaw: None,
            soak: Duration::ZERO,
            key,
            told: Vec::new(),
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

    #[expect(clippy::too_many_lines, reason = "one arm for each order")]
    pub(crate) fn carry_out(&mut self, desk: &mut Desk, order: &Order, loss: Loss) -> Answer {
        let done = loss != Loss::Request;
        self.cluster.looks_well = self.flaw == Some(Flaw::EverythingLooksWell);
        match order {
            Order::Check { .. } | Order::EndCheck { .. } | Order::Promote { .. } | Order::Revert { .. } => {
                unreachable!("because none is set")
            }
            Order::ReadStatements(_) => Answer::Statements(Ok(Vec::new())),
            Order::ReadLog if loss == Loss::Nothing => Answer::Log(Ok(Box::new(self.read_log(desk)))),
            Order::ReadLog => Answer::Log(Err(lost())),
            Order::Judge(brief) => {
                let judged = self.judge(brief);
                let verdict = if loss == Loss::Nothing { judged.verdict } else { Verdict::Unreachable(lost()) };
                Answer::Judged(Box::new(Judged { verdict, ..judged }))
            }
            Order::RollBack(back) => Answer::RolledBack(Box::new(self.roll_back(back))),
            Order::StoreRelease { release, bytes } => {
                if done && self.flaw != Some(Flaw::BytesAreNotStored) {
                    self.releases.insert(*release, (bytes.clone(), self.now));
                }
                let set = ManifestSet::from_bytes(bytes).expect("because a set is stored");
                self.archive.insert(*release, set);
                Answer::Stored(if loss == Loss::Nothing { Ok(()) } else { Err(lost()) })
            }
            Order::Append(proposal) => Answer::Appended(self.append(desk, proposal, loss)),
            Order::Recall if loss == Loss::Nothing => Answer::Recalled(self.recall(desk).map(Box::new)),
            Order::Recall => Answer::Recalled(Err(lost())),
            Order::WriteInventory(inventory) => Answer::Inventory(self.write_inventory(desk, inventory, loss)),
            Order::Apply { manifest, .. } => {
                let applied = done.then(|| self.cluster.apply(manifest, self.now));
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
                let glance = |key: &ObjectKey| {
                    let live = self.cluster.value(key).map_or(Live::Absent, Live::Present);
                    Glance::of(key.clone(), &live, self.now)
                };
                let read = keys.keys().map(glance).collect();
                Answer::Confirmed(if loss == Loss::Nothing { Ok(read) } else { Err(lost()) })
            }
            Order::Collect(keep) => {
                let now = self.now;
                self.releases
                    .retain(|release, (_, stored)| keep.contains(release) || later(*stored, COLLECT_AFTER) > now);
                Answer::Done
            }
            Order::Look { key, .. } => {
                let live = self.cluster.value(key).map_or(Live::Absent, Live::Present);
                Answer::Looked(if loss == Loss::Nothing { Ok(live) } else { Err(lost()) })
            }
            Order::Watch { .. } => Answer::Done,
            Order::Tell(news) => {
                self.told.push((self.now, (**news).clone()));
                Answer::Done
            }
        }
    }

    fn read_log(&self, desk: &mut Desk) -> Known {
        *desk = Desk { replay: Some(self.replay.clone()), version: Some(self.inventory_version) };
        Known {
            log: self.replay.log().clone(),
            inventory: self.inventory.clone(),
            cluster: "cluster".to_owned(),
            agent_key: self.key.public_key(),
        }
    }

    fn append(&mut self, desk: &mut Desk, proposal: &Proposal, loss: Loss) -> Appended {
        if !self.writable {
            return Appended::Unwritable(Reason::new(Code::JournalUnwritable, "the journal takes nothing"));
        }
        let replay = desk.replay.as_mut().expect("because the log is read before it is written");
        let sealed = deploylog::seal(&log_name(), replay.log(), proposal, &self.key, self.now);
        if loss == Loss::Request || self.swallows {
            return Appended::Unknown(lost());
        }
        let taken = self.replay.log().entries.iter().any(|entry| entry.sequence == sealed.sequence);
        let stored = Stored { sequence: sealed.sequence, bytes: sealed.bytes, stored_at: self.now };
        if taken {
            return if loss == Loss::Nothing { Appended::Taken } else { Appended::Unknown(lost()) };
        }
        replay.add(&stored).expect("because it was sealed on this log");
        if self.flaw != Some(Flaw::JournalAnswersBeforeItWrites) {
            self.replay.add(&stored).expect("because the chain is unbroken and the place was free");
        }
        if loss == Loss::Nothing { Appended::Ours(Box::new(replay.log().clone())) } else { Appended::Unknown(lost()) }
    }

    fn recall(&self, desk: &Desk) -> Result<Recalled, Reason> {
        let standing = desk.replay.as_ref().and_then(|replay| replay.log().standing.clone());
        let standing = standing.expect("because only what stands is recalled");
        let missing = || Reason::new(Code::ClusterUnreachable, "the bytes are not stored");
        let (bytes, _) = self.releases.get(&standing.release).ok_or_else(missing)?;
        Ok(Recalled::new(&standing, bytes.clone()).expect("because bytes are stored under their digest"))
    }

    fn write_inventory(&mut self, desk: &mut Desk, inventory: &Inventory, loss: Loss) -> InventoryWritten {
        if loss == Loss::Request || desk.version != Some(self.inventory_version) {
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
