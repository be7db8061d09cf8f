//! How an environment stands, read from the journal, Git and the cluster; for `status`, `plan`, `verify` and `diff`, which
//! work with and without a running agent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use crate::config::Environment;
use crate::course::{self, Brief, Known, Ledger, Since, StandingBrief};
use crate::deploylog::{Log, Past, Phase, StandingRelease};
use crate::edge::clock;
use crate::edge::git::{GitError, Mirror};
use crate::health::{self, Assessment, Health};
use crate::manifest::ManifestSet;
use crate::name::{CommitId, GroupVersionKind, ObjectId, ObjectKey, Reason, RefName, RepoPath, UnitName};
use crate::plan::drift::{self, Check, View};
use crate::plan::{self, Live};
use crate::render::is_touched;

use super::carry;
use super::judge::{self, Depth, Finding, Outlook};
use super::observe::{self, IN_FLIGHT};
use super::site::Site;
use super::walk::{Look, Tip};

/// Candidates that are judged at once: each reads the repository and the cluster.
const JUDGED_AT_ONCE: usize = 4;

/// What was found about the units of an environment, from one reading of its log and inventories and one look at the
/// repository. An environment without `units` has one, `.`.
#[derive(Debug)]
pub struct Surveys {
    /// The log, every entry as it was written.
    pub whole: Log,
    /// The tip of its branch, or why it could not be read, or why no unit can be told in it.
    pub tip: Tip,
    /// Each unit that the tip or the log knows.
    pub units: BTreeMap<UnitName, Survey>,
    /// Why directories beside the units are none.
    pub strangers: Vec<Reason>,
}

/// Whether a commit has something to open for a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brings {
    /// It stands at that commit already, or nothing that it reads is otherwise there.
    Nothing,
    /// It is to be judged.
    Perhaps,
}

/// What a commit may mean to each unit of an environment.
#[derive(Debug)]
pub struct Candidates {
    /// The commit, or why no unit can be told in it.
    pub tip: Tip,
    /// Each unit that the commit or the log knows.
    pub units: BTreeMap<UnitName, Brings>,
    /// Why directories beside the units are none.
    pub strangers: Vec<Reason>,
}

/// What was found about one environment, or one unit of it.
#[derive(Debug)]
pub struct Survey {
    /// The log and the inventory.
    pub known: Known,
    /// The tip of its branch, or why it could not be read.
    pub tip: Result<CommitId, Reason>,
    /// What judging the tip found; `None` where the tip is the accepted head or cannot be read.
    pub outlook: Option<Outlook>,
    /// The objects of the standing release.
    pub objects: Option<Objects>,
}

/// The objects of the standing release as they are now.
#[derive(Debug)]
pub struct Objects {
    /// The release.
    pub set: ManifestSet,
    /// Each object's health.
    pub health: BTreeMap<ObjectKey, Assessment>,
    /// What waits to be pruned: `prune-needs-approval`.
    pub prune_waits: Vec<Reason>,
    /// How many are not as the release says, by what the agent wrote down when it was proven; `None` where it has not.
    pub drifted: Option<usize>,
}

/// Reads the log of an environment, and what each of its units created.
///
/// # Errors
/// Something cannot be read, or the log is violated.
pub async fn ledger(site: &Site, environment: &Environment) -> Result<Ledger, Reason> {
    carry::read(site, environment).await.map(|read| read.ledger)
}

/// The log of an environment, as it was written and as each unit reads it.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    /// Every entry as it was written.
    pub whole: Log,
    /// As a unit reads it that it is not about.
    pub common: Log,
    /// As each unit reads it that it is about; empty where the environment has no units.
    pub units: BTreeMap<UnitName, Log>,
}

impl Logs {
    /// The log as a unit reads it.
    #[must_use]
    pub fn of(&self, unit: &UnitName) -> &Log {
        if unit.is_whole() { &self.whole } else { self.units.get(unit).unwrap_or(&self.common) }
    }
}

