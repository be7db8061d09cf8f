//! The API: documents for those with a login.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::login::{Entry, Login};
use super::{Limits, Serving, nothing_here, refusal, serve, wrong_method};
use crate::name::{Code, Reason};

/// Makes a document.
pub type Document = Arc<dyn Fn() -> BoxFuture<'static, Result<Value, Reason>> + Send + Sync>;
/// Makes the document of a name; `None` if there is nothing of that name.
pub type Question = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Option<Value>, Reason>> + Send + Sync>;

/// What the API answers, and to whom.
#[derive(Clone)]
pub struct Api {
    /// Who may ask.
    pub login: Arc<Login>,
    /// The list of pipelines.
    pub pipelines: Document,
    /// How a pipeline stands.
    pub status: Question,
    /// What a client may do.
    pub limits: Limits,
}

/// Serves `/api/v1/` until told to stop. Without a login every path and every method is answered alike.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve_api(address: SocketAddr, stop: CancellationToken, api: Api) -> std::io::Result<Serving> {
    let (login, limits) = (Arc::clone(&api.login), api.limits);
    let routes = Router::new()
        .route("/api/v1/pipelines", get(pipelines))
        .route("/api/v1/pipelines/{pipeline}", get(status))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(api)
        .layer(middleware::from_fn_with_state(login, behind_login));
    serve(address, stop, routes, limits).await
}

async fn behind_login(State(login): State<Arc<Login>>, request: Request, next: Next) -> Response {
    match login.judge(request.headers()).await {
        Entry::Granted => next.run(request).await,
        Entry::NoIdentity => {
            let reason = Reason::new(Code::AuthenticationFailed, "a login is needed: `Authorization: Bearer TOKEN`");
            let answer = refusal(StatusCode::UNAUTHORIZED, &reason);
            ([(header::WWW_AUTHENTICATE, "Bearer")], answer).into_response()
        }
        Entry::NoRight => {
            let reason = Reason::new(Code::Forbidden, "the login is good, and has no right here");
            refusal(StatusCode::FORBIDDEN, &reason)
        }
        Entry::Unjudged => {
            let reason = Reason::new(Code::ClusterUnreachable, "the login cannot be judged now");
            refusal(StatusCode::SERVICE_UNAVAILABLE, &reason)
        }
    }
}

async fn pipelines(State(api): State<Api>) -> Response {
    answer((api.pipelines)().await.map(Some)).await
}

async fn status(State(api): State<Api>, Path(pipeline): Path<String>) -> Response {
    answer((api.status)(pipeline).await).await
}

async fn answer(made: Result<Option<Value>, Reason>) -> Response {
    match made {
        Ok(Some(document)) => ([(header::CACHE_CONTROL, "no-store")], axum::Json(document)).into_response(),
        Ok(None) => nothing_here().await,
        Err(reason) => refusal(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}
