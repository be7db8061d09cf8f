//! The laws of checks, one table each.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::name::{Code, UnitName};

mod answers;

fn predicate(text: &str) -> Predicate {
    Predicate::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

fn check(probe: Probe) -> Check {
    Check {
        name: "smoke".parse().expect("because it is a name"),
        probe,
        for_: Duration::ZERO,
        within: Duration::from_secs(600),
        interval: Duration::from_secs(10),
        good: 1,
        bad: Bad { count: 3, of: 5 },
        unknown: OnUnknown::Stop,
    }
}

fn query(max: &str, samples: Samples) -> Probe {
    let url = "http://prometheus:9090".parse().expect("because it is an address");
    let max = Some(max.parse().expect("because it is a limit"));
    Probe::Prometheus(Query { url, query: "up".to_owned(), min: None, max, samples, min_samples: None })
}

fn errors() -> Check {
    check(query("1%", Samples::One))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
}

/// What each letter of a story files: `+` good, `-` bad, `?` unknown.
fn reading(letter: char) -> Reading {
    match letter {
        '+' => Reading::Samples(vec![0.001]),
        '-' => Reading::Samples(vec![0.3]),
        _ => Reading::Unknown("no data".to_owned()),
    }
}

/// Files one reading every ten seconds; the answer is the verdict and at which reading it came.
fn play(check: &Check, story: &str) -> (Verdict, usize, Run) {
    let mut run = Run::new(check.clone(), at(0));
    for (index, letter) in story.chars().enumerate() {
        let now = at(10 * i64::try_from(index).expect("because stories are short"));
        run.file(&reading(letter), now);
        let verdict = run.verdict(now);
        if verdict != Verdict::Pending {
            return (verdict, index + 1, run);
        }
    }
    (Verdict::Pending, story.len(), run)
}

fn code(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Failed { reason, .. } => Some(reason.code),
        Verdict::Pending | Verdict::Passed => None,
    }
}

#[test]
fn one_good_reading_passes_where_nothing_else_is_asked() {
    for (story, expected, readings) in [
        ("+", Verdict::Passed, 1),
        ("-?-+", Verdict::Passed, 4),
        ("????", Verdict::Pending, 4),
        ("--??", Verdict::Pending, 4),
    ] {
        let (verdict, count, _) = play(&errors(), story);
        assert_eq!((verdict, count), (expected, readings), "{story}");
    }
}

#[test]
fn for_is_without_interruption_and_a_bad_or_unknown_reading_begins_it_anew() {
    let check = Check { for_: Duration::from_secs(30), ..errors() };
    for (story, expected) in
        [("+++", None), ("++++", Some(4)), ("+++-++++", Some(8)), ("+++?++++", Some(8)), ("++?+++?+++?", None)]
    {
        let (verdict, count, _) = play(&check, story);
        let passed = (verdict == Verdict::Passed).then_some(count);
        assert_eq!(passed, expected, "{story}");
    }
}

#[test]
fn time_that_nobody_looked_at_is_no_time_in_which_it_was_good() {
    let check = Check { for_: Duration::from_secs(300), ..errors() };
    let mut run = Run::new(check.clone(), at(0));
    run.file(&reading('+'), at(0));
    run.file(&reading('+'), at(300));
    assert_eq!(run.verdict(at(300)), Verdict::Pending);
    let mut run = Run::new(check, at(0));
    (0..=6).for_each(|look| run.file(&reading('+'), at(50 * look)));
    assert_eq!(run.verdict(at(300)), Verdict::Passed, "50 s from look to look are slow, and no gap");
}

#[test]
fn n_good_in_a_row_are_in_a_row() {
    let check = Check { good: 3, ..errors() };
    for (story, expected) in [("++", None), ("+++", Some(3)), ("++-+++", Some(6)), ("++?++", None)] {
        let (verdict, count, _) = play(&check, story);
        assert_eq!((verdict == Verdict::Passed).then_some(count), expected, "{story}");
    }
}

