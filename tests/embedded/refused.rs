//! What it does not do, and that it says so.

use serde_json::{Value, json};

use crate::control_plane::{ControlPlane, Test};
use crate::{config, configs, deployment, deployments, refusal};

pub(crate) const TESTS: &[Test] = &[
    ("what_is_not_supported_answers_501_and_names_it", not_supported),
    ("a_kind_that_would_only_pretend_is_not_stored", pretending),
    ("what_nobody_serves_is_not_found", nowhere),
    ("a_body_that_is_not_json_is_refused", media),
    ("a_field_that_the_kind_has_not_is_refused_where_asked_for", unknown_fields),
    ("an_object_in_a_namespace_that_is_not_there_is_refused", no_namespace),
    ("a_write_over_a_newer_version_is_refused", stale),
    ("a_request_without_the_token_is_refused", without_token),
];

fn not_supported(plane: &'static ControlPlane) {
    let namespace = plane.namespace("unsupported");
    plane.create(&deployments(&namespace), &deployment("web", "web:1", 0));
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let table = [
        ("GET", format!("{pods}/any/log"), "`pods/log`"),
        ("POST", format!("{pods}/any/exec"), "`pods/exec`"),
        ("DELETE", configs(&namespace), "deleting a whole collection"),
        ("GET", format!("{pods}?fieldSelector=spec.nodeName%3Done"), "spec.nodeName"),
        ("GET", "/openapi/v3".to_owned(), "OpenAPI"),
        ("GET", "/apis/apps".to_owned(), "discovery that is not aggregated"),
        ("GET", "/api/v1".to_owned(), "discovery that is not aggregated"),
        ("DELETE", format!("{}/web?propagationPolicy=Foreground", deployments(&namespace)), "Foreground"),
    ];
    for (method, path, feature) in table {
        let status = refusal(plane, method, &path, None);
        assert_eq!((status.code, status.reason.as_str()), (501, "NotImplemented"), "{path}: {status:?}");
        assert!(status.message.contains(feature), "{path}: {}", status.message);
    }
}

fn pretending(plane: &'static ControlPlane) {
    let namespace = plane.namespace("pretending");
    let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations".to_owned();
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned();
    let quotas = format!("/api/v1/namespaces/{namespace}/resourcequotas");
    let features = [
        (webhooks, "`validatingwebhookconfigurations` (admission webhooks and policies)"),
        (reviews, "`subjectaccessreviews` (authorization)"),
        (quotas, "`resourcequotas` (resource quotas)"),
    ];
    for (path, feature) in features {
        let status = refusal(plane, "POST", &path, Some(&json!({"metadata": {"name": "x"}})));
        assert_eq!(status.code, 501, "{path}: {status:?}");
        assert_eq!(status.message, format!("not supported by the embedded Kubernetes API: {feature}"));
    }
}

fn nowhere(plane: &'static ControlPlane) {
    for path in
        ["/apis/nowhere.example/v1/things", "/apis/nowhere.example", "/apis/apps/v1beta1/deployments", "/nothing"]
    {
        assert_eq!(refusal(plane, "GET", path, None).code, 404, "{path}");
    }
}

fn media(plane: &'static ControlPlane) {
    let namespace = plane.namespace("media");
    let request = http::Request::post(configs(&namespace)).header("content-type", "application/yaml");
    let request = request.body(b"kind: ConfigMap".to_vec()).expect("because the path is valid");
    let answer = plane.block_on(plane.admin().request::<Value>(request));
    let Err(kube::Error::Api(status)) = answer else { panic!("it is taken: {answer:?}") };
    assert_eq!(status.code, 415, "{status:?}");
}

fn unknown_fields(plane: &'static ControlPlane) {
    let namespace = plane.namespace("unknown");
    let mut object = deployment("web", "web:1", 1);
    object["spec"]["template"]["spec"]["containers"][0]["imagee"] = json!("web:2");
    let strict = format!("{}?fieldValidation=Strict", deployments(&namespace));
    let status = refusal(plane, "POST", &strict, Some(&object));
    assert_eq!(status.code, 400, "{status:?}");
    assert!(status.message.contains("unknown field \"spec.template.spec.containers[0].imagee\""), "{}", status.message);
    let created = plane.create(&deployments(&namespace), &object);
    assert!(created["spec"]["template"]["spec"]["containers"][0]["imagee"].is_null(), "{created}");
}

fn no_namespace(plane: &'static ControlPlane) {
    let status = refusal(plane, "POST", &configs("nowhere"), Some(&config("one", "1")));
    assert_eq!((status.code, status.message.as_str()), (404, "namespaces \"nowhere\" not found"));
}

fn stale(plane: &'static ControlPlane) {
    let namespace = plane.namespace("stale");
    let first = plane.create(&configs(&namespace), &config("one", "1"));
    let path = format!("{}/one", configs(&namespace));
    let mut second = first.clone();
    second["data"]["key"] = json!("2");
    plane.send("PUT", &path, Some(&second)).expect("because it is the newest");
    second["data"]["key"] = json!("3");
    let status = refusal(plane, "PUT", &path, Some(&second));
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"), "{status:?}");
}

fn without_token(plane: &'static ControlPlane) {
    if plane.api().is_none() {
        return;
    }
    let mut config = kube::Config::new(plane.url().parse().expect("because it is a URL"));
    config.accept_invalid_certs = true;
    config.auth_info.token = Some("wrong".to_owned().into());
    let answer = plane.block_on(async {
        let client = kube::Client::try_from(config).expect("because it is plain HTTP");
        client
            .request_text(http::Request::get("/api/v1/namespaces").body(Vec::new()).expect("because it is valid"))
            .await
    });
    let Err(kube::Error::Api(status)) = answer else { panic!("it is let in: {answer:?}") };
    assert_eq!(status.code, 401, "{status:?}");
}
