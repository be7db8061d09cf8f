//! What a person can do about a reason: one action, with the command where there is one.

use std::collections::BTreeMap;

use crate::name::{Code, CommitId, Reason, UnitName};
use crate::revision::OF_WHAT_IS_READ;

/// What is known about where a reason was found; each part makes hints more exact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The pipeline's name.
    pub pipeline: Option<String>,
    /// The environment's name.
    pub environment: Option<String>,
    /// The unit that it is about; `None`: the environment.
    pub unit: Option<UnitName>,
    /// The environment's branch, without `refs/heads/`.
    pub branch: Option<String>,
    /// The environment's accepted head.
    pub accepted: Option<CommitId>,
    /// The environment's namespace.
    pub namespace: Option<String>,
    /// How many accepted commits the branch lost.
    pub left: u64,
    /// The signers file.
    pub signers_file: Option<String>,
    /// The branch of the environment where content that is promoted into this one begins.
    pub source: Option<String>,
    /// The commits that were opened, and the newest entry that did.
    pub opened: BTreeMap<CommitId, u64>,
}

impl Place {
    pub(super) fn environment(&self) -> &str {
        self.environment.as_deref().unwrap_or("ENV")
    }

    /// What a command says of the unit.
    pub(super) fn of_unit(&self) -> String {
        self.unit.as_ref().map(of_unit).unwrap_or_default()
    }

    /// The environment, or the unit, as a command names it.
    pub(super) fn subject(&self) -> String {
        format!("{}{}", self.environment(), self.of_unit())
    }

    fn branch(&self) -> &str {
        self.branch.as_deref().unwrap_or("BRANCH")
    }

    fn accepted(&self) -> &str {
        self.accepted.as_ref().map_or("ACCEPTED", CommitId::short)
    }

    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("NAMESPACE")
    }

    fn source(&self) -> &str {
        self.source.as_deref().unwrap_or("SOURCE-BRANCH")
    }

    /// The entry that opened a commit, as verbs name it; the environment where none did.
    fn entry_of(&self, commit: Option<&CommitId>) -> String {
        let sequence = commit.and_then(|commit| self.opened.get(commit));
        sequence.map_or(self.subject(), |sequence| format!("{}/{sequence}{}", self.environment(), self.of_unit()))
    }

    fn signers_file(&self) -> &str {
        self.signers_file.as_deref().unwrap_or("allowed_signers")
    }
}

/// The flag by which a command is about one unit; nothing for `.`.
#[must_use]
pub fn of_unit(unit: &UnitName) -> String {
    if unit.is_whole() { String::new() } else { format!(" --unit {unit}") }
}

/// What to do about a reason; `None` where its message says all there is.
#[must_use]
pub fn hint(reason: &Reason, place: &Place) -> Option<String> {
    let code = reason.code;
    of_history(code, reason, place)
        .or_else(|| of_signatures(code, reason, place))
        .or_else(|| of_promotion(code, reason, place))
        .or_else(|| of_sources(code, reason))
        .or_else(|| of_cluster(code, reason, place))
        .or_else(|| of_state(code, reason, place))
        .or_else(|| of_gates(code, place))
        .or_else(|| of_config(code, reason))
}

