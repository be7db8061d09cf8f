//! The planner: one verdict for each object of a release, and the prunes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::adoption::{admits, annotation, is_ours};
use super::brought::{Brought, namespace_key};
use super::{Change, ChangeAction, DryRun, FieldChange, Ground, Live, Report, fields, prune, stands};
use crate::deploylog::Counts;
use crate::manifest::{Manifest, ManifestSet, Stage};
use crate::name::{Code, ObjectKey, Reason};

/// See [`super::report`].
pub(super) fn report(release: &ManifestSet, ground: &Ground<'_>) -> Report {
    let brought = Brought::by(release, ground.standing, ground.inventory);
    let mut report = Report {
        digest: release.digest(),
        counts: Counts::default(),
        changes: Vec::new(),
        refusals: missing_namespaces(release, ground),
        waits: Vec::new(),
        prune_waits: Vec::new(),
        adoptions: BTreeSet::new(),
    };
    for manifest in release.manifests() {
        let verdict = judge(manifest, &brought, ground);
        report.counts.add(verdict.action);
        match verdict.answer {
            Answer::Free => {}
            Answer::Adopted => drop(report.adoptions.insert(manifest.key.clone())),
            Answer::Against(reason) if reason.code == Code::AdoptionNeeded => report.waits.push(reason),
            Answer::Against(reason) => report.refusals.push(reason),
        }
        if verdict.action != ChangeAction::Unchanged {
            report.changes.push(Change {
                action: verdict.action,
                object: manifest.key.clone(),
                api_version: manifest.kind.api_version(),
                stage: manifest.stage,
                wave: manifest.wave,
                fields: verdict.fields,
            });
        }
    }
    add_prunes(&mut report, release, ground);
    report
}

fn add_prunes(report: &mut Report, release: &ManifestSet, ground: &Ground<'_>) {
    let going = prune::going(release, ground);
    let mut after = ground.inventory.widened(release.objects(), ground.inventory.sequence);
    after.members.retain(|key, _| release.get(key).is_some() || going.contains(key));
    report.prune_waits = prune::prunable(&after, |key| release.get(key).is_some(), ground.policy, None).1;
    for key in going {
        report.counts.add(ChangeAction::Prune);
        let stage = Stage::of(&key.group_kind());
        let api_version = ground.inventory.members.get(&key).map(|member| member.api_version.clone());
        report.changes.push(Change {
            action: ChangeAction::Prune,
            object: key,
            api_version: api_version.unwrap_or_default(),
            stage,
            wave: 0,
            fields: Vec::new(),
        });
    }
}

/// One refusal for each namespace that is neither in the manifests nor in the cluster, naming its first object.
fn missing_namespaces(release: &ManifestSet, ground: &Ground<'_>) -> Vec<Reason> {
    let mut missing: BTreeMap<&str, (&ObjectKey, usize)> = BTreeMap::new();
    for manifest in release.manifests() {
        let Some(namespace) = manifest.key.namespace.as_deref() else { continue };
        let known = ground.observed.namespaces.contains(namespace) || release.get(&namespace_key(namespace)).is_some();
        if !known {
            missing.entry(namespace).or_insert((&manifest.key, 0)).1 += 1;
        }
    }
    let reason = |(namespace, (first, count)): (&str, (&ObjectKey, usize))| {
        let whom = if count == 1 { "1 object needs it".to_owned() } else { format!("{count} objects need it") };
        let message = format!("namespace `{namespace}` is neither in the manifests nor in the cluster, {whom}");
        Reason::new(Code::NamespaceNotFound, message).at_object(first.clone())
    };
    missing.into_iter().map(reason).collect()
}

/// What is done to an object, and whether it may be.
struct Verdict {
    action: ChangeAction,
    fields: Vec<FieldChange>,
    answer: Answer,
}

enum Answer {
    Free,
    Adopted,
    Against(Reason),
}

impl Verdict {
    fn of(action: ChangeAction, fields: Vec<FieldChange>, answer: Answer) -> Self {
        Verdict { action, fields, answer }
    }
}

fn judge(manifest: &Manifest, brought: &Brought, ground: &Ground<'_>) -> Verdict {
    if stands(manifest, ground.standing, ground.inventory) {
        return Verdict::of(ChangeAction::Unchanged, Vec::new(), Answer::Free);
    }
    let key = &manifest.key;
    match ground.observed.live.get(key) {
        Some(Live::Present(live)) if is_ours(key, live, ground) => judge_ours(manifest, live, ground),
        Some(Live::Present(live)) => judge_foreign(manifest, live, ground),
        Some(Live::Absent) => Verdict::of(ChangeAction::Create, Vec::new(), denied(key, ground)),
        None if brought.houses(manifest) || brought.defines(manifest) => {
            Verdict::of(ChangeAction::Create, Vec::new(), Answer::Free)
        }
        // Cannot read is never absent.
        None => {
            let reason = Reason::new(Code::ClusterUnreachable, format!("`{key}` could not be read"));
            Verdict::of(ChangeAction::Create, Vec::new(), Answer::Against(reason.at_object(key.clone())))
        }
    }
}

