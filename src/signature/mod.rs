//! Which key signed these bytes, and whose key is it?
//!
//! In: bytes, an armored signature, and `allowed_signers` text. Out: a fingerprint, or the problem. Nothing here knows
//! what a commit is, and nothing runs `ssh-keygen` or `gpg`.

use jiff::Timestamp;

use crate::name::{Digest, Fingerprint, Principal};

/// The SSHSIG namespace of commits and tags (git-config, `gpg.format=ssh`).
pub const GIT_NAMESPACE: &str = "git";

/// Why a signature proves nothing. Each is one reason code in `revision`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// The armor or the blob cannot be read.
    #[error("the signature cannot be read: {0}")]
    Malformed(String),
    /// The signature was made for another purpose.
    #[error("the signature is for namespace `{0}`, not `git`")]
    WrongNamespace(String),
    /// The key or hash is too weak: RSA below 3072 bits, DSA, SHA-1.
    #[error("{0} is too weak")]
    WeakAlgorithm(String),
    /// The algorithm is known and not supported, such as a hardware-backed `sk-` key or a certificate.
    #[error("{0} is not supported yet")]
    Unsupported(String),
    /// The signature is for other bytes.
    #[error("the signature does not match the bytes")]
    Mismatch,
}

/// Checks an armored SSHSIG signature over `payload` and returns the key that made it.
///
/// # Errors
/// The signature proves nothing; see [`SignatureProblem`].
pub fn verify_ssh(armor: &[u8], namespace: &str, payload: &[u8]) -> Result<Fingerprint, SignatureProblem> {
    unimplemented!("{armor:?} {namespace} {payload:?}")
}

/// A line of `allowed_signers` that cannot be honoured; the whole file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidSigners {
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// What is wrong.
    pub problem: String,
}

/// Whose key it is at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The key belongs to this principal now.
    Valid(Principal),
    /// The key is listed, but not for this time.
    OutsideWindow { principal: Principal, valid_after: Option<Timestamp>, valid_before: Option<Timestamp> },
    /// The key is listed for other namespaces only.
    OtherNamespace(Principal),
    /// No line names the key.
    Unknown,
}

/// The people whose signatures count, from an `allowed_signers` file (ssh-keygen(1), ALLOWED SIGNERS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {}

impl Signers {
    /// Reads the file strictly.
    ///
    /// # Errors
    /// A line that cannot be honoured, or no signer at all.
    pub fn parse(text: &str) -> Result<Self, InvalidSigners> {
        unimplemented!("{text}")
    }

    /// The text as it was read; an entry of the deployment log keeps it.
    #[must_use]
    pub fn text(&self) -> &str {
        unimplemented!()
    }

    /// The digest of [`Signers::text`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// Whether some line names this principal.
    #[must_use]
    pub fn knows(&self, principal: &Principal) -> bool {
        unimplemented!("{principal}")
    }

    /// Whose key this is, for this namespace, at this time.
    #[must_use]
    pub fn standing(&self, key: &Fingerprint, namespace: &str, at: Timestamp) -> Standing {
        unimplemented!("{key} {namespace} {at}")
    }
}

/// The agent's own ed25519 key, with which it signs its deployment log. Its debug form shows the fingerprint only.
pub struct AgentKey {}

impl AgentKey {
    /// The key made from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        unimplemented!("{}", seed.len())
    }

    /// Reads an unencrypted OpenSSH private key.
    ///
    /// # Errors
    /// Not an OpenSSH private key, encrypted, or not ed25519.
    pub fn from_openssh(text: &str) -> Result<Self, SignatureProblem> {
        unimplemented!("{}", text.len())
    }

    /// The key as an OpenSSH private key file.
    #[must_use]
    pub fn to_openssh(&self) -> zeroize::Zeroizing<String> {
        unimplemented!()
    }

    /// The fingerprint of its public key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        unimplemented!()
    }

    /// `ssh-ed25519 AAAA…`, as in an `allowed_signers` line behind the principal.
    #[must_use]
    pub fn public_key(&self) -> String {
        unimplemented!()
    }

    /// An armored SSHSIG signature over `payload`, as `ssh-keygen -Y sign` makes it (SHA-512).
    #[must_use]
    pub fn sign(&self, namespace: &str, payload: &[u8]) -> String {
        unimplemented!("{namespace} {}", payload.len())
    }
}
