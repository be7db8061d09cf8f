//! Is this commit authorised, and does it move forward?
//!
//! In: raw commits that an edge read ([`Fetched`]), and whom to trust. Out: [`Verified`], or every reason against it. What
//! people say of environments by signed tags is read in [`statement`].

mod fault;
mod grammar;
mod history;
mod identity;
mod judgement;
mod merge;
pub mod statement;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::name::{CommitId, Digest, EnvironmentName, Fingerprint, Principal, Reason, RefName};
use crate::signature::Signers;

pub use fault::OF_WHAT_IS_READ;
pub use merge::{FourWay, MergeEntry, MergeFacts, MergedPath};

/// The raw bytes of a commit object, as Git stores them (without the `commit <size>` header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawCommit {
    /// The id it was read by.
    pub id: CommitId,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// How the tip stands to the accepted head, found by walking the mirror's objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// Nothing was accepted yet.
    First,
    /// The tip is the accepted head.
    Same,
    /// The tip descends from the accepted head.
    Descendant,
    /// The tip is an ancestor of the accepted head.
    Ancestor,
    /// Neither; with a merge base if there is one.
    Diverged { merge_base: Option<CommitId> },
}

/// What an edge read about a candidate: a fact, trusted by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where the tip was read.
    pub reference: RefName,
    /// The candidate.
    pub tip: CommitId,
    /// The accepted head it was read against.
    pub accepted: Option<RawCommit>,
    /// How the tip stands to it.
    pub relation: Relation,
    /// Every commit reachable from the tip over all parents, and from neither the accepted head nor an introduction;
    /// newest first, each before its parents. Where no commit is new, only the tip's own bytes stand in `tip_commit`.
    pub new: Vec<RawCommit>,
    /// The tip's own bytes, whether it is new or not.
    pub tip_commit: RawCommit,
    /// The parents of `new` that are not in it: reachable from the accepted head or an introduction.
    pub boundary: BTreeSet<CommitId>,
    /// Every commit of `new` with two parents, compared with them; one of `brought`, at the paths that it answers for.
    pub merges: BTreeMap<CommitId, MergeFacts>,
    /// The commits that brought what is read otherwise than by the standing release, be they new or below the accepted
    /// head; `None` where nobody looked for them. See [`Ground::Content`].
    pub brought: Option<Vec<RawCommit>>,
    /// How many accepted commits the tip does not have: none, unless it was rewound or diverged.
    pub left: u64,
    /// Whether the tip is an introduction, or reachable from one.
    pub introduced: bool,
    /// Whether an introduction is configured and the tip descends from none of them and is none of them.
    pub outside_introduction: bool,
}

/// What proves the content of an environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ground {
    /// The signatures of its commits: an environment without `from`.
    #[default]
    Signatures,
    /// The signatures of those commits that brought what is read: one unit of several in an environment without `from`.
    /// What others read is not for this one to judge, and the accepted head may have moved past it. Where nobody looked
    /// for those commits, it is all of the new ones.
    Content,
    /// That it ran upstream: whoever signed a commit is found out, and nobody need have.
    Upstream,
}

/// Whom an environment trusts, and with what.
#[derive(Debug, Clone)]
pub struct Trust {
    /// What proves its content.
    pub ground: Ground,
    /// The environment, for the wording of reasons.
    pub environment: EnvironmentName,
    /// The signers of the pipeline.
    pub signers: Signers,
    /// The principals that may write here; `None`: every signer.
    pub writers: Option<BTreeSet<Principal>>,
    /// Which commits may enter that none of them signed.
    pub carriers: Carriers,
}

/// Which commits may be carriers: commits that move content and authorise nothing, because nobody with rights here signed
/// them. A signature that does not hold, or a key that is not valid any more, never makes a carrier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carriers {
    /// A merge of two authorised commits in which each path has what the side has that alone changed it. The same
    /// change on both sides is nothing to merge, so it may stand.
    #[default]
    Plain,
    /// Every commit: whoever may push is trusted.
    Allow,
}

/// Who did sign a carrier, if anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Nobody.
    Unsigned,
    /// A key that is in no signers file, as that of a forge.
    ForeignKey,
    /// A signer who may not write here.
    NoWriter,
    /// A signature that does not hold, or of a key that is not valid any more: only where upstream proves the content.
    Void,
}

/// When each commit was first seen by the agent, keyed by the SHA-256 of its signed payload.
pub type FirstSeen = BTreeMap<Digest, Timestamp>;

/// One new commit and what its signature says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedCommit {
    /// Its id.
    pub id: CommitId,
    /// The SHA-256 of its signed payload: equal for all ids that a signature can be given.
    pub payload_hash: Digest,
    /// First line of the message.
    pub subject: String,
    /// The author's e-mail address, which anybody can write.
    pub claimed_author: String,
    /// Who signed, if the signature is good.
    pub signer: Option<Principal>,
    /// With which key.
    pub fingerprint: Option<Fingerprint>,
    /// Whether it is accepted as a carrier: its signer, if it has one, then authorised nothing.
    pub carrier: Option<Carrier>,
    /// Why it does not count; empty when it does.
    pub reasons: Vec<Reason>,
}

