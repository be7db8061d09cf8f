//! What the edge makes of faults between it and the server, played by the proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lockmaster::edge::cluster::{Applied, ClusterError, Deleted};
use lockmaster::name::Code;
use lockmaster::plan::Live;
use serde_json::json;

use crate::control_plane::proxy::{Call, Moment, Proxy, Reply, Verdict};
use crate::control_plane::{AGENT, ControlPlane};
use crate::{SET, agent, apply, config_map, connect, delete, done, manifest, path, read};

fn retried(applied: Applied) -> (Code, Option<Duration>) {
    match applied {
        Applied::Retry { reason, after } => (reason.code, after),
        other => panic!("to be retried, not {other:?}"),
    }
}

pub(crate) fn row_11_obeys_retry_after(plane: &'static ControlPlane) {
    let namespace = plane.namespace("throttle");
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    plane.block_on(cluster.discover()).expect("because the server runs");
    proxy.forget();
    proxy.judge(|_, _| Verdict::Answer(Reply::too_many(7)));
    let map = config_map(&namespace, "settings", "one");
    let told = (Code::ClusterUnreachable, Some(Duration::from_secs(7)));
    assert_eq!(retried(apply(plane, &cluster, &map)), told);
    assert_eq!(proxy.calls().len(), 1, "it is not sent again behind the agent's back");
    let error = plane.block_on(cluster.dry_run(&map, SET)).expect_err("because that is no verdict");
    assert_eq!((error.reason().code, error.retry_after()), told);
    let Deleted::Retry { reason, after } = delete(plane, &cluster, &map, None) else { panic!("to be retried") };
    assert_eq!((reason.code, after), told);
}

pub(crate) fn row_12_a_broken_server_is_asked_again(plane: &'static ControlPlane) {
    let namespace = plane.namespace("broken");
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let map = config_map(&namespace, "settings", "one");
    for (number, status) in [500, 503, 504].into_iter().enumerate() {
        // Half of them after the server did it: the answer says nothing about that.
        let moment = if number % 2 == 0 { Moment::Before } else { Moment::After(201) };
        proxy.judge(move |call, now| match call.write {
            Some(_) if now == moment => Verdict::Answer(Reply::status(status, "InternalError", "etcdserver: timeout")),
            Some(_) | None => Verdict::Pass,
        });
        let code = if status == 500 { Code::ApplyFailed } else { Code::ClusterUnreachable };
        assert_eq!(retried(apply(plane, &cluster, &map)), (code, None), "{status}");
    }
    proxy.judge(|_, _| Verdict::Pass);
    done(apply(plane, &cluster, &map));
}

pub(crate) fn row_13_a_lost_answer_makes_no_second_object(plane: &'static ControlPlane) {
    let namespace = plane.namespace("lost");
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let map = config_map(&namespace, "settings", "one");
    let lose = |call: &Call, moment: Moment| match (call.write, moment) {
        (Some(_), Moment::After(_)) => Verdict::Cut,
        _ => Verdict::Pass,
    };
    proxy.judge(lose);
    assert_eq!(retried(apply(plane, &cluster, &map)), (Code::ClusterUnreachable, None));
    let made = plane.get(&path(&map)).expect("because the server did it");
    proxy.judge(|_, _| Verdict::Pass);
    let (uid, again) = done(apply(plane, &cluster, &map));
    assert_eq!(again, made, "sent again it changes nothing");
    proxy.judge(lose);
    let Deleted::Retry { .. } = delete(plane, &cluster, &map, Some(&uid)) else { panic!("to be retried") };
    proxy.judge(|_, _| Verdict::Pass);
    assert_eq!(delete(plane, &cluster, &map, Some(&uid)), Deleted::Gone);
}

pub(crate) fn row_21_a_stale_group_is_unknown_and_not_absent(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    let group = |name: &str, freshness: &str| json!({"metadata": {"name": name}, "versions": [{"version": "v1", "freshness": freshness, "resources": []}]});
    let groups = json!([group("stale.example.com", "Stale"), group("fresh.example.com", "Current")]);
    let list = json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": groups});
    proxy.judge(move |call, moment| match (call.path.as_str(), moment) {
        ("/apis", Moment::Before) => Verdict::Answer(Reply { status: 200, headers: Vec::new(), body: list.clone() }),
        ("/apis/dead.example.com", Moment::Before) => {
            Verdict::Answer(Reply::status(503, "ServiceUnavailable", "no endpoints available"))
        }
        _ => Verdict::Pass,
    });
    let thing = |group: &str| {
        let metadata = json!({"name": "one", "namespace": "default"});
        manifest(json!({"apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": metadata}))
    };
    for group in ["stale.example.com", "dead.example.com"] {
        let error = read(plane, &cluster, &[thing(group)]).expect_err("because nothing is known about it");
        assert!(matches!(&error, ClusterError::GroupUnavailable(name) if name == group), "{group}: {error}");
        let Deleted::Retry { reason, .. } = delete(plane, &cluster, &thing(group), None) else { panic!("{group}") };
        assert_eq!(reason.code, Code::ClusterUnreachable);
    }
    for group in ["fresh.example.com", "never.example.com"] {
        let found = read(plane, &cluster, &[thing(group)]).expect("because it is truly not served");
        assert_eq!(found, BTreeMap::from([(thing(group).key, Live::Absent)]), "{group}");
    }
}

pub(crate) fn row_23_a_terminating_namespace_is_waited_for(plane: &'static ControlPlane) {
    let (cluster, namespace) = (agent(plane), plane.namespace("ending"));
    let held = config_map(&namespace, "held", "one");
    done(apply(plane, &cluster, &held));
    plane.patch(&path(&held), &json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    plane.delete(&format!("/api/v1/namespaces/{namespace}"));
    let found = plane.block_on(cluster.namespaces(&BTreeSet::from([namespace.clone()])));
    assert_eq!(found.expect("because the server runs"), BTreeSet::new(), "one that ends does not count");
    let (code, _) = retried(apply(plane, &cluster, &config_map(&namespace, "late", "one")));
    assert_eq!(code, Code::DeletionBlocked);
    plane.patch(&path(&held), &json!({"metadata": {"finalizers": null}}));
}

pub(crate) fn row_50_a_portal_is_no_answer(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let cluster = connect(plane, proxy.kubeconfig());
    plane.block_on(cluster.discover()).expect("because the server runs");
    let map = config_map("default", "settings", "one");
    for body in [json!("<html>please log in</html>"), json!({}), json!({"items": []})] {
        let reply = Reply { status: 200, headers: Vec::new(), body };
        proxy.judge(move |_, _| Verdict::Answer(reply.clone()));
        plane.block_on(cluster.discover()).expect_err("because that is no discovery");
        read(plane, &cluster, std::slice::from_ref(&map)).expect_err("because that is no object");
        let many: Vec<_> = (0..12).map(|number| config_map("default", &format!("map-{number}"), "one")).collect();
        read(plane, &cluster, &many).expect_err("because that is no list");
        retried(apply(plane, &cluster, &map));
        let deleted = delete(plane, &cluster, &map, None);
        assert!(matches!(deleted, Deleted::Retry { .. }), "not {deleted:?}");
    }
}
