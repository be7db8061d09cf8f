//! Kustomizations that reach out, run something, or do not hold together.

use crate::control_plane::ControlPlane;
use crate::law::{Row, Yard, refuses};

/// A row of a kustomization over the good files, with these lines.
fn kustomization(name: &'static str, code: &'static str, lines: &'static str) -> Row {
    Row::new(name, code, move |yard| yard.brings(&[("deploy/kustomization.yaml", &with(lines))]))
}

fn with(lines: &str) -> String {
    let good = "resources:\n- namespace.yaml\n- settings.yaml\n- store.yaml\n- web.yaml\n";
    format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n{good}{lines}")
}

pub(crate) fn reaching_out(plane: &'static ControlPlane) {
    let yard = Yard::new(plane, "overlays", "", "").standing(&[("deploy/kustomization.yaml", &with(""))]);
    let outside = "remote-input-forbidden";
    let function = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: run\n  annotations:\n    \
                    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}\n";
    let transformer = Row::new("58 a function in a transformer", outside, move |yard| {
        yard.brings(&[
            ("deploy/kustomization.yaml", &with("transformers:\n- run.yaml\n")),
            ("deploy/run.yaml", function),
        ])
    });
    let generator = Row::new("58 a plugin", outside, |yard| {
        let plugin = "apiVersion: example.com/v1\nkind: Maker\nmetadata: {name: run}\n";
        yard.brings(&[("deploy/kustomization.yaml", &with("generators:\n- run.yaml\n")), ("deploy/run.yaml", plugin)])
    });
    let escape = Row::new("57 a link out of the repository", "unsafe-path", |yard| {
        std::os::unix::fs::symlink("/etc/passwd", yard.stage.repository.join("deploy/p.txt"))
            .expect("because it is ours");
        yard.brings(&[("deploy/kustomization.yaml", &with("configMapGenerator:\n- name: p\n  files: [p.txt]\n"))])
    });
    let cycle = Row::new("59 a cycle", "render-failed", |yard| {
        let inner = "resources:\n- ../deploy\n";
        yard.brings(&[("deploy/kustomization.yaml", &with("- ../inner\n")), ("inner/kustomization.yaml", inner)])
    });
    let file = "deploy/kustomization.yaml";
    refuses(
        &yard,
        &[
            kustomization("56 a remote base", outside, "- https://me:planted-secret-two@example.com/base.yaml\n")
                .at(file)
                .shows(&["https://example.com/base.yaml"]),
            kustomization("56 a repository as a base", outside, "- github.com/example/base?ref=v1\n").at(file),
            kustomization("56 a remote patch", outside, "patches:\n- path: https://example.com/patch.yaml\n").at(file),
            kustomization("57 out of the repository", "unsafe-path", "- ../../other\n")
                .at("deploy/kustomization.yaml:8")
                .shows(&["../../other"]),
            kustomization("57 an absolute path", "unsafe-path", "- /etc/passwd\n")
                .at("deploy/kustomization.yaml:8")
                .shows(&["/etc/passwd"]),
            escape.at("deploy/kustomization.yaml:10").shows(&["`deploy/p.txt` is a link to `/etc/passwd`"]),
            transformer.at("deploy/run.yaml"),
            generator.at("deploy/run.yaml"),
            kustomization("58 a chart", outside, "helmCharts:\n- {name: redis, repo: 'https://example.com'}\n")
                .at(file),
            kustomization("59 a file that is not there", "render-failed", "- nowhere.yaml\n")
                .at("deploy/kustomization.yaml:8")
                .shows(&["nowhere.yaml"]),
            kustomization("59 a key that kustomize does not know", "render-failed", "resourcez: []\n").at(file),
            kustomization(
                "59 a patch of an object that is not there",
                "render-failed",
                "patches:\n- patch: '[{op: remove, path: /data/none}]'\n  target: {kind: ConfigMap, name: settings}\n",
            ),
            cycle,
            kustomization("38 a kustomization that is no YAML", "invalid-yaml", "patches: [\n")
                .at("deploy/kustomization.yaml:8:10"),
        ],
    );
}
