//! Signed tags made by real `git`, read as statements.

use jiff::Timestamp;
use lockmaster::name::{ObjectId, Reason, RefName};
use lockmaster::revision::statement::{RawTag, Statement, TAG_LIMIT, Verb, payload_hash, read};
use lockmaster::signature::Signers;

use super::repository::{Repository, now};

const APPROVE: &str = "approve/shop/prod/lena";

/// A repository with one commit, and a tag on it that this key signed.
fn tagged(name: &str, key: &str, message: &str) -> (Repository, RawTag) {
    let repository = Repository::new();
    repository.commit("one", Some("lena"));
    let tag = tag(&repository, name, key, message);
    (repository, tag)
}

fn tag(repository: &Repository, name: &str, key: &str, message: &str) -> RawTag {
    let key = repository.path(key).display().to_string();
    let arguments = ["tag", "-u", &key, "--cleanup=verbatim", "-F", "-", name, "HEAD"];
    assert!(repository.run("git", &arguments, message.as_bytes()).0, "because git signs tags");
    found(repository, name)
}

/// What an edge would read.
fn found(repository: &Repository, name: &str) -> RawTag {
    let name: RefName = format!("refs/tags/{name}").parse().expect("because it is a name");
    let id = repository.git(&["rev-parse", name.as_str()]);
    let kind = repository.git(&["cat-file", "-t", &id]);
    let (_, bytes) = repository.run("git", &["cat-file", &kind, &id], b"");
    RawTag { name, id: id.parse().expect("because git prints ids"), bytes }
}

/// Stores these bytes as a tag, whatever they are, at the name of the statement.
fn store(repository: &Repository, bytes: &[u8]) -> RawTag {
    let arguments = ["hash-object", "-t", "tag", "-w", "--literally", "--stdin"];
    let (good, output) = repository.run("git", &arguments, bytes);
    assert!(good, "because git stores any bytes literally");
    let id: ObjectId = String::from_utf8_lossy(&output).trim_end().parse().expect("because git prints ids");
    RawTag { name: name(APPROVE), id, bytes: bytes.to_vec() }
}

fn name(short: &str) -> RefName {
    format!("refs/tags/{short}").parse().expect("because it is a name")
}

fn said(repository: &Repository, tag: &RawTag) -> Result<Statement, Reason> {
    read(tag, &repository.trust().signers, now())
}

/// Code and message of the refusal, without the name of the tag.
fn refused(repository: &Repository, tag: &RawTag) -> (&'static str, String) {
    let reason = said(repository, tag).expect_err("because it is refused");
    let rest = reason.message.split_once("`: ").expect("because it names the tag").1.to_owned();
    (reason.code.as_str(), rest)
}

/// Whether `git verify-tag` calls it good, for the signers that the repository trusts.
fn git_verifies(repository: &Repository, tag: &RawTag) -> bool {
    let signers = repository.signer("lena@example.com", "lena") + &repository.signer("omar@example.com", "omar");
    repository.write("allowed", signers.as_bytes());
    let file = format!("gpg.ssh.allowedSignersFile={}", repository.path("allowed").display());
    repository.run("git", &["-c", &file, "verify-tag", tag.id.as_str()], b"").0
}

pub(crate) fn a_tag_of_real_git_says_what_its_signer_wrote() {
    let message = "fix the cart\n\nsee the ticket\n\nUntil: 2026-03-12T10:00:00+01:00\nOverrides: windows, slo\nSigned-off-by: Omar <o@example.com>\n";
    let (repository, tag) = tagged(APPROVE, "omar", message);
    assert!(git_verifies(&repository, &tag));
    let statement = said(&repository, &tag).expect("because Omar signed it");
    assert_eq!((statement.verb(), statement.name().as_str()), (Verb::Approve, APPROVE));
    assert_eq!((statement.pipeline().as_str(), statement.environment().as_str()), ("shop", "prod"));
    assert_eq!((statement.commit(), statement.id()), (&repository.tip(), &tag.id));
    assert_eq!(statement.signer().as_str(), "omar@example.com");
    assert_eq!(statement.reason(), "fix the cart\n\nsee the ticket");
    assert_eq!(statement.headline(), "fix the cart");
    assert_eq!(statement.until(), Some("2026-03-12T09:00:00Z".parse().expect("because it is a time")));
    assert_eq!(statement.overrides(), ["windows", "slo"]);
    assert_eq!((statement.sequence(), statement.to(), statement.rewind()), (None, None, false));
    assert_eq!(payload_hash(&tag), Ok(statement.payload_hash()));
    let key = repository.path("omar.pub").display().to_string();
    let (_, printed) = repository.run("ssh-keygen", &["-l", "-f", &key], b"");
    assert!(String::from_utf8_lossy(&printed).contains(statement.fingerprint().as_str()));
}

