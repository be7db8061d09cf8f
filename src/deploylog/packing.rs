//! The journal's bytes of an entry: one version byte, then each Git object as Git stores it loose, behind its length.
//! The commit comes first, then its trees, the root first, then the blobs that the log had not.

use super::git_object::{GitObject, ObjectKind};

/// The version of the packing, as its first byte.
const PACKING_VERSION: u8 = 1;

/// Why packed bytes cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Packed by a later agent.
    #[error("the entry is packed in version {0}, this agent knows version {PACKING_VERSION}")]
    Version(u8),
    /// Not what [`super::seal`] makes.
    #[error("the entry's bytes are cut or damaged")]
    Damaged,
}

/// Packs a commit and the objects it needs.
pub(super) fn pack<'a>(objects: impl IntoIterator<Item = &'a GitObject>) -> Vec<u8> {
    let mut bytes = vec![PACKING_VERSION];
    for object in objects {
        let loose = object.to_loose();
        let length = u32::try_from(loose.len()).expect("because no attached file has 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&loose);
    }
    bytes
}

/// The Git objects in the bytes of an entry, the commit first: what publishing writes into a repository. Nothing is
/// verified but the packing itself.
///
/// # Errors
/// [`Unreadable`].
pub fn unpack(bytes: &[u8]) -> Result<Vec<GitObject>, Unreadable> {
    let (version, mut rest) = bytes.split_first().ok_or(Unreadable::Damaged)?;
    if *version != PACKING_VERSION {
        return Err(Unreadable::Version(*version));
    }
    let mut objects = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Unreadable::Damaged)?;
        let (loose, behind) = behind.split_at_checked(length).ok_or(Unreadable::Damaged)?;
        objects.push(GitObject::from_loose(loose).ok_or(Unreadable::Damaged)?);
        rest = behind;
    }
    let commits = objects.iter().filter(|object| object.kind == ObjectKind::Commit).count();
    let leads = objects.first().is_some_and(|object| object.kind == ObjectKind::Commit);
    if leads && commits == 1 { Ok(objects) } else { Err(Unreadable::Damaged) }
}
