//! What can go wrong with Git, and the code it is told by.

use std::path::PathBuf;

use crate::name::{Code, CommitId, ObjectId, Reason};

/// Why Git did not give what was asked for. No message names a credential.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The url, or the credentials for it, are of a form that is never used.
    #[error("remote `{url}`: {found}")]
    InvalidUrl { url: String, found: String },
    /// The remote is gone, unreachable or broke off.
    #[error("remote `{url}`: {found}")]
    Fetch { url: String, found: String },
    /// The remote answered, and does not take a push to this branch.
    #[error("remote `{url}`: does not take the push to `{branch}`: {found}")]
    Refused { url: String, branch: String, found: String },
    /// One side did not accept who the other is.
    #[error("remote `{url}`: {found}")]
    Authentication { url: String, found: String },
    /// A reference or a revision is missing or names no commit.
    #[error("`{name}` {found}")]
    RefNotFound { name: String, found: String },
    /// The remote has only a part of the history.
    #[error("remote `{url}` is a shallow clone")]
    ShallowRemote { url: String },
    /// A commit's parent did not come with it.
    #[error("commit `{commit}` has parent `{parent}`, which is missing")]
    IncompleteHistory { commit: CommitId, parent: ObjectId },
    /// Bytes are not what their id says, or not the object they should be.
    #[error("{object}: {found}")]
    Corrupt { object: String, found: String },
    /// An input is larger than it may be.
    #[error("{what}: {found} is over the limit of {limit}")]
    Limit { what: String, limit: u64, found: u64, file: Option<String> },
    /// Remote and mirror lost the accepted head.
    #[error("accepted commit `{commit}` is neither in the mirror nor at the remote")]
    AcceptedMissing { commit: CommitId },
    /// A path that cannot be told from others, or leaves the source.
    #[error("path `{path}` {found}")]
    UnsafePath { path: String, found: &'static str },
    /// A file that the tree does not have.
    #[error("path `{path}` is not in the tree")]
    NotInTree { path: String },
    /// A folder on this machine cannot be used.
    #[error("folder `{}`: {found}", folder.display())]
    Folder { folder: PathBuf, found: String },
}

impl GitError {
    /// The error as a reason with its stable code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let reason = Reason::new(self.code(), self.to_string());
        match self {
            GitError::IncompleteHistory { commit, .. } | GitError::AcceptedMissing { commit } => {
                reason.at_commit(commit.clone())
            }
            GitError::UnsafePath { path, .. } | GitError::NotInTree { path } => reason.at_file(path, None, None),
            GitError::Limit { file: Some(file), .. } => reason.at_file(file, None, None),
            GitError::InvalidUrl { .. }
            | GitError::Fetch { .. }
            | GitError::Refused { .. }
            | GitError::Authentication { .. }
            | GitError::RefNotFound { .. }
            | GitError::ShallowRemote { .. }
            | GitError::Corrupt { .. }
            | GitError::Limit { file: None, .. }
            | GitError::Folder { .. } => reason,
        }
    }

    fn code(&self) -> Code {
        match self {
            GitError::InvalidUrl { .. } => Code::InvalidValue,
            GitError::Fetch { .. } | GitError::Refused { .. } | GitError::Folder { .. } => Code::FetchFailed,
            GitError::Authentication { .. } => Code::AuthenticationFailed,
            GitError::RefNotFound { .. } => Code::RefNotFound,
            GitError::ShallowRemote { .. } | GitError::IncompleteHistory { .. } => Code::IncompleteHistory,
            GitError::Corrupt { .. } => Code::CorruptObject,
            GitError::Limit { .. } => Code::LimitExceeded,
            GitError::AcceptedMissing { .. } => Code::AcceptedCommitMissing,
            GitError::UnsafePath { .. } => Code::UnsafePath,
            GitError::NotInTree { .. } => Code::PathNotFound,
        }
    }

    /// What libgit2 said while it talked to the remote.
    pub(super) fn from_remote(url: &str, error: &git2::Error) -> GitError {
        use git2::{ErrorClass, ErrorCode};
        let (url, said) = (url.to_owned(), error.message().to_owned());
        let status = |code: &str| said.ends_with(&format!("status code: {code}"));
        if matches!(error.code(), ErrorCode::Auth | ErrorCode::Certificate) || status("401") || status("403") {
            return GitError::Authentication { url, found: said };
        }
        // While fetching, libgit2 1.9 says this of one thing only: a `shallow` line where the server lists its references.
        if error.class() == ErrorClass::Net && said == "invalid packet line" {
            return GitError::ShallowRemote { url };
        }
        if status("404") || error.code() == ErrorCode::NotFound {
            return GitError::Fetch { url, found: format!("not found: {said}") };
        }
        // A local remote is packed in this process, and libgit2 parses every commit on the way.
        if said.starts_with("failed to parse ") {
            return GitError::Corrupt { object: format!("a commit from `{url}`"), found: said };
        }
        match error.class() {
            ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object | ErrorClass::Indexer => {
                GitError::Corrupt { object: format!("pack from `{url}`"), found: said }
            }
            _ => GitError::Fetch { url, found: said },
        }
    }

    /// What libgit2 said about an object of the mirror or a clone.
    pub(super) fn from_object(object: &str, error: &git2::Error) -> GitError {
        GitError::Corrupt { object: object.to_owned(), found: error.message().to_owned() }
    }

    /// What the system said about a folder.
    pub(super) fn folder(folder: impl Into<PathBuf>, found: impl ToString) -> GitError {
        GitError::Folder { folder: folder.into(), found: found.to_string() }
    }
}
