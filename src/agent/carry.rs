//! Carries out one order of the course and returns its answer. No retry, no decision: both are the course's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

use crate::config::Environment;
use crate::course::{self, Answer, Decree, Glance, Heard, InventoryWritten, Ledger, Order, Together, Token};
use crate::deploylog::{self, Log, LogName, Past, Proposal, Replay};
use crate::edge::clock;
use crate::edge::cluster;
use crate::edge::exposition;
use crate::edge::journal;
use crate::name::{Class, Code, CommitId, GroupVersionKind, ObjectId, ObjectKey, Reason, RefName, UnitName};
use crate::plan::Live;
use crate::signature::AgentKey;

use super::checking;
use super::decrees;
use super::judge::{self, Depth};
use super::observe;
use super::promote;
use super::revert;
use super::rollback;
use super::site::{Site, Target};

/// How long stored bytes are left alone after they were last touched, however old their release is.
const COLLECT_AFTER: std::time::Duration = std::time::Duration::from_secs(600);

/// One unit of an environment and what its orders are carried out with.
pub(super) struct Carrier {
    pub(super) site: Arc<Site>,
    /// As the unit sees it: its paths are the unit's.
    pub(super) environment: Environment,
    pub(super) desk: Arc<Mutex<Desk>>,
    /// Events on their way to the server: nothing waits for them but the end.
    pub(super) events: TaskTracker,
}

/// What the carriers of an environment remember between orders, because the course shall not know of it.
#[derive(Default)]
pub(super) struct Desk {
    /// The log as last read, to seal the next entry on.
    replay: Option<Replay>,
    /// The versions of the inventories as last read or written.
    versions: BTreeMap<UnitName, journal::Version>,
    /// Inventories that were written since the last read began.
    written: BTreeSet<UnitName>,
}

impl Carrier {
    /// The carrier of an environment.
    pub(super) fn new(site: Arc<Site>, environment: Environment) -> Self {
        Carrier { site, environment, desk: Arc::default(), events: TaskTracker::new() }
    }

    /// The carrier of one of its units.
    pub(super) fn of_unit(&self, unit: &UnitName) -> Carrier {
        Carrier {
            site: Arc::clone(&self.site),
            environment: self.environment.of_unit(unit),
            desk: Arc::clone(&self.desk),
            events: self.events.clone(),
        }
    }

    /// Carries out an order, and says what is to be heard of it.
    pub(super) async fn hear(&self, token: Token, order: Order) -> Heard {
        match order {
            Order::ReadLog => Heard::Read(token, self.read_log().await.map(Box::new)),
            Order::Append(proposal) => Heard::Written(token, self.append(&proposal).await),
            order => Heard::Answer(token, self.carry_out(order).await),
        }
    }

    /// Carries out every order of one unit but [`Order::Watch`], whose sightings outlive its answer.
    async fn carry_out(&self, order: Order) -> Answer {
        match order {
            Order::ReadStatements(listed) => Answer::Statements(self.decrees(&listed).await),
            Order::Judge(brief) => {
                let outlook = judge::judge(&self.site, &self.environment, &brief, Depth::Plan).await;
                let judged = judge::unless_moved(&self.site, &self.environment, &brief, outlook).await.judged();
                self.count_judged(&judged);
                Answer::Judged(Box::new(judged))
            }
            Order::RollBack(back) => {
                let judged = rollback::roll_back(&self.site, &self.environment, &back).await;
                Answer::RolledBack(Box::new(judged))
            }
            Order::Revert { tip, past } => Answer::Reverted(self.revert(&tip, &past).await),
            Order::StoreRelease { release, bytes } => Answer::Stored(self.store(release, &bytes).await),
            Order::Recall => Answer::Recalled(self.recall().await.map(Box::new)),
            Order::WriteInventory(inventory) => Answer::Inventory(self.write_inventory(&inventory).await),
            Order::Apply { manifest, force, first } => {
                Answer::Applied(self.apply(&manifest, cluster::Writing { force, first }).await)
            }
            Order::Look { key, kind } => Answer::Looked(self.look(key, kind).await),
            Order::Delete { key, member } => Answer::Deleted(self.delete(&key, &member).await),
            Order::Confirm(keys) => Answer::Confirmed(self.confirm(&keys).await),
            Order::Collect(keep) => {
                self.collect(&keep).await;
                Answer::Done
            }
            Order::Promote { tip, past } => Answer::Promoted(self.promote(&tip, &past).await),
            Order::Check { check, opening, objects } => {
                Answer::Checked(checking::look(&self.place(opening), &check, &objects).await)
            }
            Order::EndCheck { check, opening } => {
                checking::end(&self.place(opening), &check).await;
                Answer::Done
            }
            Order::Tell(news) => {
                self.tell_news(&news);
                Answer::Done
            }
            Order::Watch { .. } | Order::ReadLog | Order::Append(_) => Answer::Done,
        }
    }

