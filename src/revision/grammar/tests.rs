use super::*;

const TREE: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n";
const PARENT: &str = "parent 2c9e4100000000000000000000000000000000aa\n";
const AUTHOR: &str = "author Lena <lena@example.com> 1767225600 +0100\n";
const COMMITTER: &str = "committer Omar <omar@example.com> 1767225601 -0500\n";
const SIGNATURE_HEADER: &str = "gpgsig -----BEGIN SSH SIGNATURE-----\n U1NI\n -----END SSH SIGNATURE-----\n";

fn read(text: &str) -> Result<Commit, Problem> {
    Commit::read(text.as_bytes(), 40)
}

fn signature_of(text: &str) -> Option<Armor> {
    read(text).expect("because the headers are in order").signature
}

#[test]
fn reads_a_merge_of_a_signed_tag() {
    let tag = "mergetag object 2c9e4100000000000000000000000000000000aa\n type commit\n \n text\n";
    let unsigned = format!("{TREE}{PARENT}{PARENT}{AUTHOR}{COMMITTER}encoding ISO-8859-1\n{tag}\n\nMerge v1\n\nbody\n");
    let signed = unsigned.replacen("\n\n\nMerge", &format!("\n{SIGNATURE_HEADER}\n\nMerge"), 1);
    let commit = read(&signed).expect("because it is a commit");
    assert_eq!(commit.parents.len(), 2);
    assert_eq!(
        (commit.author.email.as_str(), commit.committer.email.as_str()),
        ("lena@example.com", "omar@example.com")
    );
    assert_eq!(commit.author.at.as_second(), 1_767_225_600);
    assert_eq!(commit.subject, "Merge v1");
    let armor = "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n";
    assert_eq!(commit.signature, Some(Armor::Ssh(armor.as_bytes().to_vec())));
    assert_eq!(commit.payload(signed.as_bytes()), unsigned.as_bytes());
}

#[test]
fn row_26_headers_are_known_once_and_in_order() {
    for (bad, problem) in [
        (format!("{TREE}{TREE}{AUTHOR}{COMMITTER}\nx"), "its header `tree` stands twice"),
        (format!("{TREE}{AUTHOR}{PARENT}{COMMITTER}\nx"), "its header `parent` is out of order"),
        (format!("{TREE}{AUTHOR}{COMMITTER}{COMMITTER}\nx"), "its header `committer` stands twice"),
        (format!("{TREE}{AUTHOR}{AUTHOR}{COMMITTER}\nx"), "its header `author` stands twice"),
        (format!("{AUTHOR}{TREE}{COMMITTER}\nx"), "its header `tree` is out of order"),
        (format!("{SIGNATURE_HEADER}{TREE}{AUTHOR}{COMMITTER}\nx"), "its header `tree` is out of order"),
        (format!("{TREE}{AUTHOR}{COMMITTER}change-id abc\n\nx"), "its header `change-id` is not known"),
        (format!("{TREE}{AUTHOR}\nx"), "it has no header `committer`"),
        (format!("{AUTHOR}{COMMITTER}\nx"), "it has no header `tree`"),
        (format!("{TREE}{AUTHOR}{COMMITTER}"), "its headers do not end"),
        (format!("{TREE}{AUTHOR}{COMMITTER}\nx\0y"), "it has a NUL byte"),
        (format!("{TREE}{AUTHOR} more\n{COMMITTER}\nx"), "its header `author` goes on over several lines"),
        (format!(" x\n{TREE}"), "it begins with a blank"),
        (format!("{TREE}{AUTHOR}{COMMITTER}encoding\n\nx"), "it has a header without a value"),
        (format!("tree {}\n{AUTHOR}{COMMITTER}\nx", "a".repeat(64)), "its header `tree` is not an id of 40 digits"),
        (format!("{TREE}parent ABC\n{AUTHOR}{COMMITTER}\nx"), "its header `parent` is not an id of 40 digits"),
    ] {
        assert_eq!(read(&bad), Err(Problem::Malformed(problem.to_owned())), "{bad}");
    }
}

