//! Rows 40 to 43 of the promotion table: who may bring signed commits together without signing.

use lockmaster::edge::git::Limits;
use lockmaster::name::{CommitId, Principal};
use lockmaster::revision::{Carrier, Carriers, FirstSeen, MergeFacts, Trust, authorship, judge};

use super::repository::{Repository, now, refusals};
use super::snapshot::read;

/// Base, first side, second side, merge; then what it is refused for, after the commit's own line.
const RULE: &[(&str, [&str; 4], Option<&str>)] = &[
    ("different files", ["a=1 d/b=1", "a=2 d/b=1", "a=1 d/b=2", "a=2 d/b=2"], None),
    ("different files of one directory", ["d/a=1 d/b=1", "d/a=2 d/b=1", "d/a=1 d/b=2", "d/a=2 d/b=2"], None),
    ("one side only", ["a=1", "a=1 b=1", "a=1", "a=1 b=1"], None),
    ("the same change on both sides", ["a=1", "a=2", "a=2", "a=2"], None),
    ("the same file added on both sides", ["a=1", "a=1 b=2", "a=1 b=2 c=1", "a=1 b=2 c=1"], None),
    ("a file deleted on one side", ["a=1 b=1 c=1", "a=1 c=1", "a=1 b=1 c=2", "a=1 c=2"], None),
    ("a file deleted on both sides", ["a=1 b=1", "a=1", "a=1 c=1", "a=1 c=1"], None),
    ("a whole directory deleted on one side", ["a=1 d/b=1 d/c=1", "a=1", "a=2 d/b=1 d/c=1", "a=2"], None),
    ("a file moved on one side", ["a=1 b=1", "d/a=1 b=1", "a=1 b=2", "d/a=1 b=2"], None),
    ("a mode changed on one side", ["a=1 b=1", "a*=1 b=1", "a=1 b=2", "a*=1 b=2"], None),
    ("a file become a link", ["a=1 b=1", "a@=b b=1", "a=1 b=2", "a@=b b=2"], None),
    ("a file become a directory", ["a=1 b=1", "a/x=1 b=1", "a=1 b=2", "a/x=1 b=2"], None),
    ("a directory become a file", ["a/x=1 b=1", "a=1 b=1", "a/x=1 b=2", "a=1 b=2"], None),
    ("each side adds to a new directory", ["a=1", "a=1 d/x=1", "a=1 d/y=1", "a=1 d/x=1 d/y=1"], None),
    (
        "a file changed on both sides",
        ["a=1 d/b=1", "a=2 d/b=2", "a=1 d/b=3", "a=2 d/b=23"],
        Some("`d/b` is changed on both sides"),
    ),
    (
        "the second side of a file changed on both",
        ["a=1 b=1", "a=1 b=2", "a=2 b=3", "a=2 b=3"],
        Some("`b` is changed on both sides"),
    ),
    ("changed here and deleted there", ["a=1 b=1", "a=1 b=2", "a=2", "a=2 b=2"], Some("`b` is changed on both sides")),
    ("mode here and content there", ["a=1", "a*=1", "a=2", "a*=2"], Some("`a` is changed on both sides")),
    (
        "moved here and changed there",
        ["a=1", "b=1", "a=2", "b=2"],
        Some("`a` is changed on both sides, `b` is not as the side that changed it has it"),
    ),
    (
        "a file that neither side has",
        ["a=1", "a=2", "a=1 b=1", "a=2 b=1 base/evil=1"],
        Some("`base/evil` stands on neither side"),
    ),
    (
        "a file that both sides have and left alone",
        ["a=1 x=1", "a=2 x=1", "a=1 b=1 x=1", "a=2 b=1 x=6"],
        Some("`x` is changed on neither side"),
    ),
    (
        "a mode that neither side has",
        ["a=1 x=1", "a=2 x=1", "a=1 b=1 x=1", "a=2 b=1 x*=1"],
        Some("`x` is changed on neither side"),
    ),
    (
        "a file deleted by the merge",
        ["a=1 x=1", "a=2 x=1", "a=1 b=1 x=1", "a=2 b=1"],
        Some("`x` is deleted on neither side"),
    ),
    (
        "a directory deleted by the merge",
        ["a=1 x/y=1", "a=2 x/y=1", "a=1 b=1 x/y=1", "a=2 b=1"],
        Some("`x/y` is deleted on neither side"),
    ),
    (
        "the wrong side taken",
        ["a=1 b=1", "a=2 b=1", "a=1 b=2", "a=2 b=1"],
        Some("`b` is not as the side that changed it has it"),
    ),
    (
        "everything of one side dropped",
        ["a=1 d/b=1", "a=2 d/b=1", "a=1 d/b=2 d/c=1", "a=2 d/b=1"],
        Some("`d/b` is not as the side that changed it has it, `d/c` is not as the side that changed it has it"),
    ),
    (
        "a deletion taken back",
        ["a=1 b=1", "a=1", "a=2 b=1", "a=2 b=1"],
        Some("`b` is not as the side that changed it has it"),
    ),
    (
        "the same change on both sides dropped",
        ["a=1", "a=2", "a=2 b=1", "a=1 b=1"],
        Some("`a` is not as the side that changed it has it"),
    ),
    (
        "a file here and a directory there",
        ["b=1", "a=1 b=1", "a/x=1 b=1", "a=1 b=1"],
        Some("`a/x` is not as the side that changed it has it"),
    ),
];

