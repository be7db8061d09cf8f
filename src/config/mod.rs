//! What did the operator ask for?
//!
//! In: the text of a Pipeline file. Out: [`Pipeline`]s in which every default is filled in and every name has its type,
//! or every [`Finding`] against the text, each with its place. Nothing here reads a file or knows the time, and no key
//! is ever ignored: one that is unknown, or known and not built yet, is a finding.

mod check;
mod environment;
mod expand;
mod field;
mod nearest;
mod node;
mod pipeline;
mod url;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::name::{CommitId, Digest, EnvironmentName, GroupKind, PipelineName, Principal, Reason, RefName, RoleName};
use crate::plan::{Adopt, OnDrift};
use crate::render::Sources;
use crate::revision::Carriers;

pub use check::check_signers;
pub use expand::expand;
pub use pipeline::read;
pub use url::{InvalidUrl, RemoteUrl, Transport};

/// The `apiVersion` of a Pipeline.
pub const API_VERSION: &str = "lockmaster.dev/v1alpha1";

/// The largest Pipeline file in bytes: etcd refuses objects above 1.5 MiB, so a larger file could never be a resource.
pub const FILE_LIMIT: usize = 1 << 20;

/// One repository, its trust, and its environments in the order they were written.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Its name.
    pub name: PipelineName,
    /// Where commits come from.
    pub repository: Repository,
    /// Whose signatures count.
    pub trust: Trust,
    /// How many proven releases are kept to go back to.
    pub keep: u32,
    /// Where the deployment log goes.
    pub publish: Publish,
    /// The environments; never empty.
    pub environments: Vec<Environment>,
    text: String,
    mentions: Vec<Mention>,
    warnings: Vec<Finding>,
}

impl Pipeline {
    /// The digest of its text: the whole file, or its own document where a file holds several.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// Its text: the whole file, or its own document where a file holds several. An entry of the deployment log keeps it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The environment of this name.
    #[must_use]
    pub fn environment(&self, name: &EnvironmentName) -> Option<&Environment> {
        self.environments.iter().find(|environment| environment.name == *name)
    }

    /// The principals that may write into an environment; `None`: every signer.
    #[must_use]
    pub fn writers_of(&self, environment: &Environment) -> Option<BTreeSet<Principal>> {
        let members = |writer: &Writer| match writer {
            Writer::Role(role) => self.trust.roles.get(role).cloned().unwrap_or_default(),
            Writer::Principal(principal) => vec![principal.clone()],
        };
        environment.writers.as_ref().map(|writers| writers.iter().flat_map(members).collect())
    }

    /// What is allowed and looks like a mistake.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

/// Where commits come from, and how to get at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The address; a path is relative to the file that names it.
    pub url: RemoteUrl,
    /// With which credentials.
    pub auth: Option<Auth>,
    /// The certificates to trust for `https://`, besides none: relative to the file that names it.
    pub ca_file: Option<PathBuf>,
}

/// Credentials, by the files that hold them: relative to the file that names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A bearer token, for `https://`.
    Token { file: PathBuf },
    /// A user and a password, for `https://`.
    Password { username: String, file: PathBuf },
    /// A key, and the hosts it may be used with, for `ssh://`.
    SshKey { key: PathBuf, known_hosts: PathBuf },
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The `allowed_signers` file, relative to the file that names it.
    pub signers_file: PathBuf,
    /// The principals of each role.
    pub roles: BTreeMap<RoleName, Vec<Principal>>,
    /// History up to and including these commits is taken as it is; empty: everything is judged.
    pub introduction: Vec<CommitId>,
}

/// Where the deployment log goes besides the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publish {
    /// Nowhere: the journal in the cluster is all there is.
    #[default]
    None,
}

/// A named target: where its commits are read, what they may touch, and the rules to enter it.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// The branch it follows.
    pub branch: RefName,
    /// What of a commit it renders.
    pub sources: Sources,
    /// The namespaces it may write into; never empty.
    pub namespaces: Vec<String>,
    /// The namespace of an object that names none; `None` where `namespaces` lists several.
    pub default_namespace: Option<String>,
    /// Cluster-scoped kinds it may write.
    pub cluster_kinds: Vec<GroupKind>,
    /// Who may write, as the file says it; `None`: every signer. See [`Pipeline::writers_of`].
    pub writers: Option<Vec<Writer>>,
    /// Which commits may enter that no writer signed.
    pub carriers: Carriers,
    /// How long a release may take to settle.
    pub deadline: Duration,
    /// Whether existing objects may be taken.
    pub adopt: Adopt,
    /// What is done about drift.
    pub on_drift: OnDrift,
    /// The share of the set, 0 to 1, that may be pruned without an approval.
    pub prune_share: f64,
    /// The agent that serves it.
    pub agent: String,
}

/// Who may write into an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writer {
    /// Every principal of a declared role.
    Role(RoleName),
    /// One principal.
    Principal(Principal),
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The pipeline cannot be used.
    Error,
    /// The pipeline works; it may not say what was meant.
    Warning,
}

/// Something wrong with a Pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What, and where: file, line and column are set.
    pub reason: Reason,
    /// How bad.
    pub severity: Severity,
    /// The bytes of the text to show; never more than one line.
    pub span: Range<usize>,
    /// What may have been meant in their place.
    pub suggestion: Option<String>,
}

/// A principal that the file names, for the comparison with the signers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mention {
    principal: Principal,
    /// Who names it, as a message says it.
    by: String,
    /// A template with the place and severity filled in.
    place: Finding,
}

#[cfg(test)]
mod tests;
