//! `lockmaster rollback`, `hold` and `unhold`, and statements that lie in the cluster because Git was away.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod going_back;
mod holding;
mod outage;
mod revert;
#[expect(dead_code, reason = "the scene is that of promotions, of which this needs a part")]
#[path = "../promotion/scene.rs"]
mod scene;
mod ssh;
#[path = "../stage/mod.rs"]
mod stage;
mod stated;
mod ways_out;

use std::process::ExitCode;

use control_plane::{Test, run_split};

/// What prod demands: somebody with rights there wants it.
const WRITERS: &str = "writers: [release-managers]";

const OUTAGE: &str = "rollback_while_the_git_server_is_down_and_after_it_came_back";

fn main() -> ExitCode {
    let mut tests: Vec<Test> = vec![
        ("a_statement_in_the_cluster_counts_while_git_is_away", stated::counts_while_git_is_away),
        ("rollback_refuses_what_is_no_release_to_go_back_to", going_back::what_is_no_release_to_go_back_to),
        ("rollback_plan_tells_what_would_change_and_writes_nothing", going_back::a_plan),
        ("rollback_states_what_is_undone_and_makes_git_agree", going_back::a_statement_and_a_revert),
        ("rollback_wait_returns_when_it_is_healthy", going_back::waits_until_healthy),
        ("rollback_of_a_rewound_branch_takes_its_tip", going_back::a_rewound_branch),
        ("rollback_of_somebody_without_rights_states_nothing", going_back::who_may_not),
        ("the_revert_of_a_rollback_goes_beside_a_protected_branch", going_back::beside_a_protected_branch),
        ("the_revert_of_a_rollback_goes_beside_what_somebody_pushed_since", going_back::beside_what_somebody_pushed),
        ("without_git_a_rollback_is_stated_in_the_cluster_and_git_stays_ahead", going_back::without_git),
        ("what_was_reverted_stays_out_by_the_first_way_that_the_hint_names", ways_out::it_stays_out),
        ("what_was_reverted_comes_by_promote_and_unhold", ways_out::it_comes_by_promote),
        ("what_was_reverted_comes_by_plain_git_and_unhold", ways_out::it_comes_by_git),
        ("after_a_rollback_status_says_so_until_each_command_that_it_names_was_run", holding::after_a_rollback),
        ("hold_and_unhold_name_content_by_branch_commit_and_entry", holding::by_hand),
        ("rollback_of_held_content_names_the_unhold", holding::what_is_held_is_not_gone_back_to),
        ("a_revert_restores_the_inputs_of_a_release_and_touches_nothing_else", revert::restores_the_inputs_alone),
        ("a_revert_goes_beside_a_branch_that_moved_unless_it_agrees_already", revert::goes_beside_a_branch_that_moved),
        ("a_revert_leaves_alone_what_came_after_what_is_undone", revert::leaves_alone_what_came_since),
        ("a_revert_restores_what_a_render_read_and_no_longer_reads", revert::of_a_render_that_changed_its_files),
        ("a_statement_in_the_cluster_counts_as_its_tag_does_and_once", stated::counts_once),
    ];
    // kubectl creates objects in a form that the embedded API does not take.
    let real: Vec<Test> =
        vec![("the_commands_that_a_dry_run_prints_without_git_put_the_statement_there", going_back::by_kubectl)];
    control_plane::at_once(6);
    if !std::path::Path::new(ssh::SSHD).exists() {
        return run_split(tests, real, &[(OUTAGE, "no sshd")]);
    }
    tests.push((OUTAGE, outage::rollback_while_the_server_is_down));
    run_split(tests, real, &[])
}
