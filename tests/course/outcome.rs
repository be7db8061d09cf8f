//! How releases end: order of stages, deadline, failure, supersession, late recovery, brakes.

use lockmaster::deploylog::{Entry, Phase};
use lockmaster::name::Code;

use super::cluster::Fate;
use super::shop::{claim, config, config_key, definition, deployment, deployment_key, in_wave, key, widget};
use super::simulation::Simulation;
use super::site::DEADLINE;

fn simulation() -> Simulation {
    let mut simulation = Simulation::new();
    simulation.laws.stages = true;
    simulation
}

fn phases(simulation: &Simulation) -> Vec<(Phase, Option<u64>)> {
    let entries = simulation.world.replay.log().entries.iter();
    entries.filter_map(|entry| Some((entry.body.phase?, entry.body.of))).collect()
}

fn last(simulation: &Simulation) -> &Entry {
    simulation.world.replay.log().entries.last().expect("because something happened")
}

#[test]
fn each_stage_and_wave_waits_for_the_one_before_it() {
    let mut simulation = simulation();
    simulation
        .world
        .cluster
        .fates
        .insert(key("apiextensions.k8s.io", "CustomResourceDefinition", "widgets.example.com"), Fate::WellAfter(20));
    simulation.world.push(&[
        deployment("web", "w:1"),
        in_wave(deployment("migrate", "m:1"), "-1"),
        in_wave(widget("late"), "3"),
        config("settings", "1"),
        claim("data"),
        definition(),
    ]);
    simulation.run(10);
    assert_eq!(simulation.world.cluster.objects.len(), 1, "the definition is not established yet");
    simulation.converge(&[]);
    simulation.laws.hold("stages");
    let applied: Vec<&str> = simulation.laws.applies.iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(applied, ["widgets.example.com", "settings", "data", "migrate", "web", "late"]);
}

#[test]
fn a_claim_that_waits_for_its_first_consumer_keeps_nobody_waiting() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(key("", "PersistentVolumeClaim", "data"), Fate::WellAfter(60));
    simulation.world.push(&[claim("data"), deployment("web", "w:1"), in_wave(deployment("after", "a:1"), "1")]);
    simulation.run(30);
    assert_eq!(simulation.world.cluster.objects.len(), 3);
    simulation.converge(&[]);
    simulation.laws.hold("claims");
}

#[test]
fn what_has_not_settled_by_the_deadline_fails_as_unsettled_and_names_the_object() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Never);
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(DEADLINE - 1);
    assert_eq!(phases(&simulation), [(Phase::Opened, None)]);
    simulation.run(2);
    assert_eq!(phases(&simulation), [(Phase::Opened, None), (Phase::Failed, Some(1))]);
    let reasons = &last(&simulation).body.reasons;
    let named: Vec<_> = reasons.iter().map(|reason| (reason.code, reason.object.clone())).collect();
    assert_eq!(named, [(Code::Unsettled, Some(deployment_key("web")))]);
    simulation.converge(&[]);
    simulation.laws.hold("deadline");
}

#[test]
fn an_object_that_will_not_get_well_by_itself_fails_the_release_at_once() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Fails);
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(5);
    let reasons = &last(&simulation).body.reasons;
    let named: Vec<_> = reasons.iter().map(|reason| (reason.code, reason.object.clone())).collect();
    assert_eq!(named, [(Code::ObjectFailed, Some(deployment_key("web")))]);
    simulation.converge(&[]);
    simulation.laws.hold("failure");
}

#[test]
fn a_failed_release_stands_until_a_good_one_takes_its_place() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Fails);
    let bad = simulation.world.push(&[deployment("web", "w:1")]);
    simulation.run(60);
    let standing = simulation.world.replay.log().standing.clone().expect("because it was opened");
    assert_eq!((standing.commit.id, standing.outcome.map(|(phase, _)| phase)), (bad, Some(Phase::Failed)));
    simulation.world.cluster.fates.clear();
    simulation.world.push(&[deployment("web", "w:2")]);
    simulation.converge(&[]);
    simulation.laws.hold("a good release");
    let expected = [(Phase::Opened, None), (Phase::Failed, Some(1)), (Phase::Opened, None), (Phase::Proven, Some(3))];
    assert_eq!(phases(&simulation), expected);
}

