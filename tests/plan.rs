//! What a release would change, and what keeps it from it.

use std::collections::BTreeSet;

use lockmaster::deploylog::Counts;
use lockmaster::manifest::{Fence, ManifestSet, Scopes};
use lockmaster::name::{Code, ObjectKey, Reason};
use lockmaster::plan::{
    Adopt, ChangeAction, DryRun, FieldChange, Ground, Inventory, Live, Observed, OnDrift, PART_OF, Policy, Report,
    check, field_changes, prunable, questions, report,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const SET: &str = "applyset-shop-v1";

/// An object of the namespace `shop`, as an `apiVersion` and `Kind/name` say it.
fn object(api_version: &str, name: &str, rest: Value) -> Value {
    let (kind, name) = name.split_once('/').expect("because a test object is named `Kind/name`");
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } });
    if !["Namespace", "CustomResourceDefinition"].contains(&kind) {
        object["metadata"]["namespace"] = "shop".into();
    }
    lay(&mut object, rest);
    object
}

fn lay(object: &mut Value, rest: Value) {
    match (object, rest) {
        (Value::Object(object), Value::Object(rest)) => {
            rest.into_iter().for_each(|(name, value)| lay(object.entry(name).or_insert(Value::Null), value));
        }
        (object, rest) => *object = rest,
    }
}

fn with(object: &Value, rest: Value) -> Value {
    let mut object = object.clone();
    lay(&mut object, rest);
    object
}

fn map(name: &str, value: &str) -> Value {
    object("v1", &format!("ConfigMap/{name}"), json!({ "data": { "a": value } }))
}

/// The live object under our label.
fn ours(object: &Value) -> Value {
    with(object, json!({ "metadata": { "labels": { PART_OF: SET }, "uid": "u1" } }))
}

fn key(object: &Value) -> ObjectKey {
    let word = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let version = word("/apiVersion").unwrap_or_default();
    ObjectKey {
        group: version.rsplit_once('/').map_or(String::new(), |(group, _)| group.to_owned()),
        kind: word("/kind").unwrap_or_default(),
        namespace: word("/metadata/namespace"),
        name: word("/metadata/name").unwrap_or_default(),
    }
}

/// A release of these objects.
fn release(objects: &[Value]) -> ManifestSet {
    let one = |line: &str| ManifestSet::from_bytes(line.as_bytes()).expect("because this is a canonical line");
    let mut lines: Vec<String> = objects.iter().map(|object| format!("{object}\n")).collect();
    lines.sort_by_key(|line| {
        let manifest = one(line).manifests()[0].clone();
        (manifest.stage, manifest.wave, manifest.key)
    });
    one(&lines.concat())
}

fn inventory(objects: &[Value]) -> Inventory {
    if objects.is_empty() { Inventory::default() } else { Inventory::default().widened(release(objects).objects(), 1) }
}

/// A world to plan in, with the namespace `shop`.
struct World {
    standing: Option<ManifestSet>,
    inventory: Inventory,
    observed: Observed,
    policy: Policy,
}

impl World {
    fn new(standing: &[Value]) -> Self {
        let observed = Observed { namespaces: BTreeSet::from(["shop".to_owned()]), ..Observed::default() };
        World {
            standing: (!standing.is_empty()).then(|| release(standing)),
            inventory: inventory(standing),
            observed,
            policy: Policy {
                adopt: Adopt::Identical,
                on_drift: OnDrift::Heal,
                prune_share: 0.3,
                set_id: SET.to_owned(),
            },
        }
    }

    fn absent(mut self, object: &Value) -> Self {
        self.observed.live.insert(key(object), Live::Absent);
        self
    }

    fn live(mut self, object: Value) -> Self {
        self.observed.live.insert(key(&object), Live::Present(object));
        self
    }

    fn would(mut self, object: Value) -> Self {
        self.observed.dry_runs.insert(key(&object), DryRun::Would(object));
        self
    }

