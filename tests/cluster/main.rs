//! The cluster edge against a real control plane, and through a proxy that plays faults.

#[path = "../control_plane/mod.rs"]
mod control_plane;
mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use control_plane::proxy::{Moment, Proxy, Reply, Verdict};
use control_plane::{AGENT, ControlPlane, Test, eventually};
use futures::{Stream, StreamExt as _};
use lockmaster::edge::cluster::{Access, Applied, Cluster, ClusterError, Deleted, Seen, Writing};
use lockmaster::manifest::{Manifest, Scope, Stage};
use lockmaster::name::{Code, Digest, GroupKind, GroupVersionKind, ObjectKey, Reason};
use lockmaster::plan::{DryRun, Live, PART_OF};
use serde_json::{Value, json};

/// The set of the tests' environment.
const SET: &str = "applyset-test-v1";

fn main() -> ExitCode {
    let anywhere: Vec<Test> = vec![
        ("connects_and_names_the_cluster", connects_and_names_the_cluster),
        ("discovers_scopes", discovers_scopes),
        ("applies_changes_and_leaves_alone", applies_changes_and_leaves_alone),
        ("row_15_a_field_conflict_names_field_and_manager", row_15_a_field_conflict_names_field_and_manager),
        ("a_dry_run_writes_nothing", a_dry_run_writes_nothing),
        ("an_immutable_field_needs_a_recreate", an_immutable_field_needs_a_recreate),
        ("row_47_an_unknown_field_is_refused", row_47_an_unknown_field_is_refused),
        ("a_refused_secret_is_not_quoted", a_refused_secret_is_not_quoted),
        ("deletes_what_is_ours_and_nothing_else", deletes_what_is_ours_and_nothing_else),
        ("row_10_a_finalizer_is_named", row_10_a_finalizer_is_named),
        ("few_objects_are_read_alone_and_many_by_a_list", few_objects_are_read_alone_and_many_by_a_list),
        ("row_20_a_list_that_expires_is_read_anew", row_20_a_list_that_expires_is_read_anew),
        ("a_watch_sees_what_is_there_a_change_and_a_gone", a_watch_sees_what_is_there_a_change_and_a_gone),
        ("a_watch_never_carries_secret_data", a_watch_never_carries_secret_data),
        ("a_watch_lists_anew_after_410", a_watch_lists_anew_after_410),
        ("row_22_a_crd_and_its_object_in_one_go", row_22_a_crd_and_its_object_in_one_go),
        ("row_11_obeys_retry_after", faults::row_11_obeys_retry_after),
        ("row_12_a_broken_server_is_asked_again", faults::row_12_a_broken_server_is_asked_again),
        ("row_13_a_lost_answer_makes_no_second_object", faults::row_13_a_lost_answer_makes_no_second_object),
        ("row_21_a_stale_group_is_unknown_and_not_absent", faults::row_21_a_stale_group_is_unknown_and_not_absent),
        ("row_23_a_terminating_namespace_is_waited_for", faults::row_23_a_terminating_namespace_is_waited_for),
        ("row_50_a_portal_is_no_answer", faults::row_50_a_portal_is_no_answer),
    ];
    // Admission policies and rights.
    let real: Vec<Test> = vec![
        ("row_75_admission_refuses_and_its_words_reach_the_reader", row_75_admission_refuses),
        ("row_26_a_missing_right_is_named_and_may_come", row_26_a_missing_right_is_named_and_may_come),
    ];
    control_plane::run_split(anywhere, real, &[])
}

fn connect(plane: &ControlPlane, kubeconfig: std::path::PathBuf) -> Cluster {
    let access = Access { kubeconfig: Some(kubeconfig), context: None };
    plane.block_on(Cluster::connect(&access)).expect("because the harness wrote the file")
}

fn agent(plane: &ControlPlane) -> Cluster {
    connect(plane, plane.kubeconfig(AGENT))
}

fn manifest(value: Value) -> Manifest {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::from_manifest(text("/apiVersion"), text("/kind"));
    let namespace = Some(text("/metadata/namespace").to_owned()).filter(|namespace| !namespace.is_empty());
    let (group, name) = (kind.group.clone(), text("/metadata/name").to_owned());
    let key = ObjectKey { group, kind: kind.kind.clone(), namespace, name };
    let digest = Digest::of(value.to_string().as_bytes());
    Manifest { key, kind, stage: Stage::Workload, wave: 0, scaled: false, value, digest }
}

