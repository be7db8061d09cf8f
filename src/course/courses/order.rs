//! What an environment hears, and what it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::{Answer, Known, Order, Overview, Sighting, Token};
use crate::deploylog::{Hearers, Log};
use crate::name::{CommitId, ObjectId, Reason, RefName, RepoPath, UnitName};
use crate::plan::Inventory;

/// What was read of an environment: its log, as each unit reads it, and what each has created.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The log, every entry as it was written.
    pub whole: Log,
    /// The log as a unit reads it that it is not about.
    pub common: Log,
    /// The log as each unit reads it that it is about, or that has an inventory.
    pub logs: BTreeMap<UnitName, Log>,
    /// What each unit created.
    pub inventories: BTreeMap<UnitName, Inventory>,
    /// The uid of the namespace `kube-system`, for a genesis.
    pub cluster: String,
    /// The agent's public key, for a genesis.
    pub agent_key: String,
}

impl Ledger {
    /// What a unit knows of it.
    #[must_use]
    pub fn of(&self, unit: &UnitName) -> Known {
        Known {
            log: self.logs.get(unit).unwrap_or(&self.common).clone(),
            inventory: self.inventories.get(unit).cloned().unwrap_or_default(),
            cluster: self.cluster.clone(),
            agent_key: self.agent_key.clone(),
        }
    }
}

/// What became of an append.
#[derive(Debug)]
pub enum Together {
    /// The entry stands; the log as it is now, as everybody reads it whom the entry is about.
    Ours {
        /// The log, every entry as it was written.
        whole: Box<Log>,
        /// The log as a unit reads it that it is not about.
        common: Box<Log>,
        /// The log as each unit of the entry reads it; as every unit does, where it is about the environment.
        logs: BTreeMap<UnitName, Log>,
    },
    /// Somebody else wrote that sequence.
    Taken,
    /// Whether it was written is unknown.
    Unknown(Reason),
    /// It was not written.
    Unwritable(Reason),
}

/// The units of the branch's tip.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units {
    /// The directory of each.
    pub directories: BTreeMap<UnitName, RepoPath>,
    /// What is otherwise than at the tip that was heard of before; `None` where nobody can tell.
    pub changed: Option<BTreeSet<RepoPath>>,
    /// Why directories beside them are no units.
    pub strangers: Vec<Reason>,
}

/// What the environment hears.
#[derive(Debug)]
pub enum Heard {
    /// Time passed.
    Tick,
    /// The tip of the branch, or why it could not be read, and what units it has.
    Tip(Result<CommitId, Reason>, Units),
    /// The tags that state something about the environment, as the repository has them.
    Statements(BTreeMap<RefName, ObjectId>),
    /// The log of the environment upstream has this many entries; what was added is news for these units.
    Upstream(u64, Hearers),
    /// A watch saw something.
    Sighting(Sighting),
    /// The clock of the machine was set forward by so much: time that did not pass.
    ClockJumped(Duration),
    /// The log was read.
    Read(Token, Result<Box<Ledger>, Reason>),
    /// An entry was written, or not.
    Written(Token, Together),
    /// Another order was carried out.
    Answer(Token, Answer),
    /// The agent is told to stop.
    Stop,
}

/// How an environment stands, as its walks know it without asking anybody.
#[derive(Debug, Clone)]
pub struct Overviews {
    /// The log, every entry as it was written.
    pub whole: Log,
    /// How each unit stands.
    pub units: BTreeMap<UnitName, Overview>,
    /// The tip of the branch, or why it could not be read; `None` before the first look.
    pub tip: Option<Result<CommitId, Reason>>,
    /// Why directories beside the units are none.
    pub strangers: Vec<Reason>,
}

/// An order, and for which unit: [`Order::ReadLog`], [`Order::Append`], [`Order::Watch`], [`Order::Confirm`] and
/// [`Order::Collect`] are for all of them.
#[derive(Debug)]
pub struct Assigned {
    /// What the answer must carry.
    pub token: Token,
    /// The unit; `.` where it is for all.
    pub unit: UnitName,
    /// What to do.
    pub order: Order,
}
