//! The inputs of a commit, closed from the objects of the mirror.

use std::collections::BTreeMap;

use crate::edge::git::{GitError, Mirror};
use crate::name::{Class, CommitId, Reason};
use crate::render::{self, Closing, Closure, Sources, Tree};

/// Closes the inputs of a commit; nothing is run.
pub(super) fn close(
    mirror: &Mirror,
    commit: &CommitId,
    sources: &Sources,
) -> Result<Result<Closure, Reason>, GitError> {
    match tree(mirror, commit)? {
        Ok(tree) => close_tree(mirror, &tree, sources),
        Err(reason) => Ok(Err(reason)),
    }
}

/// The tree of a commit, or what is wrong with it.
pub(super) fn tree(mirror: &Mirror, commit: &CommitId) -> Result<Result<Tree, Reason>, GitError> {
    match mirror.tree(commit) {
        Ok(tree) => Ok(Ok(tree)),
        Err(error) if error.reason().code.class() == Class::Refused => {
            Ok(Err(error.reason().at_commit(commit.clone())))
        }
        Err(error) => Err(error),
    }
}

/// Closes the inputs of a tree that is no commit's yet.
pub(super) fn close_tree(mirror: &Mirror, tree: &Tree, sources: &Sources) -> Result<Result<Closure, Reason>, GitError> {
    let mut contents = BTreeMap::new();
    loop {
        match render::close(tree, sources, &contents) {
            Ok(Closing::Needs(paths)) => match mirror.read(tree, &paths) {
                Ok(read) => contents.extend(read),
                Err(error) if error.reason().code.class() == Class::Refused => return Ok(Err(error.reason())),
                Err(error) => return Err(error),
            },
            Ok(Closing::Closed(closure)) => return Ok(Ok(closure)),
            Err(reason) => return Ok(Err(reason)),
        }
    }
}
