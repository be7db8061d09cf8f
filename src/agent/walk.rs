//! The loop of one environment: hears events, steps the course, and carries out what it orders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::course::{Answer, Course, Event, Issued, Order, Progress, Rest, Sighting, Token, WakeAt};
use crate::edge::clock;
use crate::name::{CommitId, EnvironmentName, GroupVersionKind, ObjectId, Reason, RefName};

use super::board::{Ledger, Question};
use super::carry::Carrier;
use super::observe::IN_FLIGHT;
use super::site::Site;
use super::watches::Watcher;

/// How long an idle walk sleeps when nothing asks to be woken.
const IDLE: Duration = Duration::from_secs(3600);

/// Sightings on their way: each holds an object.
const SIGHTINGS: usize = 64;

/// How long the walk may take to write down what is only remembered when it is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What the walk tells whoever shows progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The environment.
    pub environment: EnvironmentName,
    /// How far its standing release is; `None` while it looks.
    pub progress: Option<Progress>,
}

/// The tip of a branch as the repository has it, or why it could not be read.
pub type Tip = Result<CommitId, Reason>;

/// What a look at the repository means to one environment.
#[derive(Debug, Clone)]
pub struct Look {
    /// The tip of its branch.
    pub tip: Tip,
    /// The tags that state something about it; `None` where the repository could not be read.
    pub statements: Option<BTreeMap<RefName, ObjectId>>,
}

/// One environment's walk.
pub(super) struct Walk {
    carrier: Arc<Carrier>,
    course: Course,
    looks: watch::Receiver<Option<Look>>,
    /// What a look found and the course has not heard yet.
    untold: VecDeque<Event>,
    /// The log of the environment upstream, where its walk is this agent's too.
    upstream: Option<watch::Receiver<Ledger>>,
    /// How many looks there were: where nobody here walks upstream, each may have news of it.
    looked: u64,
    sightings: mpsc::Sender<Sighting>,
    seen: mpsc::Receiver<Sighting>,
    answers: JoinSet<Option<(Token, Answer)>>,
    writes: Arc<Semaphore>,
    asked: mpsc::Receiver<Question>,
    shown: mpsc::UnboundedSender<Step>,
    last: Option<Progress>,
    stop: CancellationToken,
}

impl Walk {
    pub(super) fn new(
        site: Arc<Site>,
        environment: Environment,
        looks: watch::Receiver<Option<Look>>,
        shown: mpsc::UnboundedSender<Step>,
    ) -> Self {
        let settings = site.settings(&environment);
        let (sightings, seen) = mpsc::channel(SIGHTINGS);
        let asked = site.board.join(&environment.name);
        let upstream = environment.promotion.from.as_ref().and_then(|from| site.board.ledger(from));
        Walk {
            upstream,
            untold: VecDeque::new(),
            looked: 0,
            carrier: Arc::new(Carrier::new(site, environment)),
            course: Course::new(settings),
            looks,
            sightings,
            seen,
            answers: JoinSet::new(),
            writes: Arc::new(Semaphore::new(IN_FLIGHT)),
            asked,
            shown,
            last: None,
            stop: CancellationToken::new(),
        }
    }

    /// Walks until told to stop, or with `once` until nothing more happens by itself. A write in flight is ended first;
    /// one that waits for its turn is not begun, and what only reads is dropped.
    pub(super) async fn run(mut self, once: bool, stop: CancellationToken) -> Option<Rest> {
        self.stop = stop.child_token();
        let mut event = Event::Tick;
        let rest = loop {
            let (orders, wake) = self.course.step(event, clock::now());
            for order in orders {
                self.carry_out(order);
            }
            self.show();
            self.publish();
            if once
                && self.untold.is_empty()
                && self.upstream_rests()
                && let Some(rest) = self.course.rest()
            {
                break Some(rest);
            }
            tokio::select! {
                () = stop.cancelled() => break None,
                next = self.next(wake) => event = next,
            }
        };
        self.stop.cancel();
        if tokio::time::timeout(LAST_WORDS, self.end()).await.is_err() {
            tracing::warn!(environment = %self.carrier.environment.name, "heal-summary-not-written");
        }
        while self.answers.join_next().await.is_some() {}
        // Each has a limit of its own.
        self.carrier.events.close();
        self.carrier.events.wait().await;
        rest
    }

    /// Tells the walks downstream how long the log is.
    fn publish(&self) {
        let entries = self.course.known().and_then(|known| known.log.entries.last());
        if let Some(last) = entries {
            self.carrier.site.board.logged(&self.carrier.environment.name, last.sequence + 1);
        }
    }

    /// Whether nothing comes from upstream any more that this walk has not heard of.
    fn upstream_rests(&self) -> bool {
        let rests =
            |upstream: &watch::Receiver<Ledger>| upstream.borrow().ended && !upstream.has_changed().unwrap_or(false);
        self.upstream.as_ref().is_none_or(rests)
    }

