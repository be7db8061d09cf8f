//! How a release enters an environment, and how it becomes proven there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::environment::{Declared, or};
use super::field::{Field, Fields, Findings};
use super::value::{self, Bounds};
use super::{ApprovalRule, Environment, Finding, OnFailure, Promote, Promotion, Queue, Severity, nearest};
use crate::gate::{EXPIRES, RollbackBy};
use crate::name::{Code, EnvironmentName, Principal, RoleName};

const DAY: u64 = 24 * 60 * 60;

/// How long a candidate may wait where the file says nothing.
const GIVE_UP: Duration = Duration::from_secs(14 * DAY);

/// How long ago a release may have stood healthy upstream where the file says nothing.
const MAX_AGE: Duration = Duration::from_secs(30 * DAY);

const SOAK: Bounds = Bounds { min: Duration::ZERO, max: Duration::from_secs(30 * DAY), example: "30m" };
const LONG: Bounds = Bounds { min: Duration::from_secs(60), max: Duration::from_secs(3650 * DAY), example: "14d" };

/// The keys of an environment that say how a release enters it.
pub(super) fn promotion(
    fields: &mut Fields<'_>,
    declared: &Declared<'_>,
    findings: &mut Findings<'_>,
) -> Option<(Promotion, Option<std::ops::Range<usize>>)> {
    let from_field = fields.take("from");
    let place = from_field.as_ref().map(|field| field.node.span.clone());
    let from = or(from_field, None, |field| field.parse(findings, environment_name).map(Some));
    let own = or(fields.take("own"), Vec::new(), |field| field.parse_list(findings, 0, value::repo_path));
    let own_images = or(fields.take("ownImages"), Vec::new(), |field| field.parse_list(findings, 0, image));
    let approvals = or(fields.take("approvals"), None, |field| approvals(field, declared, findings).map(Some));
    let give_up = duration(fields, "giveUp", GIVE_UP, &LONG, findings);
    let max_age = duration(fields, "maxAge", MAX_AGE, &LONG, findings);
    let soak = duration(fields, "soak", Duration::ZERO, &SOAK, findings);
    let queue = or(fields.take("queue"), None, |field| queue(field, findings).map(Some));
    let promote = or(fields.take("promote"), Promote::Merge, |field| promote(field, findings));
    let on_failure = or(fields.take("onFailure"), OnFailure::Stop, |field| on_failure(field, findings));
    let rollback_by = or(fields.take("rollback"), RollbackBy::Anyone, |field| rollback(field, findings));
    let soak = soak?;
    let by_soak = if soak.is_zero() { Queue::Newest } else { Queue::Finish };
    let promotion = Promotion {
        from: from?,
        own: own?,
        own_images: own_images?,
        approvals: approvals?,
        give_up: give_up?,
        max_age: max_age?,
        soak,
        queue: queue?.unwrap_or(by_soak),
        promote: promote?,
        on_failure: on_failure?,
        rollback_by: rollback_by?,
    };
    Some((promotion, place))
}

fn duration(
    fields: &mut Fields<'_>,
    key: &'static str,
    default: Duration,
    bounds: &Bounds,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    or(fields.take(key), default, |field| field.parse(findings, |text| value::duration(text, bounds)))
}

fn environment_name(text: &str) -> Result<EnvironmentName, String> {
    text.parse().map_err(|_| "expected the name of an environment".to_owned())
}

/// An image without tag and digest: an own image is one whatever its version.
fn image(text: &str) -> Result<String, String> {
    if !text.is_empty() && !text.contains(char::is_whitespace) && crate::render::image_name(text) == text {
        Ok(text.to_owned())
    } else {
        Err("expected an image without tag and digest, such as `ghcr.io/team/app`".to_owned())
    }
}

fn approvals(field: &Field<'_>, declared: &Declared<'_>, findings: &mut Findings<'_>) -> Option<ApprovalRule> {
    let mut fields = Fields::of(field.node, field.label.clone(), findings)?;
    let count = fields.need("count", findings);
    let count_place = count.as_ref().map(|field| field.node.span.clone()).unwrap_or_default();
    let number = |text: &str| value::count(text, 1, 100).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let count = count.and_then(|field| field.parse_plain(findings, number));
    let role = or(fields.take("role"), None, |field| role(field, declared, findings).map(Some));
    let exclude_author = or(fields.take("excludeAuthor"), false, |field| {
        field.parse_plain(findings, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("expected `true` or `false`".to_owned()),
        })
    });
    let expires = duration(&mut fields, "expires", EXPIRES, &LONG, findings);
    fields.finish(findings);
    let rule = ApprovalRule { count: count?, role: role?, exclude_author: exclude_author?, expires: expires? };
    reachable(&rule, declared, &count_place, findings);
    Some(rule)
}

