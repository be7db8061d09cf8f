//! Continuous healing, end to end: the real program runs as a daemon against a real control plane, and others edit,
//! delete and break what it has released.

mod agent;
mod away;
#[path = "../client/mod.rs"]
mod client;
#[path = "../control_plane/mod.rs"]
mod control_plane;
mod crowd;
mod faults;
mod ground;
mod healed;
mod modes;
mod served;
#[path = "../stage/mod.rs"]
mod stage;
mod untouched;

use std::process::ExitCode;

use control_plane::{Test, run_split};

fn main() -> ExitCode {
    let anywhere: Vec<Test> = vec![
        // The longest first.
        ("every_kind_of_edit_is_healed_and_named", healed::every_kind_of_edit),
        ("a_soak_under_random_edits_keeps_its_memory", faults::a_soak),
        ("a_thousand_edits_in_a_burst_end_converged_and_silent", faults::a_burst),
        ("a_fight_is_told_and_left_alone", modes::fight),
        ("broken_watches_end_converged_and_silent", faults::broken_watches),
        ("an_edit_is_healed_by_one_write_and_told_everywhere_once", healed::an_edit),
        ("what_others_own_is_theirs_and_no_request_is_sent_for_it", untouched::what_others_own),
        ("scaling_and_the_end_of_a_finished_job_are_no_drift", untouched::scaling_and_finished_jobs),
        ("drift_report_tells_once_and_heals_nothing", modes::report),
        ("drift_pause_is_silent", modes::pause),
        ("a_namespace_that_is_deleted_comes_back_with_all_that_was_in_it", away::a_namespace),
        ("a_restart_heals_exactly_what_changed_while_no_agent_ran", away::a_restart),
        ("three_environments_share_one_watch_for_each_kind", away::three_environments),
        ("sigterm_ends_the_heal_in_flight_and_writes_the_summary", served::the_end),
        ("readiness_waits_for_every_watch", served::readiness),
        ("questions_put_no_heal_off", served::asked_all_the_time),
        ("documents_are_served_without_a_request_to_the_server", served::documents),
    ];
    // A server that can be killed, and a schema for custom objects.
    let real: Vec<Test> = vec![
        ("an_outage_of_the_server_ends_converged_and_silent", faults::an_outage),
        ("a_definition_that_is_deleted_comes_back_with_its_objects", away::a_definition),
    ];
    control_plane::at_once(if control_plane::on_real() { 4 } else { 8 });
    run_split(anywhere, real, &[])
}
