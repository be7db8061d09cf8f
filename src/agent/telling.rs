//! Tells what happened to objects: one log line at once (cli.md §3 of the design gives its form).

use serde_json::Value;

use crate::course::{News, Telling};
use crate::plan::FieldChange;

use super::carry::Carrier;

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
        let Telling { object, drift, gone, requests: _ } = telling;
        let one = match drift.fields.as_slice() {
            [field] => Some(field),
            _ => None,
        };
        let by = drift.by.as_ref();
        Line {
            object: object.to_string(),
            fields: if *gone { "(deleted)".to_owned() } else { fields(&drift.fields) },
            live: one.map(|field| shown(field, field.from.as_ref(), "(secret, differs)")),
            desired: one.map(|field| shown(field, field.to.as_ref(), "(secret)")),
            manager: by.map(|by| by.manager.clone()),
            operation: by.map(|by| by.operation.clone()),
            changed: by.and_then(|by| by.time.clone()),
        }
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

impl Carrier {
    pub(super) fn tell_news(&self, news: &News) {
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
