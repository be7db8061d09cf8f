//! A cluster that says no, is away, or has somebody else in it, against the whole program: what stands stays, what was
//! half done is said and is finished later.

mod control_plane;
mod law;
mod stage;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use control_plane::proxy::{Call, Moment, Reply, Verdict};
use control_plane::{ControlPlane, Test, eventually, run_split};
use law::{Row, Yard, refuses};
use serde_json::{Value, json};
use stage::Ran;

fn main() -> ExitCode {
    let anywhere: Vec<Test> = vec![
        ("row_75_a_release_that_is_denied_midway_is_said_and_finished_later", denied_midway),
        ("row_54_more_than_the_set_share_and_claims_are_not_pruned_unasked", prune_brakes),
        ("row_75_a_field_of_somebody_else_is_not_taken", somebody_else),
        ("a_cluster_that_is_away_changes_nothing", away),
    ];
    // Admission policies and rights.
    let real: Vec<Test> = vec![
        ("row_75_what_the_cluster_refuses_is_not_begun", refused_ahead),
        ("row_75_a_first_release_that_is_denied_is_said", denied_first),
        ("row_26_a_missing_right_is_named", forbidden),
    ];
    control_plane::at_once(4);
    run_split(anywhere, real, &[])
}

fn configmap(name: &str, data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{{data}}}\n")
}

/// A row that brings this ConfigMap into a cluster that was prepared for it.
fn brings(name: &'static str, code: &'static str, object: &'static str, prepare: fn(&Yard)) -> Row {
    Row::new(name, code, move |yard| {
        prepare(yard);
        yard.brings(&[("deploy/bad.yaml", &configmap(object, "colour: green"))])
    })
    .by_the_cluster()
}

fn refused_ahead(plane: &'static ControlPlane) {
    let frozen = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: frozen}\nimmutable: true\ndata: {a: one}\n";
    let yard = Yard::new(plane, "ahead", "", "").standing(&[("deploy/frozen.yaml", frozen)]);
    deny(plane, "ahead");
    let unfrozen = Row::new("75 an immutable field", "recreate-needs-approval", move |yard| {
        yard.brings(&[("deploy/frozen.yaml", &frozen.replace("one", "two"))])
    });
    refuses(
        &yard,
        &[
            brings("75 admission says no", "dry-run-denied", "denied-by-policy", |_| {})
                .shows(&["`ahead ConfigMap/denied-by-policy`", "no such names here"]),
            unfrozen.by_the_cluster().held().shows(&["`ahead ConfigMap/frozen`"]),
            brings("an object of somebody", "adoption-needed", "foreign", |yard| foreign(yard, "foreign", &json!({})))
                .held()
                .shows(&["`ahead ConfigMap/foreign` exists and is not ours", "`data.colour`"]),
            brings("an object of Helm", "owned-by-other", "helmed", |yard| {
                let release = json!({"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "ahead"});
                let labels = json!({"app.kubernetes.io/managed-by": "Helm"});
                foreign(yard, "helmed", &json!({"annotations": release, "labels": labels}));
            })
            .shows(&["`ahead ConfigMap/helmed` belongs to the Helm release `ahead/web`"]),
            brings("75 a right is missing", "forbidden", "unreachable", |yard| {
                yard.stage.proxy.judge(|call, moment| match moment {
                    Moment::Before if call.method == "PATCH" && call.path.ends_with("/unreachable") => {
                        let text = "configmaps \"unreachable\" is forbidden: User \"agent\" cannot patch resource \
                                    \"configmaps\" in API group \"\" in the namespace \"ahead\"";
                        Verdict::Answer(Reply::status(403, "Forbidden", text))
                    }
                    _ => Verdict::Pass,
                });
            })
            .held()
            .shows(&["`ahead ConfigMap/unreachable`", "no right to `patch` `configmaps`"]),
        ],
    );
    let found = plane.get("/api/v1/namespaces/ahead/configmaps/foreign").expect("because it is somebody else's");
    assert_eq!((&found["data"], &found["metadata"]["labels"]), (&json!({"colour": "theirs"}), &Value::Null));
}

/// An object that somebody else made.
fn foreign(yard: &Yard, name: &str, metadata: &Value) {
    let mut object = json!({"metadata": metadata, "data": {"colour": "theirs"}});
    object["metadata"]["name"] = json!(name);
    yard.stage.plane.create(&format!("/api/v1/namespaces/{}/configmaps", yard.namespace), &object);
}

/// Admission that refuses ConfigMaps of some names in a namespace.
fn deny(plane: &ControlPlane, namespace: &str) {
    let name = format!("deny-{namespace}");
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"],
            }]},
            "validations": [{
                "expression": "!object.metadata.name.startsWith('denied')", "message": "no such names here",
            }],
        },
    });
    plane.create("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", &policy);
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
    let binding = json!({
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}},
    });
    plane.create("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings", &binding);
    eventually("the policy is in force", || {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps?dryRun=All");
        plane.send("POST", &path, Some(&json!({"metadata": {"name": "denied"}}))).err()
    });
}

