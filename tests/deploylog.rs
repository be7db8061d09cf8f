//! The deployment log through its public door: sealed, replayed, tampered with, and read by plain `git`.

#[path = "tools/plain.rs"]
mod plain;
#[path = "deploylog/units.rs"]
mod units;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use lockmaster::deploylog::{
    Action, Audience, Cause, Counts, Entry, EntryCommit, GateVerdict, Genesis, Hearers, Held, HeldImage, Log, LogName,
    ObjectKind, Phase, Proposal, Replay, Rollback, Signer, Stated, Stored, Upstream, replay, seal, unpack,
};
use lockmaster::name::{Code, CommitId, Digest, Reason, UnitName};
use lockmaster::signature::AgentKey;
use serde_json::Value;

fn main() -> ExitCode {
    let needing: Vec<plain::Plain> = plain::table![plain_git_reads_the_log,];
    let others: Vec<plain::Plain> = plain::table![
        what_was_sealed_is_what_is_replayed,
        no_entry_is_an_empty_log,
        an_unchanged_file_is_not_stored_again,
        the_accepted_head_and_the_standing_release_move_at_an_opening_only,
        an_entry_that_reached_the_store_too_late_keeps_its_place_and_means_nothing,
        row_30_an_entry_of_an_unknown_version_is_refused_in_clear_words,
        every_tampering_is_a_violation,
        no_flipped_byte_gives_another_content,
        an_opening_without_a_release_never_reaches_the_chain,
        a_file_never_stands_where_a_directory_must,
        the_bytes_of_an_entry_are_these,
        an_entry_has_exactly_the_fields_of_the_schema,
        units::each_unit_reads_a_joint_entry_as_its_own,
        units::a_unit_reads_what_is_about_it_and_about_the_environment_and_nothing_else,
        units::an_entry_is_news_for_the_units_it_names_and_for_all_where_it_ships_something_new,
        units::what_one_unit_opens_moves_the_accepted_head_of_all,
        units::the_files_of_a_named_unit_belong_to_one_entry,
        units::only_what_does_the_same_is_joined,
    ];
    plain::run(&["ssh-keygen"], needing, others)
}

fn name(environment: &str) -> LogName {
    LogName {
        pipeline: "shop".parse().expect("because it is a pipeline name"),
        environment: environment.parse().expect("because it is an environment name"),
    }
}

fn key(seed: u8) -> AgentKey {
    AgentKey::from_seed([seed; 32])
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("because it is a timestamp")
}

const START: &str = "2026-03-11T11:31:36.25Z";

/// The time of the entry of this sequence: one a minute.
fn minute(sequence: u64) -> Timestamp {
    let minutes = i64::try_from(sequence).expect("because a test has few entries");
    at(START).checked_add(SignedDuration::from_mins(minutes)).expect("because it is near")
}

fn commit_id(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().expect("because it is an id")
}

fn commit(id: CommitId, subject: &str) -> EntryCommit {
    EntryCommit {
        payload_hash: Digest::of(id.as_str().as_bytes()),
        subject: subject.to_owned(),
        claimed_author: "dana@example.com".to_owned(),
        signer: Some(Signer {
            principal: "dana@example.com".parse().expect("because it is a principal"),
            fingerprint: key(9).fingerprint(),
        }),
        first_seen: at("2026-03-11T11:30:00Z"),
        ships: vec![id.clone()],
        id,
    }
}

fn proposal(action: Action, phase: Option<Phase>) -> Proposal {
    Proposal::new(action, phase, None)
}

fn genesis(key: &AgentKey) -> Proposal {
    Proposal {
        genesis: Some(Genesis {
            cluster: "0f4b7c9e-6a1d-4c39-9a53-1f3a5d7e9b21".to_owned(),
            agent_key: key.public_key(),
            introduction: vec![commit_id('1')],
        }),
        files: BTreeMap::from([("policy.yaml".to_owned(), b"kind: Pipeline\n".to_vec())]),
        ..proposal(Action::Genesis, None)
    }
}

fn opened(id: CommitId, release: &str) -> Proposal {
    Proposal {
        actor: "dana@example.com".to_owned(),
        commit: Some(commit(id, "shop 1.0")),
        release: Some(Digest::of(release.as_bytes())),
        gates: vec![GateVerdict { name: "windows".into(), verdict: "pass".into(), value: "Mon-Fri".into() }],
        counts: Some(Counts { create: 8, ..Counts::default() }),
        durations_ms: BTreeMap::from([("render".to_owned(), 12), ("apply".to_owned(), 340)]),
        files: BTreeMap::from([
            ("inputs".to_owned(), format!("file of {release}\n").into_bytes()),
            ("evidence/statements/lena".to_owned(), b"tag bytes".to_vec()),
        ]),
        ..proposal(Action::Sync, Some(Phase::Opened))
    }
}

