//! `--wait`: follows the log in the cluster until the rollback has settled.

use std::time::Duration;

use futures::StreamExt as _;

use super::choice::Choice;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::cli::diagnostic::Failure;
use crate::cli::unit;
use crate::config::Environment;
use crate::deploylog::{Action, Log, Phase};
use crate::name::{Code, Reason};

/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How a rollback ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// The entry that opened it.
    pub(super) opened: u64,
    /// Why it failed; nothing where it is healthy.
    pub(super) failed: Option<Vec<Reason>>,
}

/// Waits until what stands is the release, and healthy or failed.
///
/// # Errors
/// The log cannot be read, or nothing of that happened in half an hour.
pub(super) async fn wait(site: &Site, environment: &Environment, choice: &Choice) -> Result<Ended, Failure> {
    let ended = tokio::time::timeout(PATIENCE, watch(site, environment, choice)).await;
    ended.unwrap_or_else(|_| {
        let (name, to) = (&environment.name, choice.to.sequence);
        let called = unit::called(environment);
        let text = format!("the rollback of {called} to {name}/{to} was stated, and is not healthy after 30m");
        Err(Failure::new(Code::TimedOut, text).with_hint(format!("look: lockmaster status {name}")))
    })
}

async fn watch(site: &Site, environment: &Environment, choice: &Choice) -> Result<Ended, Failure> {
    let mut changes = std::pin::pin!(site.target()?.journal.watch_entries(&environment.name));
    loop {
        // A watch that fails goes on by itself, and the log can be read or not.
        let _ = changes.next().await;
        if let Some(ended) = ended(&survey::log(site, environment).await?, choice) {
            return Ok(ended);
        }
    }
}

fn ended(log: &Log, choice: &Choice) -> Option<Ended> {
    let rollback = log.entries.iter().rev().find(|entry| {
        let opened = entry.body.phase == Some(Phase::Opened) && !entry.lapsed;
        opened && entry.body.action == Action::Rollback && entry.body.release == Some(choice.to.release)
    })?;
    let (opened, standing) = (rollback.sequence, log.standing.as_ref()?);
    if opened <= choice.undone {
        return None;
    }
    if standing.sequence != opened {
        let text = format!("another release took its place: {}", standing.commit.id.short());
        return Some(Ended { opened, failed: Some(vec![Reason::new(Code::Superseded, text)]) });
    }
    match standing.outcome.as_ref()?.0 {
        Phase::Settled | Phase::Proven => Some(Ended { opened, failed: None }),
        Phase::Failed => Some(Ended { opened, failed: Some(standing.reasons.clone()) }),
        Phase::Opened | Phase::Superseded => None,
    }
}
