//! Which branch each environment follows, and up to where its history is taken as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::address::Address;
use super::layout::Found;
use super::telling::Told;
use crate::cli::diagnostic::Failure;
use crate::edge::clock;
use crate::edge::git::{Branches, Workplace};
use crate::name::{Code, CommitId, EnvironmentName, RefName};
use crate::revision::{self, Carriers, FirstSeen, Trust};
use crate::signature::Signers;

/// How many commits of a branch are judged: each costs a signature. A longer history is taken as it is.
const JUDGED: usize = 2000;

/// The branches of the repository that the pipeline will read.
pub(super) struct Branching<'w> {
    workplace: &'w Workplace,
    signers: Signers,
    local: Branches,
    /// Those of `origin`; `None` where the clone itself is read.
    origin: Option<Branches>,
}

impl<'w> Branching<'w> {
    pub(super) fn new(workplace: &'w Workplace, address: &Address, signers: Signers) -> Result<Self, Failure> {
        let (local, fetched) = workplace.branches().map_err(|error| error.reason())?;
        Ok(Branching { workplace, signers, local, origin: address.is_origin.then_some(fetched) })
    }

    /// The branch of each environment: `env/NAME` or `NAME` where there is one, else the one that is checked out.
    ///
    /// # Errors
    /// None is checked out, and there is neither `main` nor `master`.
    pub(super) fn choose(&self, found: &[Found], told: &mut Told) -> Result<Vec<String>, Failure> {
        let chosen = found.iter().map(|found| self.branch_of(&found.name)).collect::<Result<Vec<_>, _>>()?;
        for branch in chosen.iter().collect::<BTreeSet<_>>() {
            if self.origin.as_ref().is_some_and(|origin| !origin.contains_key(branch)) {
                told.notes.push(format!(
                    "`{branch}` is not at `origin`, as far as this clone knows: git push origin {branch}"
                ));
            }
            let sharing: Vec<&Found> =
                found.iter().zip(&chosen).filter(|(_, b)| *b == branch).map(|(found, _)| found).collect();
            if let [first, .., last] = sharing.as_slice() {
                told.notes.push(format!(
                    "`{}` and `{}` follow one branch, so a commit reaches both at once; to part them: git branch env/{} {branch}, \
                     and name it here",
                    first.name, last.name, last.name
                ));
            }
        }
        Ok(chosen)
    }

    fn branch_of(&self, name: &EnvironmentName) -> Result<String, Failure> {
        let own = [format!("env/{name}"), name.to_string()];
        let known = |branch: &&String| self.tip(branch).is_some();
        let usual = || ["main", "master"].map(str::to_owned).iter().find(known).cloned();
        own.iter().find(known).cloned().or_else(|| self.workplace.current_branch()).or_else(usual).ok_or_else(|| {
            let message = format!("no branch for `{name}`: there is no `env/{name}`, and no branch is checked out");
            Failure::new(Code::RefNotFound, message).with_hint("check one out: git switch BRANCH")
        })
    }

    /// The tip that the agent would see.
    fn tip(&self, branch: &str) -> Option<&CommitId> {
        self.origin.as_ref().and_then(|origin| origin.get(branch)).or_else(|| self.local.get(branch))
    }

    /// The tips that would be refused without being introduced, with the branches they are the tip of. Where one is
    /// needed, each branch needs one below it: what descends from none is refused.
    pub(super) fn introduction(&self, found: &[Found], chosen: &[String], told: &mut Told) -> Vec<(CommitId, String)> {
        let of: BTreeMap<&String, &Found> = chosen.iter().zip(found).rev().collect();
        let mut introduced = BTreeSet::new();
        let mut tips: BTreeMap<CommitId, Vec<String>> = BTreeMap::new();
        loop {
            let before = introduced.len();
            for (branch, environment) in &of {
                let Some(tip) = self.tip(branch).filter(|tip| !introduced.contains(*tip)) else { continue };
                if self.is_accepted(&environment.name, branch, tip, &introduced, told) {
                    continue;
                }
                introduced.insert(tip.clone());
                let named = of.keys().filter(|other| self.tip(other) == Some(tip));
                tips.insert(tip.clone(), named.map(|branch| (*branch).clone()).collect());
            }
            if introduced.len() == before {
                break;
            }
        }
        for (branch, _) in of {
            let how = match self.tip(branch) {
                None => "no commit yet".to_owned(),
                Some(tip) if introduced.contains(tip) => format!("taken as it is up to {}", tip.short()),
                Some(_) => "signed".to_owned(),
            };
            told.histories.insert(branch.clone(), how);
        }
        tips.into_iter().map(|(tip, branches)| (tip, branches.join(", "))).collect()
    }

    /// Whether the first look of an agent would take the tip.
    fn is_accepted(
        &self,
        name: &EnvironmentName,
        branch: &str,
        tip: &CommitId,
        introduced: &BTreeSet<CommitId>,
        told: &mut Told,
    ) -> bool {
        let Ok(reference) = RefName::branch(branch) else { return false };
        match self.workplace.history(&reference, tip, introduced, JUDGED) {
            Ok(Some(fetched)) => {
                let trust = Trust {
                    ground: crate::revision::Ground::Signatures,
                    environment: name.clone(),
                    signers: self.signers.clone(),
                    writers: None,
                    carriers: Carriers::Plain,
                };
                revision::judge(fetched, &trust, &FirstSeen::new(), clock::now()).verdict.is_ok()
            }
            Ok(None) => {
                told.notes.push(format!(
                    "`{branch}` has more than {JUDGED} commits, which were not judged: it is taken as it is"
                ));
                false
            }
            // What cannot be judged would be refused.
            Err(error) => {
                let fetch = if self.workplace.is_shallow() { "; fetch all of it: git fetch --unshallow" } else { "" };
                told.notes.push(format!("`{branch}` could not be judged: {error}{fetch}"));
                false
            }
        }
    }
}
