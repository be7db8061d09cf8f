//! Does the candidate move forward, and is its history whole?

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, Finding};
use super::grammar::{Commit, Problem};
use super::{Fetched, RawCommit, Relation, identity};
use crate::name::{Code, CommitId, Digest, Reason};

/// New commits of one candidate. Each costs hashes and one check of a signature, together well below a millisecond.
const NEW_LIMIT: usize = 10_000;

/// A candidate whose commits are read, each once.
pub(super) struct Candidate<'a> {
    pub(super) fetched: &'a Fetched,
    pub(super) tip: Result<Commit, Fault>,
    pub(super) new: Vec<(&'a RawCommit, Result<Commit, Fault>)>,
    pub(super) brought: Vec<(&'a RawCommit, Result<Commit, Fault>)>,
}

impl<'a> Candidate<'a> {
    pub(super) fn read(fetched: &'a Fetched) -> Self {
        let each = |commits: &'a [RawCommit]| commits.iter().map(|raw| (raw, read(raw))).collect();
        let (new, brought) = (each(&fetched.new), each(fetched.brought.as_deref().unwrap_or_default()));
        Candidate { fetched, tip: read(&fetched.tip_commit), new, brought }
    }

    /// What cannot be read; the tip's fault stands among those of the new commits if it is one of them.
    pub(super) fn unreadable(&self) -> Vec<Finding> {
        let tip = (&self.fetched.tip_commit, &self.tip);
        let alone = self.new.is_empty().then_some(tip);
        let all = self.new.iter().map(|(raw, commit)| (*raw, commit)).chain(alone);
        all.filter_map(|(raw, commit)| Some(Finding::unread(raw, commit.as_ref().err()?.clone()))).collect()
    }
}

/// Reads one commit and checks that its bytes are what its id names.
pub(super) fn read(raw: &RawCommit) -> Result<Commit, Fault> {
    identity::check(raw)?;
    Commit::read(&raw.bytes, raw.id.as_str().len()).map_err(|problem| match problem {
        Problem::Malformed(what) => Fault::Malformed(what),
        Problem::TooManyParents(count) => Fault::TooManyParents(count),
    })
}

/// The limit that is checked before anything is read.
pub(super) fn limit(fetched: &Fetched) -> Option<Reason> {
    let count = fetched.new.len();
    let message = || format!("`{}` brings {count} new commits, at most {NEW_LIMIT} are judged", fetched.reference);
    (count > NEW_LIMIT).then(|| Reason::new(Code::LimitExceeded, message()).at_commit(fetched.tip.clone()))
}

/// Every reason against the history, without those against single commits.
pub(super) fn reasons(candidate: &Candidate<'_>) -> Vec<Reason> {
    let fetched = candidate.fetched;
    let reference = &fetched.reference;
    let mut reasons = Vec::new();
    if let Some(what) = contradiction(fetched) {
        let message =
            format!("what was read of `{reference}` at {} does not fit together: {what}", fetched.tip.short());
        reasons.push(Reason::new(Code::IncompleteHistory, message).at_commit(fetched.tip.clone()));
    }
    reasons.extend(backwards(candidate));
    if fetched.outside_introduction {
        let message = format!("`{reference}` at {} descends from no introduction", fetched.tip.short());
        reasons.push(Reason::new(Code::NotDescendantOfIntroduction, message).at_commit(fetched.tip.clone()));
    }
    reasons.extend(missing(candidate));
    reasons.extend(unreached(candidate));
    reasons
}

/// What the edge cannot have read so: it would let commits in that nobody judged.
fn contradiction(fetched: &Fetched) -> Option<&'static str> {
    let accepted = fetched.accepted.as_ref().map(|accepted| &accepted.id);
    let first = matches!(fetched.relation, Relation::First);
    let same = matches!(fetched.relation, Relation::Same);
    let forward = first || matches!(fetched.relation, Relation::Descendant);
    if fetched.tip_commit.id != fetched.tip {
        Some("the tip's bytes are another commit's")
    } else if first != accepted.is_none() {
        Some("the relation to the accepted head is not to one")
    } else if same != (accepted == Some(&fetched.tip)) {
        Some("the tip is said to be the accepted head and is not, or the other way round")
    } else if !fetched.new.is_empty() && !fetched.new.contains(&fetched.tip_commit) {
        Some("the tip is not among the new commits")
    } else if fetched.new.is_empty() && forward && !fetched.introduced {
        Some("the tip is new, and no commit is")
    } else {
        None
    }
}

