//! What a watch shows of the standing release, and what follows: health, drift, and the heal of it.

use jiff::Timestamp;
use serde_json::Value;

use super::object::{Found, Object, Seen, edition, uid_hash, version};
use super::release::Release;
use super::{Loss, News, Settings, Telling};
use crate::health::{Assessment, Health};
use crate::name::{GroupVersionKind, ObjectKey, Reason};
use crate::plan::OnDrift;
use crate::plan::drift::{self, Baseline, Check, Drift, View};

/// When something is seen, under which rules.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) now: Timestamp,
    pub(super) settings: &'a Settings,
    /// A write of this object is in flight: what is seen now may be older or newer than that.
    pub(super) busy: bool,
}

impl Release {
    /// A list of a kind begins: it will show everything that is there.
    pub(super) fn see_listing(&mut self, kind: &GroupVersionKind) {
        for (key, object) in self.objects.iter_mut() {
            if self.packed.kind(key) == Some(kind) {
                object.sighted = false;
            }
        }
    }

    /// A watch has listed everything of a kind. What it did not show is gone, or was written while the list was on its way:
    /// a read tells.
    pub(super) fn see_listed(&mut self, kind: &GroupVersionKind, busy: impl Fn(&ObjectKey) -> bool) {
        self.unwatched.remove(kind);
        let missing = |(key, object): &(&ObjectKey, &Object)| {
            !object.sighted && object.written.is_some() && self.packed.kind(key) == Some(kind) && !busy(key)
        };
        let missing: Vec<ObjectKey> = self.objects.iter().filter(missing).map(|(key, _)| key.clone()).collect();
        self.looks.extend(missing);
    }

    /// A kind cannot be watched: nobody will show its objects, so that each is read once.
    pub(super) fn see_unwatched(&mut self, kind: GroupVersionKind, reason: Reason) {
        let unseen = self.unseen.iter().filter(|key| self.packed.kind(key) == Some(&kind)).cloned();
        self.looks.extend(unseen);
        self.unwatched.insert(kind, reason);
    }

    pub(super) fn see(&mut self, key: &ObjectKey, value: Value, view: View, at: &Moment<'_>) {
        let Some(object) = self.objects.get_mut(key) else { return };
        let seen = version(&value).unwrap_or(u64::MAX);
        if seen < object.version {
            return;
        }
        object.sighted = true;
        if at.busy {
            object.stash(Seen::Object(value, view));
            return;
        }
        self.unseen.remove(key);
        self.answers_again(at.now);
        self.take_in(key, &value, view, 0, at);
    }

    /// The whole object as it was read because metadata alone could not tell.
    pub(super) fn file_looked(&mut self, key: &ObjectKey, live: Option<Value>, at: &Moment<'_>) {
        match live {
            _ if at.busy => {}
            Some(value) => {
                let newest = self.objects.get(key).map_or(0, |object| object.version);
                if version(&value).is_some_and(|seen| seen >= newest) {
                    self.sight(key);
                    self.take_in(key, &value, View::Whole, 1, at);
                }
            }
            None => self.see_gone(key, None, at),
        }
    }

    fn sight(&mut self, key: &ObjectKey) {
        self.unseen.remove(key);
        if let Some(object) = self.objects.get_mut(key) {
            object.sighted = true;
        }
    }

    fn take_in(&mut self, key: &ObjectKey, value: &Value, view: View, requests: u32, at: &Moment<'_>) {
        let Some(object) = self.objects.get_mut(key) else { return };
        object.version = version(value).unwrap_or(object.version);
        object.edition = edition(value);
        object.uid = uid_hash(value);
        object.ours = value.pointer("/metadata/labels/applyset.kubernetes.io~1part-of").is_some();
        self.assess(key, value, view == View::Whole, at.now);
        let Some(object) = self.objects.get_mut(key).filter(|object| object.written.is_some()) else { return };
        let check = match &mut object.baseline {
            Some(baseline) => Some(drift::check(baseline, value, view, &at.settings.hash_key)),
            None if view == View::Metadata => Some(Check::Look),
            None => None,
        };
        match check {
            Some(Check::Same) => self.as_it_was(key, at.now),
            Some(Check::Look) => drop(self.looks.insert(key.clone())),
            Some(Check::Drifted) => self.alarm(key, (value, view), requests, at),
            None => self.compare(key, value, requests, at),
        }
        self.settle(at.now);
    }

    /// An object of which no baseline is known is compared with its manifest; where that cannot tell, one apply does.
    fn compare(&mut self, key: &ObjectKey, value: &Value, requests: u32, at: &Moment<'_>) {
        let Some(manifest) = self.packed.get(key) else { return };
        let set_id = &at.settings.policy.set_id;
        let same = drift::is_as_applied(&manifest, value, set_id);
        if !same && !drift::name(&manifest, value, View::Whole, set_id).fields.is_empty() {
            return self.alarm(key, (value, View::Whole), requests, at);
        }
        if same || at.settings.policy.on_drift != OnDrift::Heal {
            if let Some(object) = self.objects.get_mut(key) {
                object.baseline = Some(Baseline::of(value, &at.settings.hash_key));
            }
            return self.as_it_was(key, at.now);
        }
        self.queue.put(key, at.now);
    }

