//! What the journal makes of an API server's answers, over a fake transport.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::client::Body;
use lockmaster::deploylog::Sealed;
use lockmaster::edge::journal::{Appended, Journal, JournalError, Version};
use lockmaster::name::{Code, Digest, EnvironmentName, UnitName};
use lockmaster::plan::Inventory;
use serde_json::{Value, json};

const CREATED: &str = "2026-03-11T11:31:37Z";

#[derive(Clone)]
enum Answer {
    /// What was sent, as the server would store it.
    Echo,
    Json(u16, Value),
    Page(u16, &'static str),
    Broken,
}

fn status(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message
    });
    Answer::Json(code, status)
}

fn no_right() -> Answer {
    status(403, "Forbidden", "configmaps is forbidden: User \"agent\" cannot create resource \"configmaps\"")
}

fn missing() -> Answer {
    status(404, "NotFound", "configmaps \"x\" not found")
}

/// The requests that a journal sent: method, path, body.
type Seen = Arc<Mutex<Vec<(Method, String, Value)>>>;

/// A journal whose server answers by this function of the method and the number of requests before.
fn journal(answer: impl Fn(&Method, usize) -> Answer + Clone + Send + Sync + 'static) -> (Journal, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, log) = (answer.clone(), Arc::clone(&log));
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect_bytes().await.map_err(|_| tower::BoxError::from("no body"))?;
            let sent: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let number = {
                let mut log = log.lock().expect("because no thread panicked with it");
                log.push((head.method.clone(), head.uri.to_string(), sent.clone()));
                log.len() - 1
            };
            let (code, text) = match answer(&head.method, number) {
                Answer::Echo => (201, stored(sent).to_string()),
                Answer::Json(code, value) => (code, value.to_string()),
                Answer::Page(code, text) => (code, text.to_owned()),
                Answer::Broken => return Err(tower::BoxError::from("connection reset by peer")),
            };
            let response = Response::builder().status(code).body(Body::from(text.into_bytes()));
            response.map_err(tower::BoxError::from)
        }
    });
    let pipeline = "shop".parse().expect("because it is a pipeline name");
    (Journal::new(kube::Client::new(service, "lockmaster"), "lockmaster", pipeline), seen)
}

/// An object as a server stores it.
fn stored(mut object: Value) -> Value {
    object["metadata"]["creationTimestamp"] = CREATED.into();
    object["metadata"]["resourceVersion"] = "7".into();
    object["metadata"]["uid"] = "u".into();
    object
}

fn whole() -> UnitName {
    UnitName::whole()
}

fn dev() -> EnvironmentName {
    "dev".parse().expect("because it is an environment name")
}

fn sealed(bytes: &[u8]) -> Sealed {
    Sealed { sequence: 12, bytes: bytes.to_vec() }
}

/// What a journal sends for an entry of these bytes.
async fn entry(bytes: &[u8]) -> Value {
    let (journal, seen) = journal(|_, _| Answer::Echo);
    let _ = journal.append(&dev(), &sealed(bytes)).await;
    let seen = seen.lock().expect("because no thread panicked with it");
    seen.last().expect("because it was sent").2.clone()
}

#[tokio::test]
async fn an_entry_is_one_immutable_object_with_its_sequence_in_its_name() {
    let sent = entry(b"entry").await;
    assert_eq!(sent["metadata"]["name"], "shop.dev.0000000012");
    assert_eq!(sent["immutable"], true);
    let labels = json!({
        "app.kubernetes.io/managed-by": "lockmaster",
        "lockmaster.dev/pipeline": "shop",
        "lockmaster.dev/environment": "dev",
        "lockmaster.dev/kind": "entry"
    });
    assert_eq!(sent["metadata"]["labels"], labels);
}

