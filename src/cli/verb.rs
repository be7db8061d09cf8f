//! The verbs that work on a repository and a cluster: opens what each needs, runs it, prints its answer.

use std::future::Future;

use super::arguments::{self, Global, LogLevel, Source};
use super::diagnostic::{Failure, Verdict};
use super::output::Console;
use super::run::Ended;
use super::site::Need;
use super::{
    diff, explain, history, hold, log, pipeline, plan, promote, rollback, show, site, statement, status, verify,
};
use crate::agent::site::Site;
use crate::edge::git;

/// The agent.
///
/// # Errors
/// It cannot start; with `--once`, an environment is stuck.
pub(super) fn run(arguments: &arguments::Run, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    super::run::check(arguments)?;
    let ended = on_runtime(global, LogLevel::Info, super::run::run(global, arguments))?;
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
        let site = open(global, Need::Reads).await?;
        plan::plan(&site, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Would it be accepted?
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn verify(arguments: &arguments::Verify, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = open(global, Need::Optional).await?;
        verify::verify(&site, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Why it is not there yet, or what a reason code means.
///
/// # Errors
/// Something cannot be reached or read; the code is none.
pub(super) fn explain(arguments: &arguments::Explain, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let Some(target) = &arguments.target else {
        return explain::code(arguments.code.as_deref().unwrap_or_default(), console);
    };
    if arguments.watch {
        return Err(Failure::not_yet("lockmaster explain --watch"));
    }
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = open(global, Need::Reads).await?;
        explain::explain(&site, target, arguments.unit.as_ref(), console.hints()).await
    })?;
    answer.print(console)
}

/// Where each environment stands.
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn status(arguments: &arguments::Status, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = open(global, Need::Reads).await?;
        Ok(status::status(&site, arguments, console.hints()).await?)
    })?;
    answer.print(console)
}

/// The deployment log.
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn history(arguments: &arguments::History, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = open(global, Need::Reads).await?;
        history::history(&site, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// One entry of the deployment log.
///
/// # Errors
/// Something cannot be reached or read, or there is no such entry.
pub(super) fn show(arguments: &arguments::Show, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    if arguments.diff {
        return Err(Failure::not_yet("lockmaster show --diff"));
    }
    let shown = on_runtime(global, LogLevel::Warn, async {
        let site = open(global, Need::Reads).await?;
        Ok(show::show(&site, &arguments.target).await?)
    })?;
    shown.print(console)
}

/// The standing release against the live cluster.
///
/// # Errors
/// Something cannot be reached or read.
pub(super) fn diff(arguments: &arguments::Diff, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let site = open(global, Need::Reads).await?;
        diff::diff(&site, arguments).await
    })?;
    answer.print(console)
}

/// Makes, signs and pushes the commit of a promotion.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) fn promote(arguments: &arguments::Promote, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let (site, url) = open_both(global, Need::Reads).await?;
        promote::promote(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Signs and pushes an approval.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) fn approve(arguments: &arguments::Approve, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let (site, url) = site::open_repository(global, pipeline::load(global, pipeline::find(global)?)?)?;
        statement::approve(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Stops promotions until a time.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) fn freeze(arguments: &arguments::Freeze, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let (site, url) = site::open_repository(global, pipeline::load(global, pipeline::find(global)?)?)?;
        statement::freeze(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Lets promotions go on.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) fn unfreeze(
    arguments: &arguments::Unfreeze,
    global: &Global,
    console: &Console,
) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let (site, url) = site::open_repository(global, pipeline::load(global, pipeline::find(global)?)?)?;
        statement::unfreeze(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Goes back to an earlier release.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign.
pub(super) fn rollback(
    arguments: &arguments::Rollback,
    global: &Global,
    console: &Console,
) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let (site, url) = open_both(global, Need::Reads).await?;
        rollback::rollback(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Keeps content from deploying again.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) fn hold(arguments: &arguments::Hold, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let need = if hold::names_an_entry(&arguments.target) { Need::Reads } else { Need::Optional };
        let (site, url) = match open_both(global, need).await {
            // What only makes things stricter needs no cluster where Git takes it.
            Err(_) if need == Need::Optional => {
                site::open_repository(global, pipeline::load(global, pipeline::find(global)?)?)?
            }
            opened => opened?,
        };
        hold::hold(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// Lets held content deploy again.
///
/// # Errors
/// Something cannot be reached or read, or git cannot sign or push.
pub(super) fn unhold(arguments: &arguments::Unhold, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    let answer = on_runtime(global, LogLevel::Warn, async {
        let (site, url) = open_both(global, Need::Reads).await?;
        hold::unhold(&site, &url, arguments, console.hints()).await
    })?;
    answer.print(console)
}

/// The site of a verb that reads the cluster, and where to push.
async fn open_both(global: &Global, need: Need) -> Result<(Site, String), Failure> {
    let loaded = pipeline::load(global, pipeline::find(global)?)?;
    let url = site::push_url(&loaded);
    Ok((site::open(global, loaded, need, None).await?, url))
}

async fn open(global: &Global, need: Need) -> Result<Site, Failure> {
    let loaded = pipeline::load(global, pipeline::find(global)?)?;
    site::open(global, loaded, need, None).await
}

/// Prepares the process, and runs the work of a verb to its end.
///
/// # Errors
/// What the work fails with, or a flag that is not built.
pub(super) fn on_runtime<T>(
    global: &Global,
    level: LogLevel,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    refuse_unbuilt(global)?;
    git::set_timeouts();
    // Another provider that some crate brought in would make every TLS client ambiguous.
    let _ = rustls::crypto::ring::default_provider().install_default();
    log::start(global, level);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(crate::name::Code::Bug, error.to_string()))?;
    let done = runtime.block_on(work);
    // What still blocks a thread, such as a remote that does not answer, keeps nobody waiting: nothing of it is a write.
    runtime.shutdown_background();
    done
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
