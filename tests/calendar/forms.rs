//! What may be written, and what is said about the rest.

use lockmaster::gate::calendar::{Freeze, InvalidWindow, Window, Zone};

use crate::{at, freeze, window};

#[test]
fn a_window_prints_as_it_was_written() {
    for text in [
        "Mon-Fri 09:00-16:30 Europe/Berlin",
        "Fri-Mon 22:00-06:00 America/New_York",
        "Mon,Wed-Fri 00:00-24:00 UTC",
        "daily 09:00-09:00 Australia/Lord_Howe",
        "cron 0 9 * * Mon-Fri for 7h Europe/Berlin",
        "cron 0 9 * * TUE#2 for 1day 2h America/St_Johns",
        "cron */15 8-18 1,15 1-6 * for 10m Etc/GMT+5",
    ] {
        assert_eq!(window(text).to_string(), text);
    }
    assert_eq!(window(" Mon-Fri  09:00-16:30\tUTC ").to_string(), "Mon-Fri 09:00-16:30 UTC");
}

#[test]
fn days_are_single_or_ranges_that_may_wrap_or_lists_or_daily() {
    // 2026-11-16 is a Monday.
    let open = |days: &str| -> String {
        let window = window(&format!("{days} 12:00-13:00 UTC"));
        let days = (16..23).map(|day| window.at(at(&format!("2026-11-{day}T12:30Z"))).is_open());
        days.map(|open| if open { 'x' } else { '.' }).collect()
    };
    for (days, expected) in [
        ("Mon", "x......"),
        ("Sun", "......x"),
        ("Mon-Fri", "xxxxx.."),
        ("Fri-Mon", "x...xxx"),
        ("Mon,Wed-Fri", "x.xxx.."),
        ("Sun-Mon,Wed", "x.x...x"),
        ("Mon-Sun", "xxxxxxx"),
        ("Tue-Mon", "xxxxxxx"),
        ("daily", "xxxxxxx"),
    ] {
        assert_eq!(open(days), expected, "{days}");
    }
}

fn refused(text: &str) -> InvalidWindow {
    text.parse::<Window>().err().unwrap_or_else(|| panic!("{text} is a window"))
}

#[test]
fn what_is_no_window_is_refused_at_the_word_that_is_wrong() {
    let times = "expected two times of day, such as `09:00-16:30`";
    let days = "expected days, such as `Mon-Fri`, `Mon,Wed`, or `daily`";
    let zone = "expected a time zone, such as `Europe/Berlin` or `UTC`";
    let form = "expected days, times and a time zone, such as `Mon-Fri 09:00-16:30 Europe/Berlin`";
    let no_zone = format!("{form}: the zone is missing");
    let cron =
        "expected five cron fields, a duration and a time zone, such as `cron 0 9 * * Mon-Fri for 7h Europe/Berlin`";
    let duration = "expected a duration from 1m to 7days, such as `7h`";
    for (text, word, expected) in [
        ("Mom-Fri 09:00-16:30 UTC", "Mom", days),
        ("mon 09:00-16:30 UTC", "mon", days),
        ("Mon, 09:00-16:30 UTC", "", days),
        ("Mon-Fri 9:00-16:30 UTC", "9:00-16:30", times),
        ("Mon-Fri 09:00-16:60 UTC", "09:00-16:60", times),
        ("Mon-Fri 09:00-24:01 UTC", "09:00-24:01", times),
        ("Mon-Fri 09:00-25:00 UTC", "09:00-25:00", times),
        ("Mon-Fri 09:00 UTC", "09:00", times),
        ("Mon-Fri 24:00-06:00 UTC", "24:00-06:00", "expected a start before `24:00`, which only ends a day"),
        ("Mon-Fri 09:00-16:30 Europe/Berln", "Europe/Berln", zone),
        ("Mon-Fri 09:00-16:30 europe/berlin", "europe/berlin", zone),
        ("Mon-Fri 09:00-16:30 Factory", "Factory", zone),
        ("Mon-Fri 09:00-16:30 +01:00", "+01:00", zone),
        ("Mon-Fri 09:00-16:30", "Mon-Fri 09:00-16:30", no_zone.as_str()),
        ("", "", form),
        ("Mon-Fri 09:00 - 16:30 UTC", "Mon-Fri 09:00 - 16:30 UTC", form),
        ("cron 0 9 * * for 7h UTC", "cron 0 9 * * for 7h UTC", cron),
        ("cron 0 0 9 * * * for 7h UTC", "cron 0 0 9 * * * for 7h UTC", cron),
        ("cron @daily for 7h UTC", "cron @daily for 7h UTC", cron),
        ("cron 0 9 * * * for 59s UTC", "59s", duration),
        ("cron 0 9 * * * for 7days 1s UTC", "7days 1s", duration),
        ("cron 0 9 * * * for UTC", "", duration),
        ("cron 0 9 * * * for 7h", "", duration),
        ("cron 60 9 * * * for 7h UTC", "60", "expected a minute as crontab(5) writes it"),
        ("cron 0 24 * * * for 7h UTC", "24", "expected an hour as crontab(5) writes it"),
        ("cron 0 9 0 * * for 7h UTC", "0", "expected a day of month as crontab(5) writes it"),
        ("cron 0 9 * 13 * for 7h UTC", "13", "expected a month as crontab(5) writes it"),
        ("cron 0 9 * * Mom for 7h UTC", "Mom", "expected a day of week as crontab(5) writes it"),
        ("cron 0 9 30 2 * for 7h UTC", "0 9 30 2 *", "expected cron fields that name a day of some year"),
    ] {
        let invalid = refused(text);
        assert_eq!((invalid.word.as_str(), invalid.expected.as_str()), (word, expected), "{text}");
    }
    assert!(refused("Mom 09:00-16:30 UTC").candidates.contains(&"Mon"));
    assert!(refused("Mon 09:00-16:30 Europe/Berln").candidates.contains(&"Europe/Berlin"));
    assert!(refused("Mon 9-16 UTC").candidates.is_empty());
}

