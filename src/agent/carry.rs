//! Carries out one order of the course and returns its answer. No retry, no decision: both are the course's.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::config::Environment;
use crate::course::{self, Answer, Appended, InventoryWritten, Known, Order};
use crate::deploylog::{self, Log, LogName, Proposal};
use crate::edge::clock;
use crate::edge::cluster;
use crate::edge::journal;
use crate::name::{Code, Reason};
use crate::signature::AgentKey;

use super::judge::{self, Depth};
use super::observe;
use super::site::{Site, Target};

/// One environment and what its orders are carried out with.
pub(super) struct Carrier {
    pub(super) site: Arc<Site>,
    pub(super) environment: Environment,
    /// The log as last read, to seal the next entry on; and the version of the inventory as last read.
    pub(super) desk: Mutex<Desk>,
}

/// What the carrier remembers between orders, because the course shall not know of it.
#[derive(Default)]
pub(super) struct Desk {
    log: Log,
    version: journal::Version,
}

impl Carrier {
    pub(super) fn new(site: Arc<Site>, environment: Environment) -> Self {
        Carrier { site, environment, desk: Mutex::default() }
    }

    /// Carries out every order but [`Order::Watch`], which outlives its answer.
    pub(super) async fn carry_out(&self, order: Order) -> Answer {
        match order {
            Order::ReadLog => Answer::Log(self.read_log().await),
            Order::Judge(brief) => {
                let outlook = judge::judge(&self.site, &self.environment, &brief, Depth::Plan).await;
                Answer::Judged(Box::new(outlook.judged()))
            }
            Order::StoreRelease { release, bytes } => Answer::Stored(self.store(release, &bytes).await),
            Order::Append(proposal) => Answer::Appended(self.append(&proposal).await),
            Order::Recall => Answer::Recalled(self.recall().await.map(Box::new)),
            Order::WriteInventory(inventory) => Answer::Inventory(self.write_inventory(&inventory).await),
            Order::Apply { manifest, force } => Answer::Applied(self.apply(&manifest, force).await),
            Order::Delete { key, member } => Answer::Deleted(self.delete(&key, &member).await),
            Order::Confirm(keys) => Answer::Confirmed(self.confirm(&keys).await),
            Order::Collect(keep) => {
                self.collect(&keep).await;
                Answer::Done
            }
            Order::Watch(_) => Answer::Done,
        }
    }

    fn target(&self) -> Result<&Target, Reason> {
        self.site.target()
    }

    fn set_id(&self) -> String {
        self.site.policy(&self.environment).set_id
    }

    async fn read_log(&self) -> Result<Box<Known>, Reason> {
        let (known, version) = read_known(&self.site, &self.environment).await?;
        let mut desk = self.desk.lock().await;
        desk.log = known.log.clone();
        desk.version = version;
        Ok(Box::new(known))
    }

    async fn store(&self, release: crate::name::Digest, bytes: &[u8]) -> Result<(), Reason> {
        let target = self.target()?;
        target.journal.put_release(&self.environment.name, release, bytes).await.map_err(|error| error.reason())
    }

    async fn append(&self, proposal: &Proposal) -> Appended {
        let (target, key) = match self.target().and_then(|target| Ok((target, signing_key(&self.site)?))) {
            Ok(found) => found,
            Err(reason) => return Appended::Unwritable(reason),
        };
        let mut desk = self.desk.lock().await;
        let name = log_name(&self.site, &self.environment);
        let sealed = deploylog::seal(&name, &desk.log, proposal, key, clock::now());
        tracing::info!(
            environment = %self.environment.name, sequence = sealed.sequence, action = ?proposal.action,
            phase = ?proposal.phase, "entry"
        );
        match target.journal.append(&self.environment.name, &sealed).await {
            journal::Appended::Ours { stored_at } => {
                let stored = deploylog::Stored { sequence: sealed.sequence, bytes: sealed.bytes, stored_at };
                match desk.log.clone().extended(&name, &stored, &key.fingerprint()) {
                    Ok(log) => {
                        desk.log = log.clone();
                        Appended::Ours(Box::new(log))
                    }
                    Err(violation) => Appended::Unknown(violation.reason),
                }
            }
            journal::Appended::Taken => Appended::Taken,
            journal::Appended::Unknown(reason) => Appended::Unknown(reason),
            journal::Appended::Refused(reason) => Appended::Unwritable(reason),
        }
    }

