//! Who may ask the API, as the API server judges it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kube::config::{KubeConfigOptions, Kubeconfig};
use lockmaster::edge::http::{Api, Limits, Login, Serving, serve_api};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::client::{Reply, get};
use crate::control_plane::proxy::{Moment, Proxy, Reply as ServerReply, Verdict};
use crate::control_plane::{AGENT, ControlPlane, eventually};
use crate::{deployed, kubectl, may};

const LOCAL: &str = "the-token-of-the-state-directory";
const PATH: &str = "/api/v1/pipelines";

/// An API that judges logins through this client, for the namespace `lockmaster`.
fn serve(plane: &ControlPlane, client: kube::Client) -> Serving {
    let login = Login::new(SecretString::from(LOCAL)).reviewed_by(client, "lockmaster");
    let api = Api {
        login: Arc::new(login),
        pipelines: Arc::new(|| Box::pin(async { Ok(json!({"pipelines": ["shop"]})) })),
        status: Arc::new(|_| Box::pin(async { Ok(None) })),
        limits: Limits::default(),
    };
    let address: SocketAddr = "127.0.0.1:0".parse().expect("because it is an address");
    let serving = plane.block_on(serve_api(address, CancellationToken::new(), api));
    serving.expect("because loopback ports are left")
}

fn ask(plane: &ControlPlane, serving: &Serving, token: &str) -> Reply {
    plane.block_on(get(serving.address(), PATH, token))
}

fn client(plane: &ControlPlane, kubeconfig: PathBuf) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("because the harness wrote it");
    plane.block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        kube::Client::try_from(config.expect("because the harness wrote it")).expect("because it is plain HTTP")
    })
}

/// A token of a new account.
fn account(plane: &ControlPlane, namespace: &str, name: &str) -> String {
    kubectl(plane, &["create", "serviceaccount", name, "--namespace", namespace]);
    kubectl(plane, &["create", "token", name, "--namespace", namespace]).trim().to_owned()
}

pub(super) fn an_account_with_the_right(plane: &'static ControlPlane) {
    let serving = serve(plane, deployed(plane));
    let namespace = plane.namespace("people");
    let token = account(plane, &namespace, "reader");
    let denied = ask(plane, &serving, &token);
    assert_eq!((denied.status, &denied.json()["code"]), (403, &json!("forbidden")), "{denied:?}");
    let unknown = plane.block_on(get(serving.address(), "/none", &token));
    assert_eq!(unknown.body, denied.body, "without the right nothing tells what exists");
    // The right in another namespace is none here.
    let rule = json!([{"apiGroups": ["lockmaster.dev"], "resources": ["pipelines"], "verbs": ["get"]}]);
    let grant = |place: &str| {
        let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{place}");
        plane.create(&format!("{rbac}/roles"), &json!({"metadata": {"name": "reader"}, "rules": rule}));
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"});
        let subject = json!({"kind": "ServiceAccount", "name": "reader", "namespace": namespace});
        let binding = json!({"metadata": {"name": "reader"}, "roleRef": role, "subjects": [subject]});
        plane.create(&format!("{rbac}/rolebindings"), &binding);
    };
    grant(&namespace);
    let user = format!("system:serviceaccount:{namespace}:reader");
    let attributes = json!({"namespace": namespace, "verb": "get", "group": "lockmaster.dev", "resource": "pipelines"});
    may(plane, &user, &attributes);
    assert_eq!(ask(plane, &serving, &token).status, 403);
    grant("lockmaster");
    let granted = eventually("the right is seen", || {
        let reply = ask(plane, &serving, &token);
        (reply.status == 200).then_some(reply)
    });
    assert_eq!(granted.json(), json!({"pipelines": ["shop"]}));
    assert_eq!(granted.header("cache-control"), Some("no-store"), "{granted:?}");
}

pub(super) fn a_token_that_nobody_issued(plane: &'static ControlPlane) {
    let serving = serve(plane, deployed(plane));
    for token in ["x", "eyJhbGciOiJub25lIn0.e30.", &format!("{LOCAL}x")] {
        let reply = ask(plane, &serving, token);
        assert_eq!((reply.status, &reply.json()["code"]), (401, &json!("authentication-failed")), "{reply:?}");
    }
    assert_eq!(ask(plane, &serving, LOCAL).status, 200);
}

