//! `hold` and `unhold`: this content does not deploy again until somebody says so; somebody says so.

use std::collections::BTreeSet;

use super::answer::Answer;
use super::arguments::{self, At, Target};
use super::confirm::confirm;
use super::diagnostic::Failure;
use super::site::find;
use super::statement::{self, Order, Road};
use super::{history, revision, unit};
use crate::agent::run;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::agent::walk::Look;
use crate::config::Environment;
use crate::course::Ledger;
use crate::deploylog::{Entry, Hold, Log, Past, Phase};
use crate::name::{Class, Code, CommitId, Reason, UnitName};
use crate::revision::statement::Verb;

/// Holds that a message lists.
const LISTED: usize = 20;

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
    let (road, is_tip) = (road(&tip), arguments.target.at == At::Tip);
    // Without a cluster, a statement about a commit needs no log where there are no units.
    let ledger = match environment.units.is_some() || names_an_entry(&arguments.target) {
        true => survey::ledger(site, &environment).await?,
        false => survey::nothing(),
    };
    // With a unit, `latest` is the newest entry of that unit.
    let own = arguments.unit.as_ref().map(|unit| ledger.of(unit).log);
    let (commit, entry) = match &arguments.target.at {
        At::Tip => (tip?, None),
        At::Revision(revision) => (revision::commit(site, revision).await?, None),
        At::Sequence(sequence) => released(&environment, &ledger.whole, Some(*sequence))?,
        At::Latest => released(&environment, own.as_ref().unwrap_or(&ledger.whole), None)?,
    };
    let command = format!("lockmaster hold {} --reason WHY", arguments.target);
    let unit = match (&arguments.unit, entry) {
        (given, Some(_)) => unit::of_entry(&environment, &ledger, entry, given.as_ref(), &command)?,
        (Some(given), None) => {
            let known = survey::candidates(site, &environment, &ledger, Ok(commit.clone())).await;
            unit::check(&environment, known.units.keys(), given)?;
            given.clone()
        }
        (None, None) if environment.units.is_none() => UnitName::whole(),
        (None, None) => {
            let about = about(site, &environment, &ledger, &commit, is_tip).await;
            unit::only(&format!("{} in `{}`", commit.short(), environment.name), &about, &command)?
        }
    };
    let environment = environment.of_unit(&unit);
    let trailers = statement::unit_trailer(&environment).into_iter().collect();
    let about = vec![(environment, commit)];
    let order = Order { verb: Verb::Hold, about, reason, trailers, name: None, signing: &arguments.signing, road };
    statement::answer(site, url, &order, hints).await
}

/// The units that a commit is about: those that were opened at it, and of a tip, or of a commit that opened nothing, those to
/// which it brings something.
async fn about(
    site: &Site,
    environment: &Environment,
    ledger: &Ledger,
    commit: &CommitId,
    is_tip: bool,
) -> Vec<UnitName> {
    let opened = |log: &Log| {
        let mut entries = log.entries.iter().filter(|entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed);
        entries.any(|entry| entry.body.commit.as_ref().is_some_and(|opened| opened.id == *commit))
    };
    let logs = ledger.logs.iter().filter(|(_, log)| opened(log));
    let mut about: BTreeSet<UnitName> = logs.map(|(unit, _)| unit.clone()).collect();
    if is_tip || about.is_empty() {
        about.extend(unit::waiting(site, environment, ledger, Ok(commit.clone())).await);
    }
    about.into_iter().collect()
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
    let ledger = survey::ledger(site, &environment).await?;
    let (unit, hold) = chosen(site, &environment, &ledger, arguments)?;
    let environment = environment.of_unit(&unit);
    if !arguments.signing.dry_run {
        let (name, sequence, short) = (&environment.name, hold.sequence, hold.held.commit.short());
        let called = unit::called(&environment);
        let question =
            format!("let what {name}/{sequence} holds deploy to {called} again, {short} held by {}", hold.by);
        confirm(&question, arguments.signing.yes)?;
    }
    let Look { tip, .. } = run::look(site, std::slice::from_ref(&environment.branch)).await.at(site, &environment);
    let (mut trailers, signing) = (vec![format!("Sequence: {}", hold.sequence)], &arguments.signing);
    trailers.extend(statement::unit_trailer(&environment));
    let about = vec![(environment, hold.held.commit)];
    let order = Order { verb: Verb::Unhold, about, reason, trailers, name: None, signing, road: road(&tip) };
    statement::answer(site, url, &order, hints).await
}

