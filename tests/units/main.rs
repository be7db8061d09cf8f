//! Environments of several units: each has releases of its own, and what happens to one disturbs no other.

mod apart;
#[path = "../control_plane/mod.rs"]
mod control_plane;
mod scene;
#[path = "../stage/mod.rs"]
mod stage;
mod together;

use std::process::ExitCode;

use control_plane::{Test, run_anywhere};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("units_that_open_at_once_share_an_entry", together::units_that_open_at_once_share_an_entry),
        ("a_commit_that_touches_one_unit_does_work_for_that_unit_only", apart::one_unit),
        ("a_unit_that_fails_disturbs_no_other", apart::a_unit_that_fails),
        ("a_revert_of_one_unit_goes_back_there_and_nowhere_else", apart::a_revert),
        ("a_unit_that_fails_goes_back_by_itself_and_alone", apart::goes_back_by_itself),
        ("a_unit_that_is_gone_from_git_stays_as_it_was_and_says_so", apart::gone_from_git),
        ("a_shared_file_is_read_again_by_the_units_that_read_it", together::a_shared_file),
        ("no_unit_takes_an_object_of_another", together::one_owner),
        ("a_freeze_is_written_once_and_holds_for_every_unit", together::a_freeze),
        ("a_directory_that_can_be_no_unit_is_named_and_disturbs_nobody", together::strangers),
    ];
    control_plane::at_once(4);
    run_anywhere(tests)
}
