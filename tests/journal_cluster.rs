//! The journal against a real API server.

mod control_plane;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use control_plane::{ControlPlane, Test, run_anywhere};
use futures::{Stream, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::{Api, Client};
use lockmaster::deploylog::Sealed;
use lockmaster::edge::journal::{Appended, Journal, JournalError, Version};
use lockmaster::name::{Digest, EnvironmentName, ObjectKey, Reason, UnitName};
use lockmaster::plan::{Inventory, Member};

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        ("what_is_appended_is_what_is_read", |plane| plane.block_on(what_is_appended_is_what_is_read(plane))),
        ("more_entries_than_a_page_are_all_read_in_order", |plane| {
            plane.block_on(more_entries_than_a_page_are_all_read_in_order(plane))
        }),
        ("of_many_agents_one_appends", |plane| plane.block_on(of_many_agents_one_appends(plane))),
        ("release_bytes_are_kept_until_nobody_wants_them", |plane| {
            plane.block_on(release_bytes_are_kept_until_nobody_wants_them(plane))
        }),
        ("an_inventory_is_replaced_by_whoever_read_it_last", |plane| {
            plane.block_on(an_inventory_is_replaced_by_whoever_read_it_last(plane))
        }),
        ("every_unit_has_an_inventory_of_its_own", |plane| {
            plane.block_on(every_unit_has_an_inventory_of_its_own(plane))
        }),
        ("all_agents_have_one_key", |plane| plane.block_on(all_agents_have_one_key(plane))),
        ("row_39_a_first_seen_time_never_changes", |plane| {
            plane.block_on(row_39_a_first_seen_time_never_changes(plane))
        }),
        ("a_statement_is_heard_of_whoever_put_it_there", |plane| {
            plane.block_on(a_statement_is_heard_of_whoever_put_it_there(plane))
        }),
    ];
    run_anywhere(tests)
}

/// A journal in a namespace of its own.
async fn journal(plane: &ControlPlane, test: &str) -> (Journal, Client, String) {
    let client = plane.admin();
    let metadata = ObjectMeta { generate_name: Some(format!("journal-{test}-")), ..ObjectMeta::default() };
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let made = namespaces
        .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
        .await
        .expect("because the server makes namespaces");
    let namespace = made.metadata.name.expect("because the server named it");
    let pipeline = "shop".parse().expect("because it is a pipeline name");
    (Journal::new(client.clone(), &namespace, pipeline), client, namespace)
}

fn whole() -> UnitName {
    UnitName::whole()
}

fn dev() -> EnvironmentName {
    "dev".parse().expect("because it is an environment name")
}

fn noise(length: u32) -> Vec<u8> {
    (0..length / 32).flat_map(|n| *Digest::of(&n.to_be_bytes()).as_bytes()).collect()
}

fn sealed(sequence: u64, bytes: &[u8]) -> Sealed {
    Sealed { sequence, bytes: bytes.to_vec() }
}

async fn what_is_appended_is_what_is_read(plane: &ControlPlane) {
    let (journal, client, namespace) = journal(plane, "entries").await;
    assert_eq!(journal.stored(&dev()).await, Ok(vec![]));
    let large = noise(1_300_000);
    for (sequence, bytes) in [(0, &b"zero"[..]), (1, &large), (2, b"two")] {
        let appended = journal.append(&dev(), &sealed(sequence, bytes)).await;
        assert!(matches!(appended, Appended::Ours { .. }), "{appended:?}");
    }
    let prod = "prod".parse().expect("because it is an environment name");
    assert!(matches!(journal.append(&prod, &sealed(0, b"prod")).await, Appended::Ours { .. }));
    let stored = journal.stored(&dev()).await.expect("because the server answers");
    let told: Vec<(u64, &[u8])> = stored.iter().map(|entry| (entry.sequence, &entry.bytes[..])).collect();
    assert_eq!(told, [(0, &b"zero"[..]), (1, &large[..]), (2, &b"two"[..])]);

    // A second time the same bytes are ours, with the time at which they were first stored; others are not.
    let again = journal.append(&dev(), &sealed(1, &large)).await;
    assert_eq!(again, Appended::Ours { stored_at: stored[1].stored_at });
    assert_eq!(journal.append(&dev(), &sealed(2, b"too late")).await, Appended::Taken);
    assert_eq!(journal.append(&dev(), &sealed(1, &noise(1_400_000))).await, Appended::Taken);
    assert_eq!(journal.stored(&dev()).await.map(|entries| entries.len()), Ok(3));

    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let mut first = maps.get("shop.dev.0000000000").await.expect("because it was stored");
    first.binary_data = Some(BTreeMap::new());
    let refused = maps.replace("shop.dev.0000000000", &PostParams::default(), &first).await;
    assert!(refused.is_err(), "an entry never changes");
}

