//! What others may do: nothing is written for it.

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::{ControlPlane, eventually};
use crate::ground::{SERVICE, SETTINGS, STORE, WEB, at, edit, named, reads, release, writes};
use crate::stage::Stage;

const SCALED: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: scaled}
spec:
  selector: {matchLabels: {app: scaled}}
  template:
    metadata: {labels: {app: scaled}}
    spec: {containers: [{name: web, image: 'registry.example/web:1'}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: scaled}
spec:
  minReplicas: 1
  maxReplicas: 9
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: scaled}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
";

const JOB: &str = "apiVersion: batch/v1
kind: Job
metadata: {name: once, annotations: {note: ours}}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: once, image: 'registry.example/once:1'}]}}
";

/// Lets the agent see everything so far: an edit of a further object of each kind is healed, and nothing else is.
fn only_these_are_healed(agent: &Agent, stage: &Stage, namespace: &str, markers: &[(&str, &str, &str)]) {
    for (plural, _, name) in markers {
        edit(stage.plane, &at(namespace, plural, name), &json!({"metadata": {"annotations": {"note": "theirs"}}}));
    }
    let mut expected = Vec::new();
    for (plural, kind, name) in markers {
        agent.next("drift-healed", &format!("{namespace} {kind}/{name}"));
        expected.push(format!("PATCH {}", at(namespace, plural, name)));
    }
    let mut written = writes(stage);
    written.sort();
    expected.sort();
    assert_eq!(written, expected);
    assert_eq!(agent.untold(), Vec::<Value>::new());
}

pub(crate) fn what_others_own(plane: &'static ControlPlane) {
    let markers = [
        ("deployments", "Deployment", "marker"),
        ("services", "Service", "marker"),
        ("configmaps", "ConfigMap", "marker"),
        ("secrets", "Secret", "marker"),
    ];
    let copies = [WEB, SERVICE, SETTINGS].map(|text| named(text, "marker"));
    let store = STORE.replace("name: store", "name: marker");
    let files = [WEB, SERVICE, SETTINGS, STORE, &copies[0], &copies[1], &copies[2], &store];
    let stage = release(plane, "calm", "", &files);
    let agent = Agent::standing(&stage);
    stage.proxy.forget();
    let own = [("deployments", "web"), ("services", "web"), ("configmaps", "settings"), ("secrets", "store")];
    for (plural, name) in own {
        let marks = json!({"labels": {"team": "checkout"}, "annotations": {"example.com/seen": "yes"}});
        edit(plane, &at("calm", plural, name), &json!({"metadata": marks}));
    }
    let deployment = at("calm", "deployments", "web");
    for time in ["2026-03-11T09:12:44Z", "2026-03-11T09:12:45Z"] {
        let restarted = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": time}}});
        edit(plane, &deployment, &json!({"spec": {"template": restarted}}));
    }
    edit(plane, &deployment, &json!({"spec": {"minReadySeconds": 1}}));
    edit(plane, &at("calm", "configmaps", "settings"), &json!({"data": {"shape": "round"}}));
    edit(plane, &at("calm", "secrets", "store"), &json!({"data": {"token": "eA=="}}));
    for number in 0..20 {
        let condition = json!([{"type": "Example", "status": "True", "message": number.to_string()}]);
        edit(plane, &format!("{deployment}/status"), &json!({"status": {"conditions": condition}}));
    }
    eventually("it is rolled out", || {
        let live = plane.get(&deployment)?;
        let status = &live["status"];
        let seen = status["observedGeneration"] == live["metadata"]["generation"];
        (seen && status["updatedReplicas"] == 2 && status["readyReplicas"] == 2).then_some(())
    });
    only_these_are_healed(&agent, &stage, "calm", &markers);
    let whole = |path: &String| path.contains("/deployments/") || path.contains("/services/");
    let asked: Vec<String> = reads(&stage, "calm").into_iter().filter(whole).collect();
    assert_eq!(asked, Vec::<String>::new(), "what a watch shows whole needs no request");
    let live = plane.get(&deployment).expect("because it is there");
    assert_eq!(live["spec"]["minReadySeconds"], 1, "what others own stays theirs");
    let settings = plane.get(&at("calm", "configmaps", "settings")).expect("because it is there");
    assert_eq!(settings["data"]["shape"], "round");
}

pub(crate) fn scaling_and_finished_jobs(plane: &'static ControlPlane) {
    let keeper = JOB.replace("name: once,", "name: keeper,");
    let marker = named(WEB, "marker");
    let stage = release(plane, "scales", "", &[SCALED, JOB, &keeper, &marker]);
    let agent = Agent::standing(&stage);
    stage.proxy.forget();
    let scaled = at("scales", "deployments", "scaled");
    edit(plane, &format!("{scaled}/scale"), &json!({"spec": {"replicas": 4}}));
    let job = at("scales", "jobs", "once");
    let done = plane.get(&job).expect("because it was proven")["status"]["succeeded"].clone();
    assert_eq!(done, 1, "a release with a Job is proven when that has ended");
    plane.delete(&format!("{job}?propagationPolicy=Background"));
    eventually("the Job is gone", || plane.get(&job).is_none().then_some(()));
    let markers = [("deployments", "Deployment", "marker"), ("jobs", "Job", "keeper")];
    only_these_are_healed(&agent, &stage, "scales", &markers);
    assert_eq!(plane.get(&scaled).expect("because it is there")["spec"]["replicas"], 4);
    assert_eq!(plane.get(&job), None, "a finished Job may go");
    agent.stop();
    let agent = Agent::standing(&stage);
    stage.proxy.forget();
    only_these_are_healed(&agent, &stage, "scales", &markers[..1]);
    assert_eq!(plane.get(&job), None, "nor does it come back with a restart");
}
