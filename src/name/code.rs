//! The stable reason codes of the command line, the API, events and metrics.

use std::fmt;
use std::str::FromStr;

use super::InvalidName;

/// How a code is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Refused, nothing applied.
    Refused,
    /// Waits by itself.
    Waits,
    /// Needs a person.
    Person,
    /// Retried with back-off.
    Retried,
    /// A law of the deployment log is violated.
    Violated,
    /// Could not do or check.
    Failed,
    /// Found by `lint`.
    Lint,
    /// Told, and stops nothing.
    Notice,
}

macro_rules! codes {
    ($($variant:ident $text:literal $class:ident $meaning:literal;)*) => {
        /// A reason code: the same word in messages, JSON and metrics, and in CamelCase in conditions and events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes, in the order of the walk.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code in kebab-case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* }
            }

            /// How the code is treated.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Code::$variant => Class::$class,)* }
            }

            /// What the code means, for `explain --code`.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    FetchFailed "fetch-failed" Retried "remote gone, unreachable or broke off; the standing release stays";
    AuthenticationFailed "authentication-failed" Retried "credentials refused; never retried anonymously";
    RefNotFound "ref-not-found" Refused "ref missing or not a commit; never means prune";
    IncompleteHistory "incomplete-history" Refused "shallow boundary or missing parents";
    CorruptObject "corrupt-object" Refused "hash mismatch or suspected SHA-1 collision";
    LimitExceeded "limit-exceeded" Refused "size, depth, count or time limit of any input; names limit and value";
    RefRewound "ref-rewound" Refused "tip is an ancestor of the accepted head";
    RefDiverged "ref-diverged" Refused "tip does not descend from the accepted head; names the merge base";
    RefTwin "ref-twin" Refused "another commit id over the signed payload of the accepted head";
    AcceptedCommitMissing "accepted-commit-missing" Person "remote and mirror lost the accepted head";
    NotDescendantOfIntroduction "not-descendant-of-introduction" Refused "outside the history that is judged";
    MalformedCommit "malformed-commit" Refused "headers unknown, repeated or out of order";
    UnsignedCommit "unsigned-commit" Refused "a new commit carries no signature";
    BadSignature "bad-signature" Refused "does not match the bytes, wrong namespace, or weak algorithm";
    AmbiguousSignature "ambiguous-signature" Refused "more than one signature, or bytes after it";
    UnknownSigner "unknown-signer" Refused "key is in no signers file";
    UnauthorisedSigner "unauthorised-signer" Refused "known key, but no role that may write here";
    KeyNotValid "key-not-valid" Refused "outside the key's window at first seen";
    KeyRevoked "key-revoked" Refused "revoked since a log sequence; if it signed the accepted head, no promotion until re-signed";
    MergeNotPlain "merge-not-plain" Refused "a carrier merge changes a path on both sides, or one that neither side has";
    PathNotFound "path-not-found" Refused "the environment's path is not in the commit";
    UnsafePath "unsafe-path" Refused "link or path leaves the source; submodule or LFS pointer; the directory of a unit that has no name of one";
    InvalidYaml "invalid-yaml" Refused "not YAML as kubectl reads it, or a key twice; file, line, column";
    InvalidObject "invalid-object" Refused "apiVersion, kind, name or a value wrong, or sets uid, status, managedFields; no Secret values echoed";
    DuplicateObject "duplicate-object" Refused "same object in two files; names both";
    ProtectedObject "protected-object" Refused "the agent's own namespace, CRD, RBAC or journal";
    RenderFailed "render-failed" Refused "kustomize or helm error, with file and line";
    RemoteInputForbidden "remote-input-forbidden" Refused "remote base, plugin, exec, lookup or network";
    NonDeterministicRender "non-deterministic-render" Refused "two renders of one commit differ";
    EmptyRender "empty-render" Refused "no objects; never prunes";
    UnpinnedImage "unpinned-image" Refused "no digest where one is required";
    UnresolvedImage "unresolved-image" Refused "reference is not in the registry";
    DigestMismatch "digest-mismatch" Refused "body is not what the digest names";
    UnsignedArtifact "unsigned-artifact" Refused "signature or attestation missing, invalid, or for another digest";
    RegistryUnavailable "registry-unavailable" Retried "known digests keep their cached proof, new ones wait";
    PruneNeedsApproval "prune-needs-approval" Person "namespace, CRD, PVC or more than the set share would go";
    RecreateNeedsApproval "recreate-needs-approval" Person "immutable field changed, recreate not opted in";
    KindNotFound "kind-not-found" Refused "kind unknown and no CRD for it in the release";
    PlanCheckFailed "plan-check-failed" Failed "independent checker disagrees with the plan: a bug, nothing applied";
    UpstreamNotProven "upstream-not-proven" Waits "running upstream, not proven yet; until when";
    UpstreamFailed "upstream-failed" Refused "failed or was rolled back upstream; names the entry";
    UnprovenContent "unproven-content" Refused "shared inputs equal no proven upstream entry; names the paths";
    PromotionIncomplete "promotion-incomplete" Refused "leaves out paths of the proven entry, e.g. reverted here; names them and the ways out";
    OwnPathUnsigned "own-path-unsigned" Refused "own input changed by nobody with rights here, and no approval covers it";
    CarrierNeedsApproval "carrier-needs-approval" Refused "content is proven, nobody with rights here signed the intent";
    ArtifactNotProven "artifact-not-proven" Refused "image digest not in the upstream entry nor in ownImages";
    UpstreamLogStale "upstream-log-stale" Waits "newest upstream entry older than maxAge";
    Soaking "soaking" Waits "standing release healthy for less than soak: not proven yet";
    WindowClosed "window-closed" Waits "outside the window; names the next opening";
    Frozen "frozen" Waits "until when, by whom and why";
    ApprovalsMissing "approvals-missing" Waits "have, need, who may; why a statement did not count";
    HeldContent "held-content" Person "contains all that a hold names; which hold, which paths";
    CheckFailed "check-failed" Refused "metric, HTTP, Job or restart rule failed; after apply: onFailure";
    CheckUnknown "check-unknown" Waits "no data, NaN, error, partial data or several samples; refused at the deadline; found by lint --probe";
    SloBurning "slo-burning" Waits "error budget burns too fast";
    PolicyDenied "policy-denied" Refused "a CEL rule answered no; names it";
    IrreversibleMigration "irreversible-migration" Person "automatic rollback would cross a marked migration";
    ObjectFailed "object-failed" Refused "crash loop, failed Job, rollout deadline; object and cause";
    Unsettled "unsettled" Refused "deadline passed without an answer; unknown never counts as healthy";
    JournalUnwritable "journal-unwritable" Retried "the cluster does not take the entry; nothing is applied";
    LogUnpublished "log-unpublished" Waits "entries wait longer than publishWithin; blocks promotion, never rollback or healing";
    LogForked "log-forked" Person "the branch has an entry we did not write";
    LogRegressed "log-regressed" Person "log is older than its anchor in the cluster";
    StatementNotApplicable "statement-not-applicable" Refused "expired, used, or for another commit, sequence or environment";
    Interrupted "interrupted" Notice "open entry from a crash; resumed";
    Superseded "superseded" Notice "a newer commit took its place";
    SequenceGap "sequence-gap" Violated "entry missing, repeated or not linear";
    EntryHashMismatch "entry-hash-mismatch" Violated "names another predecessor than the entry before it";
    EntrySignatureInvalid "entry-signature-invalid" Violated "not signed by a key valid at its sequence";
    GateNotReproduced "gate-not-reproduced" Violated "recorded evidence does not give the recorded verdict";
    TipNotRecorded "tip-not-recorded" Violated "branch tip neither opened, nor refused or waiting in an entry, nor equal in inputs to the standing release";
    ConfigNotFound "config-not-found" Failed "no file and no resource; says where it looked";
    PipelineAmbiguous "pipeline-ambiguous" Failed "several pipelines match; names them";
    UnknownKey "unknown-key" Lint "with span and suggestion";
    InvalidValue "invalid-value" Lint "with span and what is expected";
    UnknownName "unknown-name" Lint "role, check, environment or signer nobody declares; promotion cycle";
    SignersInvalid "signers-invalid" Lint "bad line, unknown option, * principal; no signers at all: exit 2";
    ApprovalsUnreachable "approvals-unreachable" Lint "role too small for count and excludeAuthor";
    EnvironmentConflict "environment-conflict" Person "two pipelines own one environment or object; the older works on";
    Usage "usage" Failed "unknown verb or flag, wrong value; with a suggestion";
    StateLocked "state-locked" Failed "another agent uses the state directory";
    ConfirmationNeeded "confirmation-needed" Failed "would ask, but no TTY and no --yes";
    AgentUnreachable "agent-unreachable" Failed "the agent's address does not answer";
    TimedOut "timed-out" Failed "--timeout passed";
    Bug "bug" Failed "caught panic or broken invariant; prints what to report";
    ClusterUnreachable "cluster-unreachable" Retried "API server does not answer";
    Forbidden "forbidden" Person "right missing: verb and resource; retried when rights change";
    AdoptionNeeded "adoption-needed" Person "object exists and is not ours; owner, fields that would change";
    OwnedByOther "owned-by-other" Refused "a live Flux, Argo CD, Helm or ApplySet owner; the commands that hand it over";
    OutsideNamespace "outside-namespace" Refused "object outside the environment's namespaces or clusterKinds";
    NamespaceNotFound "namespace-not-found" Refused "namespace neither in the render nor in the cluster";
    HealthAssumed "health-assumed" Notice "kind without status: counted healthy because it exists";
    DryRunDenied "dry-run-denied" Refused "admission, quota or schema refused it before any write";
    ApplyFailed "apply-failed" Retried "admission, quota or schema said no; one outcome per object";
    FieldConflict "field-conflict" Person "another manager owns the field and the policy is fail";
    DeletionBlocked "deletion-blocked" Retried "finalizer or terminating namespace; names the blocker";
    DriftFound "drift-found" Notice "live object is not as the standing release says; fields, manager and time";
    DriftHealed "drift-healed" Notice "live object was not as the standing release says, and was applied again";
    DriftFighting "drift-fighting" Person "healed too often; healing paused for the object, other manager named";
}

impl Code {
    /// The code in CamelCase, as conditions and events say it.
    #[must_use]
    pub fn camel_case(self) -> String {
        let capital = |word: &str| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
        self.as_str().split('-').map(capital).collect()
    }
}

impl FromStr for Code {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let found = Code::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| InvalidName::new(text, "a reason code"))
    }
}

impl TryFrom<String> for Code {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.as_str().to_owned()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_as_itself() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse::<Code>(), Ok(*code));
        }
    }

    #[test]
    fn every_code_has_a_camel_case_that_conditions_take() {
        assert_eq!(Code::RefRewound.camel_case(), "RefRewound");
        for code in Code::ALL {
            assert_eq!(code.camel_case(), format!("{code:?}"));
        }
    }
}