#[test]
fn k_bad_of_the_last_m_known_readings_fail_at_once() {
    let check = Check { for_: Duration::from_secs(300), ..errors() };
    for (story, expected) in [
        ("--", None),
        ("---", Some(3)),
        ("-+-+-", Some(5)),
        ("-++-++-++-", None),
        ("??????????", None),
        ("-?-?-", Some(5)),
        ("-??????????--", Some(13)),
    ] {
        let (verdict, count, _) = play(&check, story);
        let failed = (code(&verdict) == Some(Code::CheckFailed)).then_some(count);
        assert_eq!(failed, expected, "{story}");
        assert!(expected.is_some() || verdict == Verdict::Pending, "{story}: {verdict:?}");
    }
}

#[test]
fn the_end_of_its_time_tells_bad_from_unknown() {
    let check = Check { within: Duration::from_secs(100), for_: Duration::from_secs(90), ..errors() };
    for (story, expected) in [
        ("", Code::CheckUnknown),
        ("??????????", Code::CheckUnknown),
        ("-+++++++++", Code::CheckFailed),
        ("?+++++++++", Code::CheckUnknown),
        ("-++?++++++", Code::CheckUnknown),
        ("?+++++++-+", Code::CheckFailed),
        ("?++++++++-", Code::CheckFailed),
        ("++++++-??", Code::CheckUnknown),
        // Nobody looked from then on.
        ("-", Code::CheckUnknown),
    ] {
        let (verdict, _, run) = play(&check, story);
        assert_eq!(verdict, Verdict::Pending, "{story}");
        assert_eq!(run.verdict(at(99)), Verdict::Pending, "{story}");
        assert_eq!(code(&run.verdict(at(100))), Some(expected), "{story}");
    }
}

#[test]
fn unknown_never_rolls_back_unless_the_check_asks_for_it() {
    for (unknown, story, expected) in [
        (OnUnknown::Stop, "?", false),
        (OnUnknown::Fail, "?", true),
        (OnUnknown::Stop, "---", true),
        (OnUnknown::Fail, "---", true),
    ] {
        let (_, _, run) = play(&Check { unknown, ..errors() }, story);
        let Verdict::Failed { rolls_back, .. } = run.verdict(at(600)) else { panic!("{story} did not fail") };
        assert_eq!(rolls_back, expected, "{unknown:?} {story}");
    }
}

#[test]
fn a_verdict_never_changes() {
    let (passed, _, mut run) = play(&errors(), "+");
    ["-", "-", "-", "?"].iter().for_each(|_| run.file(&reading('-'), at(20)));
    assert_eq!(run.verdict(at(10_000)), passed);
    let (failed, _, mut run) = play(&errors(), "---");
    run.file(&reading('+'), at(30));
    assert_eq!(run.verdict(at(10_000)), failed);
    let mut run = Run::new(errors(), at(0));
    let overdue = run.verdict(at(600));
    run.file(&reading('+'), at(600));
    assert_eq!(run.verdict(at(600)), overdue, "a good reading that comes at the end comes too late");
    assert_eq!(run.next_look(at(600)), None);
}

#[test]
fn the_next_look_is_an_interval_later_and_never_after_what_could_be_decided() {
    let check = Check { for_: Duration::from_secs(25), ..errors() };
    let mut run = Run::new(check, at(0));
    let mut looks = vec![];
    while let Some(next) = run.next_look(at(0)) {
        looks.push(next.duration_since(at(0)).as_secs());
        run.file(&reading('+'), next);
    }
    assert_eq!(looks, [0, 10, 20, 25]);
    assert_eq!(run.verdict(at(25)), Verdict::Passed);
    let run = Run::new(Check { within: Duration::from_secs(5), ..errors() }, at(0));
    assert_eq!(run.next_look(at(1)), Some(at(0)));
    let (_, _, run) = play(&Check { within: Duration::from_secs(5), ..errors() }, "?");
    assert_eq!(run.next_look(at(1)), Some(at(5)), "then its verdict is asked for");
}

