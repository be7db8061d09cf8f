//! Drift is what the server says: after each of thousands of random writes, the verdict on an object is that of a dry run
//! of a forced apply.
//!
//! `LOCKMASTER_DRIFT_WRITES` sets how many (10000), `LOCKMASTER_DRIFT_SEED` repeats the writes of an earlier run.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod life;
mod objects;
mod rows;
mod writes;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use control_plane::{AGENT, ControlPlane, Parts, Test};
use futures::future::join_all;
use life::Life;
use lockmaster::edge::cluster::{Access, Cluster};
use writes::Dice;

/// Objects that are written at once; each has its writes one after another.
const LANES: usize = 16;
/// How often each manifest is applied, under names of its own.
const COPIES: usize = 2;
/// Wrong verdicts that are shown.
const SHOWN: usize = 8;

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("known_writes_are_told_as_the_server_tells_them", rows::known_writes),
        ("a_verdict_after_any_write_is_that_of_a_dry_run_of_a_forced_apply", thousands_of_writes),
    ];
    control_plane::run_on(Parts::Server, tests)
}

/// What happened so far.
#[derive(Debug, Default)]
struct Tally {
    counts: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn assert_right(&self, context: &str) {
        for wrong in self.wrong.iter().take(SHOWN) {
            println!("\n{wrong}");
        }
        assert!(self.wrong.is_empty(), "{} wrong, {context}", self.wrong.len());
    }
}

/// What all lanes share.
struct Ground {
    cluster: Cluster,
    client: kube::Client,
    left: Cell<usize>,
    names: Cell<usize>,
    tally: RefCell<Tally>,
}

impl Ground {
    async fn new(plane: &ControlPlane, writes: u64) -> Self {
        let access = Access { kubeconfig: Some(plane.kubeconfig(AGENT)), context: None };
        Ground {
            cluster: Cluster::connect(&access).await.expect("because the harness wrote the file"),
            client: plane.admin(),
            left: Cell::new(usize::try_from(writes).expect("because it fits")),
            names: Cell::new(0),
            tally: RefCell::default(),
        }
    }

    fn count(&self, what: impl Into<String>) {
        *self.tally.borrow_mut().counts.entry(what.into()).or_default() += 1;
    }

    fn wrong(&self, what: String) {
        self.count("WRONG");
        self.tally.borrow_mut().wrong.push(what);
    }

    /// Takes one of the writes that are left to do.
    fn take(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0
    }

    fn name(&self, stem: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{stem}-{}", self.names.get())
    }
}

fn number(variable: &str, usual: impl FnOnce() -> u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or_else(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn thousands_of_writes(plane: &'static ControlPlane) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("because it is past 1970").as_secs();
    let seed = number("LOCKMASTER_DRIFT_SEED", now);
    let writes = number("LOCKMASTER_DRIFT_WRITES", || 10_000);
    println!("seed {seed}, {writes} writes");
    objects::define_widget(plane);
    let namespace = plane.namespace("drift");
    let manifests = objects::manifests(&namespace);
    let start = Instant::now();
    let tally = plane.block_on(async {
        let ground = Ground::new(plane, writes).await;
        let copies: Vec<_> = (0..COPIES).flat_map(|_| &manifests).collect();
        join_all((0..LANES).map(|lane| {
            let mine: Vec<_> = copies.iter().skip(lane).step_by(LANES).copied().collect();
            let dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(lane as u64));
            walk(&ground, mine, dice)
        }))
        .await;
        ground.tally.into_inner()
    });
    for (what, count) in &tally.counts {
        println!("{count:>7}  {what}");
    }
    println!("{:>7}  seconds", start.elapsed().as_secs());
    tally.assert_right(&format!("seed {seed}"));
    let of = |what: &str| tally.counts.get(what).copied().unwrap_or_default() as u64;
    assert!(of("write: done") > writes / 3, "too few writes were taken by the server to mean anything");
    assert!(of("truth: the dry run fails") <= 1 + writes / 1000, "too often the server itself cannot say");
    assert!(of("same: proven") > writes / 20, "too few objects were proven to be as applied");
    assert!(of("verdict: drift") > writes / 20 && of("verdict: same") > writes / 20, "too few of one verdict");
}

async fn walk(ground: &Ground, manifests: Vec<&lockmaster::manifest::Manifest>, mut dice: Dice) {
    let mut lives = Vec::new();
    for manifest in manifests {
        lives.push(Life::begin(ground, manifest).await);
    }
    for turn in 0.. {
        if !ground.take() {
            return;
        }
        let at = turn % lives.len();
        lives[at].step(ground, &mut dice).await;
    }
}
