//! What the configuration of a generator, transformer or validator names; only plugins that are part of kustomize.

use serde_json::Value;

use super::kustomization::{Loads, Named, Naming};
use crate::name::{Reason, RepoPath};

/// The plugins that are compiled into kustomize and neither run nor fetch anything
/// (kustomize, `api/internal/plugins/builtinhelpers/builtins.go`).
const BUILT_IN: [&str; 19] = [
    "AnnotationsTransformer",
    "ConfigMapGenerator",
    "HashTransformer",
    "IAMPolicyGenerator",
    "ImageTagTransformer",
    "LabelTransformer",
    "LegacyOrderTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "SecretGenerator",
    "SortOrderTransformer",
    "SuffixTransformer",
    "ValueAddTransformer",
];

/// The annotations that make a configuration an exec or container function (kyaml, `runtimeutil.GetFunctionSpec`).
const FUNCTION: [&str; 2] = ["config.kubernetes.io/function", "config.k8s.io/function"];

/// What these configurations, written in `file`, name.
///
/// # Errors
/// `remote-input-forbidden`: a plugin that is not built in, helm, or a function.
pub(super) fn names(file: &RepoPath, configurations: &[Value]) -> Result<Vec<Named>, Reason> {
    let mut naming = Naming::new(file);
    for configuration in configurations.iter().filter(|value| !value.is_null()) {
        configured(&mut naming, configuration)?;
    }
    Ok(naming.named)
}

fn configured(naming: &mut Naming<'_>, configuration: &Value) -> Result<(), Reason> {
    if let Some(annotation) = function(configuration) {
        return Err(naming.forbidden(format!("`{annotation}` would run a function")));
    }
    let object = naming.object(configuration, "a plugin configuration")?;
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or("");
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or("");
    if version != "builtin" || !BUILT_IN.contains(&kind) {
        let message = format!("`{version} {kind}` is a plugin that is not built in");
        return Err(naming.forbidden(message));
    }
    naming.check_spelling(object, &["path", "paths", "files", "envs", "env", "replacements"])?;
    naming.path_of(configuration, kind)?;
    naming.key_values(object)?;
    naming.paths_or_inline(object.get("paths").unwrap_or(&Value::Null), "paths")?;
    naming.with_path(object.get("replacements").unwrap_or(&Value::Null), "replacements")?;
    debug_assert!(naming.named.iter().all(|named| named.loads == Loads::File));
    Ok(())
}

/// The function annotation somewhere in a configuration.
fn function(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(object) => {
            let own = FUNCTION.into_iter().find(|name| object.contains_key(*name));
            own.or_else(|| object.values().find_map(function))
        }
        Value::Array(items) => items.iter().find_map(function),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
