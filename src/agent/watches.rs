//! The watches that all environments of a cluster share: one for each kind, whatever the number of environments.
//!
//! A task for each kind follows one label-selected watch and shows each environment what is of its set. An environment
//! that comes later is shown a list of its own set first; the others are not listed again for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::course::Sighting;
use crate::edge::cluster::{Cluster, Seen};
use crate::edge::exposition::WatchRestart;
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::PART_OF;
use crate::plan::drift::View;

use super::board::Board;

/// How long to wait before an environment's list that failed is read again: doubled from the first to the last.
const WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// An environment that watches.
#[derive(Clone)]
pub(super) struct Watcher {
    /// The value of its objects' label.
    pub(super) set_id: String,
    /// The namespaces that it writes into.
    pub(super) namespaces: Vec<String>,
    /// Where it hears.
    pub(super) to: mpsc::Sender<Sighting>,
    /// Where restarts are counted.
    pub(super) board: Arc<Board>,
}

/// See the module.
pub struct Watches {
    cluster: Cluster,
    selector: String,
    kinds: Mutex<BTreeMap<GroupVersionKind, Kind>>,
}

struct Kind {
    commands: mpsc::UnboundedSender<Command>,
    watchers: BTreeSet<String>,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

enum Command {
    Join(Watcher),
    Leave(String),
}

/// How the watch of a kind is.
#[derive(Debug, Clone, Default)]
struct State {
    /// Everything was shown once.
    synced: bool,
    /// When it failed last, and why. A watch that works again is silent until something happens.
    failed: Option<(Instant, Reason)>,
}

impl State {
    fn failure(&self) -> Option<Reason> {
        let (at, reason) = self.failed.as_ref()?;
        (at.elapsed() < 2 * WAITS[1]).then(|| reason.clone())
    }
}

impl Watches {
    /// The watches of a cluster for these sets.
    #[must_use]
    pub fn new(cluster: Cluster, sets: &[String]) -> Self {
        let selector = format!("{PART_OF} in ({})", sets.join(","));
        Watches { cluster, selector, kinds: Mutex::default() }
    }

    /// Lets an environment watch these kinds, and no others. `anew`: what it watches already is listed for it again.
    pub(super) fn watch(&self, watcher: &Watcher, wanted: &BTreeSet<GroupVersionKind>, anew: bool) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, shared) in kinds.iter_mut() {
            if (anew || !wanted.contains(kind)) && shared.watchers.remove(&watcher.set_id) {
                // A task that has ended hears nothing, and needs not.
                let _ = shared.commands.send(Command::Leave(watcher.set_id.clone()));
            }
        }
        kinds.retain(|kind, shared| !shared.watchers.is_empty() || wanted.contains(kind));
        for kind in wanted {
            let shared = kinds.entry(kind.clone()).or_insert_with(|| self.start(kind));
            if shared.watchers.insert(watcher.set_id.clone()) {
                let _ = shared.commands.send(Command::Join(watcher.clone()));
            }
        }
    }

    /// The kinds that an environment watches and that were not shown yet, or cannot be watched, each with why.
    #[must_use]
    pub fn unsynced(&self, set_id: &str) -> Vec<(GroupVersionKind, Option<Reason>)> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = kinds.iter().filter(|(_, shared)| shared.watchers.contains(set_id));
        let states = watched.map(|(kind, shared)| {
            let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
            (kind.clone(), state)
        });
        let found = states.map(|(kind, state)| (kind, state.synced, state.failure()));
        found
            .filter(|(_, synced, failed)| !synced || failed.is_some())
            .map(|(kind, _, failed)| (kind, failed))
            .collect()
    }

    fn start(&self, kind: &GroupVersionKind) -> Kind {
        let (commands, heard) = mpsc::unbounded_channel();
        let state = Arc::<Mutex<State>>::default();
        let shared = Shared {
            cluster: self.cluster.clone(),
            kind: kind.clone(),
            state: Arc::clone(&state),
            watchers: Vec::new(),
            late: Vec::new(),
            failed: None,
        };
        let task = tokio::spawn(shared.follow(self.selector.clone(), heard));
        Kind { commands, watchers: BTreeSet::new(), state, _task: AbortOnDropHandle::new(task) }
    }
}

/// The task of one kind.
struct Shared {
    cluster: Cluster,
    kind: GroupVersionKind,
    state: Arc<Mutex<State>>,
    watchers: Vec<Watcher>,
    /// Environments that came after the list: to be shown theirs at a time, and how long to wait if that fails.
    late: Vec<(Instant, Duration, Watcher)>,
    /// The last failure that was told.
    failed: Option<Reason>,
}

