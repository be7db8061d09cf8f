//! Writes: create, replace, patch and apply, with what every write has in common.

use serde_json::{Value, json};

use super::managed::{self, Refused, Writer};
use super::refusal::Refusal;
use super::request::now;
use super::schema::{Resource, Shape};
use super::state::{State, collection};
use super::store::Key;
use super::{checks, defaults};

/// In whose name and how a write is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct How {
    /// The field manager.
    pub(super) manager: String,
    /// The time, as metadata says it.
    pub(super) now: String,
    /// Nothing is stored.
    pub(super) dry_run: bool,
    /// What the body says and the schema does not know.
    pub(super) unknown: Unknown,
    /// `status` or `scale`; `None`: the object itself.
    pub(super) subresource: Option<&'static str>,
}

impl How {
    /// A controller's own write.
    pub(super) fn of_controller(manager: &str) -> How {
        How { manager: manager.to_owned(), now: now(), dry_run: false, unknown: Unknown::Dropped, subresource: None }
    }

    /// The same in another name.
    pub(super) fn by(&self, manager: &str) -> How {
        How { manager: manager.to_owned(), dry_run: false, ..self.clone() }
    }

    fn writer(&self) -> Writer<'_> {
        Writer { manager: &self.manager, subresource: self.subresource, now: &self.now }
    }
}

/// `fieldValidation` (Kubernetes API concepts, section Field validation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Refused.
    Strict,
    /// Dropped.
    Dropped,
}

/// Fields of metadata that only the server writes.
const OWN_METADATA: [&str; 6] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"];

