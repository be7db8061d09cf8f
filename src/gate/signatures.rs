//! The gate `signatures`: every new commit is signed by a writer. The proof is [`crate::revision::Verified`], which the
//! plan owns; this gate says how many and whose.

use std::collections::BTreeSet;

use super::{Gate, Verdict};
use crate::plan::Plan;

pub(super) fn judge(plan: &Plan) -> Gate {
    let verified = plan.rendered().verified();
    let signers: BTreeSet<&str> = verified
        .new_commits()
        .iter()
        .filter_map(|commit| commit.signer.as_ref())
        .map(|signer| signer.as_str())
        .collect();
    let value = if signers.is_empty() {
        "the commit is an introduction".to_owned()
    } else {
        let count = verified.new_commits().len();
        let commits = if count == 1 { "1 new commit".to_owned() } else { format!("{count} new commits") };
        format!("{commits}, signed by {}", signers.into_iter().collect::<Vec<_>>().join(", "))
    };
    Gate { name: "signatures", verdict: Verdict::Pass, value, reasons: Vec::new() }
}
