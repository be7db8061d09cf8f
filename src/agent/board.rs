//! What a running agent shows of itself: how each environment stands, metrics, and events. It outlives a change of the
//! configuration.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::course::Overviews;
use crate::deploylog::{Audience, Log};
use crate::edge::exposition::{self, EnvironmentFacts, EnvironmentLabels, Exposition};
use crate::health::Health;
use crate::name::{EnvironmentName, PipelineName};

use super::stand::{Stand, State};

/// How long a walk may take to say how its environment stands: it answers between two events.
const PATIENCE: Duration = Duration::from_secs(5);

/// A question to a walk: how does the environment stand?
pub(super) type Question = oneshot::Sender<Option<Overviews>>;

/// See the module.
#[derive(Default)]
pub struct Board {
    /// The metrics.
    pub exposition: Exposition,
    /// Of each environment that is served, its walk; `None` while it has not begun.
    walks: Mutex<BTreeMap<EnvironmentName, Option<mpsc::Sender<Question>>>>,
    /// Somebody here changed the repository.
    looks: Notify,
    /// What is new in the log of each environment that is served.
    ledgers: Mutex<BTreeMap<EnvironmentName, watch::Sender<Ledger>>>,
}

/// What those downstream hear of an environment's log.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// How many entries it has, and whom they are news for.
    pub(super) audience: Audience,
    /// Whether its walk has ended, so that none is added.
    pub(super) ended: bool,
}

impl Board {
    /// A walk that answers from now on.
    pub(super) fn join(&self, environment: &EnvironmentName) -> mpsc::Receiver<Question> {
        let (ask, asked) = mpsc::channel(16);
        self.walks.lock().unwrap_or_else(PoisonError::into_inner).insert(environment.clone(), Some(ask));
        asked
    }

    /// The repository is looked at again now: something was pushed from here.
    pub(super) fn look_now(&self) {
        self.looks.notify_one();
    }

    /// Waits until it is to be looked at again.
    pub(super) async fn look_wanted(&self) {
        self.looks.notified().await;
    }

    /// What becomes of an environment's log; `None` where it is not served here.
    pub(super) fn ledger(&self, environment: &EnvironmentName) -> Option<watch::Receiver<Ledger>> {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.get(environment).map(|ledger| {
            let mut ledger = ledger.subscribe();
            // What it says already is news to whoever begins to listen.
            ledger.mark_changed();
            ledger
        })
    }

    /// An environment's log is this one now.
    pub(super) fn logged(&self, environment: &EnvironmentName, log: &Log) {
        self.tell(environment, |ledger| ledger.audience.read(log));
    }

    /// An environment's walk has ended.
    pub(super) fn ended(&self, environment: &EnvironmentName) {
        self.tell(environment, |ledger| !std::mem::replace(&mut ledger.ended, true));
    }

    fn tell(&self, environment: &EnvironmentName, change: impl FnOnce(&mut Ledger) -> bool) {
        if let Some(ledger) = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).get(environment) {
            ledger.send_if_modified(change);
        }
    }

    /// The environments that are served.
    #[must_use]
    pub fn environments(&self) -> Vec<EnvironmentName> {
        self.walks.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Puts up what is served from now on, and takes down what is not any more.
    pub(super) fn serve(&self, pipeline: &PipelineName, served: &[EnvironmentName]) {
        let mut walks = self.walks.lock().unwrap_or_else(PoisonError::into_inner);
        walks.retain(|environment, _| {
            let kept = served.contains(environment);
            if !kept {
                self.exposition.forget(&EnvironmentLabels::new(pipeline, environment));
            }
            kept
        });
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.clear();
        for environment in served {
            walks.entry(environment.clone()).or_default();
            ledgers.insert(environment.clone(), watch::Sender::default());
        }
    }

    /// How an environment stands, as its walk knows it; `None` where no walk answers, or it has not read the log yet.
    pub async fn stand(&self, environment: &EnvironmentName) -> Option<Stand> {
        let ask = self.walks.lock().unwrap_or_else(PoisonError::into_inner).get(environment).cloned()??;
        let (answer, answered) = oneshot::channel();
        let asked = async {
            ask.send(answer).await.ok()?;
            answered.await.ok().flatten()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok().flatten().map(Stand::of_overviews)
    }

    /// Brings the metrics of all environments up to date.
    pub async fn measure(&self, pipeline: &PipelineName) {
        for environment in self.environments() {
            if let Some(stand) = self.stand(&environment).await {
                self.exposition.set_environment(&EnvironmentLabels::new(pipeline, &environment), &facts(&stand));
            }
        }
    }
}

fn facts(stand: &Stand) -> EnvironmentFacts {
    EnvironmentFacts {
        state: match stand.state {
            State::Current => exposition::State::Current,
            State::Waiting => exposition::State::Waiting,
            State::Settling => exposition::State::Settling,
            State::Refused => exposition::State::Refused,
            State::Held => exposition::State::Held,
            State::Failed => exposition::State::Failed,
            State::Blocked => exposition::State::Blocked,
        },
        health: stand.health.unwrap_or(Health::Unknown),
        objects: stand.objects.clone().unwrap_or_default(),
        behind: stand.behind,
        drift: stand.drift.objects,
        fighting: stand.drift.fighting,
        sequence: stand.log.entries.last().map(|entry| entry.sequence),
        unpublished: stand.log.entries.len(),
    }
}
