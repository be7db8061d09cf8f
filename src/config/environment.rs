//! One environment of a pipeline.

use std::collections::BTreeMap;

use super::field::{Field, Fields, Findings};
use super::node::Node;
use super::{Environment, Finding, Mention, Severity, Writer, calendar, pipeline, probe, promotion, units, value};
use crate::name::{CheckName, Code, EnvironmentName, Principal, RoleName, UnitName};
use crate::plan::{Adopt, OnDrift};
use crate::render::{Renderer, Sources};
use crate::revision::Carriers;

/// The agent that serves an environment that names none.
pub(super) const AGENT: &str = "default";

/// The share that may be pruned where the file says nothing.
const PRUNE_SHARE: f64 = 0.3;

/// How long a release may take to settle where the file says nothing.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10 * 60);

/// Keys that are designed and not built. Each one is a rule somebody counts on, so none is passed over in silence.
pub(super) const NOT_YET: [&str; 3] = ["policies", "slo", "serviceAccount"];

/// Names that the pipeline declares, for the names that an environment uses.
pub(super) struct Declared<'a> {
    /// The roles; `None` where they could not be read.
    pub(super) roles: Option<&'a BTreeMap<RoleName, Vec<Principal>>>,
    /// The checks, as far as their names could be read.
    pub(super) checks: &'a [CheckName],
}

/// An environment, and where its name and its namespaces stand.
pub(super) type Placed = (Environment, Places);

/// Where parts of an environment stand in the text.
pub(super) struct Places {
    pub(super) name: std::ops::Range<usize>,
    pub(super) namespaces: Vec<std::ops::Range<usize>>,
    pub(super) source: std::ops::Range<usize>,
    pub(super) from: Option<std::ops::Range<usize>>,
}

/// Reads an environment; every finding is collected, also where the environment cannot be used.
pub(super) fn environment(
    node: &Node,
    index: usize,
    declared: &Declared<'_>,
    mentions: &mut Vec<Mention>,
    findings: &mut Findings<'_>,
) -> Option<Placed> {
    let mut fields = Fields::of(node, owner(node, index), findings)?;
    let start = fields.start();
    let name_field = fields.need("name", findings);
    let name = name_field.as_ref().and_then(|field| name(field, findings));
    let branch = fields.need("branch", findings).and_then(|field| field.parse(findings, value::branch));
    let renderer = or(fields.take("renderer"), Renderer::Auto, |field| renderer(field, findings));
    let paths = one_or_many(&mut fields, ["path", "paths"], findings, value::repo_path);
    let units = units::units(&mut fields, findings);
    let namespaces = one_or_many(&mut fields, ["namespace", "namespaces"], findings, value::namespace);
    let cluster_kinds =
        or(fields.take("clusterKinds"), Vec::new(), |field| field.parse_list(findings, 0, value::group_kind));
    let writers = or(fields.take("writers"), None, |field| writers(field, declared, mentions, findings).map(Some));
    let carriers = or(fields.take("carriers"), Carriers::Plain, |field| carriers(field, findings));
    let windows = or(fields.take("windows"), Vec::new(), |field| calendar::windows(field, findings));
    let freezes = or(fields.take("freezes"), Vec::new(), |field| calendar::freezes(field, findings));
    let deadline = or(fields.take("deadline"), DEADLINE, |field| {
        field.parse(findings, |text| value::duration(text, &value::DEADLINE))
    });
    let adopt = or(fields.take("adopt"), Adopt::Identical, |field| adopt(field, findings));
    let on_drift = or(fields.take("drift"), OnDrift::Heal, |field| on_drift(field, findings));
    let prune_share = or(fields.take("prune"), PRUNE_SHARE, |field| prune_share(field, findings));
    let promotion = promotion::promotion(&mut fields, declared, findings);
    let checks = or(fields.take("checks"), Vec::new(), |field| probe::named(field, declared.checks, findings));
    let agent = or(fields.take("agent"), AGENT.to_owned(), |field| agent(field, findings));
    fields.refuse(&NOT_YET, findings);
    fields.finish(findings);

    let (paths, namespaces, (promotion, from)) = (paths?, namespaces?, promotion?);
    let places = Places {
        name: name_field.map_or(start, |field| field.node.span.clone()),
        namespaces: namespaces.spans,
        source: paths.spans.first().cloned().unwrap_or_default(),
        from,
    };
    let default_namespace = namespaces.single.then(|| namespaces.values.first().cloned()).flatten();
    let environment = Environment {
        name: name?,
        branch: branch?,
        sources: Sources { paths: paths.values, renderer: renderer? },
        units: units?,
        unit: UnitName::whole(),
        namespaces: namespaces.values,
        default_namespace,
        cluster_kinds: cluster_kinds?,
        writers: writers?,
        carriers: carriers?,
        windows: windows?,
        freezes: freezes?,
        deadline: deadline?,
        adopt: adopt?,
        on_drift: on_drift?,
        prune_share: prune_share?,
        promotion,
        checks: checks?,
        agent: agent?,
    };
    Some((environment, places))
}

