//! Facts about a candidate, read from the commit graph.

use std::collections::BTreeSet;

use lockmaster::name::{Code, CommitId};
use lockmaster::revision::{Fetched, Relation};

use super::git_support::{Scene, assert_code, id, main_branch};

/// The facts about the tip of `main`.
fn facts(scene: &Scene, accepted: Option<&CommitId>, introductions: &[CommitId]) -> Fetched {
    let mirror = scene.mirror();
    let tip = scene.id("main");
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
    mirror.facts(&main_branch(), &tip, accepted, introductions).expect("because the history is whole")
}

fn new(facts: &Fetched) -> Vec<CommitId> {
    facts.new.iter().map(|commit| commit.id.clone()).collect()
}

#[test]
fn everything_is_new_where_nothing_was_accepted() {
    let scene = Scene::new();
    let (first, second) = (scene.commit("a", "1"), scene.commit("a", "2"));
    let facts = facts(&scene, None, &[]);
    assert_eq!(facts.relation, Relation::First);
    assert_eq!(new(&facts), [second.clone(), first]);
    assert_eq!(facts.boundary, BTreeSet::new());
    assert_eq!((facts.introduced, facts.outside_introduction, facts.accepted), (false, false, None));
    let raw = String::from_utf8_lossy(&facts.tip_commit.bytes).trim_end().to_owned();
    assert_eq!(raw, scene.git(&["cat-file", "commit", second.as_str()]));
    assert_eq!(facts.tip_commit, facts.new[0]);
}

#[test]
fn a_merged_side_branch_is_new_and_its_base_is_not() {
    let scene = Scene::new();
    let base = scene.commit("a", "1");
    let accepted = scene.commit("a", "2");
    scene.git(&["checkout", "--quiet", "-b", "side", base.as_str()]);
    let side = scene.commit("b", "1");
    scene.git(&["checkout", "--quiet", "main"]);
    scene.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
    let facts = facts(&scene, Some(&accepted), &[]);
    assert_eq!(facts.relation, Relation::Descendant);
    assert_eq!(new(&facts), [scene.id("main"), side]);
    assert_eq!(facts.boundary, BTreeSet::from([base, accepted.clone()]));
    assert_eq!(facts.accepted.map(|commit| commit.id), Some(accepted));
}

#[test]
fn rows_05_and_06_a_rewound_and_a_diverged_tip_are_told_apart() {
    let scene = Scene::new();
    let base = scene.commit("a", "1");
    let accepted = scene.commit("a", "2");
    let fetched = scene.mirror();
    fetched.fetch(&[(main_branch(), accepted.clone())]).expect("because the commit is there");
    assert_eq!(facts(&scene, Some(&accepted), &[]).relation, Relation::Same);
    scene.git(&["reset", "--quiet", "--hard", base.as_str()]);
    let rewound = facts(&scene, Some(&accepted), &[]);
    assert_eq!((rewound.relation.clone(), new(&rewound)), (Relation::Ancestor, vec![]));
    let other = scene.commit("a", "3");
    let diverged = facts(&scene, Some(&accepted), &[]);
    assert_eq!(diverged.relation, Relation::Diverged { merge_base: Some(base) });
    assert_eq!(new(&diverged), [other]);
    scene.git(&["checkout", "--quiet", "--orphan", "alone"]);
    scene.commit("a", "4");
    scene.git(&["branch", "--force", "main", "alone"]);
    assert_eq!(facts(&scene, Some(&accepted), &[]).relation, Relation::Diverged { merge_base: None });
}

#[test]
fn an_introduction_hides_what_came_before_it() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    let introduction = scene.commit("a", "2");
    let third = scene.commit("a", "3");
    let below = facts(&scene, None, std::slice::from_ref(&introduction));
    assert_eq!(new(&below), std::slice::from_ref(&third));
    assert_eq!(below.boundary, BTreeSet::from([introduction.clone()]));
    assert_eq!((below.introduced, below.outside_introduction), (false, false));
    let hidden = facts(&scene, Some(&first), std::slice::from_ref(&introduction));
    assert_eq!((hidden.relation.clone(), new(&hidden)), (Relation::Descendant, vec![third]));
    scene.git(&["reset", "--quiet", "--hard", introduction.as_str()]);
    let at = facts(&scene, None, std::slice::from_ref(&introduction));
    assert_eq!((at.introduced, at.outside_introduction, new(&at)), (true, false, vec![]));
    scene.git(&["reset", "--quiet", "--hard", first.as_str()]);
    let before = facts(&scene, None, std::slice::from_ref(&introduction));
    assert_eq!((before.introduced, before.outside_introduction, new(&before)), (true, true, vec![]));
    let unknown = facts(&scene, None, &[id(&"1".repeat(40))]);
    assert_eq!((unknown.introduced, unknown.outside_introduction, new(&unknown)), (false, true, vec![first]));
}

