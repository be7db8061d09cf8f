//! What happened so far, and what stands?
//!
//! The deployment log of one environment: signed, hash-chained entries, one Git commit each. In: entries as stored.
//! Out: the accepted head, the standing release, and what is still open; or the violation.

mod audience;
mod document;
mod entry;
mod evidence;
mod git_object;
mod inputs;
mod packing;
mod replay;
mod seal;
mod units;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::name::{CommitId, Digest, EnvironmentName, ObjectId, PipelineName, Reason};

pub use audience::{Audience, Hearers};
pub use document::FORMAT_VERSION;
pub use entry::{
    Action, Cause, Counts, Entry, EntryCommit, GateVerdict, Genesis, Held, HeldImage, Part, Phase, Proposal, Rollback,
    Signer, Stated, Upstream,
};
pub use evidence::{Evidence, Freeze, Hold, Logged, Past, STATEMENTS, release_before, shipped};
pub use git_object::{GitObject, ObjectKind};
pub use inputs::{InputKey, InputKind, Inputs};
pub use packing::{Unreadable, unpack};
pub use replay::{Replay, replay};
pub use seal::seal;

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogName {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The environment.
    pub environment: EnvironmentName,
}

/// A sealed entry: one signed Git commit and the Git objects it needs that its predecessor has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its sequence.
    pub sequence: u64,
    /// The journal's bytes: what a ConfigMap keeps, before compression.
    pub bytes: Vec<u8>,
}

/// An entry as the journal returned it: a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The sequence that the object's name gives.
    pub sequence: u64,
    /// The bytes of [`Sealed::bytes`].
    pub bytes: Vec<u8>,
    /// When the store took it, by the store's clock.
    pub stored_at: Timestamp,
}

/// The standing release, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRelease {
    /// The sequence of its `opened` entry.
    pub sequence: u64,
    /// SHA-256 of its canonical bytes.
    pub release: Digest,
    /// The commit.
    pub commit: EntryCommit,
    /// The digest of its inputs.
    pub inputs: Digest,
    /// Where it goes back to, if it is a rollback.
    pub rollback: Option<Rollback>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Its newest outcome and that entry's time; `None` while it is open.
    pub outcome: Option<(Phase, Timestamp)>,
    /// Why it failed.
    pub reasons: Vec<Reason>,
}

/// A file of an entry's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The id of its blob.
    pub blob: ObjectId,
    /// The SHA-256 of its bytes.
    pub digest: Digest,
}

/// What a verified log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Every entry, oldest first. In the log as one unit reads it: those about that unit, as if they were about nothing
    /// else, and those about the environment.
    pub entries: Vec<Arc<Entry>>,
    /// The commit id of the newest entry, the next one's first parent.
    pub tip: Option<CommitId>,
    /// The files, by path, that the next entry carries on: those of the newest entry that did not lapse, without its
    /// `evidence/`, which belongs to one entry.
    pub attached: BTreeMap<String, Attached>,
    /// The accepted head: the last commit that any unit opened.
    pub accepted: Option<Arc<EntryCommit>>,
    /// The accepted head before that one.
    pub accepted_before: Option<CommitId>,
    /// The last opened release.
    pub standing: Option<StandingRelease>,
    /// `opened` entries before the standing one that have no final outcome: to be closed as superseded.
    pub unclosed: Vec<u64>,
    /// The newest refusal or wait after the last opening: its commit, and its codes in the order of its reasons.
    pub last_refusal: Option<(CommitId, Vec<crate::name::Code>)>,
}

impl Log {
    /// What the standing release of a unit with a name reads, which its opening tells; `None` where nothing stands, and of
    /// a log as it was written, whose openings carry inputs on.
    #[must_use]
    pub fn standing_inputs(&self) -> Option<Inputs> {
        let sequence = self.standing.as_ref()?.sequence;
        let opened = self.entries.iter().rev().find(|entry| entry.sequence == sequence)?;
        Inputs::read(opened.body.files.get(units::INPUTS)?)
    }

    /// Whether the standing release was opened at this commit, and nothing else is to be said of it. The one that a rollback
    /// left at the head of its branch is a candidate again: what holds it may end.
    #[must_use]
    pub fn is_accepted(&self, commit: &CommitId) -> bool {
        self.standing.as_ref().is_some_and(|standing| {
            let left = standing.rollback.as_ref().is_some_and(Rollback::leaves_head);
            !left && standing.commit.id == *commit
        })
    }
}

/// Why a log cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.message)]
pub struct Violation {
    /// `sequence-gap`, `entry-hash-mismatch` or `entry-signature-invalid`.
    pub reason: Reason,
}

/// Stored bytes whose digest equals the release digest of an entry in our own verified journal.
#[derive(Debug)]
#[must_use = "open or resume it"]
pub struct Recalled {
    release: Digest,
    sequence: u64,
    bytes: Vec<u8>,
}

impl Recalled {
    /// Takes stored bytes for the release of an `opened` entry of a verified log.
    ///
    /// # Errors
    /// The digest that the bytes really have, where it is another.
    pub fn new(standing: &StandingRelease, bytes: Vec<u8>) -> Result<Self, Digest> {
        Self::checked(standing.release, standing.sequence, bytes)
    }

    /// Takes stored bytes for an earlier release of a verified log.
    ///
    /// # Errors
    /// The digest that the bytes really have, where it is another.
    pub fn earlier(release: &Logged, bytes: Vec<u8>) -> Result<Self, Digest> {
        Self::checked(release.release, release.sequence, bytes)
    }

    fn checked(release: Digest, sequence: u64, bytes: Vec<u8>) -> Result<Self, Digest> {
        let found = Digest::of(&bytes);
        if found == release { Ok(Recalled { release, sequence, bytes }) } else { Err(found) }
    }

    /// The release's digest.
    #[must_use]
    pub fn release(&self) -> Digest {
        self.release
    }

    /// The sequence of the entry that opened it.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
