//! The people whose signatures count (ssh-keygen(1), ALLOWED SIGNERS), read more strictly than `ssh-keygen` does.
//!
//! Wildcards, certificate authorities and times in the local zone are refused: each lets somebody in whom the file does
//! not name, or at a time that depends on the machine.

mod line;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::name::{Digest, Fingerprint, Principal};
use line::SignerLine;

/// A line of `allowed_signers` that cannot be honoured; the whole file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct InvalidSigners {
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// What is wrong.
    pub problem: String,
}

/// Whose key it is at a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The key belongs to this principal now.
    Valid(Principal),
    /// The key is listed, but not for this time.
    OutsideWindow { principal: Principal, valid_after: Option<Timestamp>, valid_before: Option<Timestamp> },
    /// The key is listed for other namespaces only.
    OtherNamespace(Principal),
    /// No line names the key.
    Unknown,
}

/// The people whose signatures count, from an `allowed_signers` file (ssh-keygen(1), ALLOWED SIGNERS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    text: String,
    /// The lines of each key, in the order of the file.
    keys: BTreeMap<Fingerprint, Vec<SignerLine>>,
}

impl Signers {
    /// Reads the file strictly. A line may name several principals, which are one person: the first is reported.
    ///
    /// # Errors
    /// A line that cannot be honoured, or no signer at all.
    pub fn parse(text: &str) -> Result<Self, InvalidSigners> {
        let mut keys: BTreeMap<Fingerprint, Vec<SignerLine>> = BTreeMap::new();
        let mut people: BTreeMap<Principal, Principal> = BTreeMap::new();
        for (number, content) in (1..).zip(text.split('\n')) {
            let invalid = |problem| InvalidSigners { line: number, problem };
            let Some((fingerprint, line)) = line::read(content).map_err(invalid)? else { continue };
            one_person(&mut people, &line.principals).map_err(invalid)?;
            let same_key = keys.entry(fingerprint).or_default();
            if let Some(other) = same_key.iter().find(|other| other.principals != line.principals) {
                let (here, there) = (&line.principals[0], &other.principals[0]);
                return Err(invalid(format!("the key of `{here}` stands in another line as the key of `{there}`")));
            }
            same_key.push(line);
        }
        if keys.is_empty() {
            return Err(InvalidSigners { line: 0, problem: "the file names no signer".to_owned() });
        }
        Ok(Signers { text: text.to_owned(), keys })
    }

    /// The text as it was read; an entry of the deployment log keeps it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest of [`Signers::text`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// Whether this principal stands first in some line: the name that is reported, and that roles must use.
    #[must_use]
    pub fn knows(&self, principal: &Principal) -> bool {
        self.keys.values().flatten().any(|line| line.principals.first() == Some(principal))
    }

    /// Whose key this is, for this namespace, at this time.
    #[must_use]
    pub fn standing(&self, key: &Fingerprint, namespace: &str, at: Timestamp) -> Standing {
        let Some(lines) = self.keys.get(key) else { return Standing::Unknown };
        let mut nearest = Standing::Unknown;
        for line in lines {
            let principal = line.principals[0].clone();
            if !line.is_for(namespace) {
                if nearest == Standing::Unknown {
                    nearest = Standing::OtherNamespace(principal);
                }
            } else if line.is_open(at) {
                return Standing::Valid(principal);
            } else if !matches!(nearest, Standing::OutsideWindow { .. }) {
                let (valid_after, valid_before) = (line.valid_after, line.valid_before);
                nearest = Standing::OutsideWindow { principal, valid_after, valid_before };
            }
        }
        nearest
    }
}

/// Refuses a person with two reported names, who would count twice where two are needed.
fn one_person(people: &mut BTreeMap<Principal, Principal>, principals: &[Principal]) -> Result<(), String> {
    let first = &principals[0];
    for principal in principals {
        let known = people.entry(principal.clone()).or_insert_with(|| first.clone());
        if known != first {
            return Err(format!("`{principal}` is another name of `{known}` in one line, and of `{first}` in this"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