#[test]
fn every_zone_of_the_database_can_be_named() {
    assert!(Zone::names().count() > 400);
    for name in Zone::names() {
        assert_eq!(Zone::named(name).map(|zone| zone.to_string()).as_deref(), Some(name));
    }
}

#[test]
fn a_freeze_is_a_date_a_local_time_or_an_instant() {
    for (text, zone, expected) in [
        ("2026-12-20", Some("Europe/Berlin"), "2026-12-19T23:00Z"),
        ("2026-12-20 18:00", Some("Europe/Berlin"), "2026-12-20T17:00Z"),
        ("2026-12-20T18:00:00Z", None, "2026-12-20T18:00Z"),
        ("2026-12-20T18:00:00.5+02:30", None, "2026-12-20T15:30:00.5Z"),
        ("2026-12-20T18:00:00Z", Some("Europe/Berlin"), "2026-12-20T18:00Z"),
        // Skipped in Beirut, where that day begins at 01:00.
        ("2026-03-29", Some("Asia/Beirut"), "2026-03-28T22:00Z"),
        // Repeated: it begins with the earlier one.
        ("2026-10-25 02:30", Some("Europe/Berlin"), "2026-10-25T00:30Z"),
    ] {
        assert_eq!(freeze(text, "2027-06-01T00:00:00Z", zone).from(), at(expected), "{text}");
    }
    // Repeated: it ends with the later one.
    let ends = freeze("2026-10-01", "2026-10-25 02:30", Some("Europe/Berlin")).until();
    assert_eq!(ends, at("2026-10-25T01:30Z"));
}

#[test]
fn what_is_no_freeze_is_refused_at_its_field() {
    let forms = "expected a date such as `2026-12-20`, a time such as `2026-12-20 18:00`, or an instant such as \
                 `2026-12-20T18:00:00Z`";
    let zone = "expected a `zone` beside it, such as `Europe/Berlin`, or an instant such as `2026-12-20T18:00:00Z`";
    let after = "expected a time after `from`";
    let line = "expected one line of at most 200 characters";
    let long = "x".repeat(201);
    let utc = Some("UTC");
    for (from, until, place, reason, field, expected) in [
        ("2026-12-20", "2027-01-02", None, None, "from", zone),
        ("2026-12-20T00:00:00Z", "2027-01-02", None, None, "until", zone),
        ("2026-02-30", "2027-01-02", utc, None, "from", forms),
        ("20.12.2026", "2027-01-02", utc, None, "from", forms),
        ("26-12-20", "2027-01-02", utc, None, "from", forms),
        ("2026-12-20 24:00", "2027-01-02", utc, None, "from", forms),
        ("2026-12-20 6pm", "2027-01-02", utc, None, "from", forms),
        ("2026-12-20", "2027-01-02T00:00", utc, None, "until", forms),
        ("2026-12-20", "2027-01-02T00:00:00", utc, None, "until", forms),
        ("2026-12-20", "2027-01-02T00:00:00Z[UTC]", utc, None, "until", forms),
        ("2026-12-20", "tomorrow", utc, None, "until", forms),
        ("2026-12-20", "2026-12-20", utc, None, "until", after),
        ("2026-12-20", "2026-12-19", utc, None, "until", after),
        ("2026-12-20", "2026-12-21", utc, Some(" "), "reason", line),
        ("2026-12-20", "2026-12-21", utc, Some("a\nb"), "reason", line),
        ("2026-12-20", "2026-12-21", utc, Some(long.as_str()), "reason", line),
    ] {
        let made = Freeze::new(from, until, place.and_then(Zone::named), reason);
        let invalid = made.err().unwrap_or_else(|| panic!("{from} to {until} is a freeze"));
        assert_eq!((invalid.field, invalid.expected.as_str()), (field, expected), "{from} to {until}");
    }
}
