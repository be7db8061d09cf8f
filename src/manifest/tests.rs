use proptest::prelude::*;
use serde_json::json;

use super::*;

fn file(name: &str) -> RepoPath {
    name.parse().expect("because it is a path")
}

fn fence() -> Fence {
    Fence {
        namespaces: vec!["shop".to_owned()],
        default_namespace: Some("shop".to_owned()),
        cluster_kinds: vec![GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")],
        agent_namespace: "lockmaster".to_owned(),
    }
}

fn assemble(text: &str) -> Result<ManifestSet, Vec<Reason>> {
    let drafts = read(&file("a.yaml"), text.as_bytes()).map_err(|reason| vec![reason])?;
    ManifestSet::assemble(drafts, &fence(), &Scopes::built_in())
}

fn map(metadata: &str, more: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{{metadata}}}\n{more}")
}

/// The code, line and column of the one reason against this text; no reason may tell the secret `hunter2`.
fn refusal(text: &str) -> (Code, Option<u32>, Option<u32>) {
    let reasons = assemble(text).expect_err("because the text is refused");
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(!format!("{reasons:?}").contains("hunter2"), "{reasons:?}");
    assert_eq!(reasons[0].file.as_deref(), Some("a.yaml"));
    (reasons[0].code, reasons[0].line, reasons[0].column)
}

#[test]
fn rows_34_to_36_refuse_bombs() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
        c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
        e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    assert_eq!(refusal(bomb).0, Code::LimitExceeded);
    let large = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 5000].join(","));
    assert_eq!(refusal(&large).0, Code::LimitExceeded);
    let deep = |levels: usize| format!("a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(refusal(&deep(64)), (Code::LimitExceeded, Some(1), Some(67)));
    assert_eq!(refusal(&deep(63)).0, Code::InvalidObject);
}

#[test]
fn rows_37_to_42_refuse_what_is_no_yaml_and_say_where() {
    for (text, line, column) in [
        ("a: 1\nb: 2\na: hunter2\n", 3, 1),
        ("a:\n\tb: hunter2\n", 2, 2),
        ("a: \"hunter2\0\"\n", 1, 12),
        ("a: 1\n---\nb: &b [*b]\n", 3, 8),
        ("a: .nan\n", 1, 4),
        ("a: .inf\n", 1, 4),
        ("a: {[x]: hunter2}\n", 1, 5),
        ("a: {~: hunter2}\n", 1, 5),
        ("a: !!int hunter2\n", 1, 10),
        ("--- {a: hunter2}\n", 1, 4),
    ] {
        assert_eq!(refusal(text), (Code::InvalidYaml, Some(line), Some(column)), "{text:?}");
    }
    let reason = read(&file("a.yaml"), b"a: 1\nb: \xff\n").expect_err("because it is not UTF-8");
    assert_eq!((reason.code, reason.line, reason.column), (Code::InvalidYaml, Some(2), Some(4)));
}

#[test]
fn row_43_flattens_lists_one_level_and_skips_empty_documents() {
    let item = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}}";
    let list = |items: &str| format!("{{apiVersion: v1, kind: List, items: [{items}]}}");
    let one = item.replace("NAME", "one");
    let set =
        assemble(&format!("---\n\n---\n{}\n", list(&format!("{one}, {}", item.replace("NAME", "two"))))).expect("good");
    assert_eq!(set.manifests().len(), 2);
    assert_eq!(refusal(&list(&list(&one))).0, Code::InvalidObject);
    assert!(read(&file("a.yaml"), "---\n".repeat(100_001).as_bytes()).expect("because they are empty").is_empty());
}

#[test]
fn rows_44_51_and_52_refuse_what_is_no_object_to_apply() {
    let secret = |more: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{more}");
    for text in [
        "kind: ConfigMap\nmetadata: {name: a}\n".to_owned(),
        "apiVersion: v1\nmetadata: {name: a}\n".to_owned(),
        map("", ""),
        map("generateName: a-", ""),
        map("name: Upper", ""),
        map("name: a, uid: u", ""),
        map("name: a, resourceVersion: '1'", ""),
        map("name: a, managedFields: [{manager: m}]", ""),
        map("name: a, ownerReferences: [{name: o}]", ""),
        map("name: a", "status: {ready: true}\n"),
        map("name: a, annotations: {lockmaster.dev/wave: first}", ""),
        map("name: a, labels: {applyset.kubernetes.io/part-of: x}", ""),
        map(&format!("name: a, annotations: {{a: {}}}", "x".repeat(262_144)), ""),
        map("name: a", &format!("data: {{a: {}}}\n", "x".repeat(1 << 20))),
        secret("data: {password: hunter2!}\n"),
        secret("data: {password: [hunter2]}\n"),
        secret("stringData: {password: {a: hunter2}}\n"),
        secret("type: [hunter2]\n"),
    ] {
        assert_eq!(refusal(&text), (Code::InvalidObject, Some(1), None), "{}", &text[..text.len().min(200)]);
    }
}

