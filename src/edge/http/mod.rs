//! What the agent serves: `/healthz`, until more is built.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

/// Serves on an address until told to stop, and returns the address that was bound.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(address: SocketAddr, stop: CancellationToken) -> std::io::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let routes = Router::new().route("/healthz", get(|| async { "ok\n" }));
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(async move { stop.cancelled().await });
        if let Err(error) = served.await {
            tracing::error!(%error, "http-ended");
        }
    });
    Ok(bound)
}