pub(crate) fn a_merge_that_nobody_signed_moves_each_path_from_one_side_or_is_refused() {
    let repository = Repository::new();
    for (law, [base, first, second, merge], expected) in RULE {
        let base = repository.snapshot(&[], base, Some("lena"));
        let first = repository.snapshot(&[&base], first, Some("lena"));
        let second = repository.snapshot(&[&base], second, Some("omar"));
        for parents in [[&first, &second], [&second, &first]] {
            let tip = repository.snapshot(&parents, merge, None);
            let judgement = repository.carried(&tip, Some(&base), Carriers::Plain);
            let line = |what| {
                let id = tip.short();
                let headline =
                    "brings 1 merge that no writer signed and that is not plain, 3 new since the accepted head";
                let claim = format!("{id} \"snapshot\", claimed author lena@example.com");
                ("merge-not-plain", format!("`env/dev` {headline} {}\n{claim}: {what}", base.short()))
            };
            let carrier = judgement.commits[0].carrier;
            let judged = judgement.commits.clone();
            assert_eq!(refusals(judgement), expected.map(line).into_iter().collect::<Vec<_>>(), "{law}");
            assert_eq!(carrier, expected.is_none().then_some(Carrier::Unsigned), "{law}");
            if expected.is_none() {
                let both = "2 signed by lena@example.com, omar@example.com, 1 carried unsigned";
                assert_eq!(authorship(&judged), both, "{law}");
            }
        }
    }
}

/// An accepted head, two signed sides on top of it, and what a plain merge of them has.
struct Sides {
    base: CommitId,
    first: CommitId,
    second: CommitId,
}

const PLAIN: &str = "a=2 b=2";

impl Sides {
    fn new(repository: &Repository) -> Sides {
        let base = repository.snapshot(&[], "a=1 b=1", Some("lena"));
        let first = repository.snapshot(&[&base], "a=2 b=1", Some("lena"));
        let second = repository.snapshot(&[&base], "a=1 b=2", Some("lena"));
        Sides { base, first, second }
    }

    fn merge(&self, repository: &Repository, files: &str, key: Option<&str>) -> CommitId {
        repository.snapshot(&[&self.first, &self.second], files, key)
    }
}

fn codes(repository: &Repository, tip: &CommitId, accepted: &CommitId, carriers: Carriers) -> Vec<&'static str> {
    refusals(repository.carried(tip, Some(accepted), carriers)).into_iter().map(|(code, _)| code).collect()
}

