//! `history`: the deployment log, newest first. An opening and its outcomes are one row, numbered by the newest outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Answer, columns, counted, fitted};
use super::arguments;
use super::diagnostic::{Failure, Verdict, escape};
use super::gates::utc;
use super::site::chosen;
use super::view::word;
use super::{document, message, revision, unit};
use crate::agent::site::Site;
use crate::agent::survey;
use crate::config::Environment;
use crate::deploylog::{Action, Entry, Log, Phase};
use crate::edge::clock;
use crate::name::{Class, Code, CommitId, Digest, EnvironmentName, Reason, UnitName};

/// Entries that belong together: an opening and its outcomes, or one entry alone.
struct Row<'l> {
    environment: &'l EnvironmentName,
    /// The newest.
    last: &'l Entry,
    /// The opening, if the row has one.
    opened: Option<&'l Entry>,
    /// When it settled, if that is told.
    settled: Option<Timestamp>,
    /// What became of it, by unit.
    outcomes: BTreeMap<&'l UnitName, Outcome<'l>>,
    raw: bool,
}

/// What became of one unit of an opening.
#[derive(Clone, Copy)]
struct Outcome<'l> {
    phase: Phase,
    at: Timestamp,
    reasons: &'l [Reason],
}

/// Which rows are asked for.
struct Wanted {
    since: Option<Timestamp>,
    action: Option<Action>,
    /// How the id of a commit begins.
    commit: Option<String>,
    raw: bool,
    limit: usize,
}

/// Shows the deployment logs.
///
/// # Errors
/// A log cannot be read; one that is violated is a finding.
pub(super) async fn history(site: &Site, arguments: &arguments::History, hints: bool) -> Result<Answer, Failure> {
    let wanted = Wanted::of(site, arguments).await?;
    let names: Vec<EnvironmentName> = arguments.environment.iter().cloned().collect();
    let mut environments = chosen(site, &names)?;
    if let (Some(unit), [environment]) = (&arguments.unit, environments.as_slice()) {
        // What a log that is violated says of units is not asked.
        if environment.units.is_none() {
            unit::check(environment, [], unit)?;
        }
    }
    environments.retain(|environment| arguments.unit.is_none() || environment.units.is_some());
    if let (Some(unit), []) = (&arguments.unit, environments.as_slice()) {
        let text = format!("no environment of `{}` has units: there is no `{unit}`", site.setup.pipeline.name);
        return Err(Failure::new(Code::Usage, text).with_hint("leave out --unit"));
    }
    let mut logs = Vec::new();
    let mut violated = Vec::new();
    let mut total = 0;
    for environment in &environments {
        match survey::logs(site, environment).await {
            Ok(all) => {
                if let (Some(unit), true) = (&arguments.unit, environments.len() == 1) {
                    unit::check(environment, all.units.keys(), unit)?;
                }
                total += all.whole.entries.len();
                let unit = arguments.unit.clone().unwrap_or_else(UnitName::whole);
                logs.push((environment, all.of(&unit).clone()));
            }
            Err(reason) if is_violation(&reason) => {
                violated.push((environment, reason));
            }
            Err(reason) => return Err(reason.into()),
        }
    }
    let mut rows: Vec<Row<'_>> =
        logs.iter().flat_map(|(environment, log)| wanted.rows(&environment.name, log)).collect();
    // In one log the sequence decides: its clock may have been set back.
    rows.sort_by(|a, b| b.last.time.cmp(&a.last.time).then(b.last.sequence.cmp(&a.last.sequence)));
    if let [_] = environments.as_slice() {
        rows.sort_by_key(|row| std::cmp::Reverse(row.last.sequence));
    }
    rows.truncate(wanted.limit);
    let verdict = if violated.is_empty() { Verdict::Good } else { Verdict::Found };
    let chain = if violated.is_empty() { "good" } else { "violated" };
    let body = json!({
        "chain": {"verdict": chain, "entries": total, "unpublished": total},
        "entries": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "reasons": violated.iter().map(|(environment, reason)| {
            document::reason(reason, &message::place(site, environment, None))
        }).collect::<Vec<_>>(),
    });
    let mut text = table(&rows, environments.len() > 1);
    text.push_str(&closing(total, environments.len(), violated.len()));
    for (environment, reason) in &violated {
        let place = message::place(site, environment, None);
        let said = std::slice::from_ref(reason);
        text.push_str(&message::all(said, &place, environment, &Log::default(), hints));
    }
    let pipeline = site.setup.pipeline.name.to_string();
    Ok(Answer { name: "history", pipeline, source: "cluster", body, text, verdict })
}

