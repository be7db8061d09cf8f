//! `approve`, `freeze`, `unfreeze`, and the statements of `hold`, `unhold` and `rollback`: what a person says as a signed tag,
//! made and pushed by that person's own git, after it was read here as the agent will read it.

mod draft;
mod making;
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
use crate::name::{Code, CommitId, EnvironmentName, Reason};
use crate::revision::statement::{OVERRIDABLE, Verb};
pub(super) use making::{Done, Outcome, Taken, make};
pub(super) use tagging::Desk;
use telling::Told;
pub(super) use telling::{document, road};

/// What of the gates that an approval may override is not built.
const NOT_BUILT: [&str; 4] = ["slo", "adoption", "prune", "recreate"];

/// A statement about several environments, each at a commit.
pub(super) struct Order<'a> {
    pub(super) verb: Verb,
    pub(super) about: Vec<(Environment, CommitId)>,
    pub(super) reason: Option<&'a str>,
    pub(super) trailers: Vec<String>,
    pub(super) name: Option<&'a str>,
    pub(super) signing: &'a Signing,
    /// Which way it goes.
    pub(super) road: Road,
}

/// Which way a statement goes to the agent. Authority is the signature, never the road.
pub(super) enum Road {
    /// As a tag that is pushed.
    Git,
    /// As a tag; where the remote does not take it, its bytes go into the cluster.
    GitElseCluster,
    /// Into the cluster: Git was asked already, and does not answer.
    Cluster(Reason),
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
    let order =
        Order { verb: Verb::Approve, about, reason, trailers, name, signing: &arguments.signing, road: Road::Git };
    answer(site, url, &order, hints).await
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
    let (name, signing, road) = (None, &arguments.signing, Road::Git);
    let order = Order { verb: Verb::Freeze, about, reason, trailers, name, signing, road };
    answer(site, url, &order, hints).await
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
    let (trailers, name, signing, road) = (Vec::new(), None, &arguments.signing, Road::Git);
    let order = Order { verb: Verb::Unfreeze, about, reason, trailers, name, signing, road };
    answer(site, url, &order, hints).await
}

/// Makes a statement, and says what became of it.
///
/// # Errors
/// Something cannot be reached, or git cannot sign or push.
pub(super) async fn answer(site: &Site, url: &str, order: &Order<'_>, hints: bool) -> Result<Answer, Failure> {
    let told = Told { site, url, verb: order.verb, hints };
    Ok(match make(site, url, order).await? {
        Outcome::Commands(commands) => told.commands(&commands),
        Outcome::Void(reason, environment) => told.void(&reason, &message::place(site, &environment, None)),
        Outcome::Done(done) => told.done(&done),
    })
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
pub(super) fn spoken(reason: &str) -> Result<&str, Failure> {
    match reason.trim() {
        "" => Err(Failure::new(Code::Usage, "`--reason` is empty")),
        words => Ok(words),
    }
}

/// What limits a statement to one unit; nothing where the environment has no units.
pub(super) fn unit_trailer(environment: &Environment) -> Option<String> {
    (!environment.unit.is_whole()).then(|| format!("Unit: {}", environment.unit))
}

fn until_trailer(until: Timestamp) -> String {
    format!("Until: {}", until.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

fn wrong(flag: &str, what: &impl std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, format!("the value of `{flag}` cannot be taken: {what}"))
}