/// Reads and verifies the log of an environment; empty where there is none yet.
///
/// # Errors
/// It cannot be read, or is violated.
pub async fn logs(site: &Site, environment: &Environment) -> Result<Logs, Reason> {
    let Some(replay) = carry::read_log(site, environment).await? else { return Ok(Logs::default()) };
    let named = replay.units().filter(|_| environment.units.is_some());
    let units = named.map(|unit| (unit.clone(), replay.of_unit(unit))).collect();
    Ok(Logs { whole: replay.log().clone(), common: replay.common(), units })
}

/// The log of an environment, or of the unit that it is narrowed to.
///
/// # Errors
/// It cannot be read, or is violated.
pub async fn log(site: &Site, environment: &Environment) -> Result<Log, Reason> {
    Ok(carry::read_log(site, environment).await?.map(|replay| replay.of_unit(&environment.unit)).unwrap_or_default())
}

/// What is known of an environment that could not be read.
#[must_use]
pub fn nothing() -> Ledger {
    Ledger {
        whole: Log::default(),
        common: Log::default(),
        logs: BTreeMap::new(),
        inventories: BTreeMap::new(),
        cluster: String::new(),
        agent_key: String::new(),
    }
}

/// What a candidate is judged against.
#[must_use]
pub fn brief(
    site: &Site,
    environment: &Environment,
    known: &Known,
    tip: CommitId,
    statements: BTreeMap<RefName, ObjectId>,
) -> Brief {
    let standing = known.log.standing.as_ref();
    Brief {
        tip,
        accepted: known.log.accepted.clone(),
        since: since(environment, &known.log),
        upstream: 0,
        standing: standing.map(|standing| StandingBrief { release: standing.release, inputs: standing.inputs }),
        inventory: known.inventory.clone(),
        past: Past::of(&known.log, site.keep()),
        statements,
    }
}

/// As an agent that was just started has it: with others beside a unit, the accepted head says nothing about this one.
fn since(environment: &Environment, log: &Log) -> Since {
    if environment.unit.is_whole() {
        return Since::Accepted;
    }
    match (&log.standing, &log.accepted_before) {
        (Some(standing), _) => Since::Commit(standing.commit.id.clone()),
        (None, Some(before)) => Since::Commit(before.clone()),
        (None, None) => Since::Ever,
    }
}

/// Finds the units of a commit and of the log, and which of them the commit may bring something. Nothing is judged: the
/// work grows with what differs.
pub async fn candidates(site: &Site, environment: &Environment, ledger: &Ledger, tip: Tip) -> Candidates {
    let logged = || ledger.logs.keys().map(|unit| (unit.clone(), Brings::Perhaps));
    let nothing = |tip: Tip| Candidates { tip, units: logged().collect(), strangers: Vec::new() };
    let whole = UnitName::whole();
    let commit = match tip {
        Ok(commit) if environment.units.is_none() => {
            let brings = if ledger.of(&whole).log.is_accepted(&commit) { Brings::Nothing } else { Brings::Perhaps };
            return Candidates { tip: Ok(commit), units: BTreeMap::from([(whole, brings)]), strangers: Vec::new() };
        }
        Err(reason) if environment.units.is_none() => {
            let units = BTreeMap::from([(whole, Brings::Perhaps)]);
            return Candidates { tip: Err(reason), units, strangers: Vec::new() };
        }
        Ok(commit) => commit,
        Err(reason) => return nothing(Err(reason)),
    };
    let (sources, id) = (environment.clone(), commit.clone());
    let logs: BTreeMap<UnitName, Log> = ledger.logs.clone();
    let found = site.with_mirror(move |mirror| {
        let found = sources.units_in(&mirror.tree(&id)?);
        let mut differences = Differences::new(mirror, &id);
        let mut untouched = BTreeSet::new();
        for (unit, log) in &logs {
            let directory = sources.unit_path(unit).unwrap_or_else(RepoPath::root);
            if log.is_accepted(&id) || differences.spares(&directory, log)? {
                untouched.insert(unit.clone());
            }
        }
        Ok((found, untouched))
    });
    let (found, untouched) = match found.await {
        Ok((Ok(found), untouched)) => (found, untouched),
        Ok((Err(mut reasons), _)) => return nothing(Err(reasons.remove(0).at_commit(commit))),
        Err(error) => return nothing(Err(error.reason())),
    };
    let known = found.units.iter().chain(found.refused.keys()).cloned();
    let mut units: BTreeMap<UnitName, Brings> = logged().chain(known.map(|unit| (unit, Brings::Perhaps))).collect();
    for unit in untouched.into_iter().filter(|unit| found.units.contains(unit)) {
        units.insert(unit, Brings::Nothing);
    }
    Candidates { tip: Ok(commit), units, strangers: found.reasons }
}

