//! The gate `signatures`: every new commit is signed by a writer, or is a carrier that authorises nothing. The proof is
//! [`crate::revision::Verified`], which the plan owns; this gate says how many and whose.

use super::{Gate, Verdict};
use crate::plan::Plan;
use crate::revision::authorship;

pub(super) fn judge(plan: &Plan) -> Gate {
    let commits = plan.rendered().verified().new_commits();
    let value = match commits.len() {
        0 => "the commit is an introduction".to_owned(),
        1 => format!("1 new commit, {}", authorship(commits)),
        count => format!("{count} new commits, {}", authorship(commits)),
    };
    Gate { name: "signatures", verdict: Verdict::Pass, value, reasons: Vec::new() }
}
