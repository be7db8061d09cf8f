//! Units side by side: what one does, or another agent does for it, and what the others make of that.

use lockmaster::course::{Assigned, Heard, Order};
use lockmaster::deploylog::{Hearers, Phase};
use lockmaster::name::ObjectKey;
use lockmaster::revision::statement::Verb;

use super::cluster::{Fate, later};
use super::content::Content;
use super::forge::{Forge, Making};
use super::people::{MIA, tag, until};
use super::rooms::{place, unit};
use super::shop::{config, config_key, deployment, deployment_key, secret_key};
use super::simulation::{Fault, Simulation};
use super::site::{Shape, Site};
use super::story::Story;
use super::world::{Loss, World};

/// The file of a unit that names the object which moves.
const MOVES: u8 = 8;

/// One that names another object besides.
const BRIEF: u8 = 16;

fn units(agents: usize, soak: u64) -> Simulation {
    let shape = Shape { soak, ..Shape::default() };
    let mut world = World::at(Site::of(0, shape), Forge::new());
    world.soak = std::time::Duration::from_secs(soak);
    world.divide(shape);
    let mut simulation = Simulation::of(world, agents, Story::default());
    simulation.laws.strict = true;
    simulation
}

fn push(simulation: &mut Simulation, own: [u8; 3]) {
    let content = Content { units: true, own, ..Content::default() };
    let parents: Vec<_> = simulation.world.tip.clone().into_iter().collect();
    let making = Making { parents: &parents, files: content.files(), content: Some(content), signer: Some(MIA) };
    simulation.world.tip = Some(simulation.world.forge.make(making));
}

/// Takes an order of a unit out of the hands of an agent.
fn hold(simulation: &mut Simulation, who: usize, place: usize, wanted: fn(&Order) -> bool) -> Assigned {
    let end = later(simulation.world.now, 60);
    let is = |assigned: &Assigned| assigned.unit == unit(place) && wanted(&assigned.order);
    loop {
        let pending = &mut simulation.walkers[who].pending;
        if let Some(at) = pending.iter().position(is) {
            return pending.remove(at).expect("because it stands there");
        }
        assert!(simulation.world.now < end, "because such an order comes within the minute");
        simulation.run_some(1);
    }
}

fn sleep(simulation: &mut Simulation, asleep: [bool; 2]) {
    for (walker, asleep) in simulation.walkers.iter_mut().zip(asleep) {
        walker.asleep = asleep;
    }
}

fn names(simulation: &Simulation, place: usize, key: &ObjectKey) -> bool {
    simulation.world.rooms[&unit(place)].inventory.members.contains_key(key)
}

/// Takes an order that is for all units out of the hands of the only agent.
fn hold_of_all(simulation: &mut Simulation, wanted: fn(&Order) -> bool) -> Assigned {
    loop {
        let pending = &mut simulation.walkers[0].pending;
        match pending.iter().position(|assigned| wanted(&assigned.order)) {
            Some(at) => return pending.remove(at).expect("because it stands there"),
            None => simulation.run_some(1),
        }
    }
}

/// Whether the inventory of a unit is written for what stands of it.
fn names_sequence(simulation: &Simulation, place: usize) -> bool {
    let standing = simulation.world.replay.of_unit(&unit(place)).standing.map(|standing| standing.sequence);
    standing == Some(simulation.world.rooms[&unit(place)].inventory.sequence)
}

#[test]
fn an_entry_about_all_takes_no_entry_from_the_log_of_the_unit_that_wrote_it() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    let trailers = format!("because\n\n{}", until(later(simulation.world.now, 300)));
    let tip = simulation.world.tip.clone().expect("because something was pushed");
    let raw = tag(&format!("{}/shop/dev/mia-1", Verb::Freeze.as_str()), &tip, MIA, &trailers, 1);
    simulation.world.tags.insert(raw.name.clone(), raw);
    simulation.run(30);
    assert_eq!(simulation.world.replay.common().entries.len(), 2, "a genesis, and one freeze");
    simulation.laws.hold("a freeze");
}