/// What a commit has otherwise than others.
struct Differences<'m> {
    mirror: &'m Mirror,
    commit: &'m CommitId,
    known: BTreeMap<CommitId, Option<BTreeSet<RepoPath>>>,
}

impl<'m> Differences<'m> {
    fn new(mirror: &'m Mirror, commit: &'m CommitId) -> Self {
        Differences { mirror, commit, known: BTreeMap::new() }
    }

    /// Whether nothing that the standing release of a unit reads is otherwise; where nobody can tell, it may be.
    fn spares(&mut self, directory: &RepoPath, log: &Log) -> Result<bool, GitError> {
        let Some((standing, inputs)) = log.standing.as_ref().zip(log.standing_inputs()) else { return Ok(false) };
        let from = &standing.commit.id;
        if !self.known.contains_key(from) {
            let changed = self.mirror.changed_paths(from, self.commit)?;
            self.known.insert(from.clone(), changed);
        }
        let changed = self.known.get(from).and_then(Option::as_ref);
        Ok(changed.is_some_and(|changed| changed.is_empty() || !is_touched(&inputs, directory, changed)))
    }
}

/// Surveys an environment: each of its units, or the one that is named. The tip must have been read after the ledger: else
/// one that was accepted and replaced in between looks like a rewind.
///
/// # Errors
/// The cluster does not answer, or has lost what the log names.
pub async fn survey(
    site: &Site,
    environment: &Environment,
    ledger: &Ledger,
    look: Look,
    only: Option<&UnitName>,
) -> Result<Surveys, Reason> {
    let Look { tip, statements } = look;
    let statements = statements.unwrap_or_default();
    let Candidates { tip, mut units, strangers } = candidates(site, environment, ledger, tip).await;
    units.retain(|unit, _| only.is_none_or(|only| only == unit));
    let judged = units.into_iter().map(|(unit, brings)| {
        let (environment, known) = (environment.of_unit(&unit), ledger.of(&unit));
        let (tip, statements) = (&tip, &statements);
        async move {
            let outlook = match tip {
                Ok(commit) if brings == Brings::Perhaps => {
                    let brief = brief(site, &environment, &known, commit.clone(), statements.clone());
                    Some(judge::judge(site, &environment, &brief, Depth::Plan).await)
                }
                Ok(_) | Err(_) => None,
            };
            (unit, Survey { known, tip: tip.clone(), outlook, objects: None })
        }
    });
    let mut units: BTreeMap<UnitName, Survey> = stream::iter(judged).buffered(JUDGED_AT_ONCE).collect().await;
    let created = ledger.inventories.iter().flat_map(|(unit, of)| of.members.keys().map(move |key| (key, unit)));
    let homes: HashMap<&ObjectKey, &UnitName> = created.collect();
    for (unit, survey) in &mut units {
        survey.outlook.iter_mut().for_each(|outlook| outlook.verdict.unless_taken(unit, &homes));
    }
    let mut found = objects(site, environment, &units).await?;
    for (unit, survey) in &mut units {
        survey.objects = found.remove(unit);
    }
    Ok(Surveys { whole: ledger.whole.clone(), tip, units, strangers })
}

impl Finding {
    /// No unit takes an object of another, as the agent has it.
    fn unless_taken(&mut self, unit: &UnitName, homes: &HashMap<&ObjectKey, &UnitName>) {
        let Finding::Admitted(opening) = self else { return };
        let of_another = opening.admitted.set().objects().filter_map(|(key, _)| {
            let home = homes.get(key).filter(|home| **home != unit)?;
            Some(course::of_another(key, home))
        });
        let reasons: Vec<Reason> = of_another.collect();
        if !reasons.is_empty() {
            *self = Finding::Stopped { refused: true, reasons };
        }
    }
}

