//! Runs that a seed chooses, over all cores.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use lockmaster::manifest::ManifestSet;
use lockmaster::name::ObjectKey;
use lockmaster::plan::{self, Inventory};

use super::laws::standing_set;
use super::play::play;
use super::script::script;
use super::shrink::tell;
use super::simulation::Simulation;
use super::site::policy;
use super::story::Story;

/// How many seeds are tried: `COURSE_SEEDS`, or this many.
const SEEDS: u64 = 2000;

fn seeds() -> u64 {
    number("COURSE_SEEDS").unwrap_or(SEEDS)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// What a brake holds until a person says otherwise.
pub(crate) fn waiting(simulation: &Simulation) -> Vec<ObjectKey> {
    standing_set(&simulation.world).map(|set| held(&simulation.world.inventory, set)).unwrap_or_default()
}

/// The same, of one inventory.
pub(crate) fn held(inventory: &Inventory, set: &ManifestSet) -> Vec<ObjectKey> {
    let (free, waits) = plan::prunable(inventory, |key| set.get(key).is_some(), &policy(), None);
    let doomed = inventory.members.iter().filter(|(_, member)| member.doomed).map(|(key, _)| key.clone());
    if waits.is_empty() { Vec::new() } else { doomed.filter(|key| !free.contains(key)).collect() }
}

/// What a seed breaks first. A panic is a law broken as well.
fn broken(seed: u64) -> Option<(&'static str, String)> {
    if std::env::var_os("COURSE_UNITS").is_some() && seed % 4 != 3 {
        return None;
    }
    let played = std::panic::catch_unwind(|| play(&script(seed), Story::default()).broken);
    played.unwrap_or_else(|_| Some(("no panic", format!("seed {seed}"))))
}

fn on_every_core(work: impl Fn() + Copy + Send + Sync) {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
}

/// Plays seeds on every core, and returns the first seed of each law that breaks, with how many seeds break it.
pub(crate) fn search(seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, (u64, u64)> {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(BTreeMap::new());
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end {
            return;
        }
        if let Some((law, _)) = broken(seed) {
            let mut found = found.lock().expect("because nobody panics with it");
            let (first, count) = found.entry(law).or_insert((seed, 0));
            (*first, *count) = (seed.min(*first), *count + 1);
        }
    };
    on_every_core(work);
    found.into_inner().expect("because nobody panics with it")
}

/// The story of what a seed breaks, if it breaks anything.
fn story(seed: u64, wanted: Option<&str>) -> Option<String> {
    let (law, _) = broken(seed)?;
    let wanted = wanted.is_none_or(|wanted| wanted == law);
    let again = format!("again: COURSE_SEED={seed} cargo test --test course no_seed");
    wanted.then(|| tell(script(seed), law, &again))
}

/// The first seed that is seen to break a law, from one on and around.
fn hunt(law: &str, from: u64, seeds: u64) -> Option<u64> {
    let next = AtomicU64::new(0);
    let found = Mutex::new(None);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds || found.lock().expect("because nobody panics with it").is_some() {
            return;
        }
        let seed = (from + seed) % seeds;
        if broken(seed).is_some_and(|(broken, _)| broken == law) {
            found.lock().expect("because nobody panics with it").get_or_insert(seed);
        }
    };
    on_every_core(work);
    found.into_inner().expect("because nobody panics with it")
}

#[test]
#[ignore = "for planted bugs: hunts for COURSE_LAW"]
fn some_seed_breaks_the_law() {
    let law = std::env::var("COURSE_LAW").unwrap_or_default();
    let seed = hunt(&law, number("COURSE_FROM").unwrap_or(0), seeds());
    println!("\nfound by seed {}", seed.expect("because a bug is planted that breaks it"));
}

#[test]
fn no_seed_breaks_a_law() {
    if let Some(seed) = number("COURSE_SEED") {
        if std::env::var_os("COURSE_WHOLE").is_some() {
            println!("{}", play(&script(seed), Story::told()).story.numbered());
        }
        let story = story(seed, None);
        assert!(story.is_none(), "{}", story.unwrap_or_default());
        return;
    }
    let from = number("COURSE_FROM").unwrap_or(0);
    let found = search(from..from + seeds());
    let told = found.iter().map(|(law, (seed, count))| {
        let story = story(*seed, Some(law)).unwrap_or_default();
        format!("{count} seeds break a law, the first of them {seed}: {story}")
    });
    let told: Vec<String> = told.collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
