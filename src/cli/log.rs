//! Log lines on standard error: one for each event, with a stable event name.

use std::fmt;
use std::io::IsTerminal;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::arguments::{Global, LogFormat, LogLevel};
use super::diagnostic::escape;

/// Starts logging for the process: from the level of the flags on, else from `default` on.
pub(super) fn start(global: &Global, default: LogLevel) {
    let level = global.log.unwrap_or(match global.verbose {
        0 => default,
        1 => LogLevel::Debug,
        _ => LogLevel::Trace,
    });
    let word = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // Libraries are kept from telling what passes through them: bodies of requests may hold secrets.
    let filter = tracing_subscriber::EnvFilter::new(format!("off,lockmaster={word}"));
    let lines = Lines { form: global.log_format, terminal: std::io::stderr().is_terminal() };
    let started = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).event_format(lines);
    // Only the first one counts, and a process has one.
    let _ = started.try_init();
}

/// How a line is written.
struct Lines {
    form: LogFormat,
    /// Then a line of progress may stand where the next one begins.
    terminal: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = Line { time: Timestamp::now(), level: event.metadata().level().as_str(), fields };
        match self.form {
            LogFormat::Text if self.terminal => writeln!(to, "\r\x1b[2K{}", line.text()),
            LogFormat::Text => writeln!(to, "{}", line.text()),
            LogFormat::Json => writeln!(to, "{}", line.json()),
        }
    }
}

#[derive(Default)]
struct Fields {
    event: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.event = text,
            (name, value) => self.rest.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::String(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, json!(value));
    }
}

struct Line {
    time: Timestamp,
    level: &'static str,
    fields: Fields,
}

impl Line {
    fn time(&self) -> String {
        let whole = self.time.round(jiff::Unit::Millisecond).unwrap_or(self.time);
        format!("{whole:.3}")
    }

    fn text(&self) -> String {
        let mut text = format!("{} {} {}", self.time(), self.level, escape(&self.fields.event));
        for (name, value) in &self.fields.rest {
            text.push_str(&format!(" {name}={}", shown(value)));
        }
        text
    }

    fn json(&self) -> String {
        let mut line = Map::from_iter([
            ("time".to_owned(), json!(self.time())),
            ("level".to_owned(), json!(self.level)),
            ("event".to_owned(), json!(self.fields.event)),
        ]);
        line.extend(self.fields.rest.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Value::Object(line).to_string()
    }
}

/// A value as text: in quotes where it would not read as one word.
fn shown(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let text = escape(text);
    let plain = !text.is_empty() && !text.contains([' ', '"', '=']);
    if plain { text } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_line_is_time_level_event_and_fields_in_either_form() {
        let time = Timestamp::UNIX_EPOCH + SignedDuration::from_micros(44_932_400);
        let rest = vec![
            ("environment", json!("shop/prod")),
            ("object", json!("shop Deployment/cart")),
            ("sequence", json!(7)),
            ("reason", json!("two\nlines")),
        ];
        let line = Line { time, level: "INFO", fields: Fields { event: "entry-written".to_owned(), rest } };
        assert_eq!(
            line.text(),
            "1970-01-01T00:00:44.932Z INFO entry-written environment=shop/prod object=\"shop Deployment/cart\" sequence=7 \
             reason=two\\nlines"
        );
        let document: Value = serde_json::from_str(&line.json()).expect("because a line is a document");
        assert_eq!(
            document,
            json!({"time": "1970-01-01T00:00:44.932Z", "level": "INFO", "event": "entry-written", "sequence": 7,
                   "environment": "shop/prod", "object": "shop Deployment/cart", "reason": "two\nlines"})
        );
    }
}
