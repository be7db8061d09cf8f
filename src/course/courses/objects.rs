//! Objects: which unit each belongs to, and what is asked about those of several units at once.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::super::backoff::later;
use super::super::object::version;
use super::super::{Answer, Course, Deleted, Event, Glance, Judged, Order, Sighting, Verdict};
use super::{Asking, Courses, Lost, Waiting, Watched};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason, UnitName};

/// When a unit is judged again that wanted an object of another.
const LET_GO: Duration = Duration::from_secs(10);

impl Lost {
    /// A read is asked for.
    pub(super) fn ask(&mut self) {
        self.asked.append(&mut self.seen);
    }

    /// It failed.
    pub(super) fn ask_again(&mut self) {
        let mut all = std::mem::take(&mut self.asked);
        all.append(&mut self.seen);
        self.seen = all;
    }

    /// It is gone, unless it was seen at a newer version than that.
    fn forget(&mut self, key: &ObjectKey, at: Option<u64>) {
        for lost in [&mut self.seen, &mut self.asked] {
            let seen = match lost.get(key) {
                Some(Sighting::Object(_, value) | Sighting::Metadata(_, value)) => version(value),
                _ => None,
            };
            if at.is_none() || seen <= at {
                lost.remove(key);
            }
        }
    }
}

impl Courses {
    /// Shows a sighting to the unit that it is about. What no unit knows is a stray of the first, once the log was read
    /// after the sight of it.
    pub(super) fn see(&mut self, sighting: Sighting, now: Timestamp) {
        let unknown = |key: &ObjectKey| self.named && self.home(key).is_none();
        match &sighting {
            Sighting::Object(key, _) | Sighting::Metadata(key, _) if unknown(key) => {
                self.lost.asked.remove(key);
                self.lost.seen.insert(key.clone(), sighting);
                self.read_wanted = true;
            }
            Sighting::Gone(key, at) => {
                self.lost.forget(key, *at);
                self.show(sighting, now);
            }
            _ => self.show(sighting, now),
        }
    }

    /// The log was read: whose is what was seen before that?
    pub(super) fn place_lost(&mut self, now: Timestamp) {
        for (_, sighting) in std::mem::take(&mut self.lost.asked) {
            self.show(sighting, now);
        }
        self.read_wanted |= !self.lost.seen.is_empty();
    }

    fn show(&mut self, sighting: Sighting, now: Timestamp) {
        let unit = match &sighting {
            Sighting::Object(key, _) | Sighting::Metadata(key, _) | Sighting::Gone(key, _) => {
                let first = || {
                    let ready = self.units.iter().find(|(_, course)| course.objects().is_some());
                    ready.map(|(unit, _)| unit).or(self.units.keys().next()).cloned()
                };
                // Who had it last may know why it is there.
                self.home(key).or_else(|| self.homes.get(key)).cloned().or_else(first)
            }
            Sighting::Listing(_) | Sighting::Listed(_) | Sighting::Unwatched(..) => None,
        };
        match (unit, sighting) {
            (Some(unit), sighting) => self.tell(&unit, Event::Sighting(sighting), now),
            (None, Sighting::Listing(kind)) => self.tell_all(now, || Event::Sighting(Sighting::Listing(kind.clone()))),
            (None, Sighting::Listed(kind)) => self.tell_all(now, || Event::Sighting(Sighting::Listed(kind.clone()))),
            (None, Sighting::Unwatched(kind, reason)) => {
                self.tell_all(now, || Event::Sighting(Sighting::Unwatched(kind.clone(), reason.clone())));
            }
            (None, _) => {}
        }
    }

    /// The unit that holds an object.
    fn home(&self, key: &ObjectKey) -> Option<&UnitName> {
        let home = self.homes.get(key)?;
        self.units.get(home).filter(|course| course.holds(key)).map(|_| home)
    }

    /// The bytes of its standing release may have come.
    pub(super) fn house_release(&mut self, unit: &UnitName) {
        let keys: Vec<ObjectKey> =
            self.units.get(unit).and_then(Course::objects).map(|keys| keys.cloned().collect()).unwrap_or_default();
        self.hand_over(unit, keys.iter());
    }

    /// Whether the opening that a unit proposes may name what is in another: it was judged before that was known.
    pub(super) fn is_contested(&self, unit: &UnitName) -> bool {
        let Some(course) = self.units.get(unit) else { return false };
        let taken = |key: &ObjectKey| self.of_another(unit, key).is_some();
        let mut keys = course.opens().peekable();
        keys.peek().is_some() && (self.is_one_unknown(unit) || keys.any(taken))
    }

    fn of_another(&self, unit: &UnitName, key: &ObjectKey) -> Option<&UnitName> {
        let home = self.homes.get(key).filter(|home| *home != unit)?;
        self.units.get(home).filter(|course| course.claims(key)).map(|_| home)
    }

    fn is_one_unknown(&self, unit: &UnitName) -> bool {
        self.units.iter().any(|(other, course)| other != unit && course.is_unknown())
    }

