//! Events, as kubectl shows them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use lockmaster::edge::events::{Events, Happened};
use lockmaster::name::{Code, EnvironmentName};
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, eventually};
use crate::{deployed, kubectl};

fn prod() -> EnvironmentName {
    "prod".parse().expect("because it is a name")
}

fn events(client: kube::Client, namespace: &str, pipeline: &str) -> Events {
    Events::new(client, namespace, pipeline.parse().expect("because it is a name"))
}

/// The events about a pipeline as type, reason and note, oldest first.
fn shown(plane: &ControlPlane, namespace: &str, pipeline: &str) -> Vec<[String; 3]> {
    let of = format!("--field-selector=involvedObject.kind=Pipeline,involvedObject.name={pipeline}");
    let text = kubectl(plane, &["get", "events", "--namespace", namespace, &of, "-o", "json"]);
    let list: Value = serde_json::from_str(&text).expect("because kubectl prints JSON");
    let mut items: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
    items.sort_by_key(|event| event["eventTime"].as_str());
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    items.iter().map(|event| ["type", "reason", "message"].map(|field| text(event, field))).collect()
}

pub(super) fn on_the_pipeline(plane: &'static ControlPlane) {
    let events = events(deployed(plane), "lockmaster", "shop");
    let start = Timestamp::now();
    let at = |seconds: i64| start + SignedDuration::from_secs(seconds);
    plane.block_on(async {
        events.publish(&prod(), Happened::Promoted, "9f2c1e4 from staging/41", at(0)).await;
        events.publish(&prod(), Happened::Held, "1 object needs a person", at(1)).await;
        events.publish(&prod(), Happened::Warned(Code::UnsignedCommit), &"long ".repeat(900), at(2)).await;
        for second in [3, 4, 5] {
            events.drift_healed(&prod(), "`Service/shop/web`", at(second)).await;
        }
        events.drift_healed(&"dev".parse().expect("because it is a name"), "`Service/shop-dev/web`", at(6)).await;
        events.drift_healed(&prod(), "`Service/shop/cart`", at(63)).await;
    });
    let mut found = shown(plane, "lockmaster", "shop");
    let long = std::mem::take(&mut found[2][2]);
    assert!(long.starts_with("prod: long long ") && long.ends_with("..."), "{long}");
    let expected = [
        ["Normal", "Promoted", "prod: 9f2c1e4 from staging/41"],
        ["Warning", "Held", "prod: 1 object needs a person"],
        ["Warning", "UnsignedCommit", ""],
        ["Normal", "DriftHealed", "prod: `Service/shop/web`"],
        ["Normal", "DriftHealed", "dev: `Service/shop-dev/web`"],
        ["Normal", "DriftHealed", "prod: `Service/shop/cart`; 2 more since the last event"],
    ];
    assert_eq!(found, expected);
    let table = kubectl(plane, &["get", "events", "--namespace=lockmaster"]);
    let line = table.lines().find(|line| line.contains("Promoted")).unwrap_or_else(|| panic!("not shown: {table}"));
    assert!(line.contains("pipeline/shop") && line.contains("Normal"), "{line}");
}

/// What is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn count(&self, event: &str) -> usize {
        let bytes = self.0.lock().expect("because nobody panics while it writes");
        String::from_utf8_lossy(&bytes).matches(event).count()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("because nobody panics while it writes").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(super) fn that_cannot_be_written(plane: &'static ControlPlane) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _logged = tracing::subscriber::set_default(subscriber);
    let namespace = plane.namespace("events");
    let user = plane.spare_user();
    let events = events(plane.client(&user), &namespace, "shop");
    let publish = || plane.block_on(events.publish(&prod(), Happened::Synced, "1 object", Timestamp::now()));
    publish();
    publish();
    assert_eq!(
        (lines.count("event-not-written"), lines.count("cannot create resource")),
        (1, 1),
        "logged when it is news"
    );
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let rule = json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]});
    plane.create(&format!("{rbac}/roles"), &json!({"metadata": {"name": "events"}, "rules": [rule]}));
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "events"});
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user});
    let binding = json!({"metadata": {"name": "events"}, "roleRef": role, "subjects": [subject]});
    plane.create(&format!("{rbac}/rolebindings"), &binding);
    eventually("the right is seen", || {
        publish();
        (!shown(plane, &namespace, "shop").is_empty()).then_some(())
    });
    assert_eq!((lines.count("event-not-written"), lines.count("events-written-again")), (1, 1));
    assert_eq!(shown(plane, &namespace, "shop")[0], ["Normal", "Synced", "prod: 1 object"]);
}
