//! What the watches of the journal have in common: how long they wait, and what a failure means.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher;

use super::JournalError;
use super::shelf::Keeper as _;

/// How long to wait before a watch that failed is tried again: doubled from the first to the last.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

/// Waits between tries.
pub(super) struct Waits(Duration);

impl Default for Waits {
    fn default() -> Self {
        Waits(WAITS[0])
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(WAITS[1]);
        Some(wait)
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.0 = WAITS[0];
    }
}

/// Why ConfigMaps could not be watched; `what` they hold.
pub(super) fn not_watched(what: &str, namespace: &str, error: &watcher::Error) -> JournalError {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    let object = format!("the {what} in {namespace}");
    match status {
        Some(status) if status.is_forbidden() => {
            JournalError::Forbidden { verb: "watch", resource: ConfigMap::RESOURCE, namespace: namespace.to_owned() }
        }
        Some(status) => {
            let problem = format!("answer {}: {}", status.code, status.message.replace('\n', " "));
            JournalError::Unreadable { object, problem }
        }
        // Its text could carry an address.
        None => JournalError::Unreadable { object, problem: "the watch broke".to_owned() },
    }
}
