//! Watches (Kubernetes API concepts, section Efficient detection of changes).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Server;
use super::read::{View, too_old};
use super::refusal::Refusal;
use super::request::Parameters;
use super::schema::Resource;
use super::selector::Selector;
use super::state::State;
use super::store::Change;

/// How often a watch that allows it is told the newest version.
const BOOKMARK: Duration = Duration::from_secs(30);
/// How long a watch lasts that does not say how long.
const LASTS: Duration = Duration::from_secs(1800);

/// One watch.
struct Watch {
    server: Arc<Server>,
    resource: Arc<Resource>,
    namespace: Option<String>,
    selector: Selector,
    view: View,
    bookmarks: bool,
    version: u64,
    told: u64,
    pending: VecDeque<Value>,
    newest: tokio::sync::watch::Receiver<u64>,
    ends: Instant,
    over: bool,
}

/// Answers with the events of a collection until the client or the time ends it.
///
/// # Errors
/// The request is not understood.
pub(super) fn watch(
    server: &Arc<Server>,
    resource: Arc<Resource>,
    namespace: Option<String>,
    parameters: &Parameters,
    view: View,
) -> Result<Response, Refusal> {
    let selector = parameters.selector()?;
    let bookmarks = parameters.allow_watch_bookmarks == Some(true);
    let initial = parameters.send_initial_events == Some(true);
    if initial && (parameters.resource_version_match.as_deref() != Some("NotOlderThan") || !bookmarks) {
        let message = "sendInitialEvents needs resourceVersionMatch=NotOlderThan and allowWatchBookmarks=true";
        return Err(Refusal::bad_request(message));
    }
    let newest = server.newest.subscribe();
    let state = server.state();
    let asked = parameters.version()?;
    let now = state.store.version();
    if let Some(asked) = asked.filter(|asked| *asked > now) {
        return Err(Refusal::too_large_version(asked, now));
    }
    let ends = Instant::now() + parameters.timeout_seconds.map_or(LASTS, Duration::from_secs);
    let server = Arc::clone(server);
    let (version, pending) = (asked.unwrap_or(now), VecDeque::new());
    let mut watch = Watch {
        server: Arc::clone(&server),
        resource,
        namespace,
        selector,
        view,
        bookmarks,
        version,
        told: version,
        pending,
        newest,
        ends,
        over: false,
    };
    // Without a version a watch begins with what is there.
    if initial || asked.is_none() {
        watch.begin(&state, initial);
    }
    drop(state);
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        let line = Bytes::from(format!("{event}\n"));
        Some((Ok::<_, Infallible>(line), watch))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(events)).into_response())
}

impl Watch {
    fn begin(&mut self, state: &State, initial: bool) {
        self.version = state.store.version();
        self.told = self.version;
        for (_, object) in state.store.list(&self.resource.name(), self.namespace.as_deref()) {
            if self.selector.takes(object) {
                self.pending.push_back(json!({"type": "ADDED", "object": self.view.show(&self.resource, object)}));
            }
        }
        if initial {
            let mut bookmark = self.bookmark();
            bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
            self.pending.push_back(bookmark);
        }
    }

    /// The next event; `None`: it is over.
    async fn next(&mut self) -> Option<Value> {
        let mut bookmark = Instant::now() + BOOKMARK;
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.newest.mark_unchanged();
            self.read();
            if !self.pending.is_empty() {
                continue;
            }
            tokio::select! {
                changed = self.newest.changed() => if changed.is_err() { return None },
                () = tokio::time::sleep_until(self.ends) => return None,
                () = tokio::time::sleep_until(bookmark), if self.bookmarks => {
                    bookmark += BOOKMARK;
                    if self.told < self.version {
                        self.told = self.version;
                        return Some(self.bookmark());
                    }
                }
            }
        }
    }

    /// Reads what changed since the last time.
    fn read(&mut self) {
        let server = Arc::clone(&self.server);
        let state = server.state();
        match state.store.changes_after(self.version) {
            Ok(changes) => {
                self.version = state.store.version();
                drop(state);
                let events: Vec<Value> = changes.iter().filter_map(|change| self.event(change)).collect();
                self.pending.extend(events);
            }
            Err(expired) => {
                self.over = true;
                let status = too_old(self.version, expired).status();
                self.pending.push_back(json!({"type": "ERROR", "object": status}));
            }
        }
    }

    /// What a change is to this watch: an object that begins or ceases to be meant is one that comes or goes.
    fn event(&self, change: &Change) -> Option<Value> {
        if !change.key.is_in(&self.resource.name(), self.namespace.as_deref()) {
            return None;
        }
        let was = change.old.as_ref().is_some_and(|old| self.selector.takes(old));
        let is = !change.removed && self.selector.takes(&change.object);
        let mut object = self.view.show(&self.resource, &change.object);
        let kind = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => {
                let old = change.old.as_ref().filter(|_| !change.removed);
                if let Some(old) = old {
                    object = self.view.show(&self.resource, old);
                    object["metadata"]["resourceVersion"] = json!(change.version.to_string());
                }
                "DELETED"
            }
        };
        Some(json!({"type": kind, "object": object}))
    }

    fn bookmark(&self) -> Value {
        let object = json!({"metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null}});
        let mut shown = self.view.show(&self.resource, &object);
        if self.view == View::Whole {
            shown["kind"] = json!(self.resource.kind);
        }
        json!({"type": "BOOKMARK", "object": shown})
    }
}
