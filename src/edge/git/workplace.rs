//! The clone that a person works in, with that person's own configuration of Git: for `init` only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use git2::{BranchType, Config, ErrorCode, Oid, Repository, RepositoryOpenFlags, Sort};

use crate::name::{CommitId, RefName};
use crate::revision::Fetched;

use super::commit_id;
use super::error::GitError;
use super::graph::{Graph, gather};
use super::mirror::{Limits, parse};

/// A clone, opened as `git` opens it: with the configuration of the machine and of its user.
///
/// Only where [`super::set_timeouts`] was not called: it takes that configuration away.
pub struct Workplace {
    repository: Repository,
    root: PathBuf,
}

/// Branches by their short name, and the commit each names.
pub type Branches = BTreeMap<String, CommitId>;

/// How this person signs (git-config, `gpg.format`, `user.signingkey`, `gpg.ssh.defaultKeyCommand`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habits {
    /// `gpg.format`, in lower case.
    pub format: Option<String>,
    /// `user.signingkey` as it is written.
    pub key: Option<String>,
    /// The file that it names, if it is one: `~` is a home, and a relative path begins at the clone's root.
    pub key_file: Option<PathBuf>,
    /// Whether a program would be asked for the key.
    pub asks_program: bool,
    /// `user.email`.
    pub email: Option<String>,
    /// Whether every commit is signed (`commit.gpgsign`).
    pub signs_commits: bool,
}

impl Workplace {
    /// Opens the clone around a directory.
    ///
    /// # Errors
    /// [`GitError::Folder`] if there is none, or it has no working tree.
    pub fn open(directory: &Path) -> Result<Workplace, GitError> {
        let none: [&Path; 0] = [];
        let repository = Repository::open_ext(directory, RepositoryOpenFlags::FROM_ENV, none)
            .map_err(|error| GitError::folder(directory, error.message()))?;
        let root = repository.workdir().ok_or_else(|| GitError::folder(directory, "has no working tree"))?.to_owned();
        // `/srv/clone/` and `/srv/clone` are one folder, and the second is how people write it.
        let root = root.components().collect();
        Ok(Workplace { repository, root })
    }

    /// The top of the working tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether its history ends where it was cut.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.repository.is_shallow()
    }

    /// The branch that is checked out; `None` where a commit is.
    #[must_use]
    pub fn current_branch(&self) -> Option<String> {
        let head = self.repository.find_reference("HEAD").ok()?;
        head.symbolic_target().ok()??.strip_prefix("refs/heads/").map(str::to_owned)
    }

    /// The url that remote `origin` is fetched from, `insteadOf` followed.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let origin = self.repository.find_remote("origin").ok()?;
        origin.url().ok().map(str::to_owned)
    }

    /// The branches of the clone, and those of `origin` as they were last fetched.
    ///
    /// # Errors
    /// [`GitError::Folder`].
    pub fn branches(&self) -> Result<(Branches, Branches), GitError> {
        let wrong = |error: git2::Error| GitError::folder(&self.root, error.message());
        let (mut local, mut fetched) = (Branches::new(), Branches::new());
        for branch in self.repository.branches(None).map_err(wrong)? {
            let (branch, kind) = branch.map_err(wrong)?;
            let Ok(Some(name)) = branch.name() else { continue };
            let Ok(commit) = branch.get().peel_to_commit() else { continue };
            match (kind, name.strip_prefix("origin/")) {
                (BranchType::Local, _) => local.insert(name.to_owned(), commit_id(commit.id())),
                (BranchType::Remote, Some("HEAD") | None) => None,
                (BranchType::Remote, Some(name)) => fetched.insert(name.to_owned(), commit_id(commit.id())),
            };
        }
        Ok((local, fetched))
    }

    /// How this person signs.
    ///
    /// # Errors
    /// [`GitError::Folder`]: the configuration cannot be read.
    pub fn habits(&self) -> Result<Habits, GitError> {
        let config = self.repository.config().and_then(|mut config| config.snapshot());
        let config = config.map_err(|error| GitError::folder(&self.root, error.message()))?;
        let key = self.text(&config, "user.signingkey")?.filter(|key| !key.is_empty());
        let literal = key.as_deref().is_some_and(|key| key.starts_with("key::") || key.starts_with("ssh-"));
        let key_file = match &key {
            Some(_) if !literal => config.get_path("user.signingkey").ok().map(|path| self.root.join(path)),
            _ => None,
        };
        Ok(Habits {
            format: self.text(&config, "gpg.format")?.map(|format| format.to_lowercase()),
            key,
            key_file,
            asks_program: self.text(&config, "gpg.ssh.defaultKeyCommand")?.is_some(),
            email: self.text(&config, "user.email")?.filter(|email| !email.is_empty()),
            signs_commits: config.get_bool("commit.gpgsign").unwrap_or(false),
        })
    }

    fn text(&self, config: &Config, name: &str) -> Result<Option<String>, GitError> {
        match config.get_string(name) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(GitError::folder(&self.root, error.message())),
        }
    }

    /// What is known about a branch nothing of which was accepted yet; `None` where it brings more commits than `most`.
    ///
    /// # Errors
    /// As [`Mirror::facts`](super::Mirror::facts).
    pub fn history(
        &self,
        branch: &RefName,
        tip: &CommitId,
        introductions: &BTreeSet<CommitId>,
        most: usize,
    ) -> Result<Option<Fetched>, GitError> {
        let tip_id = parse(tip)?;
        let known = introductions.iter().map(parse).collect::<Result<Vec<Oid>, _>>()?;
        if self.more_than(most, tip_id, &known).unwrap_or(false) {
            return Ok(None);
        }
        let odb = self.repository.odb().map_err(|error| GitError::from_object("clone", &error))?;
        let facts = gather(&mut Graph::new(&odb), &Limits::default(), branch, tip_id, None, &known)?;
        let outside_introduction = !known.is_empty() && facts.outside_introduction;
        Ok(Some(Fetched { outside_introduction, ..facts }))
    }

    /// Whether more commits than this are reachable from the tip, and from none of the known ones.
    fn more_than(&self, most: usize, tip: Oid, known: &[Oid]) -> Result<bool, git2::Error> {
        let mut walk = self.repository.revwalk()?;
        walk.set_sorting(Sort::NONE)?;
        walk.push(tip)?;
        known.iter().try_for_each(|id| walk.hide(*id))?;
        Ok(walk.take(most + 1).count() > most)
    }
}