#[test]
fn a_log_that_is_read_again_lets_nobody_be_judged_who_was_passed_over() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    push(&mut simulation, [0, 0, 1]);
    simulation.run(30);
    simulation.world.cluster.unlabel(&secret_key("cart-own"));
    simulation.spread();
    simulation.run(30);
    simulation.laws.hold("a log that is read again");
}

#[test]
fn a_claim_that_another_agent_made_first_lets_nobody_be_judged_who_was_passed_over() {
    let mut simulation = units(2, 30);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(8);
    push(&mut simulation, [0, 0, 1]);
    simulation.run(120);
    simulation.laws.hold("a claim that came second");
}

#[test]
fn what_was_read_for_one_unit_is_known_to_another_that_writes_its_inventory() {
    let mut simulation = units(2, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    sleep(&mut simulation, [false, true]);
    push(&mut simulation, [0, 0, 1]);
    let inventory = hold(&mut simulation, 0, 2, |order| matches!(order, Order::WriteInventory(_)));
    simulation.run_some(50);
    sleep(&mut simulation, [true, false]);
    push(&mut simulation, [1, 0, 2]);
    simulation.run(30);
    sleep(&mut simulation, [false, true]);
    let judge = hold(&mut simulation, 0, 2, |order| matches!(order, Order::Judge(_)));
    simulation.run_some(50);
    simulation.walkers[0].pending.push_back(judge);
    simulation.run_some(50);
    simulation.walkers[0].pending.push_back(inventory);
    sleep(&mut simulation, [false, false]);
    simulation.run(60);
    simulation.laws.hold("a log that was read for another");
}

#[test]
fn an_object_that_moved_is_no_stray_of_the_unit_that_had_it() {
    let mut simulation = units(2, 0);
    push(&mut simulation, [0, MOVES, 0]);
    simulation.run(30);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    sleep(&mut simulation, [false, true]);
    push(&mut simulation, [0, 0, MOVES]);
    simulation.run(10);
    sleep(&mut simulation, [true, false]);
    simulation.late_answers = true;
    for _ in 0..200 {
        simulation.run_some(1);
        assert!(!names(&simulation, 1, &config_key("moves")), "because it is of `web` now");
    }
    simulation.laws.hold("an object that moved");
}

#[test]
fn a_stray_of_one_unit_that_another_opened_with_meanwhile_is_not_deleted() {
    let mut simulation = units(1, 0);
    let moves = config_key("moves");
    push(&mut simulation, [0, MOVES, 0]);
    simulation.run(30);
    let old = simulation.world.archive.values().find_map(|set| set.get(&moves)).cloned();
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    assert!(!simulation.world.cluster.objects.contains_key(&moves), "because it is pruned");
    // A write that nobody waits for any more comes late: `cart`, who had it, is to take it away.
    let now = simulation.world.now;
    simulation.world.cluster.apply(&old.expect("because it was opened"), true, now);
    simulation.world.late.insert(moves.clone());
    simulation.spread();
    let inventory = hold(&mut simulation, 0, 1, |order| matches!(order, Order::WriteInventory(_)));
    push(&mut simulation, [0, 0, MOVES]);
    simulation.run(20);
    assert!(names(&simulation, 2, &moves), "because nobody has it");
    simulation.walkers[0].pending.push_back(inventory);
    simulation.run(60);
    assert!(simulation.world.cluster.objects.contains_key(&moves), "because it is of `web` now");
    simulation.laws.hold("a stray that was taken");
}

#[test]
fn what_upstream_proves_of_one_unit_judges_no_other_that_waits() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    // Both name the same object: whoever comes second is refused, and so would be whoever comes third.
    push(&mut simulation, [MOVES, MOVES, MOVES]);
    simulation.run(30);
    let judged = |simulation: &Simulation| -> Vec<usize> {
        let orders = simulation.walkers[0].pending.iter();
        let judges = orders.filter(|assigned| matches!(assigned.order, Order::Judge(_)));
        judges.map(|assigned| place(&assigned.unit)).collect()
    };
    let news = |units: &[usize]| Hearers::Units(units.iter().map(|place| unit(*place)).collect());
    assert_eq!(judged(&simulation), Vec::<usize>::new(), "all is still");
    simulation.step(0, Heard::Upstream(3, news(&[0])));
    assert_eq!(judged(&simulation), Vec::<usize>::new(), "the unit that the entry names waits for nothing");
    simulation.step(0, Heard::Upstream(4, news(&[0, 2])));
    assert_eq!(judged(&simulation), [2], "it is news for one of the two that wait");
    simulation.step(0, Heard::Upstream(5, Hearers::All));
    simulation.run_some(20);
    simulation.step(0, Heard::Upstream(6, Hearers::All));
    assert_eq!(judged(&simulation), [1, 2], "what is about the environment is news for both");
}

