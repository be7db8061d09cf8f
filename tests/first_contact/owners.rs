//! Objects of other tools: refused with commands, and taken once the commands were run.

use lockmaster::name::Code;
use lockmaster::plan::Adopt;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, eventually};
use crate::{FIRST, LATER, Place, authors, codes};

const LABELS: &str = "metadata: {name: NAME, labels: {LABELS}, annotations: {ANNOTATIONS}}";

/// What a tool wrote, as YAML: its marks are in it, in Git they are not.
struct Tool {
    /// Its field manager.
    manager: &'static str,
    labels: &'static str,
    annotations: &'static str,
    /// Labels that Git says too.
    said: &'static str,
}

/// A namespaced object and one of the cluster.
fn yaml(name: &str, labels: &str, annotations: &str, data: &str) -> String {
    let metadata = LABELS.replace("NAME", name).replace("LABELS", labels).replace("ANNOTATIONS", annotations);
    format!(
        "apiVersion: v1\nkind: ConfigMap\n{metadata}\ndata: {{{data}}}\n---\napiVersion: \
         rbac.authorization.k8s.io/v1\nkind: ClusterRole\n{metadata}\nrules: [{{apiGroups: [\"\"], resources: [pods], verbs: [get]}}]\n"
    )
}

/// Lets a tool make two objects, and asserts that they are refused, naming this owner; runs the commands of the refusals
/// that kubectl can run; and asserts that they are taken then, and that what leaves Git goes.
fn hand_over(place: &Place, tool: &Tool, owner: &str) -> Vec<String> {
    let name = format!("cart-{}", place.namespace);
    let made = yaml(&name, tool.labels, tool.annotations, "keep: a, stay: b");
    // Helm 3 creates and patches; the others apply on the server's side.
    let how: &[&str] = if tool.manager == "helm-3" {
        &["create", "--field-manager=helm", "-f", "-"]
    } else {
        &["apply", "--server-side", "--field-manager", tool.manager, "-f", "-"]
    };
    place.kubectl(how, &made);
    let release = place.release(&yaml(&name, tool.said, "", "keep: a, stay: b"));
    let report = place.plan(&release, Adopt::Always);
    assert_eq!(codes(&report.refusals), [Code::OwnedByOther; 2], "{:#?}", report.refusals);
    let mut foreign = Vec::new();
    for reason in &report.refusals {
        let mut lines = reason.message.lines();
        let object = reason.object.as_ref().expect("because it is about an object");
        assert_eq!(lines.next(), Some(format!("`{object}` belongs to {owner}").as_str()));
        for line in lines {
            if line.starts_with("kubectl ") { place.shell(line) } else { foreign.push(line.to_owned()) }
        }
    }
    let report = place.plan(&release, Adopt::Identical);
    assert_eq!((&report.refusals, &report.waits, report.adoptions.len()), (&vec![], &vec![], 2), "{report:#?}");
    for object in place.apply(&release, FIRST) {
        let authors: Vec<String> = authors(&object).into_iter().filter(|name| !name.starts_with("kubectl-")).collect();
        assert_eq!(authors, ["lockmaster"], "{object}");
    }
    let later = place.apply(&place.release(&yaml(&name, tool.said, "", "keep: a")), LATER);
    let map = later.iter().find(|object| object["kind"] == "ConfigMap").expect("because it was applied");
    assert_eq!(map["data"], json!({"keep": "a"}), "what leaves Git goes");
    place.kubectl(&["delete", "clusterrole", &name], "");
    place.kubectl(&["delete", "configmap", &name], "");
    foreign
}

