use lockmaster::name::CommitId;
use lockmaster::revision::{Fetched, FirstSeen, RawCommit, Relation, judge};

use super::repository::{Repository, now, refusals};

/// What a stored tip on top of `head` is refused for. Git's own walk does not read malformed commits, so the facts are
/// written down: one new commit whose parent was accepted.
fn refused(repository: &Repository, tip: &CommitId, head: &CommitId) -> Vec<(&'static str, String)> {
    let raw = repository.raw(tip);
    let fetched = Fetched { tip: tip.clone(), new: vec![raw.clone()], tip_commit: raw, ..on(repository, head) };
    refusals(judge(fetched, &repository.trust(), &FirstSeen::new(), now()))
}

fn on(repository: &Repository, head: &CommitId) -> Fetched {
    let same = repository.fetch(head, Some(head), &[]);
    Fetched { relation: Relation::Descendant, boundary: [head.clone()].into(), ..same }
}

pub(crate) fn row_16_refuses_unsigned_commits_also_deep_in_a_side_branch() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    repository.git(&["checkout", "--quiet", "-b", "side"]);
    let deep = repository.commit("hotfix: raise memory", None);
    repository.commit("side two", Some("omar"));
    repository.git(&["checkout", "--quiet", "main"]);
    repository.commit("main two", Some("lena"));
    let sign = format!("-S{}", repository.path("lena").display());
    repository.git(&["merge", "--quiet", "--no-ff", &sign, "-m", "merge side", "side"]);
    let message = format!(
        "`env/prod` brings 1 unsigned commit, 4 new since the accepted head {}\n{} \"hotfix: raise memory\", \
         claimed author lena@example.com",
        head.short(),
        deep.short()
    );
    let judgement = repository.judge(&repository.tip(), Some(&head));
    assert_eq!(judgement.commits.iter().filter(|commit| commit.signer.is_some()).count(), 3);
    assert_eq!(refusals(judgement), [("unsigned-commit", message)]);
}

pub(crate) fn row_16_lists_ten_commits_and_counts_the_rest() {
    let repository = Repository::new();
    for number in 0..12 {
        repository.commit(&format!("c{number}"), None);
    }
    let refusals = repository.refusals(&repository.tip(), None);
    let message = &refusals[0].1;
    assert!(message.starts_with("`env/prod` brings 12 unsigned commits, 12 new, none accepted before\n"), "{message}");
    assert!(
        message.contains("\"c2\"") && !message.contains("\"c1\"") && message.ends_with("\nand 2 more"),
        "{message}"
    );
}

pub(crate) fn row_17_and_23_to_26_hostile_variants_of_a_good_commit() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    let good = repository.commit("two", Some("lena"));
    assert_eq!(refused(&repository, &good, &head), []);
    let text = String::from_utf8(repository.raw(&good).bytes).expect("because the commit is text");
    let signature =
        &text[text.find("gpgsig ").expect("because it is signed")..text.find("\n\n").expect("because it ends") + 1];
    let tree = text.lines().next().expect("because it has a tree");
    let committer = text.lines().find(|line| line.starts_with("committer ")).expect("because it has a committer");
    let comment = signature.replacen("-----\n", "-----\n Comment: x\n \n", 1);
    for (hostile, code) in [
        (text.replace("\n\ntwo", "\n\nTwo"), "bad-signature"),
        (text.replace("<lena@example.com>", "<omar@example.com>"), "bad-signature"),
        (text.replace("committer Lena", "committer Kim"), "bad-signature"),
        (text.replace(signature, &comment), "bad-signature"),
        (text.replacen("gpgsig ", "gpgsig-sha256 junk\ngpgsig ", 1), "ambiguous-signature"),
        (text.replace(signature, &format!("{signature}{signature}")), "ambiguous-signature"),
        (text.replace(signature, &format!("{signature}gpgsigx y\n")), "ambiguous-signature"),
        (text.replacen("gpgsig ", "gpgsig-sha256 ", 1), "ambiguous-signature"),
        (text.replace(signature, &format!("{signature} trailing\n")), "ambiguous-signature"),
        (text.replacen(tree, &format!("{tree}\n{tree}"), 1), "malformed-commit"),
        (text.replacen(committer, &format!("{committer}\n{committer}"), 1), "malformed-commit"),
        (text.replacen(" +0000", " +0000 x", 1), "malformed-commit"),
        (text.replacen("\n\ntwo", "\nchange-id x\n\ntwo", 1), "malformed-commit"),
        (text.replacen("\n\ntwo", "\n\nt\0wo", 1), "malformed-commit"),
    ] {
        assert_ne!(hostile, text, "because the variant differs");
        let tip = repository.store(hostile.as_bytes());
        let codes: Vec<&str> = refused(&repository, &tip, &head).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, [code], "{hostile}");
    }
}

