//! Random histories, with Git and a model of the rule as oracles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use lockmaster::name::CommitId;
use lockmaster::revision::{FirstSeen, MergeFacts, judge};

use super::repository::{Repository, id, now, refusals};
use super::snapshot::read;

/// Splitmix64 (Steele, Lea and Flood 2014): the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).expect("because it is below a small number")
    }
}

type Files = BTreeMap<&'static str, usize>;

/// Some of these are a file in one tree and a directory in another.
const PATHS: [&str; 9] = ["a", "b", "d/a", "d/b", "d/e/a", "d/e/b", "f/a", "f/b/c", "f"];

fn set(files: &mut Files, path: &'static str, content: usize) {
    let over = |other: &str| other.starts_with(&format!("{path}/")) || path.starts_with(&format!("{other}/"));
    files.retain(|other, _| !over(other));
    files.insert(path, content);
}

fn changed(files: &Files, numbers: &mut Numbers, most: usize) -> Files {
    let mut files = files.clone();
    for _ in 0..numbers.below(most + 1) {
        let path = PATHS[numbers.below(PATHS.len())];
        if numbers.below(4) == 0 {
            files.remove(path);
        } else {
            set(&mut files, path, numbers.below(4));
        }
    }
    files
}

/// What a plain merge has; `None` where some path was changed on both sides in two ways, or where a file of one side
/// stands in the way of a directory of the other.
fn plain(base: &Files, first: &Files, second: &Files) -> Option<Files> {
    let mut merged = Files::new();
    for path in PATHS {
        let (base, first, second) = (base.get(path), first.get(path), second.get(path));
        let taken = match (first == base, second == base) {
            (_, true) => first,
            (true, false) => second,
            (false, false) if first == second => first,
            (false, false) => return None,
        };
        merged.extend(taken.map(|content| (path, *content)));
    }
    let in_the_way = |path: &&str| merged.keys().any(|other| other.starts_with(&format!("{path}/")));
    (!merged.keys().any(in_the_way)).then_some(merged)
}

fn commit(stream: &mut String, branch: &str, time: usize, parents: &[String], files: &Files) {
    writeln!(stream, "commit refs/heads/{branch}\ncommitter A <a@x> {time} +0000\ndata 0").expect("because it is text");
    for (number, parent) in parents.iter().enumerate() {
        let word = if number == 0 { "from" } else { "merge" };
        writeln!(stream, "{word} refs/heads/{parent}").expect("because it is text");
    }
    stream.push_str("deleteall\n");
    for (path, content) in files {
        let content = content.to_string();
        let mode = if content.ends_with('3') { "100755" } else { "100644" };
        writeln!(stream, "M {mode} inline {path}\ndata {}\n{content}", content.len()).expect("because it is text");
    }
    stream.push('\n');
}

/// The tip of each branch.
fn import(repository: &Repository, stream: &str) -> BTreeMap<String, CommitId> {
    assert!(repository.run("git", &["fast-import", "--quiet"], stream.as_bytes()).0, "because the stream is good");
    let listed = repository.git(&["for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"]);
    let pair = |line: &str| line.split_once(' ').map(|(name, hex)| (name.to_owned(), id(hex)));
    listed.lines().filter_map(pair).collect()
}

