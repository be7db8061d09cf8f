//! The agent's own key.

use std::fmt;

use sha2::{Digest as _, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::SignatureProblem;
use crate::name::Fingerprint;

/// The agent's own ed25519 key, with which it signs its deployment log. Its debug form shows the fingerprint only.
pub struct AgentKey {
    key: PrivateKey,
    fingerprint: Fingerprint,
}

impl AgentKey {
    /// The key made from 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::new(Ed25519Keypair::from_seed(&seed))
    }

    /// Reads an unencrypted OpenSSH private key.
    ///
    /// # Errors
    /// Not an OpenSSH private key, encrypted, or not ed25519.
    pub fn from_openssh(text: &str) -> Result<Self, SignatureProblem> {
        let key = PrivateKey::from_openssh(text)
            .map_err(|_| SignatureProblem::Malformed("it is not an OpenSSH private key".to_owned()))?;
        if key.is_encrypted() {
            return Err(SignatureProblem::Unsupported("a private key with a passphrase".to_owned()));
        }
        match key.key_data() {
            KeypairData::Ed25519(pair) => Ok(Self::new(pair.clone())),
            _ => Err(SignatureProblem::Unsupported(format!("a private key of type `{}`", key.algorithm()))),
        }
    }

    /// The key as an OpenSSH private key file.
    #[must_use]
    pub fn to_openssh(&self) -> Zeroizing<String> {
        self.key.to_openssh(LineEnding::LF).expect("because an unencrypted ed25519 key always has a file form")
    }

    /// 32 bytes that only the holder of the key can make, others for each purpose; nothing of the key can be told from them.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let seed = match self.key.key_data() {
            KeypairData::Ed25519(pair) => Zeroizing::new(pair.private.to_bytes()),
            _ => unreachable!("because an agent key is ed25519"),
        };
        let mut hash = Sha256::new();
        hash.update(b"lockmaster derives a key for ");
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(*seed);
        hash.finalize().into()
    }

    /// The fingerprint of its public key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    /// `ssh-ed25519 AAAA…`, as in an `allowed_signers` line behind the principal.
    #[must_use]
    pub fn public_key(&self) -> String {
        let public = self.key.public_key();
        public.to_openssh().expect("because an ed25519 key always has a line form").trim_end().to_owned()
    }

    /// An armored SSHSIG signature over `payload`, as `ssh-keygen -Y sign` makes it (SHA-512).
    ///
    /// # Panics
    /// The namespace is empty; namespaces are constants of the code.
    #[must_use]
    pub fn sign(&self, namespace: &str, payload: &[u8]) -> String {
        let signature = self.key.sign(namespace, HashAlg::Sha512, payload);
        let signature = signature.expect("because an ed25519 key signs anything in a namespace that is not empty");
        let mut armor = signature.to_pem(LineEnding::LF).expect("because a signature always has an armored form");
        if !armor.ends_with('\n') {
            armor.push('\n');
        }
        armor
    }

    fn new(pair: Ed25519Keypair) -> Self {
        let key = PrivateKey::new(KeypairData::Ed25519(pair), "").expect("because the key pair is not encrypted");
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let fingerprint = fingerprint.parse().expect("because it is a SHA-256 fingerprint of OpenSSH's form");
        AgentKey { key, fingerprint }
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AgentKey").field(&self.fingerprint.as_str()).finish()
    }
}
