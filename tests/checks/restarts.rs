//! Restarts of the containers of a release.

use std::collections::BTreeSet;

use lockmaster::edge::cluster::{Access, Cluster};
use lockmaster::health::check::{Container, Probe, Reading, Run, Verdict};
use lockmaster::name::ObjectKey;
use serde_json::{Value, json};

use crate::control_plane::{AGENT, ControlPlane, eventually};
use crate::{at, check};

fn connect(plane: &ControlPlane, user: &str) -> Cluster {
    let access = Access { kubeconfig: Some(plane.kubeconfig(user)), context: None };
    plane.block_on(Cluster::connect(&access)).expect("because the harness wrote the file")
}

fn deployment(plane: &ControlPlane, namespace: &str, name: &str, tag: &str, replicas: usize) -> ObjectKey {
    let template = json!({"metadata": {"labels": {"app": name}},
                          "spec": {"containers": [{"name": "main", "image": format!("registry.example/web:{tag}")}]}});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template},
    });
    plane.create(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), &object);
    key("apps", "Deployment", namespace, name)
}

fn key(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectKey {
    let (group, kind, name) = (group.to_owned(), kind.to_owned(), name.to_owned());
    ObjectKey { group, kind, namespace: Some(namespace.to_owned()), name }
}

fn look(plane: &ControlPlane, release: &[&ObjectKey]) -> Vec<Container> {
    let release: BTreeSet<ObjectKey> = release.iter().copied().cloned().collect();
    match plane.block_on(connect(plane, AGENT).restarts(&release)) {
        Reading::Containers(containers) => containers,
        reading => panic!("{reading:?}"),
    }
}

/// Looks until so many containers are there, each with so many restarts.
fn settled(plane: &ControlPlane, release: &[&ObjectKey], count: usize, restarts: u64) -> Vec<Container> {
    eventually("the pods are there", || {
        let containers = look(plane, release);
        let same = containers.len() == count && containers.iter().all(|container| container.restarts == restarts);
        same.then_some(containers)
    })
}

pub(crate) fn of_the_release(plane: &'static ControlPlane) {
    let (namespace, other) = (plane.namespace("checks"), plane.namespace("checks"));
    let web = deployment(plane, &namespace, "web", "1", 2);
    let crash = deployment(plane, &namespace, "crash", "crash", 1);
    let elsewhere = deployment(plane, &other, "web", "crash", 1);
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": namespace},
                      "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]}});
    plane.create(&format!("/api/v1/namespaces/{namespace}/pods"), &bare);
    let pod = key("", "Pod", &namespace, "bare");
    settled(plane, &[&web], 2, 0);
    settled(plane, &[&crash], 1, 5);
    settled(plane, &[&elsewhere], 1, 5);
    settled(plane, &[&pod], 1, 0);
    settled(plane, &[&web, &pod], 3, 0);
    assert_eq!(look(plane, &[&key("apps", "Deployment", &namespace, "absent")]), Vec::new());
    assert_eq!(look(plane, &[&key("apps", "StatefulSet", &namespace, "web")]), Vec::new());
    assert_eq!(look(plane, &[]), Vec::new());
}

pub(crate) fn later(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let crash = deployment(plane, &namespace, "crash", "crash", 1);
    let web = deployment(plane, &namespace, "web", "1", 1);
    let old = settled(plane, &[&crash], 1, 5);
    settled(plane, &[&web], 1, 0);
    let mut run = Run::new(check(Probe::Restarts { max: 1 }), at(0));
    run.file(&Reading::Containers(old), at(0));
    assert_eq!(run.verdict(at(0)), Verdict::Passed, "what restarted before the check is no fault of the release");

    let forever = lockmaster::health::check::Check { good: 100, ..check(Probe::Restarts { max: 1 }) };
    let mut run = Run::new(forever, at(0));
    run.file(&Reading::Containers(look(plane, &[&web])), at(0));
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    for restarts in [1, 2] {
        restart(plane, &pods, restarts);
        run.file(&Reading::Containers(look(plane, &[&web])), at(10));
        let failed = matches!(run.verdict(at(10)), Verdict::Failed { .. });
        assert_eq!(failed, restarts == 2, "{}", run.value());
    }
}

/// Says in the status of the pod of `web` that its container restarted so often.
fn restart(plane: &ControlPlane, pods: &str, restarts: u64) {
    let list = plane.get(pods).expect("because it is a list");
    let pods_of = list["items"].as_array().into_iter().flatten();
    let is_web = |pod: &&Value| pod["metadata"]["labels"]["app"] == "web";
    let pod = pods_of.into_iter().find(is_web).expect("because it runs");
    let mut statuses = pod["status"]["containerStatuses"].clone();
    statuses[0]["restartCount"] = json!(restarts);
    let name = pod["metadata"]["name"].as_str().expect("because it has a name");
    plane.patch(&format!("{pods}/{name}/status"), &json!({"status": {"containerStatuses": statuses}}));
}

/// A page has a hundred.
pub(crate) fn pages(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let web = deployment(plane, &namespace, "web", "1", 120);
    settled(plane, &[&web], 120, 0);
}

pub(crate) fn forbidden(plane: &'static ControlPlane) {
    let namespace = plane.namespace("checks");
    let release = BTreeSet::from([key("apps", "Deployment", &namespace, "web")]);
    let user = plane.spare_user();
    match plane.block_on(connect(plane, &user).restarts(&release)) {
        Reading::Unknown(reason) => assert!(reason.contains("list") && reason.contains("pods"), "{reason}"),
        reading => panic!("{reading:?}"),
    }
}
