//! Merges compared with their two sides, from raw tree objects.
//!
//! Only directories in which both sides changed something are read: where one side alone did, the ids of the directories
//! tell. So the work grows with what was merged, not with the size of the repository.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet};

use git2::{ObjectType, Oid};

use crate::name::CommitId;
use crate::revision::{FourWay, MergeEntry, MergeFacts, MergedPath};

use super::error::GitError;
use super::graph::Graph;
use super::tree::{DEPTH, RawEntries, judge_entry};
use super::{commit_id, object_id};

/// Paths that are told of one merge; the others are counted.
const TOLD: usize = 10;

/// Merge bases that are compared with each other. Real histories have one or two; a walk is paid for each pair.
const BASES: usize = 8;

/// What looking at a commit, or keeping a path, counts as, in bytes: about what either takes in memory.
const RECORD: u64 = 256;

const DIRECTORY: u32 = 0o040_000;

const FIRST: u8 = 1;
const SECOND: u8 = 2;
const BOTH: u8 = FIRST | SECOND;
/// Reached from a commit that both sides reach: no merge base.
const STALE: u8 = 4;

/// Compares each merge of two parents among these commits; reads at most so many bytes for all of them together.
///
/// # Errors
/// [`GitError::Corrupt`] on an object that cannot be read.
pub(super) fn merges(
    graph: &mut Graph<'_>,
    commits: &[Oid],
    limit: u64,
) -> Result<BTreeMap<CommitId, MergeFacts>, GitError> {
    let mut comparer = Comparer { graph, left: limit, unlike: Vec::new(), more: 0 };
    let mut merges = BTreeMap::new();
    for id in commits {
        let parents = comparer.graph.commit(*id)?.parents.clone();
        let [first, second] = parents.as_slice() else { continue };
        let facts = match comparer.merge(*id, *first, *second) {
            Ok(facts) => facts,
            Err(Stop::Limit) => MergeFacts::TooLarge(limit),
            Err(Stop::Unlike(what)) => MergeFacts::Unlike(what),
            Err(Stop::Failed(error)) => return Err(error),
        };
        merges.insert(commit_id(*id), facts);
    }
    Ok(merges)
}

