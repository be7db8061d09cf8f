//! What happens to the objects of a set, without asking again and again.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use futures::stream::{BoxStream, SelectAll};
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource};
use kube::core::DynamicResourceScope;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::connect::chain;
use super::discovery::Resource;
use super::read::name_kind;
use super::{Cluster, ClusterError};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::PART_OF;

/// How long to wait before a kind that is not served is looked for again: doubled from the first to the last.
const UNSERVED_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// What a watch saw.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// An object is there, or changed. Of a Secret the metadata alone.
    Object(ObjectKey, Value),
    /// An object is gone, or no longer carries the label: the selector cannot tell which.
    Gone(ObjectKey),
    /// Everything of the kind that is there was seen.
    Synced(GroupVersionKind),
    /// The kind cannot be watched now; it is tried again.
    Failed(GroupVersionKind, Reason),
}

impl Cluster {
    /// Watches the objects of a set, one watch for each kind. It never ends by itself.
    pub fn watch(&self, kinds: BTreeSet<GroupVersionKind>, set_id: &str) -> impl Stream<Item = Seen> + Send + use<> {
        let selector = format!("{PART_OF}={set_id}");
        let watches = kinds.into_iter().map(|kind| self.clone().watch_kind(kind, selector.clone()));
        let watches: SelectAll<BoxStream<'static, Seen>> = stream::select_all(watches);
        // Without a kind there is nothing to see, but that is no end.
        watches.chain(stream::pending())
    }

    fn watch_kind(self, kind: GroupVersionKind, selector: String) -> BoxStream<'static, Seen> {
        let search = stream::unfold(Search::Now, move |search| {
            let (cluster, kind, selector) = (self.clone(), kind.clone(), selector.clone());
            async move { search.step(&cluster, kind, &selector).await }
        });
        search.flatten().boxed()
    }
}

/// Looking for a kind until it is served.
enum Search {
    Now,
    After(Duration),
    Done,
}

impl Search {
    /// One look: a failure to tell, or the watch. A kind that discovery cannot find yet may come with its CRD.
    async fn step(
        self,
        cluster: &Cluster,
        kind: GroupVersionKind,
        selector: &str,
    ) -> Option<(BoxStream<'static, Seen>, Search)> {
        let wait = match self {
            Search::Now => Duration::ZERO,
            Search::After(wait) => wait,
            Search::Done => return None,
        };
        tokio::time::sleep(wait).await;
        match cluster.resolve(&kind).await {
            Ok(resource) => Some((cluster.watch_served(kind, &resource, selector), Search::Done)),
            Err(error) => {
                let [first, last] = UNSERVED_WAITS;
                let next = Search::After((wait * 2).clamp(first, last));
                Some((stream::iter([Seen::Failed(kind, error.reason())]).boxed(), next))
            }
        }
    }
}

impl Cluster {
    fn watch_served(&self, kind: GroupVersionKind, resource: &Resource, selector: &str) -> BoxStream<'static, Seen> {
        let served = ApiResource {
            group: kind.group.clone(),
            version: kind.version.clone(),
            api_version: kind.api_version(),
            kind: kind.kind.clone(),
            plural: resource.plural.clone(),
        };
        let config = watcher::Config::default().labels(selector);
        if kind.group.is_empty() && kind.kind == "Secret" {
            let api = Api::<Row<METADATA_ONLY>>::all_with(self.client(), &served);
            follow(kind, watcher(api, config).default_backoff())
        } else {
            let api = Api::<Row<WHOLE>>::all_with(self.client(), &served);
            follow(kind, watcher(api, config).default_backoff())
        }
    }
}

fn follow<const METADATA: bool>(
    kind: GroupVersionKind,
    events: impl Stream<Item = watcher::Result<watcher::Event<Row<METADATA>>>> + Send + 'static,
) -> BoxStream<'static, Seen> {
    let mut follower = Follower { kind, known: BTreeSet::new(), fresh: BTreeSet::new() };
    events.map(move |event| stream::iter(follower.take(event))).flatten().boxed()
}

/// The namespace and the name of an object of one kind.
type Place = (Option<Box<str>>, Box<str>);

