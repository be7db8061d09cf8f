//! What a merge does with the content of its two sides, path by path.
//!
//! A merge that nobody with rights signed may only move content: each path has what one side made of it, and where both
//! sides made something else of it there is no such thing. A merge made line by line is therefore never plain, however
//! well it was made: its content stands in no commit that anybody signed.

use super::fault::Fault;
use super::text::readable;
use crate::name::{CommitId, ObjectId};

/// Paths that one reason names.
const NAMED: usize = 10;

/// One thing in four trees: in the merge base, in the first parent, in the second parent and in the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FourWay<T> {
    /// In the one merge base of the two parents.
    pub base: T,
    /// In the first parent.
    pub first: T,
    /// In the second parent.
    pub second: T,
    /// In the merge.
    pub merge: T,
}

impl<T: PartialEq> FourWay<T> {
    /// Whether the merge has what a three-way merge gives that never looks inside (git merge-tree, trivial merge rules,
    /// <https://git-scm.com/docs/git-read-tree>): what both sides agree on, else what the side has that alone changed it.
    /// The same change on both sides leaves nothing to merge.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let FourWay { base, first, second, merge } = self;
        if first == second {
            merge == first
        } else if base == first {
            merge == second
        } else {
            base == second && merge == first
        }
    }
}

impl<T> FourWay<T> {
    /// The same of each of the four.
    pub fn map<'a, U>(&'a self, of: impl Fn(&'a T) -> U) -> FourWay<U> {
        let FourWay { base, first, second, merge } = self;
        FourWay { base: of(base), first: of(first), second: of(second), merge: of(merge) }
    }
}

/// What a tree has at a path: a file, a link or a submodule; a directory is its paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeEntry {
    /// Git's mode, such as `0o100644`.
    pub mode: u32,
    /// The blob, or the commit of a submodule.
    pub id: ObjectId,
}

/// A path at which a merge does not have what a plain merge has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedPath {
    /// The path, as the trees spell it.
    pub path: Vec<u8>,
    /// What stands there; `None`: nothing, or a directory.
    pub entries: FourWay<Option<MergeEntry>>,
}

/// What an edge read about a merge of two parents: a fact, trusted by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeFacts {
    /// Its parents have one merge base, and the four trees were compared.
    Compared {
        /// The merge base.
        base: CommitId,
        /// The first paths, in the order of their bytes within each directory, at which it is not plain by
        /// [`FourWay::is_plain`].
        unlike: Vec<MergedPath>,
        /// How many more of them there are.
        more: u64,
    },
    /// Its parents have no merge base, or several.
    Bases(Vec<CommitId>),
    /// Comparing would read more than is read for one candidate; holds the limit in bytes.
    TooLarge(u64),
    /// Something of it cannot be compared; says what.
    Unlike(String),
}

/// Why a merge of so many parents that nobody signed carries more than its two sides; `None` where it does not.
pub(super) fn fault(parents: usize, facts: Option<&MergeFacts>) -> Option<Fault> {
    let not_plain = |what: String| Some(Fault::NotPlain(what));
    if parents != 2 {
        return not_plain(format!(
            "it merges {parents} commits, and without a writer's signature only two may be merged"
        ));
    }
    match facts {
        None => not_plain("its two sides were not compared".to_owned()),
        Some(MergeFacts::Bases(bases)) if bases.is_empty() => not_plain("its parents have no merge base".to_owned()),
        Some(MergeFacts::Bases(bases)) => {
            let ids: Vec<&str> = bases.iter().take(NAMED).map(CommitId::short).collect();
            not_plain(format!("its parents have {} merge bases: {}", bases.len(), ids.join(", ")))
        }
        Some(MergeFacts::TooLarge(limit)) => Some(Fault::MergeTooLarge(*limit)),
        Some(MergeFacts::Unlike(what)) => not_plain(what.clone()),
        Some(MergeFacts::Compared { base: _, unlike, more }) => {
            let unlike: Vec<&MergedPath> = unlike.iter().filter(|path| !path.entries.is_plain()).collect();
            if unlike.is_empty() && *more == 0 { None } else { not_plain(told(&unlike, *more)) }
        }
    }
}

