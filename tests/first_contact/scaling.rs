//! Workloads whose number of replicas a scaler decides.

use std::path::Path;

use lockmaster::plan::{Adopt, HANDOFF_MANAGER};
use serde_json::{Value, json};

use crate::control_plane::proxy::{Moment, Proxy, Verdict};
use crate::control_plane::{AGENT, ControlPlane, eventually};
use crate::stage::Who;
use crate::stage::shop::{replicas, shop};
use crate::{LATER, Place, authors, done, fields, kubectl};

const SCALER: &str = "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  maxReplicas: 9
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
";

/// The workload as Git says it: its spec but for selector and template, in flow style.
fn deployment(spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  {spec}\n  selector: {{matchLabels: \
         {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: web, image: \
         'registry.example/web:1'}}]}}\n"
    )
}

/// The number, and how often anybody changed the object's spec.
fn state(place: &Place) -> (Value, Value) {
    let live = place.live("deployment/web");
    (live["spec"]["replicas"].clone(), live["metadata"]["generation"].clone())
}

/// Writes our entry as the owner of the number again, as a server could that lost track of it.
fn own_again(place: &Place) {
    let mut entries = place.live("deployment/web")["metadata"]["managedFields"].clone();
    for entry in entries.as_array_mut().into_iter().flatten() {
        let ours = entry["manager"] == "lockmaster";
        if let Some(spec) = entry["fieldsV1"]["f:spec"].as_object_mut() {
            spec.remove("f:replicas");
            if ours {
                spec.insert("f:replicas".to_owned(), json!({}));
            }
        }
    }
    let patch = json!([{"op": "replace", "path": "/metadata/managedFields", "value": entries}]).to_string();
    place.kubectl(&["patch", "deployment", "web", "--type=json", "-p", &patch], "");
}

pub(crate) fn property_11(plane: &'static ControlPlane) {
    let place = Place::new(plane, "handoff");
    let scaled = place.release(&format!("{}{SCALER}", deployment("")));
    let manifest = scaled.manifests().iter().find(|m| m.scaled).expect("because the scaler targets it");
    // The manifest's old number; the number that somebody scaled to, and whether our entry owns that.
    let table = [(1, None), (4, None), (0, None), (4, Some((2, false))), (4, Some((2, true))), (1, Some((5, true)))];
    for (said, live) in table {
        let old = place.release(&deployment(&format!("replicas: {said}")));
        place.apply(&old, LATER);
        if let Some((number, ours)) = live {
            place.kubectl(&["scale", "deployment", "web", "--replicas", &number.to_string()], "");
            if ours {
                own_again(&place);
            }
        }
        place.seen_by_its_controller();
        let before = state(&place);
        let owned = live.is_none_or(|(_, ours)| ours);
        assert_eq!(before.0, live.map_or(said, |(number, _)| number));
        let report = place.plan(&scaled, Adopt::Always);
        assert_eq!(fields(&report).get("Deployment/web"), None, "the plan has no change of a number that stays");
        for round in 1..=2 {
            let object = done(place.write(manifest, LATER));
            assert_eq!(state(&place), before, "said {said}, live {live:?}, round {round}");
            assert_eq!(authors(&object).contains(&HANDOFF_MANAGER.to_owned()), owned, "{object}");
        }
        place.kubectl(&["delete", "deployment", "web"], "");
    }
}

/// A place behind a proxy, with the workload applied before its scaler came.
fn before_the_scaler(plane: &'static ControlPlane, stem: &str) -> (Proxy, Place) {
    let proxy = Proxy::start(plane, AGENT);
    let place = Place::through(plane, stem, &proxy.kubeconfig());
    place.apply(&place.release(&deployment("replicas: 3")), LATER);
    place.seen_by_its_controller();
    (proxy, place)
}

/// Runs kubectl once, just before the hand-off reaches the server.
fn meanwhile(plane: &'static ControlPlane, proxy: &Proxy, place: &Place, arguments: &'static [&'static str]) {
    let (namespace, ran) = (place.namespace.clone(), std::sync::atomic::AtomicBool::new(false));
    proxy.judge(move |call, moment| {
        let hands_off = moment == Moment::Before && call.query.contains(HANDOFF_MANAGER);
        if hands_off && !ran.swap(true, std::sync::atomic::Ordering::Relaxed) {
            kubectl(plane, &namespace, arguments, "");
        }
        Verdict::Pass
    });
}

pub(crate) fn race(plane: &'static ControlPlane) {
    let (proxy, place) = before_the_scaler(plane, "race");
    meanwhile(plane, &proxy, &place, &["scale", "deployment", "web", "--replicas", "7"]);
    let scaled = place.release(&format!("{}{SCALER}", deployment("")));
    let manifest = scaled.manifests().iter().find(|m| m.scaled).expect("because the scaler targets it");
    let object = done(place.write(manifest, LATER));
    assert_eq!(object["spec"]["replicas"], 7);
    assert_eq!(authors(&object), ["lockmaster"], "the one who scaled owns it: nothing was handed off");
}

pub(crate) fn gone(plane: &'static ControlPlane) {
    let (proxy, place) = before_the_scaler(plane, "gone");
    meanwhile(plane, &proxy, &place, &["delete", "deployment", "web"]);
    let scaled = place.release(&format!("{}{SCALER}", deployment("")));
    let manifest = scaled.manifests().iter().find(|m| m.scaled).expect("because the scaler targets it");
    let object = done(place.write(manifest, LATER));
    assert_eq!((authors(&object), &object["metadata"]["generation"]), (vec!["lockmaster".to_owned()], &json!(1)));
}

pub(crate) fn whole_program(plane: &'static ControlPlane) {
    let stage = shop(plane, "scaled");
    stage.pipeline("  - {name: dev, branch: env/dev, path: overlays/dev, namespace: scaled-dev}");
    stage.run_once(0);
    assert_eq!(replicas(plane, "scaled-dev"), json!(2));
    let kustomization = std::fs::read_to_string("fixtures/shop/base/kustomization.yaml").expect("because it is there");
    stage.write("base/scaler.yaml", SCALER.trim_start_matches("\n---"));
    stage.write("base/kustomization.yaml", &kustomization.replace("- web.yaml", "- web.yaml\n- scaler.yaml"));
    stage.commit(Who::Dana, "web: a scaler");
    let plan = stage.lockmaster(&["plan", "dev", "-o", "json"]).json();
    assert!(!plan.to_string().contains("spec.replicas"), "{plan}");
    stage.run_once(0);
    assert_eq!(replicas(plane, "scaled-dev"), json!(2), "a scaler that comes finds the number that was there");
    kubectl(plane, "scaled-dev", &["scale", "deployment", "web", "--replicas", "5"], "");
    eventually("the workload is scaled", || {
        let path = Path::new("/apis/apps/v1/namespaces/scaled-dev/deployments/web");
        let live = plane.get(path.to_str()?)?;
        (live["status"]["readyReplicas"] == 5).then_some(())
    });
    let web = std::fs::read_to_string("fixtures/shop/base/web.yaml").expect("because the fixture is there");
    for (image, said) in [("web:1.1", "replicas: 2"), ("web:1.2", "replicas: 3")] {
        stage.write("base/web.yaml", &web.replace("web:1.0", image).replace("replicas: 2", said));
        stage.commit(Who::Dana, image);
        stage.run_once(0);
        assert_eq!(replicas(plane, "scaled-dev"), json!(5), "{image}");
    }
    stage.proxy.forget();
    stage.run_once(0);
    assert_eq!(stage.proxy.writes(), Vec::new(), "a second run must not write");
}
