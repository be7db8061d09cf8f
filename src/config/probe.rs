//! The checks of a pipeline, and the names by which environments use them.

use std::time::Duration;

use serde::Serialize;

use super::field::{Field, Fields, Findings};
use super::node::Value;
use super::{nearest, value};
use crate::health::check::{
    Address, Bad, Check, JobProbe, Limit, MinSamples, OnUnknown, Predicate, Probe, Query, Samples,
};
use crate::name::{CheckName, Code};

/// How long a check has beyond what it must be good for, where the file says nothing.
const BEYOND: Duration = Duration::from_secs(10 * 60);

/// How long from one look to the next, where the file says nothing.
const INTERVAL: Duration = Duration::from_secs(10);

/// One bad answer is noise, and half a minute of them is not, where the file says nothing.
const BAD: Bad = Bad { count: 3, of: 5 };

/// A count of restarts that is too high stays too high.
const BAD_RESTARTS: Bad = Bad { count: 1, of: 1 };

/// The longest query in bytes: servers and proxies refuse longer lines.
const QUERY_LIMIT: usize = 8192;

/// The keys of a check that say what it looks at.
const PROBES: [&str; 4] = ["http", "prometheus", "job", "restarts"];

/// The names that a list of checks declares, as far as they can be read; findings come from [`checks`].
pub(super) fn names(field: &Field<'_>) -> Vec<CheckName> {
    let Value::List(items) = &field.node.value else { return Vec::new() };
    let named = items.iter().filter_map(|item| match &item.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.text == "name").map(|(_, node)| &node.value),
        Value::Scalar { .. } | Value::List(_) => None,
    });
    named
        .filter_map(|name| match name {
            Value::Scalar { text, .. } => text.parse().ok(),
            Value::List(_) | Value::Map(_) => None,
        })
        .collect()
}

/// Reads the checks of a pipeline.
pub(super) fn checks(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Vec<Check>> {
    let items = field.list(0, findings)?;
    let count = items.len();
    let mut known: Vec<(CheckName, usize)> = Vec::new();
    let read: Vec<Check> = items
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let (check, span) = check(item, index, findings)?;
            if let Some((_, first)) = known.iter().find(|(name, _)| *name == check.name) {
                let message = format!("check `{}` stands twice, first in line {first}", check.name);
                findings.error(Code::InvalidValue, &span, message);
                return None;
            }
            known.push((check.name.clone(), findings.line_of(&span)));
            Some(check)
        })
        .collect();
    (read.len() == count).then_some(read)
}

/// Reads the names of an environment's checks.
pub(super) fn named(field: &Field<'_>, declared: &[CheckName], findings: &mut Findings<'_>) -> Option<Vec<CheckName>> {
    let names = field.parse_list(findings, 0, name)?;
    let mut good = true;
    for (item, name) in field.list(0, findings)?.iter().zip(&names) {
        if !declared.contains(name) {
            let message = format!("{} names `{name}`, which is no check in `spec.checks`", field.label);
            let suggestion = nearest::nearest(name.as_str(), declared.iter().map(CheckName::as_str));
            findings.suggest(Code::UnknownName, &item.node.span, message, suggestion);
            good = false;
        }
    }
    good.then_some(names)
}

fn name(text: &str) -> Result<CheckName, String> {
    text.parse().map_err(|_| "expected lower-case letters, digits and `-`, at most 40".to_owned())
}

fn check(item: &Field<'_>, index: usize, findings: &mut Findings<'_>) -> Option<(Check, std::ops::Range<usize>)> {
    let owner = match &item.node.value {
        Value::Map(entries) => entries.iter().find_map(|(key, node)| match &node.value {
            Value::Scalar { text, .. } if key.text == "name" => Some(format!("check `{text}`")),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => None,
        }),
        Value::Scalar { .. } | Value::List(_) => None,
    };
    let owner = owner.unwrap_or_else(|| format!("`spec.checks[{index}]`"));
    let mut fields = Fields::of(item.node, owner, findings)?;
    let name_field = fields.need("name", findings);
    let check_name = name_field.as_ref().and_then(|field| field.parse(findings, name));
    let probe = probe(&mut fields, findings);
    let times = probe.as_ref().map(|probe| times(probe, &mut fields, findings));
    if probe.is_none() {
        // What they may be depends on what is looked at; they are no unknown keys in any case.
        for key in ["for", "within", "interval", "good", "bad"] {
            fields.take(key);
        }
    }
    let unknown = fields.take("unknown").map_or(Some(OnUnknown::Stop), |field| on_unknown(&field, findings));
    fields.finish(findings);
    let (probe, times) = (probe?, times??);
    let span = name_field.map_or(item.node.span.clone(), |field| field.node.span.clone());
    let Times { for_, within, interval, good, bad } = times;
    Some((Check { name: check_name?, probe, for_, within, interval, good, bad, unknown: unknown? }, span))
}