    fn denied(mut self, object: &Value, code: Code) -> Self {
        self.observed.dry_runs.insert(key(object), DryRun::Denied(Reason::new(code, "the server said no")));
        self
    }

    fn adopt(mut self, adopt: Adopt) -> Self {
        self.policy.adopt = adopt;
        self
    }

    fn ground(&self) -> Ground<'_> {
        let World { standing, inventory, observed, policy } = self;
        Ground { standing: standing.as_ref(), inventory, observed, policy }
    }

    /// The report, which the checker agrees with.
    fn report(&self, objects: &[Value]) -> Report {
        let set = release(objects);
        let report = report(&set, &self.ground());
        assert_eq!(check(&report, &set, &self.ground()), Ok(()), "{report:#?}");
        report
    }
}

/// `action object` of each change.
fn told(report: &Report) -> Vec<String> {
    report.changes.iter().map(|change| format!("{:?} {}", change.action, change.object)).collect()
}

fn codes(reasons: &[Reason]) -> Vec<Code> {
    reasons.iter().map(|reason| reason.code).collect()
}

#[test]
fn each_object_of_a_release_gets_one_action() {
    let (old, new) = (map("cart", "1"), map("cart", "2"));
    let job = object("batch/v1", "Job/cart", json!({ "spec": { "a": 2 } }));
    let ended = ours(&with(&job, json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } })));
    let opted_in = with(&new, json!({ "metadata": { "annotations": { "lockmaster.dev/recreate": "true" } } }));
    let standing = |old: &Value| World::new(std::slice::from_ref(old));
    let immutable = Code::RecreateNeedsApproval;
    let table: Vec<(&str, World, Value, &str, Vec<Code>)> = vec![
        ("absent", World::new(&[]).absent(&new), new.clone(), "Create", vec![]),
        ("equal digest", standing(&new), new.clone(), "", vec![]),
        ("gone by hand", standing(&old).absent(&new), new.clone(), "Create", vec![]),
        ("differs", standing(&old).live(ours(&old)).would(ours(&new)), new.clone(), "Update", vec![]),
        ("equal dry run", standing(&old).live(ours(&new)).would(ours(&new)), new.clone(), "", vec![]),
        ("no dry run", standing(&old).live(ours(&old)), new.clone(), "Update", vec![]),
        ("lost reply", World::new(&[]).live(ours(&old)).would(ours(&new)), new.clone(), "Update", vec![]),
        (
            "denied",
            standing(&old).live(ours(&old)).denied(&old, Code::DryRunDenied),
            new.clone(),
            "Update",
            vec![Code::DryRunDenied],
        ),
        (
            "denied create",
            World::new(&[]).absent(&new).denied(&new, Code::Forbidden),
            new.clone(),
            "Create",
            vec![Code::Forbidden],
        ),
        ("immutable", standing(&old).live(ours(&old)).denied(&old, immutable), new.clone(), "Update", vec![immutable]),
        ("opted in", standing(&old).live(ours(&old)).denied(&old, immutable), opted_in, "Recreate", vec![]),
        ("ended job", World::new(&[]).live(ended.clone()).denied(&job, immutable), job.clone(), "Recreate", vec![]),
        ("running job", World::new(&[]).live(ours(&job)).denied(&job, immutable), job, "Update", vec![immutable]),
        ("unread", World::new(&[]), new, "Create", vec![Code::ClusterUnreachable]),
    ];
    for (name, world, object, action, refusals) in table {
        let report = world.report(std::slice::from_ref(&object));
        let expected = if action.is_empty() { vec![] } else { vec![format!("{action} {}", key(&object))] };
        assert_eq!((told(&report), codes(&report.refusals)), (expected, refusals), "{name}");
    }
}

#[test]
fn a_namespace_is_in_the_manifests_or_in_the_cluster() {
    let (home, cart) = (object("v1", "Namespace/shop", json!({})), map("cart", "1"));
    let mut world = World::new(&[]).absent(&cart).absent(&home);
    world.observed.namespaces.clear();
    let report = world.report(std::slice::from_ref(&cart));
    assert_eq!(codes(&report.refusals), [Code::NamespaceNotFound]);
    assert_eq!(world.report(&[home, cart]).refusals, []);
}

