//! A promotion commit: parents [tip, upstream], the tip's files with the shared inputs of a proven release, never a text
//! merge (DESIGN §6, Automatic promotion). `promote` makes it for a person, and the agent where `promote: auto` is set.

use crate::config::Environment;
use crate::course::Promoted;
use crate::deploylog::{EntryCommit, Evidence, Inputs, Logged, Past};
use crate::edge::clock;
use crate::edge::git::{Making, Move};
use crate::gate;
use crate::name::{Code, CommitId, EnvironmentName, ObjectId, Principal, Reason, UnitName};
use crate::signature::{AgentKey, GIT_NAMESPACE, Standing};

use super::closing::{close, close_tree};
use super::site::Site;
use super::survey;
use super::upstream;

/// A promotion that is to become a commit.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The tip of the environment's branch.
    pub tip: CommitId,
    /// The environment that proved it.
    pub from: EnvironmentName,
    /// The sequence of the entry that opened it there.
    pub sequence: u64,
    /// Its commit.
    pub upstream: EntryCommit,
    /// What moves.
    pub moves: gate::Moves,
    /// The tree, which lies in the mirror.
    pub tree: ObjectId,
}

impl Draft {
    /// The message of the commit.
    #[must_use]
    pub fn message(&self, environment: &Environment, reason: Option<&str>) -> String {
        let (from, sequence, subject) = (&self.from, self.sequence, &self.upstream.subject);
        let unit = &environment.unit;
        let whose = if unit.is_whole() { String::new() } else { format!("{unit} of ") };
        let environment = &environment.name;
        let why = reason.map(|reason| format!("{}\n\n", reason.trim())).unwrap_or_default();
        format!(
            "promote {whose}{from}/{sequence} to {environment}: {subject}\n\n{why}Promoted-From: {from}#{sequence}\n"
        )
    }
}

/// Drafts the promotion of upstream's newest proven release, or of the one that an entry is about; `None` where the tip has
/// its content already.
///
/// # Errors
/// The environment has no `from`, upstream has proven nothing, or something cannot be read.
pub async fn draft(
    site: &Site,
    environment: &Environment,
    tip: &CommitId,
    sequence: Option<u64>,
) -> Result<Option<Draft>, Reason> {
    let rules = site.setup.pipeline.rules(environment);
    let from = rules.from.as_ref().ok_or_else(|| nowhere(environment))?;
    let evidence = upstream::read(site, environment).await?.evidence;
    let releases = evidence.as_ref().map(|evidence| evidence.releases.as_slice()).unwrap_or_default();
    let release = chosen(&from.environment, releases, sequence)?;
    let (sources, commit) = (environment.sources.clone(), tip.clone());
    let closed = site.with_mirror(move |mirror| close(mirror, &commit, &sources)).await;
    // A branch on which nothing can be rendered has no inputs yet.
    let inputs = closed.map_err(|error| error.reason())?.map_or_else(|_| Inputs::default(), |it| it.inputs().clone());
    let moves = gate::moves(&rules.layout, &from.layout, &inputs, &release.inputs);
    if moves == gate::Moves::default() {
        return Ok(None);
    }
    let files = Move { take: moves.take.clone(), drop: moves.drop.clone() };
    let (ours, theirs) = (tip.clone(), release.commit.id.clone());
    let tree = site.with_mirror(move |mirror| mirror.composed_tree(&ours, &theirs, &files)).await;
    Ok(Some(Draft {
        tip: tip.clone(),
        from: from.environment.clone(),
        sequence: release.sequence,
        upstream: release.commit.clone(),
        moves,
        tree: tree.map_err(|error| error.reason())?,
    }))
}

fn nowhere(environment: &Environment) -> Reason {
    let text = format!("`{}` has no `from`: it is promoted from nowhere, push to its branch", environment.name);
    Reason::new(Code::Usage, text)
}

/// The units of which upstream has proven something that the tip has not, from one reading of its log.
///
/// # Errors
/// As [`draft`].
pub async fn promotable(site: &Site, environment: &Environment, tip: &CommitId) -> Result<Vec<UnitName>, Reason> {
    let rules = site.setup.pipeline.rules(environment);
    let from = rules.from.clone().ok_or_else(|| nowhere(environment))?;
    let upstream = site.setup.pipeline.environment(&from.environment).ok_or_else(|| nowhere(environment))?;
    let logs = survey::logs(site, upstream).await?;
    let newest = |log| Evidence::of(&from.environment, log).newest_proven().cloned();
    let proven = logs.units.iter().filter_map(|(unit, log)| Some((environment.of_unit(unit), newest(log)?)));
    let proven: Vec<(Environment, Logged)> = proven.collect();
    if proven.is_empty() {
        let text = format!("`{}` has no proven release of a unit yet", from.environment);
        return Err(Reason::new(Code::UpstreamNotProven, text));
    }
    let tip = tip.clone();
    let found = site.with_mirror(move |mirror| {
        let tree = mirror.tree(&tip)?;
        let mut found = Vec::new();
        for (environment, release) in proven {
            let closed = close_tree(mirror, &tree, &environment.sources)?;
            let inputs = closed.map_or_else(|_| Inputs::default(), |closure| closure.inputs().clone());
            if gate::moves(&rules.layout, &from.layout, &inputs, &release.inputs) != gate::Moves::default() {
                found.push(environment.unit);
            }
        }
        Ok(found)
    });
    found.await.map_err(|error| error.reason())
}