async fn more_entries_than_a_page_are_all_read_in_order(plane: &ControlPlane) {
    let (journal, ..) = journal(plane, "pages").await;
    for sequence in 0..230 {
        assert!(matches!(journal.append(&dev(), &sealed(sequence, b"x")).await, Appended::Ours { .. }));
    }
    let stored = journal.stored(&dev()).await.expect("because the server answers");
    assert!(stored.iter().map(|entry| entry.sequence).eq(0..230));
}

async fn of_many_agents_one_appends(plane: &ControlPlane) {
    let (journal, ..) = journal(plane, "race").await;
    let bytes: Vec<Vec<u8>> = (0u8..8).map(|agent| vec![agent; 20]).collect();
    let (environment, agents) = (dev(), &journal);
    let entries: Vec<Sealed> = bytes.iter().map(|bytes| sealed(0, bytes)).collect();
    let answers = futures::future::join_all(entries.iter().map(|entry| agents.append(&environment, entry))).await;
    let ours = answers.iter().filter(|answer| matches!(answer, Appended::Ours { .. })).count();
    let taken = answers.iter().filter(|answer| **answer == Appended::Taken).count();
    assert_eq!((ours, taken), (1, 7), "{answers:?}");
}

async fn release_bytes_are_kept_until_nobody_wants_them(plane: &ControlPlane) {
    let (journal, client, namespace) = journal(plane, "releases").await;
    let (small, large) = (b"release".to_vec(), noise(1_200_000));
    let (one, two) = (Digest::of(&small), Digest::of(&large));
    for _ in 0..2 {
        journal.put_release(&dev(), one, &small).await.expect("because it is stored, and then there already");
        journal.put_release(&dev(), two, &large).await.expect("because it is stored, and then there already");
    }
    assert_eq!(journal.release(&dev(), one).await, Ok(Some(small)));
    assert_eq!(journal.release(&dev(), two).await, Ok(Some(large)));
    assert_eq!(journal.release(&dev(), Digest::of(b"other")).await, Ok(None));
    let wrong = journal.put_release(&dev(), one, b"other").await;
    assert!(matches!(wrong, Err(JournalError::OtherBytes { .. })), "{wrong:?}");

    let hour = SignedDuration::from_hours(1);
    let shift = |by: SignedDuration| Timestamp::now().checked_add(by).expect("because it is near");
    let (past, future) = (shift(-hour), shift(hour));
    assert_eq!(journal.collect(&dev(), &BTreeSet::new(), past).await, Ok(BTreeSet::new()), "just stored");
    assert_eq!(journal.collect(&dev(), &BTreeSet::from([one]), future).await, Ok(BTreeSet::from([two])));
    assert_eq!(journal.release(&dev(), two).await, Ok(None));
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let left = secrets.list(&ListParams::default()).await.expect("because the server lists");
    assert_eq!(left.items.len(), 1, "no part is left behind");
    assert_eq!(left.items[0].type_.as_deref(), Some("lockmaster.dev/release"));
    assert_eq!(left.items[0].immutable, Some(true));
}

fn inventory(sequence: u64, count: u64) -> Inventory {
    let member =
        |origin| Member { api_version: "apps/v1".to_owned(), uid: None, origin, doomed: false, baseline: None };
    let key = |n: u64| ObjectKey {
        group: "apps".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some("shop".to_owned()),
        name: format!("cart-{}", Digest::of(&n.to_be_bytes()).hex()),
    };
    Inventory { sequence, members: (0..count).map(|n| (key(n), member(n))).collect() }
}

