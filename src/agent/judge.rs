//! Steps 3 to 8 of the walk for one candidate: verify, render, observe, plan, admit. Nothing is written to the target.
//! `run` opens what this admits; `plan`, `verify` and `status` only look.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::config::Environment;
use crate::course::{Brief, Judged, Opening, Verdict};
use crate::deploylog::{self, Cause, EntryCommit, Signer};
use crate::edge::clock;
use crate::gate::{self, Admission, Gate};
use crate::manifest::{ManifestSet, Scopes};
use crate::name::{Code, CommitId, Digest, EnvironmentName, Reason};
use crate::plan::{Plan, Report};
use crate::render::{self, Closure, Outputs, Rendered};
use crate::revision::{self, Fetched, FirstSeen, JudgedCommit, Relation, Verified};

use super::closing::close;
use super::facts;
use super::observe::observe;
use super::rollback;
use super::sight::Range;
use super::site::Site;
use super::source::{judge_commits, read_source, sight};
use super::trace::{self, Traced};

/// The longest that one kustomize child may run.
pub const RENDER_DEADLINE: Duration = Duration::from_secs(60);

/// How far to walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// History and signatures.
    Signatures,
    /// Also render; kinds are known from discovery, or from the built-in table where there is no cluster.
    Render,
    /// Also observe, plan and admit.
    Plan,
}

/// Everything that was found on the way.
#[derive(Debug)]
pub struct Outlook {
    /// How the tip stands to the accepted head, if history could be read.
    pub relation: Option<Relation>,
    /// How many accepted commits the tip does not have.
    pub left: u64,
    /// The candidate, as an entry would tell it.
    pub candidate: EntryCommit,
    /// Every new commit, newest first.
    pub commits: Vec<JudgedCommit>,
    /// The verdict; `Unchanged` and `Admitted` where the walk went as deep as asked and nothing was against it.
    pub verdict: Finding,
    /// The gates, if the walk came that far.
    pub gates: Vec<Gate>,
    /// What proved the content upstream, if the walk came that far and that did.
    pub upstream: Option<deploylog::Upstream>,
    /// What would change, if the walk came that far.
    pub report: Option<Report>,
    /// What may deserve a look and stops nothing: `unresolved-image`.
    pub notices: Vec<Reason>,
    /// Milliseconds per step.
    pub durations_ms: BTreeMap<String, u64>,
}

/// The verdict of an [`Outlook`].
#[derive(Debug)]
pub enum Finding {
    /// The inputs are those of the standing release.
    Unchanged,
    /// Accepted as deep as was asked, which was not as deep as a plan.
    Accepted,
    /// Every gate admits it.
    Admitted(Opening),
    /// Not this candidate, or not yet.
    Stopped {
        /// Whether it is refused; else it waits.
        refused: bool,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// Something could not be read.
    Unreachable(Reason),
}

impl Outlook {
    /// What the course needs of it.
    #[must_use]
    pub fn judged(self) -> Judged {
        let gates = gate::recorded(&self.gates);
        let until = gate::next_look(&self.gates);
        let verdict = match self.verdict {
            Finding::Unchanged => Verdict::Unchanged,
            Finding::Admitted(opening) => Verdict::Admitted(opening),
            Finding::Stopped { refused, reasons } => Verdict::Stopped { refused, reasons, gates, until },
            Finding::Unreachable(reason) => Verdict::Unreachable(reason),
            Finding::Accepted => unreachable!("because the course asks for a plan"),
        };
        Judged { candidate: self.candidate, verdict, durations_ms: self.durations_ms }
    }
}

/// A branch is said to have moved back or elsewhere by the tip that it has now, not by one that was read before another
/// agent moved the accepted head on (course.md, rule 15): else it is looked at again.
pub(super) async fn unless_moved(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    mut outlook: Outlook,
) -> Outlook {
    if !matches!(outlook.relation, Some(Relation::Ancestor | Relation::Diverged { .. })) {
        return outlook;
    }
    let (sight, tip) = (sight(site, environment, brief), &brief.tip);
    let list = async || {
        let branch = environment.branch.clone();
        site.with_mirror(move |mirror| Ok(mirror.ls_remote()?.remove(&branch))).await
    };
    let moved = match sight.branch.get_or_try_init(list).await {
        Ok(found) if found.as_ref() == Some(&tip.0) => return outlook,
        Ok(_) => {
            let text = format!("`{}` moved since {} was read: it is looked at again", environment.branch, tip.short());
            Reason::new(Code::FetchFailed, text)
        }
        Err(error) => error.reason(),
    };
    site.board.look_now();
    outlook.verdict = Finding::Unreachable(moved);
    outlook
}

/// Why a walk ended early: refused, or not to be judged now.
enum Stop {
    Refused(Vec<Reason>),
    Unreachable(Reason),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        if facts::is_unreachable(&reason) { Stop::Unreachable(reason) } else { Stop::Refused(vec![reason]) }
    }
}

