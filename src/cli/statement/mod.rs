//! `approve`, `freeze`, `unfreeze`: a person's statement as a signed tag, made and pushed by that person's own git, after
//! it was read here as the agent will read it.

mod draft;
mod tagging;
mod telling;

use jiff::Timestamp;

use super::answer::Answer;
use super::arguments::{self, Signing};
use super::confirm::confirm;
use super::diagnostic::Failure;
use super::site::{chosen, find};
use super::{message, revision};
use crate::agent::run;
use crate::agent::site::Site;
use crate::config::Environment;
use crate::gate;
use crate::name::{Code, CommitId, EnvironmentName, Reason};
use crate::revision::statement::{self, OVERRIDABLE, Statement, Verb};
use draft::Draft;
pub(super) use tagging::Desk;
use telling::Told;

/// What of the gates that an approval may override is not built.
const NOT_BUILT: [&str; 4] = ["slo", "adoption", "prune", "recreate"];

/// A statement about several environments, each at a commit.
struct Order<'a> {
    verb: Verb,
    about: Vec<(Environment, CommitId)>,
    reason: Option<&'a str>,
    trailers: Vec<String>,
    name: Option<&'a str>,
    signing: &'a Signing,
}

/// Signs and pushes an approval.
///
/// # Errors
/// Something cannot be reached, git cannot sign or push, or what was asked for is no approval.
pub(super) async fn approve(
    site: &Site,
    url: &str,
    arguments: &arguments::Approve,
    hints: bool,
) -> Result<Answer, Failure> {
    overridable(&arguments.overrides)?;
    let reason = arguments.reason.as_deref().map(spoken).transpose()?;
    let environment = find(site, &arguments.target.environment)?;
    let commit = revision::find(site, &environment, &arguments.target).await.commit?;
    let until = Timestamp::now().saturating_add(arguments.expires).map_err(|error| wrong("--expires", &error))?;
    let mut trailers = vec![until_trailer(until)];
    if !arguments.overrides.is_empty() {
        let gates = arguments.overrides.join(", ");
        trailers.push(format!("Overrides: {gates}"));
        if !arguments.signing.dry_run {
            let question = format!("override {gates} for `{}` {}", environment.name, commit.short());
            confirm(&question, arguments.signing.yes)?;
        }
    }
    let about = vec![(environment, commit)];
    let name = arguments.name.as_deref();
    let order = Order { verb: Verb::Approve, about, reason, trailers, name, signing: &arguments.signing };
    make(site, url, &order, hints).await
}

/// Stops promotions into environments until a time.
///
/// # Errors
/// As [`approve`].
pub(super) async fn freeze(
    site: &Site,
    url: &str,
    arguments: &arguments::Freeze,
    hints: bool,
) -> Result<Answer, Failure> {
    let reason = Some(spoken(&arguments.reason)?);
    let trailers = vec![until_trailer(draft::until(&arguments.until, Timestamp::now())?)];
    let about = tips(site, &arguments.environments).await?;
    let order = Order { verb: Verb::Freeze, about, reason, trailers, name: None, signing: &arguments.signing };
    make(site, url, &order, hints).await
}

/// Lets promotions go on.
///
/// # Errors
/// As [`approve`].
pub(super) async fn unfreeze(
    site: &Site,
    url: &str,
    arguments: &arguments::Unfreeze,
    hints: bool,
) -> Result<Answer, Failure> {
    let reason = Some(spoken(&arguments.reason)?);
    let about = tips(site, &arguments.environments).await?;
    if !arguments.signing.dry_run {
        let names: Vec<String> = about.iter().map(|(environment, _)| format!("`{}`", environment.name)).collect();
        confirm(&format!("let promotions into {} go on", names.join(", ")), arguments.signing.yes)?;
    }
    let order =
        Order { verb: Verb::Unfreeze, about, reason, trailers: Vec::new(), name: None, signing: &arguments.signing };
    make(site, url, &order, hints).await
}

/// Whether a statement of this signer counts: the one place where the rights of verbs are asked before a push. The agent
/// asks again.
fn may(site: &Site, environment: &Environment, statement: &Statement) -> Result<(), Reason> {
    let (rules, signer) = (site.setup.pipeline.rules(environment), statement.signer());
    let counts = match statement.verb() {
        Verb::Approve => gate::may_approve(&rules, signer),
        Verb::Freeze => gate::may_freeze(&rules, signer),
        _ => gate::may_unfreeze(&rules, signer),
    };
    if counts {
        return Ok(());
    }
    let role = rules.approvals.as_ref().and_then(|approvals| approvals.role.as_ref());
    let what = match role.filter(|_| statement.verb() != Verb::Freeze) {
        Some(role) => format!("is not of `{role}`"),
        None => format!("is no writer of `{}`", environment.name),
    };
    let text = format!("tag `{}`: {signer} {what}", statement.name());
    Err(Reason::new(Code::UnauthorisedSigner, text))
}

