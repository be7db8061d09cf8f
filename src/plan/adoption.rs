//! Objects that exist and are not ours: whose they are, and whether we may take them.

use serde_json::Value;

use super::{Adopt, FieldChange, Ground, PART_OF, fields};
use crate::name::{Code, ObjectKey, Reason};

/// How many fields a message names; the report has them all.
const NAMED_FIELDS: usize = 3;

/// Whether a live object is ours: in the inventory, or under our label, as after a write whose reply was lost.
pub(super) fn is_ours(key: &ObjectKey, live: &Value, ground: &Ground<'_>) -> bool {
    ground.inventory.members.contains_key(key) || label(live, PART_OF) == Some(ground.policy.set_id.as_str())
}

/// Whether an object that is not ours may be taken, or why not.
///
/// # Errors
/// `owned-by-other` or `adoption-needed`.
pub(super) fn admits(
    key: &ObjectKey,
    live: &Value,
    changes: &[FieldChange],
    ground: &Ground<'_>,
) -> Result<(), Reason> {
    if let Some(reason) = owned_by_other(key, live) {
        return Err(reason);
    }
    let identical = changes.iter().all(|change| is_our_label(change, &ground.policy.set_id));
    match ground.policy.adopt {
        Adopt::Always => Ok(()),
        Adopt::Identical if identical => Ok(()),
        Adopt::Identical | Adopt::Never => {
            let message = format!("`{key}` exists and is not ours{}, {}", last_writer(live), would_change(changes));
            Err(Reason::new(Code::AdoptionNeeded, message).at_object(key.clone()))
        }
    }
}

/// The refusal for an object of another tool that is at work.
///
/// The marks are those that each tool documents for its own tracking: Flux (kustomize-controller and helm-controller,
/// owner labels), Argo CD (resource tracking), Helm (`app.kubernetes.io/managed-by` and release annotations), and
/// KEP-3659 (part-of label).
fn owned_by_other(key: &ObjectKey, live: &Value) -> Option<Reason> {
    let owner = flux(live).or_else(|| argo(live)).or_else(|| helm(live)).or_else(|| apply_set(live))?;
    Some(Reason::new(Code::OwnedByOther, format!("`{key}` belongs to {owner}")).at_object(key.clone()))
}

fn flux(live: &Value) -> Option<String> {
    let kinds = [("Kustomization", "kustomize.toolkit.fluxcd.io"), ("HelmRelease", "helm.toolkit.fluxcd.io")];
    kinds.iter().find_map(|(kind, domain)| {
        let name = label(live, &format!("{domain}/name"))?;
        let namespace = label(live, &format!("{domain}/namespace")).map_or(String::new(), |name| format!("{name}/"));
        Some(format!("the Flux {kind} `{namespace}{name}`: suspend and orphan it there, then remove its labels here"))
    })
}

fn argo(live: &Value) -> Option<String> {
    let tracked = annotation(live, "argocd.argoproj.io/tracking-id").map(|id| id.split(':').next().unwrap_or(id));
    let name = tracked.or_else(|| {
        let at_work = managers(live).any(|manager| manager.starts_with("argocd"));
        label(live, "app.kubernetes.io/instance").filter(|_| at_work)
    })?;
    Some(format!("the Argo CD application `{name}`: delete that without cascade, then remove its marks here"))
}

fn helm(live: &Value) -> Option<String> {
    let name = annotation(live, "meta.helm.sh/release-name")?;
    label(live, "app.kubernetes.io/managed-by").filter(|by| *by == "Helm")?;
    let namespace = annotation(live, "meta.helm.sh/release-namespace").map_or(String::new(), |name| format!("{name}/"));
    Some(format!("the Helm release `{namespace}{name}`: delete that release's Secrets, then remove its marks here"))
}

/// Whatever has the label has another set than ours, or [`is_ours`] would have said so.
fn apply_set(live: &Value) -> Option<String> {
    let set = label(live, PART_OF)?;
    Some(format!("the ApplySet `{set}`: take it out of that set, then remove its label here"))
}

fn last_writer(live: &Value) -> String {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let whole = entries.filter(|entry| entry.get("subresource").is_none_or(|part| part == "")).map(fields::owner);
    let newest = whole.max_by(|a, b| a.time.cmp(&b.time));
    newest.map_or(String::new(), |owner| format!(", last written by `{}`", owner.manager))
}

fn would_change(changes: &[FieldChange]) -> String {
    if changes.is_empty() {
        return "nothing in it would change".to_owned();
    }
    let named: Vec<String> = changes.iter().take(NAMED_FIELDS).map(|change| format!("`{}`", change.path)).collect();
    let more = changes.len().saturating_sub(NAMED_FIELDS);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("would change {}{rest}", named.join(", "))
}

fn is_our_label(change: &FieldChange, set_id: &str) -> bool {
    let only = serde_json::json!({ PART_OF: set_id });
    let added = change.to.as_ref();
    change.path == format!("metadata.labels['{PART_OF}']") && added.and_then(Value::as_str) == Some(set_id)
        || change.path == "metadata.labels" && change.from.is_none() && added == Some(&only)
}

fn managers(live: &Value) -> impl Iterator<Item = &str> {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| entry.get("manager")?.as_str())
}

fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// An annotation of an object.
pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}
