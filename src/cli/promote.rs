//! `promote`: the commit of a promotion, made and signed by a person's own git: parents [tip, upstream], the shared inputs
//! of what upstream has proven, never a text merge. It is judged here as the agent will judge it before it is pushed.

use serde_json::json;

use super::answer::Answer;
use super::arguments::{self, At};
use super::diagnostic::{self, Failure, Verdict, escape};
use super::site::find;
use super::statement::Desk;
use super::{delivery, document, history, message, revision, unit};
use crate::agent::judge::{self, Depth, Finding, Outlook};
use crate::agent::promote::{self, Draft};
use crate::agent::site::Site;
use crate::agent::survey;
use crate::config::Environment;
use crate::name::{Code, CommitId, Reason, UnitName};

/// Makes, signs and pushes the commit of a promotion.
///
/// # Errors
/// Something cannot be reached, git cannot sign or push, or upstream has proven nothing.
pub(super) async fn promote(
    site: &Site,
    url: &str,
    arguments: &arguments::Promote,
    hints: bool,
) -> Result<Answer, Failure> {
    if arguments.wait {
        return Err(Failure::not_yet("promote --wait"));
    }
    let environment = find(site, &arguments.target.environment)?;
    let sequence = wanted(&environment, &arguments.target)?;
    let tip = arguments::Target { environment: environment.name.clone(), at: At::Tip };
    let revision::Found { commit, statements } = revision::find(site, &environment, &tip).await;
    let (commit, all) = (commit?, environment);
    let Some(unit) = which(site, &all, &commit, sequence, arguments).await? else {
        return Ok(Told { site, environment: &all, url }.nothing());
    };
    let environment = all.of_unit(&unit);
    let told = Told { site, environment: &environment, url };
    let Some(draft) = promote::draft(site, &environment, &commit, sequence).await? else {
        return Ok(told.nothing());
    };
    let desk = Desk::open(site, url, &arguments.signing).await?.at_mirror(site).await?;
    let message = draft.message(&environment, arguments.reason.as_deref());
    let make = desk.commit(draft.tree.as_str(), &[draft.tip.as_str(), draft.upstream.id.as_str()], &message);
    if arguments.signing.dry_run {
        let push = desk.push_to(url, "COMMIT", environment.branch.as_str()).to_string();
        return Ok(told.commands(&[format!("COMMIT=$({make})"), push.replace("COMMIT:", "\"$COMMIT\":")]));
    }
    let made = delivery::make(&desk, &make)?;
    let known = survey::ledger(site, &all).await?.of(&unit);
    let brief = survey::brief(site, &environment, &known, made.clone(), statements);
    let outlook = judge::judge(site, &environment, &brief, Depth::Plan).await;
    if let Finding::Stopped { refused: true, reasons } = &outlook.verdict {
        return Ok(told.refused(reasons, hints));
    }
    let beside = format!("promote/{}/{}", environment.name, made.short());
    let way = delivery::Way { url, branch: &environment.branch, beside: &beside, moved: false };
    let branch = delivery::push(&desk, &way, &made)?;
    Ok(told.pushed(&draft, &made, &branch, &outlook, hints))
}

/// The unit that is promoted: the one that is named, else the only one of the upstream entry, else the only one with
/// something to promote; `None` where there is nothing.
async fn which(
    site: &Site,
    environment: &Environment,
    tip: &CommitId,
    sequence: Option<u64>,
    arguments: &arguments::Promote,
) -> Result<Option<UnitName>, Failure> {
    let from = environment.promotion.from.as_ref().and_then(|name| site.setup.pipeline.environment(name));
    let (Some(_), Some(from)) = (&environment.units, from) else {
        // Without units, or where nothing leads here, which the draft says.
        if let Some(unit) = &arguments.unit {
            unit::check(environment, [], unit)?;
        }
        return Ok(Some(UnitName::whole()));
    };
    let ledger = survey::ledger(site, from).await?;
    let command = format!("lockmaster promote {}", arguments.target);
    if let Some(sequence) = sequence {
        let entry = history::entry(from, &ledger.whole, Some(sequence))?;
        return unit::of_entry(from, &ledger, Some(entry), arguments.unit.as_ref(), &command).map(Some);
    }
    if let Some(unit) = &arguments.unit {
        unit::check(from, ledger.logs.keys(), unit)?;
        return Ok(Some(unit.clone()));
    }
    let promotable = promote::promotable(site, environment, tip).await?;
    if promotable.is_empty() {
        return Ok(None);
    }
    unit::only(&format!("what `{}` has proven for `{}`", from.name, environment.name), &promotable, &command).map(Some)
}

