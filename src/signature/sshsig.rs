//! SSHSIG, the signature format of `ssh-keygen -Y sign` (OpenSSH PROTOCOL.sshsig, section 3).

use ssh_key::{Algorithm, HashAlg, Signature, SshSig};

use super::SignatureProblem;
use super::{armor, key};
use crate::name::Fingerprint;

const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

/// Checks an armored signature over `payload`; the key that made it.
pub(super) fn verify(armored: &[u8], namespace: &str, payload: &[u8]) -> Result<Fingerprint, SignatureProblem> {
    let blob = armor::decode(armored)?;
    let fields = Fields::read(&blob)?;
    let (public, fingerprint) = key::read(fields.public_key)?;
    if fields.namespace != namespace.as_bytes() {
        return Err(SignatureProblem::WrongNamespace(readable(fields.namespace)));
    }
    let hash = hash(fields.hash)?;
    let signature = Signature::try_from(fields.signature).map_err(|_| malformed("the signature's bytes"))?;
    refuse_weak(&signature)?;
    let signature = SshSig::new(public.clone(), namespace, hash, signature).map_err(|_| malformed("no namespace"))?;
    match ssh_key::PublicKey::from(public).verify(namespace, payload, &signature) {
        Ok(()) => Ok(fingerprint),
        Err(_) => Err(SignatureProblem::Mismatch),
    }
}

/// The fields of the blob as they stand in it.
struct Fields<'a> {
    public_key: &'a [u8],
    namespace: &'a [u8],
    hash: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(blob: &'a [u8]) -> Result<Self, SignatureProblem> {
        let rest = blob.strip_prefix(MAGIC).ok_or_else(|| malformed("the blob is not SSHSIG"))?;
        let (version, mut rest) = rest.split_first_chunk::<4>().ok_or_else(|| malformed("the blob is too short"))?;
        let version = u32::from_be_bytes(*version);
        if version != VERSION {
            return Err(SignatureProblem::Unsupported(format!("SSHSIG version {version}")));
        }
        let public_key = string(&mut rest)?;
        let namespace = string(&mut rest)?;
        let reserved = string(&mut rest)?;
        let hash = string(&mut rest)?;
        let signature = string(&mut rest)?;
        // OpenSSH does not sign what stands in `reserved`, so anything there would be another signature over the same.
        if !reserved.is_empty() || !rest.is_empty() {
            return Err(malformed("the blob has bytes that nobody signed"));
        }
        Ok(Fields { public_key, namespace, hash, signature })
    }
}

/// Reads a length of four bytes, and as many bytes (RFC 4251, section 5).
fn string<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], SignatureProblem> {
    let short = || malformed("the blob is too short");
    let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| short())?;
    let (value, tail) = tail.split_at_checked(length).ok_or_else(short)?;
    *rest = tail;
    Ok(value)
}

fn hash(name: &[u8]) -> Result<HashAlg, SignatureProblem> {
    match name {
        b"sha256" => Ok(HashAlg::Sha256),
        b"sha512" => Ok(HashAlg::Sha512),
        b"sha1" => Err(SignatureProblem::WeakAlgorithm("the hash `sha1`".to_owned())),
        other => Err(SignatureProblem::Unsupported(format!("the hash `{}`", readable(other)))),
    }
}

fn refuse_weak(signature: &Signature) -> Result<(), SignatureProblem> {
    match signature.algorithm() {
        Algorithm::Rsa { hash: None } => Err(SignatureProblem::WeakAlgorithm("an RSA signature over SHA-1".to_owned())),
        _ => Ok(()),
    }
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(64).flat_map(char::escape_debug).collect()
}

fn malformed(problem: &str) -> SignatureProblem {
    SignatureProblem::Malformed(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::AgentKey;
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    fn armored(blob: &[u8]) -> String {
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", wrapped(&STANDARD.encode(blob)))
    }

    fn wrapped(base64: &str) -> String {
        let lines = base64.as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line).into_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn blob() -> Vec<u8> {
        let armor = AgentKey::from_seed([7; 32]).sign("git", b"text");
        armor::decode(armor.as_bytes()).expect("because our own armor is strict")
    }

    #[test]
    fn refuses_bytes_that_nobody_signed() {
        assert!(verify(armored(&blob()).as_bytes(), "git", b"text").is_ok());
        let longer = [blob(), vec![0]].concat();
        let unsigned = SignatureProblem::Malformed("the blob has bytes that nobody signed".to_owned());
        assert_eq!(verify(armored(&longer).as_bytes(), "git", b"text"), Err(unsigned));
    }

    #[test]
    fn names_a_weak_hash_and_a_key_of_another_kind() {
        let replaced = |from: &[u8], to: &[u8]| {
            let blob = blob();
            let at = blob.windows(from.len()).position(|window| window == from).expect("because it is in the blob");
            armored(&[&blob[..at], to, &blob[at + from.len()..]].concat())
        };
        for (armor, problem) in [
            (replaced(b"\x06sha512", b"\x04sha1"), SignatureProblem::WeakAlgorithm("the hash `sha1`".to_owned())),
            (replaced(b"sha512", b"sha384"), SignatureProblem::Unsupported("the hash `sha384`".to_owned())),
            (
                replaced(b"ssh-ed25519", b"sk-ssh-ed25"),
                SignatureProblem::Unsupported("a hardware-backed key (`sk-ssh-ed25`)".to_owned()),
            ),
            (
                replaced(b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\x02"),
                SignatureProblem::Unsupported("SSHSIG version 2".to_owned()),
            ),
        ] {
            assert_eq!(verify(armor.as_bytes(), "git", b"text"), Err(problem));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_changed_blob_panics_or_counts(at in 0..2000_usize, byte in proptest::num::u8::ANY, cut in 0..2000_usize) {
            let good = blob();
            let mut changed = good.clone();
            let at = at % changed.len();
            changed[at] = byte;
            changed.truncate(changed.len().max(1) - if cut < changed.len() { cut } else { 0 });
            let verdict = verify(armored(&changed).as_bytes(), "git", b"text");
            assert_eq!(verdict.is_ok(), changed == good);
        }
    }
}
