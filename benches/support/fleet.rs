//! Objects as a repository of many small applications has them, of kinds that need no controller to be well.
//!
//! Ten make an application: a ServiceAccount, three ConfigMaps of about 1 KB, a Secret, a Service, a NetworkPolicy, a Role,
//! and two CronJobs with a full pod template, of about 3 and 7 KB.

use serde_json::{Map, Value, json};

/// How many objects one application has, and one file of the repository.
pub(crate) const OF_AN_APPLICATION: usize = 10;

/// A kind, as the API server serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
    api_version: &'static str,
    pub(crate) plural: &'static str,
}

impl Kind {
    /// The path of its objects in a namespace.
    pub(crate) fn path(&self, namespace: &str) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{}/namespaces/{namespace}/{}", self.api_version, self.plural)
    }
}

const ACCOUNT: Kind = Kind { kind: "ServiceAccount", api_version: "v1", plural: "serviceaccounts" };
pub(crate) const CONFIG: Kind = Kind { kind: "ConfigMap", api_version: "v1", plural: "configmaps" };
const SECRET: Kind = Kind { kind: "Secret", api_version: "v1", plural: "secrets" };
const SERVICE: Kind = Kind { kind: "Service", api_version: "v1", plural: "services" };
const POLICY: Kind = Kind { kind: "NetworkPolicy", api_version: "networking.k8s.io/v1", plural: "networkpolicies" };
const ROLE: Kind = Kind { kind: "Role", api_version: "rbac.authorization.k8s.io/v1", plural: "roles" };
/// No object of the fleet: it needs controllers.
pub(crate) const DEPLOYMENT: Kind = Kind { kind: "Deployment", api_version: "apps/v1", plural: "deployments" };
const CRON: Kind = Kind { kind: "CronJob", api_version: "batch/v1", plural: "cronjobs" };

/// Every kind of the fleet.
pub(crate) const KINDS: [Kind; 7] = [ACCOUNT, CONFIG, SECRET, SERVICE, POLICY, ROLE, CRON];

/// One object, without a namespace.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// A change of one field that the manifest sets, as somebody makes it by hand.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    /// A merge patch.
    pub(crate) patch: Value,
    /// Where the changed value stands, as a JSON pointer.
    pub(crate) pointer: &'static str,
    /// What stands there after the edit.
    pub(crate) edited: Value,
    /// What the manifest sets.
    pub(crate) desired: Value,
}

/// The first `count` objects of the fleet.
pub(crate) fn fleet(count: usize) -> Vec<Thing> {
    (0..count).map(|index| thing(index / OF_AN_APPLICATION, index % OF_AN_APPLICATION)).collect()
}

/// The objects as files of plain YAML below a folder, one for each application.
pub(crate) fn files(things: &[Thing], folder: &str) -> Vec<(String, String)> {
    let file = |(number, things): (usize, &[Thing])| (format!("{folder}/app-{number:05}.yaml"), yaml(things));
    things.chunks(OF_AN_APPLICATION).enumerate().map(file).collect()
}

/// Documents of plain YAML.
pub(crate) fn yaml(things: &[Thing]) -> String {
    let text = |thing: &Thing| serde_saphyr::to_string(&thing.value).expect("because objects are maps with text keys");
    things.iter().map(text).collect::<Vec<_>>().join("---\n")
}

impl Thing {
    /// Its path in a namespace.
    pub(crate) fn path(&self, namespace: &str) -> String {
        format!("{}/{}", self.kind.path(namespace), self.name)
    }

    /// An edit of a field that its manifest sets.
    pub(crate) fn edit(&self) -> Edit {
        let (pointer, edited) = match self.kind {
            ACCOUNT => ("/automountServiceAccountToken", json!(true)),
            CONFIG => ("/data/LOG_LEVEL", json!("trace")),
            SECRET => ("/data/username", json!("bWFsbG9yeQ==")),
            SERVICE => ("/spec/selector/app", json!("nothing")),
            POLICY => ("/spec/podSelector/matchLabels/app", json!("nothing")),
            ROLE => ("/metadata/labels/team", json!("nobody")),
            _ => ("/spec/schedule", json!("0 0 31 2 *")),
        };
        let wrap = |value, step: &str| json!({ step: value });
        let patch = pointer.rsplit('/').filter(|step| !step.is_empty()).fold(edited.clone(), wrap);
        let desired = self.value.pointer(pointer).cloned().expect("because the manifest sets what is edited");
        Edit { patch, pointer, edited, desired }
    }

    /// The same object with another value in a field that its manifest sets.
    pub(crate) fn changed(&self, number: usize) -> Thing {
        let mut thing = self.clone();
        let (pointer, value) = match self.kind {
            CONFIG => ("/data/LOG_LEVEL", format!("level-{number}")),
            _ => ("/metadata/labels/team", format!("team-{number}")),
        };
        *thing.value.pointer_mut(pointer).expect("because the manifest sets it") = json!(value);
        thing
    }
}

