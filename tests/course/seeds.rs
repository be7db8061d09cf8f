//! Runs that a seed chooses: what is committed when, what comes in which order, what is lost, and when the agent dies.

use std::collections::BTreeMap;

use lockmaster::name::ObjectKey;
use lockmaster::plan;
use serde_json::Value;

use super::cluster::Fate;
use super::laws::standing_set;
use super::random::Random;
use super::shop::{config, deployment, deployment_key, in_wave, widget};
use super::simulation::Simulation;
use super::world::policy;

/// How many seeds a run of the tests tries; all with `LOCKMASTER_THOROUGH`, as CI does.
fn seeds() -> u64 {
    if std::env::var_os("LOCKMASTER_THOROUGH").is_some() { 500 } else { 150 }
}

fn objects(random: &mut Random, number: usize) -> Vec<Value> {
    let version = number.to_string();
    let mut objects = vec![super::shop::definition(), config("always", &version)];
    for name in ["a", "b", "c"] {
        if random.chance(50) {
            objects.push(config(name, &random.below(2).to_string()));
        }
        if random.chance(40) {
            objects.push(deployment(name, &format!("{name}:{}", random.below(2))));
        }
    }
    if random.chance(40) {
        objects.push(widget("gadget"));
    }
    if random.chance(40) {
        objects.push(in_wave(deployment("first", &version), "-1"));
    }
    objects
}

fn weather(simulation: &mut Simulation, random: &mut Random) {
    let names = ["a", "b", "c", "first"];
    let key = deployment_key(names[random.below(names.len())]);
    match random.below(8) {
        0 => drop(simulation.world.cluster.fates.insert(key, Fate::Never)),
        1 => drop(simulation.world.cluster.fates.insert(key, Fate::Fails)),
        2 => drop(simulation.world.cluster.fates.insert(key, Fate::WellAfter(40))),
        3 => drop(simulation.world.cluster.held.insert(key)),
        4 => simulation.world.writable = false,
        5 => simulation.world.writable = true,
        6 => simulation.world.cluster.finalize(),
        _ => simulation.world.cluster.fates.clear(),
    }
}

/// One life of an environment: four releases in bad weather, then calm and a last release.
fn live(seed: u64, walkers: usize) -> Simulation {
    let mut simulation = Simulation::with(walkers);
    let mut random = Random::new(seed);
    if seed.is_multiple_of(3) {
        simulation.set_soak(25);
    }
    simulation.random = Some(Random::new(seed ^ 0x5eed));
    simulation.unrest = 3;
    for number in 0..4 {
        let objects = objects(&mut random, number);
        if random.chance(15) {
            let accepted = simulation.world.tip.clone();
            simulation.world.push_unsigned(&objects);
            simulation.run_some(random.below(40));
            simulation.world.tip = accepted;
        } else {
            simulation.world.push(&objects);
        }
        for _ in 0..random.below(4) {
            weather(&mut simulation, &mut random);
            simulation.run([1, 5, 40, 400][random.below(4)]);
        }
        if random.chance(50) {
            simulation.run_some(random.below(60));
        }
    }
    simulation.calm();
    let now = simulation.world.now;
    simulation.world.cluster.recover_all(now);
    simulation.spread();
    let objects = objects(&mut random, 9);
    simulation.world.push(&objects);
    simulation
}

/// What a brake holds until a person says otherwise.
fn waiting(simulation: &Simulation) -> Vec<ObjectKey> {
    let Some(set) = standing_set(&simulation.world) else { return Vec::new() };
    let inventory = &simulation.world.inventory;
    let (free, waits) = plan::prunable(inventory, |key| set.get(key).is_some(), &policy(), None);
    let doomed = inventory.members.iter().filter(|(_, member)| member.doomed).map(|(key, _)| key.clone());
    if waits.is_empty() { Vec::new() } else { doomed.filter(|key| !free.contains(key)).collect() }
}

#[test]
fn one_agent_in_any_weather_breaks_no_law_and_comes_to_rest() {
    let from = std::env::var("COURSE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut found = BTreeMap::new();
    for seed in from.map_or(0..seeds(), |seed| seed..seed + 1) {
        let mut simulation = live(seed, 1);
        simulation.calm();
        simulation.rest();
        simulation.run(400);
        let left = waiting(&simulation);
        simulation.converge(&left);
        for (law, what) in simulation.laws.broken {
            found.entry(law).or_insert_with(|| (seed, Vec::new())).1.push(what);
        }
    }
    for (_, what) in found.values_mut() {
        what.truncate(4);
    }
    assert_eq!(found, BTreeMap::new(), "each law with the first seed that breaks it");
}
