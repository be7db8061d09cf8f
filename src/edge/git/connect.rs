//! The way in: which credentials are given, and which servers are believed.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, ProxyOptions, RemoteCallbacks};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use secrecy::ExposeSecret as _;

use super::error::GitError;
use super::known_hosts::{self, Standing};
use super::place::{Auth, Place, Remote, is_loopback};

/// How often a server may ask for the user name alone before it is given up.
const USERNAME_LIMIT: u32 = 2;

/// One operation's talk with a remote: it gives credentials once, and keeps why it broke off.
pub(super) struct Door<'r> {
    remote: &'r Remote,
    place: Place,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    asked: Cell<u32>,
    asked_for_user: Cell<u32>,
    refusal: RefCell<Option<GitError>>,
}

impl<'r> Door<'r> {
    pub(super) fn new(remote: &'r Remote) -> Result<Self, GitError> {
        let place = remote.place()?;
        let authorities = remote.ca_file.as_deref().map(read_authorities).transpose()?;
        let (asked, asked_for_user) = (Cell::new(0), Cell::new(0));
        Ok(Door { remote, place, authorities, asked, asked_for_user, refusal: RefCell::new(None) })
    }

    /// The callbacks that answer for us.
    pub(super) fn callbacks(&self) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(|_, _, allowed| self.credentials(allowed));
        match (&self.place, &self.authorities) {
            (Place::Ssh { host, port, .. }, _) => {
                callbacks.certificate_check(|certificate, _| {
                    let key = certificate.as_hostkey().and_then(|shown| shown.hostkey()).unwrap_or_default();
                    self.judge_host_key(host, *port, key)
                });
            }
            (Place::Http { host, .. }, Some(authorities)) => {
                callbacks.certificate_check(|certificate, _| {
                    let shown = certificate.as_x509().map(git2::cert::CertX509::data).unwrap_or_default();
                    self.judge_certificate(authorities, host, shown)
                });
            }
            (Place::Local(_) | Place::Http { .. }, _) => {}
        }
        callbacks
    }

    /// The proxy that the environment names; none on the way to this machine itself.
    pub(super) fn proxy(&self) -> ProxyOptions<'static> {
        let mut options = ProxyOptions::new();
        if let Place::Http { host, .. } = &self.place
            && !is_loopback(host)
        {
            options.auto();
        }
        options
    }

    /// Remembers our own reason to break off, and gives libgit2 an error to break off with.
    pub(super) fn refuse(&self, error: GitError) -> git2::Error {
        let code = match error {
            GitError::Authentication { .. } => ErrorCode::Auth,
            _ => ErrorCode::User,
        };
        let libgit2 = git2::Error::new(code, ErrorClass::Callback, error.to_string());
        self.refusal.borrow_mut().get_or_insert(error);
        libgit2
    }

    /// Why the operation failed: our own reason, if it was us who broke off.
    pub(super) fn explain(&self, error: &git2::Error) -> GitError {
        self.refusal.borrow_mut().take().unwrap_or_else(|| GitError::from_remote(&self.remote.to_string(), error))
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    fn unauthenticated(&self, found: impl Into<String>) -> git2::Error {
        self.refuse(GitError::Authentication { url: self.remote.to_string(), found: found.into() })
    }

    /// libgit2 asks again after each refusal, for ever: the same credentials are given once.
    fn credentials(&self, allowed: CredentialType) -> Result<Cred, git2::Error> {
        if allowed.contains(CredentialType::USERNAME) {
            self.asked_for_user.set(self.asked_for_user.get() + 1);
            return match &self.place {
                Place::Ssh { user, .. } if self.asked_for_user.get() <= USERNAME_LIMIT => Cred::username(user),
                _ => Err(self.unauthenticated("asks for a user name again and again")),
            };
        }
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() > 1 {
            return Err(self.unauthenticated("refuses the credentials"));
        }
        let fits = |kind| allowed.contains(kind);
        match (&self.remote.auth, &self.place) {
            (Some(Auth::Token(token)), _) if fits(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext("x-access-token", token.expose_secret())
            }
            (Some(Auth::Basic { username, password }), _) if fits(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext(username, password.expose_secret())
            }
            (Some(Auth::SshKey { private_key, .. }), Place::Ssh { user, .. }) if fits(CredentialType::SSH_MEMORY) => {
                Cred::ssh_key_from_memory(user, None, private_key.expose_secret(), None)
            }
            (Some(_), _) => Err(self.unauthenticated("does not take this kind of credentials")),
            (None, _) => Err(self.unauthenticated("asks for credentials, and none are configured")),
        }
    }

    fn judge_host_key(&self, host: &str, port: u16, key: &[u8]) -> Result<CertificateCheckStatus, git2::Error> {
        let text = match &self.remote.auth {
            Some(Auth::SshKey { known_hosts, .. }) => known_hosts.as_str(),
            Some(Auth::Token(_) | Auth::Basic { .. }) | None => "",
        };
        let shown = format!("shows host key `{}`", known_hosts::fingerprint(key));
        match known_hosts::look_up(text, host, port, key) {
            Standing::Known => Ok(CertificateCheckStatus::CertificateOk),
            Standing::Revoked => Err(self.unauthenticated(format!("{shown}, which is revoked in known hosts"))),
            Standing::Unknown => Err(self.unauthenticated(format!("{shown}, and known hosts do not name the host"))),
            Standing::OtherKeys(types) => {
                let known = types.join(", ");
                Err(self.unauthenticated(format!("{shown}, and known hosts have other keys for the host ({known})")))
            }
        }
    }

    fn judge_certificate(
        &self,
        authorities: &WebPkiServerVerifier,
        host: &str,
        shown: &[u8],
    ) -> Result<CertificateCheckStatus, git2::Error> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| self.unauthenticated(format!("`{host}` is no name a certificate can bear")))?;
        let certificate = CertificateDer::from(shown);
        match authorities.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()) {
            Ok(_) => Ok(CertificateCheckStatus::CertificateOk),
            Err(error) => Err(self.unauthenticated(format!("its certificate is not trusted: {error}"))),
        }
    }
}

/// libgit2 adds certificates process-wide only, which would let one remote's authority vouch for another remote; so the
/// certificate is judged here, against this remote's file alone.
fn read_authorities(file: &Path) -> Result<Arc<WebPkiServerVerifier>, GitError> {
    let wrong = |found: String| GitError::folder(file, format!("no usable certificates: {found}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| wrong(error.to_string()))
}
