//! The parts that the documents of several verbs share: only fields are added.

use serde_json::{Value, json};

use super::diagnostic::{ObjectBody, Place, ReasonBody};
use crate::deploylog::{EntryCommit, StandingRelease};
use crate::gate::Gate;
use crate::name::Reason;
use crate::plan::{Change, FieldChange};
use crate::revision::JudgedCommit;

/// A reason with the hint that goes with it.
pub(super) fn reason(reason: &Reason, place: &Place) -> Value {
    json!(ReasonBody::new(reason, place))
}

/// Several reasons.
pub(super) fn reasons(list: &[Reason], place: &Place) -> Value {
    list.iter().map(|one| reason(one, place)).collect()
}

/// A commit of the log.
pub(super) fn commit(commit: &EntryCommit) -> Value {
    json!({
        "id": commit.id,
        "payloadHash": commit.payload_hash,
        "subject": commit.subject,
        "author": commit.claimed_author,
        "signer": commit.signer,
        "firstSeenAt": commit.first_seen.to_string(),
    })
}

/// The standing release.
pub(super) fn release(standing: &StandingRelease) -> Value {
    json!({"digest": standing.release, "commit": commit(&standing.commit), "sequence": standing.sequence})
}

/// A new commit and what its signature says.
pub(super) fn judged_commit(judged: &JudgedCommit, place: &Place) -> Value {
    let signer = judged.signer.as_ref().zip(judged.fingerprint.as_ref());
    json!({
        "id": judged.id,
        "payloadHash": judged.payload_hash,
        "subject": judged.subject,
        "claimedAuthor": judged.claimed_author,
        "signer": signer.map(|(principal, fingerprint)| json!({"principal": principal, "fingerprint": fingerprint})),
        "carrier": judged.carrier,
        "verdict": if judged.reasons.is_empty() { "accepted" } else { "refused" },
        "reasons": reasons(&judged.reasons, place),
    })
}

/// Gates, as all documents have them.
pub(super) fn gates(gates: &[Gate]) -> Value {
    gates.iter().map(gate).collect()
}

fn gate(gate: &Gate) -> Value {
    let people = gate.people.as_ref();
    json!({
        "name": gate.name,
        "verdict": gate.verdict,
        "code": gate.reasons.first().map(|reason| reason.code),
        "value": gate.value,
        "measured": people.map(|people| people.have),
        "limit": people.map(|people| people.need),
        "unit": people.map(|_| "approvals"),
        "nextLook": gate.next_look.map(|at| at.to_string()),
        "deadline": gate.deadline.map(|at| at.to_string()),
        "evidence": null,
    })
}

/// A change of a plan.
pub(super) fn change(change: &Change) -> Value {
    json!({
        "action": change.action,
        "object": ObjectBody::new(&change.object).written_in(&change.api_version),
        "stage": change.stage,
        "wave": change.wave,
        "fields": change.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn field(field: &FieldChange) -> Value {
    json!({"path": field.path, "from": field.from, "to": field.to, "secret": field.secret, "drift": field.drift})
}
