//! `Mon-Fri 09:00-16:30`: days of the week and a time of day.

use jiff::civil::{Date, DateTime, Weekday};

use super::window::InvalidWindow;

/// The days, in the order of the week.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Every day.
const DAILY: &str = "daily";

/// Minutes of a day.
const DAY: i16 = 24 * 60;

/// The days of the week on which it opens, and when on these days, in minutes.
#[derive(Debug, Clone)]
pub(super) struct Weekly {
    days: [bool; 7],
    start: i16,
    /// Above a day's minutes where it lies on the next day.
    end: i16,
}

impl Weekly {
    pub(super) fn parse(days: &str, times: &str) -> Result<Weekly, InvalidWindow> {
        let days = parse_days(days)?;
        let expected = || InvalidWindow::new(times, "expected two times of day, such as `09:00-16:30`");
        let (start, end) = times.split_once('-').ok_or_else(expected)?;
        let (start, end) = (minutes(start).ok_or_else(expected)?, minutes(end).ok_or_else(expected)?);
        if start == DAY {
            return Err(InvalidWindow::new(times, "expected a start before `24:00`, which only ends a day"));
        }
        Ok(Weekly { days, start, end: if end <= start { end + DAY } else { end } })
    }

    /// The wall-clock times between which it is open, of what begins on this date.
    pub(super) fn on(&self, date: Date) -> Option<(DateTime, DateTime)> {
        let opens = self.days[usize::try_from(date.weekday().to_monday_zero_offset()).ok()?];
        if !opens { None } else { Some((at_minute(date, self.start)?, at_minute(date, self.end)?)) }
    }
}

/// So many minutes after a date began, on a day that has 24 hours.
pub(super) fn at_minute(date: Date, minute: i16) -> Option<DateTime> {
    let date = if minute < DAY { date } else { date.tomorrow().ok()? };
    let hour = i8::try_from(minute % DAY / 60).ok()?;
    Some(date.at(hour, i8::try_from(minute % 60).ok()?, 0, 0))
}

/// `Mon`, `Mon-Fri`, `Fri-Mon`, `Mon,Wed-Fri` or `daily`.
fn parse_days(text: &str) -> Result<[bool; 7], InvalidWindow> {
    if text == DAILY {
        return Ok([true; 7]);
    }
    let mut days = [false; 7];
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (day(first)?, day(last)?);
        for weekday in first.cycle_forward().take(7) {
            days[usize::try_from(weekday.to_monday_zero_offset()).unwrap_or(0)] = true;
            if weekday == last {
                break;
            }
        }
    }
    Ok(days)
}

fn day(word: &str) -> Result<Weekday, InvalidWindow> {
    let known = DAYS.iter().position(|day| *day == word).and_then(|index| i8::try_from(index).ok());
    known.and_then(|index| Weekday::from_monday_zero_offset(index).ok()).ok_or_else(|| {
        let expected = "expected days, such as `Mon-Fri`, `Mon,Wed`, or `daily`";
        InvalidWindow { candidates: DAYS.into_iter().chain([DAILY]).collect(), ..InvalidWindow::new(word, expected) }
    })
}

/// `HH:MM` in minutes, to `24:00`.
pub(super) fn minutes(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str| {
        let good = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_digit());
        good.then(|| digits.parse::<i16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}
