//! Which inputs belong to an environment alone, and how the others are compared with its upstream's (DESIGN §6, Proof).

use std::collections::{BTreeMap, BTreeSet};

use crate::deploylog::{InputKey, InputKind, Inputs};
use crate::name::{Digest, RepoPath};

/// Inputs by what they are called.
pub(super) type Shared = BTreeMap<InputKey, Digest>;

/// Where an environment reads, and what of it is its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The paths that it renders.
    pub paths: Vec<RepoPath>,
    /// What the configuration lists as its own; empty: what lies under `paths` and under no path of another environment.
    pub own: Vec<RepoPath>,
    /// The paths of all other environments.
    pub others: Vec<RepoPath>,
}

impl Layout {
    /// Whether an input belongs to this environment alone.
    pub(super) fn is_own(&self, path: &RepoPath) -> bool {
        let under = |paths: &[RepoPath]| paths.iter().any(|directory| path.is_within(directory));
        if self.own.is_empty() { under(&self.paths) && !under(&self.others) } else { under(&self.own) }
    }

    /// The own inputs of a release.
    pub(super) fn own_inputs(&self, inputs: &Inputs) -> Shared {
        let own = inputs.iter().filter(|(_, path, _)| self.is_own(path));
        own.map(|(kind, path, digest)| ((kind, path.clone()), digest)).collect()
    }

    /// The shared inputs of a release.
    pub(super) fn shared_inputs(&self, inputs: &Inputs) -> Shared {
        let shared = inputs.iter().filter(|(_, path, _)| !self.is_own(path));
        shared.map(|(kind, path, digest)| ((kind, path.clone()), digest)).collect()
    }
}

/// An environment and its upstream, side by side.
pub(super) struct Pair<'l> {
    pub(super) ours: &'l Layout,
    pub(super) theirs: &'l Layout,
    /// Our path, and theirs in its place: those that both render are the same for both.
    folders: Vec<(&'l RepoPath, &'l RepoPath)>,
}

impl<'l> Pair<'l> {
    pub(super) fn new(ours: &'l Layout, theirs: &'l Layout) -> Self {
        let mine = ours.paths.iter().filter(|path| !theirs.paths.contains(path));
        let yours = theirs.paths.iter().filter(|path| !ours.paths.contains(path));
        Pair { ours, theirs, folders: mine.zip(yours).collect() }
    }

    /// What upstream calls this input of ours: what lies under the path of both is compared by the path relative to it.
    pub(super) fn to_theirs(&self, path: &RepoPath) -> RepoPath {
        moved(path, self.folders.iter().copied())
    }

    /// What we call this input of theirs.
    pub(super) fn to_ours(&self, path: &RepoPath) -> RepoPath {
        moved(path, self.folders.iter().map(|(ours, theirs)| (*theirs, *ours)))
    }

    /// What of a release of ours is compared, under upstream's names.
    pub(super) fn compared(&self, inputs: &Inputs) -> Shared {
        let shared = self.ours.shared_inputs(inputs);
        shared.into_iter().map(|((kind, path), digest)| ((kind, self.to_theirs(&path)), digest)).collect()
    }

    /// What of a release of upstream must be in ours: what is own to neither.
    pub(super) fn demanded(&self, inputs: &Inputs) -> Shared {
        let ours = |path: &RepoPath| self.ours.is_own(path) || self.ours.is_own(&self.to_ours(path));
        let demanded = inputs.iter().filter(|(_, path, _)| !self.theirs.is_own(path) && !ours(path));
        demanded.map(|(kind, path, digest)| ((kind, path.clone()), digest)).collect()
    }

    /// The inputs in which ours differ from a release of upstream: those that it lacks or has otherwise, and those of it
    /// that ours lack.
    pub(super) fn differences(&self, ours: &Shared, theirs: &Inputs) -> BTreeSet<InputKey> {
        let all: Shared = theirs.iter().map(|(kind, path, digest)| ((kind, path.clone()), digest)).collect();
        let changed = ours.iter().filter(|(key, digest)| all.get(*key) != Some(*digest)).map(|(key, _)| key.clone());
        let lacking = self.demanded(theirs).into_keys().filter(|key| !ours.contains_key(key));
        changed.chain(lacking).collect()
    }
}

fn moved<'f>(path: &RepoPath, folders: impl Iterator<Item = (&'f RepoPath, &'f RepoPath)>) -> RepoPath {
    for (from, to) in folders {
        if path.is_within(from) {
            let rest = path.as_str()[from.as_str().len()..].trim_start_matches('/');
            if let Ok(there) = to.join(rest) {
                return there;
            }
        }
    }
    path.clone()
}

/// What a promotion moves: the files that an environment takes from a release of its upstream, by their path there and
/// here; and those of its own tip that the release lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moves {
    /// Their path, our path.
    pub take: Vec<(RepoPath, RepoPath)>,
    /// Our path.
    pub drop: Vec<RepoPath>,
}

/// The files by which the shared inputs of an environment's tip become those of a release of its upstream.
#[must_use]
pub fn moves(ours: &Layout, theirs: &Layout, tip: &Inputs, release: &Inputs) -> Moves {
    let pair = Pair::new(ours, theirs);
    let (mine, demanded) = (pair.compared(tip), pair.demanded(release));
    let files = |(kind, _): &&InputKey| *kind == InputKind::File;
    let changed = demanded.iter().filter(|(key, digest)| mine.get(*key) != Some(*digest)).map(|(key, _)| key);
    let extra = mine.keys().filter(|key| !demanded.contains_key(*key));
    Moves {
        take: changed.filter(files).map(|(_, path)| (path.clone(), pair.to_ours(path))).collect(),
        drop: extra.filter(files).map(|(_, path)| pair.to_ours(path)).collect(),
    }
}
