//! Other tools that are at work on an object: the marks by which they know it, and the commands that hand it over.
//!
//! The marks are those that each tool documents for its own tracking: Flux (kustomize-controller and helm-controller,
//! owner labels), Argo CD (resource tracking), Helm 3 and 4 (release annotations and `app.kubernetes.io/managed-by`),
//! and KEP-3659 (part-of label). An ApplySet's parent belongs to nobody by that: only members are marked.

use serde_json::Value;

use super::adoption::{annotation, label};
use super::{PART_OF, fields};
use crate::manifest::Manifest;
use crate::name::ObjectKey;

/// The label by which Argo CD tracks where it is not told otherwise; charts set it too.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label that Helm asks for before it takes an object; charts set it too.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const ARGO_ID: &str = "argocd.argoproj.io/tracking-id";
/// The label that Argo CD's documentation proposes instead of [`INSTANCE`].
const ARGO_INSTANCE: &str = "argocd.argoproj.io/instance";
const HELM_NAME: &str = "meta.helm.sh/release-name";
const HELM_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// Somebody who is at work on an object.
#[derive(Debug, PartialEq)]
pub(super) struct Owner {
    /// As a message says it, after "belongs to".
    pub(super) name: String,
    /// One line each, to be run in this order.
    pub(super) commands: Vec<String>,
}

/// Everybody who is at work on a live object that is not ours, in the order in which they have to let go.
pub(super) fn of(manifest: &Manifest, live: &Value) -> Vec<Owner> {
    let key = &manifest.key;
    [
        flux(key, live, "Kustomization", "kustomize.toolkit.fluxcd.io"),
        flux(key, live, "HelmRelease", "helm.toolkit.fluxcd.io"),
        argo(manifest, live),
        helm(manifest, live),
        apply_set(key, live),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A suspended Flux object neither applies nor prunes, and what lacks its labels it leaves alone for ever.
fn flux(key: &ObjectKey, live: &Value, kind: &str, domain: &str) -> Option<Owner> {
    let (name_label, namespace_label) = (format!("{domain}/name"), format!("{domain}/namespace"));
    let name = label(live, &name_label)?;
    let namespace = label(live, &namespace_label).unwrap_or("flux-system");
    let suspend = format!("flux suspend {} {} -n {}", kind.to_lowercase(), shell(name), shell(namespace));
    let unlabel = format!("kubectl label {} {name_label}- {namespace_label}-", named(key));
    Some(Owner { name: format!("the Flux {kind} `{namespace}/{name}`"), commands: vec![suspend, unlabel] })
}

/// Argo CD knows its objects by annotation or by label. The label may be the chart's own: then it counts where Argo CD's
/// entry in `managedFields` owns it, and setting it anew takes it from there.
fn argo(manifest: &Manifest, live: &Value) -> Option<Owner> {
    let by_id = annotation(live, ARGO_ID).map(|id| id.split(':').next().unwrap_or(id));
    let by_own_label = label(live, ARGO_INSTANCE);
    let by_label = label(live, INSTANCE).filter(|_| fields::label_owned_by(live, INSTANCE, "argocd"));
    let tracked = by_id.or(by_own_label).or(by_label)?;
    // Applications outside Argo CD's own namespace are tracked as `namespace_name`.
    let (namespace, name) = tracked.split_once('_').unwrap_or(("argocd", tracked));
    let (app, home, object) = (shell(name), shell(namespace), named(&manifest.key));
    let kind = "applications.argoproj.io";
    let mut commands = vec![
        format!("argocd app delete {app} -N {home} --cascade=false"),
        format!(
            "or: kubectl patch {kind} {app} -n {home} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}' && kubectl \
             delete {kind} {app} -n {home}"
        ),
    ];
    if by_id.is_some() {
        commands.push(format!("kubectl annotate {object} {ARGO_ID}- argocd.argoproj.io/installation-id-"));
    }
    if by_own_label.is_some() {
        commands.push(format!("kubectl label {object} {ARGO_INSTANCE}-"));
    }
    if by_label.is_some() {
        commands.push(format!("kubectl label {object} {INSTANCE}-"));
        let said = label(&manifest.value, INSTANCE);
        commands.extend(said.map(|value| format!("kubectl label {object} {INSTANCE}={}", shell(value))));
    }
    Some(Owner { name: format!("the Argo CD application `{namespace}/{name}`"), commands })
}

/// Helm asks for both annotations and the label before it takes an object; Helm 4 also applies as field manager `helm`.
fn helm(manifest: &Manifest, live: &Value) -> Option<Owner> {
    let name = annotation(live, HELM_NAME)?;
    let by_label = label(live, MANAGED_BY) == Some("Helm");
    if !by_label && !fields::entries(live).any(|entry| entry["manager"] == "helm") {
        return None;
    }
    let (key, object) = (&manifest.key, named(&manifest.key));
    let namespace = annotation(live, HELM_NAMESPACE).or(key.namespace.as_deref()).unwrap_or("default");
    let mut commands = vec![
        format!(
            "kubectl delete secret,configmap -n {} -l {}",
            shell(namespace),
            shell(&format!("owner=helm,name={name}"))
        ),
        format!("kubectl annotate {object} {HELM_NAME}- {HELM_NAMESPACE}-"),
    ];
    if by_label && label(&manifest.value, MANAGED_BY) != Some("Helm") {
        commands.push(format!("kubectl label {object} {MANAGED_BY}-"));
    }
    Some(Owner { name: format!("the Helm release `{namespace}/{name}`"), commands })
}

/// Whatever has the label has another set than ours, or it would be ours.
fn apply_set(key: &ObjectKey, live: &Value) -> Option<Owner> {
    let set = label(live, PART_OF)?;
    Some(Owner {
        name: format!("the ApplySet `{set}`"),
        commands: vec![format!("kubectl label {} {PART_OF}-", named(key))],
    })
}

/// An object as kubectl takes it: `Deployment.apps/cart -n shop`, or `ClusterRole.rbac.authorization.k8s.io/cart`.
fn named(key: &ObjectKey) -> String {
    let object = shell(&format!("{}/{}", key.group_kind(), key.name));
    key.namespace.as_ref().map_or(object.clone(), |namespace| format!("{object} -n {}", shell(namespace)))
}

/// One word of a shell's command, quoted where it must be: whoever wrote the live object may have chosen it.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let kept: String = word.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", kept.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
