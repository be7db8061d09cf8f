//! What a running agent serves, and how it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::control_plane::proxy::{Moment, Verdict};
use crate::control_plane::{ControlPlane, eventually};
use crate::ground::{SERVICE, SETTINGS, STORE, WEB, at, edit, release, writes};
use crate::stage::Stage;

/// The summary entries of heals.
fn heals(stage: &Stage) -> Vec<Value> {
    let selector = "lockmaster.dev/kind%3Dentry,lockmaster.dev/environment%3Ddev";
    let path = format!("/api/v1/namespaces/{}/configmaps?labelSelector={selector}", stage.agent_namespace);
    let list = stage.plane.get(&path).expect("because a list is never absent");
    let entries = list["items"].as_array().into_iter().flatten().map(entry);
    entries.filter(|entry| entry["action"] == "heal").collect()
}

fn entry(item: &Value) -> Value {
    use base64::Engine as _;
    let text = item["binaryData"]["content"].as_str().expect("because an entry has content");
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("because the server encodes it");
    let bytes = zstd::decode_all(&bytes[..]).expect("because the journal compresses it");
    let objects = lockmaster::deploylog::unpack(&bytes).expect("because the journal packs it");
    let documents = objects.iter().filter_map(|object| serde_json::from_slice::<Value>(&object.body).ok());
    documents.into_iter().find(|document| document["sequence"].is_u64()).expect("because an entry says its place")
}

pub(crate) fn the_end(plane: &'static ControlPlane) {
    let stage = release(plane, "ends", "", &[SERVICE, SETTINGS]);
    let agent = Agent::standing(&stage);
    let path = at("ends", "services", "web");
    edit(plane, &path, &json!({"metadata": {"annotations": {"note": "theirs"}}}));
    agent.next("drift-healed", "ends Service/web");
    stage.proxy.forget();
    // The second heal is begun and not answered when the agent is told to stop.
    let (hold, held) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let ((go_on, wait), (tell, told)) = (hold, held);
    let wait = std::sync::Mutex::new(wait);
    stage.proxy.judge(move |call, moment| {
        if matches!(moment, Moment::After(_)) && call.method == "PATCH" && call.path.ends_with("/configmaps/settings") {
            // Whoever does not listen any more has failed already.
            let _ = tell.send(());
            let _ = wait.lock().expect("because nobody panics here").recv_timeout(Duration::from_secs(20));
        }
        Verdict::Pass
    });
    edit(plane, &at("ends", "configmaps", "settings"), &json!({"data": {"colour": "red"}}));
    told.recv_timeout(Duration::from_secs(60)).expect("because the edit is healed");
    agent.tell_to_stop();
    agent.next("stopping", "");
    go_on.send(()).expect("because the proxy waits");
    let line = agent.next("drift-healed", "ends ConfigMap/settings");
    assert_eq!(line["fields"], "data.colour", "{line}");
    let (code, log) = agent.ended();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(writes(&stage), [format!("PATCH {}", at("ends", "configmaps", "settings"))]);
    let entries = heals(&stage);
    let reasons = entries.iter().flat_map(|entry| entry["reasons"].as_array().cloned().unwrap_or_default());
    let mut lines: Vec<String> = reasons.filter_map(|reason| Some(reason["message"].as_str()?.to_owned())).collect();
    lines.retain(|line| line.starts_with('`'));
    lines.sort_unstable();
    let settings = "`ends ConfigMap/settings` data.colour, by `kubectl-edit`";
    let service = "`ends Service/web` metadata.annotations.note, by `kubectl-edit`";
    assert_eq!(lines, [settings, service], "{entries:?}");
    assert!(entries.len() <= 2, "one, and one for the heal that was in flight: {entries:?}");
    let ran = stage.lockmaster(&["status"]);
    assert_eq!(ran.code, Some(0), "the log is whole: {ran:?}");
}

pub(crate) fn readiness(plane: &'static ControlPlane) {
    let stage = release(plane, "ready", "", &[SERVICE, SETTINGS, STORE]);
    Agent::standing(&stage).stop();
    stage.proxy.judge(|call, moment| {
        let list = call.path == "/api/v1/services" && call.query.contains("labelSelector=");
        if list && moment == Moment::Before { Verdict::Hang } else { Verdict::Pass }
    });
    let agent = Agent::start(&stage);
    assert!(stage.proxy.hanging(Duration::from_secs(60)).is_some(), "services are listed");
    eventually("only the services are not watched", || {
        let reply = agent.readiness();
        assert_eq!(reply.status, 503, "{reply:?}");
        (reply.body.trim() == "environment dev: watch of Service: is not listed yet").then_some(())
    });
    stage.proxy.judge(|_, _| Verdict::Pass);
    stage.proxy.release();
    agent.stands();
    assert_eq!(agent.readiness().status, 200);
    agent.stop();
}

pub(crate) fn asked_all_the_time(plane: &'static ControlPlane) {
    let stage = release(plane, "busy", "", &[SERVICE]);
    let agent = Agent::standing(&stage);
    // The second heal in a row waits for a second, which the agent must not forget while it answers.
    for heals in 1..=2 {
        edit(plane, &at("busy", "services", "web"), &json!({"metadata": {"annotations": {"note": "theirs"}}}));
        eventually("it is healed while the agent is asked all the time", || {
            agent.environment();
            (agent.heals("busy Service/web").len() == heals).then_some(())
        });
    }
    agent.stop();
}

pub(crate) fn documents(plane: &'static ControlPlane) {
    let stage = release(plane, "asked", "", &[WEB, SETTINGS]);
    let agent = Agent::standing(&stage);
    let path = at("asked", "deployments", "web");
    edit(plane, &path, &json!({"spec": {"replicas": 3}}));
    agent.next("drift-healed", "asked Deployment/web");
    // What the heal brings with it, such as pods that go and the inventory, is over.
    agent.stands();
    let mut last = (stage.proxy.calls().len(), Instant::now());
    eventually("nothing more is asked of the server", || {
        let calls = stage.proxy.calls().len();
        if calls != last.0 {
            last = (calls, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(2)).then_some(())
    });
    stage.proxy.forget();
    for _ in 0..20 {
        let reply = agent.ask_api("/api/v1/pipelines/shop");
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")), "{reply:?}");
        let document = reply.json();
        let head =
            ["schema", "pipeline", "source"].map(|field| document[field].as_str().unwrap_or_default().to_owned());
        assert_eq!(head, ["lockmaster.dev/status/v1", "shop", "agent"], "{document}");
        let view = &document["environments"][0];
        assert_eq!((&view["state"], &view["health"]), (&json!("current"), &json!("healthy")), "{view}");
        assert_eq!((&view["drift"]["state"], &view["drift"]["objects"]), (&json!("none"), &json!(0)), "{view}");
        assert!(view["drift"]["lastHealedAt"].is_string(), "{view}");
        assert_eq!(view["objects"], json!({"total": 3, "healthy": 3}), "{view}");
        assert_eq!(agent.readiness().status, 200);
        agent.metrics();
    }
    assert_eq!(stage.proxy.calls(), Vec::new(), "who looks at the agent does not look at the cluster");
    agent.stop();
}
