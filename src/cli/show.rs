//! `show`: one entry of the deployment log in full. As JSON it is the bytes of `entry.json`, which is what is hashed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::{columns, counted};
use super::arguments::{At, Form, Target};
use super::diagnostic::{Failure, Verdict, Word, escape, message};
use super::gates::utc;
use super::history;
use super::output::Console;
use super::site::find;
use super::view::word;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::deploylog::{Counts, Entry, EntryCommit, Part, STATEMENTS};
use crate::name::{Code, Reason};
use crate::revision::statement;
use crate::signature::Signers;

/// An entry, ready to be printed.
pub(super) struct Shown {
    json: String,
    text: String,
}

/// What there is to show.
pub(super) enum Found {
    /// The entry.
    Entry(Shown),
    /// The log proves nothing: a finding.
    Violated(Reason),
}

impl Found {
    /// Prints the entry, or says why there is none to trust.
    ///
    /// # Errors
    /// Standard output does not take it.
    pub(super) fn print(&self, console: &Console) -> Result<Verdict, Failure> {
        match self {
            Found::Entry(shown) => shown.print(console),
            Found::Violated(reason) if console.form == Form::Table => {
                console.print(&message(Word::of(reason.code), reason, &[], None))?;
                Ok(Verdict::Found)
            }
            Found::Violated(reason) => {
                let _ = console.fail(&Failure::from(reason.clone()));
                Ok(Verdict::Found)
            }
        }
    }
}

impl Shown {
    /// Prints it in the form that was asked for; JSON is YAML.
    ///
    /// # Errors
    /// Standard output does not take it.
    fn print(&self, console: &Console) -> Result<Verdict, Failure> {
        match console.form {
            Form::Table => console.print(&self.text)?,
            Form::Json | Form::Yaml => console.verbatim(&self.json)?,
        }
        Ok(Verdict::Good)
    }
}

/// Shows an entry.
///
/// # Errors
/// The log cannot be read, or there is no such entry.
pub(super) async fn show(site: &Site, target: &Target) -> Result<Found, Reason> {
    let sequence = match target.at {
        At::Sequence(sequence) => Some(sequence),
        At::Latest => None,
        At::Tip | At::Revision(_) => {
            let name = &target.environment;
            let text = format!("`{target}` names no entry of a log: write `{name}/SEQUENCE` or `{name}/latest`");
            return Err(Reason::new(Code::Usage, text));
        }
    };
    let environment = find(site, &target.environment)?;
    let log = match survey::log(site, &environment).await {
        Ok(log) => log,
        Err(reason) if history::is_violation(&reason) => return Ok(Found::Violated(reason)),
        Err(reason) => return Err(reason),
    };
    let entry = history::entry(&environment, &log, sequence)?;
    let name = format!("{}/{}/{}", site.setup.pipeline.name, environment.name, entry.sequence);
    Ok(Found::Entry(Shown { json: entry.json.to_string(), text: text(&name, entry, &site.setup.signers) }))
}

/// Lines of a name and what it is; further lines of the same name have none.
#[derive(Default)]
struct Sheet(Vec<Vec<String>>);

impl Sheet {
    fn line(&mut self, name: &str, what: impl AsRef<str>) {
        self.0.push(vec![name.to_owned(), escape(what.as_ref())]);
    }

    fn lines(&mut self, name: &str, all: impl IntoIterator<Item = String>) {
        for (index, what) in all.into_iter().enumerate() {
            self.line(if index == 0 { name } else { "" }, what);
        }
    }
}

