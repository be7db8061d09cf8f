//! The id of a commit, computed again from its bytes.

use sha1_checked::{CollisionResult, Sha1};

use super::RawCommit;
use super::fault::Fault;
use crate::name::Digest;

/// Checks that the bytes are what the id names. SHA-1 is computed with collision detection.
pub(super) fn check(raw: &RawCommit) -> Result<(), Fault> {
    let collision = || Fault::Corrupt("its bytes are made for a SHA-1 collision".to_owned());
    let found = match raw.id.as_str().len() {
        64 => Digest::of(&object(&raw.bytes)).hex(),
        _ => sha1(&raw.bytes).ok_or_else(collision)?,
    };
    if found == raw.id.as_str() { Ok(()) } else { Err(Fault::Corrupt(format!("its bytes have the id {found}"))) }
}

/// The object as Git hashes it: with type and size before the bytes.
fn object(bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("commit {}\0", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    object
}

fn sha1(bytes: &[u8]) -> Option<String> {
    match Sha1::try_digest(object(bytes)) {
        CollisionResult::Ok(hash) => Some(hash.iter().map(|byte| format!("{byte:02x}")).collect()),
        CollisionResult::Mitigated(_) | CollisionResult::Collision(_) => None,
    }
}
