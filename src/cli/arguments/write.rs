//! The verbs that change something, or print what changes something.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Target, duration, interval};
use crate::name::{EnvironmentName, Principal, UnitName};

/// Flags of the verbs that sign a statement.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signing options")]
pub struct Signing {
    /// Sign with this key [default: what `git tag -s` would use]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Print the equal git commands and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `run`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster run --once           deploy what is admitted now, and stop\n  lockmaster run \
                  --environment dev --interval 30s\n\nExit codes: 0 clean stop, with --once as `status`; 2 could not run."
)]
pub struct Run {
    /// Walk every environment, upstream first, until nothing more is admitted; then stop
    #[arg(long)]
    pub once: bool,
    /// Run a Kubernetes API in this process instead of using a cluster
    #[arg(long)]
    pub embedded: bool,
    /// With --embedded: write its kubeconfig here [default: `<state-dir>/embedded.kubeconfig`]
    #[arg(long, value_name = "FILE", requires = "embedded")]
    pub kubeconfig_out: Option<PathBuf>,
    /// Write nothing, neither to the cluster nor to Git
    #[arg(long)]
    pub read_only: bool,
    /// Serve only these environments
    #[arg(long, value_name = "ENV", num_args = 1..)]
    pub environment: Vec<EnvironmentName>,
    /// Look at the repository this often
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = interval)]
    pub interval: Duration,
    /// Serve the API here, behind a login
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8643")]
    pub listen: SocketAddr,
    /// Serve /healthz, /readyz and /metrics here, without a login
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9643")]
    pub metrics_listen: SocketAddr,
    /// Sign the deployment log with this key [default: Secret `lockmaster-agent`, made on the first run]
    #[arg(long, value_name = "FILE")]
    pub agent_key: Option<PathBuf>,
    /// Push reverts and automatic promotions, signed with this key
    #[arg(long, value_name = "FILE")]
    pub writer_key: Option<PathBuf>,
    /// Publish the deployment log here
    #[arg(long, value_name = "WHERE")]
    pub publish: Option<PublishTo>,
    /// Check webhooks with the secret in this file
    #[arg(long, value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
}

/// Where the deployment log is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PublishTo {
    /// A branch of the repository.
    Git,
    /// Nowhere.
    None,
}

/// `approve`
#[derive(Debug, Args)]
#[command(
    after_help = "It makes a signed tag with your own git, checks that it would count, and pushes it.\n\nExamples:\n  lockmaster \
                  approve prod\n  lockmaster approve prod --override windows --reason \"hotfix\"\n  lockmaster approve prod \
                  --dry-run    the git commands that make the same tag\n\nExit codes: 0 pushed, 1 it would not count and was \
                  not pushed, 2 could not sign or push."
)]
pub struct Approve {
    /// The environment, or a commit for it
    #[arg(value_name = "ENV[@REV]")]
    pub target: Target,
    /// Also override these gates
    #[arg(long = "override", value_name = "GATE", value_delimiter = ',', requires = "reason")]
    pub overrides: Vec<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// The approval counts this long
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration)]
    pub expires: Duration,
    /// The last part of the tag's name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `rollback`
