//! `run`: the agent.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answer::Answer;
use super::arguments::{self, Global, PublishTo};
use super::configuration::Configuration;
use super::diagnostic::{Failure, panicked_at};
use super::serving::{self, Addresses};
use super::{embedded, held, site, status};
use crate::agent::run::{self, Plan};
use crate::agent::site::Site;
use crate::agent::walk::Step;
use crate::course::Rest;
use crate::edge::{clock, notify};
use crate::name::{Code, EnvironmentName, Reason};

/// How long nothing is shown: what is quick needs no progress.
const PATIENCE: Duration = Duration::from_millis(500);

/// Flags whose behaviour is not built yet: refused, never ignored.
///
/// # Errors
/// Names the first one that was given.
pub(super) fn check(arguments: &arguments::Run) -> Result<(), Reason> {
    let given = [
        ("--read-only", arguments.read_only),
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
/// The agent cannot start.
pub(super) async fn run(global: &Global, arguments: &arguments::Run) -> Result<Ended, Failure> {
    let stop = CancellationToken::new();
    let _signals = AbortOnDropHandle::new(tokio::spawn(stop_on_signal(signals()?, stop.clone())));
    until(global, arguments, stop, |_| {}).await
}

/// Runs the agent until this token says stop, or once; `listens` hears where it serves.
///
/// # Errors
/// The agent cannot start.
pub(super) async fn until(
    global: &Global,
    arguments: &arguments::Run,
    stop: CancellationToken,
    listens: impl FnOnce(Addresses),
) -> Result<Ended, Failure> {
    let _locked = lock(global)?;
    if arguments.embedded {
        embedded::check(global, "--embedded")?;
    }
    let own = match arguments.embedded {
        true => Some(embedded::Own::start(global, arguments).await?),
        false => None,
    };
    let global = own.as_ref().map_or(global, |own| &own.global);
    let Some(opened) = stop.run_until_cancelled(Configuration::open(global, arguments)).await else {
        return Ok(Ended::Stopped);
    };
    let (mut configuration, mut site) = opened?;
    if own.is_some() {
        embedded::prepare(&site).await?;
    }
    let (current, sites) = watch::channel(Arc::clone(&site));
    let listening = match arguments.once {
        true => None,
        false => {
            // Who asks at once is told that nothing is ready yet.
            let _ = run::served(&site, only(arguments).as_deref());
            let listening = serving::listen(arguments, sites, &stop).await?;
            listens(listening.addresses());
            Some(listening)
        }
    };
    let rests = loop {
        let turn = stop.child_token();
        let agent = agent(Arc::clone(&site), global, arguments, turn.clone());
        let mut agent = std::pin::pin!(agent);
        tokio::select! {
            rests = &mut agent => break rests?,
            next = configuration.changed(arguments.interval), if !arguments.once => {
                turn.cancel();
                agent.await?;
                site = next;
                current.send_replace(Arc::clone(&site));
            }
        }
    };
    if let Some(listening) = listening {
        listening.ended().await;
    }
    if stop.is_cancelled() || !arguments.once {
        return Ok(Ended::Stopped);
    }
    let stuck: BTreeMap<EnvironmentName, Reason> =
        rests.into_iter().filter_map(|(name, rest)| Some((name, stuck(rest?)?))).collect();
    let views = status::views(&site, &arguments.environment, &stuck).await?;
    let logs = held::logs(&site, &views).await;
    Ok(Ended::Once(status::present(&site, &views, &logs, clock::now(), "cluster", !global.quiet)))
}

fn stuck(rest: Rest) -> Option<Reason> {
    match rest {
        Rest::Quiet => None,
        Rest::Stuck(reason) => Some(reason),
    }
}

/// The environments that were named; `None`: all.
fn only(arguments: &arguments::Run) -> Option<Vec<EnvironmentName>> {
    (!arguments.environment.is_empty()).then(|| arguments.environment.clone())
}

/// The agent with one configuration.
async fn agent(
    site: Arc<Site>,
    global: &Global,
    arguments: &arguments::Run,
    stop: CancellationToken,
) -> Result<BTreeMap<EnvironmentName, Option<Rest>>, Reason> {
    let (wake, _watcher) = wake(&site, arguments.once)?;
    let (shown, steps) = mpsc::unbounded_channel();
    let progress = tokio::spawn(show(steps, !global.quiet && std::io::stderr().is_terminal()));
    let only = only(arguments);
    let (once, interval) = (arguments.once, arguments.interval);
    let rests = run::run(site, Plan { once, interval, only, wake, shown, panicked_at, stop }).await;
    let _ = progress.await;
    Ok(rests)
}

/// Keeps a second agent out of the state directory, until the process ends.
fn lock(global: &Global) -> Result<File, Reason> {
    let folder = site::state_dir(global)?;
    let shown = folder.display();
    let wrong = |error| Reason::new(Code::Usage, format!("`{shown}`, the state directory, cannot be used: {error}"));
    std::fs::create_dir_all(&folder).map_err(wrong)?;
    let file = File::options().create(true).append(true).open(folder.join("agent.lock")).map_err(wrong)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Reason::new(Code::StateLocked, format!("`{shown}` is used by another agent that runs")))
        }
        Err(TryLockError::Error(error)) => Err(wrong(error)),
    }
}

