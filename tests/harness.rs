//! The harness itself: a control plane that runs workloads, and a proxy that counts and cuts.

mod control_plane;

use std::process::ExitCode;
use std::time::Duration;

use control_plane::proxy::{Moment, Proxy, Reply, Verdict};
use control_plane::{ADMIN, AGENT, ControlPlane, eventually};
use serde_json::{Value, json};

fn main() -> ExitCode {
    control_plane::run(vec![
        ("a_deployment_becomes_available", a_deployment_becomes_available),
        ("a_crashing_image_shows_a_crash_loop", a_crashing_image_shows_a_crash_loop),
        ("a_slow_pod_runs_before_it_is_ready", a_slow_pod_runs_before_it_is_ready),
        ("a_job_succeeds_and_a_daemon_set_runs", a_job_succeeds_and_a_daemon_set_runs),
        ("a_claim_is_bound", a_claim_is_bound),
        ("a_deleted_namespace_goes", a_deleted_namespace_goes),
        ("the_audit_log_names_every_write_and_no_read", the_audit_log_names_every_write_and_no_read),
        ("the_proxy_counts_answers_and_cuts", the_proxy_counts_answers_and_cuts),
        ("the_proxy_holds_a_write_before_or_after_it_is_done", the_proxy_holds_a_write_before_or_after_it_is_done),
        ("a_watch_goes_through_the_proxy", a_watch_goes_through_the_proxy),
    ])
}

fn pod_template(image: &str) -> Value {
    let spec = json!({"containers": [{"name": "main", "image": image}], "restartPolicy": "Always"});
    json!({"metadata": {"labels": {"app": "web"}}, "spec": spec})
}

fn deployment(image: &str) -> Value {
    json!({"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": pod_template(image)}})
}

fn is_true(object: &Value, condition: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == condition && one["status"] == "True")
}

fn a_deployment_becomes_available(plane: &'static ControlPlane) {
    let path = format!("/apis/apps/v1/namespaces/{}/deployments", plane.namespace("deploy"));
    plane.create(&path, &deployment("registry.example/web:1"));
    let path = format!("{path}/web");
    let live = eventually("the deployment is available", || plane.get(&path).filter(|live| is_true(live, "Available")));
    assert_eq!(live["status"]["observedGeneration"], 1);
    eventually("both replicas are ready", || plane.get(&path).filter(|live| live["status"]["readyReplicas"] == 2));
}

fn a_crashing_image_shows_a_crash_loop(plane: &'static ControlPlane) {
    let namespace = plane.namespace("crash");
    plane.create(
        &format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        &deployment("registry.example/web:crash"),
    );
    let reason = "/status/containerStatuses/0/state/waiting/reason";
    eventually("a pod is in a crash loop", || {
        let pods = plane.get(&format!("/api/v1/namespaces/{namespace}/pods"))?;
        let pods = pods["items"].as_array()?;
        pods.iter().any(|pod| pod.pointer(reason) == Some(&json!("CrashLoopBackOff"))).then_some(())
    });
}

fn a_slow_pod_runs_before_it_is_ready(plane: &'static ControlPlane) {
    let path = format!("/api/v1/namespaces/{}/pods", plane.namespace("slow"));
    let mut pod = pod_template("registry.example/web:slow");
    pod["metadata"]["name"] = json!("web");
    plane.create(&path, &pod);
    let path = format!("{path}/web");
    let live = eventually("the pod runs", || plane.get(&path).filter(|live| live["status"]["phase"] == "Running"));
    assert!(!is_true(&live, "Ready"), "it is not ready at once");
    eventually("the pod is ready", || plane.get(&path).filter(|live| is_true(live, "Ready")));
}

