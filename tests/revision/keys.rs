use jiff::Timestamp;
use lockmaster::name::Principal;
use lockmaster::revision::{FirstSeen, JudgedCommit, Trust, judge};
use lockmaster::signature::{AgentKey, SignatureProblem, Signers, Standing, verify_ssh};

use super::repository::{Repository, now, refusals};

fn judged(repository: &Repository, trust: &Trust, seen: &FirstSeen) -> Vec<(&'static str, String)> {
    refusals(judge(repository.fetch(&repository.tip(), None, &[]), trust, seen, now()))
}

/// The refusal of the only commit, named as `row` has it.
fn of(repository: &Repository, headline: &str, detail: &str) -> String {
    let tip = repository.tip();
    let tip = tip.short();
    format!(
        "`env/prod` brings 1 commit {headline}, 1 new, none accepted before\n{tip} \"one\", claimed author lena@example.com: {detail}"
    )
}

pub(crate) fn row_18_and_19_the_key_is_known_and_may_write() {
    let repository = Repository::new();
    repository.commit("one", Some("mallory"));
    let JudgedCommit { fingerprint, .. } = repository.judge(&repository.tip(), None).commits.remove(0);
    let fingerprint = fingerprint.expect("because the signature is good");
    let unknown = of(&repository, "signed by an unknown key", &format!("its key {fingerprint} is in no signers file"));
    assert_eq!(judged(&repository, &repository.trust(), &FirstSeen::new()), [("unknown-signer", unknown)]);
    let mut trust = repository.trusting(&repository.signer("mallory", "mallory"));
    assert_eq!(judged(&repository, &trust, &FirstSeen::new()), []);
    let lena: Principal = "lena".parse().expect("because it is a principal");
    trust.writers = Some([lena].into());
    let refused = of(&repository, "whose signer may not write to `prod`", "mallory is no writer here");
    assert_eq!(judged(&repository, &trust, &FirstSeen::new()), [("unauthorised-signer", refused)]);
    let trust = repository.trusting(&repository.signer("mallory namespaces=\"file\"", "mallory"));
    assert_eq!(judged(&repository, &trust, &FirstSeen::new())[0].0, "unauthorised-signer");
}

pub(crate) fn row_20_a_window_is_judged_at_first_seen_and_not_at_the_time_the_commit_says() {
    let repository = Repository::new();
    // Git writes 2026-03-11 09:00 into the commit, inside the window; it is seen an hour later, outside.
    let tip = repository.commit("one", Some("lena"));
    let trust = repository.trusting(&repository.signer("lena valid-before=\"202603110930Z\"", "lena"));
    let detail = "the key of lena is valid until 2026-03-11 09:30:00Z, first seen 2026-03-11 10:00:00Z";
    let refused = of(&repository, "whose key was not valid when first seen", detail);
    assert_eq!(judged(&repository, &trust, &FirstSeen::new()), [("key-not-valid", refused)]);
    let payload = repository.judge(&tip, None).commits[0].payload_hash;
    let earlier: Timestamp = "2026-03-11T09:29:00Z".parse().expect("because it is a timestamp");
    assert_eq!(judged(&repository, &trust, &FirstSeen::from([(payload, earlier)])), []);
}

pub(crate) fn row_23_and_24_wrong_namespace_and_weak_keys() {
    let repository = Repository::new();
    let sign = |key: &str, options: &[&str], namespace: &str| {
        if !options.is_empty() {
            repository.key(key, options);
        }
        let path = repository.path(key).display().to_string();
        repository.run("ssh-keygen", &["-Y", "sign", "-q", "-n", namespace, "-f", &path], b"text").1
    };
    for (key, options, namespace, verdict) in [
        ("lena", &[][..], "git", Ok(())),
        ("rsa3072", &["-t", "rsa", "-b", "3072"], "git", Ok(())),
        ("p256", &["-t", "ecdsa", "-b", "256"], "git", Ok(())),
        ("p384", &["-t", "ecdsa", "-b", "384"], "git", Ok(())),
        ("lena", &[], "file", Err(SignatureProblem::WrongNamespace("file".to_owned()))),
        (
            "rsa2048",
            &["-t", "rsa", "-b", "2048"],
            "git",
            Err(SignatureProblem::WeakAlgorithm("an RSA key of 2048 bits (at least 3072)".to_owned())),
        ),
        (
            "p521",
            &["-t", "ecdsa", "-b", "521"],
            "git",
            Err(SignatureProblem::Unsupported("a key of type `ecdsa-sha2-nistp521`".to_owned())),
        ),
    ] {
        let armor = sign(key, options, namespace);
        assert_eq!(verify_ssh(&armor, "git", b"text").map(|_| ()), verdict, "{key} {namespace}");
        if verdict.is_ok() {
            assert_eq!(verify_ssh(&armor, "git", b"texts"), Err(SignatureProblem::Mismatch), "{key}");
        }
    }
    for (key, problem) in [("rsa2048", "an RSA key of 2048 bits"), ("p521", "a key of type")] {
        let refused = Signers::parse(&repository.signer("lena", key)).expect_err("because the key cannot be honoured");
        assert!(refused.problem.starts_with(problem), "{refused}");
    }
}

