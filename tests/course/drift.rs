//! Ever after: what drifts is found by sight, named, healed with one write, and told; nothing is asked while nothing happens.

use std::collections::BTreeSet;

use lockmaster::course::{Loss, News};
use lockmaster::deploylog::{Action, Phase};
use lockmaster::name::{Code, ObjectKey};
use lockmaster::plan::OnDrift;
use serde_json::{Value, json};

use super::cluster::Fate;
use super::random::Random;
use super::shop::{config, config_key, deployment, deployment_key};
use super::simulation::Simulation;

const REPLICAS: &str = "/spec/replicas";

/// A release that is proven, and silence.
fn proven(objects: &[Value]) -> Simulation {
    let mut simulation = Simulation::new();
    simulation.world.push(objects);
    simulation.run(60);
    assert!(simulation.is_quiet(), "{:?}", simulation.walkers[0].course.rest());
    simulation.laws.applies.clear();
    simulation.issued = 0;
    simulation
}

fn shop() -> Simulation {
    proven(&[config("settings", "1"), deployment("web", "w:1"), deployment("api", "a:1")])
}

fn edit(simulation: &mut Simulation, key: &ObjectKey, pointer: &str, value: Value) {
    simulation.world.cluster.edit(key, pointer, value);
    simulation.spread();
}

fn applied(simulation: &Simulation) -> Vec<String> {
    simulation.laws.applies.iter().map(|(key, _)| key.to_string()).collect()
}

fn told(simulation: &mut Simulation) -> Vec<News> {
    std::mem::take(&mut simulation.world.told).into_iter().map(|(_, news)| news).collect()
}

fn summaries(simulation: &Simulation) -> Vec<Vec<String>> {
    let entries = simulation.world.replay.log().entries.iter().filter(|entry| entry.body.action == Action::Heal);
    entries.map(|entry| entry.body.reasons.iter().map(|reason| reason.message.clone()).collect()).collect()
}

#[test]
fn a_changed_field_is_healed_at_once_by_one_apply_and_told_with_field_manager_and_values() {
    let mut simulation = shop();
    edit(&mut simulation, &deployment_key("web"), REPLICAS, json!(9));
    simulation.run(1);
    assert_eq!(applied(&simulation), ["shop Deployment/web"]);
    let [News::Healed { telling, took }] = &told(&mut simulation)[..] else { panic!("one heal is told") };
    let [field] = &telling.drift.fields[..] else { panic!("{:?}", telling.drift.fields) };
    let found = (field.path.as_str(), field.from.clone(), field.to.clone(), telling.requests);
    assert_eq!(found, ("spec.replicas", Some(json!(9)), Some(json!(1)), 1));
    assert_eq!(telling.drift.by.as_ref().map(|by| by.manager.as_str()), Some("kubectl-edit"));
    assert!(took.is_zero(), "the first heal waits for nothing");
    simulation.converge(&[]);
    simulation.laws.hold("an edit");
}

#[test]
fn an_object_of_which_only_metadata_is_watched_is_healed_as_well() {
    let mut simulation = shop();
    edit(&mut simulation, &config_key("settings"), "/data/value", json!("other"));
    simulation.run(1);
    assert_eq!(applied(&simulation), ["shop ConfigMap/settings"]);
    simulation.converge(&[]);
    simulation.laws.hold("an edit of data");
}

#[test]
fn what_is_deleted_or_loses_our_label_is_written_again() {
    let ways = [
        (super::cluster::Cluster::remove as fn(&mut _, &_), Loss::Deleted),
        (super::cluster::Cluster::unlabel, Loss::Unlabelled),
    ];
    for (lose, loss) in ways {
        let mut simulation = shop();
        for key in [deployment_key("web"), config_key("settings")] {
            lose(&mut simulation.world.cluster, &key);
        }
        simulation.spread();
        simulation.run(1);
        let applied: BTreeSet<String> = applied(&simulation).into_iter().collect();
        assert_eq!(applied, BTreeSet::from(["shop ConfigMap/settings".into(), "shop Deployment/web".into()]));
        simulation.run(30);
        let told = told(&mut simulation);
        assert!(
            told.iter().all(|news| matches!(news, News::Healed { telling, .. } if telling.loss == Some(loss))),
            "{told:?}"
        );
        simulation.converge(&[]);
        simulation.laws.hold("a loss");
    }
}

#[test]
fn a_change_that_is_nobodys_wish_is_answered_with_silence() {
    let mut simulation = shop();
    for _ in 0..100 {
        simulation.world.cluster.touch(&deployment_key("web"));
        simulation.spread();
        simulation.run(1);
    }
    assert_eq!(simulation.issued, 0, "not even a read");
}

#[test]
fn metadata_that_cannot_tell_is_read_whole_once_and_then_it_is_silent() {
    let mut simulation = shop();
    simulation.world.cluster.touch(&config_key("settings"));
    simulation.spread();
    simulation.run(10);
    assert_eq!((simulation.issued, applied(&simulation).len()), (1, 0), "one read, no write");
    assert_eq!(told(&mut simulation), []);
}