/// The answers of a server that says this of every token, and that everybody has the right.
fn saying(status: &Value) -> impl Fn(&crate::control_plane::proxy::Call, Moment) -> Verdict + Send + Sync + use<> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
                        "spec": {"token": "x"}, "status": status});
    let access = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
                        "spec": {}, "status": {"allowed": true}});
    move |call, _| {
        let body = if call.path.ends_with("/tokenreviews") { review.clone() } else { access.clone() };
        Verdict::Answer(ServerReply { status: 201, headers: Vec::new(), body })
    }
}

pub(super) fn an_identity_without_a_name(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let serving = serve(plane, client(plane, proxy.kubeconfig()));
    for status in [
        json!({"authenticated": true}),
        json!({"authenticated": true, "user": {}}),
        json!({"authenticated": true, "user": {"username": ""}}),
        json!({"authenticated": false, "user": {"username": "dana"}}),
        json!({"user": {"username": "dana"}}),
        json!({"authenticated": true, "user": {"groups": ["system:masters"]}}),
    ] {
        proxy.judge(saying(&status));
        let reply = ask(plane, &serving, "some-token");
        assert_eq!(reply.status, 401, "{status}: {reply:?}");
    }
    proxy.judge(saying(&json!({"authenticated": true, "user": {"username": "dana"}})));
    assert_eq!(ask(plane, &serving, "some-token").status, 200);
}

pub(super) fn a_login_that_cannot_be_judged(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let serving = serve(plane, client(plane, proxy.kubeconfig()));
    let failures: [fn() -> Verdict; 3] = [
        || Verdict::Cut,
        || Verdict::Answer(ServerReply::status(500, "InternalError", "etcdserver: no leader")),
        || Verdict::Answer(ServerReply::status(403, "Forbidden", "tokenreviews is forbidden")),
    ];
    for failure in failures {
        proxy.judge(move |_, _| failure());
        let reply = ask(plane, &serving, "admin-token");
        let expected = json!({"code": "cluster-unreachable", "message": "the login cannot be judged now"});
        assert_eq!((reply.status, reply.json()), (503, expected), "{reply:?}");
        assert_eq!(ask(plane, &serving, LOCAL).status, 200, "the agent's own token needs no server");
    }
    proxy.judge(|_, _| Verdict::Pass);
    assert_eq!(ask(plane, &serving, "admin-token").status, 200);
}

pub(super) fn a_login_that_was_granted(plane: &'static ControlPlane) {
    let proxy = Proxy::start(plane, AGENT);
    let serving = serve(plane, client(plane, proxy.kubeconfig()));
    let asked = || proxy.calls().iter().map(|call| call.path.clone()).collect::<Vec<_>>();
    for _ in 0..3 {
        assert_eq!(ask(plane, &serving, "admin-token").status, 200);
    }
    let reviews = ["/apis/authentication.k8s.io/v1/tokenreviews", "/apis/authorization.k8s.io/v1/subjectaccessreviews"];
    assert_eq!(asked(), reviews);
    let question = &proxy.calls()[1].body["spec"];
    let attributes =
        json!({"namespace": "lockmaster", "verb": "get", "group": "lockmaster.dev", "resource": "pipelines"});
    assert_eq!((&question["user"], &question["resourceAttributes"]), (&json!("admin"), &attributes), "{question}");
    assert_eq!(question["groups"], json!(["system:masters", "system:authenticated"]), "{question}");
    proxy.forget();
    // A token without a right is judged each time: the right may come.
    let user = plane.spare_user();
    for _ in 0..2 {
        assert_eq!(ask(plane, &serving, &format!("{user}-token")).status, 403);
    }
    assert_eq!(asked(), [reviews, reviews].concat());
    proxy.forget();
    ask(plane, &serving, LOCAL);
    ask(plane, &serving, "");
    assert_eq!(asked(), [""; 0], "neither needs the API server");
}