fn config_map(namespace: &str, name: &str, value: &str) -> Manifest {
    let metadata = json!({"name": name, "namespace": namespace});
    manifest(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}))
}

fn service(namespace: &str, name: &str) -> Manifest {
    let spec = json!({"selector": {"app": name}, "ports": [{"port": 80, "protocol": "TCP"}]});
    let metadata = json!({"name": name, "namespace": namespace});
    manifest(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
}

fn deployment(namespace: &str, app: &str) -> Manifest {
    let container = json!({"name": "main", "image": "registry.example/web:1"});
    let template = json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": {"app": app}}, "template": template});
    let metadata = json!({"name": "web", "namespace": namespace});
    manifest(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))
}

fn apply(plane: &ControlPlane, cluster: &Cluster, manifest: &Manifest) -> Applied {
    plane.block_on(cluster.apply(manifest, SET, Writing { force: true, first: false }))
}

fn done(applied: Applied) -> (String, Value) {
    match applied {
        Applied::Done { uid, object } => (uid, object),
        other => panic!("applied, not {other:?}"),
    }
}

fn delete(plane: &ControlPlane, cluster: &Cluster, manifest: &Manifest, uid: Option<&str>) -> Deleted {
    plane.block_on(cluster.delete(&manifest.key, &manifest.kind, uid, SET))
}

fn read(
    plane: &ControlPlane,
    cluster: &Cluster,
    manifests: &[Manifest],
) -> Result<BTreeMap<ObjectKey, Live>, ClusterError> {
    let keys = manifests.iter().map(|manifest| (manifest.key.clone(), manifest.kind.clone())).collect();
    plane.block_on(cluster.read(&keys))
}

fn path(manifest: &Manifest) -> String {
    let namespace = manifest.key.namespace.as_deref().expect("because the object is namespaced");
    let root = if manifest.kind.group.is_empty() { "api" } else { "apis" };
    let plural = format!("{}s", manifest.kind.kind.to_lowercase());
    format!("/{root}/{}/namespaces/{namespace}/{plural}/{}", manifest.kind.api_version(), manifest.key.name)
}

fn connects_and_names_the_cluster(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let uid = plane.block_on(cluster.uid()).expect("because the server runs");
    let system = plane.get("/api/v1/namespaces/kube-system").expect("because it always exists");
    assert_eq!(system["metadata"]["uid"], uid.as_str());
    assert_eq!(proxy.calls()[0].user_agent, concat!("lockmaster/", env!("CARGO_PKG_VERSION")));

    let missing = Access { kubeconfig: Some("missing/kubeconfig".into()), context: None };
    let error = plane.block_on(Cluster::connect(&missing)).expect_err("because there is no such file");
    assert_eq!(error.reason().code, Code::ConfigNotFound);
    let context = Access { kubeconfig: Some(plane.kubeconfig(AGENT)), context: Some("nowhere".to_owned()) };
    plane.block_on(Cluster::connect(&context)).expect_err("because there is no such context");
}

fn discovers_scopes(plane: &'static ControlPlane) {
    let cluster = agent(plane);
    plane.block_on(cluster.discover()).expect("because the server runs");
    let scopes = cluster.scopes().0;
    let scope = |group: &str, kind: &str| scopes.get(&GroupKind::new(group, kind)).copied();
    assert_eq!(scope("", "ConfigMap"), Some(Scope::Namespaced));
    assert_eq!(scope("apps", "Deployment"), Some(Scope::Namespaced));
    assert_eq!(scope("rbac.authorization.k8s.io", "ClusterRole"), Some(Scope::Cluster));
    assert_eq!(scope("authorization.k8s.io", "SubjectAccessReview"), None, "what cannot be read is no object");

    let namespace = plane.namespace("known");
    let asked = BTreeSet::from([namespace.clone(), "never-made".to_owned()]);
    let found = plane.block_on(cluster.namespaces(&asked)).expect("because the server runs");
    assert_eq!(found, BTreeSet::from([namespace.clone()]));
    plane.block_on(cluster.ensure_namespace(&namespace)).expect("because it exists");
    let fresh = format!("{namespace}-fresh");
    plane.block_on(cluster.ensure_namespace(&fresh)).expect("because it can be made");
    assert!(plane.get(&format!("/api/v1/namespaces/{fresh}")).is_some());
}

