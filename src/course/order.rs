//! What the course hears and what it asks for.
//!
//! Every [`Order`] carries a [`Token`]; an [`Answer`] whose token is no longer awaited is dropped (course.md §1 of the
//! design). Facts that nobody asked for arrive as [`Event::Tip`] and [`Event::Sighting`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Promoted;
use super::object::{Found, edition};
use crate::deploylog::{Action, EntryCommit, GateVerdict, Held, Log, Past, Proposal, Recalled, Stated};
use crate::gate::Admitted;
use crate::health::check::{Check, Reading};
use crate::health::{self, Assessment, Health};
use crate::manifest::Manifest;
use crate::name::{CommitId, Digest, GroupVersionKind, ObjectId, ObjectKey, Principal, Reason, RefName};
use crate::plan::drift::{Drift, View};
use crate::plan::{self, Inventory, Live, Member};

/// Names one order, so that its answer finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

/// An order and its token.
#[derive(Debug)]
pub struct Issued {
    /// What the answer must carry.
    pub token: Token,
    /// What to do.
    pub order: Order,
}

/// What a candidate is judged against.
#[derive(Debug, Clone)]
pub struct Brief {
    /// The candidate.
    pub tip: CommitId,
    /// The accepted head.
    pub accepted: Option<Arc<EntryCommit>>,
    /// Since when what the unit brings may be new.
    pub since: Since,
    /// How many entries the log upstream had when it was last heard of.
    pub upstream: u64,
    /// The standing release: its digest and the digest of its inputs.
    pub standing: Option<StandingBrief>,
    /// What we created in the cluster.
    pub inventory: Inventory,
    /// What the environment's log remembers.
    pub past: Past,
    /// The tags that state something about the environment, as the repository has them.
    pub statements: BTreeMap<RefName, ObjectId>,
}

/// Since when what a unit brings may be new to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Since {
    /// Since the accepted head.
    #[default]
    Accepted,
    /// Since this commit, at which the unit was as its standing release: other units may have moved the accepted head.
    Commit(CommitId),
    /// Ever since: nothing was accepted before it.
    Ever,
}

/// A freeze, a hold, the end of one, or a rollback, by somebody who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decree {
    /// Freeze, unfreeze, hold, unhold or rollback.
    pub action: Action,
    /// Who signed it.
    pub signer: Principal,
    /// What is stated.
    pub stated: Stated,
    /// For a hold: what it holds.
    pub hold: Option<Held>,
    /// For the end of a hold: the entry with the hold; for a rollback: the one that opened what is undone.
    pub of: Option<u64>,
    /// For a rollback: the entry that opened what is gone back to.
    pub to: Option<u64>,
    /// For a rollback of a branch that was rewound: the commit that is accepted.
    pub rewound: Option<EntryCommit>,
    /// The raw tag.
    pub bytes: Vec<u8>,
}

/// A rollback that no commit asks for.
#[derive(Debug, Clone)]
pub struct Back {
    /// The `opened` entry of the release that is gone back to.
    pub to: u64,
    /// The statement that asks for it; `None`: the standing release failed.
    pub decree: Option<Decree>,
    /// What the environment's log remembers.
    pub past: Past,
}

/// What became of the commit that makes Git agree with a rollback.
#[derive(Debug)]
pub enum Reverted {
    /// It was pushed.
    Pushed,
    /// There is nothing to push: the branch is as the cluster.
    Nothing,
    /// It failed; tried again.
    Failed(Reason),
}

/// What judging needs to know of the standing release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingBrief {
    /// SHA-256 of its canonical bytes.
    pub release: Digest,
    /// The digest of its inputs.
    pub inputs: Digest,
}

