//! A control plane for tests, on loopback ports, in a temporary folder, one per test binary: a real one (etcd,
//! kube-apiserver, kube-controller-manager and a puppet node), or the program's own embedded API.
//!
//! A test file says `mod control_plane;`, names its tests in a table, and ends with `control_plane::run(tests)`
//! (libtest-mimic, `harness = false`) for what only a real server proves, or with `control_plane::run_anywhere(tests)` for
//! what the embedded API proves too. Without the binaries the former are listed as ignored; the latter run on the real
//! server where `LOCKMASTER_TEST_CLUSTER=real` says so, and with `LOCKMASTER_RECORD` what was said to it is kept
//! (`tests/transcripts`). Tests share the server and run at once: each makes namespaces of its own.

#![expect(dead_code, reason = "each test binary uses its own part of the harness")]

pub(crate) mod audit;
mod player;
pub(crate) mod process;
pub(crate) mod proxy;
mod puppet;
pub(crate) mod recorder;
#[path = "../tools/signer.rs"]
pub(crate) mod signer;
mod storage;
#[path = "../tools/mod.rs"]
pub(crate) mod tools;
pub(crate) mod transcript;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use libtest_mimic::{Arguments, Trial};
use lockmaster::embedded::{self, Embedded};
use serde_json::{Value, json};

/// Keeps the expectation above true in a binary that uses everything.
const NOT_USED_BY_ANY: () = ();

/// The user of the harness itself: may do everything.
pub(crate) const ADMIN: &str = "admin";
/// The user under which tests run an agent: may do everything, and nobody else writes in its name.
pub(crate) const AGENT: &str = "agent";
/// May do everything, and the audit log tells each of its requests, also those that only read.
pub(crate) const COUNTED: &str = "counted";
/// Users without any right but those that a test gives them.
const SPARE_USERS: usize = 12;
/// How long a server may take until it is ready; it takes 4 s on two cores when nothing else runs.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long [`eventually`] waits; only a test that fails takes this long.
const EVENTUALLY_LIMIT: Duration = Duration::from_secs(60);

/// One test: its name, which states a law, and its body.
pub(crate) type Test = (&'static str, fn(&'static ControlPlane));

/// Runs the tests under libtest-mimic; without a control plane they are listed as ignored.
pub(crate) fn run(tests: Vec<Test>) -> ExitCode {
    run_but(tests, &[])
}

/// The same with these parts of a control plane only.
pub(crate) fn run_on(parts: Parts, tests: Vec<Test>) -> ExitCode {
    PARTS.set(parts).expect("because a test binary says once what it needs");
    run(tests)
}

/// Says that the tests of this binary mostly wait: so many of them run at once.
pub(crate) fn at_once(tests_at_once: usize) {
    AT_ONCE.set(tests_at_once).expect("because a test binary says once what it needs");
}

/// The same, with tests that are listed as ignored: the name, and why.
pub(crate) fn run_but(tests: Vec<Test>, left_out: &[(&'static str, &'static str)]) -> ExitCode {
    run_split(Vec::new(), tests, left_out)
}

/// Says which programs the tests of this binary need besides those of the control plane.
pub(crate) fn needs(programs: &'static [&'static str]) {
    NEEDS.set(programs).expect("because a test binary says once what it needs");
}

/// Runs tests that the embedded API proves.
pub(crate) fn run_anywhere(tests: Vec<Test>) -> ExitCode {
    run_split(tests, Vec::new(), &[])
}

