//! The checker: proves a report again with sets of keys, and trusts nothing that the planner found.
//!
//! It shares no code with the planner, so that one mistake does not pass twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Adopt, Change, ChangeAction, DryRun, Ground, Live, Report};
use crate::manifest::ManifestSet;
use crate::name::{Code, ObjectKey, Reason};

type Keys<'a> = BTreeSet<&'a ObjectKey>;

/// See [`super::check`].
pub(super) fn check(report: &Report, release: &ManifestSet, ground: &Ground<'_>) -> Result<(), Reason> {
    let claim = Claim::of(report, release)?;
    let laws = [counts_add_up, release_is_whole, prunes_are_ours, actions_fit, strangers_are_left, refusals_are_said];
    for law in laws {
        law(&claim, ground)?;
    }
    for change in &report.changes {
        keeps_secrets(change)?;
    }
    Ok(())
}

/// A report, sorted by what it claims about each key.
struct Claim<'a> {
    report: &'a Report,
    release: &'a ManifestSet,
    named: Keys<'a>,
    changes: BTreeMap<&'a ObjectKey, &'a Change>,
}

impl<'a> Claim<'a> {
    fn of(report: &'a Report, release: &'a ManifestSet) -> Result<Self, Reason> {
        if report.digest != release.digest() {
            return Err(Reason::new(Code::PlanCheckFailed, "the report is about another release"));
        }
        let mut changes = BTreeMap::new();
        for change in &report.changes {
            if changes.insert(&change.object, change).is_some() {
                return Err(wrong(&change.object, "is reported twice"));
            }
        }
        let named = release.manifests().iter().map(|manifest| &manifest.key).collect();
        Ok(Claim { report, release, named, changes })
    }

    fn with(&self, action: ChangeAction) -> Keys<'a> {
        self.changes.iter().filter(|(_, change)| change.action == action).map(|(key, _)| *key).collect()
    }

    /// The release's objects that the report leaves out, and so calls unchanged.
    fn silent(&self) -> Keys<'a> {
        self.named.iter().copied().filter(|key| !self.changes.contains_key(key)).collect()
    }

    fn refused(&self) -> Keys<'a> {
        self.report.refusals.iter().filter_map(|reason| reason.object.as_ref()).collect()
    }

    fn waiting(&self) -> Keys<'a> {
        self.report.waits.iter().filter_map(|reason| reason.object.as_ref()).collect()
    }
}

fn counts_add_up(claim: &Claim<'_>, _: &Ground<'_>) -> Result<(), Reason> {
    let counts = claim.report.counts;
    let told = [
        (ChangeAction::Create, counts.create),
        (ChangeAction::Update, counts.update),
        (ChangeAction::Recreate, counts.recreate),
        (ChangeAction::Prune, counts.prune),
    ];
    for (action, count) in told {
        let found = claim.with(action).len();
        if u64::try_from(found) != Ok(count) {
            let message = format!("the report counts {count} as {action:?} and lists {found}");
            return Err(Reason::new(Code::PlanCheckFailed, message.to_lowercase()));
        }
    }
    if let Some(key) = claim.with(ChangeAction::Unchanged).first() {
        return Err(wrong(key, "is listed as a change and unchanged"));
    }
    if u64::try_from(claim.silent().len()) != Ok(counts.unchanged) {
        let message = format!("{} objects are unchanged, the report counts {}", claim.silent().len(), counts.unchanged);
        return Err(Reason::new(Code::PlanCheckFailed, message));
    }
    Ok(())
}

