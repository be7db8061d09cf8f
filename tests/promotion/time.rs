//! What cannot be waited for: the gates asked at times of our choice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lockmaster::deploylog::{EntryCommit, Evidence, Inputs, Logged, Past, Phase};
use lockmaster::gate::calendar::Freeze;
use lockmaster::gate::{Approvals, Candidate, Case, Facts, From, Gate, Layout, Rules, Verdict, stops};
use lockmaster::name::{CommitId, Digest, RefName, RepoPath};
use lockmaster::revision::statement::{self, RawTag};
use lockmaster::revision::{self, Carriers, Fetched, FirstSeen, Ground, RawCommit, Relation, Trust, Verified};
use lockmaster::signature::Signers;

use crate::control_plane::ControlPlane;
use crate::scene::Scene;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A candidate of prod that staging ran, and the gates around it.
struct Trial {
    rules: Rules,
    past: Past,
    facts: Facts,
    verified: Verified,
    inputs: Inputs,
    first_seen: Timestamp,
}

fn good<T, E: std::fmt::Debug>(text: &str) -> T
where
    T: std::str::FromStr<Err = E>,
{
    text.parse().expect("because it is well formed")
}

fn layout(name: &str, other: &str) -> Layout {
    let overlay = |name: &str| good::<RepoPath, _>(&format!("overlays/{name}"));
    let base: RepoPath = good("base");
    Layout { paths: vec![base.clone(), overlay(name)], own: Vec::new(), others: vec![base, overlay(other)] }
}

impl Trial {
    fn new(plane: &'static ControlPlane, name: &str) -> Trial {
        let scene = Scene::empty(plane, name, "");
        scene.deploy("v1", "one");
        let id = scene.commit("nobody", "shop 1.0");
        let bytes = format!("{}\n", scene.stage.git(&["cat-file", "commit", &id])).into_bytes();
        let first_seen: Timestamp = good("2026-03-11T12:00:00Z");
        scene.state("lena", "approve/shop/prod/lena", &id, &["good"]);
        let tag = scene.stage.git(&["rev-parse", "refs/tags/approve/shop/prod/lena"]);
        let tagged = format!("{}\n", scene.stage.git(&["cat-file", "tag", &tag])).into_bytes();
        let signers = std::fs::read_to_string(scene.stage.folder().join("allowed_signers"));
        let signers = signers.expect("because the scene wrote it");
        let verified = verified(RawCommit { id: good(&id), bytes }, &signers, first_seen);
        let inputs = Inputs { files: [(good("base/deploy.yaml"), Digest::of(b"v1"))].into(), ..Inputs::default() };
        let rules = Rules {
            pipeline: good("shop"),
            environment: good("prod"),
            branch: "env/prod".to_owned(),
            from: Some(From {
                environment: good("staging"),
                branch: "env/staging".to_owned(),
                layout: layout("staging", "prod"),
                soak: Duration::ZERO,
                max_age: Duration::from_secs(30 * 86_400),
            }),
            layout: layout("prod", "staging"),
            own_images: Vec::new(),
            writers: None,
            carriers: Carriers::Plain,
            approvals: None,
            windows: Vec::new(),
            freezes: Vec::new(),
            give_up: Duration::from_secs(14 * 86_400),
            finish: false,
            rollback_by: lockmaster::gate::RollbackBy::Anyone,
        };
        let release = logged(good(&id), inputs.clone(), first_seen - DAY);
        let evidence = Evidence { environment: good("staging"), releases: vec![release] };
        let raw = RawTag { name: good("refs/tags/approve/shop/prod/lena"), id: good(&tag), bytes: tagged };
        let signers = Signers::parse(&signers).expect("because it is well formed");
        let approval = statement::read(&raw, &signers, first_seen).expect("because lena signed it");
        let seen = FirstSeen::from([(approval.payload_hash(), first_seen)]);
        let facts = Facts {
            evidence: Some(evidence),
            first_seen: seen,
            statements: vec![std::sync::Arc::new(approval)],
            ..Facts::default()
        };
        Trial { rules, past: Past::default(), facts, verified, inputs, first_seen }
    }