    fn target(&self) -> Result<&Target, Reason> {
        self.site.target()
    }

    fn set_id(&self) -> String {
        self.site.policy(&self.environment).set_id
    }

    fn place(&self, opening: u64) -> checking::Place<'_> {
        checking::Place { site: &self.site, environment: &self.environment, opening }
    }

    async fn read_log(&self) -> Result<Ledger, Reason> {
        self.desk.lock().await.written.clear();
        let Read { ledger, replay, mut versions } = read(&self.site, &self.environment).await?;
        let mut desk = self.desk.lock().await;
        for unit in std::mem::take(&mut desk.written) {
            // It was written while this was read, so that what was read may be older.
            if let Some(version) = desk.versions.remove(&unit) {
                versions.insert(unit, version);
            }
        }
        (desk.replay, desk.versions) = (replay, versions);
        Ok(ledger)
    }

    async fn promote(&self, tip: &CommitId, past: &Past) -> course::Promoted {
        match promote::push(&self.site, &self.environment, tip, past).await {
            Ok(promoted) => promoted,
            Err(reason) => {
                let environment = &self.environment.name;
                tracing::warn!(%environment, code = %reason.code, reason = %reason.message, "promotion-failed");
                course::Promoted::Failed(reason)
            }
        }
    }

    /// Pushes the commit that makes Git agree with a rollback.
    async fn revert(&self, tip: &CommitId, past: &Past) -> course::Reverted {
        match revert::after(&self.site, &self.environment, tip, past).await {
            Ok(reverted) => reverted,
            Err(reason) => {
                let environment = &self.environment.name;
                tracing::warn!(%environment, code = %reason.code, reason = %reason.message, "revert-failed");
                course::Reverted::Failed(reason)
            }
        }
    }

    async fn decrees(&self, listed: &BTreeMap<RefName, ObjectId>) -> Result<Vec<Decree>, Reason> {
        let log = self
            .desk
            .lock()
            .await
            .replay
            .as_ref()
            .map(|replay| replay.of_unit(&self.environment.unit))
            .unwrap_or_default();
        decrees::read(&self.site, &self.environment, &log, listed).await
    }

    async fn store(&self, release: crate::name::Digest, bytes: &[u8]) -> Result<(), Reason> {
        let target = self.target()?;
        target.journal.put_release(&self.environment.name, release, bytes).await.map_err(|error| error.reason())
    }

    async fn append(&self, proposal: &Proposal) -> Together {
        let (target, key) = match self.target().and_then(|target| Ok((target, signing_key(&self.site)?))) {
            Ok(found) => found,
            Err(reason) => return Together::Unwritable(reason),
        };
        let mut desk = self.desk.lock().await;
        let name = log_name(&self.site, &self.environment);
        let Some(replay) = &mut desk.replay else {
            return Together::Unwritable(Reason::new(Code::Bug, "the log is written before it was read"));
        };
        let sealed = deploylog::seal(&name, replay.log(), proposal, key, clock::now());
        match target.journal.append(&self.environment.name, &sealed).await {
            journal::Appended::Ours { stored_at } => {
                self.tell(proposal, sealed.sequence);
                self.announce(proposal);
                self.keep(proposal).await;
                let stored = deploylog::Stored { sequence: sealed.sequence, bytes: sealed.bytes, stored_at };
                match replay.add(&stored) {
                    Ok(()) => together(replay, proposal),
                    Err(violation) => Together::Unknown(violation.reason),
                }
            }
            journal::Appended::Taken => Together::Taken,
            journal::Appended::Unknown(reason) => Together::Unknown(reason),
            journal::Appended::Refused(reason) => Together::Unwritable(reason),
        }
    }

    /// One log line for each entry.
    fn tell(&self, proposal: &Proposal, sequence: u64) {
        let environment = format!("{}/{}", self.site.setup.pipeline.name, self.environment.name);
        let commit = proposal.commit.as_ref().map_or("-", |commit| commit.id.short());
        let (action, phase) = (word(&proposal.action), word(&proposal.phase));
        let units = named(&proposal.units);
        let part = proposal.parts.values().find_map(|part| part.reasons.first());
        match proposal.reasons.first().or(part).filter(|reason| reason.code.class() != Class::Notice) {
            None => tracing::info!(environment, units, sequence, action, phase, commit, "entry-written"),
            Some(Reason { code, message, .. }) => {
                // Further lines list details, which `status` shows.
                let reason = message.lines().next();
                tracing::warn!(environment, units, sequence, action, phase, commit, %code, reason, "entry-written");
            }
        }
    }

    /// The accepted head stays in the mirror, whatever becomes of the remote.
    async fn keep(&self, proposal: &Proposal) {
        let Some(commit) = proposal.commit.as_ref().filter(|_| proposal.phase == Some(deploylog::Phase::Opened)) else {
            return;
        };
        let (name, id) = (format!("{}/{}", self.site.setup.pipeline.name, self.environment.name), commit.id.clone());
        if let Err(error) = self.site.with_mirror(move |mirror| mirror.keep(&name, &id)).await {
            tracing::warn!(environment = %self.environment.name, reason = %error, "keep-failed");
        }
    }

    async fn recall(&self) -> Result<deploylog::Recalled, Reason> {
        let standing =
            self.desk.lock().await.replay.as_ref().and_then(|replay| replay.of_unit(&self.environment.unit).standing);
        let nothing = || Reason::new(Code::Bug, "nothing stands that could be recalled");
        observe::recall(self.target()?, &self.environment, &standing.ok_or_else(nothing)?).await
    }

    async fn write_inventory(&self, inventory: &crate::plan::Inventory) -> InventoryWritten {
        let target = match self.target() {
            Ok(target) => target,
            Err(reason) => return InventoryWritten::Lost(reason),
        };
        let desk = self.desk.lock().await;
        if desk.replay.is_none() {
            return InventoryWritten::Lost(Reason::new(Code::Bug, "the inventory is written before it was read"));
        }
        let version = desk.versions.get(&self.environment.unit).cloned().unwrap_or(journal::Version::ABSENT);
        drop(desk);
        match target.journal.put_inventory(&self.environment.name, &self.environment.unit, inventory, &version).await {
            Ok(version) => {
                let mut desk = self.desk.lock().await;
                desk.versions.insert(self.environment.unit.clone(), version);
                desk.written.insert(self.environment.unit.clone());
                InventoryWritten::Ours
            }
            Err(error) => InventoryWritten::Lost(error.reason()),
        }
    }

    async fn apply(&self, manifest: &crate::manifest::Manifest, how: cluster::Writing) -> course::Applied {
        let target = match self.target() {
            Ok(target) => target,
            Err(reason) => return course::Applied::Denied(reason),
        };
        let applied = match target.cluster.apply(manifest, &self.set_id(), how).await {
            cluster::Applied::Done { object, .. } => {
                self.count_applied(exposition::Applied::Done);
                return course::Applied::Done(Box::new(object));
            }
            cluster::Applied::Conflict(reason) => course::Applied::Conflict(reason),
            cluster::Applied::Denied(reason) => course::Applied::Denied(reason),
            cluster::Applied::Retry { reason, after } => course::Applied::Retry { reason, after },
        };
        if let course::Applied::Conflict(reason)
        | course::Applied::Denied(reason)
        | course::Applied::Retry { reason, .. } = &applied
        {
            self.count_applied(match &applied {
                course::Applied::Conflict(_) => exposition::Applied::Conflict,
                course::Applied::Denied(_) => exposition::Applied::Denied,
                course::Applied::Retry { .. } | course::Applied::Done(_) => exposition::Applied::Retry,
            });
            let environment = &self.environment.name;
            tracing::warn!(%environment, object = %manifest.key, code = %reason.code, reason = %reason.message, "apply-failed");
        }
        applied
    }

    async fn delete(&self, key: &ObjectKey, member: &crate::plan::Member) -> course::Deleted {
        let target = match self.target() {
            Ok(target) => target,
            Err(reason) => return course::Deleted::Retry(reason),
        };
        let kind = crate::name::GroupVersionKind::from_manifest(&member.api_version, &key.kind);
        match target.cluster.delete(key, &kind, member.uid.as_deref(), &self.set_id()).await {
            cluster::Deleted::Gone => {
                self.site.board.exposition.pruned(&self.site.labels(&self.environment));
                course::Deleted::Gone
            }
            cluster::Deleted::Terminating(reason) => course::Deleted::Terminating(reason),
            cluster::Deleted::NotOurs(reason) => {
                let environment = &self.environment.name;
                tracing::warn!(%environment, object = %key, reason = %reason.message, "object-left-alone");
                course::Deleted::LeftAlone
            }
            cluster::Deleted::Retry { reason, .. } => course::Deleted::Retry(reason),
        }
    }

    async fn look(&self, key: ObjectKey, kind: GroupVersionKind) -> Result<Live, Reason> {
        let read = self.target()?.cluster.read(&BTreeMap::from([(key, kind)])).await;
        let mut read = read.map_err(|error| error.reason())?;
        Ok(read.pop_first().map_or(Live::Absent, |(_, live)| live))
    }

    async fn confirm(&self, keys: &BTreeMap<ObjectKey, GroupVersionKind>) -> Result<Vec<Glance>, Reason> {
        let now = clock::now();
        let glance = |key: &ObjectKey, live| Glance::of(key.clone(), &live, now);
        self.target()?.cluster.glance(keys, glance).await.map_err(|error| error.reason())
    }

    /// Stored bytes that nobody will recall are only a cost: failing to remove them stops nothing.
    async fn collect(&self, keep: &std::collections::BTreeSet<crate::name::Digest>) {
        let Ok(target) = self.target() else { return };
        if let Err(error) = target.journal.collect(&self.environment.name, keep, idle_since()).await {
            tracing::warn!(environment = %self.environment.name, reason = %error.reason().message, "collect-failed");
        }
    }
}