pub(crate) fn row_40_a_forge_merge_of_signed_commits_is_carried() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    for (key, carrier, words) in [
        (None, Some(Carrier::Unsigned), "2 signed by lena@example.com, 1 carried unsigned"),
        (Some("mallory"), Some(Carrier::ForeignKey), "2 signed by lena@example.com, 1 carried by forge key"),
        (Some("lena"), None, "all signed by lena@example.com"),
    ] {
        let tip = sides.merge(&repository, PLAIN, key);
        let verdict = repository.carried(&tip, Some(&sides.base), Carriers::Plain).verdict;
        let verified = verdict.expect("because both sides are signed");
        assert_eq!((verified.commit(), verified.tip().carrier), (&tip, carrier));
        assert_eq!(verified.tip().authorised_by().is_some(), carrier.is_none());
        assert_eq!(authorship(verified.new_commits()), words);
    }
}

pub(crate) fn row_40_what_real_git_merges_without_a_conflict_of_paths_is_carried() {
    let repository = Repository::new();
    std::fs::create_dir(repository.path("base")).expect("because the home is writable");
    let commit = |file: &str, text: &str, key: &str| {
        repository.write(file, text.as_bytes());
        repository.git(&["add", file]);
        repository.commit(file, Some(key))
    };
    let base = commit("base/deploy.yaml", "1\n2\n3\n4\n5\n", "lena");
    repository.git(&["checkout", "--quiet", "-b", "feature"]);
    commit("base/new.yaml", "new\n", "omar");
    repository.git(&["checkout", "--quiet", "main"]);
    let main = commit("base/deploy.yaml", "one\n2\n3\n4\n5\n", "lena");
    let merge = || {
        repository.git(&["merge", "--quiet", "--no-ff", "--no-gpg-sign", "-m", "Merge pull request #1", "feature"]);
        repository.tip()
    };
    assert_eq!(codes(&repository, &merge(), &base, Carriers::Plain), Vec::<&str>::new());
    // Row 41: the same file, other lines; Git merges it without a word.
    repository.git(&["checkout", "--quiet", "feature"]);
    commit("base/deploy.yaml", "1\n2\n3\n4\nfive\n", "omar");
    repository.git(&["checkout", "--quiet", "main"]);
    repository.git(&["reset", "--quiet", "--hard", main.as_str()]);
    let refused = refusals(repository.carried(&merge(), Some(&base), Carriers::Plain));
    assert_eq!((refused.len(), refused[0].0), (1, "merge-not-plain"));
    assert!(refused[0].1.ends_with(": `base/deploy.yaml` is changed on both sides"), "{refused:?}");
}

pub(crate) fn row_41_a_file_changed_on_both_sides_is_refused_whoever_else_signed_the_merge() {
    let repository = Repository::new();
    let base = repository.snapshot(&[], "base/deploy.yaml=1", Some("lena"));
    let first = repository.snapshot(&[&base], "base/deploy.yaml=12", Some("lena"));
    let second = repository.snapshot(&[&base], "base/deploy.yaml=31", Some("lena"));
    for (key, expected) in
        [(None, vec!["merge-not-plain"]), (Some("mallory"), vec!["merge-not-plain"]), (Some("omar"), vec![])]
    {
        let tip = repository.snapshot(&[&first, &second], "base/deploy.yaml=312", key);
        assert_eq!(codes(&repository, &tip, &base, Carriers::Plain), expected, "{key:?}");
    }
}

pub(crate) fn row_42_a_squash_is_no_carrier_unless_all_are_allowed() {
    let repository = Repository::new();
    let base = repository.snapshot(&[], "a=1", Some("lena"));
    for (key, code, words) in [
        (None, "unsigned-commit", "all carried unsigned"),
        (Some("mallory"), "unknown-signer", "all carried by forge key"),
    ] {
        let squash = repository.snapshot(&[&base], "a=2", key);
        assert_eq!(codes(&repository, &squash, &base, Carriers::Plain), [code]);
        let verified =
            repository.carried(&squash, Some(&base), Carriers::Allow).verdict.expect("because all are allowed");
        assert_eq!(authorship(verified.new_commits()), words);
    }
}