    /// It is as the release says: what was found is over.
    fn as_it_was(&mut self, key: &ObjectKey, now: Timestamp) {
        self.looks.remove(key);
        if self.drifted.remove(key) {
            self.queue.remove(key);
            let aside = self.objects.get_mut(key).and_then(|object| object.aside.as_mut());
            if let Some(found) = aside.and_then(|aside| aside.found.take()) {
                self.news.push(News::DriftEnded(Telling::of(key, found)));
            }
        }
        if let Some(object) = self.objects.get_mut(key) {
            object.tidy(now);
        }
    }

    /// It is not as the release says.
    fn alarm(&mut self, key: &ObjectKey, (value, view): (&Value, View), requests: u32, at: &Moment<'_>) {
        self.looks.remove(key);
        let Some(manifest) = self.packed.get(key) else { return };
        let drift = drift::name(&manifest, value, view, &at.settings.policy.set_id);
        let loss = None;
        self.find(key, Found { drift, view, loss, seen_at: at.now, requests }, at);
    }

    fn find(&mut self, key: &ObjectKey, mut found: Found, at: &Moment<'_>) {
        let Some(object) = self.objects.get_mut(key) else { return };
        let known = object.found();
        let news = known.is_none_or(|known| !known.drift.is_same(&found.drift) || known.loss != found.loss);
        if let Some(known) = known {
            found.seen_at = known.seen_at;
            found.requests += known.requests;
        }
        let told = news.then(|| Telling::of(key, found.clone()));
        object.aside().found = Some(found);
        self.drifted.insert(key.clone());
        self.in_doubt |= told.as_ref().is_some_and(|telling| telling.drift.by.is_none());
        match at.settings.policy.on_drift {
            OnDrift::Heal => {
                let (retry, heat) = (object.retry.due_at(), &mut object.aside().heat);
                let due = heat.due_at(at.now).max(retry.unwrap_or(at.now));
                let fights = heat.is_fight() && self.fights.insert(key.clone());
                self.news.extend(told.filter(|_| fights).map(|telling| News::Fighting { telling, until: due }));
                self.queue.put(key, due);
            }
            OnDrift::Report => self.news.extend(told.map(News::Drifted)),
            OnDrift::Pause => {}
        }
    }

    /// Deleted behind our back, or without our label: it is written again.
    pub(super) fn see_gone(&mut self, key: &ObjectKey, version: Option<u64>, at: &Moment<'_>) {
        let Some(object) = self.objects.get_mut(key) else { return };
        if version.is_some_and(|version| version < object.version) {
            return;
        }
        if at.busy {
            object.stash(Seen::Gone(version));
            return;
        }
        self.looks.remove(key);
        self.unseen.remove(key);
        (object.baseline, object.sighted) = (None, false);
        if let Some(aside) = &mut object.aside {
            aside.live = None;
        }
        if object.finished {
            // A finished Job may be cleaned up (Kubernetes, Jobs, "TTL mechanism for finished Jobs").
            self.mark_well(key, at.now);
            return;
        }
        if object.written.is_none() {
            return;
        }
        if at.settings.policy.on_drift == OnDrift::Heal {
            self.unwrite(key);
        }
        let gone = Assessment { health: Health::Missing, message: "it is gone".to_owned(), assumed: false };
        self.mark_unwell(key, gone, at.now);
        let drift = Drift { fields: Vec::new(), by: None };
        let (view, loss) = (View::Whole, Some(Loss::Deleted));
        self.find(key, Found { drift, view, loss, seen_at: at.now, requests: 0 }, at);
        self.settle(at.now);
    }

    /// The answer of our own apply: what was found is healed, and this is the new baseline.
    pub(super) fn take_answer(&mut self, key: &ObjectKey, value: Value, at: &Moment<'_>) {
        let Some(object) = self.objects.get_mut(key) else { return };
        object.version = version(&value).unwrap_or(object.version);
        object.edition = edition(&value);
        let before = std::mem::replace(&mut object.uid, uid_hash(&value));
        (object.ours, object.finished) = (true, false);
        object.baseline = Some(Baseline::of(&value, &at.settings.hash_key));
        self.drifted.remove(key);
        self.looks.remove(key);
        self.unseen.remove(key);
        let found = object.aside.as_mut().and_then(|aside| aside.found.take());
        if let Some(mut found) = found {
            if found.loss.is_some() && before == object.uid {
                found.loss = Some(Loss::Unlabelled);
            }
            object.aside().heat.healed(at.now);
            let took = at.now.duration_since(found.seen_at);
            self.news.push(News::Healed { telling: Telling::of(key, found), took });
        }
        self.assess(key, &value, true, at.now);
    }

    /// When the first fight may be over.
    pub(super) fn next_peace(&self) -> Option<Timestamp> {
        let end = |key: &ObjectKey| self.objects.get(key)?.aside.as_ref()?.heat.ends_at();
        self.fights.iter().filter_map(end).min()
    }

    /// Ends the fights in which the last heal has held.
    pub(super) fn make_peace(&mut self, now: Timestamp) {
        if self.next_peace().is_none_or(|at| at > now) {
            return;
        }
        let over = |key: &&ObjectKey| {
            let object = self.objects.get(*key);
            let aside = object.and_then(|object| object.aside.as_ref());
            aside.is_none_or(|aside| aside.found.is_none() && aside.heat.ends_at().is_none_or(|end| now >= end))
        };
        let over: Vec<ObjectKey> = self.fights.iter().filter(over).cloned().collect();
        for key in over {
            self.fights.remove(&key);
            if let Some(object) = self.objects.get_mut(&key) {
                object.tidy(now);
            }
            self.news.push(News::Peace(key));
        }
    }
}
