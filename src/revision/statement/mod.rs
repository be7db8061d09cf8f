//! Who said what about an environment?
//!
//! In: the raw bytes of a signed annotated tag ([`RawTag`]), and whom to trust. Out: a [`Statement`], or the reason why the
//! tag is none. Whether a statement changes anything (its commit, its time, the rights of its signer) is asked by gates.

mod trailers;

use std::fmt;

use jiff::Timestamp;

use super::fault::Fault;
use super::grammar::{Problem, Tag};
use super::text::readable;
use super::{identity, judgement};
use crate::name::{
    Code, CommitId, Digest, EnvironmentName, Fingerprint, ObjectId, PipelineName, Principal, Reason, RefName, UnitName,
};
use crate::signature::Signers;
use trailers::Message;

/// Bytes of a tag that are read. Statements are a few hundred bytes long.
pub const TAG_LIMIT: usize = 64 << 10;

/// The gates that an approval may override; signatures and artifacts are never among them.
pub const OVERRIDABLE: [&str; 7] = ["windows", "freezes", "slo", "upstream", "adoption", "prune", "recreate"];

/// The raw bytes of an annotated tag, as Git stores them (without the `tag <size>` header): a fact, trusted by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTag {
    /// The reference that it was found at.
    pub name: RefName,
    /// The id it was read by.
    pub id: ObjectId,
    /// The bytes. Of a tag over [`TAG_LIMIT`] those over the limit may be left out.
    pub bytes: Vec<u8>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// This commit may enter.
    Approve,
    /// What this commit brought does not deploy again.
    Hold,
    /// It may.
    Unhold,
    /// No promotion until a time.
    Freeze,
    /// No freeze any more.
    Unfreeze,
    /// Go back to a release of the log.
    Rollback,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Verb; 6] = [Verb::Approve, Verb::Hold, Verb::Unhold, Verb::Freeze, Verb::Unfreeze, Verb::Rollback];

    /// The verb as it stands in the name of a tag.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Approve => "approve",
            Verb::Hold => "hold",
            Verb::Unhold => "unhold",
            Verb::Freeze => "freeze",
            Verb::Unfreeze => "unfreeze",
            Verb::Rollback => "rollback",
        }
    }
}

/// What the name of a tag says: `<verb>/<pipeline>/<environment>/<rest>`. Prints so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// What is said.
    pub verb: Verb,
    /// Of which pipeline.
    pub pipeline: PipelineName,
    /// Of which environment.
    pub environment: EnvironmentName,
    /// What tells this statement from others; means nothing, and may have slashes.
    pub rest: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.verb.as_str(), self.pipeline, self.environment, self.rest)
    }
}

/// What the name of a reference says, if it is that of a statement. It costs nothing, and proves nothing.
#[must_use]
pub fn address(name: &RefName) -> Option<Address> {
    let mut parts = name.as_str().strip_prefix("refs/tags/")?.splitn(4, '/');
    let verb = parts.next()?;
    Some(Address {
        verb: Verb::ALL.into_iter().find(|known| known.as_str() == verb)?,
        pipeline: parts.next()?.parse().ok()?,
        environment: parts.next()?.parse().ok()?,
        rest: parts.next()?.to_owned(),
    })
}

/// What a person said about an environment, and signed under this very name. Earned by [`read`] only.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    address: Address,
    commit: CommitId,
    message: Message,
    signer: Principal,
    fingerprint: Fingerprint,
    payload_hash: Digest,
    id: ObjectId,
}

impl Statement {
    /// What is said.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.address.verb
    }

    /// Of which pipeline.
    #[must_use]
    pub fn pipeline(&self) -> &PipelineName {
        &self.address.pipeline
    }

    /// Of which environment.
    #[must_use]
    pub fn environment(&self) -> &EnvironmentName {
        &self.address.environment
    }

    /// The tag's name without `refs/tags/`, as `approve/shop/prod/lena`.
    #[must_use]
    pub fn name(&self) -> String {
        self.address.to_string()
    }

    /// The commit that the tag is on.
    #[must_use]
    pub fn commit(&self) -> &CommitId {
        &self.commit
    }

    /// Why, in the signer's words; may have several lines and control characters, so it is escaped where it is shown.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.message.reason
    }

    /// The first line of the reason, fit to be shown.
    #[must_use]
    pub fn headline(&self) -> String {
        readable(self.message.reason.lines().next().unwrap_or_default().as_bytes())
    }

    /// Until when it counts: trailer `Until:`.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.message.until
    }

    /// The gates it overrides, each out of [`OVERRIDABLE`] and once: trailer `Overrides:`.
    #[must_use]
    pub fn overrides(&self) -> &[String] {
        &self.message.overrides
    }

    /// The log entry that opened what is undone: trailer `Sequence:`.
    #[must_use]
    pub fn sequence(&self) -> Option<u64> {
        self.message.sequence
    }

    /// The log entry to go back to: trailer `To:`.
    #[must_use]
    pub fn to(&self) -> Option<u64> {
        self.message.to
    }

    /// Whether the branch's rewound tip is accepted as well: trailer `Rewind: true`.
    #[must_use]
    pub fn rewind(&self) -> bool {
        self.message.rewind
    }

    /// The only unit that it is about, where it names one: trailer `Unit:`.
    #[must_use]
    pub fn unit(&self) -> Option<&UnitName> {
        self.message.unit.as_ref()
    }

    /// Who signed.
    #[must_use]
    pub fn signer(&self) -> &Principal {
        &self.signer
    }

    /// With which key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The SHA-256 of what was signed: equal for all ids that the signature can be given.
    #[must_use]
    pub fn payload_hash(&self) -> Digest {
        self.payload_hash
    }

    /// The tag's id.
    #[must_use]
    pub fn id(&self) -> &ObjectId {
        &self.id
    }
}

