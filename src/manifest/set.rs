//! From all drafts of a release to one ordered, digested set inside the fence; and its bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::canonical::canonicalise;
use super::scaling;
use super::shape::{Shaped, at_source, shape};
use super::{Draft, Fence, Manifest, ManifestSet, Scope, Scopes, Source, Stage, canonical_json};
use crate::name::{Code, Digest, GroupKind, GroupVersionKind, ObjectKey, Reason};

/// The largest object in bytes of canonical JSON: etcd refuses more than 1.5 MiB with everything the server adds.
const OBJECT_LIMIT: usize = 1 << 20;

/// Objects of a release.
const COUNT_LIMIT: usize = 100_000;

/// Our own API group.
const OWN_GROUP: &str = "lockmaster.dev";

/// What our own cluster roles and bindings begin with.
const OWN_NAME: &str = "lockmaster";

impl ManifestSet {
    /// Makes the set of all drafts of a release: canonical form, namespaces, fence, uniqueness, order. What a scaler
    /// decides is left out.
    ///
    /// # Errors
    /// Every reason against it, at most one per object: `invalid-object`, `duplicate-object`, `outside-namespace`,
    /// `protected-object`, `kind-not-found`, `empty-render`; or `limit-exceeded`.
    pub fn assemble(drafts: Vec<Draft>, fence: &Fence, scopes: &Scopes) -> Result<Self, Vec<Reason>> {
        if drafts.is_empty() {
            return Err(vec![Reason::new(Code::EmptyRender, "the release holds no object, which never means prune")]);
        }
        if drafts.len() > COUNT_LIMIT {
            let found = format!("the release holds {} objects, limit {COUNT_LIMIT}", drafts.len());
            return Err(vec![Reason::new(Code::LimitExceeded, found)]);
        }
        let mut reasons = Vec::new();
        let mut keep = |result: Result<Shaped, Reason>| result.map_err(|reason| reasons.push(reason)).ok();
        let shaped: Vec<Shaped> = drafts.into_iter().filter_map(|draft| keep(shape(draft))).collect();
        let scopes = with_definitions(scopes, &shaped);
        let mut placed: BTreeMap<ObjectKey, (Manifest, Source)> = BTreeMap::new();
        for object in shaped {
            let source = object.source.clone();
            match place(object, fence, &scopes) {
                Ok(manifest) => match placed.get(&manifest.key) {
                    Some((_, first)) => reasons.push(duplicate(manifest.key, first, &source)),
                    None => {
                        placed.insert(manifest.key.clone(), (manifest, source));
                    }
                },
                Err(reason) => reasons.push(reason),
            }
        }
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let mut manifests: Vec<Manifest> = placed.into_values().map(|(manifest, _)| manifest).collect();
        scaling::leave_counts(&mut manifests);
        Ok(Self::ordered(manifests))
    }

    /// The manifests, in order.
    #[must_use]
    pub fn manifests(&self) -> &[Manifest] {
        &self.manifests
    }

    /// Every object and the kind that its manifest is written in, in order.
    pub fn objects(&self) -> impl Iterator<Item = (&ObjectKey, &GroupVersionKind)> {
        self.manifests.iter().map(|manifest| (&manifest.key, &manifest.kind))
    }

    /// The manifest of an object.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<&Manifest> {
        self.places.get(key).map(|place| &self.manifests[*place])
    }

    /// The release's canonical bytes: one line of canonical JSON per object, in order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for manifest in &self.manifests {
            bytes.extend(canonical_json(&manifest.value));
            bytes.push(b'\n');
        }
        bytes
    }

    /// The set that [`ManifestSet::to_bytes`] wrote.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let manifests = stored_lines(bytes)?.map(|stored| stored.map(|(manifest, _)| manifest));
        let set = Self::ordered(manifests.collect::<Result<_, _>>()?);
        if set.places.len() == set.manifests.len() { Ok(set) } else { Err("an object stands twice".to_owned()) }
    }

    fn ordered(mut manifests: Vec<Manifest>) -> Self {
        scaling::mark(&mut manifests);
        manifests.sort_by(|a, b| order(a).cmp(&order(b)));
        let places = manifests.iter().enumerate().map(|(place, manifest)| (manifest.key.clone(), place)).collect();
        ManifestSet { manifests, places }
    }
}

