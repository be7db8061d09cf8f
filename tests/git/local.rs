//! The clone as a remote of its own, and commits that `git` itself would refuse to make.

use lockmaster::edge::git::{Mirror, Remote};
use lockmaster::name::CommitId;

use super::git_support::{Scene, id, remote};

impl Scene {
    /// A commit whose tree is these bytes, on `main`: `git` itself would refuse to make it.
    pub(crate) fn commit_tree(&self, tree: &[u8]) -> CommitId {
        let tree = self.git_with(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], tree);
        self.commit_bytes(&format!("tree {tree}\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nx\n"))
    }

    /// A commit of these bytes, on `main`.
    pub(crate) fn commit_bytes(&self, bytes: &str) -> CommitId {
        let arguments = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        let commit = self.git_with(&arguments, bytes.as_bytes());
        self.set_reference("refs/heads/main", &commit);
        id(&commit)
    }

    /// Points a reference of the clone at any object, asking nobody.
    pub(crate) fn set_reference(&self, name: &str, object: &str) {
        let file = self.work().join(".git").join(name);
        std::fs::create_dir_all(file.parent().expect("because it is below .git")).expect("because it may write");
        std::fs::write(file, format!("{object}\n")).expect("because the test may write");
    }

    /// The clone as a remote.
    pub(crate) fn remote(&self) -> Remote {
        remote(&self.work().to_string_lossy())
    }

    /// A mirror of the clone.
    pub(crate) fn mirror(&self) -> Mirror {
        self.mirror_of(self.remote())
    }
}
