//! Which Kubernetes objects does this YAML say?
//!
//! In: bytes of manifests. Out: [`Draft`]s with their source lines, and from all drafts of a release one ordered,
//! digested [`ManifestSet`] inside the environment's fence; or every reason against it. No value of a Secret is ever
//! part of a message.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::name::{Code, Digest, GroupKind, GroupVersionKind, ObjectKey, Reason, RepoPath};

mod canonical;
mod packed;
mod quantity;
mod scaling;
mod scope;
mod set;
mod shape;
mod yaml;

pub use packed::{Group, Packed};
pub use quantity::canonical as canonical_quantity;

/// Where a manifest was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, or the directory whose kustomization rendered it.
    pub file: RepoPath,
    /// The line of the document's first node, counted from 1; 0 for rendered output.
    pub line: u32,
}

/// One object as a file says it, `List` kinds flattened.
#[derive(Clone, PartialEq)]
pub struct Draft {
    /// The object.
    pub value: Value,
    /// Where it was read.
    pub source: Source,
}

/// Leaves out the value, which may be a Secret's.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.value.get("kind").and_then(Value::as_str);
        let name = self.value.pointer("/metadata/name").and_then(Value::as_str);
        f.debug_struct("Draft").field("kind", &kind).field("name", &name).field("source", &self.source).finish()
    }
}

/// Reads all YAML or JSON documents of a file as kubectl does, and refuses what we refuse on purpose.
///
/// # Errors
/// `invalid-yaml`, `limit-exceeded` or `invalid-object`, with file, line and column.
pub fn read(file: &RepoPath, bytes: &[u8]) -> Result<Vec<Draft>, Reason> {
    let mut drafts = Vec::new();
    for yaml::Document { value, line } in yaml::documents(bytes).map_err(|fault| at_fault(file, fault))? {
        let Value::Object(object) = value else {
            let reason = Reason::new(Code::InvalidObject, format!("`{file}` line {line}: document is not a mapping"));
            return Err(reason.at_file(file.to_string(), Some(line), Some(1)));
        };
        let source = Source { file: file.clone(), line };
        drafts.extend(flattened(object).into_iter().map(|value| Draft { value, source: source.clone() }));
        if drafts.len() > COUNT_LIMIT {
            let found = format!("`{file}` holds more than {COUNT_LIMIT} objects");
            return Err(Reason::new(Code::LimitExceeded, found).at_file(file.to_string(), Some(line), Some(1)));
        }
    }
    Ok(drafts)
}

/// Objects of one file.
const COUNT_LIMIT: usize = 100_000;

/// The items of a list, or the object itself. Like kubectl, an item of a `ConfigMapList` may leave out its type.
fn flattened(mut object: Map<String, Value>) -> Vec<Value> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let api_version = text("apiVersion");
    let Some(kind) = text("kind").and_then(|kind| kind.strip_suffix("List").map(str::to_owned)) else {
        return vec![Value::Object(object)];
    };
    let mut items = match object.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) if kind.is_empty() => Vec::new(),
        other => {
            object.remove("items");
            object.extend(other.map(|items| ("items".to_owned(), items)));
            return vec![Value::Object(object)];
        }
    };
    for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !kind.is_empty()) {
        if let Some(api_version) = api_version.clone().filter(|_| !item.contains_key("kind")) {
            item.entry("apiVersion").or_insert(Value::String(api_version));
            item.insert("kind".to_owned(), Value::String(kind.clone()));
        }
    }
    items
}

fn at_fault(file: &RepoPath, fault: yaml::Fault) -> Reason {
    let yaml::Fault { code, found, line, column } = fault;
    let message = format!("`{file}` line {line}, column {column}: {found}");
    Reason::new(code, message).at_file(file.to_string(), Some(line), Some(column))
}

/// Reads all YAML documents as values, without asking that they be Kubernetes objects: for kustomizations.
///
/// # Errors
/// `invalid-yaml` or `limit-exceeded`, with file, line and column.
pub fn read_values(file: &RepoPath, bytes: &[u8]) -> Result<Vec<Value>, Reason> {
    let documents = yaml::documents(bytes).map_err(|fault| at_fault(file, fault))?;
    Ok(documents.into_iter().map(|document| document.value).collect())
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// The scope of every kind that is known: from discovery, or the built-in table where there is no cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(pub BTreeMap<GroupKind, Scope>);

/// What an environment may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The namespaces it may write into; never empty.
    pub namespaces: Vec<String>,
    /// The namespace that an object without one gets; `None` where the environment lists several.
    pub default_namespace: Option<String>,
    /// Cluster-scoped kinds it may write, besides its own Namespaces: `Kind` or `Kind.group`.
    pub cluster_kinds: Vec<GroupKind>,
    /// The agent's own namespace, which nothing may touch.
    pub agent_namespace: String,
}

impl Fence {
    /// Whether an object lies inside.
    #[must_use]
    pub fn holds(&self, key: &ObjectKey) -> bool {
        match &key.namespace {
            Some(namespace) => *namespace != self.agent_namespace && self.namespaces.contains(namespace),
            None => {
                let own = key.is_core("Namespace") && self.namespaces.contains(&key.name);
                own || self.cluster_kinds.contains(&key.group_kind())
            }
        }
    }
}

/// When an object is applied: each stage after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Namespaces, CRDs (until Established), priority, storage and other classes.
    Foundation,
    /// Service accounts, RBAC, quotas, ConfigMaps, Secrets, claims, Services.
    Config,
    /// Everything else, by wave.
    Workload,
    /// Webhook configurations and APIServices.
    Webhook,
}

/// One object of a release in canonical form.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// What makes it the same object.
    pub key: ObjectKey,
    /// The kind and the version it is written in.
    pub kind: GroupVersionKind,
    /// When it is applied.
    pub stage: Stage,
    /// Within the stage `workload`: lower waves first (`lockmaster.dev/wave`).
    pub wave: i32,
    /// A scaler of the same release decides the number of its replicas, and the object does not say it.
    pub scaled: bool,
    /// The object, canonical.
    pub value: Value,
    /// SHA-256 of its canonical JSON.
    pub digest: Digest,
}

/// Leaves out the value, which may be a Secret's.
impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { key, kind, stage, wave, scaled, value: _, digest } = self;
        let mut shown = f.debug_struct("Manifest");
        shown.field("key", &key.to_string()).field("apiVersion", &kind.api_version());
        shown.field("stage", stage).field("wave", wave).field("scaled", scaled).field("digest", digest);
        shown.finish_non_exhaustive()
    }
}

/// The objects of a release: unique, ordered by stage, wave and key, digested.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestSet {
    manifests: Vec<Manifest>,
    places: BTreeMap<ObjectKey, usize>,
}

impl ManifestSet {
    /// SHA-256 of [`ManifestSet::to_bytes`]: the release digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// Canonical JSON: keys in byte order, no space, one form per number.
#[must_use]
pub fn canonical_json(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Number(number) => {
            // What is no i64 is a float64 to Kubernetes, however it was written.
            let settled = number.as_f64().filter(|_| !number.is_i64()).and_then(yaml::number);
            out.extend_from_slice(settled.as_ref().unwrap_or(number).to_string().as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // Sorted here, so that no feature of `serde_json` elsewhere in the tree can change a digest.
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by(|one, other| one.0.cmp(other.0));
            out.push(b'{');
            for (index, (key, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
                out.push(b':');
                write_canonical(member, out);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests;
