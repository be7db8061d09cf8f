//! The public key of somebody who signs, as their own files write it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::{PrivateKey, PublicKey};

use super::{SignatureProblem, key};
use crate::name::Fingerprint;

/// `ssh-ed25519 AAAA…` and its fingerprint, from the line of a public key, or from an OpenSSH private key, whose public
/// half needs no passphrase.
///
/// # Errors
/// It is neither, or a key that may not sign.
pub fn public_key(text: &str) -> Result<(String, Fingerprint), SignatureProblem> {
    let malformed = || SignatureProblem::Malformed("it is neither a public nor an OpenSSH private key".to_owned());
    let text = text.trim();
    if text.starts_with("-----BEGIN ") {
        let private = PrivateKey::from_openssh(text).map_err(|_| malformed())?;
        return checked(&private.public_key().to_bytes().map_err(|_| malformed())?);
    }
    let mut words = text.lines().next().unwrap_or("").split([' ', '\t']);
    let (kind, blob) = words.next().zip(words.next()).ok_or_else(malformed)?;
    let blob = STANDARD.decode(blob).map_err(|_| malformed())?;
    if key::algorithm(&blob).as_deref() != Some(kind) {
        return Err(malformed());
    }
    checked(&blob)
}

fn checked(blob: &[u8]) -> Result<(String, Fingerprint), SignatureProblem> {
    let (data, fingerprint) = key::read(blob)?;
    let line = PublicKey::from(data).to_openssh();
    let line = line.map_err(|_| SignatureProblem::Malformed("it has no line form".to_owned()))?;
    Ok((line.trim_end().to_owned(), fingerprint))
}

#[cfg(test)]
mod tests {
    use super::super::AgentKey;
    use super::*;

    #[test]
    fn a_private_key_and_its_public_line_are_one_key() {
        let key = AgentKey::from_seed([7; 32]);
        let expected = Ok((key.public_key(), key.fingerprint()));
        assert_eq!(public_key(&key.to_openssh()), expected);
        assert_eq!(public_key(&format!("{} dana@laptop\n", key.public_key())), expected);
        for wrong in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"] {
            assert!(matches!(public_key(wrong), Err(SignatureProblem::Malformed(_))), "{wrong}");
        }
        let other = key.public_key().replace("ssh-ed25519", "ssh-rsa");
        assert!(public_key(&other).is_err(), "the line says another type than the key");
    }
}
