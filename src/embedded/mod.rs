//! A small Kubernetes API in the process, for `demo`, `run --embedded` and quick tests. Its own wing: the agent reaches it
//! only over HTTP, as any server.
//!
//! | it does | as far as | compared with a real server |
//! |---|---|---|
//! | discovery, GET, LIST with pages, WATCH with bookmarks and 410 | every stable built-in kind, and the kinds of CRDs; discovery in the aggregated form | transcripts: GET, LIST, events of watches |
//! | create, PUT, merge patch, JSON patch, dry run, `/status`, `/scale` | with the defaults of a real server | truth: random writes to ConfigMaps, Services, Deployments and custom objects, every kind created and replaced once; transcripts |
//! | server-side apply with `managedFields`, conflicts and list keys | by the schema of a real server ([`schema`]) | truth: random applies of the same four, with and without force; transcripts |
//! | refusals: types, unknown, required and immutable fields, names, selectors, typed Secrets | what people commonly get wrong ([`checks`]) | truth: `refused.jsonl`; beyond it a real server refuses more |
//! | delete with preconditions, finalizers, owner references, namespaces | in the background | transcripts: deletes by the agent and its tests |
//! | CRDs | stored; their objects are opaque, not checked against the schema | truth: one that keeps unknown fields |
//! | pods, and what makes them | by [`puppets`]: image tags play failures | not compared |
//!
//! Transcripts are what `tests/first_light.rs` and its agent said to a real server, replayed by `tests/transcripts`; truth is
//! `tests/embedded_truth`, which sends the same writes to both. `tests/schema_table` keeps the kinds and types true. Never
//! compared: uids, versions, times, addresses.
//!
//! Known to differ: scaling to the number that is there, while a manager that updated owns it, changes nothing here and
//! writes the manager down twice there. The messages of 422 show values, such as a roleRef or the template of a Job, as JSON,
//! not as Go does; those of 400 and of applies that cannot be read leave the types of Go out. Objects of CRDs are not checked
//! against their structural schemas. Amounts are not rounded up to thousandths. What a merge leaves of two fields that
//! exclude each other (two kinds of probe in one) is refused there only. The Events of the two groups are apart.
//!
//! What it does not do is answered with 501 and its name: strategic merge patches, logs, exec, admission webhooks,
//! authorization reviews, quotas, and more. Everything is in memory and ends with it.

mod checks;
mod defaults;
mod delete;
mod discovery;
mod fields;
mod managed;
mod objects;
mod puppets;
mod read;
mod refusal;
mod request;
mod scale;
mod schema;
mod selector;
mod serve;
mod state;
mod store;
mod watch;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State as Shared};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch as newest;
use tokio_util::task::AbortOnDropHandle;

use refusal::Refusal;
use request::{Objects, Parameters, Place};
use schema::Resource;
use state::State;
use write::How;

/// The longest body of a request in bytes (kube-apiserver, `MaxRequestBodyBytes`).
const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// How it is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address; port 0 is a free one.
    pub listen: SocketAddr,
    /// HTTPS with a certificate of its own, or plain HTTP.
    pub https: bool,
    /// The bearer tokens of which every request needs one; none: a random one. Who has one may do everything.
    pub tokens: Vec<String>,
    /// Whether workloads get pods, claims are bound, and addresses are given.
    pub puppets: bool,
    /// How many changes are kept for watches; older ones are answered with 410.
    pub window: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            https: true,
            tokens: Vec::new(),
            puppets: true,
            window: 10_000,
        }
    }
}

/// A running API; it ends with this value.
pub struct Embedded {
    server: Arc<Server>,
    address: SocketAddr,
    certificate: Option<String>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Embedded {
    /// Starts it.
    ///
    /// # Errors
    /// The address cannot be bound, or no certificate can be made.
    pub async fn start(options: Options) -> std::io::Result<Embedded> {
        let mut tokens = options.tokens;
        if tokens.is_empty() {
            tokens.push(write::random_token());
        }
        let how = How::of_controller("kube-apiserver");
        let state = State::new(options.window, &how);
        let (newest, _) = newest::channel(state.store.version());
        let server = Arc::new(Server { state: Mutex::new(state), newest, tokens });
        let routes = Router::new().route("/{*path}", axum::routing::any(answer));
        let routes = routes.layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(Arc::clone(&server));
        let served = serve::serve(options.listen, options.https, routes).await?;
        let mut tasks = vec![served.task];
        if options.puppets {
            tasks.push(AbortOnDropHandle::new(tokio::spawn(puppets::play(Arc::clone(&server)))));
        }
        Ok(Embedded { server, address: served.address, certificate: served.certificate, tasks })
    }

    /// Where it is served, such as `https://127.0.0.1:41873`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate that it shows, PEM; `None` where it is plain HTTP.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// A kubeconfig with its address, certificate and token. JSON, which is YAML.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        use base64::Engine as _;
        let mut cluster = json!({"server": self.url()});
        if let Some(certificate) = &self.certificate {
            let data = base64::prelude::BASE64_STANDARD.encode(certificate);
            cluster["certificate-authority-data"] = json!(data);
        }
        let name = "embedded";
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"token": self.server.tokens[0]}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "default"}}],
        });
        format!("{config:#}\n")
    }

    /// Forgets all changes but the newest so many: a watch that needs an older one is answered with 410.
    pub fn compact(&self, kept: usize) {
        self.server.state().store.compact(kept);
    }

    /// Ends it: every connection, every watch.
    pub async fn stop(self) {
        for task in self.tasks {
            task.abort();
            drop(task.await);
        }
    }
}

