//! `explain`: why an environment is not there yet, gate by gate, and what helps.

mod units;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Answer, columns, fitted};
use super::arguments::{At, Target};
use super::diagnostic::{self, Cure, Failure, Place, Stopped, Verdict, Word, escape};
use super::gates::{self, utc};
use super::output::{Console, Document};
use super::site::find;
use super::{document, message, revision, unit};
use crate::agent::judge::{Finding, Outlook};
use crate::agent::site::Site;
use crate::agent::stand::{Stand, State};
use crate::agent::survey::{self, Survey, Surveys};
use crate::agent::walk::{Look, Tip};
use crate::config::{Environment, OnFailure};
use crate::deploylog::{Logged, Past, Phase, Upstream};
use crate::edge::clock;
use crate::gate::Gate;
use crate::name::{Class, Code, CommitId, Reason, UnitName};
use units::Units;

/// The column of values.
const VALUE: usize = 2;

/// What is said of a candidate.
enum Told {
    /// The branch brings nothing that would be opened; with the commit, if it is not the one that stands.
    Stands(Option<CommitId>),
    /// Every gate admits it.
    Admitted,
    /// Something is in the way.
    Stopped,
    /// There is no candidate to judge.
    Nothing,
}

/// One environment, explained.
struct Explained {
    environment: Environment,
    target: String,
    stand: Stand,
    told: Told,
    tip: Option<CommitId>,
    place: Place,
    notices: Vec<Reason>,
    upstream: Option<Upstream>,
    carried_by: Option<String>,
    tags: Vec<String>,
    standing: Option<Logged>,
    name: String,
    now: Timestamp,
}

/// What happens after a release was applied, before it is proven.
struct After {
    name: &'static str,
    value: String,
    next: String,
}

/// Explains why a commit does not stand in its environment yet: for the unit that is named, or the only one of which there
/// is something to explain; else it says of which there is.
///
/// # Errors
/// Something cannot be reached or read, or there is no such unit.
pub(super) async fn explain(
    site: &Site,
    target: &Target,
    given: Option<&UnitName>,
    hints: bool,
) -> Result<Answer, Failure> {
    if target.at == At::Revision(".".to_owned()) {
        let text = format!("a working tree is not signed, so no gate judges it; see: lockmaster plan {target}");
        return Err(Failure::new(Code::Usage, text));
    }
    let environment = find(site, &target.environment)?;
    let ledger = survey::ledger(site, &environment).await?;
    let revision::Found { commit, statements } = revision::find(site, &environment, target).await;
    if let Err(reason) = commit.as_ref().map_err(Clone::clone).map(drop).map_err(could_not) {
        reason.map_or(Ok(()), |reason| Err(Failure::from(reason)))?;
    }
    if let Some(unit) = given {
        let known = survey::candidates(site, &environment, &ledger, commit.clone()).await;
        unit::check(&environment, known.units.keys(), unit)?;
    }
    let tags: Vec<String> = statements.keys().map(|name| name.short().to_owned()).collect();
    let look = Look { tip: commit, statements: Some(statements) };
    let Surveys { tip, units, strangers, .. } = survey::survey(site, &environment, &ledger, look, given).await?;
    let subject = Subject { site, target, tags, tip };
    let mut all = Vec::new();
    for (unit, survey) in units {
        all.push(subject.explained(environment.of_unit(&unit), survey)?);
    }
    let answer = |body, text, verdict| Answer {
        name: "explain",
        pipeline: site.setup.pipeline.name.to_string(),
        source: "cluster",
        body,
        text,
        verdict,
    };
    let quiet = all.iter().filter(|explained| explained.is_quiet()).count();
    if all.len() == quiet + 1 && strangers.is_empty() {
        all.retain(|explained| !explained.is_quiet());
    }
    match all.as_slice() {
        [one] if strangers.is_empty() => Ok(answer(one.to_json(), one.text(hints), one.verdict())),
        _ => {
            let units = Units { environment: &environment, tip: subject.tip, all: &all, strangers };
            Ok(answer(units.to_json(site), units.text(site, hints), units.verdict()))
        }
    }
}

