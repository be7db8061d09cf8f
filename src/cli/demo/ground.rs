//! Where the demo takes place: a folder that goes with it, a Kubernetes API in the process, and the arguments of the agent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::Stopped;
use super::narrator::missed;
use super::shop::{WRITER_KEY, write};
use crate::cli::arguments::{self, Global};
use crate::edge::cluster::{Access, Cluster};
use crate::embedded::{Embedded, Options};
use crate::name::{Code, Reason};

/// How often the agent looks at a repository that it also watches.
const INTERVAL: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Ground {
    folder: tempfile::TempDir,
    api: Embedded,
    client: kube::Client,
}

impl Ground {
    /// Starts the API.
    pub(super) async fn start() -> Result<Ground, Stopped> {
        let folder = tempfile::Builder::new().prefix("lockmaster-demo-").tempdir();
        let folder = folder.map_err(|error| Stopped::unable("there is no room for a folder", error))?;
        let api = Embedded::start(Options::default()).await;
        let api = api.map_err(|error| Stopped::unable("the embedded Kubernetes API cannot be served", error))?;
        write(folder.path(), "kubeconfig", &api.kubeconfig(), true)?;
        let access = Access { kubeconfig: Some(folder.path().join("kubeconfig")), context: None };
        let cluster = Cluster::connect(&access).await.map_err(|error| Stopped::of(error.reason()))?;
        Ok(Ground { client: cluster.client(), folder, api })
    }

    /// A folder for what goes with the demo.
    pub(super) fn scratch(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The state directory of the agent.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Where the API is.
    pub(super) fn url(&self) -> String {
        self.api.url()
    }

    /// The flags of every verb, for this repository and this cluster.
    pub(super) fn global(&self, global: &Global, shop: &Path, state: PathBuf) -> Global {
        Global {
            file: Some(shop.join("lockmaster.yaml")),
            pipeline: None,
            namespace: None,
            repository: None,
            kubeconfig: Some(self.folder.path().join("kubeconfig")),
            context: None,
            agent_namespace: "lockmaster".to_owned(),
            state_dir: Some(state),
            quiet: true,
            ..global.clone()
        }
    }

    /// The flags of the agent: with a free port each, and the key that signs what it pushes.
    pub(super) fn run(shop: &Path) -> arguments::Run {
        let listen = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        arguments::Run {
            once: false,
            embedded: false,
            kubeconfig_out: None,
            read_only: false,
            environment: Vec::new(),
            interval: INTERVAL,
            listen,
            metrics_listen: listen,
            agent_key: None,
            writer_key: Some(shop.join(WRITER_KEY)),
            publish: None,
            webhook_secret_file: None,
        }
    }

    /// The version that the API says it has.
    pub(super) async fn version(&self) -> Result<String, Stopped> {
        let request = http::Request::get("/version").body(Vec::new());
        let version = self.ask(request).await.map_err(Stopped::of)?;
        version["gitVersion"].as_str().map(str::to_owned).ok_or_else(|| missed("a version", version))
    }

    /// Sets the replicas of a Deployment as `kubectl edit` does.
    pub(super) async fn scale(&self, namespace: &str, name: &str, replicas: u32) -> Result<(), Stopped> {
        let path = format!("{}?fieldManager=kubectl-edit", deployment(namespace, name));
        let body = json!({"spec": {"replicas": replicas}}).to_string().into_bytes();
        let request = http::Request::patch(path).header("Content-Type", "application/merge-patch+json").body(body);
        let answer = self.ask(request).await.map_err(Stopped::of)?;
        let found = answer.pointer("/spec/replicas").cloned().unwrap_or_default();
        if found == replicas { Ok(()) } else { Err(missed(format!("spec.replicas {replicas}"), found)) }
    }

    /// The replicas of a Deployment.
    pub(super) async fn replicas(&self, namespace: &str, name: &str) -> Result<Option<u64>, Reason> {
        let request = http::Request::get(deployment(namespace, name)).body(Vec::new());
        Ok(self.ask(request).await?.pointer("/spec/replicas").and_then(Value::as_u64))
    }

    /// The image of each Deployment of a namespace, in the order of their names.
    pub(super) async fn images(&self, namespace: &str) -> Result<Vec<String>, Reason> {
        let request = http::Request::get(format!("/apis/apps/v1/namespaces/{namespace}/deployments")).body(Vec::new());
        Ok(texts(&self.ask(request).await?, "/spec/template/spec/containers/0/image"))
    }

    /// What the containers of an app's pods wait for.
    pub(super) async fn waiting(&self, namespace: &str, app: &str) -> Result<Vec<String>, Reason> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector=app%3D{app}");
        let request = http::Request::get(path).body(Vec::new());
        Ok(texts(&self.ask(request).await?, "/status/containerStatuses/0/state/waiting/reason"))
    }

    async fn ask(&self, request: http::Result<http::Request<Vec<u8>>>) -> Result<Value, Reason> {
        let wrong = |error: &dyn std::error::Error| Reason::new(Code::ClusterUnreachable, error.to_string());
        let request = request.map_err(|error| wrong(&error))?;
        self.client.request(request).await.map_err(|error| wrong(&error))
    }

    /// Ends the API and removes the folder.
    pub(super) async fn end(self) {
        self.api.stop().await;
        drop(self.folder);
    }
}

/// A text of each object of a list that has it.
fn texts(list: &Value, pointer: &str) -> Vec<String> {
    let items = list["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item.pointer(pointer)?.as_str().map(str::to_owned)).collect()
}

fn deployment(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
}
