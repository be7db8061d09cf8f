//! What an entry says: the vocabulary of the deployment log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::name::{CommitId, Digest, EnvironmentName, Fingerprint, Principal, Reason, RepoPath, UnitName};

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
    /// Every freeze before it ended.
    Unfreeze,
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
    /// The units it is about: `.` for an environment without `units`; none where it is about the environment itself, as a
    /// genesis or a freeze.
    pub units: Vec<UnitName>,
    /// Who caused it: a principal, or `agent`.
    pub actor: String,
    /// The commit it is about; `None` for a genesis.
    pub commit: Option<EntryCommit>,
    /// The release: the SHA-256 of its canonical bytes.
    pub release: Option<Digest>,
    /// For an `opened` entry: the images that its objects run, as they are written there, sorted.
    pub images: Vec<String>,
    /// For the `opened` entry of a promotion: what proved its content.
    pub upstream: Option<Upstream>,
    /// For what a person stated: what.
    pub statement: Option<Stated>,
    /// For the `opened` entry of a rollback: where it goes back to.
    pub rollback: Option<Rollback>,
    /// For a hold, and for the `opened` entry of a rollback that leaves something behind: what does not deploy again.
    pub hold: Option<Held>,
    /// For an `opened` entry: its Jobs that cannot be undone, by their annotation, sorted.
    pub irreversible: Vec<String>,
    /// For an outcome, and for an `opened` that replaces an open release: the sequence of that `opened` entry; for an
    /// `unhold`, that of the entry with the hold.
    pub of: Option<u64>,
    /// For an `opened` entry: the sequence of the release it takes the place of.
    pub supersedes: Option<u64>,
    /// Why: refusals, waits, failures.
    pub reasons: Vec<Reason>,
    /// The gates as they stood.
    pub gates: Vec<GateVerdict>,
    /// What the plan touches.
    pub counts: Option<Counts>,
    /// Where it is about several units: what it says of each alone. What stands above holds for all of them.
    pub parts: BTreeMap<UnitName, Part>,
    /// Milliseconds per step, by the step's name.
    pub durations_ms: BTreeMap<String, u64>,
    /// For a genesis: the cluster's uid (of the namespace `kube-system`) and the introductions.
    pub genesis: Option<Genesis>,
    /// Attached files: `inputs`, `signers`, `policy.yaml`, `evidence/…`; unchanged ones are carried from the entry before.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Proposal {
    /// A proposal about the environment's one unit, by the agent, with everything else left out.
    #[must_use]
    pub fn new(action: Action, phase: Option<Phase>, commit: Option<EntryCommit>) -> Self {
        Proposal {
            action,
            phase,
            units: vec![UnitName::whole()],
            actor: "agent".to_owned(),
            commit,
            release: None,
            images: Vec::new(),
            upstream: None,
            statement: None,
            rollback: None,
            hold: None,
            irreversible: Vec::new(),
            of: None,
            supersedes: None,
            reasons: Vec::new(),
            gates: Vec::new(),
            counts: None,
            parts: BTreeMap::new(),
            durations_ms: BTreeMap::new(),
            genesis: None,
            files: BTreeMap::new(),
        }
    }
}

/// What an entry about several units says of one of them alone; the fields are those of a [`Proposal`].
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Part {
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Digest>,
    /// The images that its objects run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// What proved its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// Where it goes back to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// What does not deploy again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Held>,
    /// Its Jobs that cannot be undone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub irreversible: Vec<String>,
    /// The opening that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The opening that it takes the place of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// The gates as they stood.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateVerdict>,
    /// What the plan touches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

/// The release of another environment that proved the content of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// Its environment.
    pub environment: EnvironmentName,
    /// The sequence of its `opened` entry.
    pub sequence: u64,
    /// The hash of that entry.
    pub hash: Digest,
}

/// A statement that an entry carries out; its raw bytes are the entry's evidence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stated {
    /// The SHA-256 of its signed payload.
    pub payload_hash: Digest,
    /// Until when it holds; `None` for one that ends something.
    pub until: Option<Timestamp>,
    /// Why, in that person's words.
    pub reason: String,
}

/// What asked for a rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A commit whose inputs are those of the earlier release: the branch went back too.
    Commit,
    /// A person's signed statement.
    Statement,
    /// The standing release failed: `onFailure: rollback`.
    Failure,
}

/// Where a rollback goes back to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// The sequence of the `opened` entry of the release that stands again.
    pub to: u64,
    /// What asked for it.
    pub cause: Cause,
    /// Whether the entry's commit is accepted although the branch was rewound to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewind: bool,
}

impl Rollback {
    /// Whether the accepted head stays where it is: the branch did not go back.
    #[must_use]
    pub fn leaves_head(&self) -> bool {
        self.cause != Cause::Commit && !self.rewind
    }
}

/// Content that does not deploy again until somebody says so: what a release brought and the one before it lacked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The commit that it came with.
    pub commit: CommitId,
    /// Files, as they were read.
    pub files: BTreeMap<RepoPath, Digest>,
    /// Images, as an object runs them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub images: BTreeSet<HeldImage>,
}

impl Held {
    /// How many things it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len() + self.images.len()
    }

    /// Whether it holds no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.images.is_empty()
    }
}

/// An image that an object runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldImage {
    /// The object, as people read it.
    pub object: String,
    /// The image, as it is written there.
    pub image: String,
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

/// An entry of a verified chain, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the chain.
    pub sequence: u64,
    /// The id of its Git commit.
    pub id: CommitId,
    /// SHA-256 of the exact bytes of its `entry.json`.
    pub hash: Digest,
    /// Those bytes: canonical JSON, one line.
    pub json: Arc<str>,
    /// When it was sealed.
    pub time: Timestamp,
    /// An entry that reached the store later than its `notAfter`: in the chain, and means nothing (course.md rule 20).
    pub lapsed: bool,
    /// What it says; `files` holds only what this entry attached anew.
    pub body: Proposal,
}