#[test]
fn exactly_one_sample_is_expected_unless_all_or_any_is_stated() {
    const NAN: f64 = f64::NAN;
    let (good, bad, unknown) = (Verdict::Passed, Some(Code::CheckFailed), None);
    for (samples, values, expected) in [
        (Samples::One, vec![], "?"),
        (Samples::One, vec![0.01], "+"),
        (Samples::One, vec![0.010_001], "-"),
        (Samples::One, vec![0.0, 0.0], "?"),
        (Samples::One, vec![NAN], "?"),
        (Samples::One, vec![f64::INFINITY], "?"),
        (Samples::One, vec![f64::NEG_INFINITY], "?"),
        (Samples::All, vec![], "?"),
        (Samples::All, vec![0.0, 0.01], "+"),
        (Samples::All, vec![0.0, 0.02], "-"),
        (Samples::All, vec![0.0, NAN], "?"),
        (Samples::All, vec![0.02, NAN], "-"),
        (Samples::Any, vec![], "?"),
        (Samples::Any, vec![0.02, 0.01], "+"),
        (Samples::Any, vec![0.02, 0.03], "-"),
        (Samples::Any, vec![0.02, NAN], "?"),
        (Samples::Any, vec![0.0, NAN], "+"),
    ] {
        let mut run = Run::new(Check { bad: Bad { count: 1, of: 1 }, ..check(query("1%", samples)) }, at(0));
        run.file(&Reading::Samples(values.clone()), at(0));
        let verdict = run.verdict(at(0));
        let matches = match expected {
            "+" => verdict == good,
            "-" => code(&verdict) == bad,
            _ => code(&verdict) == unknown && verdict == Verdict::Pending,
        };
        assert!(matches, "{samples:?} {values:?}: {verdict:?}");
    }
}

#[test]
fn a_minimum_is_a_limit_too() {
    let with = |min: &str, max: Option<&str>| {
        let Probe::Prometheus(base) = query("1", Samples::One) else { panic!("a query") };
        let limit = |text: &str| text.parse().expect("because it is a limit");
        check(Probe::Prometheus(Query { min: Some(limit(min)), max: max.map(limit), ..base }))
    };
    for (check, value, passes) in [
        (with("0.5", None), 0.5, true),
        (with("0.5", None), 0.49, false),
        (with("0.5", Some("0.7")), 0.71, false),
        (with("-3", Some("0")), -1.0, true),
    ] {
        let mut run = Run::new(check, at(0));
        run.file(&Reading::Samples(vec![value]), at(0));
        assert_eq!(run.verdict(at(0)) == Verdict::Passed, passes, "{value}: {}", run.value());
    }
}

#[test]
fn people_read_what_was_seen_and_how_long_it_was_good() {
    let long = Check { for_: Duration::from_secs(600), within: Duration::from_secs(1200), ..errors() };
    let mut run = Run::new(long, at(0));
    assert_eq!(run.value(), "no reading yet");
    (0..=24).for_each(|look| run.file(&Reading::Samples(vec![0.0021]), at(10 * look)));
    assert_eq!(run.value(), "0.21 %, max 1 %, good for 4m of 10m");
    run.file(&Reading::Unknown("no data".to_owned()), at(250));
    assert_eq!(run.value(), "unknown: no data");
    let (verdict, _, _) = play(&errors(), "---");
    let Verdict::Failed { reason, .. } = verdict else { panic!("it fails") };
    assert_eq!(reason.message, "check `smoke`: 30 %, max 1 %; 3 of the last 3 readings were bad");
    let (_, _, run) = play(&Check { good: 3, ..errors() }, "-+");
    assert_eq!(run.value(), "0.1 %, max 1 %, 1 of 3 in a row");
    for (value, limit, expected) in [
        (312.4567, "378", "312.5, max 378"),
        (0.000_012_346, "1", "0.00001235, max 1"),
        (123_456.7, "1e3", "123457, max 1000"),
        (0.0, "0%", "0 %, max 0 %"),
        (0.07, "7%", "7 %, max 7 %"),
        (1e300, "1", &format!("{:.0}, max 1", 1e300)),
    ] {
        let mut run = Run::new(check(query(limit, Samples::One)), at(0));
        run.file(&Reading::Samples(vec![value]), at(0));
        assert_eq!(run.value(), expected);
    }
}

