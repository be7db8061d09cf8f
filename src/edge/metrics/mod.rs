//! What a server says about a release: the HTTP and Prometheus checks.
//!
//! In: the address and the question of a [`Probe`]. Out: a [`Reading`], always; a server that cannot be reached, is slow
//! or says too much gives one that is unknown. Each look is one request on a connection of its own: no redirect is
//! followed, no proxy is used, nothing is sent again, and no credential is sent at all. What an answer means is decided
//! above the wall ([`crate::health::check`]).

mod exchange;

use std::sync::Arc;
use std::time::Duration;

use crate::health::check::{Address, Predicate, Probe, Query, Reading, http, prometheus};

use exchange::Question;

/// How long a look may take, from the name of the host to the meaning of the answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The longest answer in bytes.
pub const BODY_LIMIT: usize = 1 << 20;

/// Asks servers. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    limit: Duration,
    tls: Arc<rustls::ClientConfig>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Metrics {
    /// Believes the certificates of the machine for `https://`; `limit` is mostly [`TIME_LIMIT`].
    ///
    /// It reads files: make one, and keep it. Without certificates every `https://` look is unknown.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::with_roots(limit, roots)
    }

    /// Believes these authorities for `https://`, and no others.
    ///
    /// # Panics
    /// Never: the provider has the protocol versions that are asked for.
    #[must_use]
    pub fn with_roots(limit: Duration, roots: rustls::RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("because ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Metrics { limit, tls: Arc::new(tls) }
    }

    /// Looks once at what a check looks at; `None` for what the cluster is asked for (`job`, `restarts`).
    pub async fn look(&self, probe: &Probe) -> Option<Reading> {
        match probe {
            Probe::Http { url, expect } => Some(self.http_json(url, expect).await),
            Probe::Prometheus(query) => Some(self.prometheus(query).await),
            Probe::Job(_) | Probe::Restarts { .. } => None,
        }
    }

    /// Asks an HTTP server by GET; see [`http::reading`] for what its answer means.
    pub async fn http_json(&self, url: &Address, expect: &Predicate) -> Reading {
        let look = async {
            let (status, body) = self.exchange(url, &Question::Get).await?;
            let expect = expect.clone();
            // The largest body that is let through takes the evaluator seconds.
            let judged = tokio::task::spawn_blocking(move || http::reading(status, &body, &expect)).await;
            judged.map_err(|_| "the predicate cannot be computed of this answer".to_owned())
        };
        self.in_time(look).await.unwrap_or_else(Reading::Unknown)
    }

    /// Asks a Prometheus server for the present value of a query; see [`prometheus::reading`] for what its answer means.
    ///
    /// No time is sent: samples carry the server's time, and a query at ours would see the past where our clock is slow.
    pub async fn prometheus(&self, query: &Query) -> Reading {
        if let Some(least) = &query.min_samples {
            let measured = self.query(&query.url, &least.query).await;
            if let Some(unknown) = prometheus::too_few(&measured, least.count) {
                return unknown;
            }
        }
        self.query(&query.url, &query.query).await
    }

    async fn query(&self, url: &Address, query: &str) -> Reading {
        // By POST, so that a long query fits (Prometheus documentation, "HTTP API", "Instant queries").
        let form = format!("query={}&timeout={}", exchange::form(query), self.limit.as_secs_f64());
        let question = Question::Form { below: "/api/v1/query", form };
        let look = self.exchange(url, &question);
        match self.in_time(look).await {
            Ok((status, body)) => prometheus::reading(status, &body),
            Err(problem) => Reading::Unknown(problem),
        }
    }

    async fn in_time<T>(&self, look: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let late = || format!("no answer within {}", humantime::format_duration(self.limit));
        tokio::time::timeout(self.limit, look).await.unwrap_or_else(|_| Err(late()))
    }
}
