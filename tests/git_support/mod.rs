//! Real repositories, made by the real `git` with a home and a configuration of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use lockmaster::edge::git::{GitError, Mirror, Remote, set_timeouts};
use lockmaster::name::{Code, CommitId, RefName};

/// Sets libgit2 up as `main` does. Call it first in every test.
pub(crate) fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(set_timeouts);
}

/// A folder that is removed with its owner: `home`, `work` (a clone) and `mirror`.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    /// A clone without commits, on branch `main`.
    pub(crate) fn new() -> Scene {
        begin();
        let scene = Scene { folder: tempfile::tempdir().expect("because the test may write") };
        std::fs::create_dir_all(scene.work()).expect("because the folder is new");
        scene.git(&["init", "--quiet", "--initial-branch=main", "."]);
        scene
    }

    /// The folder that holds everything.
    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The clone.
    pub(crate) fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// The mirror's folder.
    pub(crate) fn mirror_folder(&self) -> PathBuf {
        self.root().join("mirror")
    }

    /// `git` in the clone, which must succeed; what it prints, trimmed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_with(arguments, b"")
    }

    /// `git` in the clone with this on its standard input.
    pub(crate) fn git_with(&self, arguments: &[&str], input: &[u8]) -> String {
        use std::io::Write as _;
        let mut child = self
            .command("git")
            .args(arguments)
            .current_dir(self.work())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("because git is installed");
        let mut stdin = child.stdin.take().expect("because it is piped");
        stdin.write_all(input).expect("because git reads its input");
        drop(stdin);
        let output = child.wait_with_output().expect("because it was started");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A command with nothing of the machine's Git configuration.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root().join("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Lena")
            .env("GIT_AUTHOR_EMAIL", "lena@example.com")
            .env("GIT_COMMITTER_NAME", "Lena")
            .env("GIT_COMMITTER_EMAIL", "lena@example.com")
            .env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z");
        command
    }

    /// Writes a file into the clone.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.work().join(path);
        std::fs::create_dir_all(file.parent().expect("because it is below the clone")).expect("because it may write");
        std::fs::write(file, content).expect("because the test may write");
    }

    /// Writes a file and commits everything.
    pub(crate) fn commit(&self, path: &str, content: impl AsRef<[u8]>) -> CommitId {
        self.write(path, content);
        self.git(&["add", "--all", "."]);
        self.git(&["commit", "--quiet", "--message", path]);
        self.id("HEAD")
    }

    /// The commit that a revision of the clone names.
    pub(crate) fn id(&self, revision: &str) -> CommitId {
        id(&self.git(&["rev-parse", &format!("{revision}^{{commit}}")]))
    }

    /// A mirror of a remote, in the folder for it.
    pub(crate) fn mirror_of(&self, remote: Remote) -> Mirror {
        Mirror::open(&self.mirror_folder(), remote).expect("because the folder is ours")
    }

    /// What lies in the mirror's folder for packs.
    pub(crate) fn packs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.mirror_folder().join("objects/pack")).expect("because a mirror has it");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("because it lists").file_name();
        let mut names: Vec<String> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// A remote without credentials.
pub(crate) fn remote(url: &str) -> Remote {
    Remote { url: url.to_owned(), auth: None, ca_file: None }
}

/// The branch that tests use.
pub(crate) fn main_branch() -> RefName {
    reference("refs/heads/main")
}

/// A reference name.
pub(crate) fn reference(name: &str) -> RefName {
    name.parse().expect("because it is a full reference name")
}

/// A commit id.
pub(crate) fn id(hex: &str) -> CommitId {
    hex.parse().expect("because git prints ids")
}

/// Says that this failed with this code.
#[track_caller]
pub(crate) fn assert_code<T: std::fmt::Debug>(result: Result<T, GitError>, code: Code) -> String {
    let reason = result.expect_err("because it must fail").reason();
    assert_eq!(reason.code, code, "{}", reason.message);
    reason.message
}
