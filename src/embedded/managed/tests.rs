//! Small cases, each with the outcome that a real server gave; `tests/embedded_model` holds the random ones.

use serde_json::{Value, json};

use super::{Conflict, Refused, Writer, apply, scale_update, update};
use crate::embedded::schema::{Resource, built_in};

fn kind(name: &str) -> &'static Resource {
    built_in().iter().find(|resource| resource.kind == name).expect("because it is served")
}

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}, "data": data})
}

fn by<'a>(manager: &'a str, now: &'a str) -> Writer<'a> {
    Writer { manager, subresource: None, now }
}

/// `manager operation time` and the fields of every entry.
fn entries(object: &Value) -> Vec<(String, Value)> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    entries
        .map(|e| {
            (format!("{} {} {}", text(&e["manager"]), text(&e["operation"]), text(&e["time"])), e["fieldsV1"].clone())
        })
        .collect()
}

fn applied(live: Option<&Value>, data: Value, manager: &str, now: &str, force: bool) -> Result<Value, Refused> {
    apply(kind("ConfigMap"), live, &config(data), &by(manager, now), force)
}

const ONE: &str = "2026-01-01T00:00:01Z";
const TWO: &str = "2026-01-01T00:00:02Z";

#[test]
fn what_a_manager_no_longer_applies_is_pruned_unless_another_owns_it() {
    let live = applied(None, json!({"a": "1", "b": "1"}), "alice", ONE, false).expect("because nobody owns anything");
    let live = applied(Some(&live), json!({"a": "1"}), "bob", TWO, false).expect("because the values are the same");
    // Bob changed nothing, and so has no time.
    assert_eq!(entries(&live)[0], ("bob Apply -".to_owned(), json!({"f:data": {"f:a": {}}})));
    let live = applied(Some(&live), json!({}), "alice", TWO, false).expect("because it sets nothing");
    assert_eq!(live["data"], json!({"a": "1"}));
    assert_eq!(entries(&live).len(), 2, "alice still owns `f:data`: {live}");
}

#[test]
fn a_field_of_another_manager_is_taken_by_force_only() {
    let live = applied(None, json!({"a": "1", "b": "1"}), "alice", ONE, false).expect("because nobody owns anything");
    let mut new = live.clone();
    new["data"]["b"] = "2".into();
    update(kind("ConfigMap"), Some(&live), &mut new, &by("edit", ONE));
    let refused =
        applied(Some(&new), json!({"a": "3", "b": "3"}), "bob", TWO, false).expect_err("because both are owned");
    let conflict = |message: &str, field: &str| Conflict { message: message.to_owned(), field: field.to_owned() };
    let expected =
        vec![conflict("conflict with \"alice\"", ".data.a"), conflict("conflict with \"edit\" using v1", ".data.b")];
    assert_eq!(refused, Refused::Conflicts(expected));
    let message = "Apply failed with 2 conflicts: conflicts with \"alice\":\n- .data.a\nconflicts with \"edit\" using v1:\n- .data.b";
    assert_eq!(refused.message(), message);
    let taken = applied(Some(&new), json!({"a": "3", "b": "3"}), "bob", TWO, true).expect("because it is forced");
    let mine = json!({"f:data": {"f:a": {}, "f:b": {}}});
    assert!(entries(&taken).contains(&(format!("bob Apply {TWO}"), mine)), "{taken}");
}

#[test]
fn an_apply_that_changes_nothing_keeps_its_time() {
    let live = applied(None, json!({"a": "1"}), "alice", ONE, false).expect("because nobody owns anything");
    assert_eq!(applied(Some(&live), json!({"a": "1"}), "alice", TWO, false), Ok(live));
}

#[test]
fn what_nobody_counted_belongs_to_the_time_before_the_first_apply() {
    let live = applied(Some(&config(json!({"a": "1"}))), json!({"b": "1"}), "alice", ONE, false);
    let live = live.expect("because nobody else sets `b`");
    let first = (format!("before-first-apply Update {ONE}"), json!({"f:data": {".": {}, "f:a": {}}}));
    assert_eq!(entries(&live), [(format!("alice Apply {ONE}"), json!({"f:data": {"f:b": {}}})), first]);
}

#[test]
fn more_than_ten_updaters_end_in_one_entry() {
    let mut live: Option<Value> = None;
    for number in 0..13 {
        let mut new = live.clone().unwrap_or_else(|| config(json!({})));
        new["data"][format!("k{number}")] = "v".into();
        update(kind("ConfigMap"), live.as_ref(), &mut new, &by(&format!("m{number:02}"), ONE));
        live = Some(new);
    }
    let entries = entries(&live.expect("because it was written"));
    let ancient = json!({"f:data": {".": {}, "f:k0": {}, "f:k1": {}, "f:k2": {}, "f:k3": {}}});
    assert_eq!((entries.len(), &entries[0]), (10, &(format!("ancient-changes Update {ONE}"), ancient)));
}

#[test]
fn a_request_may_set_or_end_the_counting() {
    let live = applied(None, json!({"a": "1"}), "alice", ONE, false).expect("because nobody owns anything");
    for reset in [json!([]), json!([{}])] {
        let mut new = live.clone();
        new["metadata"]["managedFields"] = reset;
        update(kind("ConfigMap"), Some(&live), &mut new, &by("bob", TWO));
        assert_eq!(entries(&new), []);
    }
    let mut new = live.clone();
    new["metadata"]["managedFields"][0]["manager"] = "carol".into();
    update(kind("ConfigMap"), Some(&live), &mut new, &by("bob", TWO));
    assert_eq!(entries(&new)[0].0, format!("carol Apply {ONE}"));
}

#[test]
fn scaling_takes_the_replicas_and_nothing_else() {
    let deployment = kind("Deployment");
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 1, "minReadySeconds": 5}});
    let live = apply(deployment, None, &body, &by("alice", ONE), false).expect("because nobody owns anything");
    let mut new = live.clone();
    new["spec"]["replicas"] = 3.into();
    scale_update(deployment, &live, &mut new, &by("hpa", TWO));
    let mine = (format!("alice Apply {ONE}"), json!({"f:spec": {"f:minReadySeconds": {}}}));
    assert_eq!(entries(&new), [mine, ("hpa Update -".to_owned(), json!({"f:spec": {"f:replicas": {}}}))]);
    assert_eq!(new["metadata"]["managedFields"][1]["subresource"], "scale");
}

#[test]
fn a_body_that_cannot_be_read_as_its_kind_is_refused() {
    let mut body = config(json!({}));
    body["extra"] = 1.into();
    let refused = apply(kind("ConfigMap"), None, &body, &by("alice", ONE), false).expect_err("because of `extra`");
    let message =
        "failed to create typed patch object (/shop; /v1, Kind=ConfigMap): .extra: field not declared in schema";
    assert_eq!(refused, Refused::Invalid(500, message.to_owned()));
    let mut body = config(json!({}));
    body["metadata"]["managedFields"] = json!([]);
    let refused = apply(kind("ConfigMap"), None, &body, &by("alice", ONE), false).expect_err("because of the entries");
    assert_eq!(refused, Refused::Invalid(400, "metadata.managedFields must be nil".to_owned()));
}