#[test]
fn drift_is_only_told_where_that_is_asked_and_ends_when_somebody_undoes_it() {
    for (on_drift, tells) in [(OnDrift::Report, 2), (OnDrift::Pause, 0)] {
        let mut simulation = Simulation::new();
        simulation.set_on_drift(on_drift);
        simulation.world.push(&[deployment("web", "w:1"), deployment("api", "a:1")]);
        simulation.run(60);
        simulation.laws.applies.clear();
        edit(&mut simulation, &deployment_key("web"), REPLICAS, json!(9));
        simulation.world.cluster.remove(&deployment_key("api"));
        simulation.spread();
        simulation.run(600);
        assert_eq!(applied(&simulation), [""; 0], "{on_drift:?}");
        assert_eq!(told(&mut simulation).len(), tells, "{on_drift:?}");
        let overview = simulation.walkers[0].overview().expect("because the log is read");
        assert_eq!(overview.drifts.found.len(), 2);
        edit(&mut simulation, &deployment_key("web"), REPLICAS, json!(1));
        simulation.run(1);
        let overview = simulation.walkers[0].overview().expect("because the log is read");
        assert_eq!(overview.drifts.found.keys().collect::<Vec<_>>(), [&deployment_key("api")]);
    }
}

#[test]
fn a_fight_is_named_left_alone_for_longer_and_longer_and_over_when_the_other_gives_in() {
    let mut simulation = shop();
    let web = deployment_key("web");
    simulation.world.cluster.opponents.insert(web.clone(), (REPLICAS, json!(9)));
    edit(&mut simulation, &web, REPLICAS, json!(9));
    simulation.run(60);
    assert_eq!(applied(&simulation).len(), 5, "five heals, then it is a fight");
    let fights = |news: &News| match news {
        News::Fighting { telling, .. } => telling.drift.by.as_ref().map(|by| by.manager.clone()),
        _ => None,
    };
    let news = told(&mut simulation);
    assert_eq!(news.iter().filter_map(fights).collect::<Vec<_>>(), ["kubectl-edit"], "named once");
    let overview = simulation.walkers[0].overview().expect("because the log is read");
    assert_eq!(overview.drifts.fighting, 1);
    assert_eq!(overview.troubles.iter().map(|reason| reason.code).collect::<Vec<_>>(), [Code::DriftFighting]);
    simulation.run(3600);
    assert!(applied(&simulation).len() <= 10, "heals of an hour: {}", applied(&simulation).len());
    assert_eq!(told(&mut simulation).iter().filter_map(fights).count(), 0, "and not told again");
    simulation.world.cluster.opponents.clear();
    simulation.run(3 * 3600);
    assert!(simulation.world.cluster.objects[&web].edits.is_empty(), "healed at the next try");
    let peace = told(&mut simulation).iter().filter(|news| matches!(news, News::Peace(key) if *key == web)).count();
    assert_eq!(peace, 1);
    simulation.converge(&[]);
    simulation.laws.hold("a fight");
}

#[test]
fn random_fights_end_within_their_budget_of_heals() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut simulation = shop();
        let names = ["web", "api"];
        let mut edits = 0;
        for _ in 0..60 {
            let key = deployment_key(names[random.below(2)]);
            match random.below(4) {
                0 => drop(simulation.world.cluster.opponents.insert(key, (REPLICAS, json!(9)))),
                1 => drop(simulation.world.cluster.opponents.remove(&key)),
                _ => {
                    edits += 1;
                    edit(&mut simulation, &key, REPLICAS, json!(random.below(5)));
                }
            }
            simulation.run([1, 3, 20, 200][random.below(4)]);
        }
        let healed = applied(&simulation).len();
        assert!(healed <= edits + 2 * 40, "seed {seed}: {healed} heals of {edits} edits");
        simulation.world.cluster.opponents.clear();
        simulation.run(3 * 3600);
        simulation.converge(&[]);
        simulation.laws.hold(&format!("fights of seed {seed}"));
    }
}

#[test]
fn heals_are_summed_up_in_one_entry_at_the_end_of_the_hour() {
    let mut simulation = shop();
    for _ in 0..3 {
        edit(&mut simulation, &deployment_key("web"), REPLICAS, json!(9));
        simulation.run(100);
    }
    edit(&mut simulation, &deployment_key("api"), REPLICAS, json!(2));
    simulation.run(60);
    assert_eq!(summaries(&simulation).len(), 0, "not before the hour is over");
    simulation.run(3600);
    let expected = vec![
        "4 heals".to_owned(),
        "`shop Deployment/web` spec.replicas, by `kubectl-edit`, 3 times".to_owned(),
        "`shop Deployment/api` spec.replicas, by `kubectl-edit`".to_owned(),
    ];
    assert_eq!(summaries(&simulation), [expected]);
    simulation.run(8000);
    assert_eq!(summaries(&simulation).len(), 1, "an hour without heals has no entry");
}

