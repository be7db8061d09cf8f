//! Writes whose outcome is known, one after another on one object.

use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::life::{Life, Told};
use crate::writes::Request;
use crate::{Ground, objects};

/// A write by somebody else: a JSON patch, a merge patch, or an apply with force.
enum Write {
    Json(Value),
    Merge(Value),
    Apply(Value),
}
use Write::{Apply, Json, Merge};

const POD: &str = "/spec/template/spec";

fn add(path: &str, value: Value) -> Write {
    Json(json!([{"op": "add", "path": path, "value": value}]))
}

fn replace(path: &str, value: Value) -> Write {
    Json(json!([{"op": "replace", "path": path, "value": value}]))
}

fn remove(path: &str) -> Write {
    Json(json!([{"op": "remove", "path": path}]))
}

fn shift(from: &str, path: &str) -> Write {
    Json(json!([{"op": "move", "from": from, "path": path}]))
}

type Row = (&'static str, Write, Told);

fn web() -> Vec<Row> {
    let pod = |path: &str| format!("{POD}/{path}");
    let annotations = json!({"kubectl.kubernetes.io/restartedAt": "2026-03-01T10:00:00Z"});
    let own = json!({"spec": {"revisionHistoryLimit": 3}});
    vec![
        (
            "rollout restart",
            Merge(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}})),
            Told::Same,
        ),
        (
            "a default in a map left empty",
            Merge(json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}}}})),
            Told::Same,
        ),
        ("a map left empty is filled", add(&pod("containers/1/securityContext/runAsUser"), json!(7)), Told::Same),
        ("another one", add(&pod("volumes/0/emptyDir/medium"), json!("Memory")), Told::Same),
        ("a map left empty goes", remove(&pod("containers/1/securityContext")), Told::Drift),
        ("what a heal kept is changed", replace(&pod("volumes/0/emptyDir/medium"), json!("")), Told::Same),
        ("another order of init containers", shift(&pod("initContainers/0"), &pod("initContainers/1")), Told::Drift),
        (
            "a foreign one between them",
            add(&pod("initContainers/1"), json!({"name": "new", "image": "new:1"})),
            Told::Same,
        ),
        ("the foreign one first", shift(&pod("initContainers/1"), &pod("initContainers/0")), Told::Same),
        ("another order of arguments", replace(&pod("containers/0/args"), json!([":8080", "--listen"])), Told::Drift),
        ("an element twice", add(&pod("containers/0/env/0"), json!({"name": "LEVEL", "value": "4"})), Told::Drift),
        (
            "a quantity in other words",
            replace(&pod("containers/0/resources/requests/cpu"), json!("0.1")),
            Told::NoEffect,
        ),
        ("a co-owner", Apply(own), Told::Same),
        ("taken by force", Apply(json!({"spec": {"revisionHistoryLimit": 5}})), Told::Drift),
        ("our label", Merge(json!({"metadata": {"labels": {"applyset.kubernetes.io/part-of": null}}})), Told::Drift),
        ("a label of others", Merge(json!({"metadata": {"labels": {"new": "x"}}})), Told::Same),
        ("without managedFields", Merge(json!({"metadata": {"managedFields": [{}]}})), Told::Drift),
    ]
}

fn cart() -> Vec<Row> {
    let env = |path: &str| format!("{POD}/containers/0/env{path}");
    let variables = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]);
    vec![
        // Empty annotations are not applied at all.
        ("a map left empty is filled", Merge(json!({"metadata": {"annotations": {"a": "1"}}})), Told::Same),
        ("filled further", Merge(json!({"metadata": {"annotations": {"b": "2"}}})), Told::Same),
        ("changed", Merge(json!({"metadata": {"annotations": {"a": "3"}}})), Told::Same),
        ("emptied", Merge(json!({"metadata": {"annotations": null}})), Told::Same),
        ("a list left empty is filled", add(&env(""), variables), Told::Drift),
        ("an element of it is changed", replace(&env("/0/value"), json!("3")), Told::Same),
        ("another order of it", shift(&env("/0"), &env("/1")), Told::Same),
        ("an element of it goes", remove(&env("/0")), Told::Same),
        ("the last one goes", remove(&env("/0")), Told::Drift),
        (
            "another order of a set",
            replace("/metadata/finalizers", json!(["shop.example/b", "shop.example/a"])),
            Told::Drift,
        ),
        ("a foreign element in a set", add("/metadata/finalizers/1", json!("shop.example/c")), Told::Same),
    ]
}

/// A set that names fields of a list element and not the element: a forced apply takes the fields out, and the server fails
/// at the null that is left ("associative list with keys may not have a null element").
fn plain() -> Vec<Row> {
    let ports = "f:spec/f:template/f:spec/f:containers/k:{\"name\":\"plain\"}/f:ports";
    let claimed = format!("/metadata/managedFields/0/fieldsV1/{ports}/k:{{\"containerPort\":81,\"protocol\":\"TCP\"}}");
    let fields = json!({"f:containerPort": {}, "f:protocol": {}});
    let edit = json!([
        {"op": "remove", "path": "/metadata/managedFields/1"},
        {"op": "add", "path": claimed, "value": fields},
    ]);
    vec![
        (
            "a foreign port",
            add(&format!("{POD}/containers/0/ports/0"), json!({"containerPort": 81, "protocol": "TCP"})),
            Told::Same,
        ),
        ("its fields without itself", Json(edit), Told::Unknown),
    ]
}

fn request(row: &Row) -> Request {
    let (what, write, _) = row;
    let (media, body, force) = match write {
        Json(body) => ("application/json-patch+json", body.clone(), ""),
        Merge(body) => ("application/merge-patch+json", body.clone(), ""),
        Apply(body) => ("application/apply-patch+yaml", body.clone(), "&force=true"),
    };
    let suffix = format!("?fieldManager=kubectl-edit{force}");
    Request { method: "PATCH", media, suffix, body, what: (*what).to_owned() }
}

/// After each write the verdict is that of the server's dry run, and that is the known one.
pub(crate) fn known_writes(plane: &'static ControlPlane) {
    objects::define_widget(plane);
    let manifests = objects::manifests(&plane.namespace("rows"));
    let tally = plane.block_on(async {
        let ground = Ground::new(plane, 0).await;
        for (name, rows) in [("web", web()), ("cart", cart()), ("plain", plain())] {
            let of = |kind: &str| manifests.iter().find(|one| one.key.kind == kind && one.key.name == name);
            let mut life = Life::begin(&ground, of("Deployment").expect("because it is in the file")).await;
            for row in rows {
                let mut request = request(&row);
                if let Apply(_) = row.1 {
                    request.body["apiVersion"] = json!("apps/v1");
                    request.body["kind"] = json!("Deployment");
                }
                let told = life.take(&ground, &request).await;
                if told != row.2 {
                    ground.wrong(format!("{name}: {}: {told:?}, expected {:?}", row.0, row.2));
                }
            }
        }
        ground.tally.into_inner()
    });
    tally.assert_right("in known writes");
}
