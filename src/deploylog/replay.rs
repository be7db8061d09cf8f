//! Replaying: stored entries become a verified log, or a violation.
//!
//! Everything an entry says is compared with what its chain, its tree and its own bytes allow; nothing is repaired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::document::{DOCUMENT_PATH, Document, not_after};
use super::entry::{Action, Entry, Phase, Proposal, Rollback};
use super::git_object::{GitObject, ObjectKind, read_commit, read_trees, write_trees};
use super::packing::unpack;
use super::seal::{EVIDENCE, headers, may_be_attached, starts_right};
use super::units::{UNITS, inputs_path};
use super::{Attached, Log, LogName, StandingRelease, Stored, Violation};
use crate::name::{Code, CommitId, Digest, Fingerprint, ObjectId, Reason, UnitName};
use crate::signature::{GIT_NAMESPACE, verify_ssh};

/// Reads a log from its stored entries and verifies all of it: sequence, chain, hashes, signatures by the one key. The
/// entries stand in the order of their sequence, from 0; none at all is an empty log.
///
/// # Errors
/// The first violation.
pub fn replay(name: &LogName, stored: &[Stored], key: &Fingerprint) -> Result<Log, Violation> {
    let mut replay = Replay::new(name.clone(), key.clone());
    for entry in stored {
        replay.add(entry)?;
    }
    Ok(replay.log)
}

/// A log that is read entry by entry.
#[derive(Debug, Clone)]
pub struct Replay {
    name: LogName,
    key: Fingerprint,
    log: Log,
    /// The log as each unit with a name reads it.
    units: BTreeMap<UnitName, Log>,
    /// The entries that are about the environment: every unit reads them.
    common: Vec<Arc<Entry>>,
    /// Every attached blob of the chain so far.
    known: BTreeMap<ObjectId, Digest>,
}

/// An entry that fits its place, with all files of its tree.
struct Opened {
    entry: Entry,
    attached: BTreeMap<String, Attached>,
}

impl Replay {
    /// A log of which nothing is read yet.
    #[must_use]
    pub fn new(name: LogName, key: Fingerprint) -> Self {
        Replay { name, key, log: Log::default(), units: BTreeMap::new(), common: Vec::new(), known: BTreeMap::new() }
    }

    /// The log so far, every entry as it was written.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The units with a name that the log is about.
    pub fn units(&self) -> impl Iterator<Item = &UnitName> {
        self.units.keys()
    }

    /// The log so far, as a unit reads it that it is not about.
    #[must_use]
    pub fn common(&self) -> Log {
        let (accepted, accepted_before) = (self.log.accepted.clone(), self.log.accepted_before.clone());
        let (entries, tip) = (self.common.clone(), self.log.tip.clone());
        Log { entries, tip, accepted, accepted_before, ..Log::default() }
    }

    /// The log so far, as one unit reads it.
    #[must_use]
    pub fn of_unit(&self, unit: &UnitName) -> Log {
        if unit.is_whole() {
            return self.log.clone();
        }
        let Some(log) = self.units.get(unit).cloned() else { return self.common() };
        let (accepted, accepted_before) = (self.log.accepted.clone(), self.log.accepted_before.clone());
        Log { tip: self.log.tip.clone(), accepted, accepted_before, ..log }
    }

    /// Verifies the next entry and takes it in.
    ///
    /// # Errors
    /// The violation; then nothing was taken in.
    pub fn add(&mut self, entry: &Stored) -> Result<(), Violation> {
        let place = self.log.entries.last().map_or(0, |last| last.sequence + 1);
        if entry.sequence != place {
            let other = format!("`{}/{}`", self.name.environment, entry.sequence);
            let what = format!("is missing or out of order: {other} stands in its place");
            return Err(self.violation(Code::SequenceGap, place, what));
        }
        let opened = self.open(entry)?;
        self.fold(opened);
        Ok(())
    }