/// Whether the log was read and does not hold; what could not be read is no finding.
pub(super) fn is_violation(reason: &Reason) -> bool {
    matches!(reason.code.class(), Class::Violated) || matches!(reason.code, Code::LogRegressed | Code::LogForked)
}

/// What was checked, honestly: every entry of the journal was read and verified, whatever the table shows.
fn closing(entries: usize, logs: usize, violated: usize) -> String {
    let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
    let of = if logs > 1 { format!(" in {}", counted(logs - violated, "log")) } else { String::new() };
    match (violated, logs) {
        (0, _) => format!("{entries}{of}, chain and signatures good, journal only\n"),
        (_, 1) => String::new(),
        _ => format!("{entries}{of}, chain and signatures good; {violated} violated\n"),
    }
}

fn table(rows: &[Row<'_>], several: bool) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head = ["SEQ", "TIME", "ACTION", "COMMIT", "OUTCOME", "TOOK", "ACTOR", "WHAT"].map(str::to_owned);
    let mut cells = vec![head.to_vec()];
    cells.extend(rows.iter().map(Row::cells));
    if several {
        let names = rows.iter().map(|row| row.environment.to_string());
        let names = std::iter::once("ENVIRONMENT".to_owned()).chain(names);
        names.zip(&mut cells).for_each(|(name, cells)| cells.insert(0, name));
    }
    let what = if several { 8 } else { 7 };
    if !rows.iter().any(Row::names_units) {
        return columns(&fitted(cells, what)) + "\n";
    }
    let units = rows.iter().map(|row| match row.names_units() {
        true => unit::listed(row.units()),
        false => "-".to_owned(),
    });
    let units = std::iter::once("UNITS".to_owned()).chain(units);
    units.zip(&mut cells).for_each(|(units, cells)| cells.insert(what, units));
    columns(&fitted(cells, what + 1)) + "\n"
}

impl Wanted {
    async fn of(site: &Site, arguments: &arguments::History) -> Result<Wanted, Reason> {
        let action = arguments.action.as_deref().map(action).transpose()?;
        let commit = match &arguments.commit {
            // An id needs no repository: what was deployed may be gone from there.
            Some(id) if is_id(id) => Some(id.to_ascii_lowercase()),
            Some(revision) => Some(revision::commit(site, revision).await?.as_str().to_owned()),
            None => None,
        };
        let since = arguments.since.map(|since| back(clock::now(), since));
        Ok(Wanted {
            since,
            action,
            commit,
            raw: arguments.raw,
            limit: usize::try_from(arguments.limit).unwrap_or(usize::MAX),
        })
    }

    fn rows<'l>(&self, environment: &'l EnvironmentName, log: &'l Log) -> Vec<Row<'l>> {
        let alone =
            |last| Row { environment, last, opened: None, settled: None, outcomes: BTreeMap::new(), raw: self.raw };
        let rows: Vec<Row<'l>> = if self.raw {
            log.entries.iter().map(AsRef::as_ref).map(alone).collect()
        } else {
            folded(environment, log)
        };
        rows.into_iter().filter(|row| self.has(row)).collect()
    }

    fn has(&self, row: &Row<'_>) -> bool {
        let about = |wanted: &String| {
            let is = |id: &CommitId| id.as_str().starts_with(wanted.as_str());
            let mut commits = [row.opened, Some(row.last)].into_iter().flatten().filter_map(|e| e.body.commit.as_ref());
            commits.any(|commit| is(&commit.id) || commit.ships.iter().any(is))
        };
        self.since.is_none_or(|since| row.last.time >= since)
            && self.action.is_none_or(|action| row.last.body.action == action)
            && self.commit.as_ref().is_none_or(about)
    }
}

/// An opening and what became of it is one row; a lapsed entry means nothing, and is shown by `--raw` alone. One entry may
/// tell the outcomes of units that were opened by several.
fn folded<'l>(environment: &'l EnvironmentName, log: &'l Log) -> Vec<Row<'l>> {
    let mut rows: Vec<Row<'l>> = Vec::new();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in log.entries.iter().map(AsRef::<Entry>::as_ref).filter(|entry| !entry.lapsed) {
        let mut told = false;
        if let Some(phase) = entry.body.phase.filter(|phase| *phase != Phase::Opened) {
            for unit in &entry.body.units {
                let part = entry.body.parts.get(unit);
                let of = part.and_then(|part| part.of).or(entry.body.of);
                let row = of.and_then(|of| places.get(&of)).and_then(|place| rows.get_mut(*place));
                let Some(row) = row else { continue };
                let own = part.map(|part| part.reasons.as_slice()).filter(|reasons| !reasons.is_empty());
                let reasons = own.unwrap_or(&entry.body.reasons);
                row.last = entry;
                row.outcomes.insert(unit, Outcome { phase, at: entry.time, reasons });
                if phase == Phase::Settled {
                    row.settled = Some(entry.time);
                }
                told = true;
            }
        }
        if !told {
            let opened = (entry.body.phase == Some(Phase::Opened)).then_some(entry);
            places.insert(entry.sequence, rows.len());
            rows.push(Row { environment, last: entry, opened, settled: None, outcomes: BTreeMap::new(), raw: false });
        }
    }
    rows
}