/// The one environment of a `status` document.
fn dev(yard: &Yard) -> Value {
    let ran = yard.stage.lockmaster(&["status", "-o", "json"]);
    if ran.code == Some(2) { Value::Null } else { ran.json()["environments"][0].clone() }
}

fn codes(view: &Value) -> Vec<&str> {
    view["reasons"].as_array().into_iter().flatten().filter_map(|reason| reason["code"].as_str()).collect()
}

fn is_write_of(call: &Call, name: &str) -> bool {
    call.write.is_some() && call.path.ends_with(&format!("/{name}"))
}

fn denied_midway(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "midway", "", "").standing(&[]);
    yard.stage.proxy.judge(|call, moment| match moment {
        Moment::Before if is_write_of(call, "half") => {
            let text = "admission webhook \"quota.example.com\" denied the request: not today";
            Verdict::Answer(Reply::status(403, "Forbidden", text))
        }
        _ => Verdict::Pass,
    });
    let later = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: later}\nspec:\n  schedule: '1 1 * * *'\n  jobTemplate: \
                 {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}}\n";
    yard.stage.git(&["rm", "-q", "deploy/web.yaml"]);
    let tip = yard.brings(&[
        ("deploy/settings.yaml", &configmap("settings", "colour: green")),
        ("deploy/half.yaml", &configmap("half", "a: b")),
        ("deploy/later.yaml", later),
    ]);
    yard.point(tip.as_deref());
    let ran = yard.stage.run_once(1);
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("[apply-failed]: ")).collect();
    assert_eq!(lines.len(), 1, "{}", ran.stdout);
    assert!(lines[0].contains("`midway ConfigMap/half`") && lines[0].contains("not today"), "{}", ran.stdout);
    let view = dev(&yard);
    assert_eq!((&view["state"], codes(&view)), (&json!("failed"), vec!["apply-failed"]), "{view}");
    assert_eq!(view["standing"]["commit"]["id"].as_str(), tip.as_deref(), "an opened release stands");
    let there = |path: &str| plane.get(path);
    let settings = there("/api/v1/namespaces/midway/configmaps/settings").expect("because it stood before");
    assert_eq!(settings["data"]["colour"], "green", "its own stage is applied as far as it goes");
    assert_eq!(there("/apis/batch/v1/namespaces/midway/cronjobs/later"), None, "later stages are not applied");
    assert!(there("/api/v1/namespaces/midway/services/web").is_some(), "nothing is pruned");
    yard.stage.proxy.judge(|_, _| Verdict::Pass);
    let mut agent = yard.stage.spawn(&["run", "--interval", "1s", "--listen", "127.0.0.1:0"]);
    eventually("it is finished once nobody denies it", || (dev(&yard)["state"] == "current").then_some(()));
    agent.kill().expect("because it runs");
    agent.wait().expect("because it was killed");
    assert!(there("/apis/batch/v1/namespaces/midway/cronjobs/later").is_some());
    assert_eq!(there("/api/v1/namespaces/midway/services/web"), None);
    yard.stage.run_once(0);
}