impl Shared {
    async fn follow(mut self, selector: String, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut watch = std::pin::pin!(self.cluster.watch(&self.kind, &selector));
        let mut listed = None;
        loop {
            let due = self.late.iter().map(|(at, ..)| *at).min().filter(|_| listed == Some(true));
            tokio::select! {
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Leave(set_id)) => self.leave(&set_id),
                    // Whoever is there before the list begins is shown that.
                    Some(Command::Join(watcher)) if listed.is_none() => self.watchers.push(watcher),
                    Some(Command::Join(watcher)) => self.late.push((Instant::now(), WAITS[0], watcher)),
                },
                Some(seen) = watch.next() => {
                    match &seen {
                        Seen::Listing => listed = Some(false),
                        Seen::Listed => listed = Some(true),
                        Seen::Object { .. } | Seen::Gone { .. } | Seen::Failed(_) => {}
                    }
                    self.show(seen).await;
                }
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.catch_up().await,
            }
        }
    }

    fn leave(&mut self, set_id: &str) {
        self.watchers.retain(|watcher| watcher.set_id != set_id);
        self.late.retain(|(_, _, watcher)| watcher.set_id != set_id);
    }

    async fn show(&mut self, seen: Seen) {
        match seen {
            Seen::Listing => self.tell_all(|kind| Sighting::Listing(kind.clone())).await,
            Seen::Listed => {
                self.works(true);
                self.tell_all(|kind| Sighting::Listed(kind.clone())).await;
            }
            Seen::Object { key, view, value } => {
                self.works(false);
                let set_id = value.pointer("/metadata/labels").and_then(|labels| labels[PART_OF].as_str());
                let set_id = set_id.unwrap_or_default().to_owned();
                self.lost_by_others(&key, &set_id, version(&value["metadata"])).await;
                self.tell(&set_id, sighting(key, view, value)).await;
            }
            Seen::Gone { key, metadata } => {
                self.works(false);
                let set_id = metadata["labels"][PART_OF].as_str().unwrap_or_default().to_owned();
                self.tell(&set_id, Sighting::Gone(key, version(&metadata))).await;
            }
            Seen::Failed(reason) => {
                if reason.code == Code::Forbidden {
                    self.tell_all(|kind| Sighting::Unwatched(kind.clone(), reason.clone())).await;
                }
                self.fails(reason);
            }
        }
    }

    /// An object that lies where one environment writes and carries the label of another has lost its own.
    async fn lost_by_others(&mut self, key: &ObjectKey, set_id: &str, version: Option<u64>) {
        let near = |watcher: &&Watcher| {
            let here = key.namespace.as_ref().is_none_or(|namespace| watcher.namespaces.contains(namespace));
            watcher.set_id != set_id && here
        };
        let losers: Vec<String> = self.watchers.iter().filter(near).map(|watcher| watcher.set_id.clone()).collect();
        for loser in losers {
            self.tell(&loser, Sighting::Gone(key.clone(), version)).await;
        }
    }

    async fn tell(&mut self, set_id: &str, sighting: Sighting) {
        let Some(watcher) = self.watchers.iter().find(|watcher| watcher.set_id == set_id) else { return };
        if watcher.to.send(sighting).await.is_err() {
            self.watchers.retain(|watcher| watcher.set_id != set_id);
        }
    }

    async fn tell_all(&mut self, sighting: impl Fn(&GroupVersionKind) -> Sighting) {
        let all: Vec<String> = self.watchers.iter().map(|watcher| watcher.set_id.clone()).collect();
        for set_id in all {
            self.tell(&set_id, sighting(&self.kind)).await;
        }
    }

    /// Shows environments that came late what is of their set. The watch waits meanwhile; what it shows afterwards and is
    /// older than the list is known by its resource version.
    async fn catch_up(&mut self) {
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.late).into_iter().partition(|(at, ..)| *at <= now);
        self.late = later;
        for (_, wait, watcher) in due {
            let selector = format!("{PART_OF}={}", watcher.set_id);
            let mut list = std::pin::pin!(self.cluster.list_seen(&self.kind, &selector));
            let mut failed = None;
            while let Some(seen) = list.next().await {
                let sighting = match seen {
                    Seen::Listing => Sighting::Listing(self.kind.clone()),
                    Seen::Object { key, view, value } => sighting(key, view, value),
                    Seen::Listed => Sighting::Listed(self.kind.clone()),
                    Seen::Gone { .. } => continue,
                    Seen::Failed(reason) => {
                        failed = Some(reason);
                        break;
                    }
                };
                if watcher.to.send(sighting).await.is_err() {
                    break;
                }
            }
            match failed {
                None => self.watchers.push(watcher),
                Some(reason) => {
                    if reason.code == Code::Forbidden {
                        let unwatched = Sighting::Unwatched(self.kind.clone(), reason.clone());
                        // Whoever is gone needs not know.
                        let _ = watcher.to.send(unwatched).await;
                    }
                    self.fails(reason);
                    self.late.push((now + wait, (wait * 2).min(WAITS[1]), watcher));
                }
            }
        }
    }

    fn works(&mut self, listed: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.synced |= listed;
        state.failed = None;
        if self.failed.take().is_some() {
            tracing::info!(kind = %self.kind.group_kind(), "watch-works-again");
        }
    }

    /// Tells a failure when it is news, not at every try.
    fn fails(&mut self, reason: Reason) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed = Some((Instant::now(), reason.clone()));
        if let Some(watcher) = self.watchers.first() {
            watcher.board.exposition.watch_restarted(WatchRestart::Failed(reason.code));
        }
        if self.failed.as_ref() != Some(&reason) {
            tracing::warn!(kind = %self.kind.group_kind(), code = %reason.code, reason = %reason.message, "watch-failed");
            self.failed = Some(reason);
        }
    }
}

fn sighting(key: ObjectKey, view: View, value: Value) -> Sighting {
    match view {
        View::Whole => Sighting::Object(key, Box::new(value)),
        View::Metadata => Sighting::Metadata(key, Box::new(value)),
    }
}

fn version(metadata: &Value) -> Option<u64> {
    metadata["resourceVersion"].as_str()?.parse().ok()
}