#[test]
fn nobody_opens_while_it_is_not_known_what_another_agent_opened() {
    let mut simulation = units(2, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    push(&mut simulation, [0, MOVES, MOVES]);
    sleep(&mut simulation, [true, false]);
    // The second agent admits `web` first.
    let judge = hold(&mut simulation, 1, 1, |order| matches!(order, Order::Judge(_)));
    let store = hold(&mut simulation, 1, 2, |order| matches!(order, Order::StoreRelease { .. }));
    // The first one opens `cart`, and sleeps before anything tells what that names.
    sleep(&mut simulation, [false, true]);
    let _inventory = hold(&mut simulation, 0, 1, |order| matches!(order, Order::WriteInventory(_)));
    sleep(&mut simulation, [true, false]);
    simulation.walkers[1].pending.extend([store, judge]);
    let recall = hold(&mut simulation, 1, 1, |order| matches!(order, Order::Recall));
    simulation.run(20);
    simulation.walkers[1].pending.push_back(recall);
    simulation.run(60);
    let opened = simulation.world.replay.of_unit(&unit(2)).standing.map(|standing| standing.sequence);
    assert_eq!(opened, Some(2), "because what `web` wants is in `cart`");
    simulation.laws.hold("an opening of which nobody knows what it names");
}

#[test]
fn nobody_takes_what_another_unit_may_still_have_while_that_one_reads_its_log() {
    let mut simulation = units(1, 0);
    simulation.world.cluster.held.insert(config_key("moves"));
    push(&mut simulation, [0, MOVES, 0]);
    simulation.run(30);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    assert!(names(&simulation, 1, &config_key("moves")), "its deletion waits for a finalizer");
    // `cart` doubts what it knows, and the reply takes its time.
    simulation.world.cluster.unlabel(&secret_key("cart-own"));
    simulation.spread();
    let read = hold_of_all(&mut simulation, |order| matches!(order, Order::ReadLog));
    push(&mut simulation, [0, 0, MOVES]);
    simulation.run(5);
    simulation.walkers[0].pending.push_back(read);
    simulation.run(10);
    let opened = simulation.world.replay.of_unit(&unit(2)).standing.map(|standing| standing.sequence);
    assert_eq!(opened, Some(2), "because what `web` wants is still there, and of `cart`");
    simulation.laws.hold("an object whose unit reads its log");
}

#[test]
fn what_is_due_is_done_whatever_is_heard_first() {
    let mut simulation = units(1, 60);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    // It sleeps through the end of the soak, and is woken by what is news for nobody.
    simulation.walkers[0].asleep = true;
    simulation.run(120);
    simulation.walkers[0].asleep = false;
    simulation.step(0, Heard::Upstream(1, Hearers::Units([].into())));
    simulation.run(30);
    for place in 0..3 {
        let standing = simulation.world.replay.of_unit(&unit(place)).standing;
        let outcome = standing.and_then(|standing| standing.outcome).map(|(phase, _)| phase);
        assert_eq!(outcome, Some(Phase::Proven), "unit {place}");
    }
    simulation.laws.hold("a moment that passed");
}

#[test]
fn a_head_that_another_agent_moved_for_one_unit_is_what_all_are_judged_against() {
    let mut simulation = units(2, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    let root = simulation.world.tip.clone();
    sleep(&mut simulation, [false, true]);
    push(&mut simulation, [0, 0, 1]);
    simulation.run(20);
    sleep(&mut simulation, [true, false]);
    // Somebody forces another history onto the branch, and the second agent has not heard of what was opened.
    simulation.world.tip = root;
    push(&mut simulation, [1, 0, 0]);
    let store = hold(&mut simulation, 1, 0, |order| matches!(order, Order::StoreRelease { .. }));
    simulation.world.cluster.unlabel(&secret_key("cart-own"));
    simulation.spread();
    simulation.run(3);
    simulation.walkers[1].pending.push_back(store);
    simulation.run(30);
    simulation.laws.hold("a head that was moved elsewhere");
    let opened = simulation.world.replay.of_unit(&unit(0)).standing.map(|standing| standing.sequence);
    assert_eq!(opened, Some(1), "because its commit does not follow what was accepted");
}

#[test]
fn an_opening_that_is_withdrawn_from_a_unit_that_forgot_the_log_is_proposed_again() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    push(&mut simulation, [1, 1, 0]);
    let append = hold_of_all(&mut simulation, |order| matches!(order, Order::Append(_)));
    // The other one waits for the pen, and for the log as well.
    simulation.run(8);
    for name in ["api-own", "cart-own"] {
        simulation.world.cluster.unlabel(&secret_key(name));
    }
    simulation.spread();
    simulation.run(3);
    push(&mut simulation, [1, 2, 0]);
    simulation.run(3);
    simulation.walkers[0].pending.push_back(append);
    simulation.run(60);
    for place in 0..3 {
        let log = simulation.world.replay.of_unit(&unit(place));
        assert!(matches!(log.standing.and_then(|standing| standing.outcome), Some((Phase::Proven, _))), "{place}");
    }
    let tip = simulation.world.tip.clone();
    let cart = simulation.world.replay.of_unit(&unit(1)).standing.map(|standing| standing.commit.id);
    assert_eq!(cart, tip, "because it was not forgotten");
    assert!(simulation.is_quiet());
    simulation.laws.hold("an opening that was withdrawn");
}

#[test]
fn what_an_agent_applied_of_a_release_that_another_one_replaced_is_found_and_goes() {
    let mut simulation = units(2, 0);
    push(&mut simulation, [BRIEF, 0, 0]);
    simulation.run(30);
    sleep(&mut simulation, [false, true]);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(20);
    assert!(!names(&simulation, 0, &config_key("api-brief")), "because it is pruned");
    sleep(&mut simulation, [true, false]);
    // The second agent sees it gone before it hears why, and nobody but that agent sees it come back.
    simulation.late_answers = true;
    while !simulation.world.cluster.objects.contains_key(&config_key("api-brief")) {
        simulation.run_some(1);
    }
    // It sees what it did as long as it believes in it.
    while !simulation.walkers[1].sightings.is_empty() {
        simulation.run_some(1);
    }
    simulation.late_answers = false;
    simulation.run(60);
    assert!(!simulation.world.cluster.objects.contains_key(&config_key("api-brief")));
    simulation.laws.hold("an object of a release that was replaced");
}

#[test]
fn an_inventory_that_was_written_during_a_read_is_not_forgotten_for_an_older_one() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    push(&mut simulation, [0, 0, 1]);
    let inventory = hold(&mut simulation, 0, 2, |order| matches!(order, Order::WriteInventory(_)));
    simulation.run(6);
    simulation.world.cluster.unlabel(&secret_key("cart-own"));
    simulation.spread();
    // The log is read, the inventory is written, and what was read is heard last.
    let read = loop {
        simulation.run_some(1);
        let answers = &mut simulation.walkers[0].answers;
        let place = answers.iter().position(|(_, heard)| matches!(heard, Heard::Read(..)));
        if let Some(read) = place.and_then(|place| answers.remove(place)) {
            break read;
        }
    };
    simulation.walkers[0].pending.push_front(inventory);
    while !names_sequence(&simulation, 2) {
        simulation.run_some(1);
    }
    simulation.walkers[0].answers.push_back(read);
    while simulation.walkers[0].answers.iter().any(|(_, heard)| matches!(heard, Heard::Read(..))) {
        simulation.run_some(1);
    }
    let known = simulation.walkers[0].course.known(&unit(2)).map(|known| known.inventory.sequence);
    assert_eq!(known, Some(simulation.world.rooms[&unit(2)].inventory.sequence));
    simulation.run(30);
    simulation.laws.hold("an inventory written during a read");
}

