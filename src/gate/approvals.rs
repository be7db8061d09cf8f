//! The gate `approvals`: enough people who may have stated that they want exactly this commit here (DESIGN §6, Approvals).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::words::{later, listed, rowed};
use super::{Case, Facts, Gate, People, Rules, Verdict};
use crate::deploylog::{Inputs, Past};
use crate::name::{Code, CommitId, Digest, Principal, Reason};
use crate::revision::Verified;
use crate::revision::statement::{Statement, Verb};

/// The approvals of a candidate: whose count, and why others do not.
#[derive(Debug, Clone, Default)]
pub struct Approvers<'c> {
    /// One statement for each person who counts.
    counted: BTreeMap<Principal, &'c Statement>,
    /// Why each of the others does not, for people.
    not_counted: Vec<String>,
    /// When the first of those that count ends.
    ends: Option<Timestamp>,
    /// How many are needed; without `approvals`, one by a writer stands for intent.
    needed: usize,
    /// Who may approve and has not; `None`: every signer may.
    may: Option<BTreeSet<Principal>>,
}

impl<'c> Approvers<'c> {
    pub(super) fn of(
        rules: &Rules,
        past: &Past,
        facts: &'c Facts,
        verified: &Verified,
        inputs: &Inputs,
        now: Timestamp,
    ) -> Self {
        let needed = rules.approvals.as_ref().map_or(1, |approvals| approvals.count);
        let mut approvers = Approvers { needed, not_counted: facts.void.clone(), ..Approvers::default() };
        let bench = Bench { rules, past, facts, verified, inputs, now };
        for statement in facts.statements.iter().filter(|s| s.verb() == Verb::Approve) {
            match bench.objection(statement) {
                Some(why) if why.is_news => approvers.not_counted.push(format!("{}: {}", statement.name(), why.text)),
                Some(_) => {}
                None => {
                    let ends = bench.ends(statement);
                    approvers.ends = Some(approvers.ends.map_or(ends, |first| first.min(ends)));
                    approvers.counted.entry(statement.signer().clone()).or_insert(statement);
                }
            }
        }
        let who = rules.approvals.as_ref().map_or(&rules.writers, |approvals| &approvals.who);
        approvers.may = who.as_ref().map(|who| {
            let left = who.iter().filter(|one| !approvers.counted.contains_key(*one) && !bench.is_author(one));
            left.cloned().collect()
        });
        approvers
    }

    /// Whom it still asks.
    pub(super) fn people(&self) -> People {
        People { have: self.counted.len(), need: self.needed, may: self.may.clone() }
    }

    /// Whether those who count are enough to answer for intent and for own inputs.
    pub(super) fn is_enough(&self) -> bool {
        self.counted.len() >= self.needed
    }

    /// Who overrides a gate, with the reason, if enough do.
    pub(super) fn overriding(&self, gate: &str) -> Option<String> {
        let overrides = |statement: &&&Statement| {
            statement.overrides().iter().any(|named| named == gate) && !statement.reason().is_empty()
        };
        let overriding: Vec<&&Statement> = self.counted.values().filter(overrides).collect();
        let first = overriding.first().filter(|_| overriding.len() >= self.needed)?;
        let who = overriding.iter().map(|statement| statement.signer().to_string()).collect::<Vec<_>>().join(", ");
        Some(format!("override by {who}: {}", first.reason()))
    }

    /// Why those who override a gate are not enough, if somebody does and they are not.
    pub(super) fn short_of(&self, gate: &str) -> Option<String> {
        let named = |statement: &&&Statement| statement.overrides().iter().any(|named| named == gate);
        let (good, bare): (Vec<&Statement>, Vec<&Statement>) =
            self.counted.values().filter(named).partition(|statement| !statement.reason().is_empty());
        if let Some(first) = bare.first() {
            return Some(format!("the override by {} gives no reason", first.signer()));
        }
        let first = good.first().filter(|_| good.len() < self.needed)?;
        Some(format!("overridden by {}, {} of {}", first.signer(), good.len(), self.needed))
    }

    /// The statements that an opening rests on, by the SHA-256 of their signed payload.
    pub(super) fn used(&self) -> impl Iterator<Item = Digest> {
        self.counted.values().map(|statement| statement.payload_hash())
    }

    pub(super) fn names(&self) -> String {
        self.counted.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Where they stated it, unless on the candidate itself.
    fn place(&self, candidate: &CommitId) -> String {
        let named: BTreeSet<&str> =
            self.counted.values().map(|s| s.commit()).filter(|id| *id != candidate).map(CommitId::short).collect();
        if named.is_empty() {
            String::new()
        } else {
            format!(", on {}", named.into_iter().collect::<Vec<_>>().join(", "))
        }
    }
}

/// What a statement is judged by.
struct Bench<'b> {
    rules: &'b Rules,
    past: &'b Past,
    facts: &'b Facts,
    verified: &'b Verified,
    inputs: &'b Inputs,
    now: Timestamp,
}

