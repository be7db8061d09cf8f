//! The Pipeline document: everything but its environments.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::environment::{Declared, environment};
use super::field::{Field, Fields, Findings};
use super::node::{self, Document};
use super::url::Transport;
use super::{
    API_VERSION, Auth, FILE_LIMIT, Finding, Mention, Pipeline, Publish, RemoteUrl, Repository, Severity, Trust,
};
use super::{check, probe, promotion, value};
use crate::name::{Code, CommitId, PipelineName, Principal, RoleName};

/// Releases that are kept to go back to, where the file says nothing.
const KEEP: u32 = 10;

/// Reads every Pipeline of a file.
///
/// `file_name` is how findings call the file; nothing is read from it.
///
/// # Errors
/// Every finding against the text in the order of the text, at least one of them an error.
pub fn read(file_name: &str, text: &str) -> Result<Vec<Pipeline>, Vec<Finding>> {
    let mut findings = Findings::new(file_name, text);
    let pipelines = pipelines(text, &mut findings);
    let mut list = findings.list;
    list.sort_by_key(|finding| (finding.span.start, finding.severity));
    if list.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(list);
    }
    Ok(with_warnings(pipelines, list))
}

fn with_warnings(read: Vec<(Pipeline, std::ops::Range<usize>)>, warnings: Vec<Finding>) -> Vec<Pipeline> {
    let own = |range: &std::ops::Range<usize>| {
        let inside = warnings.iter().filter(|warning| range.contains(&warning.span.start));
        inside.cloned().collect()
    };
    read.into_iter().map(|(pipeline, range)| Pipeline { warnings: own(&range), ..pipeline }).collect()
}

fn pipelines(text: &str, findings: &mut Findings<'_>) -> Vec<(Pipeline, std::ops::Range<usize>)> {
    if text.len() > FILE_LIMIT {
        let message = format!("the file has {} bytes, at most {FILE_LIMIT} are read", text.len());
        findings.error(Code::LimitExceeded, &(0..0), message);
        return Vec::new();
    }
    let documents = match node::documents(text) {
        Ok(documents) => documents,
        Err(problem) => {
            findings.problem(problem);
            return Vec::new();
        }
    };
    if documents.is_empty() {
        findings.error(Code::InvalidValue, &(0..0), "the file holds no pipeline");
    }
    let mut names: Vec<(PipelineName, usize)> = Vec::new();
    let mut claims = check::Claims::default();
    documents
        .iter()
        .filter_map(|document| {
            let pipeline = pipeline(document, text, &mut names, &mut claims, findings)?;
            Some((pipeline, document.text.clone()))
        })
        .collect()
}

fn pipeline(
    document: &Document,
    text: &str,
    names: &mut Vec<(PipelineName, usize)>,
    claims: &mut check::Claims,
    findings: &mut Findings<'_>,
) -> Option<Pipeline> {
    let mut top = Fields::of(&document.root, "the pipeline", findings)?;
    header(&mut top, findings);
    let metadata = top.need("metadata", findings);
    let spec = top.need("spec", findings);
    top.finish(findings);
    let name = metadata.and_then(|field| self::name(&field, names, findings));
    let mut spec = Fields::of(spec?.node, "`spec`", findings)?;

    let repository = spec.need("repository", findings).and_then(|field| repository(&field, findings));
    let mut mentions = Vec::new();
    let trust = spec.need("trust", findings).and_then(|field| trust(&field, &mut mentions, findings));
    let keep = spec.take("keep").map_or(Some(KEEP), |f| f.parse_plain(findings, |text| value::count(text, 1, 1000)));
    let publish = spec.take("publish").map_or(Some(Publish::None), |field| publish(&field, findings));
    let checks_field = spec.take("checks");
    let declared_checks = checks_field.as_ref().map_or(Vec::new(), probe::names);
    let checks = checks_field.map_or(Some(Vec::new()), |field| probe::checks(&field, findings));
    let environments = spec.need("environments", findings).and_then(|field| {
        let declared = Declared { roles: trust.as_ref().map(|trust| &trust.roles), checks: &declared_checks };
        let items = field.list(1, findings)?;
        let read = items.iter().enumerate().map(|(index, item)| {
            let named = environment(item.node, index, &declared, &mut mentions, findings)?;
            claims.add(named.0.clone(), &named.1, findings);
            Some((named.0, named.1.from))
        });
        let read = read.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
        promotion::check_upstreams(&read, findings);
        Some(read.into_iter().map(|(environment, _)| environment).collect())
    });
    spec.refuse(&["publishWithin"], findings);
    spec.finish(findings);
    claims.next_pipeline();
    Some(Pipeline {
        name: name?,
        repository: repository?,
        trust: trust?,
        keep: keep?,
        publish: publish?,
        environments: environments?,
        checks: checks?,
        text: text[document.text.clone()].to_owned(),
        mentions,
        warnings: Vec::new(),
    })
}

