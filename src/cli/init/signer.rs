//! Whose signature git makes here, and with which key.

use std::path::Path;

use crate::cli::diagnostic::Failure;
use crate::edge::git::Habits;
use crate::name::{Code, Fingerprint, Principal};
use crate::signature::{GIT_NAMESPACE, public_key};

/// The one signer of a first `allowed_signers`.
#[derive(Debug)]
pub(super) struct Signer {
    pub(super) principal: Principal,
    pub(super) fingerprint: Fingerprint,
    key: String,
}

impl Signer {
    /// The signer that git's configuration names.
    ///
    /// # Errors
    /// Git signs in another way, or not at all; the hint holds the commands that help.
    pub(super) fn of(habits: &Habits) -> Result<Signer, Failure> {
        let ssh = habits.format.as_deref() == Some("ssh");
        let key = match &habits.key {
            Some(key) if ssh => key,
            _ if ssh && habits.asks_program => {
                let text =
                    "git asks a program for the signing key (`gpg.ssh.defaultKeyCommand`), which init does not run";
                return Err(Failure::new(Code::Usage, text).with_hint("name the key: git config user.signingkey FILE"));
            }
            _ => return Err(no_ssh_key(habits)),
        };
        let text = text(key, habits)?;
        let (line, fingerprint) = public_key(&text).map_err(|problem| {
            let message = format!("`user.signingkey` names no key that can be trusted: {problem}");
            Failure::new(Code::SignersInvalid, message).with_hint(format!("sign with another one: {}", commands()))
        })?;
        Ok(Signer { principal: principal(habits)?, fingerprint, key: line })
    }

    /// The text of `allowed_signers`.
    pub(super) fn file(&self) -> String {
        let Signer { principal, key, .. } = self;
        format!(
            "# Whose signatures count: one line for each person (ssh-keygen(1), ALLOWED SIGNERS).\n\
             {principal} namespaces=\"{GIT_NAMESPACE}\" {key}\n"
        )
    }
}

fn no_ssh_key(habits: &Habits) -> Failure {
    let message = match (habits.format.as_deref(), &habits.key) {
        (Some("ssh"), _) => "git has no key to sign with: `user.signingkey` is not set".to_owned(),
        (Some("x509"), _) => "git signs with X.509 here (`gpg.format`), which is not supported yet".to_owned(),
        (None | Some("openpgp"), Some(_)) => {
            "git signs with OpenPGP here (`gpg.format` is not `ssh`), which is not supported yet".to_owned()
        }
        (None | Some("openpgp"), None) => {
            "git signs nothing here: neither `gpg.format` nor `user.signingkey` is set".to_owned()
        }
        (Some(other), _) => format!("`gpg.format` is `{other}`, which git does not know; expected `ssh`"),
    };
    Failure::new(Code::Usage, message).with_hint(format!("sign with an SSH key: {}", commands()))
}

/// The commands that make git sign with an SSH key: the one that is there, or a new one.
fn commands() -> String {
    let there = ["id_ed25519", "id_ecdsa"].into_iter().find(|name| super::home_ssh(&format!("{name}.pub")).is_some());
    let make = if there.is_none() { "ssh-keygen -t ed25519 && " } else { "" };
    let name = there.unwrap_or("id_ed25519");
    format!(
        "{make}git config gpg.format ssh && git config user.signingkey ~/.ssh/{name}.pub && git config commit.gpgsign true"
    )
}

/// The key as text: what stands in the configuration, or in the file that it names.
fn text(key: &str, habits: &Habits) -> Result<String, Failure> {
    let Some(file) = &habits.key_file else { return Ok(key.strip_prefix("key::").unwrap_or(key).to_owned()) };
    // Beside a private key lies its public half, and a key in an agent has no other.
    let beside = format!("{}.pub", file.display());
    let read = |path: &Path| std::fs::read_to_string(path);
    read(Path::new(&beside)).or_else(|_| read(file)).map_err(|error| {
        let message = format!("`{}`, which `user.signingkey` names, cannot be read", file.display());
        Failure::new(Code::SignersInvalid, message)
            .because(error)
            .with_hint("name the file of a key: git config user.signingkey FILE")
    })
}

fn principal(habits: &Habits) -> Result<Principal, Failure> {
    let Some(email) = &habits.email else {
        let message = "git does not know who you are: `user.email` is not set";
        return Err(Failure::new(Code::Usage, message).with_hint("say it: git config user.email YOU@EXAMPLE.COM"));
    };
    email.parse().map_err(|_| {
        let message =
            format!("`user.email` is `{email}`, which is no name for a signer: it is one word without wildcards");
        Failure::new(Code::Usage, message).with_hint("change it: git config user.email YOU@EXAMPLE.COM")
    })
}
