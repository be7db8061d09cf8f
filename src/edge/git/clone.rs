//! The clone that a person works in: read for `plan` and the like, never written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Status, StatusOptions, StatusShow};

use crate::name::{CommitId, RepoPath};
use crate::render::{EntryKind, Tree, TreeEntry};

use super::error::GitError;
use super::{commit_id, object_id};

/// The commit that a revision names in the clone around a directory.
///
/// # Errors
/// [`GitError::Folder`] if there is no clone; [`GitError::RefNotFound`].
pub fn clone_head(directory: &Path, revision: &str) -> Result<CommitId, GitError> {
    resolve(&discover(directory)?, revision)
}

/// Where the repository around a directory is, and the addresses of its remotes; a path among them begins at its folder.
///
/// # Errors
/// [`GitError::Folder`] if there is no clone.
pub fn clone_addresses(directory: &Path) -> Result<Vec<String>, GitError> {
    let repository = discover(directory)?;
    let root = repository.workdir().unwrap_or_else(|| repository.path()).to_owned();
    let names = repository.remotes().map_err(|error| GitError::folder(directory, error.message()))?;
    let mut addresses = vec![root.display().to_string()];
    for name in names.iter().flatten().flatten() {
        let Ok(remote) = repository.find_remote(name) else { continue };
        for url in [remote.url().ok(), remote.pushurl().ok().flatten()].into_iter().flatten() {
            let relative = url.starts_with("./") || url.starts_with("../");
            addresses.push(if relative { root.join(url).display().to_string() } else { url.to_owned() });
        }
    }
    Ok(addresses)
}

/// The files of the working tree around a directory, tracked or not ignored, and where each is on this machine.
///
/// Ids are those of the bytes as they lie on the disk: no filter is run.
///
/// # Errors
/// [`GitError::Folder`] if there is no working tree or a file cannot be read; [`GitError::UnsafePath`] on a path that
/// is not UTF-8.
pub fn working_tree(directory: &Path) -> Result<(Tree, BTreeMap<RepoPath, PathBuf>), GitError> {
    let repository = discover(directory)?;
    let root = repository.workdir().ok_or_else(|| GitError::folder(directory, "has no working tree"))?.to_owned();
    let mut options = StatusOptions::new();
    options
        .show(StatusShow::IndexAndWorkdir)
        .include_untracked(true)
        .recurse_untracked_dirs(true)
        .include_unmodified(true)
        .include_ignored(false)
        .no_refresh(true)
        .update_index(false);
    let statuses =
        repository.statuses(Some(&mut options)).map_err(|error| GitError::folder(directory, error.message()))?;
    let (mut tree, mut files) = (Tree::new(), BTreeMap::new());
    for status in statuses.iter().filter(|entry| !entry.status().contains(Status::WT_DELETED)) {
        let path = repository_path(status.path_bytes())?;
        let file = root.join(path.as_str());
        if let Some(entry) = read_entry(&repository, &path, &file)? {
            tree.insert(path.clone(), entry);
            files.insert(path, file);
        }
    }
    Ok((tree, files))
}

/// The content of a file of the working tree: of a link, its target.
///
/// # Errors
/// [`GitError::Limit`] over the largest file that is read; [`GitError::Folder`]; [`GitError::NotInTree`].
pub fn working_file(tree: &Tree, files: &BTreeMap<RepoPath, PathBuf>, path: &RepoPath) -> Result<Vec<u8>, GitError> {
    let unknown = || GitError::NotInTree { path: path.to_string() };
    let (entry, file) = tree.get(path).zip(files.get(path)).ok_or_else(unknown)?;
    let limit = super::Limits::default().file_bytes;
    if entry.size > limit {
        let what = format!("bytes of `{path}`");
        return Err(GitError::Limit { what, limit, found: entry.size, file: Some(path.to_string()) });
    }
    let wrong = |error: std::io::Error| GitError::folder(file, error);
    match entry.kind {
        EntryKind::Link => Ok(fs::read_link(file).map_err(wrong)?.into_os_string().into_encoded_bytes()),
        EntryKind::File | EntryKind::Submodule => fs::read(file).map_err(wrong),
    }
}

/// The commit that a revision names in a repository.
pub(super) fn resolve(repository: &Repository, revision: &str) -> Result<CommitId, GitError> {
    let found = repository.revparse_single(revision).and_then(|object| object.peel_to_commit());
    let unknown = |error: git2::Error| GitError::RefNotFound {
        name: revision.to_owned(),
        found: format!("names no commit: {}", error.message()),
    };
    found.map(|commit| commit_id(commit.id())).map_err(unknown)
}

fn discover(directory: &Path) -> Result<Repository, GitError> {
    Repository::discover(directory).map_err(|error| GitError::folder(directory, error.message()))
}

fn repository_path(bytes: &[u8]) -> Result<RepoPath, GitError> {
    let text = String::from_utf8_lossy(bytes);
    let wrong = |found| GitError::UnsafePath { path: text.clone().into_owned(), found };
    if std::str::from_utf8(bytes).is_err() {
        return Err(wrong("is not UTF-8"));
    }
    // A directory ends with `/`: a repository inside this one that is not a submodule.
    text.trim_end_matches('/').parse().map_err(|_| wrong("is no path inside the repository"))
}

/// What lies at a path; nothing if it is gone, or neither file, link nor submodule.
fn read_entry(repository: &Repository, path: &RepoPath, file: &Path) -> Result<Option<TreeEntry>, GitError> {
    let wrong = |error: std::io::Error| GitError::folder(file, error);
    let metadata = match fs::symlink_metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.map_err(wrong)?,
    };
    if metadata.is_dir() {
        return Ok(submodule(repository, path));
    }
    let (kind, bytes) = if metadata.is_symlink() {
        (EntryKind::Link, fs::read_link(file).map_err(wrong)?.into_os_string().into_encoded_bytes())
    } else if metadata.is_file() {
        (EntryKind::File, fs::read(file).map_err(wrong)?)
    } else {
        return Ok(None);
    };
    let id = Oid::hash_object(ObjectType::Blob, &bytes).map_err(|error| GitError::folder(file, error.message()))?;
    Ok(Some(TreeEntry { kind, id: object_id(id), size: bytes.len() as u64 }))
}

fn submodule(repository: &Repository, path: &RepoPath) -> Option<TreeEntry> {
    let entry = repository.index().ok()?.get_path(Path::new(path.as_str()), 0)?;
    Some(TreeEntry { kind: EntryKind::Submodule, id: object_id(entry.id), size: 0 })
}
