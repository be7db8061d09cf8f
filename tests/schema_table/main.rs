//! The committed table of kinds and types is what a real API server says of itself.
//!
//! `LOCKMASTER_WRITE_TABLE=1` writes `src/embedded/schema/table.txt` instead of comparing it.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod shapes;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use control_plane::{ControlPlane, Parts, Test, run_on};
use serde_json::Value;
use shapes::Shapes;

const TABLE: &str = "src/embedded/schema/table.txt";

/// Written with `LOCKMASTER_WRITE_TABLE=1`.
const WRITE: &str = "LOCKMASTER_WRITE_TABLE";

/// What a store alone would only pretend to be: group, plural (`*` for all), what is not there.
const UNSERVED: [(&str, &str, &str); 12] = [
    ("", "bindings", "scheduling"),
    ("", "componentstatuses", "component statuses"),
    ("", "limitranges", "limit ranges"),
    ("", "resourcequotas", "resource quotas"),
    ("admissionregistration.k8s.io", "*", "admission webhooks and policies"),
    ("apiregistration.k8s.io", "*", "aggregated APIs"),
    ("authentication.k8s.io", "*", "authentication"),
    ("authorization.k8s.io", "*", "authorization"),
    ("certificates.k8s.io", "*", "certificate signing"),
    ("flowcontrol.apiserver.k8s.io", "*", "API priority and fairness"),
    ("resource.k8s.io", "*", "dynamic resource allocation"),
    ("storagemigration.k8s.io", "*", "storage version migration"),
];

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![("the_committed_table_is_what_the_server_says", the_table)];
    run_on(Parts::Server, tests)
}

fn the_table(plane: &'static ControlPlane) {
    let generated = generate(plane);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(TABLE, &generated).expect("because the table is in the worktree");
        return;
    }
    let committed = std::fs::read_to_string(TABLE).expect("because the table is committed");
    let differing = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(committed == generated, "the table differs at line {differing:?}: run this with {WRITE}=1");
}

/// A request to the server with an `Accept` header of its own.
fn ask(plane: &ControlPlane, path: &str, accept: &str) -> Value {
    let request = http::Request::get(path).header("accept", accept).body(Vec::new());
    let request = request.expect("because the paths are valid");
    plane.block_on(plane.admin().request::<Value>(request)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A list of words with commas, `-` where there is none.
fn words(value: &Value) -> String {
    let words: Vec<&str> = value.as_array().into_iter().flatten().map(text).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

fn generate(plane: &ControlPlane) -> String {
    let version = ask(plane, "/version", "application/json");
    let index = ask(plane, "/openapi/v3", "application/json");
    let with_generation = with_generation(plane);
    let mut shapes = Shapes::default();
    let (mut resources, mut unserved) = (String::new(), BTreeSet::new());
    for (group, version, resource) in discovered(plane) {
        let plural = text(&resource["resource"]);
        if let Some((_, _, why)) = UNSERVED.iter().find(|(g, p, _)| *g == group && (*p == "*" || *p == plural)) {
            unserved.insert(format!("unserved {} {plural} {why}\n", dash(&group)));
            continue;
        }
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let url = text(&index["paths"][&path]["serverRelativeURL"]);
        shapes.read(&ask(plane, url, "application/json")["components"]["schemas"]);
        let kind = text(&resource["responseKind"]["kind"]);
        let shape = shapes.root(&group, &version, kind);
        let sub = |name| resource["subresources"].as_array().into_iter().flatten().any(|s| s["subresource"] == name);
        let generation = with_generation.contains(&(group.clone(), kind.to_owned()));
        let mut flags = String::from("-");
        let namespaced = resource["scope"] == "Namespaced";
        for (letter, on) in [('n', namespaced), ('s', sub("status")), ('c', sub("scale")), ('g', generation)] {
            flags.extend(on.then_some(letter));
        }
        resources += &format!(
            "resource {} {version} {kind} {plural} {} {} {} {flags} {shape}\n",
            dash(&group),
            text(&resource["singularResource"]),
            words(&resource["shortNames"]),
            words(&resource["categories"]),
        );
    }
    let unserved: String = unserved.into_iter().collect();
    let server = text(&version["gitVersion"]);
    format!("{}{resources}{unserved}{}", header(server), shapes.write())
}

fn dash(group: &str) -> &str {
    if group.is_empty() { "-" } else { group }
}

fn header(server: &str) -> String {
    format!(
        "# Generated from the discovery and OpenAPI documents of kube-apiserver {server}; never edit by hand. To make it anew:\n\
         # {WRITE}=1 cargo test --test schema_table\n\
         # The definitions are those of the Kubernetes API: Copyright The Kubernetes Authors, Apache License 2.0,\n\
         # https://www.apache.org/licenses/LICENSE-2.0; only their names and structure are kept.\n\
         # resource GROUP VERSION KIND PLURAL SINGULAR SHORT CATEGORIES FLAGS TYPE (n namespaced, s status, c scale, g generation)\n\
         # type NAME [~ atomic], then its fields: NAME TYPE FLAGS [DEFAULT] (! required, @ zero is written, ^ null is written, ? zero is kept)\n\
         # s string, y bytes, t time, q quantity, x int or string, i integer, n number, b boolean, # anything, as one leaf;\n\
         # [T] atomic list, [T]= set, [T](KEY,...) keyed list, {{T}} map, a name: that type; ~ atomic\n"
    )
}

/// Every resource in its group's first stable version.
fn discovered(plane: &ControlPlane) -> Vec<(String, String, Value)> {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let mut found = BTreeMap::new();
    for path in ["/api", "/apis"] {
        let answer = ask(plane, path, accept);
        for group in answer["items"].as_array().into_iter().flatten() {
            let name = text(&group["metadata"]["name"]);
            let versions = group["versions"].as_array().into_iter().flatten();
            for version in versions.filter(|version| !text(&version["version"]).contains(['a', 'b'])) {
                for resource in version["resources"].as_array().into_iter().flatten() {
                    let key = (name.to_owned(), text(&resource["resource"]).to_owned());
                    let value = (text(&version["version"]).to_owned(), resource.clone());
                    found.entry(key).or_insert(value);
                }
            }
        }
    }
    found.into_iter().map(|((group, _), (version, resource))| (group, version, resource)).collect()
}

/// The kinds whose objects the server numbers: one object of each is created, and kept nowhere.
fn with_generation(plane: &ControlPlane) -> BTreeSet<(String, String)> {
    let bodies = include_str!("bodies.jsonl").lines().map(|line| {
        let mut body: Value = serde_json::from_str(line).expect("because each line is an object");
        if body["metadata"]["name"].is_null() {
            body["metadata"]["name"] = "probe".into();
        }
        body
    });
    let resources = discovered(plane);
    let mut found = BTreeSet::new();
    for body in bodies {
        let (group, version) = text(&body["apiVersion"]).split_once('/').unwrap_or(("", text(&body["apiVersion"])));
        let kind = text(&body["kind"]);
        let resource =
            resources.iter().find(|(g, v, r)| g == group && v == version && r["responseKind"]["kind"] == kind);
        let (_, _, resource) = resource.unwrap_or_else(|| panic!("no resource of {kind}"));
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        let namespace = if resource["scope"] == "Namespaced" { "/namespaces/default" } else { "" };
        let path = format!("{root}/{version}{namespace}/{}?dryRun=All", text(&resource["resource"]));
        if plane.create(&path, &body)["metadata"]["generation"].is_i64() {
            found.insert((group.to_owned(), kind.to_owned()));
        }
    }
    found
}
