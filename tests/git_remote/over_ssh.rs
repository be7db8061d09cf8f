//! Laws about remotes behind a real `sshd` on loopback.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use lockmaster::edge::git::{Auth, Mirror, Remote};
use lockmaster::name::Code;

use crate::git_support::{Scene, assert_code, main_branch, remote};

/// Where OpenSSH's server lies: it insists on being started by its full path.
pub(crate) const SSHD: &str = "/usr/sbin/sshd";

/// Run as root, the server wants this empty folder, which the packages' service files make.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A running server; it ends with its owner.
struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
    user: String,
}

impl Server {
    fn start(scene: &Scene) -> Server {
        let folder = scene.root().join("ssh");
        fs::create_dir_all(&folder).expect("because the test may write");
        for (name, kind) in [("host", "ed25519"), ("client", "ed25519"), ("stranger", "ed25519"), ("rsa", "rsa")] {
            keygen(scene, &folder.join(name), kind);
        }
        let authorized = |name: &str| {
            let key = fs::read_to_string(folder.join(format!("{name}.pub"))).expect("because the key was made");
            format!("command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\",no-pty,no-port-forwarding {key}")
        };
        let keys = authorized("client") + &authorized("rsa");
        fs::write(folder.join("authorized_keys"), keys).expect("because the test may write");
        let user = String::from_utf8_lossy(&scene.command("id").arg("-un").output().expect("because it runs").stdout)
            .trim()
            .to_owned();
        fs::create_dir_all(PRIVILEGE_SEPARATION).ok();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("because loopback has a free port").port();
        let child = spawn(scene, &folder, port);
        Server { child, port, folder, user }
    }

    fn key(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).expect("because the key was made")
    }

    /// A line that says that the server has this key.
    fn line(&self, name: &str) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.key(&format!("{name}.pub")))
    }

    fn url(&self, scene: &Scene) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, scene.work().display())
    }

    fn mirror(&self, scene: &Scene, key: &str, known_hosts: &str) -> Mirror {
        let auth = Auth::SshKey { private_key: self.key(key).into(), known_hosts: known_hosts.to_owned() };
        scene.mirror_of(Remote { auth: Some(auth), ..remote(&self.url(scene)) })
    }

    fn fingerprint(&self, scene: &Scene, name: &str) -> String {
        let output = scene.command("ssh-keygen").arg("-lf").arg(self.folder.join(name)).output();
        let text = String::from_utf8_lossy(&output.expect("because ssh-keygen is installed").stdout).into_owned();
        text.split(' ').nth(1).expect("because it prints bits, fingerprint and comment").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn keygen(scene: &Scene, file: &Path, kind: &str) {
    let made = scene.command("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(file).status();
    assert!(made.expect("because ssh-keygen is installed").success());
}

/// Starts the server and reads what it says until it listens.
fn spawn(scene: &Scene, folder: &Path, port: u16) -> Child {
    let config = folder.join("sshd_config");
    let text = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host\nPidFile none\nAuthorizedKeysFile {0}/authorized_keys\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel INFO\n",
        folder.display()
    );
    fs::write(&config, text).expect("because the test may write");
    fs::set_permissions(folder.join("host"), fs::Permissions::from_mode(0o600)).expect("because it is ours");
    let mut child = scene
        .command(SSHD)
        .args(["-D", "-e", "-f"])
        .arg(&config)
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("because sshd is installed");
    let mut said = String::new();
    let mut stderr = BufReader::new(child.stderr.take().expect("because it is piped"));
    while !said.contains("Server listening") {
        let read = stderr.read_line(&mut said).expect("because sshd writes text");
        assert!(read > 0, "sshd ended: {said}");
    }
    // Somebody must go on reading, or the server would block when the pipe is full.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()).map(drop).ok());
    child
}

pub(crate) fn fetches_over_ssh_from_a_known_host() {
    let scene = Scene::new();
    let tip = scene.commit("a", "1");
    let server = Server::start(&scene);
    let hashed = server.folder.join("known_hosts");
    fs::write(&hashed, server.line("host")).expect("because the test may write");
    let status = scene.command("ssh-keygen").args(["-q", "-H", "-f"]).arg(&hashed).status();
    assert!(status.expect("because ssh-keygen is installed").success());
    let hashed = fs::read_to_string(&hashed).expect("because it was hashed");
    assert!(hashed.starts_with("|1|"), "{hashed}");
    let several = format!("# keys\n{}{}", server.line("stranger"), server.line("host"));
    for (key, known_hosts) in [("client", server.line("host")), ("client", hashed), ("rsa", several)] {
        let mirror = server.mirror(&scene, key, &known_hosts);
        let listed = mirror.ls_remote().expect("because the host is known and the key is good");
        assert_eq!(listed[&main_branch()], tip.0);
        mirror.fetch(&[(main_branch(), tip.clone())]).expect("because the commit is there");
        assert_eq!(mirror.tree(&tip).expect("because it was fetched").len(), 1);
        fs::remove_dir_all(scene.mirror_folder()).expect("because it is ours");
    }
}

pub(crate) fn a_host_that_is_not_known_is_refused_by_its_fingerprint() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let server = Server::start(&scene);
    let fingerprint = server.fingerprint(&scene, "host");
    let elsewhere = server.line("host").replace("127.0.0.1", "127.0.0.2");
    let revoked = format!("@revoked {}{}", server.line("host"), server.line("host"));
    for known_hosts in [server.line("stranger"), elsewhere, revoked, String::new()] {
        let message =
            assert_code(server.mirror(&scene, "client", &known_hosts).ls_remote(), Code::AuthenticationFailed);
        assert!(message.contains(&fingerprint), "{message}");
    }
}

pub(crate) fn a_key_that_the_server_refuses_is_offered_once() {
    let scene = Scene::new();
    scene.commit("a", "1");
    let server = Server::start(&scene);
    let message =
        assert_code(server.mirror(&scene, "stranger", &server.line("host")).ls_remote(), Code::AuthenticationFailed);
    assert!(message.contains("refuses the credentials"), "{message}");
    assert!(!message.contains("PRIVATE"), "{message}");
}

pub(crate) fn row_01_a_missing_repository_behind_ssh_is_a_failed_fetch() {
    let scene = Scene::new();
    let server = Server::start(&scene);
    fs::rename(scene.work(), scene.root().join("elsewhere")).expect("because the test may write");
    let mirror = server.mirror(&scene, "client", &server.line("host"));
    assert_code(mirror.ls_remote(), Code::FetchFailed);
}
