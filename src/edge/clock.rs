//! The clock: the only place that reads the time of day.

/// The current time. It may jump in either direction: whoever decides by it compares it with times that were journalled.
#[must_use]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
