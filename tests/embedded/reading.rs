//! Lists and watches.

use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Test};
use crate::{config, configs, refusal};

pub(crate) const TESTS: &[Test] = &[
    ("pages_of_a_list_show_one_moment", pages),
    ("a_watch_tells_every_change_in_order", watch),
    ("an_object_that_leaves_the_selector_is_deleted_for_the_watch", selector),
    ("a_selector_takes_what_it_says", selectors),
    ("a_watch_from_a_version_that_is_forgotten_is_answered_with_410", forgotten),
    ("a_watch_that_asks_for_the_beginning_is_told_where_it_ends", beginning),
    ("metadata_alone_is_shown_where_that_is_asked_for", metadata),
];

fn pages(plane: &'static ControlPlane) {
    let namespace = plane.namespace("pages");
    for number in 0..7 {
        plane.create(&configs(&namespace), &config(&format!("c{number}"), "1"));
    }
    let list = |query: &str| plane.get(&format!("{}?{query}", configs(&namespace))).expect("because a list is there");
    let first = list("limit=3");
    assert_eq!(
        (first["items"].as_array().map(Vec::len), &first["metadata"]["remainingItemCount"]),
        (Some(3), &json!(4))
    );
    plane.delete(&format!("{}/c5", configs(&namespace)));
    plane.create(&configs(&namespace), &config("c55", "1"));
    let token = first["metadata"]["continue"].as_str().expect("because there is more");
    let second = list(&format!("limit=100&continue={token}"));
    let items = second["items"].as_array().expect("because a list has items");
    let names: Vec<&str> = items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["c3", "c4", "c5", "c6"], "as it was at the first page");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(refusal(plane, "GET", &format!("{}?limit=1&continue=x", configs(&namespace)), None).code, 400);
}

/// What a watch tells, up to so many events: the type and the name.
fn events(plane: &ControlPlane, namespace: &str, from: &str, labels: &str, count: usize) -> Vec<(String, String)> {
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(plane.admin(), namespace, &resource);
    let parameters = WatchParams::default().labels(labels).timeout(60);
    plane.block_on(async {
        let events = api.watch(&parameters, from).await.expect("because it can be watched");
        let told = events.take(count).map(|event| match event.expect("because the watch goes on") {
            WatchEvent::Added(object) => ("ADDED".to_owned(), object.metadata.name.unwrap_or_default()),
            WatchEvent::Modified(object) => ("MODIFIED".to_owned(), object.metadata.name.unwrap_or_default()),
            WatchEvent::Deleted(object) => ("DELETED".to_owned(), object.metadata.name.unwrap_or_default()),
            WatchEvent::Bookmark(_) => ("BOOKMARK".to_owned(), String::new()),
            WatchEvent::Error(status) => ("ERROR".to_owned(), status.code.to_string()),
        });
        told.collect().await
    })
}

fn told(events: &[(&str, &str)]) -> Vec<(String, String)> {
    events.iter().map(|(kind, name)| ((*kind).to_owned(), (*name).to_owned())).collect()
}

/// The version of a list of the ConfigMaps of a namespace.
fn version(plane: &ControlPlane, namespace: &str) -> String {
    let list = plane.get(&configs(namespace)).expect("because a list is there");
    list["metadata"]["resourceVersion"].as_str().expect("because a list has a version").to_owned()
}

fn watch(plane: &'static ControlPlane) {
    let namespace = plane.namespace("watch");
    let from = version(plane, &namespace);
    let one = format!("{}/one", configs(&namespace));
    plane.create(&configs(&namespace), &config("one", "1"));
    plane.patch(&one, &json!({"data": {"key": "2"}}));
    plane.patch(&one, &json!({"data": {"key": "2"}}));
    plane.create(&configs(&namespace), &config("two", "1"));
    plane.delete(&one);
    let expected = [("ADDED", "one"), ("MODIFIED", "one"), ("ADDED", "two"), ("DELETED", "one")];
    assert_eq!(events(plane, &namespace, &from, "", 4), told(&expected), "a write that changes nothing is no event");
}