/// The objects of every standing release; the cluster is asked once for all of them.
async fn objects(
    site: &Site,
    environment: &Environment,
    units: &BTreeMap<UnitName, Survey>,
) -> Result<BTreeMap<UnitName, Objects>, Reason> {
    let standing = units.iter().filter_map(|(unit, survey)| Some((unit, survey.known.log.standing.as_ref()?)));
    let recalled = standing.map(|(unit, standing)| async move {
        Ok::<_, Reason>((unit, standing, standing_set(site, environment, standing).await?))
    });
    let sets: Vec<_> = stream::iter(recalled).buffered(IN_FLIGHT).try_collect().await?;
    let kinds = sets.iter().flat_map(|(_, _, set)| kinds(set)).collect();
    let mut live = match sets.is_empty() {
        true => BTreeMap::new(),
        false => site.target()?.cluster.read(&kinds).await.map_err(|error| error.reason())?,
    };
    let mut found = BTreeMap::new();
    for (unit, standing, set) in sets {
        let keys: Vec<&ObjectKey> = set.manifests().iter().map(|manifest| &manifest.key).collect();
        let own = keys.into_iter().filter_map(|key| live.remove_entry(key)).collect();
        let known = &units[unit].known;
        found.insert(unit.clone(), assessed(site, environment, known, standing, set, own));
    }
    Ok(found)
}

fn assessed(
    site: &Site,
    environment: &Environment,
    known: &Known,
    standing: &StandingRelease,
    set: ManifestSet,
    live: BTreeMap<ObjectKey, Live>,
) -> Objects {
    let now = clock::now();
    let proven = matches!(standing.outcome, Some((Phase::Proven, _))) && site.key.is_some();
    let drifted = proven.then(|| live.iter().filter(|(key, live)| is_drifted(site, known, key, live)).count());
    let health = live.into_iter().map(|(key, live)| (key, assess(&live, standing.opened_at, now))).collect();
    let undone = standing.rollback.as_ref().map(|rollback| rollback.to);
    let names = |key: &_| set.get(key).is_some();
    let (_, prune_waits) = plan::prunable(&known.inventory, names, &site.policy(environment), undone);
    Objects { set, health, prune_waits, drifted }
}

/// The objects of the standing release, recalled from stored bytes.
///
/// # Errors
/// The journal does not answer, or has lost or changed them.
pub async fn standing_set(
    site: &Site,
    environment: &Environment,
    standing: &StandingRelease,
) -> Result<ManifestSet, Reason> {
    let recalled = observe::recall(site.target()?, environment, standing).await?;
    ManifestSet::from_bytes(recalled.bytes()).map_err(|problem| {
        let text = format!("the stored release `{}` cannot be read: {problem}", recalled.release());
        Reason::new(crate::name::Code::LogRegressed, text)
    })
}

/// The live state of every object of a release.
///
/// # Errors
/// The cluster does not answer.
pub async fn read(site: &Site, set: &ManifestSet) -> Result<BTreeMap<ObjectKey, Live>, Reason> {
    let kinds = kinds(set).collect();
    site.target()?.cluster.read(&kinds).await.map_err(|error| error.reason())
}

fn kinds(set: &ManifestSet) -> impl Iterator<Item = (ObjectKey, GroupVersionKind)> {
    set.manifests().iter().map(|manifest| (manifest.key.clone(), manifest.kind.clone()))
}

/// Whether an object differs from what was written down of it; what nothing was written down of, does not.
fn is_drifted(site: &Site, known: &Known, key: &ObjectKey, live: &Live) -> bool {
    let baseline = known.inventory.members.get(key).and_then(|member| member.baseline.clone());
    match (baseline, live) {
        (Some(mut baseline), Live::Present(object)) => {
            drift::check(&mut baseline, object, View::Whole, &site.hash_key()) == Check::Drifted
        }
        (Some(_), Live::Absent) => key.kind != "Job",
        (None, _) => false,
    }
}

fn assess(live: &Live, opened_at: Timestamp, now: Timestamp) -> Assessment {
    match live {
        Live::Present(value) => health::assess(value, opened_at, now),
        Live::Absent => Assessment { health: Health::Missing, message: "it is gone".to_owned(), assumed: false },
    }
}