#[test]
fn row_45_names_both_files_of_a_duplicate() {
    let text = map("name: a", "");
    let drafts = ["a.yaml", "b.yaml"].map(|name| read(&file(name), text.as_bytes()).expect("good")).concat();
    let reasons = ManifestSet::assemble(drafts, &fence(), &Scopes::built_in()).expect_err("because it is twice");
    let told: Vec<(Code, &str)> = reasons.iter().map(|r| (r.code, r.message.as_str())).collect();
    assert_eq!(told, [(Code::DuplicateObject, "`shop ConfigMap/a` is in `a.yaml:1` and in `b.yaml:1`")]);
}

#[test]
fn row_46_knows_kinds_of_the_release_itself() {
    let custom = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n";
    assert_eq!(refusal(custom).0, Code::KindNotFound);
    let definition = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
        metadata: {name: things.example.com}\nspec: {group: example.com, scope: Namespaced, names: {kind: Thing}}\n";
    let set = assemble(&format!("{custom}{definition}")).expect("because the definition is in the set");
    let stages: Vec<Stage> = set.manifests().iter().map(|manifest| manifest.stage).collect();
    assert_eq!(stages, [Stage::Foundation, Stage::Workload]);
}

#[test]
fn rows_48_and_49_keep_inside_the_fence() {
    let object =
        |api: &str, kind: &str, metadata: &str| format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{{metadata}}}\n");
    let rbac = "rbac.authorization.k8s.io/v1";
    for (text, code) in [
        (map("name: a, namespace: other", ""), Code::OutsideNamespace),
        (object("v1", "Namespace", "name: other"), Code::OutsideNamespace),
        (object(rbac, "ClusterRole", "name: other"), Code::OutsideNamespace),
        (object(rbac, "ClusterRole", "name: lockmaster-agent"), Code::ProtectedObject),
        (object(rbac, "ClusterRoleBinding", "name: lockmaster"), Code::ProtectedObject),
        (map("name: a, namespace: lockmaster", ""), Code::ProtectedObject),
        (object("v1", "Namespace", "name: lockmaster"), Code::ProtectedObject),
        (object("lockmaster.dev/v1alpha1", "Pipeline", "name: p"), Code::ProtectedObject),
    ] {
        assert_eq!(refusal(&text), (code, Some(1), None), "{text}");
    }
    assert!(assemble(&object("v1", "Namespace", "name: shop")).is_ok());
}

#[test]
fn row_53_refuses_an_empty_set() {
    let reasons = assemble("---\n# nothing\n").expect_err("because it is empty");
    assert_eq!(reasons.iter().map(|r| r.code).collect::<Vec<_>>(), [Code::EmptyRender]);
}

#[test]
fn the_canonical_form_is_what_the_server_stores() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, creationTimestamp: null, labels: {}, annotations: {}}\n\
        data: {a: \"aGk\\n=\"}\nstringData: {b: hunter2}\nstatus: {}\n";
    let set = assemble(secret).expect("because the secret is good");
    let stored = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"},
        "data": {"a": "aGk=", "b": "aHVudGVyMg=="}});
    assert_eq!(set.manifests()[0].value, stored);
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {metadata: \
        {creationTimestamp: null}, spec: {containers: [{name: c, resources: {limits: {cpu: 0.5, memory: 1024Mi}}}]}}}\n";
    let set = assemble(deployment).expect("because the deployment is good");
    let limits = set.manifests()[0].value.pointer("/spec/template/spec/containers/0/resources/limits");
    assert_eq!(limits, Some(&json!({"cpu": "500m", "memory": "1Gi"})));
    assert_eq!(set.manifests()[0].value.pointer("/spec/template/metadata"), Some(&json!({})));
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[-a-c0-9:{}&*<!|>'\"\\[\\], \n\t%.#~?]{0,60}") {
        read(&file("a.yaml"), &bytes).ok();
        read(&file("a.yaml"), text.as_bytes()).ok();
    }

    #[test]
    fn stored_bytes_read_as_the_same_set(values in proptest::collection::btree_map("[a-z]{1,8}", (any::<f64>(), any::<i64>(), ".{0,12}"), 1..5)) {
        let drafts = values.into_iter().map(|(name, (float, integer, text))| Draft {
            value: json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "f": float, "i": integer, "t": text}),
            source: Source { file: file("a.yaml"), line: 0 },
        });
        let set = ManifestSet::assemble(drafts.collect(), &fence(), &Scopes::built_in()).expect("because they are good");
        prop_assert_eq!(ManifestSet::from_bytes(&set.to_bytes()), Ok(set));
    }
}
