//! How changes of objects are shown, in `plan` and in `diff`.

use serde_json::Value;

use super::{diagnostic, document};
use crate::plan::{Change, ChangeAction, FieldChange};

/// What of the changes is shown.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// Only this object, as `KIND/NAME`.
    pub(super) object: Option<String>,
    /// The fields too.
    pub(super) fields: bool,
}

/// The longest value on a line, in characters; a longer one is cut in text, and whole in JSON.
const LONGEST_VALUE: usize = 160;

impl Shown {
    fn chosen<'a>(&self, changes: &'a [Change]) -> impl Iterator<Item = &'a Change> {
        let wanted = self.object.clone();
        changes.iter().filter(move |change| {
            let named = format!("{}/{}", change.object.kind, change.object.name);
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&named))
        })
    }

    /// Whether none of the changes is shown.
    pub(super) fn is_empty(&self, changes: &[Change]) -> bool {
        self.chosen(changes).next().is_none()
    }

    /// The table, with its head.
    pub(super) fn rows(&self, changes: &[Change]) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for change in self.chosen(changes) {
            if rows.is_empty() {
                rows.push(["ACTION", "OBJECT", "STAGE", "FIELDS"].map(str::to_owned).to_vec());
            }
            let fields = if change.fields.is_empty() { "-".to_owned() } else { change.fields.len().to_string() };
            rows.push(vec![action(change.action), change.object.to_string(), stage(change), fields]);
        }
        rows
    }

    /// Every field, under its object.
    pub(super) fn fields_text(&self, changes: &[Change]) -> Vec<String> {
        let mut lines = Vec::new();
        for change in self.chosen(changes).filter(|change| !change.fields.is_empty()) {
            lines.push(change.object.to_string());
            for field in &change.fields {
                lines.extend(field_text(field));
            }
        }
        lines
    }

    /// The changes as a document has them.
    pub(super) fn to_json(&self, changes: &[Change]) -> Vec<Value> {
        let bare = |change: &Change| {
            let mut change = change.clone();
            if !self.fields {
                change.fields.clear();
            }
            document::change(&change)
        };
        self.chosen(changes).map(bare).collect()
    }
}

fn action(action: ChangeAction) -> String {
    match action {
        ChangeAction::Create => "create",
        ChangeAction::Update => "update",
        ChangeAction::Recreate => "recreate",
        ChangeAction::Prune => "prune",
        ChangeAction::Unchanged => "unchanged",
    }
    .to_owned()
}

fn stage(change: &Change) -> String {
    let text = serde_json::to_value(change.stage).ok().and_then(|value| value.as_str().map(str::to_owned));
    text.unwrap_or_default()
}

fn field_text(field: &FieldChange) -> Vec<String> {
    let owner = field.drift.as_ref().map(|owner| {
        let time = owner.time.as_ref().map(|time| format!(" at {time}")).unwrap_or_default();
        format!("  ({} by {}{time})", owner.operation, diagnostic::escape(&owner.manager))
    });
    let mut lines = vec![format!("  {}{}", diagnostic::escape(&field.path), owner.unwrap_or_default())];
    if field.secret {
        lines.push("  - (secret)".to_owned());
        lines.push("  + (secret, differs)".to_owned());
    } else {
        lines.extend(field.from.as_ref().map(|value| format!("  - {}", shown(value))));
        lines.extend(field.to.as_ref().map(|value| format!("  + {}", shown(value))));
    }
    lines
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = diagnostic::escape(&text);
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    text.chars().take(LONGEST_VALUE).chain("...".chars()).collect()
}
