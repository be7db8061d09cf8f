//! What is healed, and how it is told.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::{ControlPlane, eventually};
use crate::ground::{PLANTED, SERVICE, SETTINGS, STORE, WEB, at, edit, reads, release, silent, writes};
use crate::stage::Stage;

/// The notes of the agent's Kubernetes Events of this reason.
pub(crate) fn events(stage: &Stage, reason: &str) -> Vec<String> {
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", stage.agent_namespace);
    let list = stage.plane.get(&path).expect("because a list is never absent");
    let events = list["items"].as_array().into_iter().flatten();
    let events = events.filter(|event| event["reason"] == reason && event["regarding"]["kind"] == "Pipeline");
    events.filter_map(|event| event["note"].as_str().map(str::to_owned)).collect()
}

pub(crate) fn an_edit(plane: &'static ControlPlane) {
    let stage = release(plane, "edited", "", &[WEB, SETTINGS]);
    let agent = Agent::logging(&stage, "text");
    agent.stands();
    stage.proxy.forget();
    let path = at("edited", "deployments", "web");
    edit(plane, &path, &json!({"spec": {"replicas": 9}}));
    let line = agent.next_text("drift-healed");
    let expected = "INFO drift-healed environment=shop/dev object=\"edited Deployment/web\" fields=spec.replicas live=9 \
                    desired=2 manager=kubectl-edit operation=Update changed=";
    let (before, after) = line.split_once(expected).unwrap_or_else(|| panic!("{line}"));
    assert!(before.ends_with("Z "), "{line}");
    let words: Vec<&str> = after.split(' ').collect();
    assert!(words[0].starts_with("20") && words[0].ends_with('Z'), "{line}");
    let took = words[1].strip_prefix("event_to_heal_ms=").and_then(|text| text.parse::<u64>().ok());
    assert!(took.is_some(), "{line}");
    assert_eq!(words[2..], ["requests=1"], "{line}");
    assert_eq!(plane.get(&path).expect("because it is there")["spec"]["replicas"], 2);
    assert_eq!(agent.measured("drift_detected_total"), 1.0);
    assert_eq!(agent.measured("drift_healed_total"), 1.0);
    assert_eq!(agent.measured("drift_heal_seconds_count"), 1.0);
    eventually("nothing is drifted", || (agent.measured("drift_objects") == 0.0).then_some(()));
    let notes = eventually("the event is there", || Some(events(&stage, "DriftHealed")).filter(|it| !it.is_empty()));
    assert_eq!(notes, ["dev: edited Deployment/web spec.replicas, by kubectl-edit"]);
    silent(&stage, Duration::from_secs(2));
    assert_eq!(writes(&stage), [format!("PATCH {path}")]);
    assert_eq!(reads(&stage, "edited"), Vec::<String>::new());
    assert_eq!(agent.log().matches("drift-healed").count(), 1, "{}", agent.log());
}

/// What somebody does to an object, and what is told about it.
struct Row {
    object: &'static str,
    path: String,
    /// `None`: it is deleted.
    patch: Option<Value>,
    fields: &'static str,
    /// What must be there again, by pointer.
    again: (&'static str, Value),
}

fn rows() -> Vec<Row> {
    let at = |kind, name| at("kinds", kind, name);
    let label = "/metadata/annotations/note";
    let row = |object, path, patch, fields, again| Row { object, path, patch, fields, again };
    let ports =
        json!([{"name": "admin", "port": 9091}, {"name": "http", "port": 80}, {"name": "metrics", "port": 9090}]);
    let unlabelled = json!({"metadata": {"labels": {"applyset.kubernetes.io/part-of": null}}});
    let theirs = json!({"data": {"password": "cGxhbnRlZC10aGVpcnM="}});
    vec![
        row("kinds ConfigMap/settings", at("configmaps", "settings"), None, "(deleted)", (label, json!("ours"))),
        row("kinds Service/web", at("services", "web"), None, "(deleted)", (label, json!("ours"))),
        row("kinds Deployment/web", at("deployments", "web"), None, "(deleted)", (label, json!("ours"))),
        row(
            "kinds Service/web",
            at("services", "web"),
            Some(unlabelled.clone()),
            "(label lost)",
            (label, json!("ours")),
        ),
        row("kinds Secret/store", at("secrets", "store"), Some(unlabelled), "(label lost)", (label, json!("ours"))),
        row(
            "kinds Secret/store",
            at("secrets", "store"),
            Some(theirs),
            "data.password",
            ("/data/password", json!("cGxhbnRlZC1vdXJz")),
        ),
        row(
            "kinds ConfigMap/settings",
            at("configmaps", "settings"),
            Some(json!({"data": {"colour": "red"}})),
            "data.colour",
            ("/data/colour", json!("green")),
        ),
        row(
            "kinds Service/web",
            at("services", "web"),
            Some(json!({"spec": {"ports": ports}})),
            "spec.ports",
            ("/spec/ports/0/name", json!("http")),
        ),
        row(
            "kinds Deployment/web",
            at("deployments", "web"),
            Some(json!({"spec": {"revisionHistoryLimit": null}})),
            "spec.revisionHistoryLimit",
            ("/spec/revisionHistoryLimit", json!(3)),
        ),
        row(
            "kinds Deployment/web",
            at("deployments", "web"),
            Some(json!({"metadata": {"annotations": {"note": null}}})),
            "metadata.annotations.note",
            (label, json!("ours")),
        ),
    ]
}

pub(crate) fn every_kind_of_edit(plane: &'static ControlPlane) {
    let stage = release(plane, "kinds", "", &[WEB, SERVICE, SETTINGS, STORE]);
    let agent = Agent::standing(&stage);
    for Row { object, path, patch, fields, again } in rows() {
        stage.proxy.forget();
        match &patch {
            Some(patch) => drop(edit(plane, &path, patch)),
            None => plane.delete(&path),
        }
        let line = agent.next("drift-healed", object);
        assert_eq!(line["fields"], fields, "{line}");
        // Neither the order of a list nor what is not there has an owner who could be named.
        let lost = fields.starts_with('(');
        let names = !lost && !["spec.ports", "metadata.annotations.note"].contains(&fields);
        assert_eq!(line["manager"].as_str(), names.then_some("kubectl-edit"), "{line}");
        // Of a ConfigMap only metadata is watched: what is not known is not told.
        assert_eq!(line["live"].is_string(), !lost && fields != "data.colour", "{line}");
        let live = plane.get(&path).unwrap_or_else(|| panic!("it is not there again: {line}"));
        assert_eq!(live.pointer(again.0), Some(&again.1), "{line}");
        assert!(live["metadata"]["labels"]["applyset.kubernetes.io/part-of"].is_string(), "{live}");
        assert_eq!(writes(&stage), [format!("PATCH {path}")], "{line}");
        assert_eq!(line["requests"], 1 + reads(&stage, "kinds").len(), "{line}");
    }
    assert_eq!(agent.untold(), Vec::<Value>::new());
    let (all, metrics) = (agent.log(), agent.metrics());
    let notes = events(&stage, "DriftHealed").concat();
    for secret in PLANTED {
        assert!(![&all, &metrics, &notes].iter().any(|text| text.contains(secret)), "`{secret}` is told: {all}");
    }
}
