//! Commits that the agent or a verb makes: a promotion, or a revert. Their tree is put together from two commits by path,
//! never merged as text.

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, ObjectType, Oid, PushOptions, Repository, Signature};

use crate::name::{CommitId, ObjectId, RefName, RepoPath};

use super::connect::Door;
use super::error::GitError;
use super::forge::Sign;
use super::mirror::{Mirror, parse};
use super::{commit_id, object_id};

/// Which files a commit takes of another one, and which it takes away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Move {
    /// Files of the other commit, by their path there and the path that they get.
    pub take: Vec<(RepoPath, RepoPath)>,
    /// Files of the tip that go.
    pub drop: Vec<RepoPath>,
}

/// A commit to be made on top of a branch.
#[derive(Debug, Clone, Copy)]
pub struct Making<'m> {
    /// Its tree.
    pub tree: &'m ObjectId,
    /// Its parents: the tip of the branch first.
    pub parents: &'m [&'m CommitId],
    /// Who makes it: a principal, which is name and address in one.
    pub person: &'m str,
    /// The message.
    pub message: &'m str,
}

impl Mirror {
    /// Writes a tree: the tip's, with files of another commit in it.
    ///
    /// # Errors
    /// [`GitError::NotInTree`]; [`GitError::Corrupt`]; [`GitError::Folder`].
    pub fn composed_tree(&self, tip: &CommitId, other: &CommitId, files: &Move) -> Result<ObjectId, GitError> {
        let repository = self.repository()?;
        let tree = |commit: &CommitId| {
            let wrong = |error: git2::Error| GitError::from_object(&format!("commit `{commit}`"), &error);
            repository.find_commit(parse(commit)?).and_then(|commit| commit.tree()).map_err(wrong)
        };
        let (ours, theirs) = (tree(tip)?, tree(other)?);
        let mut update = TreeUpdateBuilder::new();
        for path in &files.drop {
            update.remove(path.as_str());
        }
        for (from, to) in &files.take {
            let missing = |_| GitError::NotInTree { path: from.to_string() };
            let entry = theirs.get_path(std::path::Path::new(from.as_str())).map_err(missing)?;
            update.upsert(to.as_str(), entry.id(), mode(entry.filemode()));
        }
        let wrong = |error: git2::Error| GitError::folder(self.folder(), error.message());
        update.create_updated(&repository, &ours).map(object_id).map_err(wrong)
    }

    /// Makes a signed commit. No branch is moved.
    ///
    /// # Errors
    /// [`GitError::Folder`].
    pub fn make_commit(&self, making: &Making<'_>, sign: Sign<'_>) -> Result<CommitId, GitError> {
        let repository = self.repository()?;
        let wrong = |error: git2::Error| GitError::folder(self.folder(), error.message());
        self.try_commit(&repository, making, sign).map(commit_id).map_err(wrong)
    }

    fn try_commit(&self, repository: &Repository, making: &Making<'_>, sign: Sign<'_>) -> Result<Oid, git2::Error> {
        let person = Signature::now(making.person, making.person)?;
        let tree = repository.find_tree(Oid::from_str(making.tree.as_str())?)?;
        let find = |parent: &&CommitId| Oid::from_str(parent.as_str()).and_then(|id| repository.find_commit(id));
        let parents = making.parents.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let content = repository.commit_create_buffer(&person, &person, making.message, &tree, &parents)?;
        let text = std::str::from_utf8(&content).map_err(|error| git2::Error::from_str(&error.to_string()))?;
        repository.commit_signed(text, sign(&content).trim_end(), None)
    }

    /// Pushes a commit to a branch of the remote, as a fast-forward: never by force.
    ///
    /// # Errors
    /// [`GitError::Refused`] if the remote does not take it: the branch moved, or is protected; [`GitError::Fetch`];
    /// [`GitError::Authentication`].
    pub fn push(&self, commit: &CommitId, branch: &RefName) -> Result<(), GitError> {
        let repository = self.repository()?;
        let id = parse(commit)?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        if !matches!(odb.read_header(id), Ok((_, ObjectType::Commit))) {
            let found = "is not in the mirror".to_owned();
            return Err(GitError::RefNotFound { name: commit.to_string(), found });
        }
        // A push names a reference; this one is ours, and goes again.
        let ours = format!("refs/lockmaster/push/{commit}");
        let wrong = |error: git2::Error| GitError::folder(self.folder(), error.message());
        let mut reference = repository.reference(&ours, id, true, "").map_err(wrong)?;
        let pushed = self.push_reference(&repository, &ours, branch);
        reference.delete().map_err(wrong)?;
        pushed
    }

    fn push_reference(&self, repository: &Repository, ours: &str, branch: &RefName) -> Result<(), GitError> {
        let door = Door::new(self.remote())?;
        let refused = std::cell::RefCell::new(None);
        let mut callbacks = door.callbacks();
        callbacks.push_update_reference(|_, status| {
            *refused.borrow_mut() = status.map(str::to_owned);
            Ok(())
        });
        let mut options = PushOptions::new();
        options.remote_callbacks(callbacks).proxy_options(door.proxy());
        let spec = format!("{ours}:{branch}");
        let pushed = repository
            .remote_anonymous(&self.remote().url)
            .and_then(|mut remote| remote.push(&[spec.as_str()], Some(&mut options)))
            .map_err(|error| (error.code() == ErrorCode::NotFastForward, door.explain(&error)));
        drop(options);
        let refused = match pushed {
            Ok(()) => refused.take(),
            // The library looks at what the remote listed, and does not ask it.
            Err((true, _)) => Some("the branch moved".to_owned()),
            Err((false, error)) => return Err(error),
        };
        let url = || self.remote().to_string();
        refused.map_or(Ok(()), |found| Err(GitError::Refused { url: url(), branch: branch.to_string(), found }))
    }
}

/// A file's mode as it is; anything that is no file was refused when the inputs were closed.
fn mode(mode: i32) -> FileMode {
    match mode {
        0o100_755 => FileMode::BlobExecutable,
        0o120_000 => FileMode::Link,
        _ => FileMode::Blob,
    }
}
