//! Every series: its name, its labels, what it means.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::name::{EnvironmentName, PipelineName};

/// Seconds of a step of the walk: from a lookup to a long settle.
const STEP: [f64; 13] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];
/// Seconds from a push until all is healthy: from one small object to a day of soaking.
const RELEASE: [f64; 13] = [1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 86_400.0];
/// Seconds of a heal: the budget is 0.25.
const HEAL: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The labels of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EnvironmentLabels {
    pipeline: PipelineName,
    environment: EnvironmentName,
}

impl EnvironmentLabels {
    /// The labels of this environment.
    #[must_use]
    pub fn new(pipeline: &PipelineName, environment: &EnvironmentName) -> Self {
        EnvironmentLabels { pipeline: pipeline.clone(), environment: environment.clone() }
    }
}

impl EncodeLabelValue for PipelineName {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

impl EncodeLabelValue for EnvironmentName {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.as_str().encode(encoder)
    }
}

/// Labels out of fixed lists.
pub(super) type Words<const N: usize> = [(&'static str, &'static str); N];
/// An environment and one word.
pub(super) type EnvironmentAnd = (EnvironmentLabels, Words<1>);
/// Whole seconds and parts of them since 1970.
pub(super) type Seconds = Gauge<f64, AtomicU64>;
type Timed<L> = Family<L, Histogram, fn() -> Histogram>;

/// The series. Their labels are those of the metrics reference, and nothing a stranger can choose is among them: no
/// commit, digest, object, principal, URL or message.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) environment_state: Family<EnvironmentAnd, Gauge>,
    pub(super) environment_health: Family<EnvironmentAnd, Gauge>,
    pub(super) environment_objects: Family<EnvironmentAnd, Gauge>,
    pub(super) environment_behind_commits: Family<EnvironmentLabels, Gauge>,
    pub(super) drift_objects: Family<EnvironmentLabels, Gauge>,
    pub(super) drift_fighting_objects: Family<EnvironmentLabels, Gauge>,
    pub(super) log_sequence: Family<EnvironmentLabels, Gauge>,
    pub(super) log_unpublished_entries: Family<EnvironmentLabels, Gauge>,
    pub(super) git_last_contact_timestamp_seconds: Family<[(&'static str, PipelineName); 1], Seconds>,
    pub(super) walks: Family<EnvironmentAnd, Counter>,
    pub(super) refusals: Family<EnvironmentAnd, Counter>,
    pub(super) drift_detected: Family<EnvironmentLabels, Counter>,
    pub(super) drift_healed: Family<EnvironmentLabels, Counter>,
    pub(super) applies: Family<EnvironmentAnd, Counter>,
    pub(super) pruned: Family<EnvironmentLabels, Counter>,
    pub(super) git_requests: Family<Words<2>, Counter>,
    pub(super) cluster_requests: Family<Words<2>, Counter>,
    pub(super) watch_restarts: Family<Words<1>, Counter>,
    pub(super) walk_step_seconds: Timed<EnvironmentAnd>,
    pub(super) push_to_healthy_seconds: Timed<EnvironmentLabels>,
    pub(super) drift_heal_seconds: Timed<EnvironmentLabels>,
}

impl Default for Series {
    fn default() -> Self {
        Series {
            environment_state: Family::default(),
            environment_health: Family::default(),
            environment_objects: Family::default(),
            environment_behind_commits: Family::default(),
            drift_objects: Family::default(),
            drift_fighting_objects: Family::default(),
            log_sequence: Family::default(),
            log_unpublished_entries: Family::default(),
            git_last_contact_timestamp_seconds: Family::default(),
            walks: Family::default(),
            refusals: Family::default(),
            drift_detected: Family::default(),
            drift_healed: Family::default(),
            applies: Family::default(),
            pruned: Family::default(),
            git_requests: Family::default(),
            cluster_requests: Family::default(),
            watch_restarts: Family::default(),
            walk_step_seconds: Family::new_with_constructor(|| Histogram::new(STEP)),
            push_to_healthy_seconds: Family::new_with_constructor(|| Histogram::new(RELEASE)),
            drift_heal_seconds: Family::new_with_constructor(|| Histogram::new(HEAL)),
        }
    }
}

impl Series {
    /// All series under their names; the client library appends `_total` to the names of counters.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("lockmaster");
        let build = Family::<Words<1>, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "Which version runs", build);
        self.register_gauges(&mut Registrar(&mut registry));
        self.register_counters(&mut Registrar(&mut registry));
        self.register_histograms(&mut Registrar(&mut registry));
        registry
    }

    fn register_gauges(&self, to: &mut Registrar<'_>) {
        to.add("environment_state", "1 for the state that the environment is in", &self.environment_state);
        to.add("environment_health", "1 for the health of the standing release", &self.environment_health);
        to.add("environment_objects", "Objects of the standing release by health", &self.environment_objects);
        let behind = "Commits of the candidate that the standing release has not";
        to.add("environment_behind_commits", behind, &self.environment_behind_commits);
        to.add("drift_objects", "Objects that differ from the standing release now", &self.drift_objects);
        let fighting = "Objects that are no longer healed because another manager keeps changing them";
        to.add("drift_fighting_objects", fighting, &self.drift_fighting_objects);
        to.add("log_sequence", "The newest sequence of the deployment log", &self.log_sequence);
        let unpublished = "Entries of the deployment log that are not in Git yet";
        to.add("log_unpublished_entries", unpublished, &self.log_unpublished_entries);
        let contact = "When the repository last answered";
        to.add("git_last_contact_timestamp_seconds", contact, &self.git_last_contact_timestamp_seconds);
    }

    fn register_counters(&self, to: &mut Registrar<'_>) {
        to.add("walks", "Walks of candidates by outcome", &self.walks);
        to.add("refusals", "Candidates that were refused by reason code", &self.refusals);
        to.add("drift_detected", "Objects that were seen to differ from the standing release", &self.drift_detected);
        to.add("drift_healed", "Objects that were brought back to the standing release", &self.drift_healed);
        to.add("applies", "Applies of one object by outcome", &self.applies);
        to.add("pruned", "Objects that were deleted because the release no longer names them", &self.pruned);
        to.add("git_requests", "Requests to the repository by result", &self.git_requests);
        to.add("cluster_requests", "Requests to the API server by class of its answer", &self.cluster_requests);
        to.add("watch_restarts", "Watches that ended and were begun anew", &self.watch_restarts);
    }

    fn register_histograms(&self, to: &mut Registrar<'_>) {
        to.add("walk_step_seconds", "How long a step of the walk took", &self.walk_step_seconds);
        let release = "From the push of a commit until its release was healthy";
        to.add("push_to_healthy_seconds", release, &self.push_to_healthy_seconds);
        to.add("drift_heal_seconds", "From seeing drift until it was healed", &self.drift_heal_seconds);
    }
}

/// Where series are registered.
struct Registrar<'a>(&'a mut Registry);

impl Registrar<'_> {
    fn add(&mut self, name: &str, help: &str, metric: &(impl Metric + Clone)) {
        self.0.register(name, help, metric.clone());
    }
}
