//! Is this object well?
//!
//! In: one live object. Out: its [`Assessment`]. No fetching, no memory: time comes in as a value.

use jiff::Timestamp;
use serde_json::Value;

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

/// Assesses a live object; `applied_at` is when the release's apply of it was answered.
#[must_use]
pub fn assess(object: &Value, applied_at: Timestamp, now: Timestamp) -> Assessment {
    unimplemented!("{object} {applied_at} {now}")
}