fn judge_ours(manifest: &Manifest, live: &Value, ground: &Ground<'_>) -> Verdict {
    let fields = fields::changes(&manifest.key, live, &would_be(manifest, live, ground));
    match denied(&manifest.key, ground) {
        Answer::Against(reason) if reason.code == Code::RecreateNeedsApproval && may_recreate(manifest, live) => {
            Verdict::of(ChangeAction::Recreate, fields, Answer::Free)
        }
        Answer::Against(reason) => Verdict::of(ChangeAction::Update, fields, Answer::Against(reason)),
        Answer::Free | Answer::Adopted => {
            // Without a dry run, what a manifest no longer says is unknown: then it counts as changed.
            let asked = ground.observed.dry_runs.contains_key(&manifest.key);
            let action = if asked && fields.is_empty() { ChangeAction::Unchanged } else { ChangeAction::Update };
            Verdict::of(action, fields, Answer::Free)
        }
    }
}

/// An object that is not ours is changed at least by our label, and loses what its former appliers said and the manifest
/// does not. It is never deleted to be made again.
fn judge_foreign(manifest: &Manifest, live: &Value, ground: &Ground<'_>) -> Verdict {
    let after = fields::without_leftovers(manifest, &would_be(manifest, live, ground));
    let fields = fields::changes(&manifest.key, live, &after);
    let answer = match (admits(manifest, live, &fields, ground), denied(&manifest.key, ground)) {
        (Err(reason), _) if reason.code == Code::OwnedByOther => Answer::Against(reason),
        (_, Answer::Against(reason)) | (Err(reason), _) => Answer::Against(reason),
        (Ok(()), Answer::Free | Answer::Adopted) => Answer::Adopted,
    };
    Verdict::of(ChangeAction::Update, fields, answer)
}

/// The object as it would be: by the dry run, or where there is none, with the manifest laid over the live object.
///
/// A dry run of a scaled object answers with the default number of replicas where our entry owns it still: the apply hands
/// that field off first, so the live number stays.
fn would_be(manifest: &Manifest, live: &Value, ground: &Ground<'_>) -> Value {
    let mut would = match ground.observed.dry_runs.get(&manifest.key) {
        Some(DryRun::Would(would)) => would.clone(),
        Some(DryRun::Denied(_)) | None => fields::laid_over(live, &manifest.value),
    };
    let count = live.pointer("/spec/replicas").filter(|_| manifest.scaled);
    if let (Some(count), Some(spec)) = (count, would.get_mut("spec").and_then(Value::as_object_mut)) {
        spec.insert("replicas".to_owned(), count.clone());
    }
    would
}

fn denied(key: &ObjectKey, ground: &Ground<'_>) -> Answer {
    match ground.observed.dry_runs.get(key) {
        Some(DryRun::Denied(reason)) => {
            let reason = reason.clone();
            Answer::Against(if reason.object.is_some() { reason } else { reason.at_object(key.clone()) })
        }
        Some(DryRun::Would(_)) | None => Answer::Free,
    }
}

/// Whether an object whose immutable field changed may be deleted and made again: where its manifest says so, or where
/// it is a job that has ended and so loses nothing.
fn may_recreate(manifest: &Manifest, live: &Value) -> bool {
    let opted_in = annotation(&manifest.value, "lockmaster.dev/recreate") == Some("true");
    opted_in || (manifest.key.group == "batch" && manifest.key.kind == "Job" && has_ended(live))
}

fn has_ended(job: &Value) -> bool {
    let conditions = job.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let mut ends = conditions.filter(|condition| matches!(condition["type"].as_str(), Some("Complete" | "Failed")));
    ends.any(|condition| condition["status"] == "True")
}

impl Counts {
    fn add(&mut self, action: ChangeAction) {
        let count = match action {
            ChangeAction::Create => &mut self.create,
            ChangeAction::Update => &mut self.update,
            ChangeAction::Recreate => &mut self.recreate,
            ChangeAction::Prune => &mut self.prune,
            ChangeAction::Unchanged => &mut self.unchanged,
        };
        *count += 1;
    }
}
