//! Keys and signatures for git: by the real `ssh-keygen`, or where there is none by the program's own code. Git then calls
//! the test binary in its place.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use lockmaster::signature::AgentKey;

use super::tools;

/// The real one.
const SSH_KEYGEN: &str = "ssh-keygen";

/// Makes an ed25519 key at this path, and gives its public key.
pub(crate) fn make_key(file: &Path, name: &str) -> String {
    if tools::is_there(SSH_KEYGEN) {
        let mut command = Command::new(SSH_KEYGEN);
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(file).stdout(Stdio::null());
        assert!(command.status().expect("because ssh-keygen is there").success());
        return std::fs::read_to_string(file.with_extension("pub")).expect("because it was just made");
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("because the system has random bytes");
    let key = AgentKey::from_seed(seed);
    std::fs::write(file, key.to_openssh().as_bytes()).expect("because the folder is ours");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).expect("because the file is ours");
    let public = format!("{} {name}\n", key.public_key());
    std::fs::write(file.with_extension("pub"), &public).expect("because the folder is ours");
    public
}

/// What git calls to sign, made in this folder if need be.
pub(crate) fn program(folder: &Path) -> PathBuf {
    if tools::is_there(SSH_KEYGEN) {
        return PathBuf::from(SSH_KEYGEN);
    }
    let link = folder.join("signer");
    let this = std::env::current_exe().expect("because this program runs");
    std::os::unix::fs::symlink(this, &link).expect("because the folder is ours");
    link
}

/// Signs, if git called this program as `ssh-keygen -Y sign -n git -f KEY FILE` (ssh-keygen(1), `-Y sign`).
pub(crate) fn sign_if_asked() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ["-Y", "sign", "-n", namespace, "-f", key, file] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let key = std::fs::read_to_string(key).expect("because the stage made it");
    let key = AgentKey::from_openssh(&key).expect("because the stage made it");
    let payload = std::fs::read(file).expect("because git wrote it");
    std::fs::write(format!("{file}.sig"), key.sign(namespace, &payload)).expect("because git reads it");
    Some(ExitCode::SUCCESS)
}
