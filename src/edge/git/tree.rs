//! The files of a commit, read from raw tree objects so that nothing malformed is tidied away on the way.

use std::collections::HashSet;

use git2::{ErrorCode, ObjectType, Odb, Oid};

use crate::name::{CommitId, ObjectId, RepoPath};
use crate::render::{Contents, EntryKind, Tree, TreeEntry};

use super::error::GitError;
use super::mirror::{Mirror, parse};
use super::object_id;

/// How deep directories may be nested.
pub(super) const DEPTH: usize = 256;

impl Mirror {
    /// Every file of a commit, with the size of its blob.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`]; [`GitError::Corrupt`] on a malformed tree; [`GitError::UnsafePath`] on a path that is
    /// not UTF-8; [`GitError::Limit`] on too many entries.
    pub fn tree(&self, commit: &CommitId) -> Result<Tree, GitError> {
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        let found = repository.find_commit(parse(commit)?).map_err(|error| match error.code() {
            ErrorCode::NotFound => {
                GitError::RefNotFound { name: commit.to_string(), found: "is not in the mirror".to_owned() }
            }
            _ => GitError::from_object(&format!("commit `{commit}`"), &error),
        })?;
        self.list(&odb, found.tree_id())
    }

    /// Every file of a tree that lies in the mirror, as [`Mirror::tree`] gives those of a commit.
    ///
    /// # Errors
    /// As [`Mirror::tree`].
    pub fn files(&self, tree: &ObjectId) -> Result<Tree, GitError> {
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        self.list(&odb, parse(&CommitId(tree.clone()))?)
    }

    fn list(&self, odb: &Odb<'_>, tree: Oid) -> Result<Tree, GitError> {
        let mut listing = Listing { odb, limit: self.limits.tree_entries, seen: 0, damaged: false, tree: Tree::new() };
        let listed = listing.list(tree, "", 0);
        // A tree that is malformed is so at the remote too: only an object that cannot be read damages the mirror.
        if listing.damaged { self.suspect(listed) } else { listed }?;
        Ok(listing.tree)
    }

    /// The contents of these files.
    ///
    /// # Errors
    /// [`GitError::NotInTree`]; [`GitError::UnsafePath`] on a submodule; [`GitError::Limit`] on a file too large;
    /// [`GitError::Corrupt`].
    pub fn read(&self, tree: &Tree, paths: &[RepoPath]) -> Result<Contents, GitError> {
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        let read = |path: &RepoPath| {
            let entry = tree.get(path).ok_or_else(|| GitError::NotInTree { path: path.to_string() })?;
            self.suspect(self.read_file(&odb, path, entry)).map(|bytes| (path.clone(), bytes))
        };
        paths.iter().map(read).collect()
    }

    fn read_file(&self, odb: &Odb<'_>, path: &RepoPath, entry: &TreeEntry) -> Result<Vec<u8>, GitError> {
        match entry.kind {
            EntryKind::File | EntryKind::Link => {}
            EntryKind::Submodule => {
                return Err(GitError::UnsafePath { path: path.to_string(), found: "is a submodule" });
            }
        }
        let name = format!("blob `{}` of `{path}`", entry.id);
        let wrong = |error: git2::Error| GitError::from_object(&name, &error);
        let id = Oid::from_str(entry.id.as_str()).map_err(wrong)?;
        // The header is asked before the object: a blob too large is never inflated.
        let size = odb.read_header(id).map_err(wrong)?.0 as u64;
        if size > self.limits.file_bytes {
            let (limit, file) = (self.limits.file_bytes, Some(path.to_string()));
            return Err(GitError::Limit { what: format!("bytes of file `{path}`"), limit, found: size, file });
        }
        let blob = odb.read(id).map_err(wrong)?;
        if blob.kind() == ObjectType::Blob {
            Ok(blob.data().to_vec())
        } else {
            Err(GitError::Corrupt { object: name, found: "is not a blob".to_owned() })
        }
    }
}

struct Listing<'o> {
    odb: &'o Odb<'o>,
    limit: u64,
    /// Entries met so far, directories included: a small object can name a huge tree.
    seen: u64,
    /// Whether an object could not be read.
    damaged: bool,
    tree: Tree,
}