    async fn recall(&self) -> Result<deploylog::Recalled, Reason> {
        let standing = self.desk.lock().await.log.standing.clone();
        let nothing = || Reason::new(Code::Bug, "nothing stands that could be recalled");
        observe::recall(self.target()?, &self.environment, &standing.ok_or_else(nothing)?).await
    }

    async fn write_inventory(&self, inventory: &crate::plan::Inventory) -> InventoryWritten {
        let target = match self.target() {
            Ok(target) => target,
            Err(reason) => return InventoryWritten::Lost(reason),
        };
        let mut desk = self.desk.lock().await;
        match target.journal.put_inventory(&self.environment.name, inventory, &desk.version).await {
            Ok(version) => {
                desk.version = version;
                InventoryWritten::Ours
            }
            Err(error) => InventoryWritten::Lost(error.reason()),
        }
    }

    async fn apply(&self, manifest: &crate::manifest::Manifest, force: bool) -> course::Applied {
        let target = match self.target() {
            Ok(target) => target,
            Err(reason) => return course::Applied::Denied(reason),
        };
        match target.cluster.apply(manifest, &self.set_id(), force).await {
            cluster::Applied::Done { object, .. } => course::Applied::Done(Box::new(object)),
            cluster::Applied::Conflict(reason) => course::Applied::Conflict(reason),
            cluster::Applied::Denied(reason) => course::Applied::Denied(reason),
            cluster::Applied::Retry { reason, after } => course::Applied::Retry { reason, after },
        }
    }

    async fn delete(&self, key: &crate::name::ObjectKey, member: &crate::plan::Member) -> course::Deleted {
        let target = match self.target() {
            Ok(target) => target,
            Err(reason) => return course::Deleted::Retry(reason),
        };
        let kind = crate::name::GroupVersionKind::from_manifest(&member.api_version, &key.kind);
        match target.cluster.delete(key, &kind, member.uid.as_deref(), &self.set_id()).await {
            cluster::Deleted::Gone => course::Deleted::Gone,
            cluster::Deleted::Terminating(reason) => course::Deleted::Terminating(reason),
            cluster::Deleted::NotOurs => course::Deleted::LeftAlone,
            cluster::Deleted::Retry(reason) => course::Deleted::Retry(reason),
        }
    }

    async fn confirm(
        &self,
        keys: &std::collections::BTreeMap<crate::name::ObjectKey, crate::name::GroupVersionKind>,
    ) -> Result<std::collections::BTreeMap<crate::name::ObjectKey, crate::plan::Live>, Reason> {
        self.target()?.cluster.read(keys).await.map_err(|error| error.reason())
    }

    /// Stored bytes that nobody will recall are only a cost: failing to remove them stops nothing.
    async fn collect(&self, keep: &std::collections::BTreeSet<crate::name::Digest>) {
        let Ok(target) = self.target() else { return };
        if let Err(error) = target.journal.collect(&self.environment.name, keep).await {
            tracing::warn!(environment = %self.environment.name, reason = %error.reason().message, "collect-failed");
        }
    }
}

fn signing_key(site: &Site) -> Result<&AgentKey, Reason> {
    site.key.as_ref().ok_or_else(|| Reason::new(Code::JournalUnwritable, "there is no agent key to sign the log with"))
}

/// Whose log it is.
pub(super) fn log_name(site: &Site, environment: &Environment) -> LogName {
    LogName { pipeline: site.setup.pipeline.name.clone(), environment: environment.name.clone() }
}

/// Reads and verifies an environment's log, and reads its inventory.
///
/// # Errors
/// Something cannot be read, or the log is violated: then nothing is done.
pub(super) async fn read_known(
    site: &Site,
    environment: &Environment,
) -> Result<(Known, journal::Version), Reason> {
    let target = site.target()?;
    let stored = target.journal.stored(&environment.name).await.map_err(|error| error.reason())?;
    let (inventory, version) = target.journal.inventory(&environment.name).await.map_err(|error| error.reason())?;
    let cluster = target.cluster.uid().await.map_err(|error| error.reason())?;
    let log = match &site.key {
        Some(key) => deploylog::replay(&log_name(site, environment), &stored, &key.fingerprint()),
        None if stored.is_empty() => Ok(Log::default()),
        None => {
            let text = format!("`{}` has a deployment log, and the agent's key is missing", environment.name);
            return Err(Reason::new(Code::LogRegressed, text));
        }
    };
    let log = log.map_err(|violation| violation.reason)?;
    let agent_key = site.key.as_ref().map(AgentKey::public_key).unwrap_or_default();
    Ok((Known { log, inventory, cluster, agent_key }, version))
}
