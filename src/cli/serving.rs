//! What a running agent serves, and to whom.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::output::Document;
use super::{arguments, state_dir, status};
use crate::agent::site::Site;
use crate::edge::clock;
use crate::edge::exposition::Exposition;
use crate::edge::http::{self, Api, Limits, Login, Probes, Serving};
use crate::name::{Code, EnvironmentName, Reason};

/// How old a document may be that is served again: looking at everything costs requests.
const FRESH: Duration = Duration::from_secs(1);

/// The addresses of a running agent.
pub(super) struct Listening {
    probes: Serving,
    api: Serving,
    _announced: state_dir::Announced,
}

impl Listening {
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
    exposition: &Exposition,
    site: watch::Receiver<Arc<Site>>,
    stop: &CancellationToken,
) -> Result<Listening, Reason> {
    let folder = site.borrow().setup.state_dir.clone();
    let probes = probes(exposition.clone(), site.clone());
    let probes = http::serve_probes(arguments.metrics_listen, stop.clone(), probes).await;
    let probes = bound(probes, "probes", "--metrics-listen", arguments.metrics_listen)?;
    let api = api(&folder, arguments.environment.clone(), site)?;
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

fn probes(exposition: Exposition, site: watch::Receiver<Arc<Site>>) -> Probes {
    let metrics = move || {
        let site = Arc::clone(&site.borrow());
        let requests = site.target.iter().flat_map(|target| target.cluster.take_requests());
        requests.for_each(|more| exposition.cluster_requests(more.verb, more.code_class, more.count));
        exposition.text()
    };
    Probes { unready: Arc::new(Vec::new), metrics: Arc::new(metrics), limits: Limits::default() }
}

fn api(folder: &Path, only: Vec<EnvironmentName>, site: watch::Receiver<Arc<Site>>) -> Result<Api, Reason> {
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
    let view = Arc::new(View { site, only, last: Mutex::default() });
    let status: http::Question = Arc::new(move |pipeline| {
        let view = Arc::clone(&view);
        Box::pin(async move { view.status(&pipeline).await })
    });
    Ok(Api { login: Arc::new(login), pipelines, status, limits: Limits::default() })
}

/// How the environments stand, looked at when somebody asks.
struct View {
    site: watch::Receiver<Arc<Site>>,
    only: Vec<EnvironmentName>,
    last: Mutex<Option<(Instant, Result<Value, Reason>)>>,
}

impl View {
    /// The document of the pipeline; `None` if it is not the one that this agent runs. Several who ask at once share one
    /// look.
    async fn status(&self, pipeline: &str) -> Result<Option<Value>, Reason> {
        let site = Arc::clone(&self.site.borrow());
        if site.setup.pipeline.name.as_str() != pipeline {
            return Ok(None);
        }
        let mut last = self.last.lock().await;
        if let Some((at, document)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            tracing::debug!(age_ms = at.elapsed().as_millis(), "document-served-again");
            return document.clone().map(Some);
        }
        let at = Instant::now();
        let views = status::views(&site, &self.only, &BTreeMap::new()).await;
        let document = views.map(|views| json!(status::present(&site, &views, clock::now(), false).document()));
        *last = Some((at, document.clone()));
        document.map(Some)
    }
}
