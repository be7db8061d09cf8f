//! What the agent serves over HTTP: probes and metrics for machines without a login, the API for those with one.
//!
//! In: addresses, and functions that make the documents; this edge knows nothing of what is in them. Whoever connects
//! may be slow, hostile or many: heads, bodies, waits and the number of connections are bounded.

mod api;
mod login;
mod probes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::name::{Code, Reason};

pub use api::{Api, Document, Question, serve_api};
pub use login::Login;
pub use probes::{Lines, Probes, Text, serve_probes};

/// How long to wait when no connection can be accepted, for example because file descriptors ran out.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// What a client may do to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long it may take for the head of a request, and how long a connection may idle between two.
    pub head_wait: Duration,
    /// The longest head of a request in bytes, at least 8 KiB: a login by an identity provider takes some KiB.
    pub head: usize,
    /// The longest body of a request in bytes; nothing that is served reads one.
    pub body: u64,
    /// How long an answer may take to be made.
    pub answer_wait: Duration,
    /// How long a connection lives, so that one whose client stopped reading does not last.
    pub life: Duration,
    /// How long requests in flight may take when their connection is to end.
    pub grace: Duration,
    /// Connections at once; more wait until one ends.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_wait: Duration::from_secs(30),
            head: 16 * 1024,
            body: 64 * 1024,
            answer_wait: Duration::from_secs(30),
            life: Duration::from_secs(600),
            grace: Duration::from_secs(10),
            connections: 256,
        }
    }
}

/// An address that is served until it is told to stop.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    task: AbortOnDropHandle<()>,
}

impl Serving {
    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it was told to stop and the requests in flight are answered, for as long as they may take.
    pub async fn ended(self) {
        if self.task.await.is_err() {
            tracing::error!(address = %self.address, "http-ended");
        }
    }
}

/// Binds the address and serves the routes.
///
/// # Errors
/// The address cannot be bound.
async fn serve(
    address: SocketAddr,
    stop: CancellationToken,
    routes: Router,
    limits: Limits,
) -> std::io::Result<Serving> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let routes = routes.layer(middleware::from_fn_with_state(limits, bounded));
    let task = AbortOnDropHandle::new(tokio::spawn(accept(listener, stop, routes, limits)));
    Ok(Serving { address, task })
}

async fn accept(listener: TcpListener, stop: CancellationToken, routes: Router, limits: Limits) {
    let (connections, seats) = (TaskTracker::new(), Arc::new(Semaphore::new(limits.connections)));
    let next = async || {
        let seat = Arc::clone(&seats).acquire_owned().await.expect("because nobody closes it");
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return (stream, seat),
                Err(_) => tokio::time::sleep(ACCEPT_WAIT).await,
            }
        }
    };
    while let Some((stream, seat)) = stop.run_until_cancelled(next()).await {
        let (routes, stop) = (routes.clone(), stop.clone());
        connections.spawn(async move {
            attend(stream, routes, stop, limits).await;
            drop(seat);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Serves one connection. What a client does wrong ends the connection, and concerns nobody else.
async fn attend(stream: TcpStream, routes: Router, stop: CancellationToken, limits: Limits) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head_wait).max_buf_size(limits.head);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(limits.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(tokio::time::timeout(limits.grace, connection).await);
}

/// Bounds what a request may bring and how long its answer may take.
async fn bounded(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    if request.body().size_hint().lower() > limits.body {
        let reason = Reason::new(Code::LimitExceeded, format!("a body is at most {} bytes long", limits.body));
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, &reason);
    }
    let answer = tokio::time::timeout(limits.answer_wait, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let reason = Reason::new(Code::TimedOut, format!("there was no answer within {:?}", limits.answer_wait));
        refusal(StatusCode::SERVICE_UNAVAILABLE, &reason)
    })
}

/// An answer that says why there is none.
fn refusal(status: StatusCode, reason: &Reason) -> Response {
    let body = json!({"code": reason.code, "message": reason.message});
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// The same words for every name and path that is not there.
async fn nothing_here() -> Response {
    refusal(StatusCode::NOT_FOUND, &Reason::new(Code::UnknownName, "there is nothing of that name"))
}

async fn wrong_method() -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, &Reason::new(Code::Usage, "this can only be read, by GET"))
}
