//! Finds the commit that a person names: the tip of an environment's branch, or `ENV@REV`.

use super::arguments::{At, Target};
use crate::agent::run;
use crate::agent::site::Site;
use crate::config::Environment;
use crate::edge::git;
use crate::name::{Code, CommitId, Reason};

/// The commit of a target, with its history in the mirror.
///
/// # Errors
/// There is none, it cannot be read, or this way to name it is not built yet.
pub(super) async fn commit(site: &Site, environment: &Environment, target: &Target) -> Result<CommitId, Reason> {
    match &target.at {
        At::Tip => {
            let tips = run::tips(site, std::slice::from_ref(&environment.branch)).await;
            tips.into_values().next().unwrap_or_else(|| Err(run::missing(&environment.branch)))
        }
        At::Revision(revision) => named(site, revision).await,
        At::Sequence(_) | At::Latest => {
            Err(Reason::new(Code::Usage, format!("`{target}`: releases of log entries are not supported here yet")))
        }
    }
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