/// What the agent shall do.
#[derive(Debug)]
pub enum Order {
    /// Read the journal and the inventory.
    ReadLog,
    /// Read what these tags state, but for approvals.
    ReadStatements(BTreeMap<RefName, ObjectId>),
    /// Push what upstream has proven to the branch, if this is a time for it.
    Promote {
        /// The tip of the branch.
        tip: CommitId,
        /// What the environment's log remembers.
        past: Box<Past>,
    },
    /// Walk steps 3 to 8 for a candidate; nothing is written to the target.
    Judge(Box<Brief>),
    /// Go back to an earlier release: its stored bytes, and whether anything is against it.
    RollBack(Box<Back>),
    /// Push a commit with which the branch has what stands.
    Revert {
        /// The tip of the branch.
        tip: CommitId,
        /// What the environment's log remembers.
        past: Box<Past>,
    },
    /// Keep a release's canonical bytes, so that it can be recalled.
    StoreRelease {
        /// Their digest.
        release: Digest,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Append to the deployment log.
    Append(Box<Proposal>),
    /// Read the bytes of the standing release.
    Recall,
    /// Write the inventory; lost if somebody else wrote it since it was read.
    WriteInventory(Inventory),
    /// Apply one object. Without `force` another manager's field is a conflict.
    Apply {
        /// The object.
        manifest: Box<Manifest>,
        /// Take fields that others own.
        force: bool,
        /// No write of it was ever answered: if it exists, this adopts it.
        first: bool,
    },
    /// Read one object whole, because its metadata alone cannot tell whether it drifted.
    Look {
        /// The object.
        key: ObjectKey,
        /// In which version.
        kind: GroupVersionKind,
    },
    /// Delete one object, if it is still ours.
    Delete {
        /// The object.
        key: ObjectKey,
        /// What the inventory says of it.
        member: Member,
    },
    /// Watch these kinds, and no others; the empty set ends watching.
    Watch {
        /// The kinds.
        kinds: BTreeSet<GroupVersionKind>,
        /// Also those that are watched already are listed again.
        anew: bool,
    },
    /// Read these objects freshly.
    Confirm(BTreeMap<ObjectKey, GroupVersionKind>),
    /// Look once at what a check looks at.
    Check {
        /// The check.
        check: Box<Check>,
        /// The opening that it judges.
        opening: u64,
        /// The objects of the release.
        objects: BTreeSet<ObjectKey>,
    },
    /// Remove what a check left in the cluster.
    EndCheck {
        /// The check.
        check: Box<Check>,
        /// The opening that it judged.
        opening: u64,
    },
    /// Tell people and machines what happened.
    Tell(Box<News>),
    /// Remove stored bytes of every release but these.
    Collect(BTreeSet<Digest>),
}

/// How an object gets out of sight: a selector cannot tell which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It was deleted, as far as is known.
    Deleted,
    /// It lost our label.
    Unlabelled,
}

/// One drift, for telling.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// The object.
    pub object: ObjectKey,
    /// Which fields, by whom, when; no fields where the object was deleted, or lost our label.
    pub drift: Drift,
    /// How much of the object was seen: by metadata alone, live values are not known.
    pub view: View,
    /// How it got out of sight, if it did.
    pub loss: Option<Loss>,
    /// Requests that finding and healing it took.
    pub requests: u32,
}

impl Telling {
    pub(super) fn of(key: &ObjectKey, found: Found) -> Self {
        let Found { drift, view, loss, requests, seen_at: _ } = found;
        Telling { object: key.clone(), drift, view, loss, requests }
    }
}

/// What happened to an object of the standing release.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// It is not as the release says, and it is not healed: `drift: report`.
    Drifted(Telling),
    /// It is as the release says again, and we did not do it.
    DriftEnded(Telling),
    /// It was not as the release says, and was applied.
    Healed {
        /// What it was.
        telling: Telling,
        /// From the sight of it until the answer.
        took: SignedDuration,
    },
    /// Somebody changes it back again and again: healing pauses.
    Fighting {
        /// What it is.
        telling: Telling,
        /// When it is tried again.
        until: Timestamp,
    },
    /// Nobody changes it back any more.
    Peace(ObjectKey),
}

/// What is known of the log's surroundings.
#[derive(Debug, Clone)]
pub struct Known {
    /// The verified log.
    pub log: Log,
    /// The inventory.
    pub inventory: Inventory,
    /// The uid of the namespace `kube-system`, for a genesis.
    pub cluster: String,
    /// The agent's public key, for a genesis.
    pub agent_key: String,
}

/// What came of judging.
#[derive(Debug)]
pub struct Judged {
    /// The candidate, as an entry would tell it.
    pub candidate: EntryCommit,
    /// The verdict.
    pub verdict: Verdict,
    /// Milliseconds per step.
    pub durations_ms: BTreeMap<String, u64>,
}

/// The verdict on a candidate.
#[derive(Debug)]
pub enum Verdict {
    /// Its inputs are those of the standing release: it opens nothing.
    Unchanged,
    /// Everything holds.
    Admitted(Opening),
    /// Not this candidate, or not yet.
    Stopped {
        /// Whether it is refused; else it waits.
        refused: bool,
        /// Why.
        reasons: Vec<Reason>,
        /// The gates, if the walk came that far.
        gates: Vec<GateVerdict>,
        /// When they may say something else without anybody doing anything.
        until: Option<Timestamp>,
    },
    /// Something could not be read; tried again.
    Unreachable(Reason),
}

/// An admitted release and the text of its inputs.
#[derive(Debug)]
pub struct Opening {
    /// The proof.
    pub admitted: Box<Admitted>,
}

/// What the journal answered to an append.
#[derive(Debug)]
pub enum Appended {
    /// The entry stands; the log as it is now.
    Ours(Box<Log>),
    /// It was not tried: another entry of ours came first. The log as it is now.
    Overtaken(Box<Log>),
    /// Somebody else wrote that sequence.
    Taken,
    /// Whether it was written is unknown.
    Unknown(Reason),
    /// It was not written.
    Unwritable(Reason),
}

