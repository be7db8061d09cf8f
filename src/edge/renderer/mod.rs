//! Kustomize as a child process: a private tree that holds exactly the closure, an empty environment, no network where
//! the machine can take it away, a deadline. It trusts nothing that the child prints: the rooms read it as any input.

mod child;
mod message;

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::name::{Code, Reason, RepoPath};
use crate::render::{Closure, Contents};

/// A program that builds kustomizations, and how it is called.
#[derive(Debug, Clone)]
pub struct Kustomize {
    program: PathBuf,
    arguments: Vec<OsString>,
    unshare: Option<PathBuf>,
    folder: PathBuf,
}

impl Kustomize {
    /// Finds `kustomize`, else `kubectl`, in `PATH`.
    #[must_use]
    pub fn find() -> Option<Self> {
        let kustomize = in_path("kustomize").map(|program| Kustomize::at(program, ["build"]));
        kustomize.or_else(|| in_path("kubectl").map(|program| Kustomize::at(program, ["kustomize"])))
    }

    /// A program by its absolute path, and the arguments before the directory to build. Asks once whether a child can be
    /// run without network.
    #[must_use]
    pub fn at(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Kustomize {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            unshare: in_path("unshare").filter(|program| child::can_unshare(program)),
            folder: std::env::temp_dir(),
        }
    }

    /// The same program, with its private trees in this folder instead of the system's temporary one.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// What to say where no program was found.
    #[must_use]
    pub fn missing() -> Reason {
        Reason::new(Code::RenderFailed, "neither `kustomize` nor `kubectl` is in PATH")
    }

    /// Whether the child has no network.
    #[must_use]
    pub fn isolated(&self) -> bool {
        self.unshare.is_some()
    }

    /// Builds the kustomization at `path` from the files of the closure and nothing else.
    ///
    /// # Errors
    /// `render-failed`: what kustomize said, with file and line where it names them, or that it could not be run.
    /// `limit-exceeded`: it ran longer than `deadline`, or printed more than 64 MiB.
    pub async fn build(&self, closure: &Closure, path: &RepoPath, deadline: Duration) -> Result<Vec<u8>, Reason> {
        let folder = self.folder.clone();
        let files = closure.files().clone();
        let made = tokio::task::spawn_blocking(move || PrivateTree::make(&folder, &files)).await;
        let tree = made
            .map_err(|error| cannot("write the private tree", &io::Error::other(error)))?
            .map_err(|error| cannot("write the private tree", &error))?;
        let outcome = child::run(&self.command(&tree, path), deadline, path).await;
        let result = match outcome {
            Ok(child::Ended::Printed(output)) => Ok(output),
            Ok(child::Ended::Failed(errors)) => Err(message::reason(&errors, &tree.files, closure, path)),
            Err(reason) => Err(reason),
        };
        // The tree goes on a blocking thread; what cannot be removed is the temporary folder's cleaner's.
        let removed = tokio::task::spawn_blocking(move || tree.folder.close()).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "could not remove a private tree");
        }
        result
    }

    fn command(&self, tree: &PrivateTree, path: &RepoPath) -> child::Line {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(unshare) = &self.unshare {
            words.extend([unshare.into(), "--net".into(), "--map-root-user".into(), "--".into()]);
        }
        words.push(self.program.clone().into());
        words.extend(self.arguments.iter().cloned());
        // With `./` no path looks like an option or a host.
        words.push(format!("./{}", path.as_str()).into());
        child::Line { words, directory: tree.files.clone(), home: tree.home.clone() }
    }
}

/// A folder of our own: the closure's files, and an empty home beside them.
struct PrivateTree {
    folder: TempDir,
    files: PathBuf,
    home: PathBuf,
}

impl PrivateTree {
    fn make(parent: &Path, contents: &Contents) -> io::Result<Self> {
        let owner_only = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("lockmaster-").permissions(owner_only).tempdir_in(parent)?;
        // Kustomize prints real paths; only they can be cut from its messages.
        let real = folder.path().canonicalize()?;
        let (files, home) = (real.join("tree"), real.join("home"));
        private_directory(&files)?;
        private_directory(&home)?;
        for (path, bytes) in contents {
            let file = files.join(path.as_str());
            private_directory(file.parent().unwrap_or(&files))?;
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?.write_all(bytes)?;
        }
        Ok(PrivateTree { folder, files, home })
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|f| f.join(name)).find(|p| p.is_file())
}

fn cannot(what: &str, error: &io::Error) -> Reason {
    Reason::new(Code::RenderFailed, format!("cannot {what} for kustomize: {error}"))
}