#[test]
fn row_26_authors_and_dates_are_read_strictly() {
    for (line, good) in [
        ("Lena <lena@example.com> 0 +0000", true),
        (" <> 1767225600 +0000", true),
        ("Lena <lena@example.com> 253402207200 +0000", true),
        ("Lena <lena@example.com> 01767225600 +0000", false),
        ("Lena <lena@example.com> -1 +0000", false),
        ("Lena <lena@example.com> 18446744073709551616 +0000", false),
        ("Lena <lena@example.com> 9223372036854775807 +0000", false),
        ("Lena <lena@example.com> 1767225600", false),
        ("Lena <lena@example.com> 1767225600 0000", false),
        ("Lena <lena@example.com> 1767225600 +00000", false),
        ("Lena <lena@example.com> 1767225600 +0000 ", false),
        ("Lena <lena@example.com>  1767225600 +0000", false),
        ("Lena <lena@example.com>1767225600 +0000", false),
        ("Lena<lena@example.com> 1767225600 +0000", false),
        ("<lena@example.com> 1767225600 +0000", false),
        ("Lena > <lena@example.com> 1767225600 +0000", false),
        ("Lena <a<b@example.com> 1767225600 +0000", false),
        ("Lena lena@example.com 1767225600 +0000", false),
    ] {
        assert_eq!(read(&format!("{TREE}author {line}\n{COMMITTER}\nx")).is_ok(), good, "{line}");
        assert_eq!(read(&format!("{TREE}{AUTHOR}committer {line}\n\nx")).is_ok(), good, "{line}");
    }
}

#[test]
fn row_25_a_second_signature_or_text_around_one_is_ambiguous() {
    let start = format!("{TREE}{AUTHOR}{COMMITTER}");
    let unsigned = format!("{start}\nx");
    for headers in [
        format!("{SIGNATURE_HEADER}{SIGNATURE_HEADER}"),
        format!("{SIGNATURE_HEADER}gpgsig-sha256 junk\n"),
        format!("gpgsig-sha256 junk\n{SIGNATURE_HEADER}"),
        "gpgsig-sha256 junk\n".to_owned(),
        "gpgsigs x\n".to_owned(),
        format!("{SIGNATURE_HEADER} text\n"),
        format!("{SIGNATURE_HEADER} \n"),
        "gpgsig -----BEGIN PGP SIGNATURE-----\n x\n -----END PGP SIGNATURE-----\n text\n".to_owned(),
    ] {
        let text = format!("{start}{headers}\nx");
        assert!(matches!(signature_of(&text), Some(Armor::Ambiguous(_))), "{text}");
        let commit = read(&text).expect("because the headers are in order");
        assert_eq!(commit.payload(text.as_bytes()), unsigned.as_bytes(), "{text}");
    }
}

#[test]
fn a_signature_is_named_by_its_armor() {
    let start = format!("{TREE}{AUTHOR}{COMMITTER}");
    for (header, armor) in [
        ("gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n \n", Armor::OpenPgp),
        ("gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n -----END SIGNED MESSAGE-----\n", Armor::X509),
        ("gpgsig \n", Armor::Other(String::new())),
        ("gpgsig junk\n", Armor::Other("junk".to_owned())),
    ] {
        assert_eq!(signature_of(&format!("{start}{header}\nx")), Some(armor), "{header}");
    }
    assert_eq!(signature_of(&format!("{start}\ngpgsig junk\n")), None);
}

#[test]
fn row_15_an_octopus_with_too_many_parents_is_over_a_limit() {
    let many = |count| read(&format!("{TREE}{}{AUTHOR}{COMMITTER}\nx", PARENT.repeat(count)));
    assert!(many(64).is_ok());
    assert_eq!(many(65), Err(Problem::TooManyParents(65)));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), at in 0..400_usize) {
        drop(Commit::read(&bytes, 40));
        let mut near = format!("{TREE}{PARENT}{AUTHOR}{COMMITTER}{SIGNATURE_HEADER}\nx").into_bytes();
        let at = at.min(near.len());
        near.splice(at..at, bytes);
        if let Ok(commit) = Commit::read(&near, 40) {
            assert!(commit.payload(&near).len() <= near.len());
        }
    }
}