fn order(manifest: &Manifest) -> (Stage, i32, &ObjectKey) {
    (manifest.stage, manifest.wave, &manifest.key)
}

/// The lines that [`ManifestSet::to_bytes`] wrote, each with its manifest, one at a time.
///
/// # Errors
/// What is wrong with the bytes: at once where they are cut, else at the line.
pub(super) fn stored_lines(bytes: &[u8]) -> Result<impl Iterator<Item = Result<(Manifest, &[u8]), String>>, String> {
    let lines = bytes.strip_suffix(b"\n").ok_or("the last line has no end")?;
    let mut last: Option<(Stage, i32, ObjectKey)> = None;
    Ok(lines.split(|b| *b == b'\n').enumerate().map(move |(index, line)| {
        let manifest = stored(line).map_err(|found| format!("line {}: {found}", index + 1))?;
        let place = (manifest.stage, manifest.wave, manifest.key.clone());
        if last.replace(place.clone()).is_some_and(|last| last >= place) {
            return Err(format!("line {}: `{}` is out of order", index + 1, manifest.key));
        }
        Ok((manifest, line))
    }))
}

/// One line of stored bytes. Key, stage and wave are derived again, because nothing but the object is stored.
fn stored(line: &[u8]) -> Result<Manifest, String> {
    // The parser's own message could quote a value.
    let mut value: Value =
        serde_json::from_slice(line).map_err(|error| format!("not JSON at column {}", error.column()))?;
    reread_floats(&mut value, &mut number_literals(line));
    if canonical_json(&value) != line {
        return Err("not canonical".to_owned());
    }
    let source = Source { file: crate::name::RepoPath::root(), line: 0 };
    let shaped = shape(Draft { value, source }).map_err(|reason| reason.message)?;
    let key = shaped.key(shaped.namespace.clone());
    let Shaped { value, kind, stage, wave, .. } = shaped;
    Ok(Manifest { key, kind, stage, wave, scaled: false, value: Value::Object(value), digest: Digest::of(line) })
}

/// The numbers of a JSON text, as they are written, in order.
fn number_literals(line: &[u8]) -> impl Iterator<Item = &str> {
    let part = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let (first, after) = rest.split_first()?;
            if *first == b'"' {
                rest = after_string(after);
            } else if *first == b'-' || first.is_ascii_digit() {
                let (literal, after) = rest.split_at(rest.iter().position(|b| !part(b)).unwrap_or(rest.len()));
                rest = after;
                return std::str::from_utf8(literal).ok();
            } else {
                rest = after;
            }
        }
    })
}

fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        match rest {
            [] => return rest,
            [b'"', after @ ..] => return after,
            [b'\\', _, after @ ..] | [_, after @ ..] => rest = after,
        }
    }
}

