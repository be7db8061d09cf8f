//! What the puppets play.

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Test, eventually};
use crate::{deployment, deployments};

pub(crate) const TESTS: &[Test] = &[
    ("a_deployment_gets_its_pods_and_is_available", deploys),
    ("a_new_template_replaces_the_pods_when_the_new_ones_are_ready", rolls),
    ("a_crashing_image_is_never_ready_and_late_in_the_end", crashes),
    ("a_slow_image_is_ready_after_a_while", slow),
    ("a_pod_that_is_deleted_comes_again", comes_again),
    ("a_stateful_set_numbers_its_pods_and_claims_their_volumes", stateful),
    ("a_daemon_set_has_one_pod_for_the_one_node", daemons),
    ("a_job_ends_well_or_not_by_its_image", jobs),
    ("each_template_of_a_deployment_has_its_revision", revisions),
];

fn read(plane: &ControlPlane, path: &str) -> Value {
    plane.get(path).expect("because it is there")
}

/// The pods of a namespace, by name: whether each is ready, and its image.
fn pods(plane: &ControlPlane, namespace: &str) -> Vec<(String, bool, String)> {
    let list = read(plane, &format!("/api/v1/namespaces/{namespace}/pods"));
    let pods = list["items"].as_array().into_iter().flatten();
    let pods = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).map(|pod| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions.into_iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&pod["metadata"]["name"]), ready, text(&pod["spec"]["containers"][0]["image"]))
    });
    pods.collect()
}

fn until(plane: &ControlPlane, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || plane.get(path).filter(|object| holds(object)))
}

fn deploys(plane: &'static ControlPlane) {
    let namespace = plane.namespace("deploys");
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 3));
    let path = format!("{}/web", deployments(&namespace));
    let web = until(plane, &path, "it is available", |web| web["status"]["availableReplicas"] == 3);
    assert_eq!(web["status"]["observedGeneration"], web["metadata"]["generation"]);
    assert_eq!(pods(plane, &namespace).iter().filter(|(_, ready, _)| *ready).count(), 3);
    plane.patch(&path, &json!({"spec": {"replicas": 1}}));
    eventually("the others go", || (pods(plane, &namespace).len() == 1).then_some(()));
}

fn rolls(plane: &'static ControlPlane) {
    let namespace = plane.namespace("rolls");
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 2));
    let path = format!("{}/web", deployments(&namespace));
    until(plane, &path, "it is available", |web| web["status"]["availableReplicas"] == 2);
    plane.patch(&path, &deployment("web", "web:pullerror", 2));
    eventually("new pods are there and the old ones stay", || {
        let pods = pods(plane, &namespace);
        let ready = pods.iter().filter(|(_, ready, image)| *ready && image == "web:1").count();
        (pods.iter().any(|(_, _, image)| image == "web:pullerror") && ready > 0).then_some(())
    });
    plane.patch(&path, &deployment("web", "web:2", 2));
    let done = |web: &Value| web["status"]["updatedReplicas"] == 2 && web["status"]["replicas"] == 2;
    until(plane, &path, "it is rolled out", done);
    eventually("all pods are new", || {
        pods(plane, &namespace).iter().all(|(_, ready, image)| *ready && image == "web:2").then_some(())
    });
}

fn revisions(plane: &'static ControlPlane) {
    let namespace = plane.namespace("revisions");
    let path = format!("{}/web", deployments(&namespace));
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 1));
    let revision = |object: &Value| object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone();
    for (image, number) in [("web:1", "1"), ("web:2", "2"), ("web:1", "3")] {
        plane.patch(&path, &deployment("web", image, 1));
        let web = until(plane, &path, "it has a revision", |web| revision(web) == number);
        let fields = web["metadata"]["managedFields"].as_array().into_iter().flatten();
        let owner = fields.into_iter().find(|entry| entry["manager"] == "kube-controller-manager");
        let owner = owner.expect("because the controller wrote it");
        assert!(owner["subresource"] == "status" && owner["fieldsV1"]["f:metadata"].is_object(), "{owner}");
    }
    let sets = plane.get(&format!("/apis/apps/v1/namespaces/{namespace}/replicasets")).expect("because it is served");
    let of = |set: &Value| (set["spec"]["template"]["spec"]["containers"][0]["image"].clone(), revision(set));
    let sets: Vec<_> = sets["items"].as_array().into_iter().flatten().map(of).collect();
    let expected = [(json!("web:1"), json!("3")), (json!("web:2"), json!("2"))];
    assert!(sets.len() == 2 && expected.iter().all(|set| sets.contains(set)), "{sets:?}");
}