/// Each object of the release is a change, or was shown to be as it should be.
fn release_is_whole(claim: &Claim<'_>, ground: &Ground<'_>) -> Result<(), Reason> {
    for key in claim.silent() {
        let release = claim.release.get(key).map(|manifest| manifest.digest);
        let standing = ground.standing.and_then(|set| set.get(key)).map(|manifest| manifest.digest);
        let same = release == standing && ground.inventory.members.contains_key(key);
        let dry_run = matches!(ground.observed.dry_runs.get(key), Some(DryRun::Would(_)));
        let asked = dry_run && matches!(ground.observed.live.get(key), Some(Live::Present(_)));
        if !same && !asked {
            return Err(wrong(key, "is called unchanged, and nothing shows that"));
        }
    }
    Ok(())
}

fn prunes_are_ours(claim: &Claim<'_>, ground: &Ground<'_>) -> Result<(), Reason> {
    let waiting: Keys<'_> = claim.report.prune_waits.iter().filter_map(|reason| reason.object.as_ref()).collect();
    for key in claim.with(ChangeAction::Prune) {
        if claim.named.contains(key) {
            return Err(wrong(key, "would be pruned, and the release names it"));
        }
        if !ground.inventory.members.contains_key(key) {
            return Err(wrong(key, "would be pruned, and is not in the inventory"));
        }
        let takes_more = ["Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "PersistentVolume"];
        let built_in = key.group.is_empty() || key.group == "apiextensions.k8s.io";
        if built_in && takes_more.contains(&key.kind.as_str()) && !waiting.contains(key) {
            return Err(wrong(key, "would be pruned unasked"));
        }
        let manifest = ground.standing.and_then(|set| set.get(key)).map(|manifest| &manifest.value);
        let keep = Some(&Value::from("false"));
        if [manifest, live(key, ground)].iter().flatten().any(|object| noted(object, "lockmaster.dev/prune") == keep) {
            return Err(wrong(key, "would be pruned, and its annotation forbids it"));
        }
    }
    Ok(())
}

/// Each change fits what was observed of its object.
fn actions_fit(claim: &Claim<'_>, ground: &Ground<'_>) -> Result<(), Reason> {
    for (key, change) in &claim.changes {
        let named = claim.named.contains(key);
        let is_there = live(key, ground).is_some();
        let wrongly = match change.action {
            ChangeAction::Prune | ChangeAction::Unchanged => continue,
            _ if !named => "would be applied, and the release does not name it",
            ChangeAction::Create if is_there => "would be created, and exists",
            ChangeAction::Update | ChangeAction::Recreate if !is_there => "would be changed, and was not found",
            ChangeAction::Recreate if !may_go_and_come(key, claim, ground) => "would be deleted and made again unasked",
            ChangeAction::Create | ChangeAction::Update | ChangeAction::Recreate => continue,
        };
        return Err(wrong(key, wrongly));
    }
    Ok(())
}

fn may_go_and_come(key: &ObjectKey, claim: &Claim<'_>, ground: &Ground<'_>) -> bool {
    let immutable = matches!(ground.observed.dry_runs.get(key),
        Some(DryRun::Denied(reason)) if reason.code == Code::RecreateNeedsApproval);
    let manifest = claim.release.get(key).map(|manifest| &manifest.value);
    let asked = manifest.and_then(|object| noted(object, "lockmaster.dev/recreate")) == Some(&Value::from("true"));
    let ended = key.kind == "Job"
        && ["Complete", "Failed"].iter().any(|end| {
            let conditions = live(key, ground).and_then(|job| job["status"]["conditions"].as_array());
            conditions.is_some_and(|list| list.iter().any(|entry| entry["type"] == *end && entry["status"] == "True"))
        });
    immutable && (asked || ended) && !is_strange(key, ground)
}

/// Nothing that exists and is not ours is touched, unless it is adopted or the report holds it back.
fn strangers_are_left(claim: &Claim<'_>, ground: &Ground<'_>) -> Result<(), Reason> {
    let adopted: Keys<'_> = claim.report.adoptions.iter().collect();
    let held: Keys<'_> = claim.refused().union(&claim.waiting()).copied().collect();
    for key in &claim.named {
        if is_strange(key, ground) && !adopted.contains(key) && !held.contains(key) {
            return Err(wrong(key, "is not ours and would be touched"));
        }
    }
    for key in adopted {
        if !claim.named.contains(key) || !is_strange(key, ground) {
            return Err(wrong(key, "would be adopted, and needs no adoption"));
        }
        let fields = claim.changes.get(key).map_or(&[][..], |change| &change.fields);
        let own = |path: &str| path == "metadata.labels" || path.contains(super::PART_OF);
        let allowed = match ground.policy.adopt {
            Adopt::Always => true,
            Adopt::Identical => fields.iter().all(|field| own(&field.path)),
            Adopt::Never => false,
        };
        if !allowed || held.contains(key) {
            return Err(wrong(key, "would be adopted against the policy"));
        }
    }
    Ok(())
}

/// Whatever the server or the cluster is against stands among the refusals.
fn refusals_are_said(claim: &Claim<'_>, ground: &Ground<'_>) -> Result<(), Reason> {
    let refused = claim.refused();
    let mut homeless: BTreeMap<&str, Keys<'_>> = BTreeMap::new();
    for key in &claim.named {
        let denied = matches!(ground.observed.dry_runs.get(key), Some(DryRun::Denied(_)));
        let recreated = claim.changes.get(key).is_some_and(|change| change.action == ChangeAction::Recreate);
        if denied && !recreated && !refused.contains(key) && claim.changes.contains_key(key) {
            return Err(wrong(key, "was denied by the server, and is not refused"));
        }
        let home = key.namespace.as_deref().filter(|home| !ground.observed.namespaces.contains(*home));
        if let Some(home) =
            home.filter(|home| !claim.named.iter().any(|key| key.is_core("Namespace") && key.name == *home))
        {
            homeless.entry(home).or_default().insert(key);
        }
    }
    for keys in homeless.values() {
        let said = claim.report.refusals.iter().filter(|reason| reason.code == Code::NamespaceNotFound);
        let said = said.filter_map(|reason| reason.object.as_ref()).any(|key| keys.contains(key));
        if let (false, Some(key)) = (said, keys.first()) {
            return Err(wrong(key, "has no namespace to go to, and is not refused"));
        }
    }
    Ok(())
}

/// No value of a Secret is told.
fn keeps_secrets(change: &Change) -> Result<(), Reason> {
    for field in &change.fields {
        let values = [&field.from, &field.to];
        if field.secret && values.iter().any(|value| value.is_some()) {
            return Err(wrong(&change.object, "tells a value that it calls secret"));
        }
        if !change.object.is_core("Secret") || field.secret {
            continue;
        }
        let inside = ["data", "stringData"].iter().any(|part| {
            field.path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        let copy = "last-applied-configuration";
        let tells_copy = field.path.contains(copy)
            || values.iter().any(|value| value.as_ref().is_some_and(|value| value.to_string().contains(copy)));
        if inside || tells_copy || field.path.is_empty() {
            return Err(wrong(&change.object, "tells a value of a Secret"));
        }
    }
    Ok(())
}

fn live<'a>(key: &ObjectKey, ground: &Ground<'a>) -> Option<&'a Value> {
    match ground.observed.live.get(key) {
        Some(Live::Present(object)) => Some(object),
        Some(Live::Absent) | None => None,
    }
}

/// Whether an object exists that neither the inventory nor our label knows.
fn is_strange(key: &ObjectKey, ground: &Ground<'_>) -> bool {
    let known = ground.inventory.members.contains_key(key);
    let marked = |object: &Value| object["metadata"]["labels"][super::PART_OF] == ground.policy.set_id.as_str();
    live(key, ground).is_some_and(|object| !known && !marked(object))
}

fn noted<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get("metadata")?.get("annotations")?.get(name)
}

fn wrong(key: &ObjectKey, found: &str) -> Reason {
    Reason::new(Code::PlanCheckFailed, format!("`{key}` {found}")).at_object(key.clone())
}
