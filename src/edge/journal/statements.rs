//! Statements that did not come by Git: the bytes of signed tags, in ConfigMaps of their own.
//!
//! Each is a ConfigMap with the label `lockmaster.dev/statement` and the tag, as `git cat-file tag` prints it, under the key
//! `tag`. `kubectl create configmap` makes the same. Nothing is said here of what a tag says, or who signed it.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};

use super::answer::Failure;
use super::watching::{Waits, not_watched};
use super::{Journal, JournalError};
use crate::name::{Digest, EnvironmentName, Reason};
use crate::revision::statement::TAG_LIMIT;

const KIND: &str = "statement";

/// What makes a ConfigMap one that holds a statement.
const LABEL: &str = "lockmaster.dev/statement";

/// Where people read which tag it is; a label's value has no slashes.
const NAME: &str = "lockmaster.dev/tag";

/// The key of the tag's bytes.
const TAG: &str = "tag";

impl Journal {
    /// Puts the bytes of a tag into the cluster, under the name that the tag has in Git; says which object holds them. Bytes
    /// that are there already are left as they are.
    ///
    /// # Errors
    /// They are not stored, or nobody knows.
    pub async fn put_statement(
        &self,
        environment: &EnvironmentName,
        name: &str,
        bytes: &[u8],
    ) -> Result<String, JournalError> {
        let shelf = self.shelf::<ConfigMap>();
        let mut metadata = self.meta(environment, &format!("statement.{}", Digest::of(bytes).hex()), KIND);
        let verb = name.split('/').next().unwrap_or_default();
        metadata.labels.get_or_insert_default().insert(LABEL.to_owned(), verb.to_owned());
        metadata.annotations = Some(BTreeMap::from([(NAME.to_owned(), name.to_owned())]));
        let object = metadata.name.clone().unwrap_or_default();
        match shelf.create(&config_map(metadata, bytes)).await {
            Ok(_) => Ok(shelf.named(&object)),
            Err(Failure::Exists) => match shelf.get(&object).await?.as_ref().and_then(tag) {
                Some(found) if found == bytes => Ok(shelf.named(&object)),
                found => {
                    let found = Digest::of(&found.unwrap_or_default());
                    Err(JournalError::OtherBytes { object: shelf.named(&object), found })
                }
            },
            Err(failure) => Err(shelf.not_written("create", &object, failure)),
        }
    }

    /// The bytes of every statement in the agent's namespace, whatever it is about.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn statements(&self) -> Result<Vec<Vec<u8>>, JournalError> {
        Ok(self.shelf::<ConfigMap>().list(LABEL).await?.iter().filter_map(tag).collect())
    }

    /// What [`Journal::statements`] would read, now and after every change of it; never ends. After a failure it goes on by
    /// itself.
    pub fn watch_statements(&self) -> impl Stream<Item = Result<Vec<Vec<u8>>, Reason>> + Send + use<> {
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace);
        let config = watcher::Config::default().labels(LABEL);
        let namespace = self.namespace.clone();
        let mut held = Held::default();
        let events = watcher(api, config).backoff(Waits::default());
        events.filter_map(move |event| {
            let told = match event {
                Ok(event) => held.take(event).map(Ok),
                Err(error) => Some(Err(not_watched("statements", &namespace, &error).reason())),
            };
            futures::future::ready(told)
        })
    }
}

/// What the watch has shown so far.
#[derive(Default)]
struct Held {
    listing: bool,
    tags: BTreeMap<String, Vec<u8>>,
}

impl Held {
    /// Takes an event in; gives all that is there where it may have changed.
    fn take(&mut self, event: watcher::Event<ConfigMap>) -> Option<Vec<Vec<u8>>> {
        match event {
            watcher::Event::Init => {
                self.tags.clear();
                self.listing = true;
            }
            watcher::Event::InitDone => self.listing = false,
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let name = object.metadata.name.clone().unwrap_or_default();
                match tag(&object) {
                    Some(tag) => drop(self.tags.insert(name, tag)),
                    None => drop(self.tags.remove(&name)),
                }
            }
            watcher::Event::Delete(object) => drop(self.tags.remove(object.metadata.name.as_deref()?)),
        }
        (!self.listing).then(|| self.tags.values().cloned().collect())
    }
}

/// Text where it is text, so that people can read what was stated.
fn config_map(metadata: ObjectMeta, bytes: &[u8]) -> ConfigMap {
    let (data, binary_data) = match std::str::from_utf8(bytes) {
        Ok(text) => (Some(BTreeMap::from([(TAG.to_owned(), text.to_owned())])), None),
        Err(_) => (None, Some(BTreeMap::from([(TAG.to_owned(), ByteString(bytes.to_vec()))]))),
    };
    ConfigMap { metadata, immutable: Some(true), data, binary_data }
}

/// The tag in a ConfigMap; nothing that is longer than any statement is read.
fn tag(object: &ConfigMap) -> Option<Vec<u8>> {
    let text = object.data.as_ref().and_then(|data| data.get(TAG)).map(|text| text.as_bytes().to_vec());
    let binary = || object.binary_data.as_ref().and_then(|data| data.get(TAG)).map(|bytes| bytes.0.clone());
    text.or_else(binary).filter(|tag| tag.len() <= TAG_LIMIT)
}
