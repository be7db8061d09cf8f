//! The gate `adoption`: an object that exists and is not ours is not taken unasked (DESIGN, first contact).

use super::{Gate, Verdict};
use crate::plan::Plan;

pub(super) fn judge(plan: &Plan) -> Gate {
    let report = plan.report();
    let (verdict, value) = if report.waits.is_empty() {
        (Verdict::Pass, taken(report.adoptions.len()))
    } else {
        (Verdict::Wait, format!("{} existing objects are not ours", report.waits.len()))
    };
    Gate { reasons: report.waits.clone(), ..Gate::new("adoption", verdict, value) }
}

fn taken(count: usize) -> String {
    match count {
        0 => "nothing to take".to_owned(),
        1 => "1 existing object is taken".to_owned(),
        count => format!("{count} existing objects are taken"),
    }
}
