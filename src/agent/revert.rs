//! A revert commit: on top of the tip of a branch, with exactly the inputs of a release that is gone back to, and nothing
//! else touched (promotion.md, section 2). `rollback` makes it for a person, and the agent where it has a writer key; it comes
//! back as a candidate that equals the standing release.

use crate::config::Environment;
use crate::course::Reverted;
use crate::deploylog::{Inputs, Log, Logged, Past};
use crate::edge::git::{GitError, Making, Mirror, Move};
use crate::name::{Code, CommitId, ObjectId, Reason, RefName};
use crate::render::Sources;
use crate::revision::Relation;
use crate::signature::GIT_NAMESPACE;

use super::carry;
use super::closing::{close, close_tree};
use super::promote::writer;
use super::site::Site;

/// How often what is left to restore is looked for: a restored file may name others.
const ROUNDS: usize = 4;

/// Commits since the accepted head in which it is looked for whether the branch agreed already.
const LOOKED_AT: usize = 50;

/// A revert that is to become a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The tip of the environment's branch.
    pub tip: CommitId,
    /// The sequence of the entry that opened what is undone.
    pub undone: u64,
    /// The sequence of the entry that opened what is gone back to.
    pub to: u64,
    /// The first line of that release's commit.
    pub subject: String,
    /// What moves.
    pub files: Move,
    /// The tree, which lies in the mirror.
    pub tree: ObjectId,
}

impl Draft {
    /// The message of the commit: `Revert to prod/38`, and the trailers `Rollback-Of: prod#40` and `Rollback-To: prod#38`;
    /// of a unit `Revert web to prod/38`.
    #[must_use]
    pub fn message(&self, environment: &Environment, reason: Option<&str>) -> String {
        let Draft { undone, to, subject, .. } = self;
        let why = reason.map(|reason| format!("{}\n\n", reason.trim())).unwrap_or_default();
        let subject = if subject.is_empty() { String::new() } else { format!(": {subject}") };
        let unit = &environment.unit;
        let whose = if unit.is_whole() { String::new() } else { format!("{unit} ") };
        let environment = &environment.name;
        format!(
            "Revert {whose}to {environment}/{to}{subject}\n\n{why}Rollback-Of: {environment}#{undone}\nRollback-To: {environment}#{to}\n"
        )
    }

    /// The branch that takes the commit where the environment's own does not.
    #[must_use]
    pub fn aside(&self, environment: &Environment) -> RefName {
        // One entry may open several units.
        let unit = &environment.unit;
        let whose = if unit.is_whole() { String::new() } else { format!("-{unit}") };
        let name = format!("refs/heads/revert/{}/{}{whose}", environment.name, self.undone);
        name.parse().expect("because an environment's name and a number make a branch name")
    }
}

/// What became of a revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The branch has the inputs already.
    Nothing,
    /// It is on this branch: the environment's, or one beside it.
    To(RefName),
}

/// The inputs of a commit of the mirror; `None` where nothing can be rendered from it.
///
/// # Errors
/// It cannot be read.
pub async fn inputs(site: &Site, environment: &Environment, commit: &CommitId) -> Result<Option<Inputs>, Reason> {
    let (sources, commit) = (environment.sources.clone(), commit.clone());
    let closed = site.with_mirror(move |mirror| close(mirror, &commit, &sources)).await;
    Ok(closed.map_err(|error| error.reason())?.ok().map(|closure| closure.inputs().clone()))
}

/// Whether nobody pushed what a revert on top of this tip would undo by the way: the tip is the accepted head, or a unit
/// reads the same there, whatever it brings to others.
///
/// # Errors
/// A commit cannot be read.
pub async fn is_as_accepted(site: &Site, environment: &Environment, log: &Log, tip: &CommitId) -> Result<bool, Reason> {
    let Some(accepted) = log.accepted.as_ref().map(|accepted| &accepted.id) else { return Ok(false) };
    if accepted == tip || environment.unit.is_whole() {
        return Ok(accepted == tip);
    }
    let ours = inputs(site, environment, tip).await?;
    Ok(ours.is_some() && ours == inputs(site, environment, accepted).await?)
}

