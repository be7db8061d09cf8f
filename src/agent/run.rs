//! The agent of one pipeline: looks at the repository, wakes the environments, and stops cleanly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::course::{Event, Rest};
use crate::name::{Code, CommitId, EnvironmentName, ObjectId, Reason, RefName};

use super::site::Site;
use super::walk::{Step, Walk};

/// How the agent runs.
pub struct Plan {
    /// Until nothing more is admitted now; else until told to stop.
    pub once: bool,
    /// How often the repository is looked at when nothing wakes the agent.
    pub interval: Duration,
    /// Which environments; `None`: all.
    pub only: Option<Vec<EnvironmentName>>,
    /// Wakes the agent: a local repository changed.
    pub wake: mpsc::Receiver<()>,
    /// Where progress goes.
    pub shown: mpsc::UnboundedSender<Step>,
    /// Ends the agent after the writes in flight.
    pub stop: CancellationToken,
}

/// Runs the agent; returns how each environment came to rest.
pub async fn run(site: Arc<Site>, mut plan: Plan) -> BTreeMap<EnvironmentName, Option<Rest>> {
    let environments: Vec<Environment> = site
        .environments()
        .iter()
        .filter(|environment| plan.only.as_ref().is_none_or(|only| only.contains(&environment.name)))
        .cloned()
        .collect();
    let mut walks = JoinSet::new();
    let mut inboxes = Vec::new();
    for environment in environments {
        let (inbox, tips) = mpsc::channel(16);
        inboxes.push((environment.clone(), inbox));
        let walk = Walk::new(Arc::clone(&site), environment.clone(), tips, plan.shown.clone());
        let stop = plan.stop.clone();
        let once = plan.once;
        walks.spawn(async move { (environment.name, walk.run(once, stop).await) });
    }
    let mut rests = BTreeMap::new();
    look(&site, &inboxes).await;
    loop {
        tokio::select! {
            ended = walks.join_next() => match ended {
                Some(Ok((name, rest))) => { rests.insert(name, rest); }
                Some(Err(failure)) => std::panic::resume_unwind(failure.into_panic()),
                None => return rests,
            },
            Some(()) = plan.wake.recv(), if !plan.once => look(&site, &inboxes).await,
            () = tokio::time::sleep(plan.interval), if !plan.once => look(&site, &inboxes).await,
        }
    }
}

/// One look at the repository: one `ls-remote` is the snapshot for every environment, then one fetch of what is new.
async fn look(site: &Site, inboxes: &[(Environment, mpsc::Sender<Event>)]) {
    let branches: Vec<RefName> = inboxes.iter().map(|(environment, _)| environment.branch.clone()).collect();
    let tips = tips(site, &branches).await;
    for (environment, inbox) in inboxes {
        let tip = tips.get(&environment.branch).cloned().unwrap_or_else(|| Err(missing(&environment.branch)));
        if let Err(reason) = &tip {
            tracing::warn!(environment = %environment.name, code = %reason.code, reason = %reason.message, "look");
        }
        // A walk that has ended hears nothing more.
        let _ = inbox.send(Event::Tip(tip)).await;
    }
}

/// What it means that a branch is not among the references: never that anything is to be pruned.
#[must_use]
pub fn missing(branch: &RefName) -> Reason {
    Reason::new(Code::RefNotFound, format!("`{branch}` is not in the repository"))
}

/// The tips of branches, each fetched with its whole history, or why it could not be read.
pub async fn tips(site: &Site, branches: &[RefName]) -> BTreeMap<RefName, Result<CommitId, Reason>> {
    let wanted = branches.to_vec();
    let found = site
        .with_mirror(move |mirror| {
            let refs = mirror.ls_remote()?;
            let tips: Vec<(RefName, CommitId)> = wanted
                .iter()
                .filter_map(|branch| refs.get(branch).map(|id: &ObjectId| (branch.clone(), CommitId(id.clone()))))
                .collect();
            mirror.fetch(&tips)?;
            Ok(tips)
        })
        .await;
    match found {
        Ok(tips) => tips.into_iter().map(|(branch, tip)| (branch, Ok(tip))).collect(),
        Err(error) => branches.iter().map(|branch| (branch.clone(), Err(error.reason()))).collect(),
    }
}
