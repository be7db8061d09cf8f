use serde_json::{Value, json};

use super::*;
use crate::manifest::ManifestSet;

fn manifest(api_version: &str, kind: &str, metadata: &Value) -> Manifest {
    let line = format!("{}\n", json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}));
    ManifestSet::from_bytes(line.as_bytes()).expect("because the line is canonical").manifests()[0].clone()
}

fn deployment(labels: &Value) -> Manifest {
    manifest("apps/v1", "Deployment", &json!({"labels": labels, "name": "cart", "namespace": "shop"}))
}

/// A live object with these labels and annotations, all of them written by one manager.
fn live(labels: &Value, annotations: &Value, manager: &str) -> Value {
    let owned = |texts: &Value| -> Value {
        texts.as_object().into_iter().flatten().map(|(name, _)| (format!("f:{name}"), json!({}))).collect()
    };
    let fields = json!({"f:metadata": {"f:labels": owned(labels), "f:annotations": owned(annotations)}});
    let entry = json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields});
    json!({"metadata": {"labels": labels, "annotations": annotations, "managedFields": [entry]}})
}

/// Names and commands of all owners.
fn told(manifest: &Manifest, live: &Value) -> (Vec<String>, Vec<String>) {
    let owners = of(manifest, live);
    let commands = owners.iter().flat_map(|owner| owner.commands.clone()).collect();
    (owners.into_iter().map(|owner| owner.name).collect(), commands)
}

/// Each row: who owns it, and the commands, one a line.
fn hands_over(rows: &[(Value, &str, &str)]) {
    for (live, name, commands) in rows {
        let (names, found) = told(&deployment(&json!({})), live);
        assert_eq!((names, found.join("\n").as_str()), (vec![(*name).to_owned()], *commands));
    }
}

#[test]
fn flux_helm_and_apply_sets_are_named_with_the_commands_that_hand_over() {
    let none = json!({});
    let domain = "kustomize.toolkit.fluxcd.io";
    let flux = json!({format!("{domain}/name"): "apps", format!("{domain}/namespace"): "flux"});
    let release = json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"});
    let by_helm = json!({"app.kubernetes.io/managed-by": "Helm"});
    hands_over(&[
        (
            live(&flux, &none, "kustomize-controller"),
            "the Flux Kustomization `flux/apps`",
            "flux suspend kustomization apps -n flux\n\
             kubectl label Deployment.apps/cart -n shop kustomize.toolkit.fluxcd.io/name- \
             kustomize.toolkit.fluxcd.io/namespace-",
        ),
        (
            live(&by_helm, &release, "helm"),
            "the Helm release `shop/web`",
            "kubectl delete secret,configmap -n shop -l owner=helm,name=web\n\
             kubectl annotate Deployment.apps/cart -n shop meta.helm.sh/release-name- meta.helm.sh/release-namespace-\n\
             kubectl label Deployment.apps/cart -n shop app.kubernetes.io/managed-by-",
        ),
        (
            live(&none, &release, "helm"),
            "the Helm release `shop/web`",
            "kubectl delete secret,configmap -n shop -l owner=helm,name=web\n\
             kubectl annotate Deployment.apps/cart -n shop meta.helm.sh/release-name- meta.helm.sh/release-namespace-",
        ),
        (
            live(&json!({PART_OF: "applyset-x-v1"}), &none, "kubectl-applyset"),
            "the ApplySet `applyset-x-v1`",
            "kubectl label Deployment.apps/cart -n shop applyset.kubernetes.io/part-of-",
        ),
    ]);
}