fn denied_first(plane: &'static ControlPlane) {
    plane.create("/api/v1/namespaces", &json!({"metadata": {"name": "denied-first"}}));
    deny(plane, "denied-first");
    let yard = Yard::new(plane, "denied-first", "", "");
    let denied = configmap("denied-object", "a: b");
    let tip = yard.brings(&[("deploy/a.yaml", &denied), ("deploy/b.yaml", &configmap("other", "a: b"))]);
    yard.point(tip.as_deref());
    let ran = yard.stage.run_once(1);
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("error[apply-failed]: ")).collect();
    assert_eq!(lines.len(), 1, "{}", ran.stdout);
    assert!(lines[0].contains("`denied-first ConfigMap/denied-object`"), "{}", ran.stdout);
    assert!(lines[0].contains("no such names here"), "{}", ran.stdout);
    let view = dev(&yard);
    assert_eq!((&view["state"], codes(&view)), (&json!("failed"), vec!["apply-failed"]), "{view}");
    let there = |name: &str| plane.get(&format!("/api/v1/namespaces/denied-first/configmaps/{name}")).is_some();
    assert_eq!((there("denied-object"), there("other")), (false, true), "one outcome for each object");
}

fn prune_brakes(plane: &'static ControlPlane) {
    let names: Vec<String> = (0..8).map(|number| format!("many-{number}")).collect();
    let many: String = names.iter().map(|name| format!("---\n{}", configmap(name, "a: b"))).collect();
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: store}\nspec:\n  accessModes: \
                 [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n";
    let yard = Yard::new(plane, "brakes", "", "")
        .standing(&[("deploy/many.yaml", many.as_str()), ("deploy/claim.yaml", claim)]);
    yard.stage.git(&["rm", "-q", "deploy/many.yaml", "deploy/claim.yaml"]);
    let tip = yard.brings(&[]);
    yard.point(tip.as_deref());
    yard.stage.proxy.forget();
    let plan = yard.stage.lockmaster(&["plan", "dev"]);
    assert_eq!(plan.code, Some(1), "{plan:?}");
    for ran in [plan, yard.stage.run_once(1)] {
        let held: Vec<&str> =
            ran.stdout.lines().filter(|line| line.starts_with("held[prune-needs-approval]: ")).collect();
        assert_eq!(held.len(), 2, "{}", ran.stdout);
        assert!(held[0].contains("`brakes PersistentVolumeClaim/store` would be deleted with its data"), "{held:?}");
        assert!(held[1].contains("8 of 13 objects would be deleted, more than 30 %"), "{held:?}");
    }
    let deletions = yard.stage.proxy.writes().into_iter().filter(|call| call.method == "DELETE").count();
    assert_eq!(deletions, 0, "nothing is pruned");
    for name in names {
        assert!(plane.get(&format!("/api/v1/namespaces/brakes/configmaps/{name}")).is_some(), "{name} is still there");
    }
    let view = dev(&yard);
    assert_eq!((&view["state"], codes(&view)), (&json!("held"), vec!["prune-needs-approval"; 2]), "{view}");
    assert_eq!(view["standing"]["commit"]["id"].as_str(), tip.as_deref());
    yard.stage.proxy.forget();
    yard.stage.run_once(1);
    assert_eq!(yard.target_writes(), Vec::<String>::new(), "what is held stays held");
}

