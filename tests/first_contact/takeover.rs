//! Objects that kubectl applied.

use std::sync::atomic::{AtomicUsize, Ordering};

use lockmaster::edge::cluster::{Applied, Writing};
use lockmaster::name::Code;
use lockmaster::plan::{self, Adopt, Live, PART_OF};
use serde_json::{Value, json};

use crate::control_plane::proxy::{Moment, Proxy, Verdict};
use crate::control_plane::{AGENT, ControlPlane};
use crate::stage::Who;
use crate::stage::shop::{all_of_shop, objects, shop};
use crate::{FIRST, LATER, Place, authors, codes, config_map, done, fields, kubectl, seen_by_its_controller};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(crate) fn whole_program(plane: &'static ControlPlane) {
    let stage = shop(plane, "applied");
    let folder = stage.repository.join("overlays/dev");
    let folder = folder.to_str().expect("because temporary folders have plain names");
    kubectl(plane, "applied-dev", &["apply", "-k", folder], "");
    seen_by_its_controller(plane, "applied-dev");
    stage.pipeline("  - {name: dev, branch: env/dev, path: overlays/dev, namespace: applied-dev}");
    stage.run_once(0);
    assert_eq!(objects(plane, "applied-dev"), all_of_shop());
    let web = || plane.get("/apis/apps/v1/namespaces/applied-dev/deployments/web").expect("because it was taken");
    for object in [web(), plane.get("/api/v1/namespaces/applied-dev").expect("because it was taken")] {
        assert_eq!(authors(&object), ["lockmaster"], "{object}");
        assert_eq!(object["metadata"]["annotations"].get(LAST_APPLIED), None);
    }
    let text = std::fs::read_to_string("fixtures/shop/base/web.yaml").expect("because the fixture is there");
    let less: Vec<&str> =
        text.lines().filter(|line| !line.contains("resources:") && !line.contains("requests:")).collect();
    assert_eq!(web()["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"], "100m");
    stage.write("base/web.yaml", &less.join("\n"));
    stage.commit(Who::Dana, "web: no requests");
    stage.run_once(0);
    assert_eq!(web()["spec"]["template"]["spec"]["containers"][0]["resources"], json!({}));
    stage.proxy.forget();
    stage.run_once(0);
    assert_eq!(stage.proxy.writes(), Vec::new(), "a second run must not write");
}

/// One object of each kind whose fields have something special, with more than Git says in each `MORE`.
const OBJECTS: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {keep: "1", stay: "1" MORE[, old: "1"]}
---
apiVersion: v1
kind: Secret
metadata: {name: login MORE[, annotations: {example.com/old: "1"}]}
stringData: {keep: "1" MORE[, old: "1"]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: dns, port: 53} MORE[, {name: dns-udp, port: 53, protocol: UDP}]]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  MORE[minReadySeconds: 3]
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web MORE[, old: "1"]}}
    spec:
      containers:
      - name: web
        image: registry.example/web:1
        ports: [{containerPort: 8080}]
        env: [{name: A, value: "1"} MORE[, {name: OLD, value: "1"}]]
        MORE[resources: {requests: {cpu: 1000m}}]
      MORE[serviceAccountName: default]
"#;

/// The objects as Git says them, and as kubectl applies them.
fn both() -> (String, String) {
    let (mut less, mut more) = (String::new(), String::new());
    for (number, part) in OBJECTS.split("MORE[").enumerate() {
        let (inside, after) = if number == 0 { ("", part) } else { closed(part) };
        less.push_str(after);
        more.push_str(&format!("{inside}{after}"));
    }
    (less, more)
}

/// The text up to the bracket that closes it, and the rest.
fn closed(text: &str) -> (&str, &str) {
    let mut depth = 1;
    let end = text.find(|c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth == 0
    });
    let end = end.expect("because every bracket is closed");
    (&text[..end], &text[end + 1..])
}

/// An object without kubectl's copy of it, which does not count, and without annotations where there are no others.
fn without_copy(object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().expect("because an object has metadata");
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    metadata.retain(|name, value| name != "annotations" || *value != json!({}));
    object
}