    /// What a look found: the statements first, since they decide about the tip.
    fn take_look(&mut self) -> Event {
        let Some(Look { tip, statements }) = self.looks.borrow_and_update().clone() else { return Event::Tick };
        self.looked += 1;
        self.untold.extend(statements.map(Event::Statements));
        if self.carrier.environment.promotion.from.is_some() && self.upstream.is_none() {
            self.untold.push_back(Event::Upstream(self.looked));
        }
        self.untold.push_back(Event::Tip(tip));
        self.untold.pop_front().unwrap_or(Event::Tick)
    }

    /// Lets the writes in flight end, tells what became of them, and writes the summary of the heals.
    async fn end(&mut self) {
        let mut event = Event::Stop;
        loop {
            for Issued { token, order } in self.course.step(event, clock::now()).0 {
                if matches!(order, Order::Append(_) | Order::Tell(_)) {
                    let carrier = Arc::clone(&self.carrier);
                    self.answers.spawn(async move { Some((token, carrier.carry_out(order).await)) });
                }
            }
            event = loop {
                match self.answers.join_next().await {
                    Some(Ok(Some((token, answer)))) => break Event::Answer(token, answer),
                    Some(_) => {}
                    None => return,
                }
            };
        }
    }

    async fn next(&mut self, wake: Option<WakeAt>) -> Event {
        if let Some(event) = self.untold.pop_front() {
            return event;
        }
        let sleep = wake.map_or(IDLE, |WakeAt(time)| {
            Duration::try_from(time.duration_since(clock::now())).unwrap_or(Duration::ZERO)
        });
        // Questions, however many, do not put it off.
        let until = Instant::now() + sleep;
        loop {
            tokio::select! {
                Some(answer) = self.answers.join_next() => return match answer {
                    Ok(Some((token, answer))) => Event::Answer(token, answer),
                    Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
                    Ok(None) | Err(_) => Event::Tick,
                },
                Some(sighting) = self.seen.recv() => return Event::Sighting(sighting),
                Ok(()) = self.looks.changed() => return self.take_look(),
                entries = grown(self.upstream.as_mut()) => return Event::Upstream(entries),
                Some(question) = self.asked.recv() => {
                    // Whoever asked may be gone.
                    let _ = question.send(self.course.overview());
                }
                () = tokio::time::sleep_until(until) => return Event::Tick,
            }
        }
    }

    fn carry_out(&mut self, issued: Issued) {
        let Issued { token, order } = issued;
        if let Order::Watch { kinds, anew } = order {
            self.watch(&kinds, anew);
            self.answers.spawn(async move { Some((token, Answer::Done)) });
            return;
        }
        if let Order::Tell(news) = order {
            // At once: the next step may be the last.
            self.carrier.tell_news(&news);
            self.answers.spawn(async move { Some((token, Answer::Done)) });
            return;
        }
        let carrier = Arc::clone(&self.carrier);
        let writes = Arc::clone(&self.writes);
        let stop = self.stop.clone();
        let turn = turn(&order);
        self.answers.spawn(async move {
            let _permit = match turn {
                Turn::Read => return stop.run_until_cancelled(carrier.carry_out(order)).await.map(|a| (token, a)),
                Turn::Limited => stop.run_until_cancelled(writes.acquire_owned()).await?.ok(),
                Turn::Write => None,
            };
            if stop.is_cancelled() {
                return None;
            }
            Some((token, carrier.carry_out(order).await))
        });
    }

    /// Watches these kinds. Anew means that what is still on its way is of no use: it will be shown again.
    fn watch(&mut self, kinds: &BTreeSet<GroupVersionKind>, anew: bool) {
        if anew {
            (self.sightings, self.seen) = mpsc::channel(SIGHTINGS);
        }
        let carrier = &self.carrier;
        let Ok(target) = carrier.site.target() else { return };
        let watcher = Watcher {
            set_id: target.journal.set_id(&carrier.environment.name),
            namespaces: carrier.environment.namespaces.clone(),
            to: self.sightings.clone(),
            board: Arc::clone(&carrier.site.board),
        };
        target.watches.watch(&watcher, kinds, anew);
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

/// Waits until the log upstream has grown, and says how long it is; for ever where nobody here walks upstream.
async fn grown(upstream: Option<&mut watch::Receiver<Ledger>>) -> u64 {
    match upstream {
        Some(upstream) => match upstream.changed().await {
            Ok(()) => upstream.borrow_and_update().entries,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// How an order is carried out when the agent is told to stop.
enum Turn {
    /// Dropped at once: it changes nothing that lasts.
    Read,
    /// Ended, if it has begun.
    Write,
    /// The same, with a limit on how many are in flight.
    Limited,
}

fn turn(order: &Order) -> Turn {
    match order {
        Order::ReadLog
        | Order::ReadStatements(_)
        | Order::Judge(_)
        | Order::RollBack(_)
        | Order::Recall
        | Order::Look { .. }
        | Order::Confirm(_)
        | Order::Check { .. }
        | Order::Watch { .. } => Turn::Read,
        Order::Tell(_) => Turn::Read,
        Order::StoreRelease { .. } | Order::Append(_) | Order::WriteInventory(_) | Order::Collect(_) => Turn::Write,
        Order::EndCheck { .. } => Turn::Read,
        Order::Promote { .. } | Order::Revert { .. } => Turn::Write,
        Order::Apply { .. } | Order::Delete { .. } => Turn::Limited,
    }
}