/// What wakes the agent besides the interval: changes of a local repository.
fn wake(site: &Site, once: bool) -> Result<(mpsc::Receiver<()>, Option<notify::Watcher>), Reason> {
    let (_, silent) = mpsc::channel(1);
    let folder = site.setup.remote.local();
    match folder.filter(|_| !once) {
        None => Ok((silent, None)),
        Some(folder) => match notify::watch(std::slice::from_ref(&folder)) {
            Ok((watcher, wake)) => Ok((wake, Some(watcher))),
            Err(error) => {
                // It may be there at the next look.
                tracing::warn!(reason = %error, "repository-not-watched");
                Ok((silent, None))
            }
        },
    }
}

/// What asks a process to end.
///
/// # Errors
/// The system has no room for them.
pub(super) fn signals() -> Result<[Signal; 2], Reason> {
    let wrong = |error| Reason::new(Code::Bug, format!("signals cannot be received: {error}"));
    Ok([signal(SignalKind::terminate()).map_err(wrong)?, signal(SignalKind::interrupt()).map_err(wrong)?])
}

/// The first SIGTERM or SIGINT ends the writes in flight, the second one ends the process.
pub(super) async fn stop_on_signal([mut term, mut int]: [Signal; 2], stop: CancellationToken) {
    for again in [false, true] {
        tokio::select! {
            _ = term.recv() => {},
            _ = int.recv() => {},
        }
        if again {
            std::process::exit(2);
        }
        tracing::info!("stopping");
        stop.cancel();
    }
}

/// Shows progress on a terminal, one line that is written over.
async fn show(mut steps: mpsc::UnboundedReceiver<Step>, terminal: bool) {
    let quiet_until = tokio::time::Instant::now() + PATIENCE;
    let mut shown = false;
    let mut newest: Option<Step> = None;
    loop {
        let early = terminal && newest.is_some() && !shown;
        tokio::select! {
            step = steps.recv() => match step {
                None => break,
                Some(step) => newest = Some(step),
            },
            () = tokio::time::sleep_until(quiet_until), if early => {}
        }
        let due = terminal && tokio::time::Instant::now() >= quiet_until;
        if let (true, Some(Step { environment, progress: Some(progress) })) = (due, &newest) {
            let (applied, healthy, objects) = (progress.applied, progress.healthy, progress.objects);
            anstream::eprint!("\r\x1b[2K{environment}: {applied} of {objects} applied, {healthy} healthy");
            shown = true;
        }
        if due && !shown {
            newest = None;
        }
    }
    if shown {
        anstream::eprint!("\r\x1b[2K");
    }
}
