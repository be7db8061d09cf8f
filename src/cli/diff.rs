//! `diff ENV`: the applied release against the live cluster; `diff A B` is in `compare`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::answer::{Answer, columns, counted};
use super::arguments::{self, At};
use super::diagnostic::{Failure, Verdict};
use super::site::find;
use super::{changes, compare, document, unit};
use crate::agent::observe::Ground;
use crate::agent::site::Site;
use crate::agent::{observe, survey};
use crate::config::Environment;
use crate::course::Known;
use crate::deploylog::StandingRelease;
use crate::name::{Code, Reason, UnitName};
use crate::plan::{self, Change, ChangeAction};

/// Compares the standing release of an environment with what is live.
///
/// # Errors
/// Something cannot be reached, nothing stands, there is no such unit, or the form asked for is not built yet.
pub(super) async fn diff(site: &Site, arguments: &arguments::Diff) -> Result<Answer, Failure> {
    if let Some(other) = &arguments.b {
        return compare::compare(site, arguments, other).await;
    }
    if arguments.images {
        return Err(Failure::not_yet("lockmaster diff ENV --images"));
    }
    if !matches!(arguments.a.at, At::Tip | At::Latest) {
        let text = format!(
            "`lockmaster diff {}`: comparing another release than the standing one with the live cluster is not supported yet",
            arguments.a
        );
        return Err(Failure::new(Code::Usage, text));
    }
    let environment = find(site, &arguments.a.environment)?;
    let ledger = survey::ledger(site, &environment).await?;
    if let Some(unit) = &arguments.unit {
        unit::check(&environment, ledger.logs.keys(), unit)?;
    }
    let wanted = |unit: &&UnitName| arguments.unit.as_ref().is_none_or(|given| given == *unit);
    let mut found = Vec::new();
    for unit in ledger.logs.keys().filter(wanted) {
        let (environment, known) = (environment.of_unit(unit), ledger.of(unit));
        if known.log.standing.is_some() {
            found.push(drifted(site, environment, &known).await?);
        }
    }
    let called = arguments.unit.as_ref().map_or_else(|| environment.clone(), |unit| environment.of_unit(unit));
    if found.is_empty() {
        let called = unit::called(&called);
        let text = format!("{called} has no release to compare with: nothing was opened in {called} yet");
        return Err(Failure::new(Code::Usage, text));
    }
    let shown = changes::Shown { object: arguments.object.clone(), fields: !arguments.no_fields };
    let several = environment.units.is_some() && arguments.unit.is_none();
    let body = match (found.as_slice(), several) {
        ([one], false) => one.to_json(&shown),
        (all, _) => json!({
            "environment": environment.name,
            "release": null,
            "reasons": [],
            "changes": [],
            "units": all.iter().map(|one| one.to_json(&shown)).collect::<Vec<_>>(),
        }),
    };
    let text = all(site, &found, &shown);
    let pipeline = site.setup.pipeline.name.to_string();
    let equal = found.iter().all(|one| one.drifted.is_empty());
    let verdict = if equal { Verdict::Good } else { Verdict::Found };
    Ok(Answer { name: "diff", pipeline, source: "cluster", body, text, verdict })
}

/// A standing release, and what is live otherwise.
struct Drifted {
    environment: Environment,
    standing: StandingRelease,
    drifted: Vec<Change>,
    total: usize,
}

async fn drifted(site: &Site, environment: Environment, known: &Known) -> Result<Drifted, Reason> {
    let nothing = || Reason::new(Code::Bug, "nothing stands that could be compared");
    let standing = known.log.standing.clone().ok_or_else(nothing)?;
    let set = survey::standing_set(site, &environment, &standing).await?;
    let mut brief = survey::brief(site, &environment, known, standing.commit.id.clone(), BTreeMap::new());
    // Without a standing release to compare with, every object is read and dry-run.
    brief.standing = None;
    let ground: Ground = observe::observe(site, &environment, &set, &brief).await?;
    let report = plan::report(&set, &ground.borrowed());
    let drifted = report.changes.into_iter().filter(|change| change.action != ChangeAction::Prune).collect();
    Ok(Drifted { environment, standing, drifted, total: set.manifests().len() })
}

impl Drifted {
    fn to_json(&self, shown: &changes::Shown) -> Value {
        let mut body = json!({
            "environment": self.environment.name,
            "release": document::release(&self.standing),
            "reasons": [],
            "changes": shown.to_json(&self.drifted),
        });
        if !self.environment.unit.is_whole() {
            body["unit"] = json!(self.environment.unit);
        }
        body
    }
}

/// A block for each unit that differs; the others are counted.
fn all(site: &Site, found: &[Drifted], shown: &changes::Shown) -> String {
    let one = |one: &Drifted| {
        let name = unit::headed(site, &one.environment);
        text(&name, &one.environment, &one.standing, &one.drifted, shown, one.total)
    };
    if let [alone] = found {
        return one(alone);
    }
    let differ: Vec<&Drifted> = found.iter().filter(|one| !one.drifted.is_empty()).collect();
    let mut texts: Vec<String> = differ.iter().map(|differs| one(differs)).collect();
    let equal = found.iter().filter(|one| one.drifted.is_empty());
    let (count, objects) = equal.fold((0, 0), |(count, objects), one| (count + 1, objects + one.total));
    if let (Some(first), true) = (found.first(), count > 0) {
        let name = format!("{}/{}", site.setup.pipeline.name, first.environment.name);
        let other = if differ.is_empty() { "unit" } else { "other unit" };
        let (units, objects) = (counted(count, other), counted(objects, "object"));
        texts.push(format!("{name}: {units} against the live cluster: {objects} equal"));
    }
    texts.join("\n\n")
}

fn text(
    name: &str,
    environment: &Environment,
    standing: &StandingRelease,
    drifted: &[Change],
    shown: &changes::Shown,
    total: usize,
) -> String {
    let environment = &environment.name;
    let short = standing.commit.id.short();
    let head = format!("{name}: {short} ({environment}/{}) against the live cluster", standing.sequence);
    if drifted.is_empty() {
        return format!("{head}: {total} of {total} objects equal");
    }
    let mut lines = vec![head, columns(&shown.rows(drifted))];
    if shown.fields {
        lines.extend(shown.fields_text(drifted));
    }
    lines.push(format!("{} of {total} objects differ; `-` is live, `+` is the release", drifted.len()));
    lines.join("\n")
}
