//! How long a change by hand lives: from when a watch of the bench sees it to when it sees the desired value again, against
//! a bare healer that does nothing but send the apply when it sees the change.

#[path = "../tests/control_plane/mod.rs"]
mod control_plane;
#[path = "../tests/stage/mod.rs"]
mod stage;
mod support;

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use control_plane::{ADMIN, ControlPlane};
use futures::{StreamExt as _, stream};
use serde_json::Value;
use support::agent::Agent;
use support::blast;
use support::fleet::{Edit, KINDS, Kind, Thing, fleet};
use support::ground::{measure_on_plane, stage_of};
use support::measure::{progress, scale, scaled};
use support::report::{Report, median, milliseconds, percentile};
use support::sight::{Seen, Sight};

const SIZES: [usize; 2] = [1_000, 10_000];
const EDITS: usize = 500;
const DELETES: usize = 100;
const BURST: usize = 1_000;
/// Edits of the bare healer.
const BARE: usize = 200;
/// One change every so often, so that each is healed alone.
const PACE: Duration = Duration::from_millis(20);
/// How many edits of a burst are in flight at once.
const BURST_IN_FLIGHT: usize = 64;
/// How long nothing may be seen until what is not restored counts as not healed.
const SILENCE: Duration = Duration::from_secs(10);
/// How long the first sync may take.
const LIMIT: Duration = Duration::from_secs(240);
/// DESIGN, budgets: the 99th percentile of a heal, in milliseconds.
const BUDGET: f64 = 250.0;

fn main() -> ExitCode {
    measure_on_plane("heal", bench)
}

fn bench(plane: &'static ControlPlane) {
    let mut report = Report::new("heal");
    progress("the bare healer");
    let bare = bare(plane);
    report.baseline_distribution("bare healer", &bare.healed);
    for size in SIZES {
        let things = fleet(scaled(size, 200));
        let count = things.len();
        progress(&format!("first sync of {count} objects"));
        let (stage, namespaces) = stage_of(plane, &[("prod", &things)]);
        let mut agent = Agent::start(&stage);
        agent.await_proven(1, LIMIT);
        agent.await_rest(LIMIT);
        let site = Site { plane, namespace: &namespaces[0], sight: Sight::open(plane, &namespaces[0], &KINDS) };
        let mut order = spread(&things).into_iter();
        let mut next = |wanted: usize| -> Vec<&Thing> { order.by_ref().take(scaled(wanted, 10)).collect() };
        progress("edits");
        let mark = plane.mark();
        let edits = site.change(&next(EDITS), How::Edit, Some(PACE), None);
        let requests = plane.requests_since(mark).len();
        progress("deletes");
        let deletes = site.change(&next(DELETES), How::Delete, Some(PACE), None);
        tell(&mut report, &format!("edits at {count}"), &edits);
        report.figure(&format!("edits at {count}: requests per edit"), requests as f64 / edits.asked as f64, "");
        tell(&mut report, &format!("deletes at {count}"), &deletes);
        if size == SIZES[1] {
            progress("a burst");
            let burst = site.change(&next(BURST), How::Edit, None, None);
            tell_burst(&mut report, count, &burst);
        }
        if !edits.healed.is_empty() {
            let middle = |outcome: &Outcome| median(&milliseconds(&outcome.healed));
            report.ratio(&format!("edits at {count} / bare healer, p50"), middle(&edits) / middle(&bare), None);
        }
        tell_own_account(&mut report, count, &mut agent);
        agent.stop();
    }
    report.finish();
}

fn tell(report: &mut Report, name: &str, outcome: &Outcome) {
    report.bounded(&format!("{name}: not restored"), outcome.left as f64, "", 0.0);
    report.distribution(name, &outcome.healed, Some(BUDGET));
}

fn tell_burst(report: &mut Report, count: usize, burst: &Outcome) {
    let name = format!("burst of {} at {count}", burst.asked);
    report.bounded(&format!("{name}: not restored"), burst.left as f64, "", 0.0);
    report.baseline(&format!("{name}: first to last edit seen"), burst.changing.as_secs_f64(), "s");
    if burst.left == 0 {
        report.figure(&format!("{name}: first edit seen to all restored"), burst.whole.as_secs_f64(), "s");
        report.ratio(
            &format!("{name}: all restored / edits"),
            burst.whole.as_secs_f64() / burst.changing.as_secs_f64(),
            None,
        );
    }
}

/// What the agent says itself, by its log.
fn tell_own_account(report: &mut Report, count: usize, agent: &mut Agent) {
    agent.read_lines();
    let own = agent.seen.iter().filter_map(|line| line["event_to_heal_ms"].as_f64()).collect::<Vec<_>>();
    report.figure(&format!("drift-healed lines at {count}"), agent.count("drift-healed") as f64, "");
    report.figure(&format!("event_to_heal_ms at {count} p50"), percentile(&own, 50.0), "ms");
    report.figure(&format!("event_to_heal_ms at {count} p99"), percentile(&own, 99.0), "ms");
}

/// The objects in an order in which neighbours are of different kinds and applications.
fn spread(things: &[Thing]) -> Vec<&Thing> {
    let stride = [37, 41, 43].into_iter().find(|stride| !things.len().is_multiple_of(*stride)).unwrap_or(1);
    (0..things.len()).map(|index| &things[index * stride % things.len()]).collect()
}

