//! Checks that run as Jobs.

use lockmaster::edge::cluster::{Access, Cluster};
use lockmaster::health::check::{Check, JobProbe, Probe, Reading, Run, Verdict, job};
use lockmaster::name::UnitName;
use serde_json::{Value, json};

use crate::control_plane::{AGENT, ControlPlane, eventually};
use crate::{at, check};

fn agent(plane: &ControlPlane) -> Cluster {
    let access = Access { kubeconfig: Some(plane.kubeconfig(AGENT)), context: None };
    plane.block_on(Cluster::connect(&access)).expect("because the harness wrote the file")
}

/// A check, and its Job for the opening 7.
fn job_of(image: &str, namespace: &str) -> (Check, Value) {
    let parsed = "because it is a name";
    let probe =
        JobProbe { image: image.to_owned(), command: vec![], args: vec!["-v".to_owned()], service_account: None };
    let check = check(Probe::Job(probe.clone()));
    let (pipeline, environment) = ("shop".parse().expect(parsed), "dev".parse().expect(parsed));
    let unit = UnitName::whole();
    let place = job::Place { pipeline: &pipeline, environment: &environment, unit: &unit, namespace, opening: 7 };
    let manifest = job::manifest(&check, &probe, &place);
    (check, manifest)
}

/// Looks until there is a verdict.
fn judge(plane: &ControlPlane, cluster: &Cluster, check: Check, manifest: &Value) -> (Verdict, String) {
    let mut run = Run::new(check, at(0));
    eventually("the job has a verdict", || {
        run.file(&plane.block_on(cluster.check_job(manifest, at(0))), at(0));
        let verdict = run.verdict(at(0));
        (verdict != Verdict::Pending).then(|| (verdict, run.value()))
    })
}

fn jobs(plane: &ControlPlane, namespace: &str) -> Vec<Value> {
    let list = plane.get(&format!("/apis/batch/v1/namespaces/{namespace}/jobs")).expect("because it is a list");
    list["items"].as_array().expect("because it is a list").clone()
}

pub(crate) fn completes(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let (check, manifest) = job_of("registry.example/migrate:1", &namespace);
    let (verdict, seen) = judge(plane, &agent(plane), check.clone(), &manifest);
    assert_eq!((verdict, seen.as_str()), (Verdict::Passed, "the job has completed"));
    // An agent that starts anew finds the same run.
    let (again, _) = judge(plane, &agent(plane), check, &manifest);
    assert_eq!(again, Verdict::Passed);
    let [live] = jobs(plane, &namespace).try_into().expect("because it ran once");
    assert_eq!(live["metadata"]["name"], "check-look-7");
    assert_eq!(live["metadata"]["labels"]["applyset.kubernetes.io/part-of"], Value::Null);
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["args"], json!(["-v"]));
    plane.block_on(agent(plane).remove_check_job(&manifest)).expect("because it may be removed");
    eventually("the job is gone", || jobs(plane, &namespace).is_empty().then_some(()));
    plane.block_on(agent(plane).remove_check_job(&manifest)).expect("because what is gone is removed");
}

pub(crate) fn fails(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let (check, manifest) = job_of("registry.example/migrate:crash", &namespace);
    let (verdict, seen) = judge(plane, &agent(plane), check, &manifest);
    assert!(matches!(verdict, Verdict::Failed { rolls_back: true, .. }), "{verdict:?}");
    assert!(seen.starts_with("the job has failed, BackoffLimitExceeded"), "{seen}");
}

pub(crate) fn foreign(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let (_, manifest) = job_of("registry.example/migrate:1", &namespace);
    let path = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let mut other = manifest.clone();
    other["metadata"]["annotations"][job::OPENING] = json!("6");
    plane.create(&path, &other);
    let complete = || {
        let live = plane.get(&format!("{path}/check-look-7"))?;
        live["status"]["succeeded"].as_u64().filter(|done| *done == 1)
    };
    eventually("the other job has completed", complete);
    let reading = plane.block_on(agent(plane).check_job(&manifest, at(0)));
    assert!(matches!(&reading, Reading::Unknown(reason) if reason.contains("no run of this check")), "{reading:?}");
    plane.block_on(agent(plane).remove_check_job(&manifest)).expect("because nothing is to be done");
    assert_eq!(jobs(plane, &namespace).len(), 1);
}

pub(crate) fn nowhere(plane: &'static ControlPlane) {
    let (_, manifest) = job_of("registry.example/migrate:1", "there-is-no-such-namespace");
    let reading = plane.block_on(agent(plane).check_job(&manifest, at(0)));
    assert!(matches!(&reading, Reading::Unknown(_)), "{reading:?}");
}

pub(crate) fn refused(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let (_, mut manifest) = job_of("registry.example/migrate:1", &namespace);
    manifest["spec"]["template"]["spec"]["restartPolicy"] = json!("Sometimes");
    let reading = plane.block_on(agent(plane).check_job(&manifest, at(0)));
    assert!(matches!(&reading, Reading::Unknown(_)), "{reading:?}");
}
