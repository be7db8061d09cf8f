//! A loopback proxy in front of the API server, through which a test sees every request of an agent and plays faults.
//!
//! Plain HTTP/1.1 in; to the server it speaks as one user. A judge decides on every request twice: before it is sent on,
//! and after the server answered but before the answer goes back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body as Answer;
use futures::StreamExt as _;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::{ControlPlane, write_kubeconfig};

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// Counted from 1 over all requests.
    pub(crate) number: usize,
    /// Counted from 1 over the writes: no dry run, no Lease, no Event, no review.
    pub(crate) write: Option<usize>,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) user_agent: String,
    /// What was sent; null where it is not JSON.
    pub(crate) body: Value,
}

/// When the judge is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The server has not seen the request.
    Before,
    /// The server answered with this status; a write is done.
    After(u16),
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It goes on.
    Pass,
    /// The agent gets this answer.
    Answer(Reply),
    /// The connection is cut.
    Cut,
    /// The server's answer is cut after so many bytes, at least one; only once it has answered.
    CutAfter(usize),
    /// Nothing happens until [`Proxy::release`]; [`Proxy::hanging`] tells the test.
    Hang,
}

/// An answer that the proxy makes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Value,
}

impl Reply {
    /// A Kubernetes `Status`.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Reply {
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
                          "reason": reason, "message": message});
        Reply { status: code, headers: Vec::new(), body }
    }

    /// A watch that tells that its resource version is too old.
    pub(crate) fn gone_in_a_watch() -> Reply {
        let status = Reply::status(410, "Expired", "too old resource version");
        Reply { status: 200, headers: Vec::new(), body: json!({"type": "ERROR", "object": status.body}) }
    }

    /// 429 with `Retry-After` in seconds.
    pub(crate) fn too_many(seconds: u32) -> Reply {
        let headers = vec![("retry-after", seconds.to_string())];
        Reply { headers, ..Reply::status(429, "TooManyRequests", "too many requests, please try again later") }
    }
}

type Judge = Arc<dyn Fn(&Call, Moment) -> Verdict + Send + Sync>;

/// A running proxy; it ends, with all its connections, when this value is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    kubeconfig: PathBuf,
    shared: Arc<Shared>,
    hanging: Mutex<mpsc::UnboundedReceiver<Call>>,
    open: watch::Sender<Gate>,
    runtime: tokio::runtime::Handle,
}

/// Whether hanging requests wait, are cut, or everything ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Shut(u64),
    Ended,
}

struct Shared {
    upstream: kube::Client,
    calls: Mutex<Vec<Call>>,
    judge: Mutex<Judge>,
    hung: mpsc::UnboundedSender<Call>,
}

impl Proxy {
    /// Starts a proxy that speaks to the server as this user and lets everything pass.
    pub(crate) fn start(plane: &ControlPlane, user: &str) -> Proxy {
        let upstream = plane.client(user);
        let listener = plane.block_on(TcpListener::bind("127.0.0.1:0")).expect("because loopback ports are left");
        let address = listener.local_addr().expect("because it is bound");
        let (hung, hanging) = mpsc::unbounded_channel();
        let judge: Judge = Arc::new(|_, _| Verdict::Pass);
        let shared = Shared { upstream, calls: Mutex::default(), judge: Mutex::new(judge), hung };
        let shared = Arc::new(shared);
        let (open, gate) = watch::channel(Gate::Shut(0));
        plane.runtime().spawn(accept(listener, Arc::clone(&shared), gate));
        let url = format!("http://{address}");
        let kubeconfig = write_kubeconfig(plane.folder(), &format!("proxy-{}", address.port()), &url, user);
        let runtime = plane.runtime().clone();
        Proxy { address, kubeconfig, shared, hanging: Mutex::new(hanging), open, runtime }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig file that leads through it.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig.clone()
    }

    /// Sets who decides from now on.
    pub(crate) fn judge(&self, judge: impl Fn(&Call, Moment) -> Verdict + Send + Sync + 'static) {
        *lock(&self.shared.judge) = Arc::new(judge);
    }

    /// Every request so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.shared.calls).clone()
    }

    /// The writes so far.
    pub(crate) fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.write.is_some()).collect()
    }

    /// Forgets all requests, so that counting begins anew.
    pub(crate) fn forget(&self) {
        lock(&self.shared.calls).clear();
    }

    /// The next request that hangs; `None` if none did within the time.
    pub(crate) fn hanging(&self, within: Duration) -> Option<Call> {
        let mut hanging = lock(&self.hanging);
        self.runtime.block_on(async { tokio::time::timeout(within, hanging.recv()).await.ok().flatten() })
    }

    /// Cuts the connections of all hanging requests.
    pub(crate) fn release(&self) {
        self.open.send_modify(|gate| {
            if let Gate::Shut(times) = *gate {
                *gate = Gate::Shut(times + 1);
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.open.send_replace(Gate::Ended);
    }
}

/// The connection is to be cut: hyper drops it without an answer when its service fails.
#[derive(Debug)]
struct CutConnection;

impl std::fmt::Display for CutConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on purpose")
    }
}