fn applies_changes_and_leaves_alone(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("apply"));
    let (uid, made) = done(apply(plane, &cluster, &config_map(&namespace, "settings", "one")));
    assert_eq!(made["metadata"]["labels"][PART_OF], SET);
    assert_eq!(made["metadata"]["managedFields"][0]["manager"], "lockmaster");
    let same = done(apply(plane, &cluster, &config_map(&namespace, "settings", "one")));
    assert_eq!(same, (uid.clone(), made.clone()), "an equal apply changes nothing at all");
    let (second, changed) = done(apply(plane, &cluster, &config_map(&namespace, "settings", "two")));
    assert_eq!((second, &changed["data"]), (uid, &json!({"key": "two"})));
}

fn row_15_a_field_conflict_names_field_and_manager(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("conflict"));
    let ours = config_map(&namespace, "settings", "ours");
    done(apply(plane, &cluster, &ours));
    plane.patch(&format!("{}?fieldManager=by-hand", path(&ours)), &json!({"data": {"key": "theirs"}}));
    let Applied::Conflict(reason) = plane.block_on(cluster.apply(&ours, SET, Writing { force: false, first: false }))
    else {
        panic!("a conflict")
    };
    assert_eq!((reason.code, reason.object.as_ref()), (Code::FieldConflict, Some(&ours.key)));
    for part in ["`data.key`", "by-hand"] {
        assert!(reason.message.contains(part), "`{part}` is in `{}`", reason.message);
    }
    assert_eq!(plane.get(&path(&ours)).expect("because it exists")["data"]["key"], "theirs");
    assert_eq!(done(apply(plane, &cluster, &ours)).1["data"]["key"], "ours");
}

fn a_dry_run_writes_nothing(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("dry"));
    let map = config_map(&namespace, "settings", "one");
    let verdict = plane.block_on(cluster.dry_run(&map, SET)).expect("because the server runs");
    let DryRun::Would(object) = verdict else { panic!("it would, not {verdict:?}") };
    assert_eq!(object["data"], json!({"key": "one"}));
    assert_eq!(plane.get(&path(&map)), None);
    let elsewhere = plane.block_on(cluster.dry_run(&config_map("never-made", "settings", "one"), SET));
    assert_eq!(denied(elsewhere.expect("because that is a verdict")).code, Code::NamespaceNotFound);
}

fn denied(verdict: DryRun) -> Reason {
    match verdict {
        DryRun::Denied(reason) => reason,
        DryRun::Would(object) => panic!("denied, not {object}"),
    }
}

fn an_immutable_field_needs_a_recreate(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("immutable"));
    done(apply(plane, &cluster, &deployment(&namespace, "web")));
    let other = deployment(&namespace, "shop");
    let verdict = plane.block_on(cluster.dry_run(&other, SET)).expect("because the server runs");
    assert_eq!(denied(verdict).code, Code::RecreateNeedsApproval);
    let Applied::Denied(reason) = apply(plane, &cluster, &other) else { panic!("denied") };
    assert_eq!(reason.code, Code::RecreateNeedsApproval);
}

fn row_47_an_unknown_field_is_refused(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("unknown"));
    let mut typo = deployment(&namespace, "web");
    typo.value["spec"]["repicas"] = json!(3);
    let reason = denied(plane.block_on(cluster.dry_run(&typo, SET)).expect("because that is a verdict"));
    assert_eq!(reason.code, Code::DryRunDenied);
    assert!(reason.message.contains("repicas"), "the field is named in `{}`", reason.message);
    let Applied::Denied(reason) = apply(plane, &cluster, &typo) else { panic!("denied") };
    assert_eq!(reason.code, Code::ApplyFailed);
}

