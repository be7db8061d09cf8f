//! Bad input against the whole program on a real control plane: whatever comes, what stands stays. The numbers are those
//! of the table of untrusted inputs.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod history;
#[path = "../law/mod.rs"]
mod law;
mod manifests;
mod overlays;
#[path = "../stage/mod.rs"]
mod stage;

use std::process::ExitCode;

fn main() -> ExitCode {
    control_plane::needs(&["ssh-keygen"]);
    control_plane::at_once(6);
    control_plane::run_anywhere(vec![
        ("rows_16_18_19_20_who_signed_is_judged", history::who_signed),
        ("rows_34_to_43_bad_yaml_is_refused_at_its_place", manifests::bad_yaml),
        ("rows_17_23_24_25_26_what_was_signed_is_judged", history::what_was_signed),
        ("rows_12_13_55_unsafe_paths_are_refused", manifests::unsafe_paths),
        ("rows_44_to_53_bad_objects_are_refused", manifests::bad_objects),
        ("rows_1_3_5_6_7_9_11_a_bad_repository_changes_nothing", history::bad_repository),
        ("rows_56_to_59_kustomize_may_not_reach_out", overlays::reaching_out),
        ("row_33_a_bad_signers_file_stops_everything", history::signers_file),
        ("a_bad_first_release_leaves_nothing_behind", history::first_release),
    ])
}
