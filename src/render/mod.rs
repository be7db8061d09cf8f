//! Which files make the release, and which objects do they render to?
//!
//! In: the tree of a commit and the contents of files. Out: the [`Closure`] of inputs (found without running anything),
//! and with a kustomize child's output [`Rendered`]. The room runs nothing: `edge::renderer` does.

mod close;
mod images;
mod kustomization;
mod kustomize;
mod plain;
mod plugin;
mod remote;
mod touched;
mod walk;

pub use close::close;
pub use images::{image_name, images, images_by_object, is_pinned};
pub use touched::is_touched;

use std::collections::BTreeMap;

use crate::deploylog::Inputs;
use crate::manifest::{self, Fence, ManifestSet, Scopes};
use crate::name::{Code, ObjectId, Reason, RepoPath};
use crate::revision::Verified;

/// What an entry of a Git tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link; its content is the target.
    Link,
    /// A commit of another repository.
    Submodule,
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub kind: EntryKind,
    /// The blob.
    pub id: ObjectId,
    /// The blob's size in bytes.
    pub size: u64,
}

/// Every file of a commit, by path: a fact.
pub type Tree = BTreeMap<RepoPath, TreeEntry>;

/// The contents of files, by path: a fact.
pub type Contents = BTreeMap<RepoPath, Vec<u8>>;

/// Which renderer an environment uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renderer {
    /// For each path: a kustomization file → kustomize, `Chart.yaml` → helm, else plain.
    #[default]
    Auto,
    /// Every `*.yaml`, `*.yml` and `*.json` below the path.
    Plain,
    /// `kustomize build`.
    Kustomize,
    /// `helm template`.
    Helm,
}

/// What an environment renders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The paths, in the order of the configuration; never empty.
    pub paths: Vec<RepoPath>,
    /// How.
    pub renderer: Renderer,
}

/// One path of an environment, closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Files to read as they are, in byte order of path.
    Plain { path: RepoPath, files: Vec<RepoPath> },
    /// A directory to build with kustomize in a private tree that holds the closure's files.
    Kustomize { path: RepoPath },
}

/// Everything a render will read. Earned by [`close`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    parts: Vec<Part>,
    inputs: Inputs,
    files: Contents,
}

impl Closure {
    /// The parts, in the order of the paths.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The contents of every input file, links followed.
    #[must_use]
    pub fn files(&self) -> &Contents {
        &self.files
    }
}

/// How far closing came.
#[derive(Debug)]
pub enum Closing {
    /// Read these files and call again with all contents so far.
    Needs(Vec<RepoPath>),
    /// Done.
    Closed(Closure),
}

/// What kustomize printed for each kustomize part, by its path.
pub type Outputs = BTreeMap<RepoPath, Vec<u8>>;

/// The objects of a closure, without any claim about who signed it: for `plan ENV@.`, and inside [`Rendered::new`].
///
/// # Errors
/// Every reason against the objects.
pub fn assemble(
    closure: &Closure,
    outputs: &Outputs,
    fence: &Fence,
    scopes: &Scopes,
) -> Result<ManifestSet, Vec<Reason>> {
    let mut drafts = Vec::new();
    let mut reasons = Vec::new();
    for (source, bytes) in sources(closure, outputs) {
        match bytes.and_then(|bytes| manifest::read(source, bytes)) {
            Ok(read) => drafts.extend(read),
            Err(reason) => reasons.push(reason),
        }
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    ManifestSet::assemble(drafts, fence, scopes)
        .map_err(|found| found.into_iter().map(|r| placed(r, closure)).collect())
}

/// The reason, at the first path where no file is to blame: `empty-render`.
fn placed(reason: Reason, closure: &Closure) -> Reason {
    match closure.parts.first() {
        Some(Part::Plain { path, .. } | Part::Kustomize { path }) if reason.file.is_none() => {
            reason.at_file(path.to_string(), None, None)
        }
        _ => reason,
    }
}

/// What to read manifests from, in the order of the parts.
fn sources<'a>(closure: &'a Closure, outputs: &'a Outputs) -> Vec<(&'a RepoPath, Result<&'a [u8], Reason>)> {
    let mut sources = Vec::new();
    for part in &closure.parts {
        match part {
            Part::Plain { files, .. } => {
                sources.extend(files.iter().map(|file| (file, Ok(closure.files[file].as_slice()))));
            }
            Part::Kustomize { path } => {
                let output = outputs.get(path).map(Vec::as_slice);
                let missing = || Reason::new(Code::RenderFailed, format!("`{path}` was not built"));
                sources.push((path, output.ok_or_else(missing)));
            }
        }
    }
    sources
}

/// The objects of a verified commit.
#[derive(Debug)]
#[must_use = "plan it"]
pub struct Rendered {
    verified: Verified,
    inputs: Inputs,
    set: ManifestSet,
}

impl Rendered {
    /// Renders a verified commit from its closure.
    ///
    /// # Errors
    /// Every reason against the objects.
    pub fn new(
        verified: Verified,
        closure: Closure,
        outputs: &Outputs,
        fence: &Fence,
        scopes: &Scopes,
    ) -> Result<Self, Vec<Reason>> {
        let set = assemble(&closure, outputs, fence, scopes)?;
        let inputs = closure.inputs().clone();
        Ok(Rendered { verified, inputs, set })
    }

    /// The verified commit.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The inputs.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The release.
    #[must_use]
    pub fn set(&self) -> &ManifestSet {
        &self.set
    }
}
