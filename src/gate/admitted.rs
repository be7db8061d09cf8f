//! What every gate admits: a plan, or an earlier release that is gone back to.

use std::collections::{BTreeMap, BTreeSet};

use super::rollback::Returned;
use super::{Gate, recorded};
use crate::deploylog::{self, Counts, GateVerdict, Held, Inputs, Rollback};
use crate::manifest::ManifestSet;
use crate::name::{Digest, ObjectKey};
use crate::plan::{self, Plan};
use crate::render;

/// A release that may be opened.
#[derive(Debug)]
#[must_use = "open it"]
pub struct Admitted {
    content: Content,
    gates: Vec<Gate>,
    basis: Basis,
}

/// What it rests on.
#[derive(Debug, Default)]
pub(super) struct Basis {
    pub(super) upstream: Option<deploylog::Upstream>,
    pub(super) approvers: String,
    pub(super) evidence: BTreeMap<String, Vec<u8>>,
    pub(super) promotes: bool,
}

#[derive(Debug)]
enum Content {
    Planned(Box<Plan>),
    Returned(Box<Returned>),
}

impl Admitted {
    pub(super) fn planned(plan: Plan, gates: Vec<Gate>, basis: Basis) -> Self {
        Admitted { content: Content::Planned(Box::new(plan)), gates, basis }
    }

    pub(super) fn returned(returned: Returned, gates: Vec<Gate>) -> Self {
        Admitted { content: Content::Returned(Box::new(returned)), gates, basis: Basis::default() }
    }

    /// Its objects.
    #[must_use]
    pub fn set(&self) -> &ManifestSet {
        match &self.content {
            Content::Planned(plan) => plan.rendered().set(),
            Content::Returned(returned) => &returned.set,
        }
    }

    /// The SHA-256 of its canonical bytes.
    #[must_use]
    pub fn release(&self) -> Digest {
        match &self.content {
            Content::Planned(plan) => plan.report().digest,
            Content::Returned(returned) => returned.recalled.release(),
        }
    }

    /// What it was rendered from.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        match &self.content {
            Content::Planned(plan) => plan.rendered().inputs(),
            Content::Returned(returned) => &returned.inputs,
        }
    }

    /// How many objects it touches. Of a rollback they are counted against what stands, without asking the cluster.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match &self.content {
            Content::Planned(plan) => plan.report().counts,
            Content::Returned(returned) => returned.counts,
        }
    }

    /// Its objects that have the same manifest in the standing release.
    #[must_use]
    pub fn untouched(&self) -> &BTreeSet<ObjectKey> {
        match &self.content {
            Content::Planned(plan) => plan.untouched(),
            Content::Returned(returned) => &returned.untouched,
        }
    }

    /// Where it goes back to, if it is a rollback.
    #[must_use]
    pub fn rollback(&self) -> Option<&Rollback> {
        match &self.content {
            Content::Planned(_) => None,
            Content::Returned(returned) => Some(&returned.rollback),
        }
    }

    /// What it leaves behind, which does not deploy again unasked.
    #[must_use]
    pub fn hold(&self) -> Option<&Held> {
        match &self.content {
            Content::Planned(_) => None,
            Content::Returned(returned) => returned.hold.as_ref(),
        }
    }

    /// Its Jobs that cannot be undone.
    #[must_use]
    pub fn irreversible(&self) -> BTreeSet<String> {
        super::rollback::irreversible(self.set())
    }

    /// The gates as they stood, for the `opened` entry.
    #[must_use]
    pub fn gates(&self) -> Vec<GateVerdict> {
        recorded(&self.gates)
    }

    /// The same, for people.
    #[must_use]
    pub fn asked(&self) -> &[Gate] {
        &self.gates
    }

    /// The report of what would change; a rollback has none.
    #[must_use]
    pub fn report(&self) -> Option<&plan::Report> {
        match &self.content {
            Content::Planned(plan) => Some(plan.report()),
            Content::Returned(_) => None,
        }
    }

    /// The images that its objects run, as they are written.
    #[must_use]
    pub fn images(&self) -> BTreeSet<String> {
        render::images(self.set())
    }

    /// What proved its content upstream.
    #[must_use]
    pub fn upstream(&self) -> Option<&deploylog::Upstream> {
        self.basis.upstream.as_ref()
    }

    /// Whether it comes from another environment.
    #[must_use]
    pub fn promotes(&self) -> bool {
        self.basis.promotes
    }

    /// Who approved it; empty: nobody.
    #[must_use]
    pub fn approvers(&self) -> &str {
        &self.basis.approvers
    }

    /// The raw statements that it rests on, by the path at which its entry keeps them.
    #[must_use]
    pub fn evidence(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.basis.evidence
    }
}
