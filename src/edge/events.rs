//! Kubernetes Events on the Pipeline: what happened, for `kubectl get events` and `kubectl describe`.
//!
//! An event is news and no record: the log is the record. One that cannot be written stops nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};

use crate::name::{Code, EnvironmentName, PipelineName};

/// How long a write may take.
const WRITE_WAIT: Duration = Duration::from_secs(10);
/// The least time between two events about healed drift of one environment.
const HEALED_EVERY: Duration = Duration::from_secs(60);
/// The longest note in bytes (Kubernetes API reference, Event v1 events.k8s.io).
const NOTE_LIMIT: usize = 1024;

/// What happened to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// A release that upstream proved was opened.
    Promoted,
    /// A release was opened in an environment without upstream.
    Synced,
    /// An earlier release was opened again.
    RolledBack,
    /// A person approved.
    Approved,
    /// A person froze it.
    Frozen,
    /// The freeze ended.
    Unfrozen,
    /// A hold ended.
    Unheld,
    /// What the release no longer names was deleted.
    Pruned,
    /// The candidate needs a person.
    Held,
    /// Something is wrong, with its reason code.
    Warned(Code),
}

impl Happened {
    /// The type and the reason of the event.
    fn words(self) -> (&'static str, String) {
        let (kind, reason) = match self {
            Happened::Promoted => ("Normal", "Promoted"),
            Happened::Synced => ("Normal", "Synced"),
            Happened::RolledBack => ("Normal", "RolledBack"),
            Happened::Approved => ("Normal", "Approved"),
            Happened::Frozen => ("Normal", "Frozen"),
            Happened::Unfrozen => ("Normal", "Unfrozen"),
            Happened::Unheld => ("Normal", "Unheld"),
            Happened::Pruned => ("Normal", "Pruned"),
            Happened::Held => ("Warning", "Held"),
            Happened::Warned(code) => return ("Warning", code.camel_case()),
        };
        (kind, reason.to_owned())
    }
}

/// Writes the events of one pipeline.
pub struct Events {
    events: Api<Event>,
    namespace: String,
    pipeline: PipelineName,
    healed: Mutex<BTreeMap<EnvironmentName, Healed>>,
    /// Why the last one could not be written.
    trouble: Mutex<Option<String>>,
}

impl Events {
    /// Events in the agent's namespace about the Pipeline of this name, which need not exist there.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str, pipeline: PipelineName) -> Events {
        let events = Api::namespaced(client, namespace);
        Events {
            events,
            namespace: namespace.to_owned(),
            pipeline,
            healed: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// Writes one event; `text` follows the name of the environment. Done when the server answered, or after ten seconds.
    pub async fn publish(&self, environment: &EnvironmentName, happened: Happened, text: &str, now: Timestamp) {
        let (kind, reason) = happened.words();
        self.write(kind, reason, format!("{environment}: {text}"), now).await;
    }

    /// Says that drift was healed: at most once a minute for each environment. What was held back is counted in the next
    /// one.
    pub async fn drift_healed(&self, environment: &EnvironmentName, text: &str, now: Timestamp) {
        let told = {
            let mut healed = self.healed.lock().unwrap_or_else(PoisonError::into_inner);
            healed.entry(environment.clone()).or_default().tell(now)
        };
        let note = match told {
            None => return,
            Some(0) => format!("{environment}: {text}"),
            Some(more) => format!("{environment}: {text}; {more} more since the last event"),
        };
        self.write("Normal", "DriftHealed".to_owned(), note, now).await;
    }

    async fn write(&self, kind: &str, reason: String, note: String, now: Timestamp) {
        let event = self.event(kind, reason, &note, now);
        let parameters = PostParams::default();
        let written = tokio::time::timeout(WRITE_WAIT, self.events.create(&parameters, &event)).await;
        match written {
            Ok(Ok(_)) => self.say(None),
            // The message of a refusal may name the event, which is another one each time: it does not tell what is news.
            Ok(Err(kube::Error::Api(status))) => self.say(Some((&status.reason, &status.message))),
            Ok(Err(error)) => self.say(Some((&error.to_string(), ""))),
            Err(_) => self.say(Some(("no answer in time", ""))),
        }
    }

    fn event(&self, kind: &str, reason: String, note: &str, now: Timestamp) -> Event {
        let regarding = ObjectReference {
            api_version: Some("lockmaster.dev/v1alpha1".to_owned()),
            kind: Some("Pipeline".to_owned()),
            name: Some(self.pipeline.to_string()),
            namespace: Some(self.namespace.clone()),
            ..ObjectReference::default()
        };
        Event {
            metadata: ObjectMeta { generate_name: Some(format!("{}-", self.pipeline)), ..ObjectMeta::default() },
            action: Some(reason.clone()),
            event_time: Some(MicroTime(now)),
            note: Some(cut(note)),
            reason: Some(reason),
            regarding: Some(regarding),
            reporting_controller: Some("lockmaster.dev/agent".to_owned()),
            reporting_instance: Some("lockmaster".to_owned()),
            type_: Some(kind.to_owned()),
            ..Event::default()
        }
    }

    /// Logs why events cannot be written, and what the server said, when that is news, not for every event.
    fn say(&self, failed: Option<(&str, &str)>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_deref() != failed.map(|(reason, _)| reason) {
            match failed {
                Some((reason, message)) => {
                    tracing::warn!(pipeline = %self.pipeline, reason, answer = message, "event-not-written");
                }
                None => tracing::info!(pipeline = %self.pipeline, "events-written-again"),
            }
            *trouble = failed.map(|(reason, _)| reason.to_owned());
        }
    }
}

/// What was told of healed drift.
#[derive(Debug, Default)]
struct Healed {
    told_at: Option<Timestamp>,
    held_back: usize,
}

impl Healed {
    /// One more heal: how many were held back before it if it is told, `None` if it is held back itself.
    fn tell(&mut self, now: Timestamp) -> Option<usize> {
        let waited = self.told_at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default());
        if waited.is_some_and(|waited| waited < HEALED_EVERY) {
            self.held_back += 1;
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

/// The note, cut to what the server takes.
fn cut(note: &str) -> String {
    if note.len() <= NOTE_LIMIT {
        return note.to_owned();
    }
    let mut end = NOTE_LIMIT - 3;
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &note[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healed_drift_is_told_once_a_minute_and_what_was_held_back_is_counted() {
        let mut healed = Healed::default();
        let told = [0, 1, 59, 60, 61, 200, 260].map(|second| {
            let now = Timestamp::from_second(1_000_000 + second).expect("because it is a time");
            healed.tell(now)
        });
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1), Some(0)]);
    }

    #[test]
    fn a_note_is_cut_between_characters_to_what_the_server_takes() {
        assert_eq!(cut("prod: held"), "prod: held");
        for filler in ["a", "é", "日", "🦀"] {
            let note = cut(&format!("prod: {}", filler.repeat(2000)));
            assert!(note.len() <= NOTE_LIMIT && note.len() > NOTE_LIMIT - 8 && note.ends_with("..."), "{note}");
        }
    }
}