fn unit(name: &str) -> UnitName {
    name.parse().expect("because it is a unit name")
}

fn opened_unit(name: &str, id: char, release: &str) -> Proposal {
    Proposal { units: vec![unit(name)], ..opened(commit_id(id), release) }
}

fn outcome(phase: Phase, of: u64, id: CommitId) -> Proposal {
    Proposal { of: Some(of), commit: Some(commit(id, "shop 1.0")), ..proposal(Action::Sync, Some(phase)) }
}

fn refusal(id: CommitId) -> Proposal {
    let reason = Reason::new(Code::UnsignedCommit, "commit `ccccccc` carries no signature").at_commit(id.clone());
    Proposal {
        commit: Some(commit(id, "payments: \u{1b}[31mfaster\u{7}")),
        reasons: vec![reason],
        ..proposal(Action::Refuse, None)
    }
}

/// Seals these proposals one behind the other, each stored a second after it was sealed.
fn chain(name: &LogName, key: &AgentKey, proposals: &[Proposal]) -> Vec<Stored> {
    let mut stored = Vec::new();
    for (sequence, proposal) in (0u64..).zip(proposals) {
        let log = replay(name, &stored, &key.fingerprint()).expect("because our own chain replays");
        let sealed = seal(name, &log, proposal, key, minute(sequence));
        assert_eq!(sealed.sequence, sequence);
        let stored_at = minute(sequence).checked_add(SignedDuration::from_secs(1)).expect("because it is near");
        stored.push(Stored { sequence, bytes: sealed.bytes, stored_at });
    }
    stored
}

fn usual() -> Vec<Proposal> {
    vec![
        genesis(&key(7)),
        opened(commit_id('a'), "one"),
        outcome(Phase::Proven, 1, commit_id('a')),
        opened(commit_id('b'), "two"),
        refusal(commit_id('c')),
    ]
}

/// Entries that say everything that an entry can say.
fn unusual() -> Vec<Proposal> {
    let stated = |until| Stated { payload_hash: Digest::of(b"tag"), until, reason: "errors doubled".to_owned() };
    let held = Held {
        commit: commit_id('b'),
        files: BTreeMap::from([("base/web.yaml".parse().expect("because it is a path"), Digest::of(b"web"))]),
        images: [HeldImage { object: "shop Deployment/web".to_owned(), image: "web:v2".to_owned() }].into(),
    };
    let upstream = Upstream {
        environment: "staging".parse().expect("because it is a name"),
        sequence: 12,
        hash: Digest::of(b"twelve"),
    };
    let back = |cause, rewind| Some(Rollback { to: 1, cause, rewind });
    let action = |action| proposal(action, None);
    let mut all = usual();
    all.extend([
        Proposal {
            action: Action::Promote,
            images: vec!["web:v2".to_owned()],
            upstream: Some(upstream),
            irreversible: vec!["shop Job/migrate".to_owned()],
            ..opened(commit_id('d'), "three")
        },
        Proposal {
            action: Action::Rollback,
            statement: Some(stated(None)),
            rollback: back(Cause::Statement, true),
            hold: Some(held.clone()),
            ..opened(commit_id('a'), "one")
        },
        Proposal { action: Action::Rollback, rollback: back(Cause::Commit, false), ..opened(commit_id('e'), "one") },
        Proposal { action: Action::Rollback, rollback: back(Cause::Failure, false), ..opened(commit_id('a'), "one") },
        Proposal { statement: Some(stated(Some(minute(99)))), ..action(Action::Freeze) },
        Proposal { statement: Some(stated(None)), ..action(Action::Unfreeze) },
        Proposal { statement: Some(stated(None)), hold: Some(held), ..action(Action::Hold) },
        Proposal { statement: Some(stated(None)), of: Some(6), ..action(Action::Unhold) },
        Proposal::joint(vec![opened_unit("web", 'f', "one"), opened_unit("cart", 'f', "two")]),
    ]);
    all
}

fn replayed(stored: &[Stored]) -> Log {
    replay(&name("dev"), stored, &key(7).fingerprint()).expect("because the chain is good")
}