/// Bytes that were stored or recalled after this time may be about to be opened by another agent.
fn idle_since() -> jiff::Timestamp {
    clock::now().checked_sub(COLLECT_AFTER).unwrap_or(jiff::Timestamp::MIN)
}

/// The names of units, of many the first few; `None` for the whole of an environment.
pub(super) fn named(units: &[UnitName]) -> Option<String> {
    const FEW: usize = 3;
    let first: Vec<&str> = units.iter().filter(|unit| !unit.is_whole()).take(FEW).map(UnitName::as_str).collect();
    let more = units.len().saturating_sub(FEW);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}

/// A value of a fixed list as it is written in documents; `-` where there is none.
fn word(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_else(|| "-".to_owned())
}

fn signing_key(site: &Site) -> Result<&AgentKey, Reason> {
    site.key.as_ref().ok_or_else(|| Reason::new(Code::JournalUnwritable, "there is no agent key to sign the log with"))
}

/// Whose log it is.
pub(super) fn log_name(site: &Site, environment: &Environment) -> LogName {
    LogName { pipeline: site.setup.pipeline.name.clone(), environment: environment.name.clone() }
}

/// The log as all read it whom an entry is about.
fn together(replay: &Replay, proposal: &Proposal) -> Together {
    let of = |unit: &UnitName| (unit.clone(), replay.of_unit(unit));
    let all = || replay.units().map(of).chain(std::iter::once(of(&UnitName::whole()))).collect();
    let logs = if proposal.units.is_empty() { all() } else { proposal.units.iter().map(of).collect() };
    Together::Ours { whole: Box::new(replay.log().clone()), common: Box::new(replay.common()), logs }
}

