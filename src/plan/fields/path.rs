//! Where in an object a field is, as people write it.

use std::fmt;

use serde_json::Value;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Step {
    /// A field of a map.
    Field(String),
    /// The element of a list that has these values.
    Item(Vec<(String, Value)>),
    /// The element at this place of a list.
    Index(usize),
}

/// A way into an object: `spec.containers[name=cart].args[0]`; a field that is not a plain word is quoted:
/// `metadata.annotations['a.b/c']`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in super::super) struct Path(pub(super) Vec<Step>);

impl Path {
    pub(in super::super) fn then(&self, step: Step) -> Path {
        let mut steps = self.0.clone();
        steps.push(step);
        Path(steps)
    }

    /// The field that the path ends at.
    pub(in super::super) fn field(&self) -> Option<&str> {
        match self.0.last()? {
            Step::Field(name) => Some(name),
            Step::Item(_) | Step::Index(_) => None,
        }
    }

    /// Whether these are the path's fields; a path with a list element in it is none of them.
    pub(super) fn is(&self, fields: &[&str]) -> bool {
        self.0.len() == fields.len() && self.starts_with(fields)
    }

    /// Whether the path begins with these fields.
    pub(super) fn starts_with(&self, fields: &[&str]) -> bool {
        let same = |(step, field): (&Step, &&str)| matches!(step, Step::Field(name) if name == field);
        self.0.len() >= fields.len() && self.0.iter().zip(fields).all(same)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if is_plain(name) && place == 0 => f.write_str(name)?,
                Step::Field(name) if is_plain(name) => write!(f, ".{name}")?,
                Step::Field(name) => write!(f, "[{}]", quoted(name))?,
                Step::Item(key) => {
                    let told = key.iter().filter(|(_, value)| !value.is_null());
                    let pairs = told.map(|(name, value)| format!("{name}={}", scalar(value)));
                    write!(f, "[{}]", pairs.collect::<Vec<_>>().join(","))?;
                }
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c)) => text.clone(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        if c == '\'' || c == '\\' {
            quoted.push('\\');
        }
        quoted.extend(c.escape_debug().filter(|_| c.is_control()));
        if !c.is_control() {
            quoted.push(c);
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_people_write_it() {
        let field = |name: &str| Step::Field(name.to_owned());
        let item = |name: &str, value: Value| Step::Item(vec![(name.to_owned(), value)]);
        let table = [
            (vec![field("spec"), field("replicas")], "spec.replicas"),
            (vec![field("a"), item("name", "cart".into()), field("b")], "a[name=cart].b"),
            (vec![field("ports"), item("containerPort", 80.into())], "ports[containerPort=80]"),
            (vec![field("args"), Step::Index(2)], "args[2]"),
            (vec![field("metadata"), field("annotations"), field("a.b/c")], "metadata.annotations['a.b/c']"),
            (vec![field("it's")], "['it\\'s']"),
            (vec![field("")], "['']"),
            (vec![field("a"), item("name", "two words".into())], "a[name='two words']"),
            (vec![field("a"), field("line\nbreak")], "a['line\\nbreak']"),
        ];
        for (steps, text) in table {
            assert_eq!(Path(steps).to_string(), text);
        }
    }
}
