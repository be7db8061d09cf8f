//! Label and field selectors (Kubernetes documentation, Labels and Selectors).

use serde_json::Value;

use super::refusal::Refusal;

/// Which objects of a collection are meant.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(Field, String, bool)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Name,
    Namespace,
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
            && self.fields.iter().all(|(field, wanted, equal)| {
                let name = match field {
                    Field::Name => "name",
                    Field::Namespace => "namespace",
                };
                (metadata[name].as_str().unwrap_or_default() == wanted) == *equal
            })
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

fn field(term: &str) -> Result<(Field, String, bool), Refusal> {
    let (name, value, equal) = if let Some((name, value)) = term.split_once("!=") {
        (name, value, false)
    } else {
        let parts = term.split_once("==").or_else(|| term.split_once('='));
        let (name, value) = parts.ok_or_else(|| Refusal::bad_request(format!("invalid selector: '{term}'")))?;
        (name, value, true)
    };
    let field = match name {
        "metadata.name" => Field::Name,
        "metadata.namespace" => Field::Namespace,
        _ => return Err(Refusal::not_supported(&format!("the field selector `{name}`"))),
    };
    Ok((field, value.to_owned(), equal))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_takes_what_it_says() {
        let object =
            json!({"metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "tier": "front"}}});
        let table = [
            ("", "", true),
            ("app=web", "", true),
            ("app==web,tier!=back", "", true),
            ("app!=web", "", false),
            ("app in (cart, web),tier", "", true),
            ("app notin (cart,web)", "", false),
            ("!app", "", false),
            ("!gone", "", true),
            ("gone notin (x)", "", true),
            ("gone", "", false),
            ("", "metadata.name=web", true),
            ("", "metadata.name=cart", false),
            ("", "metadata.name!=cart,metadata.namespace=shop", true),
        ];
        for (labels, fields, takes) in table {
            let selector = Selector::parse(labels, fields).expect("because it is valid");
            assert_eq!(selector.takes(&object), takes, "{labels} {fields}");
        }
        assert!(Selector::parse("a b", "").is_err());
        assert!(Selector::parse("app in web", "").is_err());
        assert!(Selector::parse("", "spec.nodeName=x").is_err());
    }
}