fn what_was_sealed_is_what_is_replayed() {
    let proposals = usual();
    let log = replayed(&chain(&name("dev"), &key(7), &proposals));
    let bodies: Vec<Proposal> = log.entries.iter().map(|entry| entry.body.clone()).collect();
    assert_eq!(bodies, proposals);
    assert_eq!(log.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(log.tip.as_ref(), log.entries.last().map(|entry| &entry.id));
    for entry in &log.entries {
        assert_eq!(entry.hash, Digest::of(entry.json.as_bytes()));
        assert_eq!((entry.time, entry.lapsed), (minute(entry.sequence), false));
    }
    let attached: Vec<(&str, Digest)> = log.attached.iter().map(|(path, file)| (path.as_str(), file.digest)).collect();
    let expected = [("inputs", Digest::of(b"file of two\n")), ("policy.yaml", Digest::of(b"kind: Pipeline\n"))];
    assert_eq!(attached, expected, "evidence belongs to one entry, everything else is carried on");
}

fn no_entry_is_an_empty_log() {
    assert_eq!(replayed(&[]), Log::default());
}

fn an_unchanged_file_is_not_stored_again() {
    let mut proposals = vec![genesis(&key(7)), opened(commit_id('a'), "one")];
    proposals.push(Proposal { of: Some(1), ..opened(commit_id('b'), "one") });
    let stored = chain(&name("dev"), &key(7), &proposals);
    let blobs = |stored: &Stored| {
        let objects = unpack(&stored.bytes).expect("because we packed it");
        objects.iter().filter(|object| object.kind == ObjectKind::Blob).count()
    };
    assert_eq!(stored.iter().map(blobs).collect::<Vec<_>>(), [2, 3, 2], "entry.json, and what is new");
    assert_eq!(replayed(&stored).standing.expect("because it opened").inputs, Digest::of(b"file of one\n"));
}

fn the_accepted_head_and_the_standing_release_move_at_an_opening_only() {
    let id = commit_id;
    let reason = Reason::new(Code::Unsettled, "deadline passed");
    let failed = Proposal { reasons: vec![reason.clone()], ..outcome(Phase::Failed, 1, id('a')) };
    let replacing = Proposal { of: Some(1), ..opened(id('b'), "two") };
    let mut first = vec![genesis(&key(7)), opened(id('a'), "one")];
    // The entries behind the first opening; then accepted, standing's sequence, its outcome, unclosed, refused.
    type Told<'a> = (Vec<Proposal>, char, u64, Option<Phase>, Vec<u64>, bool);
    let rows: Vec<Told<'_>> = vec![
        (vec![], 'a', 1, None, vec![], false),
        (vec![refusal(id('c'))], 'a', 1, None, vec![], true),
        (vec![outcome(Phase::Settled, 1, id('a'))], 'a', 1, Some(Phase::Settled), vec![], false),
        (vec![failed], 'a', 1, Some(Phase::Failed), vec![], false),
        (vec![opened(id('b'), "two")], 'b', 2, None, vec![1], false),
        (vec![replacing], 'b', 2, None, vec![], false),
        (vec![refusal(id('b')), opened(id('b'), "two")], 'b', 3, None, vec![1], false),
        (vec![opened(id('b'), "two"), outcome(Phase::Superseded, 1, id('a'))], 'b', 2, None, vec![], false),
        (vec![opened(id('b'), "two"), outcome(Phase::Settled, 1, id('a'))], 'b', 2, None, vec![1], false),
        (vec![outcome(Phase::Proven, 1, id('a')), opened(id('b'), "two")], 'b', 3, None, vec![], false),
        (vec![outcome(Phase::Proven, 7, id('a'))], 'a', 1, None, vec![], false),
    ];
    for (behind, accepted, sequence, phase, unclosed, refused) in rows {
        let what = format!("{:?}", behind.iter().map(|p| (p.action, p.phase, p.of)).collect::<Vec<_>>());
        first.truncate(2);
        first.extend(behind);
        let log = replayed(&chain(&name("dev"), &key(7), &first));
        let standing = log.standing.expect("because one opened");
        assert_eq!(log.accepted.map(|commit| commit.id.clone()), Some(commit_id(accepted)), "{what}");
        assert_eq!((standing.sequence, standing.outcome.map(|(phase, _)| phase)), (sequence, phase), "{what}");
        assert_eq!((log.unclosed, log.last_refusal.is_some()), (unclosed, refused), "{what}");
        assert_eq!(standing.opened_at, minute(sequence), "{what}");
        assert_eq!(
            standing.reasons,
            if phase == Some(Phase::Failed) { vec![reason.clone()] } else { vec![] },
            "{what}"
        );
    }
    let log = replayed(&chain(&name("dev"), &key(7), &usual()));
    assert_eq!(log.last_refusal, Some((commit_id('c'), vec![Code::UnsignedCommit])));
}