/// What is explained of every unit.
struct Subject<'s> {
    site: &'s Site,
    target: &'s Target,
    tags: Vec<String>,
    tip: Tip,
}

impl Subject<'_> {
    fn explained(&self, environment: Environment, mut survey: Survey) -> Result<Explained, Reason> {
        let place = message::place(self.site, &environment, Some(&survey.known.log));
        let tip = survey.tip.as_ref().ok().cloned();
        let mut told = if tip.is_some() { Told::Stands(None) } else { Told::Nothing };
        let (mut notices, mut upstream, mut carried_by) = (Vec::new(), None, None);
        if let Some(outlook) = &mut survey.outlook {
            told = tell(outlook, tip.as_ref())?;
            notices = std::mem::take(&mut outlook.notices);
            upstream = outlook.upstream.take();
            let carrier =
                outlook.commits.iter().find(|commit| commit.id == outlook.candidate.id && commit.carrier.is_some());
            carried_by = carrier.map(|commit| commit.claimed_author.clone());
        } else if let Some(commit) = tip.as_ref().filter(|commit| !survey.known.log.is_accepted(commit)) {
            told = Told::Stands(Some(commit.clone()));
        }
        let standing = Past::of(&survey.known.log, 1).standing;
        let stand = Stand::of_survey(survey, environment.on_drift, None);
        Ok(Explained {
            target: shown_target(self.target, tip.as_ref()),
            place: Place { left: stand.left, ..place },
            name: unit::headed(self.site, &environment),
            now: clock::now(),
            environment,
            stand,
            told,
            tip,
            notices,
            upstream,
            carried_by,
            tags: self.tags.clone(),
            standing,
        })
    }
}

/// A branch that is refused or held is an answer; one that could not be looked at is none.
fn could_not(reason: Reason) -> Option<Reason> {
    (!matches!(reason.code.class(), Class::Refused | Class::Person)).then_some(reason)
}

fn tell(outlook: &Outlook, tip: Option<&CommitId>) -> Result<Told, Reason> {
    Ok(match &outlook.verdict {
        Finding::Unreachable(reason) => return Err(reason.clone()),
        Finding::Unchanged => Told::Stands(tip.cloned()),
        Finding::Admitted(_) | Finding::Accepted => Told::Admitted,
        Finding::Stopped { .. } => Told::Stopped,
    })
}

/// What a command names: a commit that is not a branch's tip by its id, so that it means the same later.
fn shown_target(target: &Target, tip: Option<&CommitId>) -> String {
    match (&target.at, tip) {
        (At::Revision(_), Some(tip)) => format!("{}@{}", target.environment, tip.short()),
        _ => target.environment.to_string(),
    }
}

/// Explains a reason code.
///
/// # Errors
/// It is none.
pub(super) fn code(word: &str, console: &Console) -> Result<Verdict, Failure> {
    let Ok(code) = word.parse::<Code>() else {
        let alike =
            Code::ALL.iter().map(|code| code.as_str()).find(|known| known.contains(word) || word.contains(known));
        let failure = Failure::new(Code::Usage, format!("`{}` is no reason code", escape(word)));
        return Err(match alike {
            Some(alike) => failure.with_hint(format!("did you mean `{alike}`?")),
            None => failure,
        });
    };
    let hint = diagnostic::hint(&Reason::new(code, ""), &Place::default());
    let body = json!({"code": code, "class": diagnostic::meaning(code), "meaning": code.meaning(), "hint": hint});
    console.result(&Document::new("code", &body), || {
        let mut text = format!("{code}  {}\n{}\n", diagnostic::meaning(code), code.meaning());
        if let Some(hint) = hint.as_ref().filter(|_| console.hints()) {
            text.push_str(&diagnostic::hint_line(hint));
        }
        text
    })?;
    Ok(Verdict::Good)
}

impl Explained {
    /// Whether it stands as the branch has it, and is proven.
    fn is_quiet(&self) -> bool {
        matches!(self.told, Told::Stands(_)) && self.stand.state == State::Current
    }

    fn verdict(&self) -> Verdict {
        match (&self.told, self.stand.state) {
            (Told::Admitted, _) | (Told::Stands(_), State::Current | State::Settling) => Verdict::Good,
            _ => Verdict::Found,
        }
    }

