//! The configuration of a running agent: read again when one of its files changes. A file that is broken changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::arguments::{self, Global};
use super::diagnostic::Failure;
use super::pipeline::{self, Loaded, PipelineFile};
use super::site::{self, Need};
use crate::agent::board::Board;
use crate::agent::site::Site;
use crate::config::Auth;
use crate::edge::notify;
use crate::name::Digest;

/// The files that an agent was started with.
pub(super) struct Configuration<'a> {
    global: &'a Global,
    arguments: &'a arguments::Run,
    /// The text of standard input cannot be read again, only the files that it names.
    stdin: Option<PipelineFile>,
    files: Vec<PathBuf>,
    digest: Digest,
    refused: Option<Failure>,
    watch: Option<(notify::Watcher, mpsc::Receiver<()>)>,
    board: Arc<Board>,
}

impl<'a> Configuration<'a> {
    /// Reads the configuration for the first time and opens what it names.
    ///
    /// # Errors
    /// It is not usable.
    pub(super) async fn open(
        global: &'a Global,
        arguments: &'a arguments::Run,
    ) -> Result<(Configuration<'a>, Arc<Site>), Failure> {
        let file = pipeline::find(global)?;
        let stdin = file.path.is_none().then(|| file.clone());
        let files = Vec::new();
        let mut configuration = Configuration {
            global,
            arguments,
            stdin,
            files,
            digest: Digest::of(&[]),
            refused: None,
            watch: None,
            board: Arc::default(),
        };
        let loaded = pipeline::load(global, file.clone())?;
        configuration.files = files_of(&file, &loaded);
        configuration.digest = digest(&configuration.files);
        let site = configuration.site(loaded).await?;
        if !arguments.once {
            configuration.watch = watch(&configuration.files);
        }
        Ok((configuration, site))
    }

    /// Waits until the files say something new and good, and opens what they name. What is not good is logged once, and
    /// the agent goes on with what it has.
    pub(super) async fn changed(&mut self, interval: Duration) -> Arc<Site> {
        loop {
            // The interval is for what no watch can see: another machine's write, a file that was missing.
            let woken = async {
                match &mut self.watch {
                    Some((_, wake)) => wake.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                woken = woken => if woken.is_none() { self.watch = None },
                () = tokio::time::sleep(interval) => {}
            }
            match self.read_again().await {
                Ok(None) => {}
                Ok(Some(site)) => {
                    tracing::info!(pipeline = %site.setup.pipeline.name, "configuration-read");
                    return site;
                }
                Err(failure) => self.refuse(failure),
            }
        }
    }

    fn refuse(&mut self, failure: Failure) {
        if self.refused.as_ref() != Some(&failure) {
            let causes = failure.causes.join("; ");
            tracing::error!(code = %failure.reason.code, reason = %failure.reason.message, causes, "configuration-refused");
            self.refused = Some(failure);
        }
    }

    async fn read_again(&mut self) -> Result<Option<Arc<Site>>, Failure> {
        let file = match &self.stdin {
            Some(file) => file.clone(),
            None => pipeline::find(self.global)?,
        };
        let loaded = pipeline::load(self.global, file.clone())?;
        let files = files_of(&file, &loaded);
        let digest = digest(&files);
        if files == self.files && digest == self.digest {
            self.refused = None;
            return Ok(None);
        }
        let site = self.site(loaded).await?;
        self.watch = watch(&files);
        (self.files, self.digest, self.refused) = (files, digest, None);
        Ok(Some(site))
    }

    async fn site(&self, loaded: Loaded) -> Result<Arc<Site>, Failure> {
        let mut site = site::open(self.global, loaded, Need::Writes, self.arguments.agent_key.as_deref()).await?;
        for name in &self.arguments.environment {
            site::find(&site, name)?;
        }
        site::entrust(&mut site, self.arguments.writer_key.as_deref())?;
        // What was counted stays.
        site.board = Arc::clone(&self.board);
        Ok(Arc::new(site))
    }
}

/// Every file that the agent reads once.
fn files_of(file: &PipelineFile, loaded: &Loaded) -> Vec<PathBuf> {
    let repository = &loaded.pipeline.repository;
    let auth = match &repository.auth {
        None => Vec::new(),
        Some(Auth::Token { file } | Auth::Password { file, .. }) => vec![file.clone()],
        Some(Auth::SshKey { key, known_hosts }) => vec![key.clone(), known_hosts.clone()],
    };
    let beside =
        std::iter::once(loaded.pipeline.trust.signers_file.clone()).chain(auth).chain(repository.ca_file.clone());
    let beside = beside.map(|path| loaded.directory.join(path));
    file.path.clone().into_iter().chain(beside).collect()
}

fn digest(files: &[PathBuf]) -> Digest {
    let mut all = Vec::new();
    for file in files {
        // What cannot be read is refused by whoever needs it.
        let bytes = std::fs::read(file).unwrap_or_default();
        all.extend_from_slice(Digest::of(&bytes).as_bytes());
    }
    Digest::of(&all)
}

fn watch(files: &[PathBuf]) -> Option<(notify::Watcher, mpsc::Receiver<()>)> {
    match notify::watch(files) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(reason = %error, "configuration-not-watched");
            None
        }
    }
}
