//! The shop fixture on the stage: three environments from one base.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Stage, Who};
use crate::control_plane::ControlPlane;

const THREE: &str = "  - {name: dev, branch: env/dev, path: overlays/dev, namespace: NS-dev}\n  - {name: staging, branch: env/staging, path: overlays/staging, namespace: NS-staging}\n  - {name: prod, branch: env/prod, path: overlays/prod, namespace: NS-prod}";

/// The shop fixture, signed, on three branches, in namespaces of the test's own.
pub(crate) fn shop(plane: &'static ControlPlane, stem: &str) -> Stage {
    let stage = Stage::new(plane);
    stage.copy(Path::new("fixtures/shop"), "");
    for environment in ["dev", "staging", "prod"] {
        let file = format!("overlays/{environment}/kustomization.yaml");
        let text = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: {stem}-{environment}\nresources:\n- namespace.yaml\n- ../../base\n"
        );
        stage.write(&file, &text);
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {stem}-{environment}\n");
        stage.write(&format!("overlays/{environment}/namespace.yaml"), &text);
    }
    stage.commit(Who::Dana, "shop 1.0");
    for environment in ["dev", "staging", "prod"] {
        stage.git(&["branch", &format!("env/{environment}")]);
    }
    stage.git(&["checkout", "-q", "env/dev"]);
    stage.pipeline(&THREE.replace("NS", stem));
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

pub(crate) fn base_without(file: &str) -> String {
    let text = std::fs::read_to_string("fixtures/shop/base/kustomization.yaml").expect("because the fixture is there");
    text.lines().filter(|line| *line != format!("- {file}")).map(|line| format!("{line}\n")).collect()
}

pub(crate) fn replicas(plane: &ControlPlane, namespace: &str) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
    plane.get(&path).expect("because it was deployed")["spec"]["replicas"].clone()
}

pub(crate) fn set_replicas(stage: &Stage, replicas: u32) {
    let text = std::fs::read_to_string("fixtures/shop/base/web.yaml").expect("because the fixture is there");
    stage.write("base/web.yaml", &text.replace("replicas: 2", &format!("replicas: {replicas}")));
}
