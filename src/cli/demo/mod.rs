//! `lockmaster demo`: a repository, a Kubernetes API and the agent in this process, and a story whose every line was seen.

mod ground;
mod narrator;
mod observer;
mod promotion;
mod rollback;
mod shop;
mod story;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::pin::pin;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::arguments::{self, Form, Global, LogLevel};
use super::diagnostic::{Failure, Verdict};
use super::output::Console;
use super::run as agent_run;
use super::serving::Addresses;
use super::site::{self, Need};
use super::{embedded, pipeline, verb};
use crate::name::{Code, Reason};
use ground::Ground;
use narrator::Narrator;
use observer::Observer;
use shop::Shop;
use story::Story;

/// Why the story broke off.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Something did not happen, or happened otherwise.
    Missed { expected: String, seen: String },
    /// It could not go on.
    Unable(Failure),
    /// Somebody wants it to end.
    Told,
}

impl Stopped {
    fn of(reason: Reason) -> Stopped {
        Stopped::Unable(reason.into())
    }

    fn unable(what: &str, error: impl ToString) -> Stopped {
        Stopped::Unable(Failure::new(Code::Usage, what).because(error))
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Stopped {
        Stopped::Unable(failure)
    }
}

/// Tells the story.
///
/// # Errors
/// It cannot start, or cannot go on.
pub(super) fn run(arguments: &arguments::Demo, global: &Global, console: &Console) -> Result<Verdict, Failure> {
    if console.form == Form::Yaml {
        return Err(Failure::new(
            Code::Usage,
            "`lockmaster demo -o yaml` is not supported: it tells lines, not one document",
        )
        .with_hint("use -o json: one document a line"));
    }
    embedded::check(global, "demo")?;
    let kept = arguments.keep.as_deref().map(empty).transpose()?;
    verb::on_runtime(global, LogLevel::Error, async {
        let narrator = Narrator::new(console, arguments.step);
        let subject = Cell::new("demo");
        match tell(arguments, global, kept.as_deref(), &narrator, &subject).await {
            Ok(()) => Ok(Verdict::Good),
            Err(Stopped::Missed { expected, seen }) => {
                narrator.failed(subject.get(), &expected, &seen)?;
                Ok(Verdict::Found)
            }
            Err(Stopped::Unable(failure)) => Err(failure),
            Err(Stopped::Told) => Err(Failure::new(Code::Usage, "the demo was interrupted before its end")),
        }
    })
}

/// The folder to keep everything in, made if it is missing: it must hold nothing.
fn empty(folder: &Path) -> Result<PathBuf, Failure> {
    let shown = folder.display();
    let wrong = |error: std::io::Error| Failure::new(Code::Usage, format!("`{shown}` cannot be used")).because(error);
    std::fs::create_dir_all(folder).map_err(wrong)?;
    if std::fs::read_dir(folder).map_err(wrong)?.next().is_some() {
        let failure = Failure::new(Code::Usage, format!("`{shown}` is not empty, and the demo overwrites nothing"));
        return Err(failure.with_hint("name a folder that is new: --keep DIR"));
    }
    folder.canonicalize().map_err(wrong)
}

/// The story from the keys to the end, with the agent beside it, until somebody interrupts it.
async fn tell(
    arguments: &arguments::Demo,
    global: &Global,
    kept: Option<&Path>,
    narrator: &Narrator<'_>,
    subject: &Cell<&'static str>,
) -> Result<(), Stopped> {
    let interrupted = CancellationToken::new();
    let signals = agent_run::signals().map_err(Stopped::of)?;
    let _signals = AbortOnDropHandle::new(tokio::spawn(agent_run::stop_on_signal(signals, interrupted.clone())));
    let ground = Ground::start().await?;
    let folder = kept.map_or_else(|| ground.scratch(), Path::to_owned);
    narrator
        .frame("lockmaster demo: a Git repository, an embedded Kubernetes API and the agent, all in this process")?;
    let shop = Shop::create(&folder)?;
    let story = Story { narrator, shop: &shop, subject };
    let prepared = interrupted.run_until_cancelled(story.prepare(&ground)).await;
    let mut commits = prepared.unwrap_or(Err(Stopped::Told))?;
    let stop = CancellationToken::new();
    let (listens, listening) = oneshot::channel();
    let flags = (ground.global(global, &folder, ground.state()), Ground::run(&folder));
    let mut agent = pin!(agent_run::until(&flags.0, &flags.1, stop.clone(), |addresses| {
        // Who does not listen any more has broken off.
        let _ = listens.send(addresses);
    }));
    let chapters = async {
        subject.set("agent");
        let addresses = listening.await.map_err(|_| agent_ended())?;
        let look = ground.global(global, &folder, ground.scratch().join("look"));
        let observer = observe(&look, addresses, &ground.state()).await?;
        story.deploy(&ground, &observer, &commits).await?;
        story.promote(&observer, &mut commits).await?;
        story.edit(&ground, &observer).await?;
        story.unsigned(&observer, &commits).await?;
        let revert = story.bad_release(&ground, &observer, &mut commits).await?;
        story.rewound(&observer, &commits, &revert).await?;
        story.status(&observer).await?;
        end(arguments, narrator, addresses, &ground)?;
        if arguments.serve {
            interrupted.cancelled().await;
        }
        Ok(())
    };
    let told = tokio::select! {
        biased;
        ended = &mut agent => return Err(ended.map_or_else(Stopped::Unable, |_| agent_ended())),
        told = chapters => told,
        () = interrupted.cancelled() => Err(Stopped::Told),
    };
    stop.cancel();
    let ended = agent.await;
    ground.end().await;
    told?;
    ended.map(drop).map_err(Stopped::Unable)
}

fn agent_ended() -> Stopped {
    narrator::missed("an agent that runs", "it ended")
}

/// Opens the repository and the cluster once more, to look at what the agent does.
async fn observe(global: &Global, addresses: Addresses, state: &Path) -> Result<Observer, Stopped> {
    let loaded = pipeline::load(global, pipeline::find(global)?)?;
    let site = site::open(global, loaded, Need::Reads, None).await?;
    Observer::new(site, addresses, state)
}

/// The last lines, and how to go on.
fn end(
    arguments: &arguments::Demo,
    narrator: &Narrator<'_>,
    addresses: Addresses,
    ground: &Ground,
) -> Result<(), Stopped> {
    let next = match &arguments.keep {
        Some(folder) => format!("go on: cd {} && lockmaster run --embedded", folder.display()),
        None => "keep it to look around: lockmaster demo --keep shop-demo".to_owned(),
    };
    narrator.frame(&format!("done in {}, every step checked; {next}", narrator.took()))?;
    if arguments.keep.is_some() && !arguments.serve {
        let new = "that is a new cluster, in which 1.0 was never proven: it refuses prod, and says why";
        narrator.frame(&format!("{new}; this one stays with --serve"))?;
    }
    if arguments.serve {
        let (api, probes, folder) = (addresses.api, addresses.probes, ground.scratch());
        let (folder, state) = (folder.display(), ground.state());
        narrator.frame(&format!(
            "serving until Ctrl-C:\n  kubectl --kubeconfig {folder}/kubeconfig get all -A\n  curl http://{probes}/metrics\n  \
             curl -H \"Authorization: Bearer $(cat {}/token)\" http://{api}/api/v1/pipelines/shop",
            state.display()
        ))?;
    }
    Ok(())
}
