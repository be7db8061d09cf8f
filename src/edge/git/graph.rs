//! The commit graph, read from raw objects: grafts, shallow boundaries and replace refs do not exist here.

use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use git2::{ObjectType, Odb, Oid};

use crate::name::{CommitId, RefName};
use crate::revision::{Fetched, RawCommit, Relation};

use super::error::GitError;
use super::mirror::{Limits, Mirror, parse};
use super::{commit_id, merge, object_id};

/// How many hidden commits older than every visible one are looked at. Where committer times run backwards a visible
/// commit can turn out to be hidden; one that is found too late is judged once more, never skipped.
const SLACK: u32 = 256;

const VISIBLE: u8 = 1;
const HIDDEN: u8 = 2;

impl Mirror {
    /// What is known about a candidate: how it stands to the accepted head, and which commits it brings.
    ///
    /// # Errors
    /// [`GitError::RefNotFound`] if the tip is not in the mirror; [`GitError::AcceptedMissing`];
    /// [`GitError::IncompleteHistory`]; [`GitError::Limit`] on too many new commits; [`GitError::Corrupt`].
    pub fn facts(
        &self,
        reference: &RefName,
        tip: &CommitId,
        accepted: Option<&CommitId>,
        introductions: &[CommitId],
    ) -> Result<Fetched, GitError> {
        let repository = self.repository()?;
        let odb = repository.odb().map_err(|error| GitError::from_object("mirror", &error))?;
        let mut graph = Graph::new(&odb);
        let tip_id = self.present(&graph, tip)?;
        let head = match accepted {
            Some(commit) if !graph.has(parse(commit)?) => {
                return Err(GitError::AcceptedMissing { commit: commit.clone() });
            }
            Some(commit) => Some(parse(commit)?),
            None => None,
        };
        let mut known: Vec<Oid> = Vec::new();
        for introduction in introductions {
            known.push(parse(introduction)?);
        }
        known.retain(|id| graph.has(*id));
        let facts = self.suspect(gather(&mut graph, &self.limits, reference, tip_id, head, &known))?;
        Ok(Fetched { outside_introduction: !introductions.is_empty() && facts.outside_introduction, ..facts })
    }

    fn present(&self, graph: &Graph<'_>, commit: &CommitId) -> Result<Oid, GitError> {
        let id = parse(commit)?;
        let missing = || GitError::RefNotFound { name: commit.to_string(), found: "is not in the mirror".to_owned() };
        if graph.has(id) { Ok(id) } else { Err(missing()) }
    }
}

/// Reads what is known about a candidate; the introductions are among the commits that are there.
pub(super) fn gather(
    graph: &mut Graph<'_>,
    limits: &Limits,
    reference: &RefName,
    tip: Oid,
    accepted: Option<Oid>,
    introductions: &[Oid],
) -> Result<Fetched, GitError> {
    let relation = graph.relation(tip, accepted)?;
    let (mut introduced, mut descends) = (false, false);
    for introduction in introductions {
        introduced |= graph.reaches(*introduction, tip)?;
        descends |= graph.reaches(tip, *introduction)?;
    }
    let old: Vec<Oid> = introductions.iter().copied().chain(accepted).collect();
    let new = graph.difference(&[tip], &old)?;
    if new.len() as u64 > limits.new_commits {
        let (what, found) = (format!("new commits below `{tip}`"), new.len() as u64);
        return Err(GitError::Limit { what, limit: limits.new_commits, found, file: None });
    }
    let order = graph.order(&new)?;
    let mut boundary = BTreeSet::new();
    for id in &order {
        let parents = graph.commit(*id)?.parents.clone();
        boundary.extend(parents.into_iter().filter(|parent| !new.contains(parent)).map(commit_id));
    }
    let left = match &relation {
        Relation::Ancestor | Relation::Diverged { .. } => {
            let head: Vec<Oid> = accepted.into_iter().collect();
            graph.difference(&head, &[tip])?.len() as u64
        }
        Relation::First | Relation::Same | Relation::Descendant => 0,
    };
    let merges = merge::merges(graph, &order, limits.merge_bytes)?;
    Ok(Fetched {
        reference: reference.clone(),
        tip: commit_id(tip),
        accepted: accepted.map(|id| graph.raw(id)).transpose()?,
        relation,
        new: order.iter().map(|id| graph.raw(*id)).collect::<Result<_, _>>()?,
        tip_commit: graph.raw(tip)?,
        boundary,
        merges,
        brought: None,
        left,
        introduced,
        outside_introduction: !descends,
    })
}

/// Commits as they are read, each once.
pub(super) struct Graph<'o> {
    odb: &'o Odb<'o>,
    commits: HashMap<Oid, Commit>,
}

/// What the walk needs to know of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) parents: Vec<Oid>,
    /// The committer's seconds, which anybody can write: they order the walk and decide nothing.
    pub(super) time: i64,
}

