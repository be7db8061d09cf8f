//! A repository in memory: signed commits as raw bytes, with an honest graph. Clones are handles of the same repository.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lockmaster::gate::Origin;
use lockmaster::name::{CommitId, Digest, RefName, RepoPath};
use lockmaster::render::{Contents, EntryKind, Tree, TreeEntry};
use lockmaster::revision::{self, Fetched, FourWay, MergeEntry, MergeFacts, MergedPath, RawCommit, Relation};
use lockmaster::signature::GIT_NAMESPACE;
use serde_json::Value;

use super::content::{Content, path_of};
use super::people::{LENA, PEOPLE, Who, identity};

/// A commit.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) raw: RawCommit,
    pub(crate) parents: Vec<CommitId>,
    pub(crate) files: Rc<Contents>,
    pub(crate) content: Option<Content>,
    pub(crate) signer: Option<Who>,
    /// The text before the signature, and after it.
    text: (String, String),
    /// What it merges, once somebody asked.
    merged: OnceCell<Option<MergeFacts>>,
    payload: OnceCell<Digest>,
    /// Its place in the order in which commits were made.
    place: usize,
}

/// What a commit is made of.
pub(crate) struct Making<'m> {
    pub(crate) parents: &'m [CommitId],
    pub(crate) files: Contents,
    pub(crate) content: Option<Content>,
    pub(crate) signer: Option<Who>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Forge(Rc<RefCell<BTreeMap<CommitId, Rc<Made>>>>);

impl Forge {
    pub(crate) fn new() -> Self {
        Forge::default()
    }

    /// One file with these objects on top of a commit.
    pub(crate) fn commit(&mut self, parent: Option<&CommitId>, objects: &[Value], signed: bool) -> CommitId {
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let files = Contents::from([(path_of("deploy/shop.yaml"), documents.join("\n---\n").into_bytes())]);
        let parents: Vec<CommitId> = parent.cloned().into_iter().collect();
        self.make(Making { parents: &parents, files, content: None, signer: signed.then_some(LENA) })
    }

    pub(crate) fn make(&self, making: Making<'_>) -> CommitId {
        let Making { parents, files, content, signer } = making;
        let place = self.0.borrow().len();
        let hashed: Vec<u8> =
            files.iter().flat_map(|(path, bytes)| [path.as_str().as_bytes(), b"\0", bytes, b"\0"].concat()).collect();
        let tree = sha1("tree", &hashed);
        let person = identity(signer.unwrap_or(LENA), place);
        let above: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let head = format!("tree {tree}\n{above}author {person}\ncommitter {person}\n");
        let message = format!("\nrelease {place}\n");
        let payload = format!("{head}{message}");
        let armor = signer.map(|who| PEOPLE[who].key.sign(GIT_NAMESPACE, payload.as_bytes()));
        let bytes = with_signature(&head, &message, armor.as_deref());
        let id = sha1("commit", &bytes);
        let raw = RawCommit { id: id.clone(), bytes };
        let text = (head, message);
        let (merged, payload) = (OnceCell::new(), OnceCell::new());
        let (parents, files) = (parents.to_vec(), Rc::new(files));
        let made = Made { raw, parents, files, content, signer, text, merged, payload, place };
        self.0.borrow_mut().insert(id.clone(), Rc::new(made));
        id
    }

    /// The same signed payload under another id: the signature's lines are broken elsewhere.
    pub(crate) fn twin(&self, id: &CommitId) -> Option<CommitId> {
        let made = self.made(id);
        let who = made.signer?;
        let (head, message) = &made.text;
        let armor = PEOPLE[who].key.sign(GIT_NAMESPACE, format!("{head}{message}").as_bytes());
        let lines: Vec<&str> = armor.trim_end().lines().collect();
        let body: String = lines[1..lines.len() - 1].concat();
        let (first, rest) = body.split_at(50);
        let rest: Vec<&str> = (0..rest.len()).step_by(70).map(|at| &rest[at..rest.len().min(at + 70)]).collect();
        let armor = format!("{}\n{first}\n{}\n{}\n", lines[0], rest.join("\n"), lines[lines.len() - 1]);
        let bytes = with_signature(head, message, Some(&armor));
        let twin = sha1("commit", &bytes);
        let raw = RawCommit { id: twin.clone(), bytes };
        let place = self.0.borrow().len();
        let (merged, payload) = (OnceCell::new(), OnceCell::new());
        let (parents, files, text) = (made.parents.clone(), Rc::clone(&made.files), made.text.clone());
        let (content, signer) = (made.content, made.signer);
        let made = Made { raw, parents, files, content, signer, text, merged, payload, place };
        self.0.borrow_mut().insert(twin.clone(), Rc::new(made));
        Some(twin)
    }

