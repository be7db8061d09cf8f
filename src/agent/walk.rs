//! The loop of one environment: hears events, steps the course, and carries out what it orders.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::course::{Answer, Course, Event, Issued, Order, Progress, Rest, Sighting, Token, WakeAt};
use crate::edge::{clock, cluster};
use crate::name::{EnvironmentName, GroupVersionKind};

use super::carry::Carrier;
use super::observe::IN_FLIGHT;
use super::site::Site;

/// How long an idle walk sleeps when nothing asks to be woken.
const IDLE: Duration = Duration::from_secs(3600);

/// What the walk tells whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The environment.
    pub environment: EnvironmentName,
    /// How far its standing release is; `None` while it looks.
    pub progress: Option<Progress>,
}

/// One environment's walk.
pub(super) struct Walk {
    carrier: Arc<Carrier>,
    course: Course,
    tips: mpsc::Receiver<Event>,
    sightings: mpsc::Sender<Sighting>,
    seen: mpsc::Receiver<Sighting>,
    watcher: Option<AbortHandle>,
    answers: JoinSet<(Token, Answer)>,
    writes: Arc<Semaphore>,
    shown: mpsc::UnboundedSender<Step>,
    last: Option<Progress>,
}

impl Walk {
    pub(super) fn new(
        site: Arc<Site>,
        environment: Environment,
        tips: mpsc::Receiver<Event>,
        shown: mpsc::UnboundedSender<Step>,
    ) -> Self {
        let settings = site.settings(&environment);
        let (sightings, seen) = mpsc::channel(1024);
        Walk {
            carrier: Arc::new(Carrier::new(site, environment)),
            course: Course::new(settings),
            tips,
            sightings,
            seen,
            watcher: None,
            answers: JoinSet::new(),
            writes: Arc::new(Semaphore::new(IN_FLIGHT)),
            shown,
            last: None,
        }
    }

    /// Walks until told to stop, or with `once` until nothing more happens by itself; a write in flight is ended first.
    pub(super) async fn run(mut self, once: bool, stop: CancellationToken) -> Option<Rest> {
        let mut event = Event::Tick;
        let rest = loop {
            let (orders, wake) = self.course.step(event, clock::now());
            for order in orders {
                self.carry_out(order);
            }
            self.show();
            if once && let Some(rest) = self.course.rest() {
                break Some(rest);
            }
            tokio::select! {
                () = stop.cancelled() => break None,
                next = self.next(wake) => event = next,
            }
        };
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        while self.answers.join_next().await.is_some() {}
        rest
    }

    async fn next(&mut self, wake: Option<WakeAt>) -> Event {
        let sleep = wake.map_or(IDLE, |WakeAt(time)| {
            Duration::try_from(time.duration_since(clock::now())).unwrap_or(Duration::ZERO)
        });
        tokio::select! {
            biased;
            Some(answer) = self.answers.join_next() => match answer {
                Ok((token, answer)) => Event::Answer(token, answer),
                Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
                Err(_) => Event::Tick,
            },
            Some(sighting) = self.seen.recv() => Event::Sighting(sighting),
            Some(tip) = self.tips.recv() => tip,
            () = tokio::time::sleep(sleep) => Event::Tick,
        }
    }

    fn carry_out(&mut self, issued: Issued) {
        let Issued { token, order } = issued;
        if let Order::Watch(kinds) = order {
            self.watch(kinds);
            self.answers.spawn(async move { (token, Answer::Done) });
            return;
        }
        let carrier = Arc::clone(&self.carrier);
        let writes = Arc::clone(&self.writes);
        let limited = matches!(order, Order::Apply { .. } | Order::Delete { .. });
        self.answers.spawn(async move {
            let _permit = if limited { writes.acquire_owned().await.ok() } else { None };
            (token, carrier.carry_out(order).await)
        });
    }

    fn watch(&mut self, kinds: BTreeSet<GroupVersionKind>) {
        if let Some(watcher) = self.watcher.take() {
            watcher.abort();
        }
        if kinds.is_empty() {
            return;
        }
        let carrier = Arc::clone(&self.carrier);
        let sightings = self.sightings.clone();
        let task = tokio::spawn(async move {
            let Ok(target) = carrier.site.target() else { return };
            let set_id = carrier.site.policy(&carrier.environment).set_id;
            let mut stream = std::pin::pin!(target.cluster.watch(kinds, &set_id));
            while let Some(seen) = stream.next().await {
                let sighting = match seen {
                    cluster::Seen::Object(key, value) => Sighting::Object(key, Box::new(value)),
                    cluster::Seen::Gone(key) => Sighting::Gone(key),
                    cluster::Seen::Synced(_) => continue,
                    cluster::Seen::Failed(kind, reason) => {
                        tracing::warn!(kind = %kind.kind, reason = %reason.message, "watch-failed");
                        continue;
                    }
                };
                if sightings.send(sighting).await.is_err() {
                    return;
                }
            }
        });
        self.watcher = Some(task.abort_handle());
    }

    fn show(&mut self) {
        let progress = self.course.progress();
        if progress != self.last {
            self.last = progress;
            // Nobody may be looking.
            let _ = self.shown.send(Step { environment: self.carrier.environment.name.clone(), progress });
        }
    }
}