    fn cures(&self) -> Vec<(&Gate, Vec<Cure>)> {
        let Some(commit) = &self.tip else { return Vec::new() };
        let stopped = Stopped {
            place: &self.place,
            target: self.target.clone(),
            commit,
            upstream: self.environment.promotion.from.as_ref().map(|from| from.as_str()),
            tags: self.tags.iter().map(String::as_str).collect(),
        };
        let stopping = self.stand.gates.iter().filter(|gate| gates::stops(gate));
        let mut told: Vec<Cure> = Vec::new();
        let once = |gate| {
            let all = diagnostic::cures(gate, &stopped).into_iter();
            let new: Vec<Cure> = all.filter(|cure| !told.contains(cure)).collect();
            told.extend(new.clone());
            (gate, new)
        };
        stopping.map(once).collect()
    }

    /// What the gates do not say: why history, signatures or a render are refused, why the standing release failed.
    fn other_reasons(&self) -> Vec<Reason> {
        let said = |reason: &&Reason| !self.stand.gates.iter().any(|gate| gate.reasons.contains(reason));
        self.stand.reasons.iter().filter(said).cloned().collect()
    }

    /// What comes between the apply and `proven`. Checks join here.
    fn after(&self) -> Vec<After> {
        if !matches!(self.told, Told::Admitted | Told::Stopped) {
            return Vec::new();
        }
        let span = |span: std::time::Duration| humantime::format_duration(span).to_string().replace(' ', "");
        let (deadline, soak) = (span(self.environment.deadline), self.environment.promotion.soak);
        let settles =
            After { name: "deadline", value: format!("healthy within {deadline}"), next: "on apply".to_owned() };
        let soaks = (!soak.is_zero()).then(|| After {
            name: "soak",
            value: format!("stays healthy for {}", span(soak)),
            next: format!("{} after settle", span(soak)),
        });
        std::iter::once(settles).chain(soaks).collect()
    }

    fn to_json(&self) -> Value {
        let after = self.after();
        let after: Vec<Value> = after
            .iter()
            .map(|after| {
                json!({
                    "name": after.name, "verdict": "unknown", "code": null, "value": after.value, "measured": null,
                    "limit": null, "unit": null, "nextLook": null, "deadline": null, "evidence": null,
                })
            })
            .collect();
        let commands: Vec<String> =
            self.cures().into_iter().flat_map(|(_, cures)| cures).filter_map(|cure| cure.command).collect();
        json!({
            "environment": self.environment.name,
            "unit": self.environment.unit,
            "state": self.stand.state,
            "standing": self.stand.log.standing.as_ref().map(document::release),
            "candidate": self.stand.candidate.as_ref().map(document::commit),
            "carriedBy": self.carried_by,
            "upstream": self.upstream.as_ref()
                .map(|upstream| json!({"environment": upstream.environment, "sequence": upstream.sequence})),
            "gates": document::gates(&self.stand.gates),
            "afterApply": after,
            "reasons": document::reasons(&self.stand.reasons, &self.place),
            "notices": document::reasons(&self.notices, &self.place),
            "nextLook": self.stand.next_look.map(|at| at.to_string()),
            "commands": commands,
        })
    }

    fn text(&self, hints: bool) -> String {
        let mut text = format!("{}\n{}\n", self.headline(), self.standing_line());
        text.push_str(&self.table());
        for notice in &self.notices {
            text.push_str(&diagnostic::message(Word::Warning, notice, &[], None));
        }
        text.push_str(&message::all(&self.other_reasons(), &self.place, &self.environment, &self.stand.log, hints));
        for (gate, cures) in self.cures() {
            for reason in &gate.reasons {
                let gives_up = gate.deadline.map(|at| format!("; gives up {}", utc(at))).unwrap_or_default();
                let said = Reason { message: format!("{}{gives_up}", reason.message), ..reason.clone() };
                text.push_str(&diagnostic::message(Word::of_gate(gate.verdict, reason.code), &said, &[], None));
            }
            text.extend(cures.iter().filter(|_| hints).map(|cure| diagnostic::hint_line(&cure.text())));
        }
        text
    }

