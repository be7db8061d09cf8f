//! Statements that lie in the cluster: what a person signed while Git could not be reached. Authority is the signature,
//! never the road that it came by.

use std::collections::BTreeMap;

use crate::name::{EnvironmentName, ObjectId, Reason, RefName};
use crate::revision::statement::{self, RawTag};

use super::site::Site;

/// The tags that the cluster holds about each environment.
pub(super) type Stated = BTreeMap<EnvironmentName, BTreeMap<RefName, ObjectId>>;

/// Reads the statements in the cluster, and keeps their bytes in the mirror; none where there is no cluster.
///
/// # Errors
/// They cannot be read or kept.
pub(super) async fn read(site: &Site) -> Result<Stated, Reason> {
    match &site.target {
        Some(target) => keep(site, target.journal.statements().await.map_err(|error| error.reason())?).await,
        None => Ok(Stated::new()),
    }
}

/// Keeps the bytes of statements in the mirror, from where they are read like those that came by Git. What is no tag about
/// an environment of this pipeline is left out.
///
/// # Errors
/// They cannot be kept.
pub(super) async fn keep(site: &Site, found: Vec<Vec<u8>>) -> Result<Stated, Reason> {
    let mut stated = Stated::new();
    let mut tags: Vec<RawTag> = Vec::new();
    for tag in found.iter().filter_map(|bytes| statement::kept(bytes)) {
        let Some(address) = statement::address(&tag.name) else { continue };
        if address.pipeline == site.setup.pipeline.name {
            stated.entry(address.environment).or_default().insert(tag.name.clone(), tag.id.clone());
            tags.push(tag);
        }
    }
    if !tags.is_empty() {
        let kept = site.with_mirror(move |mirror| tags.iter().try_for_each(|tag| mirror.keep_tag(tag)));
        kept.await.map_err(|error| error.reason())?;
    }
    Ok(stated)
}
