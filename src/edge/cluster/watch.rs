//! What happens to the objects of a set, without asking again and again.

use std::borrow::Cow;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, ListParams};
use kube::core::DynamicResourceScope;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::connect::chain;
use super::discovery::Resource;
use super::read::name_kind;
use super::{Cluster, ClusterError};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason};
use crate::plan::drift::View;

/// How long to wait before a kind that is not served is looked for again: doubled from the first to the last.
const UNSERVED_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The longest wait before a watch that failed is tried again: nothing is healed until then, so that an outage of the
/// server is followed soon.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Objects a page of a list: a page of large ones stays below 10 MiB as values.
const PAGE: u32 = 100;

/// What a watch saw of a kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Everything that is there will be shown, because a list is read.
    Listing,
    /// An object is there, or changed.
    Object {
        /// Which.
        key: ObjectKey,
        /// How much of it is shown.
        view: View,
        /// The object, or its metadata.
        value: Value,
    },
    /// An object is gone, or no longer carries the label: the selector cannot tell which. It is shown as it was before.
    Gone {
        /// Which.
        key: ObjectKey,
        /// Its metadata; the resource version is that of its going.
        metadata: Value,
    },
    /// Everything that is there was shown.
    Listed,
    /// The kind cannot be watched or listed now; a watch is tried again by itself.
    Failed(Reason),
}

impl Cluster {
    /// Watches the objects of one kind that a label selector takes. It never ends by itself.
    pub fn watch(&self, kind: &GroupVersionKind, selector: &str) -> impl Stream<Item = Seen> + Send + use<> {
        let (cluster, kind, selector) = (self.clone(), kind.clone(), selector.to_owned());
        let search = stream::unfold(Duration::ZERO, move |wait| {
            let (cluster, kind, selector) = (cluster.clone(), kind.clone(), selector.clone());
            async move { Some(search(&cluster, &kind, &selector, wait).await) }
        });
        search.flatten()
    }

    /// Lists the objects of one kind that a label selector takes, as [`Cluster::watch`] shows them at its beginning; then it
    /// ends, also after [`Seen::Failed`].
    pub fn list_seen(&self, kind: &GroupVersionKind, selector: &str) -> impl Stream<Item = Seen> + Send + use<> {
        let (cluster, kind, selector) = (self.clone(), kind.clone(), selector.to_owned());
        let listed = async move {
            match cluster.resolve(&kind).await {
                Ok(resource) => cluster.list_served(&kind, &resource, &selector),
                Err(error) => stream::iter([Seen::Failed(error.reason())]).boxed(),
            }
        };
        stream::once(listed).flatten()
    }
}

/// One look for a kind, after a wait: a failure to tell, or the watch. A kind that discovery cannot find yet may come with
/// its CRD, and one that is watched may go with it: then the watch ends, and the kind is looked for again.
async fn search(
    cluster: &Cluster,
    kind: &GroupVersionKind,
    selector: &str,
    wait: Duration,
) -> (BoxStream<'static, Seen>, Duration) {
    tokio::time::sleep(wait).await;
    let [first, last] = UNSERVED_WAITS;
    match cluster.resolve(kind).await {
        Ok(resource) => (cluster.watch_served(kind, &resource, selector), first),
        Err(error) => (stream::iter([Seen::Failed(error.reason())]).boxed(), (wait * 2).clamp(first, last)),
    }
}

