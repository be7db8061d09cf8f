use std::collections::BTreeSet;

use lockmaster::name::Code;
use lockmaster::revision::{Fetched, FirstSeen, Relation, check_history, judge, payload_hash};

use super::repository::{Repository, now, refusals};

fn codes(fetched: &Fetched) -> Vec<Code> {
    check_history(fetched).err().unwrap_or_default().into_iter().map(|reason| reason.code).collect()
}

pub(crate) fn row_05_refuses_a_rewound_ref() {
    let repository = Repository::new();
    let old = repository.commit("one", Some("lena"));
    let head = repository.commit("two", Some("lena"));
    let (old_id, head_id) = (old.short(), head.short());
    let message = format!("`refs/heads/env/prod` moved back to {old_id}, an ancestor of the accepted head {head_id}");
    assert_eq!(repository.refusals(&old, Some(&head)), [("ref-rewound", message)]);
    assert_eq!(codes(&repository.fetch(&old, Some(&head), &[])), [Code::RefRewound]);
}

pub(crate) fn row_06_refuses_a_diverged_ref_and_names_the_merge_base() {
    let repository = Repository::new();
    let base = repository.commit("one", Some("lena"));
    let head = repository.commit("two", Some("lena"));
    repository.git(&["reset", "--quiet", "--hard", base.as_str()]);
    let tip = repository.commit("other two", Some("lena"));
    let message = format!(
        "`refs/heads/env/prod` at {} does not descend from the accepted head {}, merge base {}",
        tip.short(),
        head.short(),
        base.short()
    );
    assert_eq!(repository.refusals(&tip, Some(&head)), [("ref-diverged", message)]);
}

pub(crate) fn another_id_over_the_accepted_payload_is_a_twin() {
    let repository = Repository::new();
    let base = repository.commit("one", Some("lena"));
    let head = repository.commit("two", Some("lena"));
    let bytes = String::from_utf8(repository.raw(&head).bytes).expect("because the commit is text");
    let tip = repository.store(bytes.replacen("gpgsig ", "gpgsig-sha256 junk\ngpgsig ", 1).as_bytes());
    let mut fetched = repository.fetch(&tip, Some(&head), &[]);
    assert_eq!(payload_hash(&fetched.tip_commit), payload_hash(&repository.raw(&head)));
    assert_eq!(codes(&fetched), [Code::RefTwin]);
    fetched.relation = Relation::Diverged { merge_base: Some(base) };
    assert_eq!(codes(&fetched), [Code::RefTwin]);
}

pub(crate) fn accepts_the_head_itself_and_a_descendant() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    let tip = repository.commit("two", Some("omar"));
    let same = repository.judge(&head, Some(&head)).verdict.expect("because nothing changed");
    assert_eq!((same.commit(), same.new_commits().len()), (&head, 0));
    let moved = repository.judge(&tip, Some(&head)).verdict.expect("because Omar signs");
    assert_eq!((moved.commit(), moved.new_commits().len()), (&tip, 1));
    let signer = moved.tip().signer.as_ref().map(ToString::to_string);
    assert_eq!(signer.as_deref(), Some("omar@example.com"));
}

pub(crate) fn row_09_a_parent_that_was_not_read_is_a_hole() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    repository.commit("two", Some("lena"));
    let tip = repository.commit("three", Some("lena"));
    let whole = repository.fetch(&tip, Some(&head), &[]);
    assert_eq!(codes(&whole), []);
    let shallow = Fetched { boundary: BTreeSet::new(), ..whole.clone() };
    assert_eq!(codes(&shallow), [Code::IncompleteHistory]);
    let mut cut = whole.clone();
    cut.new.pop();
    assert_eq!(codes(&cut), [Code::IncompleteHistory]);
    let none = Fetched { new: Vec::new(), ..whole.clone() };
    assert_eq!(codes(&none), [Code::IncompleteHistory]);
    let headless = Fetched { new: whole.new[1..].to_vec(), ..whole };
    assert!(codes(&headless).contains(&Code::IncompleteHistory));
}

pub(crate) fn row_08_bytes_that_are_not_what_the_id_names_are_corrupt() {
    let repository = Repository::new();
    let tip = repository.commit("one", Some("lena"));
    let mut fetched = repository.fetch(&tip, None, &[]);
    fetched.tip_commit.bytes.push(b'x');
    fetched.new = vec![fetched.tip_commit.clone()];
    assert_eq!(codes(&fetched), [Code::CorruptObject]);
}

pub(crate) fn a_commit_that_the_tip_does_not_reach_is_no_part_of_it() {
    let repository = Repository::new();
    let head = repository.commit("one", Some("lena"));
    let tip = repository.commit("two", Some("lena"));
    repository.git(&["reset", "--quiet", "--hard", head.as_str()]);
    let other = repository.commit("other", Some("lena"));
    let mut fetched = repository.fetch(&tip, Some(&head), &[]);
    fetched.new.push(repository.raw(&other));
    assert_eq!(codes(&fetched), [Code::CorruptObject]);
}

pub(crate) fn row_15_too_many_new_commits_are_refused_before_any_is_read() {
    let repository = Repository::new();
    let tip = repository.commit("one", None);
    let mut fetched = repository.fetch(&tip, None, &[]);
    fetched.new = vec![fetched.tip_commit.clone(); 10_001];
    assert_eq!(codes(&fetched), [Code::LimitExceeded]);
    let judgement = judge(fetched, &repository.trust(), &FirstSeen::new(), now());
    assert_eq!(refusals(judgement)[0].1, "`refs/heads/env/prod` brings 10001 new commits, at most 10000 are judged");
}

pub(crate) fn row_30_a_tip_outside_the_introduction_is_refused_and_an_introduction_needs_no_signature() {
    let repository = Repository::new();
    let introduction = repository.commit("old times", None);
    let tip = repository.commit("two", Some("lena"));
    let judged =
        |tip| judge(repository.fetch(tip, None, &[&introduction]), &repository.trust(), &FirstSeen::new(), now());
    let accepted = judged(&introduction).verdict.expect("because it is introduced");
    assert_eq!((accepted.commit(), &accepted.tip().signer), (&introduction, &None));
    assert_eq!(judged(&tip).verdict.expect("because Lena signs").new_commits().len(), 1);
    repository.git(&["checkout", "--quiet", "--orphan", "sibling"]);
    let sibling = repository.commit("sibling", Some("lena"));
    let message = format!("`refs/heads/env/prod` at {} descends from no introduction", sibling.short());
    assert_eq!(refusals(judged(&sibling)), [("not-descendant-of-introduction", message)]);
}