/// Turns the events of one kind into what was seen; after a list was read anew, what is missing in it is gone.
struct Follower {
    kind: GroupVersionKind,
    known: BTreeSet<Place>,
    fresh: BTreeSet<Place>,
}

impl Follower {
    fn take<const METADATA: bool>(&mut self, event: watcher::Result<watcher::Event<Row<METADATA>>>) -> Vec<Seen> {
        match event {
            Ok(watcher::Event::Init) => {
                self.fresh.clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(row)) => {
                self.fresh.insert(row.place());
                vec![self.object(row)]
            }
            Ok(watcher::Event::InitDone) => {
                let fresh = std::mem::take(&mut self.fresh);
                let known = std::mem::replace(&mut self.known, fresh);
                let gone = known.difference(&self.known).map(|place| Seen::Gone(self.key(place)));
                gone.chain([Seen::Synced(self.kind.clone())]).collect()
            }
            Ok(watcher::Event::Apply(row)) => {
                self.known.insert(row.place());
                vec![self.object(row)]
            }
            Ok(watcher::Event::Delete(row)) => {
                let place = row.place();
                self.known.remove(&place);
                vec![Seen::Gone(self.key(&place))]
            }
            Err(error) => vec![Seen::Failed(self.kind.clone(), self.reason(&error))],
        }
    }

    fn object<const METADATA: bool>(&self, row: Row<METADATA>) -> Seen {
        let key = self.key(&row.place());
        let mut value = row.value;
        name_kind(&mut value, &self.kind);
        Seen::Object(key, value)
    }

    fn key(&self, (namespace, name): &Place) -> ObjectKey {
        ObjectKey {
            group: self.kind.group.clone(),
            kind: self.kind.kind.clone(),
            namespace: namespace.as_deref().map(str::to_owned),
            name: name.to_string(),
        }
    }

    fn reason(&self, error: &watcher::Error) -> Reason {
        let what = format!("watch of `{}`", self.kind.group_kind());
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => Some(status),
            _ => None,
        };
        match status {
            Some(status) if status.is_forbidden() => {
                Reason::new(Code::Forbidden, format!("{what}: {}", status.message.replace('\n', " ")))
            }
            Some(status) if status.is_not_found() => ClusterError::KindNotFound(self.kind.clone()).reason(),
            Some(_) | None => ClusterError::Unreachable { what, cause: chain(error) }.reason(),
        }
    }
}

const WHOLE: bool = false;
const METADATA_ONLY: bool = true;

/// An object as the server sent it. The client library's own dynamic type rewrites the metadata, and the hash of a field
/// it does not know would differ from the hash of an apply's answer.
#[derive(Clone)]
struct Row<const METADATA: bool> {
    metadata: ObjectMeta,
    value: Value,
}

impl<const METADATA: bool> Row<METADATA> {
    fn place(&self) -> Place {
        let text = |value: &Option<String>| value.as_deref().map(Box::from);
        (text(&self.metadata.namespace), text(&self.metadata.name).unwrap_or_default())
    }
}

/// Which object, never what is in it.
impl<const METADATA: bool> std::fmt::Debug for Row<METADATA> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl<'de, const METADATA: bool> Deserialize<'de> for Row<METADATA> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = |field: &str| value["metadata"][field].as_str().map(str::to_owned);
        let (name, namespace, resource_version) = (text("name"), text("namespace"), text("resourceVersion"));
        let metadata = ObjectMeta { name, namespace, resource_version, ..ObjectMeta::default() };
        Ok(Row { metadata, value })
    }
}

impl<const METADATA: bool> kube::Resource for Row<METADATA> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(served: &ApiResource) -> Cow<'_, str> {
        served.kind.as_str().into()
    }

    fn group(served: &ApiResource) -> Cow<'_, str> {
        served.group.as_str().into()
    }

    fn version(served: &ApiResource) -> Cow<'_, str> {
        served.version.as_str().into()
    }

    fn api_version(served: &ApiResource) -> Cow<'_, str> {
        served.api_version.as_str().into()
    }

    fn plural(served: &ApiResource) -> Cow<'_, str> {
        served.plural.as_str().into()
    }

    /// Asks for metadata alone, so that the rest never leaves the server.
    fn metadata_api() -> bool {
        METADATA
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
