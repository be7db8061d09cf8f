//! State that changes: inventories and first-seen times, each one ConfigMap written by compare-and-swap.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::shelf::{Changes, Shelf};
use super::{Journal, JournalError, label};
use crate::name::{Digest, EnvironmentName, ObjectKey, UnitName};
use crate::plan::{Inventory, Member};
use crate::revision::FirstSeen;

const INVENTORY: &str = "inventory";
const FIRST_SEEN: &str = "first-seen";

/// The version of both documents.
const FORMAT_VERSION: u32 = 1;

/// How often first-seen times are merged again after somebody else wrote first.
const MERGE_TRIES: u32 = 5;

/// Which state was read: what the next write replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Option<String>);

impl Version {
    /// There was none yet: the next write creates it.
    pub const ABSENT: Version = Version(None);
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InventoryDocument {
    version: u32,
    sequence: u64,
    members: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    object: ObjectKey,
    member: Member,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FirstSeenDocument {
    version: u32,
    commits: Vec<(Digest, jiff::Timestamp)>,
}

/// How many commits' times are kept: as many as one judgement may have to look at (DESIGN, section 8, limits).
const FIRST_SEEN_LIMIT: usize = 10_000;

impl Journal {
    /// The id of an environment's set: what [`crate::plan::PART_OF`] labels carry (KEP-3659, "ApplySet ID").
    #[must_use]
    pub fn set_id(&self, environment: &EnvironmentName) -> String {
        let parent = format!("{}.{}.ConfigMap.", self.object_name(environment, INVENTORY), self.namespace);
        format!("applyset-{}-v1", BASE64_URL_SAFE_NO_PAD.encode(Digest::of(parent.as_bytes()).as_bytes()))
    }

    /// The inventory of a unit; an empty one, of [`Version::ABSENT`], where none was written yet.
    ///
    /// # Errors
    /// It cannot be read, or does not say that it is the unit's.
    pub async fn inventory(
        &self,
        environment: &EnvironmentName,
        unit: &UnitName,
    ) -> Result<(Inventory, Version), JournalError> {
        let shelf = self.shelf::<ConfigMap>();
        match shelf.get(&self.object_name(environment, &inventory_rest(unit))).await? {
            Some(head) => self.read_inventory(environment, &shelf, &head).await.map(|(_, inventory)| inventory),
            None => Ok((Inventory::default(), Version::ABSENT)),
        }
    }

    /// The inventories of all units that have one, as they stood at one moment: by one list, and a read for each part that
    /// an inventory was continued in.
    ///
    /// # Errors
    /// One of them cannot be read, or what is labelled as an inventory does not say whose it is: then none is given, for
    /// what is in no inventory counts as somebody else's.
    pub async fn inventories(
        &self,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<UnitName, (Inventory, Version)>, JournalError> {
        let shelf = self.shelf::<ConfigMap>();
        let mut inventories = BTreeMap::new();
        for head in shelf.list(&self.selector(environment, INVENTORY)).await? {
            let (unit, inventory) = self.read_inventory(environment, &shelf, &head).await?;
            inventories.insert(unit, inventory);
        }
        Ok(inventories)
    }

    async fn read_inventory(
        &self,
        environment: &EnvironmentName,
        shelf: &Shelf<ConfigMap>,
        head: &ConfigMap,
    ) -> Result<(UnitName, (Inventory, Version)), JournalError> {
        let unit = self.unit_of(environment, &head.metadata).map_err(|problem| JournalError::Damaged {
            object: shelf.named(head.metadata.name.as_deref().unwrap_or_default()),
            problem,
        })?;
        let (document, version) = read_document::<InventoryDocument>(shelf, head, |d| d.version).await?;
        let InventoryDocument { version: _, sequence, members } = document;
        let members = members.into_iter().map(|row| (row.object, row.member)).collect();
        Ok((unit, (Inventory { sequence, members }, version)))
    }

    /// Whose inventory it is, if label and name agree.
    fn unit_of(&self, environment: &EnvironmentName, meta: &ObjectMeta) -> Result<UnitName, String> {
        let unit = match meta.labels.as_ref().and_then(|labels| labels.get(label::UNIT)) {
            None => UnitName::whole(),
            Some(text) => match text.parse::<UnitName>() {
                Ok(unit) if !unit.is_whole() => unit,
                Ok(_) | Err(_) => return Err(format!("its label `{}` names no unit", label::UNIT)),
            },
        };
        let name = self.object_name(environment, &inventory_rest(&unit));
        if meta.name.as_ref() == Some(&name) {
            Ok(unit)
        } else {
            Err(format!("by its label `{}` it would be `{name}`", label::UNIT))
        }
    }

    /// Writes the inventory of a unit, if `version` still stands.
    ///
    /// # Errors
    /// [`JournalError::Lost`] where somebody else wrote first, [`JournalError::EffectUnknown`] where nobody knows.
    pub async fn put_inventory(
        &self,
        environment: &EnvironmentName,
        unit: &UnitName,
        inventory: &Inventory,
        version: &Version,
    ) -> Result<Version, JournalError> {
        let members = inventory.members.iter().map(|(object, member)| (object.clone(), member.clone()));
        let document = InventoryDocument {
            version: FORMAT_VERSION,
            sequence: inventory.sequence,
            members: members.map(|(object, member)| Row { object, member }).collect(),
        };
        let meta =
            if unit.is_whole() { self.parent_meta(environment, inventory) } else { self.unit_meta(environment, unit) };
        write(&self.shelf(), meta, &document, version).await
    }

    /// When each commit was first seen.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn first_seen(&self, environment: &EnvironmentName) -> Result<FirstSeen, JournalError> {
        Ok(self.first_seen_versioned(environment).await?.0)
    }

    /// Adds commits to those already seen, and gives what stands then. A time once written never changes; of more than
    /// [`FIRST_SEEN_LIMIT`] commits the longest known are forgotten, which were accepted or given up long ago.
    ///
    /// # Errors
    /// They are not written, or nobody knows.
    pub async fn put_first_seen(
        &self,
        environment: &EnvironmentName,
        seen: &FirstSeen,
    ) -> Result<FirstSeen, JournalError> {
        let name = self.object_name(environment, FIRST_SEEN);
        for _ in 0..MERGE_TRIES {
            let (stored, version) = self.first_seen_versioned(environment).await?;
            let mut merged = seen.clone();
            merged.extend(stored.iter().map(|(commit, time)| (*commit, *time)));
            forget_oldest(&mut merged);
            if merged == stored {
                return Ok(merged);
            }
            let commits = merged.iter().map(|(commit, time)| (*commit, *time)).collect();
            let document = FirstSeenDocument { version: FORMAT_VERSION, commits };
            let meta = self.meta(environment, FIRST_SEEN, FIRST_SEEN);
            match write(&self.shelf(), meta, &document, &version).await {
                Ok(_) => return Ok(merged),
                Err(JournalError::Lost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(JournalError::Lost { object: self.shelf::<ConfigMap>().named(&name) })
    }

    async fn first_seen_versioned(&self, environment: &EnvironmentName) -> Result<(FirstSeen, Version), JournalError> {
        let name = self.object_name(environment, FIRST_SEEN);
        let shelf = self.shelf::<ConfigMap>();
        let Some(head) = shelf.get(&name).await? else { return Ok((FirstSeen::new(), Version::ABSENT)) };
        let (document, version) = read_document::<FirstSeenDocument>(&shelf, &head, |d| d.version).await?;
        Ok((document.commits.into_iter().collect(), version))
    }

    fn unit_meta(&self, environment: &EnvironmentName, unit: &UnitName) -> ObjectMeta {
        let mut meta = self.meta(environment, &inventory_rest(unit), INVENTORY);
        meta.labels.get_or_insert_default().insert(label::UNIT.to_owned(), unit.to_string());
        meta
    }

    /// The object of the environment's own inventory is the ApplySet's parent (KEP-3659, "Labels and annotations").
    fn parent_meta(&self, environment: &EnvironmentName, inventory: &Inventory) -> ObjectMeta {
        let mut meta = self.meta(environment, INVENTORY, INVENTORY);
        let id = ("applyset.kubernetes.io/id".to_owned(), self.set_id(environment));
        meta.labels.get_or_insert_default().extend([id]);
        let kinds: BTreeSet<String> = inventory.members.keys().map(|key| key.group_kind().to_string()).collect();
        let namespaces: BTreeSet<&str> = inventory.members.keys().filter_map(|key| key.namespace.as_deref()).collect();
        let others: Vec<&str> = namespaces.into_iter().filter(|name| *name != self.namespace).collect();
        let annotations = [
            ("applyset.kubernetes.io/tooling", format!("lockmaster/{}", env!("CARGO_PKG_VERSION"))),
            ("applyset.kubernetes.io/contains-group-kinds", kinds.into_iter().collect::<Vec<_>>().join(",")),
            ("applyset.kubernetes.io/additional-namespaces", others.join(",")),
        ];
        let annotations: BTreeMap<String, String> = annotations.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        ObjectMeta { annotations: Some(annotations), ..meta }
    }
}

/// No unit's name has a dot, and the digits and the digest behind a part's name make two: so no two names meet. The longest
/// name of a part of the longest name has less than the 253 bytes of a DNS subdomain.
fn inventory_rest(unit: &UnitName) -> String {
    if unit.is_whole() { INVENTORY.to_owned() } else { format!("{INVENTORY}.{unit}") }
}

/// Keeps the commits that were seen last.
fn forget_oldest(seen: &mut FirstSeen) {
    let excess = seen.len().saturating_sub(FIRST_SEEN_LIMIT);
    if excess > 0 {
        let mut oldest: Vec<(jiff::Timestamp, Digest)> = seen.iter().map(|(commit, time)| (*time, *commit)).collect();
        oldest.sort_unstable();
        for (_, commit) in oldest.into_iter().take(excess) {
            seen.remove(&commit);
        }
    }
}

/// Reads a document with its version. The parts that a read head names stay: nothing collects those of a replaced one.
async fn read_document<T: DeserializeOwned>(
    shelf: &Shelf<ConfigMap>,
    head: &ConfigMap,
    format: fn(&T) -> u32,
) -> Result<(T, Version), JournalError> {
    let name = head.metadata.name.as_deref().unwrap_or_default();
    let damaged = |problem: String| JournalError::Damaged { object: shelf.named(name), problem };
    let bytes = shelf.read(head).await?;
    let document: T = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("cannot be read: {e}")))?;
    if format(&document) != FORMAT_VERSION {
        let found = format(&document);
        return Err(damaged(format!("is of version {found}, this agent knows version {FORMAT_VERSION}")));
    }
    let version = head.metadata.resource_version.clone().ok_or_else(|| damaged("carries no version".to_owned()))?;
    Ok((document, Version(Some(version))))
}

/// Writes a document in place of `version`.
async fn write(
    shelf: &Shelf<ConfigMap>,
    meta: ObjectMeta,
    document: &impl Serialize,
    version: &Version,
) -> Result<Version, JournalError> {
    let name = meta.name.clone().unwrap_or_default();
    let bytes = serde_json::to_vec(document).expect("because every key of a document is text");
    let mut head = shelf.prepare(meta, Changes::ByVersion, &bytes).await?;
    head.metadata.resource_version.clone_from(&version.0);
    let (verb, answer) = match version {
        Version(None) => ("create", shelf.create(&head).await),
        Version(Some(_)) => ("update", shelf.replace(&head).await),
    };
    match answer {
        Ok(written) => Ok(Version(written.metadata.resource_version)),
        // The version that we read is gone with its object: somebody deleted it.
        Err(super::answer::Failure::Missing) if version.0.is_some() => {
            Err(JournalError::Lost { object: shelf.named(&name) })
        }
        Err(failure) => Err(shelf.not_written(verb, &name, failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_commits_the_longest_known_are_forgotten() {
        let time = |second: i64| jiff::Timestamp::from_second(second).expect("because it is in range");
        let commit = |number: usize| Digest::of(&number.to_be_bytes());
        let mut seen: FirstSeen = (0..FIRST_SEEN_LIMIT + 2)
            .map(|number| (commit(number), time(i64::try_from(number).expect("because it is small"))))
            .collect();
        forget_oldest(&mut seen);
        assert_eq!(seen.len(), FIRST_SEEN_LIMIT);
        assert!(!seen.contains_key(&commit(0)) && !seen.contains_key(&commit(1)) && seen.contains_key(&commit(2)));
    }
}
