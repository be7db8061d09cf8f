//! The grammar of an annotated tag, stricter than Git's (git tag.c, `parse_tag_buffer`; fsck.c, `fsck_tag_standalone`).
//!
//! Where Git keeps the signature of a commit in a header, it keeps that of a tag at the end of the message, and takes the
//! last line that begins one (git gpg-interface.c, `parse_signed_buffer`). Here there is one such line at most, so that
//! nobody reads another payload.

use super::headers::{self, Header};
use super::person::Person;
use super::{Armor, Problem, object_id, readable};
use crate::name::CommitId;

/// The headers of a tag, in the only order that Git writes them (git builtin/tag.c, `create_tag`).
const ORDER: [&str; 4] = ["object", "type", "tag", "tagger"];

/// How the first line of each kind of signature begins (git gpg-interface.c, `gpg_format`).
const BEGINNINGS: [&[u8]; 4] = [
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
];

const SSH_END: &[u8] = b"-----END SSH SIGNATURE-----";

/// A tag on a commit, read from its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::revision) struct Tag<'a> {
    pub(in crate::revision) commit: CommitId,
    /// The name it was signed under, without `refs/tags/`.
    pub(in crate::revision) name: &'a [u8],
    /// Without the signature.
    pub(in crate::revision) message: &'a [u8],
    pub(in crate::revision) signature: Option<Armor>,
    /// What the signature is over: all bytes before it. Without one, the whole tag.
    pub(in crate::revision) payload: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Reads a tag whose id has this many hex digits.
    pub(in crate::revision) fn read(bytes: &'a [u8], digits: usize) -> Result<Self, Problem> {
        if bytes.contains(&0) {
            return Err(malformed("it has a NUL byte"));
        }
        let (headers, message) = headers::split(bytes)?;
        let [object, kind, name, tagger] = in_order(&headers)?;
        if kind.value != b"commit" {
            return Err(malformed(format!("it is on a {} and not on a commit", readable(kind.value))));
        }
        Person::read("tagger", tagger.value)?;
        if message.contains(&b'\r') {
            return Err(malformed("its message has a carriage return"));
        }
        let start = bytes.len() - message.len();
        let lines = || lines(message);
        let mut signatures = lines().filter(|(_, line)| BEGINNINGS.iter().any(|begin| line.starts_with(begin)));
        let at = signatures.next().map(|(at, _)| at);
        let signature = match (at, signatures.next()) {
            (None, _) => None,
            (Some(_), Some(_)) => Some(Armor::Ambiguous("it has two signatures".to_owned())),
            (Some(at), None) => Some(armor(&message[at..])),
        };
        let at = at.unwrap_or(message.len());
        Ok(Tag {
            commit: CommitId(object_id(object, digits)?),
            name: name.value,
            message: &message[..at],
            signature,
            payload: &bytes[..start + at],
        })
    }
}

fn in_order<'h, 'a>(headers: &'h [Header<'a>]) -> Result<[&'h Header<'a>; 4], Problem> {
    for (place, header) in headers.iter().enumerate() {
        let key = readable(header.key);
        match ORDER.iter().position(|known| known.as_bytes() == header.key) {
            None => return Err(malformed(format!("its header `{key}` is not known"))),
            Some(known) if known < place => return Err(malformed(format!("its header `{key}` stands twice"))),
            Some(known) if known > place => return Err(malformed(format!("it has no header `{}`", ORDER[place]))),
            Some(_) if !header.continuation.is_empty() => {
                return Err(malformed(format!("its header `{key}` goes on over several lines")));
            }
            Some(_) => {}
        }
    }
    match headers {
        [object, kind, name, tagger] => Ok([object, kind, name, tagger]),
        fewer => Err(malformed(format!("it has no header `{}`", ORDER[fewer.len()]))),
    }
}

/// Each line without its line feed, and where it begins.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let begins = at;
        at += line.len();
        (begins, line.strip_suffix(b"\n").unwrap_or(line))
    })
}

/// The signature, from its first line to the end of the tag.
fn armor(text: &[u8]) -> Armor {
    if text.starts_with(b"-----BEGIN PGP ") {
        return Armor::OpenPgp;
    }
    if text.starts_with(b"-----BEGIN SIGNED MESSAGE-----") {
        return Armor::X509;
    }
    match lines(text).find(|(_, line)| *line == SSH_END) {
        Some((at, end)) if !matches!(&text[at + end.len()..], b"" | b"\n") => {
            Armor::Ambiguous("it has text after its signature".to_owned())
        }
        Some(_) | None => Armor::Ssh(text.to_vec()),
    }
}

