//! The counted requests against what the server itself says was asked of it.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use lockmaster::edge::cluster::{Access, Applied, Cluster, Deleted, Seen, Writing};
use lockmaster::manifest::{Manifest, Stage};
use lockmaster::name::{Digest, GroupVersionKind, ObjectKey};
use lockmaster::plan::PART_OF;
use serde_json::{Value, json};

use crate::control_plane::proxy::{Call, Moment, Proxy, Reply, Verdict};
use crate::control_plane::{AGENT, ControlPlane};
use crate::may;

/// The set of the tests' environment.
const SET: &str = "applyset-surface-v1";

fn connect(plane: &ControlPlane, kubeconfig: std::path::PathBuf) -> Cluster {
    let access = Access { kubeconfig: Some(kubeconfig), context: None };
    plane.block_on(Cluster::connect(&access)).expect("because the harness wrote the file")
}

fn config_map(namespace: &str, name: &str) -> Manifest {
    let metadata = json!({"name": name, "namespace": namespace});
    let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}});
    let kind = GroupVersionKind::from_manifest("v1", "ConfigMap");
    let (namespace, name) = (Some(namespace.to_owned()), name.to_owned());
    let key = ObjectKey { group: String::new(), kind: kind.kind.clone(), namespace, name };
    let digest = Digest::of(value.to_string().as_bytes());
    Manifest { key, kind, stage: Stage::Config, wave: 0, scaled: false, value, digest }
}

/// What was counted since, by verb and class.
fn counted(cluster: &Cluster) -> BTreeMap<(&'static str, &'static str), u64> {
    cluster.take_requests().into_iter().map(|one| ((one.verb, one.code_class), one.count)).collect()
}

pub(super) fn are_those_of_the_audit_log(plane: &'static ControlPlane) {
    let (user, namespace) = (plane.spare_user(), plane.namespace("counted"));
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user});
    let binding = json!({"metadata": {"name": user}, "roleRef": role, "subjects": [subject]});
    plane.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding);
    may(plane, &user, &json!({"verb": "delete", "resource": "namespaces"}));
    let cluster = connect(plane, plane.kubeconfig(&user));
    let mark = plane.mark();
    let objects: Vec<Manifest> = (0..12).map(|number| config_map(&namespace, &format!("a-{number}"))).collect();
    plane.block_on(async {
        cluster.ensure_namespace(&format!("{namespace}-fresh")).await.expect("because it can be made");
        for object in &objects {
            assert!(matches!(
                cluster.apply(object, SET, Writing { force: true, first: false }).await,
                Applied::Done { .. }
            ));
        }
        cluster.dry_run(&objects[0], SET).await.expect("because the server runs");
        let deleted = cluster.delete(&objects[0].key, &objects[0].kind, None, SET).await;
        assert!(matches!(deleted, Deleted::Gone), "{deleted:?}");
    });
    let counted = counted(&cluster);
    let mut audited: BTreeMap<&str, u64> = BTreeMap::new();
    let writes = plane.writes_since(mark, &user);
    for write in &writes {
        *audited.entry(write.verb.as_str()).or_default() += 1;
    }
    assert_eq!(audited, BTreeMap::from([("create", 1), ("delete", 1), ("patch", 12)]), "{writes:?}");
    let of = |verb: &'static str| counted.get(&(verb, "2xx")).copied().unwrap_or(0);
    assert_eq!((of("create"), of("delete")), (audited["create"], audited["delete"]), "{counted:?}");
    // The audit log knows apply as a patch, and does not show the dry run.
    assert_eq!(of("apply"), audited["patch"] + 1, "{counted:?}");
    assert_eq!(cluster.take_requests(), [], "what was taken is not told again");
}

pub(super) fn are_all_that_go_over_the_wire(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let (cluster, namespace) = (connect(plane, proxy.kubeconfig()), plane.namespace("wire"));
    let objects: Vec<Manifest> = (0..12).map(|number| config_map(&namespace, &format!("a-{number}"))).collect();
    let keys = objects.iter().map(|object| (object.key.clone(), object.kind.clone())).collect();
    plane.block_on(async {
        cluster.discover().await.expect("because the server runs");
        let one = BTreeMap::from([(objects[0].key.clone(), objects[0].kind.clone())]);
        cluster.clone().read(&one).await.expect("because the server runs");
        cluster.read(&keys).await.expect("because the server runs");
        let kind = GroupVersionKind::from_manifest("v1", "ConfigMap");
        let mut watch = std::pin::pin!(cluster.watch(&kind, &format!("{PART_OF}={SET}")));
        while !matches!(watch.next().await, Some(Seen::Listed)) {}
        cluster.apply(&objects[0], SET, Writing { force: true, first: false }).await;
        while !matches!(watch.next().await, Some(Seen::Object { key, .. }) if key == objects[0].key) {}
        // Clients that others were given count as well.
        let request = http::Request::get("/version").body(Vec::new()).expect("because the path is valid");
        cluster.client().request::<Value>(request).await.expect("because the server runs");
    });
    let is_list = |call: &Call| call.method == "GET" && call.path.ends_with("/configmaps");
    let is_watch = |call: &&Call| is_list(call) && call.query.contains("watch=true");
    let calls = proxy.calls();
    let got = counted(&cluster);
    assert_eq!(got.values().sum::<u64>(), calls.len() as u64, "{got:?}: {calls:?}");
    let watches = calls.iter().filter(is_watch).count() as u64;
    let lists = calls.iter().filter(|call| is_list(call)).count() as u64 - watches;
    assert_eq!((watches, lists), (1, 2), "{calls:?}");
    assert_eq!((got.get(&("list", "2xx")), got.get(&("apply", "2xx"))), (Some(&lists), Some(&1)), "{got:?}");
    assert_eq!(got.get(&("watch", "2xx")), Some(&watches), "{got:?}");
    assert_eq!(got.get(&("get", "4xx")), Some(&1), "an object that is not there: {got:?}");
}

pub(super) fn without_an_answer_are_counted(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    proxy.judge(|_, moment| if moment == Moment::Before { Verdict::Cut } else { Verdict::Pass });
    plane.block_on(cluster.uid()).expect_err("because the connection is cut");
    proxy.judge(|_, _| Verdict::Answer(Reply::status(503, "ServiceUnavailable", "not now")));
    plane.block_on(cluster.uid()).expect_err("because the server is not there");
    proxy.judge(|_, _| Verdict::Answer(Reply::too_many(1)));
    plane.block_on(cluster.uid()).expect_err("because the server has no time");
    let expected = BTreeMap::from([(("get", "4xx"), 1), (("get", "5xx"), 1), (("get", "error"), 1)]);
    assert_eq!(counted(&cluster), expected);
}