#[test]
fn whatever_is_heard_when_a_unit_was_to_be_woken_it_wakes() {
    let mut simulation = units(1, 30);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(20);
    simulation.walkers[0].asleep = true;
    simulation.run(60);
    push(&mut simulation, [0, 0, 1]);
    // It wakes after all have soaked, and hears of the new tip first.
    simulation.walkers[0].asleep = false;
    simulation.run(20);
    let proven = |place| {
        let standing = simulation.world.replay.of_unit(&unit(place)).standing;
        standing.and_then(|standing| standing.outcome).map(|(phase, _)| phase)
    };
    assert_eq!([0, 1].map(proven), [Some(Phase::Proven), Some(Phase::Proven)]);
}

#[test]
fn what_was_being_looked_at_is_looked_at_for_the_release_that_comes_next() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    simulation.restart(0);
    // The list passes while nobody knows what stands of `cart`: its objects are looked at one by one.
    let recall = hold(&mut simulation, 0, 1, |order| matches!(order, Order::Recall));
    simulation.faults.insert(simulation.carried, Fault::Lost(Loss::Request));
    simulation.walkers[0].pending.push_front(recall);
    simulation.run_some(1);
    simulation.run_until(0, |order| matches!(order, Order::Look { .. }));
    let looks = [0; 3].map(|_| hold(&mut simulation, 0, 1, |order| matches!(order, Order::Look { .. })));
    push(&mut simulation, [0, 1, 0]);
    simulation.run(5);
    simulation.walkers[0].pending.extend(looks);
    simulation.run(30);
    let standing = simulation.world.replay.of_unit(&unit(1)).standing.expect("because it was opened");
    assert!(standing.sequence > 3, "the next release was opened");
    assert_eq!(standing.outcome.map(|(phase, _)| phase), Some(Phase::Proven));
}

