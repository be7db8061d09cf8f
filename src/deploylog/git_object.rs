//! Git objects as bytes: blobs, trees and signed commits, and the ids that Git gives them.
//!
//! Sources: gitformat-pack and "Git Objects" of the Git documentation for the encodings; gitformat-signature for where
//! the signature of a commit stands.

use std::collections::BTreeMap;

use sha1_checked::Sha1;

use crate::name::{ObjectId, hex};

/// The kinds of Git objects that a log is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A file's bytes.
    Blob,
    /// A directory.
    Tree,
    /// A commit.
    Commit,
}

impl ObjectKind {
    /// Git's word for it, as `git hash-object -t` takes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Blob => "blob",
            ObjectKind::Tree => "tree",
            ObjectKind::Commit => "commit",
        }
    }
}

/// One Git object with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitObject {
    /// What it is.
    pub kind: ObjectKind,
    /// Its SHA-1 id.
    pub id: ObjectId,
    /// Its content, without Git's `kind size` header.
    pub body: Vec<u8>,
}

impl GitObject {
    /// The object of this content, with the id that Git gives it.
    pub(super) fn new(kind: ObjectKind, body: Vec<u8>) -> Self {
        let hash = Sha1::try_digest(loose(kind, &body));
        let id = hex(hash.hash()).parse().expect("because SHA-1 has 40 hex digits");
        GitObject { kind, id, body }
    }

    /// The bytes that Git hashes and stores: `kind size`, a zero byte, the content.
    pub(super) fn to_loose(&self) -> Vec<u8> {
        loose(self.kind, &self.body)
    }

    /// Reads what [`GitObject::to_loose`] wrote.
    pub(super) fn from_loose(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let (header, body) = (&bytes[..end], &bytes[end + 1..]);
        let kinds = [ObjectKind::Blob, ObjectKind::Tree, ObjectKind::Commit];
        let kind = kinds.into_iter().find(|kind| format!("{} {}", kind.as_str(), body.len()).as_bytes() == header)?;
        Some(GitObject::new(kind, body.to_vec()))
    }
}

fn loose(kind: ObjectKind, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{} {}\0", kind.as_str(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

const FILE_MODE: &str = "100644";
const DIRECTORY_MODE: &str = "40000";

/// The trees of these files (paths with `/`, blob ids), the root first.
pub(super) fn write_trees(files: &BTreeMap<&str, &ObjectId>) -> Vec<GitObject> {
    let mut directories: BTreeMap<&str, BTreeMap<&str, &ObjectId>> = BTreeMap::new();
    let mut rows: Vec<(String, &str, &str, ObjectId)> = Vec::new();
    for (path, id) in files {
        match path.split_once('/') {
            Some((directory, rest)) => {
                directories.entry(directory).or_default().insert(rest, id);
            }
            None => rows.push(((*path).to_owned(), FILE_MODE, path, (*id).clone())),
        }
    }
    let mut below = Vec::new();
    for (name, content) in &directories {
        let trees = write_trees(content);
        // Git sorts a directory as if its name ended in `/`.
        rows.push((format!("{name}/"), DIRECTORY_MODE, name, trees[0].id.clone()));
        below.extend(trees);
    }
    rows.sort();
    let mut body = Vec::new();
    for (_, mode, name, id) in rows {
        body.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        body.extend_from_slice(&raw_id(&id));
    }
    let mut trees = vec![GitObject::new(ObjectKind::Tree, body)];
    trees.extend(below);
    trees
}

/// The files below a tree, by path, with their blob ids; `None` where a tree is missing or cannot be read. It is
/// lenient in order and repetition: compare [`write_trees`] of the result with the trees.
pub(super) fn read_trees<'a>(
    root: &ObjectId,
    tree: &impl Fn(&ObjectId) -> Option<&'a [u8]>,
) -> Option<BTreeMap<String, ObjectId>> {
    read_below(root, tree, DEPTH_LIMIT)
}

/// How deep a tree may be: attached files lie two directories deep, and a deeper tree is not ours.
const DEPTH_LIMIT: u32 = 16;

fn read_below<'a>(
    root: &ObjectId,
    tree: &impl Fn(&ObjectId) -> Option<&'a [u8]>,
    depth: u32,
) -> Option<BTreeMap<String, ObjectId>> {
    let mut files = BTreeMap::new();
    for (mode, name, id) in read_tree(tree(root)?)? {
        match mode {
            FILE_MODE => {
                files.insert(name.to_owned(), id);
            }
            DIRECTORY_MODE => {
                let below = read_below(&id, tree, depth.checked_sub(1)?)?;
                files.extend(below.into_iter().map(|(path, id)| (format!("{name}/{path}"), id)));
            }
            _ => return None,
        }
    }
    Some(files)
}

fn read_tree(mut body: &[u8]) -> Option<Vec<(&str, &str, ObjectId)>> {
    let mut rows = Vec::new();
    while !body.is_empty() {
        let end = body.iter().position(|byte| *byte == 0)?;
        let (mode, name) = std::str::from_utf8(&body[..end]).ok()?.split_once(' ')?;
        let id = body.get(end + 1..end + 1 + ID_BYTES)?;
        rows.push((mode, name, hex(id).parse().ok()?));
        body = &body[end + 1 + ID_BYTES..];
    }
    Some(rows)
}

/// The size of a SHA-1 id, in bytes.
const ID_BYTES: usize = 20;

fn raw_id(id: &ObjectId) -> Vec<u8> {
    let digit = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 };
    id.as_str().as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The header that carries the signature of a commit.
const SIGNATURE_HEADER: &str = "gpgsig ";

/// A commit's content: the signed payload with the armored signature as its last header.
pub(super) fn write_commit(payload: &str, signature: &str) -> Vec<u8> {
    let (headers, message) = payload.split_once("\n\n").expect("because a payload has headers and a message");
    let folded = signature.trim_end().replace('\n', "\n ");
    format!("{headers}\n{SIGNATURE_HEADER}{folded}\n\n{message}").into_bytes()
}

/// A commit's payload and armored signature, where its content is exactly what [`write_commit`] makes of the two.
pub(super) fn read_commit(body: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let (headers, message) = text.split_once("\n\n")?;
    let (signed, folded) = headers.split_once(&format!("\n{SIGNATURE_HEADER}"))?;
    let payload = format!("{signed}\n\n{message}");
    let signature = format!("{}\n", folded.replace("\n ", "\n"));
    (write_commit(&payload, &signature) == body).then_some((payload, signature))
}
