//! `plan`: what would change in the cluster, field by field, and would it be admitted.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::answer::{Answer, columns, counted};
use super::arguments::{self, At, Target};
use super::diagnostic::{self, Failure, Place, Verdict};
use super::site::{chosen, find};
use super::verify::signed;
use super::{changes, document, gates, message, revision, unit};
use crate::agent::judge::{self, Depth, Finding, Outlook};
use crate::agent::observe;
use crate::agent::site::Site;
use crate::agent::survey::{self, Brings, Candidates};
use crate::config::{Environment, FoundUnits};
use crate::course::{Brief, Known, Ledger};
use crate::deploylog::{Counts, Log};
use crate::edge::git;
use crate::manifest::ManifestSet;
use crate::name::{Class, Code, CommitId, ObjectId, Reason, RefName, UnitName};
use crate::plan::{self, Report};
use crate::render::{self, Closing, Closure};

/// Units that are planned at once: each reads the repository and the cluster.
const PLANNED_AT_ONCE: usize = 4;

/// What a plan was made of.
enum Planned {
    /// A commit, judged.
    Commit(Box<Outlook>),
    /// The tip is the accepted head.
    Stands,
    /// The working tree: planned, never judged as signed.
    WorkingTree(Report),
    /// There is nothing to plan.
    Impossible(Vec<Reason>),
    /// It could not be looked at.
    Unknown(Reason),
}

/// One environment's plan.
struct View {
    environment: Environment,
    known: Known,
    tip: Option<CommitId>,
    planned: Planned,
    place: Place,
    /// As it was named.
    target: Target,
}

/// Plans commits, or the working tree.
///
/// # Errors
/// Something cannot be reached, or there is no such unit; a refusal is an answer.
pub(super) async fn plan(site: &Site, arguments: &arguments::Plan, hints: bool) -> Result<Answer, Failure> {
    let targets = if arguments.targets.is_empty() {
        let tip = |environment: Environment| Target { environment: environment.name, at: At::Tip };
        chosen(site, &[])?.into_iter().map(tip).collect()
    } else {
        arguments.targets.clone()
    };
    let shown = changes::Shown { object: arguments.object.clone(), fields: !arguments.no_fields };
    let mut groups = Vec::new();
    for target in &targets {
        let environment = find(site, &target.environment)?;
        groups.push(match group(site, target, &environment, arguments.unit.as_ref()).await {
            Ok(group) => group,
            Err(Trouble::Usage(failure)) => return Err(failure),
            Err(Trouble::Unseen(reason)) => Group::of(View::unknown(site, environment, *reason)),
        });
    }
    let views = || groups.iter().flat_map(|group| &group.views);
    if let Some(reason) = views().map(View::unseen).collect::<Option<Vec<_>>>().and_then(|all| all.first().copied()) {
        return Err(reason.clone().into());
    }
    let environments: Value = views().map(|view| view.to_json(&shown)).collect();
    let texts: Vec<String> = groups.iter().flat_map(|group| group.texts(site, &shown, hints)).collect();
    Ok(Answer {
        name: "plan",
        pipeline: site.setup.pipeline.name.to_string(),
        source: "cluster",
        body: json!({"environments": environments}),
        text: texts.join("\n\n"),
        verdict: views().map(View::verdict).max().unwrap_or(Verdict::Good),
    })
}

/// Why an environment is not planned.
pub(super) enum Trouble {
    /// It was asked for in a way that means nothing.
    Usage(Failure),
    /// It could not be looked at.
    Unseen(Box<Reason>),
}

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Trouble::Unseen(Box::new(reason))
    }
}

/// What one target gave: the plan of each unit, or of the environment.
struct Group {
    views: Vec<View>,
    /// Why directories beside the units are none.
    strangers: Vec<Reason>,
}

/// What is to be planned.
struct Subject {
    ledger: Ledger,
    /// The commit; `None` for the working tree.
    commit: Option<CommitId>,
    statements: BTreeMap<RefName, ObjectId>,
    target: Target,
}

