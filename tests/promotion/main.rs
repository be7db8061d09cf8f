//! What the forge did, what the agent does: `promotion.md`, section 1, by row number.

mod approvals;
#[path = "../control_plane/mod.rs"]
mod control_plane;
mod first;
mod forge;
mod freezes;
mod history;
mod layouts;
mod own;
mod real;
mod scene;
#[path = "../stage/mod.rs"]
mod stage;
mod time;
mod upstream;

use std::process::ExitCode;

use control_plane::{Test, run_split};

/// What prod of the fixture demands where the table says N=0: somebody with rights there wants it.
const WRITERS: &str = "writers: [release-managers]";
/// The same with two approvals, N=2.
const TWO: &str = "writers: [release-managers]\napprovals: {count: 2, role: release-managers, excludeAuthor: true}";
/// N=0, and the environment takes what nobody with rights signed.
const ALLOW: &str = "writers: [release-managers]\ncarriers: allow";

const REAL: &str = "a_real_repository_is_promoted_through_three_branches";

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("row_01_02_05_a_forge_merge_waits_for_two_approvals_and_enters_with_them", forge::rows_1_2_5),
        ("row_03_04_05_06_a_merge_that_nobody_with_rights_signed_needs_approval_or_carriers", forge::rows_3_4_5_6),
        ("row_07_08_a_merge_signed_by_a_writer_enters_and_where_approvals_are_set_is_authorship", forge::rows_7_8),
        ("row_09_10_11_a_squash_carries_proven_content_and_the_next_one_conflicts", forge::rows_9_10_11),
        ("row_12_13_a_rebase_carries_proven_content_without_signatures", forge::rows_12_13),
        ("row_14_15_a_fast_forward_says_nothing_about_prod_and_enters_by_approvals", forge::rows_14_15),
        ("row_16_approvals_of_the_merged_commit_count_for_a_merge_that_adds_nothing_and_once", forge::row_16),
        ("row_17_18_own_inputs_of_somebody_else_are_refused_or_shown_to_who_approves", own::rows_17_18),
        ("row_19_what_soaks_upstream_waits_and_so_does_the_next_release_there", upstream::row_19_soaking),
        ("row_20_what_failed_upstream_is_refused", upstream::row_20),
        ("row_21_22_27_36_50_content_that_upstream_never_ran_is_refused", upstream::rows_21_22_27_36_50),
        ("row_23_a_merge_that_lost_what_was_reverted_is_incomplete", upstream::row_23),
        ("row_24_25_26_own_inputs_need_a_writer_or_approvals", own::rows_24_25_26),
        ("an_own_input_that_nobody_signed_does_not_enter_by_being_read_later", own::left_unread),
        ("row_28_a_reasoned_override_stands_for_the_proof", upstream::row_28),
        ("row_29_the_order_of_parents_says_nothing", forge::row_29),
        ("row_32_32b_33_34_a_branch_that_lost_accepted_commits_changes_nothing", history::rows_32_33_34),
        ("row_36b_what_is_undone_before_the_merge_is_void", upstream::row_36b),
        ("row_44_45_49_51_a_first_release_waits_for_its_upstream_and_needs_no_more", first::rows_44_45_49_51),
        ("row_46_47_a_first_release_tells_all_it_waits_for", first::rows_46_47),
        ("row_48_a_first_release_older_than_upstream_is_not_proven", first::row_48),
        ("approvals_count_once_for_their_commit_and_by_those_who_may", approvals::who_counts),
        ("an_override_takes_as_many_as_approvals_do", approvals::overrides_take_as_many),
        ("outside_a_window_and_in_a_dated_freeze_nothing_enters", freezes::times_of_the_pipeline),
        ("a_stated_freeze_lasts_until_somebody_who_may_ends_it", freezes::stated),
        ("the_same_path_on_every_branch_is_own_where_it_is_named", layouts::same_path_on_every_branch),
        ("copies_of_a_folder_are_proven_by_their_relative_path", layouts::folders_on_one_trunk),
        ("an_image_that_upstream_never_ran_is_to_be_named", layouts::images),
        ("a_candidate_that_waited_long_enough_is_given_up", time::give_up),
        ("what_left_upstream_long_ago_proves_nothing", time::max_age),
        ("an_approval_ends_and_is_used_up", time::approvals_end),
        ("with_clocks_in_doubt_windows_are_shut_and_freezes_last", time::clocks),
    ];
    control_plane::at_once(6);
    if std::env::var_os("LOCKMASTER_REAL_REPOSITORY").is_some() {
        return run_split(tests, vec![(REAL, real::podinfo)], &[]);
    }
    run_split(tests, Vec::new(), &[(REAL, "no repository: set LOCKMASTER_REAL_REPOSITORY to its folder")])
}