/// Drafts the revert of what an entry opened; `None` where the tip has the inputs already.
///
/// # Errors
/// The tip or the release's commit cannot be read, or what is restored does not give those inputs.
pub async fn draft(
    site: &Site,
    environment: &Environment,
    tip: &CommitId,
    undone: u64,
    to: &Logged,
) -> Result<Option<Draft>, Reason> {
    let (sources, ours, release) = (environment.sources.clone(), tip.clone(), to.clone());
    let found = site.with_mirror(move |mirror| Restoring::new(mirror, &sources, &ours, &release).run()).await;
    let Some((files, tree)) = found.map_err(|error| error.reason())?.map_err(|left| unlike(environment, to, &left))?
    else {
        return Ok(None);
    };
    let subject = to.commit.subject.clone();
    Ok(Some(Draft { tip: tip.clone(), undone, to: to.sequence, subject, files, tree }))
}

/// Signs the revert with the writer key and pushes it: to the environment's branch, or where that moved or is protected to
/// one beside it. What somebody pushed on top of the accepted head is theirs: it is not undone by the way, and where the
/// branch agreed in between nothing is left to be said.
///
/// # Errors
/// There is no writer key or it may not write here, something cannot be read, or the remote takes neither.
pub async fn push(
    site: &Site,
    environment: &Environment,
    (accepted, tip): (&CommitId, &CommitId),
    undone: u64,
    to: &Logged,
) -> Result<Pushed, Reason> {
    let missing = || Reason::new(Code::Bug, "a revert is pushed without a writer key");
    let key = site.writer_key.clone().ok_or_else(missing)?;
    let person = writer(site, &key, environment)?.to_string();
    let beside = match place(site, environment, (accepted, tip), &to.inputs).await? {
        Some(place) => place == Place::Beside,
        None => return Ok(Pushed::Nothing),
    };
    let Some(draft) = draft(site, environment, tip, undone, to).await? else { return Ok(Pushed::Nothing) };
    let message = draft.message(environment, None);
    let aside = draft.aside(environment);
    let branch = if beside { aside.clone() } else { environment.branch.clone() };
    let (sources, wanted) = (environment.sources.clone(), to.inputs.clone());
    let pushed = site.with_mirror(move |mirror| {
        let parents = &[&draft.tip];
        let making = Making { tree: &draft.tree, parents, person: &person, message: &message };
        let commit = mirror.make_commit(&making, &|payload| key.sign(GIT_NAMESPACE, payload))?;
        match mirror.push(&commit, &branch) {
            Ok(()) => Ok((commit, Pushed::To(branch))),
            Err(GitError::Refused { .. }) if has_inputs(mirror, &branch, &sources, &wanted)? => {
                Ok((commit, Pushed::Nothing))
            }
            Err(GitError::Refused { .. }) if branch != aside => {
                mirror.push(&commit, &aside)?;
                Ok((commit, Pushed::To(aside)))
            }
            Err(error) => Err(error),
        }
    });
    let (commit, pushed) = pushed.await.map_err(|error| error.reason())?;
    if let Pushed::To(branch) = &pushed {
        let (environment, branch) = (&environment.name, branch.short());
        tracing::info!(%environment, commit = commit.short(), branch, "revert-pushed");
    }
    site.board.look_now();
    Ok(pushed)
}

/// Where a revert belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The branch is where it was accepted.
    Branch,
    /// Somebody pushed since.
    Beside,
}

/// Where a revert belongs; nowhere where the branch agreed since it was accepted, or was moved elsewhere by force.
async fn place(
    site: &Site,
    environment: &Environment,
    (accepted, tip): (&CommitId, &CommitId),
    wanted: &Inputs,
) -> Result<Option<Place>, Reason> {
    let of_unit = !environment.unit.is_whole();
    let (reference, tip, accepted) = (environment.branch.clone(), tip.clone(), accepted.clone());
    let (sources, wanted) = (environment.sources.clone(), wanted.clone());
    let found = site.with_mirror(move |mirror| {
        let facts = mirror.facts(&reference, &tip, Some(&accepted), &[])?;
        Ok(match facts.relation {
            Relation::Same => Some(Place::Branch),
            Relation::Descendant => {
                let mut agreed = false;
                let inputs =
                    |commit| Ok::<_, GitError>(close(mirror, commit, &sources)?.ok().map(|it| it.inputs().clone()));
                // What came since may be of other units alone.
                let same = of_unit && inputs(&accepted)? == inputs(&tip)?;
                for commit in facts.new.iter().take(LOOKED_AT) {
                    agreed |= close(mirror, &commit.id, &sources)?.is_ok_and(|closure| *closure.inputs() == wanted);
                }
                (!agreed).then_some(if same { Place::Branch } else { Place::Beside })
            }
            Relation::First | Relation::Ancestor | Relation::Diverged { .. } => None,
        })
    });
    found.await.map_err(|error| error.reason())
}

