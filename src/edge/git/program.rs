//! The `git` program of the person at the keyboard: it signs and pushes with that person's configuration, keys and
//! credentials, none of which this process ever holds. Only verbs that a person types call it; the agent never does.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository that git works in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// The clone around the working directory.
    Clone,
    /// A bare repository, such as a mirror.
    Bare(PathBuf),
}

/// One call of git, printed as it would be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCommand(Vec<String>);

/// Why a call of git did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum GitCommandError {
    /// There is no such program.
    #[error("no `git` in PATH: signing and pushing are its work")]
    Missing,
    /// It could not be started.
    #[error("`git` cannot be started: {0}")]
    Start(#[source] io::Error),
    /// It failed; says what it printed.
    #[error("`{command}` failed")]
    Failed {
        /// What was called.
        command: GitCommand,
        /// Standard error, trimmed.
        said: String,
    },
}

impl GitCommand {
    /// A call of git in a repository.
    pub fn new<S: Into<String>>(ground: &Ground, words: impl IntoIterator<Item = S>) -> GitCommand {
        let at = match ground {
            Ground::Clone => None,
            Ground::Bare(folder) => Some(format!("--git-dir={}", folder.display())),
        };
        GitCommand(at.into_iter().chain(words.into_iter().map(Into::into)).collect())
    }

    /// Runs it to its end, with the terminal for passwords, and gives what it prints on standard output.
    ///
    /// # Errors
    /// See [`GitCommandError`].
    pub fn run(&self) -> Result<Vec<u8>, GitCommandError> {
        let output = Command::new("git").args(&self.0).stdin(Stdio::inherit()).output();
        let output = output.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => GitCommandError::Missing,
            _ => GitCommandError::Start(error),
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitCommandError::Failed { command: self.clone(), said })
    }
}

/// For `sh` (POSIX, Shell Command Language, section 2.2.2: everything but `'` stands for itself inside single quotes).
impl fmt::Display for GitCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("git")?;
        self.0.iter().try_for_each(|word| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@+,%".contains(&byte);
            if !word.is_empty() && word.bytes().all(plain) {
                write!(f, " {word}")
            } else {
                write!(f, " '{}'", word.replace('\'', r"'\''"))
            }
        })
    }
}

/// Whether two urls name one repository, however each is written: an scp-like address and `ssh://` with the same host and
/// path, with or without `.git`; of two paths, whether they lead to one folder.
#[must_use]
pub fn same_repository(one: &str, other: &str) -> bool {
    let (one, other) = (place(one), place(other));
    one.is_some() && one == other
}

/// Host and path, or a folder; `None` where that cannot be said.
fn place(url: &str) -> Option<(String, String)> {
    let short = |path: &str| path.trim_matches('/').trim_end_matches(".git").trim_end_matches('/').to_owned();
    let (authority, path) = match url.split_once("://") {
        Some(("file", path)) => return folder(path),
        Some((_, rest)) => rest.split_once('/')?,
        None => match url.split_once(':') {
            Some((authority, path)) if !authority.contains('/') => (authority, path),
            _ => return folder(url),
        },
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.strip_suffix(":22").or(host.strip_suffix(":443")).unwrap_or(host);
    Some((host.to_ascii_lowercase(), short(path)))
}

fn folder(path: &str) -> Option<(String, String)> {
    let real = Path::new(path).canonicalize().ok()?;
    // `/srv/clone/.git` and `/srv/clone` are one repository.
    let real = if real.ends_with(".git") { real.parent()?.to_owned() } else { real };
    Some((String::new(), real.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_prints_as_a_shell_reads_it() {
        let command = GitCommand::new(&Ground::Clone, ["tag", "-s", "-m", "it's\n$HOME", "", "a/b"]);
        assert_eq!(command.to_string(), "git tag -s -m 'it'\\''s\n$HOME' '' a/b");
        let bare = GitCommand::new(&Ground::Bare("/a b".into()), ["push"]);
        assert_eq!(bare.to_string(), "git '--git-dir=/a b' push");
    }

    #[test]
    fn one_repository_has_several_addresses() {
        for (one, other, same) in [
            ("https://git.example.com/shop/deploy.git", "https://GIT.example.com/shop/deploy/", true),
            ("https://git.example.com/shop/deploy.git", "git@git.example.com:shop/deploy.git", true),
            ("ssh://git@git.example.com:22/shop/deploy", "git@git.example.com:shop/deploy.git", true),
            ("ssh://git@git.example.com:2222/shop/deploy", "git@git.example.com:shop/deploy.git", false),
            ("https://git.example.com/shop/deploy", "https://git.example.com/shop/other", false),
            ("https://git.example.com/shop/deploy", "https://example.com/shop/deploy", false),
            ("/nowhere/a", "/nowhere/a", false),
        ] {
            assert_eq!(same_repository(one, other), same, "{one} {other}");
        }
        let folder = tempfile::tempdir().expect("because there is room");
        std::fs::create_dir(folder.path().join(".git")).expect("because the folder is ours");
        let path = folder.path().display().to_string();
        assert!(same_repository(&path, &format!("file://{path}/.git")));
    }
}
