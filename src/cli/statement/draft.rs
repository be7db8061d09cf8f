//! What will be tagged: a name that nobody took, a commit, and a message with its trailers.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::Order;
use super::tagging::Desk;
use crate::agent::site::Site;
use crate::cli::diagnostic::{Failure, escape};
use crate::config::Environment;
use crate::name::{Code, CommitId, RefName};
use crate::revision::statement::{Address, TAG_LIMIT, address};

/// A statement that is not signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: RefName,
    pub(super) commit: CommitId,
    pub(super) message: String,
}

impl Draft {
    /// `taken`: the names that nothing may have; where nobody knows them, one is chosen that nobody has.
    ///
    /// # Errors
    /// The name is none or is taken; the reason is too long.
    pub(super) fn new(
        site: &Site,
        desk: &Desk,
        order: &Order<'_>,
        environment: &Environment,
        commit: &CommitId,
        taken: Option<&BTreeSet<RefName>>,
    ) -> Result<Draft, Failure> {
        let called = |rest: &str| {
            let pipeline = site.setup.pipeline.name.clone();
            let about =
                Address { verb: order.verb, pipeline, environment: environment.name.clone(), rest: rest.to_owned() };
            let name = format!("refs/tags/{about}").parse::<RefName>().ok().filter(|name| address(name) == Some(about));
            name.ok_or_else(|| Failure::new(Code::Usage, format!("`{}` cannot end the name of a tag", escape(rest))))
        };
        let name = match order.name {
            Some(given) => {
                let name = called(given)?;
                if taken.is_some_and(|taken| taken.contains(&name)) {
                    let text = format!("tag `{}` is there already", name.short());
                    return Err(Failure::new(Code::Usage, text).with_hint("choose another name: --name NAME"));
                }
                name
            }
            None => {
                let slug = slug(&desk.email);
                let later = format!("{slug}-{}-{}", commit.short(), Timestamp::now().as_millisecond());
                let names = [slug.clone(), format!("{slug}-{}", commit.short()), later];
                let unknown = BTreeSet::new();
                let (names, taken) = taken.map_or((&names[2..], &unknown), |taken| (&names[..], taken));
                let free = names
                    .iter()
                    .map(|name| called(name))
                    .find(|name| !matches!(name, Ok(name) if taken.contains(name)));
                free.unwrap_or_else(|| Err(Failure::new(Code::Usage, "every name is taken; choose one: --name NAME")))?
            }
        };
        let headline = format!("{} {} at {}", order.verb.as_str(), environment.name, commit.short());
        let reason = order.reason.unwrap_or(&headline);
        let parts = [reason.to_owned(), order.trailers.join("\n")];
        let message = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
        if message.len() > TAG_LIMIT / 2 {
            return Err(Failure::new(Code::Usage, format!("`--reason` is longer than {} bytes", TAG_LIMIT / 2)));
        }
        Ok(Draft { name, commit: commit.clone(), message })
    }
}

/// The part of an address before `@`, as a name that a tag may end with.
fn slug(email: &str) -> String {
    let local = email.split('@').next().unwrap_or(email);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = local.chars().map(plain).collect();
    match text.trim_matches('-') {
        "" => "signer".to_owned(),
        slug => slug.to_owned(),
    }
}

/// A time to come, or a time from now: `2026-03-11T09:00:00Z`, `2d`.
pub(super) fn until(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let wrong = |what: &str| Failure::new(Code::Usage, format!("the value of `--until` is `{}`: {what}", escape(text)));
    if let Ok(length) = humantime::parse_duration(text) {
        const SHORTEST: Duration = Duration::from_secs(1);
        let at = (length >= SHORTEST).then(|| now.checked_add(length).ok()).flatten();
        return at.ok_or_else(|| wrong("expected at least 1s and no time after the year 9999"));
    }
    let at: Timestamp = text
        .parse()
        .map_err(|_| wrong("expected a duration such as `2d`, or a time such as `2026-03-11T09:00:00Z`"))?;
    if at > now { Ok(at) } else { Err(wrong("it is past")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_of_the_local_part() {
        for (email, expected) in [
            ("dana@example.com", "dana"),
            ("Dana.K+ops@example.com", "dana-k-ops"),
            ("d\u{e4}na@example.com", "d-na"),
            ("@example.com", "signer"),
            ("", "signer"),
        ] {
            assert_eq!(slug(email), expected, "{email}");
        }
    }

    #[test]
    fn until_is_a_time_to_come() {
        let now: Timestamp = "2026-03-11T09:00:00Z".parse().expect("because it is a time");
        let said = |text: &str| until(text, now).map(|at| at.to_string()).ok();
        for (text, expected) in [
            ("2h", Some("2026-03-11T11:00:00Z")),
            ("1d", Some("2026-03-12T09:00:00Z")),
            ("2026-03-11T11:00:00+01:00", Some("2026-03-11T10:00:00Z")),
            ("2026-03-11T09:00:00Z", None),
            ("0s", None),
            ("99999y", None),
            ("2026-03-12", None),
            ("tomorrow", None),
        ] {
            assert_eq!(said(text).as_deref(), expected, "{text}");
        }
    }
}
