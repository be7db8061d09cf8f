//! What a render reads, written as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::name::{Digest, RepoPath};

/// The files (path, SHA-256) and directory listings that a render reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Each file's content digest.
    pub files: BTreeMap<RepoPath, Digest>,
    /// Each listed directory: the digest of the sorted names that the renderer would read there ([`Inputs::listing`]).
    pub listings: BTreeMap<RepoPath, Digest>,
}

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InputKind {
    /// The content of a file.
    File,
    /// The names in a directory.
    Listing,
}

/// Names one input.
pub type InputKey = (InputKind, RepoPath);

impl Inputs {
    /// The digest of a listing: of the sorted names, joined by newlines.
    #[must_use]
    pub fn listing<'n>(names: impl IntoIterator<Item = &'n str>) -> Digest {
        Digest::of(names.into_iter().collect::<Vec<_>>().join("\n").as_bytes())
    }

    /// Every input, files before listings, each sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (InputKind, &RepoPath, Digest)> {
        let files = self.files.iter().map(|(path, digest)| (InputKind::File, path, *digest));
        files.chain(self.listings.iter().map(|(path, digest)| (InputKind::Listing, path, *digest)))
    }

    /// One line per input, files before listings, each sorted by path: `file <sha256:…> <path>`,
    /// `list <sha256 of the names joined by newlines> <path>`, the path as a JSON string.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (kind, path, digest) in self.iter() {
            write_line(&mut text, kind, digest, path);
        }
        text
    }

    /// Reads the text back; `None` where it is not what [`Inputs::to_text`] writes.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Inputs> {
        let text = std::str::from_utf8(text).ok()?;
        let mut inputs = Inputs::default();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ')?;
            let (digest, path) = rest.split_once(' ')?;
            let path: String = serde_json::from_str(path).ok()?;
            let into = if kind == "file" { &mut inputs.files } else { &mut inputs.listings };
            into.insert(path.parse().ok()?, digest.parse().ok()?);
        }
        (inputs.to_text() == text).then_some(inputs)
    }

    /// The digest of [`Inputs::to_text`]: equal inputs, equal digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }
}

/// A path may hold any byte but NUL, so a newline in it must not look like the end of the line.
fn write_line(text: &mut String, kind: InputKind, digest: Digest, path: &RepoPath) {
    let what = match kind {
        InputKind::File => "file",
        InputKind::Listing => "list",
    };
    let path = serde_json::Value::String(path.as_str().to_owned());
    writeln!(text, "{what} {digest} {path}").expect("because writing to a text cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        text.parse().expect("because it is a path")
    }

    #[test]
    fn writes_files_before_listings_by_path_with_quoted_paths() {
        let inputs = Inputs {
            files: BTreeMap::from([(path("b"), Digest::of(b"2")), (path("a\nfile"), Digest::of(b"1"))]),
            listings: BTreeMap::from([(RepoPath::root(), Inputs::listing(["a", "b"]))]),
        };
        let (one, two, list) = (Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"a\nb"));
        assert_eq!(inputs.to_text(), format!("file {one} \"a\\nfile\"\nfile {two} \"b\"\nlist {list} \"\"\n"));
        assert_eq!(Inputs::read(inputs.to_text().as_bytes()), Some(inputs));
        for other in
            [format!("list {list} \"\"\nfile {one} \"b\"\n"), format!("file {one} b\n"), format!("dir {one} \"b\"\n")]
        {
            assert_eq!(Inputs::read(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn differs_in_its_digest_when_a_file_a_path_or_a_name_differs() {
        let file = |p: &str, content: &[u8]| Inputs {
            files: BTreeMap::from([(path(p), Digest::of(content))]),
            listings: BTreeMap::new(),
        };
        let list = |names: &[&str]| Inputs {
            files: BTreeMap::new(),
            listings: BTreeMap::from([(path("a"), Inputs::listing(names.iter().copied()))]),
        };
        let all = [Inputs::default(), file("a", b"1"), file("a", b"2"), file("b", b"1"), list(&[]), list(&["x"])];
        let digests: std::collections::BTreeSet<Digest> = all.iter().map(Inputs::digest).collect();
        assert_eq!(digests.len(), all.len());
    }
}