impl JudgedCommit {
    /// The signer, unless it is a carrier.
    #[must_use]
    pub fn authorised_by(&self) -> Option<&Principal> {
        if self.carrier.is_none() { self.signer.as_ref() } else { None }
    }
}

/// What came of judging: for `verify`, which shows accepted and refused commits alike.
#[derive(Debug)]
pub struct Judgement {
    /// Every new commit, newest first.
    pub commits: Vec<JudgedCommit>,
    /// The proof, or all reasons against it (history first, then commits newest first).
    pub verdict: Result<Verified, Vec<Reason>>,
}

/// A tip whose whole new history is authorised and that moves forward. Earned by [`judge`] only.
#[derive(Debug)]
#[must_use = "render it"]
pub struct Verified {
    tip: JudgedCommit,
    new: Vec<JudgedCommit>,
    brought: Vec<JudgedCommit>,
}

impl Verified {
    /// The commit.
    #[must_use]
    pub fn commit(&self) -> &CommitId {
        &self.tip.id
    }

    /// The tip itself (its signature may be empty if it is an introduction).
    #[must_use]
    pub fn tip(&self) -> &JudgedCommit {
        &self.tip
    }

    /// Every newly accepted commit, newest first.
    #[must_use]
    pub fn new_commits(&self) -> &[JudgedCommit] {
        &self.new
    }

    /// A commit that was judged: a new one, or one that brought what is read.
    #[must_use]
    pub fn judged(&self, id: &CommitId) -> Option<&JudgedCommit> {
        self.new.iter().chain(&self.brought).find(|commit| commit.id == *id)
    }
}

/// Judges only what needs no signature: that every new commit is one, that none is missing, and that the tip does not
/// rewind.
///
/// # Errors
/// Every reason against it: `limit-exceeded`, `malformed-commit`, `corrupt-object`, `incomplete-history`,
/// `ref-rewound`, `ref-diverged`, `ref-twin`, `not-descendant-of-introduction`.
pub fn check_history(fetched: &Fetched) -> Result<(), Vec<Reason>> {
    history::limit(fetched).map_or(Ok(()), |reason| Err(vec![reason]))?;
    let candidate = history::Candidate::read(fetched);
    let mut reasons = history::reasons(&candidate);
    reasons.extend(fault::summaries(fetched, None, &candidate.unreadable()));
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// Judges a candidate: history, then the signature of every new commit, and of those that brought what is read. Where
/// upstream proves the content, a commit that nobody with rights here signed is a carrier; where content is judged by who
/// brought it, so is a new commit that brought nothing of it.
#[must_use]
pub fn judge(fetched: Fetched, trust: &Trust, first_seen: &FirstSeen, now: Timestamp) -> Judgement {
    match history::limit(&fetched) {
        Some(reason) => Judgement { commits: Vec::new(), verdict: Err(vec![reason]) },
        None => judgement::judge(&history::Candidate::read(&fetched), trust, first_seen, now),
    }
}

/// Who answers for accepted commits, in words: `all signed by dana@example.com`; or, where some are carriers,
/// `2 signed by dana@example.com, 1 carried unsigned`. Empty where there is no commit.
#[must_use]
pub fn authorship(commits: &[JudgedCommit]) -> String {
    let signers: BTreeSet<&str> =
        commits.iter().filter_map(JudgedCommit::authorised_by).map(Principal::as_str).collect();
    let signers = signers.into_iter().collect::<Vec<_>>().join(", ");
    let carried: Vec<Carrier> = commits.iter().filter_map(|commit| commit.carrier).collect();
    let how = match carried.first() {
        None if commits.is_empty() => return String::new(),
        None => return format!("all signed by {signers}"),
        Some(first) if carried.iter().any(|carrier| carrier != first) => "",
        Some(Carrier::Unsigned) => " unsigned",
        Some(Carrier::ForeignKey) => " by forge key",
        Some(Carrier::NoWriter) => " by a signer who is no writer here",
        Some(Carrier::Void) => " by a signature that does not hold",
    };
    match commits.len() - carried.len() {
        0 => format!("all carried{how}"),
        signed => format!("{signed} signed by {signers}, {} carried{how}", carried.len()),
    }
}

/// What a commit says of itself, without a judgement of who signed it; `None` if it cannot be read as a commit.
#[must_use]
pub fn describe(commit: &RawCommit) -> Option<JudgedCommit> {
    history::read(commit).ok().map(|read| judgement::describe(commit, &read))
}

/// The SHA-256 of the signed payload of a raw commit: what first-seen times are keyed by.
///
/// # Errors
/// The bytes are not a commit as the grammar has it, or not the one that the id names.
pub fn payload_hash(commit: &RawCommit) -> Result<Digest, Reason> {
    match history::read(commit) {
        Ok(read) => Ok(Digest::of(&read.payload(&commit.bytes))),
        Err(fault) => Err(fault.reason(&commit.id)),
    }
}
