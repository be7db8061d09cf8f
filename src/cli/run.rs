//! `run`: the agent.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::arguments::{self, Global, PublishTo};
use super::status;
use crate::agent::run::{self, Plan};
use crate::agent::site::Site;
use crate::agent::walk::Step;
use crate::course::Rest;
use crate::edge::{clock, http, notify};
use crate::name::{Code, Reason};

/// Flags whose behaviour is not built yet: refused, never ignored.
///
/// # Errors
/// Names the first one that was given.
pub(super) fn check(arguments: &arguments::Run) -> Result<(), Reason> {
    let given = [
        ("--embedded", arguments.embedded),
        ("--read-only", arguments.read_only),
        ("--writer-key", arguments.writer_key.is_some()),
        ("--publish git", arguments.publish == Some(PublishTo::Git)),
        ("--webhook-secret-file", arguments.webhook_secret_file.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Reason::new(Code::Usage, format!("`lockmaster run {flag}` is not supported yet"))),
        None => Ok(()),
    }
}

/// How the agent ended.
pub(super) enum Ended {
    /// Told to stop: everything in flight was ended.
    Stopped,
    /// `--once`: how every environment stands.
    Once(Answer),
}

/// Runs the agent until it is told to stop, or once.
///
/// # Errors
/// With `--once`: an environment is stuck. Else: the agent cannot start.
pub(super) async fn run(site: Site, global: &Global, arguments: &arguments::Run) -> Result<Ended, Reason> {
    let site = Arc::new(site);
    for name in &arguments.environment {
        super::site::find(&site, name)?;
    }
    let stop = CancellationToken::new();
    let signals = tokio::spawn(stop_on_signal(stop.clone()));
    if !arguments.once {
        serve(arguments.listen, stop.clone()).await?;
    }
    let (wake, _watcher) = wake(&site, arguments.once)?;
    let (shown, steps) = mpsc::unbounded_channel();
    let progress = tokio::spawn(show(steps, !global.quiet && std::io::stderr().is_terminal()));
    let only = (!arguments.environment.is_empty()).then(|| arguments.environment.clone());
    let plan = Plan { once: arguments.once, interval: arguments.interval, only, wake, shown, stop: stop.clone() };
    let rests = run::run(Arc::clone(&site), plan).await;
    signals.abort();
    let _ = progress.await;
    if stop.is_cancelled() || !arguments.once {
        return Ok(Ended::Stopped);
    }
    if let Some(reason) = rests.into_values().flatten().find_map(stuck) {
        return Err(reason);
    }
    let views = status::views(&site, &arguments.environment).await?;
    Ok(Ended::Once(status::present(&site, &views, clock::now(), !global.quiet)))
}

fn stuck(rest: Rest) -> Option<Reason> {
    match rest {
        Rest::Quiet => None,
        Rest::Stuck(reason) => Some(reason),
    }
}

/// What wakes the agent besides the interval: changes of a local repository.
fn wake(site: &Site, once: bool) -> Result<(mpsc::Receiver<()>, Option<notify::Watcher>), Reason> {
    let (_, silent) = mpsc::channel(1);
    let folder = site.setup.remote.local();
    match folder.filter(|_| !once) {
        None => Ok((silent, None)),
        Some(folder) => {
            let watched = notify::watch(&[folder]);
            let (watcher, wake) = watched.map_err(|error| Reason::new(Code::FetchFailed, error.to_string()))?;
            Ok((wake, Some(watcher)))
        }
    }
}

async fn serve(address: SocketAddr, stop: CancellationToken) -> Result<(), Reason> {
    let bound = http::serve(address, stop).await;
    let bound = bound.map_err(|error| Reason::new(Code::Usage, format!("cannot listen on `{address}`: {error}")))?;
    tracing::info!(address = %bound, "listening");
    Ok(())
}

/// The first SIGTERM or SIGINT ends the writes in flight, the second one ends the process.
async fn stop_on_signal(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return;
    };
    for again in [false, true] {
        tokio::select! {
            _ = term.recv() => {},
            _ = int.recv() => {},
        }
        if again {
            std::process::exit(2);
        }
        tracing::info!("stopping: the writes in flight are ended first");
        stop.cancel();
    }
}

/// Shows progress on a terminal, one line that is written over.
async fn show(mut steps: mpsc::UnboundedReceiver<Step>, terminal: bool) {
    let mut shown = false;
    while let Some(Step { environment, progress }) = steps.recv().await {
        if let (true, Some(progress)) = (terminal, progress) {
            let (applied, healthy, objects) = (progress.applied, progress.healthy, progress.objects);
            anstream::eprint!("\r\x1b[2K{environment}: {applied} of {objects} applied, {healthy} healthy");
            shown = true;
        }
    }
    if shown {
        anstream::eprint!("\r\x1b[2K");
    }
}
