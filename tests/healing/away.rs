//! What goes as a whole comes back as a whole, and what happened while no agent ran is made good when one does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::{ControlPlane, eventually};
use crate::ground::{SERVICE, SETTINGS, STORE, WEB, at, edit, release, silent, writes};
use crate::stage::shop::shop;

/// Waits until these are there, each with our label, and none is going.
fn back(plane: &ControlPlane, paths: &[String]) {
    eventually(&format!("{paths:?} are back"), || {
        let there = paths.iter().all(|path| {
            plane.get(path).is_some_and(|live| {
                let metadata = &live["metadata"];
                metadata["labels"]["applyset.kubernetes.io/part-of"].is_string()
                    && metadata["deletionTimestamp"].is_null()
            })
        });
        there.then_some(())
    });
}

pub(crate) fn a_namespace(plane: &'static ControlPlane) {
    let stage = release(plane, "going", "", &[WEB, SERVICE, SETTINGS, STORE]);
    let agent = Agent::standing(&stage);
    let own = [("deployments", "web"), ("services", "web"), ("configmaps", "settings"), ("secrets", "store")];
    let mut paths: Vec<String> = own.iter().map(|(plural, name)| at("going", plural, name)).collect();
    paths.push("/api/v1/namespaces/going".to_owned());
    let uid = |path: &String| plane.get(path).map(|live| live["metadata"]["uid"].clone());
    let before: Vec<Option<Value>> = paths.iter().map(uid).collect();
    plane.delete("/api/v1/namespaces/going");
    eventually("the namespace is another one", || {
        (uid(&paths[4]).is_some_and(|uid| Some(uid) != before[4])).then_some(())
    });
    back(plane, &paths);
    assert!(paths.iter().zip(&before).all(|(path, before)| uid(path) != *before), "all were made again");
    agent.next("drift-healed", "Namespace/going");
    agent.stands();
    silent(&stage, Duration::from_secs(2));
    agent.stop();
}

const CROP: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crops.healing.example.com}
spec:
  group: healing.example.com
  names: {kind: Crop, plural: crops, singular: crop, listKind: CropList}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {rows: {type: integer}}}}
";

const OATS: &str = "apiVersion: healing.example.com/v1
kind: Crop
metadata: {name: oats}
spec: {rows: 3}
";

pub(crate) fn a_definition(plane: &'static ControlPlane) {
    let kinds = ", clusterKinds: [CustomResourceDefinition.apiextensions.k8s.io]";
    let stage = release(plane, "crops", kinds, &[CROP, OATS, SETTINGS]);
    let agent = Agent::standing(&stage);
    let definition = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/crops.healing.example.com".to_owned();
    let oats = "/apis/healing.example.com/v1/namespaces/crops/crops/oats".to_owned();
    plane.delete(&definition);
    agent.next("drift-healed", "CustomResourceDefinition/crops.healing.example.com");
    agent.next("drift-healed", "crops Crop/oats");
    back(plane, &[definition, oats.clone()]);
    agent.stands();
    edit(plane, &oats, &json!({"spec": {"rows": 4}}));
    let line = agent.next("drift-healed", "crops Crop/oats");
    assert_eq!((&line["fields"], &line["live"]), (&json!("spec.rows"), &json!("4")), "it is watched again: {line}");
    silent(&stage, Duration::from_secs(2));
    agent.stop();
}

pub(crate) fn a_restart(plane: &'static ControlPlane) {
    let stage = release(plane, "restarted", "", &[WEB, SERVICE, SETTINGS, STORE]);
    Agent::standing(&stage).stop();
    stage.proxy.forget();
    let agent = Agent::standing(&stage);
    silent(&stage, Duration::from_secs(2));
    agent.stop();
    assert_eq!(stage.proxy.writes(), Vec::new(), "a restart changes nothing, not even what the agent keeps for itself");
    let edited = [at("restarted", "deployments", "web"), at("restarted", "secrets", "store")];
    edit(plane, &edited[0], &json!({"spec": {"replicas": 4}}));
    edit(plane, &edited[1], &json!({"data": {"password": "cGxhbnRlZC10aGVpcnM="}}));
    let deleted = at("restarted", "configmaps", "settings");
    plane.delete(&deleted);
    stage.proxy.forget();
    let agent = Agent::standing(&stage);
    let line = agent.next("drift-healed", "restarted Deployment/web");
    let told = [&line["fields"], &line["live"], &line["desired"], &line["manager"]];
    assert_eq!(told, ["spec.replicas", "4", "2", "kubectl-edit"].map(|text| json!(text)).each_ref(), "{line}");
    assert_eq!(agent.next("drift-healed", "restarted Secret/store")["fields"], "data.password");
    assert_eq!(agent.next("drift-healed", "restarted ConfigMap/settings")["fields"], "(deleted)");
    agent.stands();
    silent(&stage, Duration::from_secs(2));
    let expected: BTreeSet<String> = edited.iter().chain([&deleted]).map(|path| format!("PATCH {path}")).collect();
    assert_eq!(writes(&stage).len(), 3, "{:?}", writes(&stage));
    assert_eq!(writes(&stage).into_iter().collect::<BTreeSet<_>>(), expected);
    agent.stop();
}

pub(crate) fn three_environments(plane: &'static ControlPlane) {
    let stage = shop(plane, "shared");
    let agent = Agent::standing(&stage);
    let mut watches: BTreeMap<String, usize> = BTreeMap::new();
    for call in stage.proxy.calls().into_iter().filter(|call| call.query.contains("watch=true")) {
        *watches.entry(call.path).or_default() += 1;
    }
    let kinds = ["configmaps", "namespaces", "persistentvolumeclaims", "secrets", "services"];
    let kinds = kinds.map(|plural| format!("/api/v1/{plural}")).into_iter();
    let others = ["apps/v1/deployments", "apps/v1/statefulsets", "batch/v1/cronjobs"];
    let statements = format!("/api/v1/namespaces/{}/configmaps", stage.agent_namespace);
    let expected = kinds.chain(others.map(|path| format!("/apis/{path}"))).chain([statements]);
    let expected = expected.map(|path| (path, 1)).collect();
    assert_eq!(
        watches, expected,
        "one watch for each kind and one for statements, whatever the number of environments"
    );
    stage.proxy.forget();
    for namespace in ["shared-staging", "shared-dev", "shared-prod"] {
        stage.proxy.forget();
        let path = at(namespace, "deployments", "web");
        edit(plane, &path, &json!({"spec": {"replicas": 5}}));
        let line = agent.next("drift-healed", &format!("{namespace} Deployment/web"));
        assert_eq!(line["environment"], format!("shop/{}", namespace.trim_start_matches("shared-")), "{line}");
        assert_eq!(writes(&stage), [format!("PATCH {path}")], "an edit is healed where it was made");
    }
    silent(&stage, Duration::from_secs(2));
    assert_eq!(agent.untold(), Vec::<Value>::new());
    agent.stop();
}