fn somebody_else(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "raced", "", "").standing(&[]);
    let first = AtomicBool::new(true);
    yard.stage.proxy.judge(move |call, moment| {
        let now = moment == Moment::Before && is_write_of(call, "raced") && first.swap(false, Ordering::Relaxed);
        if now { Verdict::Hang } else { Verdict::Pass }
    });
    let tip = yard.brings(&[("deploy/raced.yaml", &configmap("raced", "colour: green"))]);
    yard.point(tip.as_deref());
    let mut agent = yard.stage.spawn(&["run", "--once"]);
    let hanging = yard.stage.proxy.hanging(Duration::from_secs(30));
    assert!(hanging.is_some(), "the release is applied");
    foreign(&yard, "raced", &json!({}));
    yard.stage.proxy.release();
    let status = agent.wait().expect("because it comes to its deadline");
    assert_eq!(status.code(), Some(1));
    let view = dev(&yard);
    assert_eq!((&view["state"], codes(&view)), (&json!("failed"), vec!["field-conflict"]), "{view}");
    let text = yard.stage.lockmaster(&["status"]).stdout;
    assert!(text.contains("held[field-conflict]: `raced ConfigMap/raced` has fields that others own"), "{text}");
    let found = plane.get("/api/v1/namespaces/raced/configmaps/raced").expect("because somebody made it");
    assert_eq!(found["data"], json!({"colour": "theirs"}), "it is not taken");
}

/// Nothing could be looked at: one error, exit 2, standard output empty.
fn impossible(ran: &Ran, code: &str) {
    let errors: Vec<&str> = ran.stderr.lines().filter(|line| line.starts_with("error[")).collect();
    assert_eq!((ran.code, errors.len(), ran.stdout.as_str()), (Some(2), 1, ""), "{ran:?}");
    assert!(errors[0].starts_with(&format!("error[{code}]: ")), "{ran:?}");
}

fn away(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "away", "", "").standing(&[]);
    let tip = yard.brings(&[("deploy/settings.yaml", &configmap("settings", "colour: green"))]);
    yard.point(tip.as_deref());
    let before = yard.live();
    yard.stage.proxy.judge(|_, _| Verdict::Cut);
    let verbs: [&[&str]; 4] = [&["run", "--once"], &["status"], &["plan", "dev"], &["diff", "dev"]];
    for verb in verbs {
        impossible(&yard.stage.lockmaster(verb), "cluster-unreachable");
    }
    // The server answers, and what stands cannot be read.
    yard.stage.proxy.judge(|call, moment| {
        let target = call.path.contains("/namespaces/away");
        if moment == Moment::Before && target { Verdict::Cut } else { Verdict::Pass }
    });
    impossible(&yard.stage.lockmaster(&["run", "--once"]), "cluster-unreachable");
    yard.stage.proxy.judge(|_, _| Verdict::Pass);
    assert_eq!(yard.live(), before);
    assert_eq!(dev(&yard)["standing"]["commit"]["id"].as_str(), yard.good.as_deref());
    let closed = yard.stage.folder().join("closed");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {}}], "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    });
    std::fs::write(&closed, text.to_string()).expect("because the folder is ours");
    for verb in verbs {
        impossible(&with_kubeconfig(&yard, &closed, verb), "cluster-unreachable");
    }
    yard.stage.run_once(0);
    assert_ne!(yard.live(), before, "it comes once the cluster is back");
}

fn with_kubeconfig(yard: &Yard, file: &std::path::Path, verb: &[&str]) -> Ran {
    let output = yard.stage.command(verb).env("KUBECONFIG", file).output().expect("because the program was built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn forbidden(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "rights", "", "").standing(&[]);
    let tip = yard.brings(&[("deploy/settings.yaml", &configmap("settings", "colour: green"))]);
    yard.point(tip.as_deref());
    let before = yard.live();
    let user = plane.spare_user();
    let file = plane.kubeconfig(&user);
    let verbs: [&[&str]; 3] = [&["run", "--once"], &["status"], &["plan", "dev"]];
    for verb in verbs {
        let ran = with_kubeconfig(&yard, &file, verb);
        impossible(&ran, "forbidden");
        let named = ["may not get secrets in namespace", "no right to `"];
        assert!(named.iter().any(|words| ran.stderr.contains(words)), "{}", ran.stderr);
    }
    assert_eq!(yard.live(), before);
    yard.stage.run_once(0);
}