pub(crate) fn leftovers(plane: &'static ControlPlane) {
    let place = Place::new(plane, "leftovers");
    let (less, more) = both();
    place.kubectl(&["apply", "-f", "-"], &more);
    place.seen_by_its_controller();
    let release = place.release(&less);
    let same = place.plan(&place.release(&more), Adopt::Identical);
    assert_eq!((&same.waits, same.adoptions.len()), (&vec![], 5), "what kubectl applied is identical to itself");
    let report = place.plan(&release, Adopt::Identical);
    assert_eq!(codes(&report.waits), [Code::AdoptionNeeded; 4], "{:#?}", report.waits);
    let named = [
        ("ConfigMap/settings", vec!["data.old"]),
        (
            "Deployment/web",
            vec![
                "spec.minReadySeconds",
                "spec.template.metadata.labels.old",
                "spec.template.spec.containers[name=web].env[name=OLD]",
                "spec.template.spec.containers[name=web].resources.requests.cpu",
                "spec.template.spec.serviceAccount",
                "spec.template.spec.serviceAccountName",
            ],
        ),
        ("PersistentVolumeClaim/data", vec![]),
        ("Secret/login", vec!["data.old", "metadata.annotations['example.com/old']"]),
        ("Service/web", vec!["spec.ports[port=53,protocol=UDP]"]),
    ];
    let named = named.map(|(name, paths)| (name.to_owned(), paths.into_iter().map(str::to_owned).collect::<Vec<_>>()));
    assert_eq!(fields(&report), named.into());
    let all = place.plan(&release, Adopt::Always);
    assert_eq!((&all.waits, all.adoptions.len(), fields(&all)), (&vec![], 5, fields(&report)));
    let kinds = release.manifests().iter().map(|m| (m.key.clone(), m.kind.clone())).collect();
    let before = plane.block_on(place.cluster.read(&kinds)).expect("because the server runs");
    for (manifest, object) in
        release.manifests().iter().zip(place.apply(&release, Writing { force: true, first: true }))
    {
        let Some(Live::Present(before)) = before.get(&manifest.key) else { panic!("it was there") };
        let changed = plan::field_changes(&manifest.key, &without_copy(before), &without_copy(&object));
        let changed = changed.into_iter().map(|field| field.path).filter(|path| path != "metadata.labels");
        let name = format!("{}/{}", manifest.key.kind, manifest.key.name);
        let changed: Vec<String> = changed.collect();
        let named = &fields(&report)[&name];
        // The server drops a map with its last field.
        let same = changed.iter().zip(named).all(|(changed, named)| named.starts_with(changed.as_str()));
        assert!(same && changed.len() == named.len(), "{name}: {changed:?} changed, the plan names {named:?}");
        assert_eq!(authors(&object), ["lockmaster"], "{object}");
        assert!(
            !object.to_string().contains(LAST_APPLIED) && !object.to_string().to_lowercase().contains("old"),
            "{object}"
        );
    }
    let web = place.live("deployment/web");
    assert_eq!(web["spec"]["minReadySeconds"], Value::Null);
    assert_eq!(web["spec"]["progressDeadlineSeconds"], 600, "a default that nobody said stays");
    assert_eq!(place.live("service/web")["spec"]["ports"].as_array().map(Vec::len), Some(1));
    let gone = place.release(&less.replace(", stay: \"1\"", ""));
    place.apply(&gone, LATER);
    assert_eq!(place.live("configmap/settings")["data"], json!({"keep": "1"}), "what leaves Git goes");
}

pub(crate) fn server_side(plane: &'static ControlPlane) {
    let place = Place::new(plane, "server-side");
    let said = |data: &Value| config_map("settings", data);
    for manager in ["kubectl", "kustomize-controller"] {
        let more = said(&json!({"keep": "1", "stay": "1", "old": "1"}));
        place.kubectl(&["apply", "--server-side", "--force-conflicts", "--field-manager", manager, "-f", "-"], &more);
        let release = place.release(&said(&json!({"keep": "1", "stay": "1"})));
        let report = place.plan(&release, Adopt::Identical);
        assert_eq!(fields(&report)["ConfigMap/settings"], ["data.old"], "{manager}");
        let taken = place.apply(&release, Writing { force: true, first: true });
        assert_eq!((authors(&taken[0]), &taken[0]["data"]["old"]), (vec!["lockmaster".to_owned()], &Value::Null));
        let later = place.apply(&place.release(&said(&json!({"keep": "1"}))), LATER);
        assert_eq!(later[0]["data"], json!({"keep": "1"}), "{manager}");
        place.kubectl(&["delete", "configmap", "settings"], "");
    }
}

pub(crate) fn never(plane: &'static ControlPlane) {
    let place = Place::new(plane, "never");
    let text = config_map("settings", &json!({"keep": "1"}));
    place.kubectl(&["apply", "-f", "-"], &text);
    let before = place.live("configmap/settings");
    let report = place.plan(&place.release(&text), Adopt::Never);
    assert_eq!((codes(&report.waits), report.adoptions.len()), (vec![Code::AdoptionNeeded], 0));
    let expected = format!(
        "`{} ConfigMap/settings` exists and is not ours, last written by `kubectl-client-side-apply`, nothing in it would \
         change; `adopt: never` takes nothing",
        place.namespace
    );
    assert_eq!(report.waits[0].message, expected);
    assert_eq!(place.live("configmap/settings"), before);
}

