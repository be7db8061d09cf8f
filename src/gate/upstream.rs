//! The gate `upstream`: the content is proven (DESIGN §6, Proof). Ancestry is not asked: merge, squash, rebase,
//! fast-forward and revert are judged alike, by what is rendered.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::layout::{Pair, Shared};
use super::rules::From;
use super::words::{later, listed, utc};
use super::{Case, Gate, Origin, Verdict};
use crate::deploylog::{InputKey, InputKind, Logged, Phase};
use crate::name::{Code, Reason, RepoPath};
use crate::revision::{Carrier, JudgedCommit};

/// What proves the shared inputs of a candidate.
pub(super) enum Proof<'c> {
    /// They are those of the standing release.
    Standing(&'c Logged),
    /// A release of upstream ran them.
    Upstream(&'c Logged),
    /// There are none, and nothing of the unit ever ran upstream: all that it reads is this environment's own.
    Own,
    /// A person answers for them, overriding this gate.
    Overridden(String),
    /// Nothing, or not yet.
    Missing(Missing),
}

/// Why shared inputs are not proven.
pub(super) struct Missing {
    pub(super) verdict: Verdict,
    pub(super) reason: Reason,
    pub(super) until: Option<Timestamp>,
}

/// Judges the gate; `images` are known once the candidate is rendered.
pub(super) fn judge(case: &Case<'_>, from: &From, images: Option<&BTreeSet<String>>) -> Gate {
    let proof = prove(case, from);
    let mut gate = match &proof {
        Proof::Missing(missing) => Gate {
            next_look: missing.until,
            reasons: vec![missing.reason.clone()],
            ..Gate::new("upstream", missing.verdict, missing.reason.message.clone())
        },
        Proof::Standing(_) => Gate::pass("upstream", "the shared inputs are those of the standing release"),
        Proof::Upstream(release) => Gate::pass("upstream", told(case, from, release, images)),
        Proof::Own => Gate::pass("upstream", format!("all that is read is own: {} never ran it", from.environment)),
        Proof::Overridden(words) => Gate::pass("upstream", words.clone()),
    };
    let own = own_unsigned(case, from);
    gate.people = (!own.is_empty()).then(|| case.approvals.people());
    let foreign = images.and_then(|images| artifacts(case, from, &proof, images));
    for reason in own.into_iter().chain(foreign) {
        if gate.verdict != Verdict::Refuse {
            let people = gate.people.take();
            gate = Gate { people, ..Gate::new("upstream", Verdict::Refuse, reason.message.clone()) };
        }
        gate.reasons.push(reason);
    }
    gate
}

fn told(case: &Case<'_>, from: &From, release: &Logged, images: Option<&BTreeSet<String>>) -> String {
    let what = match images.map(BTreeSet::len) {
        None | Some(0) => "inputs".to_owned(),
        Some(1) => "inputs and 1 image".to_owned(),
        Some(count) => format!("inputs and {count} images"),
    };
    let since = release.outcome.map(|(_, at)| format!(", proven {} ago", super::words::span(at, case.now)));
    let how = if is_merged(case) { "" } else { "; by content, not merged: the next merge may conflict" };
    format!("{what} of {}/{}{}{how}", from.environment, release.sequence, since.unwrap_or_default())
}

/// Whether a commit that upstream ran came along. A squash and a rebase make others of the same content.
fn is_merged(case: &Case<'_>) -> bool {
    let known = &case.facts.upstream_commits;
    case.past.standing.is_none() || case.verified.new_commits().iter().any(|commit| known.contains(&commit.id))
}

/// What proves the shared inputs.
pub(super) fn prove<'c>(case: &Case<'c>, from: &From) -> Proof<'c> {
    let pair = Pair::new(&case.rules.layout, &from.layout);
    let ours = pair.compared(case.inputs);
    let standing = case.past.standing.as_ref();
    if let Some(standing) = standing.filter(|standing| pair.compared(&standing.inputs) == ours) {
        return Proof::Standing(standing);
    }
    match from_upstream(case, from, &pair, &ours) {
        Proof::Missing(missing) => match case.overridden("upstream") {
            Some(words) => Proof::Overridden(words),
            None => Proof::Missing(missing),
        },
        proof => proof,
    }
}