fn an_entry_that_reached_the_store_too_late_keeps_its_place_and_means_nothing() {
    let proposals = usual();
    let mut stored = chain(&name("dev"), &key(7), &proposals[..3]);
    let before = replayed(&stored);
    let late = seal(&name("dev"), &before, &proposals[3], &key(7), minute(3));
    for (seconds, lapsed) in [(30, false), (31, true)] {
        let stored_at = minute(3).checked_add(SignedDuration::from_secs(seconds)).expect("because it is near");
        stored.truncate(3);
        stored.push(Stored { sequence: 3, bytes: late.bytes.clone(), stored_at });
        let log = replayed(&stored);
        assert_eq!(log.entries[3].lapsed, lapsed, "{seconds} s");
        assert_eq!(log.accepted == before.accepted && log.standing == before.standing, lapsed, "{seconds} s");
        assert_eq!(log.attached == before.attached, lapsed, "{seconds} s");
        // The chain goes on behind it either way.
        let next = seal(&name("dev"), &log, &proposals[4], &key(7), minute(4));
        stored.push(Stored { sequence: next.sequence, bytes: next.bytes, stored_at: minute(4) });
        assert_eq!(replayed(&stored).entries.len(), 5);
    }
}

fn row_30_an_entry_of_an_unknown_version_is_refused_in_clear_words() {
    let mut stored = chain(&name("dev"), &key(7), &usual());
    stored[2].bytes[0] = 2;
    let violation = replay(&name("dev"), &stored, &key(7).fingerprint()).expect_err("because it is of a later version");
    assert_eq!(
        violation.to_string(),
        "`dev/2` cannot be read: the entry is packed in version 2, this agent knows version 1"
    );
}

fn every_tampering_is_a_violation() {
    let good = chain(&name("dev"), &key(7), &usual());
    let foreign = chain(&name("prod"), &key(7), &usual());
    let other_key = chain(&name("dev"), &key(8), &[vec![genesis(&key(8))], usual()[1..].to_vec()].concat());
    let other_past = {
        let mut proposals = usual();
        proposals[1] = opened(commit_id('d'), "other");
        chain(&name("dev"), &key(7), &proposals)
    };
    let with = |change: &dyn Fn(&mut Vec<Stored>)| {
        let mut stored = good.clone();
        change(&mut stored);
        stored
    };
    let put = |at: usize, entry: &Stored| with(&|stored| stored[at].bytes.clone_from(&entry.bytes));
    let rows: Vec<(&str, Vec<Stored>, Code)> = vec![
        ("the first dropped", with(&|s| drop(s.remove(0))), Code::SequenceGap),
        ("one dropped", with(&|s| drop(s.remove(2))), Code::SequenceGap),
        ("one repeated", with(&|s| s.insert(2, good[2].clone())), Code::SequenceGap),
        ("two exchanged", with(&|s| s.swap(2, 3)), Code::SequenceGap),
        ("another entry under its name", put(2, &good[3]), Code::SequenceGap),
        ("the first without its bytes", with(&|s| s[0].bytes.clear()), Code::EntryHashMismatch),
        ("cut", with(&|s| s[3].bytes.truncate(200)), Code::EntryHashMismatch),
        (
            "an object more",
            with(&|s| {
                let more = s[1].bytes[1..].to_vec();
                s[3].bytes.extend(more);
            }),
            Code::EntryHashMismatch,
        ),
        ("of another environment", put(3, &foreign[3]), Code::EntryHashMismatch),
        ("of another environment, all of it", foreign.clone(), Code::EntryHashMismatch),
        ("by another key", put(3, &other_key[3]), Code::EntrySignatureInvalid),
        ("by another key, all of it", other_key.clone(), Code::EntrySignatureInvalid),
        ("of another past", put(3, &other_past[3]), Code::EntryHashMismatch),
        ("its predecessor replaced", put(1, &other_past[1]), Code::EntryHashMismatch),
    ];
    for (what, stored, code) in rows {
        let violation = replay(&name("dev"), &stored, &key(7).fingerprint()).expect_err(what);
        assert_eq!(violation.reason.code, code, "{what}: {violation}");
        assert!(violation.to_string().starts_with("`dev/"), "{what}: {violation}");
    }
}

