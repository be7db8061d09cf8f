//! A bare repository of our own, in which commits are made and signed without any `git`: for the demo.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{FileMode, Oid, Repository, RepositoryInitOptions, Signature, Tree};

use crate::name::{CommitId, RefName, RepoPath};

use super::commit_id;
use super::error::GitError;
use super::mirror::parse;

/// A bare repository that whoever holds this may write.
pub struct Forge {
    repository: Repository,
    folder: PathBuf,
}

/// Makes the armored signature of the bytes of a commit or a tag.
pub type Sign<'s> = &'s dyn Fn(&[u8]) -> String;

/// A commit to be made.
pub struct Change<'c> {
    /// The commits it follows: none before the first one, several in a merge.
    pub parents: &'c [&'c CommitId],
    /// Every file of its tree.
    pub files: &'c BTreeMap<RepoPath, String>,
    /// Who says to have written it.
    pub name: &'c str,
    /// That person's address.
    pub email: &'c str,
    /// The message.
    pub message: &'c str,
}

/// An annotated tag to be made.
pub struct Annotation<'a> {
    /// The reference, `refs/tags/...`: the tag is signed under this name.
    pub name: &'a RefName,
    /// The commit it is on.
    pub commit: &'a CommitId,
    /// Who says to have made it.
    pub tagger: &'a str,
    /// That person's address.
    pub email: &'a str,
    /// The message, which ends with a line feed.
    pub message: &'a str,
}

impl Forge {
    /// Makes an empty one whose `HEAD` is this branch.
    ///
    /// # Errors
    /// [`GitError::Folder`].
    pub fn create(folder: &Path, head: &RefName) -> Result<Forge, GitError> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false).no_reinit(true).initial_head(head.as_str());
        let repository = Repository::init_opts(folder, &options);
        let repository = repository.map_err(|error| GitError::folder(folder, error.message()))?;
        Ok(Forge { repository, folder: folder.to_owned() })
    }

    /// Makes a commit, and has it signed. No branch is moved.
    ///
    /// # Errors
    /// [`GitError::Folder`].
    pub fn commit(&self, change: &Change<'_>, sign: Option<Sign<'_>>) -> Result<CommitId, GitError> {
        self.try_commit(change, sign).map(commit_id).map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    fn try_commit(&self, change: &Change<'_>, sign: Option<Sign<'_>>) -> Result<Oid, git2::Error> {
        let person = Signature::now(change.name, change.email)?;
        let files = change.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let tree = self.tree(&files)?;
        let find = |parent: &&CommitId| self.repository.find_commit(Oid::from_str(parent.as_str())?);
        let parents = change.parents.iter().map(find).collect::<Result<Vec<_>, git2::Error>>()?;
        let parents: Vec<&git2::Commit<'_>> = parents.iter().collect();
        let content = self.repository.commit_create_buffer(&person, &person, change.message, &tree, &parents)?;
        match sign {
            Some(sign) => {
                let text = std::str::from_utf8(&content).map_err(|error| git2::Error::from_str(&error.to_string()))?;
                // The last line of a header ends it: git writes none of the signature behind it.
                self.repository.commit_signed(text, sign(&content).trim_end(), None)
            }
            None => self.repository.odb()?.write(git2::ObjectType::Commit, &content),
        }
    }

    /// Makes a tag, has it signed, and moves its reference to it, wherever that was.
    ///
    /// Git puts the signature of a tag behind its message (git builtin/tag.c, `build_tag_object` and `do_sign`).
    ///
    /// # Errors
    /// [`GitError::Folder`].
    pub fn tag(&self, tag: &Annotation<'_>, sign: Sign<'_>) -> Result<(), GitError> {
        self.try_tag(tag, sign).map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    fn try_tag(&self, tag: &Annotation<'_>, sign: Sign<'_>) -> Result<(), git2::Error> {
        let Annotation { commit, tagger, email, message, .. } = tag;
        let (name, now) = (tag.name.short(), Signature::now(tagger, email)?.when().seconds());
        let payload =
            format!("object {commit}\ntype commit\ntag {name}\ntagger {tagger} <{email}> {now} +0000\n\n{message}");
        let bytes = format!("{payload}{}\n", sign(payload.as_bytes()).trim_end());
        let id = self.repository.odb()?.write(git2::ObjectType::Tag, bytes.as_bytes())?;
        self.repository.reference(tag.name.as_str(), id, true, "tag").map(drop)
    }

    /// The tree of files, whose paths are relative to it.
    fn tree(&self, files: &BTreeMap<&str, &str>) -> Result<Tree<'_>, git2::Error> {
        let mut builder = self.repository.treebuilder(None)?;
        let mut folders: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (path, text) in files {
            match path.split_once('/') {
                Some((folder, below)) => {
                    folders.entry(folder).or_default().insert(below, text);
                }
                None => {
                    let blob = self.repository.blob(text.as_bytes())?;
                    builder.insert(path, blob, FileMode::Blob.into())?;
                }
            }
        }
        for (folder, files) in folders {
            builder.insert(folder, self.tree(&files)?.id(), FileMode::Tree.into())?;
        }
        self.repository.find_tree(builder.write()?)
    }

    /// Moves a branch to a commit, wherever it was: as a push by force does.
    ///
    /// # Errors
    /// [`GitError::Folder`]; [`GitError::RefNotFound`] if it is no commit.
    pub fn push(&self, branch: &RefName, commit: &CommitId) -> Result<(), GitError> {
        let moved = self.repository.reference(branch.as_str(), parse(commit)?, true, "push");
        moved.map(drop).map_err(|error| GitError::folder(&self.folder, error.message()))
    }

    /// The commit that a branch names.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`].
    pub fn tip(&self, branch: &RefName) -> Result<CommitId, GitError> {
        super::clone::resolve(&self.repository, branch.as_str())
    }
}