/// The release that an entry is about, or the newest that is proven.
fn chosen<'r>(from: &EnvironmentName, releases: &'r [Logged], sequence: Option<u64>) -> Result<&'r Logged, Reason> {
    let Some(sequence) = sequence else {
        let none = || Reason::new(Code::UpstreamNotProven, format!("`{from}` has no proven release yet"));
        return releases.iter().find(|release| release.is_proven()).ok_or_else(none);
    };
    let about = releases.iter().find(|release| release.sequence <= sequence);
    let unknown = || Reason::new(Code::Usage, format!("`{from}/{sequence}` is no entry of a release"));
    let release = about.ok_or_else(unknown)?;
    if release.is_proven() {
        return Ok(release);
    }
    Err(Reason::new(Code::UpstreamNotProven, format!("`{from}/{}` is not proven", release.sequence)))
}

/// Who a writer key is.
///
/// # Errors
/// No signers line names it, or that person may not write into an environment that the agent shall promote into.
pub fn writer(site: &Site, key: &AgentKey, environment: &Environment) -> Result<Principal, Reason> {
    match site.setup.signers.standing(&key.fingerprint(), GIT_NAMESPACE, clock::now()) {
        Standing::Valid(principal) => {
            let writers = site.setup.pipeline.writers_of(environment);
            if writers.is_none_or(|writers| writers.contains(&principal)) {
                return Ok(principal);
            }
            let text = format!("the writer key is {principal}'s, who is no writer of `{}`", environment.name);
            Err(Reason::new(Code::UnauthorisedSigner, text))
        }
        _ => {
            let text = format!("the writer key {} is in no signers file, or not valid for Git", key.fingerprint());
            Err(Reason::new(Code::UnknownSigner, text))
        }
    }
}

/// Promotes what upstream has proven, if this is a time for it: a commit that the writer key signs, pushed as a
/// fast-forward of the branch. The gates judge it like any other.
///
/// # Errors
/// Something cannot be read, or the remote does not take it.
pub(super) async fn push(
    site: &Site,
    environment: &Environment,
    tip: &CommitId,
    past: &Past,
) -> Result<Promoted, Reason> {
    let rules = site.setup.pipeline.rules(environment);
    if let Err(until) = gate::is_a_time_for(&rules, past, clock::now()) {
        return Ok(Promoted::Later(until));
    }
    let draft = match draft(site, environment, tip, None).await {
        Ok(Some(draft)) => draft,
        Ok(None) => return Ok(Promoted::Nothing),
        Err(reason) if reason.code == Code::UpstreamNotProven => return Ok(Promoted::Nothing),
        Err(reason) => return Err(reason),
    };
    let (sources, tree) = (environment.sources.clone(), draft.tree.clone());
    let closed = site.with_mirror(move |mirror| close_tree(mirror, &mirror.files(&tree)?, &sources)).await;
    if closed.map_err(|error| error.reason())?.is_ok_and(|closure| gate::is_held(past, closure.inputs())) {
        return Ok(Promoted::Nothing);
    }
    let missing = || Reason::new(Code::Bug, "`promote: auto` runs without a writer key");
    let key = site.writer_key.clone().ok_or_else(missing)?;
    let person = writer(site, &key, environment)?.to_string();
    let message = draft.message(environment, None);
    let branch = environment.branch.clone();
    let pushed = site.with_mirror(move |mirror| {
        let parents = &[&draft.tip, &draft.upstream.id];
        let making = Making { tree: &draft.tree, parents, person: &person, message: &message };
        let commit = mirror.make_commit(&making, &|payload| key.sign(GIT_NAMESPACE, payload))?;
        mirror.push(&commit, &branch)?;
        Ok(commit)
    });
    let commit = pushed.await.map_err(|error| error.reason())?;
    tracing::info!(environment = %environment.name, commit = commit.short(), "promotion-pushed");
    site.board.look_now();
    Ok(Promoted::Pushed)
}