/// When and how often a check looks.
struct Times {
    for_: Duration,
    within: Duration,
    interval: Duration,
    good: u32,
    bad: Bad,
}

fn times(probe: &Probe, fields: &mut Fields<'_>, findings: &mut Findings<'_>) -> Option<Times> {
    let once = matches!(probe, Probe::Job(_));
    let mut take = |key| {
        let field = fields.take(key);
        if once && let Some(field) = &field {
            return field.wrong("is not for a job, which runs once", findings).map_or(Err(()), |()| Ok(None));
        }
        Ok(field)
    };
    let taken = ["for", "good", "bad"].map(&mut take);
    let [within, interval] = ["within", "interval"].map(|key| fields.take(key));
    let [for_, good, bad] = taken;
    let (for_field, good, bad) = (for_.ok()?, good.ok()?, bad.ok()?);
    let duration = |field: Option<Field<'_>>, bounds, default, findings: &mut Findings<'_>| {
        field.map_or(Some(default), |f| f.parse(findings, |text| value::duration(text, bounds)))
    };
    let for_ = duration(for_field, &value::CHECK_FOR, Duration::ZERO, findings);
    let interval = duration(interval, &value::CHECK_INTERVAL, INTERVAL, findings);
    let good = good.map_or(Some(1), |f| f.parse_plain(findings, |text| value::count(text, 1, 1000)));
    let default = if matches!(probe, Probe::Restarts { .. }) { BAD_RESTARTS } else { BAD };
    let bad = bad.map_or(Some(default), |field| field.parse(findings, k_of_m));
    let (for_, interval, good, bad) = (for_?, interval?, good?, bad?);
    let limit = within.as_ref().map_or(for_ + BEYOND, |_| for_);
    let place = within.as_ref().map_or(fields.start(), |field| field.node.span.clone());
    let within = duration(within, &value::CHECK_WITHIN, limit, findings)?;
    let least = for_.max(interval.saturating_mul(good - 1));
    if within <= least {
        let told = humantime::format_duration;
        let message = format!("`within` is {}, and it cannot pass before {}", told(within), told(least));
        findings.error(Code::InvalidValue, &place, message);
        return None;
    }
    Some(Times { for_, within, interval, good, bad })
}

/// `3 of 5`.
fn k_of_m(text: &str) -> Result<Bad, String> {
    let expected = || "expected so many bad readings of so many, such as `3 of 5`".to_owned();
    let (count, of) = text.split_once(" of ").ok_or_else(expected)?;
    let (count, of) = (value::count(count, 1, 1000).map_err(|_| expected())?, value::count(of, 1, 1000));
    let of = of.map_err(|_| expected())?;
    if count <= of { Ok(Bad { count, of }) } else { Err(expected()) }
}