fn from_upstream<'c>(case: &Case<'c>, from: &From, pair: &Pair<'_>, ours: &Shared) -> Proof<'c> {
    let releases = case.evidence.map(|evidence| evidence.releases.as_slice()).unwrap_or_default();
    if ours.is_empty() && releases.is_empty() {
        return Proof::Own;
    }
    let mut waits = None;
    let mut replaced = None;
    for release in releases.iter().filter(|release| pair.differences(ours, &release.inputs).is_empty()) {
        match &release.outcome {
            _ if release.is_failed() => return Proof::Missing(failed(case, from, release)),
            Some((Phase::Proven, _)) => match stale(case, from, release) {
                None => return Proof::Upstream(release),
                Some(missing) => waits = waits.or(Some(missing)),
            },
            _ if release.is_open() => waits = waits.or_else(|| Some(open(case, from, release))),
            _ => replaced = replaced.or(Some(release)),
        }
    }
    if let Some(missing) = waits {
        return Proof::Missing(missing);
    }
    let Some(newest) = releases.iter().find(|release| release.is_proven()) else {
        let text = format!("`{}` has no proven release yet", from.environment);
        return Proof::Missing(wait(case, Code::UpstreamNotProven, text, None));
    };
    Proof::Missing(unproven(case, from, pair, ours, newest, replaced))
}

fn wait(case: &Case<'_>, code: Code, text: String, until: Option<Timestamp>) -> Missing {
    Missing { verdict: Verdict::Wait, reason: case.reason(code, text), until }
}

fn refuse(case: &Case<'_>, code: Code, text: String) -> Missing {
    Missing { verdict: Verdict::Refuse, reason: case.reason(code, text), until: None }
}

/// Age counts from the last moment at which it stood healthy.
fn stale(case: &Case<'_>, from: &From, release: &Logged) -> Option<Missing> {
    let stood = release.replaced_at?;
    let limit = later(stood, from.max_age);
    (case.now >= limit).then(|| {
        let (name, sequence) = (&from.environment, release.sequence);
        let text = format!("{name}/{sequence} proved this content, and stood until {}: too long ago", utc(stood));
        wait(case, Code::UpstreamLogStale, text, None)
    })
}

fn failed(case: &Case<'_>, from: &From, release: &Logged) -> Missing {
    let (name, sequence) = (&from.environment, release.sequence);
    let why = release.reasons.first().map(|reason| format!(": {}", reason.message)).unwrap_or_default();
    let text = match (&release.outcome, release.undone, release.held) {
        (Some((Phase::Failed, _)), Some(by), _) => {
            format!("{name}/{sequence} failed, and {name}/{by} rolled it back{why}")
        }
        (Some((Phase::Failed, _)), None, _) => format!("{name}/{sequence} failed{why}"),
        (_, Some(by), _) => format!("{name}/{by} rolled {name}/{sequence} back"),
        (_, None, held) => {
            let by = held.map(|by| format!(" by {name}/{by}")).unwrap_or_default();
            format!("what {name}/{sequence} ran is held{by}")
        }
    };
    refuse(case, Code::UpstreamFailed, text)
}

fn open(case: &Case<'_>, from: &From, release: &Logged) -> Missing {
    let name = format!("{}/{}", from.environment, release.sequence);
    let soaked = release.settled_at.map(|settled| later(settled, from.soak)).filter(|at| *at > case.now);
    match soaked {
        Some(at) => wait(case, Code::UpstreamNotProven, format!("{name} soaks until {}", utc(at)), Some(at)),
        None => {
            let since = utc(release.opened_at);
            wait(case, Code::UpstreamNotProven, format!("{name} was opened {since} and is not proven yet"), None)
        }
    }
}