fn container(id: &str, restarts: u64, last_ended: Option<i64>) -> Container {
    Container { id: id.to_owned(), restarts, last_ended: last_ended.map(at) }
}

#[test]
fn restarts_count_from_the_beginning_of_the_check_and_never_go_away() {
    let start = |max| {
        let probe = Probe::Restarts { max };
        Run::new(Check { for_: Duration::from_secs(100), bad: Bad { count: 1, of: 1 }, ..check(probe) }, at(0))
    };
    let mut run = start(9);
    for (containers, expected) in [
        (vec![container("a", 5, Some(-60)), container("b", 2, Some(5))], "1 restart, max 9"),
        (vec![container("a", 5, Some(-60))], "1 restart, max 9"),
        (vec![container("a", 5, Some(-60)), container("c", 0, None)], "1 restart, max 9"),
        (vec![container("a", 5, Some(-60)), container("c", 1, Some(20))], "2 restarts, max 9"),
        (vec![container("d", 3, Some(5))], "5 restarts, max 9"),
    ] {
        run.file(&Reading::Containers(containers), at(10));
        assert!(run.value().starts_with(expected), "{}", run.value());
    }
    assert_eq!(run.verdict(at(10)), Verdict::Pending);
    run.file(&Reading::Containers(vec![container("d", 8, Some(5))]), at(20));
    assert_eq!(code(&run.verdict(at(20))), Some(Code::CheckFailed));
    let mut run = start(0);
    run.file(&Reading::Unknown("forbidden".to_owned()), at(0));
    run.file(&Reading::Containers(vec![container("a", 5, Some(-60))]), at(10));
    assert!(run.value().starts_with("0 restarts"), "the first look that sees them is the first: {}", run.value());
}

#[test]
fn no_pods_have_no_restarts() {
    let mut run = Run::new(check(Probe::Restarts { max: 0 }), at(0));
    run.file(&Reading::Containers(Vec::new()), at(0));
    assert_eq!(run.verdict(at(0)), Verdict::Passed);
}

#[test]
fn a_reading_of_another_kind_is_unknown() {
    let truth = Reading::Answer { good: true, seen: String::new() };
    for (probe, reading) in [
        (query("1", Samples::One), truth.clone()),
        (query("1", Samples::One), Reading::Containers(Vec::new())),
        (Probe::Restarts { max: 0 }, truth.clone()),
        (Probe::Restarts { max: 0 }, Reading::Samples(vec![0.0])),
    ] {
        let mut run = Run::new(check(probe), at(0));
        run.file(&reading, at(0));
        assert_eq!(run.verdict(at(0)), Verdict::Pending, "{reading:?}");
    }
}

/// The deepest texts that are let through, on a thread with the stack of a runtime's worker.
#[test]
fn the_deepest_texts_that_are_let_through_fit_the_stack() {
    let open = |bracket: &str| bracket.repeat(48);
    let texts = vec![
        open("(") + "true" + &open(")"),
        open("[") + "1" + &open("]") + " == []",
        format!("{}1{} == {{}}", "{'a': ".repeat(48), "}".repeat(48)),
        "!".repeat(64) + "true",
        "- ".repeat(64) + "1 == 1",
        "status == 1 ? true : ".repeat(45) + "true",
        format!("body{}", ".a".repeat(500)),
        format!("body{}", "[0]".repeat(48)),
        format!("true{}", "||true".repeat(160)),
        format!("1{} == 1", "+1".repeat(500)),
        format!("status{}", "==1".repeat(330)),
        format!("[{}1] == []", "1,".repeat(500)),
        format!("body{}", ".all(x, body".repeat(2) + "))"),
        format!("body{}", ".size()".repeat(48)),
    ];
    let work = move || {
        for text in texts {
            assert!(text.len() <= 1024, "{text}");
            if let Ok(predicate) = Predicate::parse(&text) {
                let _ = predicate.eval(&json!({"a": 1}), 200);
            }
        }
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work);
    thread.expect("because a thread can be started").join().expect("because no text ends it");
}
