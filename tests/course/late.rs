//! Answers that tell of another time than the one at which they were asked for, and effects that nobody waits for any more.

use lockmaster::course::{Answer, Heard, Order};
use lockmaster::deploylog::Phase;

use super::cluster::Fate;
use super::shop::{config, config_key, deployment, deployment_key};
use super::simulation::{Fault, Simulation};
use super::world::{Afloat, Loss};

fn opens(order: &Order) -> bool {
    matches!(order, Order::Append(proposal) if proposal.phase == Some(Phase::Opened))
}

/// The first of two releases stands, the second was opened, and of the second `late` never gets well.
fn open_until_well() -> Simulation {
    let mut simulation = Simulation::new();
    let always = || vec![config("settings", "1"), deployment("api", "a:1")];
    simulation.world.push(&[always(), vec![config("moves", "1"), deployment("web", "w:1")]].concat());
    simulation.run(30);
    simulation.world.cluster.fates.insert(deployment_key("late"), Fate::Never);
    simulation.world.push(&[always(), vec![deployment("late", "l:1")]].concat());
    simulation.run(30);
    simulation
}

/// What never got well does.
fn get_well(simulation: &mut Simulation) {
    let now = simulation.world.now;
    simulation.world.cluster.recover(&deployment_key("late"), now);
    simulation.spread();
}

#[test]
fn bytes_of_another_opening_than_the_one_that_was_asked_for_are_not_taken_for_it() {
    let mut simulation = Simulation::new();
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Never);
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:2")]);
    simulation.restart(0);
    simulation.run_until(0, |order| matches!(order, Order::Recall));
    let walker = &mut simulation.walkers[0];
    let place = walker.pending.iter().position(|issued| matches!(issued.order, Order::Recall));
    let recall = place.and_then(|place| walker.pending.remove(place)).expect("because it waits there");
    simulation.run_until(0, opens);
    // It is carried out once the opening stands, and answered before that is known.
    simulation.walkers[0].pending.push_back(recall);
    simulation.late_answers = true;
    while !simulation.walkers[0].pending.is_empty() {
        simulation.run_some(1);
    }
    simulation.late_answers = false;
    let answers = &mut simulation.walkers[0].answers;
    let place = answers.iter().position(|(_, heard)| matches!(heard, Heard::Answer(_, Answer::Recalled(Ok(_)))));
    answers.swap(0, place.expect("because it was carried out"));
    simulation.run(5);
    simulation.world.cluster.fates.clear();
    let now = simulation.world.now;
    simulation.world.cluster.recover(&deployment_key("web"), now);
    simulation.spread();
    simulation.converge(&[]);
    simulation.laws.hold("a recall between an opening and its answer");
}

#[test]
fn what_comes_back_after_its_delete_is_deleted_again_though_no_row_ever_told_its_uid() {
    let mut simulation = Simulation::new();
    simulation.world.push(&[config("settings", "1")]);
    simulation.run(30);
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Never);
    let brief = [config("settings", "2"), config("moves", "1"), deployment("web", "w:1")];
    simulation.world.push(&brief);
    simulation.run(5);
    assert_eq!(simulation.world.inventory.members[&config_key("moves")].uid, None, "because it has not settled");
    let manifest = simulation.world.archive.values().find_map(|set| set.get(&config_key("moves")).cloned());
    simulation.world.push(&[config("settings", "3")]);
    simulation.run(60);
    assert!(simulation.laws.deletes.contains(&config_key("moves")));
    let apply = Afloat::Apply(Box::new(manifest.expect("because it was stored")), false);
    simulation.world.land(apply);
    simulation.spread();
    simulation.converge(&[]);
    simulation.laws.hold("an apply after the delete");
}

#[test]
fn what_comes_after_a_delete_that_found_nothing_is_deleted() {
    let mut simulation = Simulation::new();
    simulation.world.push(&[config("settings", "1")]);
    simulation.run(30);
    simulation.world.push(&[config("settings", "1"), config("moves", "1")]);
    simulation.run_until(0, |order| matches!(order, Order::Apply { .. }));
    simulation.faults.insert(simulation.carried, Fault::Lost(Loss::Late(60)));
    simulation.run_some(1);
    simulation.world.push(&[config("settings", "2")]);
    simulation.run(30);
    assert!(simulation.laws.deletes.contains(&config_key("moves")), "it may have come");
    assert!(!simulation.world.cluster.objects.contains_key(&config_key("moves")), "it has not come yet");
    simulation.run(60);
    simulation.converge(&[]);
    simulation.laws.hold("an apply after a delete that found nothing");
}

#[test]
fn what_a_lost_opening_names_is_not_deleted_as_long_as_it_may_still_come() {
    let mut simulation = open_until_well();
    let back = [config("settings", "1"), deployment("api", "a:1"), config("moves", "1"), deployment("web", "w:1")];
    let tip = simulation.world.push(&back);
    simulation.run_until(0, opens);
    simulation.faults.insert(simulation.carried, Fault::Lost(Loss::Late(20)));
    simulation.run_some(1);
    simulation.world.swallows = true;
    get_well(&mut simulation);
    simulation.run(19);
    assert_eq!(simulation.laws.deletes, [], "the entry may still come");
    simulation.world.swallows = false;
    simulation.run(60);
    assert_eq!(simulation.world.replay.log().standing.as_ref().map(|standing| &standing.commit.id), Some(&tip));
    assert_eq!(simulation.laws.deletes, [deployment_key("late")]);
    simulation.converge(&[]);
    simulation.laws.hold("a late opening");
}

#[test]
fn what_a_lost_opening_names_is_deleted_once_that_can_mean_nothing_any_more() {
    let mut simulation = open_until_well();
    let stands = simulation.world.tip.clone();
    simulation.world.push(&[config("settings", "1"), deployment("api", "a:1"), config("moves", "1")]);
    simulation.run_until(0, opens);
    simulation.world.swallows = true;
    simulation.run_some(1);
    simulation.world.tip = stands;
    simulation.run(5);
    get_well(&mut simulation);
    simulation.run(20);
    assert_eq!(simulation.laws.deletes, [deployment_key("web")], "it was not named");
    simulation.run(10);
    assert_eq!(simulation.laws.deletes, [deployment_key("web"), config_key("moves")]);
    simulation.world.swallows = false;
    simulation.converge(&[]);
    simulation.laws.hold("a lost opening");
}
