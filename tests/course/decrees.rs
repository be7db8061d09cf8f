//! What people state besides approvals, read as the agent reads it.

use std::collections::BTreeMap;

use lockmaster::course::Decree;
use lockmaster::deploylog::{self, Action, Held, Log, Past, Stated};
use lockmaster::gate;
use lockmaster::name::{CommitId, ObjectId, RefName};
use lockmaster::revision::statement::{Statement, Verb};

use super::world::World;

impl World {
    /// What these tags state, by those who may, on the log as the agent last had it.
    pub(crate) fn decrees(&mut self, entries: usize, listed: &BTreeMap<RefName, ObjectId>) -> Vec<Decree> {
        let found = self.statements(listed);
        let mut log = Log { entries: self.log().entries.clone(), ..Log::default() };
        log.entries.retain(|entry| usize::try_from(entry.sequence).is_ok_and(|sequence| sequence < entries));
        let used = if self.unit.is_whole() { Default::default() } else { Past::of(&log, 1).used };
        let decrees = found.into_iter().filter_map(|(raw, found)| {
            let statement = found.ok()?;
            let ours = statement.unit().is_none_or(|unit| *unit == self.unit);
            let new = !used.contains(&statement.payload_hash());
            let decree = self.decree(&log, &statement).filter(|_| ours && new)?;
            Some(Decree { bytes: raw.bytes, ..decree })
        });
        decrees.collect()
    }

    fn decree(&self, log: &Log, statement: &Statement) -> Option<Decree> {
        let (rules, signer) = (&self.site.rules, statement.signer());
        let (action, may) = match statement.verb() {
            Verb::Approve => return None,
            Verb::Freeze => (Action::Freeze, gate::may_freeze(rules, signer) && statement.until().is_some()),
            Verb::Unfreeze => (Action::Unfreeze, gate::may_unfreeze(rules, signer)),
            Verb::Hold => (Action::Hold, gate::may_freeze(rules, signer)),
            Verb::Unhold => (Action::Unhold, gate::may_unfreeze(rules, signer)),
            Verb::Rollback => (Action::Rollback, gate::may_freeze(rules, signer)),
        };
        let holds = |of: Option<u64>| Past::of(log, 1).holds.iter().any(|hold| Some(hold.sequence) == of);
        let undone = action == Action::Unhold && !holds(statement.sequence());
        if !may || undone {
            return None;
        }
        let hold = match action {
            Action::Hold => Some(self.held(log, statement.commit())?),
            _ => None,
        };
        Some(Decree {
            action,
            signer: signer.clone(),
            stated: Stated {
                payload_hash: statement.payload_hash(),
                until: statement.until().filter(|_| action == Action::Freeze),
                reason: statement.headline(),
            },
            hold,
            of: statement.sequence().filter(|_| matches!(action, Action::Unhold | Action::Rollback)),
            to: statement.to().filter(|_| action == Action::Rollback),
            rewound: None,
            bytes: Vec::new(),
        })
    }

    /// What a commit brought: what it reads, and the release before it did not.
    fn held(&self, log: &Log, commit: &CommitId) -> Option<Held> {
        let closure = self.try_close(commit).ok()?;
        let inputs = closure.inputs();
        let before = deploylog::release_before(log, inputs);
        let there = |path, digest| before.as_ref().is_some_and(|before| before.inputs.files.get(path) == Some(digest));
        let files = inputs.files.iter().filter(|(path, digest)| !there(*path, *digest));
        let files = files.map(|(path, digest)| (path.clone(), *digest)).collect();
        Some(Held { commit: commit.clone(), files, images: Default::default() })
    }
}