fn selector(plane: &'static ControlPlane) {
    let namespace = plane.namespace("selector");
    let from = version(plane, &namespace);
    let one = format!("{}/one", configs(&namespace));
    plane.create(&configs(&namespace), &config("one", "1"));
    plane.patch(&one, &json!({"metadata": {"labels": {"on": "yes"}}}));
    plane.patch(&one, &json!({"metadata": {"labels": {"on": null}}}));
    plane.patch(&one, &json!({"metadata": {"labels": {"on": "yes"}}}));
    plane.delete(&one);
    let expected = [("ADDED", "one"), ("DELETED", "one"), ("ADDED", "one"), ("DELETED", "one")];
    assert_eq!(events(plane, &namespace, &from, "on=yes", 4), told(&expected));
}

fn selectors(plane: &'static ControlPlane) {
    let namespace = plane.namespace("selectors");
    let mut object = config("one", "1");
    object["metadata"]["labels"] = json!({"app": "web", "tier": "front"});
    plane.create(&configs(&namespace), &object);
    let table = [
        ("labelSelector=app=web", true),
        ("labelSelector=app%3D%3Dweb,tier!=back", true),
        ("labelSelector=app!=web", false),
        ("labelSelector=app%20in%20(cart,%20web),tier", true),
        ("labelSelector=app%20notin%20(cart,web)", false),
        ("labelSelector=!app", false),
        ("labelSelector=!gone,gone%20notin%20(x)", true),
        ("labelSelector=gone", false),
        ("fieldSelector=metadata.name=one", true),
        ("fieldSelector=metadata.name%3D%3Dtwo", false),
        ("fieldSelector=metadata.name!=two,metadata.namespace=NS&labelSelector=app", true),
    ];
    for (query, takes) in table {
        let query = query.replace("NS", &namespace);
        let list = plane.get(&format!("{}?{query}", configs(&namespace))).expect("because a list is there");
        let mut items = list["items"].as_array().expect("because a list has items").iter();
        assert_eq!(items.any(|item| item["metadata"]["name"] == "one"), takes, "{query}");
    }
    for wrong in ["labelSelector=a%20b", "labelSelector=app%20in%20web", "fieldSelector=metadata.name"] {
        let path = format!("{}?{wrong}", configs(&namespace));
        assert_eq!(refusal(plane, "GET", &path, None).code, 400, "{wrong}");
    }
}

fn forgotten(_: &'static ControlPlane) {
    let plane = ControlPlane::start(crate::control_plane::Parts::Embedded);
    let namespace = plane.namespace("forgotten");
    let from = version(&plane, &namespace);
    plane.create(&configs(&namespace), &config("one", "1"));
    plane.compact();
    assert_eq!(events(&plane, &namespace, &from, "", 1), told(&[("ERROR", "410")]));
    let path = format!("{}?resourceVersion={from}&resourceVersionMatch=Exact", configs(&namespace));
    assert_eq!(refusal(&plane, "GET", &path, None).code, 410);
}

fn beginning(plane: &'static ControlPlane) {
    let namespace = plane.namespace("beginning");
    plane.create(&configs(&namespace), &config("one", "1"));
    let query =
        "watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let request = http::Request::get(format!("{}?{query}", configs(&namespace)));
    let request = request.body(Vec::new()).expect("because the path is valid");
    let text = plane.block_on(plane.admin().request_text(request)).expect("because it is served");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("because it is JSON")).collect();
    // A real namespace also holds the certificate of its cluster.
    let bookmark = lines.iter().position(|line| line["type"] == "BOOKMARK").expect("because the beginning ends");
    assert!(lines[..bookmark].iter().any(|line| line["object"]["metadata"]["name"] == "one"), "{lines:?}");
    let annotations = &lines[bookmark]["object"]["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
}

fn metadata(plane: &'static ControlPlane) {
    let namespace = plane.namespace("metadata");
    plane.create(&configs(&namespace), &config("one", "1"));
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(plane.admin(), &namespace, &resource);
    let one = plane.block_on(api.get_metadata("one")).expect("because it is there");
    let one = json!(one);
    assert_eq!((&one["metadata"]["name"], &one["data"]), (&json!("one"), &Value::Null));
    let listed = plane.block_on(api.list_metadata(&ListParams::default())).expect("because a list is there");
    assert!(listed.items.iter().any(|item| item.metadata.name.as_deref() == Some("one")));
}
