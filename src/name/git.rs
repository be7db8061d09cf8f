//! Names in Git: object ids, full reference names, paths, and SHA-256 digests.

use std::fmt;
use std::str::FromStr;

use super::InvalidName;

/// The id of a Git object: 40 hex digits (SHA-1) or 64 (SHA-256), lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId(String);

impl ObjectId {
    /// The id as lower-case hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, as people read ids.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl FromStr for ObjectId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex && (text.len() == 40 || text.len() == 64) {
            Ok(ObjectId(text.to_owned()))
        } else {
            Err(InvalidName::new(text, "a Git object id: 40 or 64 lower-case hex digits"))
        }
    }
}

impl TryFrom<String> for ObjectId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> String {
        id.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct CommitId(pub ObjectId);

impl CommitId {
    /// The first seven digits, as people read ids.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.short()
    }

    /// The id as lower-case hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for CommitId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.parse().map(CommitId)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A full reference name, such as `refs/heads/env/prod` (git-check-ref-format, rules 1 to 10).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct RefName(String);

impl RefName {
    /// The reference of a branch.
    ///
    /// # Errors
    /// The name would not be a reference.
    pub fn branch(name: &str) -> Result<Self, InvalidName> {
        format!("refs/heads/{name}").parse().map_err(|_| InvalidName::new(name, "a branch name"))
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as people say it: without `refs/heads/` or `refs/tags/`.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.strip_prefix("refs/heads/").or_else(|| self.0.strip_prefix("refs/tags/")).unwrap_or(&self.0)
    }
}

impl FromStr for RefName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let part = |p: &str| !p.is_empty() && !p.starts_with('.') && !p.ends_with(".lock");
        let character = |c: char| !c.is_control() && !" ~^:?*[\\".contains(c);
        let good = text.strip_prefix("refs/").is_some_and(|rest| rest.contains('/'))
            && text.split('/').all(part)
            && text.chars().all(character)
            && !text.contains("..")
            && !text.contains("@{")
            && !text.ends_with('.');
        if good { Ok(RefName(text.to_owned())) } else { Err(InvalidName::new(text, "a full reference name")) }
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path inside the repository: relative, `/` between parts, no empty, `.` or `..` part. The root is the empty text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

impl TryFrom<String> for RepoPath {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<RepoPath> for String {
    fn from(path: RepoPath) -> String {
        path.0
    }
}

impl RepoPath {
    /// The repository's root.
    #[must_use]
    pub fn root() -> Self {
        RepoPath(String::new())
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The directory that holds this path; the root for a path of one part.
    #[must_use]
    pub fn parent(&self) -> RepoPath {
        RepoPath(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned())
    }

    /// Whether this path is `directory` or lies below it.
    #[must_use]
    pub fn is_within(&self, directory: &RepoPath) -> bool {
        directory.0.is_empty()
            || self.0.strip_prefix(&directory.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The path that `relative` names seen from this directory; `..` goes up.
    ///
    /// # Errors
    /// `relative` is absolute, or leaves the repository.
    pub fn join(&self, relative: &str) -> Result<RepoPath, InvalidName> {
        let wrong = || InvalidName::new(relative, "a path inside the repository");
        if relative.starts_with('/') || relative.contains('\0') {
            return Err(wrong());
        }
        let mut parts: Vec<&str> = self.0.split('/').filter(|p| !p.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(wrong)?;
                }
                part => parts.push(part),
            }
        }
        Ok(RepoPath(parts.join("/")))
    }
}

impl FromStr for RepoPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let good = text.is_empty()
            || (text.split('/').all(|p| !p.is_empty() && p != "." && p != "..") && !text.contains('\0'));
        if good { Ok(RepoPath(text.to_owned())) } else { Err(InvalidName::new(text, "a path inside the repository")) }
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// Two lower-case hex digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// A SHA-256 digest. Prints as `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl FromStr for Digest {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || InvalidName::new(text, "a digest: `sha256:` and 64 lower-case hex digits");
        let hex = text.strip_prefix("sha256:").ok_or_else(wrong)?;
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Digest(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_two_lower_case_digits_each() {
        let bytes: Vec<u8> = (0..=255).collect();
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex(&bytes), written);
    }

    #[test]
    fn an_id_is_lower_case_hex_of_one_of_two_lengths() {
        assert!("a".repeat(40).parse::<CommitId>().is_ok());
        assert!("0".repeat(64).parse::<CommitId>().is_ok());
        for bad in ["", &"a".repeat(39), &"A".repeat(40), &"g".repeat(40)] {
            assert!(bad.parse::<CommitId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reference_name_is_full_and_checked_as_git_does() {
        assert_eq!(RefName::branch("env/prod").expect("because it is a branch name").as_str(), "refs/heads/env/prod");
        for bad in [
            "heads/x",
            "refs/x",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/heads/a@{1}",
            "refs/heads/a.",
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_never_leaves_the_repository() {
        let dir: RepoPath = "overlays/dev".parse().expect("because it is a path");
        assert_eq!(dir.join("../../base").expect("because it stays inside").as_str(), "base");
        assert!(dir.join("../../../etc").is_err());
        assert!(dir.join("/etc").is_err());
        for bad in ["/a", "a//b", "a/../b", "./a", "a/"] {
            assert!(bad.parse::<RepoPath>().is_err(), "{bad}");
        }
        assert!(dir.is_within(&RepoPath::root()));
        assert!(!"overlays/develop".parse::<RepoPath>().expect("because it is a path").is_within(&dir));
    }

    #[test]
    fn a_digest_prints_and_parses() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
    }
}