fn a_job_succeeds_and_a_daemon_set_runs(plane: &'static ControlPlane) {
    let namespace = plane.namespace("job");
    let jobs = format!("/apis/batch/v1/namespaces/{namespace}/jobs");
    let mut template = pod_template("registry.example/migrate:1");
    template["spec"]["restartPolicy"] = json!("Never");
    plane.create(&jobs, &json!({"metadata": {"name": "migrate"}, "spec": {"template": template}}));
    let daemons = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets");
    let template = pod_template("registry.example/agent:1");
    let spec = json!({"selector": {"matchLabels": {"app": "web"}}, "template": template});
    plane.create(&daemons, &json!({"metadata": {"name": "agent"}, "spec": spec}));
    let (jobs, daemons) = (format!("{jobs}/migrate"), format!("{daemons}/agent"));
    eventually("the job is complete", || plane.get(&jobs).filter(|job| is_true(job, "Complete")));
    eventually("the daemon set runs", || plane.get(&daemons).filter(|set| set["status"]["numberReady"] == 1));
}

fn a_claim_is_bound(plane: &'static ControlPlane) {
    let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", plane.namespace("claim"));
    let resources = json!({"requests": {"storage": "1Gi"}});
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": "none"});
    plane.create(&path, &json!({"metadata": {"name": "data"}, "spec": spec}));
    let path = format!("{path}/data");
    eventually("the claim is bound", || plane.get(&path).filter(|live| live["status"]["phase"] == "Bound"));
}

fn a_deleted_namespace_goes(plane: &'static ControlPlane) {
    let namespace = plane.namespace("gone");
    let mut pod = pod_template("registry.example/web:1");
    pod["metadata"]["name"] = json!("web");
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    plane.create(&pods, &pod);
    eventually("the pod is ready", || plane.get(&format!("{pods}/web")).filter(|live| is_true(live, "Ready")));
    let path = format!("/api/v1/namespaces/{namespace}");
    plane.delete(&path);
    eventually("the namespace is gone", || plane.get(&path).is_none().then_some(()));
}

fn config_map(name: &str) -> Vec<u8> {
    json!({"metadata": {"name": name}, "data": {"key": "value"}}).to_string().into_bytes()
}

fn post_config_map(plane: &ControlPlane, client: &kube::Client, path: &str, name: &str) -> kube::Result<Value> {
    let request = http::Request::post(path).header("content-type", "application/json").body(config_map(name));
    plane.block_on(client.request::<Value>(request.expect("because the path is valid")))
}

fn the_audit_log_names_every_write_and_no_read(plane: &'static ControlPlane) {
    let namespace = plane.namespace("audit");
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    let agent = plane.client(AGENT);
    post_config_map(plane, &agent, &path, "before").expect("because the agent may");
    let mark = plane.mark();
    post_config_map(plane, &agent, &path, "first").expect("because the agent may");
    post_config_map(plane, &agent, &path, "first").expect_err("because it exists");
    post_config_map(plane, &agent, &format!("{path}?dryRun=All"), "dry").expect("because the agent may");
    plane.get(&path).expect("because the namespace exists");
    let writes = plane.writes_since(mark, AGENT);
    let writes: Vec<_> = writes.iter().filter(|write| write.namespace == namespace).collect();
    let [write] = writes.as_slice() else { panic!("one write, not {writes:?}") };
    assert_eq!((write.verb.as_str(), write.resource.as_str(), write.name.as_str()), ("create", "configmaps", "first"));
}

fn proxied(plane: &ControlPlane, proxy: &Proxy) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(proxy.kubeconfig()).expect("because the proxy wrote it");
    plane.block_on(async {
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("because the proxy wrote it");
        config.default_retry = false;
        kube::Client::try_from(config).expect("because the address is valid")
    })
}

