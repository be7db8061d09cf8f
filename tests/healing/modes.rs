//! Environments that are not healed on purpose, and a fight.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::{ControlPlane, eventually};
use crate::ground::{SERVICE, SETTINGS, WEB, at, edit, release, silent, writes};
use crate::healed::events;
use crate::stage::shop::state;

pub(crate) fn report(plane: &'static ControlPlane) {
    let stage = release(plane, "reported", ", drift: report", &[SERVICE, SETTINGS]);
    let agent = Agent::standing(&stage);
    stage.proxy.forget();
    let path = at("reported", "services", "web");
    let ours = plane.get(&path).expect("because it is there");
    edit(plane, &path, &json!({"metadata": {"annotations": {"note": "theirs"}}}));
    let line = agent.next("drift-found", "reported Service/web");
    assert_eq!((&line["fields"], &line["live"]), (&json!("metadata.annotations.note"), &json!("theirs")), "{line}");
    assert_eq!((&line["desired"], &line["manager"]), (&json!("ours"), &json!("kubectl-edit")), "{line}");
    // Seen again, and told no second time: not in another second either, which the server notes as the time of all that
    // this manager has.
    let mut edits = 0_u32;
    eventually("it is edited in another second", || {
        edits += 1;
        let edited = edit(plane, &path, &json!({"metadata": {"labels": {"team": format!("checkout-{edits}")}}}));
        let entries = edited["metadata"]["managedFields"].as_array()?;
        let theirs = entries.iter().find(|entry| entry["manager"] == "kubectl-edit")?;
        (theirs["time"] != line["changed"]).then_some(())
    });
    plane.delete(&at("reported", "configmaps", "settings"));
    let line = agent.next("drift-found", "reported ConfigMap/settings");
    assert_eq!(line["fields"], "(deleted)", "{line}");
    assert_eq!(agent.measured("drift_objects"), 2.0);
    let ran = stage.lockmaster(&["status", "-o", "json", "--from", "cluster"]);
    let document = ran.json();
    let drift = &state(&document, "dev")["drift"];
    assert_eq!((ran.code, &drift["state"], &drift["objects"]), (Some(1), &json!("found"), &json!(2)), "{ran:?}");
    let notes =
        eventually("it is told on the Pipeline", || Some(events(&stage, "DriftFound")).filter(|it| it.len() == 2));
    assert!(notes.iter().any(|note| note.contains("Service/web") && note.contains("kubectl-edit")), "{notes:?}");
    assert_eq!(agent.untold(), Vec::<Value>::new());
    // The old value alone leaves the field with somebody else; it is over when the field has its owner again.
    edit(plane, &path, &json!({"metadata": {"annotations": {"note": "ours"}}}));
    let line = agent.next("drift-found", "reported Service/web");
    assert_eq!((&line["live"], &line["desired"]), (&json!("ours"), &json!("ours")), "{line}");
    edit(plane, &path, &json!({"metadata": {"managedFields": ours["metadata"]["managedFields"]}}));
    agent.next("drift-ended", "reported Service/web");
    eventually("one is left", || (agent.environment()["drift"]["objects"] == 1).then_some(()));
    silent(&stage, Duration::from_secs(2));
    assert_eq!(writes(&stage), Vec::<String>::new(), "what is only reported is not healed");
}

pub(crate) fn pause(plane: &'static ControlPlane) {
    let stage = release(plane, "paused", ", drift: pause", &[SERVICE, SETTINGS]);
    let agent = Agent::standing(&stage);
    stage.proxy.forget();
    edit(plane, &at("paused", "services", "web"), &json!({"metadata": {"annotations": {"note": "theirs"}}}));
    plane.delete(&at("paused", "configmaps", "settings"));
    eventually("it is seen", || (agent.environment()["drift"]["objects"] == 2).then_some(()));
    assert_eq!(agent.environment()["drift"]["state"], "paused");
    silent(&stage, Duration::from_secs(2));
    assert_eq!(writes(&stage), Vec::<String>::new());
    assert_eq!(agent.untold(), Vec::<Value>::new());
}

/// Sets the replicas of a Deployment to nine whenever they are something else, until the task is dropped.
fn fighter(plane: &'static ControlPlane, namespace: &str) -> tokio::task::JoinHandle<()> {
    let api = Api::<Deployment>::namespaced(plane.admin(), namespace);
    plane.runtime().spawn(async move {
        let mut seen =
            std::pin::pin!(watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects());
        while let Some(seen) = seen.next().await {
            let replicas = seen.ok().and_then(|seen| seen.spec.replicas);
            if replicas.is_some_and(|replicas| replicas != 9) {
                let patch = Patch::Merge(json!({"spec": {"replicas": 9}}));
                let parameters =
                    PatchParams { field_manager: Some("other-operator".to_owned()), ..PatchParams::default() };
                api.patch("web", &parameters, &patch).await.expect("because the object is there");
            }
        }
    })
}

pub(crate) fn fight(plane: &'static ControlPlane) {
    let stage = release(plane, "fought", "", &[WEB]);
    let agent = Agent::standing(&stage);
    stage.proxy.forget();
    let fighter = fighter(plane, "fought");
    agent.next("drift-healed", "fought Deployment/web");
    let start = Instant::now();
    let line = agent.next("drift-fighting", "fought Deployment/web");
    assert_eq!((&line["manager"], &line["fields"]), (&json!("other-operator"), &json!("spec.replicas")), "{line}");
    assert!(line["next_heal"].is_string(), "{line}");
    eventually("it is measured", || (agent.measured("drift_fighting_objects") == 1.0).then_some(()));
    let document = agent.environment();
    assert_eq!((&document["drift"]["state"], &document["drift"]["objects"]), (&json!("fighting"), &json!(1)));
    let notes = eventually("it is told", || Some(events(&stage, "DriftFighting")).filter(|notes| !notes.is_empty()));
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("fought Deployment/web spec.replicas, by other-operator"), "{notes:?}");
    // The fifth heal comes after 15 s, and the next one after two minutes.
    let watched = Duration::from_secs(if plane.api().is_some() { 20 } else { 30 });
    silent(&stage, watched.saturating_sub(start.elapsed()));
    assert!(agent.heals("").len() <= 5, "{:?}", agent.heals(""));
    assert_eq!(writes(&stage).len(), agent.heals("").len());
    fighter.abort();
}
