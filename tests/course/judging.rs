//! Steps 3 to 8 in the real rooms: proofs are earned here as in production.

use std::collections::BTreeMap;
use std::time::Duration;

use lockmaster::course::{Back, Brief, Judged, Opening, Verdict};
use lockmaster::deploylog::{Cause, EntryCommit, Logged, Past, Recalled, Signer};
use lockmaster::gate::{self, Admission, Return};
use lockmaster::manifest::{Fence, ManifestSet, Scopes};
use lockmaster::name::{Code, CommitId, GroupKind, Reason};
use lockmaster::plan::{self, DryRun, Ground, Live, Observed, Plan, Questions};
use lockmaster::render::{self, Closing, Closure, Contents, Outputs, Rendered, Renderer, Sources};
use lockmaster::revision::{self, Carriers, Fetched, FirstSeen, JudgedCommit};

use super::shop::NAMESPACE;
use super::world::{Flaw, World, policy};

/// The rules of an environment that signatures prove.
fn rules() -> gate::Rules {
    gate::Rules {
        pipeline: "shop".parse().expect("because it is a name"),
        environment: "dev".parse().expect("because it is a name"),
        branch: "env/dev".to_owned(),
        from: None,
        layout: gate::Layout { paths: Vec::new(), own: Vec::new(), others: Vec::new() },
        own_images: Vec::new(),
        writers: None,
        carriers: Carriers::Plain,
        approvals: None,
        windows: Vec::new(),
        freezes: Vec::new(),
        give_up: Duration::from_secs(14 * 86_400),
        finish: false,
        rollback_by: gate::RollbackBy::Anyone,
    }
}

impl World {
    pub(crate) fn judge(&self, brief: &Brief) -> Judged {
        let accepted = brief.accepted.as_ref().map(|accepted| &accepted.id);
        let accepted = accepted.filter(|_| self.flaw != Some(Flaw::ForgetsTheAcceptedHead));
        let fetched = self.forge.fetched(&brief.tip, accepted);
        let history = revision::check_history(&fetched);
        let judgement = revision::judge(fetched.clone(), &self.forge.trust(), &FirstSeen::new(), self.now);
        let candidate = self.candidate(&fetched, &judgement.commits);
        let inputs = self.close(brief).inputs().clone();
        let to = gate::recognise(&rules(), &brief.past, None, &inputs, true);
        if let (Ok(()), Some(to)) = (&history, to) {
            let verdict = self.go_back(&brief.past, to, Cause::Commit, &candidate.id);
            return Judged { candidate, verdict, durations_ms: BTreeMap::new() };
        }
        let verdict = match history.and(judgement.verdict) {
            Ok(verified) => self.plan(verified, brief).unwrap_or_else(|verdict| verdict),
            Err(reasons) => Verdict::Stopped { refused: true, reasons, gates: Vec::new(), until: None },
        };
        Judged { candidate, verdict, durations_ms: BTreeMap::new() }
    }

    /// A rollback that no commit asks for.
    pub(crate) fn roll_back(&self, back: &Back) -> Judged {
        let cause = if back.decree.is_some() { Cause::Statement } else { Cause::Failure };
        let to = back.past.earlier(back.to);
        let to = to.expect("because only what is kept is asked for");
        let verdict = self.go_back(&back.past, to, cause, &to.commit.id);
        Judged { candidate: to.commit.clone(), verdict, durations_ms: BTreeMap::new() }
    }

    fn go_back(&self, past: &Past, to: &Logged, cause: Cause, commit: &CommitId) -> Verdict {
        let missing = || Verdict::Unreachable(Reason::new(Code::ClusterUnreachable, "the bytes are not stored"));
        let stored = |release| self.releases.get(&release).map(|(bytes, _)| bytes.clone());
        let standing = past.standing.as_ref().and_then(|standing| stored(standing.release));
        let (Some(bytes), Some(standing)) = (stored(to.release), standing) else { return missing() };
        let from = ManifestSet::from_bytes(&standing).expect("because a set was stored");
        let recalled = Recalled::earlier(to, bytes).expect("because the model keeps what it is given");
        match gate::return_to(&rules(), past, Return { to, recalled, from: &from, cause, commit, rewind: false }) {
            Ok(admitted) => Verdict::Admitted(Opening { admitted }),
            Err((gates, reasons)) => {
                Verdict::Stopped { refused: false, reasons, gates: gate::recorded(&gates), until: None }
            }
        }
    }

