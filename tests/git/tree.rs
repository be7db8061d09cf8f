//! The files of a commit.

use lockmaster::edge::git::{GitError, Limits};
use lockmaster::name::{Code, ObjectId, RepoPath};
use lockmaster::render::{EntryKind, Tree, TreeEntry};

use super::git_support::{Scene, assert_code, main_branch};

fn path(text: &str) -> RepoPath {
    text.parse().expect("because it is a path in the repository")
}

fn listing(scene: &Scene) -> Result<Tree, GitError> {
    let mirror = scene.mirror();
    let tip = scene.id("main");
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
    mirror.tree(&tip)
}

fn object(scene: &Scene, revision: &str) -> ObjectId {
    scene.git(&["rev-parse", revision]).parse().expect("because git prints ids")
}

#[test]
fn rows_12_and_13_links_and_submodules_are_listed_as_what_they_are() {
    let scene = Scene::new();
    let first = scene.commit("base/a.yaml", "a: 1\n");
    std::os::unix::fs::symlink("../../etc/passwd", scene.work().join("base/link")).expect("because it may write");
    scene.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},sub")]);
    scene.write("run.sh", "#!\n");
    scene.git(&["add", "base", "run.sh"]);
    scene.git(&["update-index", "--chmod=+x", "run.sh"]);
    scene.git(&["commit", "--quiet", "--message", "x"]);
    let entry = |kind, name: &str, size| TreeEntry { kind, id: object(&scene, &format!("HEAD:{name}")), size };
    let expected = Tree::from([
        (path("base/a.yaml"), entry(EntryKind::File, "base/a.yaml", 5)),
        (path("base/link"), entry(EntryKind::Link, "base/link", 16)),
        (path("run.sh"), entry(EntryKind::File, "run.sh", 3)),
        (path("sub"), TreeEntry { kind: EntryKind::Submodule, id: first.0.clone(), size: 0 }),
    ]);
    let tree = listing(&scene).expect("because the tree is well formed");
    assert_eq!(tree, expected);
    let mirror = scene.mirror();
    let read = mirror.read(&tree, &[path("base/a.yaml"), path("base/link")]).expect("because both are blobs");
    let contents = [(path("base/a.yaml"), b"a: 1\n".to_vec()), (path("base/link"), b"../../etc/passwd".to_vec())];
    assert_eq!(read, contents.into());
    assert_code(mirror.read(&tree, &[path("sub")]), Code::UnsafePath);
    assert_code(mirror.read(&tree, &[path("base/b.yaml")]), Code::PathNotFound);
}

#[test]
fn row_10_a_file_over_the_limit_is_named_and_not_read() {
    let scene = Scene::new();
    scene.commit("small", "123");
    scene.commit("large", vec![0; (8 << 20) + 1]);
    let tree = listing(&scene).expect("because listing reads no file");
    let mirror = scene.mirror();
    assert_eq!(mirror.read(&tree, &[path("small")]).expect("because it is small").len(), 1);
    let reason = mirror.read(&tree, &[path("large")]).expect_err("because it is too large").reason();
    assert_eq!((reason.code, reason.file.as_deref()), (Code::LimitExceeded, Some("large")));
    let narrow = scene.mirror().with_limits(Limits { tree_entries: 1, ..Limits::default() });
    assert_code(narrow.tree(&scene.id("main")), Code::LimitExceeded);
}

#[test]
fn row_11_a_malformed_tree_is_a_corrupt_object() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let blob = raw(&object(&scene, "HEAD:a"));
    let tree = raw(&object(&scene, "HEAD^{tree}"));
    let entry = |mode: &str, name: &str, id: &[u8]| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", id].concat();
    let twice = [entry("100644", "a", &blob), entry("100644", "a", &blob)].concat();
    let file_and_directory = [entry("100644", "a", &blob), entry("100644", "a-b", &blob), entry("40000", "a", &tree)];
    for (what, bytes) in [
        ("..", entry("40000", "..", &tree)),
        (".", entry("40000", ".", &tree)),
        (".git", entry("40000", ".git", &tree)),
        (".GIT", entry("100644", ".GIT", &blob)),
        ("git~1", entry("100644", "git~1", &blob)),
        ("a slash", entry("100644", "../x", &blob)),
        ("no name", entry("100644", "", &blob)),
        ("an unknown mode", entry("100700", "a", &blob)),
        ("a file as directory", entry("40000", "a", &blob)),
        ("a directory as file", entry("100644", "a", &tree)),
        ("the same name twice", twice),
        ("file and directory of one name", file_and_directory.concat()),
        ("half an entry", entry("100644", "a", &blob[..10])),
    ] {
        let result = malformed(&scene, &bytes);
        assert!(matches!(result, Err(GitError::Corrupt { .. })), "{what}: {result:?}");
    }
    assert!(malformed(&scene, &entry("100644", "a", &blob)).is_ok(), "the bytes are put together as they should be");
}

#[test]
fn row_11_directories_deeper_than_256_are_a_corrupt_object() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let mut tree = object(&scene, "HEAD^{tree}");
    for depth in 1..=257 {
        let bytes = [b"40000 d\0".as_slice(), &raw(&tree)].concat();
        let arguments = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
        tree = scene.git_with(&arguments, &bytes).parse().expect("because git prints ids");
        if depth >= 256 {
            let result = malformed(&scene, &[b"40000 x\0".as_slice(), &raw(&tree)].concat());
            assert!(matches!(result, Err(GitError::Corrupt { .. })), "{depth}");
        }
        if depth == 255 {
            let deep = malformed(&scene, &[b"40000 x\0".as_slice(), &raw(&tree)].concat());
            assert_eq!(deep.expect("because 256 directories are allowed").len(), 1);
        }
    }
}

#[test]
fn a_path_that_is_not_utf8_is_unsafe() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let blob = raw(&object(&scene, "HEAD:a"));
    let bytes = [b"100644 b\xff\0".as_slice(), &blob].concat();
    assert_code(malformed(&scene, &bytes), Code::UnsafePath);
}

/// Lists a commit of this raw tree, made where no check of the transfer stands in the way: in the mirror itself.
fn malformed(scene: &Scene, tree: &[u8]) -> Result<Tree, GitError> {
    let commit = scene.commit_tree(tree);
    let mirror = scene.mirror();
    let objects = scene.work().join(".git/objects");
    let target = scene.mirror_folder().join("objects");
    for directory in std::fs::read_dir(objects).expect("because the clone has objects") {
        let directory = directory.expect("because it lists").path();
        let name = directory.file_name().expect("because it has a name").to_owned();
        if name.len() != 2 {
            continue;
        }
        std::fs::create_dir_all(target.join(&name)).expect("because the test may write");
        for file in std::fs::read_dir(&directory).expect("because it is a directory") {
            let file = file.expect("because it lists");
            std::fs::copy(file.path(), target.join(&name).join(file.file_name())).map(drop).ok();
        }
    }
    mirror.tree(&commit)
}

fn raw(id: &ObjectId) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&id.as_str()[at..at + 2], 16).expect("because ids are hex");
    (0..40).step_by(2).map(digit).collect()
}