fn no_flipped_byte_gives_another_content() {
    let good = chain(&name("dev"), &key(7), &usual()[..2]);
    let truth = replayed(&good);
    let told = |log: &Log| log.entries.iter().map(|e| (e.json.clone(), e.body.files.clone())).collect::<Vec<_>>();
    // A step of 1 is the whole truth; the larger one keeps slow debug signatures within a few seconds.
    for (entry, step) in [(0, 11), (1, 23)] {
        for byte in (0..good[entry].bytes.len()).step_by(step) {
            let mask = 1 << (byte % 8);
            let mut stored = good.clone();
            stored[entry].bytes[byte] ^= mask;
            if let Ok(log) = replay(&name("dev"), &stored, &key(7).fingerprint()) {
                assert_eq!(told(&log), told(&truth), "entry {entry}, byte {byte}, mask {mask:#x}");
            }
        }
    }
}

/// Checks that an invariant is stated by a panic with these words.
fn panics<T>(words: &str, body: impl FnOnce() -> T) {
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).err().expect("because it panics");
    let said = caught.downcast_ref::<String>().cloned();
    let said = said.or_else(|| caught.downcast_ref::<&str>().map(|said| (*said).to_owned())).unwrap_or_default();
    assert!(said.contains(words), "{said}");
}

fn an_opening_without_a_release_never_reaches_the_chain() {
    let log = replayed(&chain(&name("dev"), &key(7), &usual()[..1]));
    panics("because a release has both", || {
        seal(&name("dev"), &log, &proposal(Action::Sync, Some(Phase::Opened)), &key(7), minute(1))
    });
}

fn a_file_never_stands_where_a_directory_must() {
    let files = BTreeMap::from([("evidence".to_owned(), vec![]), ("evidence/one".to_owned(), vec![])]);
    panics("because `evidence` is a directory", || {
        seal(&name("dev"), &Log::default(), &Proposal { files, ..genesis(&key(7)) }, &key(7), minute(0))
    });
}

/// Pins the format: a change of these bytes is a new version of the format.
fn the_bytes_of_an_entry_are_these() {
    let log = replayed(&chain(&name("dev"), &key(7), &usual()));
    insta::assert_snapshot!("entry-opened", log.entries[1].json);
    insta::assert_snapshot!("entry-refused", log.entries[4].json);
}

fn an_entry_has_exactly_the_fields_of_the_schema() {
    let schema: Value =
        serde_json::from_str(include_str!("../deploy/schema/entry.json")).expect("because the schema is JSON");
    let log = replayed(&chain(&name("dev"), &key(7), &unusual()));
    for field in ["statement", "rollback", "hold", "irreversible", "upstream", "parts"] {
        let said = |entry: &Entry| serde_json::from_str::<Value>(&entry.json).is_ok_and(|json| !json[field].is_null());
        assert!(
            log.entries.iter().map(AsRef::as_ref).any(said),
            "`{field}` is in no entry: the schema is not asked about it"
        );
    }
    for entry in &log.entries {
        let value = serde_json::from_str(&entry.json).expect("because an entry is JSON");
        let mut problems = Vec::new();
        compare(&schema, &schema, &value, "entry", &mut problems);
        assert_eq!(problems, Vec::<String>::new(), "{}", entry.json);
    }
}

/// Compares keys, constants, words and types of a value with a schema that keeps to a small vocabulary.
fn compare(root: &Value, schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let found = root.pointer(name.trim_start_matches('#')).expect("because the schema defines what it names");
        return compare(root, found, value, at, problems);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &&Value| {
            let mut found = Vec::new();
            compare(root, choice, value, at, &mut found);
            found.is_empty()
        };
        if choices.iter().filter(fits).count() == 0 {
            problems.push(format!("{at}: no choice fits {value}"));
        }
        return;
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if schema.get("type").is_some_and(|expected| expected != kind) {
        problems.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if schema.get("const").is_some_and(|expected| expected != value)
        || schema["enum"].as_array().is_some_and(|words| !words.contains(value))
    {
        problems.push(format!("{at}: {value} is not allowed"));
    }
    if let Value::Array(items) = value {
        items.iter().for_each(|item| compare(root, &schema["items"], item, at, problems));
    }
    if let Value::Object(fields) = value {
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        for key in required.iter().filter_map(Value::as_str).filter(|key| !fields.contains_key(*key)) {
            problems.push(format!("{at}: lacks {key}"));
        }
        for (key, field) in fields {
            match schema["properties"].get(key).or(schema.get("additionalProperties").filter(|s| s.is_object())) {
                Some(schema) => compare(root, schema, field, &format!("{at}.{key}"), problems),
                None => problems.push(format!("{at}: has {key}")),
            }
        }
    }
}

/// A hermetic `git`: no configuration and no home but the folder.
fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> (bool, String) {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("because git is installed");
    child.stdin.take().expect("because it is piped").write_all(input).expect("because git reads its input");
    let output = child.wait_with_output().expect("because git ends");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("because git writes UTF-8"))
}

