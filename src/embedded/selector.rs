//! Label and field selectors (Kubernetes documentation, Labels and Selectors).

use serde_json::Value;

use super::refusal::Refusal;

/// Which objects of a collection are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    /// A field of metadata, its value, and whether it is to be equal.
    fields: Vec<(&'static str, String, bool)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400, as the server answers; also fields other than `metadata.name` and `metadata.namespace`.
    pub(super) fn parse(labels: &str, fields: &str) -> Result<Selector, Refusal> {
        let labels = split(labels).into_iter().map(requirement).collect::<Result<_, _>>()?;
        let fields = fields.split(',').map(str::trim).filter(|term| !term.is_empty()).map(field);
        Ok(Selector { labels, fields: fields.collect::<Result<_, _>>()? })
    }

    pub(super) fn takes(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let label = |key: &str| metadata["labels"][key].as_str();
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Requirement::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|other| other != value)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        });
        labels
            && self
                .fields
                .iter()
                .all(|(field, wanted, equal)| (metadata[field].as_str().unwrap_or_default() == wanted) == *equal)
    }
}

/// The terms of a label selector: commas inside brackets do not part them.
fn split(text: &str) -> Vec<&str> {
    let (mut terms, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms.into_iter().map(str::trim).filter(|term| !term.is_empty()).collect()
}

fn requirement(term: &str) -> Result<Requirement, Refusal> {
    let wrong = || Refusal::bad_request(format!("unable to parse requirement: {term}"));
    let key = |text: &str| {
        let key = text.trim();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if key.is_empty() || !key.chars().all(fits) { Err(wrong()) } else { Ok(key.to_owned()) }
    };
    if let Some((left, right)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key(left)?, vec![right.trim().to_owned()]));
    }
    if let Some((left, right)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Requirement::In(key(left)?, vec![right.trim().to_owned()]));
    }
    if let Some(absent) = term.strip_prefix('!') {
        return Ok(Requirement::Absent(key(absent)?));
    }
    let Some((left, values)) = term.split_once('(') else { return Ok(Requirement::Exists(key(term)?)) };
    let values = values.strip_suffix(')').ok_or_else(wrong)?.split(',').map(|value| value.trim().to_owned()).collect();
    match left.trim().rsplit_once(char::is_whitespace) {
        Some((name, "in")) => Ok(Requirement::In(key(name)?, values)),
        Some((name, "notin")) => Ok(Requirement::NotIn(key(name)?, values)),
        _ => Err(wrong()),
    }
}

fn field(term: &str) -> Result<(&'static str, String, bool), Refusal> {
    let unequal = term.split_once("!=").map(|parts| (parts, false));
    let parts = unequal.or_else(|| Some((term.split_once("==").or_else(|| term.split_once('='))?, true)));
    match parts.ok_or_else(|| Refusal::bad_request(format!("invalid selector: '{term}'")))? {
        (("metadata.name", value), equal) => Ok(("name", value.to_owned(), equal)),
        (("metadata.namespace", value), equal) => Ok(("namespace", value.to_owned(), equal)),
        ((other, _), _) => Err(Refusal::not_supported(&format!("the field selector `{other}`"))),
    }
}