fn text(name: &str, entry: &Entry, signers: &Signers) -> String {
    let body = &entry.body;
    let phase = body.phase.map(|phase| format!(" {}", word(&phase))).unwrap_or_default();
    let lapsed = if entry.lapsed { ", lapsed: it reached the store too late, and means nothing" } else { "" };
    let mut sheet = Sheet::default();
    sheet.line("time", utc(entry.time));
    sheet.line("actor", &body.actor);
    let named = body.units.iter().filter(|unit| !unit.is_whole()).map(ToString::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    sheet.lines("units", Some(named).filter(|named| !named.is_empty()));
    if let Some(commit) = &body.commit {
        tell_commit(&mut sheet, commit);
    }
    let environment = name.split('/').nth(1).unwrap_or_default();
    let entry_of = |sequence: u64| format!("{environment}/{sequence}");
    sheet.lines("outcome of", body.of.map(entry_of));
    sheet.lines("replaces", body.supersedes.map(entry_of));
    sheet.lines("release", body.release.map(|digest| digest.to_string()));
    sheet.lines("upstream", body.upstream.as_ref().map(|up| format!("{}/{} {}", up.environment, up.sequence, up.hash)));
    sheet.lines("images", body.images.clone());
    if let Some(stated) = &body.statement {
        sheet.lines("until", stated.until.map(utc));
        sheet.line("reason", &stated.reason);
    }
    sheet.lines("counts", body.counts.as_ref().map(counts));
    let took = body.durations_ms.iter().map(|(step, ms)| format!("{step} {ms} ms")).collect::<Vec<_>>().join(", ");
    sheet.lines("took", Some(took).filter(|took| !took.is_empty()));
    sheet.lines("gates", body.gates.iter().map(|gate| format!("{} {}: {}", gate.name, gate.verdict, gate.value)));
    if let Some(genesis) = &body.genesis {
        sheet.line("cluster", &genesis.cluster);
        sheet.line("agent key", &genesis.agent_key);
        sheet.lines("introduction", genesis.introduction.iter().map(ToString::to_string));
    }
    sheet.lines("statements", statements(entry, signers));
    sheet.lines("files", files(&entry.json).into_iter().map(|(path, digest)| format!("{path} {digest}")));
    sheet.line("git commit", entry.id.to_string());
    sheet.line("hash", entry.hash.to_string());
    let mut text = format!("{name} {}{phase}{lapsed}\n{}\n", word(&body.action), columns(&sheet.0));
    for reason in &body.reasons {
        text.push_str(&message(Word::of(reason.code), reason, &[], None));
    }
    for (unit, part) in &body.parts {
        let mut own = Sheet::default();
        tell_part(&mut own, part, &entry_of);
        text.push_str(&format!("\n{unit}\n"));
        text.extend(columns(&own.0).lines().map(|line| format!("  {line}\n")));
        text.extend(part.reasons.iter().map(|reason| message(Word::of(reason.code), reason, &[], None)));
    }
    text
}

/// What an entry says of one of its units alone.
fn tell_part(sheet: &mut Sheet, part: &Part, entry_of: &impl Fn(u64) -> String) {
    let Part {
        release,
        images,
        upstream,
        rollback,
        hold,
        irreversible,
        of,
        supersedes,
        reasons: _,
        gates,
        counts: plan,
    } = part;
    sheet.lines("outcome of", of.map(entry_of));
    sheet.lines("replaces", supersedes.map(entry_of));
    sheet.lines("goes back to", rollback.as_ref().map(|back| entry_of(back.to)));
    sheet.lines("release", release.map(|digest| digest.to_string()));
    sheet.lines("upstream", upstream.as_ref().map(|up| format!("{}/{} {}", up.environment, up.sequence, up.hash)));
    sheet.lines("holds", hold.iter().flat_map(|held| held.files.keys()).map(ToString::to_string));
    sheet.lines("images", images.clone());
    sheet.lines("irreversible", irreversible.clone());
    sheet.lines("counts", plan.as_ref().map(counts));
    sheet.lines("gates", gates.iter().map(|gate| format!("{} {}: {}", gate.name, gate.verdict, gate.value)));
}

fn tell_commit(sheet: &mut Sheet, commit: &EntryCommit) {
    sheet.line("commit", format!("{} \"{}\"", commit.id, commit.subject));
    sheet.line("author", format!("{} (claimed)", commit.claimed_author));
    let signer = commit.signer.as_ref().map(|signer| format!("{} {}", signer.principal, signer.fingerprint));
    sheet.line("signed by", signer.unwrap_or_else(|| "nobody with rights here".to_owned()));
    sheet.line("first seen", utc(commit.first_seen));
    let ships = commit.ships.iter().map(|id| id.short()).collect::<Vec<_>>().join(" ");
    sheet.lines("ships", (!ships.is_empty()).then(|| format!("{}: {ships}", counted(commit.ships.len(), "commit"))));
}

fn counts(counts: &Counts) -> String {
    format!(
        "{} to create, {} to update, {} to recreate, {} to prune, {} unchanged",
        counts.create, counts.update, counts.recreate, counts.prune, counts.unchanged
    )
}

/// All files of the entry's tree, as its document names them, with those that came with earlier entries.
fn files(json: &str) -> BTreeMap<String, String> {
    let document: Value = serde_json::from_str(json).unwrap_or_default();
    let files = document["files"].as_object().into_iter().flatten();
    files.map(|(path, digest)| (path.clone(), digest.as_str().unwrap_or_default().to_owned())).collect()
}

/// The statements that the entry rests on: name, signer and reason, where today's signers still tell whose they are.
fn statements(entry: &Entry, signers: &Signers) -> Vec<String> {
    let raw = entry.body.files.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(STATEMENTS)?, bytes)));
    raw.map(|(hash, bytes)| {
        let read = statement::kept(bytes).map(|raw| (raw.name.short().to_owned(), read(&raw, signers, entry.time)));
        match read {
            Some((_, Ok(said))) => said,
            Some((name, Err(code))) => format!("{name}: {code} by the signers of today"),
            None => format!("{hash}: cannot be read"),
        }
    })
    .collect()
}

fn read(raw: &statement::RawTag, signers: &Signers, at: Timestamp) -> Result<String, Code> {
    let statement = statement::read(raw, signers, at).map_err(|reason| reason.code)?;
    Ok(format!("{} by {}: {}", statement.name(), statement.signer(), statement.headline()))
}
