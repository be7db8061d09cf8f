//! Which directories of a repository are environments, by the ways in which people lay them out.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{EnvironmentName, RepoPath};

/// An environment that was found or named: several directories where several apps have one each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: EnvironmentName,
    pub(super) paths: Vec<RepoPath>,
}

/// What a repository holds that could be deployed.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Directories with a kustomization.
    pub(super) kustomizations: BTreeSet<RepoPath>,
    /// Directories with a file that holds Kubernetes objects.
    pub(super) manifests: BTreeSet<RepoPath>,
    /// Directories of Helm charts.
    pub(super) charts: BTreeSet<RepoPath>,
}

/// Names of directories whose children are environments, the likeliest first.
const CONTAINERS: [&[&str]; 4] =
    [&["overlays"], &["environments", "environment", "envs", "env"], &["stages", "stage"], &["clusters"]];

/// Names of environments, in the order in which a release goes through them.
const STAGES: [&[&str]; 4] = [
    &["dev", "development"],
    &["test", "testing", "qa", "integration"],
    &["staging", "stage", "preprod", "uat"],
    &["production", "prod"],
];

/// How deep environments are looked for.
const DEPTH: usize = 5;

/// What was found where no environment was named.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// These, upstream first.
    Environments(Vec<Found>),
    /// No directories that look like environments, but several with manifests: which of them is for a person to say.
    Several(Vec<RepoPath>),
    /// No manifests at all.
    Nothing,
}

impl Layout {
    /// The environments of the repository.
    pub(super) fn search(&self) -> Search {
        let by_container = CONTAINERS.iter().map(|names| self.below_containers(names)).find(|found| !found.is_empty());
        let mut found = by_container.unwrap_or_else(|| self.known_by_name());
        if found.is_empty() {
            return self.alone();
        }
        found.sort_by_key(|found| (rank(found.name.as_str()), found.name.clone()));
        Search::Environments(found)
    }

    /// The children of the uppermost directories of these names.
    fn below_containers(&self, names: &[&str]) -> Vec<Found> {
        self.uppermost(|parent, _| names.contains(&parent.file_name().to_lowercase().as_str()))
    }

    /// Directories that are called as environments are.
    fn known_by_name(&self) -> Vec<Found> {
        self.uppermost(|_, child| STAGES.iter().any(|names| names.contains(&child.to_lowercase().as_str())))
    }

    /// The directories with manifests that are of this kind, as near to the root as any of them; one environment where
    /// they have one name.
    fn uppermost(&self, is: impl Fn(&RepoPath, &str) -> bool) -> Vec<Found> {
        let all = self.directories();
        let all = all.iter().filter(|path| depth(path) > 0 && is(&path.parent(), path.file_name()));
        let all: Vec<&RepoPath> = all.filter(|path| self.deploys(path)).collect();
        let Some(least) = all.iter().map(|path| depth(path)).min() else { return Vec::new() };
        let mut found: BTreeMap<EnvironmentName, Vec<RepoPath>> = BTreeMap::new();
        for path in all.into_iter().filter(|path| depth(path) == least) {
            let Some(name) = label(path.file_name()).and_then(|name| name.parse().ok()) else { continue };
            found.entry(name).or_default().push(path.clone());
        }
        found.into_iter().map(|(name, paths)| Found { name, paths }).collect()
    }

    /// The one directory that can be deployed.
    fn alone(&self) -> Search {
        let shallowest = |paths: &BTreeSet<RepoPath>| -> Vec<RepoPath> {
            let least = paths.iter().map(depth).min();
            paths.iter().filter(|path| Some(depth(path)) == least && self.deploys(path)).cloned().collect()
        };
        let kustomizations = shallowest(&self.kustomizations);
        let paths = if kustomizations.is_empty() { shallowest(&self.manifests) } else { kustomizations };
        match paths.as_slice() {
            [] => Search::Nothing,
            [only] => {
                let name = "dev".parse().expect("because it is a name of an environment");
                Search::Environments(vec![Found { name, paths: vec![only.clone()] }])
            }
            _ => Search::Several(paths),
        }
    }