fn told(unlike: &[&MergedPath], more: u64) -> String {
    let mut words: Vec<String> = unlike.iter().take(NAMED).map(|path| path.told()).collect();
    let more = more + unlike.len().saturating_sub(NAMED) as u64;
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

impl MergedPath {
    fn told(&self) -> String {
        let FourWay { base, first, second, merge } = &self.entries;
        let what = if first != second && base != first && base != second {
            "is changed on both sides"
        } else if first != base || second != base {
            "is not as the side that changed it has it"
        } else if base.is_none() {
            "stands on neither side"
        } else if merge.is_none() {
            "is deleted on neither side"
        } else {
            "is changed on neither side"
        };
        format!("`{}` {what}", readable(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Base, first, second, merge, and whether that is plain.
    const RULE: [(&str, bool); 18] = [
        ("aaaa", true),
        ("aaab", false),
        ("aaa-", false),
        ("---a", false),
        ("abab", true),
        ("abaa", false),
        ("abac", false),
        ("aabb", true),
        ("aaba", false),
        ("a-a-", true),
        ("a-aa", false),
        ("-a-a", true),
        ("-a--", false),
        ("a---", true),
        ("a--a", false),
        ("abbb", true),
        ("abcb", false),
        ("abcd", false),
    ];

    #[test]
    fn each_path_has_what_the_side_has_that_alone_changed_it() {
        for (letters, plain) in RULE {
            let [base, first, second, merge] = letters.as_bytes() else {
                unreachable!("because each has four letters")
            };
            assert_eq!(FourWay { base, first, second, merge }.is_plain(), plain, "{letters}");
            let swapped = FourWay { base, first: second, second: first, merge };
            assert_eq!(swapped.is_plain(), plain, "{letters}, the other way round");
        }
    }

    #[test]
    fn a_merge_that_was_not_compared_is_not_plain() {
        let not_plain = |what: &str| Some(Fault::NotPlain(what.to_owned()));
        assert_eq!(fault(2, None), not_plain("its two sides were not compared"));
        assert_eq!(fault(2, Some(&MergeFacts::Bases(Vec::new()))), not_plain("its parents have no merge base"));
        assert_eq!(fault(2, Some(&MergeFacts::TooLarge(7))), Some(Fault::MergeTooLarge(7)));
        let base: CommitId = "a".repeat(40).parse().expect("because it is an id");
        let compared = |unlike, more| MergeFacts::Compared { base: base.clone(), unlike, more };
        assert_eq!(fault(2, Some(&compared(Vec::new(), 0))), None);
        assert_eq!(fault(2, Some(&compared(Vec::new(), 3))), not_plain("and 3 more"));
        let three = "it merges 3 commits, and without a writer's signature only two may be merged";
        assert_eq!(fault(3, Some(&compared(Vec::new(), 0))), not_plain(three));
    }

    #[test]
    fn a_reason_names_ten_paths_and_counts_the_rest() {
        let base: CommitId = "a".repeat(40).parse().expect("because it is an id");
        let entry = MergeEntry { mode: 0o100_644, id: base.0.clone() };
        let path = |n: u8| MergedPath {
            path: vec![b'a' + n],
            entries: FourWay { base: None, first: None, second: None, merge: Some(entry.clone()) },
        };
        let facts = MergeFacts::Compared { base: base.clone(), unlike: (0..12).map(path).collect(), more: 5 };
        let Some(Fault::NotPlain(what)) = fault(2, Some(&facts)) else { panic!("because no side has these paths") };
        assert!(what.starts_with("`a` stands on neither side, `b` stands") && what.ends_with(", and 7 more"), "{what}");
        assert_eq!(what.matches("stands on neither side").count(), 10);
    }
}
