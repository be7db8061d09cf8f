//! Opens what a verb works on: the pipeline, its mirror, the cluster and the journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;

use super::arguments::{Global, Source};
use super::diagnostic::Failure;
use super::pipeline::Loaded;
use crate::agent::promote;
use crate::agent::site::{Setup, Site, Target};
use crate::config::{Auth, Environment, InvalidUrl, Promote, RemoteUrl, Repository, Transport};
use crate::edge::cluster::{Access, Cluster};
use crate::edge::events::Events;
use crate::edge::git::{self, Remote};
use crate::edge::journal::Journal;
use crate::name::{Code, EnvironmentName, Reason};
use crate::signature::AgentKey;

/// The Secret that holds the agent's key (DESIGN, state lives where the effects live).
const AGENT_KEY: &str = "lockmaster-agent";

const NO_CLUSTER: &str =
    "say which cluster: --kubeconfig FILE, --context NAME, or KUBECONFIG; see: kubectl config view";

/// What a verb needs of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To write into it.
    Writes,
    /// To read from it.
    Reads,
    /// Nothing, if none is configured.
    Optional,
}

/// Opens the site of a pipeline.
///
/// # Errors
/// Something that the verb needs cannot be reached or read.
pub(super) async fn open(
    global: &Global,
    loaded: Loaded,
    needs: Need,
    key_file: Option<&Path>,
) -> Result<Site, Failure> {
    let setup = setup(global, loaded)?;
    let target = match connect(global, &setup, needs).await {
        Ok(target) => Some(target),
        // A cluster that was found and does not answer is not the same as none: the accepted head is in it.
        Err(_) if needs == Need::Optional && !is_cluster_named(global) => None,
        Err(reason) if reason.code == Code::ConfigNotFound => return Err(Failure::from(reason).with_hint(NO_CLUSTER)),
        Err(reason) => return Err(reason.into()),
    };
    let key = match (&target, key_file) {
        (None, _) => None,
        (Some(_), Some(file)) => Some(read_key(file)?),
        (Some(target), None) if needs == Need::Writes => {
            Some(target.journal.agent_key(AGENT_KEY).await.map_err(|error| error.reason())?)
        }
        (Some(target), None) => target.journal.read_agent_key(AGENT_KEY).await.map_err(|error| error.reason())?,
    };
    Site::new(setup, target, key, needs != Need::Writes).map_err(|error| error.reason().into())
}

/// Opens the site of a verb that reads the repository and pushes to it: with no cluster, and where to push, which is the
/// pipeline's repository whatever `--repository` names.
///
/// # Errors
/// Something that the verb needs cannot be read.
pub(super) fn open_repository(global: &Global, loaded: Loaded) -> Result<(Site, String), Failure> {
    let url = push_url(&loaded);
    let site = Site::new(setup(global, loaded)?, None, None, true).map_err(|error| error.reason())?;
    Ok((site, url))
}

/// Where people push: the pipeline's repository, in a form that holds in any folder, since git is called in others.
pub(super) fn push_url(loaded: &Loaded) -> String {
    let url = url(&loaded.pipeline.repository, &loaded.directory);
    match loaded.pipeline.repository.url.transport() {
        Transport::Path => {
            let real = Path::new(&url).canonicalize().or_else(|_| std::path::absolute(&url));
            real.map_or(url, |path| path.display().to_string())
        }
        _ => url,
    }
}

/// Whether a flag, a variable, a file or the pod says where a cluster is.
fn is_cluster_named(global: &Global) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let home = || std::env::var_os("HOME").is_some_and(|home| Path::new(&home).join(".kube/config").exists());
    let flags = global.kubeconfig.is_some() || global.context.is_some() || global.from == Some(Source::Cluster);
    flags || set("KUBECONFIG") || set("KUBERNETES_SERVICE_HOST") || home()
}

async fn connect(global: &Global, setup: &Setup, needs: Need) -> Result<Target, Reason> {
    let access = Access { kubeconfig: global.kubeconfig.clone(), context: global.context.clone() };
    let cluster = Cluster::connect(&access).await.map_err(|error| error.reason())?;
    cluster.discover().await.map_err(|error| error.reason())?;
    if needs == Need::Writes {
        cluster.ensure_namespace(&setup.agent_namespace).await.map_err(|error| error.reason())?;
    }
    let journal = Journal::new(cluster.client(), &setup.agent_namespace, setup.pipeline.name.clone());
    let events = Events::new(cluster.client(), &setup.agent_namespace, setup.pipeline.name.clone());
    Ok(Target::new(cluster, journal, events, &setup.pipeline.environments))
}

