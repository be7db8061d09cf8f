//! What an agent shows of itself in a cluster, against a real control plane: who may ask its API, its Events,
//! and what it counts.

#[path = "../client/mod.rs"]
mod client;
#[path = "../control_plane/mod.rs"]
mod control_plane;
mod events;
mod login;
mod program;
mod requests;
#[path = "../stage/mod.rs"]
mod stage;

use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use control_plane::{ADMIN, ControlPlane, Test, eventually, run_split};
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::SecretString;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let anywhere: Vec<Test> = vec![
        ("an_identity_without_a_name_is_no_login", login::an_identity_without_a_name),
        ("counted_requests_are_all_that_go_over_the_wire", requests::are_all_that_go_over_the_wire),
        ("requests_without_an_answer_are_counted", requests::without_an_answer_are_counted),
        ("a_running_agent_serves_its_documents_and_says_where", program::serves_its_documents),
        ("the_metrics_of_a_running_agent_count_every_request_to_the_server", program::counts_every_request),
        ("an_address_that_is_taken_is_named_with_its_flag", program::an_address_that_is_taken),
    ];
    // Reviews of tokens and rights, and the audit log.
    let real: Vec<Test> = vec![
        ("an_account_with_the_right_may_ask_and_one_without_may_not", login::an_account_with_the_right),
        ("a_token_that_nobody_issued_is_no_login", login::a_token_that_nobody_issued),
        ("a_login_that_cannot_be_judged_is_neither_granted_nor_denied", login::a_login_that_cannot_be_judged),
        ("a_login_that_was_granted_is_not_judged_again_at_once", login::a_login_that_was_granted),
        ("counted_requests_are_those_of_the_audit_log", requests::are_those_of_the_audit_log),
        ("events_are_shown_on_the_pipeline_by_kubectl", events::on_the_pipeline),
        ("an_event_that_cannot_be_written_is_logged_once_and_stops_nothing", events::that_cannot_be_written),
    ];
    run_split(anywhere, real, &[])
}

/// Runs kubectl as the admin, and gives what it prints.
fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> String {
    let mut command = Command::new("kubectl");
    let assets = control_plane::binaries().expect("because tests without binaries are ignored");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&path).chain([assets]);
    command.env("PATH", std::env::join_paths(paths).expect("because paths were split from one"));
    command.env("KUBECONFIG", plane.kubeconfig(ADMIN)).args(arguments).stdin(Stdio::null());
    let output = command.output().expect("because kubectl is there");
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until the authorizer gives a user the right.
fn may(plane: &ControlPlane, user: &str, attributes: &Value) {
    let question = json!({"spec": {"user": user, "resourceAttributes": attributes}});
    eventually("the right is seen", || {
        let answer = plane.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", &question);
        (answer["status"]["allowed"] == true).then_some(())
    });
}

/// A client with the rights of `deploy/rbac.yaml`, as the agent in a pod has.
fn deployed(plane: &ControlPlane) -> kube::Client {
    static APPLIED: OnceLock<()> = OnceLock::new();
    APPLIED.get_or_init(|| {
        kubectl(plane, &["apply", "-f", "deploy/rbac.yaml"]);
        let account = "system:serviceaccount:lockmaster:lockmaster";
        // The authorizer learns of each role by itself.
        may(plane, account, &json!({"namespace": "lockmaster", "verb": "create", "resource": "configmaps"}));
        let reviews = json!({"verb": "create", "group": "authorization.k8s.io", "resource": "subjectaccessreviews"});
        may(plane, account, &reviews);
    });
    let token = kubectl(plane, &["create", "token", "lockmaster", "--namespace=lockmaster"]);
    let mut kubeconfig = Kubeconfig::read_from(plane.kubeconfig(ADMIN)).expect("because the harness wrote it");
    for user in &mut kubeconfig.auth_infos {
        user.auth_info.as_mut().expect("because the harness wrote it").token =
            Some(SecretString::from(token.trim().to_owned()));
    }
    plane.block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        kube::Client::try_from(config.expect("because the harness wrote it")).expect("because the certificate is good")
    })
}
