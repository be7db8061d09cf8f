//! Going back: content that ran here and was proven, first opened before what stands was first opened (DESIGN §6,
//! Rollback). It is recognised by content, whatever its message, shape or signer, and asks no gate but these two.

use std::collections::BTreeSet;

use super::layout::Pair;
use super::words::{listed, utc};
use super::{Admitted, Gate, RollbackBy, Rules, Verdict, holds};
use crate::deploylog::{Cause, Counts, Evidence, Held, Inputs, Logged, Past, Recalled, Rollback};
use crate::manifest::{Manifest, ManifestSet};
use crate::name::{Code, CommitId, ObjectKey, Reason};
use crate::plan;

/// The release that a candidate goes back to, if it does.
///
/// It does not where only writers may go back and none signed it; nor where it turns to what upstream's newest proven
/// release has: that is a promotion, also of older content. What is shared and stays as it stands says nothing of that.
#[must_use]
pub fn recognise<'p>(
    rules: &Rules,
    past: &'p Past,
    evidence: Option<&Evidence>,
    inputs: &Inputs,
    by_writer: bool,
) -> Option<&'p Logged> {
    let earlier = past.kept.iter().find(|release| release.inputs == *inputs)?;
    if rules.rollback_by == RollbackBy::Writers && !by_writer {
        return None;
    }
    if let (Some(from), Some(newest)) = (&rules.from, evidence.and_then(Evidence::newest_proven)) {
        let pair = Pair::new(&rules.layout, &from.layout);
        let shared = pair.compared(inputs);
        let turns = past.standing.as_ref().is_none_or(|standing| pair.compared(&standing.inputs) != shared);
        if turns && pair.differences(&shared, &newest.inputs).is_empty() {
            return None;
        }
    }
    Some(earlier)
}

/// What is gone back to, and why.
#[derive(Debug)]
pub struct Return<'r> {
    /// The release.
    pub to: &'r Logged,
    /// Its stored bytes.
    pub recalled: Recalled,
    /// The objects of the standing release.
    pub from: &'r ManifestSet,
    /// What asked for it.
    pub cause: Cause,
    /// The commit that the entry names; accepted where the branch itself went back to it, or was rewound.
    pub commit: &'r CommitId,
    /// Whether a rewound branch is accepted.
    pub rewind: bool,
}

/// A release that is gone back to.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) recalled: Recalled,
    pub(super) set: ManifestSet,
    pub(super) inputs: Inputs,
    pub(super) counts: Counts,
    pub(super) untouched: BTreeSet<ObjectKey>,
    pub(super) rollback: Rollback,
    pub(super) hold: Option<Held>,
}

/// Asks the gates of a rollback: holds, and Jobs that cannot be undone.
///
/// # Errors
/// The gates, one of which does not pass; or why the stored bytes are no release.
pub fn return_to(rules: &Rules, past: &Past, back: Return<'_>) -> Result<Box<Admitted>, (Vec<Gate>, Vec<Reason>)> {
    let set = ManifestSet::from_bytes(back.recalled.bytes()).map_err(|problem| {
        let text = format!("the stored release `{}` cannot be read: {problem}", back.to.release);
        (Vec::new(), vec![Reason::new(Code::LogRegressed, text)])
    })?;
    let content = holds::Content { commit: &back.to.commit.id, inputs: &back.to.inputs, set: Some(&set) };
    let gates = vec![crossing(rules, past, &back), holds::held(&rules.environment, &past.holds, &content)];
    if gates.iter().any(|gate| gate.verdict != Verdict::Pass) {
        let (_, reasons) = super::stops(&gates);
        return Err((gates, reasons));
    }
    let untouched = plan::untouched(&set, Some(back.from));
    let returned = Returned {
        counts: counts(&set, back.from, &untouched),
        untouched,
        inputs: back.to.inputs.clone(),
        rollback: Rollback { to: back.to.sequence, cause: back.cause, rewind: back.rewind },
        hold: left_behind(rules, past, &back, &set),
        recalled: back.recalled,
        set,
    };
    Ok(Box::new(Admitted::returned(returned, gates)))
}

/// Whether nothing was done meanwhile that cannot be undone.
fn crossing(rules: &Rules, past: &Past, back: &Return<'_>) -> Gate {
    let (to, environment) = (back.to, &rules.environment);
    let after = past.irreversible.range(to.sequence + 1..).flat_map(|(_, jobs)| jobs);
    let crossed: BTreeSet<&String> = after.filter(|job| !to.irreversible.contains(*job)).collect();
    if crossed.is_empty() {
        let since = to.outcome.map(|(_, at)| format!(", proven {}", utc(at))).unwrap_or_default();
        return Gate::pass("rollback", format!("back to {environment}/{}{since}", to.sequence));
    }
    let jobs = listed(crossed.into_iter().cloned().collect());
    let text = format!("{jobs} ran after {environment}/{} and cannot be undone; fix forward", to.sequence);
    let reason = Reason::new(Code::IrreversibleMigration, text.clone()).at_commit(back.commit.clone());
    Gate { reasons: vec![reason], ..Gate::new("rollback", Verdict::Wait, text) }
}

/// The Jobs of a release that say that they cannot be undone.
pub(super) fn irreversible(set: &ManifestSet) -> BTreeSet<String> {
    let marked = |manifest: &&Manifest| {
        let pointer = "/metadata/annotations/lockmaster.dev~1irreversible";
        manifest.key.group == "batch"
            && manifest.key.kind == "Job"
            && manifest.value.pointer(pointer).and_then(serde_json::Value::as_str) == Some("true")
    };
    set.manifests().iter().filter(marked).map(|manifest| manifest.key.to_string()).collect()
}

/// What the standing release brought and the one that is gone back to lacks. Without `from`, a commit that goes back says
/// itself what is wanted: nothing is held.
fn left_behind(rules: &Rules, past: &Past, back: &Return<'_>, set: &ManifestSet) -> Option<Held> {
    let standing = past.standing.as_ref()?;
    let there = |path, digest| back.to.inputs.files.get(path) == Some(digest);
    let files = standing.inputs.files.iter().filter(|(path, digest)| !there(*path, *digest));
    let kept = holds::images(set);
    let held = Held {
        commit: standing.commit.id.clone(),
        files: files.map(|(path, digest)| (path.clone(), *digest)).collect(),
        images: holds::images(back.from).difference(&kept).cloned().collect(),
    };
    match back.cause {
        Cause::Commit => (rules.from.is_some() && !held.is_empty()).then_some(held),
        Cause::Statement | Cause::Failure => Some(held),
    }
}

fn counts(set: &ManifestSet, standing: &ManifestSet, untouched: &BTreeSet<ObjectKey>) -> Counts {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let fresh = set.manifests().iter().filter(|manifest| standing.get(&manifest.key).is_none()).count();
    let gone = standing.manifests().iter().filter(|manifest| set.get(&manifest.key).is_none()).count();
    Counts {
        create: number(fresh),
        update: number(set.manifests().len() - fresh - untouched.len()),
        recreate: 0,
        prune: number(gone),
        unchanged: number(untouched.len()),
    }
}
