//! The laws of who may enter an environment, each found out in another way than the gates do.

use std::collections::BTreeSet;
use std::rc::Rc;

use jiff::SignedDuration;
use jiff::civil::{Weekday, time};
use jiff::tz::TimeZone;
use lockmaster::deploylog::{Action, Cause, Entry, Log, Phase, Rollback, STATEMENTS};
use lockmaster::name::{CommitId, Digest, UnitName};
use lockmaster::render::Contents;
use lockmaster::revision::statement::Verb;

use super::content::{Content, paths_of};
use super::facts::Ran;
use super::laws::Laws;
use super::people::{EVE, MIA, OMAR, Who};
use super::rooms::place;
use super::world::World;

/// How far a clock may be out before it is suspect, and how long an order may take.
const SLACK: SignedDuration = SignedDuration::from_secs(45);

impl Laws {
    pub(crate) fn entered(&mut self, world: &World, unit: &UnitName, log: &Log, opened: &Entry) {
        let Some(commit) = &opened.body.commit else { return };
        let made = world.forge.made(&commit.id);
        let Some(content) = made.content else { return };
        self.held(log, opened, &made.files);
        if world.reverts.contains(&commit.id) {
            self.broken("the agent's own revert wants nothing", commit.id.short());
        }
        if opened.body.rollback.is_some() {
            return self.returned(log, opened);
        }
        let before = before(world.replay.log(), opened);
        let place = if unit.is_whole() { world.site.place } else { place(unit) };
        if !content.renders(place) {
            self.broken("what cannot be rendered does not enter", commit.id.short());
        }
        let known: BTreeSet<CommitId> = before.iter().flat_map(|id| world.forge.line(id)).collect();
        let new: Vec<CommitId> = world.forge.line(&commit.id).into_iter().filter(|id| !known.contains(id)).collect();
        if !unit.is_whole() {
            self.brought_by_writers(world, (unit, place), log, opened);
        } else if world.site.place == 0 {
            self.signed(world, &new);
        } else {
            self.proven_upstream(world, opened, content);
        }
        self.frozen(world, opened);
        self.approved(world, opened, &new);
    }

    /// What a unit reads otherwise than before was put there by somebody who may write.
    fn brought_by_writers(&mut self, world: &World, (unit, place): (&UnitName, usize), log: &Log, opened: &Entry) {
        let Some(commit) = &opened.body.commit else { return };
        let before = opened_before(log, opened).next().and_then(|entry| entry.body.commit.as_ref());
        let before = before.map(|commit| Rc::clone(&world.forge.made(&commit.id).files)).unwrap_or_default();
        let now = Rc::clone(&world.forge.made(&commit.id).files);
        let line = world.forge.line(&commit.id);
        for path in paths_of(place).into_iter().filter(|path| before.get(path) != now.get(path)) {
            let puts = |id: &CommitId| {
                let made = world.forge.made(id);
                let same = |parent: &CommitId| world.forge.made(parent).files.get(&path) == now.get(&path);
                made.signer.is_some_and(|who| may_write(world, who))
                    && made.files.get(&path) == now.get(&path)
                    && !made.parents.iter().any(same)
            };
            if !line.iter().any(puts) {
                let text = format!("{unit} at {}: nobody who may write put `{path}` there", commit.id.short());
                self.broken("only what writers signed enters", text);
            }
        }
    }

    /// Every new commit is somebody's who may write, or a merge (what it holds is judged by other tests).
    fn signed(&mut self, world: &World, new: &[CommitId]) {
        for id in new {
            let made = world.forge.made(id);
            if !made.signer.is_some_and(|who| may_write(world, who)) && made.parents.len() != 2 {
                self.broken("only what writers signed enters", id.short());
            }
        }
    }