#[test]
fn an_existing_object_is_taken_as_the_policy_says() {
    let cart = map("cart", "1");
    let other = map("cart", "2");
    let marks = |labels: Value, annotations: Value| {
        with(&cart, json!({ "metadata": { "labels": labels, "annotations": annotations } }))
    };
    let argo = with(
        &marks(json!({ "app.kubernetes.io/instance": "shop" }), json!({})),
        json!({ "metadata": { "managedFields": [{
            "manager": "argocd-controller", "operation": "Apply",
            "fieldsV1": { "f:metadata": { "f:labels": { "f:app.kubernetes.io/instance": {} } } },
        }] } }),
    );
    let helm = marks(json!({ "app.kubernetes.io/managed-by": "Helm" }), json!({ "meta.helm.sh/release-name": "shop" }));
    let (none, wait, owned) = (None, Some(Code::AdoptionNeeded), Some(Code::OwnedByOther));
    let table = [
        ("identical", cart.clone(), Adopt::Identical, none),
        ("identical, never", cart.clone(), Adopt::Never, wait),
        ("different", other.clone(), Adopt::Identical, wait),
        ("different, always", other, Adopt::Always, none),
        ("flux", marks(json!({ "kustomize.toolkit.fluxcd.io/name": "a" }), json!({})), Adopt::Always, owned),
        ("flux helm", marks(json!({ "helm.toolkit.fluxcd.io/name": "a" }), json!({})), Adopt::Always, owned),
        ("argo", argo, Adopt::Always, owned),
        ("argo id", marks(json!({}), json!({ "argocd.argoproj.io/tracking-id": "a:b" })), Adopt::Always, owned),
        ("helm", helm, Adopt::Always, owned),
        ("applyset", marks(json!({ PART_OF: "applyset-x-v1" }), json!({})), Adopt::Always, owned),
        ("a parent", marks(json!({ "applyset.kubernetes.io/id": "applyset-x-v1" }), json!({})), Adopt::Identical, none),
        ("a mere label", marks(json!({ "app.kubernetes.io/instance": "shop" }), json!({})), Adopt::Identical, none),
    ];
    for (name, live, adopt, code) in table {
        let would = with(&live, with(&cart, json!({ "metadata": { "labels": { PART_OF: SET } } })));
        let world = World::new(&[]).live(live).would(would).adopt(adopt);
        let report = world.report(std::slice::from_ref(&cart));
        let against: Vec<Code> = codes(&report.waits).into_iter().chain(codes(&report.refusals)).collect();
        assert_eq!(against, code.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(report.adoptions.contains(&key(&cart)), code.is_none(), "{name}");
        assert_eq!(told(&report), ["Update shop ConfigMap/cart"], "{name}");
    }
}

#[test]
fn what_kubectl_said_and_the_manifest_does_not_is_a_change() {
    let cart = map("cart", "1");
    let said = with(&cart, json!({ "data": { "b": "1" } }));
    let entry = json!({
        "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
        "fieldsV1": { "f:data": { ".": {}, "f:a": {}, "f:b": {}, "f:default": {} } },
    });
    let copy = json!({ "kubectl.kubernetes.io/last-applied-configuration": said.to_string() });
    let known = json!({ "annotations": copy, "managedFields": [entry] });
    let live = with(&said, json!({ "data": { "default": "1" }, "metadata": known }));
    let would = with(&live, json!({ "metadata": { "labels": { PART_OF: SET } } }));
    let world = |adopt: Adopt| World::new(&[]).live(live.clone()).would(would.clone()).adopt(adopt);
    let paths = |report: &Report| report.changes[0].fields.iter().map(|f| f.path.clone()).collect::<Vec<_>>();
    let report = world(Adopt::Identical).report(std::slice::from_ref(&cart));
    assert_eq!(paths(&report), ["data.b", "metadata.labels"]);
    assert_eq!(codes(&report.waits), [Code::AdoptionNeeded]);
    let expected = "`shop ConfigMap/cart` exists and is not ours, last written by `kubectl-client-side-apply`, would change `data.b`";
    assert_eq!(report.waits[0].message, expected);
    let report = world(Adopt::Always).report(std::slice::from_ref(&cart));
    assert_eq!((paths(&report).len(), report.adoptions.len(), report.waits), (2, 1, vec![]));
    assert_eq!(world(Adopt::Identical).report(&[said]).waits, [], "equal to what kubectl said is identical");
}

#[test]
fn a_scaler_that_comes_keeps_the_number() {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "cart" });
    let hpa = object("autoscaling/v2", "HorizontalPodAutoscaler/cart", json!({ "spec": { "scaleTargetRef": target } }));
    let old = object("apps/v1", "Deployment/cart", json!({ "spec": { "paused": true, "replicas": 2 } }));
    let new = object("apps/v1", "Deployment/cart", json!({ "spec": { "paused": false } }));
    let live = ours(&with(&old, json!({ "spec": { "replicas": 4 } })));
    let would = with(&live, json!({ "spec": { "paused": false, "replicas": 1 } }));
    let world = World::new(&[old]).live(live).would(would).absent(&hpa);
    let report = world.report(&[new.clone(), hpa]);
    let change = report.changes.iter().find(|change| change.object == key(&new)).expect("because it changes");
    let paths: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(paths, ["spec.paused"]);
    let report = world.report(&[new]);
    assert_eq!(report.changes[0].fields.len(), 2, "without a scaler the number is reset, and that is told");
}

