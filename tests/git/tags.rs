//! Annotated tags: their bytes come in, and nothing else of them stays.

use std::fs;

use lockmaster::edge::git::{Limits, Mirror};
use lockmaster::name::{Code, ObjectId, RefName};
use lockmaster::revision::statement::{TAG_LIMIT, payload_hash};

use super::git_support::{Scene, assert_code, main_branch, reference, remote};

/// An annotated tag on a revision, by its reference and its own id.
fn tag(scene: &Scene, name: &str, revision: &str) -> (RefName, ObjectId) {
    scene.git(&["tag", "--annotate", "--message", "fine", name, revision]);
    listed(scene, name)
}

fn listed(scene: &Scene, name: &str) -> (RefName, ObjectId) {
    let name = reference(&format!("refs/tags/{name}"));
    let id = scene.git(&["rev-parse", name.as_str()]);
    (name, id.parse().expect("because git prints ids"))
}

fn away(scene: &Scene) {
    fs::rename(scene.work(), scene.root().join("elsewhere")).expect("because the test may write");
}

#[test]
fn a_tag_is_read_whole_and_fetched_once() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let wanted = [tag(&scene, "approve/shop/prod/lena", "HEAD"), tag(&scene, "freeze/shop/prod/omar", "HEAD")];
    let mirror = scene.mirror();
    let listed = mirror.ls_remote().expect("because the remote is there");
    assert!(wanted.iter().all(|(name, id)| listed[name] == *id), "because tags are listed by their own ids");
    let tags = mirror.tags(&wanted).expect("because the remote is there");
    for (raw, (name, id)) in tags.iter().zip(&wanted) {
        assert_eq!((&raw.name, &raw.id), (name, id));
        assert_eq!(String::from_utf8_lossy(&raw.bytes).trim_end(), scene.git(&["cat-file", "tag", id.as_str()]));
        assert!(payload_hash(raw).is_ok(), "because the bytes are those of the id");
    }
    away(&scene);
    assert_eq!(mirror.tags(&wanted).expect("because nothing is asked of the remote"), tags);
}

#[test]
fn the_commit_of_a_tag_may_be_absent_and_is_fetched_as_ever_when_it_is_wanted() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    let mirror = scene.mirror();
    mirror.fetch(&[(main_branch(), first)]).expect("because it is there");
    let packs = scene.packs();
    scene.commit("a", "2");
    let third = scene.commit("a", "3");
    let wanted = [tag(&scene, "approve/shop/prod/lena", "HEAD")];
    let tags = mirror.tags(&wanted).expect("because the remote is there");
    assert_eq!(scene.packs(), packs, "what came with the tag is not kept");
    assert_code(mirror.resolve(third.as_str()), Code::RefNotFound);
    drop(mirror);
    let again = Mirror::open(&scene.mirror_folder(), remote(&scene.work().display().to_string()));
    let again = again.expect("because the folder is ours");
    assert_eq!(scene.packs(), packs, "the mirror is sound, and was not made again");
    assert_eq!(again.tags(&wanted).expect("because they are there"), tags);
    again.fetch(&[(main_branch(), third.clone())]).expect("because tags are in nobody's way");
    assert_eq!(again.resolve(third.short()).expect("because it was fetched"), third);
    away(&scene);
    assert_eq!(again.tags(&wanted).expect("because they are there"), tags);
}

#[test]
fn a_reference_that_leads_to_no_tag_is_left_out_and_not_asked_for_again() {
    let scene = Scene::new();
    scene.commit("a", "1");
    scene.git(&["tag", "approve/shop/prod/light", "HEAD"]);
    scene.git(&["tag", "approve/shop/prod/tree", "HEAD^{tree}"]);
    let wanted = [
        listed(&scene, "approve/shop/prod/light"),
        tag(&scene, "approve/shop/prod/lena", "HEAD"),
        listed(&scene, "approve/shop/prod/tree"),
    ];
    let mirror = scene.mirror();
    for _ in 0..2 {
        let tags = mirror.tags(&wanted).expect("because the remote is there, or not asked");
        assert_eq!(tags.iter().map(|raw| &raw.name).collect::<Vec<_>>(), [&wanted[1].0]);
        if scene.work().exists() {
            away(&scene);
        }
    }
}

#[test]
fn a_tag_over_the_limit_is_seen_to_be_so_and_its_bytes_are_not_kept() {
    let scene = Scene::new();
    scene.commit("a", "1");
    scene.git_with(&["tag", "--annotate", "--file=-", "approve/shop/prod/lena"], &[b'x'; TAG_LIMIT]);
    let wanted = [listed(&scene, "approve/shop/prod/lena")];
    let mirror = scene.mirror();
    for _ in 0..2 {
        let tags = mirror.tags(&wanted).expect("because the remote is there, or not asked");
        let reason = payload_hash(&tags[0]).expect_err("because it is too large");
        assert!(reason.message.ends_with("it has more than 65536 bytes"), "{}", reason.message);
        if scene.work().exists() {
            away(&scene);
        }
    }
}

#[test]
fn too_many_statements_about_one_environment_are_refused_by_name() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let prod = ["approve/shop/prod/a", "hold/shop/prod/a", "freeze/shop/prod/a"].map(|name| tag(&scene, name, "HEAD"));
    let dev = tag(&scene, "freeze/shop/dev/a", "HEAD");
    let mirror = scene.mirror().with_limits(Limits { statements: 2, ..Limits::default() });
    let few = [prod[0].clone(), prod[1].clone(), dev];
    assert_eq!(mirror.tags(&few).expect("because two are about each at most").len(), 3);
    let message = assert_code(mirror.tags(&prod), Code::LimitExceeded);
    assert!(message.contains("`shop/prod`") && message.contains("3 is over the limit of 2"), "{message}");
}

#[test]
fn a_tag_that_moved_since_it_was_listed_is_a_failed_fetch() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let wanted = [tag(&scene, "approve/shop/prod/lena", "HEAD")];
    scene.git(&["tag", "--delete", "approve/shop/prod/lena"]);
    scene.git(&["tag", "--annotate", "--message", "other", "approve/shop/prod/lena"]);
    let message = assert_code(scene.mirror().tags(&wanted), Code::FetchFailed);
    assert!(message.contains("moved away"), "{message}");
}