fn good_git(folder: &Path, arguments: &[&str], input: &[u8]) -> String {
    let (good, text) = git(folder, arguments, input);
    assert!(good, "git {arguments:?}: {text}");
    text.trim_end().to_owned()
}

fn plain_git_reads_the_log() {
    let folder = tempfile::tempdir().expect("because a temporary folder can be made");
    let folder = folder.path();
    good_git(folder, &["init", "--quiet", "--bare", "."], b"");
    let tree = good_git(folder, &["mktree"], b"");
    let deployed = |at: &str| {
        let commit = format!(
            "tree {tree}\nauthor Dana <dana@example.com> {at} +0000\ncommitter Dana <dana@example.com> {at} +0000\n\nshop 1.0\n"
        );
        let id = good_git(folder, &["hash-object", "-w", "-t", "commit", "--stdin"], commit.as_bytes());
        id.parse::<CommitId>().expect("because git prints an id")
    };
    let (one, two) = (deployed("1"), deployed("2"));
    let proposals = [
        genesis(&key(7)),
        opened(one.clone(), "one"),
        outcome(Phase::Proven, 1, one.clone()),
        opened(two.clone(), "two"),
        refusal(commit_id('c')),
    ];
    let stored = chain(&name("dev"), &key(7), &proposals);
    for object in stored.iter().flat_map(|entry| unpack(&entry.bytes).expect("because we packed it")) {
        let id = good_git(folder, &["hash-object", "-w", "-t", object.kind.as_str(), "--stdin"], &object.body);
        assert_eq!(id, object.id.as_str());
    }
    let log = replayed(&stored);
    let tip = log.tip.clone().expect("because entries stand");
    good_git(folder, &["update-ref", "refs/heads/deploylog/shop/dev", tip.as_str()], b"");
    good_git(folder, &["symbolic-ref", "HEAD", "refs/heads/deploylog/shop/dev"], b"");
    let checked = good_git(folder, &["fsck", "--strict", "--no-dangling", "--no-progress"], b"");
    assert_eq!(checked, "", "git fsck finds nothing to say");

    let signers = folder.join("signers");
    std::fs::write(&signers, format!("lockmaster namespaces=\"git\" {}\n", key(7).public_key()))
        .expect("because it is ours");
    let signers = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    let branch = "deploylog/shop/dev";
    let shown = ["-c", &signers, "log", "--first-parent", "--format=%G? %GS %s", branch];
    let expected = format!(
        "G lockmaster refuse dev/4: ccccccc payments:  [31mfaster\n\
         G lockmaster sync dev/3 opened: {} shop 1.0\n\
         G lockmaster sync dev/2 proven: {} shop 1.0\n\
         G lockmaster sync dev/1 opened: {} shop 1.0\n\
         G lockmaster genesis dev/0",
        two.short(),
        one.short(),
        one.short()
    );
    assert_eq!(good_git(folder, &shown, b""), expected);
    for entry in &log.entries {
        let said = good_git(folder, &["-c", &signers, "verify-commit", entry.id.as_str()], b"");
        assert!(said.starts_with("Good \"git\" signature for lockmaster with ED25519 key"), "{said}");
        let document = git(folder, &["cat-file", "blob", &format!("{}:entry.json", entry.id)], b"").1;
        assert_eq!(document, &*entry.json);
    }
    let parents = good_git(folder, &["log", "--first-parent", "--format=parents:%P", branch], b"");
    let second: Vec<Option<&str>> = parents.split('\n').map(|line| line.split(' ').nth(1)).collect();
    let (one, two) = (Some(one.as_str()), Some(two.as_str()));
    assert_eq!(second, [None, two, one, one, None], "a refused commit is not made reachable");
}
