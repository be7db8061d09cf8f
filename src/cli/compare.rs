//! `diff A B`: two releases against each other, each kept, rendered from a commit, or the working tree.
//!
//! Environments have namespaces of their own. Where both sides are of environments with one namespace each, an object of A
//! is compared with that of the same kind and name in the namespace of B, and A's namespace counts as B's name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::answer::{Answer, columns, counted};
use super::arguments::{self, At, Target};
use super::diagnostic::{Failure, Verdict, escape};
use super::site::find;
use super::{changes, history, plan, revision, unit};
use crate::agent::site::Site;
use crate::agent::{judge, survey};
use crate::config::Environment;
use crate::deploylog::Phase;
use crate::manifest::{Manifest, ManifestSet};
use crate::name::{Code, CommitId, Digest, ObjectKey, Reason, UnitName};
use crate::plan::{Change, ChangeAction, FieldChange, field_changes};
use crate::render;

/// One release.
struct Side {
    environment: Environment,
    /// As messages call it.
    shown: String,
    set: ManifestSet,
    commit: Option<CommitId>,
    sequence: Option<u64>,
}

/// An image that is not the same on both sides.
struct ImageChange {
    name: String,
    from: Vec<String>,
    to: Vec<String>,
}

/// Compares two releases.
///
/// # Errors
/// One of them cannot be read, rendered, or is not kept any more.
pub(super) async fn compare(site: &Site, arguments: &arguments::Diff, other: &Target) -> Result<Answer, Failure> {
    let given = arguments.unit.as_ref();
    let a = side(site, &arguments.a, given).await?;
    // Of two releases the second is of the unit of the first.
    let unit = Some(&a.environment.unit).filter(|unit| !unit.is_whole());
    let b = side(site, other, given.or(unit)).await?;
    if let (Some(given), true) = (given, a.environment.unit.is_whole() && b.environment.unit.is_whole()) {
        unit::check(&a.environment, [], given)?;
    }
    let shown = changes::Shown { object: arguments.object.clone(), fields: !arguments.no_fields };
    let (found, equal) = differences(&a, &b);
    let images = images(&a.set, &b.set);
    let found = if arguments.images { Vec::new() } else { found };
    let same = if arguments.images { images.is_empty() } else { shown.is_empty(&found) };
    let body = json!({
        "a": a.to_json(),
        "b": b.to_json(),
        "changes": shown.to_json(&found),
        "images": images.iter().map(ImageChange::to_json).collect::<Vec<_>>(),
        "reasons": [],
    });
    let name = &site.setup.pipeline.name;
    let head = format!("{name}/{} against {name}/{}", a.shown, b.shown);
    let text = match (arguments.images, same) {
        (true, _) => images_text(&head, &images),
        (false, true) => format!("{head}: {} equal", counted(equal, "object")),
        (false, false) => text(&head, &found, equal, &shown),
    };
    let verdict = if same { Verdict::Good } else { Verdict::Found };
    Ok(Answer { name: "diff", pipeline: name.to_string(), source: "cluster", body, text, verdict })
}

async fn side(site: &Site, target: &Target, given: Option<&UnitName>) -> Result<Side, Failure> {
    let environment = find(site, &target.environment)?;
    let unit = match environment.units {
        Some(_) => which(site, &environment, target, given).await?,
        None => UnitName::whole(),
    };
    Ok(found(site, environment.of_unit(&unit), target).await?)
}

/// The unit that is compared: the one that is named, else the only one of the entry, else the only one.
async fn which(
    site: &Site,
    environment: &Environment,
    target: &Target,
    given: Option<&UnitName>,
) -> Result<UnitName, Failure> {
    let ledger = survey::ledger(site, environment).await?;
    let command = format!("lockmaster diff {target} OTHER");
    match &target.at {
        At::Sequence(sequence) => {
            let entry = history::entry(environment, &ledger.whole, Some(*sequence))?;
            unit::of_entry(environment, &ledger, Some(entry), given, &command)
        }
        At::Latest if given.is_none() => {
            let entry = history::entry(environment, &ledger.whole, None)?;
            unit::of_entry(environment, &ledger, Some(entry), given, &command)
        }
        // One that the log does not know may be new in the commit.
        At::Revision(_) if given.is_some() => Ok(given.cloned().unwrap_or_else(UnitName::whole)),
        At::Tip | At::Latest | At::Revision(_) => unit::of_entry(environment, &ledger, None, given, &command),
    }
}

