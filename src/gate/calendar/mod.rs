//! When may it enter? Windows, in which promotions are let in, and dated freezes, in which none is.
//!
//! In: the text of a [`Window`] or [`Freeze`], and an instant. Out: whether it is open, and when that changes. Nothing
//! here knows the time or reads the machine's zone files, and every search ends after [`HORIZON_DAYS`].
//!
//! # Clocks that change
//! A window is what wall clocks say, and twice a year they skip or repeat. One rule answers every case: the window of a
//! day is **the shortest stretch that holds every instant at which the clocks stand in it**. So
//! - a start that is skipped is the instant at which the clocks go forward, and so is an end: `02:30-04:00` opens at 03:00,
//!   `01:00-02:30` shuts at 03:00, which is the instant that 02:00 would have been;
//! - a window that is skipped as a whole does not open that day: there is no such time;
//! - a start that is repeated is the earlier one, an end the later one: a window never loses time that it names, and never
//!   shuts and opens again within the hour, which no one who plans a release would expect;
//! - an end at the very time from which the clocks repeat (`00:00-02:00` in Berlin) is the earlier one, because no time
//!   before it is shown again.
//!
//! A cron window names a start and a duration: the start follows the rule above, once for each time it names (an hourly one
//! starts once in a repeated hour), and the duration is real time, so that seven hours are seven hours.

mod cron;
mod freeze;
mod stretches;
mod weekly;
mod window;
mod zone;

use jiff::Timestamp;

pub use freeze::{Freeze, InvalidFreeze, freezes_at};
pub use window::{InvalidWindow, Window};
pub use zone::Zone;

/// How far ahead openings and closings are looked for. What is later is `None`.
pub const HORIZON_DAYS: i32 = 400;

/// Whether something may enter, and until when that is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may.
    Open {
        /// The first instant at which it may not; `None`: not within the horizon.
        closes: Option<Timestamp>,
    },
    /// It may not.
    Shut {
        /// The first instant at which it may; `None`: not within the horizon.
        opens: Option<Timestamp>,
    },
}

impl State {
    /// Whether it may enter.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, State::Open { .. })
    }

    /// The next instant at which this changes.
    #[must_use]
    pub fn changes(self) -> Option<Timestamp> {
        match self {
            State::Open { closes } => closes,
            State::Shut { opens } => opens,
        }
    }
}

/// What all windows of an environment say together: open where any of them is, until none is. Without windows it is
/// always open.
#[must_use]
pub fn windows_at(windows: &[Window], now: Timestamp) -> State {
    if windows.is_empty() {
        return State::Open { closes: None };
    }
    stretches::state(windows, now)
}

/// The window that decides what [`windows_at`] says: the first in the list that is open, else the one that opens first.
/// `None` where there are no windows, or none opens within the horizon.
#[must_use]
pub fn deciding(windows: &[Window], now: Timestamp) -> Option<&Window> {
    windows.iter().find(|window| window.at(now).is_open()).or_else(|| {
        let opening = windows.iter().filter_map(|window| Some((window.at(now).changes()?, window)));
        opening.min_by_key(|(opens, _)| *opens).map(|(_, window)| window)
    })
}