async fn group(
    site: &Site,
    target: &Target,
    environment: &Environment,
    given: Option<&UnitName>,
) -> Result<Group, Trouble> {
    let ledger = survey::ledger(site, environment).await?;
    let target = target.clone();
    if target.at == At::Revision(".".to_owned()) {
        let found = units_here(environment).await?;
        let logged = ledger.logs.keys().filter(|_| environment.units.is_some());
        let known: BTreeSet<UnitName> = logged.chain(&found.units).chain(found.refused.keys()).cloned().collect();
        let units: Vec<_> = known.into_iter().map(|unit| (unit, Brings::Perhaps)).collect();
        let subject = Subject { ledger, commit: None, statements: BTreeMap::new(), target };
        return Group::new(site, environment, &subject, (units, found.reasons), given).await;
    }
    let revision::Found { commit, statements } = revision::find(site, environment, &target).await;
    let Candidates { tip, units, strangers } = survey::candidates(site, environment, &ledger, commit).await;
    match tip {
        Ok(commit) => {
            let subject = Subject { ledger, commit: Some(commit), statements, target };
            Group::new(site, environment, &subject, (units.into_iter().collect(), strangers), given).await
        }
        Err(reason) if reason.code.class() == Class::Refused => {
            let place = message::place(site, environment, Some(&ledger.whole));
            let (known, planned) = (ledger.of(&environment.unit), Planned::Impossible(vec![reason]));
            Ok(Group::of(View { environment: environment.clone(), known, tip: None, planned, place, target }))
        }
        Err(reason) => Err(reason.into()),
    }
}

/// The units of the working tree around this folder. What stands at a unit's name and is no directory is refused there.
async fn units_here(environment: &Environment) -> Result<FoundUnits, Reason> {
    let environment = environment.clone();
    let found = tokio::task::spawn_blocking(move || {
        let folder = std::env::current_dir().map_err(|error| Reason::new(Code::PathNotFound, error.to_string()))?;
        if environment.units.is_none() {
            return Ok(FoundUnits { units: BTreeSet::from([UnitName::whole()]), ..FoundUnits::default() });
        }
        let (tree, _) = git::working_tree(&folder).map_err(|error| error.reason())?;
        environment.units_in(&tree).map_err(|mut reasons| reasons.remove(0))
    });
    found.await.map_err(|error| Reason::new(Code::Bug, error.to_string()))?
}

impl Group {
    fn of(view: View) -> Group {
        Group { views: vec![view], strangers: Vec::new() }
    }

    async fn new(
        site: &Site,
        environment: &Environment,
        subject: &Subject,
        (mut units, strangers): (Vec<(UnitName, Brings)>, Vec<Reason>),
        given: Option<&UnitName>,
    ) -> Result<Group, Trouble> {
        if let Some(given) = given {
            unit::check(environment, units.iter().map(|(unit, _)| unit), given).map_err(Trouble::Usage)?;
            units.retain(|(unit, _)| unit == given);
        }
        let planned = units.into_iter().map(|(unit, brings)| async move {
            let environment = environment.of_unit(&unit);
            let planned = one(site, environment.clone(), subject, brings).await;
            planned.unwrap_or_else(|reason| View::unknown(site, environment, reason))
        });
        let views = stream::iter(planned).buffered(PLANNED_AT_ONCE).collect().await;
        Ok(Group { views, strangers })
    }

