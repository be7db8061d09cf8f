//! The verbs that only look.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Target, duration};
use crate::name::{EnvironmentName, UnitName};

/// `status`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster status\n  lockmaster status prod --wait --timeout 10m\n\nExit codes: 0 all \
                  well (waiting is well), 1 any held, refused, failed, blocked or drifted, 2 could not look."
)]
pub struct Status {
    /// Only these environments
    #[arg(value_name = "ENV")]
    pub environments: Vec<EnvironmentName>,
    /// Keep watching, and print each change
    #[arg(short, long)]
    pub watch: bool,
    /// Return once every environment stands still
    #[arg(long)]
    pub wait: bool,
    /// With --wait: until this commit stands
    #[arg(long, value_name = "REV", requires = "wait")]
    pub commit: Option<String>,
    /// With --wait: give up after this long
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = duration)]
    pub timeout: Duration,
}

/// `explain`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster explain prod\n  lockmaster explain prod --unit web\n  lockmaster explain --code ref-rewound\n\nExit codes: 0 current \
                  or admitted, 1 waiting, held or refused, 2 could not look."
)]
pub struct Explain {
    /// The environment, or a commit for it
    #[arg(value_name = "ENV[@REV]", required_unless_present = "code")]
    pub target: Option<Target>,
    /// Explain this unit of an environment with `units` [default: the only one that is not as its branch]
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Keep watching
    #[arg(short, long)]
    pub watch: bool,
    /// Explain a reason code instead
    #[arg(long, value_name = "CODE", conflicts_with = "target")]
    pub code: Option<String>,
}

/// `plan`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster plan                 every environment, its branch as it is now\n  lockmaster plan \
                  prod@HEAD       the checked-out commit\n  lockmaster plan prod@.          the working tree, never judged \
                  as signed\n\nExit codes: 0 no change, 1 changes or refused, 2 could not plan."
)]
pub struct Plan {
    /// The environments, or commits for them
    #[arg(value_name = "ENV[@REV]")]
    pub targets: Vec<Target>,
    /// Only this unit of an environment with `units`
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Only this object
    #[arg(long, value_name = "KIND/NAME")]
    pub object: Option<String>,
    /// Leave out the fields
    #[arg(long)]
    pub no_fields: bool,
}

/// `verify`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster verify prod\n  lockmaster verify prod@HEAD     before you push\n\nExit codes: 0 \
                  accepted, 1 refused, 2 could not check."
)]
pub struct Verify {
    /// The environments, or commits for them
    #[arg(value_name = "ENV[@REV]", required = true)]
    pub targets: Vec<Target>,
    /// Only this unit of an environment with `units`
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Check nothing but signatures and history, and say what was left out
    #[arg(long)]
    pub signatures_only: bool,
}

/// `diff`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster diff prod            the applied release against the live cluster\n  lockmaster \
                  diff prod/42 prod/44\n  lockmaster diff staging prod@HEAD --images\n\nOf two environments with one \
                  namespace each, an object of A is compared with that of the same kind and name in the namespace of \
                  B. A commit is rendered, never judged as signed.\n\nExit codes: 0 equal, 1 different, 2 could not \
                  compare."
)]
pub struct Diff {
    /// A release
    #[arg(value_name = "A")]
    pub a: Target,
    /// Another release; without it the live cluster
    #[arg(value_name = "B")]
    pub b: Option<Target>,
    /// The unit, of environments with `units` [default: the only one, or that of the entries]
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Only this object
    #[arg(long, value_name = "KIND/NAME")]
    pub object: Option<String>,
    /// Leave out the fields
    #[arg(long)]
    pub no_fields: bool,
    /// Compare images only
    #[arg(long)]
    pub images: bool,
}

/// `lint`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster lint\n  lockmaster lint -f deploy/lockmaster.yaml --deny-warnings\n  git show \
                  HEAD:lockmaster.yaml | lockmaster lint -f -\n  lockmaster lint --expand        what every default \
                  means\n\nExit codes: 0 clean, 1 findings, 2 could not read the file or its signers."
)]
pub struct Lint {
    /// Print the full form with every default instead of the findings
    #[arg(long)]
    pub expand: bool,
    /// Also reach the repository and the cluster
    #[arg(long)]
    pub probe: bool,
    /// Let a warning fail
    #[arg(long)]
    pub deny_warnings: bool,
}

/// `history`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster history prod --limit 5\n  lockmaster history prod --unit web\n  lockmaster history --action refuse --since 30d\n\nExit \
                  codes: 0 read, 1 a log is violated, 2 could not read."
)]
pub struct History {
    /// Only this environment
    #[arg(value_name = "ENV")]
    pub environment: Option<EnvironmentName>,
    /// Only entries about this unit, and those about the whole environment
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// At most this many rows
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub limit: u32,
    /// Only what happened in this time
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub since: Option<Duration>,
    /// Only entries of this action
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,
    /// Only entries about this commit
    #[arg(long, value_name = "REV")]
    pub commit: Option<String>,
    /// Every entry on a row of its own
    #[arg(long)]
    pub raw: bool,
}

/// `show`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockmaster show prod/42 -o json     the exact bytes of the entry")]
pub struct Show {
    /// The entry
    #[arg(value_name = "ENV/SEQ")]
    pub target: Target,
    /// Render again, and compare with the release before it
    #[arg(long)]
    pub diff: bool,
}

/// `audit`
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Prove the logs from Git objects alone
    Verify(AuditVerify),
    /// Pack logs, deployed commits and statements into a plain `git bundle`
    Bundle(AuditBundle),
}

/// `audit verify`
#[derive(Debug, Args)]
pub struct AuditVerify {
    /// Only these environments
    #[arg(value_name = "ENV")]
    pub environments: Vec<EnvironmentName>,
    /// Read a bundle instead of the repository
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// The auditor's own trust [default: the pipeline's]
    #[arg(long, value_name = "FILE")]
    pub signers: Option<PathBuf>,
    /// The hash of the first entry
    #[arg(long, value_name = "HASH")]
    pub root: Option<String>,
}

/// `audit bundle`
#[derive(Debug, Args)]
pub struct AuditBundle {
    /// The bundle to write
    #[arg(value_name = "FILE")]
    pub path: PathBuf,
    /// Only this environment
    #[arg(long, value_name = "ENV")]
    pub environment: Vec<EnvironmentName>,
    /// Only from this sequence on
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
}

/// `dora`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockmaster dora prod --since 90d")]
pub struct Dora {
    /// The environment [default: the last one]
    #[arg(value_name = "ENV")]
    pub environment: Option<EnvironmentName>,
    /// Over this time
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = duration)]
    pub since: Duration,
}