fn of_history(code: Code, reason: &Reason, place: &Place) -> Option<String> {
    let (branch, accepted) = (place.branch(), place.accepted());
    Some(match code {
        Code::FetchFailed => "nothing is changed meanwhile; try what the agent does: git ls-remote URL".to_owned(),
        Code::AuthenticationFailed => {
            "check the files that `spec.repository.auth` names, and that they may read".to_owned()
        }
        Code::RefNotFound => format!("push the branch: git push origin HEAD:refs/heads/{branch}"),
        Code::IncompleteHistory => {
            "fetch all of it: git fetch --unshallow; or name a full clone with --repository".to_owned()
        }
        Code::RefRewound => format!(
            "put it back: git push origin {accepted}:{branch}; to really go back: lockmaster rollback {} --rewind",
            place.entry_of(reason.commit.as_ref())
        ),
        Code::RefDiverged => format!(
            "put it back: git push --force-with-lease origin {accepted}:{branch}; then bring what is new as a merge or a \
             rebase onto it; to go back to what ran before: lockmaster rollback {}",
            place.subject()
        ),
        Code::RefTwin => format!(
            "the same signed content under another id; put the accepted one back: git push --force origin {accepted}:{branch}"
        ),
        Code::AcceptedCommitMissing => {
            format!("push it from a clone that has it: git push origin {accepted}:refs/heads/{branch}")
        }
        Code::NotDescendantOfIntroduction => {
            "branch from an introduction, or add the right commit to `spec.trust.introduction`".to_owned()
        }
        Code::MalformedCommit => "make the commit again with git: git commit --amend --no-edit -S".to_owned(),
        Code::CorruptObject => "look for the damage: git fsck --full; then push from a clone that is whole".to_owned(),
        Code::MergeNotPlain if reason.message.contains(OF_WHAT_IS_READ) => {
            "let a writer change again what it chose, in a commit of their own: git commit -S".to_owned()
        }
        Code::MergeNotPlain => {
            "rebase the branch and merge it again, or merge it by hand and sign the merge: git merge -S".to_owned()
        }
        _ => return None,
    })
}

fn of_signatures(code: Code, reason: &Reason, place: &Place) -> Option<String> {
    let (accepted, signers) = (place.accepted(), place.signers_file());
    let resign = match &place.accepted {
        Some(_) => format!("git rebase --force-rebase --gpg-sign {accepted} && git push --force-with-lease"),
        None => "git rebase --force-rebase --gpg-sign --root && git push --force-with-lease".to_owned(),
    };
    let commit = reason.commit.as_ref().map_or("COMMIT", CommitId::short);
    let again = || {
        format!(
            "take it back and bring it again, signed: git revert -S --no-edit {commit} && git revert -S --no-edit HEAD && \
             git push"
        )
    };
    let signs = [Code::UnsignedCommit, Code::BadSignature, Code::AmbiguousSignature];
    Some(match code {
        // It may be below the accepted head, where nothing is replaced any more.
        code if signs.contains(&code) && reason.message.contains(OF_WHAT_IS_READ) => again(),
        Code::UnsignedCommit => {
            format!("never accepted, so it may be replaced: {resign}")
        }
        Code::BadSignature | Code::AmbiguousSignature => format!("never accepted, so it may be signed again: {resign}"),
        Code::UnknownSigner => {
            format!(
                "see the key: git log -1 --format='%GF %GS' {commit}; if it is to count, add its line to {signers}; if it is \
                 the forge's: {}",
                unsquashed(place)
            )
        }
        Code::UnauthorisedSigner => format!(
            "let a writer sign it, or add the principal to `writers` of environment `{}` or to one of its roles",
            place.environment()
        ),
        Code::KeyNotValid => {
            format!("sign with a key that is valid now, or change `valid-after`/`valid-before` in {signers}")
        }
        Code::KeyRevoked => format!("sign again with a key that is not revoked: {resign}"),
        _ => return None,
    })
}

