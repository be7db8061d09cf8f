//! One check, from the first look to its verdict.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::limit::measured;
use super::{Check, Container, OnUnknown, Probe, Query, Reading, Samples};
use crate::name::{Code, Reason};

/// How long a look may take longer than its interval before the time between two looks counts as not looked at: the
/// time limit of a look, and a machine that was busy.
const SLOW_LOOK: Duration = Duration::from_secs(30);

/// What a check says about the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Pending,
    /// The release passed; this never changes again.
    Passed,
    /// The release failed; this never changes again.
    Failed {
        /// `check-failed` or `check-unknown`, and what was seen.
        reason: Reason,
        /// Whether `onFailure: rollback` may act on it: it was bad, or the check asks for it.
        rolls_back: bool,
    },
}

/// How one reading looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Good,
    Bad,
    Unknown,
    /// Not done: neither.
    Running,
}

/// Readings that are good without interruption.
#[derive(Debug, Clone, Copy)]
struct Streak {
    since: Timestamp,
    count: u32,
}

/// The last reading.
#[derive(Debug, Clone)]
struct Last {
    at: Timestamp,
    look: Look,
    told: String,
}

/// One check, from the first look to its verdict. It holds no clock: whoever files a reading says when it was taken.
#[derive(Debug, Clone)]
pub struct Run {
    check: Check,
    started: Timestamp,
    last: Option<Last>,
    streak: Option<Streak>,
    /// Whether the last readings that are known were bad, the newest last.
    recent: VecDeque<bool>,
    /// What began the time of `for` anew last, if anything did.
    broken_by: Option<Look>,
    /// For each container: its restarts before the check began, and the most that were seen; `None` before the first
    /// look at them.
    restarts: Option<BTreeMap<String, (u64, u64)>>,
    decided: Option<Verdict>,
}

impl Run {
    /// A check that begins now.
    ///
    /// `started` is when the release settled, or when an agent that takes over begins to look: time that nobody looked
    /// at judges nothing.
    #[must_use]
    pub fn new(check: Check, started: Timestamp) -> Self {
        Run {
            check,
            started,
            last: None,
            streak: None,
            recent: VecDeque::new(),
            broken_by: None,
            restarts: None,
            decided: None,
        }
    }

    /// What it runs.
    #[must_use]
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// Takes a reading, and the time when it was asked for. One that comes when the time is up, or after the verdict,
    /// changes nothing.
    pub fn file(&mut self, reading: &Reading, now: Timestamp) {
        if self.decided.is_some() {
            return;
        }
        let now = self.last.as_ref().map_or(now, |last| last.at.max(now));
        if now >= self.deadline() {
            self.decided = Some(self.overdue());
            return;
        }
        self.notice_gap(now);
        let (look, told) = self.judge(reading);
        match look {
            Look::Good => {
                let streak = self.streak.get_or_insert(Streak { since: now, count: 0 });
                streak.count = streak.count.saturating_add(1);
                self.remember(false);
            }
            Look::Bad => {
                self.interrupt(look);
                self.remember(true);
            }
            Look::Unknown => self.interrupt(look),
            Look::Running => {}
        }
        self.last = Some(Last { at: now, look, told });
        self.decided = self.decide(look);
    }

    /// So much time did not pass, though the clock says so: nothing is nearer to its end by it.
    pub fn skip(&mut self, span: Duration) {
        let last = self.last.as_mut().map(|last| &mut last.at);
        let since = self.streak.as_mut().map(|streak| &mut streak.since);
        for time in [Some(&mut self.started), last, since].into_iter().flatten() {
            *time = after(*time, span);
        }
    }

