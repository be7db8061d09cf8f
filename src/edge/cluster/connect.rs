//! How to reach the cluster.

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tower::ServiceBuilder;

use super::requests::{Counter, Counting};
use super::{Cluster, ClusterError};

/// What the operator said about reaching the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig file; `None`: `KUBECONFIG`, else the pod's service account, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it; `None`: the current one.
    pub context: Option<String>,
}

impl Cluster {
    /// Makes a connection; nothing is asked of the server yet.
    ///
    /// # Errors
    /// [`ClusterError::Configuration`].
    pub async fn connect(access: &Access) -> Result<Cluster, ClusterError> {
        let (config, in_cluster) = find(access).await?;
        Self::with_config(config, in_cluster)
    }

    /// Whether it was reached with the service account of a pod.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        self.in_cluster
    }

    /// The client, for the journal's edge.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// The uid of the namespace `kube-system`, which names the cluster.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn uid(&self) -> Result<String, ClusterError> {
        let what = "`Namespace/kube-system`";
        let answer = self.get("/api/v1/namespaces/kube-system", what).await?;
        let uid = answer.body.pointer("/metadata/uid").and_then(serde_json::Value::as_str);
        match uid {
            Some(uid) if answer.is_success() => Ok(uid.to_owned()),
            Some(_) | None => Err(answer.error(what)),
        }
    }

    /// The time by the server's clock, in whole seconds.
    ///
    /// # Errors
    /// There is no answer, or it does not say.
    pub async fn time(&self) -> Result<jiff::Timestamp, ClusterError> {
        let what = "the server's clock";
        let answer = self.get("/version", what).await?;
        let silent = || ClusterError::Unreachable { what: what.to_owned(), cause: "the answer has no date".to_owned() };
        answer.date.ok_or_else(silent)
    }

    fn with_config(mut config: kube::Config, in_cluster: bool) -> Result<Cluster, ClusterError> {
        // The stock policy retries writes for minutes behind our back; the agent owns retries.
        config.default_retry = false;
        // `HTTPS_PROXY` is for what lies beyond this machine.
        if config.cluster_url.host().is_some_and(is_loopback) {
            config.proxy_url = None;
        }
        let agent = concat!("lockmaster/", env!("CARGO_PKG_VERSION"));
        let user_agent: HeaderName = http::header::USER_AGENT;
        config.headers.retain(|(name, _)| *name != user_agent);
        config.headers.push((user_agent, HeaderValue::from_static(agent)));
        let counter = Arc::<Counter>::default();
        let client = client(&config, &counter).map_err(|error| ClusterError::Configuration(chain(&error)))?;
        let (known, refreshing) = (Arc::default(), Arc::default());
        Ok(Cluster { client, config: Arc::new(config), in_cluster, counter, known, refreshing })
    }
}

/// The client. Without a proxy its connections send at once what they are given: by Nagle's algorithm (RFC 896) the second
/// part of a request waits until the first is acknowledged, which a server may put off for 40 ms.
fn client(config: &kube::Config, counter: &Arc<Counter>) -> kube::Result<kube::Client> {
    let counting = Counting(Arc::clone(counter));
    if config.proxy_url.is_some() {
        return Ok(ClientBuilder::try_from(config.clone())?.with_layer(&counting).build());
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(connector)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(Client::builder(TokioExecutor::new()).build(connector));
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).with_layer(&counting).build())
}

/// `localhost`, or an address of this machine alone.
fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The configuration, and whether it is that of a pod.
async fn find(access: &Access) -> Result<(kube::Config, bool), ClusterError> {
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let configuration = |error: kube::config::KubeconfigError| ClusterError::Configuration(chain(&error));
    let kubeconfig = match &access.kubeconfig {
        Some(path) => Some(Kubeconfig::read_from(path).map_err(configuration)?),
        None => Kubeconfig::from_env().map_err(configuration)?,
    };
    let kubeconfig = match kubeconfig {
        Some(kubeconfig) => kubeconfig,
        // A context can only be one of a file.
        None if access.context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
            let config = kube::Config::incluster().map_err(|error| ClusterError::Configuration(chain(&error)))?;
            return Ok((config, true));
        }
        None => Kubeconfig::read().map_err(configuration)?,
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(configuration)?;
    Ok((config, false))
}

/// An error and what caused it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}