fn of_promotion(code: Code, reason: &Reason, place: &Place) -> Option<String> {
    let (environment, subject) = (place.environment(), place.subject());
    let pipeline = place.pipeline.as_deref().unwrap_or("PIPELINE");
    let commit = reason.commit.as_ref().map_or("COMMIT", CommitId::short);
    Some(match code {
        Code::UpstreamNotProven => format!("it goes on by itself; see when: lockmaster explain {subject}"),
        Code::UpstreamFailed => "fix it upstream first: a newer release that is proven there may be merged".to_owned(),
        Code::UpstreamLogStale => {
            format!("merge what runs upstream now, or let it run there again: lockmaster promote {subject}")
        }
        Code::UnprovenContent => format!(
            "a commit of exactly what is proven: lockmaster promote {subject}; not to wait for the proof: lockmaster \
             approve {environment} --override upstream --reason TEXT"
        ),
        Code::PromotionIncomplete => {
            let [(out, back), (come, promote), (plain, git)] = ways_out(reason, place);
            format!("{out}: {back}; {come}: {promote}; {plain}: {git}")
        }
        Code::OwnPathUnsigned => format!(
            "let a writer of {environment} make the change in a commit of their own (git commit -S), or approve it: \
             lockmaster approve {environment}"
        ),
        Code::CarrierNeedsApproval if reason.message.starts_with("nobody with rights") => format!(
            "approve it: lockmaster approve {environment}; or merge it locally: git merge -S; or set `carriers: allow` on \
             `{environment}`"
        ),
        Code::ApprovalsMissing => format!(
            "approve it: lockmaster approve {environment}; or in plain git: git tag -s approve/{pipeline}/{environment}/NAME \
             {commit} && git push origin approve/{pipeline}/{environment}/NAME; see who may: lockmaster explain {subject}"
        ),
        Code::ArtifactNotProven => {
            format!("let upstream run the image first, or add the line above to environment `{environment}`")
        }
        Code::Soaking => format!("it goes on by itself; see when: lockmaster explain {subject}"),
        Code::WindowClosed => format!(
            "it goes on by itself; not to wait: lockmaster approve {environment} --override windows --reason TEXT"
        ),
        Code::Frozen => format!(
            "it goes on by itself; to end a stated freeze: lockmaster unfreeze {environment} --reason TEXT; to pass it: \
             lockmaster approve {environment} --override freezes --reason TEXT"
        ),
        _ => return None,
    })
}

