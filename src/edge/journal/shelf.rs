//! Bytes of any size in ConfigMaps and Secrets.
//!
//! Bytes are compressed and cut; the first piece lies in the *head*, the object with the name that readers know, the
//! others in *parts*, created before it. The head lists its parts by name, and a part's name holds the digest of its
//! piece, so that two writers of one head never disturb each other.

use std::collections::BTreeMap;
use std::io::Read as _;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;

use super::answer::{Failure, ask};
use super::{JournalError, label};
use crate::name::Digest;

/// The most bytes in one object. etcd takes 1.5 MiB a request; base64 adds a third.
pub(super) const PIECE_BYTES: usize = 512 * 1024;

/// The most bytes that stored bytes may unpack to: more than any release within the limits, less than the memory.
const UNPACKED_LIMIT: u64 = 512 * 1024 * 1024;

/// How many objects one page of a list holds: of the largest, 50 MiB.
const PAGE: u32 = 100;

/// How often a list that expired midway is started anew before it counts as unreadable.
const LIST_TRIES: u32 = 3;

const CONTENT: &str = "content";
const PARTS: &str = "parts";

/// When a stored object was last wanted again: what collecting must not take away.
pub(super) const RECALLED: &str = "lockmaster.dev/recalled";

/// A kind that keeps bytes.
pub(super) trait Keeper:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + serde::Serialize
    + serde::de::DeserializeOwned
{
    /// The plural that requests and roles name.
    const RESOURCE: &'static str;
    /// The kind, for messages.
    const KIND: &'static str;

    fn new(metadata: ObjectMeta, changes: Changes, data: BTreeMap<String, ByteString>) -> Self;
    fn data(&self) -> Option<&BTreeMap<String, ByteString>>;
}

/// Whether an object's content may change after it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changes {
    Never,
    ByVersion,
}

impl Keeper for ConfigMap {
    const RESOURCE: &'static str = "configmaps";
    const KIND: &'static str = "ConfigMap";

    fn new(metadata: ObjectMeta, changes: Changes, data: BTreeMap<String, ByteString>) -> Self {
        let immutable = (changes == Changes::Never).then_some(true);
        ConfigMap { metadata, immutable, binary_data: Some(data), ..ConfigMap::default() }
    }

    fn data(&self) -> Option<&BTreeMap<String, ByteString>> {
        self.binary_data.as_ref()
    }
}

impl Keeper for Secret {
    const RESOURCE: &'static str = "secrets";
    const KIND: &'static str = "Secret";

    fn new(metadata: ObjectMeta, changes: Changes, data: BTreeMap<String, ByteString>) -> Self {
        let immutable = (changes == Changes::Never).then_some(true);
        let type_ = Some("lockmaster.dev/release".to_owned());
        Secret { metadata, immutable, data: Some(data), type_, ..Secret::default() }
    }

    fn data(&self) -> Option<&BTreeMap<String, ByteString>> {
        self.data.as_ref()
    }
}

/// The objects of one kind in the agent's namespace.
pub(super) struct Shelf<K> {
    api: Api<K>,
    namespace: String,
}

impl<K: Keeper> Shelf<K> {
    pub(super) fn new(client: &kube::Client, namespace: &str) -> Self {
        Shelf { api: Api::namespaced(client.clone(), namespace), namespace: namespace.to_owned() }
    }

    /// Compresses bytes for a head of this metadata and stores all pieces but the first. The head is made, not stored.
    pub(super) async fn prepare(
        &self,
        mut meta: ObjectMeta,
        changes: Changes,
        bytes: &[u8],
    ) -> Result<K, JournalError> {
        let packed = zstd::encode_all(bytes, 0).expect("because writing into memory does not fail");
        let mut pieces = packed.chunks(PIECE_BYTES);
        let first = pieces.next().unwrap_or_default().to_vec();
        let head = meta.name.clone().unwrap_or_default();
        let mut names = Vec::new();
        for (number, piece) in (1..).zip(pieces) {
            let name = format!("{head}.{number}.{}", &Digest::of(piece).hex()[..16]);
            self.store(&K::new(part_meta(&meta, &name), Changes::Never, content(piece))).await?;
            names.push(name);
        }
        let mut data = content(&first);
        if !names.is_empty() {
            data.insert(PARTS.to_owned(), ByteString(names.join("\n").into_bytes()));
        }
        meta.namespace = Some(self.namespace.clone());
        Ok(K::new(meta, changes, data))
    }

