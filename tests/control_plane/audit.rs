//! Every write that the API server carried out, and every request of one user, exactly, from its own audit log.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use serde_json::Value;

use super::ControlPlane;

/// Logs who asked for which write, without bodies, once it is answered; of the user `counted` also what only reads, and a
/// watch when it starts.
pub(crate) const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, users: [counted]}
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
- {level: None}
";

/// A point in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

/// One write that succeeded; dry runs and review requests are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) user: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub(crate) verb: String,
    /// As `deployments` or `deployments/status`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One request of the user [`COUNTED`](super::COUNTED), whatever its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// As of RBAC: `get`, `list`, `watch`, `patch`…
    pub(crate) verb: String,
    /// As `deployments` or `deployments/status`; empty for discovery.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) dry_run: bool,
    pub(crate) received: Timestamp,
    /// When its answer was sent; of a watch, when it began.
    pub(crate) answered: Timestamp,
}

impl ControlPlane {
    /// The log's end now: what was answered before is before it.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.flush())
    }

    /// The writes of a user that were answered since, in order of their answers.
    pub(crate) fn writes_since(&self, mark: Mark, user: &str) -> Vec<Write> {
        self.text_since(mark).lines().filter_map(write_of).filter(|write| write.user == user).collect()
    }

    /// Every request of the user [`COUNTED`](super::COUNTED) that was answered since; a watch counts when it begins.
    pub(crate) fn requests_since(&self, mark: Mark) -> Vec<Request> {
        self.text_since(mark).lines().filter_map(request_of).collect()
    }

    fn text_since(&self, mark: Mark) -> String {
        let end = self.flush();
        let mut file = std::fs::File::open(self.folder().join("audit.log")).expect("because the server writes it");
        file.seek(SeekFrom::Start(mark.0)).expect("because it is a file");
        let mut text = String::new();
        file.take(end - mark.0).read_to_string(&mut text).expect("because the log is JSON");
        text
    }

    /// Waits until a request of its own stands in the log, and says how long the log is then.
    fn flush(&self) -> u64 {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("flush-{}-", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.delete(&format!("/api/v1/namespaces/default/configmaps/{name}x"));
        let path = self.folder().join("audit.log");
        super::eventually("the audit log is written", || {
            let log = std::fs::read(&path).expect("because the server writes it");
            let at = log.windows(name.len()).rposition(|window| window == name.as_bytes())?;
            let rest = log[at..].iter().position(|byte| *byte == b'\n')?;
            Some((at + rest + 1) as u64)
        })
    }
}

/// The fields of a line by their JSON pointers.
struct Line(Value);

impl Line {
    fn read(line: &str) -> Line {
        Line(serde_json::from_str(line).expect("because the log is JSON, a line each"))
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn resource(&self) -> String {
        let (resource, subresource) = (self.text("/objectRef/resource"), self.text("/objectRef/subresource"));
        if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") }
    }

    fn is_dry_run(&self) -> bool {
        self.text("/requestURI").contains("dryRun=All")
    }

    fn time(&self, pointer: &str) -> Timestamp {
        self.text(pointer).parse().expect("because the server writes RFC 3339")
    }
}

fn write_of(line: &str) -> Option<Write> {
    let line = Line::read(line);
    let code = line.0.pointer("/responseStatus/code").and_then(Value::as_u64)?;
    let is_question = line.text("/objectRef/resource").ends_with("reviews");
    let is_read = ["get", "list", "watch"].contains(&line.text("/verb"));
    if !(200..300).contains(&code) || is_question || is_read || line.is_dry_run() {
        return None;
    }
    let text = |pointer: &str| line.text(pointer).to_owned();
    let (user, verb, resource) = (text("/user/username"), text("/verb"), line.resource());
    Some(Write { user, verb, resource, namespace: text("/objectRef/namespace"), name: text("/objectRef/name") })
}

fn request_of(line: &str) -> Option<Request> {
    let line = Line::read(line);
    let stage = if line.text("/verb") == "watch" { "ResponseStarted" } else { "ResponseComplete" };
    if line.text("/user/username") != super::COUNTED || line.text("/stage") != stage {
        return None;
    }
    Some(Request {
        verb: line.text("/verb").to_owned(),
        resource: line.resource(),
        namespace: line.text("/objectRef/namespace").to_owned(),
        name: line.text("/objectRef/name").to_owned(),
        dry_run: line.is_dry_run(),
        received: line.time("/requestReceivedTimestamp"),
        answered: line.time("/stageTimestamp"),
    })
}
