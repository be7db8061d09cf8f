//! What a request asks for: its path, its query and its headers.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::read::View;
use super::refusal::Refusal;
use super::selector::Selector;
use super::write::How;

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
        let strict = match self.field_validation.as_deref() {
            None | Some("" | "Ignore" | "Warn") => false,
            Some("Strict") => true,
            Some(other) => return Err(Refusal::bad_request(format!("Invalid value: \"{other}\": fieldValidation"))),
        };
        // The manager of a client that names none is its program (RFC 9110 §10.1.5, the first product).
        let program = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or("unknown");
        let program = program.split('/').next().unwrap_or(program);
        let manager = self.field_manager.clone().filter(|manager| !manager.is_empty());
        let manager = manager.unwrap_or_else(|| program.to_owned());
        Ok(How { manager, now: now(), dry_run, strict, subresource: None })
    }
}

/// The time, as metadata says it: RFC 3339 to the second.
pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Health,
    Version,
    OpenApi,
    /// All groups but the core, or that alone.
    Discovery {
        core: bool,
    },
    /// One group, and a version of it, in the older form of discovery.
    Group(String, Option<String>),
    Objects(Objects),
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
        match segments.as_slice() {
            ["healthz" | "livez" | "readyz", ..] => Some(Place::Health),
            ["version"] => Some(Place::Version),
            ["openapi", ..] => Some(Place::OpenApi),
            ["api"] => Some(Place::Discovery { core: true }),
            ["apis"] => Some(Place::Discovery { core: false }),
            ["api", version] => Some(Place::Group(String::new(), Some((*version).to_owned()))),
            ["apis", group] => Some(Place::Group((*group).to_owned(), None)),
            ["apis", group, version] => Some(Place::Group((*group).to_owned(), Some((*version).to_owned()))),
            ["api", version, rest @ ..] => objects("", version, rest),
            ["apis", group, version, rest @ ..] => objects(group, version, rest),
            _ => None,
        }
    }
}

fn objects(group: &str, version: &str, rest: &[&str]) -> Option<Place> {
    let (namespace, rest) = match rest {
        ["namespaces", namespace, plural, ..] if !matches!(*plural, "status" | "finalize") => {
            (Some((*namespace).to_owned()), &rest[2..])
        }
        _ => (None, rest),
    };
    let plural = (*rest.first()?).to_owned();
    let name = rest.get(1).map(|name| (*name).to_owned());
    let part = rest.get(2).map(|_| rest[2..].join("/"));
    Some(Place::Objects(Objects {
        group: group.to_owned(),
        version: version.to_owned(),
        plural,
        namespace,
        name,
        part,
    }))
}

/// Whether a client accepts this form of an answer.
pub(super) fn accepts(headers: &HeaderMap, form: &str) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    accept.flat_map(|accept| accept.split(',')).any(|accepted| accepted.contains(form))
}

/// The form of objects that a client accepts. A table is what kubectl prefers; it takes JSON behind it.
pub(super) fn view(headers: &HeaderMap) -> View {
    if accepts(headers, "as=PartialObjectMetadata") { View::Metadata } else { View::Whole }
}

/// The type of a body.
pub(super) fn media(headers: &HeaderMap) -> &str {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or("application/json");
    given.split(';').next().unwrap_or_default().trim()
}

/// Reads a body of JSON of one of these types.
pub(super) fn json(headers: &HeaderMap, body: &[u8], accepted: &[&str]) -> Result<Value, Refusal> {
    let given = media(headers);
    if !accepted.contains(&given) {
        let (what, accepted) = ("the body of the request was in an unknown format", accepted.join(", "));
        let message = format!("{what} - accepted media types include: {accepted}; this was `{given}`");
        return Err(Refusal::new(415, "UnsupportedMediaType", message));
    }
    serde_json::from_slice(body).map_err(|error| {
        Refusal::bad_request(format!("the object provided is unrecognized (only JSON is read here): {error}"))
    })
}
