//! The clock: the only place that reads the time of day.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The last time that was told, and when that was.
static TOLD: Mutex<Option<(Instant, Timestamp)>> = Mutex::new(None);

/// The current time. Within a process it never goes back: where the clock of the machine is set back, it runs on from the
/// last time that was told. It may jump forward, and differ between processes: whoever decides by it compares it with
/// times that were journalled.
#[must_use]
pub fn now() -> Timestamp {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let here = Instant::now();
    let now = carried(told.map(|(then, time)| (here.duration_since(then), time)), Timestamp::now());
    *told = Some((here, now));
    now
}

/// The later of the machine's time and of the last time that was told, carried on.
fn carried(told: Option<(Duration, Timestamp)>, machine: Timestamp) -> Timestamp {
    let carried = told.and_then(|(since, time)| time.checked_add(since).ok());
    carried.map_or(machine, |carried| carried.max(machine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_runs_on_and_one_that_is_set_forward_is_followed() {
        let at = |seconds| Timestamp::from_second(seconds).expect("because it is a time");
        let two = Duration::from_secs(2);
        for (told, machine, expected) in [
            (None, 100, 100),
            (Some((two, at(100))), 102, 102),
            (Some((two, at(100))), 50, 102),
            (Some((two, at(100))), 5000, 5000),
        ] {
            assert_eq!(carried(told, at(machine)), at(expected));
        }
    }
}
