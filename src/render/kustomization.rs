//! What a kustomization file names, by the fields of its format (kustomize, `api/types/kustomization.go`).
//!
//! It fails closed: a field that is not known here could name a file or a URL, and is refused.

use serde_json::{Map, Value};

use super::plugin;
use super::remote::{is_remote, redacted};
use super::walk::refused;
use crate::manifest;
use crate::name::{Code, Reason, RepoPath};

/// How kustomize loads what an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loads {
    /// A file.
    File,
    /// A file, or a directory with a kustomization.
    Resource,
    /// A directory with a kustomization.
    Directory,
    /// A file of plugin configurations, or a directory whose kustomization lists such files.
    Plugins,
}

/// An entry that names a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) entry: String,
    pub(super) loads: Loads,
}

/// Collects what the entries of one file name.
pub(super) struct Naming<'a> {
    file: &'a RepoPath,
    pub(super) named: Vec<Named>,
}

/// Fields that name nothing.
const SILENT: [&str; 16] = [
    "apiVersion",
    "kind",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "images",
    "imageTags",
    "replicas",
    "vars",
    "sortOptions",
    "generatorOptions",
    "buildMetadata",
];

/// What the kustomization in `file` names, in the order of its fields.
///
/// # Errors
/// `remote-input-forbidden`; `render-failed`: a field that is not known, or of another type than kustomize takes.
pub(super) fn names(file: &RepoPath, value: &Value) -> Result<Vec<Named>, Reason> {
    let mut naming = Naming::new(file);
    for (key, value) in naming.object(value, "a kustomization")? {
        naming.field(key, value)?;
    }
    Ok(naming.named)
}

/// What the kustomization in `file` names where it stands for plugin configurations: resources only, so that nothing
/// can change a configuration after it was looked at.
///
/// # Errors
/// As [`names`].
pub(super) fn plugin_names(file: &RepoPath, value: &Value) -> Result<Vec<Named>, Reason> {
    let mut naming = Naming::new(file);
    for (key, value) in naming.object(value, "a kustomization")? {
        match key.as_str() {
            "apiVersion" | "kind" | "metadata" => {}
            "resources" => naming.paths(value, key, Loads::Plugins)?,
            _ => {
                let message = format!("`{key}` is not allowed in a kustomization of plugin configurations");
                return Err(naming.failed(message));
            }
        }
    }
    Ok(naming.named)
}

impl<'a> Naming<'a> {
    pub(super) fn new(file: &'a RepoPath) -> Self {
        Naming { file, named: Vec::new() }
    }

    fn field(&mut self, key: &str, value: &Value) -> Result<(), Reason> {
        match key {
            "resources" | "bases" => self.paths(value, key, Loads::Resource),
            "components" => self.paths(value, key, Loads::Directory),
            "crds" | "configurations" => self.paths(value, key, Loads::File),
            "patches" | "patchesJson6902" => self.patches(value, key),
            "patchesStrategicMerge" => self.paths_or_inline(value, key),
            "configMapGenerator" | "secretGenerator" => self.generators(value, key),
            "generators" | "transformers" | "validators" => self.plugins(value, key),
            "replacements" => self.with_path(value, key),
            "openapi" => self.path_of(value, key),
            "helmCharts" | "helmChartInflationGenerator" | "helmGlobals" => {
                Err(self.forbidden(format!("`{key}` would run helm")))
            }
            _ if SILENT.contains(&key) => Ok(()),
            _ => Err(self.failed(format!("`{key}` is not a field of a kustomization"))),
        }
    }

    /// A path, or a refusal of what is none.
    pub(super) fn path(&mut self, entry: &str, key: &str, loads: Loads) -> Result<(), Reason> {
        self.check_local(entry)?;
        if entry.is_empty() {
            return Err(self.failed(format!("`{key}` has an empty entry")));
        }
        if entry.contains(['\n', '{']) {
            // It was meant to be a configuration, and may be of a Secret: it is not shown.
            return Err(self.failed(format!("`{key}` has an entry that is neither a path nor good YAML")));
        }
        self.named.push(Named { entry: entry.to_owned(), loads });
        Ok(())
    }

    pub(super) fn paths(&mut self, value: &Value, key: &str, loads: Loads) -> Result<(), Reason> {
        for item in self.list(value, key)? {
            let entry = self.text(item, key)?;
            self.path(entry, key, loads)?;
        }
        Ok(())
    }

    /// `patches` and `patchesJson6902`; in the old spelling of `patches` an entry is a strategic merge patch.
    fn patches(&mut self, value: &Value, key: &str) -> Result<(), Reason> {
        let items = self.list(value, key)?;
        if key == "patches" && items.iter().any(Value::is_string) {
            self.paths_or_inline(value, key)
        } else {
            self.with_path(value, key)
        }
    }

    /// A list of objects that may have a `path`.
    pub(super) fn with_path(&mut self, value: &Value, key: &str) -> Result<(), Reason> {
        for item in self.list(value, key)? {
            self.path_of(item, key)?;
        }
        Ok(())
    }