fn on_unknown(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<OnUnknown> {
    field.parse(findings, |text| match text {
        "stop" => Ok(OnUnknown::Stop),
        "fail" => Ok(OnUnknown::Fail),
        _ => Err("expected `stop` or `fail`".to_owned()),
    })
}

/// Exactly one of the kinds of check.
fn probe(fields: &mut Fields<'_>, findings: &mut Findings<'_>) -> Option<Probe> {
    let place = fields.start();
    let mut found: Vec<(&str, Field<'_>)> =
        PROBES.into_iter().filter_map(|key| Some((key, fields.take(key)?))).collect();
    let expected = "expected one of `http`, `prometheus`, `job` and `restarts`";
    let Some((kind, field)) = found.pop() else {
        findings.error(Code::InvalidValue, &place, format!("the check looks at nothing, {expected}"));
        return None;
    };
    if let Some((other, _)) = found.first() {
        let message = format!("{} stands beside `{other}`, {expected}", field.label);
        findings.error(Code::InvalidValue, &field.node.span, message);
        return None;
    }
    let label = field.label.clone();
    let mut inner = Fields::of(field.node, label, findings)?;
    match kind {
        "http" => http(inner, findings),
        "prometheus" => prometheus(inner, findings).map(Probe::Prometheus),
        "job" => job(inner, findings).map(Probe::Job),
        _ => {
            let max = inner.take("max");
            let max = max.map_or(Some(0), |f| f.parse_plain(findings, |text| value::count(text, 0, 1_000_000)));
            inner.refuse(&["selector"], findings);
            inner.finish(findings);
            max.map(|max| Probe::Restarts { max: u64::from(max) })
        }
    }
}

fn http(mut fields: Fields<'_>, findings: &mut Findings<'_>) -> Option<Probe> {
    let url = fields.need("url", findings).and_then(|field| address(&field, findings));
    let expect = fields.need("expect", findings).and_then(|field| {
        let text = field.text(findings)?;
        Predicate::parse(text).map_err(|problem| told(&field, &problem.to_string(), findings)).ok()
    });
    fields.refuse(&["auth", "caFile"], findings);
    fields.finish(findings);
    Some(Probe::Http { url: url?, expect: expect? })
}

fn prometheus(mut fields: Fields<'_>, findings: &mut Findings<'_>) -> Option<Query> {
    let start = fields.start();
    let url = fields.need("url", findings).and_then(|field| {
        let url = address(&field, findings)?;
        if url.has_query() { field.wrong("has a query of its own", findings) } else { Some(url) }
    });
    let text = fields.need("query", findings).and_then(|field| query(&field, findings));
    let [min, max] = ["min", "max"].map(|key| {
        let field = fields.take(key);
        field.map_or(Some(None), |f| limit(&f, findings).map(Some))
    });
    let samples = fields.take("samples").map_or(Some(Samples::One), |field| samples(&field, findings));
    let min_samples = fields.take("minSamples").map_or(Some(None), |f| min_samples(&f, findings).map(Some));
    fields.refuse(&["versus", "auth", "caFile"], findings);
    fields.finish(findings);
    let (min, max) = (min?, max?);
    match (min, max) {
        (None, None) => {
            findings.error(Code::InvalidValue, &start, "the query has no limit, expected `min`, `max` or both");
            None
        }
        (Some(min), Some(max)) if min.value > max.value => {
            findings.error(Code::InvalidValue, &start, format!("`min` is {min}, above `max`, {max}"));
            None
        }
        _ => Some(Query { url: url?, query: text?, min, max, samples: samples?, min_samples: min_samples? }),
    }
}

fn min_samples(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<MinSamples> {
    let mut fields = Fields::of(field.node, field.label.clone(), findings)?;
    let text = fields.need("query", findings).and_then(|field| query(&field, findings));
    let count = fields.need("count", findings);
    let count = count.and_then(|f| f.parse_plain(findings, |text| value::count(text, 1, 1_000_000_000)));
    fields.finish(findings);
    Some(MinSamples { query: text?, count: count? })
}

fn job(mut fields: Fields<'_>, findings: &mut Findings<'_>) -> Option<JobProbe> {
    let word = |text: &str| {
        let good =
            !text.is_empty() && text.len() <= 500 && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if good { Ok(text.to_owned()) } else { Err("expected a name of an image, without spaces".to_owned()) }
    };
    let image = fields.need("image", findings).and_then(|field| field.parse(findings, word));
    let [command, args] = ["command", "args"].map(|key| {
        let field = fields.take(key);
        // An argument may well stand twice.
        field.map_or(Some(Vec::new()), |f| {
            f.list(0, findings)?.iter().map(|item| item.text(findings).map(str::to_owned)).collect()
        })
    });
    let account = fields.take("serviceAccount").map_or(Some(None), |field| {
        field.parse(findings, |text| {
            let good = text.len() <= 253 && text.split('.').all(|part| value::namespace(part).is_ok());
            if good { Ok(Some(text.to_owned())) } else { Err("expected the name of a service account".to_owned()) }
        })
    });
    fields.refuse(&["env", "resources"], findings);
    fields.finish(findings);
    Some(JobProbe { image: image?, command: command?, args: args?, service_account: account? })
}

fn address(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Address> {
    let text = field.text(findings)?;
    // The message never quotes the address: it may hold a credential.
    text.parse::<Address>().map_err(|problem| told(field, &problem.to_string(), findings)).ok()
}

fn query(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let text = field.text(findings)?;
    match text {
        _ if text.trim().is_empty() => told(field, "is empty, expected PromQL", findings),
        _ if text.len() > QUERY_LIMIT => told(field, &format!("has more than {QUERY_LIMIT} bytes"), findings),
        _ => return Some(text.to_owned()),
    }
    None
}

/// A number may stand without quotes, a percentage is text in any case.
fn limit(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Limit> {
    match &field.node.value {
        Value::Scalar { text, .. } => match text.parse::<Limit>() {
            Ok(limit) => Some(limit),
            Err(problem) => field.wrong(&problem.to_string(), findings),
        },
        Value::List(_) | Value::Map(_) => {
            field.wrong(&format!("is {}, expected a number", field.node.describe()), findings)
        }
    }
}

fn samples(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Samples> {
    field.parse(findings, |text| match text {
        "one" => Ok(Samples::One),
        "all" => Ok(Samples::All),
        "any" => Ok(Samples::Any),
        _ => Err("expected `one`, `all` or `any`".to_owned()),
    })
}

/// A finding that does not quote the value.
fn told(field: &Field<'_>, problem: &str, findings: &mut Findings<'_>) {
    findings.error(Code::InvalidValue, &field.node.span, format!("{} {problem}", field.label));
}

/// The full form of a check.
#[derive(Serialize)]
pub(super) struct FullCheck<'a> {
    name: &'a str,
    #[serde(flatten)]
    probe: FullProbe<'a>,
    #[serde(flatten)]
    repeated: Option<Repeated>,
    within: String,
    interval: String,
    unknown: OnUnknown,
}

/// What a check that runs once does not have.
#[derive(Serialize)]
struct Repeated {
    r#for: String,
    good: u32,
    bad: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum FullProbe<'a> {
    Http { url: &'a str, expect: &'a str },
    Prometheus(FullQuery<'a>),
    Job(FullJob<'a>),
    Restarts { max: u64 },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullQuery<'a> {
    url: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<String>,
    samples: Samples,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_samples: Option<FullMinSamples<'a>>,
}

#[derive(Serialize)]
struct FullMinSamples<'a> {
    query: &'a str,
    count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullJob<'a> {
    image: &'a str,
    command: &'a [String],
    args: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account: Option<&'a str>,
}

/// Writes a check with every default.
pub(super) fn full(check: &Check) -> FullCheck<'_> {
    let told = |duration: Duration| humantime::format_duration(duration).to_string();
    let once = matches!(check.probe, Probe::Job(_));
    let repeated = (!once).then(|| Repeated {
        r#for: told(check.for_),
        good: check.good,
        bad: format!("{} of {}", check.bad.count, check.bad.of),
    });
    FullCheck {
        name: check.name.as_str(),
        probe: full_probe(&check.probe),
        repeated,
        within: told(check.within),
        interval: told(check.interval),
        unknown: check.unknown,
    }
}

fn full_probe(probe: &Probe) -> FullProbe<'_> {
    match probe {
        Probe::Http { url, expect } => FullProbe::Http { url: url.as_str(), expect: expect.as_str() },
        Probe::Restarts { max } => FullProbe::Restarts { max: *max },
        Probe::Job(JobProbe { image, command, args, service_account }) => {
            FullProbe::Job(FullJob { image, command, args, service_account: service_account.as_deref() })
        }
        Probe::Prometheus(Query { url, query, min, max, samples, min_samples }) => FullProbe::Prometheus(FullQuery {
            url: url.as_str(),
            query,
            min: min.as_ref().map(Limit::written),
            max: max.as_ref().map(Limit::written),
            samples: *samples,
            min_samples: min_samples.as_ref().map(|least| FullMinSamples { query: &least.query, count: least.count }),
        }),
    }
}