#[test]
fn what_the_release_no_longer_names_goes_in_reverse_order() {
    let all = [
        object("v1", "PersistentVolumeClaim/cart", json!({})),
        map("cart", "1"),
        map("gone", "1"),
        with(&map("kept", "1"), json!({ "metadata": { "annotations": { "lockmaster.dev/prune": "false" } } })),
        object("apps/v1", "Deployment/cart", json!({})),
    ];
    let world = World::new(&all).absent(&all[2]).live(ours(&all[0])).live(ours(&all[1])).live(ours(&all[4]));
    let rest = map("rest", "1");
    let report = world.absent(&rest).report(&[rest]);
    let expected = [
        "Create shop ConfigMap/rest",
        "Prune shop Deployment/cart",
        "Prune shop ConfigMap/cart",
        "Prune shop PersistentVolumeClaim/cart",
    ];
    assert_eq!(told(&report), expected);
    assert_eq!(report.counts, Counts { create: 1, prune: 3, ..Counts::default() });
    let waiting: Vec<_> = report.prune_waits.iter().filter_map(|reason| reason.object.clone()).collect();
    assert_eq!(waiting, [key(&all[0])]);
}

#[test]
fn row_53_a_set_that_becomes_empty_prunes_nothing() {
    let fence = Fence {
        namespaces: vec!["shop".to_owned()],
        default_namespace: None,
        cluster_kinds: Vec::new(),
        agent_namespace: "lockmaster".to_owned(),
    };
    let reasons = ManifestSet::assemble(Vec::new(), &fence, &Scopes::built_in()).expect_err("because it is empty");
    assert_eq!(codes(&reasons), vec![Code::EmptyRender], "there is no plan without objects");
    assert!(ManifestSet::from_bytes(b"").is_err(), "nothing can be recalled as an empty release");
}