/// Refuses objects whose name is `forbidden-fruit` in a namespace, in the server's own policy language.
fn refuse_by_policy(plane: &ControlPlane, namespace: &str, resource: &str) {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let rule = json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": [resource]});
    let quoting = "'the value ' + object.data.key + ' is not welcome'";
    let judge = json!({"expression": "object.metadata.name != 'forbidden-fruit'", "messageExpression": quoting});
    let only = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let spec = json!({"matchConstraints": {"resourceRules": [rule]}, "validations": [judge]});
    plane.create(
        &format!("{group}/validatingadmissionpolicies"),
        &json!({"metadata": {"name": namespace}, "spec": spec}),
    );
    let bound = json!({"policyName": namespace, "validationActions": ["Deny"],
                       "matchResources": {"namespaceSelector": only}});
    let binding = json!({"metadata": {"name": namespace}, "spec": bound});
    plane.create(&format!("{group}/validatingadmissionpolicybindings"), &binding);
}

fn row_75_admission_refuses(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("admission"));
    refuse_by_policy(plane, &namespace, "configmaps");
    let fruit = config_map(&namespace, "forbidden-fruit", "apple");
    let reason = eventually("the policy is in force", || {
        match plane.block_on(cluster.dry_run(&fruit, SET)).expect("because that is a verdict") {
            DryRun::Denied(reason) => Some(reason),
            DryRun::Would(_) => None,
        }
    });
    assert_eq!((reason.code, reason.object.as_ref()), (Code::DryRunDenied, Some(&fruit.key)));
    assert!(reason.message.contains("apple is not welcome"), "the policy's words are in `{}`", reason.message);
    let Applied::Denied(reason) = apply(plane, &cluster, &fruit) else { panic!("denied") };
    assert_eq!(reason.code, Code::ApplyFailed);
}

fn a_refused_secret_is_not_quoted(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("secret"));
    let metadata = json!({"name": "not a valid name", "namespace": namespace});
    let secret = manifest(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata,
                                 "data": {"password": "aHVudGVyMg==", "broken": "%hunter2%"}}));
    let reason = denied(plane.block_on(cluster.dry_run(&secret, SET)).expect("because that is a verdict"));
    let Applied::Denied(second) = apply(plane, &cluster, &secret) else { panic!("denied") };
    for reason in [reason, second] {
        assert!(reason.message.contains("withheld"), "got `{}`", reason.message);
        assert!(!reason.message.contains("hunter2"), "no value is in `{}`", reason.message);
    }
}

fn row_26_a_missing_right_is_named_and_may_come(plane: &'static ControlPlane) {
    let namespace = plane.namespace("rights");
    let user = plane.spare_user();
    let cluster = connect(plane, plane.kubeconfig(&user));
    let map = config_map(&namespace, "settings", "one");
    let Applied::Denied(reason) = apply(plane, &cluster, &map) else { panic!("denied") };
    assert_eq!(reason.code, Code::Forbidden);
    assert_eq!(reason.message, format!("`{}` is out of reach: no right to `patch` `configmaps`", map.key));
    let reason = denied(plane.block_on(cluster.dry_run(&map, SET)).expect("because that is a verdict"));
    assert_eq!(reason.code, Code::Forbidden);
    let error = read(plane, &cluster, std::slice::from_ref(&map)).expect_err("because it may not read");
    assert_eq!(error.reason().code, Code::Forbidden, "what may not be read is not absent");
    let Deleted::Retry { reason, .. } = delete(plane, &cluster, &map, None) else { panic!("not deleted") };
    assert_eq!(reason.code, Code::Forbidden);

    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]});
    plane.create(&format!("{rbac}/roles"), &json!({"metadata": {"name": "maps"}, "rules": [rule]}));
    let subject = json!({"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"});
    let role = json!({"kind": "Role", "name": "maps", "apiGroup": "rbac.authorization.k8s.io"});
    let binding = json!({"metadata": {"name": "maps"}, "subjects": [subject], "roleRef": role});
    plane.create(&format!("{rbac}/rolebindings"), &binding);
    eventually("the right has come", || matches!(apply(plane, &cluster, &map), Applied::Done { .. }).then_some(()));
    plane.delete(&format!("{rbac}/rolebindings/maps"));
    eventually("the right has gone", || matches!(apply(plane, &cluster, &map), Applied::Denied(_)).then_some(()));
}