fn header(top: &mut Fields<'_>, findings: &mut Findings<'_>) {
    for (key, expected) in [("apiVersion", API_VERSION), ("kind", "Pipeline")] {
        let exact = |text: &str| if text == expected { Ok(()) } else { Err(format!("expected `{expected}`")) };
        if let Some(field) = top.need(key, findings) {
            field.parse(findings, exact);
        }
    }
}

fn name(
    field: &Field<'_>,
    names: &mut Vec<(PipelineName, usize)>,
    findings: &mut Findings<'_>,
) -> Option<PipelineName> {
    let mut metadata = Fields::of(field.node, "`metadata`", findings)?;
    let field = metadata.need("name", findings);
    // What kubectl and other tools keep there changes nothing here.
    metadata.take("labels");
    metadata.take("annotations");
    // A namespace would make it a resource.
    metadata.refuse(&["namespace"], findings);
    metadata.finish(findings);
    let field = field?;
    let name: PipelineName = field.parse(findings, |text| {
        text.parse().map_err(|_| "expected lower-case letters, digits and `-`, at most 63".to_owned())
    })?;
    let line = findings.line_of(&field.node.span);
    if let Some((_, first)) = names.iter().find(|(known, _)| *known == name) {
        let message = format!("pipeline `{name}` stands twice in this file, first in line {first}");
        findings.error(Code::InvalidValue, &field.node.span, message);
        return None;
    }
    names.push((name.clone(), line));
    Some(name)
}

