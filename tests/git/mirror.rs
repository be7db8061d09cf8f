//! The mirror: what comes in, what stays, and what is thrown away.

use std::collections::BTreeMap;
use std::fs;

use lockmaster::edge::git::{Limits, Mirror};
use lockmaster::name::Code;

use super::git_support::{Scene, assert_code, id, main_branch, reference, remote};

#[test]
fn row_01_a_repository_that_is_gone_is_a_failed_fetch() {
    let scene = Scene::new();
    let nowhere = scene.root().join("nowhere").to_string_lossy().into_owned();
    for url in [nowhere.clone(), format!("file://{nowhere}")] {
        let message = assert_code(scene.mirror_of(remote(&url)).ls_remote(), Code::FetchFailed);
        assert!(message.contains(&url), "the message names the remote: {message}");
    }
}

#[test]
fn row_03_a_deleted_branch_is_absent_from_the_listing() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    scene.git(&["branch", "env/dev"]);
    let mirror = scene.mirror();
    let (main, dev) = (main_branch(), reference("refs/heads/env/dev"));
    let listed = mirror.ls_remote().expect("because the remote is there");
    assert_eq!(listed, BTreeMap::from([(main.clone(), first.0.clone()), (dev, first.0.clone())]));
    scene.git(&["branch", "-D", "env/dev"]);
    assert_eq!(mirror.ls_remote().expect("because the remote is there"), BTreeMap::from([(main, first.0)]));
}

#[test]
fn row_04_a_repository_without_commits_lists_nothing() {
    assert_eq!(Scene::new().mirror().ls_remote().expect("because it is a repository"), BTreeMap::new());
}

#[test]
fn row_07_branch_and_tag_of_one_name_are_two_references_and_a_tag_is_no_commit() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    scene.git(&["tag", "--annotate", "--message", "x", "main"]);
    scene.git(&["tag", "blob", &scene.git(&["rev-parse", "HEAD:a"])]);
    let (tag, blob) = (reference("refs/tags/main"), reference("refs/tags/blob"));
    let mirror = scene.mirror();
    let listed = mirror.ls_remote().expect("because the remote is there");
    assert_eq!(listed.keys().cloned().collect::<Vec<_>>(), [main_branch(), blob.clone(), tag.clone()]);
    assert_eq!(listed[&main_branch()], first.0);
    assert_ne!(listed[&tag], first.0, "an annotated tag is listed by its own id");
    for name in [tag, blob] {
        let object = id(listed[&name].as_str());
        let message = assert_code(mirror.fetch(&[(name.clone(), object)]), Code::RefNotFound);
        assert!(message.contains(name.as_str()), "{message}");
    }
}

#[test]
fn fetches_what_is_missing_and_nothing_twice() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    let mirror = scene.mirror();
    let mut seen = 0;
    mirror
        .fetch_with(&[(main_branch(), first.clone())], |now| seen = now.received.max(seen))
        .expect("because the commit is there");
    assert_eq!(seen, 3, "commit, tree and blob were received");
    let packs = scene.packs();
    let second = scene.commit("a", "2");
    fs::rename(scene.work(), scene.root().join("elsewhere")).expect("because the test may write");
    mirror.fetch(&[(main_branch(), first)]).expect("because nothing is asked of the remote");
    assert_code(mirror.fetch(&[(main_branch(), second.clone())]), Code::FetchFailed);
    assert_eq!(scene.packs(), packs);
    fs::rename(scene.root().join("elsewhere"), scene.work()).expect("because the test may write");
    mirror.fetch(&[(main_branch(), second.clone())]).expect("because the remote is back");
    assert_eq!(mirror.resolve(second.short()).expect("because it was fetched"), second);
}

#[test]
fn fault_34_a_branch_that_moved_meanwhile_still_brings_the_listed_commit() {
    let scene = Scene::new();
    let listed = scene.commit("a", "1");
    scene.commit("a", "2");
    let mirror = scene.mirror();
    mirror.fetch(&[(main_branch(), listed.clone())]).expect("because the listed commit comes along");
    assert_eq!(mirror.resolve(listed.as_str()).expect("because it was fetched"), listed);
}

