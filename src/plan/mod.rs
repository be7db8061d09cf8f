//! What would change in the cluster?
//!
//! In: the release, the one that stands, the inventory, and what an edge observed. Out: a [`Plan`] with a report, field
//! by field, and every reason that keeps it from being opened or pruned.

mod adoption;
mod brought;
mod checking;
pub mod drift;
mod fields;
mod owners;
mod prune;
mod reporting;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::deploylog::Counts;
use crate::health::Health;
use crate::manifest::{Manifest, ManifestSet, Stage};
use crate::name::{Digest, GroupVersionKind, ObjectKey, Reason};
use crate::render::Rendered;
use brought::Brought;
use drift::Baseline;

/// The label that every member of our set carries (Kubernetes KEP-3659, ApplySet).
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// The field manager of every write.
pub const FIELD_MANAGER: &str = "lockmaster";

/// The field manager to which the number of replicas is handed off when a scaler takes over.
pub const HANDOFF_MANAGER: &str = "lockmaster-handoff";

/// One object that we created or took, and have not yet seen gone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// The `apiVersion` it was last applied in.
    pub api_version: String,
    /// Its uid, once a write was answered.
    pub uid: Option<String>,
    /// The sequence of the entry that first opened it.
    pub origin: u64,
    /// No longer named by the standing release: to be pruned.
    pub doomed: bool,
    /// What it was when it was last known to be as the standing release says: drift is judged against this, also after a
    /// restart.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "drift::deserialize_known")]
    pub baseline: Option<Baseline>,
}

/// What we created in the cluster and have not yet seen gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The sequence of the opening it was last widened for.
    pub sequence: u64,
    /// The members.
    pub members: BTreeMap<ObjectKey, Member>,
}

impl Inventory {
    /// The inventory widened for an opening: the union of what it holds and what the release names; what the release
    /// does not name is doomed.
    #[must_use]
    pub fn widened<'a>(
        &self,
        release: impl IntoIterator<Item = (&'a ObjectKey, &'a GroupVersionKind)>,
        sequence: u64,
    ) -> Inventory {
        let mut members = self.members.clone();
        for member in members.values_mut() {
            member.doomed = true;
        }
        for (key, kind) in release {
            let api_version = kind.api_version();
            let fresh =
                || Member { api_version: String::new(), uid: None, origin: sequence, doomed: false, baseline: None };
            let member = members.entry(key.clone()).or_insert_with(fresh);
            (member.api_version, member.doomed) = (api_version, false);
        }
        Inventory { sequence, members }
    }
}

/// What an edge read of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Live {
    /// The server says there is none.
    Absent,
    /// The object.
    Present(Value),
}

/// What the server answered to a dry run of a forced apply.
#[derive(Debug, Clone, PartialEq)]
pub enum DryRun {
    /// The object as it would be.
    Would(Value),
    /// Refused: with `dry-run-denied`, `forbidden`, or `recreate-needs-approval` for an immutable field.
    Denied(Reason),
}

/// What an edge observed for a plan: facts. An object that was not asked for is in neither map.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Live objects.
    pub live: BTreeMap<ObjectKey, Live>,
    /// Dry runs of changed objects.
    pub dry_runs: BTreeMap<ObjectKey, DryRun>,
    /// The namespaces that exist.
    pub namespaces: BTreeSet<String>,
}

/// Whether existing objects outside our inventory may be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adopt {
    /// Take what our apply would not change in value.
    #[default]
    Identical,
    /// Take everything that no live GitOps tool owns.
    Always,
    /// Take nothing.
    Never,
}

/// What is done about an object that is no longer as the standing release says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnDrift {
    /// It is applied again, and told.
    #[default]
    Heal,
    /// It is told, and left.
    Report,
    /// It is left; only `status` tells that it is paused.
    Pause,
}

/// What an environment's configuration says about plans.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// First contact.
    pub adopt: Adopt,
    /// Drift.
    pub on_drift: OnDrift,
    /// The share of the set (0 to 1) that may be pruned without an approval, and at least 5 objects.
    pub prune_share: f64,
    /// The value of [`PART_OF`] for this environment's set.
    pub set_id: String,
}

