//! What a running agent leaves in the state directory for programs beside it: the token of its API, and where it is.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::json;
use zeroize::Zeroizing;

use crate::name::{Code, Reason};

/// Who may read them: their owner.
const MODE: u32 = 0o600;
/// How long a token is, in random bytes.
const TOKEN_BYTES: usize = 32;

/// The token of the agent's API, from the file `token`; made on the first run. A file that others may read is closed.
///
/// # Errors
/// It cannot be read or made.
pub(super) fn token(folder: &Path) -> Result<SecretString, Reason> {
    let file = folder.join("token");
    match std::fs::read_to_string(&file).map(Zeroizing::new) {
        Ok(text) if !text.trim().is_empty() => {
            std::fs::set_permissions(&file, Permissions::from_mode(MODE)).map_err(|error| unusable(&file, &error))?;
            Ok(SecretString::from(text.trim()))
        }
        // An empty one would let nobody in.
        Ok(_) => new_token(&file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => new_token(&file),
        Err(error) => Err(unusable(&file, &error)),
    }
}

fn new_token(file: &Path) -> Result<SecretString, Reason> {
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| unusable(file, &error))?;
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    write(file, &text)?;
    Ok(SecretString::from(text.as_str()))
}

/// The file `agent.json`, which says where the agent listens and as which process it runs; it goes with this value.
#[derive(Debug)]
pub(super) struct Announced(PathBuf);

/// Writes `agent.json`.
///
/// # Errors
/// It cannot be written.
pub(super) fn announce(folder: &Path, address: SocketAddr) -> Result<Announced, Reason> {
    let file = folder.join("agent.json");
    write(&file, &json!({"address": address, "pid": std::process::id()}).to_string())?;
    Ok(Announced(file))
}

impl Drop for Announced {
    fn drop(&mut self) {
        // Whoever finds it later sees that its process is gone.
        drop(std::fs::remove_file(&self.0));
    }
}

/// Writes a file so that it is whole or as it was, and never readable by others.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(file: &Path, text: &str) -> Result<(), Reason> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let written = tempfile::Builder::new().permissions(Permissions::from_mode(MODE)).tempfile_in(folder);
    let written = written.and_then(|mut part| {
        part.write_all(format!("{text}\n").as_bytes())?;
        part.persist(file).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &dyn std::error::Error) -> Reason {
    Reason::new(Code::Usage, format!("`{}` cannot be used: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn mode(file: &Path) -> u32 {
        std::fs::metadata(file).expect("because it was written").permissions().mode() & 0o777
    }

    #[test]
    fn a_token_is_made_once_is_long_and_is_nobody_elses() {
        let folder = tempfile::tempdir().expect("because there is room");
        let first = token(folder.path()).expect("because the folder is ours");
        assert_eq!(first.expose_secret().len(), 43, "32 bytes in base64url");
        let file = folder.path().join("token");
        assert_eq!(mode(&file), 0o600);
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("because it is ours");
        let again = token(folder.path()).expect("because it is there");
        assert_eq!(again.expose_secret(), first.expose_secret());
        assert_eq!(mode(&file), 0o600, "a file that others may read is closed");
        std::fs::write(&file, " \n").expect("because it is ours");
        let made_anew = token(folder.path()).expect("because the folder is ours");
        assert_eq!(made_anew.expose_secret().len(), 43);
        assert_ne!(made_anew.expose_secret(), first.expose_secret());
        assert_eq!(std::fs::read_dir(folder.path()).expect("because it is ours").count(), 1, "no parts are left");
    }

    #[test]
    fn an_agent_says_where_it_is_until_it_stops() {
        let folder = tempfile::tempdir().expect("because there is room");
        let address = "127.0.0.1:8643".parse().expect("because it is an address");
        let announced = announce(folder.path(), address).expect("because the folder is ours");
        let file = folder.path().join("agent.json");
        let text = std::fs::read_to_string(&file).expect("because it was written");
        let document: serde_json::Value = serde_json::from_str(&text).expect("because it is JSON");
        assert_eq!(document, json!({"address": "127.0.0.1:8643", "pid": std::process::id()}));
        assert_eq!(mode(&file), 0o600);
        drop(announced);
        assert!(!file.exists());
    }

    #[test]
    fn a_token_that_cannot_be_read_is_named_and_not_replaced() {
        let folder = tempfile::tempdir().expect("because there is room");
        std::fs::create_dir(folder.path().join("token")).expect("because the folder is ours");
        let reason = token(folder.path()).expect_err("because it is a folder");
        assert!(reason.message.contains("/token`"), "{}", reason.message);
    }
}