#[test]
fn row_54_much_or_what_takes_more_with_it_waits_for_a_person() {
    let maps = |count: usize| (0..count).map(|i| map(&format!("m{i:02}"), "1")).collect::<Vec<_>>();
    let rest = map("rest", "1");
    let doomed = |objects: Vec<Value>| {
        let standing = release(std::slice::from_ref(&rest));
        (inventory(&objects).widened(standing.objects(), 2), standing)
    };
    let table = [(maps(4), 0.3, 4, 0), (maps(5), 0.3, 0, 1), (maps(5), 0.9, 5, 0), (maps(5), f64::NAN, 0, 1)];
    for (objects, prune_share, going, waiting) in table {
        let (inventory, standing) = doomed(objects);
        let policy = Policy { prune_share, ..World::new(&[]).policy };
        let (keys, waits) = prunable(&inventory, |key| standing.get(key).is_some(), &policy, None);
        assert_eq!((keys.len(), waits.len()), (going, waiting), "share {prune_share}");
    }
    let guarded = [
        object("v1", "Namespace/shop", json!({})),
        object("apiextensions.k8s.io/v1", "CustomResourceDefinition/carts.example.com", json!({})),
        object("v1", "PersistentVolumeClaim/cart", json!({})),
        object("v1", "PersistentVolume/cart", json!({})),
    ];
    for object in guarded {
        let (inventory, standing) = doomed(vec![object.clone()]);
        let (keys, waits) = prunable(&inventory, |key| standing.get(key).is_some(), &World::new(&[]).policy, None);
        let waiting: Vec<_> = waits.into_iter().map(|reason| (reason.code, reason.object)).collect();
        assert_eq!((keys, waiting), (vec![], vec![(Code::PruneNeedsApproval, Some(key(&object)))]));
    }
}

#[test]
fn only_what_changed_is_asked_for() {
    let (same, old, new, gone) = (map("a", "1"), map("b", "1"), map("b", "2"), map("gone", "1"));
    let standing = [same.clone(), old, gone.clone()];
    let world = World::new(&standing);
    let asked = questions(&release(&[same.clone(), new.clone()]), world.standing.as_ref(), &world.inventory);
    assert_eq!(asked.read, BTreeSet::from([key(&new), key(&gone)]));
    assert_eq!(asked.dry_run, BTreeSet::from([key(&new)]));
    assert_eq!(asked.namespaces, BTreeSet::from(["shop".to_owned()]));
    let home = object("v1", "Namespace/shop", json!({}));
    let both = release(&[home.clone(), same.clone()]);
    let first = questions(&both, None, &Inventory::default());
    assert_eq!((first.dry_run, first.namespaces), (BTreeSet::from([key(&home), key(&same)]), BTreeSet::new()));
    let moved = questions(&both, world.standing.as_ref(), &Inventory::default());
    assert_eq!(moved.dry_run, BTreeSet::from([key(&home)]), "a new namespace is not there for a dry run");
    let world = World::new(&[home.clone(), same.clone()]);
    let next = questions(&release(&[home, same, new.clone()]), world.standing.as_ref(), &world.inventory);
    let expected = (BTreeSet::from([key(&new)]), BTreeSet::from(["shop".to_owned()]));
    assert_eq!((next.dry_run, next.namespaces), expected, "what is new in a namespace of ours can be dry-run");
}

