//! The client rules per API answer, one table.

use serde_json::json;

use super::*;

fn answer(status: u16, body: Value) -> Answer {
    Answer { status, retry_after: None, date: None, body, withheld: false }
}

#[test]
fn every_answer_has_one_meaning() {
    let says = |message: &str| json!({"kind": "Status", "message": message});
    let causes = |reason: &str| {
        let cause = json!({"reason": reason, "message": "conflict with \"kubectl\"", "field": ".spec.replicas"});
        json!({"kind": "Status", "message": "no", "details": {"causes": [cause]}})
    };
    let rbac = "deployments.apps \"web\" is forbidden: User \"x\" cannot patch resource \"deployments\" in API group \
                \"apps\" in the namespace \"shop\"";
    let core =
        "secrets is forbidden: User \"x\" cannot list resource \"secrets\" in API group \"\" in the namespace \"a\"";
    let grant = "roles \"r\" is forbidden: user \"x\" is attempting to grant RBAC permissions not currently held: {}";
    let no_object = json!({"kind": "Status", "details": {"kind": "deployments", "name": "web"}});
    let no_namespace = json!({"kind": "Status", "details": {"kind": "namespaces", "name": "shop"}});
    let immutable = "Deployment.apps \"web\" is invalid: spec.selector: Invalid value: {}: field is immutable";
    let typed = "failed to create typed patch object: .spec.repicas: field not declared in schema";
    let table = [
        (200, json!({}), Meaning::Success),
        (201, json!({}), Meaning::Success),
        (400, says("strict decoding error"), Meaning::Denied),
        (401, says("Unauthorized"), Meaning::Unauthenticated),
        (403, says(rbac), Meaning::Forbidden("no right to `patch` `deployments.apps`".to_owned())),
        (403, says(core), Meaning::Forbidden("no right to `list` `secrets`".to_owned())),
        (403, says(grant), Meaning::Forbidden("no right to grant permissions that it does not hold itself".to_owned())),
        (403, says("pods \"a\" is forbidden: exceeded quota: small"), Meaning::Denied),
        (403, causes("NamespaceTerminating"), Meaning::Terminating),
        (404, no_object, Meaning::NoObject),
        (404, no_namespace, Meaning::NoNamespace),
        (404, json!("404 page not found"), Meaning::NoKind),
        (404, says("the server could not find the requested resource"), Meaning::NoKind),
        (409, says("the object has been modified"), Meaning::Conflict),
        (
            409,
            causes("FieldManagerConflict"),
            Meaning::FieldConflict(vec!["`spec.replicas` (conflict with \"kubectl\")".to_owned()]),
        ),
        (410, says("expired"), Meaning::Expired),
        (413, says("too large"), Meaning::Denied),
        (415, says("unsupported"), Meaning::Denied),
        (422, says(immutable), Meaning::Immutable),
        (422, says("spec.replicas: Invalid value: -1"), Meaning::Denied),
        (429, says("wait"), Meaning::Throttled),
        (500, says(typed), Meaning::Denied),
        (500, says("failed to convert new object (a/b; /v1, Kind=Secret) to proper version"), Meaning::Denied),
        (500, says("failed calling webhook"), Meaning::Broken),
        (503, json!("upstream connect error"), Meaning::Broken),
        (504, json!(null), Meaning::Broken),
    ];
    for (status, body, meaning) in table {
        assert_eq!(answer(status, body.clone()).meaning(), meaning, "{status} {body}");
    }
}

#[test]
fn a_message_is_one_short_line() {
    let long = answer(422, json!({"message": format!("two\n  lines {}", "x".repeat(5000))})).message();
    assert!(long.starts_with("two lines xxx") && long.chars().count() == MESSAGE_LIMIT, "got `{long}`");
    assert_eq!(answer(503, json!(null)).message(), "the server answered 503");
    assert_eq!(answer(503, json!("no healthy upstream\n")).message(), "no healthy upstream");
}

#[test]
fn an_answer_about_a_secret_is_never_quoted() {
    let body = json!({"message": "illegal value \"hunter2\""});
    let quoting = Answer { status: 500, retry_after: None, date: None, body, withheld: true };
    assert!(!quoting.message().contains("hunter2"));
    assert!(!quoting.error("`Secret/login`").to_string().contains("hunter2"));
}