async fn found(site: &Site, environment: Environment, target: &Target) -> Result<Side, Reason> {
    match &target.at {
        At::Revision(revision) if revision == "." => working_tree(site, environment).await,
        At::Revision(_) => rendered(site, environment, target).await,
        At::Tip => kept(site, environment, None).await,
        At::Latest => kept(site, environment, Some(None)).await,
        At::Sequence(sequence) => kept(site, environment, Some(Some(*sequence))).await,
    }
}

/// The release that an entry is about, from the journal; without one, the standing release.
async fn kept(site: &Site, environment: Environment, entry: Option<Option<u64>>) -> Result<Side, Reason> {
    let log = survey::log(site, &environment).await?;
    let name = &environment.name;
    let (release, commit, sequence) = match entry {
        None => match &log.standing {
            Some(standing) => (Some(standing.release), Some(standing.commit.id.clone()), standing.sequence),
            None => {
                let called = unit::called(&environment);
                return Err(Reason::new(Code::Usage, format!("nothing was opened in {called} yet")));
            }
        },
        Some(sequence) => {
            let entry = history::entry(&environment, &log, sequence)?;
            let opened = entry.body.of.or((entry.body.phase == Some(Phase::Opened)).then_some(entry.sequence));
            let release = entry.body.release.filter(|_| opened.is_some());
            (release, entry.body.commit.as_ref().map(|commit| commit.id.clone()), entry.sequence)
        }
    };
    let Some(release) = release else {
        let text = format!("`{name}/{sequence}` opened no release; see: lockmaster show {name}/{sequence}");
        return Err(Reason::new(Code::Usage, text));
    };
    let short = commit.as_ref().map_or("", CommitId::short);
    let whose = whose(&environment);
    let shown = format!("{name}/{sequence}{whose} {short}");
    let set = stored(site, &environment, release, &format!("{name}/{sequence}"), short).await?;
    Ok(Side { environment, shown, set, commit, sequence: Some(sequence) })
}

async fn stored(
    site: &Site,
    environment: &Environment,
    release: Digest,
    entry: &str,
    short: &str,
) -> Result<ManifestSet, Reason> {
    let found = site.target()?.journal.release(&environment.name, release).await.map_err(|error| error.reason())?;
    let bytes = found.ok_or_else(|| {
        let text = format!(
            "the bytes of `{entry}` are not kept any more; render its commit instead: lockmaster diff {}@{short}",
            environment.name
        );
        Reason::new(Code::Usage, text)
    })?;
    ManifestSet::from_bytes(&bytes).map_err(|problem| {
        Reason::new(Code::LogRegressed, format!("the stored release `{release}` cannot be read: {problem}"))
    })
}

async fn rendered(site: &Site, environment: Environment, target: &Target) -> Result<Side, Reason> {
    let commit = revision::find(site, &environment, target).await.commit?;
    let set = judge::render_commit(site, &environment, &commit).await.map_err(first)?;
    let shown = format!("{}@{}{}", environment.name, commit.short(), whose(&environment));
    Ok(Side { environment, shown, set, commit: Some(commit), sequence: None })
}

async fn working_tree(site: &Site, environment: Environment) -> Result<Side, Reason> {
    let sources = environment.sources.clone();
    let closed = tokio::task::spawn_blocking(move || plan::close_working_tree(&sources)).await;
    let closure = closed.map_err(|error| Reason::new(Code::Bug, error.to_string()))??;
    let set = judge::render_unsigned(site, &environment, &closure).await.map_err(first)?;
    let shown = format!("{}@.{} (the working tree)", environment.name, whose(&environment));
    Ok(Side { environment, shown, set, commit: None, sequence: None })
}

/// The unit, behind the name of a release.
fn whose(environment: &Environment) -> String {
    if environment.unit.is_whole() { String::new() } else { format!(" {}", environment.unit) }
}

/// The first of several reasons; an environment that renders nothing gives one.
fn first(reasons: Vec<Reason>) -> Reason {
    let none = || Reason::new(Code::Bug, "a render failed without a reason");
    reasons.into_iter().next().unwrap_or_else(none)
}

/// The namespaces of A and B where one stands for the other.
fn namespaces<'s>(a: &'s Side, b: &'s Side) -> Option<(&'s str, &'s str)> {
    match (a.environment.namespaces.as_slice(), b.environment.namespaces.as_slice()) {
        ([from], [to]) if from != to => Some((from, to)),
        _ => None,
    }
}