    /// A block for each unit that would change or is stopped; the others are counted.
    fn texts(&self, site: &Site, shown: &changes::Shown, hints: bool) -> Vec<String> {
        let Some(first) = self.views.first() else { return Vec::new() };
        let loud: Vec<&View> = self.views.iter().filter(|view| view.is_loud()).collect();
        if self.views.len() == 1 {
            return vec![first.text(site, shown, hints)];
        }
        let block = |view: &&View| view.text(site, shown, hints).trim_end().to_owned();
        let mut texts: Vec<String> = loud.iter().map(block).collect();
        let (name, quiet) = (&first.environment.name, self.views.len() - loud.len());
        let quiet = match (quiet, loud.len()) {
            (0, _) => String::new(),
            (_, 0) => format!("{}/{name}: nothing changes in any of its {quiet} units", site.setup.pipeline.name),
            (1, _) => format!("{}/{name}: 1 other unit does not change", site.setup.pipeline.name),
            (_, _) => format!("{}/{name}: {quiet} other units do not change", site.setup.pipeline.name),
        };
        let notes = message::all(&self.strangers, &first.place, &first.environment, &Log::default(), hints);
        texts.extend([quiet, notes].into_iter().filter(|text| !text.is_empty()));
        texts
    }
}

async fn one(site: &Site, environment: Environment, subject: &Subject, brings: Brings) -> Result<View, Reason> {
    let known = subject.ledger.of(&environment.unit);
    let place = message::place(site, &environment, Some(&known.log));
    let planned = match &subject.commit {
        None => working_tree(site, &environment, &known).await?,
        Some(_) if brings == Brings::Nothing => Planned::Stands,
        Some(commit) => {
            let brief = survey::brief(site, &environment, &known, commit.clone(), subject.statements.clone());
            judged(site, &environment, &known, brief).await?
        }
    };
    let left = if let Planned::Commit(outlook) = &planned { outlook.left } else { 0 };
    let place = Place { left, ..place };
    Ok(View { environment, known, tip: subject.commit.clone(), planned, place, target: subject.target.clone() })
}

async fn judged(site: &Site, environment: &Environment, known: &Known, brief: Brief) -> Result<Planned, Reason> {
    let mut outlook = judge::judge(site, environment, &brief, Depth::Plan).await;
    match &outlook.verdict {
        Finding::Unreachable(reason) => return Err(reason.clone()),
        // A rollback asks nobody what it would change; a person does.
        Finding::Admitted(opening) if outlook.report.is_none() => {
            outlook.report = Some(report(site, environment, known, opening.admitted.set()).await?);
        }
        _ => {}
    }
    Ok(Planned::Commit(Box::new(outlook)))
}

async fn working_tree(site: &Site, environment: &Environment, known: &Known) -> Result<Planned, Reason> {
    let sources = environment.sources.clone();
    let closed = tokio::task::spawn_blocking(move || close_working_tree(&sources)).await;
    let closed = closed.map_err(|error| Reason::new(Code::Bug, error.to_string()))?;
    let closure = match closed {
        Ok(closure) => closure,
        Err(reason) => return Ok(Planned::Impossible(vec![reason])),
    };
    let set = match judge::render_unsigned(site, environment, &closure).await {
        Ok(set) => set,
        Err(reasons) => return Ok(Planned::Impossible(reasons)),
    };
    Ok(Planned::WorkingTree(report(site, environment, known, &set).await?))
}

/// Reports what a set of objects would change, whoever wrote it.
///
/// # Errors
/// The cluster or the journal does not answer.
pub(super) async fn report(
    site: &Site,
    environment: &Environment,
    known: &Known,
    set: &ManifestSet,
) -> Result<Report, Reason> {
    let nobody = CommitId("0".repeat(40).parse().map_err(|_| Reason::new(Code::Bug, "forty zeros are an id"))?);
    let brief = survey::brief(site, environment, known, nobody, BTreeMap::new());
    let ground = observe::observe(site, environment, set, &brief).await?;
    Ok(plan::report(set, &ground.borrowed()))
}

/// Closes the inputs of the working tree around this folder.
///
/// # Errors
/// Why nothing can be rendered from it.
pub(super) fn close_working_tree(sources: &render::Sources) -> Result<Closure, Reason> {
    let folder = std::env::current_dir().map_err(|error| Reason::new(Code::PathNotFound, error.to_string()))?;
    let (tree, files) = git::working_tree(&folder).map_err(|error| error.reason())?;
    let mut contents = render::Contents::new();
    loop {
        match render::close(&tree, sources, &contents)? {
            Closing::Closed(closure) => return Ok(closure),
            Closing::Needs(paths) => {
                for path in paths {
                    let bytes = git::working_file(&tree, &files, &path).map_err(|error| error.reason())?;
                    contents.insert(path, bytes);
                }
            }
        }
    }
}

