//! Tells what happened: a log line at once (cli.md §3 of the design gives its form), metrics, and events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::course::{Judged, Loss, News, Telling, Verdict};
use crate::deploylog::{Action, Phase, Proposal};
use crate::edge::clock;
use crate::edge::events::Happened;
use crate::edge::exposition::{Applied, Walked};
use crate::name::{Class, Code, Reason};
use crate::plan::FieldChange;
use crate::plan::drift::View;

use super::carry::{Carrier, named};

/// The longest value in a log line, in characters.
const VALUE_LIMIT: usize = 120;

/// The most fields that a log line names.
const FIELDS_LIMIT: usize = 8;

/// A drift in the words of a log line. What a line does not know it leaves out.
struct Line {
    object: String,
    fields: String,
    live: Option<String>,
    desired: Option<String>,
    manager: Option<String>,
    operation: Option<String>,
    changed: Option<String>,
}

impl Line {
    fn of(telling: &Telling) -> Self {
        let Telling { object, drift, view, loss, requests: _ } = telling;
        let one = match drift.fields.as_slice() {
            [field] => Some(field),
            _ => None,
        };
        let by = drift.by.as_ref();
        Line {
            object: object.to_string(),
            fields: what(*loss, &drift.fields),
            // Of what only its metadata was seen, the live value is not known.
            live: one
                .filter(|field| *view == View::Whole || field.secret)
                .map(|field| shown(field, field.from.as_ref(), "(secret, differs)")),
            desired: one.map(|field| shown(field, field.to.as_ref(), "(secret)")),
            manager: by.map(|by| by.manager.clone()),
            operation: by.map(|by| by.operation.clone()),
            changed: by.and_then(|by| by.time.clone()),
        }
    }
}

/// A freeze, a hold, or the end of one, by whom and why.
fn stated(proposal: &Proposal) -> (Happened, String) {
    let (until, reason) = match &proposal.statement {
        Some(stated) => (stated.until, stated.reason.as_str()),
        None => (None, ""),
    };
    let text = format!("by {}: {reason}", proposal.actor);
    match (proposal.action, until) {
        (Action::Hold, _) => (Happened::Held, text),
        (Action::Unhold, _) => (Happened::Unheld, text),
        (_, Some(until)) => (Happened::Frozen, format!("until {until} {text}")),
        (_, None) => (Happened::Unfrozen, text),
    }
}

fn what(loss: Option<Loss>, changed: &[FieldChange]) -> String {
    match loss {
        Some(Loss::Deleted) => "(deleted)".to_owned(),
        Some(Loss::Unlabelled) => "(label lost)".to_owned(),
        None => fields(changed),
    }
}

fn fields(fields: &[FieldChange]) -> String {
    let named: Vec<&str> = fields.iter().take(FIELDS_LIMIT).map(|field| field.path.as_str()).collect();
    let more = fields.len().saturating_sub(FIELDS_LIMIT);
    if more == 0 { named.join(",") } else { format!("{},and {more} more", named.join(",")) }
}

fn shown(field: &FieldChange, value: Option<&Value>, secret: &str) -> String {
    match value {
        _ if field.secret => secret.to_owned(),
        None => "(none)".to_owned(),
        Some(Value::String(text)) => text.chars().take(VALUE_LIMIT).collect(),
        Some(value) => value.to_string().chars().take(VALUE_LIMIT).collect(),
    }
}

/// What drifted, for people.
fn sentence(telling: &Telling) -> String {
    let by = telling.drift.by.as_ref().map_or(String::new(), |by| format!(", by {}", by.manager));
    format!("{} {}{by}", telling.object, what(telling.loss, &telling.drift.fields))
}

impl Carrier {
    pub(super) fn tell_news(&self, news: &News) {
        self.count_news(news);
        self.log_news(news);
        match news {
            News::Healed { telling, .. } => self.publish(None, sentence(telling)),
            News::Drifted(telling) => self.publish(Some(Happened::Warned(Code::DriftFound)), sentence(telling)),
            News::Fighting { telling, .. } => {
                self.publish(Some(Happened::Warned(Code::DriftFighting)), sentence(telling));
            }
            News::DriftEnded(_) | News::Peace(_) => {}
        }
    }

    /// Writes an event beside whatever else is done; without a name it is one of many heals.
    fn publish(&self, happened: Option<Happened>, text: String) {
        let (site, name, now) = (Arc::clone(&self.site), self.environment.name.clone(), clock::now());
        self.events.spawn(async move {
            let Ok(target) = site.target() else { return };
            match happened {
                Some(happened) => target.events.publish(&name, happened, &text, now).await,
                None => target.events.drift_healed(&name, &text, now).await,
            }
        });
    }

    fn count_news(&self, news: &News) {
        let (exposition, labels) = (&self.site.board.exposition, self.site.labels(&self.environment));
        match news {
            News::Healed { took, .. } => {
                exposition.drift_detected(&labels);
                exposition.drift_healed(&labels, Duration::try_from(*took).unwrap_or_default());
            }
            News::Drifted(_) => exposition.drift_detected(&labels),
            News::DriftEnded(_) | News::Fighting { .. } | News::Peace(_) => {}
        }
    }

    pub(super) fn count_applied(&self, outcome: Applied) {
        self.site.board.exposition.applied(&self.site.labels(&self.environment), outcome);
    }

