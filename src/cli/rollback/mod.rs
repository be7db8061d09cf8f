//! `rollback`: a person's statement that an environment goes back to an earlier release, which needs no Git, and the revert
//! commit that makes Git agree.

mod choice;
mod telling;
mod waiting;

use super::answer::Answer;
use super::arguments::{self, At};
use super::confirm::confirm;
use super::delivery::{self, Way};
use super::diagnostic::{Failure, escape};
use super::plan::report;
use super::site::find;
use super::statement::{self, Desk, Done, Order, Outcome, Road};
use super::{history, unit};
use crate::agent::revert::{self, Draft};
use crate::agent::run;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::config::Environment;
use crate::course::{Known, Ledger};
use crate::deploylog::Past;
use crate::manifest::ManifestSet;
use crate::name::{Class, Code, CommitId, Reason, UnitName};
use crate::revision::statement::Verb;
use choice::{Choice, NoChoice, choose};
use telling::Told;

/// Goes back to a release.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign; what was stated until then is told.
pub(super) async fn rollback(
    site: &Site,
    url: &str,
    arguments: &arguments::Rollback,
    hints: bool,
) -> Result<Answer, Failure> {
    let reason = arguments.reason.as_deref().map(statement::spoken).transpose()?;
    let environment = find(site, &arguments.target.environment)?;
    let ledger = survey::ledger(site, &environment).await?;
    let environment = environment.of_unit(&which(&environment, &ledger, arguments)?);
    let known = ledger.of(&environment.unit);
    let told = Told { site, environment: &environment, url, hints };
    let tip = async || run::look(site, std::slice::from_ref(&environment.branch)).await.at(site, &environment).tip;
    // Only a rewound branch says itself what is gone back to.
    let rewound = match arguments.rewind {
        true => Some(tip().await?),
        false => None,
    };
    let inputs = match &rewound {
        Some(tip) => revert::inputs(site, &environment, tip).await?,
        None => None,
    };
    let past = Past::of(&known.log, site.keep());
    let choice = match choose(&environment, &known.log, &past, &arguments.target, inputs.as_ref()) {
        Ok(choice) => choice,
        Err(NoChoice::Refused(reason)) => return Ok(told.refused(&reason)),
        Err(NoChoice::Failed(reason)) => return Err(reason.into()),
    };
    let Some(set) = stored(site, &environment, &choice).await? else { return Ok(told.not_kept(&choice)) };
    if arguments.plan {
        let report = report(site, &environment, &known, &set).await?;
        return Ok(told.planned(&choice, &report));
    }
    let tip = match rewound {
        Some(tip) => Ok(tip),
        None => tip().await,
    };
    let work = Work { site, url, arguments, environment: &environment, known: &known, choice: &choice, reason };
    work.run(tip, &told).await
}

/// The unit that goes back: the one that is named, else the only one of the entry that is named or would be undone.
fn which(environment: &Environment, ledger: &Ledger, arguments: &arguments::Rollback) -> Result<UnitName, Failure> {
    let entry = match (&environment.units, &arguments.target.at) {
        (None, _) | (_, At::Revision(_)) => None,
        (Some(_), At::Tip) => unit::opened_last(&ledger.whole).filter(|_| arguments.unit.is_none()),
        // The newest of that unit.
        (Some(_), At::Latest) if arguments.unit.is_some() => None,
        (Some(_), At::Latest) => Some(history::entry(environment, &ledger.whole, None)?),
        (Some(_), At::Sequence(sequence)) => Some(history::entry(environment, &ledger.whole, Some(*sequence))?),
    };
    let command = format!("lockmaster rollback {}", arguments.target);
    unit::of_entry(environment, ledger, entry, arguments.unit.as_ref(), &command)
}

