//! What goes, in which order, and what may not go unasked.

use std::cmp::{Ordering, Reverse};

use serde_json::Value;

use super::adoption::annotation;
use super::{Ground, Inventory, Live, PART_OF, Policy};
use crate::manifest::{ManifestSet, Stage};
use crate::name::{Code, ObjectKey, Reason};

/// Below this many, a share of the set is no brake: small sets lose a large share with one honest change.
const FEWEST: usize = 5;

/// See [`super::prunable`].
pub(super) fn prunable(
    inventory: &Inventory,
    names: impl Fn(&ObjectKey) -> bool,
    policy: &Policy,
    undone: Option<u64>,
) -> (Vec<ObjectKey>, Vec<Reason>) {
    let doomed = inventory.members.iter().filter(|(key, member)| member.doomed && !names(key));
    let mut doomed: Vec<ObjectKey> = doomed.map(|(key, _)| key.clone()).collect();
    if !doomed.is_empty() && doomed.len() == inventory.members.len() {
        let reason = Reason::new(Code::EmptyRender, "the standing release has no objects, which never prunes");
        return (Vec::new(), vec![reason]);
    }
    doomed.sort_by_cached_key(order_of_deletion);
    let (guarded, free): (Vec<_>, Vec<_>) = doomed.into_iter().partition(is_guarded);
    let mut waits: Vec<Reason> = guarded.into_iter().map(needs_approval).collect();
    // What was made after the release that is gone back to goes with what is undone.
    let later = |key: &ObjectKey| {
        let origin = inventory.members.get(key).map(|member| member.origin);
        origin.zip(undone).is_some_and(|(origin, undone)| origin > undone)
    };
    let (undone, others): (Vec<_>, Vec<_>) = free.iter().cloned().partition(later);
    if let Some(reason) = too_many(others.len(), inventory.members.len(), policy.prune_share) {
        waits.push(reason);
        return (undone, waits);
    }
    (free, waits)
}

/// The members that a release no longer names and that are to be deleted, in the order of deletion.
pub(super) fn going(release: &ManifestSet, ground: &Ground<'_>) -> Vec<ObjectKey> {
    let named = |key: &ObjectKey| release.get(key).is_some();
    let members = ground.inventory.members.keys().filter(|key| !named(key) && !stays(key, ground));
    let mut going: Vec<ObjectKey> = members.cloned().collect();
    going.sort_by_cached_key(order_of_deletion);
    going
}

/// Whether a member is left where it is: gone already, kept by its annotation, or somebody else's by now.
fn stays(key: &ObjectKey, ground: &Ground<'_>) -> bool {
    let kept = |object: &Value| annotation(object, "lockmaster.dev/prune") == Some("false");
    if ground.standing.and_then(|set| set.get(key)).is_some_and(|manifest| kept(&manifest.value)) {
        return true;
    }
    match ground.observed.live.get(key) {
        Some(Live::Absent) => true,
        Some(Live::Present(live)) => kept(live) || was_replaced(key, live, ground),
        None => false,
    }
}

/// Whether the object under this name is another one than we made: another uid, and not under our label.
fn was_replaced(key: &ObjectKey, live: &Value, ground: &Ground<'_>) -> bool {
    let ours = ground.inventory.members.get(key).and_then(|member| member.uid.as_deref());
    let found = live.pointer("/metadata/uid").and_then(Value::as_str);
    let label = live.pointer("/metadata/labels").and_then(|labels| labels.get(PART_OF)).and_then(Value::as_str);
    ours.is_some() && found.is_some() && ours != found && label != Some(ground.policy.set_id.as_str())
}

/// Reverse stages; within the foundation, definitions after what they may define, and Namespaces last.
fn order_of_deletion(key: &ObjectKey) -> (Reverse<Stage>, u8, ObjectKey) {
    let last = match key.kind.as_str() {
        "CustomResourceDefinition" => 1,
        "Namespace" => 2,
        _ => 0,
    };
    (Reverse(Stage::of(&key.group_kind())), last, key.clone())
}

/// What takes other things or data with it, and never goes unasked.
fn is_guarded(key: &ObjectKey) -> bool {
    ["Namespace", "PersistentVolumeClaim", "PersistentVolume"].iter().any(|kind| key.is_core(kind))
        || key.group == "apiextensions.k8s.io" && key.kind == "CustomResourceDefinition"
}

fn needs_approval(key: ObjectKey) -> Reason {
    let what = match key.kind.as_str() {
        "Namespace" => "with everything in it",
        "CustomResourceDefinition" => "with every object of its kind",
        _ => "with its data",
    };
    Reason::new(Code::PruneNeedsApproval, format!("`{key}` would be deleted {what}")).at_object(key)
}

/// The brake on a share of the set. A share that is no number holds everything.
fn too_many(going: usize, set: usize, share: f64) -> Option<Reason> {
    let (count, limit) = (going as f64, share * set as f64);
    let within = matches!(count.partial_cmp(&limit), Some(Ordering::Less | Ordering::Equal));
    if going < FEWEST || within {
        return None;
    }
    let percent = share * 100.0;
    let message = format!("{going} of {set} objects would be deleted, more than {percent:.0} % and at least {FEWEST}");
    Some(Reason::new(Code::PruneNeedsApproval, message))
}
