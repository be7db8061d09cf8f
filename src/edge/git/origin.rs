//! Which commit brought the content of a path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{ErrorCode, Oid, Repository, Tree};

use crate::gate::Origin;
use crate::name::{CommitId, RepoPath};
use crate::revision::Fetched;

use super::commit_id;
use super::error::GitError;
use super::mirror::{Mirror, parse};

/// How many commits are looked at to find who last changed a path.
const STEPS: usize = 2_000;

impl Mirror {
    /// Which of the new commits of a candidate brought what stands at these paths, or took away what does not.
    ///
    /// A commit brought the content if none of its new parents has it. Content that only an older commit has was brought
    /// by the commit that took it from there; in the history up to an introduction, nobody is asked who did.
    ///
    /// # Errors
    /// [`GitError::Corrupt`], [`GitError::RefNotFound`].
    pub fn origins(&self, fetched: &Fetched, paths: &[RepoPath]) -> Result<BTreeMap<RepoPath, Vec<Origin>>, GitError> {
        let repository = self.repository()?;
        let new: Vec<Oid> = fetched.new.iter().map(|raw| parse(&raw.id)).collect::<Result<_, _>>()?;
        let history = History { repository: &repository, new: new.into_iter().collect() };
        let first = fetched.accepted.is_none();
        let tip = parse(&fetched.tip)?;
        paths.iter().map(|path| Ok((path.clone(), history.origins(tip, path, first)?))).collect()
    }

    /// The newest commit of a history that changed what stands at a path; `None` if it is not among the newest ones.
    ///
    /// # Errors
    /// [`GitError::Corrupt`], [`GitError::RefNotFound`].
    pub fn last_change(&self, tip: &CommitId, path: &RepoPath) -> Result<Option<CommitId>, GitError> {
        let repository = self.repository()?;
        let history = History { repository: &repository, new: BTreeSet::new() };
        let mut at = parse(tip)?;
        for _ in 0..STEPS {
            let content = history.content(at, path)?;
            let mut same = None;
            for parent in history.parents(at)? {
                if history.content(parent, path)? == content {
                    same = Some(parent);
                    break;
                }
            }
            match same {
                Some(parent) => at = parent,
                None => return Ok(Some(commit_id(at))),
            }
        }
        Ok(None)
    }
}

struct History<'r> {
    repository: &'r Repository,
    new: BTreeSet<Oid>,
}

impl History<'_> {
    fn origins(&self, tip: Oid, path: &RepoPath, first: bool) -> Result<Vec<Origin>, GitError> {
        if !self.new.contains(&tip) {
            return Ok(vec![Origin::Introduced]);
        }
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([tip]);
        let mut walk = vec![tip];
        while let Some(commit) = walk.pop() {
            let content = self.content(commit, path)?;
            let (mut new, mut old) = (Vec::new(), false);
            for parent in self.parents(commit)? {
                if self.content(parent, path)? == content {
                    if self.new.contains(&parent) { new.push(parent) } else { old = true }
                }
            }
            if !new.is_empty() {
                walk.extend(new.into_iter().filter(|parent| seen.insert(*parent)));
            } else if old && first {
                found.push(Origin::Introduced);
            } else {
                found.push(Origin::Commit(commit_id(commit)));
            }
        }
        Ok(found)
    }

    fn parents(&self, commit: Oid) -> Result<Vec<Oid>, GitError> {
        let wrong = |error: git2::Error| GitError::from_object(&format!("commit `{commit}`"), &error);
        Ok(self.repository.find_commit(commit).map_err(wrong)?.parent_ids().collect())
    }

    fn content(&self, commit: Oid, path: &RepoPath) -> Result<Option<(Oid, i32)>, GitError> {
        content(&tree(self.repository, commit)?, path.as_str())
    }
}

/// The tree of a commit.
pub(super) fn tree(repository: &Repository, commit: Oid) -> Result<Tree<'_>, GitError> {
    let wrong = |error: git2::Error| GitError::from_object(&format!("commit `{commit}`"), &error);
    repository.find_commit(commit).and_then(|commit| commit.tree()).map_err(wrong)
}

/// The blob or directory at a path, with its mode: a file that becomes executable or a link is another one.
pub(super) fn content(tree: &Tree<'_>, path: &str) -> Result<Option<(Oid, i32)>, GitError> {
    match tree.get_path(Path::new(path)) {
        Ok(entry) => Ok(Some((entry.id(), entry.filemode()))),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(GitError::from_object(&format!("tree `{}`", tree.id()), &error)),
    }
}