pub(crate) fn row_27_a_signed_tag_counts_under_the_name_it_was_made_with_only() {
    let (repository, tag) = tagged(APPROVE, "lena", "fine\n");
    assert!(said(&repository, &tag).is_ok());
    for other in [
        "approve/shop/staging/lena",
        "approve/other/prod/lena",
        "approve/shop/prod/lena2",
        "approve/shop/prod/Lena",
        "unfreeze/shop/prod/lena",
    ] {
        repository.git(&["update-ref", &format!("refs/tags/{other}"), tag.id.as_str()]);
        let renamed = found(&repository, other);
        assert!(git_verifies(&repository, &renamed), "because git does not look at the name");
        assert_eq!(
            refused(&repository, &renamed),
            ("statement-not-applicable", format!("it was made as `{APPROVE}`")),
            "{other}"
        );
        assert!(payload_hash(&renamed).is_err(), "{other}");
    }
    let elsewhere = RawTag { name: name("v1.0"), ..tag };
    let why = "its name is no `<verb>/<pipeline>/<environment>/<name>`";
    assert_eq!(refused(&repository, &elsewhere), ("statement-not-applicable", why.to_owned()));
}

pub(crate) fn a_tag_that_is_no_signed_statement_is_refused_by_what_it_is() {
    let (repository, good) = tagged(APPROVE, "lena", "fine\n");
    let void = |what: &str| ("statement-not-applicable", what.to_owned());
    let sign = format!("-u{}", repository.path("lena").display());
    repository.git(&["tag", "-f", "-a", "-m", "fine", APPROVE]);
    assert_eq!(refused(&repository, &found(&repository, APPROVE)), void("it is not signed"));
    repository.git(&["tag", "-f", &sign, "-m", "fine", APPROVE, "HEAD^{tree}"]);
    assert_eq!(refused(&repository, &found(&repository, APPROVE)), void("it is on a tree and not on a commit"));
    repository.git(&["tag", "-f", &sign, "-m", "fine", APPROVE, good.id.as_str()]);
    assert_eq!(refused(&repository, &found(&repository, APPROVE)), void("it is on a tag and not on a commit"));
    // A lightweight tag is a reference to a commit, whose bytes are no tag.
    repository.git(&["tag", "-f", APPROVE, "HEAD"]);
    let (code, what) = refused(&repository, &found(&repository, APPROVE));
    assert!(code == "statement-not-applicable" && what.starts_with("its bytes have the id "), "{what}");
    // Another tag's bytes do not pass for those that the id names.
    let moved = RawTag { id: good.id.clone(), ..tag(&repository, "freeze/shop/prod/x", "lena", "fine\n") };
    let (_, what) = refused(&repository, &moved);
    assert!(what.starts_with("its bytes have the id "), "{what}");
    let until = tag(&repository, "approve/shop/prod/until", "lena", "fine\n\nUntil: tomorrow\n");
    assert!(git_verifies(&repository, &until));
    assert_eq!(
        refused(&repository, &until),
        void("its trailer `Until: tomorrow` is not a time such as 2026-03-11T09:00:00Z")
    );
}

pub(crate) fn hostile_variants_of_a_good_tag_are_refused() {
    let (repository, good) = tagged(APPROVE, "lena", "fine\n");
    let text = String::from_utf8(good.bytes).expect("because the tag is text");
    let armor = &text[text.find("-----BEGIN").expect("because it is signed")..];
    let headers = &text[..text.find("\n\n").expect("because the headers end")];
    let void = "statement-not-applicable";
    for (hostile, code) in [
        (text.replacen("fine", "Fine", 1), "bad-signature"),
        (text.replacen("fine", "fine\n\nOverrides: windows", 1), "bad-signature"),
        (text.replacen("fine", "fine\n", 1), "bad-signature"),
        (text.replacen("Lena", "Omar", 1), "bad-signature"),
        (text.replacen("BEGIN SSH SIGNATURE-----", "BEGIN SSH SIGNATURE----- ", 1), "bad-signature"),
        (text.replacen("BEGIN SSH", "BEGIN PGP", 1), "bad-signature"),
        (format!("{text}{armor}"), "ambiguous-signature"),
        (format!("{text}x"), "ambiguous-signature"),
        (format!("{text}\n"), "ambiguous-signature"),
        (text.replacen("fine", "-----BEGIN PGP MESSAGE-----\nfine", 1), "ambiguous-signature"),
        (text.replacen(armor, "", 1), void),
        (text.replacen(headers, &format!("{headers}\ngpgsig x"), 1), void),
        (text.replacen(headers, &format!("{headers}\ngpgsig-sha256 x"), 1), void),
        (text.replacen("type commit", "type commit\ntype commit", 1), void),
        (text.replacen("prod/lena", "staging/lena", 1), void),
        (text.replacen("prod/lena\n", "prod/lena \n", 1), void),
        (text.replace('\n', "\r\n"), void),
        (text.replacen("fine\n", "fine\r\n", 1), void),
        (text.replacen("fine", "fi\0ne", 1), void),
    ] {
        assert_ne!(hostile, text, "because the variant differs");
        assert_eq!(refused(&repository, &store(&repository, hostile.as_bytes())).0, code, "{hostile}");
    }
    let pgp = store(&repository, text.replacen("BEGIN SSH", "BEGIN PGP", 1).as_bytes());
    assert_eq!(refused(&repository, &pgp).1, "OpenPGP signatures are not supported yet");
}