/// What every request works on.
struct Server {
    state: Mutex<State>,
    newest: newest::Sender<u64>,
    tokens: Vec<String>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the watches if it changed.
    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let done = write(&mut state);
        let version = state.store.version();
        drop(state);
        self.newest.send_if_modified(|newest| std::mem::replace(newest, version) != version);
        done
    }
}

/// A request as the handlers below need it.
struct Asked<'a> {
    resource: &'a Arc<Resource>,
    objects: Objects,
    parameters: Parameters,
    headers: HeaderMap,
    body: Bytes,
}

async fn answer(
    Shared(server): Shared<Arc<Server>>,
    method: Method,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let parameters = Query::<Parameters>::try_from_uri(&uri);
    let answered = || -> Result<Response, Refusal> {
        if !server.admits(&headers) {
            return Err(Refusal::new(401, "Unauthorized", "Unauthorized"));
        }
        let too_long = |_| Refusal::new(413, "RequestEntityTooLarge", format!("a body has at most {BODY_LIMIT} bytes"));
        let body = body.map_err(too_long)?;
        let Query(parameters) = parameters.map_err(|error| Refusal::bad_request(error.body_text()))?;
        match Place::parse(&path).ok_or_else(Refusal::no_such_path)? {
            Place::Objects(objects) => {
                let found = server.state().find(&objects.group, &objects.version, &objects.plural);
                let resource = &found.ok_or_else(|| unserved(&objects))?;
                server.objects(&method, Asked { resource, objects, parameters, headers, body })
            }
            _ if method != Method::GET => Err(Refusal::method(method.as_str())),
            place => server.document(&place, &headers),
        }
    };
    answered().unwrap_or_else(IntoResponse::into_response)
}

/// A kind that is not served: one that Kubernetes has and that would only pretend here, or none at all.
fn unserved(objects: &Objects) -> Refusal {
    let known = schema::unserved().iter();
    let mut known = known.filter(|[group, plural, _]| *group == objects.group && *plural == objects.plural);
    match known.next() {
        Some([_, plural, why]) => Refusal::not_supported(&format!("`{plural}` ({why})")),
        None => Refusal::no_such_path(),
    }
}

impl Server {
    fn admits(&self, headers: &HeaderMap) -> bool {
        use subtle::ConstantTimeEq as _;
        let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
        let given = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
        self.tokens.iter().any(|token| given.as_bytes().ct_eq(token.as_bytes()).into())
    }

    /// A document about the API.
    fn document(&self, place: &Place, headers: &HeaderMap) -> Result<Response, Refusal> {
        let old = "discovery that is not aggregated";
        match place {
            Place::Health => Ok("ok".into_response()),
            Place::Version => Ok(axum::Json(version()).into_response()),
            Place::Discovery { core } if request::accepts(headers, "v=v2;as=APIGroupDiscoveryList") => {
                let form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
                Ok(([(header::CONTENT_TYPE, form)], self.state().discovery(*core).to_string()).into_response())
            }
            Place::Group(group, version) => {
                let is_it = |resource: &Arc<Resource>| {
                    resource.group == *group && version.as_ref().is_none_or(|version| *version == resource.version)
                };
                let is_served = self.state().resources().any(is_it);
                Err(if is_served { Refusal::not_supported(old) } else { Refusal::no_such_path() })
            }
            Place::OpenApi => Err(Refusal::not_supported("the OpenAPI document (kubectl: add --validate=false)")),
            Place::Discovery { .. } | Place::Objects(_) => Err(Refusal::not_supported(old)),
        }
    }

    fn objects(self: &Arc<Self>, method: &Method, asked: Asked<'_>) -> Result<Response, Refusal> {
        let objects = &asked.objects;
        match (method.as_str(), objects.name.as_deref()) {
            (method, Some(name)) => {
                if asked.resource.namespaced && objects.namespace.is_none() {
                    return Err(Refusal::no_such_path());
                }
                let key = asked.resource.key(objects.namespace.as_deref().unwrap_or_default(), name);
                self.object(method, &asked, &key)
            }
            ("GET", None) => self.look(asked),
            ("POST", None) => {
                let how = asked.parameters.how(&asked.headers)?;
                let mut body = asked.json(&[JSON])?;
                write::decode(asked.resource, &mut body, &how)?;
                let namespace = objects.namespace.as_deref();
                let created = self.write(|state| state.create(asked.resource, namespace, body, &how))?;
                Ok((StatusCode::CREATED, axum::Json(created)).into_response())
            }
            ("DELETE", None) => Err(Refusal::not_supported("deleting a whole collection")),
            (method, None) => Err(Refusal::method(method)),
        }
    }