pub(crate) fn row_43_a_file_that_neither_side_has_is_refused_by_its_path() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    let tip = sides.merge(&repository, "a=2 b=2 base/evil.yaml=1", None);
    let refused = refusals(repository.carried(&tip, Some(&sides.base), Carriers::Plain));
    assert!(refused[0].1.ends_with(": `base/evil.yaml` stands on neither side"), "{refused:?}");
    assert_eq!((refused.len(), refused[0].0), (1, "merge-not-plain"));
}

pub(crate) fn a_plain_merge_takes_no_fault_off_the_commits_it_merges() {
    let repository = Repository::new();
    let base = repository.snapshot(&[], "a=1 b=1", Some("lena"));
    let first = repository.snapshot(&[&base], "a=2 b=1", Some("lena"));
    let second = repository.snapshot(&[&base], "a=1 b=2", None);
    let merge = repository.snapshot(&[&first, &second], PLAIN, None);
    let tip = repository.snapshot(&[&merge], "a=3", Some("lena"));
    for tip in [merge, tip] {
        assert_eq!(codes(&repository, &tip, &base, Carriers::Plain), ["unsigned-commit"]);
        assert_eq!(codes(&repository, &tip, &base, Carriers::Allow), Vec::<&str>::new());
    }
}

pub(crate) fn carriers_below_the_tip_are_judged_as_the_tip_is() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    for (files, expected) in [(PLAIN, vec![]), ("a=2 b=2 evil=1", vec!["merge-not-plain"])] {
        let merge = sides.merge(&repository, files, None);
        let tip = repository.snapshot(&[&merge], "a=3 b=2", Some("omar"));
        assert_eq!(codes(&repository, &tip, &sides.base, Carriers::Plain), expected);
    }
}

pub(crate) fn only_merges_of_two_parents_with_one_merge_base_are_plain() {
    let repository = Repository::new();
    let Sides { base, first, second } = Sides::new(&repository);
    let third = repository.snapshot(&[&base], "a=1 b=1 c=1", Some("lena"));
    let octopus = repository.snapshot(&[&first, &second, &third], "a=2 b=2 c=1", None);
    let left = repository.snapshot(&[&first, &second], PLAIN, Some("lena"));
    let right = repository.snapshot(&[&second, &first], "a=2 b=2 c=1", Some("omar"));
    let crossed = repository.snapshot(&[&left, &right], "a=2 b=2 c=1", None);
    let stranger = repository.snapshot(&[], "z=1", Some("lena"));
    let unrelated = repository.snapshot(&[&first, &stranger], "a=2 b=1 z=1", None);
    let mut bases = [first.short(), second.short()];
    bases.sort_unstable();
    for (tip, what) in [
        (octopus, "it merges 3 commits, and without a writer's signature only two may be merged".to_owned()),
        (crossed, format!("its parents have 2 merge bases: {}, {}", bases[0], bases[1])),
        (unrelated, "its parents have no merge base".to_owned()),
    ] {
        let refused = refusals(repository.carried(&tip, Some(&base), Carriers::Plain));
        assert_eq!((refused.len(), refused[0].0), (1, "merge-not-plain"), "{refused:?}");
        assert!(refused[0].1.ends_with(&format!(": {what}")), "{refused:?}");
        assert_eq!(codes(&repository, &tip, &base, Carriers::Allow), Vec::<&str>::new());
    }
}

pub(crate) fn a_merge_that_brings_nothing_new_changes_nothing() {
    let repository = Repository::new();
    let Sides { base, first, .. } = Sides::new(&repository);
    for parents in [[&first, &base], [&base, &first]] {
        let tree = |files: &str| repository.snapshot(&parents, files, None);
        let same = tree("a=2 b=1");
        assert_eq!(codes(&repository, &same, &base, Carriers::Plain), Vec::<&str>::new());
        let back = tree("a=1 b=1");
        assert_eq!(codes(&repository, &back, &base, Carriers::Plain), ["merge-not-plain"]);
    }
}

