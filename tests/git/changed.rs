//! What differs between two commits, by path.

use std::collections::BTreeSet;

use lockmaster::edge::git::Mirror;
use lockmaster::name::{Code, CommitId};

use super::git_support::{Scene, assert_code, id, main_branch, reference};

/// A mirror that holds `main`.
fn mirror(scene: &Scene) -> Mirror {
    let mirror = scene.mirror();
    mirror.fetch(&[(main_branch(), scene.id("main"))]).expect("because the commit is there");
    mirror
}

fn changed(mirror: &Mirror, old: &CommitId, new: &CommitId) -> Option<Vec<String>> {
    let changed = mirror.changed_paths(old, new).expect("because both commits are there");
    changed.map(|paths| paths.iter().map(ToString::to_string).collect())
}

/// Commits what git is told to do.
fn after(scene: &Scene, steps: &[&[&str]]) -> CommitId {
    for step in steps {
        scene.git(step);
    }
    scene.git(&["commit", "--quiet", "--message", "x"]);
    scene.id("HEAD")
}

#[test]
fn every_path_that_differs_on_either_side_is_told_and_no_other() {
    let scene = Scene::new();
    scene.commit("apps/web/x.yaml", "a: 1\n");
    scene.commit("apps/api/x.yaml", "a: 1\n");
    let old = scene.commit("base/x.yaml", "a: 1\n");
    let edited = scene.commit("apps/web/x.yaml", "a: 2\n");
    let added = scene.commit("apps/web/deep/y.yaml", "a: 1\n");
    let moved = after(&scene, &[&["mv", "base/x.yaml", "base/y.yaml"]]);
    let removed = after(&scene, &[&["rm", "--quiet", "-r", "apps/api"]]);
    let mode = after(&scene, &[&["update-index", "--chmod=+x", "base/y.yaml"]]);
    let mirror = mirror(&scene);
    for (from, to, expected) in [
        (&old, &old, vec![]),
        (&old, &edited, vec!["apps/web/x.yaml"]),
        (&edited, &added, vec!["apps/web/deep/y.yaml"]),
        (&added, &moved, vec!["base/x.yaml", "base/y.yaml"]),
        (&moved, &removed, vec!["apps/api/x.yaml"]),
        (&removed, &mode, vec!["base/y.yaml"]),
        (
            &old,
            &removed,
            vec!["apps/api/x.yaml", "apps/web/deep/y.yaml", "apps/web/x.yaml", "base/x.yaml", "base/y.yaml"],
        ),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(changed(&mirror, from, to), Some(expected));
    }
}

#[test]
fn a_file_that_becomes_a_directory_is_told_with_what_is_in_it() {
    let scene = Scene::new();
    let file = scene.commit("a", "1");
    scene.git(&["rm", "--quiet", "a"]);
    let directory = scene.commit("a/b/c", "1");
    scene.git(&["rm", "--quiet", "-r", "a"]);
    let again = scene.commit("a", "1");
    let mirror = mirror(&scene);
    let expected = Some(vec!["a".to_owned(), "a/b/c".to_owned()]);
    assert_eq!(changed(&mirror, &file, &directory), expected);
    assert_eq!(changed(&mirror, &directory, &again), expected);
    assert_eq!(changed(&mirror, &file, &again), Some(Vec::new()), "both have the same files");
}

#[test]
fn it_says_what_git_diff_says_for_a_merge_of_many_files() {
    let scene = Scene::new();
    for n in 0..12 {
        scene.write(&format!("d{}/e{}/f{n}.yaml", n % 3, n % 2), format!("n: {n}\n"));
    }
    let old = scene.commit("base", "1");
    scene.git(&["checkout", "--quiet", "-b", "side"]);
    scene.git(&["rm", "--quiet", "d1/e0/f4.yaml"]);
    scene.commit("d0/e0/f0.yaml", "n: 100\n");
    scene.git(&["checkout", "--quiet", "main"]);
    scene.write("d2/e1/new.yaml", "n: 1\n");
    scene.commit("d2/e1/f5.yaml", "n: 7\n");
    scene.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
    let new = scene.id("main");
    let told = scene.git(&["diff", "--no-renames", "--name-only", old.as_str(), new.as_str()]);
    let told: BTreeSet<&str> = told.lines().collect();
    let mirror = mirror(&scene);
    let changed = changed(&mirror, &old, &new).expect("because no link is in it");
    assert_eq!(changed.iter().map(String::as_str).collect::<BTreeSet<&str>>(), told);
    assert_eq!(told.len(), 4);
}

#[test]
fn nothing_is_told_of_a_commit_that_does_not_build_on_the_other() {
    let scene = Scene::new();
    let base = scene.commit("a", "1");
    let tip = scene.commit("a", "2");
    scene.git(&["checkout", "--quiet", "-b", "side", base.as_str()]);
    let side = scene.commit("b", "1");
    let mirror = mirror(&scene);
    mirror.fetch(&[(reference("refs/heads/side"), side.clone())]).expect("because the commit is there");
    assert_eq!(changed(&mirror, &tip, &base), None);
    assert_eq!(changed(&mirror, &tip, &side), None);
    assert_eq!(changed(&mirror, &id(&"1".repeat(40)), &tip), None, "nobody has that commit");
    assert_eq!(changed(&mirror, &base, &side), Some(vec!["b".to_owned()]));
    assert_code(mirror.changed_paths(&base, &id(&"1".repeat(40))), Code::RefNotFound);
}

#[test]
fn where_a_link_or_a_submodule_is_in_the_new_commit_paths_do_not_tell() {
    let scene = Scene::new();
    let first = scene.commit("base/a.yaml", "a: 1\n");
    let other = scene.commit("apps/x.yaml", "a: 1\n");
    std::os::unix::fs::symlink("../base/a.yaml", scene.work().join("apps/link.yaml")).expect("because it may write");
    let link = scene.commit("z", "1");
    let beside = scene.commit("z", "2");
    scene.git(&["commit", "--quiet", "--allow-empty", "--message", "x"]);
    let same = scene.id("HEAD");
    scene.git(&["rm", "--quiet", "apps/link.yaml"]);
    let without = scene.commit("z", "3");
    scene.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},sub")]);
    scene.git(&["commit", "--quiet", "--message", "sub"]);
    let submodule = scene.id("HEAD");
    let mirror = mirror(&scene);
    for (old, new) in [(&other, &link), (&link, &beside), (&without, &submodule)] {
        assert_eq!(changed(&mirror, old, new), None);
        assert_eq!(changed(&mirror, old, new), None, "nor when asked again");
    }
    assert_eq!(changed(&mirror, &beside, &same), Some(Vec::new()), "they have the same tree");
    let expected = Some(vec!["apps/link.yaml".to_owned(), "z".to_owned()]);
    assert_eq!(changed(&mirror, &beside, &without), expected, "what was a link is told");
    assert_eq!(changed(&mirror, &first, &other), Some(vec!["apps/x.yaml".to_owned()]));
}