/// The value of a field that is there, or the default.
pub(super) fn or<T>(field: Option<Field<'_>>, default: T, read: impl FnOnce(&Field<'_>) -> Option<T>) -> Option<T> {
    field.map_or(Some(default), |field| read(&field))
}

/// What messages call this environment: by its name where it has one.
fn owner(node: &Node, index: usize) -> String {
    let super::node::Value::Map(entries) = &node.value else { return format!("`spec.environments[{index}]`") };
    let name = entries.iter().find(|(key, _)| key.text == "name").map(|(_, value)| &value.value);
    match name {
        Some(super::node::Value::Scalar { text, .. }) => format!("environment `{text}`"),
        _ => format!("`spec.environments[{index}]`"),
    }
}

fn name(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<EnvironmentName> {
    field.parse(findings, |text| {
        text.parse().map_err(|_| "expected lower-case letters, digits and `-`, at most 63".to_owned())
    })
}

struct OneOrMany<T> {
    values: Vec<T>,
    spans: Vec<std::ops::Range<usize>>,
    single: bool,
}

/// Exactly one of a key for one value and a key for several.
fn one_or_many<T: PartialEq>(
    fields: &mut Fields<'_>,
    [one, many]: [&'static str; 2],
    findings: &mut Findings<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<OneOrMany<T>> {
    match (fields.take(one), fields.take(many)) {
        (Some(_), Some(field)) => {
            let message = format!("{} stands beside `{one}`, expected one of the two", field.label);
            findings.error(Code::InvalidValue, &field.node.span, message);
            None
        }
        (Some(field), None) => {
            let value = field.parse(findings, parse)?;
            Some(OneOrMany { values: vec![value], spans: vec![field.node.span.clone()], single: true })
        }
        (None, Some(field)) => {
            let values = field.parse_list(findings, 1, parse)?;
            let spans = field.list(1, findings)?.iter().map(|item| item.node.span.clone()).collect();
            Some(OneOrMany { values, spans, single: false })
        }
        (None, None) => fields.need(one, findings).and(None),
    }
}

fn renderer(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Renderer> {
    field.parse(findings, |text| match text {
        "auto" => Ok(Renderer::Auto),
        "plain" => Ok(Renderer::Plain),
        "kustomize" => Ok(Renderer::Kustomize),
        "helm" => Err("which is not supported yet, expected `auto`, `plain` or `kustomize`".to_owned()),
        _ => Err("expected `auto`, `plain` or `kustomize`".to_owned()),
    })
}

fn adopt(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Adopt> {
    field.parse(findings, |text| match text {
        "identical" => Ok(Adopt::Identical),
        "always" => Ok(Adopt::Always),
        "never" => Ok(Adopt::Never),
        _ => Err("expected `identical`, `always` or `never`".to_owned()),
    })
}

fn on_drift(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<OnDrift> {
    field.parse(findings, |text| match text {
        "heal" => Ok(OnDrift::Heal),
        "report" => Ok(OnDrift::Report),
        "pause" => Ok(OnDrift::Pause),
        _ => Err("expected `heal`, `report` or `pause`".to_owned()),
    })
}

/// `allow` is a warning: it takes the signatures out of the first environment, where they are all the proof there is.
fn carriers(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Carriers> {
    let carriers = field.parse(findings, |text| match text {
        "plain" => Ok(Carriers::Plain),
        "allow" => Ok(Carriers::Allow),
        _ => Err("expected `plain` or `allow`".to_owned()),
    })?;
    if carriers == Carriers::Allow {
        let message = format!("{} is `allow`: whoever may push is trusted, no signature is asked for", field.label);
        let warning = findings.at(Code::InvalidValue, &field.node.span, message);
        findings.list.push(Finding { severity: Severity::Warning, ..warning });
    }
    Some(carriers)
}

fn prune_share(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<f64> {
    let mut fields = Fields::of(field.node, field.label.clone(), findings)?;
    let share = or(fields.take("share"), PRUNE_SHARE, |field| field.parse(findings, value::percentage));
    fields.finish(findings);
    share
}

fn agent(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    field.parse(findings, |text| match text {
        AGENT => Ok(text.to_owned()),
        _ => Err(format!("which is not supported yet, expected `{AGENT}`")),
    })
}

fn writers(
    field: &Field<'_>,
    declared: &Declared<'_>,
    mentions: &mut Vec<Mention>,
    findings: &mut Findings<'_>,
) -> Option<Vec<Writer>> {
    let declares = |text: &str| text.parse().ok().filter(|role| declared.roles.is_some_and(|r| r.contains_key(role)));
    let writers = field.parse_list(findings, 1, |text| match declares(text) {
        Some(role) => Ok(Writer::Role(role)),
        None => pipeline::principal(text).map(Writer::Principal),
    })?;
    for (item, writer) in field.list(1, findings)?.iter().zip(&writers) {
        if let Writer::Principal(principal) = writer {
            let place = findings.at(Code::UnknownName, &item.node.span, "");
            mentions.push(Mention { principal: principal.clone(), by: field.label.clone(), place });
        }
    }
    Some(writers)
}
