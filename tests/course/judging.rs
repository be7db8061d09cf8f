//! Steps 3 to 8 in the real rooms: proofs are earned here as in production.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lockmaster::course::{Brief, Judged, Opening, Verdict};
use lockmaster::deploylog::{EntryCommit, Signer};
use lockmaster::gate::{self, Admission};
use lockmaster::manifest::{ManifestSet, Scopes};
use lockmaster::name::{Code, CommitId, Reason, RepoPath};
use lockmaster::plan::{self, DryRun, Live, Observed, Plan, Questions};
use lockmaster::render::{self, Closing, Closure, Contents, Rendered};
use lockmaster::revision::{self, Fetched, FirstSeen, Ground, JudgedCommit, Verified};

use super::content::{Content, kustomized};
use super::shop::NAMESPACE;
use super::site::{fence, policy};
use super::world::{Flaw, World};

fn refused(reasons: Vec<Reason>) -> Verdict {
    Verdict::Stopped { refused: true, reasons, gates: Vec::new(), until: None }
}

fn stopped(refused: bool, reasons: Vec<Reason>, gates: &[gate::Gate]) -> Verdict {
    let until = gate::next_look(gates);
    Verdict::Stopped { refused, reasons, gates: gate::recorded(gates), until }
}

/// By content, environment and unit.
type Closures = BTreeMap<(Content, usize, Option<usize>), Result<Rc<Closure>, Reason>>;

thread_local! {
    /// What commits of this content render from, in each environment: the same in every seed.
    static CLOSURES: RefCell<Closures> = const { RefCell::new(BTreeMap::new()) };
    static SCOPES: Scopes = Scopes::built_in();
}

impl World {
    pub(crate) fn judge(&mut self, brief: &Brief) -> Judged {
        let accepted = brief.accepted.as_ref().map(|accepted| &accepted.id);
        let accepted = accepted.filter(|_| self.flaw != Some(Flaw::ForgetsTheAcceptedHead));
        let fetched = self.forge.fetched(&self.site.rules.branch, &brief.tip, accepted);
        let hashes = fetched.new.iter().map(|commit| self.forge.payload_hash(commit)).collect();
        let first_seen = self.seen(hashes);
        let judgement = revision::judge(fetched.clone(), &self.site.trust, &first_seen, self.machine);
        let candidate = self.candidate(&fetched, &judgement.commits, &first_seen);
        // What is verified has a history that holds.
        let history = if judgement.verdict.is_ok() { Ok(()) } else { revision::check_history(&fetched) };
        let verdict = match history {
            Ok(()) => self.weigh(brief, &fetched, &candidate, judgement.verdict).unwrap_or_else(|verdict| verdict),
            // Rule 15: another agent may have moved the accepted head on since this tip was read.
            Err(_) if self.unreachable || self.tip.as_ref() != Some(&brief.tip) => {
                Verdict::Unreachable(Reason::new(Code::FetchFailed, "it moved since, or cannot be read"))
            }
            Err(reasons) => refused(reasons),
        };
        Judged { candidate, verdict, durations_ms: BTreeMap::new() }
    }

    fn weigh(
        &mut self,
        brief: &Brief,
        fetched: &Fetched,
        candidate: &EntryCommit,
        verified: Result<Verified, Vec<Reason>>,
    ) -> Result<Verdict, Verdict> {
        let closure = self.try_close(&brief.tip).map_err(|reason| refused(vec![reason]))?;
        if brief.standing.as_ref().is_some_and(|standing| standing.inputs == closure.inputs().digest()) {
            return Ok(Verdict::Unchanged);
        }
        if let Some(verdict) = self.going_back(brief, candidate, verified.as_ref().ok(), &closure) {
            return Ok(verdict);
        }
        let verified = self.traced(brief, fetched, &closure, verified).map_err(refused)?;
        let facts = self.facts(brief, fetched, &verified, &closure);
        let moment = gate::Moment { first_seen: candidate.first_seen, now: self.machine };
        self.ask_first(brief, &facts, &verified, &closure, moment)?;
        let fence = fence();
        let rendered = SCOPES.with(|scopes| {
            let outputs = kustomized(&closure);
            Rendered::new(verified, Closure::clone(&closure), &outputs, &fence, scopes).map_err(refused)
        })?;
        let standing = match &brief.standing {
            None => None,
            Some(standing) => {
                let text = format!("the bytes of `{}` are not stored", standing.release);
                let missing = || Verdict::Unreachable(Reason::new(Code::ClusterUnreachable, text));
                self.releases.get(&standing.release).ok_or_else(missing)?;
                self.archive.get(&standing.release).map(Rc::clone)
            }
        };
        let questions = plan::questions(rendered.set(), standing.as_deref(), &brief.inventory);
        let observed = self.observe(questions, rendered.set());
        let policy = policy();
        let inventory = &brief.inventory;
        let ground = plan::Ground { standing: standing.as_deref(), inventory, observed: &observed, policy: &policy };
        let plan = Plan::new(rendered, &ground).map_err(|reason| refused(vec![reason]))?;
        Ok(match gate::admit(plan, &self.site.rules, &brief.past, &facts, moment) {
            Admission::Admit(admitted) => Verdict::Admitted(Opening { admitted }),
            Admission::Stopped { refused, reasons, gates, .. } => stopped(refused, reasons, &gates),
        })
    }