impl View {
    fn unknown(site: &Site, environment: Environment, reason: Reason) -> View {
        let place = message::place(site, &environment, None);
        let known = survey::nothing().of(&environment.unit);
        let target = Target { environment: environment.name.clone(), at: At::Tip };
        View { environment, known, tip: None, planned: Planned::Unknown(reason), place, target }
    }

    fn unseen(&self) -> Option<&Reason> {
        if let Planned::Unknown(reason) = &self.planned { Some(reason) } else { None }
    }

    fn reasons(&self) -> &[Reason] {
        match &self.planned {
            Planned::Unknown(reason) => std::slice::from_ref(reason),
            Planned::Impossible(reasons) => reasons,
            Planned::Commit(outlook) => match &outlook.verdict {
                Finding::Stopped { reasons, .. } => reasons,
                _ => &[],
            },
            Planned::Stands | Planned::WorkingTree(_) => &[],
        }
    }

    fn report(&self) -> Option<&Report> {
        match &self.planned {
            Planned::Commit(outlook) => outlook.report.as_ref(),
            Planned::WorkingTree(report) => Some(report),
            Planned::Stands | Planned::Impossible(_) | Planned::Unknown(_) => None,
        }
    }

    /// Whether it would change, or is stopped.
    fn is_loud(&self) -> bool {
        self.verdict() != Verdict::Good
    }

    /// Changes or refused is a finding.
    fn verdict(&self) -> Verdict {
        let differs = self.report().is_some_and(|report| !report.changes.is_empty());
        match &self.planned {
            Planned::Unknown(_) => Verdict::Failed,
            _ if differs || !self.reasons().is_empty() => Verdict::Found,
            _ => Verdict::Good,
        }
    }

    /// What changes; where nothing is to be opened, everything that we applied is unchanged.
    fn counts(&self) -> Counts {
        let stands = || {
            let standing = self.known.inventory.members.values().filter(|member| !member.doomed).count();
            Counts { unchanged: u64::try_from(standing).unwrap_or(u64::MAX), ..Counts::default() }
        };
        match (&self.planned, self.report()) {
            (_, Some(report)) => report.counts,
            (Planned::Stands, None) => stands(),
            (Planned::Commit(outlook), None) if matches!(outlook.verdict, Finding::Unchanged) => stands(),
            (_, None) => Counts::default(),
        }
    }

