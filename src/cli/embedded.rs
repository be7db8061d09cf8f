//! `run --embedded`: the Kubernetes API in this process, in the place of a cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::arguments::{self, Global};
use super::{site, state_dir};
use crate::agent::judge::{Depth, Finding, judge};
use crate::agent::site::Site;
use crate::agent::walk::Look;
use crate::agent::{run, survey};
use crate::config::Environment;
use crate::embedded::{Embedded, Options};
use crate::name::{Code, CommitId, ObjectId, Reason, RefName};

/// The API of this process, and the kubeconfig that leads to it; both go with this value.
pub(super) struct Own {
    _api: Embedded,
    kubeconfig: PathBuf,
    /// The flags of a person, as if they had named this kubeconfig.
    pub(super) global: Global,
}

impl Own {
    /// Starts it, and writes its kubeconfig for its owner alone.
    ///
    /// # Errors
    /// It cannot be served, or the file cannot be written.
    pub(super) async fn start(global: &Global, arguments: &arguments::Run) -> Result<Own, Reason> {
        let folder = site::state_dir(global)?;
        let kubeconfig = arguments.kubeconfig_out.clone().unwrap_or_else(|| folder.join("embedded.kubeconfig"));
        let api = Embedded::start(Options::default()).await.map_err(|error| {
            Reason::new(Code::Usage, format!("the embedded Kubernetes API cannot be served: {error}"))
        })?;
        state_dir::write(&kubeconfig, &api.kubeconfig())?;
        let shown = kubeconfig.display();
        tracing::info!(serves = "kubernetes", address = api.url(), kubeconfig = %shown, "listening");
        let global = Global { kubeconfig: Some(kubeconfig.clone()), context: None, ..global.clone() };
        Ok(Own { _api: api, kubeconfig, global })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It leads nowhere any more.
        drop(std::fs::remove_file(&self.kubeconfig));
    }
}

/// Makes the namespaces that the releases need and do not bring: in a cluster of its own nobody else does.
///
/// # Errors
/// One cannot be made.
pub(super) async fn prepare(site: &Site) -> Result<(), Reason> {
    let branches: Vec<_> = site.environments().iter().map(|environment| environment.branch.clone()).collect();
    let looked = run::look(site, &branches).await;
    for environment in site.environments() {
        // What cannot be read or judged now, the agent tells.
        let Look { tip: Ok(tip), statements } = looked.at(site, environment) else { continue };
        let reasons = stopped(site, environment, tip, statements.unwrap_or_default()).await;
        if reasons.iter().any(|reason| reason.code == Code::NamespaceNotFound) {
            for namespace in &environment.namespaces {
                site.target()?.cluster.ensure_namespace(namespace).await.map_err(|error| error.reason())?;
                tracing::info!(namespace, "namespace-made");
            }
        }
    }
    Ok(())
}

/// Why no unit of a commit can be deployed as long as there is nothing.
async fn stopped(
    site: &Site,
    environment: &Environment,
    tip: CommitId,
    statements: BTreeMap<RefName, ObjectId>,
) -> Vec<Reason> {
    let nothing = survey::nothing();
    let mut found = Vec::new();
    for unit in survey::candidates(site, environment, &nothing, Ok(tip.clone())).await.units.into_keys() {
        let environment = environment.of_unit(&unit);
        let brief = survey::brief(site, &environment, &nothing.of(&unit), tip.clone(), statements.clone());
        let outlook = judge(site, &environment, &brief, Depth::Plan).await;
        if let Finding::Stopped { reasons, .. } = outlook.verdict {
            found.extend(reasons);
        }
    }
    found
}

/// Refuses flags that name a cluster, where `what` brings its own.
///
/// # Errors
/// `usage`.
pub(super) fn check(global: &Global, what: &str) -> Result<(), Reason> {
    let named = [("--kubeconfig", global.kubeconfig.is_some()), ("--context", global.context.is_some())];
    match named.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            let text = format!("`{what}` brings a cluster of its own: it cannot be used with `{flag}`");
            Err(Reason::new(Code::Usage, text))
        }
        None => Ok(()),
    }
}
