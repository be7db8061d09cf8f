//! Why a single commit does not count, and how that is said.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::grammar::PARENT_LIMIT;
use super::{Carrier, Fetched, Ground, RawCommit};
use crate::name::{Code, CommitId, EnvironmentName, Fingerprint, Principal, Reason};

/// What a reason says of commits that are asked for because they brought what is read: they may be below the accepted head.
pub const OF_WHAT_IS_READ: &str = "among those that changed what is read here";

/// Commits that one reason lists.
const LISTED: usize = 10;

/// Why a commit does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Corrupt(String),
    TooManyParents(usize),
    Malformed(String),
    Unsigned,
    Ambiguous(String),
    BadSignature(String),
    /// A kind of signature that no signers file can list a key for.
    UnknownKind(&'static str),
    UnknownSigner(Fingerprint),
    OtherNamespace(Principal),
    Unauthorised(Principal),
    OutsideWindow {
        principal: Principal,
        after: Option<Timestamp>,
        before: Option<Timestamp>,
        first_seen: Timestamp,
    },
    /// A merge that nobody signed, and which is more than its two sides; says what.
    NotPlain(String),
    /// A merge that nobody signed, and which is too large to be compared with its sides within so many bytes.
    MergeTooLarge(u64),
}

impl Fault {
    pub(super) fn code(&self) -> Code {
        match self {
            Fault::Corrupt(_) => Code::CorruptObject,
            Fault::TooManyParents(_) | Fault::MergeTooLarge(_) => Code::LimitExceeded,
            Fault::Malformed(_) => Code::MalformedCommit,
            Fault::Unsigned => Code::UnsignedCommit,
            Fault::Ambiguous(_) => Code::AmbiguousSignature,
            Fault::BadSignature(_) | Fault::UnknownKind(_) => Code::BadSignature,
            Fault::UnknownSigner(_) => Code::UnknownSigner,
            Fault::OtherNamespace(_) | Fault::Unauthorised(_) => Code::UnauthorisedSigner,
            Fault::OutsideWindow { .. } => Code::KeyNotValid,
            Fault::NotPlain(_) => Code::MergeNotPlain,
        }
    }

    /// What the commit is where carriers may be; `None` for a fault that no carrier may have.
    ///
    /// A signature of a kind that is not read counts as one by a foreign key: whoever can make it could leave it out as
    /// well. A key that was listed and is not valid any more is no foreign key. Where upstream proves the content, a
    /// signature that does not hold takes nothing away: it only authorises nothing.
    pub(super) fn carrier(&self, ground: Ground) -> Option<Carrier> {
        match self {
            Fault::Unsigned => Some(Carrier::Unsigned),
            Fault::UnknownSigner(_) | Fault::UnknownKind(_) => Some(Carrier::ForeignKey),
            Fault::Unauthorised(_) => Some(Carrier::NoWriter),
            Fault::Ambiguous(_) | Fault::BadSignature(_) | Fault::OtherNamespace(_) | Fault::OutsideWindow { .. } => {
                (ground == Ground::Upstream).then_some(Carrier::Void)
            }
            Fault::Corrupt(_)
            | Fault::TooManyParents(_)
            | Fault::Malformed(_)
            | Fault::NotPlain(_)
            | Fault::MergeTooLarge(_) => None,
        }
    }

    /// The reason against this commit alone.
    pub(super) fn reason(&self, commit: &CommitId) -> Reason {
        let message = format!("`{}`: {}", commit.short(), self.detail());
        Reason::new(self.code(), message).at_commit(commit.clone())
    }

    /// What was found, without what it is found of.
    pub(super) fn detail(&self) -> String {
        match self {
            Fault::Corrupt(what)
            | Fault::Malformed(what)
            | Fault::Ambiguous(what)
            | Fault::BadSignature(what)
            | Fault::NotPlain(what) => what.clone(),
            Fault::UnknownKind(kind) => format!("{kind} are not supported yet"),
            Fault::MergeTooLarge(limit) => {
                format!("it is a merge without a writer's signature, and comparing it reads more than {limit} bytes")
            }
            Fault::TooManyParents(count) => format!("it has {count} parents, at most {PARENT_LIMIT} are read"),
            Fault::Unsigned => "it is not signed".to_owned(),
            Fault::UnknownSigner(fingerprint) => format!("its key {fingerprint} is in no signers file"),
            Fault::OtherNamespace(principal) => format!("the key of {principal} is not listed for namespace `git`"),
            Fault::Unauthorised(principal) => format!("{principal} is no writer here"),
            Fault::OutsideWindow { principal, after, before, first_seen } => {
                let window = window(*after, *before);
                format!("the key of {principal} is valid {window}, first seen {}", utc(*first_seen))
            }
        }
    }

