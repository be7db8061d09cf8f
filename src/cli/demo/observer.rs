//! Looks at what the agent did: at its log in the cluster, at the objects themselves, and at what it serves over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Stopped;
use super::narrator::missed;
use super::shop::name;
use crate::agent::site::Site;
use crate::agent::survey;
use crate::cli::serving::Addresses;
use crate::config::Environment;
use crate::deploylog::{Entry, Log, Phase};
use crate::name::{Code, CommitId, ObjectKey, Reason};
use crate::plan::Live;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long until it is looked again at what nothing tells of.
const PAUSE: Duration = Duration::from_millis(20);

/// See the module.
pub(super) struct Observer {
    /// Opened for reading alone, beside the agent.
    pub(super) site: Site,
    addresses: Addresses,
    token: String,
}

/// Live objects without what their controllers say of them, and how many writes the agent counted so far.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    pub(super) objects: BTreeMap<ObjectKey, Value>,
    pub(super) writes: f64,
}

/// How a release came in.
pub(super) struct Release {
    pub(super) opened: Entry,
    pub(super) proven: Entry,
}

impl Release {
    /// How it went, for people.
    pub(super) fn told(&self, environment: &str) -> String {
        let counts = self.opened.body.counts.unwrap_or_default();
        let done = match (counts.create, counts.update) {
            (0, updated) => format!("{updated} updated"),
            (created, _) => format!("{created} created"),
        };
        let took = self.proven.time.duration_since(self.opened.time).as_millis();
        format!("{done}, healthy in {took} ms ({environment}/{})", self.proven.sequence)
    }
}

impl Observer {
    pub(super) fn new(site: Site, addresses: Addresses, state: &Path) -> Result<Observer, Stopped> {
        let token = std::fs::read_to_string(state.join("token"));
        let token = token.map_err(|error| Stopped::unable("the agent's token cannot be read", error))?;
        Ok(Observer { site, addresses, token: token.trim().to_owned() })
    }

