//! The verbs that work on a repository and a cluster: opens what each needs, runs it, prints its answer.

use std::future::Future;

use super::arguments::{self, Global, LogFormat, LogLevel, Source};
use super::diagnostic::{Failure, Verdict};
use super::output::Console;
use super::run::Ended;
use super::site::Need;
use super::{diff, pipeline, plan, site, status, verify};
use crate::edge::git;

/// The agent.
///
/// # Errors
/// It cannot start; with `--once`, an environment is stuck.
pub(super) fn run(arguments: &arguments::Run, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    super::run::check(arguments)?;
    let ended = on_runtime(global, LogLevel::Info, async {
        let loaded = pipeline::load(global)?;
        let site = site::open(global, loaded, Need::Writes, arguments.agent_key.as_deref()).await?;
        Ok(super::run::run(site, global, arguments).await?)
    })?;
    match ended {
        Ended::Stopped => Ok(Verdict::Good),
        Ended::Once(answer) => answer.print(console),
    }
}

/// What would change.
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn plan(arguments: &arguments::Plan, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = site::open(global, pipeline::load(global)?, Need::Reads, None).await?;
        Ok(plan::plan(&site, arguments, console.hints()).await?)
    })?;
    answer.print(console)
}

/// Would it be accepted?
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn verify(arguments: &arguments::Verify, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = site::open(global, pipeline::load(global)?, Need::Optional, None).await?;
        Ok(verify::verify(&site, arguments, console.hints()).await?)
    })?;
    answer.print(console)
}

/// Where each environment stands.
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn status(arguments: &arguments::Status, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = site::open(global, pipeline::load(global)?, Need::Reads, None).await?;
        Ok(status::status(&site, arguments, console.hints()).await?)
    })?;
    answer.print(console)
}

/// The standing release against the live cluster.
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn diff(arguments: &arguments::Diff, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = site::open(global, pipeline::load(global)?, Need::Reads, None).await?;
        Ok(diff::diff(&site, arguments).await?)
    })?;
    answer.print(console)
}

/// Prepares the process, and runs the work of a verb to its end.
fn on_runtime<T>(
    global: &Global,
    level: LogLevel,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    refuse_unbuilt(global)?;
    git::set_timeouts();
    // Another provider that some crate brought in would make every TLS client ambiguous.
    let _ = rustls::crypto::ring::default_provider().install_default();
    log_to_stderr(global, level);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(crate::name::Code::Bug, error.to_string()))?;
    runtime.block_on(work)
}

/// Flags that every verb knows and that nothing serves yet: an answer from elsewhere would not be what was asked for.
fn refuse_unbuilt(global: &Global) -> Result<(), Failure> {
    let asked = [
        (global.agent.is_some(), "--agent"),
        (global.token_file.is_some(), "--token-file"),
        (global.from == Some(Source::Agent), "--from agent"),
        (global.from == Some(Source::Log), "--from log"),
        (global.offline, "--offline"),
    ];
    asked.iter().find(|(asked, _)| *asked).map_or(Ok(()), |(_, flag)| Err(Failure::not_yet(flag)))
}

fn log_to_stderr(global: &Global, default: LogLevel) {
    let level = global.log.unwrap_or(match global.verbose {
        0 => default,
        1 => LogLevel::Debug,
        _ => LogLevel::Trace,
    });
    let word = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries are kept from telling what passes through them: bodies of requests may hold secrets.
    let filter = tracing_subscriber::EnvFilter::new(format!("warn,kube=off,hyper=off,lockmaster={word}"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Only the first one counts, and a process has one.
    let _ = match global.log_format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