    fn admission(&self) -> &'static str {
        match &self.planned {
            Planned::Impossible(_) => "refuse",
            Planned::Commit(outlook) => match &outlook.verdict {
                Finding::Stopped { refused: true, .. } => "refuse",
                Finding::Stopped { refused: false, .. } => "wait",
                _ => "admit",
            },
            Planned::Stands => "admit",
            Planned::WorkingTree(_) | Planned::Unknown(_) => "unknown",
        }
    }

    fn to_json(&self, shown: &changes::Shown) -> Value {
        let to = match &self.planned {
            Planned::Commit(outlook) => Some(json!({
                "digest": outlook.report.as_ref().map(|report| report.digest),
                "commit": document::commit(&outlook.candidate),
                "sequence": null,
            })),
            Planned::Stands => self.known.log.standing.as_ref().map(document::release),
            Planned::WorkingTree(_) | Planned::Impossible(_) | Planned::Unknown(_) => None,
        };
        let gates = match &self.planned {
            Planned::Commit(outlook) => document::gates(&outlook.gates),
            _ => json!([]),
        };
        let report = self.report();
        let mut body = json!({
            "name": self.environment.name,
            "from": self.known.log.standing.as_ref().map(document::release),
            "to": to,
            "digest": report.map(|report| report.digest),
            "counts": self.counts(),
            "admission": {"verdict": self.admission(), "gates": gates},
            "reasons": document::reasons(self.reasons(), &self.place),
            "pruneWaits": document::reasons(report.map_or(&[], |report| &report.prune_waits), &self.place),
            "changes": report.map_or_else(Vec::new, |report| shown.to_json(&report.changes)),
            "checks": [],
        });
        if !self.environment.unit.is_whole() {
            body["unit"] = json!(self.environment.unit);
        }
        body
    }

    fn text(&self, site: &Site, shown: &changes::Shown, hints: bool) -> String {
        let mut lines = vec![self.headline(site)];
        if let Some(report) = self.report() {
            lines.extend(report_lines(report, shown));
            lines.push(format!("admission: {}", self.admission_line()));
        }
        let log = &self.known.log;
        let waits = self.report().map_or(&[][..], |report| &report.prune_waits);
        lines.push(message::all(self.reasons(), &self.place, &self.environment, log, hints));
        lines.push(message::all(waits, &self.place, &self.environment, log, hints));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    fn admission_line(&self) -> String {
        match (&self.planned, self.admission()) {
            (Planned::WorkingTree(_), _) => "not judged, the working tree is not signed".to_owned(),
            (Planned::Commit(outlook), verdict) if self.reasons().is_empty() => {
                format!("{verdict}, all {} gates pass", outlook.gates.len())
            }
            (Planned::Commit(outlook), verdict) if outlook.gates.iter().any(gates::stops) => {
                let of_unit = diagnostic::of_unit(&self.environment.unit);
                let stopping = gates::stopping(&outlook.gates);
                format!("{verdict}, {stopping} (lockmaster explain {}{of_unit})", self.target)
            }
            (_, verdict) => verdict.to_owned(),
        }
    }

    fn headline(&self, site: &Site) -> String {
        let name = unit::headed(site, &self.environment);
        let standing = self.known.log.standing.as_ref();
        let from = standing.map_or_else(
            || "nothing".to_owned(),
            |s| format!("{} ({}/{})", s.commit.id.short(), self.environment.name, s.sequence),
        );
        match &self.planned {
            Planned::Stands => format!("{name}: {from} stands, and the branch brings nothing new"),
            Planned::WorkingTree(_) => format!("{name}: {from} -> the working tree, not judged as signed"),
            Planned::Impossible(_) => format!("{name}: {from} stands, nothing can be planned"),
            Planned::Unknown(_) => format!("{name}: could not be looked at"),
            Planned::Commit(outlook) => {
                let short = self.tip.as_ref().map_or("", CommitId::short);
                let subject = diagnostic::escape(&outlook.candidate.subject);
                match &outlook.verdict {
                    Finding::Unchanged => {
                        format!("{name}: {from} stands, {short} \"{subject}\" changes no input")
                    }
                    Finding::Stopped { .. } if outlook.report.is_none() => {
                        format!("{name}: {from} -> {short} \"{subject}\", not planned")
                    }
                    _ => format!("{name}: {from} -> {short} \"{subject}\", {}", signed(outlook)),
                }
            }
        }
    }
}

/// The table of changes, the fields, and the counts.
pub(super) fn report_lines(report: &Report, shown: &changes::Shown) -> Vec<String> {
    let mut lines = Vec::new();
    let unchanged = usize::try_from(report.counts.unchanged).unwrap_or(usize::MAX);
    let mut rows = shown.rows(&report.changes);
    if unchanged > 0 {
        rows.push(vec!["unchanged".to_owned(), counted(unchanged, "object")]);
    }
    lines.push(columns(&rows));
    if shown.fields {
        lines.extend(shown.fields_text(&report.changes));
    }
    let counts = &report.counts;
    lines.push(format!(
        "{} to create, {} to update, {} to recreate, {} to prune, {} unchanged",
        counts.create, counts.update, counts.recreate, counts.prune, counts.unchanged
    ));
    lines
}
