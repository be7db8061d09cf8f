//! Cases that a table of two changes in one year does not hold.

use jiff::{SignedDuration, Timestamp};
use lockmaster::gate::calendar::{State, deciding, freezes_at, windows_at};

use crate::{at, freeze, window, windows};

const ALWAYS: State = State::Open { closes: None };

fn open_until(text: &str) -> State {
    State::Open { closes: Some(at(text)) }
}

fn shut_until(text: &str) -> State {
    State::Shut { opens: Some(at(text)) }
}

#[test]
fn the_start_belongs_to_a_window_and_the_end_does_not() {
    let window = window("Mon-Fri 09:00-16:30 Europe/Berlin");
    for (now, expected) in [
        ("2026-11-20T07:59:59.999999999Z", shut_until("2026-11-20T08:00Z")),
        ("2026-11-20T08:00:00Z", open_until("2026-11-20T15:30Z")),
        ("2026-11-20T15:29:59.999999999Z", open_until("2026-11-20T15:30Z")),
        // A Friday: the weekend lies between.
        ("2026-11-20T15:30:00Z", shut_until("2026-11-23T08:00Z")),
    ] {
        assert_eq!(window.at(at(now)), expected, "{now}");
    }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_on_which_it_starts() {
    let window = window("Fri 22:00-02:00 UTC");
    assert_eq!(window.at(at("2026-11-20T01:00Z")), shut_until("2026-11-20T22:00Z"));
    assert_eq!(window.at(at("2026-11-21T01:00Z")), open_until("2026-11-21T02:00Z"));
}

#[test]
fn what_touches_is_one_opening_and_what_never_shuts_never_closes() {
    for always in [
        "daily 00:00-24:00 Europe/Berlin",
        "Mon-Sun 09:00-09:00 Australia/Lord_Howe",
        "Tue-Mon 02:30-02:30 Europe/Berlin",
        "daily 00:00-00:00 America/Havana",
        "cron 0 0 * * * for 25h Europe/Berlin",
        "cron * * * * * for 2h UTC",
        "cron */30 * * * * for 2h America/New_York",
    ] {
        let window = window(always);
        assert_eq!(window.at(at("2026-10-24T22:30Z")), ALWAYS, "{always}");
        assert_eq!(window.openings(at("2026-10-24T22:30Z"), 5), [], "{always}");
    }
    // From Saturday to Monday evening it does not close at midnight.
    let weekend = window("Sat-Mon 00:00-24:00 UTC");
    assert_eq!(weekend.at(at("2026-11-21T12:00Z")), open_until("2026-11-24T00:00Z"));
    assert_eq!(weekend.openings(at("2026-11-22T00:00Z"), 1), [(at("2026-11-28T00:00Z"), at("2026-12-01T00:00Z"))]);
    // Starts nearer to each other than the duration are one opening.
    let joined = window("cron 0 8,9,10 * * * for 90m UTC");
    assert_eq!(joined.at(at("2026-11-21T08:30Z")), open_until("2026-11-21T11:30Z"));
}

#[test]
fn windows_together_close_when_none_is_open_any_more() {
    let three = windows(&["daily 08:00-12:00 UTC", "daily 11:00-14:00 UTC", "daily 14:00-15:00 UTC"]);
    assert_eq!(windows_at(&three, at("2026-11-21T08:00Z")), open_until("2026-11-21T15:00Z"));
    assert_eq!(windows_at(&three, at("2026-11-21T15:00Z")), shut_until("2026-11-22T08:00Z"));
    let halves = windows(&["daily 00:00-12:00 UTC", "daily 12:00-24:00 UTC"]);
    assert_eq!(windows_at(&halves, at("2026-11-21T15:00Z")), ALWAYS);
    // Zones side by side: Berlin's end is New York's start for a few weeks a year only.
    let follow = windows(&["daily 09:00-14:00 Europe/Berlin", "daily 09:00-17:00 America/New_York"]);
    assert_eq!(windows_at(&follow, at("2026-10-27T09:00Z")), open_until("2026-10-27T21:00Z"));
    assert_eq!(windows_at(&follow, at("2026-11-03T09:00Z")), open_until("2026-11-03T13:00Z"));
}

#[test]
fn the_window_that_decides_is_the_first_that_is_open_or_opens_first() {
    let some = windows(&["Sat 08:00-12:00 UTC", "Fri 08:00-12:00 UTC", "cron 0 0 29 2 * for 1h UTC"]);
    let chosen = |now| deciding(&some, at(now)).map(ToString::to_string);
    assert_eq!(chosen("2026-11-20T09:00Z").as_deref(), Some("Fri 08:00-12:00 UTC"));
    assert_eq!(chosen("2026-11-20T13:00Z").as_deref(), Some("Sat 08:00-12:00 UTC"));
    assert_eq!(chosen("2026-11-21T13:00Z").as_deref(), Some("Fri 08:00-12:00 UTC"));
    assert_eq!(deciding(&[], at("2026-11-21T13:00Z")), None);
    assert_eq!(deciding(&some[2..], at("2026-11-21T13:00Z")), None);
}

#[test]
fn what_is_further_ahead_than_the_horizon_is_not_told() {
    let leap = window("cron 0 12 29 2 * for 1h UTC");
    assert_eq!(leap.at(at("2026-03-01T00:00Z")), State::Shut { opens: None });
    assert_eq!(leap.openings(at("2026-03-01T00:00Z"), 5), []);
    assert_eq!(leap.at(at("2027-06-01T00:00Z")), shut_until("2028-02-29T12:00Z"));
    // Exactly 400 days, and one moment more.
    let day = SignedDuration::from_hours(24);
    let opens = at("2028-02-29T12:00Z");
    assert_eq!(leap.at(opens - day * 400), State::Shut { opens: Some(opens) });
    assert_eq!(leap.at(opens - day * 400 - SignedDuration::from_nanos(1)), State::Shut { opens: None });
    // One that opens within the horizon is told with its close behind it.
    let long = window("cron 0 12 29 2 * for 7days UTC");
    assert_eq!(long.openings(opens - day * 400, 1), [(opens, opens + day * 7)]);
}

#[test]
fn the_longest_window_is_open_to_its_last_moment() {
    let week = window("cron 0 0 1 * * for 7days UTC");
    assert_eq!(week.at(at("2026-11-07T23:59:59.999Z")), open_until("2026-11-08T00:00Z"));
    assert_eq!(week.at(at("2026-11-08T00:00Z")), shut_until("2026-12-01T00:00Z"));
    // What starts now goes on from what is open already.
    let weekly = window("cron 0 0 1,8 * * for 7days UTC");
    assert_eq!(weekly.openings(at("2026-11-08T00:00Z"), 1), [(at("2026-12-01T00:00Z"), at("2026-12-15T00:00Z"))]);
}

#[test]
fn leap_days_and_the_ends_of_months_and_years_are_days() {
    let new_year = window("cron 0 22 31 12 * for 4h UTC");
    assert_eq!(new_year.at(at("2027-01-01T01:59:59Z")), open_until("2027-01-01T02:00Z"));
    let daily = window("daily 23:00-01:00 UTC");
    assert_eq!(daily.at(at("2028-02-29T00:30Z")), open_until("2028-02-29T01:00Z"));
    assert_eq!(daily.at(at("2028-02-29T23:30Z")), open_until("2028-03-01T01:00Z"));
    assert_eq!(daily.at(at("2027-02-28T23:30Z")), open_until("2027-03-01T01:00Z"));
    let last_day = window("cron 0 9 L * * for 1h UTC");
    assert_eq!(last_day.at(at("2028-02-02T00:00Z")), shut_until("2028-02-29T09:00Z"));
    let patch_day = window("cron 0 9 * * Tue#2 for 8h America/New_York");
    assert_eq!(patch_day.at(at("2026-11-01T00:00Z")), shut_until("2026-11-10T14:00Z"));
}

#[test]
fn zones_that_change_at_midnight_have_days_that_begin_late_or_end_twice() {
    // Beirut skips 00:00 to 01:00 on 2026-03-29, and repeats 23:00 to 24:00 on 2026-10-24.
    let daily = window("daily 00:00-01:00 Asia/Beirut");
    assert_eq!(daily.at(at("2026-03-28T12:00Z")), shut_until("2026-03-29T21:00Z"), "it is skipped");
    let late = window("Sat 23:30-24:00 Asia/Beirut");
    assert_eq!(late.openings(at("2026-10-24T12:00Z"), 1), [(at("2026-10-24T20:30Z"), at("2026-10-24T22:00Z"))]);
    // Samoa left out 2011-12-30, a Friday, and went from one side of the date line to the other.
    let friday = window("Fri 09:00-17:00 Pacific/Apia");
    assert_eq!(friday.at(at("2011-12-29T12:00Z")), shut_until("2012-01-05T19:00Z"));
    let night = window("Thu 20:00-06:00 Pacific/Apia");
    assert_eq!(night.at(at("2011-12-30T09:00Z")), open_until("2011-12-30T10:00Z"), "it ends with the day");
}

#[test]
fn the_ends_of_time_are_no_panic() {
    for text in ["daily 00:00-24:00 UTC", "Mon 09:00-10:00 Asia/Tokyo", "cron 0 0 * * * for 7days America/New_York"] {
        for now in [Timestamp::MIN, Timestamp::MAX] {
            let window = window(text);
            let state = window.at(now);
            assert!(state.changes().is_none_or(|change| change > now), "{text}");
            assert!(window.openings(now, 5).len() <= 5, "{text}");
        }
    }
}

#[test]
fn a_freeze_covers_its_first_moment_and_not_its_last() {
    let freeze = freeze("2026-12-20", "2027-01-02", Some("Europe/Berlin"));
    let until = Some(at("2027-01-01T23:00Z"));
    for (now, expected) in [
        ("2026-12-19T22:59:59.999Z", None),
        ("2026-12-19T23:00:00Z", until),
        ("2027-01-01T22:59:59.999Z", until),
        ("2027-01-01T23:00:00Z", None),
    ] {
        assert_eq!(freeze.covers(at(now)), expected, "{now}");
    }
    assert_eq!(freeze.to_string(), "2026-12-20 to 2027-01-02 Europe/Berlin");
}

#[test]
fn freezes_that_touch_are_one() {
    let utc = Some("UTC");
    let some = [
        freeze("2026-12-20", "2026-12-24", utc),
        freeze("2026-12-22", "2026-12-23", utc),
        freeze("2026-12-24", "2027-01-02", utc),
        freeze("2027-01-03", "2027-01-04", utc),
    ];
    let frozen = |now| freezes_at(&some, at(now)).map(|(freeze, until)| (freeze.texts().0, until));
    assert_eq!(frozen("2026-12-22T12:00Z"), Some(("2026-12-20", at("2027-01-02T00:00Z"))));
    assert_eq!(frozen("2027-01-02T12:00Z"), None);
    assert_eq!(frozen("2027-01-03T12:00Z"), Some(("2027-01-03", at("2027-01-04T00:00Z"))));
}

#[test]
fn an_instant_is_worded_in_the_zone_of_its_window() {
    let window = window("Mon-Fri 09:00-16:30 Europe/Berlin");
    let now = at("2026-11-20T12:00Z");
    for (time, expected) in [
        ("2026-11-20T15:30Z", "16:30 Europe/Berlin"),
        ("2026-11-23T08:00Z", "Mon 2026-11-23 09:00 Europe/Berlin"),
        ("2026-11-20T23:00Z", "Sat 2026-11-21 00:00 Europe/Berlin"),
        ("2026-11-20T15:30:05Z", "16:30:05 Europe/Berlin"),
        ("2026-10-25T00:30Z", "Sun 2026-10-25 02:30+02:00 Europe/Berlin"),
        ("2026-10-25T01:30Z", "Sun 2026-10-25 02:30+01:00 Europe/Berlin"),
    ] {
        assert_eq!(window.zone().word(at(time), now), expected);
    }
    assert_eq!(window.zone().word_in_full(now), "Fri 2026-11-20 13:00 Europe/Berlin");
    let instants = freeze("2026-12-20T18:00:00Z", "2026-12-21T18:00:00Z", None);
    assert_eq!(instants.word(instants.until(), now), "Mon 2026-12-21 18:00 UTC");
}
