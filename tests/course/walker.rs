//! One agent: its course, and everything on its way to and from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lockmaster::course::{Assigned, Courses, Heard, Known, Overview, Sighting, Token};
use lockmaster::name::{Code, CommitId, GroupKind, GroupVersionKind, ObjectId, ObjectKey, Reason, RefName, UnitName};
use serde_json::Value;

use super::laws::Errand;
use super::site::settings;
use super::units::Passed;
use super::world::{Desk, World};

/// What a watch shows.
#[derive(Debug, Clone)]
pub(crate) enum Shown {
    Listing(GroupVersionKind),
    Listed(GroupVersionKind),
    Object(ObjectKey, Value),
    Gone(ObjectKey, u64),
    Unwatched(GroupVersionKind),
}

impl Shown {
    pub(crate) fn key(&self) -> Option<&ObjectKey> {
        match self {
            Shown::Object(key, _) | Shown::Gone(key, _) => Some(key),
            Shown::Listing(_) | Shown::Listed(_) | Shown::Unwatched(_) => None,
        }
    }

    pub(crate) fn sighting(self) -> Sighting {
        match self {
            Shown::Listing(kind) => Sighting::Listing(kind),
            Shown::Listed(kind) => Sighting::Listed(kind),
            Shown::Unwatched(kind) => Sighting::Unwatched(kind, Reason::new(Code::Forbidden, "may not watch")),
            Shown::Gone(key, version) => Sighting::Gone(key, Some(version)),
            // As the edge does: of kinds without a status the metadata alone.
            Shown::Object(key, mut value) if ["ConfigMap", "Secret"].contains(&key.kind.as_str()) => {
                value.as_object_mut().expect("because it is an object").remove("data");
                Sighting::Metadata(key, Box::new(value))
            }
            Shown::Object(key, value) => Sighting::Object(key, Box::new(value)),
        }
    }
}

/// What a look at the repository shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// The tip; `Err` where the branch or the repository cannot be read.
    pub(crate) tip: Option<Result<CommitId, Code>>,
    pub(crate) statements: BTreeMap<RefName, ObjectId>,
}

impl World {
    /// What a look shows now; statements of before where the repository does not answer.
    pub(crate) fn look(&self, before: &Look) -> Look {
        if self.unreachable {
            let tip = before.tip.is_some().then_some(Err(Code::FetchFailed));
            return Look { tip, statements: before.statements.clone() };
        }
        let statements = self.tags.iter().map(|(name, raw)| (name.clone(), raw.id.clone())).collect();
        let tip = if self.deleted { Some(Err(Code::RefNotFound)) } else { self.tip.clone().map(Ok) };
        Look { tip: tip.or_else(|| before.tip.clone()), statements }
    }
}

pub(crate) struct Walker {
    pub(crate) course: Courses,
    pub(crate) desk: Desk,
    pub(crate) pending: VecDeque<Assigned>,
    pub(crate) answers: VecDeque<(Token, Heard)>,
    pub(crate) outstanding: BTreeMap<Token, Errand>,
    pub(crate) answered: Vec<Token>,
    pub(crate) watched: BTreeSet<GroupKind>,
    pub(crate) kinds: BTreeSet<GroupVersionKind>,
    pub(crate) sightings: VecDeque<Shown>,
    pub(crate) told: Look,
    pub(crate) passed: Option<Passed>,
    /// By order: the version of the inventory that it is to replace.
    pub(crate) replaces: BTreeMap<Token, u64>,
    /// The entries of the log upstream that it was told of.
    pub(crate) told_upstream: u64,
    /// When it is woken, by the time of the servers.
    pub(crate) wake: Option<Timestamp>,
    pub(crate) started: bool,
    pub(crate) asleep: bool,
    /// By how much the clock of its machine is ahead. Within a life it is never set back (`edge::clock`).
    pub(crate) skew: SignedDuration,
    /// How far that clock has jumped since the course was told.
    pub(crate) jumped: Duration,
}

impl Walker {
    pub(crate) fn new(world: &World) -> Self {
        let units = !world.rooms.is_empty();
        Walker {
            course: Courses::new(settings(&world.site, world.soak), units),
            desk: Desk::default(),
            pending: VecDeque::new(),
            answers: VecDeque::new(),
            outstanding: BTreeMap::new(),
            answered: Vec::new(),
            watched: BTreeSet::new(),
            kinds: BTreeSet::new(),
            sightings: VecDeque::new(),
            told: Look::default(),
            passed: None,
            replaces: BTreeMap::new(),
            told_upstream: 0,
            wake: None,
            started: false,
            asleep: false,
            skew: SignedDuration::ZERO,
            jumped: Duration::ZERO,
        }
    }

    /// What the walk of an environment without units knows.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.course.known(&UnitName::whole())
    }

    /// How an environment without units stands.
    pub(crate) fn overview(&self) -> Option<Overview> {
        self.course.overview()?.units.remove(&UnitName::whole())
    }

    /// Whether the repository, or the log upstream, has something that it was not told: as [`World::look`] has it, and
    /// asked so often that nothing is made for it.
    pub(crate) fn has_news(&self, world: &World) -> bool {
        if world.upstream.as_ref().is_some_and(|upstream| upstream.entries != self.told_upstream) {
            return true;
        }
        let told = self.told.tip.as_ref();
        if world.unreachable {
            return told.is_some_and(|tip| *tip != Err(Code::FetchFailed));
        }
        let tip = match &world.tip {
            _ if world.deleted => told != Some(&Err(Code::RefNotFound)),
            Some(tip) => told.and_then(|told| told.as_ref().ok()) != Some(tip),
            None => false,
        };
        let listed = world.tags.iter().map(|(name, raw)| (name, &raw.id));
        tip || !listed.eq(&self.told.statements)
    }

    /// What can happen to it: news, an answer, an order, a sighting.
    pub(crate) fn choices(&self, world: &World) -> Vec<usize> {
        let able =
            [self.has_news(world), !self.answers.is_empty(), !self.pending.is_empty(), !self.sightings.is_empty()];
        (0..able.len()).filter(|choice| able[*choice]).collect()
    }
}
