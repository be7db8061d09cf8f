//! The agent's metrics as Prometheus text.
//!
//! One handle, cheap to clone; one method for each thing that happens. Labels come from the configuration or from fixed
//! lists, and are typed, so that nobody can misspell one or put a commit, an object or a message into it.

mod series;
mod text;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::health::Health;
use crate::name::{Code, PipelineName};

use series::{EnvironmentAnd, Series};

pub use series::EnvironmentLabels;
pub use words::{Applied, GitOperation, State, Step, Walked};

/// The metrics. Clones share the same series.
#[derive(Debug, Clone)]
pub struct Exposition {
    series: Arc<Series>,
    registry: Arc<Registry>,
}

/// How an environment stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFacts {
    /// As `status` shows it.
    pub state: State,
    /// Of the standing release.
    pub health: Health,
    /// How many objects of the standing release are of this health; none of those that are left out.
    pub objects: BTreeMap<Health, usize>,
    /// Commits of the candidate that the standing release has not.
    pub behind: usize,
    /// Objects that differ from the standing release.
    pub drift: usize,
    /// Objects whose healing is paused because another manager keeps changing them.
    pub fighting: usize,
    /// The newest sequence of the log; `None` where there is no entry yet, and then there is no such series.
    pub sequence: Option<u64>,
    /// Entries that are not in Git yet.
    pub unpublished: usize,
}

/// Why a watch was begun anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchRestart {
    /// Its resource version was too old (410).
    Expired,
    /// It failed for this reason.
    Failed(Code),
}

impl Default for Exposition {
    fn default() -> Self {
        let series = Series::default();
        let registry = Arc::new(series.registry());
        Exposition { series: Arc::new(series), registry }
    }
}

