//! Going back to an earlier release: its stored bytes, and the gates of a rollback. Nothing is rendered, and the cluster
//! is not asked.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::config::Environment;
use crate::course::{Back, Brief, Judged, Opening, Verdict};
use crate::deploylog::{Cause, EntryCommit, Inputs, Logged, Past, Recalled};
use crate::gate::{self, Admitted, Gate, Return};
use crate::name::{Code, Reason};

use super::facts;
use super::observe;
use super::site::Site;
use super::upstream;

/// Why nothing is gone back to.
pub(super) enum Stop {
    /// A gate says so.
    Gates(Vec<Gate>, Vec<Reason>),
    /// There is nothing to go back to, as asked.
    Refused(Reason),
    /// Something could not be read.
    Unreachable(Reason),
}

/// The release that a candidate's content goes back to, if it does.
///
/// # Errors
/// The log upstream cannot be read.
pub(super) async fn recognise<'b>(
    site: &Site,
    environment: &Environment,
    brief: &'b Brief,
    inputs: &Inputs,
    by_writer: bool,
) -> Result<Option<&'b Logged>, Reason> {
    if !brief.past.kept.iter().any(|release| release.inputs == *inputs) {
        return Ok(None);
    }
    let rules = site.setup.pipeline.rules(environment);
    let upstream = upstream::read(site, environment).await?;
    Ok(gate::recognise(&rules, &brief.past, upstream.evidence.as_ref(), inputs, by_writer))
}

/// What asks for a rollback, and what its entry names.
pub(super) struct Asked<'a> {
    pub(super) cause: Cause,
    pub(super) commit: &'a EntryCommit,
    pub(super) rewind: bool,
}

/// Reads the stored bytes of an earlier release, and asks the gates of a rollback.
///
/// # Errors
/// See [`Stop`].
pub(super) async fn admit(
    site: &Site,
    environment: &Environment,
    past: &Past,
    to: &Logged,
    asked: Asked<'_>,
) -> Result<Box<Admitted>, Stop> {
    let target = site.target().map_err(Stop::Unreachable)?;
    let standing = past.standing.as_ref().map(|standing| standing.release);
    let standing = standing.ok_or_else(|| Stop::Refused(Reason::new(Code::Bug, "nothing stands to be undone")))?;
    let (bytes, from) = tokio::try_join!(
        observe::stored_bytes(target, environment, to.release),
        observe::stored_release(target, environment, standing)
    )
    .map_err(Stop::Unreachable)?;
    let recalled = Recalled::earlier(to, bytes).map_err(|found| {
        let text = format!("the stored release `{}` has the digest `{found}`", to.release);
        Stop::Unreachable(Reason::new(Code::LogRegressed, text))
    })?;
    let Asked { cause, commit, rewind } = asked;
    let back = Return { to, recalled, from: &from, cause, commit: &commit.id, rewind };
    let rules = site.setup.pipeline.rules(environment);
    gate::return_to(&rules, past, back).map_err(|(gates, reasons)| Stop::Gates(gates, reasons))
}

/// Carries out a rollback that no commit asks for, up to its opening.
pub(super) async fn roll_back(site: &Site, environment: &Environment, back: &Back) -> Judged {
    let started = Instant::now();
    let (candidate, found) = match back.past.earlier(back.to) {
        Some(to) => {
            let rewound = back.decree.as_ref().and_then(|decree| decree.rewound.as_ref());
            let commit = rewound.unwrap_or(&to.commit).clone();
            let cause = if back.decree.is_some() { Cause::Statement } else { Cause::Failure };
            let asked = Asked { cause, commit: &commit, rewind: rewound.is_some() };
            let found = admit(site, environment, &back.past, to, asked).await;
            (Some(commit), found)
        }
        None => (None, Err(Stop::Refused(nothing_there(environment, back)))),
    };
    let standing = back.past.standing.as_ref().map(|standing| standing.commit.clone());
    let stopped = |refused, reasons, gates: &[Gate]| Verdict::Stopped {
        refused,
        reasons,
        gates: gate::recorded(gates),
        until: gate::next_look(gates),
    };
    let verdict = match found {
        Ok(admitted) => Verdict::Admitted(Opening { admitted }),
        Err(Stop::Gates(gates, reasons)) => stopped(false, reasons, &gates),
        Err(Stop::Refused(reason)) => stopped(true, vec![reason], &[]),
        Err(Stop::Unreachable(reason)) if facts::is_unreachable(&reason) => Verdict::Unreachable(reason),
        Err(Stop::Unreachable(reason)) => stopped(true, vec![reason], &[]),
    };
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Judged {
        candidate: candidate.or(standing).expect("because something stands that is to be undone"),
        verdict,
        durations_ms: BTreeMap::from([("recall".to_owned(), took)]),
    }
}

/// Why a statement names no release that can be gone back to.
fn nothing_there(environment: &Environment, back: &Back) -> Reason {
    let name = &environment.name;
    let known: Vec<String> = back.past.kept.iter().map(|release| format!("{name}/{}", release.sequence)).collect();
    let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
    let text = format!(
        "{name}/{} cannot be gone back to: not proven, not kept, or not before what stands; what can: {known}",
        back.to
    );
    Reason::new(Code::StatementNotApplicable, text)
}
