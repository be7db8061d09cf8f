//! The agent of one pipeline: looks at the repository, wakes the environments, and stops cleanly.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, stream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Environment;
use crate::course::Rest;
use crate::name::{Class, Code, CommitId, EnvironmentName, ObjectId, Reason, RefName};
use crate::revision::statement;

use crate::edge::clock;
use crate::edge::exposition::{GitOperation, Walked};

use super::site::Site;
use super::stated::{self, Stated};
use super::walk::{Look, Step, Tip, Walk};

/// The first and the longest pause before a walk that panicked is started again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

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
    /// Says where the last panic happened.
    pub panicked_at: fn() -> String,
    /// Ends the agent after the writes in flight.
    pub stop: CancellationToken,
}

/// Where an environment hears of its branch: only the newest tip counts.
struct Inbox {
    environment: Environment,
    look: watch::Sender<Option<Look>>,
}

/// The environments that an agent serves, which its board shows from now on: one that has not begun is not ready.
#[must_use]
pub fn served(site: &Site, only: Option<&[EnvironmentName]>) -> Vec<Environment> {
    let is_served = |environment: &&Environment| only.is_none_or(|only| only.contains(&environment.name));
    let served: Vec<Environment> = site.environments().iter().filter(is_served).cloned().collect();
    let names: Vec<EnvironmentName> = served.iter().map(|environment| environment.name.clone()).collect();
    site.board.serve(&site.setup.pipeline.name, &names);
    served
}

/// Runs the agent; returns how each environment came to rest.
///
/// An environment's trouble is its own: a walk that panics is started again, and the others go on.
pub async fn run(site: Arc<Site>, plan: Plan) -> BTreeMap<EnvironmentName, Option<Rest>> {
    let Plan { once, interval, only, wake, shown, panicked_at, stop } = plan;
    let mut walks = JoinSet::new();
    let mut inboxes = Vec::new();
    for environment in served(&site, only.as_deref()) {
        let (inbox, look) = watch::channel(None);
        inboxes.push(Inbox { environment: environment.clone(), look: inbox });
        let walks_of = Supervised { site: Arc::clone(&site), environment, look, shown: shown.clone(), panicked_at };
        let stop = stop.clone();
        walks.spawn(async move {
            let rest = walks_of.run(once, stop).await;
            walks_of.site.board.ended(&walks_of.environment.name);
            (walks_of.environment.name.clone(), rest)
        });
    }
    let lookout = Lookout::new(Arc::clone(&site), inboxes, panicked_at);
    let looks = async move { if once { lookout.once().await } else { lookout.keep(wake, interval).await } };
    // It ends with this function: a look that hangs keeps nobody from stopping.
    let _looks = AbortOnDropHandle::new(tokio::spawn(looks));
    let mut rests = BTreeMap::new();
    while let Some(ended) = walks.join_next().await {
        let (name, rest) = ended.expect("because a walk's panic is caught and nobody aborts it");
        rests.insert(name, rest);
    }
    rests
}

/// One environment's walk, started again when it panics.
struct Supervised {
    site: Arc<Site>,
    environment: Environment,
    look: watch::Receiver<Option<Look>>,
    shown: mpsc::UnboundedSender<Step>,
    panicked_at: fn() -> String,
}

impl Supervised {
    async fn run(&self, once: bool, stop: CancellationToken) -> Option<Rest> {
        let mut pause = PAUSES.0;
        loop {
            let mut look = self.look.clone();
            look.mark_changed();
            let walk = Walk::new(Arc::clone(&self.site), self.environment.clone(), look, self.shown.clone());
            let started = Instant::now();
            // Nothing of a walk outlives it: the next one reads everything anew.
            if let Ok(rest) = AssertUnwindSafe(walk.run(once, stop.clone())).catch_unwind().await {
                return rest;
            }
            let place = (self.panicked_at)();
            tracing::error!(environment = %self.environment.name, place, "walk-panicked");
            self.site.board.exposition.walked(&self.site.labels(&self.environment), Walked::Panicked);
            if once {
                let text = format!("the walk of `{}` panicked at `{place}`", self.environment.name);
                return Some(Rest::Stuck(Reason::new(Code::Bug, text)));
            }
            pause = if started.elapsed() > PAUSES.1 { PAUSES.0 } else { pause };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSES.1),
            }
        }
    }
}

/// Looks at the repository, hears of what is stated in the cluster, and tells each environment what is its own.
struct Lookout {
    site: Arc<Site>,
    inboxes: Vec<Inbox>,
    panicked_at: fn() -> String,
    /// What was last found.
    looked: Option<Looked>,
    /// What the cluster holds.
    stated: Stated,
    /// Why branches could not be read when that was last told.
    said: BTreeMap<EnvironmentName, Reason>,
    /// Why the cluster could not be read when that was last told.
    deaf: Option<Reason>,
}

