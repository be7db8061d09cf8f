//! The edges of checks: a server that lies, a real Prometheus with real samples, Jobs and pods of a cluster.

#[path = "../control_plane/mod.rs"]
mod control_plane;

mod jobs;
mod lying;
mod prometheus;
mod restarts;

use std::process::ExitCode;
use std::time::Duration;

use control_plane::{Test, tools};
use jiff::{SignedDuration, Timestamp};
use lockmaster::health::check::{Bad, Check, OnUnknown, Probe};

fn main() -> ExitCode {
    let mut anywhere: Vec<Test> = vec![
        ("an_answer_of_a_server_is_good_bad_or_unknown", lying::http_answers),
        ("an_answer_in_the_place_of_prometheus_is_unknown", lying::prometheus_answers),
        ("a_server_that_does_not_answer_well_is_unknown", lying::broken_servers),
        ("a_redirect_is_followed_nowhere", lying::redirects),
        ("a_query_arrives_as_it_was_written", lying::queries),
        ("too_few_measured_samples_leave_the_query_unasked", lying::min_samples),
        ("https_is_believed_by_its_authorities_alone", lying::certificates),
        ("a_job_that_completes_passes_and_ran_once", jobs::completes),
        ("a_job_that_fails_fails", jobs::fails),
        ("a_job_of_somebody_else_is_neither_believed_nor_removed", jobs::foreign),
        ("a_job_that_cannot_be_created_is_unknown", jobs::nowhere),
        ("restarts_are_those_of_the_pods_of_the_release", restarts::of_the_release),
        ("restarts_after_the_first_look_count", restarts::later),
        ("pods_on_several_pages_are_all_counted", restarts::pages),
    ];
    let real: Vec<Test> = vec![
        ("a_right_that_is_missing_is_named_and_unknown", restarts::forbidden),
        ("a_job_that_the_server_refuses_is_unknown", jobs::refused),
    ];
    let measured: [Test; 3] = [
        ("prometheus_answers_each_kind_of_query", prometheus::kinds),
        ("prometheus_tells_good_from_bad_by_real_samples", prometheus::verdicts),
        ("prometheus_with_partial_data_is_unknown", prometheus::partial),
    ];
    let Some(_) = tools::missing(&["prometheus"]) else {
        anywhere.extend(measured);
        return control_plane::run_split(anywhere, real, &[]);
    };
    let left_out = measured.map(|(name, _)| (name, "no prometheus in PATH"));
    control_plane::run_split(anywhere, real, &left_out)
}

/// A check that looks every ten seconds and passes with one good reading.
fn check(probe: Probe) -> Check {
    Check {
        name: "look".parse().expect("because it is a name"),
        probe,
        for_: Duration::ZERO,
        within: Duration::from_secs(600),
        interval: Duration::from_secs(10),
        good: 1,
        bad: Bad { count: 1, of: 1 },
        unknown: OnUnknown::Stop,
    }
}

/// Some seconds after the check began.
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(2_000_000_000 + seconds)
}