    /// What it says now.
    #[must_use]
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        match &self.decided {
            Some(verdict) => verdict.clone(),
            None if now >= self.deadline() => self.overdue(),
            None => Verdict::Pending,
        }
    }

    /// When to look next, or at the end of its time to ask for the verdict; `None` when it is decided.
    #[must_use]
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        if self.verdict(now) != Verdict::Pending {
            return None;
        }
        let Some(last) = &self.last else { return Some(self.started.min(self.deadline())) };
        let mut next = after(last.at, self.check.interval);
        if let Some(streak) = self.streak {
            // The moment when `for` is over, where it comes before the interval is.
            let done = after(streak.since, self.check.for_);
            if done > last.at && streak.count.saturating_add(1) >= self.check.good {
                next = next.min(done);
            }
        }
        Some(next.min(self.deadline()))
    }

    /// What was seen last, for people: `0.21 %, max 1 %, good for 4m of 10m`.
    #[must_use]
    pub fn value(&self) -> String {
        let Some(last) = &self.last else { return "no reading yet".to_owned() };
        let good = |streak: &Streak| {
            let told = if self.check.for_.is_zero() {
                String::new()
            } else {
                format!(", good for {} of {}", lasted(streak.since, last.at), told(self.check.for_))
            };
            let (count, wanted) = (streak.count, self.check.good);
            if count < wanted { format!("{told}, {count} of {wanted} in a row") } else { told }
        };
        format!("{}{}", last.told, self.streak.as_ref().map_or(String::new(), good))
    }

    /// When its time is up.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        after(self.started, self.check.within)
    }

    /// Time that nobody looked at is unknown.
    fn notice_gap(&mut self, now: Timestamp) {
        let Some(last) = &self.last else { return };
        if self.is_gap(last, now) {
            self.interrupt(Look::Unknown);
        }
    }

    fn is_gap(&self, last: &Last, now: Timestamp) -> bool {
        now > after(last.at, self.check.interval.saturating_mul(2).saturating_add(SLOW_LOOK))
    }

    fn interrupt(&mut self, by: Look) {
        self.streak = None;
        self.broken_by = Some(by);
    }

    fn remember(&mut self, bad: bool) {
        self.recent.push_back(bad);
        while self.recent.len() > usize::try_from(self.check.bad.of).unwrap_or(usize::MAX) {
            self.recent.pop_front();
        }
    }

    fn decide(&self, look: Look) -> Option<Verdict> {
        match look {
            Look::Good => {
                let (streak, last) = (self.streak?, self.last.as_ref()?);
                let long = last.at >= after(streak.since, self.check.for_);
                (long && streak.count >= self.check.good).then_some(Verdict::Passed)
            }
            Look::Bad => {
                let bad = self.recent.iter().filter(|bad| **bad).count();
                let enough = u32::try_from(bad).unwrap_or(u32::MAX) >= self.check.bad.count;
                let of = self.recent.len();
                let times = if of > 1 { format!("; {bad} of the last {of} readings were bad") } else { String::new() };
                enough.then(|| self.failed(Code::CheckFailed, &times))
            }
            Look::Unknown | Look::Running => None,
        }
    }

    /// Its time is up. It was bad where the last thing that stood in the way was a bad reading; else nobody knows.
    fn overdue(&self) -> Verdict {
        let within = told(self.check.within);
        let looked = self.last.as_ref().filter(|last| !self.is_gap(last, self.deadline()));
        let in_the_way = match looked.map(|last| last.look) {
            Some(Look::Good) => self.broken_by,
            other => other,
        };
        match in_the_way {
            Some(Look::Bad) => self.failed(Code::CheckFailed, &format!("; it did not pass within {within}")),
            Some(Look::Good | Look::Unknown | Look::Running) | None => {
                self.failed(Code::CheckUnknown, &format!("; it did not pass within {within}"))
            }
        }
    }

    fn failed(&self, code: Code, why: &str) -> Verdict {
        let reason = Reason::new(code, format!("check `{}`: {}{why}", self.check.name, self.value()));
        let rolls_back = code == Code::CheckFailed || self.check.unknown == OnUnknown::Fail;
        Verdict::Failed { reason, rolls_back }
    }

    fn judge(&mut self, reading: &Reading) -> (Look, String) {
        let unknown = |reason: &str| (Look::Unknown, format!("unknown: {reason}"));
        match (&self.check.probe, reading) {
            (_, Reading::Unknown(reason)) => unknown(reason),
            (Probe::Http { .. } | Probe::Job(_), Reading::Answer { good, seen }) => {
                (if *good { Look::Good } else { Look::Bad }, seen.clone())
            }
            (Probe::Job(_), Reading::Running(seen)) => (Look::Running, seen.clone()),
            (Probe::Prometheus(query), Reading::Samples(samples)) => {
                within_limits(query, samples).unwrap_or_else(|reason| unknown(&reason))
            }
            (&Probe::Restarts { max }, Reading::Containers(containers)) => {
                let count = self.restarted(containers);
                let plural = if count == 1 { "" } else { "s" };
                (if count <= max { Look::Good } else { Look::Bad }, format!("{count} restart{plural}, max {max}"))
            }
            (_, Reading::Answer { .. } | Reading::Running(_) | Reading::Samples(_) | Reading::Containers(_)) => {
                unknown("the reading is of another kind than the check")
            }
        }
    }

    /// Restarts since the check began. They never become fewer: a pod that is gone takes none of its restarts away.
    fn restarted(&mut self, containers: &[Container]) -> u64 {
        let first = self.restarts.is_none();
        let known = self.restarts.get_or_insert_default();
        for container in containers {
            // What is there at the first look restarted before, but for what its last end says; a pod that comes later
            // has done all of it since.
            let since = container.last_ended.is_some_and(|ended| ended >= self.started);
            let before = if first { container.restarts.saturating_sub(u64::from(since)) } else { 0 };
            let seen = known.entry(container.id.clone()).or_insert((before, 0));
            seen.1 = seen.1.max(container.restarts);
        }
        known.values().map(|(before, most)| most.saturating_sub(*before)).sum()
    }
}

