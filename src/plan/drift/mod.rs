//! Is a live object still as we applied it?
//!
//! In: the object that answered our last apply, kept as a [`Baseline`] of three keyed hashes, and what a watch or a read
//! shows later. Out: the same, drifted, or look at the whole object; and the names of what drifted.
//!
//! Drift is what a dry run of a forced apply would tell: the apply would change the stored object, or our own entry of
//! `managedFields`. Fields of others are none. Two things are compared, and both are needed. The server takes a path out
//! of our entry when anybody changes or removes its value (sigs.k8s.io/structured-merge-diff, "Update"), so the entry
//! tells nearly everything. The values at the paths of the entry tell what the server does not track: the order of list
//! elements, a webhook's late edit, an entry that was edited by hand.

mod applied;
mod entry;
mod hash;
mod naming;
mod projection;
mod schema;
mod text;

use serde_json::Value;

use super::{FieldChange, FieldOwner};
use crate::manifest::Manifest;
use entry::Entry;

/// The secret key of the hashes: with it nobody can craft two objects of one hash, nor guess a Secret's value from a hash
/// that was stored.
#[derive(Clone)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// A key of random bytes. Whoever keeps a [`Baseline`] keeps its key: under another one every object looks drifted.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        HashKey(bytes)
    }
}

/// Never shows the key.
impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(..)")
    }
}

/// How much of an object a watch or an answer shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// All of it.
    Whole,
    /// `metadata` alone.
    Metadata,
}

/// What an object was when it was last known to be as its manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// Our entry of `managedFields`.
    entry: u128,
    /// The values that we own below `metadata`.
    metadata: u128,
    /// All other values that we own.
    rest: u128,
    /// `metadata.resourceVersion`; 0 where that is no number.
    version: u64,
    /// `metadata.generation`, of kinds that have one.
    generation: Option<i64>,
}

impl Baseline {
    /// From the whole object: the answer to our own apply, or a read that [`is_as_applied`] holds for.
    ///
    /// An object without our entry gets a baseline that nothing equals.
    #[must_use]
    pub fn of(object: &Value, key: &HashKey) -> Baseline {
        let (version, generation) = (version(object), generation(object));
        let Some(entry) = Entry::of(object) else {
            return Baseline { entry: 0, metadata: 0, rest: 0, version, generation };
        };
        let metadata = projection::metadata(entry, object, key);
        let rest = projection::rest(entry, object, key);
        Baseline { entry: entry.hash(key), metadata, rest, version, generation }
    }

    /// The `resourceVersion` at which the object was last known to be so; 0 where the server's is no number. An event of
    /// a lower version than this is older than what is known: resource versions of one kind are ordered numbers
    /// (Kubernetes KEP-5504).
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether both say the same of our fields, whenever they were seen.
    #[must_use]
    pub fn agrees(&self, other: &Baseline) -> bool {
        (self.entry, self.metadata, self.rest) == (other.entry, other.metadata, other.rest)
    }

    /// Short text for the inventory.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::write(self)
    }

    /// Reads what [`Baseline::to_text`] wrote; `None` if it cannot be read, and then the object counts as unknown.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Baseline> {
        text::read(text)
    }
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Check {
    /// It is as it was.
    Same,
    /// A forced apply would change the object or what we own of it.
    Drifted,
    /// Metadata alone cannot tell: read the whole object and check that.
    Look,
}

/// Compares what is seen with the baseline. On [`Check::Same`] the baseline takes the version and the generation that
/// were seen, so that the next check is quick.
///
/// That the object is the same one (its uid) and not older than the baseline is for the caller to know.
pub fn check(baseline: &mut Baseline, object: &Value, view: View, key: &HashKey) -> Check {
    let Some(entry) = Entry::of(object) else { return Check::Drifted };
    if entry.hash(key) != baseline.entry || projection::metadata(entry, object, key) != baseline.metadata {
        return Check::Drifted;
    }
    let (version, generation) = (version(object), generation(object));
    // The server counts a generation for every change outside metadata and status (Kubernetes API conventions, "Metadata").
    let is_untouched = baseline.generation.is_some() && baseline.generation == generation;
    match view {
        View::Metadata if !is_untouched && (version == 0 || version != baseline.version) => return Check::Look,
        View::Whole if !is_untouched && projection::rest(entry, object, key) != baseline.rest => return Check::Drifted,
        View::Metadata | View::Whole => {}
    }
    (baseline.version, baseline.generation) = (version, generation);
    Check::Same
}

/// Whether a forced apply of the manifest would change nothing, decided from the whole live object alone: a start without
/// baselines needs no write then. `false` also where that is not sure.
#[must_use]
pub fn is_as_applied(manifest: &Manifest, live: &Value, set_id: &str) -> bool {
    applied::is_as_applied(manifest, live, set_id)
}

/// What drifted.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The fields, from the live value to the value of the manifest. Where both are the same, only the ownership of the
    /// field went; a lost or foreign entry of `managedFields` as a whole is named by that path.
    pub fields: Vec<FieldChange>,
    /// Who wrote them last, if it was not us; where a field is gone, whoever else wrote the object last.
    pub by: Option<FieldOwner>,
}

impl Drift {
    /// Whether the same fields have the same values. Who wrote them, and when, says nothing: the server notes the time of
    /// all that a manager has anew whenever that manager writes anything else of the object.
    #[must_use]
    pub fn is_same(&self, other: &Drift) -> bool {
        fn values(drift: &Drift) -> impl Iterator<Item = (&String, &Option<Value>, &Option<Value>)> {
            drift.fields.iter().map(|change| (&change.path, &change.from, &change.to))
        }
        values(self).eq(values(other))
    }
}

/// Names what drifted. From the whole object: with values. From metadata alone: also the paths of the manifest that our
/// entry no longer has, without their live values. Where no field tells it, `metadata.managedFields` stands for the drift.
#[must_use]
pub fn name(manifest: &Manifest, seen: &Value, view: View, set_id: &str) -> Drift {
    naming::name(manifest, seen, view, set_id)
}

fn version(object: &Value) -> u64 {
    let text = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The generation; of a PriorityClass it counts nothing: it stays 1 whatever changes (Kubernetes 1.36, seen).
fn generation(object: &Value) -> Option<i64> {
    let counts = object.get("kind").is_none_or(|kind| kind != "PriorityClass");
    object.pointer("/metadata/generation").filter(|_| counts).and_then(Value::as_i64)
}

impl serde::Serialize for Baseline {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

/// Reads a baseline that may be missing, or be written by a later agent: then the object is looked at as if there were none.
pub(super) fn deserialize_known<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Baseline>, D::Error> {
    let text: Option<String> = serde::Deserialize::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(Baseline::from_text))
}
