//! Every edge of windows and soaks around the changes of the clocks in a year, in three zones and UTC, as
//! `tests/calendar/changes.py` worked them out: another program, minute by minute.

use jiff::{SignedDuration, Timestamp};
use lockmaster::gate::calendar::{State, Window, Zone, windows_at};

use crate::{at, window};

const CHANGES: &str = include_str!("../../fixtures/calendar/changes-2026.tsv");
const SOAKS: &str = include_str!("../../fixtures/calendar/soaks-2026.tsv");

/// A window and what it does in a stretch of time.
struct Row {
    window: Window,
    from: Timestamp,
    open: bool,
    until: Timestamp,
    /// When it opens or shuts, in order.
    edges: Vec<Edge>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    at: Timestamp,
    opens: bool,
}

fn edge(text: &str) -> Edge {
    let opens = text.starts_with('+');
    assert!(opens || text.starts_with('-'), "{text}");
    Edge { at: at(&text[1..]), opens }
}

fn rows() -> Vec<Row> {
    let lines = CHANGES.lines().filter(|line| !line.starts_with('#'));
    let row = |line: &str| {
        let [text, from, now, until, edges] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let edges = edges.split(' ').filter(|edge| *edge != "none").map(edge).collect();
        Row { window: window(text), from: at(from), open: now == "open", until: at(until), edges }
    };
    lines.map(row).collect()
}

fn before(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time - duration
}

#[test]
fn the_table_holds_both_changes_of_three_zones_and_utc() {
    let rows = rows();
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"] {
        let of_zone: Vec<&Row> = rows.iter().filter(|row| row.window.zone().name() == zone).collect();
        let spans: std::collections::BTreeSet<Timestamp> = of_zone.iter().map(|row| row.from).collect();
        assert_eq!((of_zone.len(), spans.len()), (62, 2), "{zone}");
        assert!(of_zone.iter().map(|row| row.edges.len()).sum::<usize>() > 400, "{zone}");
    }
}

#[test]
fn a_window_changes_at_each_edge_of_the_table_and_not_a_millisecond_before() {
    for Row { window, edges, .. } in rows() {
        for Edge { at, opens } in edges {
            assert_eq!(window.at(at).is_open(), opens, "{window} at {at}");
            for early in [SignedDuration::from_millis(1), SignedDuration::from_mins(1)] {
                let early = before(at, early);
                assert_eq!(window.at(early).is_open(), !opens, "{window} at {early}");
                assert_eq!(window.at(early).changes(), Some(at), "{window} at {early}");
            }
        }
    }
}

#[test]
fn a_window_has_no_edge_that_is_not_in_the_table() {
    for Row { window, from, open, until, edges } in rows() {
        assert_eq!(window.at(from).is_open(), open, "{window} at {from}");
        let mut found = Vec::new();
        let mut now = from;
        while let Some(next) = window.at(now).changes().filter(|next| *next <= until) {
            assert!(next > now, "{window}: {next} after {now}");
            found.push(Edge { at: next, opens: window.at(next).is_open() });
            now = next;
        }
        assert_eq!(found, edges, "{window}");
    }
}

#[test]
fn openings_are_those_of_the_table() {
    for Row { window, from, until, edges, .. } in rows() {
        let opens = |edges: &[Edge]| edges.iter().filter(|edge| edge.opens).map(|edge| edge.at).collect::<Vec<_>>();
        let openings = window.openings(from, 600);
        let starts: Vec<Timestamp> = openings.iter().map(|(start, _)| *start).filter(|start| *start <= until).collect();
        let expected: Vec<Timestamp> = opens(&edges).into_iter().filter(|start| *start >= from).collect();
        assert_eq!(starts, expected, "{window}");
        for (start, end) in openings.into_iter().filter(|(_, end)| *end <= until) {
            let shuts = edges.iter().find(|edge| edge.at > start).copied();
            assert_eq!(shuts, Some(Edge { at: end, opens: false }), "{window} from {start}");
        }
    }
}

#[test]
fn windows_together_are_open_where_any_of_them_is() {
    let rows = rows();
    for (left, right) in rows.iter().zip(rows.iter().skip(7)) {
        let both = [left.window.clone(), right.window.clone()];
        for Edge { at, .. } in left.edges.iter().chain(&right.edges) {
            for now in [*at, before(*at, SignedDuration::from_millis(1))] {
                let open = both.iter().any(|window| window.at(now).is_open());
                let state = windows_at(&both, now);
                assert_eq!(state.is_open(), open, "{both:?} at {now}");
                let Some(change) = state.changes() else { continue };
                assert_eq!(windows_at(&both, change).is_open(), !open, "{both:?} at {change}");
                let early = before(change, SignedDuration::from_millis(1));
                assert_eq!(windows_at(&both, early).is_open(), open, "{both:?} at {early}");
                assert_eq!(windows_at(&both, early).changes(), Some(change), "{both:?} at {early}");
            }
        }
    }
}

#[test]
fn a_soak_is_as_long_as_it_says_whatever_the_clocks_do() {
    let mut count = 0;
    for line in SOAKS.lines().filter(|line| !line.starts_with('#')) {
        let [zone, start, soak, end, start_wall, end_wall] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let zone = Zone::named(zone).unwrap_or_else(|| panic!("{line}"));
        let soak = humantime::parse_duration(soak).unwrap_or_else(|_| panic!("{line}"));
        let done = at(start) + soak;
        assert_eq!(done, at(end), "{line}");
        let wall = |at| zone.wall(at).strftime("%FT%H:%M").to_string();
        assert_eq!((wall(at(start)).as_str(), wall(done).as_str()), (start_wall, end_wall), "{line}");
        count += 1;
    }
    assert_eq!(count, 80);
}

#[test]
fn without_windows_it_is_always_open() {
    assert_eq!(windows_at(&[], at("2026-03-29T01:00Z")), State::Open { closes: None });
}