    /// Takes in the next entry. A lapsed one keeps its place in the chain and changes nothing else.
    fn fold(&mut self, opened: Opened) {
        let Opened { entry, mut attached } = opened;
        for (unit, body) in entry.body.by_unit() {
            let entry = Arc::new(Entry { body, ..entry.without_body() });
            let nothing = || Log { entries: self.common.clone(), ..Log::default() };
            self.units.entry(unit.clone()).or_insert_with(nothing).fold(entry, &attached);
        }
        let entry = Arc::new(entry);
        if entry.body.units.is_empty() {
            self.common.push(Arc::clone(&entry));
            self.units.values_mut().for_each(|log| log.entries.push(Arc::clone(&entry)));
        }
        let log = &mut self.log;
        log.tip = Some(entry.id.clone());
        if !entry.lapsed {
            log.accept(&entry);
            if entry.body.units.iter().all(UnitName::is_whole) {
                log.fold(Arc::clone(&entry), &attached);
            } else {
                log.entries.push(Arc::clone(&entry));
            }
            attached.retain(|path, _| !path.starts_with(EVIDENCE) && !path.starts_with(UNITS));
            log.attached = attached;
        } else {
            log.entries.push(entry);
        }
    }

    /// Verifies one entry against the log so far.
    fn open(&mut self, stored: &Stored) -> Result<Opened, Violation> {
        let damaged = |what: String| self.violation(Code::EntryHashMismatch, stored.sequence, what);
        let objects = unpack(&stored.bytes).map_err(|e| damaged(format!("cannot be read: {e}")))?;
        let commit = &objects[0];
        let (payload, signature) =
            read_commit(&commit.body).ok_or_else(|| damaged("is no signed commit of a deployment log".to_owned()))?;
        self.check_signature(stored.sequence, &payload, &signature)?;

        let tree = Tree::read(&payload, &objects[1..])
            .ok_or_else(|| damaged("names files other than those that came with it".to_owned()))?;
        let document = Document::read(tree.document).map_err(&damaged)?;
        self.check_place(stored.sequence, &document)?;
        if !payload.starts_with(&format!("{}\n", headers(&document, &tree.root, self.log.tip.as_ref()))) {
            return Err(damaged(self.unlike_predecessor("its commit does not follow")));
        }
        let attached = self.check_files(&tree, &document).map_err(damaged)?;
        self.known.extend(attached.values().map(|file| (file.blob.clone(), file.digest)));
        Ok(Opened { entry: read_entry(stored, commit, &tree, document), attached })
    }

    /// One key signs a log, over exactly the commit's payload.
    fn check_signature(&self, sequence: u64, payload: &str, signature: &str) -> Result<(), Violation> {
        let wrong = |what: String| self.violation(Code::EntrySignatureInvalid, sequence, what);
        let key = verify_ssh(signature.as_bytes(), GIT_NAMESPACE, payload.as_bytes())
            .map_err(|e| wrong(format!("carries no good signature: {e}")))?;
        if key == self.key { Ok(()) } else { Err(wrong(format!("is signed by {key}, this log's key is {}", self.key))) }
    }

    /// The document is of this log, at this place, behind this predecessor.
    fn check_place(&self, sequence: u64, document: &Document) -> Result<(), Violation> {
        let mismatch = |what: String| Err(self.violation(Code::EntryHashMismatch, sequence, what));
        if (&document.pipeline, &document.environment) != (&self.name.pipeline, &self.name.environment) {
            return mismatch(format!("is an entry of another log, `{}/{}`", document.pipeline, document.environment));
        }
        if document.sequence != sequence {
            let what = format!("holds the entry `{}/{}`", document.environment, document.sequence);
            return Err(self.violation(Code::SequenceGap, sequence, what));
        }
        if document.previous != self.log.entries.last().map(|entry| entry.hash) {
            let named = document.previous.map_or("no entry".to_owned(), |hash| hash.to_string());
            return mismatch(self.unlike_predecessor(&format!("names {named} as its predecessor")));
        }
        if document.agent != self.key {
            let what = format!("names {} as its agent, not the key that signed it", document.agent);
            return Err(self.violation(Code::EntrySignatureInvalid, sequence, what));
        }
        if document.not_after != not_after(document.time) {
            return mismatch(format!("may travel until {}, sealed at {}", document.not_after, document.time));
        }
        if !starts_right(document.action, document.genesis.is_some(), sequence) {
            return mismatch("is not what this place of a log needs: a genesis first, and only there".to_owned());
        }
        let named = |unit: &UnitName| document.parts.get(unit).is_some_and(|part| part.release.is_some());
        let released = document.release.is_some() || document.units.iter().all(named);
        let opens = document.commit.is_some() && released && !document.units.is_empty();
        if document.phase == Some(Phase::Opened) && !opens {
            return mismatch("opens nothing: it names no commit or no release".to_owned());
        }
        let units: BTreeSet<&UnitName> = document.units.iter().collect();
        let whole = units.iter().any(|unit| unit.is_whole());
        let alone = units.len() == document.units.len() && (!whole || units.len() == 1);
        if !alone || !document.parts.keys().all(|unit| units.contains(unit) && !unit.is_whole()) {
            return mismatch("is about a unit twice, or says something of one that it is not about".to_owned());
        }
        Ok(())
    }

