//! The people of the model world: their keys, whom the environments trust, and what they state by signed tags.

use std::sync::LazyLock;

use jiff::Timestamp;
use lockmaster::name::{CommitId, RefName};
use lockmaster::revision::statement::RawTag;
use lockmaster::signature::{AgentKey, GIT_NAMESPACE, Signers};

use super::forge::sha1;

/// One of [`PEOPLE`], by place.
pub(crate) type Who = usize;

pub(crate) const LENA: Who = 0;
pub(crate) const MIA: Who = 1;
pub(crate) const OMAR: Who = 2;
/// Her key is in no signers file.
pub(crate) const EVE: Who = 3;

pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) key: AgentKey,
}

pub(crate) static PEOPLE: LazyLock<[Person; 4]> = LazyLock::new(|| {
    let person = |(name, seed): (&'static str, u8)| Person { name, key: AgentKey::from_seed([seed; 32]) };
    [("lena", 3), ("mia", 4), ("omar", 5), ("eve", 6)].map(person)
});

static SIGNERS: LazyLock<Signers> = LazyLock::new(|| {
    let lines: String =
        PEOPLE[..EVE].iter().map(|person| format!("{} {}\n", mail(person), person.key.public_key())).collect();
    Signers::parse(&lines).expect("because the lines are such")
});

pub(crate) fn signers() -> Signers {
    SIGNERS.clone()
}

pub(crate) fn mail(person: &Person) -> String {
    format!("{}@example.com", person.name)
}

pub(crate) fn identity(who: Who, second: usize) -> String {
    let person = &PEOPLE[who];
    format!("{} <{}> {} +0000", person.name, mail(person), 1_700_000_000 + second)
}

/// A signed annotated tag on a commit. `number` tells tags of one name apart.
pub(crate) fn tag(name: &str, commit: &CommitId, who: Who, message: &str, number: usize) -> RawTag {
    let tagger = identity(who, number);
    let payload = format!("object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n{message}\n");
    let armor = PEOPLE[who].key.sign(GIT_NAMESPACE, payload.as_bytes());
    let bytes = format!("{payload}{armor}").into_bytes();
    let name: RefName = format!("refs/tags/{name}").parse().expect("because it is a name");
    RawTag { name, id: sha1("tag", &bytes).0, bytes }
}

/// A trailer with a time in it.
pub(crate) fn until(time: Timestamp) -> String {
    format!("Until: {}", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
}
