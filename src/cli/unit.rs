//! Which unit of an environment a verb is about.

use super::diagnostic::Failure;
use crate::agent::site::Site;
use crate::agent::survey::{self, Brings};
use crate::agent::walk::Tip;
use crate::config::Environment;
use crate::course::Ledger;
use crate::deploylog::{Entry, Log, Phase};
use crate::name::{Code, UnitName};

/// Units that a message names; the others are counted.
const NAMED: usize = 3;

/// Units that an error names which asks for one of them.
const OFFERED: usize = 12;

/// `a, b, c and 4 more`.
pub(super) fn listed<'u>(units: impl IntoIterator<Item = &'u UnitName>) -> String {
    up_to(NAMED, units)
}

fn up_to<'u>(most: usize, units: impl IntoIterator<Item = &'u UnitName>) -> String {
    let units: Vec<&str> = units.into_iter().map(UnitName::as_str).collect();
    let more = units.len().saturating_sub(most);
    let names = units.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

/// What a message calls an environment, or the unit that it is narrowed to: `` `prod` ``, `` `web` of `prod` ``.
pub(super) fn called(environment: &Environment) -> String {
    match environment.unit.is_whole() {
        true => format!("`{}`", environment.name),
        false => format!("`{}` of `{}`", environment.unit, environment.name),
    }
}

/// The same as the head of an answer has it, behind the pipeline: `shop/prod`, `shop/prod web`.
pub(super) fn headed(site: &Site, environment: &Environment) -> String {
    let whose = if environment.unit.is_whole() { String::new() } else { format!(" {}", environment.unit) };
    format!("{}/{}{whose}", site.setup.pipeline.name, environment.name)
}

/// Refuses a unit that the environment has not.
///
/// # Errors
/// `usage`.
pub(super) fn check<'u>(
    environment: &Environment,
    known: impl IntoIterator<Item = &'u UnitName>,
    unit: &UnitName,
) -> Result<(), Failure> {
    let name = &environment.name;
    if environment.units.is_none() {
        let text = format!("`{name}` has no `units`: its releases are of its whole path");
        return Err(Failure::new(Code::Usage, text).with_hint("leave out --unit"));
    }
    let known: Vec<&UnitName> = known.into_iter().collect();
    if known.contains(&unit) {
        return Ok(());
    }
    let all = if known.is_empty() { "none yet".to_owned() } else { up_to(OFFERED, known) };
    Err(Failure::new(Code::Usage, format!("`{name}` has no unit `{unit}`; it has {all}")))
}

/// The one unit that something is about.
///
/// # Errors
/// `usage` where it is about several or none: names them, and a command that is about one.
pub(super) fn only(what: &str, units: &[UnitName], command: &str) -> Result<UnitName, Failure> {
    match units {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new(Code::Usage, format!("{what} is about no unit: say which"))
            .with_hint(format!("name it: {command} --unit UNIT"))),
        [first, ..] => {
            let text = format!("{what} is about {} units ({}): say which", units.len(), up_to(OFFERED, units));
            Err(Failure::new(Code::Usage, text).with_hint(format!("name one: {command} --unit {first}")))
        }
    }
}

/// The unit that a verb is about which names an entry, or would undo what was opened last: the one that is given, or the
/// only one of that entry. `.` where the environment has no units.
///
/// # Errors
/// There is no such unit, the entry is not about it, or it is about several and none is named.
pub(super) fn of_entry(
    environment: &Environment,
    ledger: &Ledger,
    entry: Option<&Entry>,
    given: Option<&UnitName>,
    command: &str,
) -> Result<UnitName, Failure> {
    if environment.units.is_none() && given.is_none() {
        return Ok(UnitName::whole());
    }
    let name = &environment.name;
    if let Some(unit) = given {
        check(environment, ledger.logs.keys(), unit)?;
        let others = entry.filter(|entry| !entry.body.units.is_empty() && !entry.body.units.contains(unit));
        return match others {
            None => Ok(unit.clone()),
            Some(entry) => {
                let text =
                    format!("`{name}/{}` is not about `{unit}`, but {}", entry.sequence, listed(&entry.body.units));
                Err(Failure::new(Code::Usage, text)
                    .with_hint(format!("see what is: lockmaster history {name} --unit {unit}")))
            }
        };
    }
    match entry {
        Some(entry) if !entry.body.units.is_empty() => {
            only(&format!("`{name}/{}`", entry.sequence), &entry.body.units, command)
        }
        _ => only(&format!("`{name}`"), &ledger.logs.keys().cloned().collect::<Vec<_>>(), command),
    }
}

/// The entry that opened last.
pub(super) fn opened_last(log: &Log) -> Option<&Entry> {
    let opened = |entry: &&Entry| entry.body.phase == Some(Phase::Opened) && !entry.lapsed;
    log.entries.iter().rev().map(AsRef::as_ref).find(opened)
}

/// The units to which a commit may bring something, of those that stand at it or not.
pub(super) async fn waiting(site: &Site, environment: &Environment, ledger: &Ledger, tip: Tip) -> Vec<UnitName> {
    let candidates = survey::candidates(site, environment, ledger, tip).await;
    candidates.units.into_iter().filter(|(_, brings)| *brings == Brings::Perhaps).map(|(unit, _)| unit).collect()
}
