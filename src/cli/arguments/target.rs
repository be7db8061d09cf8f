//! One way to name a release, for every verb: `ENV`, `ENV/SEQ`, `ENV@REV`.

use std::fmt;
use std::str::FromStr;

use crate::name::EnvironmentName;

/// A release, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The environment.
    pub environment: EnvironmentName,
    /// Which of its releases.
    pub at: At,
}

/// Which release of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The tip of its branch, or its applied release, as the verb says.
    Tip,
    /// The release of a log entry.
    Sequence(u64),
    /// The release of the newest log entry: `ENV/latest`.
    Latest,
    /// A commit rendered for the environment; `HEAD` and `.` mean the clone at the working directory.
    Revision(String),
}

/// Says why a text names no release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `ENV`, `ENV/SEQUENCE`, `ENV/latest` or `ENV@REVISION`")]
pub struct InvalidTarget;

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (environment, at) = if let Some((environment, revision)) = text.split_once('@') {
            let good = !revision.is_empty() && !revision.starts_with('-') && !revision.chars().any(char::is_control);
            (environment, good.then(|| At::Revision(revision.to_owned())).ok_or(InvalidTarget)?)
        } else if let Some((environment, sequence)) = text.split_once('/') {
            let digits = !sequence.is_empty() && sequence.bytes().all(|b| b.is_ascii_digit());
            let at = match sequence {
                "latest" => At::Latest,
                _ if digits => At::Sequence(sequence.parse().map_err(|_| InvalidTarget)?),
                _ => return Err(InvalidTarget),
            };
            (environment, at)
        } else {
            (text, At::Tip)
        };
        Ok(Target { environment: environment.parse().map_err(|_| InvalidTarget)?, at })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let environment = &self.environment;
        match &self.at {
            At::Tip => write!(f, "{environment}"),
            At::Sequence(sequence) => write!(f, "{environment}/{sequence}"),
            At::Latest => write!(f, "{environment}/latest"),
            At::Revision(revision) => write!(f, "{environment}@{revision}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_an_environment_and_one_of_its_releases() {
        let named = |text: &str| text.parse::<Target>().map(|target| target.at);
        for (text, expected) in [
            ("prod", Ok(At::Tip)),
            ("prod/42", Ok(At::Sequence(42))),
            ("prod/latest", Ok(At::Latest)),
            ("prod@HEAD", Ok(At::Revision("HEAD".to_owned()))),
            ("prod@.", Ok(At::Revision(".".to_owned()))),
            ("prod@env/prod~1", Ok(At::Revision("env/prod~1".to_owned()))),
            ("", Err(InvalidTarget)),
            ("Prod", Err(InvalidTarget)),
            ("prod/", Err(InvalidTarget)),
            ("prod/+1", Err(InvalidTarget)),
            ("prod/x", Err(InvalidTarget)),
            ("prod@", Err(InvalidTarget)),
            ("prod@--upload-pack=x", Err(InvalidTarget)),
        ] {
            assert_eq!(named(text), expected, "{text}");
            if let Ok(target) = text.parse::<Target>() {
                assert_eq!(target.to_string(), text);
            }
        }
    }
}
