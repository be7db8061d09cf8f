//! `hold` and `unhold`: this content does not deploy again until somebody says so; somebody says so.

use super::answer::Answer;
use super::arguments::{self, At, Target};
use super::confirm::confirm;
use super::diagnostic::Failure;
use super::site::find;
use super::statement::{self, Order, Road};
use super::{history, revision};
use crate::agent::run;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::agent::walk::Look;
use crate::config::Environment;
use crate::deploylog::{Hold, Log, Past, Phase};
use crate::name::{Class, Code, CommitId, Reason};
use crate::revision::statement::Verb;

/// Whether a target names an entry of the log, which lies in the cluster.
pub(super) fn names_an_entry(target: &Target) -> bool {
    matches!(target.at, At::Sequence(_) | At::Latest)
}

/// Keeps content from deploying again.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) async fn hold(site: &Site, url: &str, arguments: &arguments::Hold, hints: bool) -> Result<Answer, Failure> {
    let reason = Some(statement::spoken(&arguments.reason)?);
    let environment = find(site, &arguments.target.environment)?;
    let Look { tip, .. } = run::look(site, std::slice::from_ref(&environment.branch)).await.at(site, &environment);
    let road = road(&tip);
    let commit = match &arguments.target.at {
        At::Tip => tip?,
        At::Revision(revision) => revision::commit(site, revision).await?,
        At::Sequence(sequence) => released(&environment, &survey::log(site, &environment).await?, Some(*sequence))?,
        At::Latest => released(&environment, &survey::log(site, &environment).await?, None)?,
    };
    let (about, trailers) = (vec![(environment, commit)], Vec::new());
    let order = Order { verb: Verb::Hold, about, reason, trailers, name: None, signing: &arguments.signing, road };
    statement::answer(site, url, &order, hints).await
}

/// Lets held content deploy again.
///
/// # Errors
/// As [`hold`], or there is no such hold.
pub(super) async fn unhold(
    site: &Site,
    url: &str,
    arguments: &arguments::Unhold,
    hints: bool,
) -> Result<Answer, Failure> {
    let reason = Some(statement::spoken(&arguments.reason)?);
    let environment = find(site, &arguments.target.environment)?;
    let log = survey::log(site, &environment).await?;
    let hold = chosen(&environment, &Past::of(&log, site.keep()).holds, &arguments.target)?;
    if !arguments.signing.dry_run {
        let (name, sequence, short) = (&environment.name, hold.sequence, hold.held.commit.short());
        let question =
            format!("let what {name}/{sequence} holds deploy to `{name}` again, {short} held by {}", hold.by);
        confirm(&question, arguments.signing.yes)?;
    }
    let Look { tip, .. } = run::look(site, std::slice::from_ref(&environment.branch)).await.at(site, &environment);
    let (trailers, signing) = (vec![format!("Sequence: {}", hold.sequence)], &arguments.signing);
    let about = vec![(environment, hold.held.commit)];
    let order = Order { verb: Verb::Unhold, about, reason, trailers, name: None, signing, road: road(&tip) };
    statement::answer(site, url, &order, hints).await
}

/// Where Git does not answer, a statement goes into the cluster.
fn road(tip: &Result<CommitId, Reason>) -> Road {
    let away = tip.as_ref().err().filter(|reason| reason.code.class() == Class::Retried);
    away.map_or(Road::GitElseCluster, |reason| Road::Cluster(reason.clone()))
}

/// The commit of the release that an entry is about.
fn released(environment: &Environment, log: &Log, sequence: Option<u64>) -> Result<CommitId, Reason> {
    let entry = history::entry(environment, log, sequence)?;
    let is_release = entry.body.phase == Some(Phase::Opened) || entry.body.of.is_some();
    let commit = entry.body.commit.as_ref().filter(|_| is_release);
    let (name, sequence) = (&environment.name, entry.sequence);
    let none = || {
        let text = format!("`{name}/{sequence}` opened no release; see: lockmaster show {name}/{sequence}");
        Reason::new(Code::Usage, text)
    };
    commit.map(|commit| commit.id.clone()).ok_or_else(none)
}

/// The hold that a target names, or the only one.
fn chosen(environment: &Environment, held: &[Hold], target: &Target) -> Result<Hold, Failure> {
    let name = &environment.name;
    let line = |hold: &Hold| {
        let (sequence, commit, by) = (hold.sequence, hold.held.commit.short(), &hold.by);
        format!("{name}/{sequence} {commit}, by {by}: {}", hold.reason)
    };
    let wanted = match (&target.at, held) {
        (_, []) => return Err(Failure::new(Code::Usage, format!("nothing is on hold in `{name}`"))),
        (At::Tip, [only]) => return Ok(only.clone()),
        (At::Tip, _) => None,
        (At::Latest, _) => held.iter().map(|held| held.sequence).max(),
        (At::Sequence(sequence), _) => Some(*sequence),
        (At::Revision(_), _) => {
            let text = format!("`{target}` names a commit: write the entry of the hold, `{name}/SEQUENCE`");
            return Err(Failure::new(Code::Usage, text));
        }
    };
    let found = wanted.and_then(|wanted| held.iter().find(|held| held.sequence == wanted));
    found.cloned().ok_or_else(|| {
        let text = match wanted {
            Some(wanted) => format!("`{name}/{wanted}` is no hold that stands"),
            None => format!("{} holds stand in `{name}`: say which", held.len()),
        };
        let lines: Vec<String> = std::iter::once(text).chain(held.iter().map(line)).collect();
        Failure::new(Code::Usage, lines.join("\n"))
            .with_hint(format!("name it: lockmaster unhold {name}/SEQUENCE --reason WHY"))
    })
}
