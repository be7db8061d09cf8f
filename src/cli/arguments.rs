//! The verbs and flags. Every one of the contract is known here; what is not built yet is refused by name.

mod read;
mod target;
mod write;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use read::{Audit, AuditBundle, AuditVerify, Diff, Dora, Explain, History, Lint, Plan, Show, Status, Verify};
pub use target::{At, InvalidTarget, Target};
pub use write::{
    Approve, Completions, Demo, Freeze, Hold, Init, Install, Keygen, Profile, Promote, PublishTo, Rollback, Run,
    Signing, Unfreeze, Unhold,
};

/// What a person asked for.
#[derive(Debug, Parser)]
#[command(
    name = "lockmaster",
    version,
    about = "Signed commits become releases, one environment at a time",
    long_about = "Lockmaster watches branches of a Git repository, accepts only commits that a trusted key signed, \
                  applies them to Kubernetes, keeps the cluster as Git says, and logs every deployment.",
    after_help = "Start here:\n  lockmaster init                 write lockmaster.yaml from your clone\n  lockmaster lint                 check lockmaster.yaml\n  lockmaster verify dev           would \
                  this commit be accepted?\n  lockmaster plan dev             what would change in the cluster?\n  lockmaster \
                  run --once           deploy what is admitted, once\n\nExit codes: 0 good, 1 a finding, 2 could not do \
                  or check.",
    disable_help_subcommand = true,
    propagate_version = false,
    max_term_width = 100
)]
pub struct Arguments {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Read the pipeline from this file; `-` is standard input
    #[arg(short, long, global = true, env = "LOCKMASTER_FILE", hide_env_values = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Choose the pipeline of this name
    #[arg(short, long, global = true, env = "LOCKMASTER_PIPELINE", hide_env_values = true, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Read the Pipeline resource from this namespace
    #[arg(short, long, global = true, env = "LOCKMASTER_NAMESPACE", hide_env_values = true, value_name = "NS")]
    pub namespace: Option<String>,
    /// Read commits from this path or address instead of `spec.repository.url`
    #[arg(long, global = true, env = "LOCKMASTER_REPOSITORY", hide_env_values = true, value_name = "PATH|URL")]
    pub repository: Option<String>,
    /// Fetch nothing; judge what the mirror holds
    #[arg(long, global = true)]
    pub offline: bool,
    /// Use this kubeconfig [default: KUBECONFIG, the pod's account, ~/.kube/config]
    #[arg(long, global = true, hide_env_values = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Use this context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Ask the agent at this address
    #[arg(long, global = true, env = "LOCKMASTER_AGENT", hide_env_values = true, value_name = "URL")]
    pub agent: Option<String>,
    /// Show this token to the agent
    #[arg(long, global = true, env = "LOCKMASTER_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Take the answer from here [default: the best that is reachable]
    #[arg(long, global = true, env = "LOCKMASTER_FROM", hide_env_values = true, value_name = "SOURCE")]
    pub from: Option<Source>,
    /// The namespace that holds the agent's journal
    #[arg(long, global = true, value_name = "NS", default_value = "lockmaster")]
    pub agent_namespace: String,
    /// Keep the mirror and the caches here; safe to delete
    #[arg(long, global = true, env = "LOCKMASTER_STATE_DIR", hide_env_values = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print the result in this form
    #[arg(
        short,
        long,
        global = true,
        env = "LOCKMASTER_OUTPUT",
        hide_env_values = true,
        value_name = "FORM",
        default_value = "table"
    )]
    pub output: Form,
    /// Colour the text
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print no progress and no hints
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log from this level on
    #[arg(
        long,
        global = true,
        env = "LOCKMASTER_LOG",
        hide_env_values = true,
        value_name = "LEVEL",
        conflicts_with = "verbose"
    )]
    pub log: Option<LogLevel>,
    /// Write log lines in this form
    #[arg(
        long,
        global = true,
        env = "LOCKMASTER_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORM",
        default_value = "text"
    )]
    pub log_format: LogFormat,
}

/// Where an answer is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// A running agent.
    Agent,
    /// The journal in the cluster.
    Cluster,
    /// The deployment log in Git.
    Log,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Text for people.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The least important log line that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what happened.
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show where each environment stands: release, health, drift, promotion
    Status(Status),
    /// Show why an environment is not there yet: every gate, and the command that helps
    Explain(Explain),
    /// Show what would change in the cluster, field by field, and whether it would be admitted
    Plan(Plan),
    /// Say whether a commit would be accepted: signatures, roles, rewind, render
    Verify(Verify),
    /// Compare a release with the live cluster, or with another release
    Diff(Diff),
    /// Check the pipeline file
    Lint(Lint),
    /// Sign and push an approval
    Approve(Approve),
    /// Run the agent: deploy what is admitted, heal, log
    Run(Run),
    /// Go back to the last proven release, or to a named one
    Rollback(Rollback),
    /// Make the promotion commit for a person
    Promote(Promote),
    /// Keep this content from deploying until someone says otherwise
    Hold(Hold),
    /// Let held content deploy again
    Unhold(Unhold),
    /// Stop promotions into environments until a time
    Freeze(Freeze),
    /// Let promotions go on
    Unfreeze(Unfreeze),
    /// List the deployment log, newest first
    History(History),
    /// Show one entry of the deployment log in full
    Show(Show),
    /// Prove or pack the deployment log
    #[command(subcommand)]
    Audit(Audit),
    /// Print deployment frequency, lead time, change failure rate and recovery time
    Dora(Dora),
    /// Write a first lockmaster.yaml and allowed_signers from a working clone
    Init(Init),
    /// Show the whole story in one process, offline
    Demo(Demo),
    /// Make a key for the agent
    Keygen(Keygen),
    /// Print the manifests that install the agent; touches no cluster
    Install(Install),
    /// Print a completion script for a shell
    Completions(Completions),
}

impl Verb {
    /// The verb as it is typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Status(_) => "status",
            Verb::Explain(_) => "explain",
            Verb::Plan(_) => "plan",
            Verb::Verify(_) => "verify",
            Verb::Diff(_) => "diff",
            Verb::Lint(_) => "lint",
            Verb::Approve(_) => "approve",
            Verb::Run(_) => "run",
            Verb::Rollback(_) => "rollback",
            Verb::Promote(_) => "promote",
            Verb::Hold(_) => "hold",
            Verb::Unhold(_) => "unhold",
            Verb::Freeze(_) => "freeze",
            Verb::Unfreeze(_) => "unfreeze",
            Verb::History(_) => "history",
            Verb::Show(_) => "show",
            Verb::Audit(Audit::Verify(_)) => "audit verify",
            Verb::Audit(Audit::Bundle(_)) => "audit bundle",
            Verb::Dora(_) => "dora",
            Verb::Init(_) => "init",
            Verb::Demo(_) => "demo",
            Verb::Keygen(_) => "keygen",
            Verb::Install(_) => "install",
            Verb::Completions(_) => "completions",
        }
    }
}

/// Reads a duration of a flag: at least a second, at most ten years.
fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    let expected = "expected a duration of at least 1s, such as `30m` (`M` is months)";
    let duration = humantime::parse_duration(text).map_err(|_| expected.to_owned())?;
    if (Duration::from_secs(1)..=LONGEST).contains(&duration) { Ok(duration) } else { Err(expected.to_owned()) }
}

/// Reads the agent's interval: short enough to matter, long enough not to hammer the repository.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if interval <= Duration::from_secs(24 * 60 * 60) { Ok(interval) } else { Err("expected at most 1day".to_owned()) }
}