fn deletes_what_is_ours_and_nothing_else(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("delete"));
    let map = config_map(&namespace, "settings", "one");
    assert_eq!(delete(plane, &cluster, &map, None), Deleted::Gone, "what is not there is gone");
    let (uid, _) = done(apply(plane, &cluster, &map));
    let not_ours = |manifest: &Manifest, uid: Option<&str>, found: &str| {
        let deleted = delete(plane, &cluster, manifest, uid);
        let Deleted::NotOurs(reason) = deleted else { panic!("left alone ({found}), not {deleted:?}") };
        assert_eq!(reason.code, Code::OwnedByOther);
        assert!(reason.message.contains(found), "`{found}` is in `{}`", reason.message);
        assert!(plane.get(&path(manifest)).is_some(), "it is still there");
    };
    not_ours(&map, Some("11111111-1111-1111-1111-111111111111"), "another object has taken its name");
    // The owner has to exist: the garbage collector takes what an absent one owned.
    let (boss, _) = done(apply(plane, &cluster, &config_map(&namespace, "boss", "one")));
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "boss", "controller": true, "uid": boss});
    plane.patch(&path(&map), &json!({"metadata": {"ownerReferences": [owner]}}));
    not_ours(&map, Some(&uid), "`ConfigMap/boss` controls it");
    plane.patch(&path(&map), &json!({"metadata": {"ownerReferences": null, "labels": {PART_OF: "other"}}}));
    not_ours(&map, Some(&uid), "our set's label");
    plane.patch(&path(&map), &json!({"metadata": {"labels": {PART_OF: SET}}}));
    assert_eq!(delete(plane, &cluster, &map, Some(&uid)), Deleted::Gone);
    assert_eq!(plane.get(&path(&map)), None);
    let mut unserved = config_map(&namespace, "settings", "one");
    unserved.kind = GroupVersionKind::from_manifest("gone.example/v1", "Gone");
    assert_eq!(delete(plane, &cluster, &unserved, None), Deleted::Gone, "objects go with their kind");
}

fn row_10_a_finalizer_is_named(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("finalizer"));
    let map = config_map(&namespace, "settings", "one");
    let (uid, _) = done(apply(plane, &cluster, &map));
    plane.patch(&path(&map), &json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    for _ in 0..2 {
        let deleted = delete(plane, &cluster, &map, Some(&uid));
        let Deleted::Terminating(reason) = deleted else { panic!("terminating, not {deleted:?}") };
        assert_eq!(reason.code, Code::DeletionBlocked);
        assert!(reason.message.contains("`example.com/hold`"), "it is named in `{}`", reason.message);
    }
    plane.patch(&path(&map), &json!({"metadata": {"finalizers": null}}));
    assert_eq!(delete(plane, &cluster, &map, Some(&uid)), Deleted::Gone);
}

fn few_objects_are_read_alone_and_many_by_a_list(plane: &'static ControlPlane) {
    let namespace = plane.namespace("read");
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let maps: Vec<_> = (0..12).map(|number| config_map(&namespace, &format!("map-{number}"), "one")).collect();
    for map in &maps[..11] {
        done(apply(plane, &cluster, map));
    }
    for (count, requests) in [(3, 3), (12, 1)] {
        proxy.forget();
        let asked = &maps[12 - count..];
        let read = read(plane, &cluster, asked).expect("because the server runs");
        assert_eq!(proxy.calls().len(), requests, "{count} objects take {requests} requests");
        let expected = asked.iter().map(|map| {
            let live = plane.get(&path(map)).map_or(Live::Absent, Live::Present);
            (map.key.clone(), live)
        });
        assert_eq!(read, expected.collect(), "{count} objects are read as they are");
    }
}

fn row_20_a_list_that_expires_is_read_anew(plane: &'static ControlPlane) {
    let namespace = plane.namespace("expire");
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let maps: Vec<_> = (0..12).map(|number| config_map(&namespace, &format!("map-{number}"), "one")).collect();
    done(apply(plane, &cluster, &maps[0]));
    let lists = AtomicUsize::new(0);
    let phantom = json!({"metadata": {"name": "map-1", "namespace": namespace}});
    let page = json!({"kind": "ConfigMapList", "metadata": {"continue": "old"}, "items": [phantom]});
    proxy.judge(move |call, moment| match moment {
        Moment::Before if call.query.contains("continue=old") => {
            Verdict::Answer(Reply::status(410, "Expired", "the continue parameter is too old"))
        }
        Moment::Before if call.query.contains("limit") => match lists.fetch_add(1, Ordering::Relaxed) {
            0 => Verdict::Answer(Reply { status: 200, headers: Vec::new(), body: page.clone() }),
            _ => Verdict::Pass,
        },
        Moment::Before | Moment::After(_) => Verdict::Pass,
    });
    let read = read(plane, &cluster, &maps).expect("because the second list is whole");
    let present: Vec<_> =
        read.iter().filter(|(_, live)| matches!(live, Live::Present(_))).map(|(key, _)| key).collect();
    assert_eq!(present, [&maps[0].key], "nothing of the list that broke off is taken");
}