/// Reads a tag as a statement. The window of its key is judged at `first_seen`, when the agent first saw its
/// [`payload_hash`], never at the time that the tag says.
///
/// # Errors
/// Why the tag is no statement, or nobody's: `statement-not-applicable` (its name, its bytes, its trailers, no signature),
/// `ambiguous-signature`, `bad-signature`, `unknown-signer`, `unauthorised-signer` (a key that is not for Git), `key-not-valid`.
pub fn read(raw: &RawTag, signers: &Signers, first_seen: Timestamp) -> Result<Statement, Reason> {
    let against = |code: Code, what: &str| Reason::new(code, format!("tag `{}`: {what}", raw.name.short()));
    let void = |what: String| against(Code::StatementNotApplicable, &what);
    let (address, tag) = parse(raw).map_err(void)?;
    let Some(armor) = &tag.signature else { return Err(void("it is not signed".to_owned())) };
    let fault = |fault: &Fault| against(fault.code(), &fault.detail()).at_commit(tag.commit.clone());
    let fingerprint = judgement::key(armor, tag.payload).map_err(|found| fault(&found))?;
    let signer = judgement::holder(signers, &fingerprint, first_seen).map_err(|(_, found)| fault(&found))?;
    let message = Message::read(tag.message).map_err(void)?;
    let payload_hash = Digest::of(tag.payload);
    Ok(Statement { address, commit: tag.commit, message, signer, fingerprint, payload_hash, id: raw.id.clone() })
}

/// The SHA-256 of what is signed of a tag: what first-seen times are keyed by. Nothing is said of its signature.
///
/// # Errors
/// `statement-not-applicable`: the bytes are not a tag as the grammar has it, not the one that the id names, or signed
/// under another name.
pub fn payload_hash(raw: &RawTag) -> Result<Digest, Reason> {
    let void = |what: String| Reason::new(Code::StatementNotApplicable, format!("tag `{}`: {what}", raw.name.short()));
    parse(raw).map(|(_, tag)| Digest::of(tag.payload)).map_err(void)
}

/// A tag of which only the bytes were kept, under the name and the id that they give it. Whoever reads it asks [`read`]
/// whether that is right.
#[must_use]
pub fn kept(bytes: &[u8]) -> Option<RawTag> {
    let id = identity::id_of("tag", bytes)?;
    let tag = Tag::read(bytes, id.as_str().len()).ok()?;
    let name = format!("refs/tags/{}", std::str::from_utf8(tag.name).ok()?).parse().ok()?;
    Some(RawTag { name, id, bytes: bytes.to_vec() })
}

/// The tag, if its bytes are what its id names and were made under the name it stands at: a signed tag verifies under any
/// name that somebody gives it, so one for another environment is told by nothing else.
fn parse(raw: &RawTag) -> Result<(Address, Tag<'_>), String> {
    let address = address(&raw.name).ok_or("its name is no `<verb>/<pipeline>/<environment>/<name>`")?;
    if raw.bytes.len() > TAG_LIMIT {
        return Err(format!("it has more than {TAG_LIMIT} bytes"));
    }
    identity::check_object("tag", &raw.id, &raw.bytes)?;
    let tag = Tag::read(&raw.bytes, raw.id.as_str().len()).map_err(|problem| match problem {
        Problem::Malformed(what) => what,
        Problem::TooManyParents(count) => format!("it has {count} parents"),
    })?;
    if tag.name != address.to_string().as_bytes() {
        return Err(format!("it was made as `{}`", readable(tag.name)));
    }
    Ok((address, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_parts_make_the_name_of_a_statement() {
        let good = address(&"refs/tags/approve/shop/prod/lena/2".parse().expect("because it is a name"));
        assert_eq!(good.as_ref().map(|found| found.rest.as_str()), Some("lena/2"));
        assert_eq!(good.map(|found| found.to_string()).as_deref(), Some("approve/shop/prod/lena/2"));
        for bad in [
            "refs/heads/approve/shop/prod/lena",
            "refs/tags/approve/shop/prod",
            "refs/tags/Approve/shop/prod/lena",
            "refs/tags/bless/shop/prod/lena",
            "refs/tags/approve/Shop/prod/lena",
            "refs/tags/approve/shop/pr_od/lena",
            "refs/tags/x/approve/shop/prod/lena",
        ] {
            assert_eq!(address(&bad.parse().expect("because it is a name")), None, "{bad}");
        }
    }

    #[test]
    fn each_verb_is_read_as_it_is_written() {
        for verb in Verb::ALL {
            let name = format!("refs/tags/{}/shop/prod/x", verb.as_str());
            let found = address(&name.parse().expect("because it is a name"));
            assert_eq!(found.map(|found| found.verb), Some(verb));
        }
    }
}