impl Cluster {
    fn watch_served(&self, kind: &GroupVersionKind, resource: &Resource, selector: &str) -> BoxStream<'static, Seen> {
        let config = watcher::Config::default().labels(selector).page_size(PAGE);
        let served = served(kind, resource);
        match resource.view(kind) {
            View::Metadata => {
                let api = Api::<Row<METADATA_ONLY>>::all_with(self.client(), &served);
                self.follow(kind, watcher(api, config).backoff(Waits::default()))
            }
            View::Whole => {
                let api = Api::<Row<WHOLE>>::all_with(self.client(), &served);
                self.follow(kind, watcher(api, config).backoff(Waits::default()))
            }
        }
    }

    fn follow<const METADATA: bool>(
        &self,
        kind: &GroupVersionKind,
        events: impl Stream<Item = watcher::Result<watcher::Event<Row<METADATA>>>> + Send + 'static,
    ) -> BoxStream<'static, Seen> {
        let shown = Shown { kind: kind.clone() };
        let (cluster, kind) = (self.clone(), kind.clone());
        let seen = events.map(move |event| shown.take(event));
        let ended = stream::unfold(Some(seen.boxed()), move |seen| {
            let (cluster, kind) = (cluster.clone(), kind.clone());
            async move {
                let mut seen = seen?;
                let next = seen.next().await?;
                let unserved = matches!(&next, Seen::Failed(reason) if reason.code == Code::KindNotFound);
                if unserved {
                    cluster.forget_kind(&kind).await;
                }
                Some((next, (!unserved).then_some(seen)))
            }
        });
        ended.boxed()
    }

    fn list_served(&self, kind: &GroupVersionKind, resource: &Resource, selector: &str) -> BoxStream<'static, Seen> {
        let served = served(kind, resource);
        match resource.view(kind) {
            View::Metadata => list(Api::<Row<METADATA_ONLY>>::all_with(self.client(), &served), kind, selector).boxed(),
            View::Whole => list(Api::<Row<WHOLE>>::all_with(self.client(), &served), kind, selector).boxed(),
        }
    }
}

/// Pages of a list, one after the other.
fn list<const METADATA: bool>(
    api: Api<Row<METADATA>>,
    kind: &GroupVersionKind,
    selector: &str,
) -> impl Stream<Item = Seen> + Send + use<METADATA> {
    let params = ListParams::default().labels(selector).limit(PAGE);
    let shown = Shown { kind: kind.clone() };
    let pages = stream::unfold(Some(params), move |params| {
        let (api, shown) = (api.clone(), shown.clone());
        async move {
            let params = params?;
            match api.list(&params).await {
                Ok(page) => {
                    let next = page.metadata.continue_.filter(|token| !token.is_empty());
                    let seen: Vec<Seen> = page.items.into_iter().map(|row| shown.object(row)).collect();
                    let end = next.is_none().then_some(Seen::Listed);
                    let next = next.map(|token| params.continue_token(&token));
                    Some((stream::iter(seen.into_iter().chain(end)), next))
                }
                Err(error) => {
                    let failed = Seen::Failed(shown.reason(&watcher::Error::InitialListFailed(error)));
                    Some((stream::iter(vec![failed].into_iter().chain(None)), None))
                }
            }
        }
    });
    stream::iter([Seen::Listing]).chain(pages.flatten())
}

/// The client library's waits, which differ from watch to watch, without those of half a minute.
#[derive(Default)]
struct Waits(DefaultBackoff);

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(LONGEST_WAIT))
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.0.reset();
    }
}

fn served(kind: &GroupVersionKind, resource: &Resource) -> ApiResource {
    ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        plural: resource.plural.clone(),
    }
}

/// Turns what the client library says of one kind into what was seen.
#[derive(Clone)]
struct Shown {
    kind: GroupVersionKind,
}

impl Shown {
    fn take<const METADATA: bool>(&self, event: watcher::Result<watcher::Event<Row<METADATA>>>) -> Seen {
        match event {
            Ok(watcher::Event::Init) => Seen::Listing,
            Ok(watcher::Event::InitApply(row) | watcher::Event::Apply(row)) => self.object(row),
            Ok(watcher::Event::InitDone) => Seen::Listed,
            Ok(watcher::Event::Delete(mut row)) => {
                let metadata = row.value.get_mut("metadata").map(Value::take).unwrap_or_default();
                Seen::Gone { key: self.key(&row.metadata), metadata }
            }
            Err(error) => Seen::Failed(self.reason(&error)),
        }
    }

    fn object<const METADATA: bool>(&self, row: Row<METADATA>) -> Seen {
        let (key, mut value) = (self.key(&row.metadata), row.value);
        name_kind(&mut value, &self.kind);
        Seen::Object { key, view: if METADATA { View::Metadata } else { View::Whole }, value }
    }

    fn key(&self, metadata: &ObjectMeta) -> ObjectKey {
        ObjectKey {
            group: self.kind.group.clone(),
            kind: self.kind.kind.clone(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
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

/// Which object, never what is in it.
impl<const METADATA: bool> std::fmt::Debug for Row<METADATA> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("namespace", &self.metadata.namespace)
            .field("name", &self.metadata.name)
            .finish_non_exhaustive()
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
