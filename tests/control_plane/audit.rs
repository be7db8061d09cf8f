//! Every write that the API server carried out, exactly, from its own audit log.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::ControlPlane;

/// Logs who asked for which write, without bodies, once it is answered.
pub(crate) const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
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

impl ControlPlane {
    /// The log's end now: what was answered before is before it.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.flush())
    }

    /// The writes of a user that were answered since, in order of their answers.
    pub(crate) fn writes_since(&self, mark: Mark, user: &str) -> Vec<Write> {
        let end = self.flush();
        let mut file = std::fs::File::open(self.folder().join("audit.log")).expect("because the server writes it");
        file.seek(SeekFrom::Start(mark.0)).expect("because it is a file");
        let mut text = String::new();
        file.take(end - mark.0).read_to_string(&mut text).expect("because the log is JSON");
        text.lines().filter_map(write_of).filter(|write| write.user == user).collect()
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

fn write_of(line: &str) -> Option<Write> {
    let event: Value = serde_json::from_str(line).expect("because the log is JSON, a line each");
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = event.pointer("/responseStatus/code").and_then(Value::as_u64)?;
    let resource = text("/objectRef/resource");
    let is_question = resource.ends_with("reviews");
    if !(200..300).contains(&code) || is_question || text("/requestURI").contains("dryRun=All") {
        return None;
    }
    let subresource = text("/objectRef/subresource");
    let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
    let (user, verb) = (text("/user/username"), text("/verb"));
    Some(Write { user, verb, resource, namespace: text("/objectRef/namespace"), name: text("/objectRef/name") })
}