type Watch = Pin<Box<dyn Stream<Item = Seen> + Send>>;

fn watch(cluster: &Cluster, kind: &Manifest) -> Watch {
    Box::pin(cluster.watch(&kind.kind, &format!("{PART_OF}={SET}")))
}

/// What the watch sees next of this key, or of no key; others' objects of the same set are passed over.
fn next(plane: &ControlPlane, watch: &mut Watch, namespace: &str) -> Seen {
    let ours = |key: &ObjectKey| key.namespace.as_deref() == Some(namespace);
    plane.block_on(async {
        let found = async {
            loop {
                let seen = watch.next().await.expect("because a watch never ends");
                match &seen {
                    Seen::Object { key, .. } | Seen::Gone { key, .. } if !ours(key) => {}
                    _ => return seen,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.expect("because the watch sees it within a minute")
    })
}

fn object(seen: Seen) -> (ObjectKey, Value) {
    match seen {
        Seen::Object { key, value, .. } => (key, value),
        other => panic!("an object, not {other:?}"),
    }
}

fn gone(seen: Seen) -> ObjectKey {
    match seen {
        Seen::Gone { key, .. } => key,
        other => panic!("a loss, not {other:?}"),
    }
}

fn a_watch_sees_what_is_there_a_change_and_a_gone(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("watch"));
    let map = service(&namespace, "front");
    let (uid, made) = done(apply(plane, &cluster, &map));
    let mut watch = watch(&cluster, &map);
    assert_eq!(next(plane, &mut watch, &namespace), Seen::Listing);
    assert_eq!(object(next(plane, &mut watch, &namespace)), (map.key.clone(), made), "exactly as an apply answers");
    assert_eq!(next(plane, &mut watch, &namespace), Seen::Listed);
    plane.patch(&path(&map), &json!({"spec": {"sessionAffinity": "ClientIP"}}));
    let (key, changed) = object(next(plane, &mut watch, &namespace));
    assert_eq!(
        (key, &changed["spec"]["sessionAffinity"], &changed["kind"]),
        (map.key.clone(), &json!("ClientIP"), &json!("Service"))
    );
    plane.patch(&path(&map), &json!({"metadata": {"labels": {PART_OF: null}}}));
    assert_eq!(gone(next(plane, &mut watch, &namespace)), map.key, "without the label it is out of sight");
    let (_, healed) = done(apply(plane, &cluster, &map));
    assert_eq!(object(next(plane, &mut watch, &namespace)), (map.key.clone(), healed));
    assert_eq!(delete(plane, &cluster, &map, Some(&uid)), Deleted::Gone);
    assert_eq!(gone(next(plane, &mut watch, &namespace)), map.key);
}

fn a_watch_never_carries_secret_data(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("hidden"));
    let metadata = json!({"name": "login", "namespace": namespace});
    let secret = |value: &str| {
        manifest(json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"password": value}}))
    };
    done(apply(plane, &cluster, &secret("aHVudGVyMg==")));
    let mut watch = watch(&cluster, &secret(""));
    assert_eq!(next(plane, &mut watch, &namespace), Seen::Listing);
    let (_, listed) = object(next(plane, &mut watch, &namespace));
    assert_eq!(next(plane, &mut watch, &namespace), Seen::Listed);
    done(apply(plane, &cluster, &secret("aHVudGVyMw==")));
    let (_, watched) = object(next(plane, &mut watch, &namespace));
    assert_ne!(listed["metadata"]["resourceVersion"], watched["metadata"]["resourceVersion"]);
    for value in [listed, watched] {
        assert_eq!((&value["apiVersion"], &value["kind"]), (&json!("v1"), &json!("Secret")));
        assert_eq!(value.get("data"), None);
        assert_eq!(value["metadata"]["labels"][PART_OF], SET);
    }
}

