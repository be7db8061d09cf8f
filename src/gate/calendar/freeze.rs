//! One dated freeze.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};

use super::weekly::minutes;
use super::zone::Zone;

/// The longest reason, in characters.
const REASON_LIMIT: usize = 200;

/// From when until when nothing is promoted. It beats every window, and never stops a rollback or a heal.
///
/// An edge is a date, which means its first moment (`until: 2027-01-02`: the second of January is free again), a date and
/// a time (`2026-12-20 18:00`), both on the clocks of `zone` and by the rule of windows where these change; or an RFC 3339
/// instant, which needs no zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    from: Edge,
    until: Edge,
    zone: Option<Zone>,
    reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    text: String,
    at: Timestamp,
}

/// Why a freeze cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {expected}")]
pub struct InvalidFreeze {
    /// The field that is wrong: `from`, `until` or `reason`.
    pub field: &'static str,
    /// What should stand there, beginning with `expected`.
    pub expected: String,
}

impl Freeze {
    /// A freeze from its texts.
    ///
    /// # Errors
    /// An edge that is no time, a local time without a zone, an end that is not after the start, a reason that is empty or
    /// longer than a line.
    pub fn new(from: &str, until: &str, zone: Option<Zone>, reason: Option<&str>) -> Result<Freeze, InvalidFreeze> {
        let wrong = |field, expected: &str| InvalidFreeze { field, expected: expected.to_owned() };
        let place = zone.as_ref();
        let begins = edge(from, place, Zone::begins).map_err(|expected| wrong("from", expected))?;
        let ends = edge(until, place, Zone::ends).map_err(|expected| wrong("until", expected))?;
        if ends.at <= begins.at {
            return Err(wrong("until", "expected a time after `from`"));
        }
        let good = |text: &str| !text.trim().is_empty() && text.chars().count() <= REASON_LIMIT && !text.contains('\n');
        if reason.is_some_and(|reason| !good(reason)) {
            return Err(wrong("reason", "expected one line of at most 200 characters"));
        }
        Ok(Freeze { from: begins, until: ends, zone, reason: reason.map(str::to_owned) })
    }

    /// Until when it lasts, if `now` lies in it.
    #[must_use]
    pub fn covers(&self, now: Timestamp) -> Option<Timestamp> {
        (self.from.at <= now && now < self.until.at).then_some(self.until.at)
    }

    /// The first instant in it.
    #[must_use]
    pub fn from(&self) -> Timestamp {
        self.from.at
    }

    /// The first instant after it.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.until.at
    }

    /// `from` and `until` as they were written.
    #[must_use]
    pub fn texts(&self) -> (&str, &str) {
        (&self.from.text, &self.until.text)
    }

    /// The zone of its times, where it names one.
    #[must_use]
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// Why, for people.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// An instant for people, as [`Zone::word`] says it; in UTC where the freeze names no zone.
    #[must_use]
    pub fn word(&self, at: Timestamp, now: Timestamp) -> String {
        let zone = self.zone.clone().or_else(|| Zone::named("UTC"));
        zone.map_or_else(|| at.to_string(), |zone| zone.word(at, now))
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from.text, self.until.text)?;
        self.zone.iter().try_for_each(|zone| write!(f, " {zone}"))?;
        self.reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
    }
}

/// The freeze that covers `now` and ends last, and when nothing is frozen any more: freezes that touch are one.
#[must_use]
pub fn freezes_at(freezes: &[Freeze], now: Timestamp) -> Option<(&Freeze, Timestamp)> {
    let last_of =
        |at| freezes.iter().filter(move |freeze| freeze.covers(at).is_some()).max_by_key(|freeze| freeze.until());
    let freeze = last_of(now)?;
    let mut until = freeze.until();
    while let Some(next) = last_of(until) {
        until = next.until();
    }
    Some((freeze, until))
}

/// What an edge says; `resolve` puts a wall-clock time of the zone on the line of instants.
fn edge(
    text: &str,
    zone: Option<&Zone>,
    resolve: impl Fn(&Zone, DateTime) -> Option<Timestamp>,
) -> Result<Edge, &'static str> {
    const FORMS: &str = "expected a date such as `2026-12-20`, a time such as `2026-12-20 18:00`, or an instant such as \
                         `2026-12-20T18:00:00Z`";
    let at = if let Some(wall) = wall(text) {
        let zone = zone.ok_or(
            "expected a `zone` beside it, such as `Europe/Berlin`, or an instant such as `2026-12-20T18:00:00Z`",
        )?;
        resolve(zone, wall)
    } else {
        rfc3339(text)
    };
    at.map(|at| Edge { text: text.to_owned(), at }).ok_or(FORMS)
}

/// `2026-12-20` or `2026-12-20 18:00`.
fn wall(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00"));
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|digit| digit.is_ascii_digit());
    let mut parts = date.split('-');
    let plain =
        digits(parts.next()?, 4) && digits(parts.next()?, 2) && digits(parts.next()?, 2) && parts.next().is_none();
    let minutes = minutes(time)?;
    let time = Time::new(i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?, 0, 0).ok()?;
    if !plain { None } else { Some(date.parse::<Date>().ok()?.to_datetime(time)) }
}

/// RFC 3339, section 5.6, with an upper-case `T` and `Z`: jiff reads more than that.
fn rfc3339(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once('T')?;
    let zoned = time.ends_with('Z') || time.get(time.len().checked_sub(6)?..)?.starts_with(['+', '-']);
    let seconds =
        time.get(..8)?.bytes().enumerate().all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() });
    let rest = time.get(8..)?.bytes().all(|b| b.is_ascii_digit() || b".:+-Z".contains(&b));
    let plain = date.len() == 10 && zoned && seconds && rest;
    if plain { text.parse().ok() } else { None }
}