impl From<Vec<Reason>> for Stop {
    fn from(reasons: Vec<Reason>) -> Self {
        Stop::Refused(reasons)
    }
}

/// Judges a candidate of an environment.
pub async fn judge(site: &Site, environment: &Environment, brief: &Brief, depth: Depth) -> Outlook {
    let mut outlook = Outlook {
        relation: None,
        left: 0,
        candidate: unknown_commit(&brief.tip),
        commits: Vec::new(),
        verdict: Finding::Accepted,
        gates: Vec::new(),
        upstream: None,
        report: None,
        notices: Vec::new(),
        durations_ms: BTreeMap::new(),
    };
    outlook.verdict = match walk(site, environment, brief, depth, &mut outlook).await {
        Ok(finding) => finding,
        Err(Stop::Refused(reasons)) => Finding::Stopped { refused: true, reasons },
        Err(Stop::Unreachable(reason)) => Finding::Unreachable(reason),
    };
    outlook
}

async fn walk(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    depth: Depth,
    outlook: &mut Outlook,
) -> Result<Finding, Stop> {
    let mut steps = Steps { environment: environment.name.clone(), since: Instant::now() };
    let sight = sight(site, environment, brief);
    let source = read_source(site, environment, brief, &sight).await?;
    let Range { fetched, first_seen, .. } = &*source.range;
    outlook.relation = Some(fetched.relation.clone());
    outlook.left = fetched.left;
    let history = revision::check_history(fetched);
    let judgement = judge_commits(site, environment, &source.range);
    outlook.commits.clone_from(&judgement.commits);
    outlook.candidate = candidate(fetched, &judgement.commits, first_seen);
    history?;
    if unchanged(brief, &source.closure) {
        return Ok(Finding::Unchanged);
    }
    if let Ok(closure) = &source.closure
        && let Some(finding) = going_back(site, environment, brief, closure, depth, outlook).await?
    {
        steps.end("recall", outlook);
        return Ok(finding);
    }
    let Traced { range, judgement, origins } = trace::trace(site, environment, brief, &source, judgement).await?;
    outlook.commits.clone_from(&judgement.commits);
    let verified = judgement.verdict?;
    steps.end("verify", outlook);
    if depth == Depth::Signatures {
        return Ok(Finding::Accepted);
    }
    let closure = source.closure?;
    let found =
        facts::Found { fetched: &range.fetched, verified: &verified, closure: &closure, sight: &sight, origins };
    let bench = Bench::new(site, environment, brief, found, outlook).await?;
    let case = bench.case(&verified, &closure);
    outlook.upstream = case.upstream();
    let gates = case.gates();
    if let (true, reasons) = gate::stops(&gates) {
        outlook.gates = gates;
        return Ok(Finding::Stopped { refused: true, reasons });
    }
    steps.end("prove", outlook);
    let rendered = render(site, environment, verified, closure, &range).await?;
    outlook.notices = unresolved(rendered.set());
    steps.end("render", outlook);
    if depth == Depth::Render {
        return Ok(Finding::Accepted);
    }
    let ground = observe(site, environment, rendered.set(), brief).await?;
    steps.end("observe", outlook);
    let plan = Plan::new(rendered, &ground.borrowed())?;
    steps.end("plan", outlook);
    outlook.report = Some(plan.report().clone());
    let admission = bench.admit(plan, outlook);
    steps.end("admit", outlook);
    Ok(admission)
}