pub(crate) fn a_signature_that_does_not_hold_never_makes_a_carrier() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    let text = String::from_utf8(repository.raw(&sides.merge(&repository, PLAIN, Some("mallory"))).bytes);
    let text = text.expect("because the commit is text");
    let altered = repository.store(text.replace("snapshot", "snapshots").as_bytes());
    let broken = repository.store(text.replacen("BEGIN SSH", "BEGIN SHH", 1).as_bytes());
    let twice = text.replacen("gpgsig ", "gpgsig-sha256 x\ngpgsig ", 1);
    let twice = repository.store(twice.as_bytes());
    let malformed = repository.store(text.replacen("committer ", "commiter ", 1).as_bytes());
    for (tip, code) in [
        (altered, "bad-signature"),
        (broken, "bad-signature"),
        (twice, "ambiguous-signature"),
        (malformed, "malformed-commit"),
    ] {
        for carriers in [Carriers::Plain, Carriers::Allow] {
            let facts = repository.facts(&sides.first, Some(&sides.base));
            // Git's own walk stops at a commit it cannot read, so the facts are written down.
            let raw = repository.raw(&tip);
            let mut facts = lockmaster::revision::Fetched { tip: tip.clone(), tip_commit: raw.clone(), ..facts };
            facts.new = vec![raw];
            facts.boundary = [sides.first.clone(), sides.second.clone()].into();
            let compared = MergeFacts::Compared { base: sides.base.clone(), unlike: Vec::new(), more: 0 };
            facts.merges = [(tip.clone(), compared)].into();
            let judgement = judge(facts, &Trust { carriers, ..repository.trust() }, &FirstSeen::new(), now());
            let codes: Vec<&str> = refusals(judgement).into_iter().map(|(code, _)| code).collect();
            assert_eq!(codes, [code], "{carriers:?}");
        }
    }
}

pub(crate) fn a_key_without_rights_makes_a_carrier_and_one_that_ended_does_not() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    let tip = sides.merge(&repository, PLAIN, Some("omar"));
    let lena = repository.signer("lena@example.com", "lena");
    let judged = |omar: &str, only_lena: bool, carriers| {
        let writers = only_lena.then(|| ["lena@example.com".parse::<Principal>().expect("because it is one")].into());
        let trust = repository.trusting(&(lena.clone() + &repository.signer(omar, "omar")));
        let facts = repository.facts(&tip, Some(&sides.base));
        judge(facts, &Trust { writers, carriers, ..trust }, &FirstSeen::new(), now())
    };
    let judgement = judged("omar@example.com", true, Carriers::Plain);
    let words = "2 signed by lena@example.com, 1 carried by a signer who is no writer here";
    assert_eq!(authorship(&judgement.commits), words);
    assert_eq!(judgement.commits[0].carrier, Some(Carrier::NoWriter));
    let verified = judgement.verdict.expect("because the merge is plain");
    assert_eq!(verified.tip().signer.as_ref().map(Principal::as_str), Some("omar@example.com"));
    assert_eq!(verified.tip().authorised_by(), None);
    for carriers in [Carriers::Plain, Carriers::Allow] {
        let ended = judged("omar@example.com valid-before=\"20260101Z\"", false, carriers);
        assert_eq!(refusals(ended)[0].0, "key-not-valid");
        let other = judged("omar@example.com namespaces=\"file\"", false, carriers);
        assert_eq!(refusals(other)[0].0, "unauthorised-signer");
    }
}

pub(crate) fn a_forge_that_signs_with_openpgp_makes_carriers() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    for (files, expected) in [(PLAIN, vec![]), ("a=2 b=2 evil=1", vec!["merge-not-plain"])] {
        let plain = sides.merge(&repository, files, None);
        let text = String::from_utf8(repository.raw(&plain).bytes).expect("because the commit is text");
        let armor = "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n";
        let tip = repository.store(text.replacen("\n\n", armor, 1).as_bytes());
        let judgement = repository.carried(&tip, Some(&sides.base), Carriers::Plain);
        let carrier = expected.is_empty().then_some(Carrier::ForeignKey);
        assert_eq!(judgement.commits[0].carrier, carrier);
        assert_eq!(refusals(judgement).into_iter().map(|(code, _)| code).collect::<Vec<_>>(), expected);
    }
}

