//! A plan tells the truth: the fields that `plan -o json` names are the fields that the apply changes.

mod control_plane;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use control_plane::{ControlPlane, Test, cases, run_anywhere};
use serde_json::{Value, json};
use stage::shop::{configure, leave_out, place, shop};
use stage::{Stage, Who};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![("the_fields_of_random_plans_are_the_fields_that_change", random_commits)];
    run_anywhere(tests)
}

/// A small generator of its own, so that the commits are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Writes a random version of the shop: every file may change, appear or go.
fn shuffle(stage: &Stage, dice: &mut Dice) {
    let fixture =
        |file: &str| std::fs::read_to_string(format!("fixtures/shop/base/{file}")).expect("because it is there");
    let mut web = fixture("web.yaml").replace("replicas: 2", &format!("replicas: {}", 1 + dice.roll(4)));
    web = web.replace("web:1.0", &format!("web:1.{}", dice.roll(3)));
    if dice.roll(2) == 0 {
        web = web.replace("cpu: 100m", "cpu: 1000m");
    }
    if dice.roll(2) == 0 {
        let env = "        image: registry.example/web:1.7\n        env:\n        - {name: MODE, value: fast}\n        - {name: LEVEL, value: \"3\"}";
        web =
            web.split('\n').map(|line| if line.contains("image:") { env } else { line }).collect::<Vec<_>>().join("\n");
    }
    if dice.roll(3) == 0 {
        web = web.replace(
            "name: web\nspec:\n  replicas",
            "name: web\n  annotations: {shop.example/note: \"a: b\"}\nspec:\n  replicas",
        );
    }
    stage.write("base/web.yaml", &web);
    configure(stage, &format!("timeout = {}\nretries = {}\n", dice.roll(90), dice.roll(3)));
    let store = fixture("store.yaml").replace("not-a-real-password", &format!("password-{}", dice.roll(2)));
    stage.write("base/store.yaml", &store);
    let sweeper = fixture("sweeper.yaml").replace("17 3", &format!("{} 3", dice.roll(60)));
    let gone = dice.roll(3) == 0;
    leave_out(stage, "sweeper.yaml", gone);
    if !gone {
        stage.write("base/sweeper.yaml", &sweeper);
    }
}

/// Everything live that a release of the shop can own, by `Kind/name`.
fn live(plane: &ControlPlane, namespace: &str) -> BTreeMap<String, Value> {
    let kinds = [
        ("/api/v1", "services", "Service"),
        ("/api/v1", "configmaps", "ConfigMap"),
        ("/api/v1", "secrets", "Secret"),
        ("/api/v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
        ("/apis/apps/v1", "deployments", "Deployment"),
        ("/apis/apps/v1", "statefulsets", "StatefulSet"),
        ("/apis/batch/v1", "cronjobs", "CronJob"),
    ];
    let mut found = BTreeMap::new();
    for (api, plural, kind) in kinds {
        let path = format!("{api}/namespaces/{namespace}/{plural}?labelSelector=applyset.kubernetes.io/part-of");
        let list = plane.get(&path).expect("because a list is never absent");
        for item in list["items"].as_array().into_iter().flatten() {
            let mut item = item.clone();
            for gone in ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"] {
                item["metadata"].as_object_mut().expect("because an object has metadata").remove(gone);
            }
            item.as_object_mut().expect("because it is an object").remove("status");
            // Written by the Deployment controller after the apply, not by the apply.
            if let Some(annotations) = item["metadata"]["annotations"].as_object_mut() {
                annotations.remove("deployment.kubernetes.io/revision");
                if annotations.is_empty() {
                    item["metadata"].as_object_mut().expect("because an object has metadata").remove("annotations");
                }
            }
            found.insert(format!("{kind}/{}", item["metadata"]["name"].as_str().unwrap_or_default()), item);
        }
    }
    found
}

