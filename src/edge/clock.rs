//! The clock: the only place that reads the time of day.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// What was told last.
static TOLD: Mutex<Option<Told>> = Mutex::new(None);

/// By how much a clock may be set forward at once as its rate is corrected; more than that is a jump.
const CORRECTS: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
struct Told {
    /// When that was.
    at: Instant,
    time: Timestamp,
    /// How far the clock was ever set forward.
    jumped: Duration,
}

/// The current time. Within a process it never goes back: where the clock of the machine is set back, it runs on from the
/// last time that was told. It may jump forward, and differ between processes: whoever decides by it compares it with
/// times that were journalled, and whoever measures with it asks [`jumped`].
#[must_use]
pub fn now() -> Timestamp {
    tell().time
}

/// How far the clock of the machine was set forward since this process began, in all: time that did not pass.
#[must_use]
pub fn jumped() -> Duration {
    tell().jumped
}

fn tell() -> Told {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let here = Instant::now();
    let last = told.map(|told| (here.duration_since(told.at), told.time));
    let (time, jump) = carried(last, Timestamp::now());
    let jumped = told.map_or(Duration::ZERO, |told| told.jumped).saturating_add(jump);
    *told.insert(Told { at: here, time, jumped })
}

/// The later of the machine's time and of the last time that was told, carried on; and how far the former has jumped.
fn carried(told: Option<(Duration, Timestamp)>, machine: Timestamp) -> (Timestamp, Duration) {
    let Some(carried) = told.and_then(|(since, time)| time.checked_add(since).ok()) else {
        return (machine, Duration::ZERO);
    };
    let ahead = Duration::try_from(machine.duration_since(carried)).unwrap_or(Duration::ZERO);
    (carried.max(machine), if ahead > CORRECTS { ahead } else { Duration::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_runs_on_and_one_that_is_set_forward_is_followed_and_the_jump_known() {
        let at = |seconds| Timestamp::from_second(seconds).expect("because it is a time");
        let two = Duration::from_secs(2);
        for (told, machine, expected, jumps) in [
            (None, 100, 100, 0),
            (Some((two, at(100))), 102, 102, 0),
            (Some((two, at(100))), 103, 103, 0),
            (Some((two, at(100))), 50, 102, 0),
            (Some((two, at(100))), 5000, 5000, 4898),
        ] {
            assert_eq!(carried(told, at(machine)), (at(expected), Duration::from_secs(jumps)));
        }
    }
}
