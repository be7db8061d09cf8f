//! The types of OpenAPI documents, written in the short form of the table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The schemas read so far, and those that a kind reaches.
#[derive(Default)]
pub(crate) struct Shapes {
    schemas: BTreeMap<String, Value>,
    roots: Vec<String>,
}

/// What the Go types say beyond their schemas: flags by type and field.
fn go_facts() -> BTreeMap<(String, String), String> {
    let lines = include_str!("go_facts.txt").lines().filter(|line| !line.starts_with('#'));
    let facts = lines.filter_map(|line| {
        let mut words = line.split(' ');
        Some(((format!("io.k8s.{}", words.next()?), words.next()?.to_owned()), words.next()?.to_owned()))
    });
    facts.collect()
}

/// A schema that only names another stands for it.
fn named(schema: &Value) -> Option<&str> {
    let schema = schema["allOf"].get(0).unwrap_or(schema);
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

fn is_atomic(schema: &Value) -> bool {
    schema["x-kubernetes-map-type"] == "atomic"
}

impl Shapes {
    pub(crate) fn read(&mut self, schemas: &Value) {
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            self.schemas.insert(name.clone(), schema.clone());
        }
    }

    /// The full name of a kind's type, whose types are written.
    pub(crate) fn root(&mut self, group: &str, version: &str, kind: &str) -> String {
        let is = |schema: &Value| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
            let mut kinds = kinds.filter(|k| k["group"] == group && k["version"] == version && k["kind"] == kind);
            kinds.next().is_some()
        };
        let found = self.schemas.iter().find(|(_, schema)| is(schema));
        let name = found.unwrap_or_else(|| panic!("no schema of {group}/{version} {kind}")).0.clone();
        self.roots.push(name.clone());
        short(&name, true)
    }

    /// All types that the roots reach, each under its short name.
    pub(crate) fn write(&self) -> String {
        let mut reached = BTreeSet::new();
        let mut open = self.roots.clone();
        while let Some(name) = open.pop() {
            if self.schemas[&name]["properties"].is_object() && reached.insert(name.clone()) {
                references(&self.schemas[&name], &mut open);
            }
        }
        let facts = go_facts();
        reached.iter().map(|name| self.write_type(name, &facts)).collect()
    }

    fn write_type(&self, name: &str, facts: &BTreeMap<(String, String), String>) -> String {
        let schema = &self.schemas[name];
        let mut text = format!(
            "type {}{}\n",
            short(name, self.roots.contains(&name.to_owned())),
            if is_atomic(schema) { " ~" } else { "" }
        );
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = required.contains(&field.as_str());
            let default = &inner["default"];
            let is_zero = matches!(default, Value::Object(map) if map.is_empty())
                || *default == 0
                || *default == ""
                || *default == false;
            let fact = facts.get(&(name.to_owned(), field.clone())).map_or("", String::as_str);
            let present = (is_required || is_zero || fact.contains('@')) && !fact.contains('-');
            let mut flags = String::from("-");
            let code = self.code(inner);
            // A pointer without a value is null, and so is a list or a map.
            let is_null = !is_zero && !["q", "x"].contains(&code.as_str());
            let present = [('@', present && !is_null), ('^', present && is_null)];
            for (letter, on) in [('!', is_required), ('?', fact.contains('?'))].into_iter().chain(present) {
                flags.extend(on.then_some(letter));
            }
            let default = if is_zero || default.is_null() { String::new() } else { format!(" {default}") };
            text += &format!(" {field} {code} {flags}{default}\n");
        }
        text
    }

    /// The code of one schema.
    fn code(&self, schema: &Value) -> String {
        let atomic = if is_atomic(schema) { "~" } else { "" };
        if let Some(name) = named(schema) {
            let target = &self.schemas[name];
            if target["properties"].is_object() {
                return format!("{}{atomic}", short(name, self.roots.contains(&name.to_owned())));
            }
            return if name.ends_with(".Quantity") { "q".to_owned() } else { self.code(target) };
        }
        let kind = schema["type"].as_str().unwrap_or_default();
        match (kind, schema["format"].as_str().unwrap_or_default()) {
            (_, "int-or-string") => "x".to_owned(),
            ("string", "byte") => "y".to_owned(),
            ("string", "date-time") => "t".to_owned(),
            ("string", _) => "s".to_owned(),
            ("integer", _) => "i".to_owned(),
            ("number", _) => "n".to_owned(),
            ("boolean", _) => "b".to_owned(),
            ("array", _) => self.list(schema),
            ("object", _) if schema["additionalProperties"].is_object() => {
                format!("{{{}}}{atomic}", self.code(&schema["additionalProperties"]))
            }
            // Also of objects without properties a real server makes one leaf.
            _ => "#".to_owned(),
        }
    }

    fn list(&self, schema: &Value) -> String {
        let element = self.code(&schema["items"]);
        match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => format!("[{element}]="),
            Some("map") => {
                let item = named(&schema["items"]).map(|name| &self.schemas[name]["properties"]);
                let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
                let keys: Vec<String> = keys
                    .filter_map(Value::as_str)
                    .map(|key| match item.map_or(&Value::Null, |item| &item[key]["default"]) {
                        Value::Null => key.to_owned(),
                        default => format!("{key}={default}"),
                    })
                    .collect();
                format!("[{element}]({})", keys.join(","))
            }
            _ => format!("[{element}]"),
        }
    }
}

fn references(schema: &Value, open: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            open.extend(named(schema).map(str::to_owned));
            map.values().for_each(|inner| references(inner, open));
        }
        Value::Array(list) => list.iter().for_each(|inner| references(inner, open)),
        _ => {}
    }
}

/// `io.k8s.api.core.v1.Container` is `Container`; a kind's type keeps its group, since two kinds may share a name.
fn short(name: &str, root: bool) -> String {
    let mut parts = name.rsplit('.');
    let (last, _version, group) = (parts.next(), parts.next(), parts.next());
    let (last, group) = (last.unwrap_or_default(), group.unwrap_or_default());
    if root || (last.starts_with("Event") || last == "EndpointPort" || last == "ServiceReference") {
        return format!("{group}.{last}");
    }
    last.to_owned()
}