/// Everything a plan rests on.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The standing release, if one stands.
    pub standing: Option<&'a ManifestSet>,
    /// What we created.
    pub inventory: &'a Inventory,
    /// What the edge observed.
    pub observed: &'a Observed,
    /// The rules.
    pub policy: &'a Policy,
}

/// What the edge shall read before a plan can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// Live objects to read: what changed against the standing release, and what would be pruned.
    pub read: BTreeSet<ObjectKey>,
    /// Of these, objects of the release to dry-run if they exist or if a release stands already (never an object whose
    /// namespace or CRD this release itself brings).
    pub dry_run: BTreeSet<ObjectKey>,
    /// Namespaces whose existence matters: all but those that this release is the first to bring.
    pub namespaces: BTreeSet<String>,
}

/// Says what to observe for planning this release.
#[must_use]
pub fn questions(release: &ManifestSet, standing: Option<&ManifestSet>, inventory: &Inventory) -> Questions {
    let brought = Brought::by(release, standing, inventory);
    let changed = || release.manifests().iter().filter(|manifest| !stands(manifest, standing, inventory));
    let gone = inventory.members.keys().filter(|key| release.get(key).is_none());
    let first = standing.is_none();
    let asks = |manifest: &&Manifest| !brought.defines(manifest) && (first || !brought.houses(manifest));
    let housed = release.manifests().iter().filter(|manifest| !brought.houses(manifest));
    let namespaces = housed.filter_map(|manifest| manifest.key.namespace.clone());
    Questions {
        read: changed().map(|manifest| manifest.key.clone()).chain(gone.cloned()).collect(),
        dry_run: changed().filter(asks).map(|manifest| manifest.key.clone()).collect(),
        namespaces: namespaces.collect(),
    }
}

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeAction {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is deleted and made again.
    Recreate,
    /// It is deleted.
    Prune,
    /// It is left alone.
    Unchanged,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// The path, as `spec.template.spec.containers[name=cart].image`.
    pub path: String,
    /// The live value; `None` where there is none, or it is secret.
    pub from: Option<Value>,
    /// The value as it would be; `None` where there is none, or it is secret.
    pub to: Option<Value>,
    /// The values are withheld.
    pub secret: bool,
    /// Who last changed the live field, from `managedFields`, if somebody other than us did.
    pub drift: Option<FieldOwner>,
}

/// Who changed a field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldOwner {
    /// The field manager.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// When, as `managedFields` says it.
    pub time: Option<String>,
}

/// What is done to one object.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What is done.
    pub action: ChangeAction,
    /// The object.
    pub object: ObjectKey,
    /// The version in which it is written, or for a prune was written: `apps/v1`.
    pub api_version: String,
    /// When it is applied.
    pub stage: Stage,
    /// Within the stage.
    pub wave: i32,
    /// Field by field; empty for a create, a prune and an unchanged object.
    pub fields: Vec<FieldChange>,
}

/// What a plan says, for people and scripts. A value without authority: [`Plan`] is the proof.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The release's digest.
    pub digest: Digest,
    /// How many of each.
    pub counts: Counts,
    /// Every object that is not unchanged, in order of apply, prunes last.
    pub changes: Vec<Change>,
    /// Why the release cannot be opened as it is; empty if it can.
    pub refusals: Vec<Reason>,
    /// Why it waits for a person: `adoption-needed`.
    pub waits: Vec<Reason>,
    /// Why pruning will wait after it opened: `prune-needs-approval`, by object.
    pub prune_waits: Vec<Reason>,
    /// Objects that exist and will be taken.
    pub adoptions: BTreeSet<ObjectKey>,
}

/// Reports what a release would change.
#[must_use]
pub fn report(release: &ManifestSet, ground: &Ground<'_>) -> Report {
    reporting::report(release, ground)
}

/// A plan that an independent checker re-proved: fit to be opened, if the gates admit it.
#[derive(Debug)]
#[must_use = "open it"]
pub struct Plan {
    rendered: Rendered,
    report: Report,
    untouched: BTreeSet<ObjectKey>,
}