/// What random names end with (k8s.io/apimachinery, package `util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl State {
    /// Creates an object.
    pub(super) fn create(
        &mut self,
        resource: &Resource,
        namespace: Option<&str>,
        object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        let mut object = decoded(resource, object, how)?;
        if let (true, Some(stem)) =
            (object["metadata"]["name"].is_null(), object["metadata"]["generateName"].as_str().map(str::to_owned))
        {
            object["metadata"]["name"] = json!(format!("{stem}{}", random_suffix()));
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = collection(resource).key(namespace.unwrap_or_default(), &name);
        same_place(&key, &object)?;
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
        }
        managed::update(resource, None, &mut object, &how.writer());
        self.insert(resource, &key, object, how)
    }

    fn insert(&mut self, resource: &Resource, key: &Key, mut object: Value, how: &How) -> Result<Value, Refusal> {
        self.check_namespace(resource, &key.name, &key.namespace)?;
        let metadata = &mut object["metadata"];
        for field in OWN_METADATA {
            drop(metadata.as_object_mut().and_then(|metadata| metadata.remove(field)));
        }
        if resource.namespaced {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["uid"] = json!(random_uid());
        metadata["creationTimestamp"] = json!(how.now);
        if resource.has_generation {
            metadata["generation"] = json!(1);
        }
        // What the server adds by itself is nobody's field.
        managed::keep_reset(resource, None, &mut object, None);
        begin(resource, &mut object, self.store.version());
        defaults::complete(resource, &mut object);
        defaults::complete_new(resource, &mut object);
        let problems = checks::problems(resource, None, &object);
        if !problems.is_empty() {
            return Err(invalid(resource, &key.name, problems));
        }
        if self.store.get(key).is_some() {
            return Err(Refusal::already_exists(&key.collection, &key.name));
        }
        if how.dry_run {
            return Ok(object);
        }
        let stored = self.store.put(key, object);
        self.define(key, how);
        Ok(Value::clone(&stored))
    }

    /// Makes `object` of what is live: a PUT, or what a patch made of it.
    pub(super) fn replace(
        &mut self,
        resource: &Resource,
        key: &Key,
        live: &Value,
        object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        let object = decoded(resource, object, how)?;
        self.replace_decoded(resource, key, live, object, how)
    }

    /// The same with what a patch made of it.
    pub(super) fn patch(
        &mut self,
        resource: &Resource,
        key: &Key,
        live: &Value,
        object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        let decoded = decoded(resource, object.clone(), how);
        let object = decoded.map_err(|why| Refusal::unreadable_patch(&object, &why))?;
        self.replace_decoded(resource, key, live, object, how)
    }

    fn replace_decoded(
        &mut self,
        resource: &Resource,
        key: &Key,
        live: &Value,
        mut object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        same_object(key, live, &object)?;
        if resource.namespaced {
            object["metadata"]["namespace"] = json!(key.namespace);
        }
        if how.subresource == Some("scale") {
            managed::scale_update(resource, live, &mut object, &how.writer());
        } else {
            managed::update(resource, Some(live), &mut object, &how.writer());
        }
        restrain(resource, live, &mut object, how);
        self.update(resource, key, live, object, how)
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
        let live = self.store.get(key).cloned();
        for (field, path) in [("name", &key.name), ("namespace", &key.namespace)] {
            let said = config["metadata"][field].as_str().unwrap_or_default();
            if !said.is_empty() && said != path {
                return Err(misplaced(field, said, path));
            }
        }
        if let (None, Some(uid)) = (&live, config["metadata"]["uid"].as_str()) {
            let what =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Refusal::conflict(&key.collection, &key.name, &what));
        }
        let applied = managed::apply(resource, live.as_deref(), config, &how.writer(), force).map_err(refused)?;
        let mut object = applied;
        defaults::complete(resource, &mut object);
        match live {
            None => {
                object["metadata"]["name"] = json!(key.name);
                Ok((self.insert(resource, key, object, how)?, true))
            }
            Some(live) => {
                same_object(key, &live, &object)?;
                restrain(resource, &live, &mut object, how);
                Ok((self.update(resource, key, &live, object, how)?, false))
            }
        }
    }

    /// Stores what became of an object, if anything did.
    fn update(
        &mut self,
        resource: &Resource,
        key: &Key,
        live: &Value,
        mut object: Value,
        how: &How,
    ) -> Result<Value, Refusal> {
        if resource.has_generation
            && how.subresource != Some("status")
            && meant(resource, live) != meant(resource, &object)
        {
            let generation = live["metadata"]["generation"].as_i64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        let problems = checks::problems(resource, Some(live), &object);
        if !problems.is_empty() {
            return Err(invalid(resource, &key.name, problems));
        }
        object["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        managed::keep_times(live, &mut object);
        if object == *live {
            return Ok(object);
        }
        if how.dry_run {
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

/// What a body says, checked against the schema, with the server's defaults.
fn decoded(resource: &Resource, mut object: Value, how: &How) -> Result<Value, Refusal> {
    let api_version = resource.api_version();
    let (said, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    if !object.is_object()
        || said.is_some_and(|said| said != api_version)
        || kind.is_some_and(|kind| kind != resource.kind)
    {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({api_version}), kind {}",
            said.unwrap_or_default(),
            resource.kind
        )));
    }
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(resource.kind);
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    if let Some(message) = checks::undecodable(resource, &object) {
        return Err(Refusal::bad_request(message));
    }
    let unknown = checks::unknown_fields(resource, &object);
    if how.unknown == Unknown::Strict && !unknown.is_empty() {
        let told: Vec<String> = unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
        let (kind, version) = (&resource.kind, &resource.version);
        return Err(Refusal::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
            told.join(", ")
        )));
    }
    defaults::complete(resource, &mut object);
    Ok(object)
}

fn misplaced(field: &str, said: &str, path: &str) -> Refusal {
    Refusal::bad_request(format!("the {field} of the object ({said}) does not match the {field} on the URL ({path})"))
}

fn same_place(key: &Key, object: &Value) -> Result<(), Refusal> {
    let said = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if said.is_empty() || said == key.namespace {
        return Ok(());
    }
    let message = "the namespace of the provided object does not match the namespace sent on the request";
    Err(Refusal::bad_request(message))
}

