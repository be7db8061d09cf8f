//! Jobs: their pods end at once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Play, condition, controlled, controller, counts, fresh, make, pod_of, show};
use crate::embedded::request::now;
use crate::embedded::state::State;
use crate::embedded::store::Key;

impl Play {
    pub(super) fn job(&mut self, state: &mut State, key: &Key, job: &Value) {
        let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
        let ended = conditions.into_iter().any(|condition| {
            condition["status"] == "True" && matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
        });
        if ended {
            return self.clean_up(state, key, job);
        }
        if job["spec"]["suspend"] == true {
            let suspended = condition(job, "Suspended", true, "JobSuspended", "Job suspended");
            return show(state, key, job, json!({"conditions": [suspended]}));
        }
        let wanted = job["spec"]["completions"].as_u64().or(job["spec"]["parallelism"].as_u64()).unwrap_or(1);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let pods = controlled(state, job, "pods");
        let phase = |wanted: &str| pods.iter().filter(|(_, pod)| pod["status"]["phase"] == wanted).count();
        let (succeeded, failed) = (phase("Succeeded"), phase("Failed"));
        let started = job["status"]["startTime"].as_str().map_or_else(now, str::to_owned);
        let mut status = json!({"startTime": started, "uncountedTerminatedPods": {}, "ready": 0, "terminating": 0});
        let conditions = if failed > 0 {
            let message = "Job has reached the specified backoff limit";
            ["FailureTarget", "Failed"].map(|kind| condition(job, kind, true, "BackoffLimitExceeded", message)).to_vec()
        } else if succeeded >= wanted {
            status["completionTime"] = json!(now());
            let message = "Reached expected number of succeeded pods";
            let kinds = ["SuccessCriteriaMet", "Complete"];
            kinds.map(|kind| condition(job, kind, true, "CompletionsReached", message)).to_vec()
        } else {
            for _ in pods.len()..wanted {
                make(state, job, "pods", pod_of(&job["spec"]["template"], fresh(&key.name), &[]));
            }
            Vec::new()
        };
        let active = if conditions.is_empty() { wanted - succeeded } else { 0 };
        counts(&mut status, &[("active", active), ("succeeded", succeeded), ("failed", failed)]);
        if !conditions.is_empty() {
            status["conditions"] = json!(conditions);
        }
        show(state, key, job, status);
    }

    /// Deletes a Job that ended when its time is over.
    fn clean_up(&mut self, state: &mut State, key: &Key, job: &Value) {
        let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_u64() else { return };
        let uid = job["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let end = *self.since.entry(uid).or_insert_with(Instant::now) + Duration::from_secs(seconds);
        if Instant::now() >= end {
            state.doom(key, &controller());
        } else {
            self.look_again(key, end);
        }
    }
}