    fn plan(&self, verified: revision::Verified, brief: &Brief) -> Result<Verdict, Verdict> {
        let refused = |reasons| Verdict::Stopped { refused: true, reasons, gates: Vec::new(), until: None };
        let closure = self.close(brief);
        if brief.standing.as_ref().is_some_and(|standing| standing.inputs == closure.inputs().digest()) {
            return Ok(Verdict::Unchanged);
        }
        let rendered =
            Rendered::new(verified, closure, &Outputs::new(), &fence(), &Scopes::built_in()).map_err(refused)?;
        let standing = match &brief.standing {
            None => None,
            Some(standing) => {
                let text = format!("the bytes of `{}` are not stored", standing.release);
                let missing = || Verdict::Unreachable(Reason::new(Code::ClusterUnreachable, text));
                let (bytes, _) = self.releases.get(&standing.release).ok_or_else(missing)?;
                Some(ManifestSet::from_bytes(bytes).expect("because a set was stored"))
            }
        };
        let questions = plan::questions(rendered.set(), standing.as_ref(), &brief.inventory);
        let observed = self.observe(questions, rendered.set());
        let policy = policy();
        let ground =
            Ground { standing: standing.as_ref(), inventory: &brief.inventory, observed: &observed, policy: &policy };
        let plan = Plan::new(rendered, &ground).map_err(|reason| refused(vec![reason]))?;
        let moment = gate::Moment { first_seen: self.now, now: self.now };
        Ok(match gate::admit(plan, &rules(), &brief.past, &gate::Facts::default(), moment) {
            Admission::Admit(admitted) => Verdict::Admitted(Opening { admitted }),
            Admission::Stopped { refused, reasons, gates, .. } => {
                let until = gate::next_look(&gates);
                Verdict::Stopped { refused, reasons, gates: gate::recorded(&gates), until }
            }
        })
    }

    fn close(&self, brief: &Brief) -> Closure {
        let tree = self.forge.tree(&brief.tip);
        let path = "deploy".parse().expect("because it is a path");
        let sources = Sources { paths: vec![path], renderer: Renderer::Plain };
        let mut contents = Contents::new();
        loop {
            match render::close(&tree, &sources, &contents).expect("because the tree is plain") {
                Closing::Needs(paths) => {
                    let all = self.forge.contents(&brief.tip);
                    contents.extend(paths.into_iter().map(|path| (path.clone(), all[&path].clone())));
                }
                Closing::Closed(closure) => return closure,
            }
        }
    }

    fn observe(&self, questions: Questions, release: &ManifestSet) -> Observed {
        let live = |key: &_| self.cluster.value(key).map_or(Live::Absent, Live::Present);
        let mut dry_runs = BTreeMap::new();
        for key in questions.dry_run {
            let Some(manifest) = release.get(&key) else { continue };
            let Some(mut would) = self.cluster.value(&key) else { continue };
            if let (Some(would), Some(wanted)) = (would.as_object_mut(), manifest.value.as_object()) {
                let fields = wanted.iter().filter(|(name, _)| *name != "metadata");
                would.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
            }
            dry_runs.insert(key, DryRun::Would(would));
        }
        Observed {
            live: questions.read.iter().map(|key| (key.clone(), live(key))).collect(),
            dry_runs,
            namespaces: [NAMESPACE.to_owned()].into(),
        }
    }

    fn candidate(&self, fetched: &Fetched, commits: &[JudgedCommit]) -> EntryCommit {
        let described = commits.iter().find(|commit| commit.id == fetched.tip).cloned();
        let tip = described.or_else(|| revision::describe(&fetched.tip_commit));
        let tip = tip.expect("because every commit here has the form of one");
        EntryCommit {
            first_seen: self.now,
            signer: tip.signer.zip(tip.fingerprint).map(|(principal, fingerprint)| Signer { principal, fingerprint }),
            id: tip.id,
            payload_hash: tip.payload_hash,
            subject: tip.subject,
            claimed_author: tip.claimed_author,
            ships: commits.iter().map(|commit| commit.id.clone()).collect(),
        }
    }
}

pub(crate) fn fence() -> Fence {
    Fence {
        namespaces: vec![NAMESPACE.to_owned()],
        default_namespace: Some(NAMESPACE.to_owned()),
        cluster_kinds: vec![GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")],
        agent_namespace: "lockmaster".to_owned(),
    }
}
