//! Finds the commit that a person names: the tip of an environment's branch, or `ENV@REV`.

use std::collections::BTreeMap;

use super::arguments::{At, Target};
use crate::agent::run;
use crate::agent::site::Site;
use crate::agent::walk::Look;
use crate::config::Environment;
use crate::edge::git;
use crate::name::{Code, CommitId, ObjectId, Reason, RefName};

/// What a target names, and the statements that the repository holds about its environment.
pub(super) struct Found {
    /// The commit, with its history in the mirror; or why there is none.
    pub(super) commit: Result<CommitId, Reason>,
    /// The tags.
    pub(super) statements: BTreeMap<RefName, ObjectId>,
}

/// Finds what a target names; one look at the repository serves both.
pub(super) async fn find(site: &Site, environment: &Environment, target: &Target) -> Found {
    let looked = run::look(site, std::slice::from_ref(&environment.branch)).await;
    let Look { tip, statements } = looked.at(site, environment);
    let commit = match &target.at {
        At::Tip => tip,
        At::Revision(revision) => named(site, revision).await,
        At::Sequence(_) | At::Latest => {
            Err(Reason::new(Code::Usage, format!("`{target}`: releases of log entries are not supported here yet")))
        }
    };
    Found { commit, statements: statements.unwrap_or_default() }
}

/// The commit of a revision.
///
/// # Errors
/// It names none, or the repository cannot be read.
pub(super) async fn commit(site: &Site, revision: &str) -> Result<CommitId, Reason> {
    named(site, revision).await
}

/// `HEAD` and what only the clone at the working directory knows is taken from there; everything else from the mirror.
async fn named(site: &Site, revision: &str) -> Result<CommitId, Reason> {
    let folder = std::env::current_dir().map_err(|error| Reason::new(Code::RefNotFound, error.to_string()))?;
    let name = revision.to_owned();
    let clone = folder.clone();
    let here = tokio::task::spawn_blocking(move || git::clone_head(&clone, &name)).await;
    if let Ok(Ok(commit)) = here {
        let id = commit.clone();
        site.with_mirror(move |mirror| mirror.take_from(&folder, &id)).await.map_err(|error| error.reason())?;
        return Ok(commit);
    }
    let name = revision.to_owned();
    let found = site.with_mirror(move |mirror| mirror.resolve(&name)).await.map_err(|error| error.reason());
    found.map_err(|reason| match reason.code {
        // What a person mistyped is no verdict on a commit.
        Code::RefNotFound => Reason::new(
            Code::Usage,
            format!("`{revision}` names no commit, neither in a clone at the working directory nor in the repository"),
        ),
        _ => reason,
    })
}