/// Content that ran here and was proven is gone back to, whoever signed it: neither rendered nor observed.
async fn going_back(
    site: &Site,
    environment: &Environment,
    brief: &Brief,
    closure: &Closure,
    depth: Depth,
    outlook: &mut Outlook,
) -> Result<Option<Finding>, Stop> {
    let tip = outlook.commits.iter().find(|commit| commit.id == brief.tip);
    let by_writer = tip.is_some_and(|tip| tip.authorised_by().is_some());
    let Some(to) = rollback::recognise(site, environment, brief, closure.inputs(), by_writer).await? else {
        return Ok(None);
    };
    if depth < Depth::Plan {
        return Ok(Some(Finding::Accepted));
    }
    let asked = rollback::Asked { cause: Cause::Commit, commit: &outlook.candidate, rewind: false };
    match rollback::admit(site, environment, &brief.past, to, asked).await {
        Ok(admitted) => {
            outlook.gates = admitted.asked().to_vec();
            Ok(Some(Finding::Admitted(Opening { admitted })))
        }
        Err(rollback::Stop::Gates(gates, reasons)) => {
            outlook.gates = gates;
            Ok(Some(Finding::Stopped { refused: false, reasons }))
        }
        Err(rollback::Stop::Refused(reason) | rollback::Stop::Unreachable(reason)) => Err(Stop::from(reason)),
    }
}

/// What a candidate is judged by at its gates.
struct Bench<'b> {
    rules: gate::Rules,
    past: &'b deploylog::Past,
    facts: gate::Facts,
    first_seen: Timestamp,
    now: Timestamp,
}

impl<'b> Bench<'b> {
    async fn new(
        site: &Site,
        environment: &Environment,
        brief: &'b Brief,
        found: facts::Found<'_>,
        outlook: &Outlook,
    ) -> Result<Self, Stop> {
        let facts = facts::gather(site, environment, brief, found).await?;
        let rules = site.setup.pipeline.rules(environment);
        Ok(Bench { rules, past: &brief.past, facts, first_seen: outlook.candidate.first_seen, now: clock::now() })
    }

    fn case<'c>(&'c self, verified: &'c Verified, closure: &'c Closure) -> gate::Case<'c> {
        let candidate = gate::Candidate { verified, inputs: closure.inputs(), first_seen: self.first_seen };
        gate::Case::new(&self.rules, self.past, &self.facts, candidate, self.now)
    }

    fn admit(&self, plan: Plan, outlook: &mut Outlook) -> Finding {
        let moment = gate::Moment { first_seen: self.first_seen, now: self.now };
        let admission = gate::admit(plan, &self.rules, self.past, &self.facts, moment);
        outlook.gates = admission.gates().to_vec();
        match admission {
            Admission::Admit(admitted) => Finding::Admitted(Opening { admitted }),
            Admission::Stopped { refused, reasons, .. } => Finding::Stopped { refused, reasons },
        }
    }
}

/// Images that are named by a tag alone: nobody can tell whether they are the bytes that ran upstream.
fn unresolved(set: &ManifestSet) -> Vec<Reason> {
    let tags: Vec<String> = render::images(set).into_iter().filter(|image| !render::is_pinned(image)).collect();
    let notice = |image: String| {
        let text = format!("`{image}` is applied as it is written: tags are not resolved to digests yet");
        Reason::new(Code::UnresolvedImage, text)
    };
    tags.into_iter().map(notice).collect()
}

/// Measures the steps of the walk.
struct Steps {
    environment: EnvironmentName,
    since: Instant,
}