/// Why content that upstream never ran may not enter.
fn unproven(
    case: &Case<'_>,
    from: &From,
    pair: &Pair<'_>,
    ours: &Shared,
    newest: &Logged,
    replaced: Option<&Logged>,
) -> Missing {
    let (name, proven) = (&from.environment, format!("{}/{}", from.environment, newest.sequence));
    let mut differences = pair.differences(ours, &newest.inputs);
    if differences.iter().any(|(kind, _)| *kind == InputKind::File) {
        // A listing differs because of its files: they say which content is meant.
        differences.retain(|(kind, _)| *kind == InputKind::File);
    }
    let standing = case.past.standing.as_ref().map(|standing| pair.compared(&standing.inputs));
    let kept = |key: &InputKey| standing.as_ref().is_some_and(|standing| standing.get(key) == ours.get(key));
    if let Some(replaced) = replaced {
        let text = format!("{name}/{} ran this content, and was replaced before it was proven", replaced.sequence);
        return refuse(case, Code::UnprovenContent, text);
    }
    if standing.is_some() && differences.iter().all(kept) {
        let by = case.reverted.as_ref().map(|commit| format!(", as {} left it", commit.short())).unwrap_or_default();
        let text = format!(
            "leaves out {} of {proven}: here it is as in the standing release{by}",
            listed(paths(&differences, pair))
        );
        return refuse(case, Code::PromotionIncomplete, text);
    }
    let strange: BTreeSet<InputKey> = differences.iter().filter(|key| !kept(key)).cloned().collect();
    let everywhere: BTreeSet<&RepoPath> = newest.inputs.iter().map(|(_, path, _)| path).collect();
    let unread: BTreeSet<InputKey> = strange.iter().filter(|(_, path)| ours_only(path, &everywhere)).cloned().collect();
    if !unread.is_empty() && unread == strange {
        let own = own_list(case, &unread);
        let text = format!(
            "no release of {name} reads {}; what belongs to {} alone is to be listed: `own: [{own}]`",
            listed(paths(&unread, pair)),
            case.rules.environment
        );
        return refuse(case, Code::UnprovenContent, text);
    }
    let unsigned = unsigned_among(case, &strange, pair);
    let whose = if standing.is_some() {
        format!("neither {proven} nor the standing release")
    } else {
        format!("no release of {name}, the newest proven is {proven}")
    };
    let verb = if standing.is_some() { "is as in" } else { "equals" };
    // On a branch that both share there is nothing to merge.
    let way = if from.branch == case.rules.branch {
        format!("let {name} run it first")
    } else {
        format!("merge into {} first", from.branch)
    };
    let text = format!("{}: {verb} {whose}{unsigned}; {way}", listed(paths(&strange, pair)));
    refuse(case, Code::UnprovenContent, text)
}

/// Whether upstream reads nothing at this path or below the directory that holds it.
fn ours_only(path: &RepoPath, theirs: &BTreeSet<&RepoPath>) -> bool {
    let directory = path.parent();
    !directory.as_str().is_empty() && !theirs.iter().any(|their| their.is_within(&directory))
}

/// The `own` that would take these in.
fn own_list(case: &Case<'_>, unread: &BTreeSet<InputKey>) -> String {
    let layout = &case.rules.layout;
    let now = if layout.own.is_empty() { &layout.paths } else { &layout.own };
    let folders: BTreeSet<RepoPath> = unread
        .iter()
        .map(|(kind, path)| if *kind == InputKind::File { path.parent() } else { path.clone() })
        .filter(|folder| !now.contains(folder))
        .collect();
    let all = now.iter().map(ToString::to_string).chain(folders.iter().map(ToString::to_string));
    all.collect::<Vec<_>>().join(", ")
}

