//! A stage for the whole program: a Git repository with signed commits, a pipeline file, a real control plane behind a
//! fault proxy, and the real binary.

#![expect(dead_code, reason = "each test binary uses its own part of the stage")]

pub(crate) mod shop;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::control_plane::proxy::Proxy;
use crate::control_plane::{ControlPlane, signer};

/// Keeps the expectation above true in a binary that uses everything.
const NOT_USED_BY_ANY: () = ();

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// One repository, one pipeline, one agent namespace.
pub(crate) struct Stage {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) proxy: Proxy,
    pub(crate) agent_namespace: String,
    pub(crate) repository: PathBuf,
    folder: tempfile::TempDir,
    kubeconfig: PathBuf,
}

/// Who signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A signer of the pipeline.
    Dana,
    /// Nobody's key that counts.
    Mallory,
    /// No signature at all.
    Nobody,
}

impl Stage {
    /// An empty repository on branch `main`, keys, and an agent namespace of its own.
    pub(crate) fn new(plane: &'static ControlPlane) -> Stage {
        static STAGES: AtomicUsize = AtomicUsize::new(0);
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().expect("because there is room for a folder");
        let repository = folder.path().join("repository");
        std::fs::create_dir(&repository).expect("because the folder is ours");
        let proxy = Proxy::start(plane, crate::control_plane::AGENT);
        let kubeconfig = proxy.kubeconfig();
        let agent_namespace = format!("lockmaster-{}-{number}", std::process::id());
        let stage = Stage { plane, proxy, agent_namespace, repository, folder, kubeconfig };
        stage.make_keys();
        stage.git(&["init", "-q", "-b", "main"]);
        stage
    }

    /// The same, but the agent speaks to the API server itself, as this user.
    pub(crate) fn straight(plane: &'static ControlPlane, user: &str) -> Stage {
        Stage { kubeconfig: plane.kubeconfig(user), ..Stage::new(plane) }
    }

    fn make_keys(&self) {
        let mut signers = String::new();
        for name in ["dana", "mallory"] {
            let file = self.folder.path().join(name);
            let public = signer::make_key(&file, name);
            if name == "dana" {
                signers = format!("dana@example.com namespaces=\"git\" {public}");
            }
        }
        std::fs::write(self.folder.path().join("allowed_signers"), signers).expect("because the folder is ours");
        let config = format!(
            "[user]\n\tname = Dana\n\temail = dana@example.com\n\tsigningkey = {}\n[gpg]\n\tformat = ssh\n[gpg \"ssh\"]\n\tprogram = {}\n[commit]\n\tgpgsign = true\n",
            self.folder.path().join("dana").display(),
            signer::program(self.folder.path()).display()
        );
        std::fs::write(self.folder.path().join(".gitconfig"), config).expect("because the folder is ours");
    }

    /// Where the pipeline file and the keys are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A command with nothing of the surrounding environment but the path.
    fn clean(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z").env("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z");
        if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS") {
            let old = std::env::var_os("PATH").unwrap_or_default();
            let paths = std::env::split_paths(&old).chain([PathBuf::from(assets)]);
            command.env("PATH", std::env::join_paths(paths).expect("because paths were split from one"));
        }
        command
    }

    /// Runs git in the repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.clean("git").current_dir(&self.repository).args(arguments).output();
        let output = output.expect("because git is there");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Writes a file of the working tree.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.repository.join(path);
        std::fs::create_dir_all(file.parent().expect("because it lies in the repository")).expect("because it is ours");
        std::fs::write(file, text).expect("because it is ours");
    }

    /// Copies a folder into the working tree.
    pub(crate) fn copy(&self, from: &Path, to: &str) {
        for entry in std::fs::read_dir(from).expect("because the folder can be read") {
            let entry = entry.expect("because the folder can be read");
            let name = format!("{to}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                self.copy(&entry.path(), name.trim_start_matches('/'));
            } else {
                let bytes = std::fs::read(entry.path()).expect("because the file can be read");
                self.write(name.trim_start_matches('/'), &String::from_utf8_lossy(&bytes));
            }
        }
    }

    /// Commits the whole working tree.
    pub(crate) fn commit(&self, who: Who, subject: &str) -> String {
        self.git(&["add", "-A"]);
        let mallory = format!("user.signingkey={}", self.folder.path().join("mallory").display());
        match who {
            Who::Dana => self.git(&["commit", "-q", "--allow-empty", "-m", subject]),
            Who::Mallory => self.git(&["-c", &mallory, "commit", "-q", "--allow-empty", "-m", subject]),
            Who::Nobody => self.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", subject]),
        };
        self.head()
    }

    /// The commit that is checked out.
    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes the pipeline file: its environments, as YAML list items.
    pub(crate) fn pipeline(&self, environments: &str) {
        let text = format!(
            "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {{name: shop}}\nspec:\n  repository: {{url: {}}}\n  trust: {{signers: {{file: allowed_signers}}}}\n  environments:\n{environments}\n",
            self.repository.display()
        );
        std::fs::write(self.folder.path().join("lockmaster.yaml"), text).expect("because the folder is ours");
    }

    /// The program, ready to run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.clean(env!("CARGO_BIN_EXE_lockmaster"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .args(["--agent-namespace", &self.agent_namespace])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("LOCKMASTER_STATE_DIR", self.folder.path().join("state"));
        command
    }

    /// Runs the program to its end.
    pub(crate) fn lockmaster(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("because the program was built");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Starts the program and returns at once.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        if arguments.contains(&"--listen") && !arguments.contains(&"--metrics-listen") {
            command.args(["--metrics-listen", "127.0.0.1:0"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("because the program was built")
    }

    /// Runs the agent once and expects this exit code.
    pub(crate) fn run_once(&self, code: i32) -> Ran {
        let ran = self.lockmaster(&["run", "--once"]);
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        ran
    }
}
