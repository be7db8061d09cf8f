//! The gate `holds`: what was taken back does not come again until somebody says so (DESIGN §6, Rollback). A hold stops
//! content that has all of what it holds; content that has a part of it is told, and passes.

use std::collections::BTreeSet;

use super::words::{listed, utc};
use super::{Case, Gate, Verdict};
use crate::deploylog::{Held, HeldImage, Hold, Inputs, Past};
use crate::manifest::ManifestSet;
use crate::name::{Code, CommitId, EnvironmentName, Reason};
use crate::render;

/// The gate's name. What it waits for has no deadline: only a person ends a hold.
pub(super) const NAME: &str = "holds";

/// Content that may be held.
pub(super) struct Content<'c> {
    pub(super) commit: &'c CommitId,
    pub(super) inputs: &'c Inputs,
    /// Its objects, once they are known: until then an image counts as the one that is held.
    pub(super) set: Option<&'c ManifestSet>,
}

pub(super) fn judge(case: &Case<'_>, set: Option<&ManifestSet>) -> Gate {
    let content = Content { commit: case.verified.commit(), inputs: case.inputs, set };
    held(&case.rules.environment, &case.past.holds, &content)
}

/// Whether content is held, as far as its files tell.
#[must_use]
pub fn is_held(past: &Past, inputs: &Inputs) -> bool {
    let all = |hold: &Hold| !hold.held.is_empty() && brought(&hold.held, inputs, None) == hold.held.len();
    past.holds.iter().any(all)
}

/// What the holds of an environment say about content.
pub(super) fn held(environment: &EnvironmentName, holds: &[Hold], content: &Content<'_>) -> Gate {
    let images = content.set.map(images);
    let mut partly = Vec::new();
    let mut reasons = Vec::new();
    for hold in holds {
        let brought = brought(&hold.held, content.inputs, images.as_ref());
        let all = hold.held.len();
        // The very commit is held also where it brought nothing that could be held.
        if hold.held.commit == *content.commit || (brought == all && all > 0) {
            reasons.push(reason(environment, hold, content.commit));
        } else if brought > 0 {
            partly.push(format!("brings back {brought} of {all} held by {environment}/{}", hold.sequence));
        }
    }
    if reasons.is_empty() {
        let none = if holds.is_empty() { "none" } else { "none on this content" };
        return Gate::pass(NAME, if partly.is_empty() { none.to_owned() } else { partly.join("; ") });
    }
    let value = reasons.iter().map(|reason| reason.message.as_str()).collect::<Vec<_>>().join("; ");
    Gate { reasons, ..Gate::new(NAME, Verdict::Wait, value) }
}

fn reason(environment: &EnvironmentName, hold: &Hold, commit: &CommitId) -> Reason {
    let Hold { sequence, held, since, by, reason } = hold;
    let paths: Vec<String> = held.files.keys().map(ToString::to_string).collect();
    let what = if paths.is_empty() { format!("commit {}", held.commit.short()) } else { listed(paths) };
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let text = format!("{environment}/{sequence} holds {what} since {} by {by}{why}", utc(*since));
    Reason::new(Code::HeldContent, text).at_commit(commit.clone())
}

/// How many of the things that are held come with content.
fn brought(held: &Held, inputs: &Inputs, images: Option<&BTreeSet<HeldImage>>) -> usize {
    let files = held.files.iter().filter(|(path, digest)| inputs.files.get(*path) == Some(*digest)).count();
    files + images.map_or(held.images.len(), |images| held.images.intersection(images).count())
}

/// The images that objects run, as a hold names them.
pub(super) fn images(set: &ManifestSet) -> BTreeSet<HeldImage> {
    let named = |(object, image): (crate::name::ObjectKey, String)| HeldImage { object: object.to_string(), image };
    render::images_by_object(set).into_iter().map(named).collect()
}
