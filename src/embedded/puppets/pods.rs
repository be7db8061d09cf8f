//! Pods, as a kubelet reports them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Play, show};
use crate::embedded::request::now;
use crate::embedded::state::State;
use crate::embedded::store::Key;

/// How long a `:slow` pod runs before it is ready.
pub(super) const SLOW: Duration = Duration::from_secs(3);

/// What a container plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ready,
    Slow,
    Crash,
    PullError,
    Done,
    Failed,
}

impl Play {
    pub(super) fn pod(&mut self, state: &mut State, key: &Key, pod: &Value) {
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) || is_ready(pod) {
            self.since.remove(&uid);
            return;
        }
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        let roles: Vec<(Value, Role)> = containers
            .map(|container| (container.clone(), role(container["image"].as_str().unwrap_or_default(), ends(pod))))
            .collect();
        let since = *self.since.entry(uid).or_insert_with(Instant::now);
        let slow = roles.iter().any(|(_, role)| *role == Role::Slow);
        let ripe = !slow || Instant::now() >= since + SLOW;
        if !ripe {
            self.look_again(key, since + SLOW);
        }
        let started = pod["status"]["startTime"].as_str().map_or_else(now, str::to_owned);
        show(state, key, pod, status(&roles, ripe, &started));
    }
}

/// Whether a pod says that it is ready.
pub(super) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn ends(pod: &Value) -> bool {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.into_iter().any(|owner| owner["kind"] == "Job")
}

fn role(image: &str, ends: bool) -> Role {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    match (tag, ends) {
        ("pullerror", _) => Role::PullError,
        ("crash", true) => Role::Failed,
        ("crash", false) => Role::Crash,
        (_, true) => Role::Done,
        ("slow", false) => Role::Slow,
        (_, false) => Role::Ready,
    }
}

fn status(roles: &[(Value, Role)], ripe: bool, started: &str) -> Value {
    let has = |role| roles.iter().any(|(_, played)| *played == role);
    let (phase, ready) = if has(Role::Failed) {
        ("Failed", false)
    } else if has(Role::PullError) {
        ("Pending", false)
    } else if has(Role::Done) {
        ("Succeeded", false)
    } else {
        ("Running", ripe && !has(Role::Crash))
    };
    let containers: Vec<Value> = roles
        .iter()
        .map(|(container, role)| {
            let runs = matches!(role, Role::Ready) || *role == Role::Slow && ripe;
            let restarts = u32::from(*role == Role::Crash) * 5;
            json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": runs,
                   "started": runs, "restartCount": restarts, "state": doing(*role, started)})
        })
        .collect();
    let condition = |kind: &str, truth: bool| json!({"type": kind, "status": if truth { "True" } else { "False" }, "lastTransitionTime": started});
    let conditions = [
        condition("PodScheduled", true),
        condition("Initialized", true),
        condition("ContainersReady", ready),
        condition("Ready", ready),
    ];
    json!({"phase": phase, "startTime": started, "podIP": "192.0.2.2", "conditions": conditions,
           "containerStatuses": containers})
}

fn doing(role: Role, started: &str) -> Value {
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let ended = |code: u8, reason: &str| json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": started}});
    match role {
        Role::Ready | Role::Slow => json!({"running": {"startedAt": started}}),
        Role::Crash => waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container"),
        Role::PullError => waiting("ImagePullBackOff", "Back-off pulling image"),
        Role::Done => ended(0, "Completed"),
        Role::Failed => ended(1, "Error"),
    }
}
