//! Two agents with one name on one journal, one of them asleep at a bad moment.

use std::collections::BTreeMap;

use lockmaster::course::Order;
use lockmaster::deploylog::{Action, Entry, Phase};
use lockmaster::name::CommitId;

use super::random::Random;
use super::shop::{config, config_key, deployment};
use super::simulation::Simulation;

const SEEDS: u64 = 100;

fn opened(simulation: &Simulation) -> Vec<CommitId> {
    let entries = simulation.world.replay.log().entries.iter();
    let opened = entries.filter(|entry| entry.body.phase == Some(Phase::Opened));
    opened.filter_map(|entry| Some(entry.body.commit.as_ref()?.id.clone())).collect()
}

#[test]
fn two_agents_in_any_order_open_each_commit_once_and_come_to_rest() {
    let mut found = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut simulation = Simulation::with(2);
        let mut random = Random::new(seed);
        simulation.random = Some(Random::new(seed ^ 0x5eed));
        let mut pushed = Vec::new();
        for number in 0..3 {
            let mut objects = vec![config("always", &number.to_string()), deployment("web", &format!("w:{number}"))];
            if random.chance(50) {
                objects.push(config("sometimes", "1"));
            }
            pushed.push(simulation.world.push(&objects));
            let sleeper = random.below(3);
            if let Some(walker) = simulation.walkers.get_mut(sleeper) {
                walker.asleep = true;
            }
            simulation.run_some(random.below(80));
            simulation.run([1, 40][random.below(2)]);
            simulation.walkers.iter_mut().for_each(|walker| walker.asleep = false);
            simulation.run_some(random.below(80));
        }
        simulation.calm();
        simulation.rest();
        let quiet = simulation.is_quiet();
        for (law, what) in std::mem::take(&mut simulation.laws).broken {
            found.entry(law).or_insert((seed, what));
        }
        if !quiet {
            found.entry("comes to rest").or_insert((seed, String::new()));
        }
        let opened = opened(&simulation);
        assert_eq!(opened.last(), pushed.last(), "seed {seed}");
    }
    assert_eq!(found, BTreeMap::new(), "each law with the first seed that breaks it");
}

/// One agent falls asleep with an order in hand, the other opens a newer release, then the first one wakes.
fn asleep_with(wanted: fn(&Order) -> bool) -> Simulation {
    let mut simulation = Simulation::with(2);
    simulation.walkers[1].asleep = true;
    simulation.world.push(&[config("settings", "1"), config("moves", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:2")]);
    simulation.run_until(0, wanted);
    simulation.walkers[0].asleep = true;
    simulation.walkers[1].asleep = false;
    simulation.world.push(&[config("settings", "3"), config("moves", "1"), deployment("web", "w:3")]);
    simulation.run(60);
    simulation.calm();
    simulation.rest();
    simulation
}

#[test]
fn a_tip_that_was_read_before_another_agent_moved_the_head_on_is_not_said_to_have_moved_back() {
    let mut simulation = Simulation::with(2);
    simulation.laws.strict = true;
    let first = simulation.world.push(&[config("settings", "1")]);
    simulation.run(30);
    simulation.walkers[1].asleep = true;
    let second = simulation.world.push(&[config("settings", "2")]);
    simulation.run(30);
    assert_eq!(opened(&simulation), [first, second.clone()]);
    // It reads the log before it hears of the tip.
    simulation.walkers[1].asleep = false;
    let heard = simulation.walkers[1].told.tip.replace(Ok(second));
    simulation.world.cluster.edit(&config_key("settings"), "/data/value", "by hand".into());
    simulation.spread();
    simulation.run(30);
    simulation.walkers[1].told.tip = heard;
    simulation.converge(&[]);
    simulation.laws.hold("a tip of before");
    let refuses = |entry: &Entry| entry.body.action == Action::Refuse;
    assert!(!simulation.world.replay.log().entries.iter().any(|entry| refuses(entry)), "nobody moved it back");
}

#[test]
fn an_append_in_a_sleeping_hand_opens_nothing() {
    let simulation = asleep_with(|order| matches!(order, Order::Append(p) if p.phase == Some(Phase::Opened)));
    assert!(simulation.is_quiet());
    simulation.laws.hold("append");
    assert_eq!(opened(&simulation).last(), simulation.world.tip.as_ref());
}

#[test]
fn an_inventory_in_a_sleeping_hand_is_fenced_by_the_newer_opening() {
    let simulation = asleep_with(|order| matches!(order, Order::WriteInventory(_)));
    assert!(simulation.is_quiet());
    simulation.laws.hold("inventory");
    assert!(simulation.world.cluster.objects.contains_key(&config_key("moves")));
}

#[test]
fn an_agent_that_slept_before_its_prune_deletes_nothing_of_the_newer_release() {
    let mut simulation = Simulation::with(2);
    simulation.walkers[1].asleep = true;
    simulation.world.push(&[config("settings", "1"), config("moves", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:2")]);
    simulation.run_until(0, |order| matches!(order, Order::Apply { manifest, .. } if manifest.key.name == "web"));
    simulation.run_some(2);
    simulation.walkers[0].asleep = true;
    simulation.walkers[1].asleep = false;
    simulation.world.push(&[config("settings", "3"), config("moves", "1"), deployment("web", "w:3")]);
    simulation.run(60);
    simulation.world.tip = None;
    simulation.calm();
    simulation.run(60);
    simulation.laws.hold("slept before the prune");
    assert!(simulation.world.cluster.objects.contains_key(&config_key("moves")));
}
