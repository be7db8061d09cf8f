//! The JSON documents of the verbs: only fields are added, and every one starts alike.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::diagnostic;
use crate::agent::judge::Outlook;
use crate::deploylog::{EntryCommit, StandingRelease};
use crate::gate::Gate;
use crate::name::{ObjectKey, PipelineName, Reason};
use crate::plan::{Change, FieldChange};
use crate::revision::JudgedCommit;

/// A document of a verb: the common head, then what the verb adds.
pub(super) fn document(name: &str, pipeline: &PipelineName, now: Timestamp, source: &str, rest: Value) -> Value {
    let mut document = json!({
        "schema": format!("lockmaster.dev/{name}/v1"),
        "pipeline": pipeline.as_str(),
        "asOf": now.to_string(),
        "source": source,
    });
    if let (Some(head), Value::Object(rest)) = (document.as_object_mut(), rest) {
        head.extend(rest);
    }
    document
}

/// A reason with the hint that goes with it.
pub(super) fn reason(reason: &Reason, place: &diagnostic::Place) -> Value {
    json!({
        "code": reason.code,
        "message": reason.message,
        "hint": diagnostic::hint(reason, place),
        "commit": reason.commit,
        "object": reason.object.as_ref().map(|key| object(key, None)),
        "file": reason.file,
        "line": reason.line,
        "column": reason.column,
    })
}

/// Several reasons.
pub(super) fn reasons(list: &[Reason], place: &diagnostic::Place) -> Value {
    list.iter().map(|one| reason(one, place)).collect()
}

/// An object, as `apiVersion, kind, namespace, name`; without a version the group stands alone.
pub(super) fn object(key: &ObjectKey, api_version: Option<&str>) -> Value {
    json!({
        "apiVersion": api_version.unwrap_or(&key.group),
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
    })
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
pub(super) fn judged_commit(judged: &JudgedCommit, place: &diagnostic::Place) -> Value {
    let signer = judged.signer.as_ref().zip(judged.fingerprint.as_ref());
    json!({
        "id": judged.id,
        "payloadHash": judged.payload_hash,
        "subject": judged.subject,
        "claimedAuthor": judged.claimed_author,
        "signer": signer.map(|(principal, fingerprint)| json!({"principal": principal, "fingerprint": fingerprint})),
        "verdict": if judged.reasons.is_empty() { "accepted" } else { "refused" },
        "reasons": reasons(&judged.reasons, place),
    })
}

/// The gates of an outlook.
pub(super) fn gates(outlook: &Outlook) -> Value {
    outlook.gates.iter().map(gate).collect()
}

fn gate(gate: &Gate) -> Value {
    json!({
        "name": gate.name,
        "verdict": gate.verdict,
        "code": gate.reasons.first().map(|reason| reason.code),
        "value": gate.value,
        "measured": null, "limit": null, "unit": null, "nextLook": null, "deadline": null, "evidence": null,
    })
}

/// A change of a plan.
pub(super) fn change(change: &Change, api_version: Option<&str>) -> Value {
    json!({
        "action": change.action,
        "object": object(&change.object, api_version),
        "stage": change.stage,
        "wave": change.wave,
        "fields": change.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn field(field: &FieldChange) -> Value {
    json!({"path": field.path, "from": field.from, "to": field.to, "secret": field.secret, "drift": field.drift})
}
