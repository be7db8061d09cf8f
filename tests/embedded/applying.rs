//! Who owns which field. `tests/embedded_truth` compares random writes with a real server; these are the plain cases.

use kube::core::Status;
use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Test};
use crate::{config, configs};

pub(crate) const TESTS: &[Test] = &[
    ("what_a_manager_no_longer_applies_is_pruned_unless_another_owns_it", pruned),
    ("a_field_of_another_manager_is_taken_by_force_only", forced),
    ("an_apply_that_changes_nothing_changes_nothing", same),
    ("what_nobody_counted_belongs_to_the_time_before_the_first_apply", before),
    ("a_body_that_cannot_be_read_as_its_kind_is_refused", unreadable),
];

/// Applies data to the ConfigMap `one`.
fn apply(plane: &ControlPlane, namespace: &str, query: &str, data: Value) -> Result<Value, Box<Status>> {
    let mut body = config("one", "");
    body["data"] = data;
    send(plane, namespace, query, &body)
}

fn send(plane: &ControlPlane, namespace: &str, query: &str, body: &Value) -> Result<Value, Box<Status>> {
    let request = http::Request::patch(format!("{}/one?{query}", configs(namespace)));
    let request = request.header("content-type", "application/apply-patch+yaml").body(body.to_string().into_bytes());
    match plane.block_on(plane.admin().request(request.expect("because the path is valid"))) {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("{error}"),
    }
}

/// `manager operation` and the fields of every entry.
fn entries(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    entries.map(|e| (format!("{} {}", text(&e["manager"]), text(&e["operation"])), e["fieldsV1"].clone())).collect()
}

fn pruned(plane: &'static ControlPlane) {
    let namespace = plane.namespace("pruned");
    apply(plane, &namespace, "fieldManager=alice", json!({"a": "1", "b": "1"})).expect("because nobody owns anything");
    let live =
        apply(plane, &namespace, "fieldManager=bob", json!({"a": "1"})).expect("because the values are the same");
    let bob = entries(&live).into_iter().find(|(who, _)| who == "bob Apply");
    assert_eq!(bob.map(|(_, fields)| fields), Some(json!({"f:data": {"f:a": {}}})));
    let live = apply(plane, &namespace, "fieldManager=alice", json!({})).expect("because it sets nothing");
    assert_eq!(live["data"], json!({"a": "1"}));
}

fn forced(plane: &'static ControlPlane) {
    let namespace = plane.namespace("forced");
    apply(plane, &namespace, "fieldManager=alice", json!({"a": "1", "b": "1"})).expect("because nobody owns anything");
    let path = format!("{}/one", configs(&namespace));
    plane.patch(&format!("{path}?fieldManager=edit"), &json!({"data": {"b": "2"}}));
    let both = json!({"a": "3", "b": "3"});
    let refused = apply(plane, &namespace, "fieldManager=bob", both.clone()).expect_err("because both are owned");
    let message = "Apply failed with 2 conflicts: conflicts with \"alice\":\n- .data.a\nconflicts with \"edit\" using v1:\n- .data.b";
    assert_eq!((refused.code, refused.message.as_str()), (409, message));
    let taken = apply(plane, &namespace, "fieldManager=bob&force=true", both).expect("because it is forced");
    let bob = ("bob Apply".to_owned(), json!({"f:data": {"f:a": {}, "f:b": {}}}));
    assert!(entries(&taken).contains(&bob), "{taken}");
}

fn same(plane: &'static ControlPlane) {
    let namespace = plane.namespace("same");
    let first = apply(plane, &namespace, "fieldManager=alice", json!({"a": "1"}));
    assert_eq!(first, apply(plane, &namespace, "fieldManager=alice", json!({"a": "1"})));
}

fn before(plane: &'static ControlPlane) {
    let namespace = plane.namespace("before");
    plane.create(&configs(&namespace), &config("one", "1"));
    let path = format!("{}/one", configs(&namespace));
    let uncounted = plane.patch(&path, &json!({"metadata": {"managedFields": [{}]}}));
    assert_eq!(entries(&uncounted), []);
    let live = apply(plane, &namespace, "fieldManager=alice", json!({"b": "1"})).expect("because nobody else sets `b`");
    let first = ("before-first-apply Update".to_owned(), json!({"f:data": {".": {}, "f:key": {}}}));
    assert_eq!(entries(&live), [("alice Apply".to_owned(), json!({"f:data": {"f:b": {}}})), first]);
}

fn unreadable(plane: &'static ControlPlane) {
    let namespace = plane.namespace("unreadable");
    let mut body = config("one", "1");
    body["extra"] = json!(1);
    let refused = send(plane, &namespace, "fieldManager=alice", &body).expect_err("because of `extra`");
    let message =
        "failed to create typed patch object (/one; /v1, Kind=ConfigMap): .extra: field not declared in schema";
    assert_eq!((refused.code, refused.message.as_str()), (500, message));
    let mut body = config("one", "1");
    body["metadata"]["managedFields"] = json!([]);
    let refused = send(plane, &namespace, "fieldManager=alice", &body).expect_err("because of the entries");
    assert_eq!((refused.code, refused.message.as_str()), (400, "metadata.managedFields must be nil"));
}