/// What came of writing the inventory.
#[derive(Debug)]
pub enum InventoryWritten {
    /// It stands.
    Ours,
    /// Somebody else wrote it, or the effect is unknown: read it again.
    Lost(Reason),
}

/// What came of applying one object.
#[derive(Debug)]
pub enum Applied {
    /// The object as the server has it.
    Done(Box<Value>),
    /// Somebody else owns a field.
    Conflict(Reason),
    /// The server says no.
    Denied(Reason),
    /// Nobody answered, or not now.
    Retry {
        /// Why.
        reason: Reason,
        /// The wait that the server asked for.
        after: Option<Duration>,
    },
}

/// What came of deleting one object.
#[derive(Debug)]
pub enum Deleted {
    /// Seen gone.
    Gone,
    /// It ends, but something holds it.
    Terminating(Reason),
    /// It is not ours any more, or asked to be kept: left alone.
    LeftAlone,
    /// Nobody answered, or not now.
    Retry(Reason),
}

/// An answer to an order.
#[derive(Debug)]
pub enum Answer {
    /// To [`Order::ReadLog`].
    Log(Result<Box<Known>, Reason>),
    /// To [`Order::ReadStatements`].
    Statements(Result<Vec<Decree>, Reason>),
    /// To [`Order::Promote`].
    Promoted(Promoted),
    /// To [`Order::Judge`].
    Judged(Box<Judged>),
    /// To [`Order::RollBack`].
    RolledBack(Box<Judged>),
    /// To [`Order::Revert`].
    Reverted(Reverted),
    /// To [`Order::StoreRelease`].
    Stored(Result<(), Reason>),
    /// To [`Order::Append`].
    Appended(Appended),
    /// To [`Order::Recall`].
    Recalled(Result<Box<Recalled>, Reason>),
    /// To [`Order::WriteInventory`].
    Inventory(InventoryWritten),
    /// To [`Order::Apply`].
    Applied(Applied),
    /// To [`Order::Delete`].
    Deleted(Deleted),
    /// To [`Order::Look`].
    Looked(Result<Live, Reason>),
    /// To [`Order::Confirm`].
    Confirmed(Result<Vec<Glance>, Reason>),
    /// To [`Order::Check`].
    Checked(Reading),
    /// To [`Order::Watch`], [`Order::Tell`], [`Order::EndCheck`] and [`Order::Collect`]: done, or tried.
    Done,
}

/// What a fresh read says of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// The object.
    pub object: ObjectKey,
    /// Whether it is there.
    pub present: bool,
    /// Which of its editions this is: what a watch has not shown yet may differ from the release.
    pub edition: u64,
    /// Why it is not well.
    pub unwell: Option<Assessment>,
}

impl Glance {
    /// What a live object looks like at a glance.
    #[must_use]
    pub fn of(object: ObjectKey, live: &Live, now: Timestamp) -> Self {
        let assessment = match live {
            // Whoever asks has waited for a status already.
            Live::Present(value) => health::assess(value, Timestamp::MIN, now),
            Live::Absent => Assessment { health: Health::Missing, message: "it is gone".to_owned(), assumed: false },
        };
        let unwell = (!plan::is_settled(assessment.health)).then_some(assessment);
        let edition = match live {
            Live::Present(value) => edition(value),
            Live::Absent => 0,
        };
        Glance { object, present: matches!(live, Live::Present(_)), edition, unwell }
    }
}

/// An object seen by a watch.
#[derive(Debug)]
pub enum Sighting {
    /// As it is now.
    Object(ObjectKey, Box<Value>),
    /// Its metadata as it is now; the rest is not watched.
    Metadata(ObjectKey, Box<Value>),
    /// Gone, or no longer under our label; with the resource version at which that was.
    Gone(ObjectKey, Option<u64>),
    /// Every object of this kind will be shown again.
    Listing(GroupVersionKind),
    /// Every object of this kind that is there was seen.
    Listed(GroupVersionKind),
    /// This kind cannot be watched: a right is missing.
    Unwatched(GroupVersionKind, Reason),
}

/// What the course hears.
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The tip of the environment's branch as the repository has it, or why it could not be read.
    Tip(Result<CommitId, Reason>),
    /// The tags that state something about the environment, as the repository has them.
    Statements(BTreeMap<RefName, ObjectId>),
    /// The log of the environment upstream has this many entries.
    Upstream(u64),
    /// A watch saw something.
    Sighting(Sighting),
    /// The clock of the machine was set forward by so much: time that did not pass.
    ClockJumped(Duration),
    /// An order was carried out.
    Answer(Token, Answer),
    /// The agent is told to stop: what is only remembered is written down.
    Stop,
}

/// Why the course would like to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WakeAt(pub Timestamp);