#[test]
fn an_opening_at_an_older_tip_is_not_written_after_one_at_a_newer_tip() {
    let mut simulation = units(1, 0);
    push(&mut simulation, [0, 0, 0]);
    simulation.run(30);
    push(&mut simulation, [0, 1, 1]);
    let append = hold_of_all(&mut simulation, |order| matches!(order, Order::Append(_)));
    // `web` waits for the pen, then `api` does at a newer tip, and comes first.
    simulation.run(3);
    push(&mut simulation, [1, 1, 1]);
    simulation.run(3);
    simulation.walkers[0].pending.push_back(append);
    simulation.run(60);
    simulation.laws.hold("an opening at an older tip");
    assert!(simulation.is_quiet());
}

#[test]
fn nothing_is_claimed_while_an_object_that_could_not_be_read_waits_for_its_write() {
    let mut simulation = Simulation::new();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation.world.cluster.fates.insert(deployment_key("web"), Fate::Never);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:2")]);
    simulation.run(5);
    // A rival that knows no better applies what stood before: its metadata do not tell.
    let world = &mut simulation.world;
    let mut sets = world.archive.values().filter_map(|set| set.get(&config_key("settings")));
    let old = sets.find(|manifest| manifest.value["data"]["value"] == "1").cloned();
    world.cluster.apply(&old.expect("because it was opened"), true, world.now);
    simulation.spread();
    simulation.run_until(0, |order| matches!(order, Order::Look { .. }));
    simulation.faults.insert(simulation.carried, Fault::Lost(Loss::Request));
    let now = simulation.world.now;
    simulation.world.cluster.recover(&deployment_key("web"), now);
    simulation.spread();
    simulation.run(30);
    simulation.laws.hold("an object that could not be read");
    let last = simulation.world.replay.log().entries.last().and_then(|entry| entry.body.phase);
    assert_eq!(last, Some(Phase::Proven));
}
