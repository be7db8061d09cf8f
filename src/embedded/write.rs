//! Writes: create, replace, patch and apply, and the one way in which all are stored.

use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::now;
use super::schema::Resource;
use super::state::State;
use super::store::Key;
use super::{checks, defaults, managed};

/// In whose name and how a write is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct How {
    /// The field manager.
    pub(super) manager: String,
    /// The time, as metadata says it.
    pub(super) now: String,
    /// Nothing is stored.
    pub(super) dry_run: bool,
    /// Fields that the schema does not know are refused, not dropped.
    pub(super) strict: bool,
    /// `status` or `scale`; `None`: the object itself.
    pub(super) subresource: Option<&'static str>,
}

impl How {
    /// A controller's own write.
    pub(super) fn of_controller(manager: &str) -> How {
        How { manager: manager.to_owned(), now: now(), dry_run: false, strict: false, subresource: None }
    }

    /// The same write to a part of the object.
    pub(super) fn to(self, subresource: Option<&'static str>) -> How {
        How { subresource, ..self }
    }
}

/// Fields of metadata that only the server writes.
const OWN_METADATA: [&str; 7] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// Kinds of which a replacement must say which version it replaces (`AllowUnconditionalUpdate` of their strategies).
const VERSIONED: [&str; 8] = [
    "CSIDriver",
    "CSINode",
    "CSIStorageCapacity",
    "CustomResourceDefinition",
    "Lease",
    "PodDisruptionBudget",
    "RuntimeClass",
    "VolumeAttachment",
];

/// What random names end with (k8s.io/apimachinery, package `util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl State {
    /// Creates an object that was decoded.
    pub(super) fn create(
        &mut self,
        resource: &Resource,
        namespace: Option<&str>,
        mut object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        let metadata = &mut object["metadata"];
        if let (true, Some(stem)) = (metadata["name"].is_null(), metadata["generateName"].as_str()) {
            metadata["name"] = json!(format!("{stem}{}", random_suffix()));
        }
        let key = resource.key(namespace.unwrap_or_default(), metadata["name"].as_str().unwrap_or_default());
        if said(metadata, "resourceVersion").is_some() {
            return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
        }
        same_namespace(&key, metadata)?;
        defaults::complete(resource, &mut object);
        managed::update(resource, None, &mut object, how);
        self.store(resource, &key, None, object, how)
    }

    /// Puts a decoded object in the place of the live one: a PUT, or what a patch made of it.
    pub(super) fn replace(
        &mut self,
        resource: &Resource,
        key: &Key,
        live: &Value,
        mut object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        same_object(resource, key, live, &object["metadata"])?;
        defaults::complete(resource, &mut object);
        match how.subresource {
            Some("scale") => managed::scale_update(resource, live, &mut object, how),
            _ => managed::update(resource, Some(live), &mut object, how),
        }
        self.store(resource, key, Some(live), object, how)
    }

    /// Server-side apply (Kubernetes documentation, Server-Side Apply). The answer says whether it was created.
    pub(super) fn apply(
        &mut self,
        resource: &Resource,
        key: &Key,
        config: &Value,
        force: bool,
        how: &How,
    ) -> Result<(Value, bool), Refusal> {
        let metadata = &config["metadata"];
        for (field, path) in [("name", &key.name), ("namespace", &key.namespace)] {
            if let Some(said) = said(metadata, field).filter(|said| said != path) {
                return Err(misplaced(field, said, path));
            }
        }
        let live = self.store.get(key).cloned();
        if let (None, Some(uid)) = (&live, said(metadata, "uid")) {
            let what = "uid mismatch: the provided object specified uid";
            return Err(Refusal::conflict(key, &format!("{what} {uid}, and no existing object was found")));
        }
        let mut object = managed::apply(resource, live.as_deref(), config, force, how)?;
        object["metadata"]["name"] = json!(key.name);
        if let Some(live) = &live {
            same_object(resource, key, live, &object["metadata"])?;
        }
        defaults::complete(resource, &mut object);
        let stored = self.store(resource, key, live.as_deref(), object, how)?;
        Ok((stored, live.is_none()))
    }

    /// Stores what a write made of an object, or of none, if it is valid and says anything new.
    fn store(
        &mut self,
        resource: &Resource,
        key: &Key,
        live: Option<&Value>,
        mut object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        if live.is_none() {
            self.check_namespace(resource, key)?;
        }
        if how.subresource != Some("scale") {
            managed::keep_reset(resource, live, &mut object, how.subresource);
        }
        defaults::allot(resource, live, &mut object, self.store.version());
        take_back(resource, key, live, &mut object, how);
        if live.is_none() {
            // What the server adds by itself is nobody's field.
            defaults::complete(resource, &mut object);
            defaults::complete_new(resource, &mut object);
        }
        let problems = checks::problems(resource, live, &object);
        if !problems.is_empty() {
            return Err(Refusal::invalid(&resource.kind, key, problems));
        }
        match live {
            None if self.store.get(key).is_some() => return Err(Refusal::already_exists(key)),
            None => {}
            Some(live) => managed::keep_times(live, &mut object),
        }
        if how.dry_run || live == Some(&object) {
            return Ok(object);
        }
        let leaves = object["metadata"]["deletionTimestamp"].is_string() && !is_held(&object);
        let stored = Value::clone(&self.store.put(key, object));
        self.define(key, how);
        if leaves {
            self.remove(key, how);
        }
        Ok(stored)
    }
}

