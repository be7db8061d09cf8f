//! Every law can be broken: worlds that lie, and walks that are tampered with.

use std::collections::BTreeSet;

use lockmaster::course::Order;

use super::play::{Script, play};
use super::script::script;
use super::shop::{config, config_key, deployment, deployment_key, in_wave};
use super::shrink::{shrunk, tell};
use super::simulation::Simulation;
use super::story::Story;
use super::world::Flaw;

/// Changes an order; true: it is issued twice.
type Tampering = fn(&mut Order) -> bool;

fn broken_by(flaw: Option<Flaw>, tampering: Option<Tampering>) -> BTreeSet<&'static str> {
    let mut simulation = Simulation::new();
    simulation.laws.stages = true;
    simulation.tampering = tampering;
    let first = simulation.world.push(&[config("settings", "1"), config("old", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.flaw = flaw;
    let late = in_wave(deployment("late", "l:1"), "1");
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:2"), late]);
    simulation.run(30);
    simulation.world.tip = Some(first);
    simulation.converge(&[]);
    simulation.laws.names()
}

#[test]
fn an_honest_world_breaks_no_law() {
    assert_eq!(broken_by(None, None), BTreeSet::new());
}

#[test]
fn a_lying_world_is_found() {
    for (flaw, law) in [
        (Flaw::JournalAnswersBeforeItWrites, "opened before the first write"),
        (Flaw::BytesAreNotStored, "bytes before the opening"),
        (Flaw::InventoryIsNotWritten, "inventory before the first write"),
        (Flaw::DeletesNothing, "the inventory names all that is ours"),
        (Flaw::DeletesNothing, "live equals standing"),
        (Flaw::ForgetsTheAcceptedHead, "the accepted head moves forward"),
        (Flaw::ForgetsTheAcceptedHead, "no opening twice"),
        (Flaw::EverythingLooksWell, "proven only when well"),
        (Flaw::EverythingLooksWell, "stages in order"),
    ] {
        let broken = broken_by(Some(flaw), None);
        assert!(broken.contains(law), "{flaw:?}: {law} in {broken:?}");
    }
}

/// Swaps the key of a delete for one that stands.
fn deletes_another(order: &mut Order) -> bool {
    if let Order::Delete { key, .. } = order {
        *key = deployment_key("web");
    }
    false
}

/// Issues each apply twice.
fn stutters(order: &mut Order) -> bool {
    matches!(order, Order::Apply { .. })
}

/// Shrinks each inventory that is written.
fn forgets_a_member(order: &mut Order) -> bool {
    if let Order::WriteInventory(inventory) = order {
        inventory.members.remove(&config_key("settings"));
    }
    false
}

#[test]
fn a_tampered_walk_is_found() {
    let cases: [(Tampering, &str); 4] = [
        (deletes_another, "only doomed members are deleted"),
        (stutters, "one write per object"),
        (forgets_a_member, "the inventory names all that is ours"),
        (forgets_a_member, "inventory before the first write"),
    ];
    for (tampering, law) in cases {
        let broken = broken_by(None, Some(tampering));
        assert!(broken.contains(law), "{law} in {broken:?}");
    }
}

#[test]
fn a_failing_seed_tells_a_short_story_that_names_the_law_and_how_to_tell_it_again() {
    let law = "the inventory names all that is ours";
    let flawed = |seed| Script { flaw: Some(Flaw::DeletesNothing), ..script(seed) };
    let breaks = |seed: &u64| play(&flawed(*seed), Story::default()).broken.is_some_and(|(broken, _)| broken == law);
    let seed = (0..200).find(breaks).expect("because what is pruned is still there");
    let (before, after) = (flawed(seed), shrunk(flawed(seed), law));
    assert!(after.acts.len() <= 4, "{} acts of {}", after.acts.len(), before.acts.len());
    assert_eq!(shrunk(flawed(seed), law), after, "it is the same each time");
    let story = tell(flawed(seed), law, "again: this");
    let lines: Vec<&str> = story.lines().collect();
    assert!(lines.len() <= 40, "{story}");
    assert!(lines[lines.len() - 2].contains(&format!("BROKEN: {law}")), "{story}");
    assert_eq!(lines.last(), Some(&"again: this"));
}