    /// Lists or watches.
    fn look(self: &Arc<Self>, asked: Asked<'_>) -> Result<Response, Refusal> {
        let view = request::view(&asked.headers);
        let Asked { resource, objects, parameters, .. } = asked;
        if parameters.is_watch() {
            return watch::watch(self, Arc::clone(resource), objects.namespace, &parameters, view);
        }
        let list = self.state().list(resource, objects.namespace.as_deref(), &parameters, view)?;
        Ok(axum::Json(list).into_response())
    }

    fn object(&self, method: &str, asked: &Asked<'_>, key: &store::Key) -> Result<Response, Refusal> {
        let resource = asked.resource;
        let part = match asked.objects.part.as_deref() {
            None => None,
            Some("status") if resource.has_status => Some("status"),
            Some("scale") if resource.has_scale => return self.scale(method, asked, key),
            Some(part) => return Err(Refusal::not_supported(&format!("`{}/{part}`", resource.plural))),
        };
        let how = asked.parameters.how(&asked.headers)?.to(part);
        let view = request::view(&asked.headers);
        let (code, object) = match method {
            "GET" => (StatusCode::OK, Value::clone(self.state().live(key)?.as_ref())),
            "PUT" => {
                let mut body = asked.json(&[JSON])?;
                write::decode(resource, &mut body, &how)?;
                (
                    StatusCode::OK,
                    self.write(|state| state.replace(resource, key, state.live(key)?.as_ref(), body, &how))?,
                )
            }
            "PATCH" if request::media(&asked.headers) == APPLY => {
                let config = asked.configuration()?;
                let force = asked.parameters.force == Some(true);
                let (object, is_new) = self.write(|state| state.apply(resource, key, &config, force, &how))?;
                (if is_new { StatusCode::CREATED } else { StatusCode::OK }, object)
            }
            "PATCH" => {
                let object = self.write(|state| {
                    let live = state.live(key)?;
                    let mut object = asked.patched(Value::clone(&live))?;
                    write::decode(resource, &mut object, &how).map_err(|why| why.of_patch(&object))?;
                    state.replace(resource, key, &live, object, &how)
                })?;
                (StatusCode::OK, object)
            }
            "DELETE" if part.is_none() => {
                let body = if asked.body.is_empty() { json!({}) } else { asked.json(&[JSON])? };
                let propagation = asked.parameters.propagation_policy.as_deref().unwrap_or_default();
                let options = delete::Options::parse(&body, propagation)?;
                let deleted = self.write(|state| state.delete(resource, key, &options, &how))?;
                return Ok(axum::Json(deleted).into_response());
            }
            other => return Err(Refusal::method(other)),
        };
        Ok((code, axum::Json(view.show(resource, &object))).into_response())
    }
}

/// The types of bodies.
const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON_PATCH: &str = "application/json-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

impl Asked<'_> {
    /// The body, if it is of one of these types.
    fn json(&self, accepted: &[&str]) -> Result<Value, Refusal> {
        request::json(&self.headers, &self.body, accepted)
    }

    /// The body of a server-side apply.
    fn configuration(&self) -> Result<Value, Refusal> {
        match self.parameters.field_manager.as_deref() {
            None | Some("") => {
                Err(Refusal::bad_request("PatchOptions: fieldManager: Required value: is required for apply patch"))
            }
            Some(_) => self.json(&[APPLY]),
        }
    }

    /// An object with a merge patch (RFC 7396) or a JSON patch (RFC 6902) applied.
    fn patched(&self, mut object: Value) -> Result<Value, Refusal> {
        if self.parameters.force.is_some() {
            let message = "PatchOptions: force: Forbidden: may not be specified for non-apply patch";
            return Err(Refusal::bad_request(message));
        }
        let patch = self.json(&[MERGE_PATCH, JSON_PATCH, STRATEGIC_MERGE_PATCH])?;
        match request::media(&self.headers) {
            MERGE_PATCH => json_patch::merge(&mut object, &patch),
            JSON_PATCH => {
                let patch: json_patch::Patch =
                    serde_json::from_value(patch).map_err(|error| Refusal::bad_request(error.to_string()))?;
                let applied = json_patch::patch(&mut object, &patch);
                applied.map_err(|error| Refusal::new(422, "Invalid", error.to_string()))?;
            }
            _ => {
                let feature = "a strategic merge patch (kubectl: --type=merge, or apply --server-side)";
                return Err(Refusal::not_supported(feature));
            }
        }
        Ok(object)
    }
}

/// `GET /version`: the version of the API that is imitated.
fn version() -> Value {
    json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0-lockmaster-embedded", "gitCommit": "", "gitTreeState": "clean",
           "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
}