impl Lookout {
    fn new(site: Arc<Site>, inboxes: Vec<Inbox>, panicked_at: fn() -> String) -> Self {
        Lookout { site, inboxes, panicked_at, looked: None, stated: Stated::new(), said: BTreeMap::new(), deaf: None }
    }

    /// Looks at both, and again after something was pushed from here, until the walks end.
    async fn once(mut self) {
        let (site, branches) = (Arc::clone(&self.site), self.branches());
        loop {
            let looked = guarded(look(&site, &branches), &branches, self.panicked_at).await;
            self.stated.clone_from(&looked.stated);
            self.see(looked).await;
            site.board.look_wanted().await;
        }
    }

    /// Looks at the repository as often as something wakes it. What is stated in the cluster is heard of at once, also while
    /// a repository that does not answer keeps a look waiting.
    async fn keep(mut self, mut wake: mpsc::Receiver<()>, interval: Duration) {
        let (site, branches) = (Arc::clone(&self.site), self.branches());
        let mut heard = match &site.target {
            Some(target) => target.journal.watch_statements().boxed(),
            None => stream::pending().boxed(),
        };
        loop {
            let look = guarded(look_at_repository(&site, &branches), &branches, self.panicked_at);
            let mut look = std::pin::pin!(look);
            let looked = loop {
                tokio::select! {
                    looked = &mut look => break looked,
                    Some(found) = heard.next() => self.hear(found).await,
                }
            };
            self.see(looked).await;
            let due = tokio::time::Instant::now() + interval;
            loop {
                tokio::select! {
                    Some(()) = wake.recv() => break,
                    () = site.board.look_wanted() => break,
                    () = tokio::time::sleep_until(due) => break,
                    Some(found) = heard.next() => self.hear(found).await,
                }
            }
        }
    }

    fn branches(&self) -> Vec<RefName> {
        self.inboxes.iter().map(|inbox| inbox.environment.branch.clone()).collect()
    }

    /// Tells what a look at the repository found.
    async fn see(&mut self, looked: Looked) {
        let tags = match looked.tags {
            Some(tags) => Some(tags),
            None => self.tags_at_hand().await,
        };
        let looked = self.looked.insert(Looked { tips: looked.tips, tags, stated: self.stated.clone() });
        for inbox in &self.inboxes {
            let look = looked.at(&self.site, &inbox.environment);
            say(&inbox.environment.name, look.tip.as_ref().err(), &mut self.said);
            inbox.look.send_replace(Some(look));
        }
    }

    /// The tags that were listed before the repository went away, and can be read without it: one that cannot would keep
    /// those beside it from being read.
    async fn tags_at_hand(&self) -> Option<BTreeMap<RefName, ObjectId>> {
        let tags = self.looked.as_ref()?.tags.clone()?.into_iter().collect::<Vec<_>>();
        let at_hand = self.site.with_mirror(move |mirror| mirror.tags_at_hand(&tags)).await;
        at_hand.ok().map(|tags| tags.into_iter().collect())
    }

    /// Tells those whom it is about what the cluster holds now.
    async fn hear(&mut self, found: Result<Vec<Vec<u8>>, Reason>) {
        let kept = match found {
            Ok(found) => stated::keep(&self.site, found).await,
            Err(reason) => Err(reason),
        };
        let stated = match kept {
            Ok(stated) => stated,
            Err(reason) if self.deaf.as_ref() == Some(&reason) => return,
            Err(reason) => {
                tracing::warn!(code = %reason.code, reason = %reason.message, "statements-not-heard");
                self.deaf = Some(reason);
                return;
            }
        };
        if self.deaf.take().is_some() {
            tracing::info!("statements-heard-again");
        }
        let before = std::mem::replace(&mut self.stated, stated);
        let unseen = || Reason::new(Code::FetchFailed, "the repository was not looked at yet");
        let branches = self.branches();
        let looked = self.looked.get_or_insert_with(|| Looked::failed(&branches, &unseen()));
        looked.stated.clone_from(&self.stated);
        for inbox in &self.inboxes {
            let name = &inbox.environment.name;
            if before.get(name) != self.stated.get(name) {
                inbox.look.send_replace(Some(looked.at(&self.site, &inbox.environment)));
            }
        }
    }
}

/// A look that is a failed one where it panics.
async fn guarded(look: impl Future<Output = Looked>, branches: &[RefName], panicked_at: fn() -> String) -> Looked {
    AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_panic| {
        let reason = Reason::new(Code::Bug, format!("looking at the repository panicked at `{}`", panicked_at()));
        Looked::failed(branches, &reason)
    })
}

