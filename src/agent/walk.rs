//! The loop of one environment: hears events, steps the course, and carries out what it orders.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Environment;
use crate::course::{Answer, Assigned, Courses, Heard, Order, Progress, Rest, Sighting, Units, WakeAt};
use crate::deploylog::Hearers;
use crate::edge::clock;
use crate::name::{CommitId, EnvironmentName, GroupVersionKind, ObjectId, Reason, RefName, UnitName};

use super::board::{Ledger, Question};
use super::carry::Carrier;
use super::observe::IN_FLIGHT;
use super::site::Site;
use super::units::{self, Sought};
use super::watches::Watcher;

/// How long an idle walk sleeps when nothing asks to be woken.
const IDLE: Duration = Duration::from_secs(3600);

/// Units that are judged at once: one that hangs keeps few others waiting.
const JUDGED_AT_ONCE: usize = 64;

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
    /// Of each unit that was ordered something.
    carriers: BTreeMap<UnitName, Arc<Carrier>>,
    courses: Courses,
    looks: watch::Receiver<Option<Look>>,
    /// What a look found and the course has not heard yet.
    untold: VecDeque<Heard>,
    /// The tip whose units are being looked for, and the one that was told last.
    search: JoinSet<(Tip, Units)>,
    sought: Option<Tip>,
    seeking: Option<CommitId>,
    told: Option<CommitId>,
    /// The log of the environment upstream, where its walk is this agent's too.
    upstream: Option<watch::Receiver<Ledger>>,
    /// How many entries it had when the course was told last.
    heard: u64,
    /// How many looks there were: where nobody here walks upstream, each may have news of it.
    looked: u64,
    /// How far the clock was set forward, as the course was told.
    jumped: Duration,
    sightings: mpsc::Sender<Sighting>,
    seen: mpsc::Receiver<Sighting>,
    answers: JoinSet<Option<Heard>>,
    writes: Arc<Semaphore>,
    judged: Arc<Semaphore>,
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
            heard: 0,
            untold: VecDeque::new(),
            search: JoinSet::new(),
            sought: None,
            seeking: None,
            told: None,
            looked: 0,
            jumped: clock::jumped(),
            courses: Courses::new(settings, environment.units.is_some()),
            carrier: Arc::new(Carrier::new(site, environment)),
            carriers: BTreeMap::new(),
            looks,
            sightings,
            seen,
            answers: JoinSet::new(),
            writes: Arc::new(Semaphore::new(IN_FLIGHT)),
            judged: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
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
        let mut event = Heard::Tick;
        let rest = loop {
            let (orders, wake) = self.step(event);
            for order in orders {
                self.carry_out(order);
            }
            self.show();
            self.publish();
            if once
                && self.untold.is_empty()
                && self.search.is_empty()
                && self.upstream_rests()
                && let Some(rest) = self.courses.rest()
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

    /// Steps the course; first it is told of a clock that was set forward.
    fn step(&mut self, event: Heard) -> (Vec<Assigned>, Option<WakeAt>) {
        let (now, jumped) = (clock::now(), clock::jumped());
        let by = jumped.saturating_sub(std::mem::replace(&mut self.jumped, jumped));
        let mut orders = Vec::new();
        if !by.is_zero() {
            let environment = &self.carrier.environment.name;
            tracing::warn!(%environment, by = %humantime::format_duration(by), "clock-jumped");
            orders = self.courses.step(Heard::ClockJumped(by), now).0;
        }
        let (more, wake) = self.courses.step(event, now);
        orders.extend(more);
        (orders, wake)
    }

    /// Tells the walks downstream what is new in the log.
    fn publish(&self) {
        if let Some(log) = self.courses.log() {
            self.carrier.site.board.logged(&self.carrier.environment.name, log);
        }
    }

    /// Whether nothing comes from upstream any more that this walk has not heard of.
    fn upstream_rests(&self) -> bool {
        let rests =
            |upstream: &watch::Receiver<Ledger>| upstream.borrow().ended && !upstream.has_changed().unwrap_or(false);
        self.upstream.as_ref().is_none_or(rests)
    }

    /// What a look found: the statements first, since they decide about the tip.
    fn take_look(&mut self) -> Heard {
        let Some(Look { tip, statements }) = self.looks.borrow_and_update().clone() else { return Heard::Tick };
        self.looked += 1;
        self.untold.extend(statements.map(Heard::Statements));
        if self.carrier.environment.promotion.from.is_some() && self.upstream.is_none() {
            self.untold.push_back(Heard::Upstream(self.looked, Hearers::All));
        }
        if self.carrier.environment.units.is_some() {
            // What is being looked for, or was told last, needs not be looked for again.
            if tip.is_ok() && self.seeking.as_ref().or(self.told.as_ref()) == tip.as_ref().ok() {
                self.sought = None;
            } else {
                self.sought = Some(tip);
                self.seek();
            }
        } else {
            self.untold.push_back(Heard::Tip(tip, Units::default()));
        }
        self.untold.pop_front().unwrap_or(Heard::Tick)
    }

    /// Looks for the units of the newest tip, one search at a time.
    fn seek(&mut self) {
        if !self.search.is_empty() {
            return;
        }
        if let Some(tip) = self.sought.take() {
            self.seeking = tip.as_ref().ok().cloned();
            let before = self.told.clone();
            let (site, environment) = (Arc::clone(&self.carrier.site), self.carrier.environment.clone());
            self.search.spawn(async move { units::find(&site, &environment, Sought { tip, before }).await });
        }
    }

    fn take_units(&mut self, (tip, units): (Tip, Units)) -> Heard {
        self.told = tip.as_ref().ok().cloned();
        self.seeking = None;
        self.seek();
        Heard::Tip(tip, units)
    }

    /// Lets the writes in flight end, tells what became of them, and writes the summary of the heals.
    async fn end(&mut self) {
        let mut event = Heard::Stop;
        loop {
            for Assigned { token, unit, order } in self.step(event).0 {
                if matches!(order, Order::Append(_) | Order::Tell(_)) {
                    let carrier = self.carrier_of(&unit);
                    self.answers.spawn(async move { Some(carrier.hear(token, order).await) });
                }
            }
            event = loop {
                match self.answers.join_next().await {
                    Some(Ok(Some(heard))) => break heard,
                    Some(_) => {}
                    None => return,
                }
            };
        }
    }

    fn carrier_of(&mut self, unit: &UnitName) -> Arc<Carrier> {
        if unit.is_whole() {
            return Arc::clone(&self.carrier);
        }
        let carrier = &self.carrier;
        Arc::clone(self.carriers.entry(unit.clone()).or_insert_with(|| Arc::new(carrier.of_unit(unit))))
    }

    async fn next(&mut self, wake: Option<WakeAt>) -> Heard {
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
                    Ok(Some(heard)) => heard,
                    Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
                    Ok(None) | Err(_) => Heard::Tick,
                },
                Some(found) = self.search.join_next() => return match found {
                    Ok(found) => self.take_units(found),
                    Err(failure) => std::panic::resume_unwind(failure.into_panic()),
                },
                Some(sighting) = self.seen.recv() => return Heard::Sighting(sighting),
                Ok(()) = self.looks.changed() => return self.take_look(),
                (entries, hearers) = grown(self.upstream.as_mut(), self.heard) => {
                    self.heard = entries;
                    return Heard::Upstream(entries, hearers);
                }
                Some(question) = self.asked.recv() => {
                    // Whoever asked may be gone.
                    let _ = question.send(self.courses.overview());
                }
                () = tokio::time::sleep_until(until) => return Heard::Tick,
            }
        }
    }

    fn carry_out(&mut self, assigned: Assigned) {
        let Assigned { token, unit, order } = assigned;
        if let Order::Watch { kinds, anew } = order {
            self.watch(&kinds, anew);
            self.answers.spawn(async move { Some(Heard::Answer(token, Answer::Done)) });
            return;
        }
        let carrier = self.carrier_of(&unit);
        if let Order::Tell(news) = order {
            // At once: the next step may be the last.
            carrier.tell_news(&news);
            self.answers.spawn(async move { Some(Heard::Answer(token, Answer::Done)) });
            return;
        }
        let (writes, judged) = (Arc::clone(&self.writes), Arc::clone(&self.judged));
        let stop = self.stop.clone();
        let turn = turn(&order);
        self.answers.spawn(async move {
            let _permit = match turn {
                Turn::Read => return stop.run_until_cancelled(carrier.hear(token, order)).await,
                Turn::Judge => {
                    let judge = async move {
                        let _turn = judged.acquire_owned().await.ok();
                        carrier.hear(token, order).await
                    };
                    return stop.run_until_cancelled(judge).await;
                }
                Turn::Limited => stop.run_until_cancelled(writes.acquire_owned()).await?.ok(),
                Turn::Write => None,
            };
            if stop.is_cancelled() {
                return None;
            }
            Some(carrier.hear(token, order).await)
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
        let progress = self.courses.progress();
        if progress != self.last {
            self.last = progress;
            // Nobody may be looking.
            let _ = self.shown.send(Step { environment: self.carrier.environment.name.clone(), progress });
        }
    }
}

/// Waits until the log upstream has grown, and says how long it is, and whom what was added since so many entries is news
/// for; for ever where nobody here walks upstream.
async fn grown(upstream: Option<&mut watch::Receiver<Ledger>>, since: u64) -> (u64, Hearers) {
    match upstream {
        Some(upstream) => match upstream.changed().await {
            Ok(()) => {
                let ledger = upstream.borrow_and_update();
                (ledger.audience.entries(), ledger.audience.since(since))
            }
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// How an order is carried out when the agent is told to stop.
enum Turn {
    /// Dropped at once: it changes nothing that lasts.
    Read,
    /// The same, with a limit on how many are in flight: each holds all that its unit would be.
    Judge,
    /// Ended, if it has begun.
    Write,
    /// The same, with a limit on how many are in flight.
    Limited,
}

fn turn(order: &Order) -> Turn {
    match order {
        Order::ReadLog
        | Order::ReadStatements(_)
        | Order::RollBack(_)
        | Order::Recall
        | Order::Look { .. }
        | Order::Confirm(_)
        | Order::Check { .. }
        | Order::Watch { .. } => Turn::Read,
        Order::Tell(_) => Turn::Read,
        Order::Judge(_) => Turn::Judge,
        Order::StoreRelease { .. } | Order::Append(_) | Order::WriteInventory(_) | Order::Collect(_) => Turn::Write,
        Order::EndCheck { .. } => Turn::Read,
        Order::Promote { .. } | Order::Revert { .. } => Turn::Write,
        Order::Apply { .. } | Order::Delete { .. } => Turn::Limited,
    }
}
