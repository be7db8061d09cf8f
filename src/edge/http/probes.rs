//! Probes and metrics, without a login.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::{Limits, Serving, nothing_here, serve, wrong_method};

/// The Prometheus text form (Prometheus documentation, "Text-based format").
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes a text.
pub type Text = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;
/// Makes lines.
pub type Lines = Arc<dyn Fn() -> BoxFuture<'static, Vec<String>> + Send + Sync>;

/// What the probes tell.
#[derive(Clone)]
pub struct Probes {
    /// What is not ready, a line each; none: ready.
    pub unready: Lines,
    /// The metrics as Prometheus text, version 0.0.4.
    pub metrics: Text,
    /// What a client may do.
    pub limits: Limits,
}

/// Serves `/healthz`, `/readyz` and `/metrics` until told to stop.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_probes(address: SocketAddr, stop: CancellationToken, probes: Probes) -> std::io::Result<Serving> {
    let limits = probes.limits;
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(probes);
    serve(address, stop, routes, limits).await
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let unready = (probes.unready)().await;
    if unready.is_empty() {
        return "ok\n".into_response();
    }
    let lines: String = unready.iter().map(|line| format!("{line}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn metrics(State(probes): State<Probes>) -> Response {
    ([(header::CONTENT_TYPE, METRICS)], (probes.metrics)().await).into_response()
}