/// The upstream entry that a target names: `prod@staging/88`.
fn wanted(environment: &Environment, target: &arguments::Target) -> Result<Option<u64>, Failure> {
    let wrong = || {
        let from = environment.promotion.from.as_ref().map_or("P", |from| from.as_str());
        let name = &environment.name;
        let text = format!("`{target}` names no entry of what `{name}` is promoted from, expected `{name}@{from}/SEQ`");
        Failure::new(Code::Usage, text)
    };
    match &target.at {
        At::Tip => Ok(None),
        At::Revision(revision) => {
            let (from, sequence) = revision.split_once('/').ok_or_else(wrong)?;
            let ours = environment.promotion.from.as_ref().is_some_and(|name| name.as_str() == from);
            if !ours {
                return Err(wrong());
            }
            if sequence == "latest" {
                return Ok(None);
            }
            sequence.parse().map(Some).map_err(|_| wrong())
        }
        At::Sequence(_) | At::Latest => Err(wrong()),
    }
}

/// What an answer is about.
struct Told<'t> {
    site: &'t Site,
    environment: &'t Environment,
    url: &'t str,
}

impl Told<'_> {
    fn answer(&self, mut body: serde_json::Value, text: String, verdict: Verdict) -> Answer {
        body["environment"] = json!(self.environment.name);
        if !self.environment.unit.is_whole() {
            body["unit"] = json!(self.environment.unit);
        }
        Answer {
            name: "promote",
            pipeline: self.site.setup.pipeline.name.to_string(),
            source: "cluster",
            body,
            text,
            verdict,
        }
    }

    fn nothing(&self) -> Answer {
        let text = format!("{} has the content already: nothing to promote\n", unit::called(self.environment));
        self.answer(json!({"pushed": false, "commit": null, "reasons": []}), text, Verdict::Good)
    }

    fn commands(&self, commands: &[String]) -> Answer {
        let body = json!({"pushed": false, "commit": null, "commands": commands, "reasons": []});
        self.answer(body, format!("{}\n", commands.join("\n")), Verdict::Good)
    }

    fn refused(&self, reasons: &[Reason], hints: bool) -> Answer {
        let place = message::place(self.site, self.environment, None);
        let mut text =
            format!("{}\n", message::all(reasons, &place, self.environment, &crate::deploylog::Log::default(), hints));
        text.push_str("  = nothing was pushed\n");
        let body = json!({"pushed": false, "commit": null, "reasons": document::reasons(reasons, &place)});
        self.answer(body, text, Verdict::Found)
    }

    fn pushed(&self, draft: &Draft, commit: &CommitId, branch: &str, outlook: &Outlook, hints: bool) -> Answer {
        let (name, from, sequence) = (&self.environment.name, &draft.from, draft.sequence);
        let (called, of_unit) = (unit::called(self.environment), diagnostic::of_unit(&self.environment.unit));
        let mut text = format!(
            "promoted: {called} {} takes {from}/{sequence} \"{}\", {} files changed, {} taken away\n",
            commit.short(),
            escape(&draft.upstream.subject),
            draft.moves.take.len(),
            draft.moves.drop.len()
        );
        text.push_str(&format!("  = pushed to branch {branch} of {}\n", escape(self.url)));
        if branch != self.environment.branch.short() {
            let target = self.environment.branch.short();
            text.push_str(&format!("  = `{target}` is protected: open a pull request from {branch} into it\n"));
        }
        if let Finding::Stopped { reasons, .. } = &outlook.verdict {
            let place = message::place(self.site, self.environment, None);
            let log = crate::deploylog::Log::default();
            text.push_str(&message::all(reasons, &place, self.environment, &log, hints));
            text.push('\n');
        }
        if hints {
            text.push_str(&format!("  hint: see where it stands: lockmaster explain {name}{of_unit}\n"));
        }
        let body = json!({
            "pushed": true,
            "commit": commit,
            "branch": branch,
            "upstream": {"environment": from, "sequence": sequence},
            "reasons": [],
        });
        self.answer(body, text, Verdict::Good)
    }
}