/// The ways out of an incomplete promotion, in this order: what is left out shall stay out; it shall come; the same in plain
/// git (promotion.md, section 2).
pub(super) fn ways_out(reason: &Reason, place: &Place) -> [(&'static str, String); 3] {
    let (branch, source) = (place.branch(), place.source());
    // The gate says which commit took it out, if one did.
    let said = reason.message.rsplit_once(", as ").and_then(|(_, rest)| rest.strip_suffix(" left it"));
    let revert = said.unwrap_or("REVERT");
    [
        (
            // Every environment on the way has to prove the rest without it.
            "if it shall stay out, merge back to where it came from and promote the rest from there",
            format!("{}git merge -S --no-edit origin/{branch} && git push origin HEAD:{source}", on(source)),
        ),
        ("if it shall come", format!("lockmaster promote {}", place.subject())),
        (
            "the same in plain git, then merge again",
            format!("{}git revert -S --no-edit {revert} && git push origin HEAD:{branch}", on(branch)),
        ),
    ]
}

/// Puts a clone where a branch of the remote is now, whatever its own branch of that name says.
fn on(branch: &str) -> String {
    format!("git fetch origin && git switch --detach origin/{branch} && ")
}

/// A squash by a forge cannot be told from any other commit that nobody with rights signed.
fn unsquashed(place: &Place) -> String {
    format!("merge without squash, or set `carriers: allow` on `{}`", place.environment())
}

fn of_sources(code: Code, reason: &Reason) -> Option<String> {
    let text = match code {
        Code::PathNotFound => {
            "see what the commit holds: git ls-tree -d --name-only -r COMMIT; then correct `path` in the pipeline"
        }
        Code::UnsafePath if reason.message.contains(" cannot be a unit: ") => {
            "rename the directory, or move it away from the units"
        }
        Code::UnsafePath => {
            "copy the file into the environment's path: links must stay inside, submodules and LFS are not read"
        }
        Code::InvalidYaml => "kubectl reads it the same way: kubectl create --dry-run=client -f FILE",
        Code::InvalidObject => "compare with: kubectl explain KIND",
        Code::DuplicateObject => "keep one of the two",
        Code::ProtectedObject => "take it out: the agent's own parts are changed by whoever installs the agent",
        Code::RenderFailed => "see the same error: kustomize build PATH",
        Code::RemoteInputForbidden => "vendor it: commit the files, and name them by a relative path",
        Code::EmptyRender => "an empty release never prunes; to remove everything, delete the namespace by hand",
        Code::LimitExceeded => "split the input, or take out what is generated",
        Code::KindNotFound => "add the CustomResourceDefinition to the release, or install it in the cluster",
        Code::OutsideNamespace => {
            "add the namespace to `namespaces` or the kind to `clusterKinds` of the environment, or take the object out"
        }
        Code::UnpinnedImage => "name the image by digest: image@sha256:...",
        _ => return None,
    };
    Some(text.to_owned())
}

fn of_cluster(code: Code, reason: &Reason, place: &Place) -> Option<String> {
    let (environment, namespace, subject) = (place.environment(), place.namespace(), place.subject());
    Some(match code {
        Code::NamespaceNotFound => {
            format!("put a Namespace into the manifests, or create it: kubectl create namespace {namespace}")
        }
        Code::AdoptionNeeded if reason.message.ends_with("`adopt: never` takes nothing") => format!(
            "take it with `adopt: identical` or `adopt: always` in environment `{environment}`, or take it out of the \
             manifests"
        ),
        Code::AdoptionNeeded => format!(
            "see what would change: lockmaster plan {subject}; then take it with `adopt: always` in environment \
             `{environment}`, or make live and Git equal"
        ),
        Code::OwnedByOther => {
            "hand it over with the commands above, in this order; then it is taken as `adopt` says".to_owned()
        }
        Code::PruneNeedsApproval => format!(
            "see what would go: lockmaster plan {subject}; then delete it by hand, or raise `prune.share` in \
             environment `{environment}`"
        ),
        Code::RecreateNeedsApproval => {
            "change the name, or allow it on the object: metadata.annotations[lockmaster.dev/recreate]: \"true\""
                .to_owned()
        }
        Code::DryRunDenied | Code::ApplyFailed => {
            "see the server's answer: kubectl apply --server-side --dry-run=server -f FILE".to_owned()
        }
        Code::FieldConflict => {
            format!("see who owns the field: kubectl get OBJECT -n {namespace} -o yaml --show-managed-fields")
        }
        Code::DeletionBlocked => {
            format!("see what holds it: kubectl get OBJECT -n {namespace} -o jsonpath='{{.metadata.finalizers}}'")
        }
        Code::DriftFighting => {
            format!("find the other writer: kubectl get OBJECT -n {namespace} -o yaml --show-managed-fields")
        }
        Code::ClusterUnreachable => "check --kubeconfig, --context and KUBECONFIG: kubectl version".to_owned(),
        Code::Forbidden => "see what the account may do: kubectl auth can-i --list".to_owned(),
        Code::ObjectFailed => format!("look: kubectl get events -n {namespace} --sort-by=.lastTimestamp"),
        Code::Unsettled => {
            format!(
                "look: kubectl get all -n {namespace}; a slow start needs a longer `deadline` in environment `{environment}`"
            )
        }
        _ => return None,
    })
}

fn of_state(code: Code, reason: &Reason, place: &Place) -> Option<String> {
    Some(match code {
        Code::JournalUnwritable => {
            "the agent needs to write ConfigMaps in its namespace: kubectl auth can-i create configmaps -n lockmaster"
                .to_owned()
        }
        Code::StateLocked => {
            "stop the other agent, or give this one a directory of its own: --state-dir DIR".to_owned()
        }
        Code::AgentUnreachable => "see whether it runs, or look without it: --from cluster".to_owned(),
        Code::ConfirmationNeeded => "say that you mean it: --yes".to_owned(),
        Code::TimedOut => format!("it goes on by itself; look: lockmaster status {}", place.environment()),
        Code::HeldContent => {
            let entry = held_by(reason).unwrap_or(place.environment());
            let entry = format!("{entry}{}", place.of_unit());
            format!("fix forward with a new commit; or let it deploy again: lockmaster unhold {entry} --reason TEXT")
        }
        Code::Bug | Code::PlanCheckFailed => {
            "nothing more was written; please report the lines above with the command and `lockmaster --version`"
                .to_owned()
        }
        _ => return None,
    })
}

/// The entry that holds: the gate begins with it, behind the names of units where there are any.
pub(super) fn held_by(reason: &Reason) -> Option<&str> {
    let (entry, _) = reason.message.split_once(" holds ")?;
    Some(entry.rsplit(' ').next().unwrap_or(entry))
}

/// What helps at a gate depends on the candidate, which one verb knows.
fn of_gates(code: Code, place: &Place) -> Option<String> {
    let asked = matches!(
        code,
        Code::UpstreamNotProven
            | Code::UpstreamFailed
            | Code::UpstreamLogStale
            | Code::UnprovenContent
            | Code::PromotionIncomplete
            | Code::OwnPathUnsigned
            | Code::CarrierNeedsApproval
            | Code::ArtifactNotProven
            | Code::Soaking
            | Code::WindowClosed
            | Code::Frozen
            | Code::ApprovalsMissing
    );
    asked.then(|| format!("see every gate, and what helps: lockmaster explain {}", place.subject()))
}

fn of_config(code: Code, reason: &Reason) -> Option<String> {
    let text = match code {
        Code::InvalidValue if reason.message.ends_with("is not supported yet") => {
            "this version does not have it; take the key out only if you can do without what it guards"
        }
        Code::ConfigNotFound if reason.message.starts_with("no access to a cluster") => {
            "check --kubeconfig, --context and KUBECONFIG: kubectl version"
        }
        Code::ConfigNotFound => "name the file: lockmaster -f FILE, or set LOCKMASTER_FILE",
        Code::PipelineAmbiguous => "choose one: -f FILE -p NAME",
        Code::SignersInvalid => {
            "one line each: PRINCIPAL namespaces=\"git\" ssh-ed25519 AAAA...; see ssh-keygen(1), ALLOWED SIGNERS"
        }
        Code::EnvironmentConflict => "give each environment a namespace and a path of its own",
        Code::UnknownName => {
            "correct the name, or declare it: an environment, role or check in the pipeline file, a principal in the signers file"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verbs that are not built: a hint that names one would send people to an error.
    const NOT_BUILT: [&str; 2] = ["audit", "dora"];

    #[test]
    fn no_hint_names_a_verb_that_is_not_built() {
        for code in Code::ALL {
            let text = hint(&Reason::new(*code, "x"), &Place::default()).unwrap_or_default();
            for verb in NOT_BUILT {
                assert!(!text.contains(&format!("lockmaster {verb}")), "{code}: {text}");
            }
            assert!(
                text.is_ascii() && !text.contains('\n') && !text.ends_with('.') || text.ends_with("..."),
                "{code}: {text}"
            );
        }
    }

    #[test]
    fn a_missing_kubeconfig_is_not_taken_for_a_missing_pipeline() {
        let reason = crate::edge::cluster::ClusterError::Configuration("no such file".to_owned()).reason();
        let text = hint(&reason, &Place::default()).expect("because there is something to do");
        assert!(text.contains("KUBECONFIG") && !text.contains("LOCKMASTER_FILE"), "{text}");
    }

    #[test]
    fn a_hint_names_what_is_known_of_the_place() {
        let place = Place {
            branch: Some("env/prod".to_owned()),
            accepted: Some("9f2c1e4a".repeat(5).parse().expect("because it is an id")),
            ..Place::default()
        };
        let text = hint(&Reason::new(Code::UnsignedCommit, "x"), &place);
        let expected = "never accepted, so it may be replaced: git rebase --force-rebase --gpg-sign 9f2c1e4 && git push --force-with-lease";
        assert_eq!(text.as_deref(), Some(expected));
    }
}