/// Makes Git agree with the standing release, if that is a rollback, and stands still: another agent may have opened a
/// release since the log was read, and nobody is to undo that.
///
/// # Errors
/// See [`push`].
pub(super) async fn after(
    site: &Site,
    environment: &Environment,
    tip: &CommitId,
    past: &Past,
) -> Result<Reverted, Reason> {
    let standing = past.standing.as_ref().and_then(|standing| Some((standing, standing.rollback.as_ref()?)));
    let Some((standing, rollback)) = standing else { return Ok(Reverted::Nothing) };
    let undone = standing.supersedes.unwrap_or_default();
    let to = Logged { sequence: rollback.to, ..standing.clone() };
    let log = carry::read_log(site, environment).await?.map(|replay| replay.of_unit(&environment.unit));
    let Log { accepted: Some(accepted), standing: Some(latest), .. } = log.unwrap_or_default() else {
        return Ok(Reverted::Nothing);
    };
    if latest.sequence != standing.sequence {
        return Ok(Reverted::Nothing);
    }
    Ok(match push(site, environment, (&accepted.id, tip), undone, &to).await? {
        Pushed::Nothing => Reverted::Nothing,
        Pushed::To(_) => Reverted::Pushed,
    })
}

/// Whether somebody else made the branch agree meanwhile.
fn has_inputs(mirror: &Mirror, branch: &RefName, sources: &Sources, wanted: &Inputs) -> Result<bool, GitError> {
    let Some(tip) = mirror.ls_remote()?.remove(branch).map(CommitId) else { return Ok(false) };
    mirror.fetch(&[(branch.clone(), tip.clone())])?;
    Ok(close(mirror, &tip, sources)?.is_ok_and(|closure| closure.inputs() == wanted))
}

fn unlike(environment: &Environment, to: &Logged, left: &str) -> Reason {
    let (name, commit) = (&environment.name, to.commit.id.short());
    let text = format!(
        "no revert can be made: with the files of {commit} the inputs are not those of {name}/{}: {left}",
        to.sequence
    );
    Reason::new(Code::RenderFailed, text).at_commit(to.commit.id.clone())
}

/// Restoring the inputs of a release on top of a tip.
struct Restoring<'r> {
    mirror: &'r Mirror,
    sources: &'r Sources,
    tip: &'r CommitId,
    to: &'r Logged,
    files: Move,
}

impl<'r> Restoring<'r> {
    fn new(mirror: &'r Mirror, sources: &'r Sources, tip: &'r CommitId, to: &'r Logged) -> Self {
        Restoring { mirror, sources, tip, to, files: Move::default() }
    }

    /// What moves and the tree that this gives, `None` where nothing has to; or what is not as it should be in the end.
    fn run(mut self) -> Result<Result<Option<(Move, ObjectId)>, String>, GitError> {
        let old = self.mirror.tree(&self.to.commit.id)?;
        let mut left = "the listings of its directories differ".to_owned();
        for _ in 0..ROUNDS {
            let tree = self.mirror.composed_tree(self.tip, &self.to.commit.id, &self.files)?;
            let inputs = match close_tree(self.mirror, &self.mirror.files(&tree)?, self.sources)? {
                Ok(closure) => closure.inputs().clone(),
                // Where nothing can be rendered, all of it is to be restored.
                Err(reason) => {
                    left = reason.message;
                    Inputs::default()
                }
            };
            if inputs == self.to.inputs {
                return Ok(Ok((self.files != Move::default()).then_some((self.files, tree))));
            }
            let differs = |path: &&_| inputs.files.get(*path) != self.to.inputs.files.get(*path);
            let known = inputs.files.keys().chain(self.to.inputs.files.keys()).filter(differs);
            let before = self.files.clone();
            for path in known.cloned().collect::<std::collections::BTreeSet<_>>() {
                left = format!("`{path}` differs");
                // A file that the release did not read is as its commit has it, or goes.
                if old.contains_key(&path) {
                    self.files.take.push((path.clone(), path));
                } else {
                    self.files.drop.push(path);
                }
            }
            self.files.take.sort();
            self.files.take.dedup();
            self.files.drop.sort();
            self.files.drop.dedup();
            if self.files == before {
                break;
            }
        }
        Ok(Err(left))
    }
}