pub(crate) fn flux(plane: &'static ControlPlane) {
    let place = Place::new(plane, "flux");
    let kustomize = Tool {
        manager: "kustomize-controller",
        labels: "kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system",
        annotations: "",
        said: "",
    };
    let foreign = hand_over(&place, &kustomize, "the Flux Kustomization `flux-system/apps`");
    assert_eq!(foreign, ["flux suspend kustomization apps -n flux-system"; 2]);
    let release = Tool {
        manager: "helm-controller",
        labels: "helm.toolkit.fluxcd.io/name: web, helm.toolkit.fluxcd.io/namespace: flux-system, \
                 app.kubernetes.io/managed-by: Helm",
        annotations: "meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: default",
        said: "app.kubernetes.io/managed-by: Helm",
    };
    let both = "the Flux HelmRelease `flux-system/web` and to the Helm release `default/web`";
    assert_eq!(hand_over(&place, &release, both), ["flux suspend helmrelease web -n flux-system"; 2]);
}

pub(crate) fn argo(plane: &'static ControlPlane) {
    let place = Place::new(plane, "argo");
    let by_label = Tool {
        manager: "argocd-controller",
        labels: "app.kubernetes.io/instance: web, argocd.argoproj.io/instance: web",
        annotations: "",
        said: "app.kubernetes.io/instance: web",
    };
    let owner = "the Argo CD application `argocd/web`";
    let foreign = hand_over(&place, &by_label, owner);
    assert_eq!(foreign[0], "argocd app delete web -N argocd --cascade=false");
    let by_id = Tool {
        manager: "argocd-controller",
        labels: "app.kubernetes.io/instance: web",
        annotations: "argocd.argoproj.io/tracking-id: \"teams_web:/ConfigMap:x/y\"",
        said: "",
    };
    let foreign = hand_over(&place, &by_id, "the Argo CD application `teams/web`");
    let instead = foreign[1].strip_prefix("or: ").expect("because kubectl can do the same");
    let application = application(plane, "teams", "web");
    place.shell(instead);
    eventually("the application is gone", || plane.get(&application).is_none().then_some(()));
}

/// An application with Argo CD's finalizer, which would delete its objects; says where it is.
fn application(plane: &'static ControlPlane, namespace: &str, name: &str) -> String {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names = json!({"kind": "Application", "plural": "applications", "singular": "application"});
    let spec = json!({"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]});
    let metadata = json!({
        "name": "applications.argoproj.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
    });
    plane.create(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &json!({"metadata": metadata, "spec": spec}),
    );
    plane.create("/api/v1/namespaces", &json!({"metadata": {"name": namespace}}));
    let path = format!("/apis/argoproj.io/v1alpha1/namespaces/{namespace}/applications");
    let finalizer = "resources-finalizer.argocd.argoproj.io";
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": name, "finalizers": [finalizer]},
    });
    eventually("the kind is served", || plane.send("POST", &path, Some(&object)).ok());
    format!("{path}/{name}")
}

pub(crate) fn helm(plane: &'static ControlPlane) {
    let place = Place::new(plane, "helm");
    for (manager, said) in [("helm-3", ""), ("helm-3", "app.kubernetes.io/managed-by: Helm"), ("helm", "")] {
        let secret = json!({
            "metadata": {"name": "sh.helm.release.v1.web.v1", "labels": {"owner": "helm", "name": "web", "version": "1"}},
        });
        plane.create("/api/v1/namespaces/default/secrets", &secret);
        let tool = Tool {
            manager,
            labels: "app.kubernetes.io/managed-by: Helm",
            annotations: "meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: default",
            said,
        };
        assert_eq!(hand_over(&place, &tool, "the Helm release `default/web`"), Vec::<String>::new());
        let gone = plane.get("/api/v1/namespaces/default/secrets/sh.helm.release.v1.web.v1");
        assert_eq!(gone, None::<Value>, "Helm knows the release no more");
    }
}

pub(crate) fn apply_set(plane: &'static ControlPlane) {
    let place = Place::new(plane, "set");
    let tool = Tool {
        manager: "kubectl",
        labels: "applyset.kubernetes.io/part-of: applyset-other-v1",
        annotations: "",
        said: "",
    };
    assert_eq!(hand_over(&place, &tool, "the ApplySet `applyset-other-v1`"), Vec::<String>::new());
}
