//! What happened so far, and what stands?
//!
//! The deployment log of one environment: signed, hash-chained entries, one Git commit each. In: entries as stored.
//! Out: the accepted head, the standing release, and what is still open; or the violation.

mod inputs;

pub use inputs::Inputs;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::name::{CommitId, Digest, EnvironmentName, Fingerprint, PipelineName, Principal, Reason};
use crate::signature::AgentKey;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// The parentless first entry.
    Genesis,
    /// A release in an environment without `from`.
    Sync,
    /// A release in an environment with `from`.
    Promote,
    /// Back to an earlier release.
    Rollback,
    /// A summary of heals.
    Heal,
    /// A candidate refused.
    Refuse,
    /// A candidate waits.
    Wait,
    /// Content put on hold.
    Hold,
    /// A hold lifted.
    Unhold,
    /// Promotions stopped until a time.
    Freeze,
    /// A checkpoint of the chain.
    Checkpoint,
}

/// How far a release came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Durable before the first write.
    Opened,
    /// Settled healthy.
    Settled,
    /// Settled, checked and soaked.
    Proven,
    /// Did not settle, or a check failed.
    Failed,
    /// A newer release took its place.
    Superseded,
}

/// Who signed the deployed commit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signer {
    /// The principal of the `allowed_signers` line.
    pub principal: Principal,
    /// The key.
    pub fingerprint: Fingerprint,
}

/// The commit an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryCommit {
    /// Its id.
    pub id: CommitId,
    /// The SHA-256 of its signed payload.
    pub payload_hash: Digest,
    /// First line of its message.
    pub subject: String,
    /// The author's e-mail address, which anybody can write.
    pub claimed_author: String,
    /// Who signed it; `None` for an introduction.
    pub signer: Option<Signer>,
    /// When the agent first saw it.
    pub first_seen: Timestamp,
    /// The ids of the commits it newly ships, newest first, itself included.
    pub ships: Vec<CommitId>,
}

/// How many objects the plan touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Objects made.
    pub create: u64,
    /// Objects changed.
    pub update: u64,
    /// Objects deleted and made again.
    pub recreate: u64,
    /// Objects deleted.
    pub prune: u64,
    /// Objects left alone.
    pub unchanged: u64,
}

/// The verdict of one gate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateVerdict {
    /// The gate's name.
    pub name: String,
    /// `pass`, `wait`, `refuse` or `unknown`.
    pub verdict: String,
    /// What was found, for people.
    pub value: String,
}

/// What an entry says beyond its place in the chain. The proposer fills it; [`seal`] adds version, sequence, previous
/// hash, agent, time and the digests of the attached files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What was done.
    pub action: Action,
    /// How far it came; `None` for a refusal, a wait, a genesis.
    pub phase: Option<Phase>,
    /// The units it is about: `.` for an environment without `units`.
    pub units: Vec<String>,
    /// Who caused it: a principal, or `agent`.
    pub actor: String,
    /// The commit it is about; `None` for a genesis.
    pub commit: Option<EntryCommit>,
    /// The release: the SHA-256 of its canonical bytes.
    pub release: Option<Digest>,
    /// For an outcome, and for an `opened` that replaces an open release: the sequence of that `opened` entry.
    pub of: Option<u64>,
    /// For an `opened` entry: the sequence of the release it takes the place of.
    pub supersedes: Option<u64>,
    /// Why: refusals, waits, failures.
    pub reasons: Vec<Reason>,
    /// The gates as they stood.
    pub gates: Vec<GateVerdict>,
    /// What the plan touches.
    pub counts: Option<Counts>,
    /// Milliseconds per step, by the step's name.
    pub durations_ms: BTreeMap<String, u64>,
    /// For a genesis: the cluster's uid (of the namespace `kube-system`) and the introductions.
    pub genesis: Option<Genesis>,
    /// Attached files: `inputs`, `signers`, `policy.yaml`, `evidence/…`; unchanged ones are carried from the entry before.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What a log starts from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Genesis {
    /// The uid of the namespace `kube-system`.
    pub cluster: String,
    /// The agent's public key, `ssh-ed25519 AAAA…`.
    pub agent_key: String,
    /// The commits up to which history is taken as it is.
    pub introduction: Vec<CommitId>,
}

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

/// An entry of a verified chain, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the chain.
    pub sequence: u64,
    /// SHA-256 of the exact bytes of its `entry.json`.
    pub hash: Digest,
    /// When it was sealed.
    pub time: Timestamp,
    /// An entry that reached the store later than its `notAfter`: in the chain, and means nothing (course.md rule 20).
    pub lapsed: bool,
    /// What it says; `files` holds only what this entry attached anew.
    pub body: Proposal,
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
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Its newest outcome and that entry's time; `None` while it is open.
    pub outcome: Option<(Phase, Timestamp)>,
    /// Why it failed.
    pub reasons: Vec<Reason>,
}

/// What a verified log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// Every entry, oldest first.
    pub entries: Vec<Entry>,
    /// The commit id of the newest entry, the next one's first parent.
    pub tip: Option<CommitId>,
    /// The Git tree of the newest entry's attached files, by path, with their blob ids: what the next entry carries on.
    pub attached: BTreeMap<String, crate::name::ObjectId>,
    /// The last commit opened.
    pub accepted: Option<EntryCommit>,
    /// The last opened release.
    pub standing: Option<StandingRelease>,
    /// `opened` entries before the standing one that have no outcome: to be closed as superseded.
    pub unclosed: Vec<u64>,
    /// The newest refusal or wait after the last opening: its commit and codes.
    pub last_refusal: Option<(CommitId, Vec<crate::name::Code>)>,
}

/// Why a log cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reason.message)]
pub struct Violation {
    /// `sequence-gap`, `entry-hash-mismatch` or `entry-signature-invalid`.
    pub reason: Reason,
}

/// Seals a proposal as the next entry of `log`: canonical JSON, tree, commit, signature.
#[must_use]
pub fn seal(name: &LogName, log: &Log, proposal: &Proposal, key: &AgentKey, now: Timestamp) -> Sealed {
    unimplemented!("{name:?} {log:?} {proposal:?} {key:?} {now}", key = key.fingerprint())
}

/// Reads a log from its stored entries and verifies all of it: sequence, chain, hashes, signatures by the one key.
///
/// # Errors
/// The first violation.
pub fn replay(name: &LogName, stored: &[Stored], key: &Fingerprint) -> Result<Log, Violation> {
    unimplemented!("{name:?} {stored:?} {key}")
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
        let found = Digest::of(&bytes);
        if found == standing.release {
            Ok(Recalled { release: found, sequence: standing.sequence, bytes })
        } else {
            Err(found)
        }
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
