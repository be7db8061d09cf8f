//! Is this object well?
//!
//! In: one live object. Out: its [`Assessment`]. No fetching, no memory: time comes in as a value.
//!
//! The order of the questions is that of kstatus (sigs.k8s.io/cli-utils, `pkg/kstatus/status`): being deleted, not yet
//! seen by its controller, `Reconciling` and `Stalled`, then the rule of the kind, then `Ready` or `Available`. What we
//! judge otherwise than kstatus is said at the rule.

pub mod check;

mod cluster;
mod custom;
mod reading;
mod workload;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use reading::{Conditions, Truth, Unreadable, conditions, generation, is_set, observed_generation, text};

/// How long an object may have no status before that means that its kind has none: a controller that is alive answers
/// within seconds; a longer wait delays each release with such an object, a shorter one calls healthy what nobody saw.
const NO_STATUS: SignedDuration = SignedDuration::from_secs(30);

/// How an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Does what it should.
    Healthy,
    /// On its way.
    Progressing,
    /// Stopped on purpose.
    Suspended,
    /// Not there.
    Missing,
    /// Will not get there by itself.
    Failed,
    /// Cannot be read.
    Unknown,
}

impl Health {
    /// The whole list.
    pub const ALL: [Health; 6] =
        [Health::Healthy, Health::Progressing, Health::Suspended, Health::Missing, Health::Failed, Health::Unknown];

    /// The word that people and scripts read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Progressing => "progressing",
            Health::Suspended => "suspended",
            Health::Missing => "missing",
            Health::Failed => "failed",
            Health::Unknown => "unknown",
        }
    }
}

/// How an object is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// How it is.
    pub health: Health,
    /// Why, in one line; empty when healthy.
    pub message: String,
    /// Counted healthy only because it exists (`health-assumed`).
    pub assumed: bool,
}

/// What a rule says, or what it could not read.
type Ruling = Result<Assessment, Unreadable>;

/// The rule of a kind.
type Rule = fn(&Value, Timestamp) -> Ruling;

/// Assesses a live object; `applied_at` is when the release's apply of it was answered.
///
/// An object that is `null` is [`Health::Missing`]; one whose status has another shape than its kind's rule expects is
/// [`Health::Unknown`].
#[must_use]
pub fn assess(object: &Value, applied_at: Timestamp, now: Timestamp) -> Assessment {
    if object.is_null() {
        return Assessment::of(Health::Missing, "not in the cluster");
    }
    rule_over(object, applied_at, now).unwrap_or_else(|Unreadable(what)| Assessment {
        health: Health::Unknown,
        message: what,
        assumed: false,
    })
}

/// Assesses an object of a kind without a status by its metadata: it is well when it exists and is not being deleted.
#[must_use]
pub fn assess_metadata(object: &Value) -> Assessment {
    let terminating = is_set(object.pointer("/metadata/deletionTimestamp"));
    if terminating { Assessment::progressing("terminating") } else { Assessment::assumed() }
}

impl Assessment {
    fn of(health: Health, message: impl Into<String>) -> Self {
        Assessment { health, message: message.into(), assumed: false }
    }

    fn healthy() -> Self {
        Assessment::of(Health::Healthy, "")
    }

    fn assumed() -> Self {
        Assessment { assumed: true, ..Assessment::healthy() }
    }

    fn progressing(message: impl Into<String>) -> Self {
        Assessment::of(Health::Progressing, message)
    }

    fn suspended(message: impl Into<String>) -> Self {
        Assessment::of(Health::Suspended, message)
    }

    fn failed(message: impl Into<String>) -> Self {
        Assessment::of(Health::Failed, message)
    }
}

fn rule_over(object: &Value, applied_at: Timestamp, now: Timestamp) -> Ruling {
    let api_version = text(object, "/apiVersion")?.unwrap_or_default();
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let kind = text(object, "/kind")?.unwrap_or_default();
    if let Some(found) = of_any_kind(object)? {
        return Ok(found);
    }
    let rule = workload::rule(group, kind).or_else(|| cluster::rule(group, kind));
    match rule.or_else(|| custom::rule(group, kind, object)) {
        Some(rule) => rule(object, now),
        None => generic(object, applied_at, now),
    }
}

/// What holds for an object of any kind, before its kind is asked (kstatus, `GetObjectWithConditions` and the generic
/// properties of `core.go`).
fn of_any_kind(object: &Value) -> Result<Option<Assessment>, Unreadable> {
    if is_set(object.pointer("/metadata/deletionTimestamp")) {
        return Ok(Some(Assessment::progressing("terminating")));
    }
    if object.get("status").is_some_and(|status| !status.is_object() && !status.is_null()) {
        return Err(Unreadable("`status` is not an object".to_owned()));
    }
    if let (Some(wanted), Some(seen)) = (generation(object)?, observed_generation(object)?)
        && wanted != seen
    {
        let message = format!("generation {wanted} is not seen yet by its controller, which is at {seen}");
        return Ok(Some(Assessment::progressing(message)));
    }
    if object.pointer("/status/conditions").is_some_and(|conditions| !conditions.is_array()) {
        // Some kinds have conditions of another shape; whoever reads them says that they cannot be read.
        return Ok(None);
    }
    let conditions = conditions(object)?;
    if let Some(stalled) = conditions.with("Stalled", Truth::True) {
        return Ok(Some(Assessment::failed(stalled.because())));
    }
    Ok(conditions.with("Reconciling", Truth::True).map(|condition| Assessment::progressing(condition.because())))
}

/// The rule of kinds that nobody told us about: `Ready`, else `Available`.
///
/// kstatus calls an object without either of them current at once, also before its controller has seen it; we wait
/// [`NO_STATUS`] for a status, and call a status that says neither unknown, unless the controller at least says that it
/// has seen this generation.
fn generic(object: &Value, applied_at: Timestamp, now: Timestamp) -> Ruling {
    let empty = |status: &Value| status.as_object().is_none_or(serde_json::Map::is_empty);
    if object.get("status").is_none_or(empty) {
        let waited = now.duration_since(applied_at) >= NO_STATUS;
        return Ok(if waited { Assessment::assumed() } else { Assessment::progressing("has no status yet") });
    }
    if let Some(found) = by_readiness(&conditions(object)?) {
        return Ok(found);
    }
    let seen = generation(object)?.is_some() && observed_generation(object)?.is_some();
    if seen {
        return Ok(Assessment::assumed());
    }
    Err(Unreadable("`status` has no condition `Ready` or `Available`".to_owned()))
}

/// Reads `Ready`, else `Available`. False is progressing, as in kstatus: the settle deadline ends it.
fn by_readiness(conditions: &Conditions<'_>) -> Option<Assessment> {
    let found = conditions.get("Ready").or_else(|| conditions.get("Available"))?;
    Some(match found.truth {
        Truth::True => Assessment::healthy(),
        Truth::False | Truth::Unknown => Assessment::progressing(found.because()),
    })
}

/// The rule of kinds that are well as soon as they exist.
fn exists(_: &Value, _: Timestamp) -> Ruling {
    Ok(Assessment::healthy())
}