    /// Stores an object whose name tells its content; one that exists is marked as wanted again.
    pub(super) async fn store(&self, object: &K) -> Result<(), JournalError> {
        let name = object.meta().name.clone().unwrap_or_default();
        // Between the two requests somebody may collect the object: then it is made again.
        for _ in 0..LIST_TRIES {
            match self.create(object).await {
                Ok(_) => return Ok(()),
                Err(Failure::Exists) => match self.recall(&name).await {
                    Ok(()) => return Ok(()),
                    Err(Failure::Missing) => {}
                    Err(failure) => return Err(self.not_written("patch", &name, failure)),
                },
                Err(failure) => return Err(self.not_written("create", &name, failure)),
            }
        }
        Err(JournalError::Lost { object: self.named(&name) })
    }

    /// The bytes whose head this is.
    pub(super) async fn read(&self, head: &K) -> Result<Vec<u8>, JournalError> {
        let name = head.meta().name.clone().unwrap_or_default();
        let damaged = |problem: String| JournalError::Damaged { object: self.named(&name), problem };
        let data = head.data().ok_or_else(|| damaged("holds nothing".to_owned()))?;
        let mut packed = data.get(CONTENT).ok_or_else(|| damaged(format!("lacks `{CONTENT}`")))?.0.clone();
        let parts = data.get(PARTS).map(|list| String::from_utf8_lossy(&list.0).into_owned()).unwrap_or_default();
        for part in parts.split_terminator('\n') {
            let object = self.get(part).await?.ok_or_else(|| damaged(format!("its part `{part}` is missing")))?;
            let piece = object.data().and_then(|data| data.get(CONTENT));
            packed.extend_from_slice(&piece.ok_or_else(|| damaged(format!("its part `{part}` holds nothing")))?.0);
        }
        unpack(&packed).map_err(damaged)
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<K>, JournalError> {
        match ask(self.api.get(name)).await {
            Ok(object) => Ok(Some(object)),
            Err(Failure::Missing) => Ok(None),
            Err(failure) => Err(self.not_read("get", name, failure)),
        }
    }

    pub(super) async fn create(&self, object: &K) -> Result<K, Failure> {
        ask(self.api.create(&PostParams::default(), object)).await
    }

    /// Replaces the object, if it is still of the version that `object` names.
    pub(super) async fn replace(&self, object: &K) -> Result<K, Failure> {
        let name = object.meta().name.clone().unwrap_or_default();
        ask(self.api.replace(&name, &PostParams::default(), object)).await
    }

    /// Every object with these labels, or an error: never some of them.
    pub(super) async fn list(&self, selector: &str) -> Result<Vec<K>, JournalError> {
        self.pages(|page| async move { self.api.list(&page).await }, selector).await
    }

    /// As [`Shelf::list`], without the bytes.
    pub(super) async fn list_metadata(&self, selector: &str) -> Result<Vec<PartialObjectMeta<K>>, JournalError> {
        self.pages(|page| async move { self.api.list_metadata(&page).await }, selector).await
    }

    async fn pages<T, F>(&self, list: impl Fn(ListParams) -> F, selector: &str) -> Result<Vec<T>, JournalError>
    where
        T: Clone,
        F: Future<Output = Result<kube::api::ObjectList<T>, kube::Error>>,
    {
        let first = ListParams::default().labels(selector).limit(PAGE);
        let mut found = Vec::new();
        let mut page = first.clone();
        let mut tries = 1;
        loop {
            match ask(list(page)).await {
                // Every list of an API server has a version; what has none comes from somebody else.
                Ok(answer) if answer.metadata.resource_version.as_ref().is_some_and(|version| !version.is_empty()) => {
                    found.extend(answer.items);
                    match answer.metadata.continue_.filter(|token| !token.is_empty()) {
                        Some(token) => page = first.clone().continue_token(&token),
                        None => return Ok(found),
                    }
                }
                Ok(_) => {
                    let failure = Failure::Unknown("the answer is no list".to_owned());
                    return Err(self.not_read("list", selector, failure));
                }
                // What an expired list gave so far is dropped: it would be a list of two moments.
                Err(Failure::Expired) if tries < LIST_TRIES => {
                    tries += 1;
                    found.clear();
                    page = first.clone();
                }
                Err(failure) => return Err(self.not_read("list", selector, failure)),
            }
        }
    }

    /// Deletes exactly the object that was listed; says whether it went. One that changed since stays.
    pub(super) async fn delete(&self, listed: &ObjectMeta) -> Result<bool, JournalError> {
        let name = listed.name.clone().unwrap_or_default();
        let preconditions =
            Preconditions { uid: listed.uid.clone(), resource_version: listed.resource_version.clone() };
        let how = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match ask(self.api.delete(&name, &how)).await {
            Ok(_) | Err(Failure::Missing) => Ok(true),
            Err(Failure::Conflict) => Ok(false),
            Err(failure) => Err(self.not_written("delete", &name, failure)),
        }
    }

    /// Marks an object as wanted again, which gives it a new version: a collector that listed it before loses.
    async fn recall(&self, name: &str) -> Result<(), Failure> {
        let mark = serde_json::json!({"metadata": {"annotations": {RECALLED: Timestamp::now().to_string()}}});
        ask(self.api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(mark))).await.map(drop)
    }

