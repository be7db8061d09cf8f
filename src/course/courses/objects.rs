//! Objects: which unit each belongs to, and what is asked about those of several units at once.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::super::backoff::later;
use super::super::{Answer, Course, Event, Glance, Judged, Order, Sighting, Verdict};
use super::{Asking, Courses, Waiting, Watched};
use crate::name::{Code, GroupVersionKind, ObjectKey, Reason, UnitName};

/// When a unit is judged again that wanted an object of another.
const LET_GO: Duration = Duration::from_secs(10);

impl Courses {
    /// Shows a sighting to the unit that it is about; what no unit knows is a stray of the first.
    pub(super) fn see(&mut self, sighting: Sighting, now: Timestamp) {
        let unit = match &sighting {
            Sighting::Object(key, _) | Sighting::Metadata(key, _) | Sighting::Gone(key, _) => {
                let first = || self.units.keys().next().cloned();
                let home = if self.named { self.homes.get(key).cloned() } else { None };
                home.or_else(first)
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

    pub(super) fn house<'k>(&mut self, unit: &UnitName, keys: impl Iterator<Item = &'k ObjectKey>) {
        if self.named {
            for key in keys {
                self.homes.insert(key.clone(), unit.clone());
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
        let home = |key: &ObjectKey| {
            let home = self.homes.get(key).filter(|home| *home != unit)?;
            self.units.get(home).filter(|course| course.claims(key)).map(|_| home.clone())
        };
        let taken: Vec<Reason> = keys.iter().filter_map(|key| Some(of_another(key, &home(key)?))).collect();
        if taken.is_empty() {
            self.house(unit, keys.iter());
            return judged;
        }
        let (gates, until) = (opening.admitted.gates(), Some(later(now, LET_GO)));
        Judged { verdict: Verdict::Stopped { refused: true, reasons: taken, gates, until }, ..judged }
    }

    pub(super) fn watch(&mut self, unit: &UnitName, kinds: BTreeSet<GroupVersionKind>, anew: bool) {
        if anew
            && kinds.is_subset(&self.watched.all)
            && let Some(course) = self.units.get_mut(unit)
        {
            // Nobody lists everything again for a few objects.
            course.look_at_unseen();
        }
        self.watched.wanted.extend(kinds);
    }

    /// Watches what all of them want; not while a standing release is being recalled, so that one list shows all.
    pub(super) fn decide_watch(&mut self) {
        let Watched { wanted, all } = &mut self.watched;
        if wanted.len() == all.len() || self.units.values().any(Course::is_recalling) {
            return;
        }
        all.clone_from(wanted);
        let kinds = wanted.clone();
        self.assign_for_all(Waiting::Nobody, Order::Watch { kinds, anew: false });
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
