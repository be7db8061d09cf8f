//! Wording that several gates share.

use std::time::Duration;

use jiff::Timestamp;

/// Names that one message lists.
const NAMED: usize = 5;

/// Names in a row, cut after a few.
pub(super) fn listed(names: Vec<String>) -> String {
    rowed(names, ", ")
}

/// The same with something else between them, where they hold commas themselves.
pub(super) fn rowed(names: Vec<String>, between: &str) -> String {
    let more = names.len().saturating_sub(NAMED);
    let text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(between);
    if more == 0 { text } else { format!("{text} and {more} more") }
}

/// A moment, as people read it.
pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A moment after a span; the end of time where it would lie beyond.
pub(super) fn later(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// How long ago something was, in its two largest units.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0).unsigned_abs();
    // Below a minute all seconds count; above, they are noise.
    let shown = if seconds < 60 { seconds } else { seconds - seconds % 60 };
    let text = humantime::format_duration(Duration::from_secs(shown)).to_string();
    text.split(' ').take(2).collect()
}

/// A number of things; their name takes an `s` where they are several.
pub(super) fn counted(count: usize, name: &str) -> String {
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}