/// Gives an object the metadata that only the server writes.
fn take_back(resource: &Resource, key: &Key, live: Option<&Value>, object: &mut Value, how: &How) {
    let grows =
        how.subresource != Some("status") && live.is_some_and(|live| meant(resource, live) != meant(resource, object));
    let metadata = &mut object["metadata"];
    if resource.namespaced {
        metadata["namespace"] = json!(key.namespace);
    }
    for field in OWN_METADATA {
        match live.and_then(|live| live["metadata"].get(field)) {
            None => drop(metadata.as_object_mut().and_then(|metadata| metadata.remove(field))),
            Some(value) => metadata[field] = value.clone(),
        }
    }
    if live.is_none() {
        metadata["uid"] = json!(random_uid());
        metadata["creationTimestamp"] = json!(how.now);
    }
    if resource.has_generation && (grows || live.is_none()) {
        metadata["generation"] = json!(metadata["generation"].as_i64().unwrap_or_default() + 1);
    }
}

/// Reads what a body says, checked against the schema.
pub(super) fn decode(resource: &Resource, object: &mut Value, how: &How) -> Result<(), Refusal> {
    let (version, kind) = (resource.api_version(), &resource.kind);
    let differs = |field: &str, own: &str| said(object, field).is_some_and(|said| said != own);
    if !object.is_object() || differs("apiVersion", &version) || differs("kind", kind) {
        let said = object["apiVersion"].as_str().unwrap_or_default();
        let what = "does not match the expected API version";
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({said}) {what} ({version}), kind {kind}"
        )));
    }
    object["apiVersion"] = json!(version);
    object["kind"] = json!(kind);
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let unknown = if how.strict { checks::unknown_fields(resource, object) } else { Vec::new() };
    let unknown: Vec<String> = unknown.iter().map(|field| format!("unknown field {field:?}")).collect();
    let strict = (!unknown.is_empty()).then(|| format!("strict decoding error: {}", unknown.join(", ")));
    let Some(why) = checks::undecodable(resource, object).or(strict) else { return Ok(()) };
    Err(Refusal::bad_request(format!("{kind} in version {:?} cannot be handled as a {kind}: {why}", resource.version)))
}

/// What an object says in a field, if anything.
fn said<'v>(object: &'v Value, field: &str) -> Option<&'v str> {
    object[field].as_str().filter(|said| !said.is_empty())
}

fn misplaced(field: &str, said: &str, path: &str) -> Refusal {
    Refusal::bad_request(format!("the {field} of the object ({said}) does not match the {field} on the URL ({path})"))
}

fn same_namespace(key: &Key, metadata: &Value) -> Result<(), Refusal> {
    let message = "the namespace of the provided object does not match the namespace sent on the request";
    match said(metadata, "namespace").filter(|said| *said != key.namespace) {
        Some(_) => Err(Refusal::bad_request(message)),
        None => Ok(()),
    }
}

/// The name, and the preconditions that a body may state: its uid and its resource version.
fn same_object(resource: &Resource, key: &Key, live: &Value, metadata: &Value) -> Result<(), Refusal> {
    same_namespace(key, metadata)?;
    let name = metadata["name"].as_str().unwrap_or_default();
    if name != key.name {
        return Err(misplaced("name", name, &key.name));
    }
    let live = &live["metadata"];
    if let Some(uid) = said(metadata, "uid").filter(|uid| live["uid"] != *uid) {
        return Err(Refusal::precondition(key, "UID", uid, &live["uid"]));
    }
    match said(metadata, "resourceVersion") {
        None if resource.is_custom || VERSIONED.contains(&resource.kind.as_str()) => {
            let problem = checks::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            Err(Refusal::invalid(&resource.plural, key, vec![problem]))
        }
        Some(version) if live["resourceVersion"] != version => {
            let what = "the object has been modified; please apply your changes to the latest version and try again";
            Err(Refusal::conflict(key, what))
        }
        _ => Ok(()),
    }
}

/// What counts as a new generation: everything but metadata and status, and of some kinds more (their `PrepareForUpdate`).
fn meant(resource: &Resource, object: &Value) -> Value {
    let mut object = object.clone();
    let metadata = object["metadata"].take();
    match resource.kind.as_str() {
        "Deployment" => object["metadata"] = metadata["annotations"].clone(),
        "EndpointSlice" => object["metadata"] = metadata["labels"].clone(),
        _ => {}
    }
    if resource.has_status {
        object["status"] = Value::Null;
    }
    object
}

/// Whether a finalizer keeps it.
pub(super) fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("because the system has random bytes");
    bytes
}

/// A random uid (RFC 9562 §5.4).
fn random_uid() -> String {
    let mut bytes = random_bytes::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// A bearer token that nobody can guess.
pub(super) fn random_token() -> String {
    random_bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Five characters that make a name its own.
pub(super) fn random_suffix() -> String {
    random_bytes::<5>().iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}
