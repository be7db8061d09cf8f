//! Which Kubernetes objects does this YAML say?
//!
//! In: bytes of manifests. Out: [`Draft`]s with their source lines, and from all drafts of a release one ordered,
//! digested [`ManifestSet`] inside the environment's fence; or every reason against it. No value of a Secret is ever
//! part of a message.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::name::{Digest, GroupKind, GroupVersionKind, ObjectKey, Reason, RepoPath};

/// Where a manifest was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, or the directory whose kustomization rendered it.
    pub file: RepoPath,
    /// The line of the document's first node, counted from 1; 0 for rendered output.
    pub line: u32,
}

/// One object as a file says it, `List` kinds flattened.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// The object.
    pub value: Value,
    /// Where it was read.
    pub source: Source,
}

/// Reads all YAML or JSON documents of a file as kubectl does, and refuses what we refuse on purpose.
///
/// # Errors
/// `invalid-yaml`, `limit-exceeded` or `invalid-object`, with file, line and column.
pub fn read(file: &RepoPath, bytes: &[u8]) -> Result<Vec<Draft>, Reason> {
    unimplemented!("{file} {bytes:?}")
}

/// Reads all YAML documents as values, without asking that they be Kubernetes objects: for kustomizations.
///
/// # Errors
/// `invalid-yaml` or `limit-exceeded`, with file, line and column.
pub fn read_values(file: &RepoPath, bytes: &[u8]) -> Result<Vec<Value>, Reason> {
    unimplemented!("{file} {bytes:?}")
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

impl Scopes {
    /// The kinds that Kubernetes itself serves.
    #[must_use]
    pub fn built_in() -> Self {
        unimplemented!()
    }
}

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
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What makes it the same object.
    pub key: ObjectKey,
    /// The kind and the version it is written in.
    pub kind: GroupVersionKind,
    /// When it is applied.
    pub stage: Stage,
    /// Within the stage `workload`: lower waves first (`lockmaster.dev/wave`).
    pub wave: i32,
    /// The object, canonical.
    pub value: Value,
    /// SHA-256 of its canonical JSON.
    pub digest: Digest,
}

/// The objects of a release: unique, ordered by stage, wave and key, digested.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestSet {}

impl ManifestSet {
    /// Makes the set of all drafts of a release: canonical form, namespaces, fence, uniqueness, order.
    ///
    /// # Errors
    /// Every reason against it, at most one per object: `invalid-object`, `duplicate-object`, `outside-namespace`,
    /// `protected-object`, `kind-not-found`, `empty-render`.
    pub fn assemble(drafts: Vec<Draft>, fence: &Fence, scopes: &Scopes) -> Result<Self, Vec<Reason>> {
        unimplemented!("{drafts:?} {fence:?} {scopes:?}")
    }

    /// The manifests, in order.
    #[must_use]
    pub fn manifests(&self) -> &[Manifest] {
        unimplemented!()
    }

    /// The manifest of an object.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Manifest> {
        unimplemented!("{key}")
    }

    /// The release's canonical bytes: one line of canonical JSON per object, in order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// The set that [`ManifestSet::to_bytes`] wrote.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        unimplemented!("{bytes:?}")
    }

    /// SHA-256 of [`ManifestSet::to_bytes`]: the release digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }
}

/// Canonical JSON: keys in byte order, no space, one form per number.
#[must_use]
pub fn canonical_json(value: &Value) -> Vec<u8> {
    unimplemented!("{value}")
}
