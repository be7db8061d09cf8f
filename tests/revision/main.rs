//! Commits and tags made by real `git` and `ssh-keygen`, judged. Numbers of tests are those of the catalogue of hostile inputs.

mod carriers;
mod carriers_random;
mod commits;
mod history;
mod keys;
#[path = "../tools/plain.rs"]
mod plain;
mod repository;
mod snapshot;
mod statements;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests: Vec<plain::Plain> = plain::table![
        carriers::a_merge_that_nobody_signed_moves_each_path_from_one_side_or_is_refused,
        carriers::row_40_a_forge_merge_of_signed_commits_is_carried,
        carriers::row_40_what_real_git_merges_without_a_conflict_of_paths_is_carried,
        carriers::row_41_a_file_changed_on_both_sides_is_refused_whoever_else_signed_the_merge,
        carriers::row_42_a_squash_is_no_carrier_unless_all_are_allowed,
        carriers::row_43_a_file_that_neither_side_has_is_refused_by_its_path,
        carriers::a_plain_merge_takes_no_fault_off_the_commits_it_merges,
        carriers::carriers_below_the_tip_are_judged_as_the_tip_is,
        carriers::only_merges_of_two_parents_with_one_merge_base_are_plain,
        carriers::a_merge_that_brings_nothing_new_changes_nothing,
        carriers::a_signature_that_does_not_hold_never_makes_a_carrier,
        carriers::a_key_without_rights_makes_a_carrier_and_one_that_ended_does_not,
        carriers::a_forge_that_signs_with_openpgp_makes_carriers,
        carriers::only_directories_that_both_sides_changed_are_read,
        carriers::a_signed_merge_is_accepted_however_large_it_is,
        carriers::a_tree_with_one_name_twice_is_refused,
        carriers_random::a_random_merge_is_carried_exactly_if_it_is_the_plain_one,
        carriers_random::merge_bases_are_those_of_git_whatever_the_times_say,
        commits::row_16_refuses_unsigned_commits_also_deep_in_a_side_branch,
        commits::row_16_lists_ten_commits_and_counts_the_rest,
        commits::row_17_and_23_to_26_hostile_variants_of_a_good_commit,
        commits::an_openpgp_or_x509_signature_is_refused_by_name,
        commits::a_merge_of_a_signed_tag_is_judged_by_its_own_signature,
        commits::a_sha256_repository_signs_in_its_own_header,
        commits::no_flipped_byte_of_a_signed_commit_is_accepted_for_other_content,
        commits::row_23_a_signature_for_another_purpose_does_not_sign_a_commit,
        history::row_05_refuses_a_rewound_ref,
        history::row_06_refuses_a_diverged_ref_and_names_the_merge_base,
        history::another_id_over_the_accepted_payload_is_a_twin,
        history::accepts_the_head_itself_and_a_descendant,
        history::row_09_a_parent_that_was_not_read_is_a_hole,
        history::row_08_bytes_that_are_not_what_the_id_names_are_corrupt,
        history::a_commit_that_the_tip_does_not_reach_is_no_part_of_it,
        history::row_15_too_many_new_commits_are_refused_before_any_is_read,
        history::row_30_a_tip_outside_the_introduction_is_refused_and_an_introduction_needs_no_signature,
        keys::row_18_and_19_the_key_is_known_and_may_write,
        keys::row_20_a_window_is_judged_at_first_seen_and_not_at_the_time_the_commit_says,
        keys::row_23_and_24_wrong_namespace_and_weak_keys,
        keys::signers_agree_with_ssh_keygen,
        keys::the_agents_key_is_one_that_ssh_keygen_reads_and_believes,
        keys::only_an_open_ed25519_key_can_be_the_agents,
        statements::a_tag_of_real_git_says_what_its_signer_wrote,
        statements::row_27_a_signed_tag_counts_under_the_name_it_was_made_with_only,
        statements::a_tag_that_is_no_signed_statement_is_refused_by_what_it_is,
        statements::hostile_variants_of_a_good_tag_are_refused,
        statements::no_flipped_byte_of_a_signed_tag_is_read_as_another_statement,
        statements::whose_key_signed_is_judged_at_first_seen,
        statements::another_id_over_the_same_signed_text_has_the_same_payload_hash,
        statements::a_tag_over_the_limit_is_not_read,
        statements::row_23_a_signature_for_another_purpose_signs_no_tag,
        statements::a_sha256_repository_has_statements_as_well,
    ];
    plain::run(&["ssh-keygen", "gpg"], tests, Vec::new())
}
