//! A Git server of its own: a real `sshd` on loopback, which is stopped by its process id and started again.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where OpenSSH's server lies: it insists on being started by its full path.
pub(crate) const SSHD: &str = "/usr/sbin/sshd";

/// Run as root, the server wants this empty folder, which the packages' service files make.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// A server that serves the repositories of this machine's user; it ends with its owner.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Makes its keys in a folder and starts it.
    pub(crate) fn start(folder: &Path) -> Server {
        fs::create_dir_all(folder).expect("because the folder is ours");
        for name in ["host", "client"] {
            let file = folder.join(name).display().to_string();
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]).status();
            assert!(made.expect("because ssh-keygen is installed").success());
        }
        let public = |name: &str| fs::read_to_string(folder.join(format!("{name}.pub"))).expect("because it was made");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("because loopback has a free port").port();
        let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("because the folder is ours");
        write(
            "authorized_keys",
            format!("command=\"git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"\" {}", public("client")),
        );
        write("known_hosts", format!("[127.0.0.1]:{port} {}", public("host")));
        write(
            "sshd_config",
            format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host\nPidFile none\nAuthorizedKeysFile {0}/authorized_keys\n\
                 StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel INFO\n",
                folder.display()
            ),
        );
        fs::create_dir_all(PRIVILEGE_SEPARATION).ok();
        let mut server = Server { folder: folder.to_owned(), port, child: None };
        server.serve();
        server
    }

    /// Starts it, and waits until it listens.
    pub(crate) fn serve(&mut self) {
        let config = self.folder.join("sshd_config");
        let mut child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(config)
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
        self.child = Some(child);
    }

    /// Stops the process.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// The address of a repository, and how a pipeline reaches it.
    pub(crate) fn repository(&self, path: &Path) -> String {
        let user = Command::new("id").arg("-un").output().expect("because it runs").stdout;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        let (port, folder) = (self.port, self.folder.display());
        format!(
            "{{url: \"ssh://{user}@127.0.0.1:{port}{}\", auth: {{sshKeyFile: {folder}/client, knownHostsFile: {folder}/known_hosts}}}}",
            path.display()
        )
    }

    /// How a person's git reaches it (git-config, `core.sshCommand`).
    pub(crate) fn command(&self) -> String {
        let folder = self.folder.display();
        format!("ssh -F none -i {folder}/client -o UserKnownHostsFile={folder}/known_hosts -o BatchMode=yes")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
