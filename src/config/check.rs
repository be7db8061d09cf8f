//! What one environment alone cannot know: names that others declare, and targets that others own.

use std::ops::Range;

use super::environment::Places;
use super::field::Findings;
use super::{Environment, Finding, Pipeline, Severity, nearest};
use crate::name::{Code, EnvironmentName, RefName, RepoPath, RoleName};
use crate::signature::Signers;

/// Compares the names in a pipeline with the signers: a role member or writer that no line names can never sign.
#[must_use]
pub fn check_signers(pipeline: &Pipeline, signers: &Signers) -> Vec<Finding> {
    let roles: Vec<&str> = pipeline.trust.roles.keys().map(RoleName::as_str).collect();
    let unknown = pipeline.mentions.iter().filter(|mention| !signers.knows(&mention.principal));
    unknown
        .map(|mention| {
            let role_wanted = mention.by.starts_with("`writers`");
            let also = if role_wanted { "neither a declared role nor a principal of" } else { "not a principal of" };
            let mut finding = mention.place.clone();
            let principal = &mention.principal;
            finding.reason.message = format!("{} names `{principal}`, {also} the signers file", mention.by);
            let candidates = roles.iter().copied().filter(|_| role_wanted);
            finding.suggestion = nearest::nearest(principal.as_str(), candidates).map(str::to_owned);
            finding
        })
        .collect()
}

/// What the environments of a file own, as far as they were read.
#[derive(Default)]
pub(super) struct Claims {
    environments: Vec<(EnvironmentName, usize)>,
    namespaces: Vec<(String, EnvironmentName)>,
    sources: Vec<(RefName, Vec<RepoPath>, EnvironmentName)>,
}

impl Claims {
    /// Names of environments and sources are a pipeline's own; namespaces are shared by all.
    pub(super) fn next_pipeline(&mut self) {
        self.environments.clear();
        self.sources.clear();
    }

    /// Adds an environment, and reports what it shares with one before it.
    pub(super) fn add(&mut self, environment: Environment, places: &Places, findings: &mut Findings<'_>) {
        self.name(&environment.name, &places.name, findings);
        self.own_namespaces(&environment, &places.namespaces, findings);
        self.source(environment, &places.source, findings);
    }

    fn name(&mut self, name: &EnvironmentName, place: &Range<usize>, findings: &mut Findings<'_>) {
        let line = findings.line_of(place);
        match self.environments.iter().find(|(known, _)| known == name) {
            Some((_, first)) => {
                let message = format!("environment `{name}` stands twice, first in line {first}");
                findings.error(Code::InvalidValue, place, message);
            }
            None => self.environments.push((name.clone(), line)),
        }
    }

    fn own_namespaces(&mut self, environment: &Environment, places: &[Range<usize>], findings: &mut Findings<'_>) {
        for (namespace, place) in environment.namespaces.iter().zip(places) {
            match self.namespaces.iter().find(|(known, _)| known == namespace) {
                Some((_, owner)) => {
                    let name = &environment.name;
                    let message =
                        format!("environment `{name}` writes into namespace `{namespace}`, which `{owner}` owns");
                    findings.error(Code::EnvironmentConflict, place, message);
                }
                None => self.namespaces.push((namespace.clone(), environment.name.clone())),
            }
        }
    }

    /// The same manifests for two targets can be meant, so this only warns.
    fn source(&mut self, environment: Environment, place: &Range<usize>, findings: &mut Findings<'_>) {
        let Environment { name, branch, sources, .. } = environment;
        let twin = self.sources.iter().find(|(b, paths, _)| *b == branch && *paths == sources.paths);
        if let Some((_, _, other)) = twin {
            let branch = branch.short();
            let message = format!("environment `{name}` renders the same path of branch `{branch}` as `{other}`");
            let warning =
                Finding { severity: Severity::Warning, ..findings.at(Code::EnvironmentConflict, place, message) };
            findings.list.push(warning);
        }
        self.sources.push((branch, sources.paths, name));
    }
}
