//! Going back, and what stays behind: `promotion.md`, section 2, row by row, and rows 30, 31 and 35 of section 1, over real
//! repositories.

#[path = "../stage/bare.rs"]
mod bare;
#[path = "../control_plane/mod.rs"]
mod control_plane;
#[path = "../promotion/scene.rs"]
mod scene;
#[path = "../stage/mod.rs"]
mod stage;

mod by_commit;
mod by_failure;
mod by_statement;
mod crash;
mod holds;
mod week;

use std::process::ExitCode;

use control_plane::{ControlPlane, Test, run_anywhere};
use crash::{Failpoint, bad_release, going_back};
use scene::Scene;
use serde_json::Value;

/// What keeps every promotion out, and no rollback.
pub(crate) const SHUT: &str =
    "approvals: {count: 2, role: release-managers}\nfreezes: [{from: 2020-01-01, until: 2099-01-01, zone: UTC}]";

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("rows_30_and_31_a_revert_by_anybody_is_a_rollback_at_once_whatever_its_shape", by_commit::shapes),
        ("row_35_an_unsigned_commit_and_its_signed_revert_change_nothing", by_commit::void),
        ("a_revert_takes_what_is_extra_away_while_the_bad_release_still_crash_loops", by_commit::crash_looping),
        ("a_revert_among_other_changes_is_an_ordinary_candidate", by_commit::among_others),
        ("two_reverts_in_one_push_go_back_to_the_release_that_the_last_one_restores", by_commit::two_at_once),
        ("a_rollback_of_a_rollback_goes_to_the_release_before_that", by_commit::twice),
        ("where_writers_alone_go_back_a_foreign_revert_is_judged_like_any_commit", by_commit::writers),
        ("without_from_an_unsigned_revert_goes_back_and_holds_nothing", by_commit::without_from),
        ("what_an_unsigned_revert_left_unread_does_not_enter_by_being_read_later", by_commit::left_unread),
        ("a_release_that_is_not_kept_any_more_is_no_rollback", by_commit::not_kept),
        ("a_revert_of_own_inputs_is_a_rollback", by_commit::own_inputs),
        ("a_statement_goes_back_and_leaves_the_branch_where_it_is", by_statement::goes_back),
        ("a_statement_counts_once_and_for_the_release_that_it_names", by_statement::once),
        ("a_statement_of_nobody_who_may_or_to_nothing_that_was_proven_does_nothing", by_statement::void),
        ("a_rewound_branch_is_refused_until_a_statement_accepts_it", by_statement::rewound),
        ("a_migration_that_cannot_be_undone_holds_a_rollback_back", by_statement::irreversible),
        ("a_release_that_fails_makes_room_once_and_its_content_is_held", by_failure::once),
        ("a_rollback_that_fails_too_is_not_rolled_back", by_failure::no_loop),
        ("with_a_writer_key_the_revert_is_pushed_and_comes_back_as_unchanged", by_failure::pushed),
        ("with_nothing_to_go_back_to_a_failed_release_stays", by_failure::nothing_there),
        ("what_is_held_comes_back_after_an_unhold_by_somebody_who_may", holds::unheld),
        ("content_with_a_part_of_what_is_held_passes_and_says_so", holds::partly),
        ("a_stated_hold_stops_content_before_it_was_ever_opened", holds::stated),
        ("a_held_release_is_not_gone_back_to", holds::not_back_to),
        ("what_was_rolled_back_or_is_held_upstream_proves_nothing_downstream", holds::downstream),
        ("next_week_a_merge_that_leaves_out_what_was_reverted_is_incomplete", week::incomplete),
        ("next_week_a_back_merge_lets_staging_prove_the_rest_alone", week::back_merge),
        ("next_week_a_revert_of_the_revert_is_a_promotion_of_held_content", week::revert_of_revert),
        ("next_week_after_a_rollback_without_a_revert_the_merge_is_held", week::without_revert),
    ];
    control_plane::at_once(4);
    run_anywhere([tests, crashes()].concat())
}

