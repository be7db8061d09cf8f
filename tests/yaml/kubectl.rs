//! The real kubectl, and the few answers of an API server that `create --dry-run=client` asks for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

/// Finds kubectl.
pub(crate) fn find() -> Option<PathBuf> {
    let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    assets
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("kubectl"))
        .find(|file| file.is_file())
}

/// Discovery of an API server that knows ConfigMaps, on loopback; it ends with the process.
pub(crate) struct Stub {
    server: String,
    home: tempfile::TempDir,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("because loopback has a free port");
        let address = listener.local_addr().expect("because it is bound");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(&stream));
            }
        });
        let home = tempfile::tempdir().expect("because the temporary folder can be written");
        Stub { server: format!("http://{address}"), home }
    }
}

/// Answers requests until the client hangs up.
fn serve(stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        while lines.next().is_some_and(|header| !header.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or("").split('?').next().unwrap_or("").to_owned();
        let (status, body) = answer(&path).map_or(("404 Not Found", json!({})), |body| ("200 OK", body));
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut stream = stream;
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(path: &str) -> Option<Value> {
    match path {
        "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []})),
        "/api/v1" => {
            let verbs = json!(["create", "get", "list", "patch"]);
            let maps = json!({"name": "configmaps", "singularName": "", "namespaced": true, "kind": "ConfigMap", "verbs": verbs});
            Some(json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [maps]}))
        }
        "/version" => Some(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})),
        _ => None,
    }
}

/// The values of `v` that kubectl reads, or its error.
pub(crate) fn read(program: &Path, stub: &Stub, bytes: &[u8]) -> Result<Vec<Value>, String> {
    let mut child = Command::new(program)
        .args(["create", "--dry-run=client", "-o", "json", "--validate=false", "-f", "-", "--server", &stub.server])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", stub.home.path())
        .env("KUBECONFIG", stub.home.path().join("none"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("because kubectl was found");
    let mut input = child.stdin.take().expect("because it is piped");
    let bytes = bytes.to_vec();
    let writer = thread::spawn(move || input.write_all(&bytes));
    let output = child.wait_with_output().expect("because the child was started");
    // kubectl may leave before it has read everything.
    writer.join().expect("because the writer does not panic").ok();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let mut values = Vec::new();
    for document in documents {
        let mut document = document.map_err(|error| error.to_string())?;
        match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => values.extend(items.into_iter().map(|mut item| item["v"].take())),
            _ => values.push(document["v"].take()),
        }
    }
    Ok(values.into_iter().map(settled).collect())
}

/// Numbers as we write them, so that `1e+21` and `1e21` compare equal.
fn settled(value: Value) -> Value {
    let bytes = lockmaster::manifest::canonical_json(&value);
    serde_json::from_slice(&bytes).expect("because canonical JSON is JSON")
}
