//! The full form of a pipeline: every default written out.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::{
    API_VERSION, Auth, Environment, OnFailure, Pipeline, Promote, Promotion, Publish, Queue, Repository, Trust, Writer,
    probe,
};
use crate::gate::RollbackBy;
use crate::gate::calendar::{Freeze, Zone};
use crate::name::{EnvironmentName, RoleName};
use crate::plan::{Adopt, OnDrift};
use crate::render::Renderer;
use crate::revision::Carriers;

/// The pipeline as YAML with every default that is built. Reading it gives the same pipeline again.
///
/// # Panics
/// Never: maps with text keys can always be written as YAML.
#[must_use]
pub fn expand(pipeline: &Pipeline) -> String {
    let full = Full {
        api_version: API_VERSION,
        kind: "Pipeline",
        metadata: Metadata { name: pipeline.name.as_str() },
        spec: Spec {
            repository: repository(&pipeline.repository),
            trust: trust(&pipeline.trust),
            keep: pipeline.keep,
            publish: pipeline.publish,
            environments: pipeline.environments.iter().map(environment).collect(),
            checks: pipeline.checks.iter().map(probe::full).collect(),
        },
    };
    serde_saphyr::to_string(&full).expect("because maps with text keys can be written as YAML")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Full<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Spec<'a> {
    repository: FullRepository<'a>,
    trust: FullTrust<'a>,
    keep: u32,
    publish: Publish,
    environments: Vec<FullEnvironment<'a>>,
    checks: Vec<probe::FullCheck<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullRepository<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<FullAuth<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<&'a Path>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FullAuth<'a> {
    #[serde(rename_all = "camelCase")]
    Token { token_file: &'a Path },
    #[serde(rename_all = "camelCase")]
    Password { username: &'a str, password_file: &'a Path },
    #[serde(rename_all = "camelCase")]
    SshKey { ssh_key_file: &'a Path, known_hosts_file: &'a Path },
}

#[derive(Serialize)]
struct FullTrust<'a> {
    signers: FullSigners<'a>,
    roles: BTreeMap<&'a str, Vec<&'a str>>,
    introduction: Vec<&'a str>,
}

#[derive(Serialize)]
struct FullSigners<'a> {
    file: &'a Path,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullEnvironment<'a> {
    name: &'a str,
    branch: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<String>,
    renderer: Renderer,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    namespaces: &'a [String],
    cluster_kinds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writers: Option<Vec<&'a str>>,
    carriers: Carriers,
    #[serde(flatten)]
    promotion: FullPromotion<'a>,
    windows: Vec<String>,
    freezes: Vec<FullFreeze<'a>>,
    deadline: String,
    adopt: Adopt,
    drift: OnDrift,
    prune: FullPrune,
    checks: Vec<&'a str>,
    agent: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullPromotion<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    own: Vec<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    own_images: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    approvals: Option<FullApprovals<'a>>,
    give_up: String,
    max_age: String,
    soak: String,
    queue: Queue,
    promote: Promote,
    on_failure: OnFailure,
    rollback: FullRollback,
}

#[derive(Serialize)]
struct FullRollback {
    by: RollbackBy,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FullApprovals<'a> {
    count: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    exclude_author: bool,
    expires: String,
}

fn full_promotion(promotion: &Promotion) -> FullPromotion<'_> {
    let Promotion { from, own, own_images, approvals, give_up, max_age, soak, queue, promote, .. } = promotion;
    let span = |duration: std::time::Duration| humantime::format_duration(duration).to_string();
    FullPromotion {
        from: from.as_ref().map(EnvironmentName::as_str),
        own: own.iter().map(ToString::to_string).collect(),
        own_images,
        approvals: approvals.as_ref().map(|rule| FullApprovals {
            count: rule.count,
            role: rule.role.as_ref().map(RoleName::as_str),
            exclude_author: rule.exclude_author,
            expires: span(rule.expires),
        }),
        give_up: span(*give_up),
        max_age: span(*max_age),
        soak: span(*soak),
        queue: *queue,
        promote: *promote,
        on_failure: promotion.on_failure,
        rollback: FullRollback { by: promotion.rollback_by },
    }
}

#[derive(Serialize)]
struct FullFreeze<'a> {
    from: &'a str,
    until: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct FullPrune {
    share: String,
}

fn repository(repository: &Repository) -> FullRepository<'_> {
    let Repository { url, auth, ca_file } = repository;
    let auth = auth.as_ref().map(|auth| match auth {
        Auth::Token { file } => FullAuth::Token { token_file: file },
        Auth::Password { username, file } => FullAuth::Password { username, password_file: file },
        Auth::SshKey { key, known_hosts } => FullAuth::SshKey { ssh_key_file: key, known_hosts_file: known_hosts },
    });
    FullRepository { url: url.as_str(), auth, ca_file: ca_file.as_deref() }
}

fn trust(trust: &Trust) -> FullTrust<'_> {
    let Trust { signers_file, roles, introduction } = trust;
    let members = roles.iter().map(|(role, members)| (role.as_str(), members.iter().map(|m| m.as_str()).collect()));
    FullTrust {
        signers: FullSigners { file: signers_file },
        roles: members.collect(),
        introduction: introduction.iter().map(|commit| commit.as_str()).collect(),
    }
}

fn environment(environment: &Environment) -> FullEnvironment<'_> {
    let Environment {
        name,
        branch,
        sources,
        units,
        unit: _,
        namespaces,
        default_namespace,
        cluster_kinds,
        writers,
        carriers,
        windows,
        freezes,
        deadline,
        adopt,
        on_drift,
        prune_share,
        promotion,
        checks,
        agent,
    } = environment;
    let paths: Vec<String> = sources.paths.iter().map(ToString::to_string).collect();
    let (path, paths) = if let [path] = paths.as_slice() { (Some(path.clone()), Vec::new()) } else { (None, paths) };
    FullEnvironment {
        name: name.as_str(),
        branch: branch.short(),
        path,
        paths,
        units: units.as_ref().map(ToString::to_string),
        renderer: sources.renderer,
        namespace: default_namespace.as_deref(),
        namespaces: if default_namespace.is_some() { &[] } else { namespaces },
        cluster_kinds: cluster_kinds.iter().map(ToString::to_string).collect(),
        writers: writers.as_ref().map(|writers| writers.iter().map(writer_name).collect()),
        carriers: *carriers,
        promotion: full_promotion(promotion),
        windows: windows.iter().map(ToString::to_string).collect(),
        freezes: freezes.iter().map(freeze).collect(),
        deadline: humantime::format_duration(*deadline).to_string(),
        adopt: *adopt,
        drift: *on_drift,
        prune: FullPrune { share: percentage(*prune_share) },
        checks: checks.iter().map(|check| check.as_str()).collect(),
        agent,
    }
}

fn freeze(freeze: &Freeze) -> FullFreeze<'_> {
    let (from, until) = freeze.texts();
    FullFreeze { from, until, zone: freeze.zone().map(Zone::name), reason: freeze.reason() }
}

fn writer_name(writer: &Writer) -> &str {
    match writer {
        Writer::Role(role) => role.as_str(),
        Writer::Principal(principal) => principal.as_str(),
    }
}

/// 0.3 as `30%`, with as many digits as it needs.
fn percentage(share: f64) -> String {
    // A percentage with three decimals and more is not what anybody wrote: rounding takes off what division left.
    format!("{}%", (share * 100_000.0).round() / 1000.0)
}
