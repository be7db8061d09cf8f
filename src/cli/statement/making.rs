//! Makes statements: signs each, reads it as the agent will, and sends it by the road that is open.

use jiff::Timestamp;

use super::draft::Draft;
use super::tagging::{self, Desk};
use super::{Order, Road};
use crate::agent::site::Site;
use crate::cli::diagnostic::Failure;
use crate::config::Environment;
use crate::edge::git::StandIn;
use crate::gate;
use crate::name::{Code, Reason};
use crate::revision::statement::{self, RawTag, Statement, Verb};

/// What became of an order.
pub(in crate::cli) enum Outcome {
    /// `--dry-run`: what would be run, for `sh`.
    Commands(Vec<String>),
    /// A statement would not count; nothing was sent.
    Void(Reason, Box<Environment>),
    /// All were sent.
    Done(Done),
}

/// Statements that were sent.
pub(in crate::cli) struct Done {
    /// Each, with the first line of its commit's message where that is known.
    pub(in crate::cli) made: Vec<(Statement, String)>,
    /// Where they are.
    pub(in crate::cli) taken: Taken,
}

/// Where statements are.
pub(in crate::cli) enum Taken {
    /// In the repository, as tags.
    Git,
    /// In these objects of the cluster, and why not in the repository.
    Cluster(Vec<String>, Box<Reason>),
}

/// Signs what was ordered, and sends it.
///
/// # Errors
/// Something cannot be reached, or git cannot sign or push; then nothing was sent.
pub(in crate::cli) async fn make(site: &Site, url: &str, order: &Order<'_>) -> Result<Outcome, Failure> {
    let desk = Desk::open(site, url, order.signing).await?;
    let taken = match &order.road {
        Road::Git | Road::GitElseCluster => Some(desk.taken(site).await?),
        Road::Cluster(_) => None,
    };
    let mut drafts = Vec::new();
    for (environment, commit) in &order.about {
        drafts.push(Draft::new(site, &desk, order, environment, commit, taken.as_ref())?);
    }
    if order.signing.dry_run {
        return Ok(Outcome::Commands(commands(site, url, order, &desk, &drafts)));
    }
    let scratch = scratch(order, &desk, &drafts)?;
    let desk = scratch.iter().fold(desk, |desk, scratch| desk.standing_in(scratch));
    let mut signed = Vec::new();
    for (draft, (environment, _)) in drafts.iter().zip(&order.about) {
        if let (Some(command), None) = (desk.bring(environment, &draft.commit), &scratch) {
            desk.run(&command).map_err(tagging::not_brought).inspect_err(|_| desk.discard(&drafts[..signed.len()]))?;
        }
        match one(site, &desk, draft, environment) {
            Ok(made) => signed.push(made),
            Err(refusal) => {
                desk.discard(&drafts[..signed.len()]);
                return match refusal {
                    Refusal::Failed(failure) => Err(*failure),
                    Refusal::Void(reason) => Ok(Outcome::Void(reason, Box::new(environment.clone()))),
                };
            }
        }
    }
    let sent = send(site, url, order, &desk, (&drafts, &signed)).await;
    let taken = sent.inspect_err(|_| desk.discard(&drafts))?;
    let subjects: Vec<String> = drafts.iter().map(|draft| desk.subject(&draft.commit)).collect();
    desk.tidy(&drafts);
    Ok(Outcome::Done(Done { made: signed.into_iter().map(|(statement, _)| statement).zip(subjects).collect(), taken }))
}

/// Where Git does not answer, a commit that is not at hand cannot be fetched, and can be tagged all the same.
fn scratch(order: &Order<'_>, desk: &Desk, drafts: &[Draft]) -> Result<Option<StandIn>, Failure> {
    let missing =
        |(draft, (environment, _)): (&Draft, &(Environment, _))| desk.bring(environment, &draft.commit).is_some();
    if !matches!(order.road, Road::Cluster(_)) || !drafts.iter().zip(&order.about).any(missing) {
        return Ok(None);
    }
    let commits: Vec<_> = drafts.iter().map(|draft| &draft.commit).collect();
    let made = StandIn::new(&commits);
    made.map(Some).map_err(|error| Failure::new(Code::Usage, format!("nothing can be signed: {error}")))
}

