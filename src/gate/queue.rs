//! The gate `queue`: where releases soak, a candidate waits until the standing one is proven or failed.

use super::words::utc;
use super::{Case, Gate, Verdict};
use crate::name::Code;

pub(super) fn judge(case: &Case<'_>) -> Gate {
    let standing = case.past.standing.as_ref();
    let open = standing.filter(|standing| {
        case.rules.finish && standing.outcome.is_none_or(|(phase, _)| phase == crate::deploylog::Phase::Settled)
    });
    let Some(standing) = open else { return Gate::pass("queue", "free") };
    let text = format!(
        "{}/{} was opened {} and is not proven yet; `queue: newest` would not wait for it",
        case.rules.environment,
        standing.sequence,
        utc(standing.opened_at)
    );
    Gate {
        reasons: vec![case.reason(Code::Soaking, text)],
        ..Gate::new("queue", Verdict::Wait, format!("behind {}/{}", case.rules.environment, standing.sequence))
    }
}