    fn unlike_predecessor(&self, what: &str) -> String {
        match self.log.entries.last() {
            Some(entry) => format!("{what}, `{}/{}` is {}", self.name.environment, entry.sequence, entry.hash),
            None => format!("{what}, and nothing stands before it"),
        }
    }

    /// Every file of the tree came with this entry or an earlier one, and has the digest that the document gives.
    fn check_files(&self, tree: &Tree<'_>, document: &Document) -> Result<BTreeMap<String, Attached>, String> {
        let mut attached = BTreeMap::new();
        for (path, blob) in &tree.files {
            let fresh = tree.blobs.get(blob).map(|bytes| Digest::of(bytes));
            let digest = fresh
                .or_else(|| self.known.get(blob).copied())
                .ok_or_else(|| format!("lacks the bytes of `{path}`, blob {blob}"))?;
            if !may_be_attached(path) {
                return Err(format!("attaches `{path}`, which no agent does"));
            }
            attached.insert(path.clone(), Attached { blob: blob.clone(), digest });
        }
        let digests: BTreeMap<String, Digest> =
            attached.iter().map(|(path, file): (&String, &Attached)| (path.clone(), file.digest)).collect();
        if digests == document.files { Ok(attached) } else { Err("names other digests of its files".to_owned()) }
    }

    fn violation(&self, code: Code, sequence: u64, what: String) -> Violation {
        Violation { reason: Reason::new(code, format!("`{}/{sequence}` {what}", self.name.environment)) }
    }
}

/// The tree of an entry, of which every object is used and none is there twice.
struct Tree<'a> {
    root: ObjectId,
    /// The bytes of `entry.json`.
    document: &'a [u8],
    /// All files but `entry.json`.
    files: BTreeMap<String, ObjectId>,
    /// The blobs that came with the entry.
    blobs: BTreeMap<&'a ObjectId, &'a [u8]>,
}

impl<'a> Tree<'a> {
    fn read(payload: &str, objects: &'a [GitObject]) -> Option<Self> {
        let root: ObjectId = payload.strip_prefix("tree ")?.split_once('\n')?.0.parse().ok()?;
        let of_kind =
            |kind| objects.iter().filter(move |object| object.kind == kind).map(|o| (&o.id, o.body.as_slice()));
        let trees: BTreeMap<&ObjectId, &[u8]> = of_kind(ObjectKind::Tree).collect();
        let blobs: BTreeMap<&ObjectId, &[u8]> = of_kind(ObjectKind::Blob).collect();
        let mut files = read_trees(&root, &|id| trees.get(id).copied())?;

        let borrowed = files.iter().map(|(path, id)| (path.as_str(), id)).collect();
        let canonical: BTreeSet<ObjectId> = write_trees(&borrowed).into_iter().map(|tree| tree.id).collect();
        let named: BTreeSet<&ObjectId> = files.values().collect();
        let exact = canonical.contains(&root)
            && canonical.iter().eq(trees.keys().copied())
            && blobs.keys().all(|id| named.contains(id))
            && trees.len() + blobs.len() == objects.len();
        let document = blobs.get(&files.remove(DOCUMENT_PATH)?)?;
        exact.then_some(Tree { root, document, files, blobs })
    }
}