    /// Counts what came of judging, and how long its steps took.
    pub(super) fn count_judged(&self, judged: &Judged) {
        let (exposition, labels) = (&self.site.board.exposition, self.site.labels(&self.environment));
        exposition.steps(&labels, &judged.durations_ms);
        let person = |reasons: &[Reason]| reasons.iter().any(|reason| reason.code.class() == Class::Person);
        let outcome = match &judged.verdict {
            Verdict::Unchanged => Walked::Unchanged,
            Verdict::Admitted(_) => Walked::Admitted,
            Verdict::Stopped { reasons, .. } if person(reasons) => Walked::Held,
            Verdict::Stopped { refused: true, .. } => Walked::Refused,
            Verdict::Stopped { .. } => Walked::Waiting,
            Verdict::Unreachable(_) => Walked::Unreachable,
        };
        exposition.walked(&labels, outcome);
        if let Verdict::Stopped { refused: true, reasons, .. } = &judged.verdict {
            reasons.iter().for_each(|reason| exposition.refused(&labels, reason.code));
        }
    }

    /// Counts what an entry says, and writes the event for it.
    pub(super) fn announce(&self, proposal: &Proposal) {
        let (exposition, labels) = (&self.site.board.exposition, self.site.labels(&self.environment));
        exposition.steps(&labels, &proposal.durations_ms);
        let commit = proposal.commit.as_ref();
        if proposal.phase == Some(Phase::Proven)
            && let Some(commit) = commit
        {
            let took = clock::now().duration_since(commit.first_seen);
            exposition.became_healthy(&labels, Duration::try_from(took).unwrap_or_default());
        }
        let subject = commit.map_or(String::new(), |commit| format!("{} \"{}\"", commit.id.short(), commit.subject));
        let units = named(&proposal.units).map(|units| format!(" ({units})")).unwrap_or_default();
        let subject = format!("{subject}{units}");
        let part = proposal.parts.values().find_map(|part| part.reasons.first());
        let (happened, text) = match (proposal.action, proposal.phase, proposal.reasons.first().or(part)) {
            (Action::Sync, Some(Phase::Opened), _) => (Happened::Synced, subject),
            (Action::Promote, Some(Phase::Opened), _) => {
                let from = proposal.upstream.as_ref();
                let from = from.map(|from| format!(", as in {}/{}", from.environment, from.sequence));
                (Happened::Promoted, format!("{subject}{}", from.unwrap_or_default()))
            }
            (Action::Rollback, Some(Phase::Opened), reason) => (Happened::RolledBack, self.went_back(proposal, reason)),
            (Action::Rollback, Some(Phase::Failed), Some(reason)) => {
                let line = reason.message.lines().next().unwrap_or_default();
                let text =
                    format!("{subject}: {line}; nothing goes back from a rollback by itself: a person is needed");
                (Happened::Warned(reason.code), text)
            }
            (Action::Freeze | Action::Unfreeze | Action::Hold | Action::Unhold, _, _) => stated(proposal),
            (Action::Refuse | Action::Wait, _, Some(reason)) | (_, Some(Phase::Failed), Some(reason)) => {
                let line = reason.message.lines().next().unwrap_or_default();
                (Happened::Warned(reason.code), format!("{subject}: {line}"))
            }
            _ => return,
        };
        self.publish(Some(happened), text);
    }

    /// What was undone, by what, and why.
    fn went_back(&self, proposal: &Proposal, reason: Option<&Reason>) -> String {
        let name = &self.environment.name;
        let of = proposal.supersedes.map(|undone| format!("of {name}/{undone} ")).unwrap_or_default();
        let to = proposal.rollback.as_ref().map(|rollback| format!("to {name}/{}", rollback.to)).unwrap_or_default();
        let stated = proposal.statement.as_ref().map(|stated| stated.reason.clone());
        let why = stated.or_else(|| reason.map(|reason| reason.message.lines().next().unwrap_or_default().to_owned()));
        let why = why.filter(|why| !why.is_empty()).map(|why| format!(": {why}")).unwrap_or_default();
        format!("{of}{to} by {}{why}", proposal.actor)
    }

    fn log_news(&self, news: &News) {
        let environment = format!("{}/{}", self.site.setup.pipeline.name, self.environment.name);
        match news {
            News::Healed { telling, took } => {
                let Line { object, fields, live, desired, manager, operation, changed } = Line::of(telling);
                let (event_to_heal_ms, requests) = (took.as_millis().try_into().unwrap_or(u64::MAX), telling.requests);
                tracing::info!(
                    environment,
                    object,
                    fields,
                    live,
                    desired,
                    manager,
                    operation,
                    changed,
                    event_to_heal_ms,
                    requests,
                    "drift-healed"
                );
            }
            News::Drifted(telling) => {
                let Line { object, fields, live, desired, manager, operation, changed } = Line::of(telling);
                tracing::warn!(environment, object, fields, live, desired, manager, operation, changed, "drift-found");
            }
            News::DriftEnded(telling) => {
                let Line { object, fields, .. } = Line::of(telling);
                tracing::info!(environment, object, fields, "drift-ended");
            }
            News::Fighting { telling, until } => {
                let Line { object, fields, live, desired, manager, operation, changed } = Line::of(telling);
                let next_heal = until.to_string();
                tracing::warn!(
                    environment,
                    object,
                    fields,
                    live,
                    desired,
                    manager,
                    operation,
                    changed,
                    next_heal,
                    "drift-fighting"
                );
            }
            News::Peace(object) => tracing::info!(environment, %object, "drift-fight-ended"),
        }
    }
}