pub(crate) fn no_flipped_byte_of_a_signed_tag_is_read_as_another_statement() {
    let (repository, good) = tagged(APPROVE, "lena", "fine\n\nUntil: 2026-03-12T10:00:00Z\n");
    let signers = repository.trust().signers;
    let original = read(&good, &signers, now()).expect("because it is good");
    for at in 0..good.bytes.len() {
        for bit in [0, 5, 7] {
            let mut bytes = good.bytes.clone();
            bytes[at] ^= 1 << bit;
            // The id is made anew, as a forge could: identity is not what refuses here.
            let id = git_id(&bytes);
            if let Ok(statement) = read(&RawTag { name: good.name.clone(), id, bytes }, &signers, now()) {
                assert_eq!(statement.payload_hash(), original.payload_hash(), "byte {at}");
            }
        }
    }
}

fn git_id(bytes: &[u8]) -> ObjectId {
    let mut object = format!("tag {}\0", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    let hash = sha1_checked::Sha1::try_digest(&object);
    let hex: String = hash.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("because it is an id")
}

pub(crate) fn whose_key_signed_is_judged_at_first_seen() {
    let (repository, tag) = tagged(APPROVE, "mallory", "fine\n");
    assert_eq!(refused(&repository, &tag).0, "unknown-signer");
    assert!(!git_verifies(&repository, &tag));
    let at = |text: &str| text.parse::<Timestamp>().expect("because it is a time");
    let line = repository.signer("mallory@example.com valid-before=\"20260311090000Z\"", "mallory");
    let signers = Signers::parse(&line).expect("because the line is good");
    assert!(read(&tag, &signers, at("2026-03-11T09:00:00Z")).is_ok());
    let late = read(&tag, &signers, at("2026-03-11T09:00:01Z")).expect_err("because the key ended");
    assert_eq!(late.code.as_str(), "key-not-valid");
    let line = repository.signer("mallory@example.com namespaces=\"file\"", "mallory");
    let signers = Signers::parse(&line).expect("because the line is good");
    let other = read(&tag, &signers, now()).expect_err("because the key is for files");
    assert_eq!(other.code.as_str(), "unauthorised-signer");
}

pub(crate) fn another_id_over_the_same_signed_text_has_the_same_payload_hash() {
    let (repository, tag) = tagged(APPROVE, "lena", "fine\n");
    let other = store(&repository, tag.bytes.strip_suffix(b"\n").expect("because git ends it so"));
    assert_ne!(other.id, tag.id);
    assert!(said(&repository, &other).is_ok());
    assert_eq!(payload_hash(&other), payload_hash(&tag));
}

pub(crate) fn a_tag_over_the_limit_is_not_read() {
    let (repository, tag) = tagged(APPROVE, "lena", &("x".repeat(TAG_LIMIT) + "\n"));
    assert!(git_verifies(&repository, &tag));
    let what = format!("it has more than {TAG_LIMIT} bytes");
    assert_eq!(refused(&repository, &tag), ("statement-not-applicable", what));
}

pub(crate) fn row_23_a_signature_for_another_purpose_signs_no_tag() {
    let (repository, tag) = tagged(APPROVE, "lena", "fine\n");
    let text = String::from_utf8(tag.bytes).expect("because the tag is text");
    let payload = &text[..text.find("-----BEGIN").expect("because it is signed")];
    let key = repository.path("lena").display().to_string();
    for (namespace, good) in [("git", true), ("file", false)] {
        let arguments = ["-Y", "sign", "-n", namespace, "-f", &key];
        let (signed, armor) = repository.run("ssh-keygen", &arguments, payload.as_bytes());
        assert!(signed, "because ssh-keygen signs");
        let armor = String::from_utf8(armor).expect("because the armor is text");
        let tag = store(&repository, format!("{payload}{armor}").as_bytes());
        assert_eq!(said(&repository, &tag).is_ok(), good, "{namespace}");
        if !good {
            assert_eq!(refused(&repository, &tag).0, "bad-signature");
        }
    }
}

pub(crate) fn a_sha256_repository_has_statements_as_well() {
    let repository = Repository::new();
    std::fs::remove_dir_all(repository.path(".git")).expect("because the repository was made");
    repository.git(&["init", "--quiet", "--object-format=sha256"]);
    repository.commit("one", Some("lena"));
    let tag = tag(&repository, APPROVE, "lena", "fine\n");
    assert_eq!(said(&repository, &tag).expect("because Lena signed it").commit().as_str().len(), 64);
}
