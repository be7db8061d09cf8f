//! The gate `intent`: somebody with authority over this environment wants it here (DESIGN §6, Intent).

use super::words::counted;
use super::{Case, Gate, Origin, Verdict};
use crate::name::{Code, Principal};
use crate::revision::{Carrier, Carriers, JudgedCommit};

pub(super) fn judge(case: &Case<'_>) -> Gate {
    let rules = case.rules;
    let carried = carried(case);
    if rules.approvals.is_some() {
        return Gate::pass("intent", format!("approvals decide; {carried}"));
    }
    if rules.writers.is_none() {
        return Gate::pass("intent", format!("the merge itself; {carried}"));
    }
    if let Some(writer) = signed(case) {
        return Gate::pass("intent", format!("signed by {writer}; {carried}"));
    }
    if case.approvals.is_enough() {
        return Gate::pass("intent", format!("approved by {}; {carried}", case.approvals.names()));
    }
    if rules.carriers == Carriers::Allow {
        return Gate::pass("intent", format!("`carriers: allow`; {carried}"));
    }
    let text = format!(
        "nobody with rights in {} signed that {} belongs there: {carried}",
        rules.environment,
        case.verified.commit().short()
    );
    let reason = case.reason(Code::CarrierNeedsApproval, text.clone());
    let people = Some(case.approvals.people());
    Gate { reasons: vec![reason], people, ..Gate::new("intent", Verdict::Refuse, text) }
}

/// A writer who signed a commit that no upstream log knows and whose content is the candidate's: a fast-forward to a
/// commit made for staging says nothing about prod, and what somebody signed before the content came in says nothing
/// about the content.
fn signed<'c>(case: &Case<'c>) -> Option<&'c Principal> {
    fresh(case)
        .filter(|commit| {
            commit.id == *case.verified.commit() || case.facts.inputs_at.get(&commit.id) == Some(case.inputs)
        })
        .find_map(|commit| commit.authorised_by())
}

/// The new commits that no upstream log knows: those made for this environment.
fn fresh<'c>(case: &Case<'c>) -> impl Iterator<Item = &'c JudgedCommit> {
    let known = &case.facts.upstream_commits;
    case.verified.new_commits().iter().filter(|commit| !known.contains(&commit.id))
}

/// How the content came here, in words: who signed the commits made for this environment, and how the others travelled.
fn carried(case: &Case<'_>) -> String {
    if case.verified.new_commits().is_empty() {
        return "an introduction".to_owned();
    }
    let (void, live): (Vec<&JudgedCommit>, Vec<&JudgedCommit>) = fresh(case).partition(|commit| is_void(case, commit));
    let mut words = Vec::new();
    if live.is_empty() {
        words.push("a fast-forward, of which no commit says so".to_owned());
    }
    let signers: std::collections::BTreeSet<&str> =
        live.iter().filter_map(|commit| commit.authorised_by()).map(Principal::as_str).collect();
    if !signers.is_empty() {
        words.push(format!("by {}", signers.into_iter().collect::<Vec<_>>().join(", ")));
    }
    let carriers: Vec<&JudgedCommit> = live.into_iter().filter(|commit| commit.carrier.is_some()).collect();
    if let Some(first) = carriers.first() {
        let how = carrier(case, first);
        words.push(match carriers.len() {
            1 => format!("carried {how}"),
            count => format!("{count} commits carried {how}, as a rebase makes them: it drops signatures"),
        });
    }
    if !void.is_empty() {
        words.push(format!("{} void", counted(void.len(), "unauthorised commit")));
    }
    words.join("; ")
}

/// Nobody who may signed it, and nothing of its content is left. The tip carries the whole, whoever made it.
fn is_void(case: &Case<'_>, commit: &JudgedCommit) -> bool {
    let left = |origin: &Origin| *origin == Origin::Commit(commit.id.clone());
    commit.authorised_by().is_none()
        && commit.id != *case.verified.commit()
        && !case.origins.values().flatten().any(left)
}

fn carrier(case: &Case<'_>, commit: &JudgedCommit) -> String {
    match (commit.carrier, &commit.signer) {
        (Some(Carrier::NoWriter), Some(signer)) => format!("by {signer} (not a writer of {})", case.rules.environment),
        (Some(Carrier::ForeignKey), _) => "by forge key".to_owned(),
        (Some(Carrier::Void), _) => "with a signature that does not hold".to_owned(),
        (_, _) => "unsigned".to_owned(),
    }
}