/// Rows 12, 13, 25, 26 and 50 of the faults: what a reply means for an append.
#[tokio::test]
async fn row_12_row_13_row_50_only_a_believable_answer_decides_about_an_append() {
    let ours = stored(entry(b"ours").await);
    let theirs = stored(entry(b"theirs").await);
    let exists = || status(409, "AlreadyExists", "configmaps \"shop.dev.0000000012\" already exists");
    let ok = |object: &Value| Answer::Json(200, object.clone());
    let found = Some(Code::ClusterUnreachable);
    // The answer to the create, to the read behind it, and what it comes to.
    let rows: Vec<(&str, Answer, Answer, &str, Option<Code>)> = vec![
        ("stored", Answer::Echo, missing(), "ours", None),
        ("a lost reply", exists(), ok(&ours), "ours", None),
        ("somebody else's", exists(), ok(&theirs), "taken", None),
        ("nothing of ours", exists(), ok(&stored(json!({"metadata": {"name": "x"}}))), "taken", None),
        ("there and gone", exists(), missing(), "unknown", Some(Code::LogRegressed)),
        ("there and unreadable", exists(), Answer::Broken, "unknown", found),
        ("a reset", Answer::Broken, missing(), "unknown", found),
        ("a 500", status(500, "InternalError", "etcdserver: request timed out"), missing(), "unknown", found),
        ("a 503", status(503, "ServiceUnavailable", "no"), missing(), "unknown", found),
        ("a 504", status(504, "Timeout", "request did not complete"), missing(), "unknown", found),
        ("a page with 200", Answer::Page(200, "<html>hello</html>"), missing(), "unknown", found),
        ("a page with 404", Answer::Page(404, "404 page not found"), missing(), "unknown", found),
        ("a page with 403", Answer::Page(403, "<html>blocked</html>"), missing(), "unknown", found),
        ("no right", no_right(), missing(), "refused", Some(Code::Forbidden)),
        (
            "a full quota",
            status(403, "Forbidden", "exceeded quota: q"),
            missing(),
            "refused",
            Some(Code::JournalUnwritable),
        ),
        ("no namespace", missing(), missing(), "refused", Some(Code::JournalUnwritable)),
        ("invalid", status(422, "Invalid", "is invalid"), missing(), "refused", Some(Code::JournalUnwritable)),
        ("too busy", status(429, "TooManyRequests", "wait"), missing(), "refused", Some(Code::JournalUnwritable)),
        ("not let in", status(401, "Unauthorized", "who"), missing(), "refused", Some(Code::JournalUnwritable)),
    ];
    for (what, create, read, verdict, code) in rows {
        let (journal, _) = journal(move |method, _| if method == Method::POST { create.clone() } else { read.clone() });
        let appended = journal.append(&dev(), &sealed(b"ours")).await;
        let told = match &appended {
            Appended::Ours { stored_at } => {
                assert_eq!(stored_at.to_string(), CREATED, "{what}");
                ("ours", None)
            }
            Appended::Taken => ("taken", None),
            Appended::Unknown(reason) => ("unknown", Some(reason.code)),
            Appended::Refused(reason) => ("refused", Some(reason.code)),
        };
        assert_eq!(told, (verdict, code), "{what}: {appended:?}");
    }
}

