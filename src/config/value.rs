//! Values with bounds: durations, percentages, Kubernetes names.

use std::time::Duration;

use crate::name::{GroupKind, RefName, RepoPath};

/// The shortest and the longest duration a field takes, and an example.
pub(super) struct Bounds {
    pub(super) min: Duration,
    pub(super) max: Duration,
    pub(super) example: &'static str,
}

/// How long a release may take to settle. Less than a second would fail every release (Flux CVE-2022-39272 is what a
/// duration without a floor costs); more than a day is no deadline.
pub(super) const DEADLINE: Bounds =
    Bounds { min: Duration::from_secs(1), max: Duration::from_secs(24 * 60 * 60), example: "10m" };

/// How long a check must be good. Zero is its default, which is not written down; a week is what a person would watch.
pub(super) const CHECK_FOR: Bounds =
    Bounds { min: Duration::from_secs(0), max: Duration::from_secs(7 * 24 * 60 * 60), example: "10m" };

/// How long a check may take to pass: longer than it must be good.
pub(super) const CHECK_WITHIN: Bounds =
    Bounds { min: Duration::from_secs(1), max: Duration::from_secs(8 * 24 * 60 * 60), example: "20m" };

/// How long from one look of a check to the next.
pub(super) const CHECK_INTERVAL: Bounds =
    Bounds { min: Duration::from_secs(1), max: Duration::from_secs(60 * 60), example: "10s" };

/// A duration as humantime reads it, inside its bounds.
pub(super) fn duration(text: &str, bounds: &Bounds) -> Result<Duration, String> {
    let (min, max) = (humantime::format_duration(bounds.min), humantime::format_duration(bounds.max));
    let expected = format!("expected a duration from {min} to {max}, such as `{}`", bounds.example);
    let duration = humantime::parse_duration(text).map_err(|_| expected.clone())?;
    if (bounds.min..=bounds.max).contains(&duration) {
        Ok(duration)
    } else if text.contains('M') {
        Err(format!("{expected}; `M` is months, `m` is minutes"))
    } else {
        Err(expected)
    }
}

/// A share of the whole, written as a percentage: `30%` is 0.3.
pub(super) fn percentage(text: &str) -> Result<f64, String> {
    let expected = || "expected a percentage from `0%` to `100%`".to_owned();
    let number = text.strip_suffix('%').ok_or_else(expected)?;
    let digits = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let share = number.parse::<f64>().map_err(|_| expected())? / 100.0;
    if digits && (0.0..=1.0).contains(&share) { Ok(share) } else { Err(expected()) }
}

/// A whole number inside its bounds.
pub(super) fn count(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let expected = || format!("expected a whole number from {min} to {max}");
    let number = text.parse().map_err(|_| expected())?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(expected()) }
}

/// A path inside the repository; `.` is its root.
pub(super) fn repo_path(text: &str) -> Result<RepoPath, String> {
    let path = if text == "." { "" } else { text };
    let expected = "expected a path from the repository's root without `.`, `..`, or `/` at either end";
    if text.is_empty() {
        return Err(expected.to_owned());
    }
    path.parse().map_err(|_| expected.to_owned())
}

/// A branch name; `refs/heads/` is implied.
pub(super) fn branch(text: &str) -> Result<RefName, String> {
    if text.starts_with("refs/") {
        return Err("expected a branch name without `refs/heads/`".to_owned());
    }
    RefName::branch(text).map_err(|_| "expected a branch name that git accepts".to_owned())
}

/// A namespace (Kubernetes, Object Names and IDs: RFC 1123 label).
pub(super) fn namespace(text: &str) -> Result<String, String> {
    if is_label(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a namespace: lower-case letters, digits and `-`, at most 63".to_owned())
    }
}

/// A kind, `Kind` or `Kind.group`.
pub(super) fn group_kind(text: &str) -> Result<GroupKind, String> {
    let (kind, group) = text.split_once('.').unwrap_or((text, ""));
    let kind_good =
        kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.chars().all(|c| c.is_ascii_alphanumeric());
    let group_good = !text.ends_with('.') && (group.is_empty() || group.split('.').all(is_label));
    if kind_good && group_good {
        Ok(GroupKind::new(group, kind))
    } else {
        Err("expected `Kind` or `Kind.group`, such as `ClusterRole.rbac.authorization.k8s.io`".to_owned())
    }
}

fn is_label(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.len() <= 63
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}