    /// Whether a path could be deployed: it holds a kustomization, or manifests below it that are no chart's.
    fn deploys(&self, path: &RepoPath) -> bool {
        let of_chart = |path: &RepoPath| self.charts.iter().any(|chart| path.is_within(chart));
        !of_chart(path)
            && (self.kustomizations.contains(path)
                || self.manifests.iter().any(|below| below.is_within(path) && !of_chart(below)))
    }

    /// Every directory that holds something, and those above it.
    fn directories(&self) -> BTreeSet<RepoPath> {
        let mut all = BTreeSet::new();
        for path in self.kustomizations.iter().chain(&self.manifests) {
            let mut path = path.clone();
            while depth(&path) > 0 && all.insert(path.clone()) {
                path = path.parent();
            }
        }
        all.retain(|path| depth(path) <= DEPTH);
        all
    }
}

fn depth(path: &RepoPath) -> usize {
    path.as_str().split('/').filter(|part| !part.is_empty()).count()
}

/// Where an environment stands on the way of a release; those nobody knows come last.
fn rank(name: &str) -> usize {
    let is = |names: &&[&str]| name.split('-').any(|part| names.contains(&part));
    // `preprod` and `prod` are different words, `prod-eu` is `prod`.
    STAGES.iter().position(is).unwrap_or(STAGES.len())
}

/// The text as a name of lower-case letters, digits and `-`; `None` where nothing is left.
pub(super) fn label(text: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).take(63).collect();
    Some(name.trim_matches('-').to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(kustomizations: &[&str], manifests: &[&str], charts: &[&str]) -> Layout {
        let set = |paths: &[&str]| paths.iter().map(|path| path.parse().expect("because it is a path")).collect();
        Layout { kustomizations: set(kustomizations), manifests: set(manifests), charts: set(charts) }
    }

    fn shown(search: Search) -> Vec<String> {
        let paths = |paths: &[RepoPath]| paths.iter().map(RepoPath::to_string).collect::<Vec<_>>().join(",");
        match search {
            Search::Environments(found) => found.iter().map(|e| format!("{}={}", e.name, paths(&e.paths))).collect(),
            Search::Several(several) => vec![format!("several {}", paths(&several))],
            Search::Nothing => vec!["nothing".to_owned()],
        }
    }

    #[test]
    fn environments_are_found_as_people_lay_them_out_upstream_first() {
        for (kustomizations, manifests, charts, expected) in [
            (
                &["deploy/overlays/production", "deploy/overlays/dev", "deploy/overlays/staging", "deploy/bases/web"][..],
                &["deploy/bases/web", "deploy/overlays/dev"][..],
                &[][..],
                &[
                    "dev=deploy/overlays/dev",
                    "staging=deploy/overlays/staging",
                    "production=deploy/overlays/production",
                ][..],
            ),
            (
                &["a/overlays/dev", "b/overlays/dev", "b/overlays/prod", "x/y/overlays/other"],
                &[],
                &[],
                &["dev=a/overlays/dev,b/overlays/dev", "prod=b/overlays/prod"],
            ),
            (
                &[],
                &["envs/EU_West", "envs/prod-eu/apps", "envs/qa"],
                &[],
                &["qa=envs/qa", "prod-eu=envs/prod-eu", "eu-west=envs/EU_West"],
            ),
            (&[], &["prod", "dev", "docs"], &[], &["dev=dev", "prod=prod"]),
            (&["", "base"], &["base"], &[], &["dev=."]),
            (&[], &["k8s", "k8s/more"], &[], &["dev=k8s"]),
            (&[], &["a", "b"], &[], &["several a,b"]),
            (&[], &["chart/templates"], &["chart"], &["nothing"]),
            (&[], &[], &[], &["nothing"]),
        ] {
            assert_eq!(
                shown(layout(kustomizations, manifests, charts).search()),
                expected,
                "{kustomizations:?} {manifests:?}"
            );
        }
    }

    #[test]
    fn a_directory_becomes_a_name() {
        assert_eq!(label("EU_West.1").as_deref(), Some("eu-west-1"));
        assert_eq!(label("--").as_deref(), None);
    }
}
