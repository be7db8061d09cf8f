//! Which commits answer for what stands at some paths, however old they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use git2::{Oid, Repository};

use crate::gate::Origin;
use crate::name::{CommitId, RepoPath};
use crate::revision::{FourWay, MergeEntry, MergeFacts, MergedPath, RawCommit};

use super::error::GitError;
use super::graph::Graph;
use super::mirror::{Mirror, parse};
use super::origin::{content, tree};
use super::{commit_id, merge, object_id};

/// What [`Mirror::brought`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brought {
    /// The commits that answer for it; none that is part of an introduction.
    pub commits: Vec<RawCommit>,
    /// Those of them with two parents, compared with them at the paths that each answers for.
    pub merges: BTreeMap<CommitId, MergeFacts>,
    /// By path, who brought what stands there, or took it away.
    pub origins: BTreeMap<RepoPath, Vec<Origin>>,
}

impl Mirror {
    /// Which commits answer for what stands at these paths, or does not: those that brought it or took it away, and every
    /// merge on the way whose sides differ there, because it chose one of them. Nobody is asked who brought what stands
    /// in an introduction.
    ///
    /// From whatever older commit one looks that has something else at a path, each way from there to the tip passes one
    /// of them.
    ///
    /// # Errors
    /// [`GitError::Corrupt`], [`GitError::IncompleteHistory`], [`GitError::RefNotFound`].
    pub fn brought(&self, tip: &CommitId, paths: &[RepoPath], introductions: &[CommitId]) -> Result<Brought, GitError> {
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        let graph = Graph::new(&odb);
        let known: Vec<Oid> = introductions.iter().map(parse).collect::<Result<_, _>>()?;
        let known = known.into_iter().filter(|id| graph.has(*id)).collect();
        let mut trace = Trace { repository: &repository, graph, paths, known, found: BTreeMap::new() };
        let tip = parse(tip)?;
        self.suspect(trace.walk(tip).and_then(|()| trace.told(self.limits.merge_bytes)))
    }

    /// Those of these paths at which two commits have the same.
    ///
    /// # Errors
    /// [`GitError::Corrupt`], [`GitError::RefNotFound`].
    pub fn same_at(&self, one: &CommitId, other: &CommitId, paths: &[RepoPath]) -> Result<Vec<RepoPath>, GitError> {
        let repository = self.repository()?;
        let (one, other) = (tree(&repository, parse(one)?)?, tree(&repository, parse(other)?)?);
        let mut same = Vec::new();
        for path in paths {
            if content(&one, path.as_str())? == content(&other, path.as_str())? {
                same.push(path.clone());
            }
        }
        Ok(same)
    }
}

/// A walk from the tip along the commits that have the same at a path.
struct Trace<'t> {
    repository: &'t Repository,
    graph: Graph<'t>,
    paths: &'t [RepoPath],
    /// The introductions.
    known: Vec<Oid>,
    /// The commits that answer for something: for which paths, by their places, and whether it brought what is there; else
    /// it chose a side.
    found: BTreeMap<Oid, Vec<(usize, bool)>>,
}

impl Trace<'_> {
    fn walk(&mut self, tip: Oid) -> Result<(), GitError> {
        let mut seen: HashMap<Oid, HashSet<usize>> = HashMap::new();
        let mut walk = vec![(tip, (0..self.paths.len()).collect::<Vec<_>>())];
        while let Some((id, places)) = walk.pop() {
            let parents = self.graph.commit(id)?.parents.clone();
            let mut count: BTreeMap<usize, usize> = places.iter().map(|place| (*place, 0)).collect();
            for parent in &parents {
                let mut same = self.same(id, *parent, &places)?;
                same.iter().for_each(|place| *count.entry(*place).or_default() += 1);
                let seen = seen.entry(*parent).or_default();
                same.retain(|place| seen.insert(*place));
                if !same.is_empty() {
                    walk.push((*parent, same));
                }
            }
            for (place, count) in count.into_iter().filter(|(_, count)| *count == 0 || *count < parents.len()) {
                self.found.entry(id).or_default().push((place, count == 0));
            }
        }
        Ok(())
    }

    /// At which of these places a commit has what its parent has. Where a directory is the same, so is all in it.
    fn same(&mut self, id: Oid, parent: Oid, places: &[usize]) -> Result<Vec<usize>, GitError> {
        if !self.graph.has(parent) {
            return Err(GitError::IncompleteHistory { commit: commit_id(id), parent: object_id(parent) });
        }
        let (ours, theirs) = (tree(self.repository, id)?, tree(self.repository, parent)?);
        if ours.id() == theirs.id() {
            return Ok(places.to_vec());
        }
        let is_same = |path: &str| Ok::<_, GitError>(content(&ours, path)? == content(&theirs, path)?);
        let mut directories: BTreeMap<RepoPath, bool> = BTreeMap::new();
        let mut same = Vec::new();
        for place in places {
            let path = &self.paths[*place];
            let directory = path.parent();
            let whole = match directories.get(&directory) {
                Some(whole) => *whole,
                None => {
                    let whole = !directory.as_str().is_empty() && is_same(directory.as_str())?;
                    directories.insert(directory, whole);
                    whole
                }
            };
            if whole || is_same(path.as_str())? {
                same.push(*place);
            }
        }
        Ok(same)
    }

    fn told(&mut self, merge_bytes: u64) -> Result<Brought, GitError> {
        let mut told = Brought::default();
        for (id, places) in std::mem::take(&mut self.found) {
            let introduced = self.is_introduced(id)?;
            for (place, _) in places.iter().filter(|(_, brought)| *brought) {
                let origin = if introduced { Origin::Introduced } else { Origin::Commit(commit_id(id)) };
                told.origins.entry(self.paths[*place].clone()).or_default().push(origin);
            }
            if introduced {
                continue;
            }
            told.commits.push(self.graph.raw(id)?);
            if let [first, second] = *self.graph.commit(id)?.parents {
                told.merges.insert(commit_id(id), self.compare((id, first, second), &places, merge_bytes)?);
            }
        }
        Ok(told)
    }

    /// What a merge made of its two sides at the paths that it answers for.
    fn compare(
        &mut self,
        (id, first, second): (Oid, Oid, Oid),
        places: &[(usize, bool)],
        merge_bytes: u64,
    ) -> Result<MergeFacts, GitError> {
        let base = match merge::base(&mut self.graph, (first, second), merge_bytes)? {
            Ok(base) => base,
            Err(facts) => return Ok(facts),
        };
        let sides = FourWay { base, first, second, merge: id };
        let mut unlike = Vec::new();
        for (place, _) in places {
            let path = self.paths[*place].as_str();
            let entry = |id: Oid| {
                let found = content(&tree(self.repository, id)?, path)?;
                let entry = |(id, mode): (Oid, i32)| MergeEntry { mode: mode.unsigned_abs(), id: object_id(id) };
                Ok::<_, GitError>(found.map(entry))
            };
            let entries = FourWay {
                base: entry(sides.base)?,
                first: entry(sides.first)?,
                second: entry(sides.second)?,
                merge: entry(sides.merge)?,
            };
            if !entries.is_plain() {
                unlike.push(MergedPath { path: path.as_bytes().to_vec(), entries });
            }
        }
        Ok(MergeFacts::Compared { base: commit_id(base), unlike, more: 0 })
    }

    fn is_introduced(&mut self, id: Oid) -> Result<bool, GitError> {
        for introduction in &self.known {
            if self.graph.reaches(*introduction, id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