impl std::error::Error for CutConnection {}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut gate: watch::Receiver<Gate>) {
    loop {
        let for_connection = gate.clone();
        tokio::select! {
            _ = gate.wait_for(|gate| *gate == Gate::Ended) => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(connection(stream, Arc::clone(&shared), for_connection));
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, gate: watch::Receiver<Gate>) {
    // Whatever waits for an acknowledgement here would be taken for the agent's time.
    stream.set_nodelay(true).expect("because the connection is open");
    let mut ended = gate.clone();
    let service = hyper::service::service_fn(move |request| handle(request, Arc::clone(&shared), gate.clone()));
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A connection that the agent or a verdict broke off is what tests ask for.
        _ = served => {}
        _ = ended.wait_for(|gate| *gate == Gate::Ended) => {}
    }
}

async fn handle(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    gate: watch::Receiver<Gate>,
) -> Result<Response<Answer>, CutConnection> {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(Answer::new(body), usize::MAX).await.map_err(|_| CutConnection)?;
    let call = shared.record(&parts, &bytes);
    if let Next::Reply(reply) = shared.decide(&call, Moment::Before, &gate).await? {
        return Ok(reply);
    }
    let mut onward = Request::builder().method(parts.method).uri(parts.uri);
    let headers = onward.headers_mut().ok_or(CutConnection)?;
    *headers = passed_on(&parts.headers);
    // The upstream client speaks as the proxy's user.
    headers.remove(http::header::AUTHORIZATION);
    let onward = onward.body(Body::from(bytes)).map_err(|_| CutConnection)?;
    let answer = shared.upstream.send(onward).await.map_err(|_| CutConnection)?;
    let next = shared.decide(&call, Moment::After(answer.status().as_u16()), &gate).await?;
    let (parts, body) = answer.into_parts();
    let mut response = match next {
        Next::Reply(reply) => return Ok(reply),
        Next::Onward => Response::new(Answer::new(body)),
        Next::Part(bytes) => Response::new(cut_after(body, bytes)),
    };
    *response.status_mut() = parts.status;
    *response.headers_mut() = passed_on(&parts.headers);
    Ok(response)
}

impl Shared {
    fn record(&self, parts: &http::request::Parts, body: &[u8]) -> Call {
        let mut calls = lock(&self.calls);
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let writes = calls.iter().filter(|call| call.write.is_some()).count();
        let write = is_write(parts.method.as_str(), &path, &query).then_some(writes + 1);
        let user_agent = parts.headers.get("user-agent").and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let call = Call {
            number: calls.len() + 1,
            write,
            method: parts.method.to_string(),
            path,
            query,
            user_agent: user_agent.to_owned(),
            body: serde_json::from_slice(body).unwrap_or_default(),
        };
        calls.push(call.clone());
        call
    }

    /// How it goes on; an error cuts the connection.
    async fn decide(&self, call: &Call, moment: Moment, gate: &watch::Receiver<Gate>) -> Result<Next, CutConnection> {
        let judge = Arc::clone(&*lock(&self.judge));
        match judge(call, moment) {
            Verdict::Pass => Ok(Next::Onward),
            Verdict::Answer(reply) => Ok(Next::Reply(response(&reply))),
            Verdict::CutAfter(bytes) => Ok(Next::Part(bytes)),
            Verdict::Cut => Err(CutConnection),
            Verdict::Hang => {
                let mut gate = gate.clone();
                gate.borrow_and_update();
                // A test that no longer listens has ended.
                drop(self.hung.send(call.clone()));
                drop(gate.changed().await);
                Err(CutConnection)
            }
        }
    }
}

/// What happens next to a request.
enum Next {
    Onward,
    Reply(Response<Answer>),
    Part(usize),
}

/// The first bytes of a body; then its connection breaks.
fn cut_after(body: Body, bytes: usize) -> Answer {
    let chunks = Answer::new(body).into_data_stream();
    let part = futures::stream::unfold(Some((chunks, bytes)), |state| async move {
        let (mut chunks, left) = state?;
        if left == 0 {
            return Some((Err(std::io::Error::other(CutConnection)), None));
        }
        match chunks.next().await? {
            Ok(chunk) => {
                let part = chunk.slice(..chunk.len().min(left));
                let left = left - part.len();
                Some((Ok(part), Some((chunks, left))))
            }
            Err(error) => Some((Err(std::io::Error::other(error)), None)),
        }
    });
    Answer::from_stream(part)
}

fn is_write(method: &str, path: &str, query: &str) -> bool {
    let changes = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
    let segments: Vec<&str> = path.split('/').collect();
    let aside = segments.iter().any(|segment| matches!(*segment, "leases" | "events") || segment.ends_with("reviews"));
    changes && !aside && !query.contains("dryRun=All")
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in ["host", "connection", "keep-alive", "transfer-encoding", "content-length"] {
        headers.remove(name);
    }
    headers
}

fn response(reply: &Reply) -> Response<Answer> {
    let mut builder = Response::builder().status(reply.status).header("content-type", "application/json");
    for (name, value) in &reply.headers {
        builder = builder.header(*name, value);
    }
    builder.body(Answer::from(reply.body.to_string())).expect("because tests give valid headers")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
