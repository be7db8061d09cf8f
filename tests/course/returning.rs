//! Going back to an earlier release in the real rooms: from stored bytes, past the gates of a rollback.

use lockmaster::course::{Back, Brief, Judged, Opening, Reverted, Verdict};
use lockmaster::deploylog::{Cause, EntryCommit, Log, Logged, Past, Recalled};
use lockmaster::gate::{self, Return};
use lockmaster::name::{Code, CommitId, Reason};
use lockmaster::render::Closure;
use lockmaster::revision::Verified;

use super::content::Content;
use super::forge::Making;
use super::people::MIA;
use super::world::World;

impl World {
    /// A candidate whose content ran here and was proven.
    pub(crate) fn going_back(
        &self,
        brief: &Brief,
        candidate: &EntryCommit,
        verified: Option<&Verified>,
        closure: &Closure,
    ) -> Option<Verdict> {
        let by_writer = verified.is_some_and(|verified| verified.tip().authorised_by().is_some());
        let evidence = self.upstream.as_ref().map(|upstream| &upstream.evidence);
        let to = gate::recognise(&self.site.rules, &brief.past, evidence, closure.inputs(), by_writer)?;
        Some(self.go_back(&brief.past, to, Cause::Commit, &candidate.id))
    }

    /// A rollback that no commit asks for.
    pub(crate) fn roll_back(&self, back: &Back) -> Judged {
        let cause = if back.decree.is_some() { Cause::Statement } else { Cause::Failure };
        let standing = back.past.standing.as_ref().expect("because something is to be undone");
        let (commit, verdict) = match back.past.earlier(back.to) {
            Some(to) => (&to.commit, self.go_back(&back.past, to, cause, &to.commit.id)),
            None => {
                let reasons = vec![Reason::new(Code::StatementNotApplicable, "it cannot be gone back to")];
                (&standing.commit, Verdict::Stopped { refused: true, reasons, gates: Vec::new(), until: None })
            }
        };
        Judged { candidate: commit.clone(), verdict, durations_ms: Default::default() }
    }

    /// The commit that makes Git agree with a rollback, on top of the branch if that is still where it was accepted: what
    /// somebody pushed since is not undone by the way (one beside the branch moves nothing here).
    pub(crate) fn revert(&mut self, tip: &CommitId, past: &Past) -> Reverted {
        let to = past.standing.as_ref().and_then(|standing| Some((standing, standing.rollback.as_ref()?)));
        let (Some((standing, _)), Some(theirs)) = (to, self.forge.made(tip).content) else { return Reverted::Nothing };
        let Some(wanted) = self.forge.made(&standing.commit.id).content else { return Reverted::Nothing };
        let mut content = Content { shared: wanted.shared, ..theirs };
        content.own[self.site.place] = wanted.own[self.site.place];
        let Log { accepted, standing: latest, .. } = self.replay.log();
        let moved = self.tip.as_ref() != Some(tip) || accepted.as_ref().map(|accepted| &accepted.id) != Some(tip);
        let stands = latest.as_ref().is_some_and(|latest| latest.sequence == standing.sequence);
        if content == theirs || moved || !stands || self.deleted || self.unreachable {
            return Reverted::Nothing;
        }
        let parents = [tip.clone()];
        let making = Making { parents: &parents, files: content.files(), content: Some(content), signer: Some(MIA) };
        let made = self.forge.make(making);
        self.reverts.insert(made.clone());
        self.tip = Some(made);
        Reverted::Pushed
    }

    fn go_back(&self, past: &Past, to: &Logged, cause: Cause, commit: &CommitId) -> Verdict {
        let missing = || Verdict::Unreachable(Reason::new(Code::ClusterUnreachable, "the bytes are not stored"));
        let standing = past.standing.as_ref().and_then(|standing| self.archive.get(&standing.release));
        let (Some((bytes, _)), Some(from)) = (self.releases.get(&to.release), standing) else { return missing() };
        let recalled = Recalled::earlier(to, bytes.to_vec()).expect("because bytes are stored under their digest");
        let back = Return { to, recalled, from, cause, commit, rewind: false };
        match gate::return_to(&self.site.rules, past, back) {
            Ok(admitted) => Verdict::Admitted(Opening { admitted }),
            Err((gates, reasons)) => {
                let until = gate::next_look(&gates);
                Verdict::Stopped { refused: false, reasons, gates: gate::recorded(&gates), until }
            }
        }
    }
}