fn the_proxy_counts_answers_and_cuts(plane: &'static ControlPlane) {
    let path = format!("/api/v1/namespaces/{}/configmaps", plane.namespace("proxy"));
    let proxy = Proxy::start(plane, ADMIN);
    let client = proxied(plane, &proxy);
    proxy.judge(|call, moment| match (call.write, moment) {
        (Some(1), Moment::Before) => Verdict::Answer(Reply::too_many(7)),
        (Some(2), Moment::Before) | (Some(3), Moment::After(_)) => Verdict::Cut,
        _ => Verdict::Pass,
    });
    let refused = post_config_map(plane, &client, &path, "throttled").expect_err("because the proxy says 429");
    assert!(matches!(&refused, kube::Error::Api(status) if status.code == 429), "got {refused}");
    for name in ["cut-before", "cut-after"] {
        let cut = post_config_map(plane, &client, &path, name).expect_err("because the connection is cut");
        assert!(!matches!(cut, kube::Error::Api(_)), "no answer came, not {cut}");
    }
    post_config_map(plane, &client, &path, "passed").expect("because the proxy lets it pass");
    let exists = |name: &str| plane.get(&format!("{path}/{name}")).is_some();
    let done = ["throttled", "cut-before", "cut-after", "passed"].map(exists);
    assert_eq!(done, [false, false, true, true], "a cut after the answer leaves the write done");
    let seen: Vec<_> = proxy.calls().iter().map(|call| (call.number, call.write, call.path == path)).collect();
    assert_eq!(seen, (1..=4).map(|number| (number, Some(number), true)).collect::<Vec<_>>());
}

fn the_proxy_holds_a_write_before_or_after_it_is_done(plane: &'static ControlPlane) {
    let path = format!("/api/v1/namespaces/{}/configmaps", plane.namespace("hold"));
    let proxy = Proxy::start(plane, ADMIN);
    for (name, after, done) in [("before", false, false), ("after", true, true)] {
        proxy.judge(move |_, moment| match moment {
            Moment::Before if !after => Verdict::Hang,
            Moment::After(201) if after => Verdict::Hang,
            Moment::Before | Moment::After(_) => Verdict::Pass,
        });
        let client = proxied(plane, &proxy);
        let request = http::Request::post(&path).header("content-type", "application/json").body(config_map(name));
        let request = request.expect("because the path is valid");
        let sent = plane.runtime().spawn(async move { client.request::<Value>(request).await });
        let held = proxy.hanging(Duration::from_secs(30)).expect("because the write is held");
        assert_eq!(held.body["metadata"]["name"], name);
        assert_eq!(plane.get(&format!("{path}/{name}")).is_some(), done, "held {name} it is done");
        proxy.release();
        plane.block_on(sent).expect("because it does not panic").expect_err("because no answer came");
    }
}

fn a_watch_goes_through_the_proxy(plane: &'static ControlPlane) {
    use futures::TryStreamExt as _;
    use k8s_openapi::api::core::v1::ConfigMap;
    let namespace = plane.namespace("watch");
    let proxy = Proxy::start(plane, ADMIN);
    let maps = kube::Api::<ConfigMap>::namespaced(proxied(plane, &proxy), &namespace);
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    plane.runtime().spawn_blocking(move || {
        eventually("the watch began", || {
            proxy.calls().iter().any(|call| call.query.contains("watch=true")).then_some(())
        });
        let made = plane.create(&path, &json!({"metadata": {"name": "seen"}}));
        assert_eq!(made["metadata"]["name"], "seen");
        eventually("the test has seen it", || plane.get(&format!("{path}/seen")).is_none().then_some(()));
    });
    let seen = plane.block_on(async {
        let events = maps.watch(&kube::api::WatchParams::default(), "0").await.expect("because the proxy streams");
        let mut named = std::pin::pin!(events.try_filter_map(|event| async move {
            Ok(match event {
                kube::api::WatchEvent::Added(map) => map.metadata.name.filter(|name| name == "seen"),
                _ => None,
            })
        }));
        named.try_next().await.expect("because the stream is whole")
    });
    assert_eq!(seen.as_deref(), Some("seen"));
    plane.delete(&format!("/api/v1/namespaces/{namespace}/configmaps/seen"));
}