/// The key and the value of an object of A, as they would be in B's namespace.
fn moved(manifest: &Manifest, namespaces: Option<(&str, &str)>) -> (ObjectKey, Value) {
    let (mut key, mut value) = (manifest.key.clone(), manifest.value.clone());
    let Some((from, to)) = namespaces else { return (key, value) };
    let is_namespace = key.is_core("Namespace") && key.name == from;
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    if is_namespace {
        to.clone_into(&mut key.name);
    } else if key.namespace.as_deref() == Some(from) {
        key.namespace = Some(to.to_owned());
    } else {
        return (key, value);
    }
    let field = if is_namespace { "name" } else { "namespace" };
    if let Some(metadata) = metadata {
        metadata.insert(field.to_owned(), Value::from(to));
    }
    (key, value)
}

/// What A lacks, what it has otherwise, and what B lacks, in order of apply; and how many objects are equal.
fn differences(a: &Side, b: &Side) -> (Vec<Change>, usize) {
    let namespaces = namespaces(a, b);
    let mut old: BTreeMap<ObjectKey, (Value, &Manifest)> = BTreeMap::new();
    for manifest in a.set.manifests() {
        let (key, value) = moved(manifest, namespaces);
        old.insert(key, (value, manifest));
    }
    let mut equal = 0;
    let mut found = Vec::new();
    for manifest in b.set.manifests() {
        let (action, fields) = match old.remove(&manifest.key) {
            None => (ChangeAction::Create, Vec::new()),
            Some((value, _)) if value == manifest.value => {
                equal += 1;
                continue;
            }
            Some((value, _)) => (ChangeAction::Update, field_changes(&manifest.key, &value, &manifest.value)),
        };
        found.push(change(action, manifest.key.clone(), manifest, fields));
    }
    let gone = old.into_iter().map(|(key, (_, manifest))| change(ChangeAction::Prune, key, manifest, Vec::new()));
    found.extend(gone);
    (found, equal)
}

fn change(action: ChangeAction, object: ObjectKey, manifest: &Manifest, fields: Vec<FieldChange>) -> Change {
    Change {
        action,
        object,
        api_version: manifest.kind.api_version(),
        stage: manifest.stage,
        wave: manifest.wave,
        fields,
    }
}

fn images(a: &ManifestSet, b: &ManifestSet) -> Vec<ImageChange> {
    let by_name = |set: &ManifestSet| {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for image in render::images(set) {
            names.entry(render::image_name(&image).to_owned()).or_default().push(image);
        }
        names
    };
    let (mut old, mut new) = (by_name(a), by_name(b));
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let change = |name: String| {
        let (from, to) = (old.remove(&name).unwrap_or_default(), new.remove(&name).unwrap_or_default());
        (from != to).then_some(ImageChange { name, from, to })
    };
    names.into_iter().filter_map(change).collect()
}

fn images_text(head: &str, images: &[ImageChange]) -> String {
    if images.is_empty() {
        return format!("{head}: the same images");
    }
    let mut lines = vec![head.to_owned()];
    for image in images {
        lines.push(escape(&image.name));
        lines.extend(image.from.iter().map(|one| format!("  - {}", escape(one))));
        lines.extend(image.to.iter().map(|one| format!("  + {}", escape(one))));
    }
    let verb = if images.len() == 1 { "differs" } else { "differ" };
    lines.push(format!("{} {verb}", counted(images.len(), "image")));
    lines.join("\n")
}

fn text(head: &str, found: &[Change], equal: usize, shown: &changes::Shown) -> String {
    let mut lines = vec![head.to_owned(), columns(&shown.rows(found))];
    if shown.fields {
        lines.extend(shown.fields_text(found));
    }
    let verb = if found.len() == 1 { "differs" } else { "differ" };
    let count = counted(found.len(), "object");
    lines.push(format!("{count} {verb}, {equal} equal; `-` is the first, `+` is the second"));
    lines.join("\n")
}

impl ImageChange {
    fn to_json(&self) -> Value {
        json!({"name": self.name, "from": self.from, "to": self.to})
    }
}

impl Side {
    fn to_json(&self) -> Value {
        let mut body = json!({
            "environment": self.environment.name,
            "sequence": self.sequence,
            "commit": self.commit,
            "digest": self.set.digest(),
        });
        if !self.environment.unit.is_whole() {
            body["unit"] = json!(self.environment.unit);
        }
        body
    }
}