/// The methods and content types of the writes to one object.
fn writes(proxy: &Proxy) -> Vec<String> {
    proxy
        .calls()
        .iter()
        .filter(|call| call.write.is_some())
        .map(|call| {
            if call.body.is_array() {
                "fold".to_owned()
            } else {
                call.query.rsplit_once('&').map_or("", |(_, force)| force).to_owned()
            }
        })
        .collect()
}

pub(crate) fn requests(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let place = Place::through(plane, "requests", &proxy.kubeconfig());
    let text = config_map("fresh", &json!({"keep": "1"}));
    let release = place.release(&text);
    place.apply(&release, FIRST);
    assert_eq!(writes(&proxy), ["force=false"], "nobody applied it before");
    proxy.forget();
    place.apply(&release, LATER);
    assert_eq!((writes(&proxy), proxy.calls().len()), (vec!["force=true".to_owned()], 1));
    proxy.forget();
    let text = config_map("applied", &json!({"keep": "1"}));
    place.kubectl(&["apply", "-f", "-"], &text);
    let release = place.release(&text);
    place.apply(&release, FIRST);
    assert_eq!(writes(&proxy), ["force=false", "fold", "force=true"]);
    proxy.forget();
    place.kubectl(&["label", "configmap", "applied", "a=b"], "");
    place.kubectl(&["apply", "-f", "-"], &text);
    place.apply(&release, LATER);
    assert_eq!(writes(&proxy), ["force=true"], "what kubectl applies to our objects is drift, and not folded");
}

pub(crate) fn overtaken(plane: &'static ControlPlane) {
    for (stem, times, expected) in [("once", 1, true), ("always", usize::MAX, false)] {
        let proxy = Proxy::start(plane, AGENT);
        let place = Place::through(plane, stem, &proxy.kubeconfig());
        let text = config_map("settings", &json!({"keep": "1"}));
        place.kubectl(&["apply", "-f", "-"], &text);
        let (namespace, number) = (place.namespace.clone(), AtomicUsize::new(0));
        proxy.judge(move |call, moment| {
            if call.body.is_array() && moment == Moment::Before && number.load(Ordering::Relaxed) < times {
                let label = format!("n={}", number.fetch_add(1, Ordering::Relaxed));
                kubectl(plane, &namespace, &["label", "--overwrite", "configmap", "settings", &label], "");
            }
            Verdict::Pass
        });
        let release = place.release(&text);
        let applied = place.write(&release.manifests()[0], FIRST);
        if expected {
            assert_eq!(authors(&done(applied)), ["kubectl-label", "lockmaster"]);
            continue;
        }
        let Applied::Retry { reason, .. } = applied else { panic!("to be retried, not {applied:?}") };
        assert_eq!(
            reason.message,
            format!("`{} ConfigMap/settings` changes while it is being taken over", place.namespace)
        );
        let live = place.live("configmap/settings");
        assert_eq!(live["metadata"]["labels"][PART_OF], crate::SET, "the next apply finds it as ours");
        proxy.judge(|_, _| Verdict::Pass);
        assert_eq!(authors(&done(place.write(&release.manifests()[0], FIRST))), ["kubectl-label", "lockmaster"]);
    }
}

pub(crate) fn lost_fields(plane: &'static ControlPlane) {
    let place = Place::new(plane, "lost");
    let (less, _) = both();
    let release = place.release(&less);
    let reset = json!([{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]).to_string();
    let lose = || {
        for object in ["deployment/web", "pvc/data", "service/web", "configmap/settings", "secret/login"] {
            place.kubectl(&["patch", object, "--type=json", "-p", &reset], "");
        }
    };
    place.kubectl(&["apply", "-f", "-"], &less);
    place.kubectl(&["patch", "deployment", "web", "-p", r#"{"spec": {"minReadySeconds": 7}}"#], "");
    place.seen_by_its_controller();
    lose();
    let report = place.plan(&release, Adopt::Identical);
    assert_eq!((&report.waits, report.adoptions.len()), (&vec![], 5));
    for how in [FIRST, LATER] {
        let before = place.live("deployment/web");
        for object in place.apply(&release, how) {
            assert_eq!(authors(&object), ["lockmaster"], "{how:?} {object}");
        }
        let after = place.live("deployment/web");
        assert_eq!(before["spec"], after["spec"], "{how:?}: what somebody else set is not taken away");
        lose();
    }
    place.apply(&release, LATER);
    place.apply(&place.release(&less.replace(", stay: \"1\"", "")), LATER);
    assert_eq!(place.live("configmap/settings")["data"], json!({"keep": "1"}), "what leaves Git goes");
}