async fn an_inventory_is_replaced_by_whoever_read_it_last(plane: &ControlPlane) {
    let (journal, client, namespace) = journal(plane, "inventory").await;
    assert_eq!(journal.inventory(&dev(), &whole()).await, Ok((Inventory::default(), Version::ABSENT)));
    let first = journal
        .put_inventory(&dev(), &whole(), &inventory(1, 3), &Version::ABSENT)
        .await
        .expect("because there is none");
    assert_eq!(journal.inventory(&dev(), &whole()).await, Ok((inventory(1, 3), first.clone())));
    // Large enough for parts.
    let second =
        journal.put_inventory(&dev(), &whole(), &inventory(2, 20_000), &first).await.expect("because it stands");
    assert_eq!(journal.inventory(&dev(), &whole()).await, Ok((inventory(2, 20_000), second)));
    for stale in [Version::ABSENT, first] {
        let lost = journal.put_inventory(&dev(), &whole(), &inventory(3, 1), &stale).await;
        assert!(matches!(lost, Err(JournalError::Lost { .. })), "{lost:?}");
    }
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let parent = maps.get("shop.dev.inventory").await.expect("because it was written").metadata;
    let label = parent.labels.unwrap_or_default().get("applyset.kubernetes.io/id").cloned();
    assert_eq!(label, Some(journal.set_id(&dev())));
    let annotations = parent.annotations.unwrap_or_default();
    assert_eq!(annotations["applyset.kubernetes.io/contains-group-kinds"], "Deployment.apps");
    assert_eq!(annotations["applyset.kubernetes.io/additional-namespaces"], "shop");
}

async fn every_unit_has_an_inventory_of_its_own(plane: &ControlPlane) {
    let (journal, client, namespace) = journal(plane, "units").await;
    assert_eq!(journal.inventories(&dev()).await, Ok(BTreeMap::new()));
    let long = "x".repeat(63);
    // The longest one is large enough for parts.
    let sizes = [(".", 2), ("api", 1), ("web", 3), (&long, 20_000)];
    let mut expected = BTreeMap::new();
    for (sequence, (name, size)) in (1..).zip(sizes) {
        let (unit, inventory): (UnitName, _) = (name.parse().expect("because it is one"), inventory(sequence, size));
        let written = journal.put_inventory(&dev(), &unit, &inventory, &Version::ABSENT).await;
        let version = written.expect("because there is none");
        assert_eq!(journal.inventory(&dev(), &unit).await, Ok((inventory.clone(), version.clone())));
        expected.insert(unit, (inventory, version));
    }
    let other = "dev2".parse().expect("because it is an environment name");
    journal.put_inventory(&other, &whole(), &inventory(9, 1), &Version::ABSENT).await.expect("because there is none");
    assert_eq!(journal.inventories(&dev()).await, Ok(expected.clone()));

    let web: UnitName = "web".parse().expect("because it is the name of a unit");
    let second = journal.put_inventory(&dev(), &web, &inventory(5, 1), &expected[&web].1).await;
    expected.insert(web.clone(), (inventory(5, 1), second.expect("because it stands")));
    assert_eq!(journal.inventories(&dev()).await, Ok(expected), "the others are as they were");
    let lost = journal.put_inventory(&dev(), &web, &inventory(6, 1), &Version::ABSENT).await;
    assert!(matches!(lost, Err(JournalError::Lost { .. })), "{lost:?}");

    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let stored = maps.get("shop.dev.inventory.web").await.expect("because it was written").metadata;
    let labels = stored.labels.unwrap_or_default();
    assert_eq!((labels["lockmaster.dev/unit"].as_str(), stored.annotations), ("web", None));
    assert!(!labels.contains_key("applyset.kubernetes.io/id"), "a set has one parent");
    let parent = maps.get("shop.dev.inventory").await.expect("because it was written").metadata;
    let labels = parent.labels.unwrap_or_default();
    assert_eq!(
        (labels.get("lockmaster.dev/unit"), labels["applyset.kubernetes.io/id"].clone()),
        (None, journal.set_id(&dev()))
    );

    let pipeline = "p".repeat(63).parse().expect("because it is a pipeline name");
    let longest = Journal::new(plane.admin(), &namespace, pipeline);
    let environment = "e".repeat(63).parse().expect("because it is an environment name");
    let unit = long.parse().expect("because it is the name of a unit");
    let written = longest.put_inventory(&environment, &unit, &inventory(1, 20_000), &Version::ABSENT).await;
    assert!(written.is_ok(), "{written:?}");
    assert_eq!(longest.inventories(&environment).await.map(|all| all.len()), Ok(1));
}

async fn all_agents_have_one_key(plane: &ControlPlane) {
    let (journal, ..) = journal(plane, "key").await;
    assert!(journal.read_agent_key("lockmaster-agent").await.expect("because the server answers").is_none());
    let keys = futures::future::join_all((0..6).map(|_| journal.agent_key("lockmaster-agent"))).await;
    let prints: BTreeSet<String> =
        keys.into_iter().map(|key| key.expect("because one makes it").fingerprint().to_string()).collect();
    assert_eq!(prints.len(), 1);
    let read = journal.read_agent_key("lockmaster-agent").await.expect("because the server answers");
    assert_eq!(read.map(|key| key.fingerprint().to_string()), prints.first().cloned());
}

