//! Former appliers of an object that we took: their entries in `managedFields` go, and what they said becomes ours, so
//! that the next apply removes what Git does not say, and later whatever leaves Git.
//!
//! The idea is client-go's `util/csaupgrade`. Here only what a former applier *said* becomes ours: an entry of an update
//! also holds every default of the server, which nobody said, and kubectl's annotation tells the two apart. An entry that
//! nothing tells about goes, and its fields stay with nobody. That is also the end of `before-first-apply`, in which the
//! server puts every field of an object whose `managedFields` were lost, those of other controllers too.

use serde_json::{Value, json};

use super::super::FIELD_MANAGER;
use super::LAST_APPLIED;
use super::owned::Owned;
use super::ownership::entries;
use crate::manifest::Manifest;

/// The server's entry for what was there before the first apply to an object without `managedFields`.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// See [`super::super::folded`].
pub(in super::super) fn folded(manifest: &Manifest, object: &Value, first: bool) -> Option<Value> {
    let ours = entries(object).find(|entry| is_ours(entry))?;
    let goes = |entry: &Value| if first { is_former(entry) } else { manager(entry) == BEFORE_FIRST_APPLY };
    let real = |entry: &Value| is_whole(entry) && !is_ours(entry) && manager(entry) != BEFORE_FIRST_APPLY;
    if !entries(object).any(goes) || !first && entries(object).any(real) {
        return None;
    }
    let united = if first { united(manifest, object) } else { Owned::default() };
    let fields = Owned::of(&ours["fieldsV1"]).union(united).to_fields();
    let kept = entries(object).filter(|entry| !goes(entry)).map(|entry| {
        let mut entry = entry.clone();
        if is_ours(&entry) {
            entry["fieldsV1"] = fields.clone();
        }
        entry
    });
    Some(kept.collect())
}

/// See [`super::super::count_to_hand_off`].
pub(in super::super) fn count_to_hand_off<'a>(manifest: &Manifest, object: &'a Value) -> Option<&'a Value> {
    let owns = |entry: &Value| is_ours(entry) && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some();
    let handed = manifest.scaled && entries(object).any(owns);
    object.pointer("/spec/replicas").filter(|_| handed)
}

/// An object as our first apply answers it, without the fields that go when its former appliers are folded.
pub(in super::super) fn without_leftovers(manifest: &Manifest, object: &Value) -> Value {
    let others = entries(object).filter(|entry| !is_former(entry) && !is_ours(entry));
    let others = others.fold(Owned::default(), |all, entry| all.union(Owned::of(&entry["fieldsV1"])));
    united(manifest, object).unsaid_by(Some(&manifest.value)).without(&others).taken_from(object)
}

/// What the former appliers said, in the version that the manifest is written in.
fn united(manifest: &Manifest, object: &Value) -> Owned {
    let version = manifest.kind.api_version();
    let said = last_applied(manifest, object);
    let formers = entries(object).filter(|entry| is_former(entry) && entry["apiVersion"] == version.as_str());
    let owned = formers.map(|entry| {
        let owned = Owned::of(&entry["fieldsV1"]);
        if entry["operation"] == "Apply" { owned } else { owned.said_by(&said) }
    });
    let all = owned.fold(Owned::default(), Owned::union).without_path(&["metadata", "annotations", LAST_APPLIED]);
    // What a scaler decides is never ours, so that no apply takes it away.
    if manifest.scaled { all.without_path(&["spec", "replicas"]) } else { all }
}

/// The object as kubectl last applied it. Only its keys are looked at.
fn last_applied(manifest: &Manifest, object: &Value) -> Value {
    let text = object.pointer("/metadata/annotations").and_then(|texts| texts.get(LAST_APPLIED)?.as_str());
    let mut said: Value = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if manifest.key.is_core("Secret")
        && let Some(Value::Object(plain)) = said.get_mut("stringData").map(Value::take)
    {
        // The server keeps it as `data`.
        plain.into_iter().for_each(|(key, _)| said["data"][key] = json!(""));
    }
    said
}

/// Whether an entry is of somebody who applied the object as a whole, and is not at work on it any more: an object with
/// an owner's marks is not taken.
fn is_former(entry: &Value) -> bool {
    let by_tool =
        ["kustomize-controller", "helm-controller", "helm", "argocd-controller", "argocd-application-controller"];
    let by_apply = ["kubectl", "kubectl-last-applied"];
    let by_update = ["kubectl-client-side-apply", "kubectl-create", "kubectl-replace", BEFORE_FIRST_APPLY];
    let name = manager(entry);
    let applied = entry["operation"] == "Apply";
    is_whole(entry)
        && (by_tool.contains(&name) || applied && by_apply.contains(&name) || !applied && by_update.contains(&name))
}

fn is_ours(entry: &Value) -> bool {
    is_whole(entry) && manager(entry) == FIELD_MANAGER && entry["operation"] == "Apply"
}

/// Whether an entry is about the object and not about a subresource.
fn is_whole(entry: &Value) -> bool {
    entry.get("subresource").is_none_or(|part| part == "")
}

fn manager(entry: &Value) -> &str {
    entry["manager"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
