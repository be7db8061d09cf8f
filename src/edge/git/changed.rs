//! What differs between two commits, by path.
//!
//! Only directories whose ids differ are read, and no file: the work grows with what changed. Whether a commit holds a link
//! is remembered by directory, so that this too is looked up only where something changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::PoisonError;

use git2::{ObjectType, Odb, Oid};

use super::error::GitError;
use super::graph::Graph;
use super::mirror::{Mirror, parse};
use super::tree::{DEPTH, RawEntries, join, judge_entry};
use crate::name::{CommitId, RepoPath};
use crate::render::EntryKind;

/// How many directories without links are remembered; some 5 MB.
const REMEMBERED: usize = 100_000;

impl Mirror {
    /// The paths at which two commits do not have the same file: where either lacks it, or has another content or mode.
    ///
    /// `None` where paths alone do not tell what a render reads: `new` is neither `old` nor one of its descendants; `old` is
    /// not in the mirror; a directory cannot be read, or is none that [`Mirror::tree`] would take; or `new` has another tree
    /// and a link or a submodule in it, since a link leads to a file of another path.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`] where `new` is not in the mirror; [`GitError::IncompleteHistory`]; [`GitError::Corrupt`] on
    /// a commit that cannot be read; [`GitError::Folder`].
    pub fn changed_paths(&self, old: &CommitId, new: &CommitId) -> Result<Option<BTreeSet<RepoPath>>, GitError> {
        let (old, new) = (parse(old)?, parse(new)?);
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        let mut graph = Graph::new(&odb);
        let trees = self.suspect(trees(&mut graph, old, new))?;
        let Some((old, new)) = trees else { return Ok(None) };
        // A walk that another thread broke off has remembered nothing that is wrong.
        let mut plain = self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        let mut comparer = Comparer { odb: &odb, left: self.limits.tree_entries, read: 0, changed: BTreeSet::new() };
        Ok(comparer.compare(old, new, &mut plain).map(|()| comparer.changed))
    }
}

/// The trees of two commits; `None` where the second does not build on the first.
fn trees(graph: &mut Graph<'_>, old: Oid, new: Oid) -> Result<Option<(Oid, Oid)>, GitError> {
    let tree = graph.tree_id(new)?;
    if !graph.has(old) || !graph.reaches(new, old)? {
        return Ok(None);
    }
    Ok(Some((graph.tree_id(old)?, tree)))
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// `None` for a directory.
    kind: Option<EntryKind>,
    mode: Vec<u8>,
    id: Oid,
}

impl Entry {
    fn directory(&self) -> Option<Oid> {
        self.kind.is_none().then_some(self.id)
    }
}

/// Answers `None` wherever paths do not tell: then somebody lists the whole tree, and says what is wrong with it.
struct Comparer<'o> {
    odb: &'o Odb<'o>,
    /// How many entries may still be looked at.
    left: u64,
    /// How many directories were read.
    read: usize,
    changed: BTreeSet<RepoPath>,
}