fn read_entry(stored: &Stored, commit: &GitObject, tree: &Tree<'_>, document: Document) -> Entry {
    let fresh = tree.files.iter().filter_map(|(path, blob)| Some((path.clone(), tree.blobs.get(blob)?.to_vec())));
    let files = fresh.collect();
    Entry {
        sequence: stored.sequence,
        id: CommitId(commit.id.clone()),
        hash: Digest::of(tree.document),
        json: String::from_utf8_lossy(tree.document).into(),
        time: document.time,
        lapsed: stored.stored_at > document.not_after,
        body: document.into_proposal(files),
    }
}

impl Entry {
    fn without_body(&self) -> Entry {
        let (id, hash, json) = (self.id.clone(), self.hash, Arc::clone(&self.json));
        let body = Proposal::new(self.body.action, None, None);
        Entry { sequence: self.sequence, id, hash, json, time: self.time, lapsed: self.lapsed, body }
    }
}

impl Log {
    /// Takes in the next entry of a unit; `attached` are all files of its tree.
    fn fold(&mut self, entry: Arc<Entry>, attached: &BTreeMap<String, Attached>) {
        if !entry.lapsed {
            match (entry.body.phase, entry.body.action) {
                (Some(Phase::Opened), _) => self.fold_opening(&entry, attached),
                (Some(phase), _) => self.fold_outcome(&entry, phase),
                (None, Action::Refuse | Action::Wait) => self.fold_refusal(&entry.body),
                (None, _) => {}
            }
        }
        self.entries.push(entry);
    }

    /// The accepted head moves here, and nowhere else (DESIGN.md, section 3, step 9).
    fn accept(&mut self, entry: &Entry) {
        let rollback =
            entry.body.rollback.as_ref().or_else(|| entry.body.parts.values().find_map(|part| part.rollback.as_ref()));
        if entry.body.phase != Some(Phase::Opened) || rollback.is_some_and(Rollback::leaves_head) {
            return;
        }
        let Some(commit) = &entry.body.commit else { return };
        let before = self.accepted.as_ref().map(|accepted| &accepted.id);
        if before != Some(&commit.id) {
            self.accepted_before = before.cloned();
        }
        self.accepted = Some(Arc::new(commit.clone()));
    }

    /// The standing release of a unit moves here, and nowhere else (DESIGN.md, section 3, step 9).
    fn fold_opening(&mut self, entry: &Entry, attached: &BTreeMap<String, Attached>) {
        let (Some(commit), Some(release)) = (&entry.body.commit, entry.body.release) else { return };
        if let Some(replaced) = self.standing.take() {
            let closed = replaced.outcome.is_some_and(|(phase, _)| is_final(phase));
            if !closed && entry.body.of != Some(replaced.sequence) {
                self.unclosed.push(replaced.sequence);
            }
        }
        let inputs = entry.body.units.first().map(inputs_path).and_then(|path| attached.get(&path));
        self.standing = Some(StandingRelease {
            sequence: entry.sequence,
            release,
            commit: commit.clone(),
            // Without the file, no candidate's inputs are equal to it: an empty render never opens.
            inputs: inputs.map_or_else(|| Digest::of(b""), |file| file.digest),
            rollback: entry.body.rollback.clone(),
            opened_at: entry.time,
            outcome: None,
            reasons: Vec::new(),
        });
        self.last_refusal = None;
    }

    fn fold_outcome(&mut self, entry: &Entry, phase: Phase) {
        match &mut self.standing {
            Some(standing) if entry.body.of == Some(standing.sequence) => {
                standing.outcome = Some((phase, entry.time));
                standing.reasons.clone_from(&entry.body.reasons);
            }
            _ if is_final(phase) => self.unclosed.retain(|sequence| Some(*sequence) != entry.body.of),
            _ => {}
        }
    }

    fn fold_refusal(&mut self, body: &Proposal) {
        let codes = body.reasons.iter().map(|reason| reason.code).collect();
        self.last_refusal = body.commit.as_ref().map(|commit| (commit.id.clone(), codes));
    }
}

/// Whether a release ends with this outcome; `settled` is on the way to `proven`.
fn is_final(phase: Phase) -> bool {
    match phase {
        Phase::Opened | Phase::Settled => false,
        Phase::Proven | Phase::Failed | Phase::Superseded => true,
    }
}

#[cfg(test)]
mod tests;
