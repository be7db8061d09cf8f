//! How long to leave alone what just failed.

use std::time::Duration;

use jiff::Timestamp;

/// The first wait; each further one is twice as long (course.md rule 18 of the design: 1 s, 2 s, … 2 min).
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(120);

/// Counts failures in a row and says when to try again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Backoff {
    /// Notes a failure; `at_least` is a wait that the server asked for. The last digits of the time lengthen each wait by up
    /// to a fifth, so that not all who failed together come back together.
    pub(super) fn failed(&mut self, now: Timestamp, at_least: Option<Duration>) {
        let wait = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST).max(at_least.unwrap_or_default());
        let digits = u32::try_from(now.subsec_nanosecond().rem_euclid(1000)).unwrap_or(0);
        let wait = wait + wait / 5000 * digits;
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(later(now, wait));
    }

    /// How often it failed in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether it may be tried now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.not_before.is_none_or(|time| now >= time)
    }

    /// When it may be tried, if it must wait.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// Lets it be tried at once, because something changed; the count stays.
    pub(super) fn hurry(&mut self) {
        self.not_before = None;
    }
}

/// A time after another; the last time there is, if the sum is out of range.
pub(super) fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_minutes() {
        let now = Timestamp::UNIX_EPOCH;
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff.failed(now, None);
            waits.push(backoff.due_at().expect("because it failed").as_second());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
    }

    #[test]
    fn the_last_digits_of_the_time_are_the_jitter() {
        let wait = |nanoseconds| {
            let now = Timestamp::from_nanosecond(nanoseconds).expect("because it is a time");
            let mut backoff = Backoff::default();
            backoff.failed(now, None);
            backoff.due_at().expect("because it failed").duration_since(now).as_millis()
        };
        assert_eq!([wait(1_000), wait(1_500), wait(1_999)], [1000, 1100, 1199]);
    }

    #[test]
    fn a_wait_that_the_server_asked_for_is_kept() {
        let mut backoff = Backoff::default();
        backoff.failed(Timestamp::UNIX_EPOCH, Some(Duration::from_secs(30)));
        assert_eq!(backoff.due_at().map(|time| time.as_second()), Some(30));
        assert!(!backoff.is_due(Timestamp::UNIX_EPOCH));
    }
}