    fn table(&self) -> String {
        let count = self.stand.gates.len();
        let after = self.after();
        if count == 0 {
            return String::new();
        }
        let mut rows = gates::rows(&self.stand.gates, self.now);
        rows.extend(
            after.into_iter().map(|after| vec![after.name.to_owned(), "unknown".to_owned(), after.value, after.next]),
        );
        let table = columns(&fitted(rows, VALUE));
        let mut lines: Vec<&str> = table.lines().collect();
        let otherwise = format!("after apply, else {}:", self.otherwise());
        lines.insert(count + 1, &otherwise);
        lines.join("\n") + "\n"
    }

    /// What becomes of a release that fails.
    fn otherwise(&self) -> String {
        let proven = self.standing.as_ref().filter(|standing| standing.is_proven());
        match (self.environment.promotion.on_failure, proven) {
            (OnFailure::Stop, _) => "failed; nothing rolls back by itself".to_owned(),
            (OnFailure::Rollback, Some(good)) => format!("rollback to {}/{}", self.environment.name, good.sequence),
            (OnFailure::Rollback, None) => "rollback to the last proven release, if there is one".to_owned(),
        }
    }

    fn headline(&self) -> String {
        let name = &self.name;
        let standing = self.standing.as_ref();
        match &self.told {
            Told::Nothing => format!("{name} is {}: its branch brings no candidate", word(self.stand.state)),
            Told::Stands(Some(tip)) => {
                format!("{name} is {}: {} changes no input of what stands", word(self.stand.state), tip.short())
            }
            Told::Stands(None) => {
                let what = standing.map_or_else(
                    || "nothing stands".to_owned(),
                    |it| format!("{} \"{}\" stands", it.commit.id.short(), escape(&it.commit.subject)),
                );
                format!("{name} is {}: {what}, and the branch brings nothing new", word(self.stand.state))
            }
            Told::Admitted => {
                format!("{name} admits {}: all {} gates pass", self.candidate(), self.stand.gates.len())
            }
            Told::Stopped if self.stand.gates.iter().any(gates::stops) => {
                let waits = match self.stand.state {
                    State::Refused => "is refused by",
                    State::Held => "is held by",
                    _ => "waits for",
                };
                format!("{name} {waits} {}: {}", gates::share(&self.stand.gates), self.candidate())
            }
            Told::Stopped => format!("{name} is {}: {}", word(self.stand.state), self.candidate()),
        }
    }

    fn candidate(&self) -> String {
        let Some(candidate) = &self.stand.candidate else { return "nothing".to_owned() };
        let ago = super::status::age(candidate.first_seen, self.now);
        format!(
            "{} \"{}\", {}, first seen {} ({ago} ago)",
            candidate.id.short(),
            escape(&candidate.subject),
            escape(&candidate.claimed_author),
            utc(candidate.first_seen)
        )
    }

    fn standing_line(&self) -> String {
        let Some(standing) = &self.standing else { return "standing: nothing; source: cluster".to_owned() };
        let since = |at: Timestamp| super::status::age(at, self.now);
        let ends = |at: Timestamp, span: std::time::Duration| {
            let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
            at.saturating_add(span).unwrap_or(Timestamp::MAX)
        };
        let how = match &standing.outcome {
            None => {
                let until = ends(standing.opened_at, self.environment.deadline);
                format!("settles since {}, until {} at the latest", since(standing.opened_at), utc(until))
            }
            Some((Phase::Settled, at)) => {
                let until = ends(*at, self.environment.promotion.soak);
                format!("healthy for {}, soaks until {} ({})", since(*at), utc(until), gates::until(until, self.now))
            }
            Some((Phase::Proven, at)) => format!("proven for {}", since(*at)),
            Some((Phase::Failed, at)) => format!("failed {} ago", since(*at)),
            Some((_, at)) => format!("closed {} ago", since(*at)),
        };
        let short = standing.commit.id.short();
        format!("standing: {short} ({}/{}), {how}; source: cluster", self.environment.name, standing.sequence)
    }
}

fn word(state: State) -> String {
    super::view::word(&state)
}
