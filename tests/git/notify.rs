//! Wakes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lockmaster::edge::notify::{Watcher, watch};
use tokio::sync::mpsc::Receiver;

use super::git_support::Scene;

/// Longer than any machine needs to tell of a change.
const PATIENCE: Duration = Duration::from_secs(20);

/// Several times as long as changes are gathered: what has not woken by then does not wake.
const SILENCE: Duration = Duration::from_millis(400);

struct Watch {
    _watcher: Watcher,
    wakes: Receiver<()>,
    runtime: tokio::runtime::Runtime,
}

impl Watch {
    fn on(paths: &[PathBuf]) -> Watch {
        let (watcher, wakes) = watch(paths).expect("because the paths are there");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Watch { _watcher: watcher, wakes, runtime: runtime.expect("because the machine has a clock") }
    }

    fn within(&mut self, patience: Duration) -> bool {
        let waiting = async { tokio::time::timeout(patience, self.wakes.recv()).await };
        self.runtime.block_on(waiting).is_ok_and(|wake| wake.is_some())
    }

    #[track_caller]
    fn assert_wakes(&mut self, change: impl FnOnce()) {
        change();
        assert!(self.within(PATIENCE), "a change wakes");
        while self.within(SILENCE) {}
    }

    #[track_caller]
    fn assert_sleeps(&mut self, change: impl FnOnce()) {
        change();
        assert!(!self.within(SILENCE), "nothing that counts changed");
    }
}

fn put(file: &Path, content: &str) {
    fs::write(file, content).expect("because the test may write");
}

#[test]
fn a_file_wakes_when_written_replaced_removed_and_made_again() {
    let scene = Scene::new();
    let (file, other) = (scene.root().join("pipeline.yaml"), scene.root().join("other"));
    put(&file, "1");
    let mut watch = Watch::on(std::slice::from_ref(&file));
    watch.assert_wakes(|| put(&file, "2"));
    watch.assert_wakes(|| {
        put(&other, "3");
        fs::rename(&other, &file).expect("because the test may write");
    });
    watch.assert_wakes(|| fs::remove_file(&file).expect("because it is there"));
    watch.assert_wakes(|| put(&file, "4"));
    watch.assert_sleeps(|| put(&other, "not watched"));
    watch.assert_sleeps(|| assert_eq!(fs::read_to_string(&file).expect("because it is there"), "4"));
}

#[test]
fn every_swap_of_a_mounted_config_map_wakes() {
    let scene = Scene::new();
    let mount = scene.root().join("mount");
    let swap = |round: u32| {
        let version = mount.join(format!("..{round}"));
        fs::create_dir_all(&version).expect("because the test may write");
        put(&version.join("pipeline.yaml"), &round.to_string());
        std::os::unix::fs::symlink(format!("..{round}"), mount.join("..data_tmp")).expect("because it may write");
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("because the test may write");
        if round > 1 {
            fs::remove_dir_all(mount.join(format!("..{}", round - 1))).expect("because it was the last one");
        }
    };
    swap(1);
    let file = mount.join("pipeline.yaml");
    std::os::unix::fs::symlink("..data/pipeline.yaml", &file).expect("because the test may write");
    let mut watch = Watch::on(std::slice::from_ref(&file));
    for round in 2..=4 {
        watch.assert_wakes(|| swap(round));
        assert_eq!(fs::read_to_string(&file).expect("because it leads there"), round.to_string());
    }
}

#[test]
fn a_repository_wakes_on_commit_branch_tag_pack_and_push_and_not_when_it_is_read() {
    let scene = Scene::new();
    scene.commit("a", "1");
    scene.git(&["clone", "--quiet", "--bare", ".", "../bare"]);
    let mut clone = Watch::on(&[scene.work()]);
    clone.assert_wakes(|| drop(scene.commit("a", "2")));
    clone.assert_wakes(|| drop(scene.git(&["branch", "env/dev"])));
    clone.assert_wakes(|| drop(scene.git(&["update-ref", "refs/heads/env/dev", "HEAD~1"])));
    clone.assert_wakes(|| drop(scene.git(&["tag", "v1"])));
    clone.assert_wakes(|| drop(scene.git(&["pack-refs", "--all"])));
    clone.assert_wakes(|| drop(scene.git(&["checkout", "--quiet", "env/dev"])));
    clone.assert_sleeps(|| {
        let mirror = scene.mirror();
        mirror.ls_remote().expect("because the remote is there");
    });
    clone.assert_sleeps(|| scene.write("a", "not committed"));
    let mut bare = Watch::on(&[scene.root().join("bare")]);
    bare.assert_wakes(|| drop(scene.git(&["push", "--quiet", "../bare", "main"])));
}

#[test]
fn a_linked_working_tree_wakes_on_the_branches_it_shares() {
    let scene = Scene::new();
    scene.commit("a", "1");
    scene.git(&["worktree", "add", "--quiet", "../linked", "-b", "linked"]);
    let mut watch = Watch::on(&[scene.root().join("linked")]);
    watch.assert_wakes(|| drop(scene.commit("a", "2")));
    watch.assert_wakes(|| drop(scene.git(&["-C", "../linked", "checkout", "--quiet", "--detach"])));
}

#[test]
fn a_burst_of_changes_is_one_wake_in_the_channel() {
    let scene = Scene::new();
    let file = scene.root().join("pipeline.yaml");
    put(&file, "0");
    let mut watch = Watch::on(std::slice::from_ref(&file));
    (1..=500).for_each(|round| put(&file, &round.to_string()));
    let mut wakes = 0;
    while watch.within(SILENCE * 2) {
        wakes += 1;
    }
    assert!((1..=5).contains(&wakes), "500 writes woke {wakes} times");
}

#[test]
fn a_missing_directory_cannot_be_watched() {
    let scene = Scene::new();
    let missing = scene.root().join("missing/pipeline.yaml");
    let error = watch(std::slice::from_ref(&missing)).expect_err("because nothing can tell of it");
    assert_eq!(error.path, scene.root().join("missing"));
}
