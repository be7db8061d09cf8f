//! The grammar of a commit object, stricter than Git's (git commit.c, fsck.c `fsck_commit`).
//!
//! Parsers that disagree about a repeated or unknown header are how a signed commit is read as another one; so every
//! header is known, in its place, and there once. Nothing here judges a signature.

mod headers;
mod person;
mod tag;

use std::ops::Range;

use super::text::readable;
use crate::name::{CommitId, ObjectId};
use headers::Header;
pub(super) use person::Person;
pub(super) use tag::Tag;

/// Parents of one commit. Git itself writes octopus merges of a handful; each parent costs a step of every walk.
pub(super) const PARENT_LIMIT: usize = 64;

/// Why bytes are not a commit that can be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    Malformed(String),
    TooManyParents(usize),
}

/// The kind of signature a commit carries, by the first line of its armor (git gpg-interface.c, `gpg_format`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Armor {
    Ssh(Vec<u8>),
    OpenPgp,
    X509,
    Other(String),
    /// More than one signature, or text around one; says what.
    Ambiguous(String),
}

/// A commit, read from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) parents: Vec<CommitId>,
    pub(super) author: Person,
    pub(super) committer: Person,
    pub(super) subject: String,
    pub(super) signature: Option<Armor>,
    /// Where headers stand that are not signed: those whose name begins with `gpgsig`, with their continuation lines.
    unsigned: Vec<Range<usize>>,
}

impl Commit {
    /// Reads a commit whose id has this many hex digits.
    pub(super) fn read(bytes: &[u8], digits: usize) -> Result<Self, Problem> {
        if bytes.contains(&0) {
            return Err(Problem::Malformed("it has a NUL byte".to_owned()));
        }
        let (headers, message) = headers::split(bytes)?;
        in_order(&headers)?;
        object_id(one(&headers, "tree")?, digits)?;
        let parents: Vec<&Header<'_>> = headers.iter().filter(|header| header.key == b"parent").collect();
        if parents.len() > PARENT_LIMIT {
            return Err(Problem::TooManyParents(parents.len()));
        }
        let parents = parents.into_iter().map(|header| object_id(header, digits).map(CommitId));
        Ok(Commit {
            parents: parents.collect::<Result<_, _>>()?,
            author: Person::read("author", one(&headers, "author")?.value)?,
            committer: Person::read("committer", one(&headers, "committer")?.value)?,
            subject: subject(message),
            signature: signature(&headers, digits),
            unsigned: headers.iter().filter(|header| is_signature(header)).map(|header| header.span.clone()).collect(),
        })
    }

    /// The bytes that the signature is over: the commit without each header that begins with `gpgsig` (git commit.c,
    /// `parse_buffer_signed_by_header`). Without a signature, the whole commit.
    pub(super) fn payload(&self, bytes: &[u8]) -> Vec<u8> {
        let mut payload = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for span in &self.unsigned {
            payload.extend_from_slice(bytes.get(from..span.start).unwrap_or_default());
            from = span.end;
        }
        payload.extend_from_slice(bytes.get(from..).unwrap_or_default());
        payload
    }
}

/// The headers, in the only order they may have. `true`: may stand several times.
///
/// Git writes a `mergetag` for each signed tag that was merged, before the signature that covers it (git commit.c,
/// `commit_tree_extended`).
const ORDER: [(&[u8], bool); 7] = [
    (b"tree", false),
    (b"parent", true),
    (b"author", false),
    (b"committer", false),
    (b"encoding", false),
    (b"mergetag", true),
    // Any header that begins so; how many and which of them is judged as a signature, not as grammar.
    (SIGNATURE, true),
];

const SIGNATURE: &[u8] = b"gpgsig";

/// The place of the first header in [`ORDER`] that may go on over several lines.
const MERGETAG: usize = 5;

fn in_order(headers: &[Header<'_>]) -> Result<(), Problem> {
    let mut last = 0;
    let mut seen: Option<&Header<'_>> = None;
    for header in headers {
        let key = readable(header.key);
        let place =
            ORDER.iter().position(|(known, _)| *known == header.key || (*known == SIGNATURE && is_signature(header)));
        let place = place.ok_or_else(|| Problem::Malformed(format!("its header `{key}` is not known")))?;
        if place < last {
            return Err(Problem::Malformed(format!("its header `{key}` is out of order")));
        }
        if place == last && seen.is_some() && !ORDER[place].1 {
            return Err(Problem::Malformed(format!("its header `{key}` stands twice")));
        }
        if !header.continuation.is_empty() && place < MERGETAG {
            return Err(Problem::Malformed(format!("its header `{key}` goes on over several lines")));
        }
        last = place;
        seen = Some(header);
    }
    Ok(())
}

fn one<'h, 'a>(headers: &'h [Header<'a>], key: &str) -> Result<&'h Header<'a>, Problem> {
    let found = headers.iter().find(|header| header.key == key.as_bytes());
    found.ok_or_else(|| Problem::Malformed(format!("it has no header `{key}`")))
}

fn object_id(header: &Header<'_>, digits: usize) -> Result<ObjectId, Problem> {
    let id = std::str::from_utf8(header.value).ok().and_then(|text| text.parse::<ObjectId>().ok());
    let id = id.filter(|id| id.as_str().len() == digits);
    id.ok_or_else(|| {
        Problem::Malformed(format!("its header `{}` is not an id of {digits} digits", readable(header.key)))
    })
}

fn is_signature(header: &Header<'_>) -> bool {
    header.key.starts_with(SIGNATURE)
}

/// The signature. Git takes `gpgsig` in a SHA-1 repository and `gpgsig-sha256` in a SHA-256 one, and leaves every header
/// that begins with `gpgsig` out of what is signed: any other of them could be added by anybody.
fn signature(headers: &[Header<'_>], digits: usize) -> Option<Armor> {
    let expected: &[u8] = if digits == 64 { b"gpgsig-sha256" } else { SIGNATURE };
    let mut signatures = headers.iter().filter(|header| is_signature(header));
    let first = signatures.next()?;
    if let Some(second) = signatures.next() {
        let (first, second) = (readable(first.key), readable(second.key));
        return Some(Armor::Ambiguous(format!("it has two signature headers, `{first}` and `{second}`")));
    }
    if first.key != expected {
        let (found, expected) = (readable(first.key), readable(expected));
        return Some(Armor::Ambiguous(format!("its signature stands in `{found}`, not in `{expected}`")));
    }
    Some(armor(first))
}

fn armor(header: &Header<'_>) -> Armor {
    let kind = match header.value {
        b"-----BEGIN SSH SIGNATURE-----" => Armor::Ssh(header.text()),
        b"-----BEGIN PGP SIGNATURE-----" | b"-----BEGIN PGP MESSAGE-----" => Armor::OpenPgp,
        b"-----BEGIN SIGNED MESSAGE-----" => Armor::X509,
        other => Armor::Other(readable(other)),
    };
    let end = header.continuation.iter().position(|line| line.starts_with(b"-----END "));
    let mut after = end.map_or(&[][..], |end| &header.continuation[end + 1..]).iter();
    // GitHub ends an OpenPGP armor with an empty line; nobody does so with an SSH signature.
    if after.any(|line| !line.is_empty() || matches!(kind, Armor::Ssh(_))) {
        return Armor::Ambiguous("it has text after its signature".to_owned());
    }
    kind
}

fn subject(message: &[u8]) -> String {
    let line = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
    readable(line.unwrap_or_default())
}

#[cfg(test)]
mod tests;