/// Where Git does not answer, a statement goes into the cluster.
fn road(tip: &Result<CommitId, Reason>) -> Road {
    let away = tip.as_ref().err().filter(|reason| reason.code.class() == Class::Retried);
    away.map_or(Road::GitElseCluster, |reason| Road::Cluster(reason.clone()))
}

/// The release that an entry is about: its commit, and the entry.
fn released<'l>(
    environment: &Environment,
    log: &'l Log,
    sequence: Option<u64>,
) -> Result<(CommitId, Option<&'l Entry>), Reason> {
    let entry = history::entry(environment, log, sequence)?;
    let of_part = entry.body.parts.values().any(|part| part.of.is_some());
    let is_release = entry.body.phase == Some(Phase::Opened) || entry.body.of.is_some() || of_part;
    let commit = entry.body.commit.as_ref().filter(|_| is_release);
    let (name, sequence) = (&environment.name, entry.sequence);
    let none = || {
        let text = format!("`{name}/{sequence}` opened no release; see: lockmaster show {name}/{sequence}");
        Reason::new(Code::Usage, text)
    };
    commit.map(|commit| (commit.id.clone(), Some(entry))).ok_or_else(none)
}

/// The hold that a target names, or the only one, and the unit that it is of.
fn chosen(
    site: &Site,
    environment: &Environment,
    ledger: &Ledger,
    arguments: &arguments::Unhold,
) -> Result<(UnitName, Hold), Failure> {
    if let Some(unit) = &arguments.unit {
        unit::check(environment, ledger.logs.keys(), unit)?;
    }
    let logs = ledger.logs.iter().filter(|(unit, _)| arguments.unit.as_ref().is_none_or(|given| given == *unit));
    let of = |(unit, log): (&UnitName, &Log)| {
        Past::of(log, site.keep()).holds.into_iter().map(|hold| (unit.clone(), hold)).collect::<Vec<_>>()
    };
    let held: Vec<(UnitName, Hold)> = logs.flat_map(of).collect();
    let (name, target) = (&environment.name, &arguments.target);
    let called = match &arguments.unit {
        Some(unit) => unit::called(&environment.of_unit(unit)),
        None => format!("`{name}`"),
    };
    let wanted = match (&target.at, held.as_slice()) {
        (_, []) => return Err(Failure::new(Code::Usage, format!("nothing is on hold in {called}"))),
        (At::Tip, [only]) => return Ok(only.clone()),
        (At::Tip, _) => None,
        (At::Latest, _) => held.iter().map(|(_, held)| held.sequence).max(),
        (At::Sequence(sequence), _) => Some(*sequence),
        (At::Revision(_), _) => {
            let text = format!("`{target}` names a commit: write the entry of the hold, `{name}/SEQUENCE`");
            return Err(Failure::new(Code::Usage, text));
        }
    };
    let found: Vec<&(UnitName, Hold)> =
        held.iter().filter(|(_, held)| wanted.is_some_and(|wanted| wanted == held.sequence)).collect();
    match (found.as_slice(), wanted) {
        ([only], _) => Ok((*only).clone()),
        ([], wanted) => Err(unnamed(environment, &held, wanted, &called)),
        (several, _) => {
            let units: Vec<UnitName> = several.iter().map(|(unit, _)| unit.clone()).collect();
            let command = format!("lockmaster unhold {target} --reason WHY");
            Err(unit::only(&format!("`{target}`"), &units, &command)
                .map_or_else(|failure| failure, |_| Failure::new(Code::Bug, "several units are one")))
        }
    }
}

/// Which holds there are, where none was named, or none of these.
fn unnamed(environment: &Environment, held: &[(UnitName, Hold)], wanted: Option<u64>, called: &str) -> Failure {
    let name = &environment.name;
    let line = |(unit, hold): &(UnitName, Hold)| {
        let (sequence, commit, by) = (hold.sequence, hold.held.commit.short(), &hold.by);
        let whose = if unit.is_whole() { String::new() } else { format!(" {unit}") };
        format!("{name}/{sequence}{whose} {commit}, by {by}: {}", hold.reason)
    };
    let text = match wanted {
        Some(wanted) => format!("`{name}/{wanted}` is no hold that stands"),
        None => format!("{} holds stand in {called}: say which", held.len()),
    };
    let more = held.len().saturating_sub(LISTED);
    let more = (more > 0).then(|| format!("and {more} more: lockmaster status {name} -o json"));
    let lines: Vec<String> = std::iter::once(text).chain(held.iter().take(LISTED).map(line)).chain(more).collect();
    let whose = if environment.units.is_some() { " --unit UNIT" } else { "" };
    Failure::new(Code::Usage, lines.join("\n"))
        .with_hint(format!("name it: lockmaster unhold {name}/SEQUENCE{whose} --reason WHY"))
}