fn thing(application: usize, part: usize) -> Thing {
    let app = format!("app-{application:05}");
    let (kind, suffix, body) = match part {
        0 => (ACCOUNT, "", json!({"automountServiceAccountToken": false})),
        1..=3 => (CONFIG, ["-env", "-routes", "-flags"][part - 1], config(application, part)),
        4 => (SECRET, "", secret(application)),
        5 => (SERVICE, "", service(&app)),
        6 => (POLICY, "", policy(&app)),
        7 => (ROLE, "", role(&app)),
        8 => (CRON, "-hourly", cron(&app, application % 60, 1)),
        _ => (CRON, "-nightly", cron(&app, application % 60, 3)),
    };
    let name = format!("{app}{suffix}");
    let labels = json!({"app": app, "app.kubernetes.io/part-of": "fleet", "team": format!("team-{}", application % 7)});
    let mut value = Map::from_iter([
        ("apiVersion".to_owned(), json!(kind.api_version)),
        ("kind".to_owned(), json!(kind.kind)),
        ("metadata".to_owned(), json!({"name": name, "labels": labels})),
    ]);
    value.extend(body.as_object().cloned().unwrap_or_default());
    Thing { kind, name, value: Value::Object(value) }
}

fn config(application: usize, part: usize) -> Value {
    let line = |n: usize| format!("route.{n}.target=service-{}.example.internal:8080\n", application * 31 + n * part);
    let text: String = (0..18).map(line).collect();
    json!({"data": {"LOG_LEVEL": "info", "application.properties": text}})
}

fn secret(application: usize) -> Value {
    json!({"type": "Opaque", "data": {"username": "ZGFuYQ==", "password": format!("bm90cmVhbA{:06}", application)}})
}

fn service(app: &str) -> Value {
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"});
    json!({"spec": {"selector": {"app": app}, "sessionAffinity": "None", "type": "ClusterIP",
                    "ports": [port("http", 80), port("metrics", 9090)]}})
}

fn policy(app: &str) -> Value {
    let from = json!([{"podSelector": {"matchLabels": {"role": "gateway"}}}]);
    json!({"spec": {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"],
                    "ingress": [{"from": from, "ports": [{"protocol": "TCP", "port": 8080}]}]}})
}

fn role(app: &str) -> Value {
    json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [app], "verbs": ["get", "watch"]},
                     {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]}]})
}

/// A CronJob: about 3 KB with one container, 7 KB with three.
fn cron(app: &str, minute: usize, containers: usize) -> Value {
    let template = pod_template(app, containers, 12, "Never");
    let job = json!({"spec": {"backoffLimit": 2, "activeDeadlineSeconds": 3600, "template": template}});
    json!({"spec": {"schedule": format!("{minute} 3 * * *"), "concurrencyPolicy": "Forbid", "suspend": false,
                    "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1, "jobTemplate": job}})
}

/// A Deployment with one such container, that has so many settings in its environment.
pub(crate) fn deployment(app: &str, settings: usize) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app, "labels": {"app": app}},
           "spec": {"replicas": 2, "revisionHistoryLimit": 3, "selector": {"matchLabels": {"app": app}},
                    "template": pod_template(app, 1, settings, "Always")}})
}

fn pod_template(app: &str, containers: usize, settings: usize, restart: &str) -> Value {
    let containers: Vec<Value> = (0..containers).map(|number| container(app, number, settings)).collect();
    let volumes = json!([{"name": "config", "configMap": {"name": format!("{app}-env"), "defaultMode": 420}},
                         {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}}]);
    let pod = json!({"restartPolicy": restart, "serviceAccountName": app, "terminationGracePeriodSeconds": 30,
                     "securityContext": {"runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001,
                                         "seccompProfile": {"type": "RuntimeDefault"}},
                     "nodeSelector": {"kubernetes.io/os": "linux"}, "containers": containers, "volumes": volumes,
                     "tolerations": [{"key": "batch", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}]});
    json!({"metadata": {"labels": {"app": app}, "annotations": {"prometheus.io/scrape": "false"}}, "spec": pod})
}

fn container(app: &str, number: usize, settings: usize) -> Value {
    let variable = |n: usize| json!({"name": format!("SETTING_{n:02}"), "value": format!("https://service-{n}.{app}.example.internal/v1")});
    let mut env: Vec<Value> = (0..settings).map(variable).collect();
    env.push(json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": app, "key": "password"}}}));
    env.push(json!({"name": "POD", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}));
    let digest = "sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945";
    json!({"name": format!("worker-{number}"), "image": format!("registry.example.com/{app}/worker@{digest}"),
           "imagePullPolicy": "IfNotPresent", "command": ["/bin/worker"], "args": ["--once", "--config=/etc/app/config"],
           "env": env, "envFrom": [{"configMapRef": {"name": format!("{app}-flags")}}],
           "ports": [{"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
           "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
           "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                               "capabilities": {"drop": ["ALL"]}},
           "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics", "scheme": "HTTP"}, "periodSeconds": 20},
           "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true},
                            {"name": "scratch", "mountPath": "/tmp"}]})
}
