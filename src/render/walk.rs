//! The tree of a commit as a renderer walks it: links followed inside the repository, every file counted and kept.

use std::collections::{BTreeMap, BTreeSet};

use super::{Contents, EntryKind, Tree};
use crate::name::{Code, Reason, RepoPath};

/// The largest input file, in bytes (DESIGN §8).
const FILE_LIMIT: u64 = 8 << 20;

/// The largest sum of the input files of a unit, in bytes (DESIGN §8).
const UNIT_LIMIT: u64 = 64 << 20;

/// How many links lead to a file at most; more are a loop.
const LINK_LIMIT: usize = 8;

/// The longest target of a link, in bytes (`PATH_MAX` of Linux).
const TARGET_LIMIT: u64 = 4096;

/// How the content of a Git LFS pointer begins (git-lfs, docs/spec.md, The Pointer).
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead {
    /// A regular file, there or where links lead.
    File(RepoPath),
    /// A directory.
    Directory,
    /// Nothing.
    Missing,
    /// A link whose target must be read first.
    Unread,
}

/// A walk over a tree with the contents known so far.
pub(super) struct Walk<'a> {
    tree: &'a Tree,
    contents: &'a Contents,
    needs: BTreeSet<RepoPath>,
    files: BTreeMap<RepoPath, &'a [u8]>,
    counted: BTreeSet<RepoPath>,
    bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(tree: &'a Tree, contents: &'a Contents) -> Self {
        let (needs, files, counted) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Walk { tree, contents, needs, files, counted, bytes: 0 }
    }

    /// The files to read before the walk can go on.
    pub(super) fn needs(&self) -> &BTreeSet<RepoPath> {
        &self.needs
    }

    /// The content of every input file.
    pub(super) fn into_files(self) -> Contents {
        self.files.into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect()
    }

    /// Reads a file as an input; `None` if its content, or that of a link on the way, is not known yet.
    ///
    /// # Errors
    /// `unsafe-path`, `limit-exceeded`, and `render-failed` where no file is at the path.
    pub(super) fn read(&mut self, path: &RepoPath) -> Result<Option<&'a [u8]>, Reason> {
        let real = match self.lead(path)? {
            Lead::File(real) => real,
            Lead::Unread => return Ok(None),
            Lead::Directory => {
                return Err(refused(Code::RenderFailed, format!("`{path}` is a directory, not a file"), path));
            }
            Lead::Missing => return Err(refused(Code::RenderFailed, format!("`{path}` is not in the commit"), path)),
        };
        self.count(path, &real)?;
        let Some(bytes) = self.content(&real) else { return Ok(None) };
        if bytes.starts_with(LFS_POINTER) {
            let message = format!("`{path}` is a Git LFS pointer, not the file it stands for");
            return Err(refused(Code::UnsafePath, message, path));
        }
        self.files.insert(path.clone(), bytes);
        Ok(Some(bytes))
    }

    /// Whether the directory has an entry of this name that is a file or a link.
    pub(super) fn holds(&self, directory: &RepoPath, name: &str) -> bool {
        let entry = directory.join(name).ok().and_then(|path| self.tree.get(&path));
        entry.is_some_and(|entry| entry.kind != EntryKind::Submodule)
    }

    /// Every entry below a directory, in byte order of path.
    pub(super) fn below(&self, directory: &RepoPath) -> impl Iterator<Item = (&'a RepoPath, EntryKind)> + use<'a> {
        // No name is smaller than this one, so that the range begins with the first entry inside, not beside.
        let first = directory.join("\u{1}").expect("because the name is a plain one");
        let directory = directory.clone();
        let entries = self.tree.range(first..).take_while(move |(path, _)| path.is_within(&directory));
        entries.map(|(path, entry)| (path, entry.kind))
    }

    /// What stands at a path, links followed.
    ///
    /// # Errors
    /// `unsafe-path`: a link that leaves the repository, loops or leads to a directory, or a submodule.
    /// `render-failed`: a link to nothing.
    pub(super) fn lead(&mut self, path: &RepoPath) -> Result<Lead, Reason> {
        let mut at = path.clone();
        for _ in 0..=LINK_LIMIT {
            self.check_way(path, &at)?;
            match self.tree.get(&at).map(|entry| entry.kind) {
                Some(EntryKind::File) => return Ok(Lead::File(at)),
                Some(EntryKind::Submodule) => {
                    return Err(refused(Code::UnsafePath, format!("`{at}` is a submodule"), path));
                }
                Some(EntryKind::Link) => match self.target(&at)? {
                    Some(target) => at = target,
                    None => return Ok(Lead::Unread),
                },
                None => return self.end(path, &at),
            }
        }
        let message = format!("`{path}` leads through more than {LINK_LIMIT} links");
        Err(refused(Code::UnsafePath, message, path))
    }

    /// What a path says that is no entry of the tree.
    fn end(&self, path: &RepoPath, at: &RepoPath) -> Result<Lead, Reason> {
        let directory = at.as_str().is_empty() || self.below(at).next().is_some();
        if path == at {
            return Ok(if directory { Lead::Directory } else { Lead::Missing });
        }
        let (code, message) = if directory {
            (Code::UnsafePath, format!("`{path}` is a link to the directory `{at}`: only links to files are followed"))
        } else {
            (Code::RenderFailed, format!("`{path}` is a link to `{at}`, which is not in the commit"))
        };
        Err(refused(code, message, path))
    }

    /// The path that a link names; `None` if it is not read yet.
    fn target(&mut self, link: &RepoPath) -> Result<Option<RepoPath>, Reason> {
        let unsafe_link = |what: &str| refused(Code::UnsafePath, format!("`{link}` is a link {what}"), link);
        if self.tree[link].size > TARGET_LIMIT {
            return Err(unsafe_link("with a target of more than 4096 bytes"));
        }
        let Some(bytes) = self.content(link) else { return Ok(None) };
        let target = std::str::from_utf8(bytes).map_err(|_| unsafe_link("whose target is not UTF-8"))?;
        let leaves = |_| unsafe_link(&format!("to `{}`, outside the repository", target.escape_debug()));
        link.parent().join(target).map(Some).map_err(leaves)
    }

    /// A path must not lead through a link or a submodule: both would be directories that are not in this tree.
    fn check_way(&self, path: &RepoPath, at: &RepoPath) -> Result<(), Reason> {
        let mut way = at.parent();
        while !way.as_str().is_empty() {
            let what = match self.tree.get(&way).map(|entry| entry.kind) {
                Some(EntryKind::Link) => "link",
                Some(EntryKind::Submodule) => "submodule",
                Some(EntryKind::File) | None => {
                    way = way.parent();
                    continue;
                }
            };
            let message = format!("`{path}` leads through the {what} `{way}`: only links to files are followed");
            return Err(refused(Code::UnsafePath, message, path));
        }
        Ok(())
    }

    fn content(&mut self, path: &RepoPath) -> Option<&'a [u8]> {
        let found = self.contents.get(path).map(Vec::as_slice);
        if found.is_none() {
            self.needs.insert(path.clone());
        }
        found
    }

    /// Counts an input by its size in the tree, so that a limit speaks before anything is read.
    fn count(&mut self, path: &RepoPath, real: &RepoPath) -> Result<(), Reason> {
        let size = self.tree[real].size;
        if size > FILE_LIMIT {
            let message = format!("`{path}` has {size} bytes, the limit of a file is {FILE_LIMIT}");
            return Err(refused(Code::LimitExceeded, message, path));
        }
        if self.counted.insert(path.clone()) {
            self.bytes += size;
        }
        if self.bytes > UNIT_LIMIT {
            let message = format!("inputs up to `{path}` have {} bytes, the limit is {UNIT_LIMIT}", self.bytes);
            return Err(refused(Code::LimitExceeded, message, path));
        }
        Ok(())
    }
}

/// A reason about a file of the commit.
pub(super) fn refused(code: Code, message: String, file: &RepoPath) -> Reason {
    Reason::new(code, message).at_file(file.to_string(), None, None)
}