#[test]
fn committer_times_decide_nothing() {
    let scene = Scene::new();
    let tree = scene.git_with(&["mktree"], b"");
    let commit = |parents: &[&CommitId], time: u64| {
        let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        scene.commit_bytes(&format!(
            "tree {tree}\n{parents}author A <a@x> {time} +0000\ncommitter A <a@x> {time} +0000\n\nx\n"
        ))
    };
    let root = commit(&[], 5_000);
    let middle = commit(&[&root], 1);
    let accepted = commit(&[&middle], 9_000);
    let side = commit(&[&root], 20_000);
    let tip = commit(&[&accepted, &side], 2);
    let facts = facts(&scene, Some(&accepted), &[]);
    assert_eq!(facts.relation, Relation::Descendant);
    assert_eq!(new(&facts), [tip, side]);
    assert_eq!(facts.boundary, BTreeSet::from([accepted, root]));
}

#[test]
fn a_thousand_commits_of_one_second_are_told_apart() {
    let scene = Scene::new();
    let commit = |branch: &str, from: &str| {
        format!("commit refs/heads/{branch}\nmark :1\ncommitter A <a@x> 7 +0000\ndata 0\n{from}\n")
    };
    let history: String = commit("base", "") + &commit("main", "from refs/heads/base\n");
    let rest: String = (2..1_000).map(|_| commit("main", "")).collect();
    let side = commit("side", "from refs/heads/base\n").replace("<a@x>", "<b@x>");
    scene.git_with(&["fast-import", "--quiet"], (history + &rest + &side).as_bytes());
    let (base, accepted, side) = (scene.id("base"), scene.id("main"), scene.id("side"));
    let merge = commit("main", &format!("from {accepted}\nmerge {side}\n"));
    scene.git_with(&["fast-import", "--quiet"], merge.as_bytes());
    let facts = facts(&scene, Some(&accepted), &[]);
    assert_eq!((facts.relation.clone(), new(&facts)), (Relation::Descendant, vec![scene.id("main"), side]));
    assert_eq!(facts.boundary, BTreeSet::from([base, accepted]));
}

#[test]
fn an_accepted_commit_that_nobody_has_is_missing() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let mirror = scene.mirror();
    assert_code(mirror.facts(&main_branch(), &tip, None, &[]), Code::RefNotFound);
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
    let lost = id(&"2".repeat(40));
    assert_code(mirror.facts(&main_branch(), &tip, Some(&lost), &[]), Code::AcceptedCommitMissing);
}

#[test]
fn row_09_a_missing_parent_is_an_incomplete_history() {
    let scene = Scene::new();
    let first = scene.commit("a", "1");
    let tip = scene.commit("a", "2");
    let object = scene.work().join(".git/objects").join(&first.as_str()[..2]).join(&first.as_str()[2..]);
    std::fs::remove_file(object).expect("because git stores new objects loose");
    let result = scene.mirror().fetch(&[(main_branch(), tip)]);
    assert!(result.is_err(), "a remote that lacks a parent cannot serve the commit");
    assert_eq!(scene.packs(), Vec::<String>::new());
}

#[test]
fn row_15_more_than_ten_thousand_new_commits_are_over_the_limit() {
    let scene = Scene::new();
    let line = |count: u32| -> String {
        let commit = |n: u32| format!("commit refs/heads/main\ncommitter A <a@x> {n} +0000\ndata 0\n\n");
        (1..=count).map(commit).collect()
    };
    scene.git_with(&["fast-import", "--quiet", "--force"], line(10_000).as_bytes());
    assert_eq!(facts(&scene, None, &[]).new.len(), 10_000);
    scene.git_with(&["fast-import", "--quiet", "--force"], line(10_001).as_bytes());
    let (mirror, tip) = (scene.mirror(), scene.id("main"));
    mirror.fetch(&[(main_branch(), tip.clone())]).expect("because fetching has another limit");
    let message = assert_code(mirror.facts(&main_branch(), &tip, None, &[]), Code::LimitExceeded);
    assert!(message.contains("10001 is over the limit of 10000"), "{message}");
    let known = mirror.resolve(&format!("{tip}~3")).expect("because it was fetched");
    let few = mirror.facts(&main_branch(), &tip, Some(&known), &[]).expect("because three commits are new");
    assert_eq!(few.new.len(), 3);
}
