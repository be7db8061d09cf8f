//! What the manifests of a working tree say about where they go: the layout, namespaces and cluster-scoped kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::layout::Layout;
use crate::edge::git;
use crate::manifest::{self, Draft, Scope, Scopes};
use crate::name::{GroupKind, GroupVersionKind, Reason, RepoPath};
use crate::render::{self, Closing, Contents, Renderer, Sources, Tree};

/// Names that kustomize takes for its file (kustomize, `konfig.RecognizedKustomizationFileNames`).
const KUSTOMIZATION: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Directories whose manifests are somebody else's, or only for tests.
const FOREIGN: [&str; 3] = ["vendor", "node_modules", "testdata"];

/// Files with `apiVersion` and `kind` that are for a tool on a laptop, not for a cluster.
const TOOLS: [&str; 5] =
    ["kustomize.config.k8s.io/", "skaffold/", "lockmaster.dev/", "kind.x-k8s.io/", "backstage.io/"];

/// The longest file that is looked into for the layout.
const LONGEST: u64 = 1 << 20;

/// The files of a working tree.
pub(super) struct Files {
    tree: Tree,
    places: BTreeMap<RepoPath, PathBuf>,
}

/// What an environment's manifests say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The namespaces they name.
    pub(super) namespaces: BTreeSet<String>,
    /// The cluster-scoped kinds besides Namespace.
    pub(super) cluster_kinds: BTreeSet<GroupKind>,
    /// Why what they say may not be all: they could not be read as a render would.
    pub(super) problem: Option<String>,
}

impl Files {
    /// The files, tracked or not ignored.
    ///
    /// # Errors
    /// As [`git::working_tree`].
    pub(super) fn of(root: &std::path::Path) -> Result<Files, Reason> {
        let (tree, places) = git::working_tree(root).map_err(|error| error.reason())?;
        Ok(Files { tree, places })
    }

    /// Whether there is something at or below a path.
    pub(super) fn holds(&self, path: &RepoPath) -> bool {
        self.tree.keys().any(|file| file.is_within(path))
    }

    /// Where kustomizations, manifests and charts lie.
    pub(super) fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (path, entry) in self.tree.iter().filter(|(path, _)| !is_aside(path)) {
            if KUSTOMIZATION.contains(&path.file_name()) {
                layout.kustomizations.insert(path.parent());
            } else if path.file_name() == "Chart.yaml" {
                layout.charts.insert(path.parent());
            } else if is_yaml(path) && entry.size <= LONGEST && self.is_manifest(path) {
                layout.manifests.insert(path.parent());
            }
        }
        layout
    }

    fn is_manifest(&self, path: &RepoPath) -> bool {
        let text = self.read(path).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let version = |line: &str| {
            let value = line.strip_prefix("apiVersion:").or_else(|| line.split_once("\"apiVersion\":").map(|(_, v)| v));
            value.map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
        };
        let first = text.lines().find_map(version);
        first.is_some_and(|version| !TOOLS.iter().any(|tool| version.starts_with(tool)))
    }

    fn read(&self, path: &RepoPath) -> Option<Vec<u8>> {
        git::working_file(&self.tree, &self.places, path).ok()
    }

    /// What the manifests of these paths say, and of all that their kustomizations reach.
    pub(super) fn say(&self, paths: &[RepoPath]) -> Said {
        match self.close(paths) {
            Ok(files) => said(paths, &files, None),
            Err(reason) => {
                let below = |file: &&RepoPath| is_yaml(file) && paths.iter().any(|path| file.is_within(path));
                let files = self.tree.keys().filter(below);
                let files = files.filter_map(|file| Some((file.clone(), self.read(file)?))).collect();
                said(paths, &files, Some(reason.message))
            }
        }
    }

    /// Every file that a render would read.
    fn close(&self, paths: &[RepoPath]) -> Result<Contents, Reason> {
        let sources = Sources { paths: paths.to_vec(), renderer: Renderer::Auto };
        let mut contents = Contents::new();
        loop {
            match render::close(&self.tree, &sources, &contents)? {
                Closing::Closed(closure) => return Ok(closure.files().clone()),
                Closing::Needs(needed) => {
                    for path in needed {
                        let bytes = git::working_file(&self.tree, &self.places, &path);
                        contents.insert(path, bytes.map_err(|error| error.reason())?);
                    }
                }
            }
        }
    }
}

fn said(paths: &[RepoPath], files: &Contents, problem: Option<String>) -> Said {
    let mut said = Said { problem, ..Said::default() };
    let mut scopes = Scopes::built_in();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut given: BTreeMap<RepoPath, String> = BTreeMap::new();
    for (path, bytes) in files {
        if KUSTOMIZATION.contains(&path.file_name()) {
            let namespace = manifest::read_values(path, bytes)
                .ok()
                .and_then(|values| Some(text(values.first()?, "/namespace")?.to_owned()));
            given.extend(namespace.filter(|name| !name.is_empty()).map(|name| (path.parent(), name)));
        } else if is_yaml(path) {
            // Patches, values and the like are in here too: what is no object says nothing.
            drafts.extend(manifest::read(path, bytes).unwrap_or_default());
        }
    }
    for draft in &drafts {
        add_definition(&mut scopes, &draft.value);
    }
    // What the kustomization of the path itself says is the last word on every object in it.
    let decided: BTreeSet<String> = paths.iter().filter_map(|path| given.get(path).cloned()).collect();
    let open = paths.iter().any(|path| !given.contains_key(path));
    for draft in &drafts {
        said.add(&draft.value, &scopes, open);
    }
    if open {
        said.namespaces.extend(given.into_values());
    }
    said.namespaces.extend(decided);
    said
}

impl Said {
    fn add(&mut self, object: &Value, scopes: &Scopes, open: bool) {
        let Some((version, kind)) = text(object, "/apiVersion").zip(text(object, "/kind")) else { return };
        let kind = GroupVersionKind::from_manifest(version, kind).group_kind();
        let is_namespace = kind == GroupKind::new("", "Namespace");
        let named = if is_namespace { text(object, "/metadata/name") } else { text(object, "/metadata/namespace") };
        match scopes.0.get(&kind) {
            Some(Scope::Cluster) if !is_namespace => {
                self.cluster_kinds.insert(kind);
            }
            _ if open => self.namespaces.extend(named.filter(|name| !name.is_empty()).map(str::to_owned)),
            _ => {}
        }
    }
}

/// The kind that a CustomResourceDefinition among the manifests defines.
fn add_definition(scopes: &mut Scopes, object: &Value) {
    if text(object, "/kind") != Some("CustomResourceDefinition") {
        return;
    }
    let scope = if text(object, "/spec/scope") == Some("Cluster") { Scope::Cluster } else { Scope::Namespaced };
    if let Some((group, kind)) = text(object, "/spec/group").zip(text(object, "/spec/names/kind")) {
        scopes.0.insert(GroupKind::new(group, kind), scope);
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn is_yaml(path: &RepoPath) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|extension| path.file_name().ends_with(extension))
}

/// Whether a part of the path is hidden, or of what is not this repository's own.
fn is_aside(path: &RepoPath) -> bool {
    path.as_str().split('/').any(|part| part.starts_with('.') || FOREIGN.contains(&part))
}
