//! Who answers for what stands at a path.

use std::collections::{BTreeMap, BTreeSet};

use lockmaster::edge::git::{Brought, Mirror};
use lockmaster::gate::Origin;
use lockmaster::name::{CommitId, RepoPath};
use lockmaster::revision::MergeFacts;

use super::git_support::{Scene, id, main_branch};

fn path(text: &str) -> RepoPath {
    text.parse().expect("because it is a path")
}

fn fetched(scene: &Scene) -> (Mirror, CommitId) {
    let (mirror, tip) = (scene.mirror(), scene.id("main"));
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
    (mirror, tip)
}

fn brought(scene: &Scene, paths: &[&str], introductions: &[CommitId]) -> Brought {
    let (mirror, tip) = fetched(scene);
    let paths: Vec<RepoPath> = paths.iter().map(|text| path(text)).collect();
    mirror.brought(&tip, &paths, introductions).expect("because the history is whole")
}

fn commits(brought: &Brought) -> BTreeSet<CommitId> {
    brought.commits.iter().map(|commit| commit.id.clone()).collect()
}

#[test]
fn the_commit_answers_that_brought_what_stands_there_however_old_it_is() {
    let scene = Scene::new();
    scene.commit("deep/er/a", "1");
    let old = scene.commit("deep/er/a", "2");
    scene.commit("b", "1");
    let newer = scene.commit("b", "2");
    scene.commit("deep/er/c", "1");
    scene.git(&["rm", "--quiet", "deep/er/c"]);
    scene.git(&["commit", "--quiet", "--message", "gone"]);
    let gone = scene.id("main");
    scene.commit("other", "1");
    let found = brought(&scene, &["deep/er/a", "b", "deep/er/c"], &[]);
    assert_eq!(commits(&found), [old.clone(), newer.clone(), gone.clone()].into());
    let by = |id: CommitId| vec![Origin::Commit(id)];
    let expected = [(path("deep/er/a"), by(old)), (path("b"), by(newer)), (path("deep/er/c"), by(gone))];
    assert_eq!(found.origins, expected.into());
    assert_eq!(found.merges, BTreeMap::new());
}

#[test]
fn nobody_answers_for_what_stands_in_an_introduction() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let introduction = scene.commit("b", "1");
    let later = scene.commit("b", "2");
    let found = brought(&scene, &["a", "b"], &[introduction]);
    assert_eq!(commits(&found), [later.clone()].into());
    assert_eq!(found.origins[&path("a")], [Origin::Introduced]);
    assert_eq!(found.origins[&path("b")], [Origin::Commit(later)]);
}

#[test]
fn a_merge_answers_for_what_it_chose_and_is_compared_there_alone() {
    let scene = Scene::new();
    for file in ["one", "both"] {
        scene.commit(file, "base");
    }
    scene.git(&["checkout", "--quiet", "-b", "side"]);
    let side = scene.commit("one", "side");
    scene.commit("both", "side");
    scene.git(&["checkout", "--quiet", "main"]);
    let ours = scene.commit("both", "ours");
    scene.git(&["merge", "--quiet", "--no-ff", "-X", "ours", "--message", "merge", "side"]);
    let merge = scene.id("main");
    let unlike = |found: &Brought| match &found.merges[&merge] {
        MergeFacts::Compared { unlike, more: 0, .. } => {
            unlike.iter().map(|path| String::from_utf8_lossy(&path.path).into_owned()).collect::<Vec<_>>()
        }
        facts => panic!("{facts:?}"),
    };
    let found = brought(&scene, &["one"], &[]);
    assert_eq!((commits(&found), unlike(&found)), ([merge.clone(), side].into(), vec![]));
    let found = brought(&scene, &["both"], &[]);
    assert_eq!((commits(&found), unlike(&found)), ([merge.clone(), ours].into(), vec!["both".to_owned()]));
}

#[test]
fn those_paths_are_the_same_that_have_the_same_or_nothing_in_both() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    scene.commit("b", "1");
    scene.commit("b", "2");
    let (mirror, tip) = fetched(&scene);
    let paths = ["a", "b", "c"].map(path);
    let same = mirror.same_at(&first, &tip, &paths).expect("because both are there");
    assert_eq!(same, [path("a"), path("c")]);
}

