//! Which release is gone back to: a proven one that was first opened before what stands was first opened (DESIGN §6,
//! Rollback).

use crate::cli::arguments::{At, Target};
use crate::cli::history;
use crate::config::Environment;
use crate::deploylog::{Action, Evidence, Inputs, Log, Logged, Phase, StandingRelease};
use crate::name::{Code, Digest, Reason};

/// What is gone back to, and from what.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// What stands.
    pub(super) standing: StandingRelease,
    /// The sequence of the entry that opened what is undone: of the standing release, unless that is gone back to already.
    pub(super) undone: u64,
    /// What is gone back to.
    pub(super) to: Logged,
    /// Its digest.
    pub(super) release: Digest,
    /// Whether it stands already, by an earlier rollback: then Git alone has to agree.
    pub(super) stands: bool,
}

/// Why nothing is chosen.
#[derive(Debug)]
pub(super) enum NoChoice {
    /// It is no release to go back to.
    Refused(Reason),
    /// The question cannot be answered.
    Failed(Reason),
}

impl From<Reason> for NoChoice {
    fn from(reason: Reason) -> Self {
        NoChoice::Failed(reason)
    }
}

/// Chooses what a target names; without an entry, the last release that is proven and older than what stands, among those
/// with these inputs where a rewound branch has them.
///
/// # Errors
/// See [`NoChoice`].
pub(super) fn choose(
    environment: &Environment,
    log: &Log,
    target: &Target,
    rewound: Option<&Inputs>,
) -> Result<Choice, NoChoice> {
    let name = &environment.name;
    let refused = |text: String| NoChoice::Refused(Reason::new(Code::StatementNotApplicable, text));
    let Some(standing) = &log.standing else {
        return Err(refused(format!("nothing was deployed to `{name}` yet: there is nothing to go back from")));
    };
    let bench = Bench { environment, log, standing, releases: Evidence::of(name, log).releases };
    let to = match &target.at {
        At::Tip => bench.last(rewound).ok_or_else(|| {
            let what = if rewound.is_some() { " with the inputs of the branch's tip" } else { "" };
            let sequence = standing.sequence;
            refused(format!("`{name}` has no proven release{what} before the standing one, {name}/{sequence}"))
        })?,
        At::Sequence(sequence) => bench.named(Some(*sequence))?,
        At::Latest => bench.named(None)?,
        At::Revision(_) => {
            let text = format!("`{target}` names a commit: write the entry to go back to, `{name}/SEQUENCE`");
            return Err(NoChoice::Failed(Reason::new(Code::Usage, text)));
        }
    };
    bench.judge(to).map_err(refused)?;
    let opening = |sequence: u64| log.entries.iter().find(|entry| entry.sequence == sequence).map(|entry| &entry.body);
    let release = opening(to.sequence).and_then(|body| body.release);
    let bug = || NoChoice::Failed(Reason::new(Code::Bug, format!("`{name}/{}` opens no release", to.sequence)));
    let stands = bench.stands(to);
    let before = opening(standing.sequence).and_then(|body| body.supersedes).filter(|_| stands);
    Ok(Choice {
        standing: standing.clone(),
        undone: before.unwrap_or(standing.sequence),
        to: to.clone(),
        release: release.ok_or_else(bug)?,
        stands,
    })
}

struct Bench<'b> {
    environment: &'b Environment,
    log: &'b Log,
    standing: &'b StandingRelease,
    /// Newest first.
    releases: Vec<Logged>,
}

impl Bench<'_> {
    /// When content was first opened.
    fn first(&self, inputs: &Inputs) -> u64 {
        self.releases
            .iter()
            .filter(|release| release.inputs == *inputs)
            .map(|release| release.sequence)
            .min()
            .unwrap_or(0)
    }

    fn is_older(&self, release: &Logged) -> bool {
        let standing = self.releases.iter().find(|release| release.sequence == self.standing.sequence);
        standing.is_some_and(|standing| self.first(&release.inputs) < self.first(&standing.inputs))
    }

    fn stands(&self, release: &Logged) -> bool {
        release.inputs.digest() == self.standing.inputs
    }

    fn is_rollback(&self) -> bool {
        let opening = self.log.entries.iter().find(|entry| entry.sequence == self.standing.sequence);
        opening.is_some_and(|entry| entry.body.action == Action::Rollback)
    }

    fn last(&self, rewound: Option<&Inputs>) -> Option<&Logged> {
        let wanted = |release: &&Logged| rewound.is_none_or(|inputs| release.inputs == *inputs);
        self.releases.iter().filter(wanted).find(|release| release.is_proven() && self.is_older(release))
    }

    /// The release that an entry is about: people read the numbers of outcomes in `history`.
    fn named(&self, sequence: Option<u64>) -> Result<&Logged, NoChoice> {
        let name = &self.environment.name;
        let entry = history::entry(self.environment, self.log, sequence)?;
        let opened = if entry.body.phase == Some(Phase::Opened) { Some(entry.sequence) } else { entry.body.of };
        let release = opened.and_then(|opened| self.releases.iter().find(|release| release.sequence == opened));
        release.ok_or_else(|| {
            let sequence = entry.sequence;
            let text = format!("`{name}/{sequence}` opened no release; see: lockmaster show {name}/{sequence}");
            NoChoice::Failed(Reason::new(Code::Usage, text))
        })
    }

    fn judge(&self, to: &Logged) -> Result<(), String> {
        let (name, sequence) = (&self.environment.name, to.sequence);
        if self.stands(to) {
            let text = || format!("`{name}/{sequence}` is what stands in `{name}`");
            return if self.is_rollback() { Ok(()) } else { Err(text()) };
        }
        if !self.is_older(to) {
            return Err(format!(
                "`{name}/{sequence}` was first opened after what stands, {name}/{}: to go forward is a promotion",
                self.standing.sequence
            ));
        }
        match to.outcome {
            Some((Phase::Proven, _)) => Ok(()),
            Some((Phase::Failed, _)) => {
                Err(format!("`{name}/{sequence}` failed: only what was proven is gone back to"))
            }
            _ => Err(format!("`{name}/{sequence}` was never proven: only what was proven is gone back to")),
        }
    }
}