/// Reads every float again from its literal: without its feature `float_roundtrip` `serde_json` may be one step off, and
/// the stored bytes must read as themselves.
fn reread_floats<'a>(value: &mut Value, literals: &mut impl Iterator<Item = &'a str>) {
    match value {
        Value::Number(number) => {
            let exact = literals.next().filter(|_| number.is_f64()).and_then(|literal| literal.parse().ok());
            if let Some(exact) = exact.and_then(serde_json::Number::from_f64) {
                *number = exact;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| reread_floats(item, literals)),
        Value::Object(members) => members.values_mut().for_each(|member| reread_floats(member, literals)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The scopes, and those of the kinds that the release itself defines.
fn with_definitions(scopes: &Scopes, shaped: &[Shaped]) -> Scopes {
    let mut scopes = scopes.clone();
    for object in shaped.iter().filter(|object| is_definition(&object.kind)) {
        scopes.add_definition(&Value::Object(object.value.clone()));
    }
    scopes
}

fn is_definition(kind: &GroupVersionKind) -> bool {
    kind.group == "apiextensions.k8s.io" && kind.kind == "CustomResourceDefinition"
}

/// Finds the namespace of an object, asks the fence, and brings it into canonical form.
fn place(mut object: Shaped, fence: &Fence, scopes: &Scopes) -> Result<Manifest, Reason> {
    check_own_api(&object)?;
    let kind = object.kind.group_kind();
    let scope = *scopes.0.get(&kind).ok_or_else(|| {
        let found = format!("is of kind `{kind}`, which neither the cluster nor a definition in the release knows");
        object.reason(Code::KindNotFound, &found)
    })?;
    object.namespace = match scope {
        // The API server drops the namespace of a cluster-scoped object.
        Scope::Cluster => None,
        Scope::Namespaced => Some(namespace(&object, fence)?),
    };
    check_protected(&object, fence)?;
    check_fence(&object, &kind, fence)?;
    set_namespace(&mut object.value, object.namespace.clone());
    let mut value = Value::Object(std::mem::take(&mut object.value));
    canonicalise(&object.kind, &mut value).map_err(|found| object.reason(Code::InvalidObject, &found))?;
    let bytes = canonical_json(&value);
    if bytes.len() > OBJECT_LIMIT {
        let found = format!("has {} bytes, limit {OBJECT_LIMIT}", bytes.len());
        return Err(object.reason(Code::InvalidObject, &found));
    }
    let key = object.key(object.namespace.clone());
    let Shaped { kind, stage, wave, .. } = object;
    Ok(Manifest { key, kind, stage, wave, scaled: false, value, digest: Digest::of(&bytes) })
}

fn namespace(object: &Shaped, fence: &Fence) -> Result<String, Reason> {
    object.namespace.clone().or_else(|| fence.default_namespace.clone()).ok_or_else(|| {
        let found = "has no `metadata.namespace`, and the environment lists several namespaces";
        object.reason(Code::InvalidObject, found)
    })
}

fn set_namespace(value: &mut Map<String, Value>, namespace: Option<String>) {
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        match namespace {
            Some(namespace) => metadata.insert("namespace".to_owned(), Value::String(namespace)),
            None => metadata.remove("namespace"),
        };
    }
}

/// Refuses the agent's own API: who may write it is root.
fn check_own_api(object: &Shaped) -> Result<(), Reason> {
    let defines_own = || {
        let group = object.value.get("spec").and_then(|spec| spec.get("group")?.as_str());
        group == Some(OWN_GROUP) || object.name.ends_with(".lockmaster.dev")
    };
    if object.kind.group == OWN_GROUP || is_definition(&object.kind) && defines_own() {
        return Err(object.reason(Code::ProtectedObject, "belongs to the agent's own API"));
    }
    Ok(())
}

/// Refuses the agent's own namespace and rights, whatever the environment may write.
fn check_protected(object: &Shaped, fence: &Fence) -> Result<(), Reason> {
    let GroupVersionKind { group, kind, .. } = &object.kind;
    let found = if object.namespace.as_ref() == Some(&fence.agent_namespace) {
        "lies in the agent's own namespace"
    } else if group.is_empty() && kind == "Namespace" && object.name == fence.agent_namespace {
        "is the agent's own namespace"
    } else if group == "rbac.authorization.k8s.io" && object.namespace.is_none() && object.name.starts_with(OWN_NAME) {
        "has the name of the agent's own rights"
    } else {
        return Ok(());
    };
    Err(object.reason(Code::ProtectedObject, found))
}

fn check_fence(object: &Shaped, kind: &GroupKind, fence: &Fence) -> Result<(), Reason> {
    if fence.holds(&object.key(object.namespace.clone())) {
        return Ok(());
    }
    let found = match &object.namespace {
        Some(namespace) => format!("lies in namespace `{namespace}`, which is not the environment's"),
        None => format!("is cluster-scoped, and the environment's `clusterKinds` do not list `{kind}`"),
    };
    Err(object.reason(Code::OutsideNamespace, &found))
}

fn duplicate(key: ObjectKey, first: &Source, second: &Source) -> Reason {
    let place = |source: &Source| match source.line {
        0 => source.file.to_string(),
        line => format!("{}:{line}", source.file),
    };
    let message = format!("`{key}` is in `{}` and in `{}`", place(first), place(second));
    at_source(Reason::new(Code::DuplicateObject, message), second).at_object(key)
}