    /// I5: shared files are those of one proven release of upstream, or of the standing one.
    fn proven_upstream(&mut self, world: &World, opened: &Entry, content: Content) {
        let standing = opened_before(world.replay.log(), opened).next().and_then(|entry| entry.body.commit.as_ref());
        let standing = standing.and_then(|commit| world.forge.made(&commit.id).content);
        if standing.is_some_and(|standing| standing.shared == content.shared) {
            return;
        }
        let of = opened.body.upstream.as_ref().map(|upstream| upstream.sequence);
        let releases = world.upstream.iter().flat_map(|upstream| &upstream.log);
        // Between the verdict and the opening somebody may have taken it back: that has its own time, as every gate has.
        let stands = |release: &&Ran| release.withdrawn.is_none_or(|at| world.now.duration_since(at) <= SLACK);
        let proven = releases.filter(|release| Some(release.sequence) == of && release.proven).filter(stands);
        let same = |id: &CommitId| world.forge.made(id).content.is_some_and(|theirs| theirs.shared == content.shared);
        if !proven.into_iter().any(|release| same(&release.commit)) {
            let text = format!("entry {} rests on {of:?}", opened.sequence);
            self.broken("only what is proven upstream enters", text);
        }
    }

    /// I14: no freeze is over before its time by the clock of the servers, and windows are such by that clock.
    fn frozen(&mut self, world: &World, opened: &Entry) {
        let log = &world.replay.log().entries;
        let valid = log.iter().filter(|entry| !entry.lapsed && entry.sequence < opened.sequence);
        let ended =
            valid.clone().filter(|entry| entry.body.action == Action::Unfreeze).map(|entry| entry.sequence).max();
        let freezes = valid.filter(|entry| entry.body.action == Action::Freeze && Some(entry.sequence) > ended);
        let until = freezes.filter_map(|entry| entry.body.statement.as_ref()?.until).max();
        if until.is_some_and(|until| world.now + SLACK < until) {
            self.broken("a freeze holds", format!("entry {}", opened.sequence));
        }
        let open = |at: jiff::Timestamp| {
            let wall = at.to_zoned(TimeZone::UTC);
            let weekend = [Weekday::Saturday, Weekday::Sunday].contains(&wall.weekday());
            !weekend && wall.time() >= time(9, 0, 0, 0) && wall.time() < time(16, 30, 0, 0)
        };
        if !world.site.rules.windows.is_empty() && !open(world.now - SLACK) && !open(world.now + SLACK) {
            self.broken("windows hold", format!("entry {} at {}", opened.sequence, world.now));
        }
    }

    /// Enough people, each once, for this commit, and never a statement that was used before.
    fn approved(&mut self, world: &World, opened: &Entry, new: &[CommitId]) {
        let Some(approvals) = &world.site.rules.approvals else { return };
        let hashes = |entry: &Entry| -> Vec<Digest> {
            let names = entry.body.files.keys().filter_map(|path| path.strip_prefix(STATEMENTS));
            names.filter_map(|hex| format!("sha256:{hex}").parse().ok()).collect()
        };
        let before = world
            .replay
            .log()
            .entries
            .iter()
            .map(std::convert::AsRef::<Entry>::as_ref)
            .filter(|entry| !entry.lapsed && entry.sequence < opened.sequence);
        let earlier = before.filter(|entry| entry.body.phase == Some(Phase::Opened));
        let used: BTreeSet<Digest> = earlier.flat_map(hashes).collect();
        let mut people = BTreeSet::new();
        for hash in hashes(opened) {
            if used.contains(&hash) {
                self.broken("an approval counts once", hash.hex());
            }
            let Some(stated) = world.stated.get(&hash) else { continue };
            let authors: BTreeSet<Who> = new.iter().filter_map(|id| world.forge.made(id).signer).collect();
            let near = new.contains(&stated.commit);
            let expired = stated.until.is_some_and(|until| world.now > until + SLACK);
            let good = stated.verb == Verb::Approve && near && stated.who != EVE && !expired;
            if good && !authors.contains(&stated.who) {
                people.insert(stated.who);
            }
        }
        if people.len() < approvals.count {
            self.broken("enough people approved", format!("entry {}: {people:?}", opened.sequence));
        }
    }
}

