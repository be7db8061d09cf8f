//! How gates are shown, in `explain`, `plan` and `status`.

use jiff::Timestamp;

use super::answer::counted;
use super::diagnostic::escape;
use crate::gate::{Gate, Verdict};

/// Whether a gate is in the way.
pub(super) fn stops(gate: &Gate) -> bool {
    gate.verdict != Verdict::Pass
}

/// The gates in the way, in a few words: `approvals 1 of 2, windows`.
pub(super) fn stopping(gates: &[Gate]) -> String {
    let word = |gate: &Gate| match &gate.people {
        Some(people) if gate.name == "approvals" => format!("{} {} of {}", gate.name, people.have, people.need),
        _ => gate.name.to_owned(),
    };
    gates.iter().filter(|gate| stops(gate)).map(word).collect::<Vec<_>>().join(", ")
}

/// How many are in the way: `1 of 7 gates`.
pub(super) fn share(gates: &[Gate]) -> String {
    let stopping = gates.iter().filter(|gate| stops(gate)).count();
    format!("{stopping} of {}", counted(gates.len(), "gate"))
}

/// The rows of the table, with its head.
pub(super) fn rows(gates: &[Gate], now: Timestamp) -> Vec<Vec<String>> {
    let head = ["GATE", "VERDICT", "VALUE", "NEXT LOOK"].map(str::to_owned).to_vec();
    let row = |gate: &Gate| {
        let verdict = gate.verdict.as_str().to_owned();
        vec![gate.name.to_owned(), verdict, escape(&gate.value), next_look(gate, now)]
    };
    std::iter::once(head).chain(gates.iter().map(row)).collect()
}

/// When it is asked again, in words.
fn next_look(gate: &Gate, now: Timestamp) -> String {
    let waits = gate.verdict == Verdict::Wait;
    let soon = gate.next_look.filter(|next| Some(*next) != gate.deadline);
    let news = match (soon, gate.people.is_some(), gate.name) {
        (Some(next), _, _) if !gate.next.is_empty() => Some(format!("{} ({})", gate.next, until(next, now))),
        (Some(next), true, _) if !waits => Some(format!("counts until {} ({})", utc(next), until(next, now))),
        (Some(next), _, _) => Some(format!("{} ({})", utc(next), until(next, now))),
        (None, true, _) if waits => Some("on a new tag".to_owned()),
        (None, _, "upstream") if waits => Some("on news from upstream".to_owned()),
        (None, _, "queue") if waits => Some("when that one is proven or failed".to_owned()),
        (None, _, _) => None,
    };
    let gives_up = gate.deadline.filter(|_| waits).map(|at| format!("gives up {}", utc(at)));
    let parts: Vec<String> = news.into_iter().chain(gives_up).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

/// A moment, as people read it.
pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How far away a moment is: `in 4h49m`; `now` where it has passed.
pub(super) fn until(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { format!("in {}", super::status::age(now, at)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::People;

    fn gate(name: &'static str, verdict: Verdict) -> Gate {
        Gate {
            name,
            verdict,
            value: String::new(),
            reasons: Vec::new(),
            next_look: None,
            deadline: None,
            next: String::new(),
            people: None,
        }
    }

    #[test]
    fn a_gate_says_in_words_when_it_is_asked_again() {
        let now: Timestamp = "2026-03-11T10:41:00Z".parse().expect("because it is a time");
        let at = |text: &str| Some(text.parse::<Timestamp>().expect("because it is a time"));
        let deadline = at("2026-03-25T09:32:11Z");
        let people = Some(People { have: 1, need: 2, may: None });
        let asks = Gate { deadline, next_look: deadline, people, ..gate("approvals", Verdict::Wait) };
        assert_eq!(next_look(&asks, now), "on a new tag; gives up 2026-03-25 09:32:11Z");
        assert_eq!(
            stopping(&[gate("queue", Verdict::Pass), asks, gate("windows", Verdict::Wait)]),
            "approvals 1 of 2, windows"
        );
        let next = "closes 16:30 Europe/Berlin".to_owned();
        let open = Gate { next, next_look: at("2026-03-11T15:30:00Z"), ..gate("windows", Verdict::Pass) };
        assert_eq!(next_look(&open, now), "closes 16:30 Europe/Berlin (in 4h49m)");
        assert_eq!(next_look(&gate("intent", Verdict::Pass), now), "-");
    }
}
