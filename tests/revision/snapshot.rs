//! Commits written down as whole trees, and read through the real mirror.

use std::sync::Once;

use lockmaster::edge::git::{GitError, Mirror, Remote, set_timeouts};
use lockmaster::name::{CommitId, RefName};
use lockmaster::revision::{Carriers, Fetched, FirstSeen, Judgement, Trust, judge};

use super::repository::{Repository, id, now};

impl Repository {
    /// A commit whose tree is `PATH=CONTENT …`; a path that ends with `*` is a program, one with `@` a link.
    pub(crate) fn snapshot(&self, parents: &[&CommitId], files: &str, key: Option<&str>) -> CommitId {
        let mut index = Vec::new();
        for file in files.split_whitespace() {
            let (path, content) = file.split_once('=').expect("because each file is PATH=CONTENT");
            let blob = self.run("git", &["hash-object", "-w", "--stdin"], content.as_bytes()).1;
            let (mode, path) = match path.strip_suffix('*') {
                Some(path) => ("100755", path),
                None => path.strip_suffix('@').map_or(("100644", path), |path| ("120000", path)),
            };
            index.extend(format!("{mode} {}\t{path}\n", String::from_utf8_lossy(&blob).trim_end()).into_bytes());
        }
        self.git(&["read-tree", "--empty"]);
        assert!(self.run("git", &["update-index", "--index-info"], &index).0, "because the paths are good");
        let tree = self.git(&["write-tree"]);
        self.commit_tree(parents, &tree, key)
    }

    pub(crate) fn commit_tree(&self, parents: &[&CommitId], tree: &str, key: Option<&str>) -> CommitId {
        let sign = key.map_or("--no-gpg-sign".to_owned(), |key| format!("-S{}", self.path(key).display()));
        let mut arguments = vec!["commit-tree", "-m", "snapshot", &sign];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", parent.as_str()]));
        arguments.push(tree);
        id(&self.git(&arguments))
    }

    /// A mirror that holds this commit.
    pub(crate) fn mirror(&self, tip: &CommitId) -> Mirror {
        static ONCE: Once = Once::new();
        ONCE.call_once(set_timeouts);
        let url = self.path("").display().to_string();
        let remote = Remote { url, auth: None, ca_file: None };
        let mirror = Mirror::open(&self.path("mirror"), remote).expect("because the folder is ours");
        mirror.take_from(&self.path(""), tip).expect("because the commit is there");
        mirror
    }

    /// What the edge reads of a tip.
    pub(crate) fn facts(&self, tip: &CommitId, accepted: Option<&CommitId>) -> Fetched {
        read(&self.mirror(tip), tip, accepted, &[]).expect("because the history is whole")
    }

    /// Judges a tip as the agent does, in an environment that takes these carriers.
    pub(crate) fn carried(&self, tip: &CommitId, accepted: Option<&CommitId>, carriers: Carriers) -> Judgement {
        let trust = Trust { carriers, ..self.trust() };
        judge(self.facts(tip, accepted), &trust, &FirstSeen::new(), now())
    }
}

pub(crate) fn read(
    mirror: &Mirror,
    tip: &CommitId,
    accepted: Option<&CommitId>,
    introductions: &[CommitId],
) -> Result<Fetched, GitError> {
    let branch = RefName::branch("env/dev").expect("because it is a branch name");
    mirror.facts(&branch, tip, accepted, introductions)
}