/// Why an approval counts for nothing.
struct Objection {
    text: String,
    /// Whether it is worth telling: not of what is over and was about other commits.
    is_news: bool,
}

impl Bench<'_> {
    fn objection(&self, statement: &Statement) -> Option<Objection> {
        let is_over = self.past.used.contains(&statement.payload_hash()) || self.now >= self.ends(statement);
        let is_near = self.verified.commit() == statement.commit() || self.is_new(statement.commit());
        self.why_not(statement).map(|text| Objection { text, is_news: is_near || !is_over })
    }

    fn is_new(&self, id: &CommitId) -> bool {
        self.verified.new_commits().iter().any(|commit| commit.id == *id)
    }

    fn why_not(&self, statement: &Statement) -> Option<String> {
        let signer = statement.signer();
        if self.past.used.contains(&statement.payload_hash()) {
            return Some("it was used by an earlier release".to_owned());
        }
        if !super::may_approve(self.rules, signer) {
            return Some(format!("{signer} is not of {}", self.rules.approvers()));
        }
        if self.now >= self.ends(statement) {
            return Some("it has expired".to_owned());
        }
        if self.facts.clock_suspect {
            return Some("it may have expired: the clocks of this machine and of the cluster differ".to_owned());
        }
        if self.is_author(signer) {
            return Some(format!("{signer} is an author of what is newly shipped"));
        }
        (!self.is_for_candidate(statement)).then(|| format!("it names {}, another commit", statement.commit().short()))
    }

    /// When it stops to count.
    fn ends(&self, statement: &Statement) -> Timestamp {
        let expires = self.rules.approvals.as_ref().map_or(super::rules::EXPIRES, |approvals| approvals.expires);
        let first_seen = self.facts.first_seen.get(&statement.payload_hash()).copied().unwrap_or(self.now);
        let end = later(first_seen, expires);
        statement.until().map_or(end, |until| until.min(end))
    }

    /// Merges included: whoever merges has a say already.
    fn is_author(&self, signer: &Principal) -> bool {
        let excluded = self.rules.approvals.as_ref().is_some_and(|approvals| approvals.exclude_author);
        let wrote = |commit: &crate::revision::JudgedCommit| {
            commit.signer.as_ref() == Some(signer) || commit.claimed_author == signer.as_str()
        };
        excluded && self.verified.new_commits().iter().any(wrote)
    }

    /// An approval counts for the commit it names, and for a merge of it that has the same shared inputs and either
    /// leaves our own inputs unchanged or has those of the commit that was named (promotion.md, row 16).
    fn is_for_candidate(&self, statement: &Statement) -> bool {
        if statement.commit() == self.verified.commit() {
            return true;
        }
        let merged = self.is_new(statement.commit());
        let Some(named) = self.facts.inputs_at.get(statement.commit()).filter(|_| merged) else { return false };
        let layout = &self.rules.layout;
        let own = layout.own_inputs(self.inputs);
        let unchanged = self.past.standing.as_ref().is_some_and(|s| layout.own_inputs(&s.inputs) == own);
        layout.shared_inputs(named) == layout.shared_inputs(self.inputs)
            && (unchanged || layout.own_inputs(named) == own)
    }
}

pub(super) fn judge(case: &Case<'_>, gives_up: Timestamp) -> Gate {
    let (rules, approvers) = (case.rules, &case.approvals);
    let Some(approvals) = &rules.approvals else {
        return match approvers.counted.len() {
            0 => Gate::pass("approvals", "none needed"),
            _ => Gate::pass(
                "approvals",
                format!("none needed; approved by {}{}", approvers.names(), approvers.place(case.verified.commit())),
            ),
        };
    };
    let (have, need, role) = (approvers.counted.len(), approvals.count, rules.approvers());
    let names = match have {
        0 => String::new(),
        _ => format!(": {}{}", approvers.names(), approvers.place(case.verified.commit())),
    };
    let value = format!("{have} of {need} {role}{names}");
    let people = Some(approvers.people());
    if have >= need {
        return Gate { next_look: approvers.ends, people, ..Gate::pass("approvals", value) };
    }
    let mut text = format!("needs {need} of {role}, has {have}{names}");
    let own = case.own_brought();
    if !own.is_empty() {
        text = format!("{text}; own inputs change: {}", listed(own));
    }
    let not: BTreeSet<String> = approvers.not_counted.iter().cloned().collect();
    if !not.is_empty() {
        text = format!("{text}; not counted: {}", rowed(not.into_iter().collect(), "; "));
    }
    Gate {
        next_look: approvers.ends,
        deadline: Some(gives_up),
        people,
        reasons: vec![Reason::new(Code::ApprovalsMissing, text)],
        ..Gate::new("approvals", Verdict::Wait, value)
    }
}