impl Plan {
    /// Plans a rendered release.
    ///
    /// # Errors
    /// `plan-check-failed`, where the checker disagrees with the planner.
    pub fn new(rendered: Rendered, ground: &Ground<'_>) -> Result<Self, Reason> {
        let report = report(rendered.set(), ground);
        check(&report, rendered.set(), ground)?;
        let untouched = untouched(rendered.set(), ground.standing);
        Ok(Plan { rendered, report, untouched })
    }

    /// The objects whose manifest is that of the standing release: if that one was applied, they need no write.
    #[must_use]
    pub fn untouched(&self) -> &BTreeSet<ObjectKey> {
        &self.untouched
    }

    /// The release.
    pub fn rendered(&self) -> &Rendered {
        &self.rendered
    }

    /// What it says.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// The objects that have the same manifest in a release and in the one that stands.
#[must_use]
pub fn untouched(release: &ManifestSet, standing: Option<&ManifestSet>) -> BTreeSet<ObjectKey> {
    let same = |manifest: &&Manifest| {
        standing.and_then(|standing| standing.get(&manifest.key)).is_some_and(|old| old.digest == manifest.digest)
    };
    release.manifests().iter().filter(same).map(|manifest| manifest.key.clone()).collect()
}

/// Proves a report again, by other means than the planner: every object of the release is counted once, nothing is
/// pruned that is not in the inventory or that the release names, no foreign object is touched.
///
/// # Errors
/// `plan-check-failed`, naming the object.
pub fn check(report: &Report, release: &ManifestSet, ground: &Ground<'_>) -> Result<(), Reason> {
    checking::check(report, release, ground)
}

/// The doomed members that may be deleted now, and the reasons for those that wait (`prune-needs-approval`); `names` says
/// whether the standing release names an object. Under a rollback to what `undone` opened, objects that were first made
/// after it are no matter of the share.
#[must_use]
pub fn prunable(
    inventory: &Inventory,
    names: impl Fn(&ObjectKey) -> bool,
    policy: &Policy,
    undone: Option<u64>,
) -> (Vec<ObjectKey>, Vec<Reason>) {
    prune::prunable(inventory, names, policy, undone)
}

/// The fields in which two states of one object differ, without server bookkeeping (`managedFields`, `resourceVersion`,
/// `generation`, `uid`, `creationTimestamp`, `status`). Values of a Secret's `data` are withheld.
#[must_use]
pub fn field_changes(key: &ObjectKey, from: &Value, to: &Value) -> Vec<FieldChange> {
    fields::changes(key, from, to)
}

/// The `managedFields` that an object should have after an apply of ours was answered with it, so that nobody else is
/// taken for the author of what Git says; `None` where they are as they should be.
///
/// At our first write the entries of former appliers (kubectl, and tools that handed the object over) are united with
/// ours: the next apply then removes what they said and the manifest does not. Later only the entry goes that the server
/// makes for an object whose `managedFields` were lost, and only where nobody else has one.
#[must_use]
pub fn folded(manifest: &Manifest, object: &Value, first: bool) -> Option<Value> {
    fields::folded(manifest, object, first)
}

/// The number of replicas that has to be given to another field manager before a manifest that leaves it to a scaler is
/// applied: else the server would reset it, because our entry still owns it. `None` where there is nothing to do.
#[must_use]
pub fn count_to_hand_off<'a>(manifest: &Manifest, object: &'a Value) -> Option<&'a Value> {
    fields::count_to_hand_off(manifest, object)
}

/// Whether an object is as it was when the standing release was opened, so that nobody needs to read it: healing it is
/// the standing release's business.
fn stands(manifest: &Manifest, standing: Option<&ManifestSet>, inventory: &Inventory) -> bool {
    let same = standing.and_then(|set| set.get(&manifest.key)).is_some_and(|old| old.digest == manifest.digest);
    same && inventory.members.get(&manifest.key).is_some_and(|member| !member.doomed)
}

/// What an object's health means for the release (used by the course): see [`Health`].
#[must_use]
pub fn is_settled(health: Health) -> bool {
    matches!(health, Health::Healthy | Health::Suspended)
}