#[tokio::test]
async fn a_large_entry_stands_only_when_all_its_parts_do() {
    // Bytes that do not compress, and need three objects.
    let bytes: Vec<u8> = (0u32..40_000).flat_map(|n| *Digest::of(&n.to_be_bytes()).as_bytes()).collect();
    let (whole, seen) = journal(|_, _| Answer::Echo);
    assert!(matches!(whole.append(&dev(), &sealed(&bytes)).await, Appended::Ours { .. }));
    let objects: Vec<Value> = seen
        .lock()
        .expect("because no thread panicked with it")
        .iter()
        .map(|(_, _, sent)| stored(sent.clone()))
        .collect();
    let names: Vec<&str> = objects.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
    assert_eq!(names.len(), 3);
    assert!(names[0].starts_with("shop.dev.0000000012.1.") && names[1].starts_with("shop.dev.0000000012.2."));
    assert_eq!(
        (names[2], &objects[0]["metadata"]["labels"]["lockmaster.dev/kind"]),
        ("shop.dev.0000000012", &json!("entry-part"))
    );

    let (broken, seen) = journal(|_, number| if number == 1 { Answer::Broken } else { Answer::Echo });
    assert!(matches!(broken.append(&dev(), &sealed(&bytes)).await, Appended::Unknown(_)));
    assert_eq!(seen.lock().expect("because no thread panicked with it").len(), 2, "the head is not sent");

    let list = json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": [objects[2]]});
    let parts = objects.clone();
    let (reading, _) = journal(move |_, number| match number {
        0 => Answer::Json(200, list.clone()),
        number => Answer::Json(200, parts[number - 1].clone()),
    });
    let entries = reading.stored(&dev()).await.expect("because all parts are there");
    assert_eq!((entries.len(), entries[0].sequence, entries[0].bytes == bytes), (1, 12, true));
}

#[tokio::test]
async fn row_20_a_list_that_breaks_midway_is_never_a_shorter_log() {
    let page = |item: Value, token: &str| json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "9", "continue": token}, "items": [item]});
    let mut one = stored(entry(b"one").await);
    one["metadata"]["name"] = "shop.dev.0000000000".into();
    let two = stored(entry(b"two").await);
    let (first, last) = (Answer::Json(200, page(one, "more")), Answer::Json(200, page(two, "")));
    let expired = || status(410, "Expired", "The provided continue parameter is too old");
    let rows: Vec<(&str, Vec<Answer>, Option<usize>)> = vec![
        ("two pages", vec![first.clone(), last.clone()], Some(2)),
        ("expired once", vec![first.clone(), expired(), first.clone(), last.clone()], Some(2)),
        ("expired always", vec![first.clone(), expired(), first.clone(), expired(), first.clone(), expired()], None),
        ("broken", vec![first.clone(), Answer::Broken], None),
        ("not found", vec![first.clone(), missing()], None),
        ("a page of a proxy", vec![first.clone(), Answer::Page(200, "{}")], None),
        ("no list", vec![Answer::Json(200, json!({"items": []}))], None),
        ("forbidden", vec![no_right()], None),
    ];
    for (what, answers, count) in rows {
        let (journal, _) = journal(move |_, number| answers[number].clone());
        let entries = journal.stored(&dev()).await;
        assert_eq!(entries.as_ref().ok().map(Vec::len), count, "{what}: {entries:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_never_absent() {
    let digest = Digest::of(b"release");
    let broken = [
        Answer::Broken,
        Answer::Page(404, "404 page not found"),
        Answer::Page(200, "<html></html>"),
        no_right(),
        status(500, "InternalError", "no"),
        Answer::Json(200, stored(json!({"metadata": {"name": "x"}}))),
    ];
    for answer in broken {
        let (journal, _) = journal(move |_, _| answer.clone());
        assert!(journal.release(&dev(), digest).await.is_err());
        assert!(journal.inventory(&dev(), &whole()).await.is_err());
        assert!(journal.first_seen(&dev()).await.is_err());
        assert!(journal.read_agent_key("lockmaster-agent").await.is_err());
        assert!(journal.agent_key("lockmaster-agent").await.is_err());
    }
    let (journal, _) = journal(|_, _| missing());
    assert_eq!(journal.release(&dev(), digest).await, Ok(None));
    assert_eq!(journal.inventory(&dev(), &whole()).await, Ok((Inventory::default(), Version::ABSENT)));
    assert!(journal.read_agent_key("lockmaster-agent").await.expect("because there is none").is_none());
}

/// What a journal sends for an empty inventory, as a server stores it.
async fn inventory_of(unit: &UnitName) -> Value {
    let (journal, seen) = journal(|_, _| Answer::Echo);
    journal.put_inventory(&dev(), unit, &Inventory::default(), &Version::ABSENT).await.expect("because it is echoed");
    let seen = seen.lock().expect("because no thread panicked with it");
    stored(seen.last().expect("because it was sent").2.clone())
}

fn list(items: &[Value]) -> Answer {
    let metadata = json!({"resourceVersion": "8"});
    Answer::Json(200, json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items}))
}