impl Listing<'_> {
    fn list(&mut self, id: Oid, directory: &str, depth: usize) -> Result<(), GitError> {
        let name = if directory.is_empty() { "." } else { directory };
        let malformed = |found: String| GitError::Corrupt { object: format!("tree `{id}` at `{name}`"), found };
        if depth > DEPTH {
            return Err(malformed(format!("directories are nested deeper than {DEPTH}")));
        }
        let bytes = self.read(id).map_err(malformed)?;
        let mut names = HashSet::new();
        for entry in RawEntries(&bytes) {
            let entry = entry.map_err(|found| malformed(found.to_owned()))?;
            if !names.insert(entry.name) {
                return Err(malformed(format!("`{}` stands twice", String::from_utf8_lossy(entry.name))));
            }
            let kind = judge_entry(&entry).map_err(malformed)?;
            self.count()?;
            let path = join(directory, entry.name)?;
            match kind {
                Some(kind) => self.add(kind, entry.id, path)?,
                None => self.list(entry.id, &path, depth + 1)?,
            }
        }
        Ok(())
    }

    fn read(&mut self, id: Oid) -> Result<Vec<u8>, String> {
        match self.odb.read(id) {
            Ok(object) if object.kind() == ObjectType::Tree => Ok(object.data().to_vec()),
            Ok(object) => Err(format!("is a {} and not a tree", object.kind())),
            Err(error) => {
                self.damaged = true;
                Err(error.message().to_owned())
            }
        }
    }

    fn count(&mut self) -> Result<(), GitError> {
        self.seen += 1;
        if self.seen > self.limit {
            let what = "files and directories of a commit".to_owned();
            return Err(GitError::Limit { what, limit: self.limit, found: self.seen, file: None });
        }
        Ok(())
    }

    fn add(&mut self, kind: EntryKind, id: Oid, path: String) -> Result<(), GitError> {
        let size = match kind {
            EntryKind::Submodule => 0,
            EntryKind::File | EntryKind::Link => self
                .size(id)
                .map_err(|found| GitError::Corrupt { object: format!("blob `{id}` at `{path}`"), found })?,
        };
        let entry = TreeEntry { kind, id: object_id(id), size };
        let path = path.parse().expect("because every part was judged");
        self.tree.insert(path, entry);
        Ok(())
    }

    fn size(&mut self, id: Oid) -> Result<u64, String> {
        match self.odb.read_header(id) {
            Ok((size, ObjectType::Blob)) => Ok(size as u64),
            Ok((_, kind)) => Err(format!("is a {kind} and not a blob")),
            Err(error) => {
                self.damaged = true;
                Err(error.message().to_owned())
            }
        }
    }
}

pub(super) struct RawEntry<'a> {
    pub(super) mode: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) id: Oid,
}

/// `<mode> SP <name> NUL <id>`, again and again (gitformat: the tree object).
pub(super) struct RawEntries<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for RawEntries<'a> {
    type Item = Result<RawEntry<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.split();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry.ok_or("ends within an entry"))
    }
}

impl<'a> RawEntries<'a> {
    fn split(&mut self) -> Option<RawEntry<'a>> {
        let space = self.0.iter().position(|b| *b == b' ')?;
        let (mode, rest) = (&self.0[..space], &self.0[space + 1..]);
        let end = rest.iter().position(|b| *b == 0)?;
        let id = rest.get(end + 1..end + 21)?;
        self.0 = &rest[end + 21..];
        Some(RawEntry { mode, name: &rest[..end], id: Oid::from_bytes(id).ok()? })
    }
}

/// What the entry is; `None` for a directory.
pub(super) fn judge_entry(entry: &RawEntry<'_>) -> Result<Option<EntryKind>, String> {
    let name = String::from_utf8_lossy(entry.name);
    if entry.name.is_empty() || entry.name == b"." || entry.name == b".." || entry.name.contains(&b'/') {
        return Err(format!("`{name}` is no name of a file"));
    }
    if is_dot_git(&name) {
        return Err(format!("`{name}` may stand for `.git`"));
    }
    match entry.mode {
        b"40000" => Ok(None),
        b"100644" | b"100755" | b"100664" => Ok(Some(EntryKind::File)),
        b"120000" => Ok(Some(EntryKind::Link)),
        b"160000" => Ok(Some(EntryKind::Submodule)),
        mode => Err(format!("`{name}` has mode `{}`", String::from_utf8_lossy(mode))),
    }
}

/// Whether some file system reads the name as `.git` (git fsck, `hasDotgit`): without regard to case, characters that
/// HFS+ ignores, the short name of NTFS, its streams, and the dots and blanks it drops.
fn is_dot_git(name: &str) -> bool {
    let ignored =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let bare: String = name.chars().filter(|c| !ignored(*c)).collect::<String>().to_lowercase();
    let bare = bare.split(':').next().unwrap_or("").trim_end_matches([' ', '.']);
    bare == ".git" || bare == "git~1"
}

pub(super) fn join(directory: &str, name: &[u8]) -> Result<String, GitError> {
    let separator = if directory.is_empty() { "" } else { "/" };
    match std::str::from_utf8(name) {
        Ok(name) => Ok(format!("{directory}{separator}{name}")),
        Err(_) => {
            let path = format!("{directory}{separator}{}", String::from_utf8_lossy(name));
            Err(GitError::UnsafePath { path, found: "is not UTF-8" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_dot_git_is_seen() {
        for name in
            [".git", ".GIT", ".Git ", ".git.", ".git. .", "git~1", "GIT~1", ".g\u{200c}it", ".git:x", ".git::$I"]
        {
            assert!(is_dot_git(name), "{name}");
        }
        for name in [".gitignore", ".gitmodules", "git", "git~2", "x.git", ".github", ".git-keep"] {
            assert!(!is_dot_git(name), "{name}");
        }
    }
}
