//! The gates `freezes` and `windows`: is now a time for it? Neither is ever in the way of a rollback or a heal.

use jiff::Timestamp;

use super::calendar::{State, deciding, freezes_at, windows_at};
use super::words::utc;
use super::{Case, Gate, Rules, Verdict};
use crate::deploylog::{Freeze, Past};
use crate::name::{Code, Principal};
use crate::revision::statement::{Statement, Verb};

/// Whether windows and freezes let anything in now; else when they may, if that is known.
///
/// # Errors
/// They do not.
pub fn is_a_time_for(rules: &Rules, past: &Past, now: Timestamp) -> Result<(), Option<Timestamp>> {
    let stated = past.freezes.iter().map(|freeze| freeze.until).filter(|until| now < *until).max();
    if let Some(until) = stated.or_else(|| freezes_at(&rules.freezes, now).map(|(_, until)| until)) {
        return Err(Some(until));
    }
    match windows_at(&rules.windows, now) {
        State::Open { .. } => Ok(()),
        State::Shut { opens } => Err(opens),
    }
}

/// Whether an approval of a signer counts: of one of the role, where approvals are set; else of a writer.
#[must_use]
pub fn may_approve(rules: &Rules, signer: &Principal) -> bool {
    let who = rules.approvals.as_ref().map_or(&rules.writers, |approvals| &approvals.who);
    who.as_ref().is_none_or(|who| who.contains(signer))
}

/// Whether a signer may freeze: a writer, or one who may approve.
#[must_use]
pub fn may_freeze(rules: &Rules, signer: &Principal) -> bool {
    let among =
        |who: &Option<std::collections::BTreeSet<Principal>>| who.as_ref().is_none_or(|who| who.contains(signer));
    among(&rules.writers) || rules.approvals.as_ref().is_some_and(|approvals| among(&approvals.who))
}

/// Whether a signer may end a freeze: one who may approve, where approvals are set; else a writer.
#[must_use]
pub fn may_unfreeze(rules: &Rules, signer: &Principal) -> bool {
    may_approve(rules, signer)
}

pub(super) fn freezes(case: &Case<'_>) -> Gate {
    let stated = stated(case);
    let dated = dated(case);
    let (text, until) = match (&stated, dated) {
        (Some(freeze), _) => {
            let why = if freeze.reason.is_empty() { String::new() } else { format!(": {}", freeze.reason) };
            (format!("until {} by {}{why}", utc(freeze.until), freeze.by), freeze.until)
        }
        (None, Some((freeze, until))) => {
            let why = freeze.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
            (format!("until {} by the pipeline{why}", freeze.word(until, case.now)), until)
        }
        (None, None) => return Gate::pass("freezes", "none"),
    };
    if let Some(words) = case.overridden("freezes") {
        return Gate::pass("freezes", words);
    }
    let text = format!("{} is frozen {text}", case.rules.environment);
    Gate {
        reasons: vec![case.reason(Code::Frozen, text.clone())],
        next_look: Some(until).filter(|until| case.now < *until),
        ..Gate::new("freezes", Verdict::Wait, text)
    }
}

/// The dated freeze that is on. With a clock in doubt none that has begun is over.
fn dated<'c>(case: &Case<'c>) -> Option<(&'c super::calendar::Freeze, Timestamp)> {
    let freezes = &case.rules.freezes;
    freezes_at(freezes, case.now).or_else(|| {
        let begun = freezes.iter().filter(|freeze| case.facts.clock_suspect && freeze.from() <= case.now);
        begun.max_by_key(|freeze| freeze.until()).map(|freeze| (freeze, freeze.until()))
    })
}

/// The stated freeze that lasts longest: as journalled, or seen and not journalled yet. With a clock in doubt none of
/// them is over.
fn stated(case: &Case<'_>) -> Option<Freeze> {
    let fresh = case.facts.statements.iter().filter(|statement| {
        statement.verb() == Verb::Freeze
            && !case.past.used.contains(&statement.payload_hash())
            && may_freeze(case.rules, statement.signer())
    });
    let all = case.past.freezes.iter().cloned().chain(fresh.filter_map(|statement| freeze(statement)));
    all.filter(|freeze| case.now < freeze.until || case.facts.clock_suspect).max_by_key(|freeze| freeze.until)
}

fn freeze(statement: &Statement) -> Option<Freeze> {
    let until = statement.until()?;
    Some(Freeze { until, by: statement.signer().to_string(), reason: statement.reason().to_owned() })
}

pub(super) fn windows(case: &Case<'_>) -> Gate {
    let windows = &case.rules.windows;
    if windows.is_empty() {
        return Gate::pass("windows", "none set");
    }
    let named = deciding(windows, case.now);
    let worded = |at: Timestamp| named.map_or_else(|| utc(at), |window| window.zone().word(at, case.now));
    let state = windows_at(windows, case.now);
    match state {
        State::Open { closes } if !case.facts.clock_suspect => Gate {
            next_look: closes,
            next: closes.map(|at| format!("closes {}", worded(at))).unwrap_or_default(),
            ..Gate::pass("windows", format!("open, {}", named.map(ToString::to_string).unwrap_or_default()))
        },
        _ if case.overridden("windows").is_some() => {
            Gate::pass("windows", case.overridden("windows").unwrap_or_default())
        }
        State::Open { .. } => {
            shut(case, "the clocks of this machine and of the cluster differ (clock-suspect)".into(), None)
        }
        State::Shut { opens } => {
            let when = opens.map_or("not within 400 days".to_owned(), |at| format!("opens {}", worded(at)));
            Gate { next: when.clone(), ..shut(case, format!("shut, {when}"), opens) }
        }
    }
}

fn shut(case: &Case<'_>, text: String, opens: Option<Timestamp>) -> Gate {
    Gate {
        reasons: vec![case.reason(Code::WindowClosed, format!("the window of {} is {text}", case.rules.environment))],
        next_look: opens,
        ..Gate::new("windows", Verdict::Wait, text)
    }
}
