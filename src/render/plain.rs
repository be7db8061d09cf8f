//! Plain manifests: every `*.yaml`, `*.yml` and `*.json` below a directory, hidden ones left out.

use std::collections::{BTreeMap, BTreeSet};

use super::EntryKind;
use super::walk::{Lead, Walk, refused};
use crate::deploylog::Inputs;
use crate::name::{Code, Digest, Reason, RepoPath};

/// Finds the manifests below a directory, in byte order of path, and lists each directory that holds one.
///
/// # Errors
/// `unsafe-path`: a submodule, or a link to a directory.
pub(super) fn close(
    walk: &mut Walk<'_>,
    listings: &mut BTreeMap<RepoPath, Digest>,
    path: &RepoPath,
) -> Result<Vec<RepoPath>, Reason> {
    let mut files = Vec::new();
    let mut names: BTreeMap<RepoPath, BTreeSet<String>> = BTreeMap::from([(path.clone(), BTreeSet::new())]);
    for (entry, kind) in walk.below(path) {
        if is_hidden(entry, path) {
            continue;
        }
        match kind {
            EntryKind::Submodule => {
                return Err(refused(Code::UnsafePath, format!("`{entry}` is a submodule"), entry));
            }
            // Content behind a link to a directory would silently be left out: `lead` refuses it.
            EntryKind::Link if !is_manifest(entry) => check_link(walk, entry)?,
            EntryKind::File | EntryKind::Link => {}
        }
        if is_manifest(entry) {
            list(&mut names, entry, path);
            files.push(entry.clone());
        }
    }
    let digest = |names: BTreeSet<String>| Inputs::listing(names.iter().map(String::as_str));
    listings.extend(names.into_iter().map(|(directory, names)| (directory, digest(names))));
    Ok(files)
}

/// A link that is no manifest by its name may lead anywhere but to a directory of this tree.
fn check_link(walk: &mut Walk<'_>, link: &RepoPath) -> Result<(), Reason> {
    match walk.lead(link) {
        Err(reason) if reason.code == Code::UnsafePath => Err(reason),
        Err(_) | Ok(Lead::File(_) | Lead::Directory | Lead::Missing | Lead::Unread) => Ok(()),
    }
}

/// Names a manifest in its directory, and each directory on the way in the one above it.
fn list(names: &mut BTreeMap<RepoPath, BTreeSet<String>>, file: &RepoPath, top: &RepoPath) {
    names.entry(file.parent()).or_default().insert(file.file_name().to_owned());
    let mut directory = file.parent();
    while directory != *top {
        let name = format!("{}/", directory.file_name());
        directory = directory.parent();
        names.entry(directory.clone()).or_default().insert(name);
    }
}

/// Whether a part of the path below `top` begins with a dot.
fn is_hidden(entry: &RepoPath, top: &RepoPath) -> bool {
    entry.as_str()[top.as_str().len()..].split('/').any(|part| part.starts_with('.'))
}

fn is_manifest(entry: &RepoPath) -> bool {
    let name = entry.file_name();
    [".yaml", ".yml", ".json"].iter().any(|extension| name.ends_with(extension))
}