/// Judges samples: a sample without a number is unknown, and decides only where the known ones do not.
fn within_limits(query: &Query, samples: &[f64]) -> Result<(Look, String), String> {
    let good = |value: f64| {
        value.is_finite().then(|| {
            query.min.is_none_or(|limit| value >= limit.value) && query.max.is_none_or(|limit| value <= limit.value)
        })
    };
    let looks: Vec<Option<bool>> = samples.iter().map(|value| good(*value)).collect();
    let decided = match (query.samples, looks.as_slice()) {
        (_, []) => return Err("no data".to_owned()),
        (Samples::One, [look]) => *look,
        (Samples::One, looks) => {
            return Err(format!("{} samples, expected one; say `samples: all` or `samples: any`", looks.len()));
        }
        (Samples::All, looks) if looks.contains(&Some(false)) => Some(false),
        (Samples::All, looks) => (!looks.contains(&None)).then_some(true),
        (Samples::Any, looks) if looks.contains(&Some(true)) => Some(true),
        (Samples::Any, looks) => (!looks.contains(&None)).then_some(false),
    };
    let good = decided.ok_or("a sample is NaN or infinite")?;
    Ok((if good { Look::Good } else { Look::Bad }, shown(query, samples)))
}

/// The samples and the limits: `0.21 %, max 1 %`.
fn shown(query: &Query, samples: &[f64]) -> String {
    let percent = [query.min, query.max].into_iter().flatten().any(|limit| limit.percent);
    let known = || samples.iter().copied().filter(|value| value.is_finite());
    let (least, most) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    let mut shown = match samples {
        [value] => measured(*value, percent),
        samples => {
            format!("{} samples, {} to {}", samples.len(), measured(least, percent), measured(most, percent))
        }
    };
    for (word, limit) in [("min", query.min), ("max", query.max)] {
        if let Some(limit) = limit {
            shown += &format!(", {word} {limit}");
        }
    }
    shown
}

fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

fn lasted(from: Timestamp, to: Timestamp) -> String {
    told(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

/// A duration in whole seconds.
fn told(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}
