//! What an applied value makes of a live one, and a value without some of its fields.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::{Atom, Set, atom, count, item_element, items};
use crate::embedded::schema::{Listing, Type};

/// Merges an applied value into a live one; nothing where nothing is left of either.
pub(crate) fn merge(kind: &Type, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let atom = atom(kind, applied.or(live));
    match atom {
        Atom::Map(members) => {
            let none = Map::new();
            let [mine, theirs] = [live, applied].map(|side| side.and_then(Value::as_object).unwrap_or(&none));
            if !mine.is_empty() || !theirs.is_empty() {
                let names: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
                let merged = names.into_iter().filter_map(|name| {
                    let value = merge(members.get(name)?, mine.get(name), theirs.get(name))?;
                    Some((name.clone(), value))
                });
                return Some(Value::Object(merged.collect())).filter(|merged| *merged != Value::Object(Map::new()));
            }
        }
        Atom::List(element, listing) => {
            let [mine, theirs] =
                [live, applied].map(|side| side.and_then(Value::as_array).map_or(&[][..], Vec::as_slice));
            if !mine.is_empty() || !theirs.is_empty() {
                let merged = merge_lists(element, listing, mine, theirs);
                return (!merged.is_empty()).then_some(Value::Array(merged));
            }
        }
        Atom::Leaf => {}
    }
    applied.or(live).cloned()
}

/// Merges two lists of items that are told apart. Items of both stand in the applied order; an item that only lives keeps
/// its place behind the live item before it, as far as the applied order allows.
fn merge_lists(kind: &Type, listing: &Listing, live: &[Value], applied: &[Value]) -> Vec<Value> {
    let (mine, theirs) = (items(listing, live), items(listing, applied));
    let mine_count = count(&mine);
    let by_element: BTreeMap<&str, &Value> = theirs.iter().map(|(element, item)| (element.as_str(), *item)).collect();
    // Which live item an applied one joins; one that lives twice joins none.
    let partner = |element: &str| {
        let once = mine_count.get(element) == Some(&1);
        mine.iter().find(|(name, _)| once && name == element).map(|(_, item)| *item)
    };
    let mut awaited: VecDeque<&str> =
        theirs.iter().map(|(element, _)| element.as_str()).filter(|element| mine_count.contains_key(element)).collect();
    let mut done = BTreeSet::new();
    let mut merged = Vec::new();
    let (mut at, mut next) = (0, 0);
    while at < mine.len() || next < theirs.len() {
        let (here, there) = (mine.get(at), theirs.get(next));
        if let Some((element, item)) = here {
            if !by_element.contains_key(element.as_str()) {
                merged.extend(merge(kind, Some(item), None));
                at += 1;
                continue;
            }
            let is_pair = there.is_some_and(|(name, _)| name == element);
            let is_later = awaited.front().is_some_and(|first| first != element);
            if there.is_some() && !is_pair && is_later {
                at += 1;
                continue;
            }
            if is_pair || done.contains(element.as_str()) {
                at += 1;
            }
        }
        if let Some((element, item)) = there {
            done.insert(element.as_str());
            merged.extend(merge(kind, partner(element), Some(item)));
            next += 1;
            if awaited.front() == Some(&element.as_str()) {
                awaited.pop_front();
            }
        }
    }
    merged
}

/// The value without these paths; what is emptied by that becomes null.
pub(crate) fn remove(kind: &Type, value: &Value, gone: &Set) -> Value {
    match (atom(kind, Some(value)), value) {
        (Atom::Map(members), Value::Object(map)) => {
            let left = map.iter().filter_map(|(name, inner)| {
                let element = format!("f:{name}");
                if gone.has(&element) {
                    return None;
                }
                let inner = match (gone.below(&element), members.get(name)) {
                    (Some(below), Some(kind)) => remove(kind, inner, below),
                    _ => inner.clone(),
                };
                Some((name.clone(), inner))
            });
            let left: Map<String, Value> = left.collect();
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        (Atom::List(kind, listing), Value::Array(list)) => {
            let left = list.iter().filter_map(|item| {
                let element = item_element(listing, item).unwrap_or_default();
                if gone.has(&element) {
                    return None;
                }
                Some(gone.below(&element).map_or_else(|| item.clone(), |below| remove(kind, item, below)))
            });
            let left: Vec<Value> = left.collect();
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        _ if matches!(kind, Type::Scalar(_)) || !(value.is_object() || value.is_array()) => value.clone(),
        _ => Value::Null,
    }
}
