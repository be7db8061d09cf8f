//! The processes of a control plane: started on free ports, ended with the test binary however that ends.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use super::START_LIMIT;

/// A server process in a process group of its own, and the watchdog that ends it.
///
/// The watchdog waits for the end of its standard input, whose other end only this process holds: the kernel closes it
/// also after a panic, `exit` or SIGKILL.
pub(crate) struct Kept {
    name: &'static str,
    command: Command,
    folder: PathBuf,
    server: Child,
    watchdog: Child,
    leash: Option<ChildStdin>,
}

impl Kept {
    /// Starts a server whose output goes to `NAME.log` in the folder; the folder is removed after the server ended.
    pub(crate) fn start(name: &'static str, program: &Path, arguments: &[String], folder: &Path) -> Kept {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).process_group(0);
        let server = spawn(&mut command, name, folder);
        let mut watchdog = watchdog(server.id(), folder);
        let leash = watchdog.stdin.take();
        Kept { name, command, folder: folder.to_owned(), server, watchdog, leash }
    }

    /// Kills the server as the kernel does; its folder stays.
    pub(crate) fn kill(&mut self) {
        self.server.kill().and_then(|()| self.server.wait()).expect("because it is our child");
    }

    /// Starts a server that was killed with the same arguments.
    pub(crate) fn start_again(&mut self) {
        self.server = spawn(&mut self.command, self.name, &self.folder);
        let mut newer = watchdog(self.server.id(), &self.folder);
        self.watchdog.kill().and_then(|()| self.watchdog.wait()).expect("because it is our child");
        (self.leash, self.watchdog) = (newer.stdin.take(), newer);
    }

    /// The process id, to stop or kill the server in a fault test.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// The value of a flag that it was started with.
    pub(crate) fn flag(&self, name: &str) -> Option<String> {
        let flags = self.command.get_args().filter_map(|argument| argument.to_str());
        flags.filter_map(|flag| flag.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned).next()
    }

    /// The server's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.leash.take());
        // Both end by themselves; waiting only removes their entries from the process table.
        let ended = self.server.wait().and_then(|_| self.watchdog.wait());
        ended.expect("because they are our children");
    }
}

/// Starts a server whose output is added to `NAME.log` in the folder.
fn spawn(command: &mut Command, name: &str, folder: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join(format!("{name}.log")));
    let log = log.expect("because the folder is ours");
    let errors = log.try_clone().expect("because file descriptors are left");
    let server = command.stdout(log).stderr(errors).spawn();
    server.unwrap_or_else(|error| panic!("cannot start `{name}`: {error}"))
}

/// Kills a server and removes the folder once its own standard input ends.
fn watchdog(server: u32, folder: &Path) -> Child {
    let script = "cat >/dev/null; kill -KILL \"$1\" 2>/dev/null; sleep 0.2; rm -rf \"$2\"";
    let mut watchdog = Command::new("sh");
    watchdog.args(["-c", script, "watchdog", &server.to_string()]).arg(folder).process_group(0);
    watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    watchdog.spawn().expect("because there is a shell")
}

/// Removes a folder when it is dropped or this process has ended, however that ends.
pub(crate) struct Broom(Child);

impl Broom {
    pub(crate) fn behind(folder: &Path) -> Broom {
        let mut broom = Command::new("sh");
        broom.args(["-c", "cat >/dev/null; rm -rf \"$1\"", "broom"]).arg(folder).process_group(0);
        broom.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Broom(broom.spawn().expect("because there is a shell"))
    }
}

impl Drop for Broom {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("because it is our child");
    }
}

/// Starts etcd and the API server and waits until they are ready: the folder, the URL, the processes.
///
/// # Errors
/// What kept the server from being ready, with the end of its log.
pub(crate) fn serve(
    binaries: &Path,
    runtime: &tokio::runtime::Runtime,
    tokens: &str,
) -> Result<(PathBuf, String, Vec<Kept>), String> {
    let folder = tempfile::Builder::new().prefix("lockmaster-control-plane-").tempdir();
    let folder = folder.expect("because the temporary folder is writable").keep();
    std::fs::write(folder.join("tokens.csv"), tokens).expect("because the folder is ours");
    std::fs::write(folder.join("audit.yaml"), super::audit::POLICY).expect("because the folder is ours");
    let key = Command::new("openssl").args(["genrsa", "-out"]).arg(folder.join("sa.key")).arg("2048").output();
    let key = key.expect("because openssl is installed");
    assert!(key.status.success(), "openssl genrsa: {}", String::from_utf8_lossy(&key.stderr));
    let [client, peer, secure] = free_ports();
    let mut processes = vec![
        Kept::start("etcd", &binaries.join("etcd"), &etcd_arguments(&folder, client, peer), &folder),
        Kept::start("apiserver", &binaries.join("kube-apiserver"), &server_arguments(&folder, client, secure), &folder),
    ];
    let url = format!("https://127.0.0.1:{secure}");
    await_ready(runtime, &folder, &url, &mut processes)?;
    Ok((folder, url, processes))
}

/// Starts the controllers.
pub(crate) fn controllers(binaries: &Path, folder: &Path, kubeconfig: &Path) -> Kept {
    let off = "nodeipam nodelifecycle cloud-node-lifecycle route service persistentvolume-binder-controller \
               pod-garbage-collector-controller";
    let off: Vec<String> = off.split_whitespace().map(|name| format!("-{name}")).collect();
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--service-account-private-key-file={}", folder.join("sa.key").display()),
        "--use-service-account-credentials=false".to_owned(),
        format!("--controllers=*,{}", off.join(",")),
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    Kept::start("controllers", &binaries.join("kube-controller-manager"), &arguments, folder)
}

fn await_ready(
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
    url: &str,
    processes: &mut [Kept],
) -> Result<(), String> {
    let start = Instant::now();
    let certificate = folder.join("pki/apiserver.crt");
    let mut client = None;
    loop {
        for process in processes.iter_mut() {
            if let Ok(Some(status)) = process.server.try_wait() {
                return Err(format!("{} ended with {status}: {}", process.name, log_end(folder, process.name)));
            }
        }
        if client.is_none() && certificate.is_file() {
            client = Some(super::client(runtime, folder, url, super::ADMIN));
        }
        if let Some(client) = &client {
            let request = http::Request::get("/readyz").body(Vec::new()).expect("because the path is valid");
            if runtime.block_on(client.request_text(request)).is_ok_and(|answer| answer == "ok") {
                return Ok(());
            }
        }
        if start.elapsed() > START_LIMIT {
            return Err(format!("not ready after {START_LIMIT:?}: {}", log_end(folder, "apiserver")));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

fn log_end(folder: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Ports that are free at this moment, all different because all are held at once.
pub(crate) fn free_ports() -> [u16; 3] {
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("because loopback ports are left"));
    held.map(|listener| listener.local_addr().expect("because it is bound").port())
}

fn etcd_arguments(folder: &Path, client: u16, peer: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
    ]
}

fn server_arguments(folder: &Path, etcd: u16, secure: u16) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--cert-dir={}", at("pki")),
        format!("--secure-port={secure}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", at("sa.key")),
        format!("--service-account-signing-key-file={}", at("sa.key")),
        format!("--token-auth-file={}", at("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--disable-admission-plugins=ServiceAccount,DefaultStorageClass".to_owned(),
        format!("--audit-policy-file={}", at("audit.yaml")),
        format!("--audit-log-path={}", at("audit.log")),
    ]
}
