//! Which key signed these bytes, and whose key is it?
//!
//! In: bytes, an armored signature, and `allowed_signers` text. Out: a fingerprint, or the problem. Nothing here knows
//! what a commit is, and nothing runs `ssh-keygen` or `gpg`.

mod agent_key;
mod armor;
mod key;
mod public;
mod signers;
mod sshsig;

use crate::name::Fingerprint;

pub use agent_key::AgentKey;
pub use public::public_key;
pub use signers::{InvalidSigners, Signers, Standing};

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
    sshsig::verify(armor, namespace, payload)
}