    pub(crate) fn made(&self, id: &CommitId) -> Rc<Made> {
        Rc::clone(self.0.borrow().get(id).expect("because it was committed here"))
    }

    pub(crate) fn tree(&self, id: &CommitId) -> Tree {
        let entry = |bytes: &Vec<u8>| TreeEntry {
            kind: EntryKind::File,
            id: sha1("blob", bytes).0,
            size: u64::try_from(bytes.len()).expect("because it is small"),
        };
        self.made(id).files.iter().map(|(path, bytes)| (path.clone(), entry(bytes))).collect()
    }

    pub(crate) fn fetched(&self, branch: &str, tip: &CommitId, accepted: Option<&CommitId>) -> Fetched {
        let above = self.line(tip);
        let below: BTreeSet<CommitId> = accepted.into_iter().flat_map(|accepted| self.line(accepted)).collect();
        let relation = match accepted {
            None => Relation::First,
            Some(accepted) if accepted == tip => Relation::Same,
            Some(accepted) if above.contains(accepted) => Relation::Descendant,
            Some(_) if below.contains(tip) => Relation::Ancestor,
            Some(_) => Relation::Diverged { merge_base: above.iter().find(|id| below.contains(id)).cloned() },
        };
        let left = below.iter().filter(|id| !above.contains(id)).count();
        let fresh: Vec<CommitId> = above.into_iter().filter(|id| !below.contains(id)).collect();
        let raw = |id: &CommitId| self.made(id).raw.clone();
        let parents = fresh.iter().flat_map(|id| self.made(id).parents.clone());
        let merges = fresh.iter().filter_map(|id| Some((id.clone(), self.merge_facts(id)?))).collect();
        Fetched {
            reference: RefName::branch(branch).expect("because it is a branch"),
            tip: tip.clone(),
            accepted: accepted.map(raw),
            relation,
            new: fresh.iter().map(raw).collect(),
            tip_commit: raw(tip),
            boundary: parents.filter(|id| !fresh.contains(id)).collect(),
            left: u64::try_from(left).expect("because it is small"),
            introduced: false,
            outside_introduction: false,
            merges,
            brought: None,
        }
    }

    /// A commit and its ancestors, newest first.
    pub(crate) fn line(&self, id: &CommitId) -> Vec<CommitId> {
        let mut found: BTreeMap<usize, CommitId> = BTreeMap::new();
        let mut walk = vec![id.clone()];
        while let Some(id) = walk.pop() {
            let made = self.made(&id);
            if found.insert(made.place, id).is_none() {
                walk.extend(made.parents.iter().cloned());
            }
        }
        found.into_values().rev().collect()
    }

    /// The SHA-256 of what is signed of a commit.
    pub(crate) fn payload_hash(&self, raw: &RawCommit) -> Digest {
        let made = self.made(&raw.id);
        let read = || revision::payload_hash(raw).expect("because every commit here has the form of one");
        *made.payload.get_or_init(read)
    }

    fn merge_facts(&self, id: &CommitId) -> Option<MergeFacts> {
        self.made(id).merged.get_or_init(|| self.compare_sides(id)).clone()
    }

    fn compare_sides(&self, id: &CommitId) -> Option<MergeFacts> {
        let made = self.made(id);
        let [first, second] = made.parents.as_slice() else { return None };
        let theirs = self.line(second);
        let common: Vec<CommitId> = self.line(first).into_iter().filter(|id| theirs.contains(id)).collect();
        let below: BTreeSet<CommitId> =
            common.iter().flat_map(|id| self.line(id).into_iter().skip(1).collect::<Vec<_>>()).collect();
        let bases: Vec<CommitId> = common.into_iter().filter(|id| !below.contains(id)).collect();
        let [base] = bases.as_slice() else { return Some(MergeFacts::Bases(bases)) };
        let sides = FourWay { base, first, second, merge: id };
        let all = sides.map(|id| Rc::clone(&self.made(id).files));
        let four = [&all.base, &all.first, &all.second, &all.merge];
        let paths: BTreeSet<&RepoPath> = four.iter().flat_map(|files| files.keys()).collect();
        let entry = |bytes: &Vec<u8>| MergeEntry { mode: 0o100_644, id: sha1("blob", bytes).0 };
        let unlike = paths.into_iter().filter_map(|path| {
            let entries = all.map(|files| files.get(path).map(entry));
            (!entries.is_plain()).then(|| MergedPath { path: path.as_str().as_bytes().to_vec(), entries })
        });
        Some(MergeFacts::Compared { base: base.clone(), unlike: unlike.collect(), more: 0 })
    }

