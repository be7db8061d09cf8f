//! A crash after every single order, and a lost reply to every single order: a fresh start converges.

use super::cluster::Fate;
use super::shop::{claim, config, config_key, definition, deployment, deployment_key, in_wave, widget};
use super::simulation::{Fault, Simulation};
use super::world::Loss;

const FAULTS: [Fault; 5] = [
    Fault::Crash(Loss::Request),
    Fault::Crash(Loss::Reply),
    Fault::Lost(Loss::Request),
    Fault::Lost(Loss::Reply),
    Fault::Lost(Loss::Nothing),
];

type Scene = fn(&mut Simulation);

fn first_release(simulation: &mut Simulation) {
    simulation.world.push(&[
        definition(),
        config("settings", "1"),
        claim("data"),
        in_wave(deployment("migrate", "m:1"), "-1"),
        deployment("web", "w:1"),
        widget("gadget"),
    ]);
    simulation.run(30);
}

fn update_with_prune(simulation: &mut Simulation) {
    simulation.world.push(&[
        config("settings", "1"),
        config("old", "1"),
        deployment("web", "w:1"),
        deployment("gone", "g:1"),
    ]);
    simulation.run(30);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:2"), deployment("new", "n:1")]);
    simulation.run(30);
}

fn superseding_release(simulation: &mut Simulation) {
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Never);
    simulation.world.push(&[config("settings", "2"), config("brief", "1"), deployment("web", "w:2")]);
    simulation.run(20);
    simulation.world.cluster.fates.clear();
    simulation.world.push(&[config("settings", "3"), deployment("web", "w:3")]);
    simulation.run(30);
}

/// Runs a scene once for each order and each fault at it.
fn everywhere(scene: Scene) {
    let mut number = 0;
    loop {
        let mut reached = false;
        for fault in FAULTS {
            let mut simulation = Simulation::new();
            simulation.laws.stages = true;
            simulation.faults.insert(number, fault);
            scene(&mut simulation);
            reached |= simulation.carried > number;
            simulation.converge(&[]);
            assert_eq!(
                simulation.world.replay.log().accepted.as_ref().map(|accepted| &accepted.id),
                simulation.world.tip.as_ref(),
                "{fault:?} at order {number}"
            );
            simulation.laws.hold(&format!("{fault:?} at order {number}"));
        }
        if !reached {
            assert!(number > 12, "because a release takes more than {number} orders");
            return;
        }
        number += 1;
    }
}

#[test]
fn a_first_release_converges_after_a_fault_at_any_order() {
    everywhere(first_release);
}

#[test]
fn an_update_with_prune_converges_after_a_fault_at_any_order() {
    everywhere(update_with_prune);
}

#[test]
fn a_superseding_release_converges_after_a_fault_at_any_order() {
    everywhere(superseding_release);
}

#[test]
fn two_faults_at_any_two_orders_of_an_update_with_prune_are_survived() {
    for first in 0..36 {
        // Every third pair; all with `LOCKMASTER_THOROUGH`, as `.ci/long` does.
        let step = if std::env::var_os("LOCKMASTER_THOROUGH").is_some() { 1 } else { 3 };
        for second in ((first + 1)..36).step_by(step) {
            let mut simulation = Simulation::new();
            simulation.faults.insert(first, FAULTS[first % FAULTS.len()]);
            simulation.faults.insert(second, FAULTS[second % FAULTS.len()]);
            update_with_prune(&mut simulation);
            simulation.converge(&[]);
            simulation.laws.hold(&format!("faults at orders {first} and {second}"));
            assert!(!simulation.world.cluster.objects.contains_key(&config_key("old")));
        }
    }
}