type Mutation = (&'static str, fn(&mut Report));

/// Bugs that a planner could have.
const PLANTED: &[Mutation] = &[
    ("another release", |r| r.digest = lockmaster::name::Digest::of(b"x")),
    ("a change left out", |r| drop(r.changes.remove(0))),
    ("a change left out and counted", |r| {
        r.changes.remove(0);
        r.counts.update -= 1;
        r.counts.unchanged += 1;
        r.adoptions.clear();
    }),
    ("a change twice", |r| r.changes.push(r.changes[0].clone())),
    ("counts", |r| r.counts.unchanged += 1),
    ("an update called create", |r| {
        r.changes[0].action = ChangeAction::Create;
        (r.counts.update, r.counts.create) = (r.counts.update - 1, 1);
    }),
    ("an update called recreate", |r| {
        r.changes[0].action = ChangeAction::Recreate;
        (r.counts.update, r.counts.recreate) = (r.counts.update - 1, 1);
    }),
    ("a prune of a named object", |r| {
        r.changes[0].action = ChangeAction::Prune;
        (r.counts.update, r.counts.prune) = (r.counts.update - 1, 2);
    }),
    ("a prune of an unknown object", |r| {
        let last = r.changes.len() - 1;
        r.changes[last].object.name = "unknown".to_owned();
    }),
    ("a foreign object", |r| r.adoptions.clear()),
    ("a needless adoption", |r| r.adoptions.extend([r.changes[0].object.clone()])),
    ("a secret told", |r| {
        for field in r.changes.iter_mut().flat_map(|change| &mut change.fields) {
            field.to = Some("bmV3".into());
            field.secret = false;
        }
    }),
    ("a secret told and called so", |r| {
        for field in r.changes.iter_mut().flat_map(|change| &mut change.fields) {
            field.to = Some("bmV3".into());
        }
    }),
];

#[test]
fn the_checker_rejects_every_planted_bug() {
    let (cart, gone) = (map("cart", "2"), map("gone", "1"));
    let secret = |value: &str| object("v1", "Secret/db", json!({ "data": { "password": value } }));
    let foreign = map("foreign", "1");
    let world = World::new(&[map("cart", "1"), gone.clone(), secret("b2xk")])
        .live(ours(&map("cart", "1")))
        .would(ours(&cart))
        .live(ours(&gone))
        .live(ours(&secret("b2xk")))
        .would(ours(&secret("bmV3")))
        .live(foreign.clone())
        .would(ours(&foreign));
    let objects = [cart, foreign, secret("bmV3")];
    let good = world.report(&objects);
    assert_eq!(told(&good).len(), 4);
    for (name, mutate) in PLANTED {
        let mut bad = good.clone();
        mutate(&mut bad);
        let verdict = check(&bad, &release(&objects), &world.ground());
        assert_eq!(verdict.map_err(|reason| reason.code), Err(Code::PlanCheckFailed), "{name}");
    }
}

/// `path from to` of each change, `secret` where withheld.
fn lines(from: &Value, to: &Value) -> Vec<String> {
    let show = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    let line = |change: FieldChange| {
        let secret = if change.secret { " secret" } else { "" };
        format!("{} {} {}{secret}", change.path, show(&change.from), show(&change.to))
    };
    field_changes(&key(from), from, to).into_iter().map(line).collect()
}

#[test]
fn fields_are_told_where_people_look_for_them() {
    let table = [
        (json!({ "spec": { "a": 1 } }), json!({ "spec": { "a": 2 } }), vec!["spec.a 1 2"]),
        (json!({}), json!({ "spec": { "a": { "b": 1 } } }), vec![r#"spec - {"a":{"b":1}}"#]),
        (
            json!({ "c": [{ "name": "x", "i": 1 }, { "name": "y", "i": 1 }] }),
            json!({ "c": [{ "name": "x", "i": 1 }, { "name": "y", "i": 2 }, { "name": "z" }] }),
            vec!["c[name=y].i 1 2", r#"c[name=z] - {"name":"z"}"#],
        ),
        (json!({ "c": [1, 2] }), json!({ "c": [1, 3, 4] }), vec!["c[1] 2 3", "c[2] - 4"]),
        (
            json!({ "c": [{ "name": "x" }, { "name": "y" }] }),
            json!({ "c": [{ "name": "y" }, { "name": "x" }] }),
            vec![r#"c [{"name":"x"},{"name":"y"}] [{"name":"y"},{"name":"x"}]"#],
        ),
        (
            json!({ "status": 1, "metadata": { "uid": "a", "generation": 1, "resourceVersion": "1" } }),
            json!({ "status": 2, "metadata": { "uid": "b", "generation": 2 } }),
            vec![],
        ),
        (
            json!({ "metadata": { "annotations": { "a.b/c": "1" } } }),
            json!({ "metadata": { "annotations": {} } }),
            vec![r#"metadata.annotations['a.b/c'] "1" -"#],
        ),
    ];
    for (from, to, expected) in table {
        let (from, to) = (object("v1", "ConfigMap/a", from), object("v1", "ConfigMap/a", to));
        assert_eq!(lines(&from, &to), expected);
    }
}

#[test]
fn a_secret_shows_its_keys_and_no_value() {
    let copy = "kubectl.kubernetes.io/last-applied-configuration";
    let secret = |rest: Value| object("v1", "Secret/db", rest);
    let from = secret(json!({ "type": "Opaque" }));
    let to = secret(json!({
        "type": "other", "data": { "tls.key": "c2VjcmV0" }, "stringData": { "a": "secret" },
        "metadata": { "annotations": { copy: "secret", "open": "1" } }
    }));
    let expected = [
        "data['tls.key'] - - secret",
        &format!("metadata.annotations['{copy}'] - - secret"),
        r#"metadata.annotations.open - "1""#,
        "stringData.a - - secret",
        r#"type "Opaque" "other""#,
    ];
    assert_eq!(lines(&from, &to), expected);
    assert_eq!(lines(&secret(json!({ "data": null })), &to)[0], "data - - secret");
}

#[test]
fn the_last_foreign_writer_of_a_field_is_named() {
    let entry = |manager: &str, operation: &str, time: &str, fields: Value| json!({ "manager": manager, "operation": operation, "time": time, "fieldsV1": fields });
    let port = |port: i64, name: &str| json!({ "containerPort": port, "protocol": "TCP", "name": name });
    let item = json!({ "f:spec": { "f:ports": { r#"k:{"containerPort":80,"protocol":"TCP"}"#: { "f:name": {} } } } });
    let live = object(
        "v1",
        "ConfigMap/a",
        json!({
            "spec": { "ports": [port(80, "x")], "replicas": 3, "ours": 1 },
            "metadata": { "managedFields": [
                entry("lockmaster", "Apply", "2026-01-01T00:00:00Z", json!({ "f:spec": { "f:ours": {} } })),
                entry("old", "Update", "2026-01-02T00:00:00Z", item.clone()),
                entry("kubectl-edit", "Update", "2026-01-03T00:00:00Z", item),
                entry("hpa", "Update", "2026-01-03T00:00:00Z", json!({ "f:spec": { "f:replicas": {} } })),
            ] }
        }),
    );
    let to = with(&live, json!({ "spec": { "ports": [port(80, "y")], "replicas": 1, "ours": 2 } }));
    let found = field_changes(&key(&live), &live, &to);
    let found: Vec<_> = found.iter().map(|c| (c.path.as_str(), c.drift.as_ref().map(|o| o.manager.as_str()))).collect();
    let expected = [
        ("spec.ours", None),
        ("spec.ports[containerPort=80,protocol=TCP].name", Some("kubectl-edit")),
        ("spec.replicas", Some("hpa")),
    ];
    assert_eq!(found, expected);
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3i64).prop_map(Value::from)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("(name|a|b)", inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn an_object_does_not_differ_from_itself(spec in tree()) {
        let object = object("v1", "ConfigMap/a", json!({ "spec": spec }));
        prop_assert_eq!(field_changes(&key(&object), &object, &object), vec![]);
    }

    #[test]
    fn every_difference_is_told(from in tree(), to in tree()) {
        let (a, b) = (object("v1", "X/a", json!({ "spec": from })), object("v1", "X/a", json!({ "spec": to })));
        let found = field_changes(&key(&a), &a, &b);
        prop_assert_eq!(found.is_empty(), a == b);
        prop_assert!(found.iter().all(|change| change.from != change.to));
    }

    #[test]
    fn a_widened_inventory_holds_the_old_and_the_new(old in 0..8usize, new in 1..8usize, shift in 0..8usize) {
        let maps = |range: std::ops::Range<usize>| range.map(|i| map(&format!("m{i:02}"), "1")).collect::<Vec<_>>();
        let (before, set) = (inventory(&maps(0..old)), release(&maps(shift..shift + new)));
        let after = before.widened(set.objects(), 7);
        prop_assert!(before.members.keys().all(|key| after.members.contains_key(key)));
        prop_assert!(set.manifests().iter().all(|manifest| after.members.contains_key(&manifest.key)));
        prop_assert!(after.members.iter().all(|(key, member)| member.doomed == set.get(key).is_none()));
    }
}