    pub(super) fn named(&self, name: &str) -> String {
        format!("{} {}/{name}", self.namespace, K::KIND)
    }

    pub(super) fn not_read(&self, verb: &'static str, name: &str, failure: Failure) -> JournalError {
        match failure {
            Failure::Forbidden => self.forbidden(verb),
            other => JournalError::Unreadable { object: self.named(name), problem: self.words(other) },
        }
    }

    pub(super) fn not_written(&self, verb: &'static str, name: &str, failure: Failure) -> JournalError {
        let object = self.named(name);
        match failure {
            Failure::Forbidden => self.forbidden(verb),
            Failure::Unknown(problem) => JournalError::EffectUnknown { object, problem },
            Failure::Conflict | Failure::Exists => JournalError::Lost { object },
            other => JournalError::Rejected { object, problem: self.words(other) },
        }
    }

    fn forbidden(&self, verb: &'static str) -> JournalError {
        JournalError::Forbidden { verb, resource: K::RESOURCE, namespace: self.namespace.clone() }
    }

    /// A server that refuses a Secret may quote its values: then only the reason's word is told.
    fn words(&self, failure: Failure) -> String {
        match failure {
            Failure::Missing => "there is none".to_owned(),
            Failure::Exists => "it exists".to_owned(),
            Failure::Conflict => "it changed meanwhile".to_owned(),
            Failure::Expired => "the list expired midway".to_owned(),
            Failure::Forbidden => "a right is missing".to_owned(),
            Failure::Rejected { reason, message } => {
                if K::RESOURCE == "secrets" {
                    reason
                } else {
                    message
                }
            }
            Failure::Unknown(problem) => problem,
        }
    }
}

fn content(piece: &[u8]) -> BTreeMap<String, ByteString> {
    BTreeMap::from([(CONTENT.to_owned(), ByteString(piece.to_vec()))])
}

/// A part is labelled as its head is, but for its kind: lists of heads do not show it.
fn part_meta(head: &ObjectMeta, name: &str) -> ObjectMeta {
    let mut labels = head.labels.clone().unwrap_or_default();
    if let Some(kind) = labels.get_mut(label::KIND) {
        kind.push_str("-part");
    }
    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels), ..ObjectMeta::default() }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |e: std::io::Error| format!("cannot be decompressed: {e}");
    let mut bytes = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(damaged)?;
    decoder.take(UNPACKED_LIMIT + 1).read_to_end(&mut bytes).map_err(damaged)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length > UNPACKED_LIMIT { Err(format!("unpacks to more than {UNPACKED_LIMIT} bytes")) } else { Ok(bytes) }
}
