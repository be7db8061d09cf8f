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
    ];
    control_plane::at_once(4);
    run_anywhere(tests)
}
