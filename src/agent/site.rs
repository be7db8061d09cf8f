//! What the environments of one pipeline share: configuration, the mirror of its repository, the cluster and the journal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::Semaphore;

use crate::config::{Environment, OnFailure, Pipeline, Promote};
use crate::course::Settings;
use crate::edge::cluster::Cluster;
use crate::edge::events::Events;
use crate::edge::exposition::EnvironmentLabels;
use crate::edge::git::{GitError, Mirror, Remote};
use crate::edge::journal::Journal;
use crate::edge::metrics::{self, Metrics};
use crate::edge::renderer::Kustomize;
use crate::manifest::Fence;
use crate::name::{Code, Reason};
use crate::plan::Policy;
use crate::plan::drift::HashKey;
use crate::revision::{Ground, Trust};
use crate::signature::{AgentKey, Signers};

use super::board::Board;
use super::reading::Reading;
use super::sight::Sights;
use super::upstream;
use super::watches::Watches;

/// See [`Site::with_mirror`].
const MIRROR_AT_ONCE: usize = 8;

/// What the operator gave: read once, a change of a file starts anew.
pub struct Setup {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// Its text, which every entry keeps.
    pub pipeline_text: String,
    /// Its signers.
    pub signers: Signers,
    /// Its repository.
    pub remote: Remote,
    /// The namespace where the agent keeps its state.
    pub agent_namespace: String,
    /// A cache: safe to delete.
    pub state_dir: PathBuf,
}

/// The cluster of a pipeline, and the state that the agent keeps in it.
pub struct Target {
    /// Objects.
    pub cluster: Cluster,
    /// The journal, the inventory, stored releases.
    pub journal: Journal,
    /// What all environments watch together.
    pub watches: Watches,
    /// Kubernetes Events on the Pipeline.
    pub events: Events,
}

impl Target {
    /// The cluster and the journal of a pipeline's environments.
    #[must_use]
    pub fn new(cluster: Cluster, journal: Journal, events: Events, environments: &[Environment]) -> Self {
        let sets: Vec<String> = environments.iter().map(|environment| journal.set_id(&environment.name)).collect();
        Target { watches: Watches::new(cluster.clone(), &sets), cluster, journal, events }
    }
}

/// The mirror and what it is made again from.
struct Cached {
    mirror: RwLock<Mirror>,
    folder: PathBuf,
    remote: Remote,
}

impl Cached {
    fn work<T>(&self, work: impl FnOnce(&Mirror) -> Result<T, GitError>) -> Result<T, GitError> {
        let done = work(&self.mirror.read().unwrap_or_else(PoisonError::into_inner));
        if matches!(done, Err(GitError::Corrupt { .. } | GitError::IncompleteHistory { .. })) {
            // Opening looks for damage, and throws away what is damaged: the next look fetches it again.
            let mut mirror = self.mirror.write().unwrap_or_else(PoisonError::into_inner);
            *mirror = Mirror::open(&self.folder, self.remote.clone())?;
        }
        done
    }
}

/// Everything that the environments of one pipeline are walked with.
pub struct Site {
    /// What the operator gave.
    pub setup: Setup,
    mirror: Arc<Cached>,
    /// The cluster; `None` for verbs that need none.
    pub target: Option<Target>,
    /// The kustomize program, if there is one.
    pub kustomize: Option<Kustomize>,
    /// The key that signs the log; `None` where nothing is written.
    pub key: Option<AgentKey>,
    /// The key with which the agent pushes promotions; `None`: it pushes none.
    pub writer_key: Option<Arc<AgentKey>>,
    /// Whether nothing may be written: not even the times at which commits were first seen.
    pub read_only: bool,
    /// What it shows of itself while it runs.
    pub board: Arc<Board>,
    metrics: OnceLock<Metrics>,
    /// Operations on the mirror at once: each takes a thread.
    turns: Semaphore,
    /// Children of the renderer at once: each wants a core, and one that hangs keeps nobody else from it.
    pub(super) renders: Semaphore,
    /// What judging the units of one commit has in common.
    pub(super) sights: Sights,
    pub(super) upstream: upstream::Read,
    pub(super) reading: Reading,
}