fn crashes() -> Vec<Test> {
    vec![
        ("killed_at_every_write_of_the_bad_release_a_revert_converges", crash::of_the_release),
        ("killed_at_every_write_of_the_rollback_it_converges", crash::of_the_rollback),
        ("killed_while_a_bad_release_opens_a_revert_converges", |plane| bad_release(plane, Failpoint::Open)),
        ("killed_while_a_bad_release_is_applied_a_revert_converges", |plane| bad_release(plane, Failpoint::MidApply)),
        ("killed_while_a_bad_release_settles_a_revert_converges", |plane| bad_release(plane, Failpoint::Settling)),
        ("killed_while_a_bad_release_prunes_a_revert_converges", |plane| bad_release(plane, Failpoint::Pruning)),
        ("killed_while_a_bad_release_is_recorded_a_revert_converges", |plane| bad_release(plane, Failpoint::Recording)),
        ("killed_while_a_bad_release_is_proven_a_revert_converges", |plane| bad_release(plane, Failpoint::Proving)),
        ("killed_while_a_rollback_opens_it_converges", |plane| going_back(plane, Failpoint::Open)),
        ("killed_while_a_rollback_is_applied_it_converges", |plane| going_back(plane, Failpoint::MidApply)),
        ("killed_while_a_rollback_settles_it_converges", |plane| going_back(plane, Failpoint::Settling)),
        ("killed_while_a_rollback_prunes_it_converges", |plane| going_back(plane, Failpoint::Pruning)),
        ("killed_while_a_rollback_is_recorded_it_converges", |plane| going_back(plane, Failpoint::Recording)),
        ("killed_while_a_rollback_is_proven_it_converges", |plane| going_back(plane, Failpoint::Proving)),
    ]
}

/// Prod stands at M1: S was merged by the forge, and is proven. Its extra object is the ConfigMap `flag`.
pub(crate) fn at_m1(plane: &'static ControlPlane, name: &str) -> (Scene, String) {
    let scene = Scene::proven(plane, name, "");
    let merge = scene.merge("forge", "env/staging");
    scene.run();
    assert_eq!(scene.standing("prod"), merge, "prod stands at M1");
    (scene, merge)
}

/// The entries of prod's log that opened something, oldest first.
pub(crate) fn opened(scene: &Scene) -> Vec<Value> {
    let all = ["promote", "rollback"].into_iter().flat_map(|action| scene.entries("prod", action));
    let mut opened: Vec<Value> = all.filter(|entry| entry["phase"] == "opened").collect();
    opened.sort_by_key(|entry| entry["sequence"].as_u64());
    opened
}

/// The last rollback of prod; null before the first.
pub(crate) fn rollback(scene: &Scene) -> Value {
    opened(scene).into_iter().rev().find(|entry| entry["action"] == "rollback").unwrap_or_default()
}

/// The codes of the newest refusal or wait in prod's log.
pub(crate) fn stopped(scene: &Scene) -> Vec<String> {
    let all = ["refuse", "wait"].into_iter().flat_map(|action| scene.entries("prod", action));
    let newest = all.max_by_key(|entry| entry["sequence"].as_u64()).unwrap_or_default();
    let reasons = newest["reasons"].as_array().cloned().unwrap_or_default();
    reasons.iter().filter_map(|reason| reason["code"].as_str().map(str::to_owned)).collect()
}

/// Whether a ConfigMap of prod is there.
pub(crate) fn has(scene: &Scene, namespace: &str, name: &str) -> bool {
    let path = format!("/api/v1/namespaces/{namespace}-prod/configmaps/{name}");
    scene.stage.plane.get(&path).is_some()
}

/// The image that prod's Deployment runs.
pub(crate) fn image(scene: &Scene, namespace: &str) -> String {
    let path = format!("/apis/apps/v1/namespaces/{namespace}-prod/deployments/web");
    let live = scene.stage.plane.get(&path).expect("because it stands");
    live["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap_or_default().to_owned()
}

/// Nothing is written by a further run of the agent.
pub(crate) fn silent(scene: &Scene) {
    scene.stage.proxy.forget();
    scene.run();
    assert_eq!(scene.stage.proxy.writes(), Vec::new(), "a further run writes nothing");
}
