//! The id of an object, computed again from its bytes.

use sha1_checked::{CollisionResult, Sha1};

use super::RawCommit;
use super::fault::Fault;
use crate::name::{Digest, ObjectId, hex};

/// Checks that the bytes are the commit that the id names.
pub(super) fn check(raw: &RawCommit) -> Result<(), Fault> {
    check_object("commit", &raw.id.0, &raw.bytes).map_err(Fault::Corrupt)
}

/// Checks that the bytes are the object of this kind that the id names; else says what they are. SHA-1 is computed with
/// collision detection.
pub(super) fn check_object(kind: &str, id: &ObjectId, bytes: &[u8]) -> Result<(), String> {
    let object = object(kind, bytes);
    let found = match id.as_str().len() {
        64 => Digest::of(&object).hex(),
        _ => sha1(&object).ok_or("its bytes are made for a SHA-1 collision")?,
    };
    if found == id.as_str() { Ok(()) } else { Err(format!("its bytes have the id {found}")) }
}

/// The SHA-1 id of the object of this kind; `None` where its bytes are made for a collision.
pub(super) fn id_of(kind: &str, bytes: &[u8]) -> Option<ObjectId> {
    sha1(&object(kind, bytes))?.parse().ok()
}

/// The object as Git hashes it: with type and size before the bytes.
fn object(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = format!("{kind} {}\0", bytes.len()).into_bytes();
    object.extend_from_slice(bytes);
    object
}

fn sha1(object: &[u8]) -> Option<String> {
    match Sha1::try_digest(object) {
        CollisionResult::Ok(hash) => Some(hex(&hash)),
        CollisionResult::Mitigated(_) | CollisionResult::Collision(_) => None,
    }
}