impl Comparer<'_> {
    fn compare(&mut self, old: Oid, new: Oid, plain: &mut HashSet<Oid>) -> Option<()> {
        if old == new {
            return Some(());
        }
        self.is_plain(new, plain, 0)?;
        self.directory(Some(old), Some(new), "", 0)
    }

    /// Whether no link and no submodule is anywhere below; remembers the directories of which that is true.
    fn is_plain(&mut self, id: Oid, plain: &mut HashSet<Oid>, depth: usize) -> Option<()> {
        if plain.contains(&id) {
            return Some(());
        }
        for entry in self.list(Some(id), depth)?.into_values() {
            match entry.kind {
                None => self.is_plain(entry.id, plain, depth + 1)?,
                Some(EntryKind::File) => {}
                Some(EntryKind::Link | EntryKind::Submodule) => return None,
            }
        }
        if plain.len() >= REMEMBERED {
            plain.clear();
        }
        plain.insert(id);
        Some(())
    }

    /// Adds what differs below a path, at which either side may have no directory.
    fn directory(&mut self, old: Option<Oid>, new: Option<Oid>, path: &str, depth: usize) -> Option<()> {
        let (old, mut new) = (self.list(old, depth)?, self.list(new, depth)?);
        let names: BTreeSet<Vec<u8>> = old.keys().chain(new.keys()).cloned().collect();
        for name in names {
            let (before, after) = (old.get(&name).cloned(), new.remove(&name));
            if before == after {
                continue;
            }
            let below = join(path, &name).ok()?;
            let file = |entry: &Option<Entry>| entry.clone().filter(|entry| entry.kind.is_some());
            if file(&before) != file(&after) {
                self.changed.insert(below.parse().ok()?);
            }
            let directory = |entry: Option<Entry>| entry.as_ref().and_then(Entry::directory);
            let (before, after) = (directory(before), directory(after));
            if before != after {
                self.directory(before, after, &below, depth + 1)?;
            }
        }
        Some(())
    }

    /// The entries of a directory by name; none where there is no directory.
    fn list(&mut self, id: Option<Oid>, depth: usize) -> Option<BTreeMap<Vec<u8>, Entry>> {
        let Some(id) = id else { return Some(BTreeMap::new()) };
        let object = self.odb.read(id).ok().filter(|object| object.kind() == ObjectType::Tree && depth <= DEPTH)?;
        self.read += 1;
        let mut entries = BTreeMap::new();
        for entry in RawEntries(object.data()) {
            let entry = entry.ok()?;
            let kind = judge_entry(&entry).ok()?;
            self.left = self.left.checked_sub(1)?;
            let found = Entry { kind, mode: entry.mode.to_vec(), id: entry.id };
            if entries.insert(entry.name.to_vec(), found).is_some() {
                return None;
            }
        }
        Some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of files whose blobs nobody has, by name.
    fn tree(odb: &Odb<'_>, entries: &[(&str, &str, Oid)]) -> Oid {
        let entry = |(mode, name, id): &(&str, &str, Oid)| {
            [mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat()
        };
        let bytes: Vec<u8> = entries.iter().flat_map(entry).collect();
        odb.write(ObjectType::Tree, &bytes).expect("because the folder is ours")
    }

    fn blob(number: u8) -> Oid {
        Oid::from_bytes(&[number; 20]).expect("because an id has 20 bytes")
    }

    /// A thousand directories of one file each, one of which differs.
    fn wide(odb: &Odb<'_>, number: u8) -> Oid {
        let names: Vec<String> = (0..1000).map(|n| format!("d{n:03}")).collect();
        let (one, other) = (tree(odb, &[("100644", "f", blob(1))]), tree(odb, &[("100644", "f", blob(number))]));
        let entries: Vec<(&str, &str, Oid)> =
            names.iter().map(|name| ("40000", name.as_str(), if name == "d500" { other } else { one })).collect();
        tree(odb, &entries)
    }

    #[test]
    fn only_directories_that_changed_are_read_and_no_file() {
        let folder = tempfile::tempdir().expect("because a directory can be made");
        let repository = git2::Repository::init_bare(folder.path()).expect("because the folder is ours");
        let odb = repository.odb().expect("because the repository is new");
        let (first, second, third) = (wide(&odb, 2), wide(&odb, 3), wide(&odb, 4));
        let mut plain = HashSet::new();
        let mut read = |old: Oid, new: Oid| {
            let mut comparer = Comparer { odb: &odb, left: 1_000_000, read: 0, changed: BTreeSet::new() };
            assert_eq!(comparer.compare(old, new, &mut plain), Some(()));
            let changed: Vec<&str> = comparer.changed.iter().map(RepoPath::as_str).collect();
            assert_eq!(changed, ["d500/f"]);
            comparer.read
        };
        // Twice a root and `d500`, besides the root and the two kinds of directories that are looked through for links.
        assert_eq!(read(first, second), 4 + 3);
        // The directory that a thousand names share is known by now.
        assert_eq!(read(second, third), 4 + 2);
    }

    #[test]
    fn more_entries_than_a_commit_may_have_are_not_compared() {
        let folder = tempfile::tempdir().expect("because a directory can be made");
        let repository = git2::Repository::init_bare(folder.path()).expect("because the folder is ours");
        let odb = repository.odb().expect("because the repository is new");
        let mut comparer = Comparer { odb: &odb, left: 999, read: 0, changed: BTreeSet::new() };
        assert_eq!(comparer.compare(wide(&odb, 2), wide(&odb, 3), &mut HashSet::new()), None);
    }

    #[test]
    fn a_malformed_directory_is_left_to_whoever_lists_the_tree() {
        let folder = tempfile::tempdir().expect("because a directory can be made");
        let repository = git2::Repository::init_bare(folder.path()).expect("because the folder is ours");
        let odb = repository.odb().expect("because the repository is new");
        let file = |mode: &'static str, name: &'static str| (mode, name, blob(1));
        let good = tree(&odb, &[file("100644", "a")]);
        for entries in [
            vec![file("100644", ".git")],
            vec![file("100644", "..")],
            vec![file("100600", "a")],
            vec![file("100644", "a"), ("100644", "a", blob(2))],
            vec![file("40000", "a")],
            vec![("40000", "a", good), file("100644", "a")],
        ] {
            let bad = tree(&odb, &entries);
            for (old, new) in [(good, bad), (bad, good)] {
                let mut comparer = Comparer { odb: &odb, left: 1_000, read: 0, changed: BTreeSet::new() };
                assert_eq!(comparer.compare(old, new, &mut HashSet::new()), None, "{entries:?}");
            }
        }
    }
}