impl Site {
    /// Opens the mirror and puts everything together.
    ///
    /// # Errors
    /// The mirror's folder cannot be used.
    pub fn new(setup: Setup, target: Option<Target>, key: Option<AgentKey>, read_only: bool) -> Result<Self, GitError> {
        let name = crate::name::Digest::of(setup.remote.to_string().as_bytes()).hex();
        let folder = setup.state_dir.join("mirrors").join(&name[..16]);
        let mirror = RwLock::new(Mirror::open(&folder, setup.remote.clone())?);
        let mirror = Arc::new(Cached { mirror, folder, remote: setup.remote.clone() });
        let board = Arc::default();
        Ok(Site {
            setup,
            mirror,
            target,
            kustomize: Kustomize::find(),
            key,
            writer_key: None,
            read_only,
            board,
            metrics: OnceLock::new(),
            turns: Semaphore::new(MIRROR_AT_ONCE),
            renders: Semaphore::new(std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4))),
            sights: Sights::default(),
            upstream: upstream::Read::default(),
            reading: Reading::default(),
        })
    }

    /// Runs one whole operation on the mirror, off the async threads.
    ///
    /// # Errors
    /// What the operation returns.
    pub async fn with_mirror<T, F>(&self, work: F) -> Result<T, GitError>
    where
        T: Send + 'static,
        F: FnOnce(&Mirror) -> Result<T, GitError> + Send + 'static,
    {
        let _turn = self.turns.acquire().await.expect("because nobody closes it");
        let mirror = Arc::clone(&self.mirror);
        match tokio::task::spawn_blocking(move || mirror.work(work)).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// What asks the servers that checks name; made when it is first needed, since it reads the machine's certificates.
    pub(super) fn metrics(&self) -> &Metrics {
        self.metrics.get_or_init(|| Metrics::new(metrics::TIME_LIMIT))
    }

    /// The cluster and the journal.
    ///
    /// # Errors
    /// There is none: the verb was started without a cluster.
    pub fn target(&self) -> Result<&Target, Reason> {
        self.target.as_ref().ok_or_else(|| Reason::new(Code::ClusterUnreachable, "no cluster is configured"))
    }

    /// The environments that this agent serves, by name.
    #[must_use]
    pub fn environments(&self) -> &[Environment] {
        &self.setup.pipeline.environments
    }

    /// Whom an environment trusts.
    #[must_use]
    pub fn trust(&self, environment: &Environment) -> Trust {
        let ground = match (&environment.promotion.from, environment.unit.is_whole()) {
            (Some(_), _) => Ground::Upstream,
            (None, true) => Ground::Signatures,
            (None, false) => Ground::Content,
        };
        Trust {
            ground,
            environment: environment.name.clone(),
            signers: self.setup.signers.clone(),
            writers: self.setup.pipeline.writers_of(environment),
            carriers: environment.carriers,
        }
    }

    /// What an environment may touch.
    #[must_use]
    pub fn fence(&self, environment: &Environment) -> Fence {
        Fence {
            namespaces: environment.namespaces.clone(),
            default_namespace: environment.default_namespace.clone(),
            cluster_kinds: environment.cluster_kinds.clone(),
            agent_namespace: self.setup.agent_namespace.clone(),
        }
    }

    /// The rules for an environment's plans.
    #[must_use]
    pub fn policy(&self, environment: &Environment) -> Policy {
        Policy {
            adopt: environment.adopt,
            on_drift: environment.on_drift,
            prune_share: environment.prune_share,
            set_id: self.target.as_ref().map(|target| target.journal.set_id(&environment.name)).unwrap_or_default(),
        }
    }

    /// The labels of an environment's metrics.
    #[must_use]
    pub fn labels(&self, environment: &Environment) -> EnvironmentLabels {
        EnvironmentLabels::new(&self.setup.pipeline.name, &environment.name)
    }

    /// The key of the hashes by which drift is seen: it comes from the agent's key, so that a restart does not change it.
    /// Without a key nothing was ever hashed.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        HashKey::new(self.key.as_ref().map(|key| key.derive("drift hashes")).unwrap_or_default())
    }

    /// How many releases stay recallable.
    #[must_use]
    pub fn keep(&self) -> usize {
        usize::try_from(self.setup.pipeline.keep).unwrap_or(usize::MAX)
    }

    /// What the course needs of the configuration.
    #[must_use]
    pub fn settings(&self, environment: &Environment) -> Settings {
        let files = BTreeMap::from([
            ("signers".to_owned(), self.setup.signers.text().as_bytes().to_vec()),
            ("policy.yaml".to_owned(), self.setup.pipeline_text.as_bytes().to_vec()),
        ]);
        Settings {
            environment: environment.name.clone(),
            deadline: environment.deadline,
            soak: environment.promotion.soak,
            rolls_back: environment.promotion.on_failure == OnFailure::Rollback,
            reverts: self.writer_key.is_some(),
            promotes: self.writer_key.is_some() && environment.promotion.promote == Promote::Auto,
            checks: self.setup.pipeline.checks_of(environment).into_iter().cloned().collect(),
            keep: self.keep(),
            policy: self.policy(environment),
            fence: self.fence(environment),
            hash_key: self.hash_key(),
            files,
            introduction: self.setup.pipeline.trust.introduction.clone(),
        }
    }
}
