//! The values of an object at the places that our entry names.
//!
//! - A place that our entry ends at is hashed with all that is in it, but for maps.
//! - A map that our entry ends at is owned as a whole, or was empty in the manifest (`emptyDir: {}`, `strategy: {}`). Then
//!   what others or the server's defaults put into it is not ours, and only counts that there is a map. An entry does not
//!   say which it is; maps that are surely owned as a whole are hashed. Nothing is lost for the others: when somebody
//!   changes a map that we own as a whole, our entry loses it.
//! - A field that the server did not keep (`annotations: {}`, `env: null`) may be filled by others likewise. Such places are
//!   remembered by their number in the order of our entry; the elements of a list count in the order of the entry too, so
//!   that no number depends on what is live.
//! - Of a keyed list and of a set list only elements that we own are hashed, and in which order they are live: nobody owns
//!   an order, but an apply restores it. An element that stands twice shows as one more place in that order.

use serde_json::{Map, Value};

use super::HashKey;
use super::entry::{Entry, Item, is_leaf};
use super::hash::{Hasher, Purpose, sorted};
use super::schema::ATOMIC_MAPS;

/// The places that we own and that had no value.
#[derive(Debug)]
pub(super) enum Absent<'a> {
    /// Found in this walk.
    Found(Vec<u32>),
    /// Those of a baseline, in rising order.
    Known(&'a [u32]),
}

/// A walk over the places of an entry, first below `metadata`, then over the rest.
#[derive(Debug)]
pub(super) struct Projection<'a> {
    absent: Absent<'a>,
    places: u32,
}

impl<'a> Projection<'a> {
    pub(super) fn new(absent: Absent<'a>) -> Self {
        Projection { absent, places: 0 }
    }

    /// The hash of what we own below `metadata`.
    pub(super) fn metadata(&mut self, entry: Entry<'_>, object: &Value, key: &HashKey) -> u128 {
        let mut hasher = Hasher::new(key, Purpose::Metadata);
        if let Some(node) = entry.set.get("f:metadata") {
            self.child(&mut hasher, "metadata", node, object.get("metadata"));
        }
        hasher.finish()
    }

    /// The hash of all else that we own; after [`Projection::metadata`], which has the first places.
    pub(super) fn rest(&mut self, entry: Entry<'_>, object: &Value, key: &HashKey) -> u128 {
        let mut hasher = Hasher::new(key, Purpose::Rest);
        for (name, node) in sorted(entry.set) {
            match name.strip_prefix("f:") {
                Some("metadata") | None => {}
                Some(field) => self.child(&mut hasher, field, node, object.get(field)),
            }
        }
        hasher.finish()
    }

    /// The places without a value that were found, in rising order.
    pub(super) fn found(self) -> Option<Box<[u32]>> {
        match self.absent {
            Absent::Found(found) if !found.is_empty() => Some(found.into_boxed_slice()),
            Absent::Found(_) | Absent::Known(_) => None,
        }
    }

    /// What is at a field or at a list element, which has no name.
    fn child(&mut self, hasher: &mut Hasher, name: &str, node: &Value, value: Option<&Value>) {
        match node.as_object().filter(|node| !is_leaf(node)) {
            Some(node) => self.inner(hasher, node, value),
            None => self.leaf(hasher, name, value),
        }
    }

    fn inner(&mut self, hasher: &mut Hasher, node: &Map<String, Value>, value: Option<&Value>) {
        let mut items = Vec::new();
        for (key, child) in sorted(node) {
            if let Some(field) = key.strip_prefix("f:") {
                self.child(hasher, field, child, value.and_then(|value| value.get(field)));
            } else if key == "." {
                hasher.tag(if value.is_some() { b'+' } else { b'-' });
            } else if let Some(item) = Item::read(key) {
                items.push((item, child));
            }
        }
        if !items.is_empty() {
            self.list(hasher, &items, value);
        }
    }

    /// First the order, then element by element in the order of the entry.
    fn list(&mut self, hasher: &mut Hasher, items: &[(Item, &Value)], value: Option<&Value>) {
        let live = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut elements: Vec<Option<&Value>> = vec![None; items.len()];
        hasher.tag(b'<');
        for element in live {
            if let Some(place) = items.iter().position(|(item, _)| item.is(element)) {
                hasher.count(place + 1);
                elements[place].get_or_insert(element);
            }
        }
        hasher.count(0);
        for ((_, node), element) in items.iter().zip(elements) {
            self.child(hasher, "", node, element);
        }
    }

    fn leaf(&mut self, hasher: &mut Hasher, name: &str, value: Option<&Value>) {
        let place = self.places;
        self.places += 1;
        match (value, &mut self.absent) {
            (Some(Value::Object(_) | Value::Array(_)), Absent::Known(known)) if known.binary_search(&place).is_ok() => {
                hasher.tag(b'-');
            }
            (Some(Value::Object(_)), _) if !ATOMIC_MAPS.contains(&name) => hasher.tag(b'+'),
            (Some(value), _) => hasher.value(value),
            (None, absent) => {
                if let Absent::Found(found) = absent {
                    found.push(place);
                }
                hasher.tag(b'-');
            }
        }
    }
}