impl Exposition {
    /// Everything as Prometheus text, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let encoded = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        encoded.expect("because writing into a string does not fail");
        text::from_open_metrics(&text)
    }

    /// Says how an environment stands now; its counters that stand at zero are shown from then on.
    pub fn set_environment(&self, environment: &EnvironmentLabels, facts: &EnvironmentFacts) {
        let series = &self.series;
        for state in State::ALL {
            let here = i64::from(*state == facts.state);
            series.environment_state.get_or_create(&word(environment, "state", state.as_str())).set(here);
        }
        for health in Health::ALL {
            let labels = word(environment, "health", health.as_str());
            series.environment_health.get_or_create(&labels).set(i64::from(health == facts.health));
            let objects = facts.objects.get(&health).copied().unwrap_or(0);
            series.environment_objects.get_or_create(&labels).set(whole(objects));
        }
        for (gauge, value) in self.plain_gauges().into_iter().zip([
            Some(whole(facts.behind)),
            Some(whole(facts.drift)),
            Some(whole(facts.fighting)),
            facts.sequence.map(whole),
            Some(whole(facts.unpublished)),
        ]) {
            match value {
                Some(value) => drop(gauge.get_or_create(environment).set(value)),
                None => drop(gauge.remove(environment)),
            }
        }
        for counter in [&series.drift_detected, &series.drift_healed, &series.pruned] {
            count(counter, environment, 0);
        }
    }

    /// Takes back how an environment stands, because it is not configured any more; what was counted stays.
    pub fn forget(&self, environment: &EnvironmentLabels) {
        for state in State::ALL {
            self.series.environment_state.remove(&word(environment, "state", state.as_str()));
        }
        for health in Health::ALL {
            let labels = word(environment, "health", health.as_str());
            self.series.environment_health.remove(&labels);
            self.series.environment_objects.remove(&labels);
        }
        for gauge in self.plain_gauges() {
            gauge.remove(environment);
        }
    }

    fn plain_gauges(&self) -> [&Family<EnvironmentLabels, Gauge>; 5] {
        let series = &self.series;
        [
            &series.environment_behind_commits,
            &series.drift_objects,
            &series.drift_fighting_objects,
            &series.log_sequence,
            &series.log_unpublished_entries,
        ]
    }

    /// A walk of a candidate ended.
    pub fn walked(&self, environment: &EnvironmentLabels, outcome: Walked) {
        count(&self.series.walks, &word(environment, "outcome", outcome.as_str()), 1);
    }

    /// A candidate was refused for this reason.
    pub fn refused(&self, environment: &EnvironmentLabels, code: Code) {
        count(&self.series.refusals, &word(environment, "code", code.as_str()), 1);
    }

    /// A step of the walk took this long.
    pub fn step(&self, environment: &EnvironmentLabels, step: Step, took: Duration) {
        let labels = word(environment, "step", step.as_str());
        self.series.walk_step_seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The steps of a walk took these milliseconds; what is no name of a step is left out.
    pub fn steps(&self, environment: &EnvironmentLabels, durations_ms: &BTreeMap<String, u64>) {
        for step in Step::ALL {
            if let Some(took) = durations_ms.get(step.as_str()) {
                self.step(environment, *step, Duration::from_millis(*took));
            }
        }
    }

    /// The release of a commit became healthy this long after the commit was pushed.
    pub fn became_healthy(&self, environment: &EnvironmentLabels, took: Duration) {
        self.series.push_to_healthy_seconds.get_or_create(environment).observe(took.as_secs_f64());
    }

    /// An object was seen to differ from the standing release.
    pub fn drift_detected(&self, environment: &EnvironmentLabels) {
        count(&self.series.drift_detected, environment, 1);
    }

    /// An object was brought back to the standing release this long after it was seen to differ.
    pub fn drift_healed(&self, environment: &EnvironmentLabels, took: Duration) {
        count(&self.series.drift_healed, environment, 1);
        self.series.drift_heal_seconds.get_or_create(environment).observe(took.as_secs_f64());
    }

    /// The apply of one object was answered, or was not.
    pub fn applied(&self, environment: &EnvironmentLabels, outcome: Applied) {
        count(&self.series.applies, &word(environment, "outcome", outcome.as_str()), 1);
    }

    /// An object was seen gone after its prune.
    pub fn pruned(&self, environment: &EnvironmentLabels) {
        count(&self.series.pruned, environment, 1);
    }

    /// The repository was asked; the result is `ok`, or the code of the failure.
    pub fn git_request(&self, operation: GitOperation, result: Result<(), Code>) {
        let result = result.map_or_else(Code::as_str, |()| "ok");
        count(&self.series.git_requests, &[("operation", operation.as_str()), ("result", result)], 1);
    }

    /// The repository of a pipeline answered at this time.
    pub fn git_contacted(&self, pipeline: &PipelineName, at: Timestamp) {
        let labels = [("pipeline", pipeline.clone())];
        self.series.git_last_contact_timestamp_seconds.get_or_create(&labels).set(at.as_duration().as_secs_f64());
    }

    /// The API server was asked this many times more; verb and class are words of fixed lists, as the cluster's edge
    /// counts them.
    pub fn cluster_requests(&self, verb: &'static str, code_class: &'static str, more: u64) {
        count(&self.series.cluster_requests, &[("verb", verb), ("code_class", code_class)], more);
    }

    /// A watch was begun anew.
    pub fn watch_restarted(&self, reason: WatchRestart) {
        let reason = match reason {
            WatchRestart::Expired => "expired",
            WatchRestart::Failed(code) => code.as_str(),
        };
        count(&self.series.watch_restarts, &[("reason", reason)], 1);
    }
}

fn word(environment: &EnvironmentLabels, label: &'static str, word: &'static str) -> EnvironmentAnd {
    (environment.clone(), [(label, word)])
}

fn count<L: Clone + std::hash::Hash + Eq>(counters: &Family<L, Counter>, labels: &L, more: u64) {
    counters.get_or_create(labels).inc_by(more);
}

fn whole(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
