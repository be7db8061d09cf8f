//! How an environment stands, read from the journal, Git and the cluster; for `status`, `plan`, `verify` and `diff`, which
//! work with and without a running agent.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::config::Environment;
use crate::course::{Brief, Known, Ledger, Since, StandingBrief};
use crate::deploylog::{Log, Past, Phase, StandingRelease};
use crate::edge::clock;
use crate::health::{self, Assessment, Health};
use crate::manifest::ManifestSet;
use crate::name::{CommitId, GroupVersionKind, ObjectId, ObjectKey, Reason, RefName, UnitName};
use crate::plan::drift::{self, Check, View};
use crate::plan::{self, Inventory, Live};

use super::carry;
use super::judge::{self, Depth, Outlook};
use super::observe;
use super::site::Site;
use super::walk::Look;

/// What was found about one environment.
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

/// What the whole of an environment knows of its log and inventory.
///
/// # Errors
/// Something cannot be read, or the log is violated.
pub async fn known(site: &Site, environment: &Environment) -> Result<Known, Reason> {
    Ok(ledger(site, environment).await?.of(&UnitName::whole()))
}

/// Reads and verifies the log of an environment; empty where there is none yet.
///
/// # Errors
/// It cannot be read, or is violated.
pub async fn log(site: &Site, environment: &Environment) -> Result<Log, Reason> {
    let replay = carry::read_log(site, environment).await?;
    Ok(replay.map(|replay| replay.log().clone()).unwrap_or_default())
}

/// What is known of an environment that could not be read.
#[must_use]
pub fn nothing() -> Known {
    Known { log: Log::default(), inventory: Inventory::default(), cluster: String::new(), agent_key: String::new() }
}

/// What a candidate is judged against.
#[must_use]
pub fn brief(site: &Site, known: &Known, tip: CommitId, statements: BTreeMap<RefName, ObjectId>) -> Brief {
    let standing = known.log.standing.as_ref();
    Brief {
        tip,
        accepted: known.log.accepted.clone(),
        since: Since::Accepted,
        upstream: 0,
        standing: standing.map(|standing| StandingBrief { release: standing.release, inputs: standing.inputs }),
        inventory: known.inventory.clone(),
        past: Past::of(&known.log, site.keep()),
        statements,
    }
}

/// Surveys an environment. The tip must have been read after what is known: else a tip that was accepted and replaced in
/// between looks like a rewind.
///
/// # Errors
/// The cluster does not answer, or has lost what the log names.
pub async fn survey(site: &Site, environment: &Environment, known: Known, look: Look) -> Result<Survey, Reason> {
    let Look { tip, statements } = look;
    let outlook = match &tip {
        Ok(commit) if !known.log.is_accepted(commit) => Some(
            judge::judge(
                site,
                environment,
                &brief(site, &known, commit.clone(), statements.unwrap_or_default()),
                Depth::Plan,
            )
            .await,
        ),
        _ => None,
    };
    let objects = match &known.log.standing {
        Some(standing) => Some(objects(site, environment, &known, standing).await?),
        None => None,
    };
    Ok(Survey { known, tip, outlook, objects })
}

async fn objects(
    site: &Site,
    environment: &Environment,
    known: &Known,
    standing: &StandingRelease,
) -> Result<Objects, Reason> {
    let set = standing_set(site, environment, standing).await?;
    let live = read(site, &set).await?;
    let now = clock::now();
    let proven = matches!(standing.outcome, Some((Phase::Proven, _))) && site.key.is_some();
    let drifted = proven.then(|| live.iter().filter(|(key, live)| is_drifted(site, known, key, live)).count());
    let health = live.into_iter().map(|(key, live)| (key, assess(&live, standing.opened_at, now))).collect();
    let undone = standing.rollback.as_ref().map(|rollback| rollback.to);
    let names = |key: &_| set.get(key).is_some();
    let (_, prune_waits) = plan::prunable(&known.inventory, names, &site.policy(environment), undone);
    Ok(Objects { set, health, prune_waits, drifted })
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
    let kinds: BTreeMap<ObjectKey, GroupVersionKind> =
        set.manifests().iter().map(|manifest| (manifest.key.clone(), manifest.kind.clone())).collect();
    site.target()?.cluster.read(&kinds).await.map_err(|error| error.reason())
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