#[derive(Debug, Args)]
#[command(
    after_help = "It signs a statement with your own git, which the agent carries out from stored bytes: no render, no window, no \
                  approval. Where Git does not answer, the statement goes into the cluster. Then it pushes a revert commit, so \
                  that Git agrees: to the branch, or where that moved or is protected to revert/ENV/SEQ. What the release that \
                  is undone brought is held: see unhold.\n\nExamples:\n  lockmaster rollback prod --reason \"p99 after \
                  retry\"\n  lockmaster rollback prod/38 --plan    what would change\n  lockmaster rollback prod/38 --rewind  \
                  after a force-push back to it\n  lockmaster rollback prod --unit web    one unit; the others stay\n\nExit codes: 0 stated, with --wait healthy; 1 no release to go back to, or \
                  not healthy; 2 could not sign or state it."
)]
pub struct Rollback {
    /// The environment, or the entry to go back to
    #[arg(value_name = "ENV[/SEQ]")]
    pub target: Target,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only show what would change
    #[arg(long)]
    pub plan: bool,
    /// Of this unit [default: the only one of what would be undone]
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Only the statement, no revert commit
    #[arg(long)]
    pub no_revert: bool,
    /// Also take the branch's rewound tip as accepted
    #[arg(long)]
    pub rewind: bool,
    /// Return once it is healthy
    #[arg(long)]
    pub wait: bool,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `promote`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  lockmaster promote prod\n  lockmaster promote prod --unit web")]
pub struct Promote {
    /// The environment, or with the upstream entry to take: `prod@staging/88`
    #[arg(value_name = "ENV[@P/SEQ]")]
    pub target: Target,
    /// Of this unit [default: the only one with something to promote]
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Return once it is healthy
    #[arg(long)]
    pub wait: bool,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `hold`
#[derive(Debug, Args)]
#[command(
    after_help = "What the commit, or the release of the entry, brought and its predecessor lacked waits from now on, until \
                  somebody says unhold. Nothing that stands is stopped.\n\nExamples:\n  lockmaster hold prod --reason \"leaks \
                  memory\"\n  lockmaster hold prod/40 --reason \"leaks memory\"\n  lockmaster hold prod --unit web --reason \
                  \"leaks memory\"\n\nExit codes: 0 stated; 1 it would not count; 2 \
                  could not sign or state it."
)]
pub struct Hold {
    /// What to hold
    #[arg(value_name = "ENV[@REV|/SEQ]")]
    pub target: Target,
    /// Of this unit [default: the only one that it is about]
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `unhold`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  lockmaster unhold prod --reason \"fixed in 1.2\"       the only hold\n  lockmaster unhold prod/41 \
                  --reason \"fixed in 1.2\"\n\nExit codes: 0 stated; 1 it would not count; 2 no such hold, or could not sign or \
                  state it."
)]
pub struct Unhold {
    /// The environment, or the entry in which the hold stands
    #[arg(value_name = "ENV[/SEQ]")]
    pub target: Target,
    /// Of this unit [default: the only one that is held]
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<UnitName>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `freeze`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockmaster freeze prod --until 2d --reason \"quarter end\"")]
pub struct Freeze {
    /// The environments
    #[arg(value_name = "ENV", required_unless_present = "all", conflicts_with = "all")]
    pub environments: Vec<EnvironmentName>,
    /// Every environment
    #[arg(long)]
    pub all: bool,
    /// Until then
    #[arg(long, value_name = "TIME|DURATION")]
    pub until: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `unfreeze`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lockmaster unfreeze prod --reason \"quarter is over\"")]
pub struct Unfreeze {
    /// The environments
    #[arg(value_name = "ENV", required_unless_present = "all", conflicts_with = "all")]
    pub environments: Vec<EnvironmentName>,
    /// Every environment
    #[arg(long)]
    pub all: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// How to sign.
    #[command(flatten)]
    pub signing: Signing,
}

/// `init`
#[derive(Debug, Args)]
#[command(
    after_help = "It reads the signing key that git uses, finds the paths of environments and their namespaces, and writes \
                  lockmaster.yaml and allowed_signers: at the top of the clone that you are in, or here if --repository \
                  names another. Nothing is overwritten. Neither file belongs into Git: trust is not read from what it \
                  judges.\n\nExamples:\n  lockmaster init\n  lockmaster init --environment dev=overlays/dev prod=overlays/prod\n  \
                  mkdir ops && cd ops && lockmaster init --repository ../shop\n\nExit codes: 0 written; 2 nothing was \
                  written."
)]
pub struct Init {
    /// An environment and its path from the top of the clone [default: those that are found]
    #[arg(long, value_name = "NAME=PATH", num_args = 1..)]
    pub environment: Vec<String>,
}

/// `demo`
#[derive(Debug, Args)]
#[command(
    after_help = "It needs no cluster, no git and no network, asks for no configuration, and leaves nothing behind. A line is \
                  printed only after what it says was seen.\n\nExamples:\n  lockmaster demo\n  lockmaster demo --step --serve\n  \
                  lockmaster demo --keep shop-demo && cd shop-demo && lockmaster run --embedded\n\nExit codes: 0 all happened; \
                  1 a step did not; 2 could not start or go on."
)]
pub struct Demo {
    /// Keep repository, keys, lockmaster.yaml and allowed_signers in this directory, which must be new or empty
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Wait for Enter before each step
    #[arg(long)]
    pub step: bool,
    /// Leave the agent and the Kubernetes API up until Ctrl-C
    #[arg(long)]
    pub serve: bool,
}

/// `keygen`
#[derive(Debug, Args)]
pub struct Keygen {
    /// The key to write; never overwritten
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// The principal of its `allowed_signers` line
    #[arg(long, value_name = "NAME")]
    pub principal: Option<Principal>,
    /// Print a Secret manifest of this name instead
    #[arg(long, value_name = "NAME")]
    pub secret: Option<String>,
}

/// `install`
#[derive(Debug, Args)]
pub struct Install {
    /// The agent's image
    #[arg(long, value_name = "REF@DIGEST")]
    pub image: Option<String>,
    /// How much of the cluster it may touch
    #[arg(long, value_name = "PROFILE", default_value = "namespaced")]
    pub profile: Profile,
    /// Only the custom resource definitions
    #[arg(long)]
    pub crds_only: bool,
}

/// How much of the cluster the agent may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The namespaces of its environments.
    Namespaced,
    /// All of it.
    Cluster,
}

/// `completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lockmaster completions bash > ~/.local/share/bash-completion/completions/lockmaster"
)]
pub struct Completions {
    /// The shell
    pub shell: clap_complete::Shell,
}
