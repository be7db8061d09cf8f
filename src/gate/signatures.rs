//! The gate `signatures`: every new commit is signed by a writer, or is a carrier that authorises nothing. The proof is
//! [`Verified`]; this gate says how many and whose.

use super::Gate;
use crate::revision::{Verified, authorship};

pub(super) fn judge(verified: &Verified) -> Gate {
    let commits = verified.new_commits();
    let value = match commits.len() {
        0 => "the commit is an introduction".to_owned(),
        1 => format!("1 new commit, {}", authorship(commits)),
        count => format!("{count} new commits, {}", authorship(commits)),
    };
    Gate::pass("signatures", value)
}
