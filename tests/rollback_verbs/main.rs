//! `lockmaster rollback`, `hold` and `unhold`, and statements that lie in the cluster because Git was away.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod revert;
#[expect(dead_code, reason = "the scene is that of promotions, of which this needs a part")]
#[path = "../promotion/scene.rs"]
mod scene;
#[path = "../stage/mod.rs"]
mod stage;
mod stated;

use std::process::ExitCode;

use control_plane::{Test, run_anywhere};

/// What prod demands: somebody with rights there wants it.
const WRITERS: &str = "writers: [release-managers]";

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("a_statement_in_the_cluster_counts_while_git_is_away", stated::counts_while_git_is_away),
        ("a_revert_restores_the_inputs_of_a_release_and_touches_nothing_else", revert::restores_the_inputs_alone),
        ("a_revert_goes_beside_a_branch_that_moved_unless_it_agrees_already", revert::goes_beside_a_branch_that_moved),
        ("a_revert_restores_what_a_render_read_and_no_longer_reads", revert::of_a_render_that_changed_its_files),
        ("a_statement_in_the_cluster_counts_as_its_tag_does_and_once", stated::counts_once),
    ];
    control_plane::at_once(6);
    run_anywhere(tests)
}
