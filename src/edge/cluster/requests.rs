//! How many requests were sent, by verb and by the class of the answer. No path, name or header is kept.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{Method, Request, Response, header};
use tower::{Layer, Service};

use super::Cluster;

/// What is asked, in the words of RBAC (Kubernetes documentation, "Determine the request verb"); `apply` is a `patch` of
/// its own.
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "apply", "patch", "delete"];
/// What came back; `error`: no answer, or one that is none.
const CLASSES: [&str; 4] = ["2xx", "4xx", "5xx", "error"];

/// Requests of one verb whose answers were of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requests {
    /// `get`, `list`, `watch`, `create`, `update`, `apply`, `patch` or `delete`.
    pub verb: &'static str,
    /// `2xx`, `4xx`, `5xx` or `error`.
    pub code_class: &'static str,
    /// How many.
    pub count: u64,
}

impl Cluster {
    /// The requests that were answered, or were not, since this was asked last, by this connection and its clones and
    /// clients. A watch counts once, when it begins.
    #[must_use]
    pub fn take_requests(&self) -> Vec<Requests> {
        let mut taken = Vec::new();
        for (verb, counts) in VERBS.into_iter().zip(&self.counter.0) {
            for (code_class, count) in CLASSES.into_iter().zip(counts) {
                let count = count.swap(0, Ordering::Relaxed);
                if count > 0 {
                    taken.push(Requests { verb, code_class, count });
                }
            }
        }
        taken
    }
}

/// Counts by verb and class.
#[derive(Debug, Default)]
pub(super) struct Counter([[AtomicU64; CLASSES.len()]; VERBS.len()]);

/// Puts a counter around a client.
pub(super) struct Counting(pub(super) Arc<Counter>);

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, counter: Arc::clone(&self.0) }
    }
}

/// A client whose requests are counted.
pub(super) struct Counted<S> {
    inner: S,
    counter: Arc<Counter>,
}

impl<S, A, B> Service<Request<A>> for Counted<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // It counts when it goes, so also where nobody waits for the answer any more.
        let mut asked = Asked { counter: Arc::clone(&self.counter), verb: verb(&request), class: "error" };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            asked.answered(answer.status().as_u16());
            Ok(answer)
        })
    }
}

/// A request in flight.
struct Asked {
    counter: Arc<Counter>,
    verb: &'static str,
    class: &'static str,
}

impl Asked {
    fn answered(&mut self, status: u16) {
        self.class = class(status);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let at = |words: &[&str], word: &str| words.iter().position(|other| *other == word);
        if let (Some(verb), Some(class)) = (at(&VERBS, self.verb), at(&CLASSES, self.class)) {
            self.counter.0[verb][class].fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn class(status: u16) -> &'static str {
    match status {
        200..300 => "2xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "error",
    }
}

fn verb<A>(request: &Request<A>) -> &'static str {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let watches = || {
        let query = request.uri().query().unwrap_or_default();
        query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
    };
    match *request.method() {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if media.starts_with("application/apply-patch") => "apply",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ if watches() => "watch",
        _ if is_collection(request.uri().path()) => "list",
        _ => "get",
    }
}

/// Whether a path is that of all objects of a kind: `/api/VERSION` or `/apis/GROUP/VERSION`, then `namespaces/NAME` or
/// nothing, then the kind's plural and no more.
fn is_collection(path: &str) -> bool {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let objects = match segments.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return false,
    };
    matches!(objects, [_] | ["namespaces", _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, media: &str) -> Request<()> {
        let request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, media);
        request.body(()).expect("because it is a request")
    }

    #[test]
    fn a_request_has_the_verb_that_rbac_knows_it_by() {
        for (method, uri, media, expected) in [
            ("GET", "/version", "", "get"),
            ("GET", "/apis", "", "get"),
            ("GET", "/api/v1/namespaces/shop", "", "get"),
            ("GET", "/api/v1/namespaces/shop/secrets/token", "", "get"),
            ("GET", "/apis/apps/v1/namespaces/shop/deployments/web/scale", "", "get"),
            ("GET", "/api/v1/namespaces", "", "list"),
            ("GET", "/api/v1/namespaces/shop/secrets?limit=500&continue=x", "", "list"),
            ("GET", "/apis/apps/v1/deployments?labelSelector=a%3Db", "", "list"),
            ("GET", "/apis/apps/v1/deployments?labelSelector=a%3Db&watch=true", "", "watch"),
            ("GET", "/apis/apps/v1/namespaces/shop/deployments?watch=1", "", "watch"),
            ("POST", "/api/v1/namespaces/shop/configmaps", "application/json", "create"),
            ("PUT", "/api/v1/namespaces/shop/configmaps/a", "application/json", "update"),
            ("PATCH", "/api/v1/namespaces/shop/configmaps/a?force=true", "application/apply-patch+yaml", "apply"),
            ("PATCH", "/api/v1/namespaces/shop/configmaps/a", "application/merge-patch+json", "patch"),
            ("DELETE", "/api/v1/namespaces/shop/configmaps/a", "application/json", "delete"),
        ] {
            assert_eq!(verb(&request(method, uri, media)), expected, "{method} {uri}");
        }
    }

    #[tokio::test]
    async fn every_request_counts_once_also_without_an_answer() {
        let counter = Arc::new(Counter::default());
        let statuses = [200, 201, 404, 409, 429, 500, 503, 302];
        for status in statuses {
            let answer = move |_| async move { Response::builder().status(status).body(()) };
            let mut client = Counting(Arc::clone(&counter)).layer(tower::service_fn(answer));
            client.call(request("GET", "/version", "")).await.expect("because it answers");
        }
        let fails = |_: Request<()>| async { Err::<Response<()>, _>("cut") };
        let mut client = Counting(Arc::clone(&counter)).layer(tower::service_fn(fails));
        client.call(request("GET", "/version", "")).await.expect_err("because it is cut");
        let silent = |_: Request<()>| std::future::pending::<Result<Response<()>, &str>>();
        let mut client = Counting(Arc::clone(&counter)).layer(tower::service_fn(silent));
        drop(client.call(request("GET", "/version", "")));
        let counted = counter.0[0].each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counted, [2, 3, 2, 3], "2xx, 4xx, 5xx, error");
        assert!(counter.0[1..].iter().flatten().all(|count| count.load(Ordering::Relaxed) == 0));
    }
}
