//! Sealing: a proposal becomes the next entry of a log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::document::{DOCUMENT_PATH, Document, Place};
use super::git_object::{GitObject, ObjectKind, write_commit, write_trees};
use super::packing::pack;
use super::{Attached, Log, LogName, Phase, Proposal, Sealed};
use crate::name::{CommitId, Digest, ObjectId, RepoPath};
use crate::signature::{AgentKey, GIT_NAMESPACE};

/// Below this directory lies what belongs to one entry alone; it is not carried on.
pub(super) const EVIDENCE: &str = "evidence/";

/// Seals a proposal as the next entry of `log`: canonical JSON, tree, commit, signature.
///
/// # Panics
/// Where the proposal could never be replayed, which is a bug of the proposer and must not reach the chain: an `opened`
/// without commit or release; a genesis that is not the first entry, or another first entry; an attached path that is
/// `entry.json`, no path inside a repository, or a directory of another.
#[must_use]
pub fn seal(name: &LogName, log: &Log, proposal: &Proposal, key: &AgentKey, now: Timestamp) -> Sealed {
    let sequence = log.entries.last().map_or(0, |entry| entry.sequence + 1);
    assert_replayable(proposal, sequence);
    let fresh: BTreeMap<&str, GitObject> = proposal
        .files
        .iter()
        .map(|(path, bytes)| (path.as_str(), GitObject::new(ObjectKind::Blob, bytes.clone())))
        .collect();
    let attached = attach(log, proposal, &fresh);

    let previous = log.entries.last().map(|entry| entry.hash);
    let place = Place { name, sequence, previous, agent: key.fingerprint() };
    let digests = attached.iter().map(|(path, file)| (path.clone(), file.digest)).collect();
    let document = Document::new(&place, proposal, now, digests);
    let json = GitObject::new(ObjectKind::Blob, document.to_json().into_bytes());

    let mut files: BTreeMap<&str, &ObjectId> =
        attached.iter().map(|(path, file)| (path.as_str(), &file.blob)).collect();
    files.insert(DOCUMENT_PATH, &json.id);
    let trees = write_trees(&files);
    let payload = format!("{}\n{}", headers(&document, &trees[0].id, log.tip.as_ref()), message(&document));
    let commit =
        GitObject::new(ObjectKind::Commit, write_commit(&payload, &key.sign(GIT_NAMESPACE, payload.as_bytes())));

    let mut blobs: BTreeMap<&ObjectId, &GitObject> = fresh.values().map(|blob| (&blob.id, blob)).collect();
    blobs.retain(|id, _| !log.attached.values().any(|file| file.blob == **id));
    let objects = std::iter::once(&commit).chain(&trees).chain(std::iter::once(&json)).chain(blobs.into_values());
    Sealed { sequence, bytes: pack(objects) }
}

/// The headers of an entry's commit as they are signed, each with its newline. The second parent is the deployed commit,
/// so that its objects stay reachable from the log: only for entries of a release, since a refused commit must not be
/// kept alive, and only where it can be a parent (a repository of SHA-256 ids cannot lend one to a SHA-1 log).
pub(super) fn headers(document: &Document, tree: &ObjectId, tip: Option<&CommitId>) -> String {
    let mut text = format!("tree {tree}\n");
    let deployed = document.phase.and(document.commit.as_ref()).map(|commit| &commit.id);
    for parent in tip.into_iter().chain(deployed.filter(|id| id.as_str().len() == tree.as_str().len())) {
        let _ = writeln!(text, "parent {parent}");
    }
    let person = format!("lockmaster <lockmaster@{}.{}>", document.pipeline, document.environment);
    let when = format!("{} +0000", document.time.as_second().max(0));
    let _ = write!(text, "author {person} {when}\ncommitter {person} {when}\n");
    text
}

/// What `git log` shows: one line, and the reasons below it.
fn message(document: &Document) -> String {
    let mut text = format!("{} {}/{}", word(document.action), document.environment, document.sequence);
    if let Some(phase) = document.phase {
        let _ = write!(text, " {}", word(phase));
    }
    if let Some(commit) = &document.commit {
        let subject: String = commit.subject.chars().take(SUBJECT_LIMIT).collect();
        let _ = write!(text, ": {} {}", commit.id.short(), one_line(&subject));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    let of_units = document.parts.iter().flat_map(|(unit, part)| part.reasons.iter().map(move |it| (Some(unit), it)));
    let reasons = document.reasons.iter().map(|reason| (None, reason)).chain(of_units);
    for (index, (unit, reason)) in reasons.take(REASONS_LIMIT).enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        let unit = unit.map_or(String::new(), |unit| format!("{unit}: "));
        let _ = writeln!(text, "{gap}{unit}{}: {}", reason.code, one_line(&reason.message));
    }
    text
}

/// How many reasons the message repeats; `entry.json` has all of them.
const REASONS_LIMIT: usize = 50;

/// How much of a subject the message repeats, in characters; `entry.json` has all of it.
const SUBJECT_LIMIT: usize = 100;

/// The same text on one line and without control characters, which a terminal would obey.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The kebab-case word that `entry.json` uses too.
fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).expect("because it is a plain word");
    value.as_str().expect("because it is a plain word").to_owned()
}

/// All files of the next entry's tree: what the log carries on, with the proposal's in front.
fn attach(log: &Log, proposal: &Proposal, fresh: &BTreeMap<&str, GitObject>) -> BTreeMap<String, Attached> {
    let mut attached = log.attached.clone();
    for (path, blob) in fresh {
        let file = Attached { blob: blob.id.clone(), digest: Digest::of(&proposal.files[*path]) };
        attached.insert((*path).to_owned(), file);
    }
    for path in attached.keys() {
        assert!(may_be_attached(path), "because the agent attaches no file at `{path}`");
        let ancestors = path.match_indices('/').map(|(end, _)| &path[..end]);
        for directory in ancestors {
            assert!(!attached.contains_key(directory), "because `{directory}` is a directory, for `{path}`");
        }
    }
    attached
}

/// Whether a file may lie here: a plain path that every Git and every file system takes (no part starts with a dot).
pub(super) fn may_be_attached(path: &str) -> bool {
    let plain = |part: &str| !part.starts_with('.') && !part.contains(['\\', ':', '~', '\n']);
    !path.is_empty() && path != DOCUMENT_PATH && path.parse::<RepoPath>().is_ok() && path.split('/').all(plain)
}

fn assert_replayable(proposal: &Proposal, sequence: u64) {
    let opens = proposal.phase == Some(Phase::Opened);
    let released = |unit| proposal.parts.get(unit).is_some_and(|part| part.release.is_some());
    let released = proposal.release.is_some() || proposal.units.iter().all(released);
    assert!(!opens || (proposal.commit.is_some() && released), "because a release has both");
    assert!(
        starts_right(proposal.action, proposal.genesis.is_some(), sequence),
        "because a log starts with its genesis"
    );
}

/// Whether an entry is a genesis exactly where a log starts.
pub(super) fn starts_right(action: super::Action, has_genesis: bool, sequence: u64) -> bool {
    let first = sequence == 0;
    (action == super::Action::Genesis) == first && has_genesis == first
}
