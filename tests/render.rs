//! The closure of inputs on trees in memory: nothing is run and nothing is read but what is asked for.

use std::collections::BTreeMap;

use lockmaster::deploylog::Inputs;
use lockmaster::name::{Code, Reason, RepoPath};
use lockmaster::render::{Closing, Closure, Contents, EntryKind, Part, Renderer, Sources, Tree, TreeEntry, close};

const KUSTOMIZATION: &str = "overlay/kustomization.yaml";

fn path(text: &str) -> RepoPath {
    text.parse().expect("because it is a path")
}

/// A repository in memory.
#[derive(Default)]
struct Repository {
    tree: Tree,
    blobs: Contents,
}

impl Repository {
    fn of(files: &[(&str, &str)]) -> Self {
        files.iter().fold(Repository::default(), |all, (at, content)| all.with(EntryKind::File, at, content))
    }

    fn with(mut self, kind: EntryKind, at: &str, content: &str) -> Self {
        let id = "0".repeat(40).parse().expect("because it is an id");
        self.tree.insert(path(at), TreeEntry { kind, id, size: content.len() as u64 });
        self.blobs.insert(path(at), content.as_bytes().to_vec());
        self
    }

    fn sized(mut self, at: &str, size: u64) -> Self {
        self = self.with(EntryKind::File, at, "");
        self.tree.get_mut(&path(at)).expect("because it was inserted").size = size;
        self
    }

    fn close(&self, paths: &[&str], renderer: Renderer) -> Result<Closure, Reason> {
        let sources = Sources { paths: paths.iter().map(|p| path(p)).collect(), renderer };
        let mut known = BTreeMap::new();
        loop {
            match close(&self.tree, &sources, &known)? {
                Closing::Closed(closure) => return Ok(closure),
                Closing::Needs(needs) => {
                    assert!(!needs.is_empty(), "a closure that is not closed needs something");
                    for need in needs {
                        let blob = self.blobs[&need].clone();
                        assert!(known.insert(need.clone(), blob).is_none(), "{need} is asked for once");
                    }
                }
            }
        }
    }

    fn refusal(&self, at: &str) -> (Code, String) {
        let reason = self.close(&[at], Renderer::Auto).expect_err("because it is refused");
        (reason.code, reason.message)
    }
}