    /// The `path` of an object, if it has one.
    pub(super) fn path_of(&mut self, value: &Value, key: &str) -> Result<(), Reason> {
        if value.is_null() {
            return Ok(());
        }
        let object = self.object(value, key)?;
        self.check_spelling(object, &["path"])?;
        match object.get("path") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(empty)) if empty.is_empty() => Ok(()),
            Some(path) => self.path(self.text(path, key)?, key, Loads::File),
        }
    }

    /// Entries that are a patch themselves or the path of one.
    pub(super) fn paths_or_inline(&mut self, value: &Value, key: &str) -> Result<(), Reason> {
        for item in self.list(value, key)? {
            let entry = self.text(item, key)?;
            self.check_local(entry)?;
            if inline(self.file, entry).is_none() {
                self.path(entry, key, Loads::File)?;
            }
        }
        Ok(())
    }

    fn generators(&mut self, value: &Value, key: &str) -> Result<(), Reason> {
        for item in self.list(value, key)? {
            let object = self.object(item, key)?;
            self.key_values(object)?;
        }
        Ok(())
    }

    /// The sources of a ConfigMap or Secret generator (kustomize, `api/types/kvpairsources.go`).
    pub(super) fn key_values(&mut self, object: &Map<String, Value>) -> Result<(), Reason> {
        self.check_spelling(object, &["files", "envs", "env"])?;
        for item in self.list(object.get("files").unwrap_or(&Value::Null), "files")? {
            let entry = self.text(item, "files")?;
            self.check_local(entry)?;
            self.path(entry.split_once('=').map_or(entry, |(_, path)| path), "files", Loads::File)?;
        }
        self.paths(object.get("envs").unwrap_or(&Value::Null), "envs", Loads::File)?;
        match object.get("env") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(empty)) if empty.is_empty() => Ok(()),
            Some(path) => self.path(self.text(path, "env")?, "env", Loads::File),
        }
    }

    /// Entries that are plugin configurations themselves or the path of some.
    fn plugins(&mut self, value: &Value, key: &str) -> Result<(), Reason> {
        for item in self.list(value, key)? {
            let entry = self.text(item, key)?;
            self.check_local(entry)?;
            match inline(self.file, entry) {
                Some(configurations) => self.named.extend(plugin::names(self.file, &configurations)?),
                None => self.path(entry, key, Loads::Plugins)?,
            }
        }
        Ok(())
    }

    /// Go's JSON decoder, and so kustomize, takes a key in any case; one that is not spelled out here would slip through.
    pub(super) fn check_spelling(&self, object: &Map<String, Value>, names: &[&str]) -> Result<(), Reason> {
        for key in object.keys() {
            if let Some(name) = names.iter().find(|name| folded(name) == folded(key) && *name != key) {
                return Err(self.failed(format!("`{key}` must be written `{name}`")));
            }
        }
        Ok(())
    }

    pub(super) fn list<'v>(&self, value: &'v Value, key: &str) -> Result<&'v [Value], Reason> {
        match value {
            Value::Null => Ok(&[]),
            Value::Array(items) => Ok(items),
            _ => Err(self.failed(format!("`{key}` is not a list"))),
        }
    }

    pub(super) fn object<'v>(&self, value: &'v Value, what: &str) -> Result<&'v Map<String, Value>, Reason> {
        value.as_object().ok_or_else(|| self.failed(format!("`{what}` is not a mapping")))
    }

    fn text<'v>(&self, value: &'v Value, key: &str) -> Result<&'v str, Reason> {
        value.as_str().ok_or_else(|| self.failed(format!("`{key}` has an entry that is not a text")))
    }

    fn check_local(&self, entry: &str) -> Result<(), Reason> {
        if is_remote(entry) {
            let message = format!("`{}` is remote: vendor it into the repository", redacted(entry));
            return Err(self.forbidden(message));
        }
        Ok(())
    }

    pub(super) fn forbidden(&self, message: String) -> Reason {
        refused(Code::RemoteInputForbidden, message, self.file)
    }

    pub(super) fn failed(&self, message: String) -> Reason {
        refused(Code::RenderFailed, message, self.file)
    }
}

/// The documents of an entry that is YAML itself; `None` for a path.
fn inline(file: &RepoPath, entry: &str) -> Option<Vec<Value>> {
    let values = manifest::read_values(file, entry.as_bytes()).ok()?;
    let documents: Vec<Value> = values.into_iter().filter(|value| !value.is_null()).collect();
    let all = |is: fn(&Value) -> bool| !documents.is_empty() && documents.iter().all(is);
    (all(Value::is_object) || all(Value::is_array)).then_some(documents)
}

/// The text as Go compares JSON keys (`encoding/json`, `foldName`): `ſ` and the Kelvin sign count as `s` and `k`.
fn folded(text: &str) -> String {
    text.to_lowercase().to_uppercase()
}
