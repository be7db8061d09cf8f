//! Is every new commit signed by somebody who may write here?

use jiff::Timestamp;

use super::fault::{Fault, Finding, summaries};
use super::grammar::{Armor, Commit};
use super::history::{self, Candidate};
use super::{Carriers, FirstSeen, Ground, JudgedCommit, Judgement, MergeFacts, RawCommit, Trust, Verified, merge};
use crate::name::{CommitId, Digest, Fingerprint, Principal};
use crate::signature::{GIT_NAMESPACE, Signers, Standing, verify_ssh};

/// Whom commits are judged by, and when they were seen.
struct Bench<'a> {
    trust: &'a Trust,
    first_seen: &'a FirstSeen,
    now: Timestamp,
}

/// What a commit says of itself, before anybody judged who signed it.
pub(super) fn describe(raw: &RawCommit, commit: &Commit) -> JudgedCommit {
    JudgedCommit {
        payload_hash: Digest::of(&commit.payload(&raw.bytes)),
        subject: commit.subject.clone(),
        claimed_author: commit.author.email.clone(),
        ..unread(raw)
    }
}

pub(super) fn judge(candidate: &Candidate<'_>, trust: &Trust, first_seen: &FirstSeen, now: Timestamp) -> Judgement {
    let bench = Bench { trust, first_seen, now };
    let merges = &candidate.fetched.merges;
    let mut findings = Vec::new();
    let mut judge = |(raw, read): &(&RawCommit, Result<Commit, Fault>), ground: Ground| {
        let (commit, fault) = match read {
            Ok(read) => bench.carry(read, merges.get(&raw.id), ground, bench.judge(raw, read)),
            Err(fault) => (unread(raw), Some(fault.clone())),
        };
        with_reason(commit, fault, &mut findings)
    };
    let by_content = trust.ground == Ground::Content && candidate.fetched.brought.is_some();
    let brings = |id: &CommitId| candidate.brought.iter().any(|(raw, _)| raw.id == *id);
    let ground = |id: &CommitId| if by_content && !brings(id) { Ground::Upstream } else { trust.ground };
    let commits: Vec<JudgedCommit> = candidate.new.iter().map(|new| judge(new, ground(&new.0.id))).collect();
    let is_new = |id: &CommitId| commits.iter().any(|commit| commit.id == *id);
    let older = candidate.brought.iter().filter(|(raw, _)| !is_new(&raw.id));
    let brought = older.map(|older| judge(older, trust.ground)).collect();
    if candidate.new.is_empty() {
        findings.extend(candidate.unreadable());
    }
    let mut reasons = history::reasons(candidate);
    reasons.extend(summaries(candidate.fetched, Some(&trust.environment), &findings));
    let verdict = match (&candidate.tip, reasons.is_empty()) {
        (Ok(tip), true) => Ok(verified(&bench, candidate, tip, (&commits, brought))),
        (_, _) => Err(reasons),
    };
    Judgement { commits, verdict }
}

fn verified(
    bench: &Bench<'_>,
    candidate: &Candidate<'_>,
    tip: &Commit,
    (new, brought): (&[JudgedCommit], Vec<JudgedCommit>),
) -> Verified {
    let raw = &candidate.fetched.tip_commit;
    let judged = new.iter().find(|commit| commit.id == raw.id).cloned();
    // A tip that is not new needs no signature: it was accepted, or it is part of an introduction.
    let tip = judged.unwrap_or_else(|| bench.judge(raw, tip).0);
    Verified { tip, new: new.to_vec(), brought }
}

fn with_reason(mut commit: JudgedCommit, fault: Option<Fault>, findings: &mut Vec<Finding>) -> JudgedCommit {
    if let Some(fault) = fault {
        commit.reasons.push(fault.reason(&commit.id));
        let claim = match (commit.subject.as_str(), commit.claimed_author.as_str()) {
            ("", "") => String::new(),
            (subject, author) => format!("\"{subject}\", claimed author {author}"),
        };
        findings.push(Finding { commit: commit.id.clone(), claim, fault });
    }
    commit
}

/// A commit that cannot be read, so that it can be shown: all its bytes stand for its payload.
fn unread(raw: &RawCommit) -> JudgedCommit {
    JudgedCommit {
        id: raw.id.clone(),
        payload_hash: Digest::of(&raw.bytes),
        subject: String::new(),
        claimed_author: String::new(),
        signer: None,
        fingerprint: None,
        carrier: None,
        reasons: Vec::new(),
    }
}

