//! A shop of several apps: one directory each, below the same path on the branch of every environment.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::stage::{Ran, Stage, Who};

pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) name: String,
}

impl Scene {
    /// Environments in their order, each promoted from the one before it, with these keys besides.
    pub(crate) fn new(plane: &'static ControlPlane, name: &str, environments: &[(&str, &str)]) -> Scene {
        let scene = Scene { stage: Stage::new(plane), name: name.to_owned() };
        let mut text = String::new();
        let mut from = String::new();
        for (environment, keys) in environments {
            let namespace = format!("{name}-{environment}");
            plane.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
            text.push_str(&format!(
                "  - {{name: {environment}, branch: env/{environment}, path: deploy, units: apps/*, namespace: {namespace}{from}{keys}}}\n"
            ));
            from = format!(", from: {environment}");
        }
        scene.stage.pipeline(&text);
        scene
    }

    /// Writes an app: a Deployment and a ConfigMap.
    pub(crate) fn app(&self, unit: &str, tag: &str) {
        let name = unit;
        self.stage.write(
            &format!("deploy/apps/{unit}/deploy.yaml"),
            &format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: {name}, image: 'registry.example.com/{name}:{tag}'}}]}}\n"
            ),
        );
        self.settings(unit, tag);
    }

    /// Writes an app's ConfigMap.
    pub(crate) fn settings(&self, unit: &str, value: &str) {
        self.stage.write(
            &format!("deploy/apps/{unit}/settings.yaml"),
            &format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {unit}-settings}}\ndata: {{value: {value:?}}}\n"
            ),
        );
    }

    /// Commits to the branch of the first environment.
    pub(crate) fn commit(&self, subject: &str) -> String {
        self.stage.commit(Who::Dana, subject)
    }

    /// Runs the agent until nothing more is admitted now.
    pub(crate) fn run(&self) -> Ran {
        let ran = self.stage.lockmaster(&["run", "--once"]);
        assert_ne!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// The entries of an environment's log, as the journal keeps them.
    pub(crate) fn entries(&self, environment: &str) -> Vec<Value> {
        let path = format!(
            "/api/v1/namespaces/{}/configmaps?labelSelector=lockmaster.dev/kind%3Dentry,lockmaster.dev/environment%3D{environment}",
            self.stage.agent_namespace
        );
        let list = self.stage.plane.get(&path).expect("because a list is never absent");
        let mut entries: Vec<Value> = list["items"].as_array().into_iter().flatten().map(entry_of).collect();
        entries.sort_by_key(|entry| entry["sequence"].as_u64());
        entries
    }

    /// What each entry of a log did, and to which units: `sync opened cart,web`.
    pub(crate) fn story(&self, environment: &str) -> Vec<String> {
        self.entries(environment).iter().map(told).collect()
    }

    /// The value in an app's ConfigMap; `None` where there is none.
    pub(crate) fn live(&self, environment: &str, unit: &str) -> Option<String> {
        let path = format!("/api/v1/namespaces/{}-{environment}/configmaps/{unit}-settings", self.name);
        self.stage.plane.get(&path).map(|object| object["data"]["value"].as_str().unwrap_or_default().to_owned())
    }
}

fn told(entry: &Value) -> String {
    let units: Vec<&str> = entry["units"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let words = [entry["action"].as_str(), entry["phase"].as_str()];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    format!("{} {}", words.join(" "), units.join(",")).trim().to_owned()
}

fn entry_of(item: &Value) -> Value {
    let text = item["binaryData"]["content"].as_str().expect("because an entry has content");
    let bytes = STANDARD.decode(text).expect("because the server encodes binary data");
    let bytes = zstd::decode_all(&bytes[..]).expect("because the journal compresses it");
    let objects = lockmaster::deploylog::unpack(&bytes).expect("because the journal packs it");
    let documents = objects.iter().filter_map(|object| serde_json::from_slice::<Value>(&object.body).ok());
    documents.into_iter().find(|document| document["sequence"].is_u64()).expect("because an entry says its place")
}