impl<'o> Graph<'o> {
    pub(super) fn new(odb: &'o Odb<'o>) -> Self {
        Graph { odb, commits: HashMap::new() }
    }

    pub(super) fn has(&self, id: Oid) -> bool {
        self.odb.read_header(id).is_ok_and(|(_, kind)| kind == ObjectType::Commit)
    }

    /// Every commit reachable from `tips` and from none of `old`.
    pub(super) fn difference(&mut self, tips: &[Oid], old: &[Oid]) -> Result<HashSet<Oid>, GitError> {
        let marks = self.mark(tips, old)?;
        Ok(marks.into_iter().filter(|(_, mark)| *mark == VISIBLE).map(|(id, _)| id).collect())
    }

    /// Whether `below` is `above` or one of its ancestors.
    ///
    /// This is exact whatever committer times say: all commits between the two are visible, and every visible commit
    /// is walked.
    pub(super) fn reaches(&mut self, above: Oid, below: Oid) -> Result<bool, GitError> {
        Ok(self.reaches_by(above, below)?.0)
    }

    /// The same, and how many commits were looked at.
    pub(super) fn reaches_by(&mut self, above: Oid, below: Oid) -> Result<(bool, usize), GitError> {
        if above == below {
            return Ok((true, 0));
        }
        let marks = self.mark(&[above], &[below])?;
        Ok((marks.get(&below).is_some_and(|mark| mark & VISIBLE != 0), marks.len()))
    }

    fn relation(&mut self, tip: Oid, accepted: Option<Oid>) -> Result<Relation, GitError> {
        let Some(accepted) = accepted else { return Ok(Relation::First) };
        if tip == accepted {
            return Ok(Relation::Same);
        }
        if self.reaches(tip, accepted)? {
            return Ok(Relation::Descendant);
        }
        if self.reaches(accepted, tip)? {
            return Ok(Relation::Ancestor);
        }
        // The newest commit that both sides reach; where histories cross there are several, and one is as good.
        let visible = self.mark(&[tip], &[accepted])?;
        let shared: Vec<Oid> =
            visible.into_iter().filter(|(_, mark)| *mark == VISIBLE | HIDDEN).map(|(id, _)| id).collect();
        let newest = self.order(&shared.into_iter().collect())?.first().copied();
        Ok(Relation::Diverged { merge_base: newest.map(commit_id) })
    }

