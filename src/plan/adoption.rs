//! Objects that exist and are not ours: whose they are, and whether we may take them.

use serde_json::Value;

use super::{Adopt, FieldChange, Ground, PART_OF, fields, owners};
use crate::manifest::Manifest;
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
    manifest: &Manifest,
    live: &Value,
    changes: &[FieldChange],
    ground: &Ground<'_>,
) -> Result<(), Reason> {
    if let Some(reason) = owned_by_other(manifest, live) {
        return Err(reason);
    }
    let changes: Vec<&FieldChange> =
        changes.iter().filter(|change| !is_our_label(change, &ground.policy.set_id)).collect();
    match ground.policy.adopt {
        Adopt::Always => Ok(()),
        Adopt::Identical if changes.is_empty() => Ok(()),
        Adopt::Identical | Adopt::Never => {
            let key = &manifest.key;
            let mut message =
                format!("`{key}` exists and is not ours{}, {}", last_writer(live), would_change(&changes));
            if ground.policy.adopt == Adopt::Never {
                message.push_str("; `adopt: never` takes nothing");
            }
            Err(Reason::new(Code::AdoptionNeeded, message).at_object(key.clone()))
        }
    }
}

/// The refusal for an object of other tools that are at work, with the commands that hand it over, one a line.
fn owned_by_other(manifest: &Manifest, live: &Value) -> Option<Reason> {
    let owners = owners::of(manifest, live);
    if owners.is_empty() {
        return None;
    }
    let key = &manifest.key;
    let names: Vec<&str> = owners.iter().map(|owner| owner.name.as_str()).collect();
    let mut message = format!("`{key}` belongs to {}", names.join(" and to "));
    for command in owners.iter().flat_map(|owner| &owner.commands) {
        message.push('\n');
        message.push_str(command);
    }
    Some(Reason::new(Code::OwnedByOther, message).at_object(key.clone()))
}

fn last_writer(live: &Value) -> String {
    let whole =
        fields::entries(live).filter(|entry| entry.get("subresource").is_none_or(|part| part == "")).map(fields::owner);
    let newest = whole.max_by(|a, b| a.time.cmp(&b.time));
    newest.map_or(String::new(), |owner| format!(", last written by `{}`", owner.manager))
}

fn would_change(changes: &[&FieldChange]) -> String {
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

/// A label of an object.
pub(super) fn label<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/labels")?.get(name)?.as_str()
}

/// An annotation of an object.
pub(super) fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}