fn may_write(world: &World, who: Who) -> bool {
    who != EVE && (world.site.rules.writers.is_none() || [MIA, OMAR].contains(&who))
}

/// The openings before one, newest first.
fn opened_before<'w>(log: &'w Log, opened: &'w Entry) -> impl Iterator<Item = &'w Entry> {
    let entries = log.entries.iter().map(std::convert::AsRef::<Entry>::as_ref).rev().filter(|entry| !entry.lapsed);
    entries.filter(|entry| entry.sequence < opened.sequence && entry.body.phase == Some(Phase::Opened))
}

/// The commit that was accepted before.
fn before(log: &Log, opened: &Entry) -> Option<CommitId> {
    let moves = |entry: &&Entry| !entry.body.rollback.as_ref().is_some_and(Rollback::leaves_head);
    opened_before(log, opened).find(moves)?.body.commit.as_ref().map(|commit| commit.id.clone())
}

/// The laws of going back.
impl Laws {
    /// Content that is held does not come again.
    fn held(&mut self, log: &Log, opened: &Entry, files: &Contents) {
        let log = log.entries.iter().map(std::convert::AsRef::<Entry>::as_ref);
        let valid = log.filter(|entry| !entry.lapsed && entry.sequence < opened.sequence);
        let ended: BTreeSet<u64> = valid
            .clone()
            .filter(|entry| entry.body.action == Action::Unhold)
            .filter_map(|entry| entry.body.of)
            .collect();
        for (sequence, held) in valid.filter_map(|entry| Some((entry.sequence, entry.body.hold.as_ref()?))) {
            let here =
                held.files.iter().all(|(path, digest)| files.get(path).map(|it| Digest::of(it)) == Some(*digest));
            let commit = opened.body.commit.as_ref().is_some_and(|commit| commit.id == held.commit);
            let holds = commit || (here && !held.files.is_empty() && held.images.is_empty());
            if holds && !ended.contains(&sequence) {
                self.broken("a hold holds", format!("entry {} in spite of {sequence}", opened.sequence));
            }
        }
    }

    /// What is gone back to was proven here, and first opened before what stands; by itself the agent goes back once.
    fn returned(&mut self, log: &Log, opened: &Entry) {
        let Some(rollback) = &opened.body.rollback else { return };
        let release = |entry: &Entry| entry.body.release;
        let same = |entry: &&Entry| release(entry) == release(opened);
        let Some(standing) = opened_before(log, opened).next() else { return };
        let proven = |entry: &Entry| {
            let ends = log.entries.iter().filter(|end| end.body.of == Some(entry.sequence) && !end.lapsed);
            ends.into_iter().any(|end| end.body.phase == Some(Phase::Proven))
        };
        if !opened_before(log, opened).filter(same).any(proven) {
            self.broken("only what was proven here is gone back to", format!("entry {}", opened.sequence));
        }
        let first = |of: &Entry| opened_before(log, opened).filter(|entry| release(entry) == release(of)).last();
        let (to, from) = (first(opened).map(|entry| entry.sequence), first(standing).map(|entry| entry.sequence));
        if to >= from {
            self.broken("going back goes back", format!("entry {}: from {from:?} to {to:?}", opened.sequence));
        }
        let stated = |entry: &Entry| entry.body.statement.as_ref().map(|stated| stated.payload_hash);
        if stated(opened).is_some() && opened_before(log, opened).any(|entry| stated(entry) == stated(opened)) {
            self.broken("a statement goes back once", format!("entry {}", opened.sequence));
        }
        if rollback.cause == Cause::Failure && standing.body.rollback.is_some() {
            self.broken("a rollback is not rolled back", format!("entry {}", opened.sequence));
        }
    }
}