/// Runs tests that the embedded API proves, and tests that need a real server, with some left out.
pub(crate) fn run_split(anywhere: Vec<Test>, real: Vec<Test>, left_out: &[(&'static str, &'static str)]) -> ExitCode {
    if let Some(code) = signer::sign_if_asked() {
        return code;
    }
    let tool = tools::missing(NEEDS.get().copied().unwrap_or_default());
    let server = binaries().is_none().then(|| "no control plane: set KUBEBUILDER_ASSETS or run .ci/run".to_owned());
    let unless = |trial: Trial, missing: Option<&String>| match missing {
        Some(why) => trial.with_kind(why.clone()).with_ignored_flag(true),
        None => trial,
    };
    let anywhere = anywhere.into_iter().map(|(name, body)| {
        let trial = Trial::test(name, move || {
            let plane = if on_real() { shared() } else { embedded() };
            recorder::told(name, || body(plane));
            Ok(())
        });
        unless(trial, tool.as_ref().or(server.as_ref().filter(|_| on_real())))
    });
    let real = real.into_iter().map(|(name, body)| {
        let trial = Trial::test(name, move || {
            body(shared());
            Ok(())
        });
        unless(trial, server.as_ref().or(tool.as_ref()))
    });
    // Those of a real server take longest.
    let trials = real.chain(anywhere);
    let left_out = left_out.iter().map(|(name, why)| {
        let never = || unreachable!("because an ignored test that is asked for lacks what it needs");
        Trial::test(*name, never).with_kind(*why).with_ignored_flag(true)
    });
    let mut arguments = Arguments::from_args();
    let at_once = if recorder::is_asked_for() { Some(1) } else { AT_ONCE.get().copied() };
    arguments.test_threads = arguments.test_threads.or(at_once);
    libtest_mimic::run(&arguments, trials.chain(left_out).collect()).exit_code()
}

/// The folder with the binaries: `KUBEBUILDER_ASSETS`, the ecosystem's own convention; never the ambient `KUBECONFIG`.
pub(crate) fn binaries() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?);
    for name in ["etcd", "kube-apiserver", "kube-controller-manager"] {
        assert!(folder.join(name).is_file(), "KUBEBUILDER_ASSETS has no `{name}` in {}", folder.display());
    }
    Some(folder)
}

/// Whether tests that run anywhere are to run on a real server.
pub(crate) fn on_real() -> bool {
    recorder::is_asked_for() || std::env::var("LOCKMASTER_TEST_CLUSTER").is_ok_and(|cluster| cluster == "real")
}

/// The embedded API of this test binary, started on first use.
pub(crate) fn embedded() -> &'static ControlPlane {
    static EMBEDDED: OnceLock<ControlPlane> = OnceLock::new();
    EMBEDDED.get_or_init(|| ControlPlane::start(Parts::Embedded))
}

/// The control plane of this test binary, started on first use.
pub(crate) fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<ControlPlane> = OnceLock::new();
    SHARED.get_or_init(|| match recorder::is_asked_for() {
        true => recorder::start(ControlPlane::start(Parts::Server)),
        false => ControlPlane::start(PARTS.get().copied().unwrap_or(Parts::All)),
    })
}

/// What [`run_on`] was asked for.
static PARTS: OnceLock<Parts> = OnceLock::new();

/// What [`needs`] said.
static NEEDS: OnceLock<&[&str]> = OnceLock::new();

/// What [`at_once`] said.
static AT_ONCE: OnceLock<usize> = OnceLock::new();

/// What is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parts {
    /// The embedded API.
    Embedded,
    /// etcd and the API server.
    Server,
    /// Also the controllers and the puppet node.
    All,
}

/// A running control plane; everything of it ends with this value, or with the process however that ends.
pub(crate) struct ControlPlane {
    folder: PathBuf,
    url: String,
    admin: kube::Client,
    runtime: tokio::runtime::Runtime,
    processes: Mutex<Vec<process::Kept>>,
    embedded: Option<Embedded>,
    _broom: Option<process::Broom>,
    namespaces: AtomicUsize,
    spare_users: AtomicUsize,
}