const FILES: [&str; 2] = ["apps/web/own.yaml", "base.yaml"];

/// A commit of a random history: its parents, by their places, and what it has in each file.
struct Made {
    parents: Vec<usize>,
    files: [Option<u8>; 2],
}

/// A small history whose commits mostly leave files as one of their parents has them.
fn history(mut random: impl FnMut(usize) -> usize) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    for place in 0..14 {
        let recent = |random: &mut dyn FnMut(usize) -> usize| place - 1 - random(place.min(4));
        let count = if place == 0 { 0 } else { 1 + usize::from(random(3) == 0) };
        let parents: BTreeSet<usize> = (0..count).map(|_| recent(&mut random)).collect();
        let parents: Vec<usize> = parents.into_iter().collect();
        let files = [0, 1].map(|file| match random(4) {
            0 => Some(u8::try_from(random(3)).expect("because it is small")),
            1 if random(4) == 0 => None,
            _ => parents.get(random(parents.len().max(1))).and_then(|parent| made[*parent].files[file]),
        });
        made.push(Made { parents, files });
    }
    made
}

/// Makes such a history with one program, and says which ids its commits have.
fn import(scene: &Scene, history: &[Made]) -> Vec<CommitId> {
    let mut stream = String::new();
    for (place, made) in history.iter().enumerate() {
        stream.push_str(&format!("commit refs/heads/main\nmark :{}\n", place + 1));
        stream.push_str(&format!("committer A <a@example.com> {} +0000\ndata 0\n", 1_000_000 + place));
        for (number, parent) in made.parents.iter().enumerate() {
            stream.push_str(&format!("{} :{}\n", if number == 0 { "from" } else { "merge" }, parent + 1));
        }
        stream.push_str("deleteall\n");
        for (file, value) in FILES.iter().zip(made.files) {
            if let Some(value) = value {
                stream.push_str(&format!("M 100644 inline {file}\ndata 1\n{value}\n"));
            }
        }
    }
    let marks = scene.root().join("marks");
    scene.git_with(
        &["fast-import", "--quiet", "--force", &format!("--export-marks={}", marks.display())],
        stream.as_bytes(),
    );
    let text = std::fs::read_to_string(marks).expect("because it was written");
    let ids: BTreeMap<usize, CommitId> = text
        .lines()
        .filter_map(|line| line.strip_prefix(':')?.split_once(' '))
        .map(|(mark, hex)| (mark.parse().expect("because it is a number"), id(hex)))
        .collect();
    ids.into_values().collect()
}

#[test]
fn every_way_from_something_else_passes_a_commit_that_answers() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("because it has 31 bits") % below
    };
    for round in 0..60 {
        let scene = Scene::new();
        let history = history(&mut random);
        let ids = import(&scene, &history);
        let found = commits(&brought(&scene, &FILES[..1], &[]));
        let tip = history.len() - 1;
        // What is reached without passing one that answers has what the tip has.
        let (mut walk, mut seen) = (vec![tip], BTreeSet::from([tip]));
        while let Some(place) = walk.pop() {
            let (here, there) = (history[place].files[0], history[tip].files[0]);
            assert_eq!(here, there, "round {round}: {} is reached", ids[place]);
            if !found.contains(&ids[place]) {
                assert!(!history[place].parents.is_empty(), "round {round}: nobody answers for the first commit");
                walk.extend(history[place].parents.iter().copied().filter(|parent| seen.insert(*parent)));
            }
        }
        // And nobody answers who has something else, or leaves it as all parents have it.
        for (place, made) in history.iter().enumerate().filter(|(place, _)| found.contains(&ids[*place])) {
            assert_eq!(made.files[0], history[tip].files[0], "round {round}: {}", ids[place]);
            let differs = |parent: &usize| history[*parent].files[0] != made.files[0];
            assert!(made.parents.is_empty() || made.parents.iter().any(differs), "round {round}: {}", ids[place]);
        }
    }
}