/// Which of the commits that brought these paths carry no signature that counts.
fn unsigned_among(case: &Case<'_>, keys: &BTreeSet<InputKey>, pair: &Pair<'_>) -> String {
    let ours = keys.iter().filter_map(|(_, path)| case.origins.get(&pair.to_ours(path)));
    let named = ours.flatten().filter_map(|origin| match origin {
        Origin::Commit(id) => case.commit(id),
        Origin::Introduced => None,
    });
    let commits: Vec<&JudgedCommit> = named.filter(|commit| commit.signer.is_none()).collect();
    let ids: BTreeSet<&str> = commits.iter().map(|commit| commit.id.short()).collect();
    if ids.is_empty() {
        return String::new();
    }
    let unsigned = commits.iter().all(|commit| commit.carrier == Some(Carrier::Unsigned));
    let (word, many) = (if unsigned { "unsigned" } else { "unauthorised" }, if ids.len() == 1 { "" } else { "s" });
    format!("; brought by the {word} commit{many} {}", ids.into_iter().collect::<Vec<_>>().join(", "))
}

/// The paths as this repository's people know them; files stand for the listings that they change.
fn paths(keys: &BTreeSet<InputKey>, pair: &Pair<'_>) -> Vec<String> {
    let of = |wanted: InputKind| {
        let keys = keys.iter().filter(move |(kind, _)| *kind == wanted);
        keys.map(|(_, path)| pair.to_ours(path).to_string()).collect::<Vec<_>>()
    };
    let files = of(InputKind::File);
    if files.is_empty() { of(InputKind::Listing) } else { files }
}

/// Own inputs that differ from the standing release and that nobody with rights here answers for.
fn own_unsigned(case: &Case<'_>, from: &From) -> Vec<Reason> {
    let approved = case.approvals.is_enough() || case.rules.approvals.is_some();
    if approved {
        return Vec::new();
    }
    let signed = |origin: &Origin| match origin {
        Origin::Introduced => true,
        Origin::Commit(id) => case.commit(id).is_some_and(|commit| commit.authorised_by().is_some()),
    };
    let mut reasons = Vec::new();
    for path in case.own_changes() {
        let origins = case.origins.get(&path).map(Vec::as_slice).unwrap_or_default();
        if origins.iter().any(signed) {
            continue;
        }
        let text = format!(
            "`{path}` was last changed by {}, not a writer of {}, and {} never runs it",
            case.bringer(&path).unwrap_or_else(|| "nobody who could be found".to_owned()),
            case.rules.environment,
            from.environment
        );
        reasons.push(case.reason(Code::OwnPathUnsigned, text).at_file(path.to_string(), None, None));
    }
    reasons
}

/// Images that run in no object of the release that proved the rest.
fn artifacts(case: &Case<'_>, from: &From, proof: &Proof<'_>, images: &BTreeSet<String>) -> Option<Reason> {
    let none = BTreeSet::new();
    let (proven, entry) = match proof {
        Proof::Overridden(_) | Proof::Missing(_) => return None,
        Proof::Upstream(release) => (&release.images, format!("{}/{}", from.environment, release.sequence)),
        Proof::Standing(release) => (&release.images, format!("{}/{}", case.rules.environment, release.sequence)),
        Proof::Own => (&none, format!("a release of {}", from.environment)),
    };
    let ours = |image: &str| case.rules.own_images.iter().any(|own| *own == crate::render::image_name(image));
    let strange: Vec<String> =
        images.iter().filter(|image| !proven.contains(*image) && !ours(image)).cloned().collect();
    (!strange.is_empty()).then(|| {
        let names: BTreeSet<&str> = strange.iter().map(|image| crate::render::image_name(image)).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!(
            "{} runs in no object of {entry}; an image that only {} runs is to be listed: `ownImages: [{names}]`",
            listed(strange),
            case.rules.environment
        );
        case.reason(Code::ArtifactNotProven, text)
    })
}