impl ControlPlane {
    /// Starts one of its own, for tests that stop or restart servers; others use [`shared`].
    pub(crate) fn start(parts: Parts) -> ControlPlane {
        if parts == Parts::Embedded {
            return ControlPlane::start_embedded(embedded::Options::default());
        }
        let binaries = binaries().expect("because tests without binaries are ignored");
        let runtime = tokio::runtime::Runtime::new().expect("because threads can be started");
        // A free port may be taken by another process before the server binds it.
        let once = || process::serve(&binaries, &runtime, &tokens());
        let started = once().or_else(|_| once()).or_else(|_| once());
        let (folder, url, mut processes) = started.unwrap_or_else(|failure| panic!("control plane: {failure}"));
        if parts == Parts::All {
            let kubeconfig = write_kubeconfig(&folder, "controllers", &url, "controllers");
            processes.push(process::controllers(&binaries, &folder, &kubeconfig));
            let puppet = client(&runtime, &folder, &url, "puppet");
            runtime.spawn(puppet::run(puppet));
        }
        let admin = client(&runtime, &folder, &url, ADMIN);
        let (namespaces, spare_users) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let processes = Mutex::new(processes);
        ControlPlane { folder, url, admin, runtime, processes, embedded: None, _broom: None, namespaces, spare_users }
    }

    /// Starts an embedded API of its own.
    pub(crate) fn start_embedded(options: embedded::Options) -> ControlPlane {
        let runtime = tokio::runtime::Runtime::new().expect("because threads can be started");
        let folder = tempfile::tempdir().expect("because there is room for a folder").keep();
        let broom = Some(process::Broom::behind(&folder));
        let options = embedded::Options { tokens: users().map(|user| format!("{user}-token")).collect(), ..options };
        let api = runtime.block_on(Embedded::start(options)).expect("because loopback ports are left");
        let url = api.url();
        let certificate = api.certificate().expect("because kubectl tells its token over TLS alone");
        std::fs::create_dir(folder.join("pki")).expect("because the folder is ours");
        std::fs::write(folder.join("pki/apiserver.crt"), certificate).expect("because the folder is ours");
        let admin = client(&runtime, &folder, &url, ADMIN);
        let (namespaces, spare_users) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let processes = Mutex::default();
        ControlPlane {
            folder,
            url,
            admin,
            runtime,
            processes,
            embedded: Some(api),
            _broom: broom,
            namespaces,
            spare_users,
        }
    }

    /// The embedded API, if this is one.
    pub(crate) fn api(&self) -> Option<&Embedded> {
        self.embedded.as_ref()
    }

    /// Kills the API server.
    pub(crate) fn kill_server(&self) {
        self.server(process::Kept::kill);
    }

    /// Starts the API server that was killed again, and waits until it is ready.
    pub(crate) fn start_server(&self) {
        self.server(process::Kept::start_again);
        eventually("the API server is ready again", || {
            let request = http::Request::get("/readyz").body(Vec::new()).expect("because the path is valid");
            self.block_on(self.admin.request_text(request)).ok().filter(|answer| answer == "ok")
        });
    }

    fn server(&self, act: impl FnOnce(&mut process::Kept)) {
        self.process("apiserver", act);
    }

    fn process<T>(&self, name: &str, act: impl FnOnce(&mut process::Kept) -> T) -> T {
        let mut processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let process = processes.iter_mut().find(|process| process.name() == name);
        act(process.expect("because every control plane has one"))
    }

    /// The API server's URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A folder that is removed with the control plane.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A client that may do everything.
    pub(crate) fn admin(&self) -> kube::Client {
        self.admin.clone()
    }

    /// A client of a user.
    pub(crate) fn client(&self, user: &str) -> kube::Client {
        client(&self.runtime, &self.folder, &self.url, user)
    }