fn role(field: &Field<'_>, declared: &Declared<'_>, findings: &mut Findings<'_>) -> Option<RoleName> {
    let role: RoleName =
        field.parse(findings, |text| text.parse().map_err(|_| "expected the name of a role".to_owned()))?;
    let Some(roles) = declared.roles else { return Some(role) };
    if roles.contains_key(&role) {
        return Some(role);
    }
    let suggestion = nearest::nearest(role.as_str(), roles.keys().map(RoleName::as_str));
    let message = format!("{} names the role `{role}`, which `trust.roles` does not declare", field.label);
    findings.suggest(Code::UnknownName, &field.node.span, message, suggestion);
    None
}

/// Whether a role has enough members, one of whom may be the author.
fn reachable(
    rule: &ApprovalRule,
    declared: &Declared<'_>,
    place: &std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) {
    let members = rule.role.as_ref().zip(declared.roles).and_then(|(role, roles)| roles.get(role));
    let Some(members) = members.map(|members| members.iter().collect::<BTreeSet<&Principal>>().len()) else { return };
    let (count, role) = (rule.count, rule.role.as_ref().map(RoleName::as_str).unwrap_or_default());
    if members < count {
        let message = format!("`approvals` needs {count} of `{role}`, which has {members}");
        findings.error(Code::ApprovalsUnreachable, place, message);
    } else if members == count && rule.exclude_author {
        let message = format!(
            "`approvals` needs {count} of `{role}`, which has {members}: what one of them wrote can never be approved, \
             as authors do not count"
        );
        let warning = findings.at(Code::ApprovalsUnreachable, place, message);
        findings.list.push(Finding { severity: Severity::Warning, ..warning });
    }
}

fn queue(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Queue> {
    field.parse(findings, |text| match text {
        "finish" => Ok(Queue::Finish),
        "newest" => Ok(Queue::Newest),
        _ => Err("expected `finish` or `newest`".to_owned()),
    })
}

fn promote(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Promote> {
    field.parse(findings, |text| match text {
        "merge" => Ok(Promote::Merge),
        "auto" => Ok(Promote::Auto),
        _ => Err("expected `merge` or `auto`".to_owned()),
    })
}

fn on_failure(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<OnFailure> {
    field.parse(findings, |text| match text {
        "stop" => Ok(OnFailure::Stop),
        "rollback" => Ok(OnFailure::Rollback),
        _ => Err("expected `stop` or `rollback`".to_owned()),
    })
}

fn rollback(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<RollbackBy> {
    let mut fields = Fields::of(field.node, field.label.clone(), findings)?;
    let by = or(fields.take("by"), RollbackBy::Anyone, |field| {
        field.parse(findings, |text| match text {
            "anyone" => Ok(RollbackBy::Anyone),
            "writers" => Ok(RollbackBy::Writers),
            _ => Err("expected `anyone` or `writers`".to_owned()),
        })
    });
    fields.finish(findings);
    by
}

/// Names of upstream environments that nobody declares, and promotions that lead back to where they began.
pub(super) fn check_upstreams(
    environments: &[(Environment, Option<std::ops::Range<usize>>)],
    findings: &mut Findings<'_>,
) {
    let find = |name: &EnvironmentName| environments.iter().map(|(e, _)| e).find(|e| e.name == *name);
    for (environment, place) in environments {
        let (Some(from), Some(place)) = (&environment.promotion.from, place) else { continue };
        let name = &environment.name;
        if find(from).is_none() {
            let others = environments.iter().map(|(e, _)| e.name.as_str()).filter(|other| *other != name.as_str());
            let suggestion = nearest::nearest(from.as_str(), others);
            let message = format!("environment `{name}` is promoted from `{from}`, which is not declared");
            findings.suggest(Code::UnknownName, place, message, suggestion);
            continue;
        }
        check_units(environment, find(from), place, findings);
        let mut seen = BTreeSet::from([name]);
        let mut next = find(from);
        while let Some(upstream) = next {
            if !seen.insert(&upstream.name) {
                if upstream.name == *name {
                    let message = format!("environment `{name}` is promoted from `{from}`, which leads back to it");
                    findings.error(Code::UnknownName, place, message);
                }
                break;
            }
            next = upstream.promotion.from.as_ref().and_then(find);
        }
    }
}

/// A release of a unit is proven by releases of the unit of the same name.
fn check_units(
    environment: &Environment,
    upstream: Option<&Environment>,
    place: &std::ops::Range<usize>,
    findings: &mut Findings<'_>,
) {
    let Some(upstream) = upstream.filter(|upstream| upstream.units.is_some() != environment.units.is_some()) else {
        return;
    };
    let (name, from) = (&environment.name, &upstream.name);
    let message = match &environment.units {
        Some(units) => {
            format!(
                "environment `{name}` has `units: {units}`, but `{from}`, which it is promoted from, has no `units`"
            )
        }
        None => format!("environment `{name}` has no `units`, but `{from}`, which it is promoted from, has some"),
    };
    findings.error(Code::InvalidValue, place, message);
}