fn backwards(candidate: &Candidate<'_>) -> Option<Reason> {
    let fetched = candidate.fetched;
    let (reference, tip) = (&fetched.reference, fetched.tip.short());
    let accepted = fetched.accepted.as_ref()?;
    let head = accepted.id.short();
    let (code, message) = match &fetched.relation {
        Relation::First | Relation::Same | Relation::Descendant => return None,
        Relation::Ancestor => {
            (Code::RefRewound, format!("`{reference}` moved back to {tip}, an ancestor of the accepted head {head}"))
        }
        Relation::Diverged { .. } if is_twin(candidate, accepted) => (
            Code::RefTwin,
            format!("`{reference}` at {tip} is another id over the signed payload of the accepted head {head}"),
        ),
        Relation::Diverged { merge_base } => {
            let base =
                merge_base.as_ref().map_or("no merge base".to_owned(), |base| format!("merge base {}", base.short()));
            let message = format!("`{reference}` at {tip} does not descend from the accepted head {head}, {base}");
            (Code::RefDiverged, message)
        }
    };
    Some(Reason::new(code, message).at_commit(fetched.tip.clone()))
}

fn is_twin(candidate: &Candidate<'_>, accepted: &RawCommit) -> bool {
    let hash = |raw: &RawCommit, commit: &Commit| Digest::of(&commit.payload(&raw.bytes));
    match (&candidate.tip, read(accepted)) {
        (Ok(tip), Ok(head)) => hash(&candidate.fetched.tip_commit, tip) == hash(accepted, &head),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// Parents that were not read: a shallow boundary, or a server that keeps objects back.
fn missing(candidate: &Candidate<'_>) -> Option<Reason> {
    let fetched = candidate.fetched;
    let here: BTreeSet<&CommitId> = fetched.new.iter().map(|raw| &raw.id).collect();
    let lost = candidate.new.iter().filter_map(|(raw, commit)| Some((raw, commit.as_ref().ok()?))).find_map(
        |(raw, commit)| {
            let lost = commit.parents.iter().find(|id| !here.contains(id) && !fetched.boundary.contains(id));
            lost.map(|lost| (&raw.id, lost))
        },
    );
    lost.map(|(child, lost)| {
        let message = format!("the parent {} of `{}` was not read", lost.short(), child.short());
        Reason::new(Code::IncompleteHistory, message).at_commit(child.clone())
    })
}

/// New commits that stand twice or that the tip does not reach: they are no part of the candidate.
fn unreached(candidate: &Candidate<'_>) -> Option<Reason> {
    let refused = |id: &CommitId, what: &str| {
        let message = format!("`{}` {what} the new commits of `{}`", id.short(), candidate.fetched.reference);
        Reason::new(Code::CorruptObject, message).at_commit(id.clone())
    };
    let mut waiting: BTreeMap<&CommitId, &[CommitId]> = BTreeMap::new();
    for (raw, commit) in &candidate.new {
        // A commit that cannot be read is a fault of its own, and what it reaches is not known.
        let parents = &commit.as_ref().ok()?.parents;
        if waiting.insert(&raw.id, parents).is_some() {
            return Some(refused(&raw.id, "stands twice among"));
        }
    }
    let mut walk = vec![&candidate.fetched.tip];
    while let Some(id) = walk.pop() {
        walk.extend(waiting.remove(id).unwrap_or_default());
    }
    waiting.keys().next().map(|id| refused(id, "is not reached by the tip, and stands among"))
}
