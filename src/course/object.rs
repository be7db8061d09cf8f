//! What is known of one object of the standing release. There may be a hundred thousand: what only few have is kept aside.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use serde_json::Value;

use super::Loss;
use super::backoff::Backoff;
use super::heat::Heat;
use crate::name::Reason;
use crate::plan::drift::{Baseline, Drift, View};

/// One object.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// The index of its stage and wave.
    pub(super) group: u16,
    /// When the manifest of this release was answered, or known to be there.
    pub(super) written: Option<Timestamp>,
    /// The newest resource version that was seen.
    pub(super) version: u64,
    /// The newest edition that was seen: see [`edition`].
    pub(super) edition: u64,
    /// A hash of its uid: another one is another object.
    pub(super) uid: u64,
    /// What it was when it was last known to be as the release says.
    pub(super) baseline: Option<Baseline>,
    pub(super) retry: Backoff,
    /// It carries our label: its fields are ours to force.
    pub(super) ours: bool,
    /// Seen by a watch since that one's last list began.
    pub(super) sighted: bool,
    /// To be deleted, then made again: an immutable field changed, and the manifest opted in.
    pub(super) recreate: bool,
    /// A Job that has ended: it may go, and need not come back.
    pub(super) finished: bool,
    pub(super) aside: Option<Box<Aside>>,
}

/// What only an object has that is not well, not as it should be, or was healed lately.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Why the last write failed.
    pub(super) trouble: Option<Reason>,
    /// As it was last seen, while it is not well: its health may depend on the time.
    pub(super) live: Option<Value>,
    /// Seen while a write was in flight.
    pub(super) stash: Option<Seen>,
    /// How it differs from the release.
    pub(super) found: Option<Found>,
    pub(super) heat: Heat,
}

/// What was seen of an object.
#[derive(Debug)]
pub(super) enum Seen {
    Object(Value, View),
    Gone(Option<u64>),
}

impl Seen {
    fn version(&self) -> Option<u64> {
        match self {
            Seen::Object(value, _) => version(value),
            Seen::Gone(version) => *version,
        }
    }
}

/// A drift that was found and not healed yet.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) drift: Drift,
    pub(super) view: View,
    /// It is out of sight.
    pub(super) loss: Option<Loss>,
    pub(super) seen_at: Timestamp,
    /// Requests that it took to find out.
    pub(super) requests: u32,
}

impl Object {
    pub(super) fn aside(&mut self) -> &mut Aside {
        self.aside.get_or_insert_default()
    }

    /// Keeps what was seen while a write is in flight: the newest of it.
    pub(super) fn stash(&mut self, seen: Seen) {
        let stash = &mut self.aside().stash;
        let newer = |old: &Seen| seen.version().is_none_or(|new| old.version().is_some_and(|old| new >= old));
        if stash.as_ref().is_none_or(newer) {
            *stash = Some(seen);
        }
    }

    pub(super) fn found(&self) -> Option<&Found> {
        self.aside.as_ref()?.found.as_ref()
    }

    pub(super) fn trouble(&self) -> Option<&Reason> {
        self.aside.as_ref()?.trouble.as_ref()
    }

    /// Lets go of what is kept aside once nothing is left in it.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        if let Some(aside) = &mut self.aside {
            aside.heat.cool(now);
            let Aside { trouble, live, stash, found, heat } = &**aside;
            let empty = trouble.is_none() && live.is_none() && stash.is_none() && found.is_none();
            if empty && *heat == Heat::default() {
                self.aside = None;
            }
        }
    }
}

/// Resource versions of one resource are comparable integers (Kubernetes KEP-5504).
pub(super) fn version(value: &Value) -> Option<u64> {
    value.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok()
}

/// What grows whenever somebody writes what an object shall be: its generation; of kinds that have none, its resource
/// version (Kubernetes API conventions, "Metadata").
pub(super) fn edition(value: &Value) -> u64 {
    let generation = value.pointer("/metadata/generation").and_then(Value::as_u64);
    generation.or_else(|| version(value)).unwrap_or(0)
}

/// The uid of an object.
pub(super) fn uid(value: &Value) -> Option<&str> {
    value.pointer("/metadata/uid")?.as_str()
}

/// A hash of the uid, to tell one object from the next; 0 where there is none.
pub(super) fn uid_hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid(value).map_or(0, |uid| {
        uid.hash(&mut hasher);
        hasher.finish()
    })
}

/// Complete or failed: a Job whose spec cannot do anything any more.
pub(super) fn is_finished_job(value: &Value) -> bool {
    let is_job = value["kind"] == "Job" && value["apiVersion"].as_str().is_some_and(|it| it.starts_with("batch/"));
    let conditions = value.pointer("/status/conditions").and_then(Value::as_array);
    is_job
        && conditions.into_iter().flatten().any(|condition| {
            let kind = condition.get("type").and_then(Value::as_str);
            matches!(kind, Some("Complete" | "Failed")) && condition["status"] == "True"
        })
}