async fn make(site: &Site, url: &str, order: &Order<'_>, hints: bool) -> Result<Answer, Failure> {
    let desk = Desk::open(site, url, order.signing).await?;
    let taken = desk.taken(site).await?;
    let mut drafts = Vec::new();
    for (environment, commit) in &order.about {
        drafts.push(Draft::new(site, &desk, order, environment, commit, &taken)?);
    }
    let told = Told { site, url, verb: order.verb, hints };
    if order.signing.dry_run {
        let mut commands = Vec::new();
        for (draft, (environment, _)) in drafts.iter().zip(&order.about) {
            commands.extend(desk.bring(environment, &draft.commit));
            commands.push(desk.sign(draft));
        }
        commands.push(desk.push(url, &drafts));
        commands.dedup();
        return Ok(told.commands(&commands));
    }
    let mut made = Vec::new();
    for (draft, (environment, _)) in drafts.iter().zip(&order.about) {
        match one(site, &desk, draft, environment) {
            Ok(statement) => made.push(statement),
            Err(refusal) => {
                desk.discard(&drafts[..made.len()]);
                return match refusal {
                    Refusal::Failed(failure) => Err(*failure),
                    Refusal::Void(reason) => Ok(told.void(&reason, &message::place(site, environment, None))),
                };
            }
        }
    }
    if let Err(failure) = desk.run(&desk.push(url, &drafts)) {
        desk.discard(&drafts);
        return Err(tagging::not_pushed(failure, url));
    }
    desk.tidy(&drafts);
    Ok(told.pushed(&made, &drafts, &desk))
}

/// Why a tag that was made is not pushed.
enum Refusal {
    Failed(Box<Failure>),
    Void(Reason),
}

/// Makes a tag, and reads it as the agent will; takes back one that would not count.
fn one(site: &Site, desk: &Desk, draft: &Draft, environment: &Environment) -> Result<Statement, Refusal> {
    let failed = |failure: Failure| Refusal::Failed(Box::new(failure));
    if let Some(command) = desk.bring(environment, &draft.commit) {
        desk.run(&command).map_err(|failure| failed(tagging::not_brought(failure)))?;
    }
    desk.run(&desk.sign(draft)).map_err(|failure| failed(tagging::not_signed(failure)))?;
    let counted = desk.read(draft).map_err(failed).and_then(|raw| {
        let statement = statement::read(&raw, &site.setup.signers, Timestamp::now()).map_err(Refusal::Void)?;
        may(site, environment, &statement).map_err(Refusal::Void)?;
        Ok(statement)
    });
    if counted.is_err() {
        desk.discard(std::slice::from_ref(draft));
    }
    counted
}

/// The tip of each environment's branch.
async fn tips(site: &Site, names: &[EnvironmentName]) -> Result<Vec<(Environment, CommitId)>, Reason> {
    let environments = chosen(site, names)?;
    let branches: Vec<_> = environments.iter().map(|environment| environment.branch.clone()).collect();
    let looked = run::look(site, &branches).await;
    let tip = |environment: Environment| {
        let commit = looked.at(site, &environment).tip?;
        Ok((environment, commit))
    };
    environments.into_iter().map(tip).collect()
}

fn overridable(gates: &[String]) -> Result<(), Failure> {
    for gate in gates {
        if !OVERRIDABLE.contains(&gate.as_str()) {
            let text = format!("`{gate}` is no gate that an approval overrides, expected {}", OVERRIDABLE.join(", "));
            return Err(Failure::new(Code::Usage, text));
        }
        if NOT_BUILT.contains(&gate.as_str()) {
            return Err(Failure::not_yet(&format!("--override {gate}")));
        }
        if gates.iter().filter(|other| *other == gate).count() > 1 {
            return Err(Failure::new(Code::Usage, format!("`--override` names `{gate}` twice")));
        }
    }
    Ok(())
}

/// A reason that says something.
fn spoken(reason: &str) -> Result<&str, Failure> {
    match reason.trim() {
        "" => Err(Failure::new(Code::Usage, "`--reason` is empty")),
        words => Ok(words),
    }
}

fn until_trailer(until: Timestamp) -> String {
    format!("Until: {}", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

fn wrong(flag: &str, what: &impl std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, format!("the value of `{flag}` cannot be taken: {what}"))
}