    pub(super) fn house<'k>(&mut self, unit: &UnitName, keys: impl Iterator<Item = &'k ObjectKey>) {
        if self.named {
            for key in keys {
                self.homes.insert(key.clone(), unit.clone());
            }
        }
    }

    /// Houses what an inventory of a unit names, but for what another unit has: that was handed over.
    pub(super) fn house_unless_held<'k>(&mut self, unit: &UnitName, keys: impl Iterator<Item = &'k ObjectKey>) {
        let keys: Vec<&ObjectKey> = keys.filter(|key| self.of_another(unit, key).is_none()).collect();
        self.house(unit, keys.into_iter());
    }

    /// Whether a unit may delete an object; else what it is told. What stands of another is handed over, not deleted
    /// (course.md, rule 4).
    pub(super) fn unless_held(&self, unit: &UnitName, key: &ObjectKey) -> Result<(), Deleted> {
        let another = self.of_another(unit, key);
        if another.and_then(|another| self.units.get(another)).is_some_and(|course| course.holds(key)) {
            return Err(Deleted::LeftAlone);
        }
        if another.is_some() || self.is_one_unknown(unit) {
            let text = "another unit may be about to name it: what that one names is not known yet";
            return Err(Deleted::Retry(Reason::new(Code::ClusterUnreachable, text)));
        }
        Ok(())
    }

    /// Houses what stands of a unit; whoever had it before lets it go.
    pub(super) fn hand_over<'k>(&mut self, unit: &UnitName, keys: impl Iterator<Item = &'k ObjectKey>) {
        for key in keys.filter(|_| self.named) {
            let before = self.homes.insert(key.clone(), unit.clone()).filter(|before| before != unit);
            if let Some(course) = before.and_then(|before| self.units.get_mut(&before)) {
                course.let_go(key);
            }
        }
    }

    pub(super) fn file_confirmed(&mut self, asking: Vec<Asking>, read: &Result<Vec<Glance>, Reason>, now: Timestamp) {
        let glances: HashMap<&ObjectKey, &Glance> =
            read.iter().flatten().map(|glance| (&glance.object, glance)).collect();
        for Asking { unit, token, keys } in asking {
            let own = || keys.keys().filter_map(|key| glances.get(key).map(|glance| (*glance).clone())).collect();
            let answer = read.as_ref().map(|_| own()).map_err(Clone::clone);
            self.tell(&unit, Event::Answer(token, Answer::Confirmed(answer)), now);
        }
    }

    /// Two units of an environment never name the same object in releases that stand or are about to (course.md, rule 16).
    pub(super) fn unless_taken(&mut self, unit: &UnitName, judged: Judged, now: Timestamp) -> Judged {
        let Verdict::Admitted(opening) = &judged.verdict else { return judged };
        if !self.named {
            return judged;
        }
        let keys: Vec<ObjectKey> = opening.admitted.set().objects().map(|(key, _)| key.clone()).collect();
        if self.is_one_unknown(unit) {
            let text = "another unit was opened, and what it names is not known yet";
            let verdict = Verdict::Unreachable(Reason::new(Code::ClusterUnreachable, text));
            return Judged { verdict, ..judged };
        }
        let taken = |key: &ObjectKey| Some(of_another(key, self.of_another(unit, key)?));
        let taken: Vec<Reason> = keys.iter().filter_map(taken).collect();
        if taken.is_empty() {
            self.house(unit, keys.iter());
            return judged;
        }
        let (gates, until) = (opening.admitted.gates(), Some(later(now, LET_GO)));
        Judged { verdict: Verdict::Stopped { refused: true, reasons: taken, gates, until }, ..judged }
    }

    pub(super) fn watch(&mut self, unit: &UnitName, kinds: BTreeSet<GroupVersionKind>, anew: bool) {
        if anew && self.watched.turned.remove(unit) {
            self.watched.anew = true;
        } else if let Some(course) = self.units.get_mut(unit) {
            // What is watched already was shown before: nobody lists everything again for a few objects.
            course.look_at_unseen(&self.watched.all);
        }
        self.watched.wanted.extend(kinds);
    }

    /// Watches what all of them want; not while a standing release is being recalled, so that one list shows all.
    pub(super) fn decide_watch(&mut self) {
        let Watched { wanted, all, anew, .. } = &mut self.watched;
        if (wanted.len() == all.len() && !*anew) || self.units.values().any(Course::is_recalling) {
            return;
        }
        all.clone_from(wanted);
        let (kinds, anew) = (wanted.clone(), std::mem::take(anew));
        self.assign_for_all(Waiting::Nobody, Order::Watch { kinds, anew });
    }

    /// Removes the bytes of releases that no unit needs to recall, once nothing is on its way.
    pub(super) fn decide_collect(&mut self) {
        if !self.collect || self.units.values().any(Course::is_busy) {
            return;
        }
        let keeps: Option<Vec<_>> = self.units.values().map(Course::kept_releases).collect();
        let Some(keeps) = keeps else { return };
        self.collect = false;
        self.assign_for_all(Waiting::Nobody, Order::Collect(keeps.into_iter().flatten().collect()));
    }
}

/// Why a unit may not take an object: another holds it.
#[must_use]
pub fn of_another(key: &ObjectKey, home: &UnitName) -> Reason {
    let text = format!(
        "`{key}` is in unit `{home}` already: take it out there first, in a commit of its own; it is deleted and made again"
    );
    Reason::new(Code::DuplicateObject, text).at_object(key.clone())
}