fn publish(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Publish> {
    field.parse(findings, |text| match text {
        "none" => Ok(Publish::None),
        "git" => Err("which is not supported yet, expected `none`".to_owned()),
        _ => Err("expected `none`".to_owned()),
    })
}

fn repository(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Repository> {
    let mut fields = Fields::of(field.node, "`spec.repository`", findings)?;
    let url_field = fields.need("url", findings);
    let url = url_field.as_ref().and_then(|field| url(field, findings));
    let auth_field = fields.take("auth");
    let auth = auth_field.as_ref().map_or(Some(None), |field| auth(field, findings).map(Some));
    let ca_field = fields.take("caFile");
    let ca_file = ca_field.as_ref().map_or(Some(None), |field| path(field, findings).map(Some));
    fields.finish(findings);
    let repository = Repository { url: url?, auth: auth?, ca_file: ca_file? };
    let fits = fitting(&repository);
    if let Err((about, problem)) = fits {
        let field = match about {
            About::Url => url_field,
            About::Auth => auth_field,
            About::CaFile => ca_field,
        };
        return field.and_then(|field| field.wrong(problem, findings));
    }
    Some(repository)
}

enum About {
    Url,
    Auth,
    CaFile,
}

/// Whether the credentials are of the kind that the transport can use.
fn fitting(repository: &Repository) -> Result<(), (About, &'static str)> {
    let web = matches!(repository.url.transport(), Transport::Http | Transport::Https);
    match (repository.url.transport(), &repository.auth) {
        (Transport::Ssh, None) => {
            // Without known hosts anybody on the way could answer for the host.
            return Err((About::Url, "is reached by ssh, which needs `auth: {sshKeyFile, knownHostsFile}`"));
        }
        (Transport::Ssh, Some(Auth::SshKey { .. })) | (_, None) => {}
        (Transport::Ssh, Some(_)) => {
            return Err((
                About::Auth,
                "is for `https://`, but `url` is reached by ssh: it needs `sshKeyFile` and `knownHostsFile`",
            ));
        }
        (Transport::Path | Transport::File, Some(_)) => {
            return Err((About::Auth, "is set, but a local repository takes no credentials"));
        }
        (Transport::Http | Transport::Https, Some(Auth::SshKey { .. })) => {
            return Err((
                About::Auth,
                "is for ssh, but `url` is not: it needs `tokenFile`, or `username` and `passwordFile`",
            ));
        }
        (Transport::Http | Transport::Https, Some(_)) => {}
    }
    if repository.ca_file.is_some() && !web {
        return Err((About::CaFile, "is for `https://`, which `url` is not"));
    }
    Ok(())
}

fn url(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<RemoteUrl> {
    let text = field.text(findings)?;
    match text.parse::<RemoteUrl>() {
        Ok(url) => Some(url),
        // The message never quotes the address: it may hold a credential.
        Err(problem) => {
            findings.error(Code::InvalidValue, &field.node.span, format!("{} {problem}", field.label));
            None
        }
    }
}

fn auth(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Auth> {
    let mut fields = Fields::of(field.node, "`spec.repository.auth`", findings)?;
    let [token, username, password, key, hosts] =
        ["tokenFile", "username", "passwordFile", "sshKeyFile", "knownHostsFile"].map(|key| fields.take(key));
    let before = findings.list.len();
    fields.finish(findings);
    let unknown = findings.list.len() > before;
    match (token, username, password, key, hosts) {
        (Some(token), None, None, None, None) => Some(Auth::Token { file: path(&token, findings)? }),
        (None, Some(username), Some(password), None, None) => {
            let username = username.text(findings).map(str::to_owned);
            let file = path(&password, findings);
            Some(Auth::Password { username: username?, file: file? })
        }
        (None, None, None, Some(key), Some(hosts)) => {
            let key = path(&key, findings);
            let known_hosts = path(&hosts, findings);
            Some(Auth::SshKey { key: key?, known_hosts: known_hosts? })
        }
        // An unknown key is the likelier mistake, and is reported already.
        _ if unknown => None,
        _ => {
            let kinds = "expected `{tokenFile}`, `{username, passwordFile}` or `{sshKeyFile, knownHostsFile}`";
            findings.error(
                Code::InvalidValue,
                &field.node.span,
                format!("{} is incomplete or mixed, {kinds}", field.label),
            );
            None
        }
    }
}

fn path(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    field.parse(findings, |text| match text {
        "" => Err("is empty, expected a path".to_owned()),
        _ if text.chars().any(char::is_control) => Err("holds control characters".to_owned()),
        _ => Ok(PathBuf::from(text)),
    })
}

fn trust(field: &Field<'_>, mentions: &mut Vec<Mention>, findings: &mut Findings<'_>) -> Option<Trust> {
    let mut fields = Fields::of(field.node, "`spec.trust`", findings)?;
    let signers_file = fields.need("signers", findings).and_then(|field| {
        let mut fields = Fields::of(field.node, "`spec.trust.signers`", findings)?;
        let file = fields.need("file", findings).and_then(|field| path(&field, findings));
        fields.refuse(&["openpgp"], findings);
        fields.finish(findings);
        file
    });
    let roles = fields.take("roles").map_or(Some(BTreeMap::new()), |field| roles(&field, mentions, findings));
    let introduction = fields.take("introduction").map_or(Some(Vec::new()), |field| {
        field.parse_list(findings, 0, |text| {
            text.parse::<CommitId>()
                .map_err(|_| "expected a whole commit id: 40 or 64 lower-case hex digits".to_owned())
        })
    });
    fields.refuse(&["revoked"], findings);
    fields.finish(findings);
    Some(Trust { signers_file: signers_file?, roles: roles?, introduction: introduction? })
}

fn roles(
    field: &Field<'_>,
    mentions: &mut Vec<Mention>,
    findings: &mut Findings<'_>,
) -> Option<BTreeMap<RoleName, Vec<Principal>>> {
    let fields = Fields::of(field.node, "`spec.trust.roles`", findings)?;
    let entries = fields.entries();
    let mut roles = BTreeMap::new();
    for (key, node) in entries {
        let Ok(role) = key.text.parse::<RoleName>() else {
            let message = format!("role `{}` is no name of lower-case letters, digits and `-`, at most 63", key.text);
            findings.error(Code::InvalidValue, &key.span, message);
            continue;
        };
        let field = Field { label: format!("role `{role}`"), node };
        let Some(members) = field.parse_list(findings, 1, principal) else { continue };
        for (item, principal) in field.list(1, findings).into_iter().flatten().zip(&members) {
            let place = findings.at(Code::UnknownName, &item.node.span, "");
            mentions.push(Mention { principal: principal.clone(), by: field.label.clone(), place });
        }
        roles.insert(role, members);
    }
    (roles.len() == entries.len()).then_some(roles)
}

/// A principal as `writers` and roles name it.
pub(super) fn principal(text: &str) -> Result<Principal, String> {
    text.parse().map_err(|_| "expected a principal: one word without wildcards".to_owned())
}
