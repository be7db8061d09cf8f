//! How live objects are judged, one fixture for each state of a kind: `fixtures/health/<kind>-<state>.yaml`.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use lockmaster::health::{Assessment, Health, assess};
use serde_json::{Value, json};

const STATES: &[(&str, Health)] = &[
    ("apiservice-available", Health::Healthy),
    ("apiservice-missing", Health::Progressing),
    ("canary-failed", Health::Failed),
    ("canary-promoting", Health::Progressing),
    ("canary-succeeded", Health::Healthy),
    ("capi-error", Health::Failed),
    ("capi-info", Health::Progressing),
    ("certificate-issuing", Health::Progressing),
    ("certificate-new", Health::Progressing),
    ("certificate-ready", Health::Healthy),
    ("claim-bound", Health::Healthy),
    ("claim-lost", Health::Failed),
    ("claim-pending", Health::Progressing),
    ("configmap-exists", Health::Healthy),
    ("crd-established", Health::Healthy),
    ("crd-installing", Health::Progressing),
    ("crd-names", Health::Failed),
    ("cronjob-healthy", Health::Healthy),
    ("cronjob-suspended", Health::Suspended),
    ("crossplane-not-synced", Health::Failed),
    ("crossplane-package-installing", Health::Progressing),
    ("crossplane-ready", Health::Healthy),
    ("custom-available", Health::Healthy),
    ("custom-not-ready", Health::Progressing),
    ("custom-ready", Health::Healthy),
    ("custom-status-text", Health::Unknown),
    ("custom-unreadable", Health::Unknown),
    ("daemonset-healthy", Health::Healthy),
    ("daemonset-not-ready", Health::Progressing),
    ("daemonset-uncounted", Health::Progressing),
    ("deployment-deadline", Health::Failed),
    ("deployment-healthy", Health::Healthy),
    ("deployment-new", Health::Progressing),
    ("deployment-not-available", Health::Progressing),
    ("deployment-old-pods", Health::Progressing),
    ("deployment-paused", Health::Suspended),
    ("deployment-rolling", Health::Progressing),
    ("deployment-terminating", Health::Progressing),
    ("deployment-unreadable", Health::Unknown),
    ("deployment-unseen", Health::Progressing),
    ("externalsecret-error", Health::Progressing),
    ("externalsecret-ready", Health::Healthy),
    ("flux-ready", Health::Healthy),
    ("flux-reconciling", Health::Progressing),
    ("flux-stalled", Health::Failed),
    ("flux-suspended", Health::Suspended),
    ("gateway-programmed", Health::Healthy),
    ("gateway-refs", Health::Failed),
    ("hpa-just-unable", Health::Progressing),
    ("hpa-no-metrics", Health::Healthy),
    ("hpa-selector", Health::Failed),
    ("hpa-unable", Health::Failed),
    ("ingress-no-address", Health::Healthy),
    ("job-complete", Health::Healthy),
    ("job-failed", Health::Failed),
    ("job-running", Health::Progressing),
    ("job-suspended", Health::Suspended),
    ("knative-failed", Health::Failed),
    ("knative-ready", Health::Healthy),
    ("namespace-active", Health::Healthy),
    ("namespace-terminating", Health::Progressing),
    ("pdb-seen", Health::Healthy),
    ("pdb-unseen", Health::Progressing),
    ("pod-crash-loop", Health::Failed),
    ("pod-failed", Health::Failed),
    ("pod-init-image", Health::Failed),
    ("pod-not-ready", Health::Progressing),
    ("pod-running", Health::Healthy),
    ("pod-scheduling", Health::Progressing),
    ("pod-succeeded", Health::Healthy),
    ("pod-unschedulable", Health::Failed),
    ("postgres-disk", Health::Failed),
    ("postgres-healthy", Health::Healthy),
    ("postgres-switchover", Health::Progressing),
    ("quota-exists", Health::Healthy),
    ("replicaset-failure", Health::Progressing),
    ("replicaset-healthy", Health::Healthy),
    ("rollout-degraded", Health::Failed),
    ("rollout-healthy", Health::Healthy),
    ("rollout-paused", Health::Suspended),
    ("rollout-progressing", Health::Progressing),
    ("rollout-strange", Health::Unknown),
    ("rollout-workload", Health::Progressing),
    ("route-accepted", Health::Healthy),
    ("route-refused", Health::Failed),
    ("route-stale", Health::Progressing),
    ("scaledobject-fallback", Health::Failed),
    ("scaledobject-paused", Health::Suspended),
    ("scaledobject-ready", Health::Healthy),
    ("service-address", Health::Healthy),
    ("service-no-address", Health::Progressing),
    ("service-plain", Health::Healthy),
    ("statefulset-healthy", Health::Healthy),
    ("statefulset-on-delete", Health::Healthy),
    ("statefulset-partition", Health::Healthy),
    ("statefulset-rolling", Health::Progressing),
];

fn at(text: &str) -> Timestamp {
    text.parse().expect("because it is a time of the test")
}

fn fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/health").join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).expect("because the table names fixtures");
    serde_saphyr::from_str(&text).expect("because a fixture is YAML")
}

#[test]
fn each_state_of_each_kind_is_judged_by_its_rule() {
    let now = at("2026-01-01T00:10:00Z");
    for (name, health) in STATES {
        let found = assess(&fixture(name), now, now);
        assert_eq!((found.health, found.assumed), (*health, false), "{name}: {}", found.message);
        assert_eq!(found.message.is_empty(), *health == Health::Healthy, "{name}: {}", found.message);
    }
}

#[test]
fn every_fixture_is_in_the_table() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/health");
    let files = std::fs::read_dir(directory).expect("because the fixtures are part of the source");
    let names = files.map(|file| file.expect("because it was just listed").path());
    let names: BTreeSet<String> = names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    assert_eq!(names, STATES.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn a_kind_that_never_answers_is_assumed_healthy_after_thirty_seconds() {
    let object = json!({ "apiVersion": "example.com/v1", "kind": "Cart", "metadata": { "generation": 1 } });
    let applied = at("2026-01-01T00:00:00Z");
    let early = assess(&object, applied, at("2026-01-01T00:00:29Z"));
    let expected = Assessment { health: Health::Progressing, message: "has no status yet".to_owned(), assumed: false };
    assert_eq!(early, expected);
    let late = assess(&object, applied, at("2026-01-01T00:00:30Z"));
    assert_eq!(late, Assessment { health: Health::Healthy, message: String::new(), assumed: true });
}

#[test]
fn what_is_not_there_is_missing() {
    let now = at("2026-01-01T00:00:00Z");
    assert_eq!(assess(&Value::Null, now, now).health, Health::Missing);
}