    fn gates(&self, now: Timestamp) -> Vec<Gate> {
        let candidate = Candidate { verified: &self.verified, inputs: &self.inputs, first_seen: self.first_seen };
        Case::new(&self.rules, &self.past, &self.facts, candidate, now).gates()
    }

    /// Whether it is refused, and the code and text of every reason.
    fn told(&self, now: Timestamp) -> (bool, Vec<(&'static str, String)>) {
        let (refused, reasons) = stops(&self.gates(now));
        (refused, reasons.into_iter().map(|reason| (reason.code.as_str(), reason.message)).collect())
    }

    fn release(&mut self) -> &mut Logged {
        let evidence = self.facts.evidence.as_mut().expect("because there is an upstream");
        &mut evidence.releases[0]
    }
}

fn verified(commit: RawCommit, signers: &str, now: Timestamp) -> Verified {
    let fetched = Fetched {
        reference: RefName::branch("env/prod").expect("because it is a branch name"),
        tip: commit.id.clone(),
        accepted: None,
        relation: Relation::First,
        new: vec![commit.clone()],
        tip_commit: commit,
        boundary: [].into(),
        merges: [].into(),
        brought: None,
        left: 0,
        introduced: false,
        outside_introduction: false,
    };
    let trust = Trust {
        ground: Ground::Upstream,
        environment: good("prod"),
        signers: Signers::parse(signers).expect("because it is well formed"),
        writers: None,
        carriers: Carriers::Plain,
    };
    revision::judge(fetched, &trust, &FirstSeen::new(), now).verdict.expect("because upstream proves the content")
}

fn logged(commit: CommitId, inputs: Inputs, at: Timestamp) -> Logged {
    let commit = EntryCommit {
        payload_hash: Digest::of(commit.as_str().as_bytes()),
        id: commit,
        subject: String::new(),
        claimed_author: String::new(),
        signer: None,
        first_seen: at,
        ships: Vec::new(),
    };
    Logged {
        release: Digest::of(b"release"),
        rollback: None,
        supersedes: None,
        irreversible: [].into(),
        first: 1,
        openings: [12].into(),
        undone: None,
        held: None,
        sequence: 12,
        hash: Digest::of(b"12"),
        commit,
        inputs,
        images: [].into(),
        opened_at: at,
        settled_at: Some(at),
        outcome: Some((Phase::Proven, at)),
        replaced_at: None,
        reasons: Vec::new(),
    }
}

pub(crate) fn give_up(plane: &'static ControlPlane) {
    let mut trial = Trial::new(plane, "givingup");
    let now = trial.first_seen;
    assert_eq!(trial.told(now), (false, Vec::new()));
    trial.rules.windows = vec![good("Mon 09:00-10:00 UTC")];
    let (refused, reasons) = trial.told(now);
    let text = "the window of prod is shut, opens Mon 2026-03-16 09:00 UTC";
    assert_eq!((refused, reasons), (false, vec![("window-closed", text.to_owned())]));
    let window =
        |at: Timestamp| trial.gates(at).into_iter().find(|gate| gate.name == "windows").expect("because it is set");
    assert_eq!(window(now).deadline, Some(now + 14 * DAY));
    assert_eq!(window(now).next_look, Some(good("2026-03-16T09:00:00Z")));
    let end = now + 14 * DAY;
    let before = end - SignedDuration::from_secs(1);
    assert_eq!((window(before).verdict, window(before).next_look), (Verdict::Wait, Some(end)));
    // Now a refusal with the code that it waited on, and nobody looks again by the clock.
    let (refused, reasons) = trial.told(end);
    assert!(refused && reasons.len() == 1 && reasons[0].0 == "window-closed", "{reasons:?}");
    assert!(reasons[0].1.ends_with("; given up after 14days (`giveUp`)"), "{reasons:?}");
    assert_eq!(window(end).next_look, None);
    assert_eq!(window(good("2026-03-30T09:30:00Z")).verdict, Verdict::Pass, "an open window is nothing to give up");
}

pub(crate) fn max_age(plane: &'static ControlPlane) {
    let mut trial = Trial::new(plane, "maxage");
    let replaced = trial.first_seen;
    // As long as it stands it does not grow old.
    let much_later = replaced + 400 * DAY;
    trial.rules.give_up = Duration::from_secs(1000 * 86_400);
    assert_eq!(trial.told(much_later), (false, Vec::new()));
    trial.release().replaced_at = Some(replaced);
    let end = replaced + 30 * DAY;
    assert_eq!(trial.told(end - SignedDuration::from_secs(1)), (false, Vec::new()));
    let text = "staging/12 proved this content, and stood until 2026-03-11 12:00:00Z: too long ago".to_owned();
    assert_eq!(trial.told(end), (false, vec![("upstream-log-stale", text)]));
    // The same content proven again since is as good as new.
    let mut again = trial.release().clone();
    again.sequence = 14;
    again.replaced_at = None;
    trial.facts.evidence.as_mut().expect("because there is an upstream").releases.insert(0, again);
    assert_eq!(trial.told(end), (false, Vec::new()));
    // Failed since: no evidence any more, whatever came before.
    trial.release().outcome = Some((Phase::Failed, end));
    assert_eq!(trial.told(end), (true, vec![("upstream-failed", "staging/14 failed".to_owned())]));
}

pub(crate) fn approvals_end(plane: &'static ControlPlane) {
    let mut trial = Trial::new(plane, "approvalsend");
    let week = Duration::from_secs(7 * 86_400);
    trial.rules.approvals = Some(Approvals { count: 1, role: None, who: None, exclude_author: false, expires: week });
    let end = trial.first_seen + 7 * DAY;
    assert_eq!(trial.told(end - SignedDuration::from_secs(1)), (false, Vec::new()));
    let missing = |why: &str| {
        let text = format!("needs 1 of the writers of prod, has 0; not counted: approve/shop/prod/lena: {why}");
        (false, vec![("approvals-missing", text)])
    };
    assert_eq!(trial.told(end), missing("it has expired"));
    // An entry of this environment rests on it: it is used up.
    trial.past.used = trial.facts.first_seen.keys().copied().collect();
    assert_eq!(trial.told(trial.first_seen), missing("it was used by an earlier release"));
}

pub(crate) fn clocks(plane: &'static ControlPlane) {
    let mut trial = Trial::new(plane, "clocks");
    let now = trial.first_seen;
    trial.rules.windows = vec![good("daily 00:00-24:00 UTC")];
    let freeze = lockmaster::deploylog::Freeze { until: now - DAY, by: "lena".to_owned(), reason: "audit".to_owned() };
    trial.past.freezes = vec![freeze];
    assert_eq!(trial.told(now), (false, Vec::new()));
    trial.facts.clock_suspect = true;
    let (refused, reasons) = trial.told(now);
    assert!(!refused, "{reasons:?}");
    assert_eq!(reasons.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["frozen", "window-closed"]);
    assert!(reasons[1].1.contains("clock-suspect"), "{reasons:?}");
    // Nobody tells when the clocks agree again, so it is looked.
    let look = lockmaster::gate::next_look(&trial.gates(now)).expect("because it waits");
    assert!(look > now && look <= now + SignedDuration::from_mins(1), "{look}");
    // A dated freeze that has begun is not over either.
    (trial.past.freezes, trial.rules.windows) = (Vec::new(), Vec::new());
    let (from, until) = ((now - DAY - DAY).to_string(), (now - DAY).to_string());
    trial.rules.freezes = vec![Freeze::new(&from, &until, None, None).expect("because it is well formed")];
    assert_eq!(trial.told(now).1.into_iter().map(|(code, _)| code).collect::<Vec<_>>(), ["frozen"]);
    trial.facts.clock_suspect = false;
    assert_eq!(trial.told(now), (false, Vec::new()));
}
