//! A repository in memory: signed commits as raw bytes, with an honest graph.

use std::collections::{BTreeMap, BTreeSet};

use lockmaster::name::{CommitId, RefName, RepoPath};
use lockmaster::render::{Contents, EntryKind, Tree, TreeEntry};
use lockmaster::revision::{Carriers, Fetched, Ground, RawCommit, Relation, Trust};
use lockmaster::signature::{AgentKey, GIT_NAMESPACE, Signers};
use serde_json::Value;

#[derive(Debug)]
struct Made {
    raw: RawCommit,
    parent: Option<CommitId>,
    contents: Contents,
}

#[derive(Debug)]
pub(crate) struct Forge {
    commits: Vec<Made>,
    lena: AgentKey,
}

impl Forge {
    pub(crate) fn new() -> Self {
        Forge { commits: Vec::new(), lena: AgentKey::from_seed([3; 32]) }
    }

    pub(crate) fn trust(&self) -> Trust {
        let line = format!("lena@example.com {}\n", self.lena.public_key());
        let signers = Signers::parse(&line).expect("because the line is one");
        Trust {
            ground: Ground::Signatures,
            environment: "dev".parse().expect("because it is a name"),
            signers,
            writers: None,
            carriers: Carriers::Plain,
        }
    }

    pub(crate) fn commit(&mut self, parent: Option<&CommitId>, objects: &[Value], signed: bool) -> CommitId {
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let text = documents.join("\n---\n");
        let tree = sha1("tree", text.as_bytes());
        let person = format!("Lena <lena@example.com> {} +0000", 1_700_000_000 + self.commits.len());
        let parents = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
        let head = format!("tree {tree}\n{parents}author {person}\ncommitter {person}\n");
        let message = format!("\nrelease {}\n", self.commits.len());
        let payload = format!("{head}{message}");
        let signature = if signed {
            let armor = self.lena.sign(GIT_NAMESPACE, payload.as_bytes());
            format!("gpgsig {}\n", armor.trim_end().replace('\n', "\n "))
        } else {
            String::new()
        };
        let bytes = format!("{head}{signature}{message}").into_bytes();
        let id = sha1("commit", &bytes);
        let path: RepoPath = "deploy/shop.yaml".parse().expect("because it is a path");
        let contents = Contents::from([(path, text.into_bytes())]);
        let raw = RawCommit { id: id.clone(), bytes };
        self.commits.push(Made { raw, parent: parent.cloned(), contents });
        id
    }

    pub(crate) fn contents(&self, id: &CommitId) -> &Contents {
        &self.made(id).contents
    }

    pub(crate) fn tree(&self, id: &CommitId) -> Tree {
        let entry = |bytes: &Vec<u8>| TreeEntry {
            kind: EntryKind::File,
            id: sha1("blob", bytes).0,
            size: u64::try_from(bytes.len()).expect("because it is small"),
        };
        self.contents(id).iter().map(|(path, bytes)| (path.clone(), entry(bytes))).collect()
    }

    pub(crate) fn fetched(&self, tip: &CommitId, accepted: Option<&CommitId>) -> Fetched {
        let above = self.line(tip);
        let below = accepted.map(|accepted| self.line(accepted)).unwrap_or_default();
        let relation = match accepted {
            None => Relation::First,
            Some(accepted) if accepted == tip => Relation::Same,
            Some(accepted) if above.contains(accepted) => Relation::Descendant,
            Some(_) if below.contains(tip) => Relation::Ancestor,
            Some(_) => Relation::Diverged { merge_base: above.iter().find(|id| below.contains(id)).cloned() },
        };
        let fresh: Vec<CommitId> = above.into_iter().filter(|id| !below.contains(id)).collect();
        let raw = |id: &CommitId| self.made(id).raw.clone();
        let boundary: BTreeSet<CommitId> =
            fresh.iter().filter_map(|id| self.made(id).parent.clone()).filter(|id| !fresh.contains(id)).collect();
        Fetched {
            reference: RefName::branch("env/dev").expect("because it is a branch"),
            tip: tip.clone(),
            accepted: accepted.map(raw),
            relation,
            new: fresh.iter().map(raw).collect(),
            tip_commit: raw(tip),
            boundary,
            left: 0,
            introduced: false,
            outside_introduction: false,
            merges: BTreeMap::new(),
        }
    }

    /// A commit and its ancestors, newest first.
    pub(crate) fn line(&self, id: &CommitId) -> Vec<CommitId> {
        std::iter::successors(Some(id.clone()), |id| self.made(id).parent.clone()).collect()
    }

    fn made(&self, id: &CommitId) -> &Made {
        self.commits.iter().find(|made| made.raw.id == *id).expect("because it was committed here")
    }
}

fn sha1(kind: &str, bytes: &[u8]) -> CommitId {
    let object = [format!("{kind} {}\0", bytes.len()).as_bytes(), bytes].concat();
    let hash = sha1_checked::Sha1::try_digest(object);
    let hex: String = hash.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("because a hash is an id")
}