impl Bench<'_> {
    fn judge(&self, raw: &RawCommit, commit: &Commit) -> (JudgedCommit, Option<Fault>) {
        let payload = commit.payload(&raw.bytes);
        let payload_hash = Digest::of(&payload);
        let (fingerprint, signer, fault) = match signing_key(commit, &payload) {
            Ok(key) => {
                let (signer, fault) = self.standing(&key, payload_hash);
                (Some(key), signer, fault)
            }
            Err(fault) => (None, None, Some(fault)),
        };
        let judged = JudgedCommit {
            id: raw.id.clone(),
            payload_hash,
            subject: commit.subject.clone(),
            claimed_author: commit.author.email.clone(),
            signer,
            fingerprint,
            carrier: None,
            reasons: Vec::new(),
        };
        (judged, fault)
    }

    /// Takes the fault off a commit that may be a carrier. Whether all it merges is authorised is judged of each new
    /// commit on its own.
    fn carry(
        &self,
        commit: &Commit,
        facts: Option<&MergeFacts>,
        ground: Ground,
        (mut judged, fault): (JudgedCommit, Option<Fault>),
    ) -> (JudgedCommit, Option<Fault>) {
        let Some(carrier) = fault.as_ref().and_then(|fault| fault.carrier(ground)) else {
            return (judged, fault);
        };
        let fault = match self.trust.carriers {
            _ if ground == Ground::Upstream => None,
            Carriers::Allow => None,
            Carriers::Plain if commit.parents.len() < 2 => fault,
            Carriers::Plain => merge::fault(commit.parents.len(), facts),
        };
        judged.carrier = fault.is_none().then_some(carrier);
        (judged, fault)
    }

    /// Whose key it is, and why it does not count here.
    fn standing(&self, key: &Fingerprint, payload_hash: Digest) -> (Option<Principal>, Option<Fault>) {
        let first_seen = self.first_seen.get(&payload_hash).copied().unwrap_or(self.now);
        match holder(&self.trust.signers, key, first_seen) {
            Ok(principal) => {
                let writes = self.trust.writers.as_ref().is_none_or(|writers| writers.contains(&principal));
                let fault = (!writes).then(|| Fault::Unauthorised(principal.clone()));
                (Some(principal), fault)
            }
            Err((principal, fault)) => (principal, Some(fault)),
        }
    }
}

/// Whose key it is; else why that does not count, with its holder if it has one. Its window is judged at first seen, never
/// at the time that the commit or tag says, which its signer wrote.
pub(super) fn holder(
    signers: &Signers,
    key: &Fingerprint,
    first_seen: Timestamp,
) -> Result<Principal, (Option<Principal>, Fault)> {
    match signers.standing(key, GIT_NAMESPACE, first_seen) {
        Standing::Valid(principal) => Ok(principal),
        Standing::OutsideWindow { principal, valid_after: after, valid_before: before } => {
            Err((Some(principal.clone()), Fault::OutsideWindow { principal, after, before, first_seen }))
        }
        Standing::OtherNamespace(principal) => Err((Some(principal.clone()), Fault::OtherNamespace(principal))),
        Standing::Unknown => Err((None, Fault::UnknownSigner(key.clone()))),
    }
}

fn signing_key(commit: &Commit, payload: &[u8]) -> Result<Fingerprint, Fault> {
    commit.signature.as_ref().map_or(Err(Fault::Unsigned), |armor| key(armor, payload))
}

/// The key that made a signature over this payload.
pub(super) fn key(armor: &Armor, payload: &[u8]) -> Result<Fingerprint, Fault> {
    match armor {
        Armor::Ssh(armor) => {
            verify_ssh(armor, GIT_NAMESPACE, payload).map_err(|problem| Fault::BadSignature(problem.to_string()))
        }
        Armor::OpenPgp => Err(Fault::UnknownKind("OpenPGP signatures")),
        Armor::X509 => Err(Fault::UnknownKind("X.509 signatures")),
        Armor::Other(line) => {
            Err(Fault::BadSignature(format!("its signature begins with `{line}`, which is no armor")))
        }
        Armor::Ambiguous(what) => Err(Fault::Ambiguous(what.clone())),
    }
}