/// The leaves of a value by path, in the plan's way to write one: list items by name, key or index.
fn leaves(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
                let step = match (path.is_empty(), plain) {
                    (true, _) => key.clone(),
                    (false, true) => format!("{path}.{key}"),
                    (false, false) => format!("{path}['{key}']"),
                };
                leaves(&step, inner, into);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for (index, inner) in list.iter().enumerate() {
                let key = ["name", "containerPort", "port"].iter().find_map(|key| {
                    let value = inner.get(key)?;
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    Some(format!("{key}={text}"))
                });
                leaves(&format!("{path}[{}]", key.unwrap_or_else(|| index.to_string())), inner, into);
            }
        }
        leaf => {
            into.insert(path.to_owned(), leaf.clone());
        }
    }
}

/// The paths of leaves that differ between two states of one object.
fn differing(before: &Value, after: &Value) -> BTreeSet<String> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    leaves("", before, &mut old);
    leaves("", after, &mut new);
    old.keys().chain(new.keys()).filter(|path| old.get(*path) != new.get(*path)).cloned().collect()
}

fn random_commits(plane: &'static ControlPlane) {
    let stage = shop(plane, "truth");
    stage.pipeline(&format!("  - {{name: dev, branch: env/dev, {}, namespace: truth-dev}}", place("dev")));
    stage.run_once(0);
    let mut dice = Dice(20);
    let mut compared = 0;
    for round in 1..=cases(20, 8) {
        shuffle(&stage, &mut dice);
        stage.commit(Who::Dana, &format!("round {round}"));
        let before = live(plane, "truth-dev");
        let plan = stage.lockmaster(&["plan", "dev", "-o", "json"]).json();
        stage.run_once(0);
        let after = live(plane, "truth-dev");
        let mut named: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
        for change in plan["environments"][0]["changes"].as_array().into_iter().flatten() {
            let object = &change["object"];
            let key = format!("{}/{}", object["kind"].as_str().unwrap_or(""), object["name"].as_str().unwrap_or(""));
            let paths = change["fields"].as_array().into_iter().flatten().filter_map(|f| f["path"].as_str());
            named.insert(key, (change["action"].as_str().unwrap_or("").to_owned(), paths.map(str::to_owned).collect()));
        }
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let context = format!("round {round}, {key}");
            match (before.get(key), after.get(key)) {
                (None, Some(_)) => assert_eq!(named.get(key).map(|n| n.0.as_str()), Some("create"), "{context}"),
                (Some(_), None) => assert_eq!(named.get(key).map(|n| n.0.as_str()), Some("prune"), "{context}"),
                (Some(old), Some(new)) => {
                    let changed = differing(old, new);
                    let named = named.get(key).map(|n| n.1.clone()).unwrap_or_default();
                    assert_covers(&named, &changed, &context);
                    compared += changed.len();
                }
                (None, None) => {}
            }
        }
        let stray: Vec<_> =
            named.keys().filter(|key| !before.contains_key(*key) && !after.contains_key(*key)).collect();
        assert!(stray.is_empty(), "round {round}: named, and neither there before nor after: {stray:?}");
    }
    assert!(compared > 40, "the rounds changed {compared} fields: too few to mean anything");
    assert_eq!(plane.get("/api/v1/namespaces/truth-dev").map(|n| n["kind"].clone()), Some(json!("Namespace")));
}

/// A named path stands for everything below it; each changed leaf lies below one, and each named path has a changed leaf.
fn assert_covers(named: &BTreeSet<String>, changed: &BTreeSet<String>, context: &str) {
    let below = |leaf: &str, path: &str| {
        leaf.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
    };
    for leaf in changed {
        assert!(
            named.iter().any(|path| below(leaf, path)),
            "{context}: `{leaf}` changed and no plan named it: {named:?}"
        );
    }
    for path in named {
        assert!(
            changed.iter().any(|leaf| below(leaf, path)),
            "{context}: `{path}` was named and did not change: {changed:?}"
        );
    }
}