#[test]
fn fault_33_a_commit_that_the_branch_left_is_a_failed_fetch_and_leaves_nothing() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let listed = scene.commit("a", "2");
    scene.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let mirror = scene.mirror();
    let message = assert_code(mirror.fetch(&[(main_branch(), listed)]), Code::FetchFailed);
    assert!(message.contains("moved"), "{message}");
    assert_eq!(scene.packs(), Vec::<String>::new());
}

#[test]
fn fault_36_of_ten_quick_pushes_the_newest_is_fetched_whole() {
    let scene = Scene::new();
    scene.commit("a", "0");
    let mirror = scene.mirror();
    for round in 1..=10 {
        let tip = scene.commit("a", round.to_string());
        let listed = mirror.ls_remote().expect("because the remote is there");
        assert_eq!(listed[&main_branch()], tip.0);
        if round % 5 == 0 {
            mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
            let facts = mirror.facts(&main_branch(), &tip, None, &[]).expect("because it was fetched whole");
            assert_eq!(facts.new.len(), round + 1);
        }
    }
}

#[test]
fn fetches_from_a_repository_that_borrows_objects() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    scene.git(&["clone", "--quiet", "--bare", "--shared", ".", "../shared"]);
    let mirror = scene.mirror_of(remote(&scene.root().join("shared").to_string_lossy()));
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the remote itself may borrow");
    assert!(!scene.mirror_folder().join("objects/info/alternates").exists());
    fs::remove_dir_all(scene.work()).expect("because the test may write");
    assert_eq!(mirror.tree(&tip).expect("because the mirror borrows nothing").len(), 1);
}

#[test]
fn row_09_a_shallow_remote_is_an_incomplete_history() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let tip = scene.commit("a", "2");
    let url = format!("file://{}", scene.work().display());
    scene.git(&["clone", "--quiet", "--bare", "--depth=1", &url, "../shallow"]);
    let mirror = scene.mirror_of(remote(&scene.root().join("shallow").to_string_lossy()));
    assert_code(mirror.fetch(&[(main_branch(), tip)]), Code::IncompleteHistory);
    assert_eq!(scene.packs(), Vec::<String>::new());
}

#[test]
fn row_10_a_pack_over_the_limit_is_dropped() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    for limits in [Limits { pack_bytes: 10, ..Limits::default() }, Limits { pack_objects: 2, ..Limits::default() }] {
        let mirror = scene.mirror().with_limits(limits);
        let message = assert_code(mirror.fetch(&[(main_branch(), tip.clone())]), Code::LimitExceeded);
        assert!(message.contains("of a pack"), "{message}");
        assert_eq!(scene.packs(), Vec::<String>::new());
    }
    scene.mirror().fetch(&[(main_branch(), tip)]).expect("because the default limit is larger");
}

#[test]
fn row_14_replace_refs_grafts_and_hostile_configuration_change_nothing() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    let second = scene.commit("a", "2");
    let third = scene.commit("a", "3");
    scene.git(&["replace", second.as_str(), first.as_str()]);
    scene.write(".gitattributes", "* filter=evil\n");
    let trap = scene.root().join("trap");
    for key in
        ["filter.evil.clean", "filter.evil.smudge", "core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook"]
    {
        scene.git(&["config", key, &format!("touch {}", trap.display())]);
    }
    let mirror = scene.mirror();
    fs::create_dir_all(scene.mirror_folder().join("info")).expect("because the test may write");
    fs::write(scene.mirror_folder().join("info/grafts"), format!("{third}\n")).expect("because the test may write");
    fs::write(scene.mirror_folder().join("shallow"), format!("{third}\n")).expect("because the test may write");
    mirror.fetch(&[(main_branch(), third.clone())]).expect("because the commit is there");
    let facts = mirror.facts(&main_branch(), &third, None, &[]).expect("because it was fetched whole");
    assert_eq!(facts.new.iter().map(|commit| &commit.id).collect::<Vec<_>>(), [&third, &second, &first]);
    let listed = mirror.ls_remote().expect("because the remote is there");
    assert!(listed.keys().all(|name| !name.as_str().starts_with("refs/replace/")));
    assert!(!trap.exists(), "nothing of the configuration ran");
    drop(scene.mirror());
    assert!(!scene.mirror_folder().join("info/grafts").exists() && !scene.mirror_folder().join("shallow").exists());
}