    /// Marks what each side reaches, newest first, until nothing visible is left to walk.
    fn mark(&mut self, tips: &[Oid], old: &[Oid]) -> Result<HashMap<Oid, u8>, GitError> {
        let mut walk = Walk::new();
        for (id, mark) in tips.iter().map(|id| (*id, VISIBLE)).chain(old.iter().map(|id| (*id, HIDDEN))) {
            walk.add(id, mark, self.commit(id)?.time);
        }
        let mut slack = SLACK;
        while let Some((time, id, mark)) = walk.next() {
            if walk.visible == 0 && mark & HIDDEN != 0 && time < walk.oldest_visible {
                slack -= 1;
                if slack == 0 {
                    break;
                }
            }
            for parent in self.commit(id)?.parents.clone() {
                match self.commit(parent) {
                    Ok(commit) => walk.add(parent, mark, commit.time),
                    // What lies behind an accepted commit was whole once, and is not judged again.
                    Err(GitError::RefNotFound { .. }) if mark & HIDDEN != 0 => {}
                    Err(GitError::RefNotFound { .. }) => {
                        let (commit, parent) = (commit_id(id), object_id(parent));
                        return Err(GitError::IncompleteHistory { commit, parent });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(walk.marks)
    }

    /// Newest first, each commit before its parents.
    fn order(&mut self, commits: &HashSet<Oid>) -> Result<Vec<Oid>, GitError> {
        let mut children: HashMap<Oid, u32> = HashMap::new();
        for id in commits {
            for parent in &self.commit(*id)?.parents {
                *children.entry(*parent).or_default() += 1;
            }
        }
        let mut ready = BinaryHeap::new();
        for id in commits.iter().filter(|id| !children.contains_key(id)) {
            ready.push((self.commit(*id)?.time, *id));
        }
        let mut order = Vec::with_capacity(commits.len());
        while let Some((_, id)) = ready.pop() {
            order.push(id);
            for parent in self.commit(id)?.parents.clone().into_iter().filter(|parent| commits.contains(parent)) {
                let left = children.get_mut(&parent).expect("because every parent was counted");
                *left -= 1;
                if *left == 0 {
                    ready.push((self.commit(parent)?.time, parent));
                }
            }
        }
        Ok(order)
    }

    pub(super) fn commit(&mut self, id: Oid) -> Result<&Commit, GitError> {
        if !self.commits.contains_key(&id) {
            let commit = read_commit(&self.bytes(id)?);
            self.commits.insert(id, commit);
        }
        Ok(&self.commits[&id])
    }

    /// The tree of a commit, read as Git does: its first line.
    pub(super) fn tree_id(&self, id: Oid) -> Result<Oid, GitError> {
        let bytes = self.bytes(id)?;
        let line = bytes.split(|b| *b == b'\n').next().and_then(|line| line.strip_prefix(b"tree "));
        let hex = line.and_then(|hex| std::str::from_utf8(hex).ok()).filter(|hex| hex.len() == 40);
        hex.and_then(|hex| Oid::from_str(hex).ok())
            .ok_or_else(|| GitError::RefNotFound { name: id.to_string(), found: "names no tree".to_owned() })
    }

    pub(super) fn odb(&self) -> &'o Odb<'o> {
        self.odb
    }

    pub(super) fn raw(&self, id: Oid) -> Result<RawCommit, GitError> {
        Ok(RawCommit { id: commit_id(id), bytes: self.bytes(id)? })
    }

    fn bytes(&self, id: Oid) -> Result<Vec<u8>, GitError> {
        let missing = |found: &str| GitError::RefNotFound { name: id.to_string(), found: found.to_owned() };
        match self.odb.read(id) {
            Ok(object) if object.kind() == ObjectType::Commit => Ok(object.data().to_vec()),
            Ok(_) => Err(missing("is not a commit")),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Err(missing("is not in the mirror")),
            Err(error) => Err(GitError::from_object(&format!("object `{id}`"), &error)),
        }
    }
}

struct Walk {
    marks: HashMap<Oid, u8>,
    queue: BinaryHeap<(i64, Oid)>,
    queued: HashSet<Oid>,
    /// How many queued commits are visible and not hidden.
    visible: usize,
    /// The oldest time of any commit that was ever visible.
    oldest_visible: i64,
}

impl Walk {
    fn new() -> Self {
        let (marks, queue, queued) = (HashMap::new(), BinaryHeap::new(), HashSet::new());
        Walk { marks, queue, queued, visible: 0, oldest_visible: i64::MAX }
    }

    fn add(&mut self, id: Oid, mark: u8, time: i64) {
        let before = self.marks.get(&id).copied().unwrap_or(0);
        let after = before | mark;
        if after == before {
            return;
        }
        self.marks.insert(id, after);
        let was_visible = self.queued.contains(&id) && before == VISIBLE;
        if self.queued.insert(id) {
            self.queue.push((time, id));
        }
        self.visible -= usize::from(was_visible);
        if after == VISIBLE {
            self.visible += 1;
            self.oldest_visible = self.oldest_visible.min(time);
        }
    }

    fn next(&mut self) -> Option<(i64, Oid, u8)> {
        let (time, id) = self.queue.pop()?;
        self.queued.remove(&id);
        let mark = self.marks[&id];
        self.visible -= usize::from(mark == VISIBLE);
        Some((time, id, mark))
    }
}

/// Reads the parents as Git does: the `parent` lines straight after `tree`. Whether the rest is a commit as the grammar
/// has it is judged elsewhere.
fn read_commit(bytes: &[u8]) -> Commit {
    let mut commit = Commit::default();
    let mut in_parents = true;
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            break;
        }
        let parent = line.strip_prefix(b"parent ").and_then(|hex| std::str::from_utf8(hex).ok());
        match parent.and_then(|hex| if hex.len() == 40 { Oid::from_str(hex).ok() } else { None }) {
            Some(parent) if in_parents && number > 0 => commit.parents.push(parent),
            _ => in_parents &= number == 0,
        }
        if let Some(committer) = line.strip_prefix(b"committer ") {
            let words = std::str::from_utf8(committer).unwrap_or_default();
            commit.time = words.rsplit(' ').nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        }
    }
    commit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_the_lines_straight_after_the_tree() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let id = |hex: &str| Oid::from_str(hex).expect("because it is 40 hex digits");
        let rest = "author A <a@x> 5 +0000\ncommitter C <c@x> 7 +0000\n";
        for (text, parents, time) in [
            (format!("tree {a}\nparent {a}\nparent {b}\n{rest}\nparent {b}\n"), vec![id(&a), id(&b)], 7),
            (format!("tree {a}\n{rest}parent {b}\n\nx"), vec![], 7),
            (format!("parent {b}\ntree {a}\n{rest}\n"), vec![], 7),
            (format!("tree {a}\nparent x\n{rest}\n"), vec![], 7),
            (format!("tree {a}\ncommitter C <c@x> 99999999999999999999 +0000\n\n"), vec![], 0),
            (String::new(), vec![], 0),
        ] {
            assert_eq!(read_commit(text.as_bytes()), Commit { parents, time }, "{text}");
        }
    }
}
