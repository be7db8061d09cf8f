//! What a render reads, written as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::name::{Digest, RepoPath};

/// The files (path, SHA-256) and directory listings that a render reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// Each file's content digest.
    pub files: BTreeMap<RepoPath, Digest>,
    /// Each listed directory: the sorted names that the renderer would read there.
    pub listings: BTreeMap<RepoPath, Vec<String>>,
}

impl Inputs {
    /// One line per input, files before listings, each sorted by path: `file <sha256:…> <path>`,
    /// `list <sha256 of the names joined by newlines> <path>`, the path as a JSON string. It reads back only as digests.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Inputs { files, listings } = self;
        let mut text = String::new();
        for (path, digest) in files {
            write_line(&mut text, "file", *digest, path);
        }
        for (path, names) in listings {
            write_line(&mut text, "list", Digest::of(names.join("\n").as_bytes()), path);
        }
        text
    }

    /// The digest of [`Inputs::to_text`]: equal inputs, equal digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_text().as_bytes())
    }
}

/// A path may hold any byte but NUL, so a newline in it must not look like the end of the line.
fn write_line(text: &mut String, what: &str, digest: Digest, path: &RepoPath) {
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
            listings: BTreeMap::from([(RepoPath::root(), vec!["a".to_owned(), "b".to_owned()])]),
        };
        let (one, two, list) = (Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"a\nb"));
        assert_eq!(inputs.to_text(), format!("file {one} \"a\\nfile\"\nfile {two} \"b\"\nlist {list} \"\"\n"));
    }

    #[test]
    fn differs_in_its_digest_when_a_file_a_path_or_a_name_differs() {
        let file = |p: &str, content: &[u8]| Inputs {
            files: BTreeMap::from([(path(p), Digest::of(content))]),
            listings: BTreeMap::new(),
        };
        let list = |names: &[&str]| Inputs {
            files: BTreeMap::new(),
            listings: BTreeMap::from([(path("a"), names.iter().map(|n| (*n).to_owned()).collect())]),
        };
        let all = [Inputs::default(), file("a", b"1"), file("a", b"2"), file("b", b"1"), list(&[]), list(&["x"])];
        let digests: std::collections::BTreeSet<Digest> = all.iter().map(Inputs::digest).collect();
        assert_eq!(digests.len(), all.len());
    }
}
