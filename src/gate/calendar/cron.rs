//! `cron 0 9 * * Mon-Fri for 7h`: starts by the five fields of crontab(5), and a duration from each.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use croner::time::Weekday;
use jiff::civil::Date;

use super::window::InvalidWindow;

/// The fields, as a message names them.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

/// The shortest and the longest duration. A longer one would hide that the window hardly ever shuts.
const SHORTEST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Minutes of a day.
const DAY: i16 = 24 * 60;

/// The days on which it starts, when on these days, and for how long it is open.
#[derive(Debug, Clone)]
pub(super) struct Starts {
    /// Asked for days only; it would search minute by minute, and know other rules for clocks that change.
    days: Cron,
    /// Minutes of a day, ascending.
    minutes: Vec<i16>,
    /// First and last of the starts that run into each other, on a day with 24 hours.
    joined: Vec<(i16, i16)>,
    pub(super) duration: Duration,
}

impl Starts {
    pub(super) fn parse(fields: &[&str; 5], duration: &str) -> Result<Starts, InvalidWindow> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let days = parser.parse(&fields.join(" ")).map_err(|_| wrong_field(&parser, fields))?;
        let unreadable = |_| wrong_field(&parser, fields);
        let mut minutes = Vec::new();
        for minute in 0..DAY {
            let (hour, of_hour) = (u32::from(minute.unsigned_abs()) / 60, u32::from(minute.unsigned_abs()) % 60);
            let starts = days.pattern.hour_match(hour).map_err(unreadable)?
                && days.pattern.minute_match(of_hour).map_err(unreadable)?;
            minutes.extend(starts.then_some(minute));
        }
        let duration = parse_duration(duration)?;
        let starts = Starts { days, joined: joined(&minutes, duration), minutes, duration };
        if starts.ever() {
            Ok(starts)
        } else {
            Err(InvalidWindow::new(&fields.join(" "), "expected cron fields that name a day of some year"))
        }
    }

    /// The first and the last of starts that run into each other, in minutes of this date; `even`: it has 24 hours.
    pub(super) fn on(&self, date: Date, even: bool) -> Vec<(i16, i16)> {
        if !self.starts_on(date) {
            Vec::new()
        } else if even {
            self.joined.clone()
        } else {
            // Where hours are repeated, starts that are near each other on the clock may be an hour apart.
            self.minutes.iter().map(|minute| (*minute, *minute)).collect()
        }
    }

    fn starts_on(&self, date: Date) -> bool {
        let number = |part: i8| u32::from(part.unsigned_abs());
        let weekday = Weekday::from_days_from_sunday(number(date.weekday().to_sunday_zero_offset()));
        let (month, day) = (number(date.month()), number(date.day()));
        let pattern = &self.days.pattern;
        pattern.month_match(month).unwrap_or(false)
            && pattern.day_match(i32::from(date.year()), month, day, weekday).unwrap_or(false)
    }

    /// Whether it ever starts: 30 February never comes. In 40 years every date falls on every day of the week.
    fn ever(&self) -> bool {
        let first = jiff::civil::date(2000, 1, 1);
        let last = jiff::civil::date(2040, 1, 1);
        first.series(jiff::Span::new().days(1)).take_while(|date| *date < last).any(|date| self.starts_on(date))
    }
}

/// Starts that are no further from each other than the duration.
fn joined(minutes: &[i16], duration: Duration) -> Vec<(i16, i16)> {
    let reach = i16::try_from(duration.as_secs() / 60).unwrap_or(i16::MAX);
    let mut joined: Vec<(i16, i16)> = Vec::new();
    for minute in minutes {
        match joined.last_mut() {
            Some((_, last)) if minute - *last <= reach => *last = *minute,
            _ => joined.push((*minute, *minute)),
        }
    }
    joined
}

fn parse_duration(text: &str) -> Result<Duration, InvalidWindow> {
    let duration = humantime::parse_duration(text).ok().filter(|duration| (SHORTEST..=LONGEST).contains(duration));
    duration.ok_or_else(|| InvalidWindow::new(text, "expected a duration from 1m to 7days, such as `7h`"))
}

/// Which field it is that cannot be read: the one that is wrong alone.
fn wrong_field(parser: &CronParser, fields: &[&str; 5]) -> InvalidWindow {
    let alone = |index: usize| {
        let mut pattern = ["*"; 5];
        pattern[index] = fields[index];
        parser.parse(&pattern.join(" ")).is_err()
    };
    match (0..FIELDS.len()).find(|index| alone(*index)) {
        Some(index) => {
            InvalidWindow::new(fields[index], &format!("expected {} as crontab(5) writes it", article(FIELDS[index])))
        }
        None => InvalidWindow::new(&fields.join(" "), "expected the five fields of crontab(5)"),
    }
}

fn article(noun: &str) -> String {
    format!("{} {noun}", if noun.starts_with('h') { "an" } else { "a" })
}
