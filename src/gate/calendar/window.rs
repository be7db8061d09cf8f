//! One window: its text, and when it is open.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::{Span, Timestamp};

use super::State;
use super::cron::Starts;
use super::stretches::{self, Piece};
use super::weekly::{Weekly, at_minute};
use super::zone::Zone;

/// A word that opens the other form.
const CRON: &str = "cron";

/// Days before an instant on which a window of a day may have begun that is open then: the day before, and one more for a
/// day that a zone repeated or skipped.
const DAYS_BACK: i64 = 3;

/// When promotions may enter.
///
/// | form | example |
/// |---|---|
/// | days, times, zone | `Mon-Fri 09:00-16:30 Europe/Berlin` |
/// | cron, duration, zone | `cron 0 9 * * Mon-Fri for 7h Europe/Berlin` |
///
/// Days are `Mon` to `Sun`, ranges that may wrap (`Fri-Mon`), lists of both (`Mon,Wed-Fri`), or `daily`. The start belongs
/// to the window, the end does not; an end at or before the start lies on the next day, and the window belongs to the day
/// on which it starts; `24:00` ends a day. Cron fields are minute, hour, day of month, month and day of week as in
/// crontab(5): where both kinds of day are named, either will do. A duration is 1m to 7days. A zone is a name of the IANA
/// database, and is never left out: whose morning would it be?
#[derive(Debug, Clone)]
pub struct Window {
    text: String,
    rule: Rule,
    zone: Zone,
}

#[derive(Debug, Clone)]
enum Rule {
    Weekly(Weekly),
    Cron(Box<Starts>),
}

/// Why a text is no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}`: {expected}")]
pub struct InvalidWindow {
    /// The part that is wrong; all of it where no part is.
    pub word: String,
    /// What should stand there, beginning with `expected`.
    pub expected: String,
    /// Every word that may stand there; empty where there are too many.
    pub candidates: Vec<&'static str>,
}

impl InvalidWindow {
    pub(super) fn new(word: &str, expected: &str) -> Self {
        InvalidWindow { word: word.to_owned(), expected: expected.to_owned(), candidates: Vec::new() }
    }
}

impl Window {
    /// The zone of its times.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Whether it is open. Days that follow each other without a gap are one opening: `daily 00:00-24:00` never closes.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> State {
        stretches::state(std::slice::from_ref(self), now)
    }

    /// The next openings that start at `from` or later, within the horizon: when each opens and when it closes, in order.
    /// One that is open already is not among them, and so a window that never closes has none.
    #[must_use]
    pub fn openings(&self, from: Timestamp, count: usize) -> Vec<(Timestamp, Timestamp)> {
        stretches::openings(self, from, count)
    }

    /// The first date of which a piece may touch or last beyond `from`.
    pub(super) fn first_date(&self, from: Timestamp) -> Date {
        let back = match &self.rule {
            Rule::Weekly(_) => DAYS_BACK,
            Rule::Cron(starts) => DAYS_BACK + i64::try_from(starts.duration.as_secs() / 86_400).unwrap_or(0),
        };
        self.zone.wall(from).date().saturating_sub(Span::new().days(back))
    }

    /// What begins on this date, in order, each from its first instant to the one after its last.
    pub(super) fn pieces(&self, date: Date) -> Vec<Piece> {
        let zone = &self.zone;
        let pieces: Vec<Piece> = match &self.rule {
            Rule::Weekly(weekly) => {
                let piece = |(start, end)| Some((zone.begins(start)?, zone.ends(end)?));
                weekly.on(date).and_then(piece).into_iter().collect()
            }
            Rule::Cron(starts) => {
                let begins = |minute| zone.begins(at_minute(date, minute)?);
                let piece = |(first, last)| Some((begins(first)?, begins(last)?.checked_add(starts.duration).ok()?));
                starts.on(date, zone.is_even(date)).into_iter().filter_map(piece).collect()
            }
        };
        pieces.into_iter().filter(|(start, end)| start < end).collect()
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let rule = if words.first() == Some(&CRON) { cron(&words) } else { weekly(&words) }?;
        let zone = words.last().copied().unwrap_or_default();
        let zone = Zone::named(zone).ok_or_else(|| InvalidWindow {
            candidates: Zone::names().collect(),
            ..InvalidWindow::new(zone, "expected a time zone, such as `Europe/Berlin` or `UTC`")
        })?;
        Ok(Window { text: words.join(" "), rule, zone })
    }
}

fn weekly(words: &[&str]) -> Result<Rule, InvalidWindow> {
    let form = "expected days, times and a time zone, such as `Mon-Fri 09:00-16:30 Europe/Berlin`";
    match words {
        [days, times, _] => Weekly::parse(days, times).map(Rule::Weekly),
        [_, _] => Err(InvalidWindow::new(&words.join(" "), &format!("{form}: the zone is missing"))),
        _ => Err(InvalidWindow::new(&words.join(" "), form)),
    }
}

fn cron(words: &[&str]) -> Result<Rule, InvalidWindow> {
    let [_, minute, hour, day, month, weekday, "for", duration @ .., _] = words else {
        let form = "expected five cron fields, a duration and a time zone, such as `cron 0 9 * * Mon-Fri for 7h Europe/Berlin`";
        return Err(InvalidWindow::new(&words.join(" "), form));
    };
    let starts = Starts::parse(&[minute, hour, day, month, weekday], &duration.join(" "))?;
    Ok(Rule::Cron(Box::new(starts)))
}

/// Two windows are one if they are written alike.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Window {}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
