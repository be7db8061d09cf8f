//! What a bench itself sees of the objects in the cluster, by watches of its own, each moment taken where it is seen.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::api::WatchEvent;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::fleet::Kind;
use crate::control_plane::ControlPlane;

/// An object as it was seen.
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// The object; `None`: it was deleted.
    pub(crate) object: Option<Value>,
}

/// Watches that end when this is dropped.
pub(crate) struct Sight {
    seen: Receiver<Seen>,
    _watches: Vec<AbortOnDropHandle<()>>,
}

impl Sight {
    /// Sees everything of these kinds in a namespace from now on.
    pub(crate) fn open(plane: &ControlPlane, namespace: &str, kinds: &[Kind]) -> Sight {
        let (say, seen) = channel();
        let watches = kinds.iter().map(|kind| {
            let path = kind.path(namespace);
            let list = plane.get(&format!("{path}?limit=1")).expect("because a list is never absent");
            let version =
                list["metadata"]["resourceVersion"].as_str().expect("because a list has a version").to_owned();
            let client = plane.admin();
            let watch = watch(client, format!("{path}?watch=true&resourceVersion={version}"), *kind, say.clone());
            AbortOnDropHandle::new(plane.runtime().spawn(watch))
        });
        Sight { _watches: watches.collect(), seen }
    }

    /// The next that is seen; `None` after the limit.
    pub(crate) fn next(&self, limit: Duration) -> Option<Seen> {
        self.seen.recv_timeout(limit).ok()
    }
}

async fn watch(client: kube::Client, uri: String, kind: Kind, say: Sender<Seen>) {
    let request = http::Request::get(uri).body(Vec::new()).expect("because the path is valid");
    let events = client.request_events::<Value>(request).await.expect("because the server serves the kind");
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let (object, there) = match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => (object, true),
            Ok(WatchEvent::Deleted(object)) => (object, false),
            Ok(WatchEvent::Bookmark(_)) => continue,
            Ok(WatchEvent::Error(status)) => panic!("the bench's own watch failed: {status:?}"),
            Err(error) => panic!("the bench's own watch failed: {error}"),
        };
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let seen = Seen { at, kind, name, object: there.then_some(object) };
        if say.send(seen).is_err() {
            return;
        }
    }
}