    /// What this many commits with this fault are called.
    fn headline(&self, count: usize, environment: Option<&EnvironmentName>) -> String {
        let commits = if count == 1 { "commit" } else { "commits" };
        match self {
            Fault::Corrupt(_) => format!("{count} corrupt {commits}"),
            Fault::TooManyParents(_) => format!("{count} {commits} with too many parents"),
            Fault::Malformed(_) => format!("{count} malformed {commits}"),
            Fault::Unsigned => format!("{count} unsigned {commits}"),
            Fault::Ambiguous(_) => format!("{count} {commits} with an ambiguous signature"),
            Fault::BadSignature(_) | Fault::UnknownKind(_) => format!("{count} {commits} with a bad signature"),
            Fault::UnknownSigner(_) => format!("{count} {commits} signed by an unknown key"),
            Fault::OtherNamespace(_) | Fault::Unauthorised(_) => {
                let here = environment.map_or("here".to_owned(), |name| format!("to `{name}`"));
                format!("{count} {commits} whose signer may not write {here}")
            }
            Fault::OutsideWindow { .. } => format!("{count} {commits} whose key was not valid when first seen"),
            Fault::NotPlain(_) => {
                let merges = if count == 1 {
                    "merge that no writer signed and that is"
                } else {
                    "merges that no writer signed and that are"
                };
                format!("{count} {merges} not plain")
            }
            Fault::MergeTooLarge(_) => format!("{count} {commits} too large to be judged"),
        }
    }
}

/// A fault, and the commit that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) commit: CommitId,
    /// `"SUBJECT", claimed author EMAIL`; empty if the commit cannot be read.
    pub(super) claim: String,
    pub(super) fault: Fault,
}

impl Finding {
    pub(super) fn unread(raw: &RawCommit, fault: Fault) -> Self {
        Finding { commit: raw.id.clone(), claim: String::new(), fault }
    }

    fn line(&self) -> String {
        let claim = if self.claim.is_empty() { String::new() } else { format!(" {}", self.claim) };
        match &self.fault {
            Fault::Unsigned => format!("{}{claim}", self.commit.short()),
            fault => format!("{}{claim}: {}", self.commit.short(), fault.detail()),
        }
    }
}

/// One reason for each code, in the order of the findings, that lists the first commits with it.
pub(super) fn summaries(fetched: &Fetched, environment: Option<&EnvironmentName>, findings: &[Finding]) -> Vec<Reason> {
    let mut order: Vec<Code> = Vec::new();
    let mut by_code: BTreeMap<Code, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        let code = finding.fault.code();
        if !order.contains(&code) {
            order.push(code);
        }
        by_code.entry(code).or_default().push(finding);
    }
    let group = |code| Some((code, by_code.get(&code)?));
    order.into_iter().filter_map(group).map(|(code, group)| summary(fetched, environment, code, group)).collect()
}

fn summary(fetched: &Fetched, environment: Option<&EnvironmentName>, code: Code, group: &[&Finding]) -> Reason {
    let first = group[0];
    let headline = first.fault.headline(group.len(), environment);
    let mut lines: Vec<String> = group.iter().take(LISTED).map(|finding| finding.line()).collect();
    if group.len() > LISTED {
        lines.push(format!("and {} more", group.len() - LISTED));
    }
    let new = fetched.new.len();
    let since = match &fetched.accepted {
        _ if fetched.brought.is_some() => OF_WHAT_IS_READ.to_owned(),
        Some(head) => format!("{new} new since the accepted head {}", head.id.short()),
        None => format!("{new} new, none accepted before"),
    };
    let message = format!("`{}` brings {headline}, {since}\n{}", fetched.reference.short(), lines.join("\n"));
    Reason::new(code, message).at_commit(first.commit.clone())
}

fn window(after: Option<Timestamp>, before: Option<Timestamp>) -> String {
    match (after, before) {
        (Some(after), Some(before)) => format!("from {} until {}", utc(after), utc(before)),
        (Some(after), None) => format!("from {}", utc(after)),
        (None, Some(before)) => format!("until {}", utc(before)),
        (None, None) => "always".to_owned(),
    }
}

fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