    /// Looks until something is there.
    pub(super) async fn until<T>(
        &self,
        expected: &str,
        mut look: impl AsyncFnMut() -> Result<Result<T, String>, Reason>,
    ) -> Result<T, Stopped> {
        let end = Instant::now() + PATIENCE;
        loop {
            let seen = match look().await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(seen)) => seen,
                // A store that is busy answers at the next look.
                Err(reason) => reason.message,
            };
            if Instant::now() >= end {
                return Err(missed(expected, format!("{seen}, after {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// An environment of the pipeline.
    pub(super) fn environment(&self, environment: &str) -> Result<Environment, Stopped> {
        let found = self.site.setup.pipeline.environment(&name(environment)).cloned();
        found.ok_or_else(|| missed(format!("environment {environment}"), "none of that name"))
    }

    async fn log(&self, environment: &Environment) -> Result<Log, Reason> {
        survey::log(&self.site, environment).await
    }

    /// The newest entry that is meant, once it is in the log.
    pub(super) async fn entry(
        &self,
        environment: &str,
        expected: &str,
        is: impl Fn(&Entry) -> bool,
    ) -> Result<Entry, Stopped> {
        let environment = self.environment(environment)?;
        let what = format!("an entry of {}: {expected}", environment.name);
        self.until(&what, async || {
            let log = self.log(&environment).await?;
            let newest = log.entries.last().map_or("no entry".to_owned(), |entry| {
                format!(
                    "newest is {}/{}, {:?} {:?}",
                    environment.name, entry.sequence, entry.body.action, entry.body.phase
                )
            });
            Ok(log.entries.iter().rev().find(|entry| is(entry)).map(|entry| entry.as_ref().clone()).ok_or(newest))
        })
        .await
    }

    /// Waits until a commit was opened: its entry.
    pub(super) async fn opened(&self, environment: &str, commit: &CommitId) -> Result<Entry, Stopped> {
        let is_of = |entry: &Entry| entry.body.commit.as_ref().is_some_and(|of| of.id == *commit);
        self.entry(environment, &format!("{} opened", commit.short()), |entry| {
            is_of(entry) && entry.body.phase == Some(Phase::Opened)
        })
        .await
    }

    /// Waits until what an entry opened was proven, or failed.
    pub(super) async fn ended(&self, environment: &str, opened: u64, expected: &str) -> Result<Entry, Stopped> {
        self.entry(environment, expected, |entry| {
            entry.body.of == Some(opened) && matches!(entry.body.phase, Some(Phase::Proven | Phase::Failed))
        })
        .await
    }

    /// Waits until a commit was opened, and the release is proven.
    pub(super) async fn release(&self, environment: &str, commit: &CommitId) -> Result<Release, Stopped> {
        let short = commit.short();
        let opened = self.opened(environment, commit).await?;
        let ended = self.ended(environment, opened.sequence, &format!("{short} proven")).await?;
        if ended.body.phase != Some(Phase::Proven) {
            let why = ended.body.reasons.first().map_or("no reason".to_owned(), |reason| reason.message.clone());
            return Err(missed(format!("{short} healthy in {environment}"), why));
        }
        Ok(Release { opened, proven: ended })
    }

    /// Checks that nothing was ever deployed there.
    pub(super) async fn nothing_stands(&self, environment: &str) -> Result<(), Stopped> {
        let environment = self.environment(environment)?;
        let log = self.log(&environment).await.map_err(Stopped::of)?;
        match log.standing {
            None => Ok(()),
            Some(found) => Err(missed(format!("nothing in {}", environment.name), format!("{found:?}"))),
        }
    }

    /// The sequence of the entry that opened what stands.
    pub(super) async fn standing(&self, environment: &str) -> Result<u64, Stopped> {
        let environment = self.environment(environment)?;
        let log = self.log(&environment).await.map_err(Stopped::of)?;
        let standing = log.standing.ok_or_else(|| missed(format!("a release in {}", environment.name), "none"))?;
        Ok(standing.sequence)
    }

    /// The live objects of the standing release.
    pub(super) async fn objects(&self, environment: &str) -> Result<BTreeMap<ObjectKey, Value>, Stopped> {
        let environment = self.environment(environment)?;
        let log = self.log(&environment).await.map_err(Stopped::of)?;
        let standing = log.standing.ok_or_else(|| missed(format!("a release in {}", environment.name), "none"))?;
        let set = survey::standing_set(&self.site, &environment, &standing).await.map_err(Stopped::of)?;
        let live = survey::read(&self.site, &set).await.map_err(Stopped::of)?;
        let present = live.into_iter().map(|(key, live)| match live {
            Live::Present(object) => Ok((key, object)),
            Live::Absent => Err(missed(format!("`{key}` in the cluster"), "it is not there")),
        });
        present.collect()
    }

    /// What a write of the agent would change.
    pub(super) async fn written(&self, environment: &str) -> Result<Written, Stopped> {
        let mut objects = self.objects(environment).await?;
        objects.values_mut().for_each(without_status);
        let mut writes = 0.0;
        for verb in ["apply", "delete"] {
            let verb = format!("verb=\"{verb}\"");
            writes += self.metric("lockmaster_cluster_requests_total", &[&verb]).await.map_err(Stopped::of)?;
        }
        Ok(Written { objects, writes })
    }

    /// The state of an environment, as the agent's API tells it.
    pub(super) async fn state(&self, environment: &str, expected: &str) -> Result<(), Stopped> {
        let what = format!("{environment} {expected}, as the agent's API says");
        self.until(&what, async || {
            let told = self.told(environment).await?;
            let state = told["state"].as_str();
            Ok(if state == Some(expected) { Ok(()) } else { Err(state.unwrap_or("no answer").to_owned()) })
        })
        .await
    }

    /// Waits until the agent's API tells a reason with these words.
    pub(super) async fn reason(&self, environment: &str, expected: &str) -> Result<(), Stopped> {
        self.until(expected, async || {
            let told = self.told(environment).await?;
            let reasons = told["reasons"].as_array().into_iter().flatten();
            let messages: Vec<&str> = reasons.filter_map(|reason| reason["message"].as_str()).collect();
            let found = messages.iter().any(|message| message.contains(expected));
            Ok(if found { Ok(()) } else { Err(messages.join("; ")) })
        })
        .await
    }

    /// What the agent's API tells of an environment.
    async fn told(&self, environment: &str) -> Result<Value, Reason> {
        let body = self.get(self.addresses.api, "/api/v1/pipelines/shop").await?;
        let document: Value = serde_json::from_str(&body).unwrap_or_default();
        let mut all = document["environments"].as_array().into_iter().flatten();
        Ok(all.find(|one| one["name"] == environment).cloned().unwrap_or_default())
    }

    /// Waits until the agent says that it is ready.
    pub(super) async fn ready(&self) -> Result<(), Stopped> {
        self.until("/readyz of the agent", async || {
            let text = self.get(self.addresses.probes, "/readyz").await;
            Ok(text.map(drop).map_err(|reason| reason.message))
        })
        .await
    }

    /// The sum of a metric over the lines that have these labels.
    pub(super) async fn metric(&self, metric: &str, labels: &[&str]) -> Result<f64, Reason> {
        let text = self.get(self.addresses.probes, "/metrics").await?;
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric));
        let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Reads a path of the agent.
    async fn get(&self, address: SocketAddr, path: &str) -> Result<String, Reason> {
        let wrong = |what: String| Reason::new(Code::AgentUnreachable, format!("`{path}` of the agent: {what}"));
        let ask = async {
            let mut stream = TcpStream::connect(address).await?;
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                self.token
            );
            stream.write_all(head.as_bytes()).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Ok::<_, std::io::Error>(text)
        };
        let text = ask.await.map_err(|error| wrong(error.to_string()))?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| wrong("no answer".to_owned()))?;
        if head.starts_with("HTTP/1.1 200 ") {
            Ok(body.to_owned())
        } else {
            Err(wrong(body.trim().replace('\n', "; ")))
        }
    }
}

/// Takes away what a controller writes when it reports: the status, who wrote it, and the version that counts it.
fn without_status(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    metadata.remove("resourceVersion");
    if let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
        entries.retain(|entry| entry["subresource"].as_str().unwrap_or_default().is_empty());
    }
}