    /// A kubeconfig file of a user, straight to the API server.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        write_kubeconfig(&self.folder, user, &self.url, user)
    }

    /// A user that nobody else uses and that has no right yet.
    pub(crate) fn spare_user(&self) -> String {
        let number = self.spare_users.fetch_add(1, Ordering::Relaxed);
        assert!(number < SPARE_USERS, "more tests than spare users: raise SPARE_USERS");
        format!("spare-{number}")
    }

    /// Makes a namespace that nobody else uses.
    pub(crate) fn namespace(&self, stem: &str) -> String {
        let name = format!("{stem}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        self.create("/api/v1/namespaces", &json!({"metadata": {"name": name}}));
        name
    }

    /// Runs a future of a test.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Where background work of a test is spawned.
    pub(crate) fn runtime(&self) -> &tokio::runtime::Handle {
        self.runtime.handle()
    }

    /// Creates an object as the admin: the path of the collection, and the object.
    pub(crate) fn create(&self, path: &str, object: &Value) -> Value {
        self.send("POST", path, Some(object)).unwrap_or_else(|error| panic!("cannot create at `{path}`: {error}"))
    }

    /// Reads an object as the admin; `None` where there is none.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        match self.send("GET", path, None) {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.is_not_found() => None,
            Err(error) => panic!("cannot read `{path}`: {error}"),
        }
    }

    /// Merge-patches an object as the admin.
    pub(crate) fn patch(&self, path: &str, patch: &Value) -> Value {
        self.send("PATCH", path, Some(patch)).unwrap_or_else(|error| panic!("cannot patch `{path}`: {error}"))
    }

    /// Deletes an object as the admin; it need not exist.
    pub(crate) fn delete(&self, path: &str) {
        match self.send("DELETE", path, None) {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => panic!("cannot delete `{path}`: {error}"),
        }
    }

    /// Sends a request as the admin.
    ///
    /// # Errors
    /// What the server answered.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> kube::Result<Value> {
        let media = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).header("content-type", media).body(bytes);
        let request = request.expect("because the paths of tests are valid");
        self.block_on(self.admin.request::<Value>(request))
    }
}

/// How many of a long row of cases are tried: all of them with `LOCKMASTER_THOROUGH`, as `.ci/long` does, else so many.
pub(crate) fn cases(all: usize, quick: usize) -> usize {
    if std::env::var_os("LOCKMASTER_THOROUGH").is_some() { all } else { quick }
}

/// Asks again until there is an answer; fails the test after a minute.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < EVENTUALLY_LIMIT, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(25));
    }
}

/// The users that may do everything.
const MASTERS: [&str; 5] = ["admin", "agent", "counted", "puppet", "controllers"];

fn users() -> impl Iterator<Item = String> {
    let spare = (0..SPARE_USERS).map(|number| format!("spare-{number}"));
    MASTERS.iter().map(|user| (*user).to_owned()).chain(spare)
}

/// `token,user,uid,"group"` for every user; a user's token is its name and `-token`.
fn tokens() -> String {
    let masters = MASTERS.iter().map(|user| format!("{user}-token,{user},{user},\"system:masters\"\n"));
    let spare = (0..SPARE_USERS).map(|number| format!("spare-{number}-token,spare-{number},spare-{number}\n"));
    masters.chain(spare).collect()
}

fn client(runtime: &tokio::runtime::Runtime, folder: &Path, url: &str, user: &str) -> kube::Client {
    let text = kubeconfig_text(folder, url, user);
    let kubeconfig = Kubeconfig::from_yaml(&text).expect("because the harness wrote it");
    runtime.block_on(async {
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let config = config.expect("because the harness wrote it");
        kube::Client::try_from(config).expect("because the certificate is readable")
    })
}

/// Writes a kubeconfig file into the folder and says where.
fn write_kubeconfig(folder: &Path, name: &str, url: &str, user: &str) -> PathBuf {
    let path = folder.join(format!("kubeconfig-{name}"));
    // Written beside and renamed: another test may read the same user's file at this moment.
    let part = folder.join(format!("kubeconfig-{name}.{:?}", std::thread::current().id()));
    std::fs::write(&part, kubeconfig_text(folder, url, user)).expect("because the folder is ours");
    std::fs::rename(&part, &path).expect("because the folder is ours");
    path
}

/// JSON, which is YAML.
fn kubeconfig_text(folder: &Path, url: &str, user: &str) -> String {
    let mut cluster = json!({"server": url});
    if url.starts_with("https:") {
        cluster["certificate-authority"] = json!(folder.join("pki/apiserver.crt"));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": format!("{user}-token")}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user, "namespace": "default"}}],
    })
    .to_string()
}