    /// Which new commits brought what stands at these paths, as the edge finds it.
    pub(crate) fn origins(&self, fetched: &Fetched, paths: Vec<RepoPath>) -> BTreeMap<RepoPath, Vec<Origin>> {
        let new: BTreeSet<&CommitId> = fetched.new.iter().map(|raw| &raw.id).collect();
        let first = fetched.accepted.is_none();
        let origins = |path: &RepoPath| {
            if !new.contains(&fetched.tip) {
                return vec![Origin::Introduced];
            }
            let (mut found, mut walk) = (Vec::new(), vec![fetched.tip.clone()]);
            let mut seen = BTreeSet::from([fetched.tip.clone()]);
            while let Some(id) = walk.pop() {
                let made = self.made(&id);
                let same = |parent: &&CommitId| self.made(parent).files.get(path) == made.files.get(path);
                let (fresh, old): (Vec<&CommitId>, Vec<&CommitId>) =
                    made.parents.iter().filter(same).partition(|parent| new.contains(parent));
                match (fresh.is_empty(), old.is_empty()) {
                    (false, _) => {
                        walk.extend(fresh.into_iter().filter(|parent| seen.insert((*parent).clone())).cloned())
                    }
                    (true, false) if first => found.push(Origin::Introduced),
                    (true, _) => found.push(Origin::Commit(id)),
                }
            }
            found
        };
        paths.into_iter().map(|path| (path.clone(), origins(&path))).collect()
    }

    /// Which commits answer for what stands at these paths, with their merges, as the edge finds it.
    pub(crate) fn brought(
        &self,
        tip: &CommitId,
        paths: &[RepoPath],
    ) -> (Vec<RawCommit>, BTreeMap<CommitId, MergeFacts>) {
        let mut found: BTreeMap<CommitId, BTreeSet<&RepoPath>> = BTreeMap::new();
        for path in paths {
            let (mut walk, mut seen) = (vec![tip.clone()], BTreeSet::new());
            while let Some(id) = walk.pop() {
                let made = self.made(&id);
                let same = |parent: &&CommitId| self.made(parent).files.get(path) == made.files.get(path);
                let same: Vec<&CommitId> = made.parents.iter().filter(same).collect();
                if same.len() < made.parents.len() || made.parents.is_empty() {
                    found.entry(id).or_default().insert(path);
                }
                walk.extend(same.into_iter().filter(|parent| seen.insert((*parent).clone())).cloned());
            }
        }
        let at = |(id, paths): (&CommitId, &BTreeSet<&RepoPath>)| {
            let facts = match self.merge_facts(id)? {
                MergeFacts::Compared { base, mut unlike, more } => {
                    let answers = |path: &[u8]| paths.iter().any(|answers| answers.as_str().as_bytes() == path);
                    unlike.retain(|unlike| answers(&unlike.path));
                    MergeFacts::Compared { base, unlike, more }
                }
                facts => facts,
            };
            Some((id.clone(), facts))
        };
        let merges = found.iter().filter_map(at).collect();
        (found.keys().map(|id| self.made(id).raw.clone()).collect(), merges)
    }

    /// The newest commit of a history that changed what stands at a path.
    pub(crate) fn last_change(&self, tip: &CommitId, path: &RepoPath) -> CommitId {
        let mut at = tip.clone();
        loop {
            let made = self.made(&at);
            let same = made.parents.iter().find(|parent| self.made(parent).files.get(path) == made.files.get(path));
            match same {
                Some(parent) => at = parent.clone(),
                None => return at,
            }
        }
    }
}

fn with_signature(head: &str, message: &str, armor: Option<&str>) -> Vec<u8> {
    let signature = armor.map(|armor| format!("gpgsig {}\n", armor.trim_end().replace('\n', "\n ")));
    format!("{head}{}{message}", signature.unwrap_or_default()).into_bytes()
}

pub(crate) fn sha1(kind: &str, bytes: &[u8]) -> CommitId {
    let object = [format!("{kind} {}\0", bytes.len()).as_bytes(), bytes].concat();
    let hash = sha1_checked::Sha1::try_digest(object);
    let digits = hash.hash().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = digits.map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default()).collect();
    hex.parse().expect("because a hash is an id")
}
