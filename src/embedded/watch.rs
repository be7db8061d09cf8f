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
use super::read::View;
use super::refusal::Refusal;
use super::request::Parameters;
use super::schema::Resource;
use super::selector::Selector;
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
    let (asked, now) = (parameters.version()?, state.store.version());
    if let Some(asked) = asked.filter(|asked| *asked > now) {
        return Err(Refusal::too_large_version(asked, now));
    }
    let ends = Instant::now() + parameters.timeout_seconds.map_or(LASTS, Duration::from_secs);
    let version = asked.filter(|_| !initial).unwrap_or(now);
    let (server, pending, told, over) = (Arc::clone(server), VecDeque::new(), version, false);
    let mut watch =
        Watch { server, resource, namespace, selector, view, bookmarks, version, told, pending, newest, ends, over };
    // Without a version a watch begins with what is there.
    if initial || asked.is_none() {
        let listed = state.store.list(&watch.resource.name(), watch.namespace.as_deref());
        let meant = listed.filter(|(_, object)| watch.selector.takes(object));
        let shown = meant.map(|(_, object)| json!({"type": "ADDED", "object": view.show(&watch.resource, object)}));
        watch.pending = shown.collect();
    }
    if initial {
        let mut bookmark = watch.bookmark();
        bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        watch.pending.push_back(bookmark);
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
            Err(oldest) => {
                self.over = true;
                let message = format!("too old resource version: {} ({oldest})", self.version);
                let status = Refusal::new(410, "Expired", message).status();
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
                if let Some(old) = change.old.as_ref().filter(|_| !change.removed) {
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
