//! Which public keys count: the one place that says yes or no to an algorithm, for signatures and signers alike.

use ed25519_dalek::VerifyingKey;
use ssh_key::public::KeyData;
use ssh_key::{EcdsaCurve, HashAlg, PublicKey};

use super::SignatureProblem;
use crate::name::Fingerprint;

/// Bits; NIST SP 800-57 part 1, table 2: 128 bits of security.
const RSA_LEAST: usize = 3072;

/// Bits; the most the RSA implementation takes.
const RSA_MOST: usize = 8192;

/// Reads a public key in its SSH wire form (RFC 4253, section 6.6), if it may sign.
pub(super) fn read(blob: &[u8]) -> Result<(KeyData, Fingerprint), SignatureProblem> {
    let algorithm = algorithm(blob).ok_or_else(|| malformed("the public key cannot be read"))?;
    refuse_by_name(&algorithm)?;
    let key = PublicKey::from_bytes(blob).map_err(|_| malformed("the public key cannot be read"))?;
    if key.to_bytes().ok().as_deref() != Some(blob) {
        return Err(malformed("the public key is not in canonical form"));
    }
    refuse_by_strength(key.key_data())?;
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let fingerprint = fingerprint.parse().map_err(|_| malformed("the public key has no SHA-256 fingerprint"))?;
    Ok((key.key_data().clone(), fingerprint))
}

/// The algorithm's name, which a public key in wire form begins with.
pub(super) fn algorithm(blob: &[u8]) -> Option<String> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    let name = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let printable = !name.is_empty() && name.len() <= 64 && name.iter().all(u8::is_ascii_graphic);
    printable.then(|| String::from_utf8_lossy(name).into_owned())
}

fn refuse_by_name(algorithm: &str) -> Result<(), SignatureProblem> {
    match algorithm {
        "ssh-ed25519" | "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" => Ok(()),
        "ssh-dss" => Err(SignatureProblem::WeakAlgorithm("a DSA key".to_owned())),
        name if name.contains("-cert-v") => Err(SignatureProblem::Unsupported(format!("a certificate (`{name}`)"))),
        name if name.starts_with("sk-") => {
            Err(SignatureProblem::Unsupported(format!("a hardware-backed key (`{name}`)")))
        }
        name => Err(SignatureProblem::Unsupported(format!("a key of type `{name}`"))),
    }
}

fn refuse_by_strength(key: &KeyData) -> Result<(), SignatureProblem> {
    if let Some(ecdsa) = key.ecdsa()
        && !matches!(ecdsa.curve(), EcdsaCurve::NistP256 | EcdsaCurve::NistP384)
    {
        return Err(SignatureProblem::Unsupported(format!("the curve `{}`", ecdsa.curve())));
    }
    if let Some(ed25519) = key.ed25519() {
        // A key of small order signs every payload alike (RFC 8032, section 8.9; ed25519-dalek, `is_weak`).
        let point = VerifyingKey::from_bytes(&ed25519.0).map_err(|_| malformed("the public key is no curve point"))?;
        let weak = || SignatureProblem::WeakAlgorithm("an ed25519 key of small order".to_owned());
        return if point.is_weak() { Err(weak()) } else { Ok(()) };
    }
    let Some(rsa) = key.rsa() else { return Ok(()) };
    // `RsaPublicKey::key_size` rounds up to whole bytes, which would pass a modulus of 3065 bits.
    let bits = rsa
        .n()
        .as_positive_bytes()
        .map_or(0, |n| n.len() * 8 - n.first().map_or(0, |byte| usize::try_from(byte.leading_zeros()).unwrap_or(0)));
    if bits < RSA_LEAST {
        Err(SignatureProblem::WeakAlgorithm(format!("an RSA key of {bits} bits (at least {RSA_LEAST})")))
    } else if bits > RSA_MOST {
        Err(SignatureProblem::Unsupported(format!("an RSA key of {bits} bits (at most {RSA_MOST})")))
    } else {
        Ok(())
    }
}

fn malformed(problem: &str) -> SignatureProblem {
    SignatureProblem::Malformed(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_signs_everything_alike_is_refused() {
        // The neutral element: with it, one signature is good for every payload.
        let mut point = [0; 32];
        point[0] = 1;
        let blob: Vec<u8> = [&11_u32.to_be_bytes()[..], b"ssh-ed25519", &32_u32.to_be_bytes(), &point].concat();
        let refused = read(&blob).map(|(_, fingerprint)| fingerprint);
        assert_eq!(refused, Err(SignatureProblem::WeakAlgorithm("an ed25519 key of small order".to_owned())));
    }
}