fn malformed(problem: impl Into<String>) -> Problem {
    Problem::Malformed(problem.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "object 2c9e4100000000000000000000000000000000aa\ntype commit\n";
    const NAME: &str = "tag approve/shop/prod/lena\n";
    const TAGGER: &str = "tagger Lena <lena@example.com> 1767225600 +0100\n";
    const SSH: &str = "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n";

    fn problem(text: &str) -> String {
        match Tag::read(text.as_bytes(), 40) {
            Err(Problem::Malformed(problem)) => problem,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_tag_is_its_headers_its_message_and_one_signature_over_all_before_it() {
        let text = format!("{START}{NAME}{TAGGER}\nwhy\n\nUntil: x\n{SSH}");
        let tag = Tag::read(text.as_bytes(), 40).expect("because it is a tag");
        assert_eq!(tag.commit.as_str(), "2c9e4100000000000000000000000000000000aa");
        assert_eq!((tag.name, tag.message), (&b"approve/shop/prod/lena"[..], &b"why\n\nUntil: x\n"[..]));
        assert_eq!(tag.signature, Some(Armor::Ssh(SSH.as_bytes().to_vec())));
        assert_eq!(tag.payload, text.strip_suffix(SSH).expect("because it ends so").as_bytes());
    }

    #[test]
    fn headers_are_those_four_once_and_in_order() {
        for (bad, why) in [
            (format!("{START}{NAME}\nx"), "it has no header `tagger`"),
            (format!("{START}{TAGGER}\nx"), "it has no header `tag`"),
            (format!("{START}{NAME}{NAME}{TAGGER}\nx"), "its header `tag` stands twice"),
            (format!("{START}{NAME}{TAGGER}{NAME}\nx"), "its header `tag` stands twice"),
            (format!("{NAME}{START}{TAGGER}\nx"), "it has no header `object`"),
            (format!("{START}{NAME}{TAGGER}gpgsig-sha256 x\n\nx"), "its header `gpgsig-sha256` is not known"),
            (format!("{START}{NAME} more\n{TAGGER}\nx"), "its header `tag` goes on over several lines"),
            (format!("{START}{NAME}{TAGGER}"), "its headers do not end"),
            (format!("{START}{NAME}{TAGGER}\nx\0"), "it has a NUL byte"),
            (format!("{START}{NAME}{TAGGER}\nx\r\n"), "its message has a carriage return"),
            (format!("{START}{NAME}{TAGGER}\n").replace("commit\n", "tree\n"), "it is on a tree and not on a commit"),
            (format!("{START}{NAME}{TAGGER}\n").replace("commit\n", "tag\n"), "it is on a tag and not on a commit"),
            (format!("{START}{NAME}{TAGGER}\nx").replace('\n', "\r\n"), "it has a header without a value"),
            (format!("{START}{NAME}tagger x\n\nx"), "its header `tagger` has no e-mail address in `<` and `>`"),
            (format!("object AB\ntype commit\n{NAME}{TAGGER}\nx"), "its header `object` is not an id of 40 digits"),
        ] {
            assert_eq!(problem(&bad), why, "{bad}");
        }
    }

    #[test]
    fn a_signature_is_named_by_its_armor_and_stands_alone_at_the_end() {
        let start = format!("{START}{NAME}{TAGGER}\nx\n");
        let ambiguous = |what: &str| Some(Armor::Ambiguous(what.to_owned()));
        for (end, armor) in [
            (String::new(), None),
            ("text -----BEGIN SSH SIGNATURE-----\n".to_owned(), None),
            (format!("{SSH}{SSH}"), ambiguous("it has two signatures")),
            (format!("-----BEGIN PGP SIGNATURE-----\n{SSH}"), ambiguous("it has two signatures")),
            (format!("{SSH}text\n"), ambiguous("it has text after its signature")),
            (format!("{SSH}\n"), ambiguous("it has text after its signature")),
            ("-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n".to_owned(), Some(Armor::OpenPgp)),
            ("-----BEGIN SIGNED MESSAGE-----\nx\n".to_owned(), Some(Armor::X509)),
        ] {
            let text = format!("{start}{end}");
            let tag = Tag::read(text.as_bytes(), 40).expect("because its headers are in order");
            assert_eq!(tag.signature, armor, "{end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in 0..300_usize) {
            drop(Tag::read(&bytes, 40));
            let mut near = format!("{START}{NAME}{TAGGER}\nx\n{SSH}").into_bytes();
            let at = at.min(near.len());
            near.splice(at..at, bytes);
            if let Ok(tag) = Tag::read(&near, 40) {
                proptest::prop_assert!(near.starts_with(tag.payload) && tag.payload.ends_with(tag.message));
            }
        }
    }
}
