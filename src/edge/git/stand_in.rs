//! A repository for one call, in which a commit can be tagged that is nowhere at hand.
//!
//! A tag holds the id of its commit and nothing else of it, but `git tag` asks for the type of what it tags. It takes that
//! from the head of the object's file and does not read on, so that a file with this head stands in for the commit.

use std::io;
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions};

use crate::name::CommitId;

/// The head of a commit without content, `commit 0` and a NUL, as one stored block (RFC 1950, section 2.2; RFC 1951, section
/// 3.2.4).
const HEAD: [u8; 20] =
    [0x78, 0x01, 0x01, 9, 0, 0xf6, 0xff, b'c', b'o', b'm', b'm', b'i', b't', b' ', b'0', 0, 0x11, 0x22, 0x02, 0xda];

/// See the module. It goes with its owner.
#[derive(Debug)]
pub struct StandIn(tempfile::TempDir);

impl StandIn {
    /// Makes a bare repository in which these commits can be tagged.
    ///
    /// # Errors
    /// The system has no room for it.
    pub fn new(commits: &[&CommitId]) -> Result<StandIn, io::Error> {
        let folder = tempfile::tempdir()?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        Repository::init_opts(folder.path(), &options).map_err(io::Error::other)?;
        for commit in commits {
            let (folder, name) = place(folder.path(), commit);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(name), HEAD)?;
        }
        Ok(StandIn(folder))
    }

    /// Where it lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.0.path()
    }
}

fn place<'c>(repository: &Path, commit: &'c CommitId) -> (PathBuf, &'c str) {
    let (folder, name) = commit.as_str().split_at(2);
    (repository.join("objects").join(folder), name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::git::{GitCommand, Ground};

    #[test]
    fn a_commit_that_is_nowhere_can_be_tagged() {
        let commit: CommitId = "9f2c1e4a".repeat(5).parse().expect("because it is an id");
        let stand_in = StandIn::new(&[&commit]).expect("because there is room");
        let ground = Ground::Bare(stand_in.folder().to_owned());
        let who = ["-c", "user.name=Lena", "-c", "user.email=lena@example.com"];
        let words = ["tag", "--annotate", "-m", "why", "rollback/shop/prod/lena", commit.as_str()];
        GitCommand::new(&ground, who.into_iter().chain(words)).run().expect("because git asks for its type alone");
        let tag = GitCommand::new(&ground, ["cat-file", "tag", "rollback/shop/prod/lena"]).run();
        let tag = String::from_utf8(tag.expect("because it was made")).expect("because it is text");
        let begin =
            format!("object {commit}\ntype commit\ntag rollback/shop/prod/lena\ntagger Lena <lena@example.com> ");
        assert!(tag.starts_with(&begin), "{tag}");
    }
}
