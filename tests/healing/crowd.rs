//! Many small objects that need no controller, and others who disturb them at random.

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::{ControlPlane, eventually};
use crate::ground::{at, release, silent};
use crate::stage::Stage;
use std::time::{Duration, Instant};

/// A small generator: splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % count as u64).expect("because it is below a count")
    }
}

const PLURALS: [&str; 3] = ["configmaps", "secrets", "services"];

/// One of three kinds in turn.
fn manifest(number: usize) -> String {
    match number % 3 {
        0 => format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: item-{number}}}\ndata: {{value: ours, text: '{number}'}}\n"
        ),
        1 => format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: item-{number}}}\ndata: {{value: b3Vycw==, text: b3Vycw==}}\n"
        ),
        _ => format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: item-{number}, annotations: {{value: ours}}}}\nspec: {{clusterIP: \
             None, selector: {{app: item-{number}}}, ports: [{{name: a, port: 80}}, {{name: b, port: 81}}]}}\n"
        ),
    }
}

/// A release of so many objects.
pub(crate) fn crowd(plane: &'static ControlPlane, stem: &str, count: usize) -> Stage {
    let all: String = (0..count).map(|number| format!("---\n{}", manifest(number))).collect();
    release(plane, stem, "", &[&all])
}

/// What somebody does to one object.
#[derive(Debug, Clone)]
pub(crate) struct Disturbance {
    path: String,
    /// `None`: it is deleted.
    patch: Option<Value>,
}

impl Disturbance {
    /// An edit, or else a deletion, a lost label, or a change of what is not ours.
    pub(crate) fn of(namespace: &str, number: usize, random: &mut Random) -> Disturbance {
        let path = at(namespace, PLURALS[number % 3], &format!("item-{number}"));
        let value = random.below(1 << 40).to_string();
        let encoded = format!("{:024}", value.len());
        let patch = match random.below(10) {
            0 => None,
            1 => Some(json!({"metadata": {"labels": {"applyset.kubernetes.io/part-of": null}}})),
            2 => Some(json!({"metadata": {"labels": {"theirs": value}}})),
            _ if number % 3 == 2 => Some(json!({"metadata": {"annotations": {"value": value}}})),
            _ if number % 3 == 1 => Some(json!({"data": {"value": encoded}})),
            _ => Some(json!({"data": {"value": value}})),
        };
        Disturbance { path, patch }
    }

    /// Who disturbs what is away at this moment has done nothing.
    async fn play(self, client: kube::Client) {
        let (method, path) = match &self.patch {
            Some(_) => ("PATCH", format!("{}?fieldManager=kubectl-edit", self.path)),
            None => ("DELETE", self.path),
        };
        let body = self.patch.map(|patch| patch.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(&path);
        let request = request.header("content-type", "application/merge-patch+json").body(body);
        match client.request::<Value>(request.expect("because the path is valid")).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => panic!("cannot disturb `{path}`: {error}"),
        }
    }
}

/// Plays them, some at a time.
pub(crate) fn play(plane: &ControlPlane, disturbances: Vec<Disturbance>) {
    let client = plane.admin();
    let all = futures::stream::iter(disturbances).map(|one| one.play(client.clone()));
    plane.block_on(all.buffer_unordered(16).for_each(|()| async {}));
}

/// What is not as the release says.
fn wrong(plane: &ControlPlane, namespace: &str, count: usize) -> Vec<String> {
    let mut wrong: std::collections::BTreeSet<String> =
        (0..count).map(|number| format!("{}/item-{number}", PLURALS[number % 3])).collect();
    for plural in PLURALS {
        let selector = "labelSelector=applyset.kubernetes.io/part-of";
        let list = plane.get(&format!("/api/v1/namespaces/{namespace}/{plural}?{selector}"));
        for item in list.expect("because a list is never absent")["items"].as_array().into_iter().flatten() {
            let ours = match plural {
                "configmaps" => item["data"]["value"] == "ours",
                "secrets" => item["data"]["value"] == "b3Vycw==",
                _ => item["metadata"]["annotations"]["value"] == "ours",
            };
            if ours && item["metadata"]["deletionTimestamp"].is_null() {
                wrong.remove(&format!("{plural}/{}", item["metadata"]["name"].as_str().unwrap_or_default()));
            }
        }
    }
    wrong.into_iter().collect()
}

/// Waits until everything is as the release says, by the cluster and by the agent, and looks on for ten seconds: nothing
/// more is written. Says how long it took.
pub(crate) fn converges(stage: &Stage, agent: &Agent, namespace: &str, count: usize) -> Duration {
    let start = Instant::now();
    let mut last = Vec::new();
    while start.elapsed() < Duration::from_secs(120) {
        last = wrong(stage.plane, namespace, count);
        if last.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(last, Vec::<String>::new(), "not as the release says");
    let took = start.elapsed();
    agent.stands();
    eventually("nothing is drifted", || (agent.environment()["drift"]["objects"] == 0).then_some(()));
    silent(stage, Duration::from_secs(10));
    assert_eq!(wrong(stage.plane, namespace, count), Vec::<String>::new());
    let ran = stage.lockmaster(&["diff", "dev"]);
    assert_eq!(ran.code, Some(0), "live equals the release: {ran:?}");
    took
}

/// How long the heals took, in milliseconds: half of them, 99 of 100, and the longest.
pub(crate) fn latencies(agent: &Agent) -> String {
    let mut took: Vec<u64> = agent.heals("").iter().filter_map(|line| line["event_to_heal_ms"].as_u64()).collect();
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied();
    format!("{} heals, event to heal p50 {:?} p99 {:?} max {:?} ms", took.len(), at(50), at(99), took.last())
}