/// What was read of an environment's state.
pub(super) struct Read {
    pub(super) ledger: Ledger,
    /// `None` where there is no key yet, and so no log.
    replay: Option<Replay>,
    versions: BTreeMap<UnitName, journal::Version>,
}

/// Reads and verifies an environment's log; `None` where there is no key yet, and so no log.
///
/// # Errors
/// Something cannot be read, or the log is violated: then nothing is done.
pub(super) async fn read_log(site: &Site, environment: &Environment) -> Result<Option<Replay>, Reason> {
    let stored = site.target()?.journal.stored(&environment.name).await.map_err(|error| error.reason())?;
    let Some(key) = &site.key else {
        if stored.is_empty() {
            return Ok(None);
        }
        let text = format!("`{}` has a deployment log, and the agent's key is missing", environment.name);
        return Err(Reason::new(Code::LogRegressed, text));
    };
    let mut replay = Replay::new(log_name(site, environment), key.fingerprint());
    for entry in &stored {
        replay.add(entry).map_err(|violation| violation.reason)?;
    }
    Ok(Some(replay))
}

/// Reads and verifies an environment's log, and reads the inventories of its units.
///
/// # Errors
/// Something cannot be read, or the log is violated: then nothing is done.
pub(super) async fn read(site: &Site, environment: &Environment) -> Result<Read, Reason> {
    let target = site.target()?;
    let replay = read_log(site, environment).await?;
    let inventories = inventories(target, environment).await?;
    let cluster = target.cluster.uid().await.map_err(|error| error.reason())?;
    let newest = replay.as_ref().and_then(|replay| replay.log().entries.last()).map(|last| last.sequence);
    let (mut versions, mut created) = (BTreeMap::new(), BTreeMap::new());
    for (unit, (inventory, version)) in inventories {
        if site.key.is_some() && inventory.sequence > 0 && newest.is_none_or(|newest| newest < inventory.sequence) {
            let text = format!(
                "the deployment log of `{}` ends before entry {}, for which the inventory was written",
                environment.name, inventory.sequence
            );
            return Err(Reason::new(Code::LogRegressed, text));
        }
        versions.insert(unit.clone(), version);
        created.insert(unit, inventory);
    }
    let mut ledger = Ledger {
        whole: Log::default(),
        common: Log::default(),
        logs: BTreeMap::new(),
        inventories: created,
        cluster,
        agent_key: String::new(),
    };
    if let (Some(key), Some(replay)) = (&site.key, &replay) {
        let named = replay.units().chain(ledger.inventories.keys()).cloned().collect::<BTreeSet<_>>();
        let named = named.into_iter().filter(|unit| environment.units.is_some() != unit.is_whole());
        ledger.logs = named.map(|unit| (unit.clone(), replay.of_unit(&unit))).collect();
        if environment.units.is_none() {
            ledger.logs.insert(UnitName::whole(), replay.log().clone());
        }
        ledger.whole = replay.log().clone();
        ledger.common = replay.common();
        ledger.agent_key = key.public_key();
    }
    Ok(Read { ledger, replay, versions })
}

async fn inventories(
    target: &Target,
    environment: &Environment,
) -> Result<BTreeMap<UnitName, (crate::plan::Inventory, journal::Version)>, Reason> {
    if environment.units.is_some() {
        return target.journal.inventories(&environment.name).await.map_err(|error| error.reason());
    }
    let whole = UnitName::whole();
    let one = target.journal.inventory(&environment.name, &whole).await.map_err(|error| error.reason())?;
    Ok(BTreeMap::from([(whole, one)]))
}
