//! Step 6: only objects whose manifest changed are read, and the changed ones are dry-run on the server.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::config::Environment;
use crate::course::Brief;
use crate::deploylog::{Recalled, StandingRelease};
use crate::edge::cluster;
use crate::manifest::{Manifest, ManifestSet};
use crate::name::{Code, Digest, GroupVersionKind, ObjectKey, Reason};
use crate::plan::{self, DryRun, Inventory, Live, Observed, Policy};

use super::site::{Site, Target};

/// Requests in flight at once (DESIGN §8, apply).
pub(super) const IN_FLIGHT: usize = 16;

/// What a plan rests on, owned.
#[derive(Debug)]
pub struct Ground {
    /// The standing release.
    pub standing: Option<ManifestSet>,
    /// What we created.
    pub inventory: Inventory,
    /// What was observed.
    pub observed: Observed,
    /// The rules.
    pub policy: Policy,
}

impl Ground {
    /// The same, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> plan::Ground<'_> {
        plan::Ground {
            standing: self.standing.as_ref(),
            inventory: &self.inventory,
            observed: &self.observed,
            policy: &self.policy,
        }
    }
}

/// Observes what a plan of this release needs.
///
/// # Errors
/// The cluster or the journal does not answer, or a right is missing.
pub async fn observe(
    site: &Site,
    environment: &Environment,
    release: &ManifestSet,
    brief: &Brief,
) -> Result<Ground, Reason> {
    let target = site.target()?;
    let standing = match &brief.standing {
        Some(standing) => Some(stored_release(target, environment, standing.release).await?),
        None => None,
    };
    let questions = plan::questions(release, standing.as_ref(), &brief.inventory);
    let kinds = kinds(&questions.read, release, standing.as_ref(), &brief.inventory);
    let live = site.reading.read(&target.cluster, kinds).await?;
    let namespaces = site.reading.read(&target.cluster, cluster::namespace_kinds(&questions.namespaces)).await?;
    let namespaces = cluster::standing_namespaces(namespaces);
    let policy = site.policy(environment);
    let wanted = questions.dry_run.into_iter().filter(|key| {
        let present = matches!(live.get(key), Some(Live::Present(_)));
        let namespace = key.namespace.as_ref().is_none_or(|namespace| namespaces.contains(namespace));
        present || (standing.is_some() && namespace)
    });
    let dry_runs = dry_run(target, wanted, release, &policy.set_id).await?;
    let observed = Observed { live, dry_runs, namespaces };
    Ok(Ground { standing, inventory: brief.inventory.clone(), observed, policy })
}

async fn dry_run(
    target: &Target,
    keys: impl Iterator<Item = ObjectKey>,
    release: &ManifestSet,
    set_id: &str,
) -> Result<BTreeMap<ObjectKey, DryRun>, Reason> {
    let questions: Vec<_> =
        keys.filter_map(|key| release.get(&key)).map(|manifest| dry_run_one(target, manifest, set_id)).collect();
    stream::iter(questions).buffer_unordered(IN_FLIGHT).try_collect().await
}

async fn dry_run_one(target: &Target, manifest: &Manifest, set_id: &str) -> Result<(ObjectKey, DryRun), Reason> {
    let answer = target.cluster.dry_run(manifest, set_id).await.map_err(|error| error.reason())?;
    Ok((manifest.key.clone(), answer))
}

/// In which version to read each object: as the release writes it, else as it was applied.
fn kinds<'a>(
    keys: impl IntoIterator<Item = &'a ObjectKey>,
    release: &ManifestSet,
    standing: Option<&ManifestSet>,
    inventory: &Inventory,
) -> BTreeMap<ObjectKey, GroupVersionKind> {
    let kind = |key: &ObjectKey| {
        let manifest = release.get(key).or_else(|| standing.and_then(|standing| standing.get(key)));
        let applied = inventory.members.get(key);
        let member = || applied.map(|member| GroupVersionKind::from_manifest(&member.api_version, &key.kind));
        manifest.map(|manifest| manifest.kind.clone()).or_else(member)
    };
    keys.into_iter().filter_map(|key| Some((key.clone(), kind(key)?))).collect()
}

/// The bytes of the standing release, whose digest our own journal names.
///
/// # Errors
/// The journal does not answer, or has lost or changed them.
pub async fn recall(
    target: &Target,
    environment: &Environment,
    standing: &StandingRelease,
) -> Result<Recalled, Reason> {
    let bytes = stored_bytes(target, environment, standing.release).await?;
    Recalled::new(standing, bytes).map_err(|found| {
        let text = format!("the stored release `{}` has the digest `{found}`", standing.release);
        Reason::new(Code::LogRegressed, text)
    })
}

pub(super) async fn stored_release(
    target: &Target,
    environment: &Environment,
    release: Digest,
) -> Result<ManifestSet, Reason> {
    let bytes = stored_bytes(target, environment, release).await?;
    let unreadable = |problem: String| {
        Reason::new(Code::LogRegressed, format!("the stored release `{release}` cannot be read: {problem}"))
    };
    ManifestSet::from_bytes(&bytes).map_err(unreadable)
}

pub(super) async fn stored_bytes(
    target: &Target,
    environment: &Environment,
    release: Digest,
) -> Result<Vec<u8>, Reason> {
    let stored = target.journal.release(&environment.name, release).await.map_err(|error| error.reason())?;
    let lost = || Reason::new(Code::LogRegressed, format!("the stored bytes of the release `{release}` are gone"));
    stored.ok_or_else(lost)
}