/// Gives the agent the key with which it pushes promotions.
///
/// # Errors
/// The key cannot be read or may not write where it shall, or an environment wants to be promoted and there is none.
pub(super) fn entrust(site: &mut Site, file: Option<&Path>) -> Result<(), Failure> {
    let auto = |environment: &&Environment| environment.promotion.promote == Promote::Auto;
    let promoted: Vec<Environment> = site.environments().iter().filter(auto).cloned().collect();
    let Some(file) = file else {
        let Some(environment) = promoted.first() else { return Ok(()) };
        let text =
            format!("`promote: auto` of `{}` pushes commits, and there is no key to sign them with", environment.name);
        return Err(Failure::new(Code::Usage, text).with_hint("name one that a writer holds: --writer-key FILE"));
    };
    let key = read_key(file)?;
    for environment in &promoted {
        promote::writer(site, &key, environment)?;
    }
    site.writer_key = Some(Arc::new(key));
    Ok(())
}

fn read_key(file: &Path) -> Result<AgentKey, Reason> {
    let shown = file.display().to_string();
    let text = read(file)?;
    AgentKey::from_openssh(&text).map_err(|problem| {
        Reason::new(Code::InvalidValue, format!("`{shown}` is no key that signs here: {problem}"))
            .at_file(shown, None, None)
    })
}

fn setup(global: &Global, loaded: Loaded) -> Result<Setup, Reason> {
    let remote = match &global.repository {
        Some(given) => other_remote(given)?,
        None => remote(&loaded.pipeline.repository, &loaded.directory)?,
    };
    Ok(Setup {
        remote,
        agent_namespace: global.agent_namespace.clone(),
        state_dir: state_dir(global)?,
        signers: loaded.signers,
        pipeline_text: loaded.pipeline.text().to_owned(),
        pipeline: loaded.pipeline,
    })
}

/// The repository that `--repository` names, under the same rules as `spec.repository.url`.
fn other_remote(given: &str) -> Result<Remote, Reason> {
    let wrong = |problem: InvalidUrl| Reason::new(Code::Usage, format!("the value of `--repository` {problem}"));
    let url: RemoteUrl = given.parse().map_err(wrong)?;
    Ok(Remote { url: url.as_str().to_owned(), auth: None, ca_file: None })
}

/// `--state-dir`, else `$XDG_STATE_HOME/lockmaster`, else `~/.local/state/lockmaster` (XDG Base Directory, Defaults).
pub(super) fn state_dir(global: &Global) -> Result<PathBuf, Reason> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let xdg = || set("XDG_STATE_HOME").map(|folder| folder.join("lockmaster"));
    let home = || set("HOME").map(|folder| folder.join(".local/state/lockmaster"));
    global
        .state_dir
        .clone()
        .or_else(xdg)
        .or_else(home)
        .ok_or_else(|| Reason::new(Code::Usage, "no folder for the mirror: neither `--state-dir` nor `HOME` is set"))
}

/// The repository with its credentials read; paths are relative to the file that names them.
fn remote(repository: &Repository, folder: &Path) -> Result<Remote, Reason> {
    let secret = |file: &Path| read(&folder.join(file)).map(|text| SecretString::from(text.trim_end().to_owned()));
    let auth = match &repository.auth {
        None => None,
        Some(Auth::Token { file }) => Some(git::Auth::Token(secret(file)?)),
        Some(Auth::Password { username, file }) => {
            Some(git::Auth::Basic { username: username.clone(), password: secret(file)? })
        }
        Some(Auth::SshKey { key, known_hosts }) => Some(git::Auth::SshKey {
            private_key: SecretString::from(read(&folder.join(key))?),
            known_hosts: read(&folder.join(known_hosts))?,
        }),
    };
    let url = url(repository, folder);
    Ok(Remote { url, auth, ca_file: repository.ca_file.as_ref().map(|file| folder.join(file)) })
}

/// The repository's address; a path begins at the folder of the file that names it.
fn url(repository: &Repository, folder: &Path) -> String {
    match repository.url.transport() {
        Transport::Path => {
            let path = Path::new(repository.url.as_str());
            // `./repo` and `repo` are one repository and have one mirror.
            folder.join(path.strip_prefix("./").unwrap_or(path)).display().to_string()
        }
        _ => repository.url.as_str().to_owned(),
    }
}

fn read(file: &Path) -> Result<String, Reason> {
    let shown = file.display().to_string();
    std::fs::read_to_string(file).map_err(|error| {
        Reason::new(Code::ConfigNotFound, format!("`{shown}` cannot be read: {error}")).at_file(shown, None, None)
    })
}

/// The environments that a person named; all, if none.
///
/// # Errors
/// A name that the pipeline has not.
pub(super) fn chosen(site: &Site, names: &[EnvironmentName]) -> Result<Vec<Environment>, Reason> {
    if names.is_empty() {
        return Ok(site.environments().to_vec());
    }
    names.iter().map(|name| find(site, name)).collect()
}

/// The environment of this name.
///
/// # Errors
/// The pipeline has none.
pub(super) fn find(site: &Site, name: &EnvironmentName) -> Result<Environment, Reason> {
    let known: Vec<&str> = site.environments().iter().map(|environment| environment.name.as_str()).collect();
    site.setup.pipeline.environment(name).cloned().ok_or_else(|| {
        let text = format!("`{}` has no environment `{name}`; it has {}", site.setup.pipeline.name, known.join(", "));
        Reason::new(Code::UnknownName, text)
    })
}
