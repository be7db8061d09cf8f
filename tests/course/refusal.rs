//! Candidates that do not get in, and a journal that takes nothing.

use jiff::SignedDuration;
use lockmaster::deploylog::Action;
use lockmaster::name::{Code, CommitId};

use super::shop::{config, config_key, deployment};
use super::simulation::Simulation;

fn refusals(simulation: &Simulation) -> Vec<(CommitId, Vec<Code>)> {
    let entries = simulation.world.replay.log().entries.iter();
    let refused = entries.filter(|entry| matches!(entry.body.action, Action::Refuse | Action::Wait));
    let said = refused.filter_map(|entry| {
        let codes = entry.body.reasons.iter().map(|reason| reason.code).collect();
        Some((entry.body.commit.as_ref()?.id.clone(), codes))
    });
    said.collect()
}

fn proven() -> Simulation {
    let mut simulation = Simulation::new();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.run(30);
    simulation
}

#[test]
fn a_refusal_is_journalled_once_and_nothing_is_written() {
    let mut simulation = proven();
    let applies = simulation.laws.applies.len();
    let unsigned = simulation.world.push_unsigned(&[config("settings", "2")]);
    simulation.run(3600);
    simulation.restart(0);
    simulation.run(3600);
    assert_eq!(refusals(&simulation), [(unsigned, vec![Code::UnsignedCommit])]);
    assert_eq!(simulation.laws.applies.len(), applies);
    simulation.converge(&[]);
    simulation.laws.hold("refused");
}

#[test]
fn two_refused_candidates_that_alternate_are_journalled_once_each() {
    let mut simulation = proven();
    let accepted = simulation.world.tip.clone();
    let one = simulation.world.push_unsigned(&[config("settings", "2")]);
    simulation.world.tip = accepted;
    let two = simulation.world.push_unsigned(&[config("settings", "3")]);
    for _ in 0..3 {
        for tip in [&one, &two] {
            simulation.world.tip = Some(tip.clone());
            simulation.run(10);
        }
    }
    let said: Vec<CommitId> = refusals(&simulation).into_iter().map(|(commit, _)| commit).collect();
    assert_eq!(said, [one, two]);
    simulation.converge(&[]);
    simulation.laws.hold("alternating");
}

#[test]
fn a_rewound_tip_opens_nothing_and_the_accepted_head_clears_it() {
    let mut simulation = Simulation::new();
    let first = simulation.world.push(&[config("settings", "1")]);
    simulation.run(30);
    let second = simulation.world.push(&[config("settings", "2")]);
    simulation.run(30);
    simulation.world.tip = Some(first.clone());
    simulation.run(600);
    assert_eq!(refusals(&simulation), [(first, vec![Code::RefRewound])]);
    assert_eq!(simulation.world.replay.log().accepted.as_ref().map(|a| a.id.clone()), Some(second.clone()));
    simulation.world.tip = Some(second);
    simulation.converge(&[]);
    simulation.laws.hold("rewound");
    assert_eq!(refusals(&simulation).len(), 1);
}

#[test]
fn a_tip_with_the_inputs_of_what_stands_opens_nothing() {
    let mut simulation = proven();
    let entries = simulation.world.replay.log().entries.len();
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.converge(&[]);
    simulation.laws.hold("unchanged");
    assert_eq!(simulation.world.replay.log().entries.len(), entries);
}

#[test]
fn an_unwritable_journal_lets_nothing_be_applied_and_is_tried_again_with_back_off() {
    let mut simulation = Simulation::new();
    simulation.world.writable = false;
    simulation.world.push(&[config("settings", "1")]);
    simulation.run(600);
    assert_eq!(simulation.laws.applies, []);
    assert!(simulation.carried < 60, "{} orders in ten minutes", simulation.carried);
    simulation.world.writable = true;
    simulation.converge(&[]);
    simulation.laws.hold("unwritable");
    assert!(simulation.world.cluster.objects.contains_key(&config_key("settings")));
}

#[test]
fn a_journal_that_swallows_every_append_is_tried_again_with_back_off() {
    let mut simulation = proven();
    simulation.world.swallows = true;
    simulation.world.push(&[config("settings", "2")]);
    let carried = simulation.carried;
    simulation.run(600);
    assert!(simulation.carried - carried < 80, "{} orders in ten minutes", simulation.carried - carried);
    simulation.world.swallows = false;
    simulation.converge(&[]);
    simulation.laws.hold("swallowed");
}

#[test]
fn entries_that_lapse_because_the_clock_is_behind_are_tried_again_with_back_off() {
    let mut simulation = proven();
    let entries = simulation.world.entries();
    simulation.walkers[0].skew = SignedDuration::from_secs(-120);
    simulation.world.push(&[config("settings", "2"), deployment("web", "w:1")]);
    simulation.run(600);
    let lapsed = simulation.world.entries() - entries;
    assert!((3..20).contains(&lapsed), "{lapsed} entries in ten minutes");
    simulation.restart(0);
    simulation.converge(&[]);
    simulation.laws.hold("lapsed");
    assert_eq!(simulation.world.replay.log().accepted.as_ref().map(|a| a.id.clone()), simulation.world.tip);
}
