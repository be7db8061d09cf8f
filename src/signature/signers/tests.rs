use super::*;

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP+aPtm3ki63X/kxgoc2SQGnCXEulAIDvcunvRmPHOd4";

fn at(time: &str) -> Timestamp {
    time.parse().expect("because it is a timestamp")
}

fn principal(name: &str) -> Principal {
    name.parse().expect("because it is a principal")
}

fn the_key(signers: &Signers) -> Fingerprint {
    signers.keys.keys().next().expect("because a file that parses names a key").clone()
}

#[test]
fn reads_comments_several_names_and_every_option() {
    let text = format!(
        "# people\n\n\t\nlena@example.com,lena namespaces=\"git,file\",valid-after=\"20260101Z\",\
         valid-before=\"202612312359Z\" {ED25519} lena at work\n"
    );
    let signers = Signers::parse(&text).expect("because the file is good");
    let key = the_key(&signers);
    let lena = principal("lena@example.com");
    assert_eq!(signers.text(), text);
    assert!(signers.knows(&lena) && !signers.knows(&principal("lena")));
    let window = Standing::OutsideWindow {
        principal: lena.clone(),
        valid_after: Some(at("2026-01-01T00:00:00Z")),
        valid_before: Some(at("2026-12-31T23:59:00Z")),
    };
    for (namespace, time, standing) in [
        ("git", "2026-01-01T00:00:00Z", Standing::Valid(lena.clone())),
        ("file", "2026-12-31T23:59:00Z", Standing::Valid(lena.clone())),
        ("git", "2025-12-31T23:59:59Z", window.clone()),
        ("git", "2026-12-31T23:59:01Z", window),
        ("other", "2026-06-01T00:00:00Z", Standing::OtherNamespace(lena)),
    ] {
        assert_eq!(signers.standing(&key, namespace, at(time)), standing, "{namespace} {time}");
    }
}

#[test]
fn a_key_listed_twice_counts_where_one_line_lets_it() {
    let text = format!(
        "lena valid-before=\"20250101Z\" {ED25519}\nlena namespaces=\"file\" {ED25519}\nlena valid-after=\"20260101Z\" {ED25519}"
    );
    let signers = Signers::parse(&text).expect("because the lines are of one person");
    let key = the_key(&signers);
    let lena = principal("lena");
    assert_eq!(signers.standing(&key, "git", at("2026-03-01T00:00:00Z")), Standing::Valid(lena.clone()));
    assert_eq!(signers.standing(&key, "file", at("2025-03-01T00:00:00Z")), Standing::Valid(lena.clone()));
    let between = signers.standing(&key, "git", at("2025-03-01T00:00:00Z"));
    let end = Some(at("2025-01-01T00:00:00Z"));
    assert_eq!(between, Standing::OutsideWindow { principal: lena, valid_after: None, valid_before: end });
}

#[test]
fn row_33_a_bad_line_refuses_the_whole_file() {
    for (bad, problem) in [
        (format!("* {ED25519}"), "`*` is not a principal: one word without wildcards"),
        (format!("*@example.com {ED25519}"), "`*@example.com` is not a principal: one word without wildcards"),
        (format!("lena,!omar {ED25519}"), "`!omar` is not a principal: one word without wildcards"),
        (format!("lena,,omar {ED25519}"), "`` is not a principal: one word without wildcards"),
        (format!("\"lena\" {ED25519}"), "`\"lena\"` is not a principal: one word without wildcards"),
        (format!("lena cert-authority {ED25519}"), "`cert-authority` is not supported yet"),
        (format!("lena no-touch-required {ED25519}"), "`no-touch-required` is neither an option nor a key type"),
        (format!("lena namespaces=git {ED25519}"), "`namespaces` needs a value in double quotes"),
        (format!("lena namespaces=\"g*\" {ED25519}"), "`g*` is not a namespace: one word without wildcards"),
        (format!("lena namespaces=\"\" {ED25519}"), "`` is not a namespace: one word without wildcards"),
        (
            format!("lena valid-after=\"20260101\" {ED25519}"),
            "`valid-after` is `20260101`, not a time in UTC such as `20261231Z`",
        ),
        (
            format!("lena valid-before=\"20260231Z\" {ED25519}"),
            "`valid-before` is `20260231Z`, not a time in UTC such as `20261231Z`",
        ),
        (format!("lena valid-after=\"20260101Z\",valid-after=\"20260101Z\" {ED25519}"), "`valid-after` stands twice"),
        (
            format!("lena valid-after=\"20260101Z\",valid-before=\"20260101Z\" {ED25519}"),
            "`valid-before` is not after `valid-after`",
        ),
        (format!("lena namespaces=\"git {ED25519}"), "a quote is not closed"),
        ("lena".to_owned(), "it names no key: principals, options, key type and key stand in a line"),
        ("lena ssh-ed25519 AAA".to_owned(), "the key is not canonical base64"),
        (ED25519.replacen("ssh-ed25519", "lena ssh-rsa", 1), "the line says `ssh-rsa`, the key says `ssh-ed25519`"),
        ("lena ssh-dss AAAAB3NzaC1kc3M=".to_owned(), "a DSA key is too weak"),
        (format!("lena {ED25519}\r"), "the character `\\u{d}` is not allowed"),
        (format!("\u{feff}lena {ED25519}"), "the character `\\u{feff}` is not allowed"),
    ] {
        let invalid = InvalidSigners { line: 2, problem: problem.to_owned() };
        assert_eq!(Signers::parse(&format!("# first\n{bad}\n")), Err(invalid), "{bad}");
    }
    let nobody = InvalidSigners { line: 0, problem: "the file names no signer".to_owned() };
    assert_eq!(Signers::parse("# nobody\n"), Err(nobody));
}

#[test]
fn one_person_cannot_count_twice() {
    let other = ED25519.replace("Hh8g", "Hh8h");
    for bad in [
        format!("lena {ED25519}\nomar {ED25519}\n"),
        format!("lena,kim {ED25519}\nkim {other}\n"),
        format!("kim {other}\nlena,kim {ED25519}\n"),
    ] {
        assert_eq!(Signers::parse(&bad).map_err(|invalid| invalid.line), Err(2), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(lena|[*,\" ])* ?(namespaces=|valid-after=)?\"?[0-9Z]*\"? ?(ssh-ed25519)? ?\\PC*") {
        drop(Signers::parse(&text));
    }
}