    /// Where the new commits of a unit do not tell who answers for what it reads, those who brought it are asked.
    fn traced(
        &mut self,
        brief: &Brief,
        fetched: &Fetched,
        closure: &Closure,
        verified: Result<Verified, Vec<Reason>>,
    ) -> Result<Verified, Vec<Reason>> {
        if self.site.trust.ground != Ground::Content {
            return verified;
        }
        let paths: Vec<RepoPath> = gate::changes(brief.past.standing.as_ref(), closure.inputs()).collect();
        let (commits, merges) = self.forge.brought(&brief.tip, &paths);
        let hashes = commits.iter().map(|commit| self.forge.payload_hash(commit)).collect();
        let mut first_seen = self.seen(hashes);
        first_seen.extend(self.first_seen.iter().map(|(hash, time)| (*hash, *time)));
        let mut fetched = Fetched { brought: Some(commits), ..fetched.clone() };
        fetched.merges.extend(merges);
        revision::judge(fetched, &self.site.trust, &first_seen, self.machine).verdict
    }

    /// The gates that need no rendered objects.
    fn ask_first(
        &self,
        brief: &Brief,
        facts: &gate::Facts,
        verified: &Verified,
        closure: &Closure,
        moment: gate::Moment,
    ) -> Result<(), Verdict> {
        let candidate = gate::Candidate { verified, inputs: closure.inputs(), first_seen: moment.first_seen };
        let gates = gate::Case::new(&self.site.rules, &brief.past, facts, candidate, moment.now).gates();
        match gate::stops(&gates) {
            (true, reasons) => Err(stopped(true, reasons, &gates)),
            (false, _) => Ok(()),
        }
    }

    /// What a commit renders from.
    pub(crate) fn close(&self, tip: &CommitId) -> Rc<Closure> {
        self.try_close(tip).expect("because the tree is plain")
    }

    /// The same, or why it cannot be told.
    pub(crate) fn try_close(&self, tip: &CommitId) -> Result<Rc<Closure>, Reason> {
        let read = || self.read_closure(tip).map(Rc::new);
        let Some(content) = self.forge.made(tip).content else { return read() };
        CLOSURES.with_borrow_mut(|closures| {
            closures.entry((content, self.site.place, self.site.unit)).or_insert_with(read).clone()
        })
    }

    fn read_closure(&self, tip: &CommitId) -> Result<Closure, Reason> {
        let tree = self.forge.tree(tip);
        let mut contents = Contents::new();
        loop {
            match render::close(&tree, &self.site.sources, &contents)? {
                Closing::Needs(paths) => {
                    let made = self.forge.made(tip);
                    contents.extend(paths.into_iter().map(|path| (path.clone(), made.files[&path].clone())));
                }
                Closing::Closed(closure) => return Ok(closure),
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

    fn candidate(&self, fetched: &Fetched, commits: &[JudgedCommit], first_seen: &FirstSeen) -> EntryCommit {
        let described = commits.iter().find(|commit| commit.id == fetched.tip).cloned();
        let tip = described.or_else(|| revision::describe(&fetched.tip_commit));
        let tip = tip.expect("because every commit here has the form of one");
        let signer = tip.authorised_by().cloned();
        EntryCommit {
            first_seen: first_seen.get(&tip.payload_hash).copied().unwrap_or(self.machine),
            signer: signer.zip(tip.fingerprint).map(|(principal, fingerprint)| Signer { principal, fingerprint }),
            id: tip.id,
            payload_hash: tip.payload_hash,
            subject: tip.subject,
            claimed_author: tip.claimed_author,
            ships: commits.iter().map(|commit| commit.id.clone()).collect(),
        }
    }
}