/// What would be run, for `sh`.
fn commands(site: &Site, url: &str, order: &Order<'_>, desk: &Desk, drafts: &[Draft]) -> Vec<String> {
    let mut commands = Vec::new();
    for (draft, (environment, _)) in drafts.iter().zip(&order.about) {
        commands.extend(desk.bring(environment, &draft.commit).map(|command| command.to_string()));
        commands.push(desk.sign(draft).to_string());
    }
    match &order.road {
        Road::Git | Road::GitElseCluster => commands.push(desk.push(url, drafts).to_string()),
        Road::Cluster(_) => {
            let (namespace, label) = (&site.setup.agent_namespace, "lockmaster.dev/statement=");
            for draft in drafts {
                let object = draft.name.short().replace('/', ".");
                commands.push(format!(
                    "{} | kubectl create configmap {object} -n {namespace} --from-file=tag=/dev/stdin",
                    desk.show(draft)
                ));
                commands.push(format!("kubectl label configmap {object} -n {namespace} {label}"));
            }
        }
    }
    commands.dedup();
    commands
}

/// Pushes the tags, or puts them into the cluster.
async fn send(
    site: &Site,
    url: &str,
    order: &Order<'_>,
    desk: &Desk,
    (drafts, signed): (&[Draft], &[(Statement, RawTag)]),
) -> Result<Taken, Failure> {
    let why = match &order.road {
        Road::Cluster(reason) => reason.clone(),
        Road::Git | Road::GitElseCluster => match desk.run(&desk.push(url, drafts)) {
            Ok(_) => return Ok(Taken::Git),
            Err(error) => {
                let failure = tagging::not_pushed(error, url);
                if site.target.is_none() || !matches!(order.road, Road::GitElseCluster) {
                    return Err(failure);
                }
                Reason::new(Code::FetchFailed, failure.causes.join("; "))
            }
        },
    };
    let target = site.target.as_ref().ok_or_else(|| Failure::from(why.clone()))?;
    let mut objects = Vec::new();
    for ((_, raw), (environment, _)) in signed.iter().zip(&order.about) {
        let put = target.journal.put_statement(&environment.name, raw.name.short(), &raw.bytes).await;
        objects.push(put.map_err(|error| Failure::from(error.reason()).because(&why.message))?);
    }
    Ok(Taken::Cluster(objects, Box::new(why)))
}

/// Why a tag that was made is not sent.
enum Refusal {
    Failed(Box<Failure>),
    Void(Reason),
}

/// Makes a tag, and reads it as the agent will; takes back one that would not count.
fn one(site: &Site, desk: &Desk, draft: &Draft, environment: &Environment) -> Result<(Statement, RawTag), Refusal> {
    let failed = |failure: Failure| Refusal::Failed(Box::new(failure));
    desk.run(&desk.sign(draft)).map_err(|failure| failed(tagging::not_signed(failure)))?;
    let counted = desk.read(draft).map_err(failed).and_then(|raw| {
        let statement = statement::read(&raw, &site.setup.signers, Timestamp::now()).map_err(Refusal::Void)?;
        may(site, environment, &statement).map_err(Refusal::Void)?;
        Ok((statement, raw))
    });
    if counted.is_err() {
        desk.discard(std::slice::from_ref(draft));
    }
    counted
}

/// Whether a statement of this signer counts: the one place where the rights of verbs are asked before a push. The agent
/// asks again.
fn may(site: &Site, environment: &Environment, statement: &Statement) -> Result<(), Reason> {
    let (rules, signer) = (site.setup.pipeline.rules(environment), statement.signer());
    // What only makes things stricter, or goes back to what ran before, takes less than what loosens a rule.
    let (counts, strict) = match statement.verb() {
        Verb::Approve => (gate::may_approve(&rules, signer), false),
        Verb::Freeze | Verb::Hold | Verb::Rollback => (gate::may_freeze(&rules, signer), true),
        Verb::Unfreeze | Verb::Unhold => (gate::may_unfreeze(&rules, signer), false),
    };
    if counts {
        return Ok(());
    }
    let role = rules.approvals.as_ref().and_then(|approvals| approvals.role.as_ref());
    let what = match role.filter(|_| !strict) {
        Some(role) => format!("is not of `{role}`"),
        None => format!("is no writer of `{}`", environment.name),
    };
    let text = format!("tag `{}`: {signer} {what}", statement.name());
    Err(Reason::new(Code::UnauthorisedSigner, text))
}