pub(crate) fn an_openpgp_or_x509_signature_is_refused_by_name() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    let plain = repository.commit("two", None);
    let text = String::from_utf8(repository.raw(&plain).bytes).expect("because the commit is text");
    for (kind, said) in [("PGP SIGNATURE", "OpenPGP signatures"), ("SIGNED MESSAGE", "X.509 signatures")] {
        let armor = format!("\ngpgsig -----BEGIN {kind}-----\n \n x\n -----END {kind}-----\n\n");
        let tip = repository.store(text.replacen("\n\n", &armor, 1).as_bytes());
        let refusals = refused(&repository, &tip, &head);
        assert_eq!(refusals[0].0, "bad-signature");
        assert!(refusals[0].1.ends_with(&format!("{said} are not supported yet")), "{refusals:?}");
    }
}

pub(crate) fn a_merge_of_a_signed_tag_is_judged_by_its_own_signature() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    repository.git(&["checkout", "--quiet", "-b", "side"]);
    repository.commit("side", Some("omar"));
    let key = repository.path("omar").display().to_string();
    repository.git(&["tag", "-u", &key, "-m", "v1", "v1"]);
    repository.git(&["checkout", "--quiet", "main"]);
    let sign = format!("-S{}", repository.path("lena").display());
    repository.git(&["merge", "--quiet", "--no-ff", "--no-edit", &sign, "v1"]);
    let tip = repository.tip();
    assert!(repository.raw(&tip).bytes.windows(9).any(|window| window == b"\nmergetag"), "because Git writes it");
    assert_eq!(repository.refusals(&tip, Some(&head)), []);
}

pub(crate) fn a_sha256_repository_signs_in_its_own_header() {
    let repository = Repository::new();
    std::fs::remove_dir_all(repository.path(".git")).expect("because the repository was made");
    repository.git(&["init", "--quiet", "--object-format=sha256"]);
    let tip = repository.commit("one", Some("lena"));
    assert_eq!(tip.as_str().len(), 64);
    assert_eq!(repository.refusals(&tip, None), []);
}

pub(crate) fn no_flipped_byte_of_a_signed_commit_is_accepted_for_other_content() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    let good = repository.raw(&repository.commit("two", Some("lena")));
    let accepted = repository.judge(&good.id, Some(&head)).commits[0].payload_hash;
    let trust = repository.trust();
    let facts = on(&repository, &head);
    for at in 0..good.bytes.len() {
        let mut bytes = good.bytes.clone();
        bytes[at] ^= 1;
        // The id is computed over the changed bytes, as a hostile server would; a wrong id alone is refused as corrupt.
        let id = hashed(&bytes);
        let raw = RawCommit { id: id.clone(), bytes };
        let fetched = Fetched { tip: id, new: vec![raw.clone()], tip_commit: raw, ..facts.clone() };
        let judgement = judge(fetched, &trust, &FirstSeen::new(), now());
        let same = judgement.commits[0].payload_hash == accepted;
        assert!(judgement.verdict.is_err() || same, "byte {at}");
    }
}

fn hashed(bytes: &[u8]) -> CommitId {
    let object = [format!("commit {}\0", bytes.len()).as_bytes(), bytes].concat();
    let hash = sha1_checked::Sha1::try_digest(object);
    let hex: String = hash.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("because a hash is an id")
}

pub(crate) fn row_23_a_signature_for_another_purpose_does_not_sign_a_commit() {
    let repository = Repository::new();
    let unsigned = repository.commit("one", None);
    let text = String::from_utf8(repository.raw(&unsigned).bytes).expect("because the commit is text");
    let agent = lockmaster::signature::AgentKey::from_seed([7; 32]);
    let trust = repository.trusting(&format!("agent {}\n", agent.public_key()));
    let signed_for = |namespace| {
        let armor = agent.sign(namespace, text.as_bytes()).trim_end().replace('\n', "\n ");
        let tip = repository.store(text.replacen("\n\n", &format!("\ngpgsig {armor}\n\n"), 1).as_bytes());
        refusals(judge(repository.fetch(&tip, None, &[]), &trust, &FirstSeen::new(), now()))
    };
    assert_eq!(signed_for("git"), []);
    let refusals = signed_for("file");
    assert_eq!(refusals[0].0, "bad-signature");
    assert!(refusals[0].1.ends_with(": the signature is for namespace `file`, not `git`"), "{refusals:?}");
}