/// The one merge base of two commits; else what is known instead. Looks at no more than so many bytes.
///
/// # Errors
/// [`GitError::Corrupt`] on an object that cannot be read.
pub(super) fn base(
    graph: &mut Graph<'_>,
    (first, second): (Oid, Oid),
    limit: u64,
) -> Result<Result<Oid, MergeFacts>, GitError> {
    let mut comparer = Comparer { graph, left: limit, unlike: Vec::new(), more: 0 };
    match comparer.bases(first, second) {
        Ok(bases) => match bases.as_slice() {
            [base] => Ok(Ok(*base)),
            _ => Ok(Err(MergeFacts::Bases(bases.into_iter().map(commit_id).collect()))),
        },
        Err(Stop::Limit) => Ok(Err(MergeFacts::TooLarge(limit))),
        Err(Stop::Unlike(what)) => Ok(Err(MergeFacts::Unlike(what))),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why a merge was not compared.
enum Stop {
    Limit,
    Unlike(String),
    Failed(GitError),
}

impl From<GitError> for Stop {
    /// What lies behind an accepted commit is never read but here: a hole there says nothing against the candidate.
    fn from(error: GitError) -> Self {
        match error {
            GitError::RefNotFound { name, found } => Stop::Unlike(format!("its history has a hole: `{name}` {found}")),
            error => Stop::Failed(error),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    mode: u32,
    id: Oid,
}

struct Comparer<'g, 'o> {
    graph: &'g mut Graph<'o>,
    /// Bytes that may still be read.
    left: u64,
    unlike: Vec<MergedPath>,
    more: u64,
}

impl Comparer<'_, '_> {
    fn merge(&mut self, merge: Oid, first: Oid, second: Oid) -> Result<MergeFacts, Stop> {
        let bases = self.bases(first, second)?;
        let [base] = bases.as_slice() else {
            return Ok(MergeFacts::Bases(bases.into_iter().map(commit_id).collect()));
        };
        let commits = FourWay { base: *base, first, second, merge };
        let tree = |id: Oid| self.graph.tree_id(id).map(Some);
        let FourWay { base, first, second, merge } = commits;
        let trees = FourWay { base: tree(base)?, first: tree(first)?, second: tree(second)?, merge: tree(merge)? };
        (self.unlike, self.more) = (Vec::new(), 0);
        self.directory(&trees, &mut Vec::new(), 0)?;
        let base = commit_id(commits.base);
        Ok(MergeFacts::Compared { base, unlike: std::mem::take(&mut self.unlike), more: self.more })
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Stop> {
        self.left = self.left.checked_sub(bytes).ok_or(Stop::Limit)?;
        Ok(())
    }

    /// The newest commits that both reach: those that no other of them reaches.
    ///
    /// Exact whatever committer times say, as Git's own walk (git commit-reach.c, `paint_down_to_common`): a merge base
    /// is reached through commits that only one side reaches, and all of these are walked.
    fn bases(&mut self, first: Oid, second: Oid) -> Result<Vec<Oid>, Stop> {
        let mut paint = Paint::default();
        for (id, mark) in [(first, FIRST), (second, SECOND)] {
            paint.add(id, mark, self.graph.commit(id)?.time);
        }
        let mut shared = Vec::new();
        while paint.fresh > 0 {
            let Some((id, mut mark)) = paint.next() else { break };
            self.spend(RECORD)?;
            if mark == BOTH {
                shared.push(id);
                mark |= STALE;
            }
            for parent in self.graph.commit(id)?.parents.clone() {
                paint.add(parent, mark, self.graph.commit(parent)?.time);
            }
        }
        shared.retain(|id| paint.marks[id] & STALE == 0);
        shared.sort_unstable();
        if shared.len() > BASES {
            return Ok(shared);
        }
        let mut bases = Vec::new();
        for id in &shared {
            if !self.any_reaches(&shared, *id)? {
                bases.push(*id);
            }
        }
        Ok(bases)
    }

    fn any_reaches(&mut self, commits: &[Oid], below: Oid) -> Result<bool, Stop> {
        for above in commits.iter().filter(|above| **above != below) {
            let (reaches, looked_at) = self.graph.reaches_by(*above, below)?;
            self.spend(RECORD * looked_at as u64)?;
            if reaches {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Compares what four trees have at one path, each `None` where it has no directory there.
    fn directory(&mut self, trees: &FourWay<Option<Oid>>, path: &mut Vec<u8>, depth: usize) -> Result<(), Stop> {
        if trees.is_plain() {
            return Ok(());
        }
        if depth > DEPTH {
            return Err(Stop::Unlike(format!("directories are nested deeper than {DEPTH}")));
        }
        let FourWay { base, first, second, merge } = trees;
        let bytes = FourWay {
            base: self.read(*base)?,
            first: self.read(*first)?,
            second: self.read(*second)?,
            merge: self.read(*merge)?,
        };
        let listed = FourWay {
            base: list(*base, &bytes.base)?,
            first: list(*first, &bytes.first)?,
            second: list(*second, &bytes.second)?,
            merge: list(*merge, &bytes.merge)?,
        };
        let FourWay { base, first, second, merge } = &listed;
        let names: BTreeSet<&[u8]> =
            [base, first, second, merge].into_iter().flat_map(|list| list.keys().copied()).collect();
        let parent = path.len();
        for name in names {
            let found = listed.map(|list| list.get(name).copied());
            if found.is_plain() {
                continue;
            }
            if parent > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            self.files(&found.map(|entry| entry.filter(|entry| entry.mode != DIRECTORY)), path)?;
            let directories = found.map(|entry| entry.filter(|entry| entry.mode == DIRECTORY).map(|entry| entry.id));
            self.directory(&directories, path, depth + 1)?;
            path.truncate(parent);
        }
        Ok(())
    }

    fn files(&mut self, found: &FourWay<Option<Entry>>, path: &[u8]) -> Result<(), Stop> {
        if found.is_plain() {
            return Ok(());
        }
        if self.unlike.len() == TOLD {
            self.more += 1;
            return Ok(());
        }
        self.spend(RECORD + path.len() as u64)?;
        let entries = found.map(|entry| entry.map(|Entry { mode, id }| MergeEntry { mode, id: object_id(id) }));
        self.unlike.push(MergedPath { path: path.to_vec(), entries });
        Ok(())
    }

    /// The bytes of a tree. Its size is asked first: a tree over the limit is never inflated.
    fn read(&mut self, id: Option<Oid>) -> Result<Vec<u8>, Stop> {
        let Some(id) = id else { return Ok(Vec::new()) };
        let wrong = |error: &git2::Error| Stop::Failed(GitError::from_object(&format!("tree `{id}`"), error));
        let odb = self.graph.odb();
        let (size, kind) = odb.read_header(id).map_err(|error| wrong(&error))?;
        if kind != ObjectType::Tree {
            return Err(Stop::Unlike(format!("`{id}` is a {kind} and not a tree")));
        }
        self.spend(size as u64)?;
        odb.read(id).map(|object| object.data().to_vec()).map_err(|error| wrong(&error))
    }
}

/// The entries of a tree by name. One that is malformed could be read in two ways.
fn list(id: Option<Oid>, bytes: &[u8]) -> Result<BTreeMap<&[u8], Entry>, Stop> {
    let malformed =
        |found: String| Stop::Unlike(format!("tree `{}`: {found}", id.map(|id| id.to_string()).unwrap_or_default()));
    let mut entries = BTreeMap::new();
    for entry in RawEntries(bytes) {
        let entry = entry.map_err(|found| malformed(found.to_owned()))?;
        judge_entry(&entry).map_err(malformed)?;
        let mode = entry.mode.iter().fold(0, |mode, digit| mode * 8 + u32::from(digit - b'0'));
        if entries.insert(entry.name, Entry { mode, id: entry.id }).is_some() {
            return Err(malformed(format!("`{}` stands twice", String::from_utf8_lossy(entry.name))));
        }
    }
    Ok(entries)
}

/// Which sides reach a commit, newest first.
#[derive(Default)]
struct Paint {
    marks: HashMap<Oid, u8>,
    queue: BinaryHeap<(i64, Oid)>,
    queued: HashSet<Oid>,
    /// How many queued commits are not stale.
    fresh: usize,
}

impl Paint {
    fn add(&mut self, id: Oid, mark: u8, time: i64) {
        let before = self.marks.get(&id).copied().unwrap_or(0);
        let after = before | mark;
        if after == before {
            return;
        }
        self.marks.insert(id, after);
        let was_fresh = self.queued.contains(&id) && before & STALE == 0;
        if self.queued.insert(id) {
            self.queue.push((time, id));
        }
        self.fresh -= usize::from(was_fresh);
        self.fresh += usize::from(after & STALE == 0);
    }

    fn next(&mut self) -> Option<(Oid, u8)> {
        let (_, id) = self.queue.pop()?;
        self.queued.remove(&id);
        let mark = self.marks[&id];
        self.fresh -= usize::from(mark & STALE == 0);
        Some((id, mark))
    }
}
