//! What was said to an API server, in a form that another server can be asked the same: what differs from run to run has
//! names (`uid-3`, `uid-3/2` for its second version, `list-17` for the version of a list).
//!
//! Not compared: the values of times, cluster addresses, counters of a server; discovery documents; the content of long
//! values of ConfigMaps and Secrets, which a server only keeps (a digest stands for them).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lockmaster::name::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// From this length on a value of a ConfigMap or a Secret is told by its digest.
const LONG: usize = 100;

/// One request and what came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) content_type: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) accept: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) user_agent: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) body: Value,
    pub(crate) status: u16,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) answer: Value,
    /// The events of a watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events: Option<Vec<Value>>,
}

impl Exchange {
    pub(crate) fn is_watch(&self) -> bool {
        self.method == "GET" && self.path.contains("watch=true")
    }
}

/// The names of what differs from run to run.
#[derive(Debug, Default)]
pub(crate) struct Names {
    uids: BTreeMap<String, String>,
    /// Of a version the name; of an object how many versions were seen.
    versions: BTreeMap<String, String>,
    seen: BTreeMap<String, usize>,
    given: BTreeMap<String, String>,
}

impl Names {
    /// Gives names to what an answer shows for the first time, and writes them into it. `number` is that of the exchange.
    pub(crate) fn name(&mut self, answer: &mut Value, number: usize) {
        self.learn(answer, number);
        shorten(answer);
        self.replace(answer, "");
    }

    /// Writes the names into what was sent.
    pub(crate) fn name_sent(&self, sent: &mut Value) {
        shorten(sent);
        self.replace(sent, "");
    }

    /// Writes the names into a path.
    pub(crate) fn name_path(&self, path: &str) -> String {
        self.swap_query(path, &self.versions)
    }

    /// What a name stands for in this run, in a path.
    pub(crate) fn path(&self, path: &str) -> String {
        self.swap_query(path, &self.given)
    }

    /// What the names stand for in this run.
    pub(crate) fn resolve(&self, sent: &mut Value) {
        match sent {
            Value::String(text) => {
                if let Some(real) = self.given.get(text.as_str()) {
                    real.clone_into(text);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.resolve(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.resolve(value)),
            _ => {}
        }
    }

    fn swap_query(&self, path: &str, names: &BTreeMap<String, String>) -> String {
        let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
        let swap = |term: &str| match term.split_once('=') {
            Some((key @ ("resourceVersion" | "continue"), value)) => {
                format!("{key}={}", names.get(value).map_or(value, String::as_str))
            }
            _ => term.to_owned(),
        };
        let terms: Vec<String> = query.split('&').map(swap).collect();
        format!("{path}?{}", terms.join("&"))
    }

    fn learn(&mut self, value: &Value, number: usize) {
        let metadata = &value["metadata"];
        if let (Some(uid), Some(version)) = (metadata["uid"].as_str(), metadata["resourceVersion"].as_str()) {
            let next = format!("uid-{}", self.uids.len() + 1);
            let name = self.uids.entry(uid.to_owned()).or_insert(next).clone();
            self.given.entry(name.clone()).or_insert_with(|| uid.to_owned());
            if !self.versions.contains_key(&format!("{name}@{version}")) {
                let count = self.seen.entry(name.clone()).or_insert(0);
                *count += 1;
                let called = format!("{name}/{count}");
                self.versions.insert(format!("{name}@{version}"), called.clone());
                self.versions.insert(version.to_owned(), called.clone());
                self.given.insert(called, version.to_owned());
            }
        } else if let Some(version) = metadata["resourceVersion"].as_str().filter(|_| is_list(value)) {
            let called = format!("list-{number}");
            self.versions.entry(version.to_owned()).or_insert_with(|| called.clone());
            self.given.insert(called, version.to_owned());
            if let Some(token) = metadata["continue"].as_str() {
                let called = format!("continue-{number}");
                self.versions.insert(token.to_owned(), called.clone());
                self.given.insert(called, token.to_owned());
            }
        }
        for item in value["items"].as_array().into_iter().flatten() {
            self.learn(item, number);
        }
    }

    fn replace(&self, value: &mut Value, field: &str) {
        let own = value.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        if let (Some(_), Some(stem)) = (&own, value["metadata"]["generateName"].as_str().map(str::to_owned)) {
            value["metadata"]["name"] = json!(format!("{stem}generated"));
        }
        if let (Some(uid), Some(version)) = (own, value.pointer_mut("/metadata/resourceVersion")) {
            let known = self.uids.get(&uid).zip(version.as_str());
            let called = known.and_then(|(name, version)| self.versions.get(&format!("{name}@{version}")));
            if let Some(called) = called {
                *version = json!(called);
            }
        } else if is_list(value) {
            value["metadata"]["resourceVersion"] = json!("list");
        }
        match value {
            Value::String(text) => *text = self.text(text, field),
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace(item, field)),
            Value::Object(fields) => fields.iter_mut().for_each(|(field, value)| self.replace(value, field)),
            _ => {}
        }
    }

    fn text(&self, text: &str, field: &str) -> String {
        match field {
            "continue" => return "continue".to_owned(),
            "clusterIP" | "clusterIPs" if text != "None" => return "address".to_owned(),
            "resourceVersion" if !text.contains('/') => {
                return self.versions.get(text).cloned().unwrap_or_else(|| text.to_owned());
            }
            "value" if self.versions.contains_key(text) => return self.versions[text].clone(),
            "message" => {
                let words = text.split(' ').map(|word| {
                    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                    let called = if is_time(bare) { Some("time") } else { self.uids.get(bare).map(String::as_str) };
                    called.map_or_else(|| word.to_owned(), |called| word.replace(bare, called))
                });
                return words.collect::<Vec<_>>().join(" ");
            }
            _ => {}
        }
        if is_time(text) {
            return "time".to_owned();
        }
        self.uids.get(text).cloned().unwrap_or_else(|| text.to_owned())
    }
}

fn is_list(value: &Value) -> bool {
    value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"))
        && value["metadata"]["resourceVersion"].is_string()
}

fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

/// Puts digests in the place of long values of ConfigMaps and Secrets.
fn shorten(value: &mut Value) {
    for (field, binary) in [("data", value["kind"] == "Secret"), ("binaryData", true)] {
        let held = value.get_mut(field).and_then(Value::as_object_mut).into_iter().flatten();
        for (_, value) in held {
            if let Some(text) = value.as_str().filter(|text| text.len() > LONG) {
                let digest = Digest::of(text.as_bytes()).hex();
                *value = json!(if binary { BASE64_STANDARD.encode(&digest) } else { digest });
            }
        }
    }
    for item in value.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        shorten(item);
    }
}
