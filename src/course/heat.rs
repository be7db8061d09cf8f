//! How often one object was healed in a row, and how long it is left alone therefore.
//!
//! The first heal is at once. Each further one waits twice as long as the one before; from [`FIGHT`] heals in a row on
//! somebody else is setting the object back, and only now and then it is tried whether they still do.

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::later;

/// Heals in a row after which it is a fight: with the waits between them, within 15 s.
pub(super) const FIGHT: u8 = 5;

/// The pause after the heal that makes it a fight; doubled with each further one.
const PAUSE: Duration = Duration::from_secs(120);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);

/// The least time that a heal must hold before the count starts anew.
const HELD: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heat {
    heals: u8,
    last: Option<Timestamp>,
}

impl Heat {
    /// From when on the object may be healed.
    pub(super) fn due_at(&mut self, now: Timestamp) -> Timestamp {
        self.cool(now);
        self.last.map_or(now, |last| later(last, self.wait()).max(now))
    }

    /// Notes a heal.
    pub(super) fn healed(&mut self, now: Timestamp) {
        self.cool(now);
        self.heals = self.heals.saturating_add(1);
        self.last = Some(now);
    }

    /// Whether the heals in a row are a fight.
    pub(super) fn is_fight(&self) -> bool {
        self.heals >= FIGHT
    }

    /// When the last heal will have held long enough.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.last.map(|last| later(last, HELD.max(self.wait() * 2)))
    }

    /// Starts the count anew if the last heal has held.
    pub(super) fn cool(&mut self, now: Timestamp) {
        if self.ends_at().is_some_and(|end| now >= end) {
            *self = Heat::default();
        }
    }

    fn wait(&self) -> Duration {
        match self.heals {
            0 => Duration::ZERO,
            heals if heals < FIGHT => Duration::from_secs(1 << (heals - 1)),
            heals => PAUSE.saturating_mul(1 << (heals - FIGHT).min(10)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("because it is a time")
    }

    #[test]
    fn the_first_heal_is_at_once_and_a_fight_is_left_alone_for_longer_and_longer() {
        let mut heat = Heat::default();
        let (mut now, mut waits) = (at(0), Vec::new());
        for _ in 0..12 {
            let due = heat.due_at(now);
            waits.push(due.as_second() - now.as_second());
            now = due;
            heat.healed(now);
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 120, 240, 480, 960, 1920, 3600, 3600]);
    }

    #[test]
    fn a_heal_that_held_starts_the_count_anew() {
        let mut heat = Heat::default();
        heat.healed(at(0));
        heat.healed(at(1));
        assert_eq!(heat.due_at(at(60)), at(60), "the wait is over, the count goes on");
        heat.healed(at(60));
        assert_eq!(heat.due_at(at(60)), at(64));
        assert_eq!(heat.due_at(at(120)), at(120));
        assert_eq!(heat, Heat::default());
    }
}