#[test]
fn a_damaged_mirror_is_made_again_and_a_foreign_folder_is_left_alone() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let wanted = [(main_branch(), tip.clone())];
    scene.mirror().fetch(&wanted).expect("because the commit is there");
    for name in scene.packs() {
        fs::remove_file(scene.mirror_folder().join("objects/pack").join(name)).expect("because the test may write");
    }
    let mirror = scene.mirror();
    mirror.fetch(&wanted).expect("because the mirror was made again");
    assert_eq!(mirror.tree(&tip).expect("because it was fetched").len(), 1);
    let foreign = Mirror::open(&scene.work(), scene.remote());
    assert_code(foreign, Code::FetchFailed);
    assert!(scene.work().join(".git/HEAD").is_file());
}

#[test]
fn row_08_fault_41_a_flipped_bit_in_the_mirror_is_a_corrupt_object_and_heals_at_the_next_open() {
    let scene = Scene::new();
    let tip = scene.commit("a", "a file with some content that is stored in the pack\n".repeat(50));
    let wanted = [(main_branch(), tip.clone())];
    scene.mirror().fetch(&wanted).expect("because the commit is there");
    let pack = scene.packs().into_iter().find(|name| name.ends_with(".pack")).expect("because it fetched one");
    let file = scene.mirror_folder().join("objects/pack").join(pack);
    let mut bytes = fs::read(&file).expect("because the pack is there");
    // Within the last object, which is the blob; the commit and its tree stay readable.
    let place = bytes.len() - 30;
    bytes[place] ^= 0x55;
    let mut permissions = fs::metadata(&file).expect("because the pack is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    fs::set_permissions(&file, permissions).expect("because the test may write");
    fs::write(&file, bytes).expect("because the test may write");
    let read = |mirror: &Mirror| {
        let tree = mirror.tree(&tip)?;
        mirror.read(&tree, &tree.keys().cloned().collect::<Vec<_>>())
    };
    let mirror = scene.mirror();
    mirror.fetch(&wanted).expect("because nothing seems to be missing");
    assert_code(read(&mirror), Code::CorruptObject);
    let mirror = scene.mirror();
    mirror.fetch(&wanted).expect("because the mirror was made again");
    assert_eq!(read(&mirror).expect("because it was fetched again").len(), 1);
}

#[test]
fn what_a_killed_fetch_left_behind_is_removed() {
    let scene = Scene::new();
    scene.commit("a", "1");
    drop(scene.mirror());
    fs::write(scene.mirror_folder().join("objects/pack/pack_git2_x"), "half").expect("because the test may write");
    drop(scene.mirror());
    assert_eq!(scene.packs(), Vec::<String>::new());
}

#[test]
fn the_lock_of_a_killed_process_on_a_reference_keeps_nobody_from_fetching() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    drop(scene.mirror());
    let seen = scene.mirror_folder().join("refs/lockmaster/seen");
    fs::create_dir_all(&seen).expect("because the test may write");
    fs::write(seen.join(format!("{tip}.lock")), "").expect("because the test may write");
    fs::write(scene.mirror_folder().join("packed-refs.lock"), "").expect("because the test may write");
    scene.mirror().fetch(&[(main_branch(), tip)]).expect("because the lock is nobody's");
}

#[test]
fn an_accepted_head_stays_when_the_remote_loses_it() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let accepted = scene.commit("a", "2");
    let mirror = scene.mirror();
    assert_code(mirror.keep("prod", &accepted), Code::RefNotFound);
    mirror.fetch(&[(main_branch(), accepted.clone())]).expect("because the commit is there");
    mirror.keep("prod", &accepted).expect("because it was fetched");
    let kept = fs::read_to_string(scene.mirror_folder().join("refs/lockmaster/kept/prod"));
    assert_eq!(kept.expect("because it is kept").trim(), accepted.as_str());
    for revision in ["nothing", "0000000"] {
        assert_code(mirror.resolve(revision), Code::RefNotFound);
    }
}
