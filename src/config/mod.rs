//! What did the operator ask for?
//!
//! In: the text of a Pipeline file. Out: [`Pipeline`]s in which every default is filled in and every name has its type,
//! or every [`Finding`] against the text, each with its place. Nothing here reads a file or knows the time, and no key
//! is ever ignored: one that is unknown, or known and not built yet, is a finding.

mod calendar;
mod check;
mod environment;
mod expand;
mod field;
mod nearest;
mod node;
mod pipeline;
mod probe;
mod promotion;
mod units;
mod url;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::gate;
use crate::gate::calendar::{Freeze, Window};
use crate::health::check::Check;
use crate::name::{
    CheckName, CommitId, Digest, EnvironmentName, GroupKind, PipelineName, Principal, Reason, RefName, RepoPath,
    RoleName, UnitName,
};
use crate::plan::{Adopt, OnDrift};
use crate::render::Sources;
use crate::revision::Carriers;

pub use check::check_signers;
pub use expand::expand;
pub use pipeline::read;
pub use units::{FoundUnits, Units};
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
    /// The rules that environments may name to judge a release after it settled.
    pub checks: Vec<Check>,
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

    /// The checks that judge a release of an environment, in the order in which it names them.
    #[must_use]
    pub fn checks_of(&self, environment: &Environment) -> Vec<&Check> {
        let named = |name: &CheckName| self.checks.iter().find(|check| check.name == *name);
        environment.checks.iter().filter_map(named).collect()
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

    /// The environments that lead to this one, nearest first.
    #[must_use]
    pub fn upstreams_of(&self, environment: &Environment) -> Vec<&Environment> {
        let mut found = Vec::new();
        let mut next = environment.promotion.from.as_ref();
        while let Some(upstream) = next.and_then(|name| self.environment(name)) {
            found.push(upstream);
            next = upstream.promotion.from.as_ref();
        }
        found
    }

    /// The rules to enter an environment.
    #[must_use]
    pub fn rules(&self, environment: &Environment) -> gate::Rules {
        let promotion = &environment.promotion;
        let from = promotion.from.as_ref().and_then(|name| self.environment(name)).map(|upstream| gate::From {
            environment: upstream.name.clone(),
            branch: upstream.branch.short().to_owned(),
            layout: self.layout(upstream),
            soak: upstream.promotion.soak,
            max_age: promotion.max_age,
        });
        let writers = self.writers_of(environment);
        let approvals = promotion.approvals.as_ref().map(|rule| {
            let members = |role: &RoleName| self.trust.roles.get(role).into_iter().flatten().cloned().collect();
            let who = rule.role.as_ref().map_or_else(|| writers.clone(), |role| Some(members(role)));
            let ApprovalRule { count, role, exclude_author, expires } = rule.clone();
            gate::Approvals { count, role, who, exclude_author, expires }
        });
        gate::Rules {
            pipeline: self.name.clone(),
            environment: environment.name.clone(),
            branch: environment.branch.short().to_owned(),
            from,
            layout: self.layout(environment),
            own_images: promotion.own_images.clone(),
            writers,
            carriers: environment.carriers,
            approvals,
            windows: environment.windows.clone(),
            freezes: environment.freezes.clone(),
            give_up: promotion.give_up,
            finish: promotion.queue == Queue::Finish,
            rollback_by: promotion.rollback_by,
        }
    }

    /// Where an environment reads, and what of it is its own.
    fn layout(&self, environment: &Environment) -> gate::Layout {
        let others = self.environments.iter().filter(|other| other.name != environment.name);
        // What is own to an environment is so for each of its units, also where one reads what lies in another.
        let whole = self.environment(&environment.name).unwrap_or(environment);
        gate::Layout {
            paths: whole.sources.paths.clone(),
            own: environment.promotion.own.clone(),
            others: others.flat_map(|other| other.sources.paths.clone()).collect(),
        }
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
    /// Which directories below its one path have releases of their own; `None`: all it renders is one unit.
    pub units: Option<Units>,
    /// The unit that it is narrowed to ([`Environment::of_unit`]); `.` for all of it.
    pub unit: UnitName,
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
    /// When a release may enter; empty: at any time.
    pub windows: Vec<Window>,
    /// When none may, whatever the windows say.
    pub freezes: Vec<Freeze>,
    /// How long a release may take to settle.
    pub deadline: Duration,
    /// Whether existing objects may be taken.
    pub adopt: Adopt,
    /// What is done about drift.
    pub on_drift: OnDrift,
    /// The share of the set, 0 to 1, that may be pruned without an approval.
    pub prune_share: f64,
    /// How a release enters, and becomes proven.
    pub promotion: Promotion,
    /// The checks that a release must pass after it settled; each is one of [`Pipeline::checks`].
    pub checks: Vec<CheckName>,
    /// The agent that serves it.
    pub agent: String,
}

/// How a release enters an environment, and how it becomes proven there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The environment that proves its content; `None`: signatures do.
    pub from: Option<EnvironmentName>,
    /// What belongs to this environment alone; empty: what no other environment names or contains.
    pub own: Vec<RepoPath>,
    /// Images, without tag and digest, that may run here though upstream never ran them.
    pub own_images: Vec<String>,
    /// Whose approvals are needed.
    pub approvals: Option<ApprovalRule>,
    /// How long a candidate may wait before it is refused.
    pub give_up: Duration,
    /// How long ago a release may have stood healthy upstream.
    pub max_age: Duration,
    /// How long a release must be healthy before it is proven.
    pub soak: Duration,
    /// Whether a candidate waits for the release before it.
    pub queue: Queue,
    /// Who moves the branch.
    pub promote: Promote,
    /// What is done about a release that fails.
    pub on_failure: OnFailure,
    /// Whose commits go back.
    pub rollback_by: gate::RollbackBy,
}

/// How many must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRule {
    /// How many people.
    pub count: usize,
    /// Of which role; `None`: of the writers.
    pub role: Option<RoleName>,
    /// Whether those who wrote what is newly shipped do not count.
    pub exclude_author: bool,
    /// How long an approval counts after it was first seen.
    pub expires: Duration,
}

/// Whether a candidate waits for the release before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queue {
    /// Until that is proven or failed.
    Finish,
    /// It takes its place.
    Newest,
}

/// Who moves an environment's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promote {
    /// People do.
    Merge,
    /// The agent does, when upstream is proven.
    Auto,
}

/// What is done about a release that fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It stays, is healed, and goes no further.
    #[default]
    Stop,
    /// The last proven release before it takes its place, once.
    Rollback,
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