fn a_watch_lists_anew_after_410(plane: &'static ControlPlane) {
    let namespace = plane.namespace("compact");
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let (stays, goes) = (config_map(&namespace, "stays", "one"), config_map(&namespace, "goes", "one"));
    let (_, stayed) = done(apply(plane, &cluster, &stays));
    done(apply(plane, &cluster, &goes));
    // The watch itself never begins; when the test lets it, the server has forgotten that far back.
    let times = AtomicUsize::new(0);
    proxy.judge(move |call, moment| match moment {
        Moment::Before if call.query.contains("watch=true") => match times.fetch_add(1, Ordering::Relaxed) {
            0 => Verdict::Hang,
            1 => Verdict::Answer(Reply::gone_in_a_watch()),
            _ => Verdict::Pass,
        },
        Moment::Before | Moment::After(_) => Verdict::Pass,
    });
    let mut watch = watch(&cluster, &stays);
    assert_eq!(next(plane, &mut watch, &namespace), Seen::Listing);
    let first: BTreeSet<_> = [(); 2].map(|()| object(next(plane, &mut watch, &namespace)).0).into_iter().collect();
    assert_eq!(first, BTreeSet::from([stays.key.clone(), goes.key.clone()]));
    assert_eq!(next(plane, &mut watch, &namespace), Seen::Listed);
    plane.delete(&path(&goes));
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            proxy.hanging(Duration::from_secs(30)).expect("because the watch is held");
            proxy.release();
        });
        while seen.last() != Some(&Seen::Listed) {
            seen.push(next(plane, &mut watch, &namespace));
        }
    });
    seen.retain(|seen| !matches!(seen, Seen::Failed(..)));
    let [Seen::Listing, Seen::Object { key, value, .. }, Seen::Listed] = &seen[..] else { panic!("{seen:?}") };
    let versions = [&value, &&stayed].map(|it| it["metadata"]["resourceVersion"].clone());
    assert_eq!((key, &versions[0]), (&stays.key, &versions[1]), "a new list shows what is there, and only that");
}

fn row_22_a_crd_and_its_object_in_one_go(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("crd"));
    let names = json!({"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"});
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let spec = json!({"group": "row22.example.com", "scope": "Namespaced", "names": names, "versions": [version]});
    let crd = manifest(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                              "metadata": {"name": "gadgets.row22.example.com"}, "spec": spec}));
    let metadata = json!({"name": "one", "namespace": namespace});
    let gadget =
        json!({"apiVersion": "row22.example.com/v1", "kind": "Gadget", "metadata": metadata, "spec": {"size": 1}});
    let gadget = manifest(gadget);

    let absent = BTreeMap::from([(gadget.key.clone(), Live::Absent)]);
    assert_eq!(
        read(plane, &cluster, std::slice::from_ref(&gadget)).expect("because its group is truly not served"),
        absent
    );
    let Applied::Retry { reason, .. } = apply(plane, &cluster, &gadget) else { panic!("not yet") };
    assert_eq!(reason.code, Code::KindNotFound);
    let mut watch = watch(&cluster, &gadget);
    let Seen::Failed(reason) = next(plane, &mut watch, &namespace) else { panic!("not yet") };
    assert_eq!(reason.code, Code::KindNotFound);

    done(apply(plane, &cluster, &crd));
    let (_, made) = eventually("the kind is served", || match apply(plane, &cluster, &gadget) {
        Applied::Done { uid, object } => Some((uid, object)),
        Applied::Retry { .. } => None,
        other => panic!("applied or not yet, not {other:?}"),
    });
    assert_eq!(cluster.scopes().0.get(&gadget.key.group_kind()), Some(&Scope::Namespaced));
    let seen = std::iter::repeat_with(|| next(plane, &mut watch, &namespace));
    let mut seen = seen.skip_while(|seen| matches!(seen, Seen::Failed(..) | Seen::Listing));
    assert_eq!(seen.next().map(object), Some((gadget.key, made)), "the watch finds the kind by itself");
}