fn crashes(plane: &'static ControlPlane) {
    let namespace = plane.namespace("crashes");
    let mut object = deployment("web", "web:crash", 1);
    object["spec"]["progressDeadlineSeconds"] = json!(1);
    plane.create(&deployments(&namespace), &object);
    let path = format!("{}/web", deployments(&namespace));
    let late = |web: &Value| {
        let conditions = web["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["reason"] == "ProgressDeadlineExceeded")
    };
    let web = until(plane, &path, "it is late", late);
    assert!(web["status"]["readyReplicas"].is_null(), "{web}");
    let list = read(plane, &format!("/api/v1/namespaces/{namespace}/pods"));
    let waiting = &list["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
    assert_eq!(waiting, "CrashLoopBackOff");
}

fn slow(plane: &'static ControlPlane) {
    let namespace = plane.namespace("slow");
    plane.create(&deployments(&namespace), &deployment("web", "web:slow", 1));
    eventually("it runs and is not ready", || {
        pods(plane, &namespace).first().filter(|(_, ready, _)| !ready).map(|_| ())
    });
    let path = format!("{}/web", deployments(&namespace));
    until(plane, &path, "it is ready after all", |web| web["status"]["readyReplicas"] == 1);
}

fn comes_again(plane: &'static ControlPlane) {
    let namespace = plane.namespace("again");
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 1));
    let first = eventually("it has a pod", || pods(plane, &namespace).first().filter(|(_, ready, _)| *ready).cloned());
    plane.delete(&format!("/api/v1/namespaces/{namespace}/pods/{}", first.0));
    eventually("it has another one", || {
        let pods = pods(plane, &namespace);
        pods.iter().any(|(name, ready, _)| *ready && *name != first.0).then_some(())
    });
}

fn stateful(plane: &'static ControlPlane) {
    let namespace = plane.namespace("stateful");
    let mut set = deployment("store", "store:1", 2);
    set["kind"] = json!("StatefulSet");
    set["spec"]["serviceName"] = json!("store");
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }]);
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets");
    plane.create(&sets, &set);
    let path = format!("{sets}/store");
    until(plane, &path, "its pods are ready", |set| set["status"]["readyReplicas"] == 2);
    let mut names: Vec<String> = pods(plane, &namespace).into_iter().map(|(name, _, _)| name).collect();
    names.sort();
    assert_eq!(names, ["store-0", "store-1"]);
    if plane.api().is_some() {
        let claim = format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/data-store-1");
        until(plane, &claim, "its claim is bound", |claim| claim["status"]["phase"] == "Bound");
    }
    set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("store:2");
    plane.patch(&path, &json!({"spec": {"template": set["spec"]["template"]}}));
    let rolled = |set: &Value| {
        set["status"]["updatedReplicas"] == 2 && set["status"]["currentRevision"] == set["status"]["updateRevision"]
    };
    until(plane, &path, "all pods are new", rolled);
}

fn daemons(plane: &'static ControlPlane) {
    if plane.api().is_none() {
        return;
    }
    let namespace = plane.namespace("daemons");
    let mut set = deployment("agent", "agent:1", 0);
    set["kind"] = json!("DaemonSet");
    set["spec"].as_object_mut().expect("because it is one").remove("replicas");
    let sets = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets");
    plane.create(&sets, &set);
    until(plane, &format!("{sets}/agent"), "its pod is ready", |set| set["status"]["numberReady"] == 1);
}

fn jobs(plane: &'static ControlPlane) {
    let namespace = plane.namespace("jobs");
    let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    for (name, image, end) in [("good", "job:1", "Complete"), ("bad", "job:crash", "Failed")] {
        let pod = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]});
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                         "spec": {"backoffLimit": 0, "template": {"spec": pod}}});
        plane.create(&jobs, &job);
        let ended = |job: &Value| {
            let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
            conditions.into_iter().any(|one| one["type"] == end && one["status"] == "True")
        };
        until(plane, &format!("{jobs}/{name}"), "it ends", ended);
    }
}
