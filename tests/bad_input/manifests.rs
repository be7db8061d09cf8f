//! Bad paths, bad YAML and bad objects.

use crate::control_plane::ControlPlane;
use crate::law::{Row, Yard, refuses};

/// A row of one file with any bytes.
fn bytes(name: &'static str, code: &'static str, make: fn() -> Vec<u8>) -> Row {
    Row::new(name, code, move |yard| {
        std::fs::write(yard.stage.repository.join("deploy/bad.yaml"), make()).expect("because it is ours");
        yard.brings(&[])
    })
}

/// A row of one file of text.
fn bad(name: &'static str, code: &'static str, text: &'static str) -> Row {
    Row::file(name, code, "deploy/bad.yaml", text)
}

/// A row of a link that leads there.
fn link(name: &'static str, to: &'static str) -> Row {
    Row::new(name, "unsafe-path", move |yard| {
        std::os::unix::fs::symlink(to, yard.stage.repository.join("deploy/bad.yaml")).expect("because it is ours");
        yard.brings(&[])
    })
    .at("deploy/bad.yaml")
}

pub(crate) fn unsafe_paths(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "paths", "", "").standing(&[]);
    let moved = Row::new("55 the path is not in the commit", "path-not-found", |yard| {
        yard.stage.git(&["mv", "deploy", "elsewhere"]);
        yard.brings(&[])
    });
    let submodule = Row::new("13 a submodule under the path", "unsafe-path", |yard| {
        let good = yard.good.as_deref().unwrap_or_default();
        yard.stage.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{good},deploy/bad")]);
        yard.stage.git(&["commit", "-q", "-m", "something"]);
        Some(yard.stage.head())
    });
    refuses(
        &yard,
        &[
            moved.shows(&["`deploy` is not in the commit"]).at("deploy"),
            link("12 a link to an absolute path", "/etc/passwd").shows(&["outside the repository"]),
            link("12 a link out of the repository", "../../elsewhere.yaml").shows(&["outside the repository"]),
            link("12 a link to itself", "bad.yaml").shows(&["more than 8 links"]),
            link("12 a link to a directory", "../deploy").shows(&["only links to files are followed"]),
            submodule.shows(&["`deploy/bad` is a submodule"]).at("deploy/bad"),
            bad(
                "13 an LFS pointer",
                "unsafe-path",
                "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n",
            )
            .shows(&["`deploy/bad.yaml` is a Git LFS pointer"])
            .at("deploy/bad.yaml"),
            bytes("10 a file of 60 MB", "limit-exceeded", || vec![b'#'; 60 << 20])
                .shows(&["62914560", "8388608"])
                .at("deploy/bad.yaml"),
        ],
    );
}

pub(crate) fn bad_yaml(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "yaml", "", "").standing(&[]);
    let start = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\n";
    let twice = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata:\n  a: one\n  a: two\n";
    refuses(
        &yard,
        &[
            bad("37 a key twice", "invalid-yaml", twice).at("deploy/bad.yaml:6:3").shows(&["`a`"]),
            bad("38 a tab", "invalid-yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: bad\n")
                .at("deploy/bad.yaml:4:2"),
            bad("38 not YAML at all", "invalid-yaml", "apiVersion: v1\nkind: [ConfigMap\n").at("deploy/bad.yaml:2:7"),
            bytes("38 not UTF-8", "invalid-yaml", || b"apiVersion: v1\nkind: Config\xffMap\n".to_vec())
                .at("deploy/bad.yaml:2:13"),
            bytes("38 NUL", "invalid-yaml", || b"apiVersion: v1\nkind: Con\0figMap\n".to_vec())
                .at("deploy/bad.yaml:2:10"),
            bytes("38 UTF-16", "invalid-yaml", || {
                let text = "\u{feff}apiVersion: v1\n";
                text.encode_utf16().flat_map(u16::to_le_bytes).collect()
            })
            .at("deploy/bad.yaml:1:1"),
            bytes("34 an alias bomb", "limit-exceeded", bomb),
            bytes("35 a long text many times", "limit-exceeded", || {
                let items = " *a,".repeat(5000);
                format!("a: &a {}\nb: [{items}]\n", "x".repeat(100 << 10)).into()
            }),
            bytes("36 nested 100 deep", "limit-exceeded", || {
                format!("a: {}{}\n", "[".repeat(100), "]".repeat(100)).into()
            }),
            bad("41 an anchor in itself", "invalid-yaml", "a: &a [*a]\n").at("deploy/bad.yaml:1:8"),
            Row::new("42 no number", "invalid-yaml", move |yard| {
                yard.brings(&[("deploy/bad.yaml", &format!("{start}data: {{a: .nan}}\n"))])
            })
            .at("deploy/bad.yaml:4:11"),
        ],
    );
}

/// Nine levels of ten aliases each.
fn bomb() -> Vec<u8> {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..=9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text.into()
}

pub(crate) fn bad_objects(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "objects", "", "").standing(&[]);
    refuses(&yard, &nameless());
    refuses(&yard, &empties());
    refuses(&yard, &fields());
    refuses(&yard, &fences());
}