/// The name, and the preconditions that a body may state: its uid and its resource version.
fn same_object(key: &Key, live: &Value, object: &Value) -> Result<(), Refusal> {
    same_place(key, object)?;
    let metadata = &object["metadata"];
    let said = metadata["name"].as_str().unwrap_or_default();
    if said != key.name {
        return Err(misplaced("name", said, &key.name));
    }
    let stated = |field: &str| metadata[field].as_str().filter(|stated| !stated.is_empty());
    if let Some(uid) = stated("uid").filter(|uid| live["metadata"]["uid"] != *uid) {
        let found = live["metadata"]["uid"].as_str().unwrap_or_default();
        let what = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}");
        return Err(Refusal::conflict(&key.collection, &key.name, &what));
    }
    match stated("resourceVersion").filter(|version| live["metadata"]["resourceVersion"] != *version) {
        Some(_) => Err(Refusal::modified(&key.collection, &key.name)),
        None => Ok(()),
    }
}

/// Takes back what this write may not change: the server's own metadata, and the status or all but the status.
fn restrain(resource: &Resource, live: &Value, object: &mut Value, how: &How) {
    if how.subresource != Some("scale") {
        managed::keep_reset(resource, Some(live), object, how.subresource);
        defaults::keep_allotted(resource, live, object);
    }
    for field in OWN_METADATA {
        match &live["metadata"][field] {
            Value::Null => drop(object["metadata"].as_object_mut().and_then(|metadata| metadata.remove(field))),
            value => object["metadata"][field] = value.clone(),
        }
    }
}

/// What a new object is given besides what was asked for (the `PrepareForCreate` of its kind).
fn begin(resource: &Resource, object: &mut Value, number: u64) {
    match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace") => object["status"] = json!({"phase": "Active"}),
        ("", "Service") => {
            let with_address = object["spec"]["type"] != "ExternalName" && object["spec"]["clusterIP"].is_null();
            if with_address {
                // A number of its own each, in the range that clusters commonly use.
                let address = format!("10.96.{}.{}", number / 250 % 250, number % 250 + 2);
                object["spec"]["clusterIP"] = json!(address);
            }
            if object["spec"]["type"] != "ExternalName" {
                object["spec"]["clusterIPs"] = json!([object["spec"]["clusterIP"]]);
                object["spec"]["ipFamilies"] = json!(["IPv4"]);
                object["spec"]["ipFamilyPolicy"] = json!("SingleStack");
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let versions = object["spec"]["versions"].as_array().into_iter().flatten();
            let stored = versions.filter(|version| version["storage"] == true).map(|version| version["name"].clone());
            object["status"]["storedVersions"] = stored.collect::<Vec<_>>().into();
        }
        _ => {}
    }
}

/// What counts as a new generation: everything but metadata and status, and of some kinds more (their `PrepareForUpdate`).
fn meant(resource: &Resource, object: &Value) -> Value {
    let mut object = object.clone();
    match resource.kind.as_str() {
        "Deployment" => object["annotations"] = object["metadata"]["annotations"].take(),
        "EndpointSlice" => object["labels"] = object["metadata"]["labels"].take(),
        _ => {}
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("metadata");
        if resource.has_status {
            fields.remove("status");
        }
    }
    object
}

/// Whether a replacement must say which version it replaces (`AllowUnconditionalUpdate` of its kind).
pub(super) fn needs_version(resource: &Resource) -> bool {
    let kinds = [
        "CSIDriver",
        "CSINode",
        "CSIStorageCapacity",
        "CustomResourceDefinition",
        "Lease",
        "PodDisruptionBudget",
        "RuntimeClass",
        "VolumeAttachment",
    ];
    resource.shape == Shape::Opaque || kinds.contains(&resource.kind.as_str())
}

/// Whether a finalizer keeps it.
pub(super) fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

fn invalid(resource: &Resource, name: &str, problems: Vec<checks::Problem>) -> Refusal {
    let problems = problems.into_iter().map(|problem| [problem.field, problem.reason.to_owned(), problem.message]);
    Refusal::invalid(&collection(resource), &resource.kind, name, problems.collect())
}

fn refused(refused: Refused) -> Refusal {
    let message = refused.message();
    match refused {
        Refused::Conflicts(conflicts) => {
            let conflicts = conflicts.into_iter().map(|conflict| (conflict.field, conflict.message));
            Refusal::field_conflict(message, conflicts)
        }
        Refused::Invalid(400, _) => Refusal::bad_request(message),
        Refused::Invalid(..) => Refusal::internal(message),
    }
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
