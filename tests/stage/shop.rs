//! The shop fixture on the stage: three environments from one base.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{Stage, Who};
use crate::control_plane::ControlPlane;

/// Whether there is a kustomize: then the shop is made of overlays, else of plain manifests in the same files.
fn is_kustomized() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| ["kustomize", "kubectl"].into_iter().any(crate::control_plane::tools::is_there))
}

/// Where an environment's manifests are, as a line of the pipeline says it.
pub(crate) fn place(environment: &str) -> String {
    match is_kustomized() {
        true => format!("path: overlays/{environment}"),
        false => format!("paths: [base, overlays/{environment}]"),
    }
}

/// The file that holds the configuration of the web server.
pub(crate) fn configuration() -> &'static str {
    if is_kustomized() { "base/web.conf" } else { "base/web-config.yaml" }
}

/// Writes the configuration of the web server.
pub(crate) fn configure(stage: &Stage, text: &str) {
    if is_kustomized() {
        return stage.write(configuration(), text);
    }
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web-config"},
                        "data": {"web.conf": text}});
    stage.write(configuration(), &object.to_string());
}

/// Takes a file out of the release, or brings it back.
pub(crate) fn leave_out(stage: &Stage, file: &str, out: bool) {
    let fixture = |file: &str| {
        std::fs::read_to_string(format!("fixtures/shop/base/{file}")).expect("because the fixture is there")
    };
    if is_kustomized() {
        let all = fixture("kustomization.yaml");
        let lines = all.lines().filter(|line| !out || *line != format!("- {file}"));
        return stage.write("base/kustomization.yaml", &lines.map(|line| format!("{line}\n")).collect::<String>());
    }
    if out {
        stage.git(&["rm", "-q", "--ignore-unmatch", "-f", &format!("base/{file}")]);
    } else {
        stage.write(&format!("base/{file}"), &fixture(file));
    }
}

/// The shop fixture, signed, on three branches, in namespaces of the test's own.
pub(crate) fn shop(plane: &'static ControlPlane, stem: &str) -> Stage {
    let stage = Stage::new(plane);
    stage.copy(Path::new("fixtures/shop"), "");
    let environments = ["dev", "staging", "prod"];
    for environment in environments {
        let file = format!("overlays/{environment}/kustomization.yaml");
        let text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: {stem}-{environment}\nresources:\n- namespace.yaml\n- ../../base\n"
        );
        stage.write(&file, &text);
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {stem}-{environment}\n");
        stage.write(&format!("overlays/{environment}/namespace.yaml"), &text);
        if !is_kustomized() {
            std::fs::remove_file(stage.repository.join(file)).expect("because it was just written");
        }
    }
    if !is_kustomized() {
        for file in ["kustomization.yaml", "web.conf"] {
            std::fs::remove_file(stage.repository.join("base").join(file)).expect("because it was copied there");
        }
        configure(&stage, "timeout = 30\nretries = 2\n");
    }
    stage.commit(Who::Dana, "shop 1.0");
    for environment in environments {
        stage.git(&["branch", &format!("env/{environment}")]);
    }
    stage.git(&["checkout", "-q", "env/dev"]);
    let lines = environments
        .map(|name| format!("  - {{name: {name}, branch: env/{name}, {}, namespace: {stem}-{name}}}", place(name)));
    stage.pipeline(&lines.join("\n"));
    stage
}

/// The kinds and names of everything under a label of a set in a namespace.
pub(crate) fn objects(plane: &ControlPlane, namespace: &str) -> BTreeSet<String> {
    let kinds = [
        ("/api/v1", "services"),
        ("/api/v1", "configmaps"),
        ("/api/v1", "secrets"),
        ("/api/v1", "persistentvolumeclaims"),
        ("/apis/apps/v1", "deployments"),
        ("/apis/apps/v1", "statefulsets"),
        ("/apis/batch/v1", "cronjobs"),
    ];
    let mut found = BTreeSet::new();
    for (api, plural) in kinds {
        let path = format!("{api}/namespaces/{namespace}/{plural}?labelSelector=applyset.kubernetes.io/part-of");
        let list = plane.get(&path).expect("because a list is never absent");
        for item in list["items"].as_array().into_iter().flatten() {
            found.insert(format!("{plural}/{}", item["metadata"]["name"].as_str().unwrap_or_default()));
        }
    }
    found
}

pub(crate) fn all_of_shop() -> BTreeSet<String> {
    [
        "configmaps/web-config",
        "cronjobs/sweeper",
        "deployments/web",
        "persistentvolumeclaims/store",
        "secrets/store",
        "services/web",
        "statefulsets/store",
    ]
    .map(str::to_owned)
    .into()
}

/// The state of an environment in a `status` document.
pub(crate) fn state<'a>(document: &'a Value, environment: &str) -> &'a Value {
    let environments = document["environments"].as_array().expect("because status lists environments");
    environments.iter().find(|e| e["name"] == environment).expect("because the environment is in the pipeline")
}

pub(crate) fn replicas(plane: &ControlPlane, namespace: &str) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    plane.get(&path).expect("because it was deployed")["spec"]["replicas"].clone()
}

pub(crate) fn set_replicas(stage: &Stage, replicas: u32) {
    let text = std::fs::read_to_string("fixtures/shop/base/web.yaml").expect("because the fixture is there");
    stage.write("base/web.yaml", &text.replace("replicas: 2", &format!("replicas: {replicas}")));
}