pub(crate) fn signers_agree_with_ssh_keygen() {
    let repository = Repository::new();
    let key = repository.path("lena").display().to_string();
    let armor = repository.run("ssh-keygen", &["-Y", "sign", "-q", "-n", "git", "-f", &key], b"text").1;
    repository.write("signature", &armor);
    let fingerprint = verify_ssh(&armor, "git", b"text").expect("because Lena signed");
    for (options, key) in [
        ("lena", "lena"),
        ("lena,l", "lena"),
        ("lena", "omar"),
        ("lena namespaces=\"git\"", "lena"),
        ("lena namespaces=\"file,git\"", "lena"),
        ("lena namespaces=\"file\"", "lena"),
        ("lena valid-after=\"20260311Z\"", "lena"),
        ("lena valid-after=\"20260312Z\"", "lena"),
        ("lena valid-before=\"202603111000Z\"", "lena"),
        ("lena valid-before=\"20260311095959Z\"", "lena"),
        ("lena valid-after=\"20260311100000Z\"", "lena"),
        ("lena valid-after=\"20260311100001Z\"", "lena"),
    ] {
        let text = repository.signer(options, key);
        repository.write("signers", text.as_bytes());
        let oracle = [
            "-Y",
            "verify",
            "-f",
            "signers",
            "-I",
            "lena",
            "-n",
            "git",
            "-s",
            "signature",
            "-Overify-time=20260311100000Z",
        ];
        let good = repository.run("ssh-keygen", &oracle, b"text").0;
        let signers = Signers::parse(&text).expect("because the line is good");
        let ours = signers.standing(&fingerprint, "git", now());
        assert_eq!(matches!(ours, Standing::Valid(_)), good, "{text}: {ours:?}");
    }
}

pub(crate) fn the_agents_key_is_one_that_ssh_keygen_reads_and_believes() {
    let repository = Repository::new();
    let agent = AgentKey::from_seed([7; 32]);
    repository.write("signers", format!("agent {}\n", agent.public_key()).as_bytes());
    let signature = agent.sign("lockmaster-entry", b"entry");
    repository.write("signature", signature.as_bytes());
    let verify = ["-Y", "verify", "-f", "signers", "-I", "agent", "-n", "lockmaster-entry", "-s", "signature"];
    assert!(repository.run("ssh-keygen", &verify, b"entry").0);
    assert!(!repository.run("ssh-keygen", &verify, b"other").0);
    assert_eq!(verify_ssh(signature.as_bytes(), "lockmaster-entry", b"entry"), Ok(agent.fingerprint()));
    let again = AgentKey::from_openssh(&agent.to_openssh()).expect("because it is a private key");
    assert_eq!(again.sign("lockmaster-entry", b"entry"), signature);
    assert_eq!(format!("{again:?}"), format!("AgentKey(\"{}\")", agent.fingerprint()));
    repository.write("agent", agent.to_openssh().as_bytes());
    let path = repository.path("agent");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("because the file is ours");
    let path = path.display().to_string();
    let theirs = repository.run("ssh-keygen", &["-Y", "sign", "-q", "-n", "lockmaster-entry", "-f", &path], b"entry").1;
    assert_eq!(String::from_utf8_lossy(&theirs), signature, "because ed25519 and the armor are deterministic");
}

pub(crate) fn only_an_open_ed25519_key_can_be_the_agents() {
    let repository = Repository::new();
    repository.key("p256", &["-t", "ecdsa"]);
    repository.key("locked", &["-t", "ed25519", "-N", "secret"]);
    for name in ["p256", "locked"] {
        let text = std::fs::read_to_string(repository.path(name)).expect("because the key was made");
        assert!(matches!(AgentKey::from_openssh(&text), Err(SignatureProblem::Unsupported(_))), "{name}");
    }
    assert!(matches!(AgentKey::from_openssh("no key"), Err(SignatureProblem::Malformed(_))));
}