#[test]
fn a_restart_knows_what_it_was_and_heals_only_what_changed_meanwhile() {
    let mut simulation = shop();
    simulation.restart(0);
    simulation.run(60);
    assert_eq!(applied(&simulation), [""; 0], "nothing changed: nothing is written");
    edit(&mut simulation, &deployment_key("web"), REPLICAS, json!(9));
    simulation.restart(0);
    simulation.world.cluster.remove(&config_key("settings"));
    simulation.run(60);
    let applied: BTreeSet<String> = applied(&simulation).into_iter().collect();
    assert_eq!(applied, BTreeSet::from(["shop ConfigMap/settings".into(), "shop Deployment/web".into()]));
    assert_eq!(told(&mut simulation).len(), 2, "both are told");
    simulation.converge(&[]);
    simulation.laws.hold("a restart");
}

#[test]
fn an_edit_while_our_write_is_on_its_way_is_not_lost() {
    let mut simulation = shop();
    let web = deployment_key("web");
    for late_answers in [false, true] {
        simulation.late_answers = late_answers;
        edit(&mut simulation, &web, REPLICAS, json!(9));
        simulation.run_some(2);
        edit(&mut simulation, &web, REPLICAS, json!(7));
        simulation.run(300);
        assert!(simulation.world.cluster.objects[&web].edits.is_empty());
    }
    simulation.converge(&[]);
    simulation.laws.hold("a race");
}

/// Any log of events, with drops (the list that follows a drop shows all), duplicates and reorderings, ends as a fresh
/// list would (apply-drift.md §6, property 7).
#[test]
fn whatever_a_watch_leaves_out_repeats_or_lists_again_ends_as_a_fresh_list_would() {
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut simulation = shop();
        simulation.random = Some(Random::new(seed ^ 0xd1f7));
        simulation.unrest = 3;
        for _ in 0..30 {
            let key = deployment_key(["web", "api"][random.below(2)]);
            match random.below(7) {
                0 => simulation.world.cluster.remove(&key),
                1 => simulation.world.cluster.unlabel(&key),
                2 => simulation.world.cluster.edit(
                    &config_key("settings"),
                    "/data/value",
                    json!(random.below(3).to_string()),
                ),
                3 => simulation.world.cluster.touch(&key),
                4 => simulation.relist(0),
                _ => simulation.world.cluster.edit(&key, REPLICAS, json!(random.below(4))),
            }
            simulation.spread();
            if random.chance(50) {
                simulation.run_some(random.below(12));
            } else {
                simulation.run([1, 30, 200][random.below(3)]);
            }
        }
        simulation.calm();
        simulation.run(2 * 3600);
        simulation.converge(&[]);
        let edited: Vec<_> =
            simulation.world.cluster.objects.iter().filter(|(_, body)| !body.edits.is_empty()).collect();
        assert!(edited.is_empty(), "seed {seed}: {edited:?}");
        simulation.laws.hold(&format!("drift of seed {seed}"));
    }
}

#[test]
fn ten_thousand_objects_whose_status_churns_cost_no_request() {
    let objects: Vec<Value> = (0..10_000).map(|number| deployment(&format!("d{number}"), "d:1")).collect();
    let mut simulation = Simulation::new();
    for number in 0..10_000 {
        simulation.world.cluster.fates.insert(deployment_key(&format!("d{number}")), Fate::AtOnce);
    }
    simulation.steps_at_once = 1_000_000;
    simulation.laws.asleep = true;
    simulation.world.push(&objects);
    simulation.run(60);
    assert!(simulation.is_quiet(), "{:?}", simulation.walkers[0].course.progress());
    simulation.issued = 0;
    for number in (0..10_000).step_by(7) {
        simulation.world.cluster.touch(&deployment_key(&format!("d{number}")));
    }
    simulation.spread();
    simulation.run(3600);
    assert_eq!(simulation.issued, 0);
}

#[test]
fn objects_of_a_kind_that_may_not_be_watched_are_read_once_and_keep_no_release_from_its_proof() {
    let mut simulation = shop();
    simulation.unwatchable.insert(config_key("settings").group_kind());
    simulation.world.cluster.edit(&config_key("settings"), "/data/value", json!("other"));
    simulation.restart(0);
    simulation.run(60);
    assert_eq!(applied(&simulation), ["shop ConfigMap/settings"], "what changed while no agent ran is healed");
    simulation.world.push(&[config("settings", "1"), deployment("web", "w:2"), deployment("api", "a:1")]);
    simulation.run(60);
    let standing = simulation.world.replay.log().standing.clone().expect("because something was opened");
    assert!(matches!(standing.outcome, Some((Phase::Proven, _))), "{standing:?}");
    simulation.converge(&[]);
    simulation.laws.hold("a kind that may not be watched");
}

#[test]
fn what_was_deleted_and_made_again_is_pruned_by_its_new_uid() {
    let mut simulation = proven(&[config("settings", "1"), deployment("web", "w:1")]);
    simulation.world.cluster.remove(&deployment_key("web"));
    simulation.spread();
    simulation.run(3);
    assert!(simulation.world.cluster.objects.contains_key(&deployment_key("web")), "it is made again");
    simulation.world.push(&[config("settings", "1")]);
    simulation.converge(&[]);
    simulation.laws.hold("new uid");
}
