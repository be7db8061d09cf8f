//! `diff ENV`: the applied release against the live cluster; `diff A B` is in `compare`.

use std::collections::BTreeMap;

use serde_json::json;

use super::answer::{Answer, columns};
use super::arguments::{self, At};
use super::diagnostic::Verdict;
use super::site::find;
use super::{changes, compare, document};
use crate::agent::observe::Ground;
use crate::agent::site::Site;
use crate::agent::{observe, survey};
use crate::deploylog::StandingRelease;
use crate::name::{Code, Reason};
use crate::plan::{self, Change, ChangeAction};

/// Compares the standing release of an environment with what is live.
///
/// # Errors
/// Something cannot be reached, nothing stands, or the form asked for is not built yet.
pub(super) async fn diff(site: &Site, arguments: &arguments::Diff) -> Result<Answer, Reason> {
    let unsupported = |what: &str| Reason::new(Code::Usage, format!("{what} is not supported yet"));
    if let Some(other) = &arguments.b {
        return compare::compare(site, arguments, other).await;
    }
    if arguments.images {
        return Err(unsupported("`lockmaster diff ENV --images`"));
    }
    if !matches!(arguments.a.at, At::Tip | At::Latest) {
        return Err(unsupported(&format!(
            "`lockmaster diff {}`: comparing another release than the standing one with the live cluster",
            arguments.a
        )));
    }
    let environment = find(site, &arguments.a.environment)?;
    let known = survey::known(site, &environment).await?;
    let Some(standing) = known.log.standing.clone() else {
        let text = format!("`{0}` has no release to compare with: nothing was opened in `{0}` yet", environment.name);
        return Err(Reason::new(Code::Usage, text));
    };
    let set = survey::standing_set(site, &environment, &standing).await?;
    let mut brief = survey::brief(site, &known, standing.commit.id.clone(), BTreeMap::new());
    // Without a standing release to compare with, every object is read and dry-run.
    brief.standing = None;
    let ground: Ground = observe::observe(site, &environment, &set, &brief).await?;
    let report = plan::report(&set, &ground.borrowed());
    let drifted: Vec<Change> =
        report.changes.into_iter().filter(|change| change.action != ChangeAction::Prune).collect();
    let shown = changes::Shown { object: arguments.object.clone(), fields: !arguments.no_fields };
    let body = json!({
        "environment": environment.name,
        "release": document::release(&standing),
        "reasons": [],
        "changes": shown.to_json(&drifted),
    });
    let text = text(
        &format!("{}/{}", site.setup.pipeline.name, environment.name),
        &standing,
        &drifted,
        &shown,
        set.manifests().len(),
    );
    let pipeline = site.setup.pipeline.name.to_string();
    let verdict = if drifted.is_empty() { Verdict::Good } else { Verdict::Found };
    Ok(Answer { name: "diff", pipeline, source: "cluster", body, text, verdict })
}

fn text(name: &str, standing: &StandingRelease, drifted: &[Change], shown: &changes::Shown, total: usize) -> String {
    let environment = name.rsplit('/').next().unwrap_or(name);
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
