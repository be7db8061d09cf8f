//! What a request asks for: its path, its query and its headers.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::read::View;
use super::refusal::Refusal;
use super::selector::Selector;
use super::write::{How, Unknown};

/// The query of a request. What is not named here and what the API knows is refused, not ignored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Parameters {
    pub(super) field_manager: Option<String>,
    pub(super) force: Option<bool>,
    pub(super) dry_run: Option<String>,
    pub(super) field_validation: Option<String>,
    pub(super) label_selector: Option<String>,
    pub(super) field_selector: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) r#continue: Option<String>,
    pub(super) watch: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) resource_version_match: Option<String>,
    pub(super) allow_watch_bookmarks: Option<bool>,
    pub(super) send_initial_events: Option<bool>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) propagation_policy: Option<String>,
}

impl Parameters {
    pub(super) fn selector(&self) -> Result<Selector, Refusal> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Selector::parse(&text(&self.label_selector), &text(&self.field_selector))
    }

    /// Whether it asks for a watch.
    pub(super) fn is_watch(&self) -> bool {
        matches!(self.watch.as_deref(), Some("true" | "1" | ""))
    }

    /// The resource version that was asked for; `None`: the newest, or any.
    pub(super) fn version(&self) -> Result<Option<u64>, Refusal> {
        match self.resource_version.as_deref() {
            None | Some("" | "0") => Ok(None),
            Some(text) => match text.parse() {
                Ok(version) => Ok(Some(version)),
                Err(_) => Err(Refusal::bad_request(format!("Invalid value: \"{text}\": invalid resource version"))),
            },
        }
    }

    /// In whose name and how something is to be written.
    pub(super) fn how(&self, headers: &HeaderMap) -> Result<How, Refusal> {
        let dry_run = match self.dry_run.as_deref() {
            None | Some("") => false,
            Some("All") => true,
            Some(other) => return Err(Refusal::bad_request(format!("Invalid value: \"{other}\": dryRun is `All`"))),
        };
        let unknown = match self.field_validation.as_deref() {
            Some("Strict") => Unknown::Strict,
            None | Some("" | "Ignore" | "Warn") => Unknown::Dropped,
            Some(other) => return Err(Refusal::bad_request(format!("Invalid value: \"{other}\": fieldValidation"))),
        };
        // The manager of a client that names none is its program (RFC 9110 §10.1.5, the first product).
        let program = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
        let program = program.split('/').next().unwrap_or(program);
        let manager = self.field_manager.clone().filter(|manager| !manager.is_empty());
        let manager = manager.unwrap_or_else(|| program.to_owned());
        Ok(How { manager, now: now(), dry_run, unknown, subresource: None })
    }
}

/// The time, as metadata says it: RFC 3339 to the second.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A document about the API itself.
    Document(Document),
    /// Objects of a kind.
    Objects(Objects),
}

/// A document about the API itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    Health,
    Version,
    Core,
    Groups,
    Group(String),
    Resources { group: String, version: String },
    OpenApi,
}

/// Objects of a kind: all, those of a namespace, one, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Objects {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) part: Option<String>,
}

impl Place {
    /// Reads a decoded path.
    pub(super) fn parse(path: &str) -> Option<Place> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let document = |document| Some(Place::Document(document));
        match segments.as_slice() {
            ["healthz" | "livez" | "readyz", ..] => document(Document::Health),
            ["version"] => document(Document::Version),
            ["openapi", ..] => document(Document::OpenApi),
            ["api"] => document(Document::Core),
            ["apis"] => document(Document::Groups),
            ["apis", group] => document(Document::Group((*group).to_owned())),
            ["api", version] => document(Document::Resources { group: String::new(), version: (*version).to_owned() }),
            ["apis", group, version] => {
                document(Document::Resources { group: (*group).to_owned(), version: (*version).to_owned() })
            }
            ["api", version, rest @ ..] => objects("", version, rest),
            ["apis", group, version, rest @ ..] => objects(group, version, rest),
            _ => None,
        }
    }
}

fn objects(group: &str, version: &str, rest: &[&str]) -> Option<Place> {
    let owned = |text: &str| Some(text.to_owned());
    let mut objects = Objects { group: group.to_owned(), version: version.to_owned(), ..Objects::default() };
    let rest = match rest {
        ["namespaces", namespace, plural, ..] if !matches!(*plural, "status" | "finalize") => {
            objects.namespace = owned(namespace);
            &rest[2..]
        }
        _ => rest,
    };
    objects.plural = rest.first().copied()?.to_owned();
    objects.name = rest.get(1).and_then(|name| owned(name));
    objects.part = rest.get(2).map(|_| rest[2..].join("/"));
    Some(Place::Objects(objects))
}

/// The form of an answer that a client accepts.
pub(super) fn view(headers: &HeaderMap) -> View {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let mut kinds = accept.flat_map(|accept| accept.split(','));
    // A table is what kubectl prefers; it takes JSON behind it.
    if kinds.any(|kind| kind.contains("as=PartialObjectMetadata")) { View::Metadata } else { View::Whole }
}

/// Whether a client accepts aggregated discovery.
pub(super) fn takes_aggregated(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accept
        .flat_map(|accept| accept.split(','))
        .any(|kind| kind.contains("as=APIGroupDiscoveryList") && kind.contains("v=v2") && !kind.contains("v=v2beta1"))
}

/// Reads a body of JSON.
pub(super) fn json(headers: &HeaderMap, body: &[u8], accepted: &[&str]) -> Result<Value, Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or("application/json");
    let given = given.split(';').next().unwrap_or_default().trim();
    if !accepted.contains(&given) {
        return Err(Refusal::media_type(given, &accepted.join(", ")));
    }
    serde_json::from_slice(body).map_err(|error| {
        Refusal::bad_request(format!("the object provided is unrecognized (only JSON is read here): {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_they_name_on_every_server() {
        let found = |path: &str| match Place::parse(path) {
            Some(Place::Objects(objects)) => {
                let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let Objects { group, version, plural, namespace, name, part } = objects;
                format!("{group} {version} {plural} {} {} {}", text(namespace), text(name), text(part))
            }
            other => format!("{other:?}"),
        };
        let table = [
            ("/api/v1/namespaces", " v1 namespaces - - -"),
            ("/api/v1/namespaces/shop", " v1 namespaces - shop -"),
            ("/api/v1/namespaces/shop/status", " v1 namespaces - shop status"),
            ("/api/v1/namespaces/shop/pods", " v1 pods shop - -"),
            ("/api/v1/pods", " v1 pods - - -"),
            ("/apis/apps/v1/namespaces/shop/deployments/web/scale", "apps v1 deployments shop web scale"),
            (
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a b",
                "rbac.authorization.k8s.io v1 clusterroles - system:a b -",
            ),
            ("/nothing", "None"),
        ];
        for (path, expected) in table {
            assert_eq!(found(path), expected, "{path}");
        }
    }
}
