//! The values of an object at the places that our entry names.
//!
//! - A place that our entry ends at is hashed with all that is in it, but for maps.
//! - A map that our entry ends at is owned as a whole, or was empty in the manifest (`emptyDir: {}`, `strategy: {}`). Then
//!   what others or the server's defaults put into it is not ours, and only counts that there is a map. An entry does not
//!   say which it is; maps that are surely owned as a whole are hashed. Nothing is lost for the others: when somebody
//!   changes a map that we own as a whole, our entry loses it.
//! - A field that the server did not keep (`annotations: {}`), or a list that the manifest left empty (`env: null`), may be
//!   filled by others likewise. Such places are remembered by their number in the order of our entry; the elements of a
//!   list count in the order of the entry too, so that no number depends on what is live.
//! - Of a keyed list and of a set list only elements that we own are hashed, and in which order they are live: nobody owns
//!   an order, but an apply restores it. An element that stands twice shows as one more place in that order.

use serde_json::{Map, Value};

use super::HashKey;
use super::entry::{Entry, Item, is_leaf, others};
use super::hash::{Hasher, Purpose, sorted};
use super::schema::{ATOMIC_LISTS, ATOMIC_MAPS};

const METADATA: &str = "f:metadata";

/// The places that we own and that no value of ours is at.
#[derive(Debug)]
pub(super) enum Unset<'a> {
    /// Found in this walk.
    Found(Vec<u32>),
    /// Those of a baseline, in rising order.
    Known(&'a [u32]),
}

/// A walk over the places of our entry, first below `metadata`, then over the rest.
#[derive(Debug)]
pub(super) struct Projection<'a> {
    object: &'a Value,
    entry: Entry<'a>,
    unset: Unset<'a>,
    /// How many places were passed.
    places: u32,
    /// The way to where the walk is.
    path: Vec<&'a str>,
}

impl<'a> Projection<'a> {
    pub(super) fn new(object: &'a Value, entry: Entry<'a>, unset: Unset<'a>) -> Self {
        Projection { object, entry, unset, places: 0, path: Vec::new() }
    }

    /// The hash of what we own below `metadata`.
    pub(super) fn metadata(&mut self, key: &HashKey) -> u128 {
        let mut hasher = Hasher::new(key, Purpose::Metadata);
        let (object, set) = (self.object, self.entry.set);
        if let Some((name, node)) = set.get_key_value(METADATA) {
            self.child(&mut hasher, name, node, object.get("metadata"));
        }
        hasher.finish()
    }

    /// The hash of all else that we own; after [`Projection::metadata`], which has the first places.
    pub(super) fn rest(&mut self, key: &HashKey) -> u128 {
        let mut hasher = Hasher::new(key, Purpose::Rest);
        let (object, set) = (self.object, self.entry.set);
        for (name, node) in sorted(set).into_iter().filter(|(name, _)| *name != METADATA) {
            if let Some(field) = name.strip_prefix("f:") {
                self.child(&mut hasher, name, node, object.get(field));
            }
        }
        hasher.finish()
    }

    /// The places without a value of ours that were found, in rising order.
    pub(super) fn found(self) -> Option<Box<[u32]>> {
        match self.unset {
            Unset::Found(found) if !found.is_empty() => Some(found.into_boxed_slice()),
            Unset::Found(_) | Unset::Known(_) => None,
        }
    }

    /// What is one step further in.
    fn child(&mut self, hasher: &mut Hasher, key: &'a str, node: &'a Value, value: Option<&Value>) {
        self.path.push(key);
        match node.as_object().filter(|node| !is_leaf(node)) {
            Some(node) => self.inner(hasher, node, value),
            None => self.leaf(hasher, key.strip_prefix("f:").unwrap_or_default(), value),
        }
        self.path.pop();
    }

    fn inner(&mut self, hasher: &mut Hasher, node: &'a Map<String, Value>, value: Option<&Value>) {
        let mut items = Vec::new();
        for (key, child) in sorted(node) {
            if let Some(field) = key.strip_prefix("f:") {
                self.child(hasher, key, child, value.and_then(|value| value.get(field)));
            } else if key == "." {
                hasher.tag(if value.is_some() { b'+' } else { b'-' });
            } else if let Some(item) = Item::read(key) {
                items.push((item, key.as_str(), child));
            }
        }
        if !items.is_empty() {
            self.list(hasher, &items, value);
        }
    }

    /// First the order, then element by element in the order of the entry.
    fn list(&mut self, hasher: &mut Hasher, items: &[(Item, &'a str, &'a Value)], value: Option<&Value>) {
        let live = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut elements: Vec<Option<&Value>> = vec![None; items.len()];
        hasher.tag(b'<');
        for element in live {
            if let Some(place) = items.iter().position(|(item, ..)| item.is(element)) {
                hasher.count(place + 1);
                elements[place].get_or_insert(element);
            }
        }
        hasher.count(0);
        for ((_, key, node), element) in items.iter().zip(elements) {
            self.child(hasher, key, node, element);
        }
    }

    fn leaf(&mut self, hasher: &mut Hasher, name: &str, value: Option<&Value>) {
        let place = self.places;
        self.places += 1;
        let is_open = matches!(value, None | Some(Value::Object(_) | Value::Array(_)));
        let is_unset = match &self.unset {
            Unset::Known(known) => is_open && known.binary_search(&place).is_ok(),
            Unset::Found(_) => value.is_none_or(|value| value.is_array() && self.is_of_others(name)),
        };
        match value {
            _ if is_unset => {
                if let Unset::Found(found) = &mut self.unset {
                    found.push(place);
                }
                hasher.tag(b'-');
            }
            None => hasher.tag(b'-'),
            Some(Value::Object(_)) if !ATOMIC_MAPS.contains(&name) => hasher.tag(b'+'),
            Some(value) => hasher.value(value),
        }
    }

    /// Whether others own elements of the list here: then our entry, which ends here, owns none of them.
    fn is_of_others(&self, name: &str) -> bool {
        let here = |set| self.path.iter().try_fold(set, |node: &Value, key| node.get(key));
        let has_elements =
            |node: &Value| node.as_object().is_some_and(|node| node.keys().any(|key| Item::read(key).is_some()));
        !ATOMIC_LISTS.contains(&name) && others(self.object).filter_map(here).any(has_elements)
    }
}
