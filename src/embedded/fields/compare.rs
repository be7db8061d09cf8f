//! What changed between two values of one type.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Atom, Members, Set, atom, count, items};
use crate::embedded::schema::{Listing, Type};

/// The paths in which a newer value differs from an older one.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: Set,
    pub(crate) modified: Set,
    pub(crate) removed: Set,
    path: Vec<String>,
}

/// Compares an older with a newer value.
pub(crate) fn compare(kind: &Type, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    comparison.pair(kind, Some(old), Some(new));
    comparison
}

impl Comparison {
    /// The same without these paths and all below them.
    pub(crate) fn without(self, ignored: &Set) -> Comparison {
        let [added, modified, removed] = [self.added, self.modified, self.removed].map(|set| set.without(ignored));
        Comparison { added, modified, removed, path: self.path }
    }

    fn pair(&mut self, kind: &Type, old: Option<&Value>, new: Option<&Value>) {
        let (before, after) = (atom(kind, old), atom(kind, new));
        // A deduced value may have been a map and be a list now: both readings count then.
        let both = old.is_some() && new.is_some() && before != after;
        if both {
            self.atom(&before, old, new);
        }
        let is_leaf = self.atom(if new.is_none() { &before } else { &after }, old, new);
        match (old, new) {
            (None, Some(_)) if !is_leaf => self.added.insert(&self.path),
            (Some(_), None) if !is_leaf => self.removed.insert(&self.path),
            _ => {}
        }
    }

    /// Compares two values as this; says whether they are one leaf.
    fn atom(&mut self, atom: &Atom<'_>, old: Option<&Value>, new: Option<&Value>) -> bool {
        match atom {
            Atom::Leaf => {}
            Atom::Map(members) => {
                let none = Map::new();
                let [before, after] = [old, new].map(|side| side.and_then(Value::as_object).unwrap_or(&none));
                if !before.is_empty() || !after.is_empty() {
                    self.members(*members, before, after);
                    return false;
                }
            }
            Atom::List(element, listing) => {
                let [before, after] =
                    [old, new].map(|side| side.and_then(Value::as_array).map_or(&[][..], Vec::as_slice));
                if !before.is_empty() || !after.is_empty() {
                    self.list(element, listing, before, after);
                    return false;
                }
            }
        }
        match (old, new) {
            (None, _) => self.added.insert(&self.path),
            (_, None) => self.removed.insert(&self.path),
            (Some(old), Some(new)) if old != new => self.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn members(&mut self, members: Members<'_>, old: &Map<String, Value>, new: &Map<String, Value>) {
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            if let Some(kind) = members.get(name) {
                self.below(format!("f:{name}"), |this| this.pair(kind, old.get(name), new.get(name)));
            }
        }
    }

    fn below(&mut self, element: String, visit: impl FnOnce(&mut Self)) {
        self.path.push(element);
        visit(self);
        self.path.pop();
    }

    /// Items that occur once are compared; those that occur more often are one thing together, without paths below it.
    fn list(&mut self, kind: &Type, listing: &Listing, old: &[Value], new: &[Value]) {
        let (before, after) = (items(listing, old), items(listing, new));
        let (old_count, new_count) = (count(&before), count(&after));
        let elements: BTreeSet<&str> = old_count.keys().chain(new_count.keys()).copied().collect();
        for element in elements {
            let of = |items: &[(String, &Value)]| -> Vec<Value> {
                items.iter().filter(|(name, _)| name == element).map(|(_, item)| (*item).clone()).collect()
            };
            let (mine, theirs) = (of(&before), of(&after));
            self.below(element.to_owned(), |this| match (mine.len(), theirs.len()) {
                (0 | 1, 0 | 1) => this.pair(kind, mine.first(), theirs.first()),
                (2.., 2..) if mine != theirs => this.modified.insert(&this.path),
                (2.., 2..) => {}
                (2.., _) => {
                    if let Some(now) = theirs.first() {
                        this.pair(kind, None, Some(now));
                    }
                    this.removed.insert(&this.path);
                }
                _ => {
                    if let Some(then) = mine.first() {
                        this.pair(kind, Some(then), None);
                    }
                    this.added.insert(&this.path);
                }
            });
        }
    }
}
