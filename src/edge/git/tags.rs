//! The raw bytes of annotated tags.
//!
//! Of what a fetch of tags brings in, the mirror keeps the tag objects alone, loose and under no reference: the commit
//! that a tag is on may be absent, and neither a fetch nor `git gc` takes a reference to a tag whose commit is missing.
//! Nothing collects garbage in a mirror, and a tag that is lost all the same is fetched again.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use git2::{ObjectType, Odb, Oid};

use crate::name::{CommitId, EnvironmentName, ObjectId, PipelineName, RefName};
use crate::revision::statement::{RawTag, TAG_LIMIT, address};

use super::error::GitError;
use super::mirror::{Mirror, parse};

/// What an object is that is not kept, so that it is not fetched at every look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// A lightweight tag leads to it: it is a commit, tree or blob.
    NoTag,
    /// A tag over the limit.
    TooLarge,
}

/// What the mirror knows of an object.
enum Known {
    Tag(Vec<u8>),
    Passed(Passed),
    Missing,
}

impl Mirror {
    /// Reads the annotated tags at these references, and fetches those that are missing. The commits that they are on are
    /// not looked at. A reference that leads to no tag object (a lightweight tag) is left out, and the bytes of a tag over
    /// [`TAG_LIMIT`] are cut or replaced, but still over it.
    ///
    /// # Errors
    /// [`GitError::Limit`] where too many statements are about one environment, before anything is fetched;
    /// [`GitError::Fetch`] where a reference moved since it was listed; [`GitError::Authentication`],
    /// [`GitError::Corrupt`], [`GitError::Folder`].
    pub fn tags(&self, wanted: &[(RefName, ObjectId)]) -> Result<Vec<RawTag>, GitError> {
        self.few_enough(wanted)?;
        let _one_at_a_time = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.suspect(self.read_tags(wanted))?;
        let missing: Vec<&(RefName, ObjectId)> = wanted
            .iter()
            .zip(&found)
            .filter(|(_, known)| matches!(known, Known::Missing))
            .map(|(tag, _)| tag)
            .collect();
        let found = if missing.is_empty() {
            found
        } else {
            self.fetch_tags(&missing)?;
            self.read_tags(wanted)?
        };
        let mut tags = Vec::new();
        for ((name, id), known) in wanted.iter().zip(found) {
            let bytes = match known {
                Known::Tag(bytes) => bytes,
                Known::Passed(Passed::NoTag) => continue,
                Known::Passed(Passed::TooLarge) => vec![0; TAG_LIMIT + 1],
                Known::Missing => {
                    let found = format!("`{name}` moved away from `{id}` while it was fetched");
                    return Err(GitError::Fetch { url: self.remote.to_string(), found });
                }
            };
            tags.push(RawTag { name: name.clone(), id: id.clone(), bytes });
        }
        Ok(tags)
    }

    /// Keeps a tag that came by another road than the remote, so that [`Mirror::tags`] reads it as any other.
    ///
    /// # Errors
    /// [`GitError::Folder`]; [`GitError::Corrupt`] where its bytes are not those that its id names.
    pub fn keep_tag(&self, tag: &RawTag) -> Result<(), GitError> {
        let repository = self.repository()?;
        let wrong = |error: git2::Error| GitError::folder(&self.folder, error.message());
        let written = repository.odb().and_then(|odb| odb.write(ObjectType::Tag, &tag.bytes)).map_err(wrong)?;
        if written == oid(&tag.id)? {
            return Ok(());
        }
        let (object, found) = (format!("tag `{}`", tag.name.short()), format!("has the id {written}"));
        Err(GitError::Corrupt { object, found })
    }

    /// Of these tags, those that [`Mirror::tags`] can read without the remote.
    ///
    /// # Errors
    /// [`GitError::Folder`], [`GitError::Corrupt`].
    pub fn tags_at_hand(&self, wanted: &[(RefName, ObjectId)]) -> Result<Vec<(RefName, ObjectId)>, GitError> {
        let found = self.read_tags(wanted)?;
        let at_hand = wanted.iter().zip(found).filter(|(_, known)| !matches!(known, Known::Missing));
        Ok(at_hand.map(|(tag, _)| tag.clone()).collect())
    }

    /// Statements are few; somebody who pushes many wants the agent to be busy.
    fn few_enough(&self, wanted: &[(RefName, ObjectId)]) -> Result<(), GitError> {
        let mut counts: BTreeMap<Option<(PipelineName, EnvironmentName)>, u64> = BTreeMap::new();
        for (name, _) in wanted {
            *counts.entry(address(name).map(|address| (address.pipeline, address.environment))).or_default() += 1;
        }
        let limit = self.limits.statements;
        match counts.into_iter().find(|(_, found)| *found > limit) {
            Some((about, found)) => {
                let about = about.map(|(pipeline, environment)| format!(" about `{pipeline}/{environment}`"));
                let what = format!("tags{} from `{}`", about.unwrap_or_default(), self.remote);
                Err(GitError::Limit { what, limit, found, file: None })
            }
            None => Ok(()),
        }
    }

    fn read_tags(&self, wanted: &[(RefName, ObjectId)]) -> Result<Vec<Known>, GitError> {
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::folder(&self.folder, error.message()))?;
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |(_, id): &(RefName, ObjectId)| match passed.get(id) {
            Some(passed) => Ok(Known::Passed(*passed)),
            None => known(&odb, oid(id)?),
        };
        wanted.iter().map(known).collect()
    }

    /// Fetches what leads to these tags, keeps the tags, and drops the rest of it.
    fn fetch_tags(&self, missing: &[&(RefName, ObjectId)]) -> Result<(), GitError> {
        let _alone = self.alone()?;
        let before = self.packs()?;
        let names: Vec<&RefName> = missing.iter().map(|(name, _)| name).collect();
        let brought = self.download(&self.repository()?, &names, |_| {}).and_then(|()| {
            let repository = self.repository()?;
            let odb = repository.odb().map_err(|error| GitError::folder(&self.folder, error.message()))?;
            missing.iter().map(|(_, id)| Ok((id, known(&odb, oid(id)?)?))).collect::<Result<Vec<_>, GitError>>()
        });
        self.drop_packs_but(&before)?;
        // Opened after the packs are gone: what is in one is not written again.
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::folder(&self.folder, error.message()))?;
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, known) in brought? {
            match known {
                Known::Tag(bytes) => {
                    let written = odb.write(ObjectType::Tag, &bytes);
                    written.map_err(|error| GitError::folder(&self.folder, error.message()))?;
                }
                Known::Passed(what) => drop(passed.insert(id.clone(), what)),
                Known::Missing => {}
            }
        }
        Ok(())
    }
}

fn known(odb: &Odb<'_>, id: Oid) -> Result<Known, GitError> {
    let broken = |error: &git2::Error| GitError::from_object(&format!("object `{id}`"), error);
    if !odb.exists(id) {
        return Ok(Known::Missing);
    }
    match odb.read_header(id).map_err(|error| broken(&error))? {
        (size, ObjectType::Tag) if size <= TAG_LIMIT => {
            let object = odb.read(id).map_err(|error| broken(&error))?;
            Ok(Known::Tag(object.data().to_vec()))
        }
        (_, ObjectType::Tag) => Ok(Known::Passed(Passed::TooLarge)),
        _ => Ok(Known::Passed(Passed::NoTag)),
    }
}

fn oid(id: &ObjectId) -> Result<Oid, GitError> {
    parse(&CommitId(id.clone()))
}
