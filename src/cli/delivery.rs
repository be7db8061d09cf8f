//! A commit that a person's own git makes and pushes: to a branch, or where the remote does not take it there to one beside
//! it that the forge can merge.

use super::diagnostic::{Failure, escape};
use super::statement::Desk;
use crate::edge::git::{GitCommand, GitCommandError};
use crate::name::{Code, CommitId, RefName};

/// Makes and signs a commit.
///
/// # Errors
/// Git cannot sign.
pub(super) fn make(desk: &Desk, command: &GitCommand) -> Result<CommitId, Failure> {
    let made = desk.run(command).map_err(not_signed)?;
    let id = String::from_utf8_lossy(&made).trim().parse();
    let id = id.map_err(|error| Failure::new(Code::Bug, format!("git prints an id that is none: {error}")))?;
    Ok(CommitId(id))
}

/// Where a commit goes.
pub(super) struct Way<'w> {
    /// The repository.
    pub(super) url: &'w str,
    /// The branch.
    pub(super) branch: &'w RefName,
    /// The one beside it.
    pub(super) beside: &'w str,
    /// Whether it goes there too where the branch moved: else that is a failure.
    pub(super) moved: bool,
}

/// Pushes a commit; gives the branch that took it.
///
/// # Errors
/// Git cannot push, or the remote takes it nowhere.
pub(super) fn push(desk: &Desk, way: &Way<'_>, commit: &CommitId) -> Result<String, Failure> {
    match desk.run(&desk.push_to(way.url, commit.as_str(), way.branch.as_str())) {
        Ok(_) => Ok(way.branch.short().to_owned()),
        Err(GitCommandError::Failed { said, .. }) if is_refusal(&said, way.moved) => {
            let pushed = desk.run(&desk.push_to(way.url, commit.as_str(), &format!("refs/heads/{}", way.beside)));
            pushed.map(|_| way.beside.to_owned()).map_err(|error| not_pushed(error, way.url))
        }
        Err(error) => Err(not_pushed(error, way.url)),
    }
}

/// Whether the remote answered, and said no to this branch (git-push, "OUTPUT"): it is protected, or it has moved.
fn is_refusal(said: &str, moved: bool) -> bool {
    said.contains("[remote rejected]") || (moved && said.contains("[rejected]"))
}

fn not_signed(error: GitCommandError) -> Failure {
    let hint =
        "sign with an SSH key: git config gpg.format ssh && git config user.signingkey FILE; or name one: --key FILE";
    let failure = Failure::new(Code::Usage, "git did not sign the commit; nothing was pushed").with_hint(hint);
    because(failure, error)
}

fn not_pushed(error: GitCommandError, url: &str) -> Failure {
    let text = format!("the commit was made and not pushed to `{}`", escape(url));
    because(Failure::new(Code::FetchFailed, text).with_hint("see whether you may push: git push --dry-run URL"), error)
}

fn because(failure: Failure, error: GitCommandError) -> Failure {
    match error {
        GitCommandError::Failed { said, .. } if !said.is_empty() => failure.because(said),
        GitCommandError::Failed { .. } => failure,
        other => failure.because(other),
    }
}
