//! Faults of the cluster: whatever happens, it ends as the release says, and then nothing more is written.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::control_plane::proxy::{Moment, Reply, Verdict};
use crate::control_plane::{ControlPlane, Parts};
use crate::crowd::{Disturbance, Random, converges, crowd, latencies, play};
use crate::ground::{lasts, silent};

/// A number of seconds that the caller may give.
pub(crate) fn seconds(variable: &str, default: u64) -> Duration {
    let given = std::env::var(variable).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(default))
}

fn disturbances(namespace: &str, count: usize, times: usize, random: &mut Random) -> Vec<Disturbance> {
    (0..times).map(|_| Disturbance::of(namespace, random.below(count), random)).collect()
}

/// On a control plane of its own, because the others need theirs.
pub(crate) fn an_outage(_: &'static ControlPlane) {
    let plane: &'static ControlPlane = Box::leak(Box::new(ControlPlane::start(Parts::Server)));
    let (stage, random) = (crowd(plane, "outage", 30), &mut Random::new(1));
    let agent = Agent::standing(&stage);
    plane.kill_server();
    agent.next("watch-failed", "");
    lasts(&stage, seconds("LOCKMASTER_OUTAGE", 10), || {});
    // What changes at its end the agent sees only afterwards, from a store that has forgotten what was before.
    stage.proxy.judge(|_, _| Verdict::Cut);
    plane.start_server();
    play(plane, disturbances("outage", 30, 20, random));
    plane.compact();
    stage.proxy.judge(|_, _| Verdict::Pass);
    play(plane, disturbances("outage", 30, 20, random));
    let took = converges(&stage, &agent, "outage", 30);
    // However long it was: nobody waits for the watches much longer than for the server.
    assert!(took < Duration::from_secs(20), "converged only after {took:?}");
    eprintln!("outage: converged after {took:?}; {}", latencies(&agent));
    agent.stop();
}

pub(crate) fn broken_watches(plane: &'static ControlPlane) {
    let stage = crowd(plane, "broken", 30);
    let breaks = Mutex::new((Random::new(2), [0_usize; 2]));
    let broken: &'static Mutex<(Random, [usize; 2])> = Box::leak(Box::new(breaks));
    let agent = Agent::standing(&stage);
    agent.stop();
    stage.proxy.judge(move |call, moment| {
        if !call.query.contains("watch=true") {
            return Verdict::Pass;
        }
        let mut broken = broken.lock().expect("because nobody panics here");
        match moment {
            Moment::Before if broken.0.below(4) == 0 => {
                broken.1[0] += 1;
                Verdict::Answer(Reply::gone_in_a_watch())
            }
            Moment::Before => Verdict::Pass,
            Moment::After(_) => {
                broken.1[1] += 1;
                Verdict::CutAfter(1 + broken.0.below(4000))
            }
        }
    });
    let (agent, random) = (Agent::standing(&stage), &mut Random::new(3));
    for _ in 0..20 {
        play(plane, disturbances("broken", 30, 4, random));
        lasts(&stage, Duration::from_millis(500), || {});
    }
    stage.proxy.judge(|_, _| Verdict::Pass);
    let took = converges(&stage, &agent, "broken", 30);
    let [gone, cut] = broken.lock().expect("because nobody panics here").1;
    eprintln!("{gone} watches told 410 and {cut} cut: converged after {took:?}; {}", latencies(&agent));
    assert!(gone >= 3 && cut >= 5, "watches were broken: {gone} by 410, {cut} cut");
    agent.stop();
}

pub(crate) fn a_burst(plane: &'static ControlPlane) {
    let (stage, random) = (crowd(plane, "burst", 300), &mut Random::new(4));
    let agent = Agent::standing(&stage);
    let start = Instant::now();
    play(plane, disturbances("burst", 300, 1000, random));
    let lasted = start.elapsed();
    let took = converges(&stage, &agent, "burst", 300);
    eprintln!("1000 disturbances in {lasted:?}: converged {took:?} after the last; {}", latencies(&agent));
    agent.stop();
}

/// Between two disturbances of the soak: each of its 300 objects is left alone for a minute and more.
const PAUSE: Duration = Duration::from_millis(220);

pub(crate) fn a_soak(plane: &'static ControlPlane) {
    let (stage, random) = (crowd(plane, "soak", 300), &mut Random::new(5));
    let agent = Agent::standing(&stage);
    let (start, time) = (Instant::now(), seconds("LOCKMASTER_SOAK", if plane.api().is_some() { 10 } else { 20 }));
    let (mut early, mut next) = (None, 0);
    lasts(&stage, time, || {
        // Each object in turn, each seldom enough: one that is changed again and again is a fight, left alone for minutes.
        if start.elapsed() >= PAUSE * u32::try_from(next).expect("because a test ends before that") {
            play(plane, vec![Disturbance::of("soak", next % 300, random)]);
            next += 1;
        }
        if early.is_none() && start.elapsed() > time / 5 {
            early = Some(agent.resident());
        }
    });
    converges(&stage, &agent, "soak", 300);
    let (early, late) = (early.expect("because a fifth has passed"), agent.resident());
    eprintln!("soak of {time:?}, {next} disturbances: {early} KiB, then {late} KiB; {}", latencies(&agent));
    assert!(late * 10 <= early * 11, "{early} KiB after the first fifth, {late} KiB at the end");
    silent(&stage, Duration::from_secs(2));
    agent.stop();
}