/// The action that a person names.
fn action(name: &str) -> Result<Action, Reason> {
    serde_json::from_value(Value::from(name)).map_err(|_| {
        let known = "sync, promote, rollback, heal, refuse, wait, hold, unhold, freeze, unfreeze, genesis, checkpoint";
        Reason::new(Code::Usage, format!("`{}` is no action, expected one of {known}", escape(name)))
    })
}

fn is_id(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn back(now: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

/// How long something took: `390ms`, `38s`, `11m10s`.
fn took(from: Timestamp, to: Timestamp) -> String {
    let span = to.duration_since(from);
    let millis = span.as_millis().max(0);
    match millis {
        0..1000 => format!("{millis}ms"),
        1000..10_000 => format!("{}.{}s", millis / 1000, millis % 1000 / 100),
        10_000..60_000 => format!("{}s", millis / 1000),
        60_000..3_600_000 => format!("{}m{}s", millis / 60_000, millis % 60_000 / 1000),
        _ => super::status::age(from, to),
    }
}

impl Row<'_> {
    /// The units that it is about; none where it is about the environment.
    fn units(&self) -> &[UnitName] {
        &self.opened.unwrap_or(self.last).body.units
    }

    /// Whether it is about units that have names.
    fn names_units(&self) -> bool {
        self.units().iter().any(|unit| !unit.is_whole())
    }

    /// What became of it: of several units a failure, else the one that is not at its end, else the newest.
    fn outcome(&self) -> Option<(Phase, Timestamp)> {
        let all = || self.outcomes.values().map(|outcome| (outcome.phase, outcome.at));
        let failed = all().filter(|(phase, _)| *phase == Phase::Failed).max_by_key(|(_, at)| *at);
        if failed.is_some() || self.outcomes.len() < self.units().len() {
            return failed;
        }
        let settled = all().find(|(phase, _)| *phase == Phase::Settled);
        settled.or_else(|| all().max_by_key(|(_, at)| *at))
    }

    /// Why it ended so.
    fn reasons(&self) -> Vec<Reason> {
        if !self.names_units() || self.outcomes.is_empty() {
            let parts = self.last.body.parts.values().flat_map(|part| &part.reasons);
            return self.last.body.reasons.iter().chain(parts).cloned().collect();
        }
        let mut reasons: Vec<Reason> = self.outcomes.values().flat_map(|outcome| outcome.reasons).cloned().collect();
        reasons.dedup();
        reasons
    }

    fn cells(&self) -> Vec<String> {
        let dash = || "-".to_owned();
        let body = &self.last.body;
        let took = self.opened.zip(self.outcome()).map(|(opened, (phase, at))| match phase {
            Phase::Superseded => dash(),
            Phase::Failed => took(opened.time, at),
            _ => took(opened.time, self.settled.unwrap_or(at)),
        });
        vec![
            self.last.sequence.to_string(),
            utc(self.last.time),
            word(&body.action),
            body.commit.as_ref().map_or_else(dash, |commit| commit.id.short().to_owned()),
            self.outcome_word(),
            took.unwrap_or_else(dash),
            escape(&self.opened.unwrap_or(self.last).body.actor),
            escape(&self.what()),
        ]
    }

    fn outcome_word(&self) -> String {
        if self.raw {
            return if self.last.lapsed {
                "lapsed".to_owned()
            } else {
                self.last.body.phase.map_or("-".to_owned(), |it| word(&it))
            };
        }
        let told = |phase: Phase| if phase == Phase::Proven { "healthy".to_owned() } else { word(&phase) };
        match (self.opened, self.outcome()) {
            (None, _) => "-".to_owned(),
            (Some(_), None) => "open".to_owned(),
            (Some(_), Some((phase, _))) => {
                let (all, alike) = (self.units().len(), self.outcomes.values().filter(|it| it.phase == phase).count());
                if alike == all { told(phase) } else { format!("{} {alike} of {all}", told(phase)) }
            }
        }
    }

    /// What happened, in a line.
    fn what(&self) -> String {
        let body = &self.last.body;
        let mut codes: Vec<String> = self.reasons().iter().map(|reason| reason.code.to_string()).collect();
        codes.dedup();
        let codes = codes.join(", ");
        match body.action {
            Action::Genesis => "the log begins".to_owned(),
            Action::Refuse | Action::Wait => {
                let author = body.commit.as_ref().map(|commit| format!(", claimed author {}", commit.claimed_author));
                format!("{codes}{}", author.unwrap_or_default())
            }
            Action::Heal => body.reasons.first().map_or("heals".to_owned(), |reason| first_line(&reason.message)),
            Action::Rollback => {
                let opened = &self.opened.unwrap_or(self.last).body;
                let name = &self.environment;
                let of = opened.supersedes.map(|undone| format!("of {name}/{undone} ")).unwrap_or_default();
                let to = opened.rollback.as_ref().map(|rollback| format!("to {name}/{}", rollback.to));
                let stated = opened.statement.as_ref().map(|stated| stated.reason.clone());
                let why = stated.unwrap_or(codes);
                let why = if why.is_empty() { why } else { format!("; {why}") };
                format!("{of}{}{why}", to.unwrap_or_default())
            }
            Action::Hold | Action::Unhold => {
                let of = body.of.map(|of| format!("what {}/{of} held: ", self.environment)).unwrap_or_default();
                format!("{of}{}", body.statement.as_ref().map_or("", |stated| &stated.reason))
            }
            Action::Freeze | Action::Unfreeze => {
                let stated = body.statement.as_ref();
                let until = stated.and_then(|stated| stated.until).map(|at| format!("until {}: ", utc(at)));
                format!("{}{}", until.unwrap_or_default(), stated.map_or("", |stated| &stated.reason))
            }
            _ => {
                let Some(commit) = &body.commit else { return codes };
                let ships = counted(commit.ships.len(), "commit");
                let why = if codes.is_empty() { String::new() } else { format!("; {codes}") };
                format!("{} ({ships}){why}", commit.subject)
            }
        }
    }

    fn to_json(&self) -> Value {
        let (body, first) = (&self.last.body, self.opened.unwrap_or(self.last));
        let mut phases = first.body.durations_ms.clone();
        phases.extend(body.durations_ms.clone());
        let outcome = self.outcome();
        let health = match outcome {
            Some((Phase::Settled | Phase::Proven, _)) => Some("healthy"),
            Some((Phase::Failed, _)) => Some("failed"),
            _ => None,
        };
        let release = |digest: &Digest| json!({"digest": digest, "commit": body.commit.as_ref().map(document::commit), "sequence": first.sequence});
        let mut document = json!({
            "environment": self.environment,
            "sequence": self.last.sequence,
            "opened": self.opened.map(|opened| opened.sequence),
            "hash": self.last.hash,
            "time": self.last.time.to_string(),
            "action": body.action,
            "actor": first.body.actor,
            "commit": body.commit.as_ref().map(document::commit),
            "release": body.release.as_ref().map(release),
            "phase": outcome.map(|(phase, _)| phase).or(if self.raw { body.phase } else { first.body.phase }),
            "units": self.units(),
            "health": health,
            "phasesMs": phases,
            "supersedes": first.body.supersedes,
            "statement": body.statement,
            "rollback": first.body.rollback,
            "hold": first.body.hold,
            "reasons": document::reasons(&self.reasons(), &super::diagnostic::Place::default()),
        });
        if self.names_units() {
            let outcomes = self.outcomes.iter().map(|(unit, outcome)| json!({"unit": unit, "phase": outcome.phase}));
            document["outcomes"] = outcomes.collect();
            document["parts"] = json!(first.body.parts);
        }
        document
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The entry of a log that a person names; the newest, if no number is given.
///
/// # Errors
/// There is none of this number.
pub(super) fn entry<'l>(environment: &Environment, log: &'l Log, sequence: Option<u64>) -> Result<&'l Entry, Reason> {
    let name = &environment.name;
    let Some(newest) = log.entries.last() else {
        return Err(Reason::new(Code::Usage, format!("`{name}` has no deployment log yet")));
    };
    let sequence = sequence.unwrap_or(newest.sequence);
    log.entries.iter().map(AsRef::as_ref).find(|entry: &&Entry| entry.sequence == sequence).ok_or_else(|| {
        let text =
            format!("the log of `{name}` has no entry `{name}/{sequence}`; its newest is `{name}/{}`", newest.sequence);
        Reason::new(Code::Usage, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_something_took_is_told_in_the_units_that_matter() {
        let at = |millis: i64| Timestamp::from_millisecond(millis).expect("because it is in range");
        for (millis, expected) in
            [(390, "390ms"), (1940, "1.9s"), (38_100, "38s"), (670_000, "11m10s"), (7_260_000, "2h1m")]
        {
            assert_eq!(took(at(0), at(millis)), expected);
        }
    }
}