#[test]
fn argo_cd_is_named_with_the_commands_that_hand_over_by_each_mark() {
    let none = json!({});
    let id = json!({"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/cart"});
    let far_id = json!({"argocd.argoproj.io/tracking-id": "teams_web:apps/Deployment:shop/cart"});
    let by_label = json!({"app.kubernetes.io/instance": "web", "argocd.argoproj.io/instance": "web"});
    let argo = "argocd-controller";
    hands_over(&[
        (
            live(&none, &id, argo),
            "the Argo CD application `argocd/web`",
            "argocd app delete web -N argocd --cascade=false\n\
             or: kubectl patch applications.argoproj.io web -n argocd --type=merge -p \
             '{\"metadata\":{\"finalizers\":null}}' && kubectl delete applications.argoproj.io web -n argocd\n\
             kubectl annotate Deployment.apps/cart -n shop argocd.argoproj.io/tracking-id- \
             argocd.argoproj.io/installation-id-",
        ),
        (
            live(&none, &far_id, argo),
            "the Argo CD application `teams/web`",
            "argocd app delete web -N teams --cascade=false\n\
             or: kubectl patch applications.argoproj.io web -n teams --type=merge -p \
             '{\"metadata\":{\"finalizers\":null}}' && kubectl delete applications.argoproj.io web -n teams\n\
             kubectl annotate Deployment.apps/cart -n shop argocd.argoproj.io/tracking-id- \
             argocd.argoproj.io/installation-id-",
        ),
        (
            live(&by_label, &none, argo),
            "the Argo CD application `argocd/web`",
            "argocd app delete web -N argocd --cascade=false\n\
             or: kubectl patch applications.argoproj.io web -n argocd --type=merge -p \
             '{\"metadata\":{\"finalizers\":null}}' && kubectl delete applications.argoproj.io web -n argocd\n\
             kubectl label Deployment.apps/cart -n shop argocd.argoproj.io/instance-\n\
             kubectl label Deployment.apps/cart -n shop app.kubernetes.io/instance-",
        ),
    ]);
}

#[test]
fn an_object_of_a_flux_helm_release_is_handed_over_by_both() {
    let labels = json!({
        "helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop",
        "app.kubernetes.io/managed-by": "Helm",
    });
    let release = json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"});
    let (names, commands) = told(&deployment(&json!({})), &live(&labels, &release, "helm-controller"));
    assert_eq!(names, ["the Flux HelmRelease `shop/web`", "the Helm release `shop/web`"]);
    assert_eq!(commands[0], "flux suspend helmrelease web -n shop");
    assert_eq!(commands.len(), 5);
}

#[test]
fn a_label_that_the_manifest_says_stays_and_changes_hands() {
    let said = json!({"app.kubernetes.io/instance": "web", "app.kubernetes.io/managed-by": "Helm"});
    let release = json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"});
    let (_, helm) = told(&deployment(&said), &live(&said, &release, "helm"));
    assert!(helm.iter().all(|command| !command.contains("managed-by")), "{helm:?}");
    let (_, argo) = told(&deployment(&said), &live(&said, &json!({}), "argocd-controller"));
    let last = [
        "kubectl label Deployment.apps/cart -n shop app.kubernetes.io/instance-",
        "kubectl label Deployment.apps/cart -n shop app.kubernetes.io/instance=web",
    ];
    assert_eq!(argo[2..], last);
}

#[test]
fn marks_of_nobody_who_is_at_work_name_nobody() {
    let none = json!({});
    let table = [
        ("a chart's label", live(&json!({"app.kubernetes.io/instance": "web"}), &none, "kubectl-label")),
        ("a chart's other label", live(&json!({"app.kubernetes.io/managed-by": "Helm"}), &none, "kubectl")),
        ("an annotation alone", live(&none, &json!({"meta.helm.sh/release-name": "web"}), "kubectl")),
        ("a parent of an ApplySet", live(&json!({"applyset.kubernetes.io/id": "applyset-x-v1"}), &none, "kubectl")),
    ];
    for (name, live) in table {
        assert_eq!(of(&deployment(&none), &live), [], "{name}");
    }
}

#[test]
fn commands_fit_the_cluster_scope_and_quote_what_a_shell_would_read() {
    let metadata = json!({"name": "system:cart $(reboot)"});
    let role = manifest("rbac.authorization.k8s.io/v1", "ClusterRole", &metadata);
    let set = live(&json!({PART_OF: "applyset-x-v1"}), &json!({}), "kubectl");
    let expected = "kubectl label 'ClusterRole.rbac.authorization.k8s.io/system:cart $(reboot)' \
                    applyset.kubernetes.io/part-of-";
    assert_eq!(told(&role, &set).1, [expected]);
    let id = json!({"argocd.argoproj.io/tracking-id": "a'b\n;reboot:x"});
    let (_, commands) = told(&role, &live(&json!({}), &id, "argocd-controller"));
    assert_eq!(commands[0], r"argocd app delete 'a'\''b;reboot' -N argocd --cascade=false");
}