impl Steps {
    fn end(&mut self, step: &str, outlook: &mut Outlook) {
        let took = self.since.elapsed();
        self.since = Instant::now();
        let (environment, commit) = (&self.environment, outlook.candidate.id.short());
        tracing::debug!(%environment, commit, step, took_ms = took.as_secs_f64() * 1000.0, "step-ended");
        outlook.durations_ms.insert(step.to_owned(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }
}

/// Equal inputs open nothing, whoever wrote the commit (DESIGN §3, step 3).
fn unchanged(brief: &Brief, closure: &Result<Closure, Reason>) -> bool {
    let standing = brief.standing.as_ref().map(|standing| standing.inputs);
    standing.is_some() && closure.as_ref().ok().map(|closure| closure.inputs().digest()) == standing
}

async fn render(
    site: &Site,
    environment: &Environment,
    verified: Verified,
    closure: Closure,
    range: &Range,
) -> Result<Rendered, Stop> {
    let outputs = kustomize(site, &closure).await?;
    let fence = site.fence(environment);
    let found = Rendered::new(verified, closure.clone(), &outputs, &fence, &scopes(site));
    let reasons = match found {
        Ok(rendered) => return Ok(rendered),
        Err(reasons) => reasons,
    };
    let unknown = reasons.iter().any(|reason| reason.code == Code::KindNotFound);
    let Some(target) = site.target.as_ref().filter(|_| unknown) else { return Err(Stop::Refused(reasons)) };
    // A kind may be served since discovery was last read.
    target.cluster.discover().await.map_err(|error| error.reason())?;
    Ok(Rendered::new(judge_commits(site, environment, range).verdict?, closure, &outputs, &fence, &scopes(site))?)
}

fn scopes(site: &Site) -> Scopes {
    site.target.as_ref().map_or_else(Scopes::built_in, |target| target.cluster.scopes())
}

/// Runs kustomize for every part that needs it.
async fn kustomize(site: &Site, closure: &Closure) -> Result<Outputs, Reason> {
    let mut outputs = Outputs::new();
    for part in closure.parts() {
        if let render::Part::Kustomize { path } = part {
            let missing = || {
                let text =
                    format!("`{path}` has a kustomization, and neither `kustomize` nor `kubectl` is in the PATH");
                Reason::new(Code::RenderFailed, text).at_file(path.as_str(), None, None)
            };
            let kustomize = site.kustomize.as_ref().ok_or_else(missing)?;
            let _turn = site.renders.acquire().await.expect("because nobody closes it");
            outputs.insert(path.clone(), kustomize.build(closure, path, RENDER_DEADLINE).await?);
        }
    }
    Ok(outputs)
}

/// The objects of a working tree: planned, never judged as signed.
///
/// # Errors
/// Every reason against them.
pub async fn render_unsigned(
    site: &Site,
    environment: &Environment,
    closure: &Closure,
) -> Result<ManifestSet, Vec<Reason>> {
    let outputs = kustomize(site, closure).await.map_err(|reason| vec![reason])?;
    render::assemble(closure, &outputs, &site.fence(environment), &scopes(site))
}

/// The objects of a commit, whoever signed it: to be compared, never opened.
///
/// # Errors
/// Every reason against them.
pub async fn render_commit(
    site: &Site,
    environment: &Environment,
    commit: &CommitId,
) -> Result<ManifestSet, Vec<Reason>> {
    let (commit, sources) = (commit.clone(), environment.sources.clone());
    let closed = site.with_mirror(move |mirror| close(mirror, &commit, &sources)).await;
    let closure = closed.map_err(|error| vec![error.reason()])?.map_err(|reason| vec![reason])?;
    render_unsigned(site, environment, &closure).await
}

fn candidate(fetched: &Fetched, commits: &[JudgedCommit], first_seen: &FirstSeen) -> EntryCommit {
    let described = commits.iter().find(|commit| commit.id == fetched.tip).cloned();
    let Some(tip) = described.or_else(|| revision::describe(&fetched.tip_commit)) else {
        return unknown_commit(&fetched.tip);
    };
    // The signer of a carrier authorised nothing: an entry names nobody who did.
    let signer = tip.authorised_by().cloned();
    EntryCommit {
        first_seen: first_seen.get(&tip.payload_hash).copied().unwrap_or_else(clock::now),
        signer: signer.zip(tip.fingerprint).map(|(principal, fingerprint)| Signer { principal, fingerprint }),
        id: tip.id,
        payload_hash: tip.payload_hash,
        subject: tip.subject,
        claimed_author: tip.claimed_author,
        ships: commits.iter().map(|commit| commit.id.clone()).collect(),
    }
}

/// A commit of which nothing but its id can be read.
fn unknown_commit(id: &CommitId) -> EntryCommit {
    EntryCommit {
        id: id.clone(),
        payload_hash: Digest::of(id.as_str().as_bytes()),
        subject: String::new(),
        claimed_author: String::new(),
        signer: None,
        first_seen: clock::now(),
        ships: Vec::new(),
    }
}