/// Rows 44 to 47, and 52.
fn nameless() -> Vec<Row> {
    let same = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    let second =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\nkind: ConfigMap\nmetadata: {name: bad}\n";
    vec![
        bad("44 no apiVersion, in the second document", "invalid-object", second)
            .at("deploy/bad.yaml:5")
            .shows(&["has no `apiVersion`"]),
        bad("44 no kind", "invalid-object", "apiVersion: v1\nmetadata: {name: bad}\n")
            .at("deploy/bad.yaml:1")
            .shows(&["has no `kind`"]),
        bad("44 no name", "invalid-object", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n")
            .at("deploy/bad.yaml:1")
            .shows(&["`ConfigMap` has no `metadata.name`"]),
        bad(
            "44 a name to be generated",
            "invalid-object",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n",
        )
        .at("deploy/bad.yaml:1")
        .shows(&["generateName"]),
        bad("44 a list where an object should be", "invalid-object", "- a\n- b\n").at("deploy/bad.yaml:1:1"),
        bad("45 the same object in two files", "duplicate-object", same).at("deploy/web.yaml:1").shows(&[
            "`{ns} Service/web`",
            "deploy/bad.yaml",
            "deploy/web.yaml",
        ]),
        bad(
            "46 a kind that nobody serves",
            "kind-not-found",
            "apiVersion: example.com/v1\nkind: Lamp\nmetadata: {name: bad}\n",
        )
        .at("deploy/bad.yaml:1")
        .shows(&["Lamp"]),
        bad(
            "47 a field that nobody knows",
            "dry-run-denied",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndatum: {a: b}\n",
        )
        .by_the_cluster()
        .shows(&["`{ns} ConfigMap/bad`", "datum"]),
        bad(
            "52 a name that is none",
            "invalid-object",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}\n",
        )
        .at("deploy/bad.yaml:1")
        .shows(&["ConfigMap/Bad_Name"]),
        bytes("52 an object over 1 MiB", "invalid-object", || {
            let start = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndata: {a: ";
            format!("{start}{}}}\n", "x".repeat(1 << 20)).into()
        })
        .at("deploy/bad.yaml:1"),
        bytes("52 annotations over 256 KiB", "invalid-object", || {
            let start = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, annotations: {a: ";
            format!("{start}{}}}}}\n", "x".repeat(256 << 10)).into()
        })
        .at("deploy/bad.yaml:1"),
    ]
}

/// Row 53.
fn empties() -> Vec<Row> {
    let empty = Row::new("53 the set becomes empty", "empty-render", |yard| {
        yard.stage.git(&["rm", "-q", "-r", "deploy"]);
        yard.brings(&[("deploy/read.me", "nothing here\n")])
    });
    let comments = Row::new("53 nothing but comments is left", "empty-render", |yard| {
        yard.stage.git(&["rm", "-q", "-r", "deploy"]);
        yard.brings(&[("deploy/a.yaml", "# nothing here\n---\n\n---\n# nor here\n")])
    });
    vec![empty.at("deploy"), comments.at("deploy")]
}

/// Rows 50 and 51.
fn fields() -> Vec<Row> {
    let server = |name, found, text| {
        bad(name, "invalid-object", text).at("deploy/bad.yaml:1").shows(&["ConfigMap/bad"]).shows(found)
    };
    vec![
        server("51 uid", &["`metadata.uid`"], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, uid: abc}\n"),
        server(
            "51 resourceVersion",
            &["`metadata.resourceVersion`"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, resourceVersion: '1'}\n",
        ),
        server(
            "51 managedFields",
            &["`metadata.managedFields`"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, managedFields: [{manager: me}]}\n",
        ),
        server(
            "51 ownerReferences",
            &["`metadata.ownerReferences`"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, ownerReferences: [{uid: a}]}\n",
        ),
        bad(
            "51 status",
            "invalid-object",
            "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 1}]}\nstatus: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}\n",
        )
        .at("deploy/bad.yaml:1")
        .shows(&["Service/bad", "`status`"]),
        bad(
            "50 a Secret that is no base64",
            "invalid-object",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ndata: {password: planted-secret-two!}\n",
        )
        .at("deploy/bad.yaml:1")
        .shows(&["Secret/bad", "password"]),
        bad(
            "50 a Secret whose value is no text",
            "invalid-object",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nstringData: {password: {a: planted-secret-two}}\n",
        )
        .at("deploy/bad.yaml:1")
        .shows(&["Secret/bad", "password"]),
        bad(
            "50 a Secret that its type refuses",
            "dry-run-denied",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ntype: kubernetes.io/tls\nstringData: {tls.crt: planted-secret-two}\n",
        )
        .by_the_cluster()
        .shows(&["Secret/bad"]),
    ]
}

/// Rows 48 and 49.
fn fences() -> Vec<Row> {
    let outside = |name, text| bad(name, "outside-namespace", text).at("deploy/bad.yaml:1");
    let protected = |name, text| bad(name, "protected-object", text).at("deploy/bad.yaml:1");
    vec![
        outside(
            "48 another namespace",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, namespace: kube-system}\n",
        )
        .shows(&["`kube-system ConfigMap/bad`"]),
        outside("48 another namespace itself", "apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-public}\n")
            .shows(&["`Namespace/kube-public`"]),
        outside(
            "48 an object of the whole cluster",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: bad}\n",
        )
        .shows(&["`ClusterRole/bad`"]),
        protected(
            "49 the agent's namespace",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad, namespace: {agent}}\n",
        )
        .shows(&["`{agent} ConfigMap/bad`"]),
        protected("49 the agent's namespace itself", "apiVersion: v1\nkind: Namespace\nmetadata: {name: {agent}}\n")
            .shows(&["`Namespace/{agent}`"]),
        protected(
            "49 the agent's own kind",
            "apiVersion: lockmaster.dev/v1alpha1\nkind: Pipeline\nmetadata: {name: bad}\nspec: {}\n",
        ),
        protected(
            "49 the agent's rights",
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: lockmaster}\n",
        ),
    ]
}
