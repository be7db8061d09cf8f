//! Which release is gone back to: one that was proven, whose bytes are kept, and that was first opened before what stands was
//! first opened (DESIGN §6, Rollback).

use crate::cli::arguments::{At, Target};
use crate::cli::{history, unit};
use crate::config::Environment;
use crate::deploylog::{Evidence, Inputs, Log, Logged, Past, Phase};
use crate::name::{Code, Reason};

/// What is gone back to, and from what.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// What stands.
    pub(super) standing: Logged,
    /// The sequence of the entry that opened what is undone: of the standing release, unless that is gone back to already.
    pub(super) undone: u64,
    /// What is gone back to.
    pub(super) to: Logged,
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
    past: &Past,
    target: &Target,
    rewound: Option<&Inputs>,
) -> Result<Choice, NoChoice> {
    let name = &environment.name;
    let Some(standing) = past.standing.clone() else {
        let called = unit::called(environment);
        return Err(refused(format!("nothing was deployed to {called} yet: there is nothing to go back from")));
    };
    let bench = Bench { environment, log, past, standing };
    let to = match &target.at {
        At::Tip => bench.last(rewound)?,
        At::Sequence(sequence) => bench.named(Some(*sequence))?,
        At::Latest => bench.named(None)?,
        At::Revision(_) => {
            let text = format!("`{target}` names a commit: write the entry to go back to, `{name}/SEQUENCE`");
            return Err(NoChoice::Failed(Reason::new(Code::Usage, text)));
        }
    };
    if let Some(reason) = bench.held(&to) {
        return Err(NoChoice::Refused(reason));
    }
    let standing = bench.standing;
    let stands = to.inputs == standing.inputs;
    let undone = standing.supersedes.filter(|_| stands).unwrap_or(standing.sequence);
    Ok(Choice { undone, to, stands, standing })
}

fn refused(text: String) -> NoChoice {
    NoChoice::Refused(Reason::new(Code::StatementNotApplicable, text))
}

struct Bench<'b> {
    environment: &'b Environment,
    log: &'b Log,
    past: &'b Past,
    standing: Logged,
}

impl Bench<'_> {
    /// The newest that nobody holds; where all are held, the newest.
    fn last(&self, rewound: Option<&Inputs>) -> Result<Logged, NoChoice> {
        let wanted = |release: &&Logged| rewound.is_none_or(|inputs| release.inputs == *inputs);
        let kept = || self.past.kept.iter().filter(wanted);
        let found = kept().find(|release| self.held(release).is_none()).or_else(|| kept().next());
        found.cloned().ok_or_else(|| {
            let (name, sequence) = (&self.environment.name, self.standing.sequence);
            let called = unit::called(self.environment);
            let what = if rewound.is_some() { " with the inputs of the branch's tip" } else { "" };
            refused(format!("{called} has no proven release{what} before the standing one, {name}/{sequence}"))
        })
    }

    /// The release that an entry is about: people read the numbers of outcomes in `history`, and content that was opened
    /// several times is known by its newest opening.
    fn named(&self, sequence: Option<u64>) -> Result<Logged, NoChoice> {
        let name = &self.environment.name;
        let entry = history::entry(self.environment, self.log, sequence)?;
        let opened = if entry.body.phase == Some(Phase::Opened) { Some(entry.sequence) } else { entry.body.of };
        let releases = Evidence::of(name, self.log).releases;
        let Some(named) = releases.iter().find(|release| Some(release.sequence) == opened) else {
            let sequence = entry.sequence;
            let text = format!("`{name}/{sequence}` opened no release; see: lockmaster show {name}/{sequence}");
            return Err(NoChoice::Failed(Reason::new(Code::Usage, text)));
        };
        if named.inputs == self.standing.inputs {
            // Named by the release that stands again, as the revert of the agent names it.
            let again =
                self.standing.rollback.as_ref().map(|back| Logged { sequence: back.to, ..self.standing.clone() });
            return again.ok_or_else(|| {
                refused(format!("`{name}/{}` is what stands in {}", entry.sequence, unit::called(self.environment)))
            });
        }
        let kept = self.past.kept.iter().find(|release| release.inputs == named.inputs);
        kept.cloned().ok_or_else(|| refused(self.why_not(entry.sequence, named, &releases)))
    }

    fn why_not(&self, sequence: u64, named: &Logged, releases: &[Logged]) -> String {
        let (name, standing) = (&self.environment.name, self.standing.sequence);
        let proven =
            |release: &&Logged| release.inputs == named.inputs && matches!(release.outcome, Some((Phase::Proven, _)));
        if named.first > self.standing.first {
            return format!(
                "`{name}/{sequence}` was first opened after what stands, {name}/{standing}: to go forward is a promotion"
            );
        }
        if releases.iter().any(|release| proven(&release)) {
            return format!("the bytes of `{name}/{sequence}` are not kept any more: see `keep` of the pipeline");
        }
        match named.outcome {
            Some((Phase::Failed, _)) => format!("`{name}/{sequence}` failed: only what was proven is gone back to"),
            _ => format!("`{name}/{sequence}` was never proven: only what was proven is gone back to"),
        }
    }

    /// Why content does not deploy again; what stands already is not asked.
    fn held(&self, release: &Logged) -> Option<Reason> {
        let name = &self.environment.name;
        let holds = |hold: &&crate::deploylog::Hold| {
            Some(hold.sequence) == release.held || hold.held.commit == release.commit.id
        };
        let hold = self.past.holds.iter().find(holds).filter(|_| release.inputs != self.standing.inputs)?;
        let (by, why) = (&hold.by, if hold.reason.is_empty() { String::new() } else { format!(": {}", hold.reason) });
        let text = format!("{name}/{} holds what {name}/{} has, by {by}{why}", hold.sequence, release.sequence);
        Some(Reason::new(Code::HeldContent, text))
    }
}