#[tokio::test]
async fn the_inventories_of_all_units_are_one_request() {
    let mut items = vec![inventory_of(&whole()).await];
    for number in 0..90 {
        items.push(inventory_of(&format!("unit-{number}").parse().expect("because it is the name of a unit")).await);
    }
    let (journal, seen) = journal(move |_, _| list(&items));
    let read = journal.inventories(&dev()).await.expect("because the server answers");
    assert_eq!(read.len(), 91);
    let seen = seen.lock().expect("because no thread panicked with it");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0].1.contains("lockmaster.dev%2Fkind%3Dinventory"), "{}", seen[0].1);
}

#[tokio::test]
async fn an_inventory_that_does_not_say_whose_it_is_is_damaged_and_never_left_out() {
    let (good, web) = (inventory_of(&whole()).await, "web".parse::<UnitName>().expect("because it is one"));
    let without = |mut object: Value| {
        object["metadata"]["labels"].as_object_mut().expect("because it is labelled").remove("lockmaster.dev/unit");
        object
    };
    let with = |mut object: Value, field: &str, value: &str| {
        match field {
            "name" => object["metadata"]["name"] = value.into(),
            label => object["metadata"]["labels"][label] = value.into(),
        }
        object
    };
    let of_web = inventory_of(&web).await;
    for (what, object) in [
        ("no label", without(of_web.clone())),
        ("the label of another", with(of_web.clone(), "lockmaster.dev/unit", "api")),
        ("a label that names none", with(of_web.clone(), "lockmaster.dev/unit", "Web")),
        ("the label of the whole", with(good.clone(), "lockmaster.dev/unit", ".")),
        ("a label that is too much", with(good.clone(), "lockmaster.dev/unit", "web")),
        ("the name of another", with(of_web.clone(), "name", "shop.dev.inventory.api")),
        ("a copy", with(good.clone(), "name", "shop.dev.inventory-copy")),
    ] {
        let items = [good.clone(), object.clone()];
        let (journal, _) =
            journal(move |_, number| if number == 0 { list(&items) } else { Answer::Json(200, object.clone()) });
        let read = journal.inventories(&dev()).await;
        assert!(matches!(read, Err(JournalError::Damaged { .. })), "{what}: {read:?}");
        let read = [journal.inventory(&dev(), &web).await, journal.inventory(&dev(), &whole()).await];
        assert!(read.iter().all(|read| matches!(read, Err(JournalError::Damaged { .. }))), "{what}: {read:?}");
    }
}

#[tokio::test]
async fn a_missing_right_is_named_and_a_secret_is_not_quoted() {
    let (forbidden, _) = journal(|_, _| no_right());
    let error = forbidden.release(&dev(), Digest::of(b"")).await.expect_err("because it is forbidden");
    assert_eq!(error.reason().code, Code::Forbidden);
    assert_eq!(error.to_string(), "the agent may not get secrets in namespace `lockmaster`");

    let (quoting, _) = journal(|_, _| status(422, "Invalid", "data: Invalid value: \"hunter2\""));
    let error = quoting.put_release(&dev(), Digest::of(b"x"), b"x").await.expect_err("because it is invalid");
    let name = format!("lockmaster Secret/shop.dev.release.{}", Digest::of(b"x").hex());
    assert_eq!(error, JournalError::Rejected { object: name, problem: "Invalid".to_owned() });
}

