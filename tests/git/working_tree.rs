//! The clone a person works in.

use lockmaster::edge::git::{clone_head, working_tree};
use lockmaster::name::Code;
use lockmaster::render::EntryKind;

use super::git_support::{Scene, assert_code};

#[test]
fn a_revision_of_the_clone_names_a_commit() {
    let scene = Scene::new();
    let first = scene.commit("dir/a", "1");
    let second = scene.commit("dir/a", "2");
    scene.git(&["tag", "--annotate", "--message", "x", "v1", first.as_str()]);
    for (revision, commit) in [("HEAD", &second), ("main~1", &first), ("v1", &first), (first.short(), &first)] {
        assert_eq!(&clone_head(&scene.work().join("dir"), revision).expect("because it names a commit"), commit);
    }
    assert_code(clone_head(&scene.work(), "nothing"), Code::RefNotFound);
    assert_code(clone_head(&scene.work(), "HEAD:dir/a"), Code::RefNotFound);
    assert_code(clone_head(scene.root(), "HEAD"), Code::FetchFailed);
}

#[test]
fn the_working_tree_has_what_git_would_add_and_nothing_that_is_ignored() {
    let scene = Scene::new();
    scene.commit("kept/a.yaml", "1");
    scene.commit("gone.yaml", "1");
    scene.commit("changed.yaml", "1");
    scene.commit(".gitignore", "*.log\nout/\n");
    scene.write("changed.yaml", "two\r\n");
    scene.write("kept/new/b.yaml", "3");
    scene.write("x.log", "x");
    scene.write("out/y.yaml", "x");
    std::fs::remove_file(scene.work().join("gone.yaml")).expect("because it was committed");
    std::os::unix::fs::symlink("kept", scene.work().join("link")).expect("because the test may write");
    let (tree, files) = working_tree(&scene.work().join("kept")).expect("because it is a clone");
    let listed: Vec<(&str, EntryKind, u64)> = tree.iter().map(|(p, e)| (p.as_str(), e.kind, e.size)).collect();
    let file = EntryKind::File;
    assert_eq!(
        listed,
        [
            (".gitignore", file, 11),
            ("changed.yaml", file, 5),
            ("kept/a.yaml", file, 1),
            ("kept/new/b.yaml", file, 1),
            ("link", EntryKind::Link, 4),
        ]
    );
    for (path, entry) in tree.iter().filter(|(_, entry)| entry.kind == file) {
        let id = scene.git(&["hash-object", "--no-filters", path.as_str()]);
        assert_eq!(entry.id.as_str(), id, "{path}");
        assert_eq!(std::fs::read(&files[path]).expect("because it is listed").len() as u64, entry.size);
    }
    assert_eq!(files.keys().collect::<Vec<_>>(), tree.keys().collect::<Vec<_>>());
}