#[test]
fn a_failed_release_that_stays_healthy_for_the_deadline_is_proven_after_all() {
    let mut simulation = simulation();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Never);
    simulation.world.push(&[deployment("web", "w:1")]);
    simulation.run(DEADLINE + 5);
    let now = simulation.world.now;
    simulation.world.cluster.recover(&deployment_key("web"), now);
    simulation.spread();
    simulation.run(DEADLINE - 1);
    assert_eq!(phases(&simulation), [(Phase::Opened, None), (Phase::Failed, Some(1))]);
    simulation.run(5);
    let expected = [(Phase::Opened, None), (Phase::Failed, Some(1)), (Phase::Proven, Some(1))];
    assert_eq!(phases(&simulation), expected);
    simulation.converge(&[]);
    simulation.laws.hold("after all");
}

#[test]
fn a_brake_holds_the_prune_and_not_the_proof() {
    let mut simulation = simulation();
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut objects: Vec<_> = names.iter().map(|name| config(name, "1")).collect();
    objects.push(deployment("web", "w:1"));
    simulation.world.push(&objects);
    simulation.run(30);
    simulation.world.push(&[deployment("web", "w:2")]);
    let left: Vec<_> = names.iter().map(|name| config_key(name)).collect();
    simulation.converge(&left);
    simulation.laws.hold("brake");
    assert_eq!(simulation.laws.deletes, []);
    assert_eq!(last(&simulation).body.phase, Some(Phase::Proven));
    assert_eq!(simulation.world.cluster.objects.len(), 7);
    simulation.restart(0);
    simulation.converge(&left);
    simulation.laws.hold("brake after a restart");
}

#[test]
fn data_is_not_pruned_unasked_while_the_rest_is() {
    let mut simulation = simulation();
    simulation.world.push(&[claim("data"), config("old", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.push(&[deployment("web", "w:1")]);
    simulation.converge(&[key("", "PersistentVolumeClaim", "data")]);
    simulation.laws.hold("data");
    assert_eq!(simulation.laws.deletes, [config_key("old")]);
}

#[test]
fn a_finalizer_holds_neither_the_proof_nor_the_prune_once_it_is_gone() {
    let mut simulation = simulation();
    simulation.world.cluster.held.insert(config_key("old"));
    simulation.world.push(&[config("old", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.push(&[deployment("web", "w:2")]);
    simulation.run(120);
    assert_eq!(last(&simulation).body.phase, Some(Phase::Proven));
    simulation.world.cluster.finalize();
    simulation.spread();
    simulation.converge(&[]);
    simulation.laws.hold("finalizer");
}

#[test]
fn an_object_that_the_server_denies_stops_later_stages_only_and_does_not_spin() {
    let mut simulation = simulation();
    simulation.world.cluster.denied.insert(config_key("bad"));
    simulation.world.push(&[config("bad", "1"), config("good", "1"), deployment("web", "w:1")]);
    simulation.run(DEADLINE + 600);
    assert!(simulation.world.cluster.objects.contains_key(&config_key("good")));
    assert!(!simulation.world.cluster.objects.contains_key(&deployment_key("web")));
    assert_eq!(last(&simulation).body.phase, Some(Phase::Failed));
    let applies = &simulation.laws.applies;
    for (_, from) in applies.iter().filter(|(key, _)| *key == config_key("bad")) {
        let minute = applies.iter().filter(|(key, time)| {
            *key == config_key("bad") && *time >= *from && time.duration_since(*from).as_secs() < 60
        });
        assert!(minute.count() <= 6, "1, 2, 4, 8, 16, 32 seconds");
    }
    simulation.world.cluster.denied.clear();
    simulation.run(DEADLINE + 300);
    simulation.converge(&[]);
    simulation.laws.hold("denial");
}

#[test]
fn an_answer_that_comes_after_a_newer_sighting_does_not_hide_it() {
    let mut simulation = Simulation::new();
    simulation.world.push(&[definition(), config("settings", "1")]);
    simulation
        .world
        .cluster
        .fates
        .insert(key("apiextensions.k8s.io", "CustomResourceDefinition", "widgets.example.com"), Fate::WellAfter(0));
    // The definition gets well at the moment of its apply; the watch is quicker than the reply.
    simulation.late_answers = true;
    simulation.run(60);
    assert_eq!(last(&simulation).body.phase, Some(Phase::Proven));
    simulation.converge(&[]);
    simulation.laws.hold("late answer");
}
