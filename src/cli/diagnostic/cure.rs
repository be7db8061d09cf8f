//! What helps a candidate past a gate, or a person who met a code: one action each, with the command where there is one.

use super::Place;
use super::hint::{held_by, hint, ways_out};
use crate::gate::{Gate, People};
use crate::name::{Code, CommitId, Principal, Reason};

/// People that a hint names.
const NAMED: usize = 4;

/// One thing that a person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cure {
    /// What, or who and what.
    pub words: String,
    /// The command that does it, as it can be run; where `WHY` stands, a reason is to be written.
    pub command: Option<String>,
}

impl Cure {
    fn of(words: impl Into<String>, command: String) -> Cure {
        Cure { words: words.into(), command: Some(command) }
    }

    fn word(words: impl Into<String>) -> Cure {
        Cure { words: words.into(), command: None }
    }

    /// As a hint says it.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.command {
            Some(command) => format!("{}: {command}", self.words),
            None => self.words.clone(),
        }
    }
}

/// The candidate that a gate stops.
#[derive(Debug, Clone)]
pub struct Stopped<'a> {
    /// Where.
    pub place: &'a Place,
    /// As verbs name it: `prod`, or `prod@9f2c1e4`.
    pub target: String,
    /// The commit.
    pub commit: &'a CommitId,
    /// The environment that proves its content.
    pub upstream: Option<&'a str>,
    /// The tags that are there, without `refs/tags/`.
    pub tags: Vec<&'a str>,
}

/// What helps past a gate; nothing where its message says all there is.
#[must_use]
pub fn cures(gate: &Gate, stopped: &Stopped<'_>) -> Vec<Cure> {
    let mut found: Vec<Cure> = Vec::new();
    for reason in &gate.reasons {
        let more = of_gate(gate, reason, stopped);
        let more = more.unwrap_or_else(|| hint(reason, stopped.place).map(Cure::word).into_iter().collect());
        found.extend(more.into_iter().filter(|cure| !found.contains(cure)).collect::<Vec<_>>());
    }
    found
}

fn of_gate(gate: &Gate, reason: &Reason, stopped: &Stopped<'_>) -> Option<Vec<Cure>> {
    let environment = stopped.place.environment();
    let upstream = stopped.upstream.unwrap_or("UPSTREAM");
    let overriding = |words: &str, name: &str| {
        Cure::of(words, format!("lockmaster approve {} --override {name} --reason WHY", stopped.target))
    };
    let hotfix = || overriding("or answer for it as a hotfix", "upstream");
    Some(match reason.code {
        Code::ApprovalsMissing | Code::CarrierNeedsApproval | Code::OwnPathUnsigned => {
            approvals(&gate.people.clone().unwrap_or_default(), stopped)
        }
        Code::WindowClosed => vec![overriding("it opens by itself; where it cannot wait", "windows")],
        Code::Frozen if gate.value.contains(" by the pipeline") => {
            vec![overriding("it ends by itself; where it cannot wait", "freezes")]
        }
        Code::Frozen => vec![
            Cure::of("end it", format!("lockmaster unfreeze {environment} --reason WHY")),
            overriding("or let this one pass", "freezes"),
        ],
        Code::UpstreamNotProven | Code::UpstreamFailed => {
            let command = format!("lockmaster explain {upstream}{}", stopped.place.of_unit());
            vec![Cure::of(format!("see where {upstream} stands"), command), hotfix()]
        }
        Code::PromotionIncomplete => {
            ways_out(reason, stopped.place).into_iter().map(|(words, command)| Cure::of(words, command)).collect()
        }
        Code::UpstreamLogStale | Code::UnprovenContent => vec![
            Cure::of(
                format!("see what {upstream} has proven"),
                format!("lockmaster history {upstream}{}", stopped.place.of_unit()),
            ),
            hotfix(),
        ],
        Code::HeldContent => {
            let entry = held_by(reason).unwrap_or(environment);
            let command = format!("lockmaster unhold {entry}{} --reason WHY", stopped.place.of_unit());
            vec![Cure::of("fix forward with a new commit, or let it deploy again", command)]
        }
        Code::Soaking => vec![Cure::of("see how far it is", format!("lockmaster show {environment}/latest"))],
        Code::ArtifactNotProven => {
            vec![Cure::of(
                format!("see what {upstream} has proven"),
                format!("lockmaster history {upstream}{}", stopped.place.of_unit()),
            )]
        }
        _ => return None,
    })
}

/// Who can approve, with the program and with plain git.
fn approvals(people: &People, stopped: &Stopped<'_>) -> Vec<Cure> {
    let (place, commit) = (stopped.place, stopped.commit.short());
    let command = format!("lockmaster approve {}", stopped.target);
    let (who, first) = match &people.may {
        None => ("every signer can approve".to_owned(), None),
        Some(may) if may.is_empty() => {
            let text = format!(
                "nobody is left who may approve: add somebody to the role, or ask for fewer, in environment `{}`",
                place.environment()
            );
            return vec![Cure::word(text)];
        }
        Some(may) => {
            let names: Vec<String> = may.iter().take(NAMED).map(ToString::to_string).collect();
            let more = may.len().saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" or {more} more") };
            (format!("{}{more} can approve", names.join(" or ")), may.first())
        }
    };
    let slug = first.map_or_else(|| "NAME".to_owned(), slug);
    let named = |rest: &str| {
        format!("approve/{}/{}/{rest}", place.pipeline.as_deref().unwrap_or("PIPELINE"), place.environment())
    };
    // A tag is never moved: who approved an earlier commit takes another name.
    let free = [slug.clone(), format!("{slug}-{commit}")].map(|name| named(&name));
    let tag = free.iter().find(|tag| !stopped.tags.contains(&tag.as_str())).unwrap_or(&free[1]);
    let git = format!("git tag -s {tag} {commit} && git push origin {tag}");
    vec![Cure::of(who, command), Cure::of("or with plain git", git)]
}

/// The part of an address before `@`, as a tag may end.
fn slug(principal: &Principal) -> String {
    let local = principal.as_str().split('@').next().unwrap_or_default().to_ascii_lowercase();
    let text: String = local.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    match text.trim_matches('-') {
        "" => "signer".to_owned(),
        text => text.to_owned(),
    }
}

/// What a code asks of a person, wherever it is met.
#[must_use]
pub fn meaning(code: Code) -> &'static str {
    use crate::name::Class;
    match code.class() {
        Class::Refused => "refused: nothing is applied",
        Class::Waits => "waits by itself",
        Class::Person => "held: needs a person",
        Class::Retried => "tried again, later and later",
        Class::Violated => "violated: a law of the deployment log is broken",
        Class::Failed => "error: it could not be done or checked",
        Class::Lint => "found by `lockmaster lint`",
        Class::Notice => "told, and stops nothing",
    }
}