pub(crate) fn a_random_merge_is_carried_exactly_if_it_is_the_plain_one() {
    let repository = Repository::new();
    let mut numbers = Numbers(40);
    let mut stream = String::new();
    let mut expected = Vec::new();
    for case in 0..250 {
        let base = changed(&Files::new(), &mut numbers, 12);
        let first = changed(&base, &mut numbers, 3);
        let second = changed(&base, &mut numbers, 3);
        let merged = plain(&base, &first, &second);
        let good = merged.clone().unwrap_or_else(|| [&first, &second][numbers.below(2)].clone());
        let tip = if numbers.below(2) == 0 { good } else { changed(&good, &mut numbers, 2) };
        let branch = |name: &str| format!("{name}{case}");
        let mut add = |name: &str, parents: &[&str], files: &Files| {
            let parents: Vec<String> = parents.iter().map(|parent| branch(parent)).collect();
            commit(&mut stream, &branch(name), 1_000 + case, &parents, files);
        };
        add("base", &[], &base);
        // A side without a change of its own is still a commit of its own.
        add("first", &["base"], &first);
        add("second", &["base"], &second);
        add("tip", &["first", "second"], &tip);
        expected.push((merged.as_ref() == Some(&tip), [base, first, second, tip]));
    }
    let tips = import(&repository, &stream);
    let mut carried = 0;
    for (case, (plain, files)) in expected.into_iter().enumerate() {
        let tip = &tips[&format!("tip{case}")];
        let sides = ["first", "second"].map(|side| tips[&format!("{side}{case}")].clone());
        // The sides of these merges are introduced, so nobody has to sign them.
        let facts = read(&repository.mirror(tip), tip, None, &sides).expect("because the history is whole");
        let codes: Vec<&str> = refusals(judge(facts, &repository.trust(), &FirstSeen::new(), now()))
            .into_iter()
            .map(|(code, _)| code)
            .collect();
        // Two sides of one content and one time are one commit to Git, and then the merge has one parent.
        let parents = repository.git(&["rev-list", "--parents", "-1", tip.as_str()]).split(' ').count() - 1;
        let wanted = match (parents, plain) {
            (2, true) => vec![],
            (2, false) => vec!["merge-not-plain"],
            _ => vec!["unsigned-commit"],
        };
        assert_eq!(codes, wanted, "case {case}: {files:?}");
        carried += usize::from(codes.is_empty());
    }
    assert!((60..190).contains(&carried), "{carried} of 250: the cases are no test of both answers");
}

pub(crate) fn merge_bases_are_those_of_git_whatever_the_times_say() {
    let repository = Repository::new();
    let mut numbers = Numbers(41);
    let mut stream = String::new();
    let files = Files::new();
    let mut merges = Vec::new();
    for graph in 0..12 {
        for number in 0..40 {
            // Mostly forwards, sometimes anywhere.
            let time = if numbers.below(3) == 0 { numbers.below(100_000) } else { 1_000 * number + numbers.below(5) };
            let name = |number: usize| format!("g{graph}n{number}");
            let recent = |numbers: &mut Numbers| number - 1 - numbers.below(number.min(9));
            let parents: BTreeSet<usize> = match number {
                0 => BTreeSet::new(),
                _ => (0..1 + numbers.below(2)).map(|_| recent(&mut numbers)).collect(),
            };
            let parents: Vec<String> = parents.into_iter().map(name).collect();
            let mut unlike = files.clone();
            set(&mut unlike, "a", graph * 100 + number);
            commit(&mut stream, &name(number), time, &parents, &unlike);
            if parents.len() == 2 {
                merges.push((name(number), parents));
            }
        }
    }
    let tips = import(&repository, &stream);
    let mut several = 0;
    for (merge, parents) in merges {
        let listed = repository.git(&["merge-base", "--all", tips[&parents[0]].as_str(), tips[&parents[1]].as_str()]);
        let mut git: Vec<CommitId> = listed.lines().map(id).collect();
        git.sort();
        let tip = &tips[&merge];
        let facts = read(&repository.mirror(tip), tip, None, &[]).expect("because the history is whole");
        let ours = match &facts.merges[tip] {
            MergeFacts::Compared { base, .. } => vec![base.clone()],
            MergeFacts::Bases(bases) => bases.clone(),
            other => panic!("because the history is small: {other:?}"),
        };
        several += usize::from(git.len() > 1);
        assert_eq!(ours, git, "{merge} of {parents:?}");
    }
    assert!(several > 10, "{several} merges with several bases: the graphs are no test");
}
