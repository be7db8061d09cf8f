//! What a running agent serves, and to whom.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::output::Document;
use super::view::View;
use super::{arguments, held, message, state_dir, status};
use crate::agent::site::Site;
use crate::agent::stand::Stand;
use crate::edge::clock;
use crate::edge::http::{self, Api, Limits, Login, Probes, Serving};
use crate::name::{Code, Reason};

/// The addresses of a running agent.
pub(super) struct Listening {
    probes: Serving,
    api: Serving,
    _announced: state_dir::Announced,
}

/// Where an agent answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    /// The API, behind a login.
    pub(super) api: SocketAddr,
    /// Probes and metrics.
    pub(super) probes: SocketAddr,
}

impl Listening {
    /// Where.
    pub(super) fn addresses(&self) -> Addresses {
        Addresses { api: self.api.address(), probes: self.probes.address() }
    }

    /// Waits until the requests in flight are answered; the agent was told to stop before.
    pub(super) async fn ended(self) {
        self.probes.ended().await;
        self.api.ended().await;
    }
}

/// Serves probes, metrics and the API, and says in the state directory where.
///
/// # Errors
/// An address cannot be bound, or the state directory cannot be written.
pub(super) async fn listen(
    arguments: &arguments::Run,
    site: watch::Receiver<Arc<Site>>,
    stop: &CancellationToken,
) -> Result<Listening, Reason> {
    let folder = site.borrow().setup.state_dir.clone();
    let probes = probes(site.clone());
    let probes = http::serve_probes(arguments.metrics_listen, stop.clone(), probes).await;
    let probes = bound(probes, "probes", "--metrics-listen", arguments.metrics_listen)?;
    let api = api(&folder, site)?;
    let api = http::serve_api(arguments.listen, stop.clone(), api).await;
    let api = bound(api, "api", "--listen", arguments.listen)?;
    let _announced = state_dir::announce(&folder, api.address())?;
    Ok(Listening { probes, api, _announced })
}

fn bound(serving: std::io::Result<Serving>, serves: &str, flag: &str, address: SocketAddr) -> Result<Serving, Reason> {
    let serving = serving.map_err(|error| {
        Reason::new(Code::Usage, format!("`{flag} {address}` cannot be served: {error}; choose another address"))
    })?;
    tracing::info!(serves, address = %serving.address(), "listening");
    Ok(serving)
}

fn probes(site: watch::Receiver<Arc<Site>>) -> Probes {
    let asked = site.clone();
    let unready: http::Lines = Arc::new(move || {
        let site = Arc::clone(&asked.borrow());
        Box::pin(async move { unready(&site).await })
    });
    let metrics: http::Text = Arc::new(move || {
        let site = Arc::clone(&site.borrow());
        Box::pin(async move { metrics(&site).await })
    });
    Probes { unready, metrics, limits: Limits::default() }
}

/// What is not ready: an environment whose log was not read, or a kind that is not watched.
async fn unready(site: &Site) -> Vec<String> {
    let mut lines = Vec::new();
    for name in site.board.environments() {
        if site.board.stand(&name).await.is_none() {
            lines.push(format!("environment {name}: its deployment log is not read yet"));
        }
        let Some(target) = &site.target else { continue };
        for (kind, reason) in target.watches.unsynced(&target.journal.set_id(&name)) {
            let why =
                reason.map_or_else(|| "is not listed yet".to_owned(), |it| format!("{}: {}", it.code, it.message));
            lines.push(format!("environment {name}: watch of {}: {why}", kind.group_kind()));
        }
    }
    lines
}

async fn metrics(site: &Site) -> String {
    let exposition = &site.board.exposition;
    let requests = site.target.iter().flat_map(|target| target.cluster.take_requests());
    requests.for_each(|more| exposition.cluster_requests(more.verb, more.code_class, more.count));
    site.board.measure(&site.setup.pipeline.name).await;
    exposition.text()
}

fn api(folder: &Path, site: watch::Receiver<Arc<Site>>) -> Result<Api, Reason> {
    let mut login = Login::new(state_dir::token(folder)?);
    let first = Arc::clone(&site.borrow());
    if let Some(target) = first.target.as_ref().filter(|target| target.cluster.is_in_cluster()) {
        login = login.reviewed_by(target.cluster.client(), &first.setup.agent_namespace);
    }
    let named = site.clone();
    let pipelines: http::Document = Arc::new(move || {
        let name = named.borrow().setup.pipeline.name.to_string();
        Box::pin(async move { Ok(json!(Document::new("pipelines", &json!({"pipelines": [name]})))) })
    });
    let status: http::Question = Arc::new(move |pipeline| {
        let site = Arc::clone(&site.borrow());
        Box::pin(async move { Ok(status_of(&site, &pipeline).await) })
    });
    Ok(Api { login: Arc::new(login), pipelines, status, limits: Limits::default() })
}

/// The document of the pipeline, as the walks know it: no request is sent for it. `None` if it is not the one that this
/// agent runs.
async fn status_of(site: &Site, pipeline: &str) -> Option<Value> {
    if site.setup.pipeline.name.as_str() != pipeline {
        return None;
    }
    let mut views = Vec::new();
    let served = site.board.environments();
    // In the order of the pipeline, as the verb tells them.
    for environment in site.environments().iter().filter(|environment| served.contains(&environment.name)).cloned() {
        let name = &environment.name;
        let stand = site.board.stand(name).await.unwrap_or_else(|| {
            Stand::unknown(Reason::new(
                Code::ClusterUnreachable,
                format!("the deployment log of `{name}` is not read yet"),
            ))
        });
        let place = message::place(site, &environment, Some(&stand.log));
        views.push(View::of(environment, stand, place));
    }
    Some(json!(status::present(site, &views, &held::Logs::new(), clock::now(), "agent", false).document()))
}