#[tokio::test]
async fn row_14_the_loser_of_a_write_is_told_so() {
    let conflict = || status(409, "Conflict", "the object has been modified");
    // The answer to the first write, and to the one that replaces it.
    let rows = [
        ("somebody created first", status(409, "AlreadyExists", "exists"), None, true),
        ("somebody replaced first", Answer::Echo, Some(conflict()), true),
        ("somebody deleted it", Answer::Echo, Some(missing()), true),
        ("a reset", Answer::Broken, None, false),
        ("a reset later", Answer::Echo, Some(Answer::Broken), false),
    ];
    for (what, create, replace, lost) in rows {
        let twice = replace.is_some();
        let (journal, _) = journal(move |method, _| match (method, &replace) {
            (&Method::PUT, Some(answer)) => answer.clone(),
            _ => create.clone(),
        });
        let mut written = journal.put_inventory(&dev(), &whole(), &Inventory::default(), &Version::ABSENT).await;
        if twice {
            let version = written.expect("because the first write was echoed");
            written = journal.put_inventory(&dev(), &whole(), &Inventory::default(), &version).await;
        }
        let error = written.expect_err(what);
        assert_eq!(matches!(error, JournalError::Lost { .. }), lost, "{what}: {error:?}");
        assert_eq!(matches!(error, JournalError::EffectUnknown { .. }), !lost, "{what}: {error:?}");
    }
}

#[tokio::test]
async fn whoever_wants_a_release_wins_over_the_collector() {
    let digest = Digest::of(b"release");
    let name = format!("shop.dev.release.{}", digest.hex());
    let before = "2026-03-11T12:00:00Z".parse().expect("because it is a timestamp");
    let (old, new) = ("2026-03-11T11:00:00Z", "2026-03-11T12:00:01Z");
    let conflict = || status(409, "Conflict", "the object has been modified");
    // When it was made, when it was last recalled, the answer to its deletion; and whether it goes.
    let rows = [
        ("idle", old, None, Answer::Json(200, json!({"kind": "Status"})), Ok(true)),
        ("already gone", old, None, missing(), Ok(true)),
        ("made just now", new, None, missing(), Ok(false)),
        ("recalled just now", old, Some(new), missing(), Ok(false)),
        ("recalled while listed", old, Some(old), conflict(), Ok(false)),
        ("no answer", old, None, Answer::Broken, Err(())),
    ];
    for (what, made, recalled, answer, goes) in rows {
        let annotations = recalled.map(|time| json!({"lockmaster.dev/recalled": time}));
        let head = json!({"metadata": {
            "name": name, "uid": "u", "resourceVersion": "7", "creationTimestamp": made, "annotations": annotations
        }});
        let list = |items: Value| {
            let kind = "PartialObjectMetadataList";
            json!({"kind": kind, "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "9"}, "items": items})
        };
        let (parts, heads) = (list(json!([])), list(json!([head])));
        let (journal, seen) = journal(move |method, number| match (method, number) {
            (&Method::DELETE, _) => answer.clone(),
            (_, 0) => Answer::Json(200, parts.clone()),
            _ => Answer::Json(200, heads.clone()),
        });
        let gone = journal.collect(&dev(), &BTreeSet::new(), before).await;
        assert_eq!(gone.map(|gone| gone.contains(&digest)).map_err(drop), goes, "{what}");
        for (_, _, sent) in seen.lock().expect("because no thread panicked with it").iter().skip(2) {
            assert_eq!(sent["preconditions"], json!({"uid": "u", "resourceVersion": "7"}), "{what}");
        }
    }
}

/// Pins the id: labels of objects in clusters carry it.
#[tokio::test]
async fn a_set_is_named_after_its_parent() {
    let (journal, _) = journal(|_, _| Answer::Broken);
    // printf shop.dev.inventory.lockmaster.ConfigMap. | openssl dgst -sha256 -binary | basenc --base64url | tr -d =
    assert_eq!(journal.set_id(&dev()), "applyset-XaQGGY885NCv_us5mlwtVdZzrH1m7dbXYdxY7E3d64U-v1");
}
