//! What a write makes of `metadata.managedFields`: who owns which field afterwards.
//!
//! The order of steps is that of a real server: <https://kubernetes.io/docs/reference/using-api/server-side-apply/>, and the
//! package `k8s.io/apimachinery/pkg/util/managedfields` for what the page leaves open. `tests/embedded_truth` compares
//! every case with a real server.

mod entries;

use serde_json::{Value, json};

use self::entries::{Entry, Identity, Managers};
use super::checks;
use super::fields::{self, Comparison, Set};
use super::objects;
use super::refusal::Refusal;
use super::schema::Resource;
use super::write::How;

/// How many managers may have updated an object before the oldest are counted as one.
const MOST_UPDATERS: usize = 10;

/// The manager of what an object held before it was first applied and when nobody was counted.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that nobody owns.
fn never_owned() -> Set {
    Set::of(&[
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
}

/// Fields that a write to this subresource does not change, and so does not own.
fn reset(resource: &Resource, subresource: Option<&str>) -> Set {
    let only_spec = Set::of(&["spec"]);
    match (subresource, resource.kind.as_str(), resource.is_custom) {
        (None, "IPAddress" | "CSINode", _) => Set::default(),
        (None, ..) if resource.has_status => Set::of(&["status"]),
        (None, ..) => Set::default(),
        (Some("status"), _, true) => Set::of(&["metadata", "spec"]),
        (Some("status"), "Deployment", _) => only_spec.union(&Set::of(&["metadata.labels"])),
        (Some("status"), "Pod", _) => {
            only_spec.union(&Set::of(&["metadata.deletionTimestamp", "metadata.ownerReferences"]))
        }
        (Some("status"), "ServiceCIDR" | "VolumeAttachment" | "CustomResourceDefinition", _) => {
            Set::of(&["metadata", "spec"])
        }
        (Some(_), ..) => only_spec,
    }
}

/// Takes the managed fields out of an object.
fn take_managed(object: &mut Value) -> Value {
    object["metadata"].as_object_mut().and_then(|metadata| metadata.remove("managedFields")).unwrap_or_default()
}

/// Server-side apply of `config` to the live object, if there is one: the new object with its managed fields, as it is
/// before [`super::objects::complete`] and [`keep_times`].
///
/// # Errors
/// Conflicts, unless `force`; a body that names managed fields (400), or that cannot be read as its type (500).
pub(super) fn apply(
    resource: &Resource,
    live: Option<&Value>,
    config: &Value,
    force: bool,
    how: &How,
) -> Result<Value, Refusal> {
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    let (root, version) = (resource.root(), resource.api_version());
    let [namespace, name] = ["namespace", "name"].map(|field| config["metadata"][field].as_str().unwrap_or_default());
    let kind = format!("{}/{}, Kind={}", resource.group, resource.version, resource.kind);
    let which = format!("({namespace}/{name}; {kind})");
    fields::validate(&root, config)
        .map_err(|what| Refusal::internal(format!("failed to create typed patch object {which}: {what}")))?;
    let mut stored = live.cloned().unwrap_or_else(|| objects::zero_object(resource));
    let mut managers = Managers::read(&take_managed(&mut stored), &version)
        .ok_or_else(|| Refusal::internal("failed to decode managed fields: invalid entry"))?;
    if managers.is_empty() {
        let first = How { manager: BEFORE_FIRST_APPLY.to_owned(), ..how.clone() };
        track(resource, &objects::zero_object(resource), &stored, &mut managers, &first);
    }
    let me = Identity::new(&how.manager, false, how.subresource);
    let last = managers.get(&me);
    let ignored = reset(resource, how.subresource);
    let set = fields::to_set(&root, config).without(&ignored);
    managers.set(me.clone(), set);
    let merged = fields::merge(&root, Some(&stored), Some(config)).unwrap_or_default();
    let mut new = prune(resource, &merged, &managers, &last);
    if let Some(what) = checks::undecodable(resource, &new) {
        let what = format!("to proper version: unable to convert unstructured object to {kind}: {what}");
        return Err(Refusal::internal(format!("failed to convert new object {which} {what}")));
    }
    let comparison = fields::compare(&root, &stored, &new).without(&ignored);
    yield_fields(&mut managers, &comparison, Some(&me), force)?;
    managers.set(me.clone(), managers.get(&me).difference(&never_owned()));
    if new != stored {
        managers.touch(&me, &how.now);
    }
    put_managed(&mut new, &managers);
    Ok(new)
}

/// Gives an object its managed fields.
fn put_managed(object: &mut Value, managers: &Managers) {
    if !managers.is_empty() {
        object["metadata"]["managedFields"] = managers.write();
    }
}

/// Takes from every manager but one what a write changes or removes.
///
/// # Errors
/// Conflicts, unless forced.
fn yield_fields(
    managers: &mut Managers,
    changed: &Comparison,
    but: Option<&Identity>,
    force: bool,
) -> Result<(), Refusal> {
    let written = changed.modified.union(&changed.added);
    let mut conflicts = Vec::new();
    let others: Vec<Entry> = managers.entries().filter(|entry| Some(&entry.identity) != but).cloned().collect();
    for other in others {
        let taken = other.set.intersection(&written);
        let whose = other.identity.display(&managers.version);
        conflicts.extend(taken.paths().iter().map(|path| (whose.clone(), fields::display(path))));
        managers.set(other.identity, other.set.difference(&taken).difference(&changed.removed));
    }
    if force || conflicts.is_empty() { Ok(()) } else { Err(Refusal::field_conflicts(conflicts)) }
}

/// Removes what the manager applied before and does not apply now, unless somebody else owns it.
fn prune(resource: &Resource, merged: &Value, managers: &Managers, last: &Set) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let root = resource.root();
    let named = |set: &Set| set.with_named(Some(&root));
    let last = named(last);
    let all = named(&fields::to_set(&root, merged));
    let mut pruned = fields::remove(&root, merged, &last);
    // What somebody else owns comes back, with the items and structs around it.
    let owned = managers.entries().fold(Set::default(), |owned, entry| owned.union(&entry.set));
    let kept = named(&fields::to_set(&root, &pruned)).union(&named(&owned));
    pruned = fields::remove(&root, merged, &all.difference(&kept));
    // And so does what this manager never owned.
    let kept = named(&fields::to_set(&root, &pruned));
    fields::remove(&root, merged, &all.difference(&kept).intersection(&last))
}

/// Gives a new object, which is complete, its managed fields after a create, a replacement or a patch other than apply.
///
/// What the request itself says of managed fields counts, as on a real server: entries replace the live ones, and an
/// empty list or one empty entry ends the counting. A write to a subresource cannot say anything of them.
pub(super) fn update(resource: &Resource, live: Option<&Value>, new: &mut Value, how: &How) {
    let version = resource.api_version();
    let asked = take_managed(new);
    let mut old = live.cloned().unwrap_or_else(|| objects::zero_object(resource));
    let stored = take_managed(&mut old);
    let live_managers = || Managers::read(&stored, &version).unwrap_or_default();
    let mut managers = if how.subresource.is_some() {
        live_managers()
    } else if asked == json!([]) || asked == json!([{}]) {
        Managers::default()
    } else {
        Managers::read(&asked, &version).filter(|managers| !managers.is_empty()).unwrap_or_else(live_managers)
    };
    if live.is_some() && managers.is_empty() {
        return;
    }
    track(resource, &old, new, &mut managers, how);
    put_managed(new, &managers);
}

/// Counts an update: the writer owns what differs, and nobody else does.
fn track(resource: &Resource, old: &Value, new: &Value, managers: &mut Managers, how: &How) {
    let root = resource.root();
    let changed = fields::compare(&root, old, new).without(&reset(resource, how.subresource));
    yield_fields(managers, &changed, None, true).expect("because a forced write has no conflicts");
    let written = changed.modified.union(&changed.added).difference(&never_owned());
    if !written.is_empty() {
        let me = Identity::new(&how.manager, true, how.subresource);
        managers.set(me.clone(), managers.get(&me).union(&written));
        managers.touch(&me, &how.now);
    }
    managers.cap(MOST_UPDATERS);
}

/// Gives a new parent object its managed fields after a write to `scale` that changed `spec.replicas`. The entry of its
/// writer has no time, as on a real server.
pub(super) fn scale_update(resource: &Resource, live: &Value, new: &mut Value, how: &How) {
    let replicas = Set::of(&["spec.replicas"]);
    take_managed(new);
    let mut managers = Managers::read(&live["metadata"]["managedFields"], &resource.api_version()).unwrap_or_default();
    let owners: Vec<Entry> =
        managers.entries().filter(|entry| !entry.set.intersection(&replicas).is_empty()).cloned().collect();
    // A scale has managers of its own, made from these: without any of them it is not counted.
    if !owners.is_empty() && live["spec"]["replicas"] != new["spec"]["replicas"] {
        for entry in owners {
            managers.set(entry.identity, entry.set.difference(&replicas));
        }
        // No replicas are none to a real server, and so nobody's.
        if new["spec"]["replicas"] != 0 {
            managers.set(Identity::new(&how.manager, true, how.subresource), replicas);
        }
    }
    put_managed(new, &managers);
}

/// Gives back to a new object what a write through this subresource does not change; `new` is complete.
pub(super) fn keep_reset(resource: &Resource, live: Option<&Value>, new: &mut Value, subresource: Option<&str>) {
    let live = live.cloned().unwrap_or_else(|| objects::zero_object(resource));
    let managed = take_managed(new);
    for path in reset(resource, subresource).paths() {
        let names: Vec<&str> = path.iter().filter_map(|element| element.strip_prefix("f:")).collect();
        let [parents @ .., last] = names.as_slice() else { continue };
        let (from, to) = parents.iter().fold((&live, &mut *new), |(from, to), name| (&from[*name], &mut to[*name]));
        match (from.get(last), to.as_object_mut()) {
            (Some(value), Some(to)) => to.insert((*last).to_owned(), value.clone()),
            (None, Some(to)) => to.remove(*last),
            (_, None) => None,
        };
    }
    take_managed(new);
    if !managed.is_null() {
        new["metadata"]["managedFields"] = managed;
    }
}

/// Takes back the new times of a write that changed nothing else; `new` is complete.
pub(super) fn keep_times(live: &Value, new: &mut Value) {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
        object
    };
    if timeless(live) == timeless(new) && live["metadata"]["managedFields"].is_array() {
        new["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
    }
}
