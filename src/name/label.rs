//! Names that people give: pipelines, environments, units, roles, principals, and the fingerprints of keys.

use std::fmt;
use std::str::FromStr;

/// Says why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct InvalidName {
    /// The text as it was given.
    pub text: String,
    /// What it should have been, with its article.
    pub expected: &'static str,
}

impl InvalidName {
    pub(super) fn new(text: &str, expected: &'static str) -> Self {
        InvalidName { text: text.to_owned(), expected }
    }
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok($name(text.to_owned())) } else { Err(InvalidName::new(text, $expected)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// The longest pipeline or environment name: `<pipeline>.<environment>.<sequence>` must stay a DNS subdomain (253 bytes).
const LABEL_LIMIT: usize = 63;

/// RFC 1123 label, as Kubernetes uses it (Kubernetes, Object Names and IDs).
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= LABEL_LIMIT
        && bytes.iter().all(|b| inner(*b))
        && edge(bytes[0])
        && edge(bytes[bytes.len() - 1])
}

/// What the whole of an environment is called that has no units. No directory below another has this name.
const WHOLE: &str = ".";

fn is_unit(text: &str) -> bool {
    text == WHOLE || is_label(text)
}

/// The longest name of a check: `check-<check>-<sequence>`, the name of its Job, must stay a DNS label (63 bytes).
const CHECK_LIMIT: usize = 40;

fn is_check(text: &str) -> bool {
    is_label(text) && text.len() <= CHECK_LIMIT
}

fn is_principal(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_control() && !c.is_whitespace() && !"\",*?!".contains(c))
}

fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:").is_some_and(|rest| {
        rest.len() == 43 && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
    })
}

text_name!(
    /// The name of a pipeline.
    PipelineName,
    "a pipeline name: lower-case letters, digits and `-`, at most 63",
    is_label
);
text_name!(
    /// The name of an environment.
    EnvironmentName,
    "an environment name: lower-case letters, digits and `-`, at most 63",
    is_label
);
text_name!(
    /// The name of a unit: that of its directory, or `.` where the environment's whole path is one unit.
    ///
    /// A directory's name is part of object names and the value of a label (Kubernetes, Object Names and IDs; Labels and
    /// Selectors), so that it has to be a DNS label. `.` is first in the order of names.
    UnitName,
    "a unit name: lower-case letters, digits and `-`, at most 63, or `.`",
    is_unit
);
text_name!(
    /// The name of a role, a group of principals.
    RoleName,
    "a role name: lower-case letters, digits and `-`, at most 63",
    is_label
);
text_name!(
    /// The name of a check.
    CheckName,
    "a check name: lower-case letters, digits and `-`, at most 40",
    is_check
);
text_name!(
    /// Who signs: the principal of an `allowed_signers` line, usually an e-mail address.
    Principal,
    "a principal: one word without wildcards",
    is_principal
);
text_name!(
    /// The fingerprint of a public key, as `ssh-keygen -l` prints it: `SHA256:` and 43 characters of base64.
    Fingerprint,
    "a key fingerprint: `SHA256:` and 43 characters of base64",
    is_fingerprint
);

impl UnitName {
    /// The one unit of an environment that names none.
    #[must_use]
    pub fn whole() -> Self {
        UnitName(WHOLE.to_owned())
    }

    /// Whether this is the environment's whole path.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0 == WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_dns_label() {
        for good in ["a", "dev", "prod-eu-1", &"x".repeat(63)] {
            assert!(good.parse::<EnvironmentName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "Dev", "a.b", "a/b", "a_b", "é", &"x".repeat(64)] {
            assert!(bad.parse::<EnvironmentName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_principal_has_no_wildcard_and_no_space() {
        assert!("lena@example.com".parse::<Principal>().is_ok());
        for bad in ["", "*", "a b", "a,b", "a?", "!a", "a\n"] {
            assert!(bad.parse::<Principal>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_unit_is_a_dns_label_or_the_whole() {
        for good in ["web", "web-2", "0", &"x".repeat(63)] {
            let unit: UnitName = good.parse().expect("because it is a label");
            assert!(!unit.is_whole(), "{good}");
        }
        let whole: UnitName = ".".parse().expect("because it is the whole");
        assert!(whole.is_whole() && whole == UnitName::whole() && whole.to_string() == ".");
        for bad in ["", "..", "./", "a.b", "a/b", "Web", "-a", ".hidden", "*", &"x".repeat(64)] {
            assert!(bad.parse::<UnitName>().is_err(), "{bad}");
            let quoted = serde_json::Value::from(bad);
            assert!(serde_json::from_value::<UnitName>(quoted).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_whole_is_first_among_units() {
        let smallest: UnitName = "0".parse().expect("because it is a label");
        assert!(UnitName::whole() < smallest);
    }
}
