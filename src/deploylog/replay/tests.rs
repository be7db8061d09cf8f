//! What a signature does not excuse: entries that the right key signed and that no agent seals.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::document::Place;
use super::super::entry::Genesis;
use super::super::git_object::write_commit;
use super::super::packing::pack;
use super::*;
use crate::signature::AgentKey;

fn name() -> LogName {
    LogName {
        pipeline: "shop".parse().expect("because it is a pipeline name"),
        environment: "dev".parse().expect("because it is an environment name"),
    }
}

fn key() -> AgentKey {
    AgentKey::from_seed([7; 32])
}

fn proposal(action: Action) -> Proposal {
    Proposal::new(action, None, None)
}

/// All that goes into an entry, each piece open to a mistake before it is signed.
struct Draft {
    document: Document,
    json: Option<Vec<u8>>,
    files: BTreeMap<String, Vec<u8>>,
    tip: Option<CommitId>,
    headers: fn(String) -> String,
    trees: fn(Vec<GitObject>) -> Vec<GitObject>,
    left_out: Option<&'static str>,
}

fn draft() -> Draft {
    let place = Place { name: &name(), sequence: 0, previous: None, agent: key().fingerprint() };
    let cluster = "uid".to_owned();
    let genesis = Some(Genesis { cluster, agent_key: key().public_key(), introduction: Vec::new() });
    let files = BTreeMap::from([("signers".to_owned(), b"dana".to_vec())]);
    let digests = files.iter().map(|(path, bytes)| (path.clone(), Digest::of(bytes))).collect();
    let proposal = Proposal { genesis, ..proposal(Action::Genesis) };
    let document = Document::new(&place, &proposal, Timestamp::UNIX_EPOCH, digests);
    Draft { document, json: None, files, tip: None, headers: |text| text, trees: |trees| trees, left_out: None }
}

impl Draft {
    fn replay(self) -> Result<Log, Violation> {
        let json = self.json.unwrap_or_else(|| self.document.to_json().into_bytes());
        let mut blobs: BTreeMap<&str, GitObject> =
            self.files.iter().map(|(path, b)| (path.as_str(), GitObject::new(ObjectKind::Blob, b.clone()))).collect();
        blobs.insert(DOCUMENT_PATH, GitObject::new(ObjectKind::Blob, json));
        let trees = (self.trees)(write_trees(&blobs.iter().map(|(path, blob)| (*path, &blob.id)).collect()));
        let headers = (self.headers)(headers(&self.document, &trees[0].id, self.tip.as_ref()));
        let payload = format!("{headers}\ngenesis dev/0\n");
        let signature = key().sign(GIT_NAMESPACE, payload.as_bytes());
        let commit = GitObject::new(ObjectKind::Commit, write_commit(&payload, &signature));
        blobs.retain(|path, _| self.left_out != Some(*path));
        let bytes = pack(std::iter::once(&commit).chain(&trees).chain(blobs.values()));
        let stored = Stored { sequence: 0, bytes, stored_at: Timestamp::UNIX_EPOCH };
        replay(&name(), &[stored], &key().fingerprint())
    }
}

#[test]
fn the_right_key_does_not_excuse_a_wrong_entry() {
    type Mistake = fn(&mut Draft);
    let rows: Vec<(Mistake, Code, &str)> = vec![
        (|d| d.document.sequence = 1, Code::SequenceGap, "holds the entry `dev/1`"),
        (
            |d| d.document.pipeline = "x".parse().expect("because it is a name"),
            Code::EntryHashMismatch,
            "of another log",
        ),
        (|d| d.document.previous = Some(Digest::of(b"")), Code::EntryHashMismatch, "nothing stands before it"),
        (
            |d| d.document.agent = AgentKey::from_seed([8; 32]).fingerprint(),
            Code::EntrySignatureInvalid,
            "as its agent",
        ),
        (|d| d.document.not_after = Timestamp::MAX, Code::EntryHashMismatch, "may travel until"),
        (|d| d.document.action = Action::Sync, Code::EntryHashMismatch, "a genesis first"),
        (|d| d.document.genesis = None, Code::EntryHashMismatch, "a genesis first"),
        (|d| d.document.phase = Some(Phase::Opened), Code::EntryHashMismatch, "opens nothing"),
        (|d| d.document.files.clear(), Code::EntryHashMismatch, "other digests"),
        (|d| drop(d.files.insert("more".into(), vec![])), Code::EntryHashMismatch, "other digests"),
        (|d| drop(d.files.insert(".git/config".into(), vec![])), Code::EntryHashMismatch, "which no agent does"),
        (|d| d.left_out = Some("signers"), Code::EntryHashMismatch, "lacks the bytes of `signers`"),
        (|d| d.left_out = Some(DOCUMENT_PATH), Code::EntryHashMismatch, "files other than those"),
        (
            |d| d.json = Some(b"{\"version\":2}\n".to_vec()),
            Code::EntryHashMismatch,
            "is of version 2, this agent knows",
        ),
        (|d| d.json = Some(b"[]".to_vec()), Code::EntryHashMismatch, "`entry.json` cannot be read"),
        (
            |d| d.json = Some(format!(" {}", d.document.to_json()).into()),
            Code::EntryHashMismatch,
            "not in its canonical form",
        ),
        (
            |d| d.json = Some(d.document.to_json().replacen('{', "{\"aaa\":1,", 1).into()),
            Code::EntryHashMismatch,
            "unknown field `aaa`",
        ),
        (
            |d| d.tip = Some("1".repeat(40).parse().expect("because it is an id")),
            Code::EntryHashMismatch,
            "its commit does not follow",
        ),
        (|d| d.headers = |text| text.replace("lockmaster@", "mallory@"), Code::EntryHashMismatch, "does not follow"),
        (|d| d.headers = |text| format!("{text}encoding latin1\n"), Code::EntryHashMismatch, "does not follow"),
        (|d| d.trees = |trees| [trees.clone(), trees].concat(), Code::EntryHashMismatch, "files other than those"),
        (|d| d.trees = |trees| vec![unsorted(&trees[0])], Code::EntryHashMismatch, "files other than those"),
    ];
    assert!(draft().replay().is_ok(), "without a mistake the entry is good");
    for (row, (mistake, code, words)) in rows.into_iter().enumerate() {
        let mut draft = draft();
        mistake(&mut draft);
        let violation = draft.replay().expect_err(&format!("row {row}: {words}"));
        assert_eq!(violation.reason.code, code, "row {row}: {violation}");
        assert!(violation.to_string().contains(words), "row {row}: {violation}");
    }
}

/// The same tree with its two rows exchanged.
fn unsorted(tree: &GitObject) -> GitObject {
    let end = tree.body.iter().position(|byte| *byte == 0).expect("because a row has a name") + 21;
    GitObject::new(ObjectKind::Tree, [&tree.body[end..], &tree.body[..end]].concat())
}