/// Logs that a branch cannot be read when that is news, not at every look.
fn say(environment: &EnvironmentName, reason: Option<&Reason>, said: &mut BTreeMap<EnvironmentName, Reason>) {
    match reason {
        Some(reason) if said.get(environment) != Some(reason) => {
            tracing::warn!(%environment, code = %reason.code, reason = %reason.message, "look-failed");
            said.insert(environment.clone(), reason.clone());
        }
        Some(_) => {}
        None if said.remove(environment).is_some() => tracing::info!(%environment, "look-works-again"),
        None => {}
    }
}

/// What it means that a branch is not among the references: never that anything is to be pruned.
#[must_use]
pub fn missing(branch: &RefName) -> Reason {
    Reason::new(Code::RefNotFound, format!("`{branch}` is not in the repository"))
}

/// What one look at a repository found.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    tips: BTreeMap<RefName, Tip>,
    /// Every tag; `None` where the repository could not be read.
    tags: Option<BTreeMap<RefName, ObjectId>>,
    /// The tags that the cluster holds.
    stated: Stated,
}

impl Looked {
    fn failed(branches: &[RefName], reason: &Reason) -> Self {
        let tips = branches.iter().map(|branch| (branch.clone(), Err(reason.clone()))).collect();
        Looked { tips, tags: None, stated: Stated::new() }
    }

    /// What it means to an environment.
    #[must_use]
    pub fn at(&self, site: &Site, environment: &Environment) -> Look {
        let branch = &environment.branch;
        let tip = self.tips.get(branch).cloned().unwrap_or_else(|| Err(missing(branch)));
        let about = |name: &RefName| {
            statement::address(name).is_some_and(|address| {
                address.pipeline == site.setup.pipeline.name && address.environment == environment.name
            })
        };
        let ours = |tags: &BTreeMap<RefName, ObjectId>| {
            let ours = tags.iter().filter(|(name, _)| about(name));
            ours.map(|(name, id)| (name.clone(), id.clone())).collect()
        };
        let stated = self.stated.get(&environment.name);
        let mut statements: Option<BTreeMap<RefName, ObjectId>> = self.tags.as_ref().map(ours);
        if let Some(stated) = stated {
            // Whoever may write there is trusted with more than tags: no tag of the same name hides what a person put there.
            statements.get_or_insert_default().extend(stated.clone());
        }
        Look { tip, statements }
    }
}

/// What stands in the repository and in the cluster: the tips of branches, the tags, and what is stated without Git.
pub async fn look(site: &Site, branches: &[RefName]) -> Looked {
    let looked = look_at_repository(site, branches).await;
    match stated::read(site).await {
        Ok(stated) => Looked { stated, ..looked },
        Err(reason) => {
            tracing::warn!(code = %reason.code, reason = %reason.message, "statements-not-heard");
            looked
        }
    }
}

/// The tips of branches, each fetched with its whole history, or why it could not be read; and the tags.
///
/// One `ls-remote` is the snapshot for all of them, then one fetch of what is new. What is wrong with one branch is no
/// reason against another.
async fn look_at_repository(site: &Site, branches: &[RefName]) -> Looked {
    let wanted = branches.to_vec();
    let found = site
        .with_mirror(move |mirror| {
            let refs = mirror.ls_remote()?;
            let tips: BTreeMap<RefName, CommitId> = wanted
                .iter()
                .filter_map(|branch| refs.get(branch).map(|id: &ObjectId| (branch.clone(), CommitId(id.clone()))))
                .collect();
            let tags = Some(refs.into_iter().filter(|(name, _)| name.as_str().starts_with("refs/tags/")).collect());
            let all: Vec<(RefName, CommitId)> = tips.clone().into_iter().collect();
            let alone = |(branch, tip): (RefName, CommitId)| {
                let fetched = mirror.fetch(&[(branch.clone(), tip.clone())]);
                (branch, fetched.map(|()| tip).map_err(|error| error.reason()))
            };
            match mirror.fetch(&all) {
                Ok(()) => {
                    let tips = tips.into_iter().map(|(branch, tip)| (branch, Ok(tip))).collect();
                    Ok(Looked { tips, tags, stated: Stated::new() })
                }
                Err(error) if all.len() > 1 && error.reason().code.class() == Class::Refused => {
                    Ok(Looked { tips: all.into_iter().map(alone).collect(), tags, stated: Stated::new() })
                }
                Err(error) => Err(error),
            }
        })
        .await;
    let exposition = &site.board.exposition;
    exposition.git_request(GitOperation::LsRemote, found.as_ref().map(drop).map_err(|error| error.reason().code));
    if found.is_ok() {
        exposition.git_contacted(&site.setup.pipeline.name, clock::now());
    }
    found.unwrap_or_else(|error| Looked::failed(branches, &error.reason()))
}
