//! The store behind the API server, asked directly.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::ControlPlane;

impl ControlPlane {
    /// Compacts the store: what was before is forgotten, and a watch from there on is answered with 410 (etcd API,
    /// "Compaction").
    pub(crate) fn compact(&self) {
        if let Some(api) = self.api() {
            return api.compact(0);
        }
        let url = self.process("etcd", |etcd| etcd.flag("--listen-client-urls"));
        let address = url.as_deref().and_then(|url| url.strip_prefix("http://")).expect("because the harness gave it");
        let found = ask(address, "/v3/kv/range", &json!({"key": "AA=="}));
        let revision = found.pointer("/header/revision").expect("because every answer has one");
        ask(address, "/v3/kv/compaction", &json!({"revision": revision, "physical": true}));
    }
}

fn ask(address: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect(address).expect("because etcd runs");
    let head = format!("POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).expect("because the kernel takes it");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("because it is text");
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).expect("because it answers");
    let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"));
    assert!(answer["error"].is_null(), "{path}: {answer}");
    answer
}