/// The objects of the release, if its bytes are kept.
async fn stored(site: &Site, environment: &Environment, choice: &Choice) -> Result<Option<ManifestSet>, Reason> {
    let found = site.target()?.journal.release(&environment.name, choice.to.release).await;
    let Some(bytes) = found.map_err(|error| error.reason())? else { return Ok(None) };
    ManifestSet::from_bytes(&bytes).map(Some).map_err(|problem| {
        let text = format!("the stored release `{}` cannot be read: {problem}", choice.to.release);
        Reason::new(Code::LogRegressed, text)
    })
}

/// What a rollback needs to be done.
struct Work<'w> {
    site: &'w Site,
    url: &'w str,
    arguments: &'w arguments::Rollback,
    environment: &'w Environment,
    known: &'w Known,
    choice: &'w Choice,
    reason: Option<&'w str>,
}

/// What became of the revert commit.
enum Reverted {
    /// Nobody asked for one.
    Unwanted,
    /// Git has the content already.
    Agrees,
    /// It is on this branch.
    On(CommitId, String),
    /// Git does not answer, or does not take it: it stays ahead.
    Ahead(Reason),
}

impl Work<'_> {
    async fn run(&self, tip: Result<CommitId, Reason>, told: &Told<'_>) -> Result<Answer, Failure> {
        if self.choice.stands {
            let tip = tip?;
            return self.agree(&tip, told).await;
        }
        let commit = match &tip {
            Ok(tip) if self.arguments.rewind => match self.not_rewound(tip).await? {
                None => tip.clone(),
                Some(refusal) => return Ok(told.refused(&refusal)),
            },
            Ok(_) | Err(_) => self.choice.to.commit.id.clone(),
        };
        if !self.arguments.signing.dry_run {
            confirm(&self.question(), self.arguments.signing.yes)?;
        }
        let away = tip.as_ref().err().filter(|reason| reason.code.class() == Class::Retried);
        let order = self.order(commit, away.cloned());
        let done = match statement::make(self.site, self.url, &order).await? {
            Outcome::Commands(mut commands) => {
                if let (Ok(tip), true) = (&tip, self.wants_revert()) {
                    commands.extend(self.revert_commands(tip).await?);
                }
                return Ok(told.commands(self.choice, &commands));
            }
            Outcome::Void(reason, _) => return Ok(told.refused(&reason)),
            Outcome::Done(done) => done,
        };
        let reverted = self.revert(&tip).await;
        self.settle(told, Some(done), reverted).await
    }

    /// What stands is what shall: Git alone is made to agree.
    async fn agree(&self, tip: &CommitId, told: &Told<'_>) -> Result<Answer, Failure> {
        if self.arguments.signing.dry_run {
            return Ok(told.commands(self.choice, &self.revert_commands(tip).await?));
        }
        let reverted = match self.try_revert(tip).await {
            Ok(reverted) => reverted,
            Err(failure) => return Err(failure),
        };
        self.settle(told, None, reverted).await
    }

    /// Why the branch's tip is not to be accepted by this statement: it was not put back to exactly the release.
    async fn not_rewound(&self, tip: &CommitId) -> Result<Option<Reason>, Reason> {
        let (name, branch) = (&self.environment.name, self.environment.branch.short());
        let against = |text: String| Some(Reason::new(Code::StatementNotApplicable, text).at_commit(tip.clone()));
        if self.known.log.accepted.as_ref().is_some_and(|accepted| accepted.id == *tip) {
            return Ok(against(format!("`{branch}` was not rewound: {} is the accepted head", tip.short())));
        }
        let inputs = revert::inputs(self.site, self.environment, tip).await?;
        if inputs.as_ref() == Some(&self.choice.to.inputs) {
            return Ok(None);
        }
        let (short, to) = (tip.short(), self.choice.to.sequence);
        Ok(against(format!("`{branch}` is at {short}, whose inputs are not those of {name}/{to}")))
    }

    fn question(&self) -> String {
        let (name, standing, to) = (&self.environment.name, &self.choice.standing, &self.choice.to);
        let (subject, called) = (escape(&to.commit.subject), unit::called(self.environment));
        format!(
            "roll back {called} from {name}/{} {} to {name}/{} {} \"{subject}\"",
            standing.sequence,
            standing.commit.id.short(),
            to.sequence,
            to.commit.id.short()
        )
    }

    fn order(&self, commit: CommitId, away: Option<Reason>) -> Order<'_> {
        let mut trailers =
            vec![format!("To: {}", self.choice.to.sequence), format!("Sequence: {}", self.choice.undone)];
        if self.arguments.rewind {
            trailers.push("Rewind: true".to_owned());
        }
        trailers.extend(statement::unit_trailer(self.environment));
        Order {
            verb: Verb::Rollback,
            about: vec![(self.environment.clone(), commit)],
            reason: self.reason,
            trailers,
            name: None,
            signing: &self.arguments.signing,
            road: away.map_or(Road::GitElseCluster, Road::Cluster),
        }
    }

    fn wants_revert(&self) -> bool {
        !self.arguments.no_revert && !self.arguments.rewind
    }

    /// The statement stands whatever becomes of the revert: a failure is told, and is none of the verb.
    async fn revert(&self, tip: &Result<CommitId, Reason>) -> Reverted {
        match tip {
            _ if !self.wants_revert() => Reverted::Unwanted,
            Err(reason) => Reverted::Ahead(reason.clone()),
            Ok(tip) => self.try_revert(tip).await.unwrap_or_else(|failure| {
                let mut reason = *failure.reason;
                if let Some(cause) = failure.causes.first() {
                    reason.message = format!("{}: {cause}", reason.message);
                }
                Reverted::Ahead(reason)
            }),
        }
    }

    async fn draft(&self, tip: &CommitId) -> Result<Option<(Draft, Desk)>, Failure> {
        let drafted = revert::draft(self.site, self.environment, tip, self.choice.undone, &self.choice.to).await?;
        let Some(draft) = drafted else { return Ok(None) };
        let desk = Desk::open(self.site, self.url, &self.arguments.signing).await?.at_mirror(self.site).await?;
        Ok(Some((draft, desk)))
    }

    async fn try_revert(&self, tip: &CommitId) -> Result<Reverted, Failure> {
        let Some((draft, desk)) = self.draft(tip).await? else { return Ok(Reverted::Agrees) };
        let message = draft.message(self.environment, self.reason);
        let commit = delivery::make(&desk, &desk.commit(draft.tree.as_str(), &[draft.tip.as_str()], &message))?;
        let beside = draft.aside(self.environment);
        let accepted = revert::is_as_accepted(self.site, self.environment, &self.known.log, tip).await?;
        // What somebody pushed since and was not opened would be undone with it: that is theirs to decide.
        let branch = if accepted { &self.environment.branch } else { &beside };
        let way = Way { url: self.url, branch, beside: beside.short(), moved: true };
        let branch = delivery::push(&desk, &way, &commit)?;
        Ok(Reverted::On(commit, branch))
    }

    async fn revert_commands(&self, tip: &CommitId) -> Result<Vec<String>, Failure> {
        let Some((draft, desk)) = self.draft(tip).await? else { return Ok(Vec::new()) };
        let message = draft.message(self.environment, self.reason);
        let make = desk.commit(draft.tree.as_str(), &[draft.tip.as_str()], &message);
        let push = desk.push_to(self.url, "COMMIT", self.environment.branch.as_str()).to_string();
        Ok(vec![format!("COMMIT=$({make})"), push.replace("COMMIT:", "\"$COMMIT\":")])
    }

    /// Waits where that was asked for, and says what became of it all.
    async fn settle(&self, told: &Told<'_>, done: Option<Done>, reverted: Reverted) -> Result<Answer, Failure> {
        let ended = match self.arguments.wait {
            true => Some(waiting::wait(self.site, self.environment, self.choice).await?),
            false => None,
        };
        Ok(told.done(self.choice, done.as_ref(), &reverted, ended.as_ref()))
    }
}
