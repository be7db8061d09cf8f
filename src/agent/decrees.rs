//! What people state besides approvals: freezes, holds, their ends, and rollbacks. Of those whose signers may say so here.

use std::collections::BTreeMap;

use crate::config::Environment;
use crate::course::Decree;
use crate::deploylog::{self, Action, EntryCommit, Held, Log, Past, Stated};
use crate::edge::clock;
use crate::gate;
use crate::name::{CommitId, ObjectId, Reason, RefName};
use crate::revision;
use crate::revision::statement::{Statement, Verb};

use super::closing::close;
use super::facts;
use super::site::Site;

/// Reads what these tags state. What counts for nothing is told, not passed over.
///
/// # Errors
/// Git or the journal cannot be read.
pub(super) async fn read(
    site: &Site,
    environment: &Environment,
    log: &Log,
    listed: &BTreeMap<RefName, ObjectId>,
) -> Result<Vec<Decree>, Reason> {
    let mut found = facts::statements(site, environment, listed).await?;
    let name = &environment.name;
    for (_, reason) in &found.void {
        tracing::warn!(environment = %name, code = %reason.code, reason = %reason.message, "statement-not-applicable");
    }
    let mut decrees = Vec::new();
    let used = Past::of(log, 1).used;
    for statement in found.good.into_iter().filter(|statement| !used.contains(&statement.payload_hash())) {
        if statement.unit().is_some_and(|about| *about != environment.unit) {
            continue;
        }
        match decree(site, environment, log, &statement).await? {
            Ok(mut decree) => {
                decree.bytes = found.bytes.remove(&statement.payload_hash()).unwrap_or_default();
                decrees.push(decree);
            }
            Err(reason) => {
                tracing::warn!(environment = %name, name = statement.name(), reason, "statement-not-applicable");
            }
        }
    }
    Ok(decrees)
}

/// What a statement asks for, or why it counts for nothing.
async fn decree(
    site: &Site,
    environment: &Environment,
    log: &Log,
    statement: &Statement,
) -> Result<Result<Decree, String>, Reason> {
    let rules = site.setup.pipeline.rules(environment);
    let signer = statement.signer();
    let (action, may) = match statement.verb() {
        Verb::Approve => return Ok(Err("an approval is asked about when a candidate is judged".to_owned())),
        Verb::Freeze => (Action::Freeze, gate::may_freeze(&rules, signer)),
        Verb::Unfreeze => (Action::Unfreeze, gate::may_unfreeze(&rules, signer)),
        Verb::Hold => (Action::Hold, gate::may_freeze(&rules, signer)),
        Verb::Unhold => (Action::Unhold, gate::may_unfreeze(&rules, signer)),
        Verb::Rollback => (Action::Rollback, gate::may_freeze(&rules, signer)),
    };
    if !may {
        return Ok(Err(format!("{signer} may not say so here")));
    }
    if let Some(missing) = missing(action, statement) {
        return Ok(Err(format!("it does not say {missing}")));
    }
    let mut decree = Decree {
        action,
        signer: signer.clone(),
        stated: Stated {
            payload_hash: statement.payload_hash(),
            until: statement.until().filter(|_| action == Action::Freeze),
            reason: statement.headline(),
        },
        hold: None,
        of: statement.sequence().filter(|_| matches!(action, Action::Unhold | Action::Rollback)),
        to: statement.to().filter(|_| action == Action::Rollback),
        rewound: None,
        bytes: Vec::new(),
    };
    match action {
        Action::Hold => match held(site, environment, log, statement.commit()).await? {
            Ok(held) => decree.hold = Some(held),
            Err(reason) => return Ok(Err(reason.message)),
        },
        Action::Unhold if !Past::of(log, 1).holds.iter().any(|hold| Some(hold.sequence) == decree.of) => {
            return Ok(Err("the entry that it names holds nothing, or not any more".to_owned()));
        }
        Action::Rollback if statement.rewind() => match commit(site, environment, statement.commit()).await? {
            Some(rewound) => decree.rewound = Some(rewound),
            None => return Ok(Err("its commit is not in the repository".to_owned())),
        },
        _ => {}
    }
    Ok(Ok(decree))
}

/// What a statement of this kind must say, and this one does not.
fn missing(action: Action, statement: &Statement) -> Option<&'static str> {
    match action {
        Action::Freeze if statement.until().is_none() => Some("`Until:`"),
        Action::Unhold | Action::Rollback if statement.sequence().is_none() => Some("`Sequence:`"),
        Action::Rollback if statement.to().is_none() => Some("`To:`"),
        Action::Hold | Action::Unhold if statement.reason().trim().is_empty() => Some("why"),
        _ => None,
    }
}

/// What a commit brought: what it reads, and the release before it did not. Before a release that the log knows stood the
/// one that it replaced; before any other commit stands what stands.
async fn held(
    site: &Site,
    environment: &Environment,
    log: &Log,
    commit: &CommitId,
) -> Result<Result<Held, Reason>, Reason> {
    let (sources, id) = (environment.sources.clone(), commit.clone());
    let closed = site.with_mirror(move |mirror| close(mirror, &id, &sources)).await;
    let inputs = match closed.map_err(|error| error.reason())? {
        Ok(closure) => closure.inputs().clone(),
        Err(reason) => return Ok(Err(reason)),
    };
    let before = deploylog::release_before(log, &inputs);
    let there = |path, digest| before.as_ref().is_some_and(|before| before.inputs.files.get(path) == Some(digest));
    let files = inputs.files.iter().filter(|(path, digest)| !there(*path, *digest));
    let files = files.map(|(path, digest)| (path.clone(), *digest)).collect();
    Ok(Ok(Held { commit: commit.clone(), files, images: std::collections::BTreeSet::new() }))
}

/// A commit as an entry tells it; `None` where the repository has none of that id.
async fn commit(site: &Site, environment: &Environment, id: &CommitId) -> Result<Option<EntryCommit>, Reason> {
    let (reference, tip) = (environment.branch.clone(), id.clone());
    let introduction = site.setup.pipeline.trust.introduction.clone();
    let fetched = site.with_mirror(move |mirror| mirror.facts(&reference, &tip, None, &introduction)).await;
    let Ok(fetched) = fetched else { return Ok(None) };
    let Some(described) = revision::describe(&fetched.tip_commit) else { return Ok(None) };
    let hashes = std::iter::once(described.payload_hash).collect();
    let seen = facts::first_seen(site, environment, hashes).await?;
    Ok(Some(EntryCommit {
        first_seen: seen.get(&described.payload_hash).copied().unwrap_or_else(clock::now),
        signer: None,
        id: described.id,
        payload_hash: described.payload_hash,
        subject: described.subject,
        claimed_author: described.claimed_author,
        ships: Vec::new(),
    }))
}