pub(crate) fn only_directories_that_both_sides_changed_are_read() {
    let repository = Repository::new();
    let many: String = (0..200).map(|n| format!(" deep/{n}=1")).collect();
    let base = repository.snapshot(&[], &format!("a=1 d/b=1{many}"), Some("lena"));
    let first = repository.snapshot(&[&base], &format!("a=2 d/b=1{many}"), Some("lena"));
    let second = repository.snapshot(&[&base], &format!("a=1 d/b=2{}", many.replace("=1", "=2")), Some("lena"));
    let merged = format!("a=2 d/b=2{}", many.replace("=1", "=2"));
    let good = repository.snapshot(&[&first, &second], &merged, None);
    let evil = repository.snapshot(&[&first, &second], &merged.replace("199=2", "199=3"), None);
    for (tip, plain) in [(good, true), (evil, false)] {
        // Four root trees of about 100 bytes and the walk fit, a directory of 200 entries does not.
        let narrow = Limits { merge_bytes: 4_000, ..Limits::default() };
        let facts =
            read(&repository.mirror(&tip).with_limits(narrow), &tip, Some(&base), &[]).expect("because it is whole");
        let expected = MergeFacts::Compared { base: base.clone(), unlike: Vec::new(), more: 0 };
        let expected = if plain { expected } else { MergeFacts::TooLarge(4_000) };
        assert_eq!(facts.merges[&tip], expected);
        let judgement = judge(facts, &repository.trust(), &FirstSeen::new(), now());
        let codes: Vec<&str> = refusals(judgement).into_iter().map(|(code, _)| code).collect();
        assert_eq!(codes, if plain { vec![] } else { vec!["limit-exceeded"] });
    }
}

pub(crate) fn a_signed_merge_is_accepted_however_large_it_is() {
    let repository = Repository::new();
    let sides = Sides::new(&repository);
    let tip = sides.merge(&repository, "a=7 c=7", Some("omar"));
    let narrow = Limits { merge_bytes: 1, ..Limits::default() };
    let facts =
        read(&repository.mirror(&tip).with_limits(narrow), &tip, Some(&sides.base), &[]).expect("because it is whole");
    assert_eq!(facts.merges[&tip], MergeFacts::TooLarge(1));
    assert_eq!(refusals(judge(facts, &repository.trust(), &FirstSeen::new(), now())), []);
}

pub(crate) fn a_tree_with_one_name_twice_is_refused() {
    let repository = Repository::new();
    let base = repository.snapshot(&[], "b=1", Some("lena"));
    let first = repository.snapshot(&[&base], "a=1 b=1", Some("lena"));
    let second = repository.snapshot(&[&base], "a/x=1 b=1", Some("lena"));
    let entry = |commit: &CommitId| {
        let listed = repository.git(&["ls-tree", commit.as_str(), "a"]);
        let words: Vec<&str> = listed.split_whitespace().collect();
        let id = words[2]
            .as_bytes()
            .chunks(2)
            .map(|hex| u8::from_str_radix(&String::from_utf8_lossy(hex), 16).expect("because git prints hex"));
        let mut bytes = format!("{} a\0", words[0].trim_start_matches('0')).into_bytes();
        bytes.extend(id);
        bytes
    };
    let both = [entry(&first), entry(&second)].concat();
    let (good, tree) = repository.run("git", &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &both);
    assert!(good, "because git stores any bytes literally");
    let tip = repository.commit_tree(&[&first, &second], String::from_utf8_lossy(&tree).trim_end(), None);
    let refused = refusals(repository.carried(&tip, Some(&base), Carriers::Plain));
    assert_eq!(refused[0].0, "merge-not-plain");
    assert!(refused[0].1.ends_with("`a` stands twice"), "{refused:?}");
}
