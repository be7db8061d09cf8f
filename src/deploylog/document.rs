//! `entry.json`: the canonical bytes of an entry, in versions.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LogName;
use super::entry::{
    Action, Counts, EntryCommit, GateVerdict, Genesis, Held, Part, Phase, Proposal, Rollback, Stated, Upstream,
};
use crate::name::{Digest, EnvironmentName, Fingerprint, PipelineName, Reason, UnitName};

/// The version of `entry.json` that this agent writes, and the only one it reads.
pub const FORMAT_VERSION: u64 = 1;

/// How long an entry may be on its way to the store before it lapses (course.md, rule 20). Longer lets a deposed agent
/// open late; shorter makes a slow store lose entries.
pub(super) const MAY_TRAVEL: SignedDuration = SignedDuration::from_secs(30);

/// Where the document lies in an entry's tree.
pub(super) const DOCUMENT_PATH: &str = "entry.json";

/// The fields of `entry.json`, version 1. Every field is always written, with `null` for nothing; those that came later
/// are left out where they say nothing, so that what was written before them reads back as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Document {
    pub(super) version: u64,
    pub(super) sequence: u64,
    pub(super) previous: Option<Digest>,
    pub(super) time: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) pipeline: PipelineName,
    pub(super) environment: EnvironmentName,
    pub(super) agent: Fingerprint,
    pub(super) action: Action,
    pub(super) phase: Option<Phase>,
    pub(super) units: Vec<UnitName>,
    pub(super) actor: String,
    pub(super) commit: Option<EntryCommit>,
    pub(super) release: Option<Digest>,
    pub(super) images: Vec<String>,
    pub(super) upstream: Option<Upstream>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) statement: Option<Stated>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rollback: Option<Rollback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Held>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) irreversible: Vec<String>,
    pub(super) of: Option<u64>,
    pub(super) supersedes: Option<u64>,
    pub(super) reasons: Vec<Reason>,
    pub(super) gates: Vec<GateVerdict>,
    pub(super) counts: Option<Counts>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) parts: BTreeMap<UnitName, Part>,
    pub(super) durations_ms: BTreeMap<String, u64>,
    pub(super) genesis: Option<Genesis>,
    pub(super) files: BTreeMap<String, Digest>,
}

/// An entry's place in its chain.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) name: &'a LogName,
    pub(super) sequence: u64,
    pub(super) previous: Option<Digest>,
    pub(super) agent: Fingerprint,
}

impl Document {
    /// The document of a proposal at its place; `files` are all attached files of the tree.
    pub(super) fn new(
        place: &Place<'_>,
        proposal: &Proposal,
        now: Timestamp,
        files: BTreeMap<String, Digest>,
    ) -> Document {
        let time = whole_milliseconds(now);
        let Proposal { action, phase, units, actor, commit, release, of, supersedes, reasons, gates, counts, .. } =
            proposal.clone();
        let Proposal { images, upstream, statement, rollback, hold, irreversible, .. } = proposal.clone();
        Document {
            version: FORMAT_VERSION,
            sequence: place.sequence,
            previous: place.previous,
            time,
            not_after: not_after(time),
            pipeline: place.name.pipeline.clone(),
            environment: place.name.environment.clone(),
            agent: place.agent.clone(),
            action,
            phase,
            units,
            actor,
            commit,
            release,
            images,
            upstream,
            statement,
            rollback,
            hold,
            irreversible,
            of,
            supersedes,
            reasons,
            gates,
            counts,
            parts: proposal.parts.clone(),
            durations_ms: proposal.durations_ms.clone(),
            genesis: proposal.genesis.clone(),
            files,
        }
    }

    /// The canonical bytes: keys sorted by their bytes, no space, one newline at the end.
    pub(super) fn to_json(&self) -> String {
        let value = serde_json::to_value(self).expect("because every key of a document is text");
        let mut text = String::new();
        write_canonical(&value, &mut text);
        text.push('\n');
        text
    }

    /// Reads canonical bytes, and nothing else: what would be written in another way is refused.
    pub(super) fn read(bytes: &[u8]) -> Result<Document, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let problem = |e: serde_json::Error| format!("`{DOCUMENT_PATH}` cannot be read: {e}");
        let Versioned { version } = serde_json::from_slice(bytes).map_err(problem)?;
        if version != FORMAT_VERSION {
            return Err(format!(
                "`{DOCUMENT_PATH}` is of version {version}, this agent knows version {FORMAT_VERSION}: \
                 it can neither judge this log nor write to it"
            ));
        }
        let document: Document = serde_json::from_slice(bytes).map_err(problem)?;
        if document.to_json().as_bytes() != bytes {
            return Err(format!("`{DOCUMENT_PATH}` is not in its canonical form"));
        }
        Ok(document)
    }

    /// What the document says beyond its place; `files` are the attached files that came with it.
    pub(super) fn into_proposal(self, files: BTreeMap<String, Vec<u8>>) -> Proposal {
        Proposal {
            action: self.action,
            phase: self.phase,
            units: self.units,
            actor: self.actor,
            commit: self.commit,
            release: self.release,
            images: self.images,
            upstream: self.upstream,
            statement: self.statement,
            rollback: self.rollback,
            hold: self.hold,
            irreversible: self.irreversible,
            of: self.of,
            supersedes: self.supersedes,
            reasons: self.reasons,
            gates: self.gates,
            counts: self.counts,
            parts: self.parts,
            durations_ms: self.durations_ms,
            genesis: self.genesis,
            files,
        }
    }
}

/// The latest moment at which the store may take an entry of this time.
pub(super) fn not_after(time: Timestamp) -> Timestamp {
    time.saturating_add(MAY_TRAVEL).expect("because a span of seconds has no calendar units")
}

/// Entries tell milliseconds: finer is noise to people, and both clocks are coarser.
fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).expect("because a timestamp's milliseconds are in range")
}

/// Writes JSON with sorted keys and without spaces. Sorts by itself: the order of `serde_json`'s maps depends on a
/// feature that any dependency may turn on.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_unstable_by(|one, other| one.0.cmp(other.0));
            write_list('{', '}', sorted, text, |(key, value), text| {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            });
        }
        Value::Array(items) => write_list('[', ']', items, text, write_canonical),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn write_list<T>(
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    text: &mut String,
    write: impl Fn(T, &mut String),
) {
    text.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(item, text);
    }
    text.push(close);
}
