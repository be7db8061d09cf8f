//! Soak: how long, from when, and what begins it anew.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lockmaster::course::{Heard, Order};
use lockmaster::deploylog::Phase;

use super::cluster::Fate;
use super::shop::{config, deployment, deployment_key};
use super::simulation::Simulation;
use super::site::DEADLINE;

const SOAK: u64 = 30;

fn simulation() -> Simulation {
    let mut simulation = Simulation::new();
    simulation.set_soak(SOAK);
    simulation
}

/// The phases of the log with their times, oldest first.
fn phases(simulation: &Simulation) -> Vec<(Phase, Timestamp)> {
    let entries = simulation.world.replay.log().entries.iter();
    entries.filter_map(|entry| Some((entry.body.phase?, entry.time))).collect()
}

fn names(simulation: &Simulation) -> Vec<Phase> {
    phases(simulation).into_iter().map(|(phase, _)| phase).collect()
}

/// Seconds between the last two entries.
fn between(simulation: &Simulation) -> i64 {
    let all = phases(simulation);
    all[all.len() - 1].1.duration_since(all[all.len() - 2].1).as_secs()
}

#[test]
fn a_release_that_settles_is_proven_when_it_has_soaked() {
    let mut simulation = simulation();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(SOAK - 10);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled]);
    simulation.converge(&[]);
    simulation.laws.hold("soak");
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled, Phase::Proven]);
    assert!(between(&simulation) >= i64::try_from(SOAK).expect("because it is small") - 2);
}

#[test]
fn an_unhealthy_moment_begins_the_soak_anew() {
    let mut simulation = simulation();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(SOAK / 2);
    simulation.world.cluster.fall_ill(&deployment_key("web"));
    simulation.spread();
    simulation.run(5);
    let ill = simulation.world.now;
    simulation.world.cluster.recover(&deployment_key("web"), ill);
    simulation.spread();
    simulation.converge(&[]);
    simulation.laws.hold("soak after an unhealthy moment");
    let (phase, at) = *phases(&simulation).last().expect("because something was written");
    assert_eq!(phase, Phase::Proven);
    assert!(at.duration_since(ill).as_secs() >= i64::try_from(SOAK).expect("because it is small"));
}

#[test]
fn a_settled_release_that_stays_unhealthy_fails_after_the_deadline_and_not_at_once() {
    let mut simulation = simulation();
    simulation.set_soak(4 * DEADLINE);
    simulation.world.push(&[deployment("web", "w:1")]);
    simulation.run(2 * DEADLINE);
    simulation.world.cluster.fall_ill(&deployment_key("web"));
    simulation.spread();
    simulation.run(DEADLINE / 2);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled], "the deadline counts from when it fell ill");
    simulation.run(DEADLINE);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled, Phase::Failed]);
    simulation.laws.hold("soak of what stays ill");
}

#[test]
fn a_restart_begins_the_soak_anew_and_writes_settled_once() {
    let mut simulation = simulation();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(SOAK - 5);
    simulation.restart(0);
    let restarted = simulation.world.now;
    simulation.converge(&[]);
    simulation.laws.hold("soak after a restart");
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled, Phase::Proven]);
    let (_, at) = *phases(&simulation).last().expect("because something was written");
    assert!(at.duration_since(restarted).as_secs() >= i64::try_from(SOAK).expect("because it is small"));
}

#[test]
fn the_soak_of_one_release_is_none_of_the_next() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::WellAfter(1));
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(SOAK - 5);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:1")]);
    simulation.converge(&[]);
    simulation.laws.hold("soak of two releases");
    assert_eq!(
        names(&simulation),
        [Phase::Opened, Phase::Settled, Phase::Opened, Phase::Superseded, Phase::Settled, Phase::Proven]
    );
}

#[test]
fn a_candidate_that_waits_for_the_proof_of_the_release_before_it_enters_as_soon_as_that_stands() {
    let mut simulation = simulation();
    simulation.world.site.rules.finish = true;
    simulation.world.push(&[config("settings", "1")]);
    simulation.run(10);
    let second = simulation.world.push(&[config("settings", "2")]);
    simulation.run(10);
    assert_eq!(simulation.world.replay.log().last_refusal.as_ref().map(|(id, _)| id), Some(&second));
    simulation.run(SOAK);
    assert_eq!(simulation.world.replay.log().accepted.as_ref().map(|accepted| &accepted.id), Some(&second));
    simulation.converge(&[]);
    simulation.laws.hold("queue");
}

#[test]
fn an_edit_that_the_watch_has_not_shown_yet_keeps_a_release_from_its_proof() {
    let mut simulation = simulation();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    // Until the fresh read before the claim is on its way.
    simulation.run_until(0, |order| matches!(order, Order::Append(p) if p.phase == Some(Phase::Settled)));
    simulation.run_some(2);
    simulation.run_until(0, |order| matches!(order, Order::Confirm(_)));
    simulation.world.cluster.edit(&deployment_key("web"), "/spec/replicas", 7.into());
    simulation.run(10);
    simulation.converge(&[]);
    simulation.laws.hold("stale view");
}

/// The clock of the machine is set forward by an hour, once.
fn jump(simulation: &mut Simulation) {
    let walker = &mut simulation.walkers[0];
    walker.skew += SignedDuration::from_hours(1);
    walker.jumped += Duration::from_secs(3600);
}

#[test]
fn a_clock_that_is_set_forward_ends_no_soak() {
    let mut simulation = simulation();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(SOAK - 5);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled]);
    jump(&mut simulation);
    simulation.step(0, Heard::Tick);
    simulation.run(1);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled], "no minute has passed");
    simulation.run(10);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled, Phase::Proven]);
    simulation.laws.hold("soak");
}

#[test]
fn a_clock_that_is_set_forward_fails_no_release_before_its_deadline() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::WellAfter(30));
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(10);
    jump(&mut simulation);
    simulation.step(0, Heard::Tick);
    simulation.run(100);
    assert_eq!(names(&simulation), [Phase::Opened, Phase::Settled, Phase::Proven]);
    simulation.laws.hold("deadline");
}
