//! Release bytes: immutable Secrets, named by their digest.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::shelf::{Changes, RECALLED};
use super::{Journal, JournalError};
use crate::name::{Digest, EnvironmentName};

const KIND: &str = "release";

impl Journal {
    /// Stores release bytes under their digest. Bytes that are there already are marked as wanted again, and read back.
    ///
    /// # Errors
    /// They are not stored, or nobody knows.
    pub async fn put_release(
        &self,
        environment: &EnvironmentName,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<(), JournalError> {
        let shelf = self.shelf::<Secret>();
        let meta = self.meta(environment, &rest(digest), KIND);
        let object = shelf.named(&self.object_name(environment, &rest(digest)));
        let found = Digest::of(bytes);
        if found != digest {
            return Err(JournalError::OtherBytes { object, found });
        }
        let head = shelf.prepare(meta, Changes::Never, bytes).await?;
        shelf.store(&head).await?;
        match self.release(environment, digest).await? {
            Some(_) => Ok(()),
            None => Err(JournalError::Lost { object }),
        }
    }

    /// The stored bytes of a release, if they are there; their digest is checked.
    ///
    /// # Errors
    /// They cannot be read, or are others.
    pub async fn release(
        &self,
        environment: &EnvironmentName,
        digest: Digest,
    ) -> Result<Option<Vec<u8>>, JournalError> {
        let shelf = self.shelf::<Secret>();
        let name = self.object_name(environment, &rest(digest));
        let Some(head) = shelf.get(&name).await? else { return Ok(None) };
        let bytes = shelf.read(&head).await?;
        let found = Digest::of(&bytes);
        if found == digest {
            Ok(Some(bytes))
        } else {
            Err(JournalError::OtherBytes { object: shelf.named(&name), found })
        }
    }

    /// Removes the bytes of every release that is not kept and that nobody stored or recalled since `before`; says which
    /// are gone. Whoever stores or recalls a release meanwhile wins (course.md, rule 22).
    ///
    /// # Errors
    /// A list or a deletion failed; what was deleted until then is gone.
    pub async fn collect(
        &self,
        environment: &EnvironmentName,
        keep: &BTreeSet<Digest>,
        before: Timestamp,
    ) -> Result<BTreeSet<Digest>, JournalError> {
        let shelf = self.shelf::<Secret>();
        let prefix = self.object_name(environment, "release.");
        let of = |meta: &ObjectMeta| digest_of(&prefix, meta);
        let mut alive = keep.clone();
        let mut gone = BTreeSet::new();
        // The parts are listed first: a part that is younger than the list of heads is in no list.
        let parts = shelf.list_metadata(&self.selector(environment, "release-part")).await?;
        for head in shelf.list_metadata(&self.selector(environment, KIND)).await? {
            let Some(digest) = of(&head.metadata) else { continue };
            if !keep.contains(&digest) && is_idle(&head.metadata, before) && shelf.delete(&head.metadata).await? {
                gone.insert(digest);
            } else {
                alive.insert(digest);
            }
        }
        for part in parts {
            let orphan = of(&part.metadata).is_some_and(|digest| !alive.contains(&digest));
            if orphan && is_idle(&part.metadata, before) {
                shelf.delete(&part.metadata).await?;
            }
        }
        Ok(gone)
    }
}

fn rest(digest: Digest) -> String {
    format!("release.{}", digest.hex())
}

/// The release that a head or a part belongs to, by its name.
fn digest_of(prefix: &str, meta: &ObjectMeta) -> Option<Digest> {
    let rest = meta.name.as_deref()?.strip_prefix(prefix)?;
    format!("sha256:{}", rest.split('.').next()?).parse().ok()
}

/// Whether nobody made or recalled the object since; one that does not say when counts as just made.
fn is_idle(meta: &ObjectMeta, before: Timestamp) -> bool {
    let made = meta.creation_timestamp.as_ref().is_some_and(|time| time.0 < before);
    let recalled = meta.annotations.as_ref().and_then(|annotations| annotations.get(RECALLED));
    made && recalled.is_none_or(|time| time.parse().is_ok_and(|time: Timestamp| time < before))
}