/// What the overlay's kustomization is refused for; `base` and a few files stand beside it.
fn overlay(kustomization: &str) -> Repository {
    Repository::of(&[
        (KUSTOMIZATION, kustomization),
        ("base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("base/a.yaml", "a"),
        ("overlay/a.yaml", "a"),
    ])
}

fn names(closure: &Closure) -> Vec<&str> {
    closure.files().keys().map(RepoPath::as_str).collect()
}

#[test]
fn a_plain_path_reads_visible_manifests_in_byte_order_and_lists_their_directories() {
    let files =
        ["p/b.json", "p/a.yml", "p/sub/x.yaml", "p/sub/.hidden.yaml", "p/.git/y.yaml", "p/README.md", "p/e/n.txt"];
    let repository = files.iter().fold(Repository::of(&[("pq/z.yaml", "")]), |r, f| r.with(EntryKind::File, f, f));
    let closure = repository.close(&["p"], Renderer::Auto).expect("because it is plain");
    let read = ["p/a.yml", "p/b.json", "p/sub/x.yaml"].map(path).to_vec();
    assert_eq!(closure.parts(), [Part::Plain { path: path("p"), files: read.clone() }]);
    assert_eq!(closure.inputs().files.keys().cloned().collect::<Vec<_>>(), read);
    let listings = BTreeMap::from([
        (path("p"), Inputs::listing(["a.yml", "b.json", "sub/"])),
        (path("p/sub"), Inputs::listing(["x.yaml"])),
    ]);
    assert_eq!(closure.inputs().listings, listings);
}

#[test]
fn the_root_of_the_repository_is_a_path() {
    let closure = Repository::of(&[("a.yaml", ""), ("b/c.yaml", "")]).close(&[""], Renderer::Auto);
    let closure = closure.expect("because it is plain");
    assert_eq!(names(&closure), ["a.yaml", "b/c.yaml"]);
    assert_eq!(closure.inputs().listings[&RepoPath::root()], Inputs::listing(["a.yaml", "b/"]));
}

#[test]
fn a_path_may_be_one_file() {
    let closure = Repository::of(&[("p/a.yaml", "")]).close(&["p/a.yaml"], Renderer::Auto);
    let closure = closure.expect("because it is a file");
    assert_eq!(names(&closure), ["p/a.yaml"]);
    assert!(closure.inputs().listings.is_empty());
}

#[test]
fn row_12_links_are_followed_to_files_inside_the_repository_only() {
    let link = |at: &str, target: &str| {
        Repository::of(&[("shared/a.yaml", "shared"), ("p/real.yaml", "")]).with(EntryKind::Link, at, target)
    };
    let closure = link("p/a.yaml", "../shared/a.yaml").close(&["p"], Renderer::Auto).expect("because it is inside");
    assert_eq!(closure.files()[&path("p/a.yaml")], b"shared");
    assert_eq!(names(&closure), ["p/a.yaml", "p/real.yaml"]);
    for (at, target, words) in [
        ("p/a.yaml", "/etc/passwd", "outside the repository"),
        ("p/a.yaml", "../../etc/passwd", "outside the repository"),
        ("p/a.yaml", "a.yaml", "more than 8 links"),
        ("p/a.yaml", "../shared", "link to the directory `shared`"),
        ("p/dir", "../shared", "link to the directory `shared`"),
    ] {
        let (code, message) = link(at, target).refusal("p");
        assert_eq!(code, Code::UnsafePath, "{target}: {message}");
        assert!(message.contains(words), "{target}: {message}");
    }
    let (code, message) = link("dir", "p").refusal("dir/sub");
    assert_eq!((code, message.contains("through the link `dir`")), (Code::UnsafePath, true), "{message}");
    assert_eq!(link("p/a.yaml", "gone.yaml").refusal("p").0, Code::RenderFailed);
}

#[test]
fn row_12_eight_links_are_followed_and_nine_are_not() {
    let chain = |count: usize| {
        (0..count).fold(Repository::of(&[(&format!("p/{count}.yaml"), "")]), |all, n| {
            all.with(EntryKind::Link, &format!("p/{n}.yaml"), &format!("{}.yaml", n + 1))
        })
    };
    assert!(chain(8).close(&["p"], Renderer::Auto).is_ok());
    assert_eq!(chain(9).refusal("p").0, Code::UnsafePath);
}

#[test]
fn row_13_submodules_and_lfs_pointers_are_refused() {
    let good = || Repository::of(&[("p/a.yaml", "")]);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for (kind, at, content) in [(EntryKind::Submodule, "p/module", ""), (EntryKind::File, "p/big.yaml", pointer)] {
        assert_eq!(good().with(kind, at, content).refusal("p").0, Code::UnsafePath, "{at}");
    }
    let inside = good().with(EntryKind::Submodule, "module", "").refusal("module/p");
    assert_eq!(inside.0, Code::UnsafePath);
}

#[test]
fn row_55_a_path_that_is_not_in_the_commit_is_named() {
    assert_eq!(
        Repository::of(&[("pq/a.yaml", "")]).refusal("p"),
        (Code::PathNotFound, "`p` is not in the commit".to_owned())
    );
}

#[test]
fn row_56_remote_inputs_are_refused_wherever_they_are_named() {
    for text in [
        "resources: ['https://example.com/a.yaml']",
        "resources: ['github.com/o/r//base?ref=v1']",
        "bases: ['git@example.com:o/r']",
        "components: ['ssh://git@example.com/o/r']",
        "crds: ['https://example.com/a.json']",
        "patches: [{path: 'https://example.com/a.yaml'}]",
        "patches: ['https://example.com/a.yaml']",
        "patchesStrategicMerge: ['https://example.com/a.yaml?a: b']",
        "configMapGenerator: [{name: a, files: ['a=https://example.com/a']}]",
        "secretGenerator: [{name: a, envs: ['https://example.com/a']}]",
        "replacements: [{path: 'http://example.com/a'}]",
        "openapi: {path: 'https://example.com/a'}",
        "transformers: ['https://example.com/a']",
        "transformers: ['{apiVersion: builtin, kind: PatchTransformer, path: \"https://example.com/a\"}']",
    ] {
        let (code, message) = overlay(text).refusal("overlay");
        assert_eq!(code, Code::RemoteInputForbidden, "{text}: {message}");
    }
    let (_, message) = overlay("resources: ['https://me:hush@example.com/a?token=hush']").refusal("overlay");
    assert!(!message.contains("hush"), "{message}");
}

#[test]
fn row_57_paths_never_leave_the_repository() {
    for text in [
        "resources: [/etc/passwd]",
        "resources: [../../etc]",
        "configMapGenerator: [{name: a, files: [a=../../../etc/passwd]}]",
        "patches: [{path: ../../a.yaml}]",
    ] {
        assert_eq!(overlay(text).refusal("overlay").0, Code::UnsafePath, "{text}");
    }
    let linked = overlay("resources: [l.yaml]").with(EntryKind::Link, "overlay/l.yaml", "/etc/passwd");
    assert_eq!(linked.refusal("overlay").0, Code::UnsafePath);
}

#[test]
fn row_58_nothing_is_run() {
    let function = "apiVersion: builtin\nkind: PatchTransformer\nmetadata:\n  annotations:\n    \
                    config.kubernetes.io/function: 'exec: {path: ./run}'\n";
    for text in [
        "helmCharts: [{name: a}]".to_owned(),
        "helmGlobals: {chartHome: a}".to_owned(),
        "helmChartInflationGenerator: [{}]".to_owned(),
        "generators: ['{apiVersion: builtin, kind: HelmChartInflationGenerator}']".to_owned(),
        "transformers: ['{apiVersion: example.com/v1, kind: Custom}']".to_owned(),
        "transformers: ['{apiVersion: builtin, kind: List, items: []}']".to_owned(),
        format!("validators:\n- |\n  {}", function.replace('\n', "\n  ")),
    ] {
        let (code, message) = overlay(&text).refusal("overlay");
        assert_eq!(code, Code::RemoteInputForbidden, "{text}: {message}");
    }
    let file = overlay("transformers: [t.yaml]").with(EntryKind::File, "overlay/t.yaml", function);
    assert_eq!(file.refusal("overlay").0, Code::RemoteInputForbidden);
}

#[test]
fn row_59_a_cycle_or_a_missing_file_is_named_with_its_place() {
    let cycle =
        overlay("resources: [../base]").with(EntryKind::File, "base/kustomization.yaml", "resources: [../overlay]");
    let ring = "`overlay` → `base` → `overlay` is a cycle of kustomizations";
    assert_eq!(cycle.refusal("overlay"), (Code::RenderFailed, ring.to_owned()));
    let missing = overlay("resources:\n- a.yaml\n- gone.yaml\n").close(&["overlay"], Renderer::Auto);
    let reason = missing.expect_err("because a file is missing");
    let message = "`overlay/kustomization.yaml` names `gone.yaml`, but `overlay/gone.yaml` is not in the commit";
    let expected = Reason::new(Code::RenderFailed, message).at_file(KUSTOMIZATION, Some(3), None);
    assert_eq!(reason, expected);
}

#[test]
fn row_60_helm_is_refused_by_name() {
    let chart = Repository::of(&[("p/Chart.yaml", ""), ("p/templates/a.yaml", "")]);
    let (code, message) = chart.refusal("p");
    assert_eq!(code, Code::RenderFailed);
    assert!(message.contains("helm is not supported yet"), "{message}");
}

#[test]
fn what_is_not_understood_is_refused() {
    for text in [
        "unknownField: a",
        "Resources: [a.yaml]",
        "patches: [{Path: a.yaml}]",
        "secretGenerator: [{name: a, fileſ: [a.yaml]}]",
        "resources: a.yaml",
        "resources: [1]",
        "resources: ['']",
        "resources: [a.yaml]\n---\nresources: [a.yaml]\n",
        "- a.yaml",
        "",
    ] {
        assert_eq!(overlay(text).refusal("overlay").0, Code::RenderFailed, "{text}");
    }
    let both = overlay("resources: [a.yaml]").with(EntryKind::File, "overlay/Kustomization", "resources: [a.yaml]");
    assert_eq!(both.refusal("overlay").0, Code::RenderFailed);
    let plugins = overlay("transformers: [t]").with(
        EntryKind::File,
        "overlay/t/kustomization.yaml",
        "resources: [a.yaml]\npatches: [{path: p.yaml}]\n",
    );
    assert_eq!(plugins.refusal("overlay").0, Code::RenderFailed);
}

#[test]
fn an_inline_configuration_is_never_shown() {
    for text in [
        "patchesStrategicMerge:\n- |\n  kind: [Secret\n  stringData: {a: hush}\n",
        "patchesStrategicMerge: ['{kind: [Secret, stringData: {a: hush}}']",
        "transformers: ['{kind: Secret, stringData: {a: hush, url: \"https://me:hush@example.com\"}}']",
        "resources: [\"a\\nhush\"]",
    ] {
        let (_, message) = overlay(text).refusal("overlay");
        assert!(!message.contains("hush"), "{text}: {message}");
    }
}

#[test]
fn a_plugin_names_files_as_seen_from_the_kustomization_that_uses_it() {
    let patch = "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: a}\npath: p.yaml\n";
    let closure = overlay("resources: [../base]\ntransformers: [t]\n")
        .with(EntryKind::File, "overlay/p.yaml", "p")
        .with(EntryKind::File, "overlay/t/kustomization.yaml", "resources: [a.yaml]\n")
        .with(EntryKind::File, "overlay/t/a.yaml", patch)
        .close(&["overlay"], Renderer::Auto)
        .expect("because all is there");
    let expected = [
        "base/a.yaml",
        "base/kustomization.yaml",
        KUSTOMIZATION,
        "overlay/p.yaml",
        "overlay/t/a.yaml",
        "overlay/t/kustomization.yaml",
    ];
    assert_eq!(names(&closure), expected);
}

#[test]
fn limits_speak_before_anything_is_read() {
    let closing = |repository: &Repository| {
        let sources = Sources { paths: vec![path("p")], renderer: Renderer::Plain };
        close(&repository.tree, &sources, &Contents::new()).map(|_| ()).map_err(|reason| reason.code)
    };
    let mebibyte = 1 << 20;
    assert_eq!(closing(&Repository::default().sized("p/a.yaml", 8 * mebibyte)), Ok(()));
    assert_eq!(closing(&Repository::default().sized("p/a.yaml", 8 * mebibyte + 1)), Err(Code::LimitExceeded));
    let many =
        |count: u64| (0..count).fold(Repository::default(), |r, n| r.sized(&format!("p/{n}.yaml"), 8 * mebibyte));
    assert_eq!(closing(&many(8)), Ok(()));
    assert_eq!(closing(&many(9)), Err(Code::LimitExceeded));
}

#[test]
fn kustomizations_stand_on_each_other_to_a_depth_of_64() {
    let chain = |count: usize| {
        let last = Repository::of(&[(&format!("d{count}/kustomization.yaml"), "resources: []")]);
        (1..count).fold(last, |all, n| {
            let next = format!("resources: [../d{}]", n + 1);
            all.with(EntryKind::File, &format!("d{n}/kustomization.yaml"), &next)
        })
    };
    assert!(chain(64).close(&["d1"], Renderer::Auto).is_ok());
    assert_eq!(chain(65).refusal("d1").0, Code::LimitExceeded);
}
