//! Environments of several units: each has releases of its own, and what happens to one disturbs no other.

#[expect(dead_code, reason = "the agent is that of the healing tests, of which this needs a part")]
#[path = "../healing/agent.rs"]
mod agent;
mod apart;
#[path = "../stage/bare.rs"]
mod bare;
#[expect(dead_code, reason = "the agent that is asked needs a part of it")]
#[path = "../client/mod.rs"]
mod client;
#[path = "../control_plane/mod.rs"]
mod control_plane;
mod scene;
#[path = "../stage/mod.rs"]
mod stage;
mod together;
mod trust;
mod verbs;

use std::process::ExitCode;

use control_plane::{Test, run_anywhere};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("units_that_open_at_once_share_an_entry", together::units_that_open_at_once_share_an_entry),
        ("a_commit_that_touches_one_unit_does_work_for_that_unit_only", apart::one_unit),
        ("a_unit_that_fails_disturbs_no_other", apart::a_unit_that_fails),
        ("a_revert_of_one_unit_goes_back_there_and_nowhere_else", apart::a_revert),
        ("a_unit_that_fails_goes_back_by_itself_and_alone", apart::goes_back_by_itself),
        ("the_revert_that_the_agent_pushes_of_one_unit_touches_no_other", apart::own_revert),
        ("a_unit_that_is_gone_from_git_stays_as_it_was_and_says_so", apart::gone_from_git),
        ("an_unsigned_commit_stops_the_units_that_read_it_and_no_other", trust::an_unsigned_commit),
        ("what_nobody_signed_does_not_enter_beside_a_rollback_of_another_unit", trust::beside_a_rollback),
        ("a_new_unit_that_nobody_signed_does_not_enter_when_others_have_moved_the_head", trust::a_new_unit),
        ("what_nobody_signed_does_not_enter_by_being_read_later", trust::what_was_there_unread),
        ("a_merge_that_nobody_signed_moves_what_one_side_made_and_chooses_nothing", trust::merges),
        ("an_own_unit_that_nobody_signed_does_not_enter_when_others_have_moved_the_head", trust::a_new_own_unit),
        ("a_shared_file_is_read_again_by_the_units_that_read_it", together::a_shared_file),
        ("no_unit_takes_an_object_of_another", together::one_owner),
        ("a_freeze_is_written_once_and_holds_for_every_unit", together::a_freeze),
        ("a_directory_that_can_be_no_unit_is_named_and_disturbs_nobody", together::strangers),
        ("status_counts_units_and_names_those_that_need_somebody", verbs::status_counts),
        ("a_running_agent_and_status_say_the_same_of_units", verbs::the_agent_and_the_verb_agree),
        (
            "plan_tells_of_units_that_change_and_counts_the_others",
            verbs::nothing_is_judged_for_a_unit_that_is_as_its_branch,
        ),
        ("explain_is_about_the_only_unit_or_says_which", verbs::explain_takes_the_only_one),
        ("a_unit_is_rolled_back_and_the_others_stay", verbs::rollback_by_statement),
        ("a_rollback_of_one_unit_waits_until_it_is_healthy", verbs::rollback_waits),
        ("a_revert_of_one_units_files_is_a_rollback_of_that_unit_alone", verbs::rollback_by_commit),
        ("a_verb_that_may_mean_several_units_asks_which", verbs::which_unit_is_to_be_said),
        ("history_and_show_name_units", verbs::history_names_units),
        ("verify_and_diff_tell_of_each_unit", verbs::verify_and_diff),
        ("promote_takes_the_only_unit_or_the_one_that_is_named", verbs::promote_takes_the_only_one),
    ];
    control_plane::at_once(4);
    run_anywhere(tests)
}
