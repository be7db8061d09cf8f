//! Entries of the deployment log: create-only objects, which is the compare-and-swap between agents.

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};

use super::answer::Failure;
use super::shelf::{Changes, Shelf};
use super::watching::{Waits, not_watched};
use super::{Journal, JournalError};
use crate::deploylog::{Sealed, Stored};
use crate::name::{Code, EnvironmentName, Reason};

const KIND: &str = "entry";

/// What came of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "only `Ours` may be acted on"]
pub enum Appended {
    /// The entry stands.
    Ours {
        /// When the store took it, by its own clock, in whole seconds.
        stored_at: Timestamp,
    },
    /// Another entry stands at this sequence: read the log and judge again.
    Taken,
    /// Nobody knows whether it stands: read the log before anything else.
    Unknown(Reason),
    /// The cluster does not take it: `journal-unwritable` or `forbidden`.
    Refused(Reason),
}

impl Journal {
    /// Every stored entry of an environment, in the order of their sequence.
    ///
    /// # Errors
    /// Some of it cannot be read.
    pub async fn stored(&self, environment: &EnvironmentName) -> Result<Vec<Stored>, JournalError> {
        let shelf = self.shelf::<ConfigMap>();
        let prefix = self.object_name(environment, "");
        let mut entries = Vec::new();
        for object in shelf.list(&self.selector(environment, KIND)).await? {
            let name = object.metadata.name.clone().unwrap_or_default();
            // Whatever else carries our labels, such as a person's copy, is no entry: the name makes the entry, and
            // `replay` finds the gap that a renamed one leaves.
            let Some(sequence) = name.strip_prefix(&prefix).and_then(sequence) else { continue };
            let bytes = shelf.read(&object).await?;
            entries.push(Stored { sequence, bytes, stored_at: stored_at(&shelf, &object)? });
        }
        entries.sort_by_key(|entry| entry.sequence);
        Ok(entries)
    }

    /// The entries from a sequence on, in their order: for who has read and verified those before it.
    ///
    /// # Errors
    /// One cannot be read.
    pub async fn stored_from(&self, environment: &EnvironmentName, first: u64) -> Result<Vec<Stored>, JournalError> {
        let shelf = self.shelf::<ConfigMap>();
        let mut entries = Vec::new();
        for sequence in first.. {
            let Some(object) = shelf.get(&self.object_name(environment, &format!("{sequence:010}"))).await? else {
                break;
            };
            let bytes = shelf.read(&object).await?;
            entries.push(Stored { sequence, bytes, stored_at: stored_at(&shelf, &object)? });
        }
        Ok(entries)
    }

    /// Says when the log of an environment may have grown: at once, and after every change of it; never ends. After a failure
    /// it goes on by itself.
    pub fn watch_entries(
        &self,
        environment: &EnvironmentName,
    ) -> impl Stream<Item = Result<(), Reason>> + Send + use<> {
        let api = Api::<PartialObjectMeta<ConfigMap>>::namespaced(self.client.clone(), &self.namespace);
        let config = watcher::Config::default().labels(&self.selector(environment, KIND));
        let namespace = self.namespace.clone();
        let events = watcher(api, config).backoff(Waits::default());
        events.filter_map(move |event| {
            let told = match event {
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => None,
                Ok(watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_)) => Some(Ok(())),
                Err(error) => Some(Err(not_watched("entries", &namespace, &error).reason())),
            };
            futures::future::ready(told)
        })
    }

    /// Appends an entry at its sequence, where nothing stands yet.
    pub async fn append(&self, environment: &EnvironmentName, sealed: &Sealed) -> Appended {
        let shelf = self.shelf::<ConfigMap>();
        let meta = self.meta(environment, &format!("{:010}", sealed.sequence), KIND);
        let name = meta.name.clone().unwrap_or_default();
        let head = match shelf.prepare(meta, Changes::Never, &sealed.bytes).await {
            Ok(head) => head,
            Err(error) => return not_appended(&error),
        };
        match shelf.create(&head).await {
            Ok(object) => match stored_at(&shelf, &object) {
                Ok(stored_at) => Appended::Ours { stored_at },
                Err(error) => Appended::Unknown(error.reason()),
            },
            Err(Failure::Exists) => whose(&shelf, &name, sealed).await,
            Err(failure) => not_appended(&shelf.not_written("create", &name, failure)),
        }
    }
}

/// Something stands at our sequence: ours, if an earlier reply was lost.
async fn whose(shelf: &Shelf<ConfigMap>, name: &str, sealed: &Sealed) -> Appended {
    let object = match shelf.get(name).await {
        Ok(Some(object)) => object,
        // It was there a moment ago, and entries are never deleted: somebody interferes.
        Ok(None) => {
            let reason = Reason::new(Code::LogRegressed, format!("`{}` was there and is gone", shelf.named(name)));
            return Appended::Unknown(reason);
        }
        Err(error) => return Appended::Unknown(error.reason()),
    };
    match shelf.read(&object).await {
        Ok(bytes) if bytes == sealed.bytes => match stored_at(shelf, &object) {
            Ok(stored_at) => Appended::Ours { stored_at },
            Err(error) => Appended::Unknown(error.reason()),
        },
        Ok(_) | Err(JournalError::Damaged { .. }) => Appended::Taken,
        Err(error) => Appended::Unknown(error.reason()),
    }
}

fn not_appended(error: &JournalError) -> Appended {
    match error {
        JournalError::Rejected { .. } | JournalError::Forbidden { .. } => Appended::Refused(error.reason()),
        JournalError::Unreadable { .. }
        | JournalError::EffectUnknown { .. }
        | JournalError::Lost { .. }
        | JournalError::Damaged { .. }
        | JournalError::OtherBytes { .. }
        | JournalError::NoRandomness(_) => Appended::Unknown(error.reason()),
    }
}

fn stored_at(shelf: &Shelf<ConfigMap>, object: &ConfigMap) -> Result<Timestamp, JournalError> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let problem = "carries no creation time".to_owned();
    let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    created.ok_or_else(|| JournalError::Damaged { object: shelf.named(&name), problem })
}

/// The sequence that exactly ten digits write.
fn sequence(digits: &str) -> Option<u64> {
    let good = digits.len() == 10 && digits.bytes().all(|b| b.is_ascii_digit());
    good.then(|| digits.parse().ok()).flatten()
}
