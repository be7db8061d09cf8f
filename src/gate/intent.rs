//! The gate `intent`: somebody with authority over this environment wants it here (DESIGN §6, Intent).

use super::{Case, Gate, Verdict};
use crate::name::{Code, Principal};
use crate::revision::{Carriers, authorship};

pub(super) fn judge(case: &Case<'_>) -> Gate {
    let rules = case.rules;
    let carried = authorship(case.verified.new_commits());
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
    Gate { reasons: vec![reason], ..Gate::new("intent", Verdict::Refuse, text) }
}

/// A writer who signed a commit that no upstream log knows and whose content is the candidate's: a fast-forward to a
/// commit made for staging says nothing about prod, and what somebody signed before the content came in says nothing
/// about the content.
fn signed<'c>(case: &Case<'c>) -> Option<&'c Principal> {
    let fresh = case.verified.new_commits().iter().filter(|commit| !case.facts.upstream_commits.contains(&commit.id));
    fresh
        .filter(|commit| {
            commit.id == *case.verified.commit() || case.facts.inputs_at.get(&commit.id) == Some(case.inputs)
        })
        .find_map(|commit| commit.authorised_by())
}