/// What somebody does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Edit,
    Delete,
}

/// What came of a series of changes.
struct Outcome {
    asked: usize,
    /// From a change seen to its end seen.
    healed: Vec<Duration>,
    /// Changes whose end was not seen.
    left: usize,
    /// From the first change seen to the last one.
    changing: Duration,
    /// From the first change seen to the last end.
    whole: Duration,
}

/// One change on its way.
struct Change {
    edit: Edit,
    how: How,
    seen: Option<Instant>,
    restored: Option<Instant>,
}

impl Change {
    /// Files what was seen; says whether it was the change.
    fn see(&mut self, seen: &Seen) -> bool {
        let value = seen.object.as_ref().map(|object| object.pointer(self.edit.pointer).unwrap_or(&Value::Null));
        let changed = match self.how {
            How::Edit => value == Some(&self.edit.edited),
            How::Delete => value.is_none(),
        };
        if changed {
            self.seen.get_or_insert(seen.at);
        } else if self.seen.is_some() && value == Some(&self.edit.desired) {
            self.restored.get_or_insert(seen.at);
        }
        changed
    }
}

/// What reacts to a change that the bench sees.
type React<'a> = &'a dyn Fn(&Thing);

struct Site<'a> {
    plane: &'static ControlPlane,
    namespace: &'a str,
    sight: Sight,
}

impl Site<'_> {
    /// Changes objects, one at each beat of `pace` or all at once, and waits until all are restored or nothing is seen.
    fn change(&self, things: &[&Thing], how: How, pace: Option<Duration>, react: Option<React<'_>>) -> Outcome {
        let change = |thing: &Thing| Change { edit: thing.edit(), how, seen: None, restored: None };
        let mut changes: HashMap<(Kind, String), (&Thing, Change)> =
            things.iter().map(|thing| ((thing.kind, thing.name.clone()), (*thing, change(thing)))).collect();
        self.send(things, how, pace);
        let mut left = changes.len();
        while left > 0
            && let Some(seen) = self.sight.next(SILENCE)
        {
            let Some((thing, change)) = changes.get_mut(&(seen.kind, seen.name.clone())) else { continue };
            let was_restored = change.restored.is_some();
            if change.see(&seen)
                && let Some(react) = react
            {
                react(thing);
            }
            left -= usize::from(!was_restored && change.restored.is_some());
        }
        outcome(changes.values().map(|(_, change)| change), left)
    }

    fn send(&self, things: &[&Thing], how: How, pace: Option<Duration>) {
        let client = self.plane.client(ADMIN);
        let requests: Vec<_> = things.iter().map(|thing| request(thing, self.namespace, how)).collect();
        self.plane.runtime().spawn(async move {
            let send = |request| {
                let client = client.clone();
                async move { client.request_text(request).await.expect("because the server takes the change") }
            };
            match pace {
                Some(pace) => {
                    let mut beat = tokio::time::interval(pace);
                    for request in requests {
                        beat.tick().await;
                        tokio::spawn(send(request));
                    }
                }
                None => stream::iter(requests).map(send).buffer_unordered(BURST_IN_FLIGHT).for_each(async |_| ()).await,
            }
        });
    }
}

fn request(thing: &Thing, namespace: &str, how: How) -> http::Request<Vec<u8>> {
    let path = thing.path(namespace);
    let request = match how {
        How::Edit => http::Request::patch(format!("{path}?fieldManager=somebody"))
            .header("content-type", "application/merge-patch+json")
            .body(thing.edit().patch.to_string().into_bytes()),
        How::Delete => http::Request::delete(path).body(Vec::new()),
    };
    request.expect("because the path is valid")
}

fn outcome<'a>(changes: impl Iterator<Item = &'a Change> + Clone, left: usize) -> Outcome {
    let seen = changes.clone().filter_map(|change| change.seen);
    let restored = changes.clone().filter_map(|change| change.restored);
    let first = seen.clone().min();
    let since_first = |end: Option<Instant>| first.zip(end).map_or(Duration::ZERO, |(first, end)| end - first);
    let healed = changes.clone().filter_map(|change| Some(change.restored?.duration_since(change.seen?))).collect();
    let (changing, whole) = (since_first(seen.max()), since_first(restored.max()));
    Outcome { asked: changes.count(), healed, left, changing, whole }
}

/// The least that a heal can take: whoever sees the change sends the apply at once.
fn bare(plane: &'static ControlPlane) -> Outcome {
    let things = fleet(((BARE as f64 * scale()) as usize).max(20));
    let namespace = plane.namespace("bare");
    blast::blast(plane, &namespace, &things);
    let site = Site { plane, namespace: &namespace, sight: Sight::open(plane, &namespace, &KINDS) };
    let client = plane.client(ADMIN);
    let react = |thing: &Thing| {
        let (client, request) = (client.clone(), blast::request(thing, &namespace));
        plane.runtime().spawn(async move { client.request_text(request).await.map(drop) });
    };
    site.change(&spread(&things), How::Edit, Some(PACE), Some(&react))
}