async fn row_39_a_first_seen_time_never_changes(plane: &ControlPlane) {
    let (journal, ..) = journal(plane, "seen").await;
    let time = |text: &str| text.parse::<Timestamp>().expect("because it is a timestamp");
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    let first = BTreeMap::from([(one, time("2026-03-11T11:00:00Z"))]);
    assert_eq!(journal.put_first_seen(&dev(), &first).await, Ok(first.clone()));
    let later = BTreeMap::from([(one, time("2020-01-01T00:00:00Z")), (two, time("2026-03-11T12:00:00Z"))]);
    let merged = BTreeMap::from([(one, first[&one]), (two, later[&two])]);
    assert_eq!(journal.put_first_seen(&dev(), &later).await, Ok(merged.clone()));
    assert_eq!(journal.first_seen(&dev()).await, Ok(merged));
}

async fn next(mut heard: std::pin::Pin<&mut impl Stream<Item = Result<Vec<Vec<u8>>, Reason>>>) -> Vec<Vec<u8>> {
    let mut all = heard.next().await.expect("because it never ends").expect("because the server answers");
    all.sort();
    all
}

async fn a_statement_is_heard_of_whoever_put_it_there(plane: &ControlPlane) {
    let (journal, client, namespace) = journal(plane, "statements").await;
    let mut heard = std::pin::pin!(journal.watch_statements());
    assert_eq!(next(heard.as_mut()).await, Vec::<Vec<u8>>::new());
    let (text, raw) = (b"tag rollback".to_vec(), b"tag \xff".to_vec());
    let object = journal.put_statement(&dev(), "rollback/shop/dev/lena", &text).await.expect("because there is room");
    assert_eq!(next(heard.as_mut()).await, std::slice::from_ref(&text));
    let again = journal.put_statement(&dev(), "rollback/shop/dev/lena", &text).await;
    assert_eq!(again.as_ref(), Ok(&object), "what is there is there");
    journal.put_statement(&dev(), "hold/shop/dev/lena", &raw).await.expect("because there is room");
    assert_eq!(next(heard.as_mut()).await, [text.clone(), raw.clone()]);

    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let name = format!("shop.dev.statement.{}", Digest::of(&text).hex());
    assert!(object.ends_with(&name), "{object}");
    let stored = maps.get(&name).await.expect("because it was stored");
    assert_eq!(stored.immutable, Some(true));
    assert_eq!(
        stored.data,
        Some(BTreeMap::from([("tag".to_owned(), "tag rollback".to_owned())])),
        "people can read it"
    );
    assert_eq!(
        stored.metadata.labels.as_ref().map(|labels| labels["lockmaster.dev/statement"].as_str()),
        Some("rollback")
    );
    assert_eq!(stored.metadata.annotations.unwrap_or_default()["lockmaster.dev/tag"], "rollback/shop/dev/lena");

    // As `kubectl create configmap --from-file` and `kubectl label` make it.
    let by_hand = |name: &str, tag: String| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([("lockmaster.dev/statement".to_owned(), String::new())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("tag".to_owned(), tag)])),
        ..ConfigMap::default()
    };
    let too_long = "x".repeat((64 << 10) + 1);
    maps.create(&PostParams::default(), &by_hand("long", too_long)).await.expect("because there is room");
    assert_eq!(next(heard.as_mut()).await.len(), 2, "no statement is that long");
    maps.create(&PostParams::default(), &by_hand("short", "tag by hand".to_owned()))
        .await
        .expect("because there is room");
    let all = next(heard.as_mut()).await;
    assert_eq!(all, [b"tag by hand".to_vec(), text, raw]);
    let mut read = journal.statements().await.expect("because the server answers");
    read.sort();
    assert_eq!(read, all);
    assert_eq!(journal.stored(&dev()).await, Ok(vec![]), "none is an entry");

    // A name that somebody took for other bytes is told, and not taken for ours.
    let name = format!("shop.dev.statement.{}", Digest::of(b"tag stolen").hex());
    maps.create(&PostParams::default(), &by_hand(&name, "tag other".to_owned())).await.expect("because there is room");
    let stolen = journal.put_statement(&dev(), "hold/shop/dev/omar", b"tag stolen").await;
    assert!(matches!(stolen, Err(JournalError::OtherBytes { .. })), "{stolen:?}");
}
