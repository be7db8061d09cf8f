//! What the configuration demands of whoever wants to enter an environment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Layout;
use super::calendar::{Freeze, Window};
use crate::deploylog::Past;
use crate::name::{EnvironmentName, PipelineName, Principal, RoleName};
use crate::revision::Carriers;
use crate::revision::statement::{Statement, Verb};

/// How long an approval counts where the configuration says nothing.
pub const EXPIRES: Duration = Duration::from_secs(7 * 24 * 3600);

/// The rules to enter an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The environment.
    pub environment: EnvironmentName,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// The environment that proves its content; `None`: signatures do.
    pub from: Option<From>,
    /// Where it reads.
    pub layout: Layout,
    /// Images, without tag and digest, that may run here though upstream never ran them.
    pub own_images: Vec<String>,
    /// Who may write here; `None`: every signer.
    pub writers: Option<BTreeSet<Principal>>,
    /// Which commits may enter that none of them signed.
    pub carriers: Carriers,
    /// Whose approvals are needed; `None`: nobody's.
    pub approvals: Option<Approvals>,
    /// When promotions may enter; empty: always.
    pub windows: Vec<Window>,
    /// When none may, by the pipeline.
    pub freezes: Vec<Freeze>,
    /// How long a candidate may wait.
    pub give_up: Duration,
    /// Whether a candidate waits until the standing release is proven or failed.
    pub finish: bool,
    /// Whose commits go back.
    pub rollback_by: RollbackBy,
}

/// Whose commits are taken for a rollback when their content is that of an earlier release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackBy {
    /// Anybody's: what ran and was proven may always come back.
    #[default]
    Anyone,
    /// Those that a writer signed.
    Writers,
}

/// Where an environment's content comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct From {
    /// The upstream environment.
    pub environment: EnvironmentName,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// Where it reads.
    pub layout: Layout,
    /// How long its releases soak.
    pub soak: Duration,
    /// How long ago a release may have stood healthy there.
    pub max_age: Duration,
}

/// How many must approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approvals {
    /// How many people.
    pub count: usize,
    /// Of which role; `None`: of the writers.
    pub role: Option<RoleName>,
    /// Who they are; `None`: every signer.
    pub who: Option<BTreeSet<Principal>>,
    /// Whether those who wrote what is newly shipped do not count.
    pub exclude_author: bool,
    /// How long an approval counts after it was first seen.
    pub expires: Duration,
}

impl Rules {
    /// Whether what they say of a candidate depends on the time, with the freezes that were stated.
    #[must_use]
    pub fn depends_on_time(&self, past: &Past, statements: &[Arc<Statement>]) -> bool {
        let stated = !past.freezes.is_empty() || statements.iter().any(|statement| statement.verb() == Verb::Freeze);
        stated || !self.windows.is_empty() || !self.freezes.is_empty() || self.from.is_some()
    }

    /// Who may approve, in words.
    pub(super) fn approvers(&self) -> String {
        match self.approvals.as_ref().and_then(|approvals| approvals.role.as_ref()) {
            Some(role) => role.to_string(),
            None => format!("the writers of {}", self.environment),
        }
    }
}
